"""From score to deposit: which offer the policy makes and which one is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from service.domain.money import share_minor


@dataclass(frozen=True, slots=True)
class Policy:
    """Which deposit to ask for at which score, and how long things may wait.

    Times are in microseconds, shares in basis points; cut-offs are inclusive lower bounds of
    the score.
    """

    policy_id: str
    revision: int
    zero_from_score: int
    reduced_from_score: int
    reduced_credit_share_bp: int
    offer_window_us: int
    pickup_window_us: int
    max_feature_age_us: int
    review_window_us: int
    """How long a review may take before the authorization expires."""
    rental_period_us: int
    """When a rental is overdue, unless a shorter time was asked for; the most of one extension."""
    claim_window_us: int
    """How long an operator may contest a claimed return; after it the claim stands."""
    missing_window_us: int
    """How long an item settled as lost may still be found."""


class Offer(StrEnum):
    """The deposit asked for; the order is from the mildest to the strictest."""

    ZERO = "ZERO"
    REDUCED = "REDUCED"
    FULL = "FULL"


class Reason(StrEnum):
    """Stable codes of why an offer is what it is."""

    SCORE_BELOW_ZERO_DEPOSIT = "SCORE_BELOW_ZERO_DEPOSIT"
    SCORE_BELOW_REDUCED_DEPOSIT = "SCORE_BELOW_REDUCED_DEPOSIT"
    NO_FEATURES = "NO_FEATURES"
    NO_CONSENT = "NO_CONSENT"
    FEATURE_NOT_SENT = "FEATURE_NOT_SENT"
    FEATURES_STALE = "FEATURES_STALE"
    LINE_EXHAUSTED = "LINE_EXHAUSTED"
    OFFER_NOT_ACCEPTED = "OFFER_NOT_ACCEPTED"
    CANCELLED_BEFORE_ARRIVAL = "CANCELLED_BEFORE_ARRIVAL"
    UNDER_REVIEW = "UNDER_REVIEW"
    REVIEW_DECLINED = "REVIEW_DECLINED"
    USER_SUSPENDED = "USER_SUSPENDED"
    ASSET_IN_USE = "ASSET_IN_USE"


# Read once: on Python 3.11 a member read from its class costs ten times a name of the module.
_ZERO = Offer.ZERO
ALL_OFFERS = (Offer.ZERO, Offer.REDUCED, Offer.FULL)
STRICTNESS = {offer: rank for rank, offer in enumerate(ALL_OFFERS)}
_NOT_MILDER = {offer: ALL_OFFERS[rank:] for offer, rank in STRICTNESS.items()}
MAX_REASONS = 4


class Split(NamedTuple):
    """A deposit in two parts, in minor units."""

    credit_minor: int
    cash_minor: int


class Wanted(Protocol):
    """What is wanted, a product or a part of it: its deposit, in minor units, and its policy."""

    @property
    def deposit_minor(self) -> int: ...
    @property
    def policy(self) -> Policy: ...


class Part(NamedTuple):
    """An amount other than a product's deposit, in minor units, under the product's policy."""

    deposit_minor: int
    policy: Policy


class Choice(NamedTuple):
    """The offer that is made, how it divides each item's deposit, and why.

    `offer` None is a decline; the splits are then zero.
    """

    offer: Offer | None
    splits: tuple[Split, ...]
    reasons: tuple[str, ...]


NOTHING = Split(0, 0)


def decline(items: int, *reasons: str) -> Choice:
    """No offer for any of so many items."""
    return Choice(None, (NOTHING,) * items, reasons[:MAX_REASONS])


def offer_for_score(score: int | None, policy: Policy) -> tuple[Offer, tuple[str, ...]]:
    """The mildest offer that the policy allows at this score, and why no milder one.

    A person who cannot be scored (`score` None) gets the full deposit; the caller knows why.
    """
    if score is None:
        return Offer.FULL, ()
    if score >= policy.zero_from_score:
        return _ZERO, ()
    if score >= policy.reduced_from_score:
        return Offer.REDUCED, (Reason.SCORE_BELOW_ZERO_DEPOSIT,)
    return Offer.FULL, (Reason.SCORE_BELOW_REDUCED_DEPOSIT,)


def split_deposit(offer: Offer, deposit_minor: int, policy: Policy) -> Split:
    """Divides the deposit between credit and cash; the two parts add up to it exactly."""
    if offer is _ZERO:
        return Split(deposit_minor, 0)
    if offer is Offer.FULL:
        return Split(0, deposit_minor)
    credit_minor = share_minor(deposit_minor, policy.reduced_credit_share_bp)
    return Split(credit_minor, deposit_minor - credit_minor)


def _in_order(accepted: Sequence[Offer], mildest: Offer) -> list[Offer]:
    """What the caller accepts: the policy's offer before all, then the stricter ones."""
    rank = STRICTNESS[mildest]
    allowed = [offer for offer in accepted if offer is mildest]
    return allowed + [offer for offer in accepted if STRICTNESS[offer] > rank]


def choose(
    score: int | None,
    why: Sequence[str],
    accepted: Sequence[Offer],
    available_minor: int,
    wanted: Sequence[Wanted],
) -> Choice:
    """Takes the policy's offer, or a stricter one that the caller accepts and the line bears.

    Several items get one offer, the strictest that any of them asks for, all or none. `why` are
    the model's reasons for the score, or the reason why there is none; they follow the policy's
    own. `accepted` is the caller's order; empty means every offer, the mildest first.
    """
    mildest, reasons = offer_for_score(score, wanted[0].policy)
    for item in wanted[1:]:
        offered = offer_for_score(score, item.policy)
        if STRICTNESS[offered[0]] > STRICTNESS[mildest]:
            mildest, reasons = offered
    if mildest is not _ZERO:
        reasons = (*reasons, *why)
    allowed: Sequence[Offer] = _NOT_MILDER[mildest]
    if accepted:
        allowed = _in_order(accepted, mildest)
        if not allowed:
            reasons = (Reason.OFFER_NOT_ACCEPTED, *reasons)
    return _first_borne(allowed, reasons, available_minor, wanted)


def choose_again(
    present: Offer,
    reasons: Sequence[str],
    accepted: Sequence[Offer],
    available_minor: int,
    wanted: Sequence[Wanted],
) -> Choice:
    """Takes the present offer, or a stricter one that the caller accepts and the line bears.

    `reasons` are those of the present offer. A stricter one names the exhausted line first, also
    where the line was exhausted before.
    """
    allowed = _in_order(accepted, present) if accepted else _NOT_MILDER[present]
    others = tuple([reason for reason in reasons if reason != Reason.LINE_EXHAUSTED])
    return _first_borne(allowed, others, available_minor, wanted)


def _first_borne(
    allowed: Sequence[Offer],
    reasons: tuple[str, ...],
    available_minor: int,
    wanted: Sequence[Wanted],
) -> Choice:
    """The first offer whose credit parts the line bears together."""
    for offer in allowed:
        splits, credit_minor = [], 0
        for item in wanted:
            split = split_deposit(offer, item.deposit_minor, item.policy)
            splits.append(split)
            credit_minor += split.credit_minor
        if credit_minor <= available_minor:
            return Choice(offer, tuple(splits), reasons[:MAX_REASONS])
        if Reason.LINE_EXHAUSTED not in reasons:
            reasons = (Reason.LINE_EXHAUSTED, *reasons)
    return decline(len(wanted), *reasons)
