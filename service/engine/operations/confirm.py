"""Confirm: the cash part of an offer was paid."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import hold
from service.domain.authorization import State
from service.domain.money import Money
from service.engine import deposits
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.groups import members_in
from service.engine.operation import Asks, Operation, of_group, of_payment
from service.engine.posting import (
    apply,
    finish,
    opened,
    payment_of,
    positive_minor,
)
from service.engine.records.payments import PaymentKind
from service.engine.references import require_new_payment
from service.engine.rows import Keys, Rows
from service.engine.second_uses import case_of_second_use
from service.engine.tables import PAYMENTS


@dataclass(frozen=True, slots=True)
class Confirm(AuthorizationCommand):
    """Confirm the payment of an offer's cash part; for a group, of all cash parts together."""

    payment_reference: str
    paid: Money
    rail_account: str = ""


def wanted(caller: str, it: Confirm, keys: Keys) -> None:
    """Needs the payment and the whole group."""
    of_group(caller, it, keys)
    of_payment(caller, it, keys)


def decide(work: Work, it: Confirm, rows: Rows, context: Context) -> Decided:
    """Holds the offered amount; if that is no longer possible, the payment is owed back.

    A payment is never refused because of changes since the offer: the payment is recorded, and owed
    back. In a group, the payment counts for all members that are still offered, and the call may
    name any member.
    """
    current, line, draft = opened(work.caller, it, rows, context)
    counted = require_new_payment(work.caller, it, current.currency, rows, context)
    paid_minor = positive_minor(it.paid, current, "paid")
    hold.require_asked(current)
    draft[PAYMENTS].append(payment_of(counted, PaymentKind.DEPOSIT, current, paid_minor, context))
    members = members_in(current, State.OFFERED, line, draft, rows, context)
    cash_minor = sum(it.cash_minor for it in members)
    late = current.state is not State.OFFERED
    if late and (not members or paid_minor < cash_minor):
        return finish(
            draft, hold.owe_back(current, paid_minor, context.now_us), line, rows, context
        )
    deposits.require_enough(members, paid_minor, "paid")
    obstacle = deposits.obstacle_of(members, line, rows, context)
    spare_minor = paid_minor - cash_minor if obstacle is None else paid_minor
    if late and spare_minor:
        step = hold.owe_back(current, spare_minor, context.now_us)
        current = apply(draft, step, line, rows, context)
    result = deposits.take(members, current, paid_minor, obstacle, line, draft, rows, context)
    return Decided(draft, result, result.user_id, result.authorization_id)


CONFIRM = Operation(Confirm, wanted, decide, asks=Asks(), leaves=case_of_second_use)
