"""Rules from the offer to the end of the hold: reserve, confirm, change, release."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from service.domain import extensions
from service.domain.acts import Act, refuse, require
from service.domain.authorization import (
    HOLDING,
    LAPSING,
    Authorization,
    Custody,
    Start,
    State,
    Step,
    changed,
    refund_clocked,
    step,
)
from service.domain.errors import IllegalState, InvalidInput
from service.domain.least_fee import cheaper_minutes
from service.domain.ledger import Account, Posting, new_posting
from service.domain.order_fees import raised_minor
from service.domain.policy import MAX_REASONS, Offer, Split
from service.domain.product import Product
from service.domain.segment_tariff import SegmentTariff
from service.domain.tariff import DAY_US, MINUTE_US, AnyTariff, Pauses, reaches_us, used_until
from service.domain.transitions import Transition

LONGEST_US = 100 * 366 * DAY_US
"""The longest time that is computed; a longer one counts as never."""


@lru_cache(maxsize=4096)
def lost_after_us(
    tariff: AnyTariff, start_us: int = 0, pauses: Pauses = (), pass_minutes: int = 0
) -> int | None:
    """The time from the start until an item counts as lost: the fee reaches the buy-out cap.

    None if the item never counts as lost. The start, in microseconds since the epoch, and the
    pauses only matter for a tariff with prices of hours. `pass_minutes` are the most free minutes
    of a pass by another tariff of the product. The share of a pass puts no loss off: the price of a
    lost item is no fee.
    """
    if not tariff.buy_out_minor:
        return None
    # Nobody knows yet how much of the quotas is left, or whether the person has a pass: all of them
    # put the loss off. The rental takes as many of the minutes as are best for the user, and so the
    # item is lost once no number of them costs less.
    most = sum(it.minutes for it in tariff.quotas)
    most += max([pass_minutes, *(it.minutes for it in tariff.passes)])
    minutes: int | None = most
    lost_us = start_us
    while minutes is not None:
        reached_us = reaches_us(
            tariff, start_us, tariff.buy_out_minor, pauses=pauses, quota_us=minutes * MINUTE_US
        )
        if reached_us is None or reached_us > start_us + LONGEST_US:
            return None
        lost_us, minutes = max(lost_us, reached_us), None
        if most and isinstance(tariff, SegmentTariff):
            use = used_until(tariff, start_us, lost_us, pauses)
            minutes = cheaper_minutes(tariff, use, most, tariff.buy_out_minor)
    return lost_us - start_us


Changes = dict[str, Any]


# Read once, because every Authorize uses them (see `authorization._SETTLED`).
_ACTIVE, _OUT, _IMMEDIATE = State.ACTIVE, Custody.OUT, Start.IMMEDIATE
_BECOMES_ACTIVE = Transition.ACTIVE
_HELD, _AVAILABLE, _CASH = Account.HELD, Account.AVAILABLE, Account.CASH
_DEPOSIT, _REFUND_PAYABLE = Account.DEPOSIT, Account.REFUND_PAYABLE


def put_off(lost_us: int | None, product: Product, overdue_us: int) -> int | None:
    """The time of loss, which is at least the policy's time after the due time; None means
    never."""
    return None if lost_us is None else max(lost_us, overdue_us + product.policy.overdue_window_us)


def started(authorization: Authorization, product: Product, start_us: int, now_us: int) -> Changes:
    """The changes when the item goes out: start, due time, and time of loss.

    If a start is reported late, the due time may already be over.
    """
    tariff = product.tariff
    clock_us = start_us if tariff.by_clock else 0
    after_us = lost_after_us(tariff, clock_us, (), product.pass_minutes)
    due_us = start_us + authorization.rental_period_us
    lost_us = None if after_us is None else start_us + after_us
    return {
        "state": _ACTIVE,
        "custody": _OUT,
        "expire_us": None,
        "start_us": start_us,
        "due_us": due_us,
        "lost_us": put_off(lost_us, product, max(due_us, now_us)),
    }


def _hold(
    it: Authorization, product: Product, paid_minor: int, excess_minor: int, now_us: int
) -> Step:
    """Holds both parts: ACTIVE at once, or AUTHORIZED until the item is picked up."""
    changes: Changes
    if it.parent_id:
        # A damage charge has no item; it ends at its own time.
        transition = _BECOMES_ACTIVE
        changes = {"state": _ACTIVE, "expire_us": now_us + it.rental_period_us}
    elif it.start is _IMMEDIATE:
        transition = _BECOMES_ACTIVE
        changes = started(it, product, now_us, now_us)
    else:
        transition = Transition.AUTHORIZED
        changes = {
            "state": State.AUTHORIZED,
            "custody": Custody.IN_STATION,
            "expire_us": now_us + it.pickup_window_us,
        }
        if product.tariff.reservation is not None:
            changes["reserve_us"] = now_us
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
    # Every Authorize passes here, and the keywords of `step` would cost 1 us.
    held = changed(it, changes)
    if paid_minor:
        held = refund_clocked(held, now_us)
    return Step(held, postings, transition, now_us)


def grant(authorization: Authorization, product: Product, now_us: int) -> Step:
    """Grants an offer without cash: the credit part is held at once.

    A new authorization (version 0) becomes version 1.
    """
    return _hold(authorization, product, 0, 0, now_us)


def ask(authorization: Authorization, now_us: int) -> Step:
    """Stores a new authorization without a hold: OFFERED, REVIEW or DECLINED."""
    if authorization.state is State.DECLINED:
        return step(authorization, (), Transition.DECLINED, now_us, close_us=now_us)
    offered = authorization.state is State.OFFERED
    transition = Transition.OFFERED if offered else Transition.REVIEW
    return step(authorization, (), transition, now_us)


def declined(authorization: Authorization, reason: str, paid_minor: int, now_us: int) -> Step:
    """Declines an offer or a review; a payment for it is owed back."""
    others = [it for it in authorization.reasons if it != reason]
    closed = _closed(authorization, State.DECLINED, now_us)._replace(
        reasons=(reason, *others)[:MAX_REASONS],
        refund_payable_minor=authorization.refund_payable_minor + paid_minor,
        received_minor=authorization.received_minor + paid_minor,
    )
    postings = (Posting(Account.CASH, Account.REFUND_PAYABLE, paid_minor),)
    return step(closed, postings, Transition.DECLINED, now_us)


CONFIRM = Act("ConfirmAuthorization", frozenset(State) - {State.REVIEW})
"""A payment that comes too late or twice is owed back, and the state stays."""


def require_asked(authorization: Authorization) -> None:
    """Raises IllegalState unless the authorization ever asked for cash."""
    require(authorization, CONFIRM)
    # A decrease may have released the whole cash part since.
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
    """Confirms that the cash part was paid, and holds both parts.

    `paid_minor` is this authorization's share of the payment; `excess_minor` of it was overpaid and
    is owed back.
    """
    return _hold(authorization, product, paid_minor, excess_minor, now_us)


def owe_back(authorization: Authorization, paid_minor: int, now_us: int) -> Step:
    """Records a payment that came too late or twice: the money is owed back, and the state
    stays."""
    owed = authorization._replace(
        refund_payable_minor=authorization.refund_payable_minor + paid_minor,
        received_minor=authorization.received_minor + paid_minor,
    )
    postings = (Posting(Account.CASH, Account.REFUND_PAYABLE, paid_minor),)
    return step(owed, postings, Transition.PAYMENT_OWED_BACK, now_us)


RESOLVE_REVIEW = Act("ResolveReview", frozenset({State.REVIEW}))


def offer(authorization: Authorization, window_us: int, now_us: int) -> Step:
    """Approves a review whose offer asks for cash: OFFERED, for `window_us`."""
    require(authorization, RESOLVE_REVIEW)
    offered = authorization._replace(state=State.OFFERED, expire_us=now_us + window_us)
    return step(offered, (), Transition.OFFERED, now_us)


def stricter(
    authorization: Authorization, offered: Offer, split: Split, reasons: tuple[str, ...]
) -> Authorization:
    """The review with a stricter offer, which the line can still cover."""
    require(authorization, RESOLVE_REVIEW)
    return authorization._replace(
        offer=offered,
        credit_minor=split.credit_minor,
        cash_minor=split.cash_minor,
        reasons=reasons,
    )


START = Act("StartRental", frozenset({State.AUTHORIZED}))


def start_rental(
    authorization: Authorization, product: Product, asset_id: str, start_us: int, now_us: int
) -> Step:
    """Starts the rental: the item is picked up, and the hold cannot lapse any more.

    The pick-up at `start_us` may be told later, at `now_us`.
    """
    require(authorization, START)
    named = item_of(authorization, asset_id)
    changes = started(authorization, product, start_us, now_us)
    return step(authorization, (), Transition.STARTED, start_us, asset_id=named, **changes)


def item_of(authorization: Authorization, asset_id: str) -> str:
    """The picked-up item, which the call may name first. Raises InvalidInput for another one."""
    if asset_id and authorization.asset_id and asset_id != authorization.asset_id:
        raise InvalidInput.of(
            "asset_id", "asset_id.differs", "the authorization is for another item"
        )
    return asset_id or authorization.asset_id


INCREMENT = Act(
    "IncrementAuthorization", frozenset({State.AUTHORIZED, State.ACTIVE, State.OVERDUE})
)


def increment(authorization: Authorization, split: Split, excess_minor: int, now_us: int) -> Step:
    """Holds more: `split` says how much on credit and in cash; `excess_minor` is owed back.

    A known fee of the order rises by as much.
    """
    require(authorization, INCREMENT)
    raised = authorization._replace(
        credit_minor=authorization.credit_minor + split.credit_minor,
        cash_minor=authorization.cash_minor + split.cash_minor,
        held_credit_minor=authorization.held_credit_minor + split.credit_minor,
        held_cash_minor=authorization.held_cash_minor + split.cash_minor,
        refund_payable_minor=authorization.refund_payable_minor + excess_minor,
        received_minor=authorization.received_minor + split.cash_minor + excess_minor,
        order_fee_minor=raised_minor(authorization, split.credit_minor + split.cash_minor),
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

    Captures use the cash part first. Releasing credit first keeps as much of the remaining hold in
    cash as possible.
    """
    require(authorization, DECREASE)
    if not 0 < amount_minor <= authorization.held_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.exceeds_hold",
            f"must be more than zero and at most {authorization.held_minor}, the amount held",
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


