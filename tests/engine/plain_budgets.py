"""Budgets of exposure told a second time: all that rentals hold is summed up for each order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.engine.plain_terms import DAY_US, Row

if TYPE_CHECKING:
    from tests.engine.reference import Reference


def left(of: Reference, operator_id: str, products: Sequence[Row], now_us: int) -> int | None:
    """The amount that the budgets of products leave; None if they have none."""
    budgets = {
        (terms["policy"], row.get("span", "OPEN"))
        for terms in products
        for row in terms["rules"].get("budget", [])
    }
    if not budgets:
        return None
    return min(
        max(0, of.budgets_in_force[name] - exposure(of, operator_id, *name, now_us))
        for name in budgets
    )


def exposure(of: Reference, operator_id: str, policy: str, span: str, now_us: int) -> int:
    """The amounts on credit that a budget counts: held now, or held since midnight."""
    if span == "DAY":
        return of.held_on.get((operator_id, policy, now_us // DAY_US), 0)
    return sum(
        it["held_credit"]
        for it in of.rentals.values()
        if it["operator_id"] == operator_id
        and it["terms"]["policy"] == policy
        and "OPEN" in spans(it["terms"])
    )


def spans(terms: Row) -> list[str]:
    """The spans of the budgets of a policy."""
    return [row.get("span", "OPEN") for row in terms["rules"].get("budget", [])]
