"""The store of quotes: its transactions read one state of the database, and write nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy.engine.interfaces import DBAPICursor

from service.engine.records.users import UserFeatures
from service.engine.rows import Rows
from service.storage.database import reading
from service.storage.statements import statements_of
from service.storage.store import SqlStore
from service.storage.transaction import SqlTransaction


class QuoteTransaction(SqlTransaction):
    """A transaction of a quote: no row is locked, and the changed rows are forgotten."""

    def write(self, rows: Rows) -> None:
        """Writes nothing."""


class QuoteStore(SqlStore):
    """A store for quotes, beside the store of the writer; thread-safe.

    It takes its connections from those for reads. A read has the time limit of the thread's call.
    """

    def __init__(self, store: SqlStore) -> None:
        super().__init__(store.engine)
        self._statements = statements_of(store.engine, locks=False)

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """Opens a read transaction. Raises as `database.reading`."""
        with self._reading() as cursor:
            yield QuoteTransaction(cursor, self._statements)

    def features(self, keys: Iterable[str]) -> dict[str, UserFeatures]:
        """People with their latest features. Raises as `database.reading`."""
        with self._reading() as cursor:
            found = self._statements.features.fetch(cursor, [(key,) for key in keys])
        return {row[0]: UserFeatures(row[0], bool(row[1]), *row[2:]) for row in found}

    @contextmanager
    def _reading(self) -> Iterator[DBAPICursor]:
        with reading(self._engine) as connection:
            # The driver's cursor would begin no transaction by itself.
            connection.begin()
            driver: Any = connection.connection
            with closing(driver.cursor()) as cursor:
                yield cursor
