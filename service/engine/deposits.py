"""The deposit of an offer, or of a group's offers: it is paid, and all parts are held."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.domain import hold
from service.domain.authorization import Authorization, Step
from service.domain.errors import InvalidInput
from service.domain.ledger import Line, Standing
from service.domain.policy import Reason
from service.engine.budgets import budget_left_minor
from service.engine.context import Context
from service.engine.counts import obstacle_by_rules
from service.engine.exposure import free_minor
from service.engine.groups import product_of_member, taken_among
from service.engine.posting import apply, claim
from service.engine.rows import Draft, Rows


def require_enough(members: Sequence[Authorization], paid_minor: int, field: str) -> int:
    """The cash parts of offers together, in minor units; raises InvalidInput if less was paid."""
    cash_minor = sum(it.cash_minor for it in members)
    if paid_minor < cash_minor:
        raise InvalidInput.of(
            f"{field}.amount_minor", "paid.too_little", f"must be at least {cash_minor}, as offered"
        )
    return cash_minor


def obstacle_of(
    members: Sequence[Authorization], line: Line, rows: Rows, context: Context
) -> str | None:
    """The reason why offers cannot be held any more, or None."""
    if line.standing is Standing.SUSPENDED:
        return Reason.USER_SUSPENDED
    credit_minor = sum(it.credit_minor for it in members)
    if credit_minor > free_minor(line, rows, context):
        return Reason.LINE_EXHAUSTED
    if rows.budgets is not None and members:
        products = [product_of_member(it, context) for it in members]
        left_minor = budget_left_minor(members[0].operator_id, products, rows)
        if left_minor is not None and credit_minor > left_minor:
            return Reason.BUDGET_EXHAUSTED
    return taken_among(list(members), rows) or obstacle_by_rules(members, rows, context)


def take(
    members: Sequence[Authorization],
    named: Authorization,
    paid_minor: int,
    obstacle: str | None,
    line: Line,
    draft: Draft,
    rows: Rows,
    context: Context,
    source: Callable[[Step], Step] = lambda step: step,
) -> Authorization:
    """Holds offers whose deposits were paid together, or declines them all for an obstacle.

    `named` is the member that the call names: an amount above the deposits is owed back to this
    member. `source` records the origin of the money in each step. Returns the named member after
    its step; if the member is not among the offers, it is returned unchanged.
    """
    result = named
    cash_minor = sum(it.cash_minor for it in members)
    for member in members:
        is_named = member.authorization_id == named.authorization_id
        excess_minor = paid_minor - cash_minor if is_named else 0
        if obstacle is not None:
            owed_minor = paid_minor if is_named else 0
            step = hold.declined(member, obstacle, owed_minor, context.now_us)
        else:
            step = hold.confirm(
                member,
                product_of_member(member, context),
                member.cash_minor + excess_minor,
                context.now_us,
                excess_minor=excess_minor,
            )
            claim(draft, step.authorization)
        after = apply(draft, source(step), line, rows, context)
        result = after if is_named else result
    return result
