"""Captures, claimed returns, lost items and found items."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain import concessions, corrections, hold
from service.domain.acts import Act, require, require_rental, require_was_out
from service.domain.authorization import CAPTURABLE, Authorization, Custody, State, Step, step
from service.domain.captures import Capture, Part, Purpose, Taken
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Account, Posting, new_posting
from service.domain.meter import RUNNING, Meter
from service.domain.metered import fee_between
from service.domain.money import share_minor
from service.domain.order_fees import require_ordered
from service.domain.product import Product
from service.domain.tariff import AnyTariff, Fee
from service.domain.transitions import Transition
from service.domain.usage_ends import earlier_us, is_stopped, reserved_us, started_us, usage_end_us

DOCKINGS = frozenset(
    {
        *(Transition.SETTLED, Transition.HANDED_OVER),
        *(Transition.CLAIM_ACCEPTED, Transition.LOST),
    }
)
"""The steps that end a rental and fix its fee."""


def usage_fee(
    authorization: Authorization, product: Product, end_us: int, meter: Meter = RUNNING
) -> Fee:
    """The fee of the rental until `end_us`, by the tariff under which it began.

    The fee stops at the time of a claimed return, or of a granted complaint. The time of pauses is
    not charged, and amounts waived before are subtracted.
    """
    until_us, free_us = usage_end_us(authorization, end_us), product.policy.free_cancellation_us
    return metered_fee(authorization, product.tariff, until_us, meter, free_us)


def metered_fee(
    authorization: Authorization,
    tariff: AnyTariff,
    end_us: int,
    meter: Meter,
    free_us: int | None = None,
) -> Fee:
    """The fee of the rental and its reservation until `end_us`, at most that of the order; see
    `tariff.fee` for `free_us`."""
    start_us, most_minor = started_us(authorization), authorization.order_fee_minor
    waited_us = reserved_us(authorization, start_us)
    return fee_between(tariff, start_us, end_us, meter, free_us, waited_us, most_minor)


def unwaived_minor(
    authorization: Authorization, product: Product, end_us: int, meter: Meter
) -> int:
    """The fee of the rental until `end_us`, less all waived amounts, in minor units."""
    total_minor = usage_fee(authorization, product, end_us, meter).total_minor
    return max(0, total_minor - meter.given_minor)


# Read once, because every settlement uses them (see `authorization._SETTLED`).
_FEE, _IN_STATION = Purpose.FEE, Custody.IN_STATION
_SETTLED, _BECOMES_SETTLED = State.SETTLED, Transition.SETTLED
_DEPOSIT, _OPERATOR_PAYABLE = Account.DEPOSIT, Account.OPERATOR_PAYABLE
_FEE_INCOME, _RECEIVABLE = Account.FEE_INCOME, Account.RECEIVABLE
_DRAWN, _HELD = Account.DRAWN, Account.HELD


def _capture(
    authorization: Authorization, amount_minor: int, purpose: Purpose = _FEE
) -> tuple[hold.Changes, tuple[Posting, ...]]:
    """The changes and the postings of a capture from the hold, the cash part first.

    Freehold's commission is the floored share of the total captured amount, so many small captures
    cost as much as one large capture.
    """
    other_minor = 0 if purpose is _FEE else amount_minor
    cash_minor = min(amount_minor, authorization.held_cash_minor)
    credit_minor = amount_minor - cash_minor
    kept_minor = authorization.captured_minor - authorization.conceded_minor
    fee_bp, fee_before_minor = authorization.fee_bp, authorization.fee_minor
    fee_cash_minor = share_minor(kept_minor + cash_minor, fee_bp) - fee_before_minor
    fee_minor = share_minor(kept_minor + amount_minor, fee_bp)
    fee_credit_minor = fee_minor - fee_before_minor - fee_cash_minor
    changes: hold.Changes = {
        "held_credit_minor": authorization.held_credit_minor - credit_minor,
        "held_cash_minor": authorization.held_cash_minor - cash_minor,
        "captured_minor": authorization.captured_minor + amount_minor,
        "captured_credit_minor": authorization.captured_credit_minor + credit_minor,
        "fee_minor": fee_minor,
        "captures": authorization.captures + (amount_minor > 0),
        "other_captured_minor": authorization.other_captured_minor + other_minor,
    }
    return changes, (
        new_posting((_DEPOSIT, _OPERATOR_PAYABLE, cash_minor - fee_cash_minor)),
        new_posting((_DEPOSIT, _FEE_INCOME, fee_cash_minor)),
        new_posting((_DRAWN, _HELD, credit_minor)),
        new_posting((_RECEIVABLE, _OPERATOR_PAYABLE, credit_minor - fee_credit_minor)),
        new_posting((_RECEIVABLE, _FEE_INCOME, fee_credit_minor)),
    )


def final_capture(
    authorization: Authorization,
    taken: Taken,
    custody: Custody,
    transition: Transition,
    close_us: int,
    event_us: int,
    wanted_minor: int | None,
) -> Step:
    """The last capture. The same transaction releases the rest of the hold.

    `wanted_minor` is the whole fee, or the price of a lost item; None if it is not known.
    """
    changes, postings = _capture(authorization, taken.amount_minor, taken.purpose)
    left_minor = changes["held_credit_minor"], changes["held_cash_minor"]
    changes["uncollected_minor"] = _uncollected_minor(authorization, changes, taken, wanted_minor)
    changes |= hold.closing(authorization, _SETTLED, custody, close_us, left_minor[1])
    return step(
        authorization,
        postings + hold.release(*left_minor),
        transition,
        event_us,
        taken=taken if taken.amount_minor else None,
        **changes,
    )


def _uncollected_minor(
    before: Authorization, capture: hold.Changes, taken: Taken, wanted_minor: int | None
) -> int:
    """The part of the fee that the hold did not cover, after a capture with these changes."""
    if wanted_minor is not None:
        fee_minor: int = capture["captured_minor"] - capture["other_captured_minor"]
        return max(0, wanted_minor - fee_minor)
    if taken.purpose is _FEE:
        return max(0, before.uncollected_minor - taken.amount_minor)
    return before.uncollected_minor


SETTLE = Act("SettleAuthorization", CAPTURABLE)


def require_capturable(authorization: Authorization) -> None:
    """Raises IllegalState unless the item is out.

    After a settlement or a loss the error names the call that reports an earlier return.
    """
    if authorization.state is _SETTLED and not authorization.parent_id:
        lost = authorization.custody in AWAY
        why = "the item counts as lost" if lost else "the rental is settled"
        raise IllegalState(
            "ILLEGAL_TRANSITION",
            f"{SETTLE.call} is not allowed in state {authorization.state}: {why};"
            f" report its return with {REPORT_FOUND.call}",
            authorization.state,
        )
    require(authorization, SETTLE)


def purpose_of(authorization: Authorization, asked: Purpose | None, usage: bool) -> Purpose:
    """The purpose of a capture: by default DAMAGE for a damage charge, and the fee for a rental.

    Raises InvalidInput if the usage is captured for anything but the fee, or a damage charge for
    the fee.
    """
    if authorization.parent_id:
        if asked is _FEE:
            raise InvalidInput.of(
                "purpose", "purpose.damage_charge", "must not be FEE for a damage charge"
            )
        return asked or Purpose.DAMAGE
    if usage and asked not in (None, _FEE):
        raise InvalidInput.of("purpose", "purpose.usage", "must be FEE for a settlement by usage")
    return asked or _FEE


def settle(
    authorization: Authorization,
    product: Product,
    amount_minor: int,
    final: bool,
    now_us: int,
    event_us: int,
    *,
    purpose: Purpose = _FEE,
    business_reference: str = "",
    wanted_minor: int | None = None,
    meter: Meter = RUNNING,
    handed_over: bool = False,
) -> Step:
    """Captures an amount; the last capture releases the rest of the hold.

    `wanted_minor` is the whole fee of the usage, if it is settled. `handed_over` says that the item
    was returned without a dock. Raises IllegalState unless the item is out. Raises InvalidInput if
    the amount is above the hold, or if the fee is larger than the order, a claimed return, a
    granted complaint or a waiver allows.
    """
    require_capturable(authorization)
    taken = Taken(purpose, amount_minor, business_reference)
    if amount_minor > authorization.held_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.exceeds_hold",
            f"must be at most {authorization.held_minor}, the amount held",
        )
    require_ordered(authorization, purpose, amount_minor)
    if purpose is _FEE:
        require_claimed(authorization, product, amount_minor, now_us, meter)
        require_unwaived(authorization, product, amount_minor, event_us, meter)
    if not final:
        changes, postings = _capture(authorization, amount_minor, purpose)
        left_minor = _uncollected_minor(authorization, changes, taken, wanted_minor)
        changes["uncollected_minor"] = left_minor
        kept, at = taken if amount_minor else None, (Transition.CAPTURED, event_us)
        return step(authorization, postings, *at, taken=kept, **changes)
    return final_capture(
        authorization,
        taken,
        _IN_STATION,
        Transition.HANDED_OVER if handed_over else _BECOMES_SETTLED,
        now_us,
        event_us,
        wanted_minor,
    )


def require_claimed(
    authorization: Authorization, product: Product, amount_minor: int, now_us: int, meter: Meter
) -> None:
    """Raises InvalidInput if the fee has stopped, and the amount would bring the captured fee above
    the fee until that time."""
    if authorization.claim_us is None or not amount_minor:
        return
    most_minor = usage_fee(authorization, product, now_us, meter).total_minor
    if authorization.fee_captured_minor + amount_minor > most_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.exceeds_claim",
            f"must be at most {most_minor}, the fee until the return that was claimed, or until the"
            " time of a granted complaint",
        )


def require_unwaived(
    it: Authorization, product: Product, amount_minor: int, event_us: int, meter: Meter
) -> None:
    """Raises InvalidInput if a part of the fee was waived, and the amount is above the rest."""
    if not meter.pending_minor or not amount_minor:
        return
    most_minor = usage_fee(it, product, event_us, meter).total_minor
    if it.fee_captured_minor + amount_minor > most_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.waived",
            f"must be at most {max(0, most_minor - it.fee_captured_minor)}, the fee without the"
            " waived part",
        )


def usage_amount_minor(authorization: Authorization, total_minor: int) -> int:
    """The part of a fee that is still to be captured: at least 0, at most the amount held."""
    return max(0, min(total_minor - authorization.fee_captured_minor, authorization.held_minor))


CLAIM_RETURN = Act("ClaimReturn", frozenset({State.ACTIVE, State.OVERDUE}))


def claim_return(
    authorization: Authorization, product: Product, claim_us: int, now_us: int
) -> Step:
    """The person claims the return: the fee stops at `claim_us`, and the operator may contest.

    If a granted complaint stopped the fee earlier, that time stays. The time to contest begins at
    `now_us`, however late the claim is told.
    """
    require_rental(authorization)
    require(authorization, CLAIM_RETURN)
    claimed = authorization._replace(
        state=State.RETURN_CLAIMED,
        custody=Custody.UNKNOWN,
        claim_us=earlier_us(authorization, claim_us),
        claim_until_us=now_us + product.policy.claim_window_us,
    )
    return step(claimed, (), Transition.RETURN_CLAIMED, claim_us)


CONTEST_RETURN = Act("ContestReturn", frozenset({State.RETURN_CLAIMED}))


def contest_return(
    authorization: Authorization, now_us: int, granted_us: int | None = None
) -> Step:
    """The operator proves that the item is still out: the rental continues as if nobody had claimed
    the return. The time of a granted complaint, `granted_us`, still stops the fee."""
    require(authorization, CONTEST_RETURN)
    due_us = authorization.due_us
    overdue = due_us is not None and due_us <= now_us
    resumed = authorization._replace(
        state=State.OVERDUE if overdue else State.ACTIVE,
        custody=Custody.OUT,
        claim_us=granted_us,
        claim_until_us=None,
    )
    return step(resumed, (), Transition.RETURN_CONTESTED, now_us)


def accept_claim(authorization: Authorization, product: Product, meter: Meter = RUNNING) -> Step:
    """The operator did not contest in time: the fee until the claim is captured."""
    until_us = authorization.claim_until_us
    if authorization.state is not State.RETURN_CLAIMED or until_us is None:
        raise IllegalState("NOT_CLAIMED", "no return is claimed", authorization.state)
    total_minor = usage_fee(authorization, product, until_us, meter).total_minor
    amount_minor = usage_amount_minor(authorization, total_minor)
    return final_capture(
        authorization,
        Taken(_FEE, amount_minor),
        Custody.IN_STATION,
        Transition.CLAIM_ACCEPTED,
        until_us,
        until_us,
        total_minor,
    )


def lapse_charge(authorization: Authorization) -> Step:
    """A damage charge was not settled in time: captured amounts stand, the rest is released."""
    lapse_us = authorization.expire_us
    if lapse_us is None or not authorization.captured_minor:
        return hold.expire(authorization)
    nothing = Taken(Purpose.DAMAGE, 0)
    return final_capture(
        authorization, nothing, Custody.IN_STATION, Transition.EXPIRED, lapse_us, lapse_us, None
    )


def overdue(authorization: Authorization, product: Product) -> Step:
    """The rental becomes overdue; the hold stays, and the policy's time passes before a loss.

    An earlier build may have written an earlier time of loss.
    """
    if authorization.state is not State.ACTIVE or authorization.due_us is None:
        raise IllegalState(
            "NOT_DUE", "the rental cannot become overdue in this state", authorization.state
        )
    late = authorization._replace(
        state=State.OVERDUE,
        lost_us=hold.put_off(authorization.lost_us, product, authorization.due_us),
    )
    return step(late, (), Transition.OVERDUE, authorization.due_us)


REPORT_LOST = Act("ReportLost", frozenset({State.OVERDUE}))


def lose(
    authorization: Authorization, product: Product, at_us: int, meter: Meter = RUNNING
) -> Step:
    """The item counts as lost: the buy-out cap is captured, at most the amount held.

    If a granted complaint stopped the fee before, no more than that fee is captured.
    """
    require_rental(authorization)
    require(authorization, REPORT_LOST)
    cap_minor = product.tariff.buy_out_minor
    if is_stopped(authorization, at_us):
        cap_minor = min(cap_minor, usage_fee(authorization, product, at_us, meter).total_minor)
    taken = Taken(_FEE, usage_amount_minor(authorization, cap_minor))
    missing = authorization._replace(sold_us=at_us + product.policy.missing_window_us)
    return final_capture(missing, taken, Custody.MISSING, Transition.LOST, at_us, at_us, cap_minor)


def sell(authorization: Authorization) -> Step:
    """The item was not found in time: it counts as sold."""
    if authorization.custody is not Custody.MISSING or authorization.sold_us is None:
        raise IllegalState("NOT_MISSING", "the item is not missing", authorization.state)
    sold = authorization._replace(custody=Custody.SOLD)
    return step(sold, (), Transition.SOLD, authorization.sold_us)


REPORT_FOUND = Act("ReportFound", frozenset({State.SETTLED}))
AWAY = frozenset({Custody.MISSING, Custody.SOLD})
"""Custodies after a loss."""


def require_found(authorization: Authorization, *, dated: bool) -> None:
    """Raises IllegalState unless the item may be reported as docked.

    If the item is neither missing nor sold, only an earlier time of docking changes the charge. The
    report must then have a time.
    """
    require(authorization, REPORT_FOUND)
    require_rental(authorization)
    require_was_out(authorization)
    if authorization.custody not in AWAY and not dated:
        raise IllegalState(
            "NOT_MISSING",
            "the item is not missing; give occurred_at to report an earlier return",
            authorization.state,
        )


def find(
    authorization: Authorization,
    product: Product,
    docked_us: int,
    captures: Sequence[Capture] = (),
    meter: Meter = RUNNING,
) -> Step:
    """The item was docked at `docked_us`: the operator gives back the excess over the fee then.

    The item may be missing or sold, or the rental was settled later than the item was docked. A
    charge never rises.

    Only what was captured for the fee is compared with the tariff and given back: from the due
    amount first, then from the disputed amount, then from the amount written off. A charged-back
    amount stays with the person. Paid amounts are refunded. At last comes the amount that Freehold
    forgave out of goodwill: the operator bears it instead.
    """
    require_found(authorization, dated=True)
    total_minor = unwaived_minor(authorization, product, docked_us, meter)
    return docked(authorization, captures, total_minor, Transition.FOUND, docked_us)


def docked(
    authorization: Authorization,
    captures: Sequence[Capture],
    total_minor: int,
    transition: Transition,
    event_us: int,
    *,
    is_back: bool = True,
) -> Step:
    """The operator gives back the part of the kept fee above the total. Unless `is_back` is false,
    the item is back too. Of the fee that it gave up before, it may regain no more than the total
    leaves."""
    kept_minor = kept_fee_minor(authorization, captures)
    excess_minor = max(0, kept_minor - total_minor)
    missing_minor = max(0, total_minor - authorization.fee_captured_minor)
    uncollected_minor = min(authorization.uncollected_minor, missing_minor)
    found = authorization._replace(uncollected_minor=uncollected_minor)
    if is_back:
        found = found._replace(custody=Custody.IN_STATION, sold_us=None, claim_until_us=None)
    found, postings, parts = give_fee_back(found, captures, excess_minor)
    given = step(found, postings, transition, event_us, parts=parts)
    return given._replace(regain_minor=max(0, total_minor - kept_minor))


def _fee_captures(it: Authorization, captures: Sequence[Capture]) -> list[Capture]:
    return [one for one in corrections.newest_first(it, captures) if one.purpose is _FEE]


def kept_fee_minor(it: Authorization, captures: Sequence[Capture]) -> int:
    """The amount captured for the fee that the operator has not given up."""
    return sum([one.kept_minor for one in _fee_captures(it, captures)])


def give_fee_back(
    it: Authorization, captures: Sequence[Capture], amount_minor: int
) -> tuple[Authorization, tuple[Posting, ...], tuple[Part, ...]]:
    """The operator gives up a part of the captured fee, at most the part that it has kept."""
    fee = _fee_captures(it, captures)
    open_minor = sum(one.open_minor for one in fee)
    disputed_minor = sum(one.disputed_minor for one in fee)
    given, postings = concessions.give_back(it, amount_minor, open_minor, disputed_minor)
    of_disputes_minor = it.disputed_minor - given.disputed_minor
    parts = corrections.given_back(fee, amount_minor - of_disputes_minor, of_disputes_minor)
    return given, postings, parts
