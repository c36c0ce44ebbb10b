"""The horizon: the point up to which events and lists can be read without a gap.

PostgreSQL numbers a row at its insert, and shows it after its transaction's commit. With several
servers, a row with a smaller number may appear after one with a larger number. A reader that
continues after the larger number would never see it. Ids do not help: they begin with the clock of
the server that made them.

A transaction locks a table before it takes its first number there, and keeps the lock until its
rows are visible. A reader therefore reads the last number given, and then the transactions that
hold such locks. When these have ended, every row up to that number is visible, or never will be.
Only transactions that write to these tables of this database make a reader wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from service.storage.database import backend_of, reading

EVERYTHING = 2**63 - 1
"""The horizon on SQLite: it has one writer, so rows appear in the order of their numbers."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.02

# An unused sequence also has the last value 1; only `is_called` tells the difference.
_GIVEN = text(
    "SELECT e.last_value - CASE WHEN e.is_called THEN 0 ELSE 1 END,"
    " r.last_value - CASE WHEN r.is_called THEN 0 ELSE 1 END"
    " FROM outbox_sequence_seq AS e, arrivals AS r"
)
# A prepared transaction has no process.
_WRITERS = text(
    "SELECT DISTINCT virtualtransaction, coalesce(pid, 0) FROM pg_locks"
    " WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND relation IN"
    " ('outbox'::regclass, 'authorizations'::regclass, 'transfers'::regclass, 'cases'::regclass)"
)
_NAME = text("SELECT application_name FROM pg_stat_activity WHERE pid = :pid")


class Numbers(NamedTuple):
    """The numbers up to which all rows are visible: of events, and of rows of lists."""

    events: int
    rows: int


class Waiting(NamedTuple):
    """A transaction that readers wait for.

    `pid` is its PostgreSQL process, or 0 for a prepared transaction. `application` is the name that
    its session set. Readers have waited for `since_s` seconds.
    """

    pid: int
    application: str
    since_s: float


Notice = Callable[[Waiting], None]


@dataclass(slots=True)
class _Mark:
    """The last numbers given, and the transactions that had taken numbers by then."""

    numbers: Numbers
    writers: dict[str, int]
    """The process ids of these transactions, by the transactions' names."""
    since_s: float
    told_s: float


class Horizon:
    """Follows the horizon of one database; thread-safe."""

    def __init__(
        self,
        engine: Engine,
        notice: Notice,
        steady_s: Callable[[], float] = time.monotonic,
        *,
        notice_after_s: float,
    ) -> None:
        """`notice` is called when readers have waited for a transaction for `notice_after_s`
        seconds, and again after each further wait of this length.

        `steady_s` returns seconds since any fixed instant.
        """
        self._engine = engine
        self._notice = notice
        self._steady_s = steady_s
        self._notice_after_s = notice_after_s
        self._lock = Lock()
        self._mark: _Mark | None = None
        numbered = backend_of(engine).numbers_rows
        self._reached = Numbers(0, 0) if numbered else Numbers(EVERYTHING, EVERYTHING)

    @property
    def reached(self) -> Numbers:
        """The horizon of the last look; a read that begins now sees every row up to it."""
        return self._reached

    def look(self) -> Numbers:
        """Advances the horizon as far as possible now, and returns it; raises StorageFailed.

        Looks run one at a time, so an older look cannot undo a newer look.
        """
        if self._reached.rows == EVERYTHING:
            return self._reached
        with self._lock, reading(self._engine) as connection:
            events, rows = connection.execute(_GIVEN).one()
            writers = {row[0]: int(row[1]) for row in connection.execute(_WRITERS)}
            self._follow(Numbers(events, rows), writers)
            self._tell_of_waiting(connection)
        return self._reached

    def reach(self, number: int, within_s: float) -> bool:
        """Waits until all rows of lists up to a number are visible; returns False after a timeout.

        Raises StorageFailed.
        """
        end_s, pause_s = self._steady_s() + within_s, FIRST_PAUSE_S
        while self.look().rows < number:
            if self._steady_s() >= end_s:
                return False
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return True

    def _follow(self, given: Numbers, writers: dict[str, int]) -> None:
        mark = self._mark
        if mark is not None:
            mark.writers = {name: pid for name, pid in mark.writers.items() if name in writers}
            if not mark.writers:
                self._reached, self._mark = mark.numbers, None
        if not writers:
            self._reached, self._mark = given, None
        elif self._mark is None:
            now_s = self._steady_s()
            self._mark = _Mark(given, writers, now_s, now_s)

    def _tell_of_waiting(self, connection: Connection) -> None:
        mark, now_s = self._mark, self._steady_s()
        if mark is None or now_s - mark.told_s < self._notice_after_s:
            return
        mark.told_s = now_s
        for pid in sorted(set(mark.writers.values())):
            application = connection.scalar(_NAME, {"pid": pid})
            self._notice(Waiting(pid, str(application or ""), now_s - mark.since_s))
