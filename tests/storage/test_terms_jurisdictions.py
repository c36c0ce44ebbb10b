"""Tariffs keep the rules of the jurisdictions that bounds and products name."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.access import PLATFORM
from service.domain.documents import DocumentKind as K
from service.domain.errors import InvalidInput
from service.storage.store import SqlStore
from service.storage.terms_acts import Order, check_terms
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US
from tests.storage.administered import DAY_TARIFF, shell
from tests.storage.test_terms_acts import BIKE, apply, rules, sound, states
from tests.terms import copied_product, plant

CAP = [{"window_minutes": 1_440, "most_minor": 3_000}]
COMPANY: dict[str, Any] = {
    "name": "company", "currency": "CNY", "rounding": "STARTED", "free_minutes": 5,
    "buy_out_minor": 9_900, "segment": [{"interval_minutes": 30, "price_minor": 150}], "cap": CAP,
}  # fmt: skip
BEIJING: dict[str, Any] = {
    "name": "beijing", "currency": "CNY", "rounding": "COMPLETED", "first_use_minutes": 5,
    "buy_out_minor": 9_900, "segment": [{"interval_minutes": 15, "price_minor": 100}], "cap": CAP,
}  # fmt: skip
BANK = {**BIKE, "id": "bank", "category": "POWER_BANK", "policy": "small-item", "tariff": "company"}
THREE = {
    ("segment[0].interval_minutes", "CN-BJ.UNIT_AT_MOST_15_MINUTES"),
    ("first_use_minutes", "CN-BJ.FIRST_UNIT_FROM_5_MINUTES"),
    ("rounding", "CN-BJ.INCOMPLETE_UNITS_FREE"),
}
OF_TARIFF = {(f"tariff.{field}", rule) for field, rule in THREE}


@pytest.fixture(autouse=True)
def tariffs(store: SqlStore) -> None:
    """The operator has two tariffs in force."""
    for tariff in (COMPANY, BEIJING):
        apply(store, K.TARIFF, tariff)


def test_a_product_names_its_jurisdiction(store: SqlStore) -> None:
    """A product that names CN-BJ is refused under the company's tariff by three rules' names, and
    comes into force under Beijing's. The tariff then keeps the rules in its later revisions."""
    in_beijing = {**BANK, "jurisdiction": "CN-BJ"}
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.PRODUCT, in_beijing)
    assert rules(refused) == OF_TARIFF
    apply(store, K.PRODUCT, {**in_beijing, "tariff": "beijing"})
    assert (OPERATOR, "bank") in store.catalog().products
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.TARIFF, {**COMPANY, "name": "beijing"})
    assert rules(refused) == THREE
    assert all(it.description.endswith("(for the product bank)") for it in refused.value.violations)
    assert sound(store)


def test_a_place_keeps_the_rules_of_the_jurisdiction(store: SqlStore) -> None:
    """The prices of a place are checked too, and the fault names the place. A rule that the usual
    prices break is told once."""
    apply(store, K.PRODUCT, {**BANK, "jurisdiction": "CN-BJ", "tariff": "beijing"})
    place = {"name": "airport", "stations": ["t-1"]}
    units = [{"interval_minutes": 30, "price_minor": 150}]
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.TARIFF, {**BEIJING, "place": [{**place, "segment": units}]})
    assert rules(refused) == {
        ("place[0].segment[0].interval_minutes", "CN-BJ.UNIT_AT_MOST_15_MINUTES")
    }
    apply(store, K.TARIFF, {**BEIJING, "place": [place]})
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.TARIFF, {**COMPANY, "name": "beijing", "place": [place]})
    assert rules(refused) == THREE


def test_an_operators_bounds_name_its_jurisdictions(store: SqlStore) -> None:
    """The jurisdictions of an operator's bounds count for each of its products of the category, for
    tariffs of both arithmetics, and for no other operator."""
    apply(store, K.BOUNDS, {"name": OPERATOR, "jurisdictions": ["CN-BJ"]}, PLATFORM)
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.PRODUCT, BANK)
    assert rules(refused) == OF_TARIFF
    apply(store, K.TARIFF, {**DAY_TARIFF, "name": "days"})
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.PRODUCT, {**BANK, "tariff": "days"})
    assert {rule for _, rule in rules(refused)} >= {"CN-BJ.INCOMPLETE_UNITS_FREE"}
    apply(store, K.PRODUCT, {**BANK, "category": "BIKE"})
    apply(store, K.TARIFF, COMPANY, OTHER_OPERATOR)
    apply(store, K.PRODUCT, BANK, OTHER_OPERATOR)
    assert sound(store)


def test_an_unknown_jurisdiction_is_refused(store: SqlStore) -> None:
    """A jurisdiction without rules is refused, and the refusal names those that have some."""
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.PRODUCT, {**BANK, "jurisdiction": "CN-XX"})
    assert rules(refused) == {("jurisdiction", "jurisdiction.unknown")}
    assert "CN-BJ" in refused.value.violations[0].description
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.BOUNDS, {"name": OPERATOR, "jurisdictions": ["CN-XX"]}, PLATFORM)
    assert rules(refused) == {("jurisdictions[0]", "jurisdictions.unknown")}
    # No product in force is told to break rules that do not exist.
    apply(store, K.PRODUCT, {**BANK, "tariff": "power-bank"})
    order = Order(K.BOUNDS, PLATFORM, {"name": OPERATOR, "jurisdictions": ["CN-XX"]}, "")
    assert check_terms(store.engine, shell("apply"), order, START_US).outside == ()


def test_a_row_changed_by_sql_keeps_its_jurisdiction(store: SqlStore) -> None:
    """A product's row that SQL added gets a document with the jurisdiction of the one before."""
    apply(store, K.PRODUCT, {**BANK, "tariff": "beijing", "jurisdiction": "CN-BJ"})
    where = f"operator_id = '{OPERATOR}' AND product_id = 'bank'"
    plant(store.engine, copied_product(where, revision=2, deposit_minor=9_000))
    assert states(store, K.PRODUCT, "bank") == [(1, "RETIRED"), (2, "ACTIVE")]
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.TARIFF, {**COMPANY, "name": "beijing"})
    assert rules(refused) == THREE
