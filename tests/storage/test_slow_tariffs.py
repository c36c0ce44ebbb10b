"""A tariff whose pricing takes too long does not come into force."""

from __future__ import annotations

import pytest

from service.domain.documents import DocumentKind as K
from service.domain.errors import InvalidInput
from service.domain.tariff_document import TariffDocument, write_tariff
from service.storage.store import SqlStore
from tests.domain.test_long_fees import HOURLY
from tests.storage.test_terms_acts import BIKE, POLICY, apply, rules, sound, states
from tests.storage.test_terms_jurisdictions import COMPANY

SLOW = dict(write_tariff(TariffDocument("hourly", "CNY", HOURLY)))


def test_a_slow_tariff_stays_a_draft(store: SqlStore) -> None:
    """A tariff that compares too many numbers of free minutes is kept as a draft with its fault,
    and comes into force with fewer free minutes."""
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.TARIFF, SLOW)
    assert rules(refused) == {("segment", "segment.too_many_free")}
    apply(store, K.TARIFF, SLOW, activate=False)
    assert states(store, K.TARIFF, "hourly") == [(1, "DRAFT")]
    apply(store, K.TARIFF, {**SLOW, "quota": [{"name": "q", "minutes": 60, "per": "WEEK"}]})
    assert states(store, K.TARIFF, "hourly")[-1][1] == "ACTIVE"
    assert sound(store)


def test_passes_of_other_terms_count_for_a_slow_tariff(store: SqlStore) -> None:
    """A tariff that is slow with the minutes of a pass that its product sold under earlier terms
    does not come into force, and such a product does not come under it."""
    segment = [
        {"to_minute": 1_440, "interval_minutes": 1, "price_minor": 5},
        {"from_minute": 1_440, "interval_minutes": 1, "price_minor": 3},
    ]
    slow = {**COMPANY, "name": "trip", "segment": segment}
    sold = [{"name": "p", "price_minor": 9, "days": 1, "minutes": 600, "per": "RENTAL"}]
    apply(store, K.TARIFF, {**COMPANY, "name": "trip", "time_zone": "Asia/Shanghai", "pass": sold})
    apply(store, K.POLICY, POLICY)
    product = {**BIKE, "id": "trip", "tariff": "trip"}
    apply(store, K.PRODUCT, product)
    apply(store, K.TARIFF, {**slow, "name": "other"})
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.TARIFF, slow)
    assert rules(refused) == {("segment", "segment.too_many_free")}
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.PRODUCT, {**product, "tariff": "other"})
    assert rules(refused) == {("tariff.segment", "segment.too_many_free")}
    apply(store, K.PRODUCT, {**product, "id": "walk", "tariff": "other"})
    assert sound(store)
