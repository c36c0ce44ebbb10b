"""The rows that SQLite's writing connection keeps in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from service.config import LIMITS
from service.domain.authorization import Authorization, State
from service.domain.ledger import Line
from service.engine.calls import Settled
from service.engine.ports import ReadAgain
from service.storage.row_memory import RowMemory
from tests.engine.acts import increment
from tests.engine.calls import (
    authorize,
    line,
    pick_up,
    reason,
    rental,
    reverse,
    settle,
    start,
    stored,
)
from tests.fakes import Desk, new_database

PEOPLE = ("ann", "ben", "cem")


def opened(file: Path, most: int) -> Desk:
    """A desk on a SQLite file whose writing connection keeps so many rows."""
    limits = replace(LIMITS, sqlite=replace(LIMITS.sqlite, remembered_rows=most))
    desk = Desk(new_database(f"sqlite:///{file}", limits))
    desk.put_users(**dict.fromkeys(PEOPLE, 700))
    return desk


@pytest.fixture
def sqlite_desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk on a SQLite file."""
    desk = opened(tmp_path / "file.db", 100)
    with closing(desk.store):
        yield desk


def memory_of(desk: Desk) -> RowMemory:
    """The memory of the writing connection."""
    session: Any = desk.store._session
    memory: RowMemory = session.memory
    return memory


def kept(desk: Desk) -> tuple[list[Line], list[Authorization]]:
    """The lines and the authorizations in memory."""
    memory = memory_of(desk)
    lines = [it for theirs in memory._lines.values() for it in theirs.values()]
    return lines, list(memory._authorizations.values())


@contextmanager
def reads(desk: Desk) -> Iterator[list[str]]:
    """The tables that batches read by keys meanwhile, lines and authorizations alone."""
    found: list[str] = []
    session: Any = desk.store._session

    def note(statement: str) -> None:
        for table in ("lines", "authorizations"):
            if statement.startswith("WITH wanted") and f"JOIN {table} ON" in statement:
                found.append(table)

    session.driver.set_trace_callback(note)
    yield found
    session.driver.set_trace_callback(None)


def elsewhere(desk: Desk, statement: str) -> None:
    """Another connection's transaction."""
    with desk.store.engine.connect().execution_options(writes=True) as other, other.begin():
        other.execute(text(statement))


def test_a_rental_in_memory_is_settled_without_reading_it(sqlite_desk: Desk) -> None:
    """The call after an Authorize reads neither the person's line nor the authorization again."""
    it = rental(sqlite_desk, authorize("ann"))
    with reads(sqlite_desk) as found:
        told = sqlite_desk.do(settle(it, 500))
    assert found == []
    assert isinstance(told, Settled)
    assert stored(sqlite_desk, it) == told.authorization


def test_people_in_memory_and_others_share_a_batch(sqlite_desk: Desk) -> None:
    """A batch reads only the people and the rentals that are not in memory."""
    it = rental(sqlite_desk, authorize("ann"))
    works = [sqlite_desk.work(command) for command in (authorize("ben"), settle(it, 500))]
    with reads(sqlite_desk) as found:
        assert list(map(reason, sqlite_desk.apply(*works))) == ["", ""]
    assert found == ["lines"]


def test_rows_in_memory_are_those_of_the_file(sqlite_desk: Desk) -> None:
    """After each step, every row in memory equals the stored row."""
    ann = rental(sqlite_desk, authorize("ann", "bike", "b-1"))
    ben = rental(sqlite_desk, pick_up("ben"))
    steps = (increment(ann, 100), start(ben, "b-2"), settle(ann, 300), reverse(ben))
    for step in steps:
        sqlite_desk.do(step)
        lines, authorizations = kept(sqlite_desk)
        assert {it.user_id for it in lines} == {"ann", "ben"}
        for row in lines:
            assert repr(row) == repr(line(sqlite_desk, row.user_id))
        for it in authorizations:
            assert repr(it) == repr(stored(sqlite_desk, it))


def test_a_closed_rental_leaves_the_memory(sqlite_desk: Desk) -> None:
    """Only open authorizations are kept."""
    it = rental(sqlite_desk, authorize("ann"))
    assert kept(sqlite_desk)[1] == [it]
    assert rental(sqlite_desk, settle(it, 500)).state is State.SETTLED
    assert kept(sqlite_desk)[1] == []


def test_a_commit_of_another_connection_is_seen(sqlite_desk: Desk) -> None:
    """After a commit of another connection every row is read again."""
    first = rental(sqlite_desk, authorize("ann"))
    assert first.state is State.ACTIVE
    elsewhere(sqlite_desk, "UPDATE lines SET standing = 'SUSPENDED' WHERE user_id = 'ann'")
    with reads(sqlite_desk) as found:
        second = rental(sqlite_desk, authorize("ann"))
    assert (second.state, second.reasons) == (State.DECLINED, ("USER_SUSPENDED",))
    assert found == ["lines"]


@pytest.mark.parametrize("error", [ValueError("as told"), ReadAgain(frozenset())])
def test_a_transaction_without_a_commit_leaves_nothing_in_memory(
    sqlite_desk: Desk, error: Exception
) -> None:
    """Rows written before a rollback are not kept, and rows kept before are read again."""
    it = rental(sqlite_desk, authorize("ann"))
    before = line(sqlite_desk)
    begin = sqlite_desk.store.begin

    @contextmanager
    def failing() -> Iterator[Any]:
        with begin() as transaction:
            yield transaction
            raise error

    sqlite_desk.store.begin = failing  # type: ignore[method-assign]
    with suppress(Exception):
        sqlite_desk.do(settle(it, 500))
    sqlite_desk.store.begin = begin  # type: ignore[method-assign]
    assert kept(sqlite_desk) == ([], [])
    assert (line(sqlite_desk), stored(sqlite_desk, it)) == (before, it)
    assert rental(sqlite_desk, settle(it, 500)).captured_minor == 500


@pytest.mark.parametrize("most", [0, 2])
def test_the_memory_is_bounded(tmp_path: Path, most: int) -> None:
    """At most `remembered_rows` of either kind are kept, those that were written last."""
    desk = opened(tmp_path / "file.db", most)
    with closing(desk.store):
        them = [rental(desk, authorize(name)) for name in PEOPLE]
        last = PEOPLE[len(PEOPLE) - most :]
        assert [it.user_id for it in kept(desk)[0]] == list(last)
        assert [it.user_id for it in kept(desk)[1]] == list(last)
        for it in them:
            assert rental(desk, settle(it, 500)).captured_minor == 500
