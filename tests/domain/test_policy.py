"""From score to deposit."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.policy import (
    ALL_OFFERS,
    MAX_REASONS,
    Choice,
    Offer,
    Part,
    Policy,
    Reason,
    Split,
    choose,
    choose_again,
    offer_for_score,
    split_deposit,
)

BIKE = Policy("bike", 1, 600, 500, 5_000, 15, 30, 400, 24, 24, 48, 30)
SMALL_ITEM = Policy("small-item", 1, 550, 500, 5_000, 15, 30, 400, 24, 72, 48, 30)
A_BIKE = Part(19_900, BIKE)
PLENTY = 10**9
ZERO, REDUCED, FULL = Offer.ZERO, Offer.REDUCED, Offer.FULL


@pytest.mark.parametrize(
    ("policy", "score", "offer"),
    [
        (BIKE, 950, ZERO), (BIKE, 600, ZERO), (BIKE, 599, REDUCED), (BIKE, 550, REDUCED),
        (BIKE, 500, REDUCED), (BIKE, 499, FULL), (BIKE, 350, FULL),
        (SMALL_ITEM, 600, ZERO), (SMALL_ITEM, 550, ZERO), (SMALL_ITEM, 549, REDUCED),
        (SMALL_ITEM, 500, REDUCED), (SMALL_ITEM, 499, FULL),
    ],
)  # fmt: skip
def test_cut_offs_are_inclusive(policy: Policy, score: int, offer: Offer) -> None:
    """The zero deposit begins exactly at the policy's score, and the reduced one exactly at 500; a
    lower score gets the full deposit."""
    assert offer_for_score(score, policy)[0] is offer


@pytest.mark.parametrize(
    ("score", "reasons"),
    [
        (600, ()),
        (599, (Reason.SCORE_BELOW_ZERO_DEPOSIT,)),
        (499, (Reason.SCORE_BELOW_REDUCED_DEPOSIT,)),
    ],
)
def test_a_deposit_by_score_gives_the_reason(score: int, reasons: tuple[Reason, ...]) -> None:
    """A deposit that follows from the score names the score as its reason; zero deposit has
    none."""
    assert offer_for_score(score, BIKE)[1] == reasons


@pytest.mark.parametrize(
    "why", [Reason.NO_FEATURES, Reason.NO_CONSENT, Reason.FEATURES_STALE, "MISSING_FEATURE"]
)
def test_a_person_without_score_pays_the_full_deposit(why: str) -> None:
    """A person who cannot be scored is offered the full deposit with the reason, and is not
    refused."""
    choice = choose(None, (why,), (), PLENTY, [A_BIKE])
    assert choice == Choice(FULL, (Split(0, 19_900),), (why,))


@pytest.mark.parametrize(
    ("offer", "deposit_minor", "split"),
    [
        (ZERO, 19_900, Split(19_900, 0)),
        (REDUCED, 19_900, Split(9_950, 9_950)),
        (REDUCED, 19_901, Split(9_950, 9_951)),
        (REDUCED, 1, Split(0, 1)),
        (FULL, 19_900, Split(0, 19_900)),
        (ZERO, 0, Split(0, 0)),
    ],
)
def test_a_deposit_is_split_by_the_offer(offer: Offer, deposit_minor: int, split: Split) -> None:
    """Zero deposit is all credit, full is all cash, reduced is half and half; the credit part is
    rounded down."""
    assert split_deposit(offer, deposit_minor, BIKE) == split


@given(
    offer=st.sampled_from(ALL_OFFERS),
    deposit_minor=st.integers(0, 10**12),
    share_bp=st.integers(0, 10_000),
)
def test_the_parts_add_up(offer: Offer, deposit_minor: int, share_bp: int) -> None:
    """For any share, the two parts are not negative and add up to the deposit."""
    policy = replace(BIKE, reduced_credit_share_bp=share_bp)
    split = split_deposit(offer, deposit_minor, policy)
    assert split.credit_minor + split.cash_minor == deposit_minor
    assert split.credit_minor >= 0
    assert split.cash_minor >= 0


def test_no_list_means_every_offer_the_mildest_first() -> None:
    """A caller who names no offers accepts all of them."""
    assert choose(600, (), (), PLENTY, [A_BIKE]).offer is ZERO
    assert choose(599, (), (), PLENTY, [A_BIKE]).offer is REDUCED
    assert choose(499, (), (), PLENTY, [A_BIKE]).offer is FULL


@pytest.mark.parametrize("accepted", list(itertools.permutations(ALL_OFFERS)))
def test_the_policys_offer_is_taken(accepted: tuple[Offer, ...]) -> None:
    """The policy's offer is made at whatever place it has in the caller's list."""
    assert choose(700, (), accepted, PLENTY, [A_BIKE]).offer is ZERO
    assert choose(550, (), accepted, PLENTY, [A_BIKE]).offer is REDUCED


@pytest.mark.parametrize("accepted", list(itertools.permutations(ALL_OFFERS)))
def test_no_offer_is_milder_than_the_policy(accepted: tuple[Offer, ...]) -> None:
    """The offers that a caller accepts never make the offer milder than the policy's."""
    assert choose(499, (), accepted, PLENTY, [A_BIKE]).offer is FULL


