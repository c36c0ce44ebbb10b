"""A real store whose transactions go wrong as told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from enum import Enum, auto

from sqlalchemy import Engine

from service.engine.ports import Conflict, OutcomeUnknown, ReadAgain, StorageFailed
from service.engine.rows import Rows, TakenPayable
from service.storage.store import SqlStore
from service.storage.transaction import SqlTransaction


class Fault(Enum):
    """What happens to one transaction."""

    NONE = auto()
    AWAY = auto()
    """It cannot be begun."""
    FAILED = auto()
    """The commit is refused: nothing was written."""
    CONFLICT = auto()
    """Somebody else was first: nothing was written."""
    LOST = auto()
    """It was committed, but the answer is lost."""
    UNKNOWN = auto()
    """It was not committed, and the answer is lost."""
    BEFORE_WRITE = auto()
    """The process dies when all is decided and nothing is written."""
    WITHIN_WRITE = auto()
    """The process dies when some tables are written and others are not."""
    BEFORE_COMMIT = auto()
    """The process dies when all is written and nothing is committed."""
    AFTER_COMMIT = auto()
    """The process dies when all is committed and nobody was answered."""


class Died(BaseException):
    """The process is gone, as after SIGKILL: whoever catches this must not use the engine again."""


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


class DyingTransaction(SqlTransaction):
    """A transaction in which the process dies before or within the write."""

    def __init__(self, whole: SqlTransaction, fault: Fault, die: Callable[[Fault], None]) -> None:
        super().__init__(whole.cursor, whole.statements)
        self._whole = whole
        self._fault = fault
        self._die = die

    def take_payable(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TakenPayable]:
        """Takes it in the whole transaction, which must know that it did."""
        return self._whole.take_payable(keys)

    def write(self, rows: Rows) -> None:
        """Writes nothing, or some tables."""
        if self._fault is Fault.BEFORE_WRITE:
            self._die(self._fault)
        super().write(rows)

    def _write_payables(self, rows: Rows) -> None:
        self._die(self._fault)


class FaultyStore(SqlStore):
    """Takes the next fault of `plan` for each transaction; none left: all goes well.

    `interlude` runs once after a conflict, when other processes may write.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.plan: list[Fault] = []
        self.interlude: Callable[[], object] = lambda: None
        self.transactions = 0

    def bury(self) -> None:
        """Lets go of what is left of the connection of a process that died."""
        self._drop_writer()

    def reopened(self, engine: Engine) -> FaultyStore:
        """A store as a process has it that comes up, without compiling every statement again."""
        again = copy(self)
        again._engine, again._schemas = engine, {}
        again._writer = again._session = None
        again.plan, again.interlude, again.transactions = [], lambda: None, 0
        return again

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """A real transaction, with the planned end."""
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
            # What is decided anew ends as planned.
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
        """The connection is gone with the process; nobody rolls back."""
        if self._session is not None:
            self._session.driver.close()
        raise DEATHS[fault]
