"""BuyPass: a person buys a pass of an operator."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import debts
from service.domain.details import require_price
from service.domain.errors import IllegalState
from service.domain.ledger import Standing
from service.domain.policy import Reason
from service.engine import pass_sales
from service.engine.calls import PassTold, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.posting import apply
from service.engine.records.debts import DebtRecord
from service.engine.rows import Rows
from service.engine.tables import DEBTS, PASSES


@dataclass(frozen=True, slots=True)
class BuyPass:
    """Sell a person a pass of a product's tariff, for the tariff's price.

    The fields are those of GrantPass. `price_hash` is the hash of the product's price that the
    person was shown; an empty one is not compared.
    """

    user_id: str
    product_id: str
    name: str
    from_us: int | None = None
    reference: str = ""
    price_hash: str = ""


def decide(work: Work, it: BuyPass, rows: Rows, context: Context) -> Decided:
    """Adds the pass, and books its price as a debt that cites it. A beginning before now is taken
    as now."""
    from_us = context.now_us if it.from_us is None else max(it.from_us, context.now_us)
    held, product, line, draft = pass_sales.begin(work, it, from_us, rows, context)
    if line.standing is Standing.SUSPENDED:
        raise IllegalState(Reason.USER_SUSPENDED, "the person is suspended and buys no pass", "")
    if it.price_hash:
        require_price(product, it.price_hash)
    debt_id = context.ids.new(context.now_us)
    fee_bp = context.catalog.operators[work.caller].fee_bp
    step = debts.book_pass(
        debts.Cited(held.user_id, held.pass_id, fee_bp),
        product,
        debt_id,
        work.request_id,
        held.price_minor,
        context.now_us,
    )
    draft[DEBTS].append(
        DebtRecord(
            held.user_id,
            held.pass_id,
            Reason.PASS_BOUGHT,
            debt_id,
            held.operator_id,
            held.price_minor,
            held.currency,
            "",
            "",
            context.now_us,
        )
    )
    bought = held._replace(authorization_id=debt_id)
    draft[PASSES].append(bought)
    result = apply(draft, step, line, rows, context)
    return Decided(draft, PassTold(bought, result), result.user_id, debt_id)


BUY_PASS = Operation(BuyPass, pass_sales.wanted, decide, scored=True)
