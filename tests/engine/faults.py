"""A real store whose transactions go wrong as told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto

from sqlalchemy import Engine

from service.engine.ports import Conflict, OutcomeUnknown, StorageFailed
from service.storage.store import SqlStore, SqlTransaction


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


ERRORS: dict[Fault, Exception] = {
    Fault.FAILED: StorageFailed("as told"),
    Fault.CONFLICT: Conflict("as told"),
    Fault.UNKNOWN: OutcomeUnknown("as told"),
}


class FaultyStore(SqlStore):
    """Takes the next fault of `plan` for each transaction; none left: all goes well.

    `interlude` runs once after a conflict, when other processes may write.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.plan: list[Fault] = []
        self.interlude: Callable[[], object] = lambda: None
        self.transactions = 0

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """A real transaction, with the planned end."""
        self.transactions += 1
        fault = self.plan.pop(0) if self.plan else Fault.NONE
        if fault is Fault.AWAY:
            raise StorageFailed("as told")
        try:
            with super().begin() as transaction:
                yield transaction
                if fault in ERRORS:
                    raise ERRORS[fault]
        except Conflict:
            interlude, self.interlude = self.interlude, lambda: None
            interlude()
            raise
        if fault is Fault.LOST:
            raise OutcomeUnknown("as told")
