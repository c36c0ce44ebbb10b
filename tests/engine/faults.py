"""A real store whose transactions fail as planned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from enum import Enum, auto
from functools import partial
from typing import Any

from sqlalchemy import Engine

from service.engine.ports import Conflict, OutcomeUnknown, ReadAgain, StorageFailed
from service.engine.rows import Rows, TakenPayable
from service.storage.store import SqlStore
from service.storage.transaction import SqlTransaction


class Fault(Enum):
    """The fate of one transaction."""

    NONE = auto()
    AWAY = auto()
    """The transaction cannot begin."""
    FAILED = auto()
    """The commit is refused: nothing is written."""
    CONFLICT = auto()
    """Another process was first: nothing is written."""
    LOST = auto()
    """The commit succeeds, but its answer is lost."""
    UNKNOWN = auto()
    """The commit fails, and its answer is lost."""
    BEFORE_WRITE = auto()
    """The process dies after the decisions and before any write."""
    WITHIN_WRITE = auto()
    """The process dies when only some tables are written."""
    BEFORE_COMMIT = auto()
    """The process dies after all writes and before the commit."""
    AFTER_COMMIT = auto()
    """The process dies after the commit and before any answer."""


class Died(BaseException):
    """The process is dead, as after SIGKILL: do not use the engine after catching this."""


ERRORS: dict[Fault, Exception] = {
    Fault.FAILED: StorageFailed("as told"),
    Fault.CONFLICT: Conflict("as told"),
    Fault.UNKNOWN: OutcomeUnknown("as told"),
}
DEATHS: dict[Fault, Died] = {
    Fault.BEFORE_WRITE: Died("before write"),
    Fault.WITHIN_WRITE: Died("within write"),
    Fault.BEFORE_COMMIT: Died("before commit"),
    Fault.AFTER_COMMIT: Died("after commit, before answer"),
}


class LastStatement:
    """A cursor on which one more statement runs; the process dies at the next one."""

    def __init__(self, cursor: Any, die: Callable[[], None]) -> None:
        self._cursor = cursor
        self._die = die
        self._has_run = False

    def execute(self, *arguments: Any) -> Any:
        """Runs the first statement."""
        if self._has_run:
            self._die()
        self._has_run = True
        return self._cursor.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class DyingTransaction(SqlTransaction):
    """A transaction in which the process dies before or within the write."""

    def __init__(self, whole: SqlTransaction, fault: Fault, die: Callable[[Fault], None]) -> None:
        super().__init__(whole.cursor, whole.statements)
        self._whole = whole
        self._fault = fault
        self._die = die

    def take_payable(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TakenPayable]:
        """Takes the payable in the whole transaction, which must record it."""
        return self._whole.take_payable(keys)

    def write(self, rows: Rows) -> None:
        """Writes nothing, or only the first table."""
        if self._fault is Fault.BEFORE_WRITE:
            self._die(self._fault)
        self.cursor = LastStatement(self.cursor, partial(self._die, self._fault))
        super().write(rows)
        self._die(self._fault)


class FaultyStore(SqlStore):
    """Applies the next fault of `plan` to each transaction, until the plan is empty.

    `interlude` runs once after a conflict, at a moment when other processes may write.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.plan: list[Fault] = []
        self.interlude: Callable[[], object] = lambda: None
        self.transactions = 0

    def bury(self) -> None:
        """Closes the dead process's connection."""
        self._drop_writer()

    def reopened(self, engine: Engine) -> FaultyStore:
        """The store of a restarted process, with its compiled statements kept."""
        again = copy(self)
        again._engine, again._schemas = engine, {}
        again._writer = again._session = None
        again.plan, again.interlude, again.transactions = [], lambda: None, 0
        return again

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """A real transaction with the planned fault."""
        self.transactions += 1
        fault = self.plan.pop(0) if self.plan else Fault.NONE
        if fault is Fault.AWAY:
            raise StorageFailed("as told")
        try:
            with super().begin() as transaction:
                within = fault in (Fault.BEFORE_WRITE, Fault.WITHIN_WRITE)
                yield DyingTransaction(transaction, fault, self.die) if within else transaction
                if fault in ERRORS:
                    raise ERRORS[fault]
                if fault is Fault.BEFORE_COMMIT:
                    self.die(fault)
        except ReadAgain:
            # The next attempt ends as planned.
            self.plan.insert(0, fault)
            raise
        except Conflict:
            interlude, self.interlude = self.interlude, lambda: None
            interlude()
            raise
        if fault is Fault.LOST:
            raise OutcomeUnknown("as told")
        if fault is Fault.AFTER_COMMIT:
            self.die(fault)

    def die(self, fault: Fault) -> None:
        """Drops the connection with the process; nothing is rolled back."""
        if self._session is not None:
            self._session.driver.close()
        raise DEATHS[fault]
