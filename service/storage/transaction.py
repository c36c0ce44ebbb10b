"""One write transaction of a batch: rows are read into the overlay, and what changed is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Boolean, Column, Integer, LargeBinary, String
from sqlalchemy.engine.interfaces import DBAPICursor

from service.config import LIMITS
from service.engine.ports import Conflict
from service.engine.rows import Rows, TakenPayable, Wish
from service.engine.tables import TABLES, Table

Key = TypeVar("Key", str, tuple[str, str])
Value = TypeVar("Value")
Values = tuple[Any, ...]

MOST_ROWS = 64
"""Rows a statement has at most: SQLite as built by its authors takes 32,766 parameters, and each
number of rows is a text, and a prepared statement, kept there."""
HEADS_TOGETHER = 50
"""Heads of a seal that are written together: on SQLite each number of rows is kept as a text."""
FOLDED_ROWS = LIMITS.fold_portion
"""Rows of an operator's balance that one transaction adds up at most."""


class RowsStatement(ABC):
    """One statement for up to MOST_ROWS rows of plain values, in the order of `columns`.

    A driver that is handed rows one by one gives the interpreter away and takes it back for
    each of them, and with another thread waiting that is a switch of threads a row.
    """

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        self.columns = tuple(column.name for column in columns)

    @abstractmethod
    def bound(self, rows: Sequence[Values], *parameters: int) -> tuple[str, Sequence[Any]]:
        """The text for these rows, with what the driver is handed: them, and the parameters that
        come last."""

    def run(self, cursor: DBAPICursor, rows: Sequence[Values], *parameters: int) -> int:
        """Runs the statement for any number of rows; returns how many it changed."""
        if not rows:
            return 0
        if len(rows) <= MOST_ROWS:
            cursor.execute(*self.bound(rows, *parameters))
            return cursor.rowcount
        return sum(self.run(cursor, part, *parameters) for part in _portions(rows))

    def fetch(self, cursor: DBAPICursor, keys: Iterable[Values], *parameters: int) -> list[Any]:
        """The rows that belong to the keys; those of one portion after those of another, in the
        order of the keys."""
        wanted = sorted(keys)
        if not wanted:
            return []
        if len(wanted) <= MOST_ROWS:
            cursor.execute(*self.bound(wanted, *parameters))
            rows: Any = cursor.fetchall()
            return rows  # type: ignore[no-any-return]
        found = [self.fetch(cursor, part, *parameters) for part in _portions(wanted)]
        return list(chain.from_iterable(found))


def _portions(rows: Sequence[Values]) -> list[Sequence[Values]]:
    return [rows[start : start + MOST_ROWS] for start in range(0, len(rows), MOST_ROWS)]


class ValuesStatement(RowsStatement):
    """On SQLite: a parameter for each value, and a text for each number of rows."""

    def __init__(self, head: str, tail: str, columns: Sequence[Column[Any]]) -> None:
        super().__init__(columns)
        self._head, self._tail = head, tail
        self._row = f"({', '.join('?' * len(columns))})"
        self._texts: dict[int, str] = {}

    def bound(self, rows: Sequence[Values], *parameters: int) -> tuple[str, Sequence[Any]]:
        """The text for this number of rows, and all values one after the other."""
        number = len(rows)
        if number not in self._texts:
            values = ", ".join([self._row] * number)
            self._texts[number] = f"{self._head}VALUES {values}{self._tail}"
        return self._texts[number], (*chain.from_iterable(rows), *parameters)


class ArraysStatement(RowsStatement):
    """On PostgreSQL: one text, and an array for each column.

    The driver prepares a statement for each text and each types of its parameters, the type of an
    integer being that of its size, so that rows of parameters would hardly ever meet the same
    statement again. An array is handed over as its text, and is of the one type that is cast to.
    """

    def __init__(self, head: str, tail: str, columns: Sequence[Column[Any]]) -> None:
        super().__init__(columns)
        kinds = [_array_of(column) for column in columns]
        arrays = ", ".join(f"CAST(%s AS {kind}[])" for kind, _ in kinds)
        self._text = f"{head}SELECT * FROM unnest({arrays}){tail}"
        self._elements = [element for _, element in kinds]

    def bound(self, rows: Sequence[Values], *parameters: int) -> tuple[str, Sequence[Any]]:
        """The one text, and the columns as arrays."""
        columns = zip(self._elements, zip(*rows, strict=True), strict=True)
        arrays = [_array(element, values) for element, values in columns]
        return self._text, (*arrays, *parameters)


def _array_of(column: Column[Any]) -> tuple[str, Callable[[Any], str]]:
    """The type of a column's values in an array, and how one is written in the array's text."""
    match column.type:
        case LargeBinary():
            return "BYTEA", _bytes_element
        case String():
            # Without the column's length: a cast to it would cut a value off, and say nothing.
            return "TEXT", _text_element
        case Boolean():
            return "BOOLEAN", str
        case Integer():
            return "BIGINT", str
        case other:
            raise TypeError(f"no array is known for {other!r}")


def _array(element: Callable[[Any], str], values: Sequence[Any]) -> str:
    written = ["NULL" if value is None else element(value) for value in values]
    return "{" + ",".join(written) + "}"


