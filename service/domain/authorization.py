"""An authorization: its three states, its amounts, and the steps that it takes.

    OFFERED ──confirm──▶ AUTHORIZED ──start──▶ ACTIVE ◀──▶ OVERDUE ──settle──▶ SETTLED
       │        REVIEW       │                   │  ▲        │  ▲
       │          │          │                   ▼  └─contest─┼──┘
       └──expire / reverse───┴──────reverse──────┤  RETURN_CLAIMED
                  └──▶ DECLINED                  └──▶ EXPIRED / REVERSED

Every function of this and the neighbouring files (`hold`, `settlement`, `collection`,
`timers`) is pure: it takes an authorization and gives a new one with the postings that belong to
the step; nothing reads a clock or a database. Amounts are minor units of the authorization's
currency, times microseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

from service.domain.dunning import LADDER
from service.domain.errors import IllegalState, VersionMismatch
from service.domain.ledger import Posting
from service.domain.policy import Offer
from service.domain.transitions import Transition


class State(StrEnum):
    """Where the authorization stands."""

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
    """Where the item is."""

    IN_STATION = "IN_STATION"
    OUT = "OUT"
    UNKNOWN = "UNKNOWN"
    MISSING = "MISSING"
    SOLD = "SOLD"


class Collection(StrEnum):
    """How far the captured amount has been collected; the first that applies, in this order."""

    WRITTEN_OFF = "WRITTEN_OFF"
    DISPUTED = "DISPUTED"
    REFUND_PENDING = "REFUND_PENDING"
    REFUNDED = "REFUNDED"
    PAYING = "PAYING"
    DUE = "DUE"
    PAID = "PAID"
    NONE = "NONE"


class Start(StrEnum):
    """When the rental starts."""

    IMMEDIATE = "IMMEDIATE"
    ON_PICKUP = "ON_PICKUP"


class TransferKind(StrEnum):
    """Which way money is to be moved by the payment rail."""

    DEBIT = "DEBIT"
    """From the person, for what is due."""
    PAYOUT = "PAYOUT"
    """To the person, of what is owed back."""


CAPTURABLE = frozenset({State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED})
LAPSING = frozenset({State.OFFERED, State.REVIEW, State.AUTHORIZED})
HOLDING = CAPTURABLE | {State.AUTHORIZED}
CLOSED = frozenset({State.SETTLED, State.DECLINED, State.REVERSED, State.EXPIRED})
UNCHARGED = CLOSED - {State.SETTLED}
"""Closed without a charge."""
CHARGED = CAPTURABLE | {State.SETTLED}
"""Where something may have been captured."""
TAKEN = frozenset(State) - {State.REVIEW, State.OFFERED}
"""Where money may have come in."""


class Act(NamedTuple):
    """A call on an authorization, and the states in which it is allowed.

    The rule of each call in `hold`, `settlement` and `collection` stands under its act. Amounts and
    custody may forbid the call besides.
    """

    call: str
    """The name of the call in the contract."""
    states: frozenset[State]


class Authorization(NamedTuple):
    """One authorization as it is stored; see the contract for the meaning of the parts.

    With a `parent_id` it is a late charge for damage to that rental: ACTIVE with nothing out, it
    holds until it is settled or reversed, or lapses at `expire_us`.

    `accept_offers` is what the caller takes, in the caller's order; empty: every offer.

    Authorized: `credit_minor` + `cash_minor`, of which `held_credit_minor` and
    `held_cash_minor` are still held. Captured: `captured_minor`, of which
    `captured_credit_minor` on credit; `conceded_minor` of it was given up by the operator again,
    and `fee_minor` is the operator's fee on the rest. What was captured on credit is paid
    (`paid_minor`), lowered, disputed or written off, or else due. Of what was written off,
    `recovered_minor` was paid since and `forgiven_minor` given up by the operator.
    `refunded_minor` was given back after payment; `refund_payable_minor` is owed to the person in
    cash. `received_minor` came by the payment rail, less what a bank took back for good, and
    `elsewhere_minor` of what is paid was paid to the operator; `paid_out_minor` went out by the
    rail. `charged_back_minor` was taken back by a bank and is not decided. `debiting_minor` was
    asked of the rail, which has not answered; `write_off_minor` is what `write_off_by` has proposed
    to write off. `version` counts the steps. Times are microseconds since the epoch, UTC.
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

    @property
    def name(self) -> str:
        """The resource name."""
        return f"users/{self.user_id}/authorizations/{self.authorization_id}"

    @property
    def held_minor(self) -> int:
        """Held now, both parts together."""
        return self.held_credit_minor + self.held_cash_minor

    @property
    def due_minor(self) -> int:
        """Captured on credit, and neither paid nor lowered, disputed or written off."""
        return (
            self.captured_credit_minor
            - self.paid_minor
            - self.lowered_minor
            - self.disputed_minor
            - self.written_off_minor
        )

    @property
    def refundable_minor(self) -> int:
        """Captured and paid, before or after a write-off, and not given back."""
        cash_minor = self.captured_minor - self.captured_credit_minor
        return cash_minor + self.paid_minor + self.recovered_minor - self.refunded_minor

    @property
    def kept_minor(self) -> int:
        """Of what is refundable, what came by the payment rail; what was paid to the operator
        counts as given back last."""
        return max(0, self.refundable_minor - self.elsewhere_minor)

    @property
    def in_hand_minor(self) -> int:
        """What came by the rail and neither went out nor is charged back.

        What was paid to the operator and is owed back now is in hand as well.
        """
        rail_minor = self.received_minor - self.paid_out_minor
        back_minor = self.held_cash_minor + self.refund_payable_minor
        return max(rail_minor, back_minor) - self.charged_back_minor

    @property
    def chargeable_back_minor(self) -> int:
        """What a bank can still take back: what came by the rail and is in hand."""
        return min(self.in_hand_minor, self.received_minor - self.charged_back_minor)

    @property
    def goodwill_minor(self) -> int:
        """Lowered, refunded or forgiven at the cost of Freehold and not of the operator."""
        given_minor = self.lowered_minor + self.refunded_minor + self.forgiven_minor
        return given_minor - self.conceded_minor

    @property
    def unrecovered_minor(self) -> int:
        """Written off, and neither recovered nor forgiven."""
        return self.written_off_minor - self.recovered_minor - self.forgiven_minor

    @property
    def wake_us(self) -> int | None:
        """When time alone changes something next; None: never."""
        if self.state is not _SETTLED:
            instant = _WAKES.get(self.state)
            return None if instant is None else instant(self)
        wake_us = self.sold_us if self.custody is Custody.MISSING else None
        if self.due_minor and self.close_us is not None and self.rung < len(LADDER):
            rung_us = self.close_us + LADDER[self.rung].after_us
            return rung_us if wake_us is None else min(wake_us, rung_us)
        return wake_us

    @property
    def collection(self) -> Collection:
        """Derived from the stored amounts, the first that applies."""
        if not (self.captured_minor or self.refund_payable_minor or self.charged_back_minor):
            return _NOTHING_TO_COLLECT
        if self.written_off_minor:
            return Collection.WRITTEN_OFF
        if self.disputed_minor or self.charged_back_minor:
            return Collection.DISPUTED
        if self.refund_payable_minor:
            return Collection.REFUND_PENDING
        if self.refunded_minor:
            return Collection.REFUNDED
        if self.due_minor:
            return Collection.PAYING if self.paid_minor else Collection.DUE
        return Collection.PAID


