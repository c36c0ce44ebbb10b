"""A read has a time limit, and ends when its caller goes away."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import Engine, text

from service.domain.errors import Exhausted, Unavailable
from service.engine.ports import StorageFailed
from service.engine.read_time import ReadTime, timed
from service.storage.database import reading
from service.storage.store import SqlStore

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    " SELECT count(*) FROM n",
    "postgresql": "SELECT count(*) FROM generate_series(1, 1000000000000)",
}
WAIT_S = 30.0


def read_for_ever(engine: Engine) -> None:
    """A statement that does not end by itself."""
    with reading(engine) as connection:
        connection.execute(text(ENDLESS[engine.dialect.name])).all()


def test_a_read_is_interrupted_when_its_time_is_over(store: SqlStore) -> None:
    """A read that takes longer than its limit ends with a refusal that says how to ask for less,
    and without a delay after which a retry would help."""
    for _ in range(3):
        with timed(ReadTime(0.05)), pytest.raises(Exhausted) as refused:
            read_for_ever(store.engine)
        assert refused.value.reason == "READ_TOO_LONG"
        assert "page_size" in refused.value.message
        assert refused.value.retry_after_ms is None


def test_the_deadline_of_the_call_ends_its_read(store: SqlStore) -> None:
    """A read ends at its call's deadline, even if its own limit is later."""
    with timed(ReadTime(WAIT_S, time.monotonic() + 0.05)), pytest.raises(Exhausted):
        read_for_ever(store.engine)


def test_a_read_that_nobody_waits_for_ends(store: SqlStore) -> None:
    """A running read that is given up ends."""
    given = ReadTime(WAIT_S)
    later = threading.Timer(0.05, given.give_up)
    later.start()
    with timed(given), pytest.raises(Unavailable):
        read_for_ever(store.engine)
    later.join()
    assert given.over


def test_an_interrupted_read_leaves_its_connection_usable(store: SqlStore) -> None:
    """After an interrupted read, the same connections read and write; none is lost."""
    with timed(ReadTime(0.05)), pytest.raises(Exhausted):
        read_for_ever(store.engine)
    for _ in range(3):
        with timed(ReadTime(WAIT_S)), reading(store.engine) as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
    assert store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert store.newest_us() is None


def test_a_read_over_its_time_between_statements_ends_too(store: SqlStore) -> None:
    """A time that is over before a long statement begins interrupts that statement."""
    given = ReadTime(WAIT_S)

    def read_twice() -> None:
        with reading(store.engine) as connection:
            connection.execute(text("SELECT 1")).all()
            given.give_up()
            connection.execute(text(ENDLESS[store.engine.dialect.name])).all()

    with timed(given), pytest.raises(Unavailable):
        read_twice()


def test_a_thread_without_a_time_has_no_such_limit(store: SqlStore) -> None:
    """Workers' reads have no time limit here, and other errors of the database stay what they
    are."""
    with timed(ReadTime(0.0)):
        pass
    with reading(store.engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    with timed(ReadTime(WAIT_S)), pytest.raises(StorageFailed), reading(store.engine) as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))
