"""Operators' balances, read outside any write transaction."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from service.storage import schema as t
from service.storage.database import reading
from service.storage.known_operators import require_operator


def payables_of(engine: Engine, operator_id: str) -> dict[str, int]:
    """An operator's balance in minor units by currency; negative if the operator owes.

    Raises NotFound if there is no such operator.
    """
    owed = t.operator_payables.c
    balances = (
        select(owed.currency, func.sum(owed.amount_minor))
        .where(owed.operator_id == operator_id)
        .group_by(owed.currency)
    )
    with reading(engine) as connection:
        require_operator(connection, operator_id)
        return {row[0]: int(row[1]) for row in connection.execute(balances)}
