"""From the offer to the hold, and the hold until the item is back: what is reserved, and when
it is given back without a charge.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from service.domain.authorization import (
    HOLDING,
    LAPSING,
    Act,
    Authorization,
    Custody,
    Start,
    State,
    Step,
    changed,
    refuse,
    require,
    require_rental,
    step,
)
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Account, Posting
from service.domain.policy import MAX_REASONS, Offer, Split
from service.domain.product import Product
from service.domain.tariff import DAY_US, Tariff, reaches_us
from service.domain.transitions import Transition

LONGEST_US = 100 * 366 * DAY_US
"""What would take longer counts as never."""


@lru_cache(maxsize=4096)
def lost_after_us(tariff: Tariff) -> int | None:
    """How long after its start an item that is not returned counts as lost: when the fee has
    reached the buy-out cap. None: never."""
    after_us = reaches_us(tariff, 0, tariff.buy_out_minor) if tariff.buy_out_minor else None
    return after_us if after_us is not None and after_us <= LONGEST_US else None


Changes = dict[str, Any]


# Read once: every Authorize passes here (see `authorization._SETTLED`).
_ACTIVE, _OUT, _IMMEDIATE = State.ACTIVE, Custody.OUT, Start.IMMEDIATE
_BECOMES_ACTIVE = Transition.ACTIVE
_HELD, _AVAILABLE, _CASH = Account.HELD, Account.AVAILABLE, Account.CASH
_DEPOSIT, _REFUND_PAYABLE = Account.DEPOSIT, Account.REFUND_PAYABLE


def _started(authorization: Authorization, product: Product, now_us: int) -> Changes:
    """The item goes out now: when it is due, and when it will count as lost."""
    lost_us = lost_after_us(product.tariff)
    due_us = now_us + authorization.rental_period_us
    return {
        "state": _ACTIVE,
        "custody": _OUT,
        "expire_us": None,
        "start_us": now_us,
        "due_us": due_us,
        "lost_us": None if lost_us is None else max(due_us, now_us + lost_us),
    }


def _hold(
    it: Authorization, product: Product, paid_minor: int, excess_minor: int, now_us: int
) -> Step:
    """Both parts held: ACTIVE at once, or AUTHORIZED until it is picked up."""
    changes: Changes
    if it.parent_id:
        # Nothing goes out and nothing will come back: it ends by itself, at its own time.
        transition = _BECOMES_ACTIVE
        changes = {"state": _ACTIVE, "expire_us": now_us + it.rental_period_us}
    elif it.start is _IMMEDIATE:
        transition = _BECOMES_ACTIVE
        changes = _started(it, product, now_us)
    else:
        transition = Transition.AUTHORIZED
        changes = {
            "state": State.AUTHORIZED,
            "custody": Custody.IN_STATION,
            "expire_us": now_us + it.pickup_window_us,
        }
    postings: tuple[Posting, ...] = (Posting(_HELD, _AVAILABLE, it.credit_minor),)
    if paid_minor:
        postings += (
            Posting(_CASH, _DEPOSIT, paid_minor - excess_minor),
            Posting(_CASH, _REFUND_PAYABLE, excess_minor),
        )
        changes["received_minor"] = it.received_minor + paid_minor
        changes["held_cash_minor"] = it.cash_minor
        changes["refund_payable_minor"] = it.refund_payable_minor + excess_minor
    changes["held_credit_minor"] = it.credit_minor
    # Not by `step`, whose keywords would cost this way, which every Authorize takes, 1 us.
    return Step(changed(it, changes), postings, transition, now_us)


def grant(authorization: Authorization, product: Product, now_us: int) -> Step:
    """An authorization whose offer asks for no cash: the credit part is held at once.

    A new one, of version 0, becomes version 1.
    """
    return _hold(authorization, product, 0, 0, now_us)


def ask(authorization: Authorization, now_us: int) -> Step:
    """A new authorization that holds nothing yet: OFFERED, REVIEW or DECLINED."""
    if authorization.state is State.DECLINED:
        return step(authorization, (), Transition.DECLINED, now_us, close_us=now_us)
    offered = authorization.state is State.OFFERED
    transition = Transition.OFFERED if offered else Transition.REVIEW
    return step(authorization, (), transition, now_us)


def declined(authorization: Authorization, reason: str, paid_minor: int, now_us: int) -> Step:
    """An offer or a review that comes to nothing; what was paid for it is owed back."""
    others = [it for it in authorization.reasons if it != reason]
    closed = _closed(authorization, State.DECLINED, now_us)._replace(
        reasons=(reason, *others)[:MAX_REASONS],
        refund_payable_minor=authorization.refund_payable_minor + paid_minor,
        received_minor=authorization.received_minor + paid_minor,
    )
    postings = (Posting(Account.CASH, Account.REFUND_PAYABLE, paid_minor),)
    return step(closed, postings, Transition.DECLINED, now_us)


CONFIRM = Act("ConfirmAuthorization", frozenset(State) - {State.REVIEW})
"""An offer paid too late, or paid twice: the money is owed back, the state stays."""


def require_asked(authorization: Authorization) -> None:
    """Raises IllegalState unless the authorization asked for cash at some time."""
    require(authorization, CONFIRM)
    # A decrease may have given all of the cash part back since.
    if authorization.cash_minor == 0 and authorization.offer in (None, Offer.ZERO):
        raise refuse(authorization, CONFIRM)


def confirm(
    authorization: Authorization,
    product: Product,
    paid_minor: int,
    now_us: int,
    *,
    excess_minor: int = 0,
) -> Step:
    """The cash part was paid: hold both parts. What is too much is owed back.

    `paid_minor` is this authorization's share of the payment, `excess_minor` of it too much.
    """
    return _hold(authorization, product, paid_minor, excess_minor, now_us)


def owe_back(authorization: Authorization, paid_minor: int, now_us: int) -> Step:
    """A payment that came too late, or twice: the money is owed back, the state stays."""
    owed = authorization._replace(
        refund_payable_minor=authorization.refund_payable_minor + paid_minor,
        received_minor=authorization.received_minor + paid_minor,
    )
    postings = (Posting(Account.CASH, Account.REFUND_PAYABLE, paid_minor),)
    return step(owed, postings, Transition.PAYMENT_OWED_BACK, now_us)


RESOLVE_REVIEW = Act("ResolveReview", frozenset({State.REVIEW}))


def offer(authorization: Authorization, window_us: int, now_us: int) -> Step:
    """A review ends well, and the cash part is asked for from now on."""
    require(authorization, RESOLVE_REVIEW)
    offered = authorization._replace(state=State.OFFERED, expire_us=now_us + window_us)
    return step(offered, (), Transition.OFFERED, now_us)


def stricter(
    authorization: Authorization, offered: Offer, split: Split, reasons: tuple[str, ...]
) -> Authorization:
    """A review with the offer that the line bears by now."""
    require(authorization, RESOLVE_REVIEW)
    return authorization._replace(
        offer=offered,
        credit_minor=split.credit_minor,
        cash_minor=split.cash_minor,
        reasons=reasons,
    )


START = Act("StartRental", frozenset({State.AUTHORIZED}))


def start_rental(
    authorization: Authorization, product: Product, asset_id: str, now_us: int
) -> Step:
    """The item was picked up; from now on the hold cannot lapse."""
    require(authorization, START)
    if asset_id and authorization.asset_id and asset_id != authorization.asset_id:
        raise InvalidInput.of("asset_id", "asset_id.differs", "another item was authorized")
    named = asset_id or authorization.asset_id
    changes = _started(authorization, product, now_us)
    return step(authorization, (), Transition.STARTED, now_us, asset_id=named, **changes)


INCREMENT = Act(
    "IncrementAuthorization", frozenset({State.AUTHORIZED, State.ACTIVE, State.OVERDUE})
)


def increment(authorization: Authorization, split: Split, excess_minor: int, now_us: int) -> Step:
    """Holds more: the split says how much on credit and in cash; too much cash is owed back."""
    require(authorization, INCREMENT)
    raised = authorization._replace(
        credit_minor=authorization.credit_minor + split.credit_minor,
        cash_minor=authorization.cash_minor + split.cash_minor,
        held_credit_minor=authorization.held_credit_minor + split.credit_minor,
        held_cash_minor=authorization.held_cash_minor + split.cash_minor,
        refund_payable_minor=authorization.refund_payable_minor + excess_minor,
        received_minor=authorization.received_minor + split.cash_minor + excess_minor,
    )
    postings = (
        Posting(Account.HELD, Account.AVAILABLE, split.credit_minor),
        Posting(Account.CASH, Account.DEPOSIT, split.cash_minor),
        Posting(Account.CASH, Account.REFUND_PAYABLE, excess_minor),
    )
    return step(raised, postings, Transition.INCREMENTED, now_us)


DECREASE = Act("DecreaseAuthorization", HOLDING)


def decrease(authorization: Authorization, amount_minor: int, now_us: int) -> Step:
    """Releases a part of the hold, the credit part first.

    The credit part goes first because captures use the cash part first: the hold that stays is
    covered by cash as far as it can be.
    """
    require(authorization, DECREASE)
    if not 0 < amount_minor <= authorization.held_minor:
        raise InvalidInput.of(
            "amount.amount_minor", "amount.exceeds_hold", f"{authorization.held_minor} is held"
        )
    credit_minor = min(amount_minor, authorization.held_credit_minor)
    cash_minor = amount_minor - credit_minor
    lowered = authorization._replace(
        credit_minor=authorization.credit_minor - credit_minor,
        cash_minor=authorization.cash_minor - cash_minor,
        held_credit_minor=authorization.held_credit_minor - credit_minor,
        held_cash_minor=authorization.held_cash_minor - cash_minor,
        refund_payable_minor=authorization.refund_payable_minor + cash_minor,
    )
    postings = (
        Posting(Account.AVAILABLE, Account.HELD, credit_minor),
        Posting(Account.DEPOSIT, Account.REFUND_PAYABLE, cash_minor),
    )
    return step(lowered, postings, Transition.DECREASED, now_us)


EXTEND = Act("ExtendRental", frozenset({State.ACTIVE, State.OVERDUE}))


def extend(authorization: Authorization, product: Product, by_us: int, now_us: int) -> Step:
    """Moves the due time; an overdue rental whose new due time lies ahead is ACTIVE again.

    The instant at which the item counts as lost follows from the tariff and does not move,
    unless it would come before the due time.
    """
    require_rental(authorization)
    require(authorization, EXTEND)
    most_us = product.policy.rental_period_us
    if not 0 < by_us <= most_us:
        raise InvalidInput.of(
            "duration", "duration.range", f"more than zero, at most {most_us // 1_000_000} s"
        )
    due_us = (authorization.due_us or 0) + by_us
    if due_us <= now_us:
        raise InvalidInput.of(
            "duration", "duration.too_short", "the new due time would lie in the past"
        )
    lost_us = authorization.lost_us
    extended = authorization._replace(
        state=State.ACTIVE,
        due_us=due_us,
        lost_us=None if lost_us is None else max(due_us, lost_us),
    )
    return step(extended, (), Transition.EXTENDED, now_us)


def release(authorization: Authorization) -> tuple[Posting, Posting]:
    """What gives back everything that is still held."""
    return (
        Posting(Account.AVAILABLE, Account.HELD, authorization.held_credit_minor),
        Posting(Account.DEPOSIT, Account.REFUND_PAYABLE, authorization.held_cash_minor),
    )


def _closed(authorization: Authorization, state: State, close_us: int) -> Authorization:
    return closed(authorization, state, Custody.IN_STATION, close_us)


def closed(
    authorization: Authorization, state: State, custody: Custody, close_us: int
) -> Authorization:
    """Nothing is held any more; held cash is owed to the person."""
    return authorization._replace(
        state=state,
        custody=custody,
        expire_us=None,
        claim_until_us=None,
        close_us=close_us,
        refund_payable_minor=authorization.refund_payable_minor + authorization.held_cash_minor,
        held_credit_minor=0,
        held_cash_minor=0,
    )


REVERSE = Act("ReverseAuthorization", LAPSING | {State.ACTIVE})


def reverse(authorization: Authorization, now_us: int) -> Step:
    """Gives everything back. Raises IllegalState after a capture or once closed or overdue."""
    require(authorization, REVERSE)
    if authorization.captured_minor:
        raise IllegalState(
            "CAPTURED_ALREADY",
            "something was captured: settle zero with `final` instead",
            authorization.state,
        )
    return step(
        _closed(authorization, State.REVERSED, now_us),
        release(authorization),
        Transition.REVERSED,
        now_us,
    )


def expire(authorization: Authorization) -> Step:
    """Ends what nobody confirmed, reviewed or picked up in time, and a damage charge of which
    nothing was captured, at the instant when it lapsed."""
    lapses = authorization.state in LAPSING or authorization.parent_id
    if authorization.expire_us is None or not lapses:
        raise IllegalState("NOT_LAPSED", "nothing lapses in this state", authorization.state)
    return step(
        _closed(authorization, State.EXPIRED, authorization.expire_us),
        release(authorization),
        Transition.EXPIRED,
        authorization.expire_us,
    )
