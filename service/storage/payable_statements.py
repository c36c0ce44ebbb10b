"""Takes portions of operators' balances, and reads what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Dialect, bindparam, delete, func, literal_column, select
from sqlalchemy.sql.elements import ClauseElement

from service.storage import schema


class PlainStatement(NamedTuple):
    """A statement, the dialect of its database, and its parameters in their order."""

    statement: ClauseElement
    dialect: Dialect
    parameters: Sequence[str]


def take_payables(dialect: Dialect, rows: int) -> PlainStatement:
    """Deletes the oldest rows of an operator's balance, and returns their amounts."""
    payables = schema.operator_payables
    oldest = payables.alias("oldest")
    batches = (
        select(oldest.c.batch_id)
        .where(
            oldest.c.operator_id == bindparam("of_operator_id"),
            oldest.c.currency == bindparam("in_currency"),
        )
        .order_by(oldest.c.batch_id)
        .limit(literal_column(str(rows)))
        .offset(literal_column("0"))  # SQLite would make it a parameter
        # PostgreSQL locks the rows in this order, so that two processes do not deadlock.
        .with_for_update()
    )
    statement = (
        delete(payables)
        .where(
            payables.c.operator_id == bindparam("operator_id"),
            payables.c.currency == bindparam("currency"),
            payables.c.batch_id.in_(batches),
        )
        .returning(payables.c.amount_minor)
    )
    names = ("operator_id", "currency", "of_operator_id", "in_currency")
    return PlainStatement(statement, dialect, names)


def payable_left(dialect: Dialect) -> PlainStatement:
    """Reads an operator's balance, by operator id and currency."""
    p = schema.operator_payables.c
    total = func.coalesce(func.sum(p.amount_minor), literal_column("0"))
    statement = select(total).where(
        p.operator_id == bindparam("operator_id"), p.currency == bindparam("currency")
    )
    return PlainStatement(statement, dialect, ("operator_id", "currency"))
