"""An authorization: its states, its amounts, and its steps.

    OFFERED ──confirm──▶ AUTHORIZED ──start──▶ ACTIVE ◀──▶ OVERDUE ──settle──▶ SETTLED
       │        REVIEW       │                   │  ▲        │  ▲
       │          │          │                   ▼  └─contest─┼──┘
       └──expire / reverse───┴──────reverse──────┤  RETURN_CLAIMED
                  └──▶ DECLINED                  └──▶ EXPIRED / REVERSED

Every function of this file and of `hold`, `settlement`, `collection` and `timers` is pure: it takes
an authorization and returns a new one with the postings of the step. No function reads a clock or a
database. Amounts are minor units of the authorization's currency; times are microseconds since the
epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

from service.domain import set_off
from service.domain.captures import Part, Taken
from service.domain.dunning import LADDER
from service.domain.ledger import Posting
from service.domain.policy import Offer
from service.domain.refunds import PAUSES_US
from service.domain.transitions import Transition
from service.domain.wide_records import wide


class State(StrEnum):
    """The state of an authorization."""

    OFFERED = "OFFERED"
    REVIEW = "REVIEW"
    AUTHORIZED = "AUTHORIZED"
    ACTIVE = "ACTIVE"
    OVERDUE = "OVERDUE"
    RETURN_CLAIMED = "RETURN_CLAIMED"
    SETTLED = "SETTLED"
    DECLINED = "DECLINED"
    REVERSED = "REVERSED"
    EXPIRED = "EXPIRED"


class Custody(StrEnum):
    """The place of the item."""

    IN_STATION = "IN_STATION"
    OUT = "OUT"
    UNKNOWN = "UNKNOWN"
    MISSING = "MISSING"
    SOLD = "SOLD"


class Collection(StrEnum):
    """The collection of the captured amount. If several apply, the first in this order counts."""

    OVERPAID = "OVERPAID"
    """The person got money twice, and owes it."""
    WRITTEN_OFF = "WRITTEN_OFF"
    DISPUTED = "DISPUTED"
    REFUND_PENDING = "REFUND_PENDING"
    REFUNDED = "REFUNDED"
    PAYING = "PAYING"
    DUE = "DUE"
    PAID = "PAID"
    NONE = "NONE"


class Start(StrEnum):
    """The start of the rental: at once, or when the item is picked up."""

    IMMEDIATE = "IMMEDIATE"
    ON_PICKUP = "ON_PICKUP"
    LATE_PICKUP = "LATE_PICKUP"
    """Within an earlier reservation, and told after it had expired (`late_pickups.py`)."""


class TransferKind(StrEnum):
    """The direction of a transfer by the payment rail."""

    DEBIT = "DEBIT"
    """From the person, for the due amount."""
    PAYOUT = "PAYOUT"
    """To the person, of money owed back."""


CAPTURABLE = frozenset({State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED})
LAPSING = frozenset({State.OFFERED, State.REVIEW, State.AUTHORIZED})
HOLDING = CAPTURABLE | {State.AUTHORIZED}
CLOSED = frozenset({State.SETTLED, State.DECLINED, State.REVERSED, State.EXPIRED})
UNCHARGED = CLOSED - {State.SETTLED}
"""Closed without a charge."""
CHARGED = CAPTURABLE | {State.SETTLED}
"""States in which an amount may have been captured."""
TAKEN = frozenset(State) - {State.REVIEW, State.OFFERED}
"""States in which money may have come in."""


@wide
class Authorization(NamedTuple):
    """One authorization as stored; the contract explains the parts.

    With a `parent_id` it is a damage charge on that rental. It is ACTIVE, no item is out, and it
    holds until it is settled or reversed, or lapses at `expire_us`.

    `accept_offers` are the accepted offers, in the caller's order; an empty tuple accepts all.
    Authorized is `credit_minor` + `cash_minor`; of these, `held_credit_minor` and `held_cash_minor`
    are still held.
    `captured_minor` was captured in all, `captured_credit_minor` of it on credit. `conceded_minor`
    was given up by the operator again. `fee_minor` is Freehold's commission on the rest.

    An amount captured on credit is paid (`paid_minor`), lowered, disputed, written off, or due. Of
    the amount written off, `recovered_minor` was paid since and `forgiven_minor` was given up by
    the operator.

    `refunded_minor` was given back after payment. `refund_payable_minor` is owed to the person in
    cash. `received_minor` came by the payment rail, less the amounts that a bank took back for
    good. `elsewhere_minor` was paid to the operator, at most the paid amount. `overpaid_minor` went
    out beyond the amount owed: the person got it twice, and owes it. `overpaid_written_off_minor`
    is such an amount that nobody expects back. Money that is later owed to the person pays the
    overpaid amount first. `paid_out_minor` went out by the rail. `charged_back_minor` was taken
    back by a bank and is not decided yet. `debiting_minor` was requested from the rail, which has
    not answered yet.

    `unheld_minor` was booked as a debt without a hold (`debts.py`). Its parts are
    `captured_credit_minor`, which was paid, `unheld_dropped_minor`, which was dropped, and
    `unheld_disputed_minor`, which is disputed. The rest is due, and is dropped at
    `unheld_until_us`.

    `write_off_by` is the key that proposed a write-off of `write_off_minor`. `version` counts the
    steps. Times are microseconds since the epoch, UTC.

    `captures` and `corrections` count the rows of each. `other_captured_minor` was captured for
    damage or as a penalty. The rest was captured for the fee, including amounts without a row.
    `uncollected_minor` is the part of the fee that was not captured because less was held.
    `refund_after_us` is the policy's time, in microseconds, after which money owed back is paid
    out. None means that only PayOutRefund pays it out, as for authorizations of earlier builds.
    Since `refund_since_us` some of it may go out. `refund_tries` counts the payouts that failed or
    came back since the last PayOutRefund. `paused_us` is the length of all pauses (`pauses.py`). A
    running pause counts up to the policy's bound. A reservation is billed from `reserve_us` on.
    `order_fee_minor` bounds the fee of the usage, unless it is None (`order_fees.py`).
    """

    user_id: str
    authorization_id: str
    operator_id: str
    request_id: str
    product_id: str
    product_revision: int
    parent_id: str
    group_id: str
    currency: str
    start: Start
    accept_offers: tuple[Offer, ...]
    band: str
    decision_id: str
    model_id: str
    policy_revision: int
    fee_bp: int
    create_us: int
    pickup_window_us: int
    rental_period_us: int
    asset_id: str
    offer: Offer | None
    state: State
    custody: Custody
    reasons: tuple[str, ...]
    credit_minor: int
    cash_minor: int
    expire_us: int | None = None
    start_us: int | None = None
    due_us: int | None = None
    lost_us: int | None = None
    claim_us: int | None = None
    claim_until_us: int | None = None
    close_us: int | None = None
    sold_us: int | None = None
    held_credit_minor: int = 0
    held_cash_minor: int = 0
    captured_minor: int = 0
    captured_credit_minor: int = 0
    conceded_minor: int = 0
    fee_minor: int = 0
    paid_minor: int = 0
    lowered_minor: int = 0
    disputed_minor: int = 0
    charged_back_minor: int = 0
    refunded_minor: int = 0
    refund_payable_minor: int = 0
    provisioned_minor: int = 0
    written_off_minor: int = 0
    recovered_minor: int = 0
    forgiven_minor: int = 0
    received_minor: int = 0
    elsewhere_minor: int = 0
    paid_out_minor: int = 0
    debiting_minor: int = 0
    write_off_by: str = ""
    write_off_minor: int = 0
    rung: int = 0
    version: int = 0
    overpaid_minor: int = 0
    overpaid_written_off_minor: int = 0
    captures: int = 0
    other_captured_minor: int = 0
    corrections: int = 0
    uncollected_minor: int = 0
    refund_after_us: int | None = None
    refund_since_us: int | None = None
    refund_tries: int = 0
    unheld_minor: int = 0
    unheld_dropped_minor: int = 0
    unheld_disputed_minor: int = 0
    unheld_until_us: int | None = None
    paused_us: int = 0
    reserve_us: int | None = None
    order_fee_minor: int | None = None

    @property
    def name(self) -> str:
        """The resource name."""
        return f"users/{self.user_id}/authorizations/{self.authorization_id}"

    @property
    def held_minor(self) -> int:
        """The amount held now, on credit and in cash."""
        return self.held_credit_minor + self.held_cash_minor

    @property
    def fee_captured_minor(self) -> int:
        """The amount captured for the fee of the usage, or for a lost item."""
        return self.captured_minor - self.other_captured_minor

    @property
    def due_minor(self) -> int:
        """The amount captured on credit that is not paid, lowered, disputed or written off."""
        return (
            self.captured_credit_minor
            - self.paid_minor
            - self.lowered_minor
            - self.disputed_minor
            - self.written_off_minor
        )

    @property
    def unheld_due_minor(self) -> int:
        """The amount of a debt without a hold that is not paid, dropped or disputed."""
        if not self.unheld_minor:
            return 0
        gone_minor = self.unheld_dropped_minor + self.unheld_disputed_minor
        return self.unheld_minor - self.captured_credit_minor - gone_minor

    @property
    def collectable_minor(self) -> int:
        """The amount that dunning asks for: due, of a capture or of a debt without a hold."""
        return self.due_minor + self.unheld_due_minor

    @property
    def refundable_minor(self) -> int:
        """The amount captured and paid (before or after a write-off), less the amount given
        back."""
        cash_minor = self.captured_minor - self.captured_credit_minor
        return cash_minor + self.paid_minor + self.recovered_minor - self.refunded_minor

    @property
    def kept_minor(self) -> int:
        """The refundable amount that came by the payment rail.

        Money that was paid to the operator counts as given back last.
        """
        return max(0, self.refundable_minor - self.elsewhere_minor)

    @property
    def in_hand_minor(self) -> int:
        """The amount that came by the rail and has neither gone out nor been charged back.

        The amount includes money that was paid to the operator and is now owed back.
        """
        rail_minor = self.received_minor - self.paid_out_minor
        back_minor = self.held_cash_minor + self.refund_payable_minor
        return max(rail_minor, back_minor) - self.charged_back_minor

    @property
    def payable_out_minor(self) -> int:
        """The amount owed back that may go out now: an open charge-back keeps its part here."""
        owed_minor = self.refund_payable_minor
        return max(0, min(owed_minor, self.in_hand_minor)) if owed_minor else 0

    @property
    def chargeable_back_minor(self) -> int:
        """The amount that a bank can still take back, because the money came by the rail."""
        return self.received_minor - self.charged_back_minor

    @property
    def unpaid_minor(self) -> int:
        """The amount that the person owes and that may be written off: the due and the overpaid
        amount."""
        return self.due_minor + self.overpaid_minor

    @property
    def twice_minor(self) -> int:
        """The amount that the person got twice and has not given back, including any part written
        off."""
        return self.overpaid_minor + self.overpaid_written_off_minor

    @property
    def goodwill_minor(self) -> int:
        """The amount lowered, refunded or forgiven at Freehold's cost."""
        given_minor = self.lowered_minor + self.refunded_minor + self.forgiven_minor
        return given_minor - self.conceded_minor

    @property
    def unrecovered_minor(self) -> int:
        """The amount written off that is neither recovered nor forgiven."""
        return self.written_off_minor - self.recovered_minor - self.forgiven_minor

    @property
    def refund_us(self) -> int | None:
        """The instant at which money owed back is paid out by time, or None.

        If a debit for an amount still due is under way, the money waits for the rail's answer.
        """
        since_us, pause_us = self.refund_since_us, self.refund_after_us
        if since_us is None or pause_us is None or not self.payable_out_minor:
            return None
        if self.debiting_minor and self.collectable_minor:
            return None
        if self.refund_tries:
            if self.refund_tries > len(PAUSES_US):
                return None
            pause_us = PAUSES_US[self.refund_tries - 1]
        return since_us + pause_us

    @property
    def wake_us(self) -> int | None:
        """The next instant at which time alone changes the authorization, or None."""
        wake_us = self.life_us
        refund_us = None if self.refund_since_us is None else self.refund_us
        if wake_us is None or refund_us is None:
            return wake_us if refund_us is None else refund_us
        return min(wake_us, refund_us)

    @property
    def life_us(self) -> int | None:
        """The next instant at which the state ends or the debt is collected, or None."""
        if self.state is not _SETTLED:
            instant = _WAKES.get(self.state)
            return None if instant is None else instant(self)
        if self.unheld_minor:
            return self._debt_wake_us()
        wake_us = self.sold_us if self.custody is _MISSING else self.claim_until_us
        if self.due_minor and self.close_us is not None and self.rung < len(LADDER):
            rung_us = self.close_us + LADDER[self.rung].after_us
            return rung_us if wake_us is None else min(wake_us, rung_us)
        return wake_us

    def _debt_wake_us(self) -> int | None:
        """The next rung of a debt without a hold, or the instant at which the debt is dropped.

        The debt is not dropped while the rail has not answered a debit.
        """
        if not self.unheld_due_minor or self.close_us is None:
            return None
        wake_us = None if self.debiting_minor else self.unheld_until_us
        if self.rung < len(LADDER):
            rung_us = self.close_us + LADDER[self.rung].after_us
            return rung_us if wake_us is None else min(wake_us, rung_us)
        return wake_us

    @property
    def collection(self) -> Collection:
        """The collection state that follows from the stored amounts."""
        if self.overpaid_minor:
            return Collection.OVERPAID
        if not (self.captured_minor or self.refund_payable_minor or self.charged_back_minor):
            return self._unpaid_debt if self.unheld_minor else _NOTHING_TO_COLLECT
        if self.written_off_minor:
            return Collection.WRITTEN_OFF
        if self.disputed_minor or self.charged_back_minor or self.unheld_disputed_minor:
            return Collection.DISPUTED
        if self.refund_payable_minor:
            return Collection.REFUND_PENDING
        if self.refunded_minor:
            return Collection.REFUNDED
        if self.collectable_minor:
            return Collection.PAYING if self.paid_minor else Collection.DUE
        return Collection.PAID

    @property
    def _unpaid_debt(self) -> Collection:
        if self.unheld_disputed_minor:
            return Collection.DISPUTED
        return Collection.DUE if self.unheld_due_minor else _NOTHING_TO_COLLECT