@pytest.mark.parametrize(
    ("available_minor", "offer", "reasons"),
    [
        (19_900, ZERO, ()),
        (19_899, REDUCED, (Reason.LINE_EXHAUSTED,)),
        (9_950, REDUCED, (Reason.LINE_EXHAUSTED,)),
        (9_949, FULL, (Reason.LINE_EXHAUSTED,)),
        (0, FULL, (Reason.LINE_EXHAUSTED,)),
    ],
)
def test_an_exhausted_line_falls_to_the_next_offer(
    available_minor: int, offer: Offer, reasons: tuple[Reason, ...]
) -> None:
    """When the line is too small for an offer's credit part, the next offer is made:
    LINE_EXHAUSTED."""
    choice = choose(700, (), (), available_minor, [A_BIKE])
    assert (choice.offer, choice.reasons) == (offer, reasons)


@pytest.mark.parametrize(
    ("accepted", "offer"),
    [
        ((ZERO, FULL, REDUCED), FULL),
        ((FULL, REDUCED, ZERO), FULL),
        ((REDUCED, FULL, ZERO), REDUCED),
    ],
)
def test_the_next_offer_follows_the_callers_order(
    accepted: tuple[Offer, ...], offer: Offer
) -> None:
    """After an exhausted line the stricter offers are tried in the caller's order."""
    assert choose(700, (), accepted, 10_000, [A_BIKE]).offer is offer


def test_an_exhausted_line_with_no_offer_left_is_a_decline() -> None:
    """When no accepted offer fits on the line, the answer is a decline that holds nothing."""
    choice = choose(700, (), (ZERO,), 19_899, [A_BIKE])
    assert choice == Choice(None, (Split(0, 0),), (Reason.LINE_EXHAUSTED,))


def test_the_exhausted_line_is_named_once() -> None:
    """Two offers that are too large for the line give the reason LINE_EXHAUSTED once."""
    choice = choose(700, (), (ZERO, REDUCED), 0, [A_BIKE])
    assert choice == Choice(None, (Split(0, 0),), (Reason.LINE_EXHAUSTED,))


def test_no_accepted_offer_is_a_decline() -> None:
    """When the caller accepts no offer as strict as the policy's, the answer is a decline."""
    choice = choose(499, (), (ZERO, REDUCED), PLENTY, [A_BIKE])
    assert choice == Choice(
        None, (Split(0, 0),), (Reason.OFFER_NOT_ACCEPTED, Reason.SCORE_BELOW_REDUCED_DEPOSIT)
    )


def test_the_models_reasons_come_after_the_policys() -> None:
    """The model's reasons for a low score come after the policy's, at most four in all."""
    why = ("PAST_ARREARS", "HIGH_UTILISATION", "SHORT_HISTORY", "LOW_INCOME")
    choice = choose(499, why, (), PLENTY, [A_BIKE])
    assert choice.reasons == (Reason.SCORE_BELOW_REDUCED_DEPOSIT, *why[:3])


