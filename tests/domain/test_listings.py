"""Listings: their effect on a decision, and their faults."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.errors import InvalidInput
from service.domain.listings import (
    Listed,
    Listing,
    ListingEffect,
    ListingKind,
    listed,
    require_sound,
)

NOW_US = 1_000
RULES = frozenset({"VELOCITY_USER_HOUR"})
DENY, ALLOW = ListingEffect.DENY, ListingEffect.ALLOW
USER, EVERYBODY = ListingKind.USER, ListingKind.EVERYBODY


def listing(number: int = 1, effect: ListingEffect = DENY, **changes: Any) -> Listing:
    """A listing of a user by the operator `city`, with changes."""
    rules = () if effect is DENY else ("VELOCITY_USER_HOUR",)
    it = Listing("city", number, effect, USER, "ann", rules, "", "theft", 1, "shell/root")
    return it._replace(**changes)


def test_a_listing_counts_until_its_end_and_its_expiry() -> None:
    """A listing counts from its making to the microsecond before its expiry, and until somebody
    ends it."""
    it = listing(expire_us=NOW_US)
    assert listed([it], ["careful"], NOW_US - 1).denied_by == "city/1"
    assert listed([it], ["careful"], NOW_US).denied_by == ""
    ended = listing(end_us=2, ended_by="shell/root")
    assert listed([ended], ["careful"], NOW_US) == Listed("", {})


def test_a_listing_for_a_policy_counts_under_that_policy_only() -> None:
    """A listing that names a policy counts for decisions under this policy only."""
    it = listing(policy_id="city/careful")
    assert listed([it], ["city/careful"], NOW_US).denied_by == "city/1"
    assert listed([it], ["city/other"], NOW_US).denied_by == ""


def test_an_operator_skips_rules_of_its_own_policies_only() -> None:
    """An operator's listing skips rules of the operator's own policies, the platform's skips rules
    of all policies."""
    own = listing(effect=ALLOW)
    platforms = own._replace(owner="platform", number=7)
    assert listed([own], ["city/careful"], NOW_US).skipped == {"VELOCITY_USER_HOUR": "city/1"}
    for policy_id in ("careful", "citynext/careful", "other/careful"):
        assert listed([own], [policy_id], NOW_US).skipped == {}
        skipped = listed([platforms], [policy_id], NOW_US).skipped
        assert skipped == {"VELOCITY_USER_HOUR": "platform/7"}


def test_a_denial_comes_before_a_skipped_rule() -> None:
    """A subject that is denied is denied, whatever other listings skip."""
    found = [listing(1, ALLOW), listing(2, DENY)]
    assert listed(found, ["city/careful"], NOW_US) == Listed("city/2", {})


def test_a_rule_of_a_group_is_skipped_under_all_policies() -> None:
    """A rule is skipped for a group of items only if it is skipped under the policy of each."""
    it = listing(effect=ALLOW, policy_id="city/a")
    assert listed([it], ["city/a", "city/b"], NOW_US).skipped == {}
    assert listed([it], ["city/a", "city/a"], NOW_US).skipped != {}


WRONG = [
    ({"subject": "a b"}, "subject.form"),
    ({"subject": ""}, "subject.form"),
    ({"kind": ListingKind.DEVICE, "subject": "x" * 89}, "subject.form"),
    ({"kind": EVERYBODY, "expire_us": 2}, "subject.everybody"),
    ({"kind": EVERYBODY, "subject": ""}, "expire_time.everybody"),
    ({"expire_us": 1}, "expire_time.past"),
    ({"rules": ("VELOCITY_USER_HOUR",)}, "rules.deny"),
    ({"effect": ALLOW}, "rules.missing"),
    ({"effect": ALLOW, "rules": ("LINE_EXHAUSTED",)}, "rules.unknown"),
    ({"effect": ALLOW, "rules": ("CONDITION/",)}, "rules.unknown"),
]


@pytest.mark.parametrize(("changes", "rule"), WRONG)
def test_a_wrong_listing_is_refused(changes: dict[str, Any], rule: str) -> None:
    """A listing without a right subject, end or rule is refused, and the fault has its path and a
    stable rule."""
    with pytest.raises(InvalidInput) as refused:
        require_sound([listing()._replace(**changes)], RULES)
    (fault,) = refused.value.violations
    assert fault.rule == rule
    named = rule.partition(".")[0]
    assert fault.field.startswith("subjects[0].subject" if named == "subject" else named)


def test_all_faults_are_told_at_once() -> None:
    """A refusal names the faults of all listings of a request."""
    with pytest.raises(InvalidInput) as refused:
        require_sound([listing(rules=("x",)), listing(rules=("x",), subject="")], RULES)
    fields = [it.field for it in refused.value.violations]
    assert fields == ["subjects[1].subject", "rules"]


def test_conditions_and_known_rules_may_be_skipped() -> None:
    """Known rules and named conditions may be skipped."""
    require_sound([listing(effect=ALLOW, rules=("VELOCITY_USER_HOUR", "CONDITION/night"))], RULES)
