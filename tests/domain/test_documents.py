"""Documents of terms: their canonical form, their differences, and the faults of a wrong one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.documents import (
    Difference,
    canonical,
    differences,
    digest_of,
    table_of_json,
)
from service.domain.errors import InvalidInput
from service.domain.exposure import Rate, TotalExposure
from service.domain.limits_document import Limit, LimitsDocument, read_limits, write_limits
from service.domain.product_document import read_product, write_product

PRODUCT = {
    "id": "power-bank",
    "category": "POWER_BANK",
    "currency": "CNY",
    "deposit_minor": 9_900,
    "replacement_minor": 8_000,
    "tariff": "power-bank-2026",
    "policy": "careful",
    "most_hold_minor": 19_800,
}
VALUES = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=4),
    lambda it: st.lists(it, max_size=3) | st.dictionaries(st.text("ab", max_size=2), it),
    max_leaves=6,
)
TABLES = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES)


def rules(error: InvalidInput) -> dict[str, str]:
    """The path and the rule of each fault."""
    return {it.field: it.rule for it in error.violations}


@given(TABLES)
def test_a_document_does_not_differ_from_itself(table: dict[str, Any]) -> None:
    """A document has no differences from itself, whatever the order of its names."""
    other = {name: table[name] for name in reversed(table)}
    assert differences(table, other) == ()
    assert digest_of(canonical(table)) == digest_of(canonical(other))


@given(st.dictionaries(st.sampled_from("abc"), st.integers()), st.integers())
def test_a_changed_value_is_the_only_difference(table: dict[str, int], value: int) -> None:
    """A changed value is a difference with both values, and an absent value is empty."""
    changed = {**table, "a": value}
    before = str(table["a"]) if "a" in table else ""
    expected = [] if before == str(value) else [Difference("a", before, str(value))]
    assert list(differences(table, changed)) == expected


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\ude00\\ud83d"])
@pytest.mark.parametrize("form", ['{"a": "%s"}', '{"%s": 1}', '{"a": [{"b": "x%sy"}]}'])
def test_half_of_a_surrogate_pair_is_refused(form: str, half: str) -> None:
    """A text or a key of a document with half of a surrogate pair is refused: no database takes
    it. A whole pair is one character, and a written backslash is none."""
    with pytest.raises(InvalidInput) as refused:
        table_of_json(form % half)
    assert "half of a surrogate pair" in refused.value.violations[0].description
    assert "\U0001f600" in canonical(table_of_json(form % "\\ud83d\\ude00"))
    assert table_of_json(form % "\\\\ud83d")


def test_differences_name_places_in_lists() -> None:
    """A difference in a list of tables names the place, and places are sorted as numbers."""
    before = {"limit": [{"limit_minor": it} for it in range(12)]}
    after = {"limit": [{"limit_minor": it + (it in (2, 10))} for it in range(12)]}
    assert differences(before, after) == (
        Difference("limit[2].limit_minor", "2", "3"),
        Difference("limit[10].limit_minor", "10", "11"),
    )


def test_a_product_is_read_and_written() -> None:
    """A product's document is written as it was read, with the values that it left out."""
    found = read_product(PRODUCT)
    assert found.most_hold_minor == 19_800
    assert found.damage_without_consent_minor is None
    assert found.line_items is None
    assert write_product(found) == {**PRODUCT, "cancellation_fee_minor": 0}
    assert read_product(write_product(found)) == found
    listed = {**write_product(found), "line_items": ["USAGE", "CABLE_DAMAGED"]}
    assert read_product(listed).line_items == ("USAGE", "CABLE_DAMAGED")
    assert write_product(read_product(listed)) == listed