def test_zero_deposit_gives_no_reasons() -> None:
    """A zero deposit gives no reasons, even when the model has some."""
    assert choose(600, ("PAST_ARREARS",), (), PLENTY, [A_BIKE]).reasons == ()


def test_all_reasons_are_given_together() -> None:
    """A decline names the exhausted line first, then the reasons against a milder offer."""
    choice = choose(550, (), (REDUCED,), 9_949, [A_BIKE])
    assert choice.reasons == (Reason.LINE_EXHAUSTED, Reason.SCORE_BELOW_ZERO_DEPOSIT)


@pytest.mark.parametrize(
    ("present", "accepted", "available_minor", "offer"),
    [
        (ZERO, (), 19_900, ZERO), (ZERO, (), 19_899, REDUCED), (ZERO, (), 9_949, FULL),
        (ZERO, (FULL, ZERO, REDUCED), 19_899, FULL), (ZERO, (REDUCED, ZERO), 9_950, REDUCED),
        (ZERO, (REDUCED, ZERO), 9_949, None), (ZERO, (ZERO,), 19_899, None),
        (REDUCED, (), PLENTY, REDUCED), (REDUCED, (ZERO, REDUCED), 9_949, None),
        (FULL, (FULL, REDUCED), 0, FULL),
    ],
)  # fmt: skip
def test_an_offer_is_chosen_again(
    present: Offer, accepted: tuple[Offer, ...], available_minor: int, offer: Offer | None
) -> None:
    """The same offer is made again if the line has room for it. Otherwise the caller's next
    stricter offer is made, and never a milder offer."""
    before = ("A", "B", "C", "D")
    choice = choose_again(present, before, accepted, available_minor, [A_BIKE])
    assert choice.offer is offer
    assert choice.reasons == (before if offer is present else ("LINE_EXHAUSTED", "A", "B", "C"))
    assert choice.splits == (split_deposit(offer, 19_900, BIKE) if offer else Split(0, 0),)


def test_an_exhausted_line_is_the_first_reason() -> None:
    """A stricter offer names the exhausted line once and first, also when it was a reason
    before."""
    before = (Reason.UNDER_REVIEW, Reason.LINE_EXHAUSTED, "A", "B")
    choice = choose_again(REDUCED, before, (), 0, [A_BIKE])
    assert choice.reasons == (Reason.LINE_EXHAUSTED, Reason.UNDER_REVIEW, "A", "B")


@given(
    score=st.none() | st.integers(350, 950),
    why=st.lists(st.sampled_from(list(Reason)), max_size=4, unique=True),
    accepted=st.lists(st.sampled_from(ALL_OFFERS), max_size=3, unique=True),
    available_minor=st.integers(0, 60_000),
    deposit_minor=st.integers(0, 60_000),
    policy=st.sampled_from([BIKE, SMALL_ITEM]),
)
def test_a_choice_respects_policy_list_and_line(
    score: int | None,
    why: list[Reason],
    accepted: list[Offer],
    available_minor: int,
    deposit_minor: int,
    policy: Policy,
) -> None:
    """Every offer is accepted by the caller, is no milder than the policy's offer, and fits on the
    line. It has at most four reasons, and a decline has at least one."""
    choice = choose(score, why, accepted, available_minor, [Part(deposit_minor, policy)])
    assert len(choice.reasons) <= MAX_REASONS == 4
    if choice.offer is None:
        assert choice.splits == (Split(0, 0),)
        assert choice.reasons
        return
    assert choice.offer in (accepted or ALL_OFFERS)
    mildest = offer_for_score(score, policy)[0]
    assert ALL_OFFERS.index(choice.offer) >= ALL_OFFERS.index(mildest)
    assert choice.splits[0].credit_minor <= available_minor
    assert sum(choice.splits[0]) == deposit_minor
