"""Documents of policies: every key, all faults at once, and the rules of admission."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.documents import canonical
from service.domain.errors import InvalidInput
from service.domain.policy import Policy
from service.domain.policy_document import nearest_cut_offs, read_policy, write_policy
from service.domain.rules import (
    Breaker,
    Budget,
    Closes,
    Condition,
    Counted,
    CutOff,
    NewUser,
    Of,
    Outcome,
    Over,
    Rules,
    Rung,
    Signal,
    SignalRule,
    Span,
    Velocity,
)
from service.domain.rules_document import json_of_rules, rules_of_json
from service.domain.tariff import DAY_US, MINUTE_US

LEAST: dict[str, Any] = {
    "name": "careful",
    "zero_from_score": 600,
    "reduced_from_score": 500,
    "reduced_credit_share_bp": 5_000,
}


def faults(document: Any, *, platform: bool = False) -> dict[str, str]:
    """The rules that a document breaks, by the paths of its keys."""
    with pytest.raises(InvalidInput) as caught:
        read_policy(document, platform=platform)
    return {it.field: it.rule for it in caught.value.violations}


def test_a_key_left_out_has_the_value_of_the_default_policies() -> None:
    """A policy with its name, cut-offs and share alone has the times of the default policies."""
    policy = read_policy(LEAST, platform=False)
    assert (policy.policy_id, policy.revision) == ("careful", 0)
    assert (policy.zero_from_score, policy.reduced_from_score) == (600, 500)
    assert (policy.offer_window_us, policy.rental_period_us) == (15 * MINUTE_US, DAY_US)
    assert (policy.max_feature_age_us, policy.refund_after_us) == (400 * DAY_US, DAY_US)
    assert (policy.most_pauses, policy.most_increments) == (10, 6)
    assert (policy.longest_rental_us, policy.free_cancellation_us, policy.rules) == (None,) * 3


def test_a_document_tells_all_its_faults_at_once() -> None:
    """Each fault has the path of its key and a stable rule, and one error has all of them."""
    document = {
        **{"name": "Careful one", "zero_from_score": "600", "reduced_from_score": True},
        **{"offer_window_minutes": -1, "offer_windw_minutes": 1, "most_increments": 1.5},
        "cut_off": [{"category": "BIKE", "zero_from_score": 1, "reduced_from_score": 2}],
        "velocity": [{"of": "PERSON", "counted": "OPEN", "then": "DECLINE"}],
        "new_user": {"until_days": 0},
    }
    assert faults(document) == {
        "name": "name.form",
        "zero_from_score": "zero_from_score.whole_number",
        "reduced_from_score": "reduced_from_score.whole_number",
        "reduced_credit_share_bp": "reduced_credit_share_bp.missing",
        "offer_window_minutes": "offer_window_minutes.range",
        "most_increments": "most_increments.whole_number",
        "offer_windw_minutes": "offer_windw_minutes.unknown",
        "cut_off[0].zero_from_score": "cut_off.zero_from_score.below_reduced",
        "velocity[0].of": "velocity.of.choice",
        "velocity[0].most": "velocity.most.missing",
        "new_user.until_days": "new_user.until_days.range",
        "new_user.mildest_offer": "new_user.mildest_offer.missing",
    }


def test_a_fault_says_what_to_do() -> None:
    """A missing key is told with the values that it takes, and an unknown one with the key that was
    probably meant."""
    document = {"name": "careful", "zero_from_scores": 600, "reduced_credit_share_bp": 5_000}
    rule = {"of": "USER", "counted": "OPEN", "most": 2, "beyond": 1}
    with pytest.raises(InvalidInput) as refused:
        read_policy({**document, "velocity": [rule]}, platform=False)
    score = "is missing: it must be a whole number from -2147483647 to 2147483647"
    assert {it.field: it.description for it in refused.value.violations} == {
        "zero_from_score": score,
        "reduced_from_score": score,
        "zero_from_scores": "is not a field of this document: did you mean zero_from_score?",
        "velocity[0].then": "is missing: it must be one of DECLINE, FULL, REVIEW",
        "velocity[0].beyond": "is not a field of this document: remove it",
    }


@pytest.mark.parametrize("document", [None, [], "policy", 5])
def test_a_document_that_is_no_table_is_refused(document: object) -> None:
    """A policy is a table of keys and values."""
    assert faults(document)["document"] == "document.table"


def test_a_price_by_expected_loss_is_refused() -> None:
    """No model of the losses of rentals exists, so no policy may set a price by expected loss."""
    assert faults({**LEAST, "price_by_expected_loss": {"margin_bp": 100}}) == {
        "price_by_expected_loss": "price_by_expected_loss.no_loss_model"
    }


def test_a_time_stands_in_its_unit_or_in_microseconds() -> None:
    """A time that is no whole number of its unit is given in microseconds, and never twice."""
    odd = read_policy({**LEAST, "offer_window_us": 90_000_001}, platform=False)
    assert odd.offer_window_us == 90_000_001
    assert write_policy(odd)["offer_window_us"] == 90_000_001
    both = {**LEAST, "offer_window_us": 1, "offer_window_minutes": 1}
    assert faults(both) == {"offer_window_us": "offer_window_us.repeated"}


def test_no_bound_is_the_word_none() -> None:
    """NONE as the value of an optional rule means that there is no such rule."""
    document = {**LEAST, "refund_after_hours": "NONE", "most_increments": "NONE"}
    policy = read_policy(document, platform=False)
    assert (policy.refund_after_us, policy.most_increments) == (None, None)
    assert write_policy(policy)["refund_after_hours"] == "NONE"


def test_a_ladder_replaces_the_cut_offs() -> None:
    """With a ladder the policy's own cut-offs must be left out; they are the ladder's nearest."""
    ladder = [
        {"from_score": 500, "credit_share_bp": 2_500},
        {"from_score": 620, "credit_share_bp": 10_000},
        {"from_score": 560, "credit_share_bp": 7_500},
    ]
    policy = read_policy({"name": "steps", "ladder": ladder}, platform=False)
    assert policy.rules == Rules(ladder=(Rung(620, 10_000), Rung(560, 7_500), Rung(500, 2_500)))
    assert (policy.zero_from_score, policy.reduced_from_score) == (620, 500)
    assert policy.reduced_credit_share_bp == 2_500
    own = ["zero_from_score", "reduced_from_score", "reduced_credit_share_bp"]
    assert faults({**LEAST, "ladder": ladder}) == {key: f"{key}.ladder" for key in own}


@pytest.mark.parametrize(
    ("steps", "rule"),
    [([(500, 1), (500, 2)], "repeated"), ([(500, 2), (600, 2)], "falls")],
)
def test_a_ladder_is_in_order(steps: list[tuple[int, int]], rule: str) -> None:
    """Each score has one step, and a higher score has the larger part on credit."""
    ladder = [{"from_score": score, "credit_share_bp": share} for score, share in steps]
    assert faults({"name": "steps", "ladder": ladder}) == {"ladder": f"ladder.{rule}"}


def test_only_the_platform_counts_rentals_of_all_operators() -> None:
    """A rule over all operators stands in a policy of the platform, and asks for FULL at most."""
    rule = {"of": "USER", "counted": "OPEN", "most": 5, "over": "ALL_OPERATORS"}
    document = {**LEAST, "velocity": [{**rule, "then": "FULL"}]}
    found = read_policy(document, platform=True).rules
    assert found == Rules(
        velocity=(Velocity(Of.USER, Counted.OPEN, 5, Outcome.FULL, Over.ALL_OPERATORS),)
    )
    assert faults(document) == {"velocity[0].over": "velocity.over.platform_only"}
    for then in ("DECLINE", "REVIEW"):
        loud = {**LEAST, "velocity": [{**rule, "then": then}]}
        assert faults(loud, platform=True) == {"velocity[0].then": "velocity.then.tells_of_others"}


SCORES = st.integers(-1_000, 1_000)
OUTCOMES = st.sampled_from([Outcome.FULL, Outcome.REVIEW, Outcome.DECLINE])
SHARES = st.integers(0, 10_000)
CUT_OFFS = st.builds(
    lambda category, low, more, share: CutOff(category, low + more, low, share),
    st.sampled_from(["BIKE", "UMBRELLA", "POWER_BANK"]),
    SCORES,
    st.integers(0, 100),
    st.none() | SHARES,
)
LADDERS = st.builds(
    lambda scores, shares: tuple(
        Rung(*it) for it in sorted(zip(sorted(scores), sorted(shares), strict=False), reverse=True)
    ),
    st.sets(SCORES, min_size=1, max_size=5),
    st.sets(SHARES, min_size=1, max_size=5),
)
VELOCITIES = st.builds(
    Velocity,
    st.sampled_from(Of),
    st.sampled_from(Counted),
    st.integers(0, 100),
    OUTCOMES,
    st.just(Over.OPERATOR),
)
NEW_USERS = st.builds(
    NewUser,
    st.integers(1, 10),
    st.none() | st.integers(1, 90).map(lambda days: days * DAY_US),
    st.none() | st.sampled_from([Outcome.REDUCED, Outcome.FULL]),
    st.integers(0, 10_000),
    st.none() | st.integers(0, 5),
    OUTCOMES,
    st.just(Over.OPERATOR),
)
CONDITIONS = st.builds(
    Condition,
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}", fullmatch=True),
    st.sampled_from(["true", "hour > 3", "labels.exists(it, it == 'x')", "band == 'A'\n|| scored"]),
    st.sampled_from(Outcome),
)
SIGNALS = st.builds(
    lambda signal, most, days, then, within: SignalRule(
        signal,
        most,
        days * DAY_US,
        then,
        within * MINUTE_US if signal is Signal.IMPLAUSIBLE_RETURNS else None,
    ),
    st.sampled_from(Signal),
    st.integers(0, 100),
    st.integers(1, 90),
    OUTCOMES,
    st.integers(1, 60),
)
BUDGETS = st.builds(
    lambda currency, span, slice_minor, more_minor: Budget(
        currency, span, slice_minor + more_minor, slice_minor
    ),
    st.sampled_from(["CNY", "EUR"]),
    st.sampled_from(Span),
    st.integers(0, 1_000),
    st.integers(0, 1_000_000),
)
BREAKERS = st.builds(
    lambda currency, days, *more: Breaker(currency, days * DAY_US, *more),
    st.sampled_from(["CNY", "EUR"]),
    st.integers(1, 366),
    st.integers(0, 1_000_000),
    st.integers(1, 3),
    st.sampled_from(Closes),
)
RULES = st.builds(
    Rules,
    st.none()
    | st.lists(CUT_OFFS, min_size=1, max_size=3, unique_by=lambda it: it.category).map(
        lambda them: tuple(sorted(them, key=lambda it: it.category))
    ),
    st.none() | LADDERS,
    st.none() | st.lists(VELOCITIES, min_size=1, max_size=4).map(tuple),
    st.none() | NEW_USERS,
    st.none()
    | st.lists(CONDITIONS, min_size=1, max_size=8, unique_by=lambda it: it.name).map(tuple),
    st.none()
    | st.lists(SIGNALS, min_size=1, max_size=4, unique_by=lambda it: it.signal).map(tuple),
    st.none() | st.lists(BUDGETS, min_size=1, max_size=4, unique_by=lambda it: it[:2]).map(tuple),
    st.none() | st.lists(BREAKERS, min_size=1, max_size=2, unique_by=lambda it: it[0]).map(tuple),
)


@given(RULES)
def test_rules_are_read_as_they_were_written(rules: Rules) -> None:
    """Stored rules give the same rules, and the same text, when they are read again."""
    text = json_of_rules(rules)
    assert text is not None
    assert rules_of_json(text) == rules
    assert json_of_rules(rules_of_json(text)) == text


@given(RULES, st.none() | st.integers(0, 10**12), st.integers(1, 10**12))
def test_a_policy_is_read_as_it_was_written(
    rules: Rules, refund_after_us: int | None, offer_window_us: int
) -> None:
    """The document of a policy reads as the same policy, also after a way through JSON."""
    own = (600, 500, 5_000) if rules.ladder is None else nearest_cut_offs(rules.ladder)
    basis = read_policy(LEAST, platform=False)
    policy = Policy(
        *("careful", 0, *own, offer_window_us),
        *(basis.pickup_window_us, basis.max_feature_age_us, basis.review_window_us),
        *(basis.rental_period_us, basis.claim_window_us, basis.missing_window_us),
        refund_after_us=refund_after_us,
        rules=rules if rules != Rules() else None,
    )
    document = write_policy(policy)
    assert read_policy(json.loads(canonical(document)), platform=True) == policy


@pytest.mark.parametrize("text", ["", "[]", "{", '{"velocty":[]}', "null"])
def test_a_stored_text_that_makes_no_sense_is_refused(text: str) -> None:
    """A wrong text in the column of the rules is a fault of the policy's row."""
    with pytest.raises(InvalidInput):
        rules_of_json(text)


