"""The choice of an offer: from a score and a credit line to a deposit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from service.domain.money import share_minor
from service.domain.rules import Rules


@dataclass(frozen=True, slots=True)
class Policy:
    """The deposit asked for at each score, and the time limits.

    Times are in microseconds, shares in basis points; cut-offs are inclusive lower bounds of the
    score.
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
    """The longest review; after it the authorization expires."""
    rental_period_us: int
    """The longest rental before it is overdue, and the longest extension."""
    claim_window_us: int
    """The time for an operator to contest a claimed return; after it the claim stands."""
    missing_window_us: int
    """The time in which an item settled as lost may still be found."""
    report_window_us: int = 90 * 86_400_000_000
    """The time after an event in which it may still be reported."""
    overdue_window_us: int = 2 * 3_600_000_000
    """The least time for which a rental is overdue before its item counts as lost."""
    refund_after_us: int | None = None
    """The time after which money owed back goes out by itself; None means only by PayOutRefund."""
    debt_window_us: int = 90 * 86_400_000_000
    """The time in which a debt without a hold may be paid; after it the debt is dropped."""
    pause_limit_us: int = 24 * 3_600_000_000
    """The time for which all pauses of a rental together stop its meter; 0 allows none."""
    most_pauses: int = 10
    """The most pauses of a rental."""
    free_cancellation_us: int | None = None
    """The time in which the user ends a reservation or a rental for nothing.

    None means no rule: a cancellation is free at any time, and a rental costs its fee.
    """
    longest_reservation_us: int | None = None
    """The longest time from the order to the pick-up, with all extensions; None means no bound."""
    longest_rental_us: int | None = None
    """The longest time from the start to the due time, with all extensions but without pauses.

    For a damage charge it is the time from the order to the end of the charge. None means no bound.
    """
    most_increments: int | None = None
    """The most tries of IncrementAuthorization on one authorization, and the most charges for
    damage to one rental; None means no bound."""
    rules: Rules | None = None
    """The rules of admission; None means only the cut-offs above."""


class Offer(StrEnum):
    """The deposit asked for, from the mildest offer to the strictest."""

    ZERO = "ZERO"
    REDUCED = "REDUCED"
    FULL = "FULL"


class Reason(StrEnum):
    """Stable codes of the reasons for an offer."""

    SCORE_BELOW_ZERO_DEPOSIT = "SCORE_BELOW_ZERO_DEPOSIT"
    SCORE_BELOW_REDUCED_DEPOSIT = "SCORE_BELOW_REDUCED_DEPOSIT"
    NO_FEATURES = "NO_FEATURES"
    NO_CONSENT = "NO_CONSENT"
    FEATURE_NOT_SENT = "FEATURE_NOT_SENT"
    FEATURE_OF_OTHER_KIND = "FEATURE_OF_OTHER_KIND"
    FEATURES_STALE = "FEATURES_STALE"
    STAND_IN_DECISION = "STAND_IN_DECISION"
    LINE_EXHAUSTED = "LINE_EXHAUSTED"
    OFFER_NOT_ACCEPTED = "OFFER_NOT_ACCEPTED"
    CANCELLED_BEFORE_ARRIVAL = "CANCELLED_BEFORE_ARRIVAL"
    UNDER_REVIEW = "UNDER_REVIEW"
    REVIEW_DECLINED = "REVIEW_DECLINED"
    USER_SUSPENDED = "USER_SUSPENDED"
    ASSET_IN_USE = "ASSET_IN_USE"
    ASSET_SOLD = "ASSET_SOLD"
    ASSET_TAKEN = "ASSET_TAKEN"
    IDENTITY_MISMATCH = "IDENTITY_MISMATCH"
    SIGNAL_DEVICE_SHARED = "SIGNAL_DEVICE_SHARED"
    SIGNAL_PAYMENT_ACCOUNT_SHARED = "SIGNAL_PAYMENT_ACCOUNT_SHARED"
    SIGNAL_NEW_ACCOUNTS_ON_DEVICE = "SIGNAL_NEW_ACCOUNTS_ON_DEVICE"
    SIGNAL_NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT = "SIGNAL_NEW_ACCOUNTS_ON_PAYMENT_ACCOUNT"
    SIGNAL_MANY_DEVICES = "SIGNAL_MANY_DEVICES"
    SIGNAL_MANY_PAYMENT_ACCOUNTS = "SIGNAL_MANY_PAYMENT_ACCOUNTS"
    SIGNAL_ITEM_REPEATED = "SIGNAL_ITEM_REPEATED"
    SIGNAL_IMPLAUSIBLE_RETURNS = "SIGNAL_IMPLAUSIBLE_RETURNS"
    FEE_ABOVE_HOLD = "FEE_ABOVE_HOLD"
    PASS_BOUGHT = "PASS_BOUGHT"
    LISTED_DENY = "LISTED_DENY"
    CONDITION_FAILED = "CONDITION_FAILED"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    BREAKER_OPEN = "BREAKER_OPEN"
    VELOCITY_USER_OPEN = "VELOCITY_USER_OPEN"
    VELOCITY_USER_HOUR = "VELOCITY_USER_HOUR"
    VELOCITY_USER_DAY = "VELOCITY_USER_DAY"
    VELOCITY_DEVICE_OPEN = "VELOCITY_DEVICE_OPEN"
    VELOCITY_DEVICE_HOUR = "VELOCITY_DEVICE_HOUR"
    VELOCITY_DEVICE_DAY = "VELOCITY_DEVICE_DAY"
    VELOCITY_PAYMENT_ACCOUNT_OPEN = "VELOCITY_PAYMENT_ACCOUNT_OPEN"
    VELOCITY_PAYMENT_ACCOUNT_HOUR = "VELOCITY_PAYMENT_ACCOUNT_HOUR"
    VELOCITY_PAYMENT_ACCOUNT_DAY = "VELOCITY_PAYMENT_ACCOUNT_DAY"
    NEW_USER = "NEW_USER"
    NEW_USER_OPEN = "NEW_USER_OPEN"


