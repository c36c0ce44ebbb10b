"""Statements for many rows: one text, and the values of all rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol

from sqlalchemy import Column
from sqlalchemy.engine.interfaces import DBAPICursor

Values = tuple[Any, ...]

MOST_ROWS = 64
"""The most rows of a statement; SQLite's default build takes 32,766 parameters."""


class RowsStatement:
    """One statement for up to MOST_ROWS rows of plain values, in the order of `columns`.

    In every row, the values are followed by the same `literals`, if any. The rows are written as
    VALUES, with a parameter for each value. So each number of rows has its own text. If there are
    more rows than `together`, the first statement gets the largest multiple of `together`, and a
    second one gets the rest. So there are few texts. `one` is the text for one row if a shorter
    statement does the same.

    A driver that gets rows one by one releases and takes the interpreter's lock for each row. If
    another thread is waiting, each row costs a switch of threads.
    """

    def __init__(
        self,
        head: str,
        tail: str,
        columns: Sequence[Column[Any]],
        literals: Sequence[str] = (),
        *,
        together: int = 1,
        one: str = "",
    ) -> None:
        self.columns = tuple(column.name for column in columns)
        self.texts: dict[int, str] = {1: one} if one else {}
        """The texts made so far, by their numbers of rows."""
        self._head, self._tail, self._together = head, tail, together
        self._row = f"({', '.join(['?'] * len(columns) + [*literals])})"

    def bound(self, rows: Sequence[Values], *parameters: int | str) -> tuple[str, Sequence[Any]]:
        """The statement's text for these rows, and all parameters to pass."""
        number = len(rows)
        if number not in self.texts:
            values = ", ".join([self._row] * number)
            self.texts[number] = f"{self._head}VALUES {values}{self._tail}"
        return self.texts[number], (*chain.from_iterable(rows), *parameters)

    def run(self, cursor: DBAPICursor, rows: Sequence[Values], *parameters: int | str) -> int:
        """Runs the statement for any number of rows; returns the number of changed rows."""
        changed = 0
        for part in self.portions(rows):
            cursor.execute(*self.bound(part, *parameters))
            changed += cursor.rowcount
        return changed

    def fetch(
        self, cursor: DBAPICursor, keys: Iterable[Values], *parameters: int | str
    ) -> list[Any]:
        """The rows of the keys, portion by portion in the order of the keys."""
        found: list[Any] = []
        for part in self.portions(sorted(keys)):
            cursor.execute(*self.bound(part, *parameters))
            found += cursor.fetchall()
        return found

    def portions(self, rows: Sequence[Values]) -> list[Sequence[Values]]:
        """The rows of each execution, at most MOST_ROWS; no execution if there are no rows."""
        number = len(rows)
        whole = number - number % self._together
        if not whole or (whole == number <= MOST_ROWS):
            return [rows] if number else []
        ends = [*range(MOST_ROWS, whole, MOST_ROWS), whole, number]
        parts, start = [], 0
        for end in ends:
            if end > start:
                parts.append(rows[start:end])
            start = end
        return parts


class Together(Protocol):
    """Runs statements of one transaction in their order, each with its rows."""

    def fetch(
        self, cursor: Any, wanted: Sequence[tuple[RowsStatement, Iterable[Values]]]
    ) -> list[list[Any]]:
        """The rows that each statement finds for its keys; raises the driver's error."""
        ...

    def run(
        self, cursor: Any, wanted: Sequence[tuple[RowsStatement, Sequence[Values]]]
    ) -> Iterator[int]:
        """The numbers of rows that the statements change; raises the driver's error at the
        statement that failed. All statements have run when the last number is taken."""
        ...


class InTurn:
    """Runs one statement after the other; see `Together`."""

    def fetch(
        self, cursor: Any, wanted: Sequence[tuple[RowsStatement, Iterable[Values]]]
    ) -> list[list[Any]]:
        """The rows that each statement finds for its keys; raises the driver's error."""
        return [statement.fetch(cursor, keys) for statement, keys in wanted]

    def run(
        self, cursor: Any, wanted: Sequence[tuple[RowsStatement, Sequence[Values]]]
    ) -> Iterator[int]:
        """The numbers of rows that the statements change; raises the driver's error."""
        for statement, rows in wanted:
            yield statement.run(cursor, rows)


IN_TURN = InTurn()
