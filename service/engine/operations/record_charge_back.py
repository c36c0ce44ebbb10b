"""RecordChargeBack: the user's bank took a payment back."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import charge_backs
from service.domain.ledger import Account
from service.domain.money import Money
from service.domain.suspense import Direction, SuspenseItem
from service.engine import group_deposits
from service.engine.calls import AuthorizationCommand, ChargedBack, Work
from service.engine.charge_backs import (
    left_of,
    payments_taken_back,
    require_here,
    require_new_case,
    require_new_row,
)
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_payment
from service.engine.posting import apply, opened, payment_of, positive_minor
from service.engine.records.payments import PaymentKind
from service.engine.references import require_new_payment
from service.engine.rows import Keys, Rows
from service.engine.second_uses import case_of_second_use
from service.engine.tables import CHARGE_BACKS, PAYMENTS
from service.engine.unmatched_cases import ask_about

_SUSPENSE = Account.SUSPENSE


@dataclass(frozen=True, slots=True)
class RecordChargeBack(AuthorizationCommand):
    """Record that the user's bank took a payment back.

    `payment_reference` is the id of the bank's case. `payment` is the reference of the payment that
    was taken back; it may be empty.
    """

    payment_reference: str
    amount: Money
    rail_account: str = ""
    payment: str = ""


def wanted(caller: str, it: RecordChargeBack, keys: Keys) -> None:
    """Needs the payment that was taken back, and the earlier charge-backs of the same payment."""
    of_payment(caller, it, keys)
    keys.charge_backs.add(it.user_id)
    keys.carried.add((it.user_id, it.authorization_id))
    if it.payment:
        # A deposit may have been recorded at another authorization of the group.
        keys.together.add((it.user_id, it.authorization_id))
        keys.taken_back.add((it.user_id, it.authorization_id, it.payment))


def decide(work: Work, it: RecordChargeBack, rows: Rows, context: Context) -> Decided:
    """Posts the step, and records the case, whose id can be used only once."""
    current, line, draft = opened(work.caller, it, rows, context)
    now_us = context.now_us
    if it.payment and not it.rail_account:
        require_new_case(current, it.payment_reference, rows)
    counted = require_new_payment(work.caller, it, current.currency, rows, context, taken_back=True)
    owner, case_id = counted
    require_new_row(current, case_id, it.rail_account, rows)
    amount_minor = positive_minor(it.amount, current)
    payments = payments_taken_back(current, it.payment, rows) if it.payment else []
    require_here(current, payments, it.payment, amount_minor, rows)
    most_minor = left_of(current, payments, it.payment, rows) if it.payment else None
    step = charge_backs.charge_back(current, amount_minor, now_us, most_minor)
    suspense_minor = sum([one.amount_minor for one in step.postings if one.debit is _SUSPENSE])
    case = charge_backs.opened(
        current, owner, case_id, it.payment, amount_minor, suspense_minor, now_us
    )
    draft[CHARGE_BACKS].append(case)
    draft[PAYMENTS].append(payment_of(counted, PaymentKind.CASE, current, amount_minor, context))
    result = apply(draft, step, line, rows, context)
    if suspense_minor:
        item = SuspenseItem(
            owner,
            case_id,
            current.user_id,
            current.authorization_id,
            Direction.OUT,
            suspense_minor,
            current.currency,
            now_us,
            suspense_minor,
        ).sealed()
        left_minor = (most_minor or 0) - case.charged_minor
        item = group_deposits.spread(
            result, item, payments, it.payment, left_minor, line, draft, rows, context
        )
        ask_about(draft, item)
    return Decided(draft, ChargedBack(result, case), result.user_id, result.authorization_id)


RECORD_CHARGE_BACK = Operation(RecordChargeBack, wanted, decide, leaves=case_of_second_use)
