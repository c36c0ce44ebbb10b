"""Copies SQLite's log (the WAL) back into the file, beside the transactions that lengthen it.

A copy of a long log takes 25 to 40 ms, most of it for the sync of the file. If the writer made it,
all calls would wait. So a thread copies with a connection of its own, and repeats it for the pages
that were written meanwhile. The writer copies the last few pages itself: the log starts anew only
if every page of it is copied when a transaction begins.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from service.config import SqliteLimits
from service.storage.sqlite_files import FileGone, log_pages

FEW_PAGES = 512
"""A copy of at most so many pages is short: it takes about a millisecond."""
MOST_COPIES = 4
"""The copies that a thread makes in turn. Each is about a tenth of the one before it."""


class LogCopies:
    """The copies of one database's log.

    Any thread that writes may call `begin_writing`. SQLite makes one copy at a time, and a second
    one ends at once. A failure is told once.
    """

    def __init__(
        self,
        file: str,
        connect: Callable[[], AbstractContextManager[sqlite3.Connection]],
        doubt: Callable[[], None],
        limits: SqliteLimits,
    ) -> None:
        """`connect` makes a connection for a copy; `doubt` is called after a failed copy."""
        self._file, self._connect, self._doubt, self._limits = file, connect, doubt, limits
        self._turns = itertools.count(1)
        self._thread: threading.Thread | None = None
        self._nearly = False
        """Whether few pages are left, for the writer."""
        self._failure: sqlite3.Error | None = None

    def begin_writing(self, connection: sqlite3.Connection) -> None:
        """Call it before a transaction that writes; raises the driver's error of a failed copy."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._nearly:
            self._nearly = False
            self._finish(connection)
        if next(self._turns) % self._limits.checkpoint_turns == 0 and self._is_due():
            self._thread = threading.Thread(target=self._run, name="log copy", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the system allows no further thread
                self._thread = None
                self._finish(connection)

    def wait(self) -> None:
        """Waits for the end of a copy; does nothing on the copying thread."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _is_due(self) -> bool:
        if self._thread is not None and self._thread.is_alive():
            return False
        return log_pages(self._file) >= self._limits.checkpoint_pages

    def _run(self) -> None:
        try:
            with self._connect() as connection:
                self._nearly = _copy_nearly_all(connection)
        except FileGone:
            return  # the writer's next transaction tells it
        except (sqlite3.Error, OSError) as error:
            self._failure = sqlite3.OperationalError(f"the log was not copied: {error}")
            # It fails like the copy if the process has no file left to open.
            with suppress(OSError):
                self._doubt()

    def _finish(self, connection: sqlite3.Connection) -> None:
        try:
            _copy(connection)
        except sqlite3.Error:
            self._doubt()
            raise


def _copy_nearly_all(connection: sqlite3.Connection) -> bool:
    """Copies until few pages are left; False if a reader or another copy does not let it."""
    before = 0
    for _ in range(MOST_COPIES):
        busy, pages, copied = _copy(connection)
        if busy or copied < pages:
            return False
        if copied - before <= FEW_PAGES:
            break
        before = copied
    return True


def _copy(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """1 if another copy ran, the pages of the log at the begin, and its pages copied so far."""
    row: tuple[int, int, int]
    (row,) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return row