EXTEND = Act("ExtendRental", frozenset({State.AUTHORIZED, State.ACTIVE, State.OVERDUE}))


def extend(authorization: Authorization, product: Product, by_us: int, now_us: int) -> Step:
    """Extends the time until pick-up, the end of a damage charge, or the due time of a rental.

    Each extension is at most as long as the policy's window for it. An overdue rental becomes
    ACTIVE if the new due time lies ahead. The time at which the item counts as lost follows from
    the tariff. It moves only if it would come less than the policy's time after the due time.

    Raises IllegalState if all the time together would be longer than the policy's bound.
    """
    require(authorization, EXTEND)
    waits = authorization.state is State.AUTHORIZED
    policy = product.policy
    most_us = policy.pickup_window_us if waits else policy.rental_period_us
    if not 0 < by_us <= most_us:
        raise InvalidInput.of(
            "duration",
            "duration.range",
            f"must be more than zero and at most {most_us // 1_000_000} s",
        )
    extensions.require_bounded(authorization, policy, by_us)
    if authorization.expire_us is not None:
        # Time alone ends the hold then, so it lies ahead.
        longer = authorization._replace(expire_us=authorization.expire_us + by_us)
        return step(longer, (), Transition.EXTENDED, now_us)
    due_us = (authorization.due_us or 0) + by_us
    if due_us <= now_us:
        raise InvalidInput.of("duration", "duration.too_short", "must put the due time after now")
    extended = authorization._replace(
        state=State.ACTIVE,
        due_us=due_us,
        lost_us=put_off(authorization.lost_us, product, due_us),
    )
    return step(extended, (), Transition.EXTENDED, now_us)


