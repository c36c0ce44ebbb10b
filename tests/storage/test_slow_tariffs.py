"""A tariff whose pricing takes too long does not come into force."""

from __future__ import annotations

import pytest

from service.domain.documents import DocumentKind as K
from service.domain.errors import InvalidInput
from service.domain.tariff_document import TariffDocument, write_tariff
from service.storage.store import SqlStore
from tests.domain.test_long_fees import HOURLY
from tests.storage.test_terms_acts import apply, rules, sound, states

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
