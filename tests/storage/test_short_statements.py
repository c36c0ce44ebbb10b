"""Statements of batches with few rows: nothing is copied on the way, and one row is written by the
rules of many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from copy import copy
from typing import Any

import pytest
from sqlalchemy import create_engine

from service.domain.authorization import Authorization
from service.engine.ports import Conflict
from service.engine.rows import Rows, Wish
from service.engine.tables import AUTHORIZATIONS, LINES, OPEN_ITEMS, TABLES, Table
from service.storage import schema
from service.storage.row_statements import RowsStatement
from service.storage.sqlite import ROWS_TOGETHER
from service.storage.statements import statements_of
from tests.engine.calls import authorize, line, rental
from tests.fakes import Desk

COPIES = "OpenEphemeral"
"""The step of SQLite's machine that makes a table of its own."""

NUMBERS = (1, 2, ROWS_TOGETHER + 1)
"""Numbers of rows: a statement for one row, one for several, and one of each."""


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    """An empty database of the driver's with the tables of this build."""
    engine = create_engine("sqlite://")
    schema.metadata.create_all(engine)
    with engine.connect() as opened:
        driver: Any = opened.connection.driver_connection
        yield driver


def steps(connection: sqlite3.Connection, statement: RowsStatement, rows: int) -> list[str]:
    """The steps of SQLite's machine for a statement with so many rows."""
    text, values = statement.bound([(1,) * len(statement.columns)] * rows)
    return [step[1] for step in connection.execute(f"EXPLAIN {text}", values)]


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 40), reason="an older SQLite copies them")
@pytest.mark.parametrize("rows", [1, ROWS_TOGETHER])
def test_sqlite_takes_the_keys_of_a_read_as_they_come(
    connection: sqlite3.Connection, rows: int
) -> None:
    """On SQLite no read of a batch by keys copies the keys into a table of its own."""
    built = statements_of(create_engine("sqlite://"))
    reads = [it for table in built.tables.values() for it in table.read.values()]
    for read in (*reads, built.features):
        assert COPIES not in steps(connection, read, rows), read.bound([(1,)])[0]


def test_sqlite_changes_one_row_without_a_copy(connection: sqlite3.Connection) -> None:
    """On SQLite a change or a deletion of a single row makes no table on the way."""
    built = statements_of(create_engine("sqlite://")).tables
    found = 0
    for table in TABLES:
        of = built[table]
        writings = [it.statement for it in (of.update, of.usual_update) if it is not None]
        for statement in (*writings, *([of.delete] if of.delete else [])):
            assert COPIES not in steps(connection, statement, 1), table
            assert COPIES in steps(connection, statement, 2), table
            found += 1
    assert found


def rentals(desk: Desk, people: int) -> list[Authorization]:
    """An open rental of each person, with an item of its own."""
    names = [f"p-{number}" for number in range(people)]
    desk.put_users(**dict.fromkeys(names, 700))
    return [rental(desk, authorize(name, asset_id=f"item-{name}")) for name in names]


@pytest.mark.parametrize("people", NUMBERS)
@pytest.mark.parametrize("table", [AUTHORIZATIONS, LINES], ids=str)
def test_a_row_that_changed_meanwhile_is_a_conflict_alone_and_among_others(
    desk: Desk, table: Table[Any, Any], people: int
) -> None:
    """A row whose version is not the one read is a conflict, whatever the number of rows."""
    them = rentals(desk, people)
    its: list[Any] = them if table is AUTHORIZATIONS else [line(desk, it.user_id) for it in them]
    key_of: Any = table.key_of
    rows = Rows()
    rows.changed[table] = {key_of(it): it for it in its}
    rows.read[table] = dict(rows.changed[table])
    with desk.store.begin() as transaction:
        transaction.write(rows)
    older = copy(its[-1]) if table is LINES else its[-1]._replace(version=its[-1].version - 1)
    if table is LINES:
        older.version -= 1
    rows.read[table][key_of(older)] = older
    with pytest.raises(Conflict), desk.store.begin() as transaction:
        transaction.write(rows)


@pytest.mark.parametrize("people", NUMBERS)
def test_an_item_that_another_rental_took_is_not_given_back(desk: Desk, people: int) -> None:
    """An item is deleted only while the rental that was read has it, whatever the number of
    items."""
    keys = {(it.operator_id, it.asset_id) for it in rentals(desk, people)}
    rows = Rows()
    with desk.store.begin() as transaction:
        transaction.read(rows, [Wish(OPEN_ITEMS, OPEN_ITEMS.key, keys)])
    rows.changed[OPEN_ITEMS] = dict.fromkeys(keys)
    key = min(keys)
    own = rows.read[OPEN_ITEMS][key]
    rows.read[OPEN_ITEMS][key] = own._replace(authorization_id="another")
    with pytest.raises(Conflict), desk.store.begin() as transaction:
        transaction.write(rows)
    rows.read[OPEN_ITEMS][key] = own
    with desk.store.begin() as transaction:
        transaction.write(rows)
        again = Rows()
        transaction.read(again, [Wish(OPEN_ITEMS, OPEN_ITEMS.key, keys)])
    assert not again[OPEN_ITEMS]