# Reading a member from its enumeration costs 0.25 us on Python 3.11, ten times as much as a
# module's name. The code that every call runs therefore uses module names.
_SETTLED, _MISSING, _NOTHING_TO_COLLECT = State.SETTLED, Custody.MISSING, Collection.NONE


def _active_wake_us(it: Authorization) -> int | None:
    """The due time of a rental, or the end of a damage charge."""
    return it.due_us if it.expire_us is None else it.expire_us


_WAKES: dict[State, Callable[[Authorization], int | None]] = {
    State.OFFERED: attrgetter("expire_us"),
    State.REVIEW: attrgetter("expire_us"),
    State.AUTHORIZED: attrgetter("expire_us"),
    State.ACTIVE: _active_wake_us,
    State.OVERDUE: attrgetter("lost_us"),
    State.RETURN_CLAIMED: attrgetter("claim_until_us"),
}
FIXED = frozenset(
    {
        *("user_id", "authorization_id", "operator_id", "request_id", "parent_id", "group_id"),
        *("product_id", "product_revision", "currency", "start", "accept_offers", "band"),
        *("decision_id", "model_id", "policy_revision", "fee_bp", "create_us"),
        *("pickup_window_us", "rental_period_us", "refund_after_us"),
    }
)
"""Fields that no step changes; trying to change one raises KeyError."""
_PLACES = {name: n for n, name in enumerate(Authorization._fields) if name not in FIXED}
_VERSION = _PLACES["version"]
_new = tuple.__new__


