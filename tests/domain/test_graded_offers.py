"""Offers under rules: without an effective rule they are those without rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from service.domain.admission import Cap, Verdict
from service.domain.graded_offers import choose_graded, highest_cut_off
from service.domain.money import share_minor
from service.domain.policy import (
    STRICTNESS,
    Choice,
    Offer,
    Part,
    Policy,
    Reason,
    choose,
    offer_for_score,
)
from service.domain.rules import CutOff, Outcome, Rules, Rung
from tests.domain import lives

BIKE = lives.BIKE.policy

SCORES = st.none() | st.integers(400, 800)
ACCEPTED = st.lists(st.sampled_from(Offer), unique=True).map(tuple)
LINES = st.integers(0, 60_000)
WHY = st.lists(st.sampled_from(["A", "B"]), unique=True).map(tuple)
NO_RULE_APPLIES = Rules(cut_off=(CutOff("OTHER", 1, 0),))
POLICIES = st.builds(
    lambda low, more, share: replace(
        BIKE,
        zero_from_score=low + more,
        reduced_from_score=low,
        reduced_credit_share_bp=share,
        rules=NO_RULE_APPLIES,
    ),
    st.integers(400, 700),
    st.integers(0, 100),
    st.integers(0, 10_000),
)
PARTS = st.lists(
    st.builds(Part, st.integers(0, 30_000), POLICIES, st.just("BIKE")), min_size=1, max_size=3
)
RUNGS = st.dictionaries(st.integers(400, 800), st.integers(0, 10_000), min_size=1, max_size=5)


@given(SCORES, WHY, ACCEPTED, LINES, PARTS)
def test_without_an_effective_rule_nothing_changes(
    score: int | None,
    why: tuple[str, ...],
    accepted: tuple[Offer, ...],
    line: int,
    parts: list[Part],
) -> None:
    """Rules of other categories change neither the offer nor a split nor a reason."""
    plain = choose(score, why, accepted, line, parts)
    assert choose_graded(score, why, accepted, line, parts, None) == plain


def ladder_of(rungs: dict[int, int]) -> tuple[Rung, ...]:
    """A ladder with these scores, whose shares fall with them."""
    shares = sorted(set(rungs.values()), reverse=True)
    scores = sorted(rungs, reverse=True)
    return tuple(map(Rung, scores, shares))


def laddered(rungs: dict[int, int], deposit_minor: int) -> Part:
    return Part(deposit_minor, replace(BIKE, rules=Rules(ladder=ladder_of(rungs))), "BIKE")


@given(st.integers(400, 800), ACCEPTED, LINES, st.integers(1, 30_000), RUNGS)
def test_a_ladder_splits_exactly(
    score: int, accepted: tuple[Offer, ...], line: int, deposit_minor: int, rungs: dict[int, int]
) -> None:
    """The credit part is that of a step which the score reaches and the line covers, the largest
    such one; both parts add up to the deposit."""
    part = laddered(rungs, deposit_minor)
    choice = choose_graded(score, (), accepted, line, [part], None)
    assert part.policy.rules is not None
    reached = [it for it in part.policy.rules.ladder or () if score >= it.from_score]
    credits_minor = [share_minor(deposit_minor, it.credit_share_bp) for it in reached]
    if choice.offer is None:
        assert accepted
        return
    (split,) = choice.splits
    assert split.credit_minor + split.cash_minor == deposit_minor
    assert split.credit_minor <= line
    if choice.offer is Offer.FULL:
        assert split.credit_minor == 0
    else:
        assert split.credit_minor in credits_minor
    if not accepted:
        fitting = [it for it in [*credits_minor, 0] if it <= line]
        assert split.credit_minor == max(fitting)


@given(st.integers(400, 800), st.integers(400, 800), ACCEPTED, LINES, RUNGS)
def test_a_higher_score_never_has_a_stricter_offer(
    one: int, other: int, accepted: tuple[Offer, ...], line: int, rungs: dict[int, int]
) -> None:
    """Of two people with equal lines the one with the higher score has at least as much on
    credit."""
    low, high = sorted((one, other))
    part = laddered(rungs, 19_900)
    less, more = (choose_graded(it, (), (), line, [part], None) for it in (low, high))
    assert less.splits[0].credit_minor <= more.splits[0].credit_minor


CAPS = st.none() | st.builds(Cap, st.integers(0, 30_000), st.just(Reason.NEW_USER))
VERDICTS = st.builds(
    Verdict,
    st.none() | st.sampled_from([Outcome.REDUCED, Outcome.FULL, Outcome.DECLINE]),
    st.booleans(),
    st.tuples(CAPS),
    st.just((Reason.VELOCITY_USER_OPEN,)),
    st.just({}),
)


@given(SCORES, ACCEPTED, LINES, st.integers(0, 30_000), POLICIES, VERDICTS)
def test_a_verdict_only_makes_offers_stricter(
    score: int | None,
    accepted: tuple[Offer, ...],
    line: int,
    deposit_minor: int,
    policy: Policy,
    verdict: Verdict,
) -> None:
    """With a verdict less or as much is on credit as without, at most the cap, and no milder offer
    than the verdict allows; the verdict's reasons come first."""
    parts = [Part(deposit_minor, policy, "BIKE")]
    plain = choose_graded(score, (), accepted, line, parts, None)
    choice = choose_graded(score, (), accepted, line, parts, verdict)
    if verdict.least is Outcome.DECLINE:
        assert choice.offer is None
    if choice.offer is None:
        return
    assert plain.offer is None or rank(choice) >= rank(plain)
    (split,), (cap,) = choice.splits, verdict.caps
    assert split.credit_minor + split.cash_minor == deposit_minor
    assert cap is None or split.credit_minor <= cap.most_minor
    if verdict.least is not None:
        assert STRICTNESS[choice.offer] >= STRICTNESS[Offer(verdict.least)]
    assert (choice.reasons[0] == Reason.UNDER_REVIEW) == verdict.review
    assert Reason.VELOCITY_USER_OPEN in choice.reasons


