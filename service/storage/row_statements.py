"""Statements for many rows: one text, and the values of all rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column
from sqlalchemy.engine.interfaces import DBAPICursor

Values = tuple[Any, ...]

MOST_ROWS = 64
"""The most rows of a statement; SQLite's default build takes 32,766 parameters."""


class RowsStatement(ABC):
    """One statement for up to MOST_ROWS rows of plain values, in the order of `columns`.

    In every row, the values are followed by the same `literals`, if any.

    If a driver gets rows one by one, it releases and takes the interpreter's lock for each row;
    with another thread waiting, each row costs a switch of threads.
    """

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        self.columns = tuple(column.name for column in columns)

    @abstractmethod
    def bound(self, rows: Sequence[Values], *parameters: int) -> tuple[str, Sequence[Any]]:
        """The statement's text for these rows, and all parameters to pass."""

    def run(self, cursor: DBAPICursor, rows: Sequence[Values], *parameters: int) -> int:
        """Runs the statement for any number of rows; returns the number of changed rows."""
        changed = 0
        for part in self.portions(rows):
            cursor.execute(*self.bound(part, *parameters))
            changed += cursor.rowcount
        return changed

    def fetch(self, cursor: DBAPICursor, keys: Iterable[Values], *parameters: int) -> list[Any]:
        """The rows of the keys, portion by portion in the order of the keys."""
        found: list[Any] = []
        for part in self.portions(sorted(keys)):
            cursor.execute(*self.bound(part, *parameters))
            found += cursor.fetchall()
        return found

    def portions(self, rows: Sequence[Values]) -> list[Sequence[Values]]:
        """The rows of each execution, at most MOST_ROWS; none if there are no rows."""
        return [rows[start : start + MOST_ROWS] for start in range(0, len(rows), MOST_ROWS)]
