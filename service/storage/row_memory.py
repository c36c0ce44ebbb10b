"""Rows that the writing connection wrote, kept in memory: people's lines, and open authorizations.

A rental that begins ends soon after. To read its row and the person's line takes a tenth of its
settlement. No row here is older than the database's: SQLite counts the commits of other
connections, and after one of them all rows are forgotten, as SQLite then forgets its own pages.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from service.domain.authorization import Authorization
from service.domain.ledger import Line
from service.engine.rows import Rows
from service.engine.tables import AUTHORIZATIONS, LINES, Pair, Table


class RowMemory:
    """The lines of at most `most` people, and at most `most` open authorizations; used by one
    thread. Those that were written longest ago are forgotten first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._commits = 0
        self._lines: dict[str, dict[Pair, Line]] = {}
        """All lines of a person, by user id."""
        self._authorizations: dict[Pair, Authorization] = {}
        self._read: dict[str, dict[Pair, Line]] = {}
        """All lines of each person whose lines the present transaction has read."""

    def begin(self, commits: int) -> None:
        """Begins a transaction; `commits` counts those of other connections."""
        self._read = {}
        if commits != self._commits:
            self.forget()
            self._commits = commits

    def forget(self) -> None:
        """Forgets all rows."""
        self._lines.clear()
        self._authorizations.clear()

    def find(self, table: Table[Any, Any], by: tuple[str, ...], keys: set[Any]) -> dict[Any, Any]:
        """For those of the keys in the columns `by` that are known: all rows, by their own keys."""
        if table is AUTHORIZATIONS and by == AUTHORIZATIONS.key:
            known = self._authorizations
            return {key: {key: known[key]} for key in known.keys() & keys}
        if table is LINES and by == _BY_PERSON:
            found = {user_id: self._lines[user_id] for user_id in self._lines.keys() & keys}
            self._read |= found
            return found
        return {}

    def note(
        self, table: Table[Any, Any], by: tuple[str, ...], keys: set[Any], found: dict[Any, Any]
    ) -> None:
        """Notes all rows that a read found for the keys in the columns `by`."""
        if table is LINES and by == _BY_PERSON:
            read: dict[str, dict[Pair, Line]] = {user_id: {} for user_id in keys}
            for key, line in found.items():
                read[key[0]][key] = line
            self._read |= read

    def keep(self, rows: Rows) -> None:
        """Keeps what a batch has written, after its commit."""
        for key, line in rows.changed.get(LINES, {}).items():
            self._lines.pop(key[0], None)
            # Without all lines of a person, nobody could tell that there is no other one.
            theirs = self._read.get(key[0])
            if theirs is not None:
                theirs[key] = line
                self._lines[key[0]] = theirs
        for key, it in rows.changed.get(AUTHORIZATIONS, {}).items():
            self._authorizations.pop(key, None)
            if it.close_us is None:
                self._authorizations[key] = it
        _shorten(self._lines, self._most)
        _shorten(self._authorizations, self._most)


def _shorten(rows: dict[Any, Any], most: int) -> None:
    for key in list(islice(rows, max(0, len(rows) - most))):
        del rows[key]


_BY_PERSON = ("user_id",)
