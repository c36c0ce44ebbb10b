"""Rows of one table, read in a transaction or made as a batch makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from service.engine.ports import Transaction
from service.engine.rows import Rows, Wish
from service.engine.tables import Key, Row, Table


def read(
    transaction: Transaction,
    table: Table[Key, Row],
    keys: Iterable[Any],
    by: tuple[str, ...] = (),
) -> dict[Key, Row]:
    """The rows of a table with these keys, or with these values in the columns `by`."""
    rows = Rows()
    transaction.read(rows, [Wish(table, by or table.key, set(keys))])
    return rows[table]


def changed(
    table: Table[Key, Row],
    rows: Mapping[Key, Row | None],
    read: Mapping[Key, Row] | None = None,
) -> Rows:
    """A batch that has read the first rows (none by default) and changed them to the second
    ones."""
    made = Rows()
    made.read[table].update(read or {})
    made.changed[table] = dict(rows)
    return made


def let_rows_be_removed(engine: sa.Engine, tables: Iterable[sa.Table]) -> None:
    """Removes the triggers by which tables refuse changes."""
    with engine.begin() as connection:
        for table in tables:
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql(f"ALTER TABLE {table.name} DISABLE TRIGGER USER")
                continue
            triggers = "SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name=?"
            for name in connection.exec_driver_sql(triggers, (table.name,)).scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")


def keep_rows_again(engine: sa.Engine, tables: Iterable[sa.Table]) -> None:
    """Lets the triggers of `let_rows_be_removed` refuse changes again.

    On PostgreSQL the next test gets the same database; on SQLite it gets another file.
    """
    if engine.dialect.name != "postgresql":
        return
    with engine.begin() as connection:
        for table in tables:
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ENABLE TRIGGER USER")