# Read once (see `authorization._SETTLED`).
_ZERO = Offer.ZERO
ALL_OFFERS = (Offer.ZERO, Offer.REDUCED, Offer.FULL)
STRICTNESS = {offer: rank for rank, offer in enumerate(ALL_OFFERS)}
NOT_MILDER = {offer: ALL_OFFERS[rank:] for offer, rank in STRICTNESS.items()}
MAX_REASONS = 4


class Split(NamedTuple):
    """A deposit in two parts, in minor units."""

    credit_minor: int
    cash_minor: int


class Wanted(Protocol):
    """The requested hold for a product or for a part of a product: the deposit in minor units, the
    policy, and the product's category."""

    @property
    def deposit_minor(self) -> int: ...
    @property
    def policy(self) -> Policy: ...
    @property
    def category(self) -> str: ...


class Part(NamedTuple):
    """An amount other than a product's deposit, in minor units, under the product's policy."""

    deposit_minor: int
    policy: Policy
    category: str = ""


class Choice(NamedTuple):
    """The offer, the split of each item's deposit, and the reasons.

    If `offer` is None it is a decline, and the splits are zero.
    """

    offer: Offer | None
    splits: tuple[Split, ...]
    reasons: tuple[str, ...]


NOTHING = Split(0, 0)


def decline(items: int, *reasons: str) -> Choice:
    """A decline of so many items."""
    return Choice(None, (NOTHING,) * items, reasons[:MAX_REASONS])


def offer_for_score(score: int | None, policy: Policy) -> tuple[Offer, tuple[str, ...]]:
    """The mildest offer that the policy allows at this score, and the reasons against milder
    offers.

    A person who cannot be scored (`score` None) gets the full deposit; the caller knows the reason.
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


def in_order(accepted: Sequence[Offer], mildest: Offer) -> list[Offer]:
    """The accepted offers in order: the policy's offer first, then the stricter ones."""
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
    """Chooses the policy's offer, or a stricter one that the caller accepts and the line covers.

    Several items get one offer, all or none: the strictest offer that any of the items needs. `why`
    holds the model's reasons for the score, or the reason why there is no score. In the result
    these reasons follow the policy's own. `accepted` is in the caller's order; empty means every
    offer, the mildest first.
    """
    mildest, reasons = offer_for_score(score, wanted[0].policy)
    for item in wanted[1:]:
        offered = offer_for_score(score, item.policy)
        if STRICTNESS[offered[0]] > STRICTNESS[mildest]:
            mildest, reasons = offered
    if mildest is not _ZERO:
        reasons = (*reasons, *why)
    allowed: Sequence[Offer] = NOT_MILDER[mildest]
    if accepted:
        allowed = in_order(accepted, mildest)
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
    """Chooses the present offer, or a stricter one that the caller accepts and the line covers.

    `reasons` are those of the present offer. A stricter offer names the exhausted line first, even
    if an earlier reason named it already.
    """
    allowed = in_order(accepted, present) if accepted else NOT_MILDER[present]
    others = tuple([reason for reason in reasons if reason != Reason.LINE_EXHAUSTED])
    return _first_borne(allowed, others, available_minor, wanted)


def _first_borne(
    allowed: Sequence[Offer],
    reasons: tuple[str, ...],
    available_minor: int,
    wanted: Sequence[Wanted],
) -> Choice:
    """The first offer whose credit parts together fit the line."""
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
