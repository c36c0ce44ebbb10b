"""Guards of terms: who needs a second person, and what the bounds and the checks refuse."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.access import PLATFORM, Principal, Scope
from service.domain.documents import DocumentKind as K
from service.domain.errors import ActRefused, InvalidInput
from service.storage.store import SqlStore
from service.storage.terms_acts import activate_terms
from tests.fakes import OPERATOR, START_US
from tests.storage.administered import asked, shell
from tests.storage.test_terms_acts import BIKE, POLICY, TARIFF, apply, retire, rules

SCOPES = frozenset({Scope.TERMS_WRITE, Scope.TERMS_ACTIVATE})
BOUND: dict[str, Any] = {"name": "default", "least_zero_from_score": 640}


def person(owner: str = OPERATOR) -> Principal:
    """A person's key."""
    return Principal(None if owner == PLATFORM else owner, SCOPES, "0" * 16, "ann")


def needs_two(store: SqlStore, kind: K, table: dict[str, Any], owner: str = OPERATOR) -> bool:
    """Whether one person alone is refused to put a document into force; else it is in force."""
    try:
        apply(store, kind, table, owner, by=asked(person(owner), "ApplyTerms"))
    except ActRefused as refused:
        return refused.reason == "APPROVAL_REQUIRED"
    return False


def test_a_product_under_a_laxer_policy_needs_two(store: SqlStore) -> None:
    """A person moves a product to a stricter policy alone, and to a laxer one only with a second
    person, although the product's own values stay."""
    apply(store, K.POLICY, POLICY)
    apply(store, K.POLICY, {**POLICY, "name": "strict", "zero_from_score": 700})
    apply(store, K.PRODUCT, BIKE)
    assert not needs_two(store, K.PRODUCT, {**BIKE, "policy": "strict"})
    assert needs_two(store, K.PRODUCT, BIKE)


@pytest.mark.parametrize(
    "more",
    [
        {"velocity": [{"of": "USER", "counted": "OPEN", "most": 3, "then": "DECLINE"}]},
        {"velocity": [{"of": "USER", "counted": "OPEN", "most": 2, "then": "FULL"}]},
        {"condition": [{"name": "late", "when": "hour > 22", "then": "DECLINE"}]},
        {},
    ],
)
def test_a_change_that_is_not_known_to_be_stricter_needs_two(
    store: SqlStore, more: dict[str, Any]
) -> None:
    """A bound of rentals that rises, another consequence, a new rule of any kind and the end of a
    rule need a second person: only what is known to be stricter needs none."""
    bound = {"of": "USER", "counted": "OPEN", "most": 2, "then": "DECLINE"}
    apply(store, K.POLICY, {**POLICY, "velocity": [bound]})
    assert needs_two(store, K.POLICY, {**POLICY, **more})


def test_a_bound_that_falls_away_needs_two(store: SqlStore) -> None:
    """A person of the platform adds a bound alone. Whoever takes one away, makes one wider or ends
    the bounds needs a second person."""
    assert not needs_two(store, K.BOUNDS, BOUND, PLATFORM)
    more = {**BOUND, "most_increments": 3}
    assert not needs_two(store, K.BOUNDS, more, PLATFORM)
    assert needs_two(store, K.BOUNDS, BOUND, PLATFORM)
    assert needs_two(store, K.BOUNDS, {**more, "most_increments": 4}, PLATFORM)
    active = apply(store, K.BOUNDS, more, PLATFORM).document.full_name
    with pytest.raises(ActRefused) as refused:
        retire(store, active, by=asked(person(PLATFORM), "RetireTerms"))
    assert refused.value.reason == "APPROVAL_REQUIRED"


def test_ladders_and_categories_stay_inside_the_bounds(store: SqlStore) -> None:
    """Each rung of a ladder, and the cut-offs of each category, keep the bounds of scores and
    shares."""
    apply(store, K.BOUNDS, {**BOUND, "most_credit_share_bp": 5_000}, PLATFORM)
    ladder = [
        {"from_score": 639, "credit_share_bp": 10_000},
        {"from_score": 500, "credit_share_bp": 5_001},
    ]
    named = {key: value for key, value in POLICY.items() if key == "name"}
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.POLICY, {**named, "ladder": ladder})
    assert rules(refused) == {
        ("ladder[0].from_score", "bounds.least_zero_from_score"),
        ("ladder[1].credit_share_bp", "bounds.most_credit_share_bp"),
    }
    category = {"category": "BIKE", "zero_from_score": 639, "reduced_from_score": 500}
    with pytest.raises(InvalidInput) as refused:
        apply(store, K.POLICY, {**POLICY, "cut_off": [category]})
    assert rules(refused) == {("cut_off[0].zero_from_score", "bounds.least_zero_from_score")}


def test_a_valid_revision_is_checked_again_before_it_comes_into_force(store: SqlStore) -> None:
    """A revision that was validated comes into force only if it has no faults by then: its bounds
    may have become narrower, and what it names may be gone."""
    waiting = apply(store, K.POLICY, {**POLICY, "zero_from_score": 620}, activate=False)
    assert waiting.document.state == "VALIDATED"
    apply(store, K.BOUNDS, BOUND, PLATFORM)
    with pytest.raises(InvalidInput) as refused:
        activate_terms(
            *(store.engine, shell("activate"), waiting.document.full_name, "now", START_US),
            lambda _: b"",
        )
    assert rules(refused) == {("zero_from_score", "bounds.least_zero_from_score")}
    draft = apply(store, K.TARIFF, {**TARIFF, "name": "night"}, activate=False)
    product = apply(store, K.PRODUCT, {**BIKE, "tariff": "night"}, activate=False)
    assert (draft.document.state, product.document.state) == ("VALIDATED", "DRAFT")
    with pytest.raises(InvalidInput) as refused:
        activate_terms(
            *(store.engine, shell("activate"), product.document.full_name, "now", START_US),
            lambda _: b"",
        )
    assert ("tariff", "tariff.unknown") in rules(refused)