def rank(choice: Choice) -> int:
    assert choice.offer is not None
    return STRICTNESS[choice.offer]


@given(RUNGS)
def test_scores_from_the_highest_cut_off_have_the_mildest_offer(rungs: dict[int, int]) -> None:
    """From the highest cut-off of an item on no score gets a milder offer, so none needs
    reasons."""
    part = laddered(rungs, 19_900)
    least = highest_cut_off(part)
    choices: Sequence[Choice] = [
        choose_graded(score, ("A",), (), 60_000, [part], None) for score in (least, least + 500)
    ]
    assert choices[0] == choices[1]
    assert choices[0].reasons == ()
    plain = Part(19_900, BIKE, "BIKE")
    assert offer_for_score(highest_cut_off(plain), BIKE)[0] is Offer.ZERO


@given(st.integers(0, 3))
def test_a_rule_over_all_operators_has_the_place_of_an_exhausted_line(place: int) -> None:
    """An operator cannot tell a rule over all operators from an exhausted line by the order of the
    reasons."""
    part = Part(19_900, BIKE, "BIKE")
    told = [Reason.VELOCITY_USER_DAY, Reason.VELOCITY_USER_HOUR, Reason.NEW_USER]
    alone = Verdict(Outcome.FULL, False, (None,), tuple(told), {})
    told.insert(place, Reason.LINE_EXHAUSTED)
    hidden = alone._replace(reasons=tuple(told))
    exhausted = choose_graded(700, (), (Offer.ZERO,), 0, [part], alone._replace(least=None))
    by_rule = choose_graded(700, (), (Offer.FULL,), 60_000, [part], hidden)
    assert by_rule.reasons == exhausted.reasons