def _text_element(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


def _bytes_element(value: bytes) -> str:
    return f'"\\\\x{value.hex()}"'


class TableStatements(NamedTuple):
    """The statements of one table, and how its records become rows and rows records.

    read    rows by the columns that they may be found by
    insert  whole rows
    update  rows by their keys and the version read, after what may change; None: none changes
    delete  rows by their keys and the columns that must be as read; None: none is taken away
    """

    read: dict[tuple[str, ...], RowsStatement]
    insert: RowsStatement
    update: RowsStatement | None
    delete: str | None
    record: Callable[[Sequence[Any]], Any]
    values: Callable[[Any], Values]
    changes: Callable[[Any], Values]


class BatchStatements(NamedTuple):
    """Every statement of a batch."""

    tables: dict[Table[Any, Any], TableStatements]
    features: RowsStatement
    lapsed: RowsStatement
    take_payables: str
    payable_left: str
    insert_payables: RowsStatement
    last_seal: str
    insert_seals: RowsStatement
    insert_sealed_heads: RowsStatement


@dataclass(slots=True)
class SqlTransaction:
    """One write transaction on one connection."""

    cursor: DBAPICursor
    statements: BatchStatements
    has_written: bool = False
    """Rows were changed or taken away: to commit now would keep that."""

    def read(self, rows: Rows, wishes: Iterable[Wish]) -> None:
        """Reads rows into the overlay, one statement a wish, in the order given."""
        cursor, tables = self.cursor, self.statements.tables
        for table, by, keys in wishes:
            if not keys:
                continue
            of = tables[table]
            named = keys if len(by) > 1 else [(key,) for key in keys]
            found = of.read[by].fetch(cursor, named)
            if found and table.key_of is not None:
                records = list(map(of.record, found))
                read = dict(zip(map(table.key_of, records), records, strict=True))
                rows.read[table].update(read)
                rows[table].update(read)

    def lapsed(self, keys: Iterable[str], now_us: int) -> list[tuple[str, str]]:
        """Authorizations that hold something for these people and are due by now."""
        people = [(key,) for key in keys]
        found = self.statements.lapsed.fetch(self.cursor, people, now_us)
        return [(row[0], row[1]) for row in found]

    def take_payable(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TakenPayable]:
        """A portion of what operators are owed, by (operator id, currency), taken away."""
        taken = {}
        self.has_written = True
        for key in sorted(keys):
            self.cursor.execute(self.statements.take_payables, (*key, *key))
            found = self.cursor.fetchall()
            taken[key] = TakenPayable(sum(row[0] for row in found), len(found) == FOLDED_ROWS)
        return taken

    def payable_left(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """What operators are owed beside what was taken; what others took is back by now."""
        left = {}
        for key in sorted(keys):
            self.cursor.execute(self.statements.payable_left, key)
            ((amount,),) = self.cursor.fetchall()
            left[key] = int(amount)
        return left

    def last_seal_number(self) -> int:
        """The number of the last seal; 0 before the first."""
        self.cursor.execute(self.statements.last_seal)
        (row,) = self.cursor.fetchall()
        return int(row[0])

    def write(self, rows: Rows) -> None:
        """Writes a batch, one statement a table; Conflict when a row was taken by others.

        Tables go in the order of `TABLES`, which is every process's; balances and seals, which no
        two batches share a row of, come last.
        """
        self.has_written = True
        cursor, statements = self.cursor, self.statements
        changed, added = rows.changed, rows.added
        for table in TABLES:
            if table in added:
                of = statements.tables[table]
                of.insert.run(cursor, list(map(of.values, added[table])))
            elif table in changed:
                self._write(table, rows.read[table], changed[table])
        self._write_payables(rows)
        for seal in rows.seals:
            statements.insert_seals.run(cursor, [seal[:-1]])
            heads = [(*head[:2], seal.number, *head[2:]) for head in seal.heads]
            for start in range(0, len(heads), HEADS_TOGETHER):
                statements.insert_sealed_heads.run(cursor, heads[start : start + HEADS_TOGETHER])

    def _write(self, table: Table[Any, Any], read: dict[Any, Any], changed: dict[Any, Any]) -> None:
        """Rows that are new, that changed, or that took another's place, in their keys' order."""
        cursor, of = self.cursor, self.statements.tables[table]
        version = table.version
        new, other = [], []
        for key in sorted(changed) if len(changed) > 1 else changed:
            row, before = changed[key], read.get(key)
            if before is None:
                if row is not None:
                    new.append(of.values(row))
            elif version:
                keys = key if len(table.key) > 1 else (key,)
                other.append((*of.changes(row), *keys, getattr(before, version)))
            elif row != before or row is None:
                _delete(cursor, str(of.delete), table, before)
                if row is not None:
                    new.append(of.values(row))
        of.insert.run(cursor, new)
        if other and of.update is not None:
            _require(of.update.run(cursor, other), len(other))

    def _write_payables(self, rows: Rows) -> None:
        """One row an operator and batch; what was taken away comes back with it."""
        if not rows.payable and not rows.taken_payable:
            return
        amounts = {key: taken.amount_minor for key, taken in rows.taken_payable.items()}
        for key, amount_minor in rows.payable.items():
            amounts[key] = amounts.get(key, 0) + amount_minor
        self.statements.insert_payables.run(
            self.cursor,
            [(*key, rows.batch_id, amount) for key, amount in sorted(amounts.items()) if amount],
        )


def _delete(cursor: DBAPICursor, statement: str, table: Table[Any, Any], row: Any) -> None:
    """Deletes one row that still is as it was read, or raises Conflict."""
    cursor.execute(statement, tuple(getattr(row, name) for name in (*table.key, *table.taken)))
    _require(cursor.rowcount, 1)


def _require(changed: int, expected: int) -> None:
    if changed != expected:
        raise Conflict(f"{expected - changed} rows were changed by others")
