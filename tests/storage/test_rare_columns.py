"""Statements of a batch without rare columns, and their numbers of rows."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.authorization import Authorization
from service.domain.ledger import Line
from service.engine.calls import Settled
from service.engine.rows import Rows, Wish
from service.engine.tables import AUTHORIZATIONS, LINES, TABLES, Table
from service.storage.row_statements import MOST_ROWS, RowsStatement
from service.storage.sqlite import ROWS_TOGETHER
from tests.engine.calls import authorize, line, pay, rental, settle, stored
from tests.fakes import Desk


def authorizations(desk: Desk, people: int) -> list[Authorization]:
    """A settled rental of each person, written in one batch each time."""
    names = [f"p-{number}" for number in range(people)]
    desk.put_users(**dict.fromkeys(names, 700))
    them = [rental(desk, authorize(name)) for name in names]
    return [rental(desk, settle(it, 500)) for it in them]


@pytest.mark.parametrize("rare", range(3))
def test_a_rare_value_in_one_row_of_a_batch_is_written(desk: Desk, rare: int) -> None:
    """If any row of a batch has a rare value or changes one, the batch writes all values of all
    rows."""
    them = authorizations(desk, 3)
    others = [rental(desk, authorize(it.user_id)) for it in them]
    commands = [
        pay(it, 200) if place == rare else settle(other, 100)
        for place, (it, other) in enumerate(zip(them, others, strict=True))
    ]
    works = [desk.work(command) for command in commands]
    assert all(isinstance(result, bytes) for result in desk.apply(*works))
    answers = [desk.answers[work.request_id] for work in works]
    for answer in answers:
        told = answer.authorization if isinstance(answer, Settled) else answer
        assert isinstance(told, Authorization)
        assert stored(desk, told) == told
    assert stored(desk, them[rare]).paid_minor == 200


@pytest.mark.parametrize("table", [it for it in TABLES if it.rare], ids=str)
def test_each_rare_column_is_written_if_it_alone_differs(desk: Desk, table: Table) -> None:  # type: ignore[type-arg]
    """A change of any single rare column chooses the statement with all columns."""
    (it,) = authorizations(desk, 1)
    row = it if table is AUTHORIZATIONS else line(desk, it.user_id)
    usual_of = table.rare_of
    for place, name in enumerate(table.rare):
        before = usual_of(row)
        if isinstance(row, Authorization):
            another: dict[str, Any] = {name: "another"}
            changed = usual_of(row._replace(**another))
        else:
            other: Line = row.copy()
            setattr(other, name, "another")
            changed = usual_of(other)
        assert [a == b for a, b in zip(before, changed, strict=True)].index(False) == place


def written(desk: Desk, table: Table, *new: Any) -> list[Any]:  # type: ignore[type-arg]
    """Writes new rows in one batch, and reads them again."""
    rows, again = Rows(), Rows()
    key_of: Any = table.key_of
    rows.changed[table] = {key_of(row): row for row in new}
    with desk.store.begin() as transaction:
        transaction.write(rows)
        transaction.read(again, [Wish(table, table.key, set(rows.changed[table]))])
    return [again[table][key_of(row)] for row in new]


def test_a_new_row_with_a_rare_value_is_inserted_whole(desk: Desk) -> None:
    """A new row with rare values is stored with these values, even in a batch with rows that have
    the defaults."""
    (it,) = authorizations(desk, 1)
    asked = it._replace(**AUTHORIZATIONS.usual)
    usual = [asked._replace(authorization_id=f"usual-{n}") for n in range(3)]
    rare = [asked._replace(authorization_id=f"rare-{n}", write_off_by="k", rung=3) for n in "ab"]
    for new in ([usual[0]], [rare[0]], [usual[1], rare[1], usual[2]]):
        assert written(desk, AUTHORIZATIONS, *new) == new


@pytest.mark.parametrize("name", AUTHORIZATIONS.usual)
def test_a_new_row_with_an_unusual_value_is_inserted_whole(desk: Desk, name: str) -> None:
    """A new row is stored whole if any single column has an unusual value."""
    desk.put_users(ann=700)
    it = rental(desk, authorize("ann"))
    another: dict[str, Any] = {name: "another"}
    usual = [*AUTHORIZATIONS.usual.values()]
    assert [*AUTHORIZATIONS.usual_of(it)] == usual
    assert [*AUTHORIZATIONS.usual_of(it._replace(**another))] != usual


def test_usual_values_are_read_as_they_were_written(desk: Desk) -> None:
    """A row without rare values is read as it was written: the statement's literals are the usual
    values."""
    desk.put_users(ann=700)
    it = rental(desk, authorize("ann"))
    assert stored(desk, it) == it
    opened = Line(it.user_id, "USD", subject_key=b"key", subject=b"subject")
    assert LINES.usual_of(opened) == tuple(LINES.usual.values())
    assert written(desk, LINES, opened) == [opened]


def test_sqlite_prepares_few_numbers_of_rows() -> None:
    """Any number of rows goes to SQLite in statements of at most 15 different numbers of rows, in
    their order, and up to 64 rows in at most two statements."""
    statement = RowsStatement("", "", (), together=ROWS_TOGETHER)
    numbers = set()
    for number in range(3 * MOST_ROWS):
        rows = [(place,) for place in range(number)]
        parts = statement.portions(rows)
        assert [row for part in parts for row in part] == rows
        assert number > MOST_ROWS or len(parts) <= 2
        numbers |= {len(part) for part in parts}
    assert len(numbers) == MOST_ROWS // ROWS_TOGETHER + ROWS_TOGETHER - 1
    assert max(numbers) == MOST_ROWS