def release(credit_minor: int, cash_minor: int) -> tuple[Posting, Posting]:
    """The postings that release what is held, on credit and in cash."""
    return (
        new_posting((_AVAILABLE, _HELD, credit_minor)),
        new_posting((_DEPOSIT, _REFUND_PAYABLE, cash_minor)),
    )


def _release_all(authorization: Authorization) -> tuple[Posting, Posting]:
    return release(authorization.held_credit_minor, authorization.held_cash_minor)


def _closed(authorization: Authorization, state: State, close_us: int) -> Authorization:
    return closed(authorization, state, Custody.IN_STATION, close_us)


def closed(
    authorization: Authorization, state: State, custody: Custody, close_us: int
) -> Authorization:
    """Closes the authorization: nothing is held any more, and held cash is owed back."""
    held_cash_minor = authorization.held_cash_minor
    changes = closing(authorization, state, custody, close_us, held_cash_minor)
    return authorization._replace(**changes)


def closing(
    authorization: Authorization,
    state: State,
    custody: Custody,
    close_us: int,
    held_cash_minor: int,
) -> Changes:
    """The changes when the authorization closes with this amount still held in cash."""
    return {
        "state": state,
        "custody": custody,
        "expire_us": None,
        "claim_until_us": None,
        "close_us": close_us,
        "refund_payable_minor": authorization.refund_payable_minor + held_cash_minor,
        "held_credit_minor": 0,
        "held_cash_minor": 0,
    }


REVERSE = Act("ReverseAuthorization", LAPSING | {State.ACTIVE})


def reverse(authorization: Authorization, now_us: int) -> Step:
    """Releases the whole hold.

    Raises IllegalState after a capture, and once the authorization is closed or overdue.
    """
    require(authorization, REVERSE)
    if authorization.captured_minor:
        raise IllegalState(
            "CAPTURED_ALREADY",
            "an amount was captured; settle 0 with final = true instead",
            authorization.state,
        )
    return step(
        _closed(authorization, State.REVERSED, now_us),
        _release_all(authorization),
        Transition.REVERSED,
        now_us,
    )


def expire(authorization: Authorization) -> Step:
    """Expires an authorization at the instant when it lapsed.

    The authorization was not confirmed, reviewed or picked up in time, or it is a damage charge
    without a capture.
    """
    lapses = authorization.state in LAPSING or authorization.parent_id
    if authorization.expire_us is None or not lapses:
        raise IllegalState(
            "NOT_LAPSED", "an authorization does not lapse in this state", authorization.state
        )
    return step(
        _closed(authorization, State.EXPIRED, authorization.expire_us),
        _release_all(authorization),
        Transition.EXPIRED,
        authorization.expire_us,
    )