# A member of an enumeration, read from its class, costs 0.25 us on Python 3.11, where a name of
# the module costs a tenth of that: what every call passes through has its names ready.
_SETTLED, _NOTHING_TO_COLLECT = State.SETTLED, Collection.NONE


def _active_wake_us(it: Authorization) -> int | None:
    """A rental falls due; a damage charge ends by itself."""
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
        *("pickup_window_us", "rental_period_us"),
    }
)
"""Fields that no step changes; a step that does is a KeyError."""
_PLACES = {name: n for n, name in enumerate(Authorization._fields) if name not in FIXED}
_VERSION = _PLACES["version"]
_new = tuple.__new__


class Transfer(NamedTuple):
    """An amount to be moved by the payment rail, in minor units."""

    kind: TransferKind
    amount_minor: int


class Step(NamedTuple):
    """What one command, or one instant, does to an authorization.

    Its next version, what is posted, what happened and when, and what the payment rail is to do.
    """

    authorization: Authorization
    postings: tuple[Posting, ...]
    transition: Transition
    event_us: int
    transfer: Transfer | None = None


def step(
    authorization: Authorization,
    postings: tuple[Posting, ...],
    transition: Transition,
    event_us: int,
    transfer: Transfer | None = None,
    **changes: Any,
) -> Step:
    """One step of an authorization, with the fields that it changes.

    A proposal to write off goes with the last of what is due: what is due later needs another.
    """
    following = changed(authorization, changes)
    if following.write_off_minor and following.due_minor == 0:
        following = following._replace(write_off_by="", write_off_minor=0)
    return Step(following, postings, transition, event_us, transfer)


def changed(authorization: Authorization, changes: Mapping[str, Any]) -> Authorization:
    """The next version of an authorization, with other values in these fields."""
    values: list[Any] = [*authorization]
    values[_VERSION] += 1
    for name, value in changes.items():
        values[_PLACES[name]] = value
    # What _replace does, in half the time.
    return _new(Authorization, values)


def check_version(authorization: Authorization, expected: int | None) -> None:
    """Raises VersionMismatch unless the caller has seen the present version."""
    if expected is not None and expected != authorization.version:
        raise VersionMismatch(expected, authorization.version)


def refuse(authorization: Authorization, act: Act) -> IllegalState:
    """The refusal of a command in the present state."""
    return IllegalState(
        "ILLEGAL_TRANSITION",
        f"{act.call} is not allowed in state {authorization.state}",
        authorization.state,
    )


def require(authorization: Authorization, act: Act) -> None:
    """Raises IllegalState unless the state allows the command."""
    if authorization.state not in act.states:
        raise refuse(authorization, act)


def require_rental(authorization: Authorization) -> None:
    """Raises IllegalState for a damage charge, of which nothing is out."""
    if authorization.parent_id:
        raise IllegalState(
            "DAMAGE_CHARGE", "a damage charge is no rental: nothing is out", authorization.state
        )