def test_conditions_are_checked_in_their_form() -> None:
    """A condition without a name, with two loops, with the score in an operator's policy, or with a
    name of another is refused, all at once."""
    loops = "[1].all(x, [2].all(y, y > x))"
    rows = [
        {"name": "a", "when": loops, "then": "FULL"},
        {"name": "a", "when": "score > 600", "then": "DECLINE"},
        {"when": "true", "then": "SOMETHING"},
    ]
    assert set(faults({**LEAST, "condition": rows})) == {
        "condition[0].when",
        "condition[1].when",
        "condition[1].name",
        "condition[2].name",
        "condition[2].then",
    }


def test_budgets_are_checked() -> None:
    """A slice above the budget, and two budgets of one span and currency, are refused. Without a
    slice it is a twentieth of the budget."""
    rows = [
        {"currency": "CNY", "most_minor": 100, "slice_minor": 101},
        {"currency": "CNY", "most_minor": 100},
    ]
    assert faults({**LEAST, "budget": rows}) == {
        "budget[0].slice_minor": "budget.slice_minor.above",
        "budget[1].currency": "budget.currency.twice",
    }
    found = read_policy({**LEAST, "budget": rows[1:]}, platform=False).rules
    assert found == Rules(budget=(Budget("CNY", Span.OPEN, 100, 5),))


