"""Rows of the terms that the database's rules refuse, inserted by SQL past the rules."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Engine

from service.storage.schema import products

BAD_POLICY = "UPDATE products SET policy_id = 'nothing' WHERE operator_id = 'city'"
"""The row of the fault A8."""
FREE = (
    '{"buy_out_minor":0,"first_use_minutes":0,"free":"DEDUCTED","free_minutes":0,'
    '"rounding":"STARTED","start_fee_minor":0}'
)
"""A tariff of arithmetic 2; the columns beside it would need other values."""
ON_SQLITE = [
    f"UPDATE products SET {change} WHERE operator_id = 'city' AND product_id = 'bike'"
    for change in (
        "deposit_minor = -1",
        "deposit_minor = 'much'",
        "deposit_minor = 1.5",
        "day_cap_minor = -1",
        "interval_minutes = 0",
        "interval_minutes = 'short'",
        "free_minutes = -1",
        "buy_out_minor = x'00'",
        "currency = CAST(x'ff' AS TEXT)",
        "category = x'00'",
        "policy_id = CAST(x'ff' AS TEXT)",
        "revision = 'last'",
        "most_hold_minor = deposit_minor - 1",
        "most_hold_minor = 'all'",
        "line_items = 'USAGE'",
        "tariff = x'00'",
    )
]
ON_BOTH = [
    f"UPDATE products SET {change} WHERE operator_id = 'city' AND product_id = 'bike'"
    for change in (
        "policy_id = 'nothing'",
        "policy_revision = 7",
        "deposit_minor = 9000000000000000000, most_hold_minor = NULL",
        "currency = 'yen'",
        """line_items = '["usage"]'""",
        """line_items = '["USAGE",1,"x"]'""",
        """line_items = '["USAGE","USAGE"]'""",
        "interval_minutes = 2147483647",
        "interval_minutes = 2147483647, tariff = '{}'",
        f"interval_minutes = 2147483647, tariff = '{FREE}'",
    )
]
"""Each statement makes city's bike wrong, and nothing else."""


def copied_product(where: str, **changes: object) -> str:
    """A statement that copies products with changes, which are SQL."""
    picked = (str(changes.get(it, it)) for it in products.columns.keys())  # noqa: SIM118
    names = ", ".join(products.columns.keys())
    return f"INSERT INTO products ({names}) SELECT {', '.join(picked)} FROM products WHERE {where}"


def plant(engine: Engine, *statements: str) -> None:
    """Runs SQL without the database's rules.

    On SQLite neither foreign keys nor CHECKs are checked; on PostgreSQL foreign keys are not.
    """
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(str(engine.url.database))) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                connection.execute(statement)
        return
    with engine.begin() as session:
        session.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in statements:
            session.exec_driver_sql(statement)


def spoiled_bikes(engine: Engine) -> Iterator[str]:
    """Statements that this kind of database accepts."""
    yield from ON_BOTH
    if engine.dialect.name == "sqlite":
        yield from ON_SQLITE


def rows(engine: Engine, table: str) -> list[tuple[Any, ...]]:
    """All rows of a table."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        return [tuple(row) for row in found]


def forget_documents(connection: Connection) -> None:
    """Removes the documents of all terms, so that their rows are like those of an earlier build.

    Then a test may change rows by hand: the verifier compares a row with its document.
    """
    for table in ("compiled_products", "terms_documents"):
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            connection.exec_driver_sql(f"DELETE FROM {table}")
            connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            continue
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
        triggers = connection.exec_driver_sql(query, (table,)).all()
        for name, _ in triggers:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(f"DELETE FROM {table}")
        for _, sql in triggers:
            connection.exec_driver_sql(sql)


def forget_documents_in(engine: Engine) -> None:
    """The same in a transaction of its own."""
    with engine.begin() as connection:
        forget_documents(connection)