def test_all_faults_of_a_document_are_listed() -> None:
    """A document with several faults is refused with all of them, each with its path and rule."""
    wrong = {**PRODUCT, "deposit_minor": "much", "currency": "yuan", "deposti_minor": 1}
    del wrong["policy"]
    with pytest.raises(InvalidInput) as refused:
        read_product(wrong)
    assert refused.value.reason == "TERMS_WRONG"
    assert rules(refused.value) == {
        "deposit_minor": "deposit_minor.whole_number",
        "currency": "currency.form",
        "policy": "policy.missing",
        "deposti_minor": "deposti_minor.unknown",
    }


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"deposit_minor": True}, "deposit_minor.whole_number"),
        ({"deposit_minor": -1}, "deposit_minor.range"),
        ({"deposit_minor": 10**12 + 1}, "deposit_minor.range"),
        ({"most_hold_minor": 9_899}, "most_hold_minor.below_deposit"),
        ({"category": "bank"}, "category.form"),
        ({"line_items": []}, "line_items.empty"),
        ({"line_items": ["usage"]}, "line_items.form"),
        ({"line_items": ["USAGE", "USAGE"]}, "line_items.repeated"),
        ({"line_items": "USAGE"}, "line_items.list"),
    ],
)
def test_a_wrong_value_of_a_product_is_refused(changed: dict[str, Any], rule: str) -> None:
    """A product's amounts are whole numbers from 0 up, and it holds at least its deposit."""
    with pytest.raises(InvalidInput) as refused:
        read_product({**PRODUCT, **changed})
    assert [it.rule for it in refused.value.violations] == [rule]


def test_limits_are_sorted_by_currency_and_score() -> None:
    """Limits mean the same in any order."""
    steps = [Limit("CNY", 500, 1), Limit("CNY", 650, 2), Limit("EUR", 500, 9)]
    limits = LimitsDocument(tuple(steps))
    for order in (steps, steps[::-1]):
        assert read_limits({"limit": [it._asdict() for it in order]}) == limits
    assert read_limits(write_limits(limits)) == limits


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ([("CNY", 500, 9), ("CNY", 650, 8)], ("limit[1].limit_minor", "limit.limit_minor.falls")),
        ([("CNY", 500, 9), ("CNY", 500, 9)], ("limit[1].from_score", "limit.from_score.repeated")),
        ([("CNY", 500, -1)], ("limit[0].limit_minor", "limit.limit_minor.range")),
        ([], ("limit", "limit.empty")),
    ],
)
def test_wrong_limits_are_refused(
    steps: list[tuple[str, int, int]], fault: tuple[str, str]
) -> None:
    """A score has one limit in a currency, and a higher score has no lower limit."""
    with pytest.raises(InvalidInput) as refused:
        read_limits({"limit": [Limit(*it)._asdict() for it in steps]})
    assert list(rules(refused.value).items()) == [fault]


STEPS = [Limit("CNY", 500, 1)._asdict(), Limit("EUR", 500, 1)._asdict()]
EURO = {"currency": "EUR", "worth_minor": 785, "of_minor": 100}


def test_rates_of_the_total_exposure_are_read_and_written() -> None:
    """The section of the total exposure has the total's currency and a rate for other currencies.
    A document without it is written without it."""
    table = {"limit": STEPS, "exposure": {"currency": "CNY", "rate": [EURO]}}
    found = read_limits(table)
    assert found.total == TotalExposure("CNY", {"EUR": Rate(785, 100)})
    assert write_limits(found) == table
    assert write_limits(read_limits({"limit": STEPS})) == {"limit": STEPS}


@pytest.mark.parametrize(
    ("rates", "fault"),
    [
        ([], ("exposure.rate", "exposure.rate.empty")),
        ([EURO, EURO], ("exposure.rate[1].currency", "exposure.rate.currency.repeated")),
        (
            [{**EURO, "currency": "CNY"}],
            ("exposure.rate[0].currency", "exposure.rate.currency.of_total"),
        ),
        (
            [{**EURO, "worth_minor": 0}],
            ("exposure.rate[0].worth_minor", "exposure.rate.worth_minor.range"),
        ),
        (
            [{**EURO, "of_minor": 7.85}],
            ("exposure.rate[0].of_minor", "exposure.rate.of_minor.whole_number"),
        ),
        ([{**EURO, "rate": 1}], ("exposure.rate[0].rate", "exposure.rate.rate.unknown")),
    ],
)
def test_wrong_rates_are_refused(rates: list[Any], fault: tuple[str, str]) -> None:
    """A total has at least one rate, each of another currency, in whole numbers above 0."""
    with pytest.raises(InvalidInput) as refused:
        read_limits({"limit": STEPS, "exposure": {"currency": "CNY", "rate": rates}})
    assert list(rules(refused.value).items()) == [fault]
