"""Charge-backs that are reopened: the bank decides the other way, and a decision is undone."""

from __future__ import annotations

from collections.abc import Iterable

from service.domain.acts import require
from service.domain.authorization import HOLDING, Authorization, Custody, State, Step, step
from service.domain.captures import WITHOUT_ROW, Part, spread
from service.domain.charge_backs import RESOLVE_CHARGE_BACK, ChargeBack, changed
from service.domain.errors import IllegalState
from service.domain.ledger import Account, Posting
from service.domain.money import share_minor
from service.domain.transitions import Transition


def reopen(
    it: Authorization,
    case: ChargeBack,
    now_us: int,
    conceded: Iterable[tuple[int, int]] = (),
    left_minor: int | None = None,
    room_minor: int | None = None,
) -> tuple[Step, ChargeBack]:
    """Undoes a decision: all of the case is open again.

    If the decision went against the person, the bank has now taken the money once more. The bank
    can have taken at most `left_minor`, the part of the payment that no other case has taken; None
    if no payment was named. If the decision went for the person, everyone gets back what the
    decision took. `conceded` has the number of each capture that the decision conceded, with the
    amount that the capture may get back, captures for the fee last. `room_minor` is the amount by
    which the hold may grow, or None for any amount. Money that has no place any more is owed to the
    person: a deposit of a closed rental, a deposit above what the authorization may hold, a debt
    that was paid since, and an amount that the operator gave up when the item was found or the fee
    was waived. Raises IllegalState if the authorization or the payment has less money left than the
    bank took.
    """
    require(it, RESOLVE_CHARGE_BACK)
    if case.overturned_minor:
        amount_minor = case.overturned_minor
        most_minor = it.chargeable_back_minor
        if left_minor is not None:
            most_minor = min(most_minor, left_minor)
        if amount_minor > most_minor:
            raise IllegalState(
                "NOTHING_LEFT_TO_TAKE_BACK",
                f"the bank can take back only {most_minor} of this payment or authorization;"
                " record the rest as a separate case that names its payment",
                it.state,
            )
        again = it._replace(charged_back_minor=it.charged_back_minor + amount_minor)
        posting = Posting(Account.RECEIVABLE_CHARGED_BACK, Account.CASH, amount_minor)
        taken = step(
            again,
            (posting,),
            Transition.CHARGE_BACK_REOPENED,
            now_us,
            parts=(Part(WITHOUT_ROW, amount_minor),),
        )
        return taken, changed(
            case,
            open_minor=case.open_minor + amount_minor,
            overturned_minor=0,
            reopened=case.reopened + 1,
        )
    amount_minor = case.kept_minor
    undone, postings, parts = _undo(it, case, conceded, room_minor)
    back = step(undone, postings, Transition.CHARGE_BACK_REOPENED, now_us, parts=parts)
    return back, changed(
        case,
        open_minor=case.open_minor + amount_minor,
        **dict.fromkeys(_KEPT, 0),
        reopened=case.reopened + 1,
    )


_KEPT = (
    *("owed_minor", "held_minor", "conceded_minor", "goodwill_minor", "recovered_minor"),
    *("overpaid_minor", "found_minor"),
)


def _regained_minor(it: Authorization, case: ChargeBack) -> int:
    """The amount of the charge that the operator gets back: all that the case took from it.

    An earlier build let a case keep its whole charge when the item was found. So the fee of the
    order is a bound, except while the price of an item that is not back may be kept.
    """
    away = it.state is State.SETTLED and it.custody is not Custody.IN_STATION
    if it.order_fee_minor is None or away:
        return case.conceded_minor
    kept_minor = it.fee_captured_minor - it.conceded_minor
    return max(0, min(case.conceded_minor, it.order_fee_minor - kept_minor))


def _undo(
    it: Authorization,
    case: ChargeBack,
    conceded: Iterable[tuple[int, int]],
    room_minor: int | None,
) -> tuple[Authorization, tuple[Posting, ...], tuple[Part, ...]]:
    amount_minor = case.kept_minor
    held_minor = case.held_minor if it.state in HOLDING else 0
    if room_minor is not None:
        # The hold may have grown since.
        held_minor = min(held_minor, room_minor)
    recovered_minor = min(case.recovered_minor, it.unrecovered_minor)
    twice_minor = min(case.overpaid_minor, it.overpaid_minor)
    lost_minor = min(case.overpaid_minor - twice_minor, it.overpaid_written_off_minor)
    # The operator may have given up since what Freehold bore.
    goodwill_minor = min(case.goodwill_minor, it.goodwill_minor)
    regained_minor = _regained_minor(it, case)
    charge_minor = regained_minor + goodwill_minor
    owed_minor = (
        amount_minor - held_minor - recovered_minor - twice_minor - lost_minor - charge_minor
    )
    conceded_minor = it.conceded_minor - regained_minor
    fee_minor = share_minor(it.captured_minor - conceded_minor, it.fee_bp)
    undone = it._replace(
        charged_back_minor=it.charged_back_minor + amount_minor,
        received_minor=it.received_minor + amount_minor,
        refund_payable_minor=it.refund_payable_minor + owed_minor,
        cash_minor=it.cash_minor + held_minor,
        held_cash_minor=it.held_cash_minor + held_minor,
        recovered_minor=it.recovered_minor + recovered_minor,
        overpaid_minor=it.overpaid_minor - twice_minor,
        overpaid_written_off_minor=it.overpaid_written_off_minor - lost_minor,
        conceded_minor=conceded_minor,
        fee_minor=fee_minor,
        refunded_minor=it.refunded_minor - charge_minor,
    )
    earned_minor = fee_minor - it.fee_minor
    charged_back = Account.RECEIVABLE_CHARGED_BACK
    postings = (
        Posting(charged_back, Account.OPERATOR_PAYABLE, regained_minor - earned_minor),
        Posting(charged_back, Account.FEE_INCOME, earned_minor),
        Posting(charged_back, Account.GOODWILL, goodwill_minor),
        Posting(charged_back, Account.RECOVERY, recovered_minor),
        Posting(charged_back, Account.DEPOSIT, held_minor),
        Posting(charged_back, Account.OVERPAID, twice_minor),
        Posting(charged_back, Account.CREDIT_LOSS, lost_minor),
        Posting(charged_back, Account.REFUND_PAYABLE, owed_minor),
    )
    parts = [Part(number, minor, -minor) for number, minor in spread(conceded, regained_minor)]
    rest_minor = amount_minor - regained_minor
    if rest_minor:
        parts.append(Part(WITHOUT_ROW, rest_minor))
    return undone, postings, tuple(parts)
