"""Payments between Freehold and an operator."""

from __future__ import annotations

from typing import Any

from service.domain.errors import IllegalState, InvalidInput, NotFound
from service.domain.ledger import Account, Posting, operator_account, post
from service.domain.transitions import Transition
from service.engine.calls import Paid
from service.engine.context import Context, Decided
from service.engine.people import announce_of
from service.engine.posting import line_for
from service.engine.records.payments import PaymentKind, PaymentRecord
from service.engine.references import of_reference, require_new_payment
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import ENTRIES, LINES, PAYMENTS


def of_balance(caller: str, it: Any, keys: Keys) -> None:
    """Adds the keys of the operator's account, its balance, and the payment."""
    keys.users.add(operator_account(it.operator_id))
    keys.operators.add(it.operator_id)
    of_reference(caller, it, keys)
    keys.payable.add((it.operator_id, it.amount.currency))
    keys.balances.add((it.operator_id, it.amount.currency))


def moved(
    caller: str,
    command: Any,
    posting: Posting,
    transition: Transition,
    kind: PaymentKind,
    rows: Rows,
    context: Context,
) -> Decided:
    """Posts a payment between Freehold and an operator, and records its reference."""
    if command.operator_id not in context.catalog.operators:
        raise NotFound("operator", command.operator_id)
    amount_minor, currency = command.amount.amount_minor, command.amount.currency
    counted = require_new_payment(caller, command, currency, rows, context)
    if currency not in context.catalog.limit_steps:
        raise InvalidInput.of(
            "amount.currency_code", "currency.unknown", f"currency {currency} is not configured"
        )
    owed_minor = rows.payable_minor(command.operator_id, currency)
    if amount_minor == 0:
        raise InvalidInput.of("amount.amount_minor", "amount.positive", "must be more than zero")
    outward = posting.credit is Account.CASH
    if outward and amount_minor > owed_minor:
        raise IllegalState("PAYABLE_EXCEEDED", f"the operator is owed only {owed_minor}", "")
    account = operator_account(command.operator_id)
    line, _ = line_for(account, currency, rows, context)
    entries = post(
        line,
        (posting,),
        transition,
        operator_id=command.operator_id,
        authorization_id="",
        event_us=context.now_us,
        now_us=context.now_us,
    )
    draft = Draft(list)
    draft[LINES].append(line)
    draft[ENTRIES] = entries
    draft[PAYMENTS].append(
        PaymentRecord(
            *counted,
            kind,
            account,
            "",
            amount_minor,
            currency,
            context.now_us,
        )
    )
    announce_of(draft, transition, account, context)
    left_minor = owed_minor - amount_minor if outward else owed_minor + amount_minor
    paid = Paid(command.operator_id, currency, amount_minor, left_minor)
    return Decided(draft, paid, account, "")
