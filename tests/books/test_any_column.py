"""Any value that is changed by plain SQL is seen by the verifier, or the README lists its column.

The README's table is the only list of the columns that the verifier does not compare.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Boolean, Column, LargeBinary, String, Table

from service.books.verify import verify_books
from service.domain.errors import FreeholdError
from service.engine.ports import StorageFailed
from service.rpc.stored import read_answer, read_payload
from service.storage import schema as t
from service.storage.integrity import check_integrity
from service.storage.opening import open_current
from service.storage.proof import verify_database
from tests.sqlite import LentFile, LentFiles
from tests.storage.book import KEYS, at, copy_of, real_answers, seal

README = Path(__file__).parents[2] / "service" / "README.md"
BEGIN, END = "<!-- columns that verify does not compare -->", "<!-- end of the columns -->"
TRIES = 12 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 2
"""The rows of which a column that is not listed is changed, one at a time."""
MOST_TRIES, MOST_TURNS = 600, 8
"""The tries for a listed column until the verifier does not see one, and the values of each row."""
WHAT_TO_DO = (
    "compare the column in service/books, or add it with the reason to the table in "
    "service/README.md"
)


def listed() -> set[tuple[str, str]]:
    """The columns in the README's table, with their tables."""
    text = README.read_text("utf-8")
    found = set()
    for line in text[text.index(BEGIN) : text.index(END)].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            found |= {(cells[0].strip("`"), name) for name in re.findall("`([^`]+)`", cells[1])}
    return found


