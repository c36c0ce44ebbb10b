"""The life of an authorization: which command is allowed when, and what it posts.

    OFFERED ──confirm──▶ AUTHORIZED ──start──▶ ACTIVE ──settle──▶ SETTLED
       │                     │                   │
       └──expire / reverse───┴──────reverse──────┘──▶ EXPIRED / REVERSED

Every function is pure: it takes an authorization and returns a new one with the postings that
belong to the step; nothing here reads a clock or a database. Amounts are minor units of the
authorization's currency, times microseconds since the epoch, UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from service.domain.errors import Exhausted, IllegalState, InvalidInput, VersionMismatch
from service.domain.ledger import Account, Posting
from service.domain.money import share_minor
from service.domain.policy import Offer


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
    """How far the captured amount has been collected."""

    NONE = "NONE"
    DUE = "DUE"
    PAYING = "PAYING"
    PAID = "PAID"
    REFUND_PENDING = "REFUND_PENDING"


class Start(StrEnum):
    """When the rental starts."""

    IMMEDIATE = "IMMEDIATE"
    ON_PICKUP = "ON_PICKUP"


CAPTURABLE = frozenset({State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED})
REVERSIBLE = frozenset({State.OFFERED, State.AUTHORIZED, State.ACTIVE})
LAPSING = frozenset({State.OFFERED, State.AUTHORIZED})
HOLDING = CAPTURABLE | {State.AUTHORIZED}
# An offer paid too late, or paid twice: the money is owed back, the state stays.
PAYABLE_AGAIN = frozenset(
    {State.AUTHORIZED, State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED}
    | {State.SETTLED, State.REVERSED, State.EXPIRED}
)


class Authorization(NamedTuple):
    """One authorization as it is stored; see the contract for the meaning of the parts.

    `credit_minor` and `cash_minor` are what was authorized or offered; `held_credit_minor` and
    `held_cash_minor` are what is still held. `captured_minor` = cash used + credit used, and
    `fee_minor` is the operator's fee on it.
    """

    user_id: str
    authorization_id: str
    operator_id: str
    request_id: str
    product_id: str
    asset_id: str
    currency: str
    state: State
    custody: Custody
    start: Start
    offer: Offer | None
    reasons: tuple[str, ...]
    band: str
    decision_id: str
    model_id: str
    policy_revision: int
    fee_bp: int
    credit_minor: int
    cash_minor: int
    create_us: int
    expire_us: int | None = None
    start_us: int | None = None
    close_us: int | None = None
    pickup_window_us: int = 0
    held_credit_minor: int = 0
    held_cash_minor: int = 0
    captured_minor: int = 0
    captured_credit_minor: int = 0
    fee_minor: int = 0
    paid_minor: int = 0
    refund_payable_minor: int = 0
    version: int = 1

    @property
    def name(self) -> str:
        """The resource name."""
        return f"users/{self.user_id}/authorizations/{self.authorization_id}"

    @property
    def due_minor(self) -> int:
        """Captured on credit and not yet paid."""
        return self.captured_credit_minor - self.paid_minor

    @property
    def collection(self) -> Collection:
        """Derived from the stored amounts, the first that applies."""
        if self.refund_payable_minor:
            return Collection.REFUND_PENDING
        if self.due_minor:
            return Collection.PAYING if self.paid_minor else Collection.DUE
        return Collection.PAID if self.captured_minor else Collection.NONE


class Step(NamedTuple):
    """What one command does to an authorization: its next version, what it posts, its name."""

    authorization: Authorization
    postings: tuple[Posting, ...]
    event: str


def check_version(authorization: Authorization, expected: int | None) -> None:
    """Raises VersionMismatch unless the caller has seen the present version."""
    if expected is not None and expected != authorization.version:
        raise VersionMismatch(expected, authorization.version)


def _refuse(authorization: Authorization, command: str) -> IllegalState:
    return IllegalState(
        "ILLEGAL_TRANSITION",
        f"{command} is not allowed in state {authorization.state}",
        authorization.state,
    )


def _hold(authorization: Authorization, now_us: int) -> Authorization:
    """Both parts held: ACTIVE at once, or AUTHORIZED until it is picked up."""
    immediate = authorization.start is Start.IMMEDIATE
    return authorization._replace(
        state=State.ACTIVE if immediate else State.AUTHORIZED,
        custody=Custody.OUT if immediate else Custody.IN_STATION,
        held_credit_minor=authorization.credit_minor,
        held_cash_minor=authorization.cash_minor,
        expire_us=None if immediate else now_us + authorization.pickup_window_us,
        start_us=now_us if immediate else None,
    )


def grant(authorization: Authorization, now_us: int) -> Step:
    """A new authorization whose offer asks for no cash: the credit part is held at once."""
    held = _hold(authorization, now_us)
    postings = (Posting(Account.HELD, Account.AVAILABLE, held.credit_minor),)
    return Step(held, postings, f"authorization.{held.state.lower()}")


def confirm(
    authorization: Authorization, paid_minor: int, available_minor: int, now_us: int
) -> Step:
    """The cash part was paid: hold both parts; what is too much, late or double is owed back.

    Raises IllegalState for a declined or reviewed authorization or one that asked for no cash,
    InvalidInput when less was paid than asked for, Exhausted when the line no longer bears the
    credit part.
    """
    if authorization.cash_minor == 0:
        raise _refuse(authorization, "ConfirmAuthorization")
    if authorization.state in PAYABLE_AGAIN:
        owed = authorization._replace(
            refund_payable_minor=authorization.refund_payable_minor + paid_minor,
            version=authorization.version + 1,
        )
        postings = (Posting(Account.CASH, Account.REFUND_PAYABLE, paid_minor),)
        return Step(owed, postings, "authorization.payment_owed_back")
    if authorization.state is not State.OFFERED:
        raise _refuse(authorization, "ConfirmAuthorization")
    excess_minor = paid_minor - authorization.cash_minor
    if excess_minor < 0:
        raise InvalidInput.of(
            "paid.amount_minor", "paid.too_little", f"the offer asks for {authorization.cash_minor}"
        )
    if authorization.credit_minor > available_minor:
        raise Exhausted("LINE_EXHAUSTED", "the credit line no longer bears the offer's credit part")
    held = _hold(authorization, now_us)._replace(
        refund_payable_minor=excess_minor,
        version=authorization.version + 1,
    )
    return Step(
        held,
        (
            Posting(Account.HELD, Account.AVAILABLE, held.credit_minor),
            Posting(Account.CASH, Account.DEPOSIT, held.cash_minor),
            Posting(Account.CASH, Account.REFUND_PAYABLE, excess_minor),
        ),
        f"authorization.{held.state.lower()}",
    )


def start_rental(authorization: Authorization, asset_id: str, now_us: int) -> Step:
    """The item was picked up; from now on the hold cannot lapse."""
    if authorization.state is not State.AUTHORIZED:
        raise _refuse(authorization, "StartRental")
    if asset_id and authorization.asset_id and asset_id != authorization.asset_id:
        raise InvalidInput.of("asset_id", "asset_id.differs", "another item was authorized")
    started = authorization._replace(
        state=State.ACTIVE,
        custody=Custody.OUT,
        asset_id=asset_id or authorization.asset_id,
        expire_us=None,
        start_us=now_us,
        version=authorization.version + 1,
    )
    return Step(started, (), "authorization.active")


def _release(authorization: Authorization) -> tuple[Posting, Posting]:
    return (
        Posting(Account.AVAILABLE, Account.HELD, authorization.held_credit_minor),
        Posting(Account.DEPOSIT, Account.REFUND_PAYABLE, authorization.held_cash_minor),
    )


def _closed(authorization: Authorization, state: State, close_us: int) -> Authorization:
    """Everything still held is given back; cash becomes owed to the user."""
    return authorization._replace(
        state=state,
        custody=Custody.IN_STATION,
        expire_us=None,
        close_us=close_us,
        refund_payable_minor=authorization.refund_payable_minor + authorization.held_cash_minor,
        held_credit_minor=0,
        held_cash_minor=0,
        version=authorization.version + 1,
    )


def settle(authorization: Authorization, amount_minor: int, final: bool, now_us: int) -> Step:
    """Captures an amount, the cash part first; the last capture releases the rest.

    The operator's fee is floored on the cumulated amount, so that many small captures cost
    what one large capture costs. Raises IllegalState unless the item is out, InvalidInput for
    more than is held.
    """
    if authorization.state not in CAPTURABLE:
        raise _refuse(authorization, "SettleAuthorization")
    held_minor = authorization.held_credit_minor + authorization.held_cash_minor
    if amount_minor > held_minor:
        raise InvalidInput.of(
            "amount.amount_minor", "amount.exceeds_hold", f"at most {held_minor} is held"
        )
    cash_minor = min(amount_minor, authorization.held_cash_minor)
    credit_minor = amount_minor - cash_minor
    captured_minor = authorization.captured_minor + amount_minor
    fee_bp, fee_before_minor = authorization.fee_bp, authorization.fee_minor
    fee_cash_minor = (
        share_minor(authorization.captured_minor + cash_minor, fee_bp) - fee_before_minor
    )
    fee_minor = share_minor(captured_minor, fee_bp)
    fee_credit_minor = fee_minor - fee_before_minor - fee_cash_minor
    postings: tuple[Posting, ...] = (
        Posting(Account.DEPOSIT, Account.OPERATOR_PAYABLE, cash_minor - fee_cash_minor),
        Posting(Account.DEPOSIT, Account.FEE_INCOME, fee_cash_minor),
        Posting(Account.DRAWN, Account.HELD, credit_minor),
        Posting(Account.RECEIVABLE, Account.OPERATOR_PAYABLE, credit_minor - fee_credit_minor),
        Posting(Account.RECEIVABLE, Account.FEE_INCOME, fee_credit_minor),
    )
    captured = authorization._replace(
        held_credit_minor=authorization.held_credit_minor - credit_minor,
        held_cash_minor=authorization.held_cash_minor - cash_minor,
        captured_minor=captured_minor,
        captured_credit_minor=authorization.captured_credit_minor + credit_minor,
        fee_minor=fee_minor,
    )
    if not final:
        counted = captured._replace(version=authorization.version + 1)
        return Step(counted, postings, "authorization.captured")
    return Step(
        _closed(captured, State.SETTLED, now_us),
        postings + _release(captured),
        "authorization.settled",
    )


def reverse(authorization: Authorization, now_us: int) -> Step:
    """Gives everything back. Raises IllegalState after a capture or once closed or overdue."""
    if authorization.state not in REVERSIBLE or authorization.captured_minor:
        raise _refuse(authorization, "ReverseAuthorization")
    return Step(
        _closed(authorization, State.REVERSED, now_us),
        _release(authorization),
        "authorization.reversed",
    )


def has_lapsed(authorization: Authorization, now_us: int) -> bool:
    """Whether an offer or a hold not picked up has ended by now; it ends at the instant."""
    return (
        authorization.expire_us is not None
        and authorization.expire_us <= now_us
        and authorization.state in LAPSING
    )


def expire(authorization: Authorization) -> Step:
    """Ends what has lapsed, at the instant when it lapsed."""
    if authorization.expire_us is None or authorization.state not in LAPSING:
        raise _refuse(authorization, "expiry")
    return Step(
        _closed(authorization, State.EXPIRED, authorization.expire_us),
        _release(authorization),
        "authorization.expired",
    )


def pay(authorization: Authorization, amount_minor: int) -> Step:
    """A payment for what was captured on credit; what is too much is owed back.

    Raises IllegalState when nothing was ever captured on credit.
    """
    if authorization.captured_credit_minor == 0:
        raise IllegalState("NOTHING_DUE", "nothing was captured on credit", authorization.state)
    paid_minor = min(amount_minor, authorization.due_minor)
    excess_minor = amount_minor - paid_minor
    paid = authorization._replace(
        paid_minor=authorization.paid_minor + paid_minor,
        refund_payable_minor=authorization.refund_payable_minor + excess_minor,
        version=authorization.version + 1,
    )
    return Step(
        paid,
        (
            Posting(Account.CASH, Account.RECEIVABLE, paid_minor),
            Posting(Account.AVAILABLE, Account.DRAWN, paid_minor),
            Posting(Account.CASH, Account.REFUND_PAYABLE, excess_minor),
        ),
        "authorization.payment_recorded",
    )
