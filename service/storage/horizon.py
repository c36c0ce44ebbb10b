"""The horizon: how far events and lists can be read without a gap.

PostgreSQL numbers a row when it is inserted, and shows it when its transaction commits. With
several servers a row with a smaller number may appear after one with a larger number: a reader
that went on behind the larger one would never see it. Ids are no better: they begin with the
clock of the server that made them.

A transaction locks a table before it takes the first number for a row there, and keeps the lock
until its rows can be seen. So, whoever reads the last number given, and then the transactions
that hold such locks, knows: once these have ended, every row up to that number is there, or never
will be. Transactions that do not write to these tables keep nobody waiting, nor do those of other
databases.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from service.storage.database import reading

EVERYTHING = 2**63 - 1
"""SQLite has one writer: rows appear in the order of their numbers."""
LOG_AFTER_S = 10.0
"""How long one transaction may keep readers waiting before the log names it, and again."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.02

# A sequence that was never used says that its last value is 1.
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
    " ('outbox'::regclass, 'authorizations'::regclass, 'transfers'::regclass)"
)
_NAME = text("SELECT application_name FROM pg_stat_activity WHERE pid = :pid")


class Numbers(NamedTuple):
    """Numbers up to which every row is there: of events, and of the rows of lists."""

    events: int
    rows: int


class Waiting(NamedTuple):
    """A transaction that keeps readers waiting.

    `pid` is that of its PostgreSQL process, 0 for a prepared transaction; `application` is the
    name that its session gave itself; `since_s` seconds have gone by.
    """

    pid: int
    application: str
    since_s: float


Notice = Callable[[Waiting], None]


@dataclass(slots=True)
class _Mark:
    """The last numbers that were given, and the transactions that had taken some by then."""

    numbers: Numbers
    writers: dict[str, int]
    """Their processes, by the transactions' names."""
    since_s: float
    told_s: float


class Horizon:
    """Follows how far one database can be read without a gap; for any thread."""

    def __init__(
        self, engine: Engine, notice: Notice, steady_s: Callable[[], float] = time.monotonic
    ) -> None:
        """`notice` is called for each transaction that keeps readers waiting for long; `steady_s`
        tells seconds since whenever."""
        self._engine = engine
        self._notice = notice
        self._steady_s = steady_s
        self._lock = Lock()
        self._mark: _Mark | None = None
        numbered = engine.dialect.name == "postgresql"
        self._reached = Numbers(0, 0) if numbered else Numbers(EVERYTHING, EVERYTHING)

    @property
    def reached(self) -> Numbers:
        """The horizon as of the last look. A read that begins now sees every row up to it."""
        return self._reached

    def look(self) -> Numbers:
        """Moves the horizon on as far as it goes now, and returns it; raises StorageFailed.

        One look at a time: an older one must not take back what a newer one has found.
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
        """Waits until every row of lists up to a number is there; False when time has run out.

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
        if mark is None or now_s - mark.told_s < LOG_AFTER_S:
            return
        mark.told_s = now_s
        for pid in sorted(set(mark.writers.values())):
            application = connection.scalar(_NAME, {"pid": pid})
            self._notice(Waiting(pid, str(application or ""), now_s - mark.since_s))