@pytest.fixture(scope="module")
def book(lived: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed book with every transition and with a row of every table."""
    return whole_book(lived, tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="module")
def copies(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LentFiles]:
    """Copies of that book."""
    made = LentFiles(book, lambda: Path(shutil.copy(book, tmp_path_factory.mktemp("changed"))))
    yield made
    made.close()


@pytest.fixture
def changing(copies: LentFiles) -> Iterator[LentFile]:
    """A copy of that book, for one test to change."""
    with copies.borrowed() as made:
        yield made


def whole_book(lived: Path, folder: Path) -> Path:
    """Makes a sealed book with every transition and with a row of every table, in one file."""
    file = Path(shutil.copy(lived, folder / "book.db"))
    with at(file) as desk:
        seal(desk, max_heads=12)
    real_answers(file)
    with closing(sqlite3.connect(file)) as connection:
        for table in t.metadata.sorted_tables:
            if not connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]:
                _insert(connection, table)
        connection.commit()
    made = copy_of(file, "whole.db")
    assert fault_of(made) is None
    return made


def _insert(connection: sqlite3.Connection, table: Table) -> None:
    """Inserts a row that the table's CHECKs allow."""
    row = {it.name: _plain(it) for it in table.columns}
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    try:
        connection.execute(
            f"INSERT INTO {table.name} ({names}) VALUES ({marks})", tuple(row.values())
        )
    except sqlite3.IntegrityError as error:
        raise AssertionError(
            f"{table.name} has no row: add one to tests/storage/book.py"
        ) from error


def _plain(column: Column[Any]) -> Any:
    if column.nullable:
        return None
    match column.type:
        case String():
            return "x"
        case LargeBinary():
            return b"x"
        case _:
            return 1


class Try(NamedTuple):
    """A changed value: where, and before and after."""

    row: object
    before: object
    after: object


def others(column: Column[Any], now: Any, rest: list[Any]) -> list[Any]:
    """Values for a column in place of `now`; `rest` are the values of other rows."""
    found = [value for value in dict.fromkeys(rest) if value not in (now, None)][:4]
    match column.type:
        case Boolean():
            found = [1 - (now or 0)]
        case String():
            # The third stays JSON if it was JSON.
            found += [f"{now or ''}x", "x", (now or "").replace('"}', 'x"}'), ""]
        case LargeBinary():
            last = [now[:-1] + bytes([now[-1] ^ 1])] if now else []
            found = [*last, *found, b"x"]
        case _:
            found = [1, 0] if now is None else [now + 1, now - 1, 0, *found]
    if column.nullable:
        found.append(None)
    return [value for value in found if value != now]


def tries(book: LentFile, table: Table, column: Column[Any], turn: int = 0) -> Iterator[Try]:
    """Changes a value of this column in the book, and yields what was changed: values of different
    rows, one at a time; each is changed back before the next. A change that a CHECK or a key
    refuses is not made. Another turn has other values."""
    chance = random.Random(f"{table.name}.{column.name}")
    query = f"SELECT rowid, {column.name} FROM {table.name} ORDER BY rowid"
    rows = book.session.execute(query).fetchall()
    chance.shuffle(rows)
    # Rows with different values come first: a column's usual value may mean nothing.
    first = {value: row for row, value in reversed(rows)}
    rows.sort(key=lambda it: first[it[1]] != it[0])
    for place, (row, now) in enumerate(rows):
        values = others(column, now, [value for _, value in rows])
        start = (place + turn) % max(1, len(values))
        written = changed(book.session, table, column, row, values[start:] + values[:start])
        if written is not None:
            yield Try(row, now, *written)
            book.restore(table.name)


def changed(
    session: sqlite3.Connection, table: Table, column: Column[Any], row: int, values: list[Any]
) -> tuple[Any] | None:
    """Changes a value by plain SQL to the first of these that no CHECK and no key refuses. The
    written value, or None if none was written."""
    change = f"UPDATE {table.name} SET {column.name} = ? WHERE rowid = ?"
    for value in values:
        with suppress(sqlite3.IntegrityError):
            session.execute(change, (value, row))
            return (value,)
    return None


def fault_of(file: Path, *, answers: bool = True) -> str | None:
    """The fault that `freehold verify` finds in the file, or why it does not open; or None."""
    try:
        engine = open_current(f"sqlite:///{file}")
    except FreeholdError as error:
        return str(error)
    read = read_answer if answers else None
    try:
        fault = verify_database(engine, KEYS, read_answer=read, read_payload=read_payload).fault
    except StorageFailed as error:
        return str(error)
    finally:
        engine.dispose()
    return None if fault is None else fault.rule


def seen(book: LentFile) -> bool:
    """Whether `freehold verify` finds a fault in the book, or does not open it.

    The books are verified first: opening the file and checking the database takes longer.
    """
    try:
        found = verify_books(book.engine, KEYS, read_answer=read_answer, read_payload=read_payload)
        if found.fault is not None:
            return True
        engine = open_current(f"sqlite:///{book.file}")
    except (FreeholdError, StorageFailed):
        return True
    try:
        return check_integrity(engine).fault is not None
    except StorageFailed:
        return True
    finally:
        engine.dispose()


TABLES = [table.name for table in t.metadata.sorted_tables]


@pytest.mark.parametrize("name", TABLES)
def test_a_changed_value_is_seen_or_its_column_is_listed(changing: LentFile, name: str) -> None:
    """The verifier sees a value of any column that was changed by SQL, unless the README lists the
    column; it does not see every change of a listed one."""
    table, columns = t.metadata.tables[name], listed()
    wrong = []
    for column in table.columns:
        changes = tries(changing, table, column)
        if (name, column.name) in columns:
            turns = (tries(changing, table, column, turn) for turn in range(MOST_TURNS))
            changes = chain.from_iterable(turns)
            unseen = (it for it in islice(changes, MOST_TRIES) if not seen(changing))
            if next(unseen, None) is None:
                wrong.append(f"{name}.{column.name} is seen: take it out of service/README.md")
        else:
            for it in islice(changes, TRIES):
                if not seen(changing):
                    wrong.append(f"{name}.{column.name} is not seen ({it}): {WHAT_TO_DO}")
                    break
        changing.restore(name)
    assert wrong == []
    assert not seen(changing), "the book was not restored"


def test_the_listed_columns_exist() -> None:
    """The README lists only columns of this build's schema."""
    known = {(table.name, it.name) for table in t.metadata.sorted_tables for it in table.columns}
    assert listed() - known == set()
