"""The differences between SQLite and PostgreSQL, as one port.

`storage/sqlite.py` and `storage/postgres.py` each implement it; no other file asks which of the two
it is working with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

from sqlalchemy import URL, Column, Connection, Engine
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.elements import ColumnElement

from service.config import Limits
from service.domain.verification import BookFault
from service.storage.row_memory import RowMemory
from service.storage.row_statements import RowsStatement, Together


class Session(Protocol):
    """The connection for writing batches, used without SQLAlchemy.

    Through SQLAlchemy, BEGIN and COMMIT each cost as much as a statement with all its rows.
    """

    driver: Any
    """The driver's connection."""

    @property
    def memory(self) -> RowMemory | None:
        """The rows in memory; None if other connections may write between two transactions."""
        ...

    @property
    def gone(self) -> bool:
        """True if the connection is lost: an error then says nothing about the statement."""
        ...

    def begin(self) -> DBAPICursor:
        """Begins a transaction and returns a cursor. Raises the driver's error."""
        ...

    def commit(self) -> None:
        """Commits; raises StorageFailed, OutcomeUnknown, or the driver's error."""
        ...

    def rollback(self) -> None:
        """Rolls the transaction back; raises the driver's error."""
        ...

    def read(self, fetch: Callable[[DBAPICursor], list[Any]]) -> list[Any]:
        """The rows that `fetch` reads without a transaction; raises the driver's error."""
        ...


class Backend(Protocol):
    """One kind of database."""

    drivers: frozenset[str]
    """The drivers' names in a URL, as SQLAlchemy writes them."""
    is_file: bool
    """The database is a file of this machine, for one server; it has no sessions to lose."""
    numbers_rows: bool
    """Each row has a number in the order of arrival, and rows may be committed in another order."""
    locks_rows: bool
    """Several writers work at the same time, and lock the rows that they change."""
    checks_types: bool
    """A column has only values of its declared type."""
    row_id: str
    """The column with the place of a row; empty if a DELETE may name other rows to match."""
    ordered_join: str
    """The words of a join that reads its left side first."""
    conflict_clause: str
    """The word of INSERT and UPDATE that says what a conflict undoes, and a blank, or nothing."""
    lock_names: str
    """Locks numbers until the end of the transaction; empty if the database has one writer."""
    snapshot: ClassVar[Mapping[str, Any]]
    """The options of a transaction that reads one state of the database."""

    def rows_statement(
        self,
        head: str,
        tail: str,
        columns: Sequence[Column[Any]],
        literals: Sequence[str],
        one: str,
    ) -> RowsStatement:
        """A statement with its rows, a query of their own, between a head and a tail.

        In every row the values of `columns` are followed by the same `literals`. `one` is a
        statement with parameters in the same order that does the same for one row, or empty.
        """
        ...

    def together(self) -> Together:
        """The way to run several statements of a batch."""
        ...

    def open(self, url: URL, limits: Limits, *, create: bool) -> Engine:
        """See `database.open_database`."""
        ...

    def only_server(self, url: URL) -> AbstractContextManager[None]:
        """Reserves the database for one server if it is a file; raises NotAlone."""
        ...

    def open_to_others(self, url: URL) -> list[str]:
        """The database's files that other users of the machine may read or write."""
        ...

    def session(self, connection: Connection) -> Session:
        """A session for batches on a connection, which must not be used for anything else."""
        ...

    def take_time(self, connection: Connection, answer_s: float | None) -> None:
        """Lifts the time limits of a call for the rest of this transaction."""
        ...

    def lock_for_migration(self, connection: Connection, key: int, wait_ms: int) -> None:
        """Waits for any other migration to end.

        Each lock on a table is then waited for at most `wait_ms`.
        """
        ...

    def build_index(self, engine: Engine, key: int, name: str, columns: str) -> None:
        """Builds an index on `TABLE (COLUMNS)` while others write, if it is not there yet.

        Only one process at a time does so, under the lock with this key.
        """
        ...

    def write_nothing(self, connection: Connection) -> None:
        """Makes a change without a meaning, so that the commit waits for the disk."""
        ...

    def any_text(self, connection: Connection) -> AbstractContextManager[None]:
        """Invalid texts can be read in this block, too."""
        ...

    def named_cursor(self, connection: Connection, name: str) -> Any:
        """A cursor of the driver that fetches only the rows asked for."""
        ...

    def export_snapshot(self, connection: Connection) -> str | None:
        """The name by which other transactions can read the same state; None if a state has no
        name."""
        ...

    def see_snapshot(self, engine: Engine, snapshot: str | None) -> Engine:
        """The same database. Each of its transactions reads the exported state, if the state has a
        name."""
        ...

    def damage(self, connection: Connection) -> tuple[BookFault | None, tuple[str, ...]]:
        """The first fault that the database finds in its pages and indexes, or None; and what its
        checks leave open."""
        ...

    def damage_of_table(
        self, connection: Connection, table: str, over: Callable[[], bool]
    ) -> tuple[bool, BookFault | None]:
        """Whether a table was checked before `over` was true, and the first fault in it."""
        ...

    def described(self, connection: Connection) -> Mapping[str, str]:
        """The triggers, indexes and CHECKs of a database, by kind and name, to be compared."""
        ...

    def declared(self) -> Mapping[str, str | None]:
        """The same of this build's schema; None means that only the name is compared."""
        ...

    def named_rows(self, name: str, columns: Sequence[str]) -> str:
        """The name of a list of passed rows, whose columns become column1, column2 and so on."""
        ...

    def array_of_row(self, columns: Sequence[ColumnElement[Any]]) -> ColumnElement[str]:
        """One JSON array of these columns, without blanks between them."""
        ...

    def array_of_rows(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        """One JSON array of a column of all rows, in the order in which they are read; NULL without
        rows on PostgreSQL."""
        ...

    def text_of_bytes(self, column: Column[bytes]) -> ColumnElement[str]:
        """Bytes as X'0123…' with capital letters."""
        ...

    def text_of_group(
        self, text: ColumnElement[str], order: Sequence[ColumnElement[Any]]
    ) -> ColumnElement[str]:
        """The texts of a group, one after the other; on SQLite in the order of reading."""
        ...
