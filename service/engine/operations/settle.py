"""Settle: capture an amount, or the fee for the usage."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import authorization as life
from service.domain import settlement
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Settled, Work
from service.engine.context import Context, Decided
from service.engine.occurrence import occurred_us
from service.engine.operation import Operation, of_authorization
from service.engine.posting import apply, minor_of, opened, product_of
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class Settle(AuthorizationCommand):
    """Capture `amount`, or, if it is None, the fee of the usage until `occurred_us`.

    `final` closes the authorization. `occurred_us` None means now.
    """

    amount: Money | None
    final: bool
    occurred_us: int | None = None


def decide(work: Work, it: Settle, rows: Rows, context: Context) -> Decided:
    """Captures an amount or the usage fee; the answer has the lines of the fee."""
    current, line, draft = opened(work.caller, it, rows, context)
    settlement.require_capturable(current)
    product = product_of(current, context)
    event_us = occurred_us(
        work.caller,
        settlement.SETTLE,
        it.occurred_us,
        current,
        product.policy,
        draft,
        context.now_us,
    )
    fee = None
    if it.amount is None:
        life.require_rental(current)
        fee = settlement.usage_fee(current, product, event_us)
        amount_minor = settlement.usage_amount_minor(current, fee.total_minor)
    else:
        amount_minor = minor_of(it.amount, current)
    step = settlement.settle(current, product, amount_minor, it.final, context.now_us, event_us)
    result = apply(draft, step, line, rows, context)
    return Decided(draft, Settled(result, fee), result.user_id, result.authorization_id)


SETTLE = Operation(Settle, of_authorization, decide)