class Transfer(NamedTuple):
    """An amount to be moved by the payment rail, in minor units."""

    kind: TransferKind
    amount_minor: int


class Step(NamedTuple):
    """The result of one command or one timer on an authorization.

    A step has the next version, the postings, the name and time of the transition, and the transfer
    for the payment rail, if any. `taken` is the capture that the step makes; `parts` are the
    captures that the step corrects, with the corrected amounts. If it fixes the fee anew, the
    operator may regain at most `regain_minor` of the fee that it gave up before.
    """

    authorization: Authorization
    postings: tuple[Posting, ...]
    transition: Transition
    event_us: int
    transfer: Transfer | None = None
    taken: Taken | None = None
    parts: tuple[Part, ...] = ()
    regain_minor: int | None = None


def step(
    authorization: Authorization,
    postings: tuple[Posting, ...],
    transition: Transition,
    event_us: int,
    transfer: Transfer | None = None,
    *,
    taken: Taken | None = None,
    parts: tuple[Part, ...] = (),
    **changes: Any,
) -> Step:
    """One step of an authorization, with the fields that it changes.

    An amount owed back is set off at once against an overpaid amount, even one that was written
    off. When nothing is unpaid any more, a proposed write-off is dropped: an amount that falls due
    later needs a new proposal.
    """
    following = changed(authorization, changes)
    if following.refund_payable_minor and following.twice_minor:
        following, postings = set_off.set_off(following, postings)
    if following.write_off_minor and following.unpaid_minor == 0:
        following = following._replace(write_off_by="", write_off_minor=0)
    if parts:
        following = following._replace(corrections=following.corrections + len(parts))
    if following.refund_payable_minor or following.refund_since_us is not None:
        following = refund_clocked(following, event_us)
    return _new(Step, (following, postings, transition, event_us, transfer, taken, parts, None))


def refund_clocked(it: Authorization, event_us: int) -> Authorization:
    """Starts the time of a refund when something may go out, and ends it when nothing may."""
    if (it.payable_out_minor > 0) == (it.refund_since_us is not None):
        return it
    return it._replace(refund_since_us=event_us if it.refund_since_us is None else None)


def changed(authorization: Authorization, changes: Mapping[str, Any]) -> Authorization:
    """The next version of an authorization, with these fields changed."""
    values: list[Any] = [*authorization]
    values[_VERSION] += 1
    for name, value in changes.items():
        values[_PLACES[name]] = value
    # The same as `_replace`, in half the time.
    return _new(Authorization, values)
