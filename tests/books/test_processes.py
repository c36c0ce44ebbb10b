"""Several processes verify one state of the database while others write to it."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from service.books import processes
from service.books.processes import Elsewhere
from service.books.share import Share
from service.books.verify import verify_books
from service.engine.ports import StorageFailed
from service.storage.backup import back_up
from service.storage.database import open_database, reading
from tests.engine.calls import authorize, pay, rental, settle
from tests.fakes import Desk
from tests.shell import FORKS
from tests.storage.book import attack, multiply, tamper

PEOPLE = 12
ROUNDS = 3


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small books are divided like large ones, for any number of cores."""
    monkeypatch.setattr(processes, "WORTH_SHARING", 1)
    monkeypatch.setattr(processes, "_cores", lambda: 2)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other processes are forked with all imports done; tests without this start new ones."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda _method: FORKS)


@contextmanager
def renting(desk: Desk) -> Iterator[list[BaseException]]:
    """Rents, settles and pays for each person in turn, so that no line runs out; returns the
    failures."""
    over, wrong = threading.Event(), list[BaseException]()

    def rent() -> None:
        try:
            while not over.is_set():
                for number in range(PEOPLE):
                    settled = rental(desk, settle(rental(desk, authorize(f"u{number:02}")), 100))
                    rental(desk, pay(settled, 100, reference=f"pay-{settled.authorization_id}"))
        except BaseException as error:
            wrong.append(error)

    thread = threading.Thread(target=rent)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


@pytest.mark.usefixtures("forked")
def test_all_processes_see_one_state(desk: Desk, url: str) -> None:
    """Operators' payables equal the sums of all processes' shares, however much is written
    meanwhile."""
    for number in range(PEOPLE):
        desk.put_user(f"u{number:02}", 700)
    engine = open_database(url)
    seen = []
    with renting(desk) as wrong:
        for _ in range(ROUNDS):
            found = verify_books(engine, elsewhere=Elsewhere(partial(open_database, url)))
            assert found.fault is None
            seen.append(found.entries)
    engine.dispose()
    assert wrong == []
    assert sorted(set(seen)) == seen, "each verification saw more than the one before"


@pytest.mark.usefixtures("forked")
def test_any_process_may_find_the_first_fault(lived_file: Path) -> None:
    """With faults in several shares, the fault of the first person is named."""
    tamper(lived_file, *(f"UPDATE lines SET held_minor=held_minor+1 WHERE user_id='{who}'"
                   for who in ("ann", "dan")))  # fmt: skip
    engine = open_database(f"sqlite:///{lived_file}")
    open_again = Elsewhere(partial(open_database, f"sqlite:///{lived_file}"))
    found = verify_books(engine, elsewhere=open_again)
    assert found.fault == verify_books(engine).fault
    tamper(lived_file, "UPDATE lines SET held_minor=held_minor-1 WHERE user_id='ann'")
    found = verify_books(engine, elsewhere=open_again)
    assert found.fault == verify_books(engine).fault
    engine.dispose()
    assert found.fault is not None
    assert found.fault.row == "lines/dan/CNY"


def test_shares_have_about_the_same_size_and_cover_everyone(lived_file: Path) -> None:
    """The shares are consecutive ranges of people from the first to the last, with about as many
    entries each."""
    multiply(lived_file, 20)
    engine = open_database(f"sqlite:///{lived_file}")
    with reading(engine) as connection:
        shares = processes._shares(connection, Share(), 3)
    bounds = [(it.low, it.high) for it in shares]
    assert bounds[0][0] is None
    assert bounds[-1][1] is None
    assert [high for _, high in bounds[:-1]] == [low for low, _ in bounds[1:]]
    with attack(lived_file) as raw:
        everybody = raw.execute("SELECT user_id, count(*) FROM entries GROUP BY 1").fetchall()
    sizes = [
        sum(n for who, n in everybody if (not low or who >= low) and (not high or who < high))
        for low, high in bounds
    ]
    engine.dispose()
    assert max(sizes) < 1.3 * min(sizes)


def test_a_backup_is_verified_by_several_processes(lived_file: Path, tmp_path: Path) -> None:
    """All processes read the copy without a lock, because nobody writes to it."""
    made = back_up(f"sqlite:///{lived_file}", tmp_path / "backup.db")
    engine = open_database(f"sqlite:///{lived_file}")
    assert made.books == verify_books(engine)
    engine.dispose()


def test_helpers_that_are_too_slow_are_not_waited_for(
    lived_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the helpers do not begin in time, one process verifies everything alone."""
    monkeypatch.setattr(processes, "BEGIN_S", 0.0)
    engine = open_database(f"sqlite:///{lived_file}")
    elsewhere = Elsewhere(partial(open_database, f"sqlite:///{lived_file}"))
    assert verify_books(engine, elsewhere=elsewhere) == verify_books(engine)
    engine.dispose()


def test_without_the_writers_lock_one_process_verifies_alone(lived_file: Path) -> None:
    """When writers cannot be blocked for a moment, the books are still verified."""
    engine = open_database(f"sqlite:///{lived_file}")
    other = sqlite3.connect(lived_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        found = verify_books(
            engine, elsewhere=Elsewhere(partial(open_database, f"sqlite:///{lived_file}"))
        )
    finally:
        other.close()
        engine.dispose()
    assert found.fault is None
    assert found.authorizations > 10


def test_a_process_that_dies_is_an_error(lived_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a helper process ends early, the verification fails with an error and never passes."""
    engine = open_database(f"sqlite:///{lived_file}")
    elsewhere = Elsewhere(partial(open_database, f"sqlite:///{lived_file}"))

    def kill(*_: object) -> list[Share]:
        for child in multiprocessing.active_children():
            child.kill()
        time.sleep(0.1)
        return [Share(high="b"), Share(low="b")]

    monkeypatch.setattr(processes, "_shares", kill)
    with pytest.raises(StorageFailed):
        verify_books(engine, elsewhere=elsewhere)
    engine.dispose()