def test_breakers_are_checked() -> None:
    """A breaker needs a window of whole days and a bound; two of one currency, unknown ways to
    close and other keys are refused. By default a person closes it, and one rental suffices."""
    rows: list[dict[str, object]] = [
        {"currency": "CNY", "days": 0, "most_minor": -1, "least_rentals": 0, "closes": "NEVER"},
        {"currency": "CNY", "days": 367, "most_minor": 10**12 + 1, "least_rentals": 10_001},
        {"currency": "yuan", "hours": 1},
    ]
    assert faults({**LEAST, "breaker": rows}) == {
        "breaker[0].days": "breaker.days.range",
        "breaker[0].most_minor": "breaker.most_minor.range",
        "breaker[0].least_rentals": "breaker.least_rentals.range",
        "breaker[0].closes": "breaker.closes.choice",
        "breaker[1].days": "breaker.days.range",
        "breaker[1].most_minor": "breaker.most_minor.range",
        "breaker[1].least_rentals": "breaker.least_rentals.range",
        "breaker[1].currency": "breaker.currency.twice",
        "breaker[2].currency": "breaker.currency.form",
        "breaker[2].days": "breaker.days.missing",
        "breaker[2].most_minor": "breaker.most_minor.missing",
        "breaker[2].hours": "breaker.hours.unknown",
    }
    few = {"currency": "CNY", "days": 30, "most_minor": 100}
    every = {**few, "currency": "EUR", "least_rentals": 5, "closes": "WHEN_UNDER"}
    read = read_policy({**LEAST, "breaker": [few, every]}, platform=False)
    day_us = 86_400_000_000
    assert read.rules == Rules(
        breaker=(
            Breaker("CNY", 30 * day_us, 100, 1, Closes.BY_PERSON),
            Breaker("EUR", 30 * day_us, 100, 5, Closes.WHEN_UNDER),
        )
    )
    assert write_policy(read)["breaker"] == [few, every]
