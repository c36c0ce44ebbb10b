"""A SQLite file with a flipped bit, under a real server."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine

from service.config import Limits
from service.storage.database import open_database
from service.storage.start_check import StartCheck, check_tables
from tests.engine.calls import authorize, rental, settle
from tests.fakes import serving
from tests.faults.support import run, server
from tests.storage.book import at, copy_of

INDEX = "sqlite_autoindex_requests_1"
"""The index by which a retry finds its first answer."""
LONG_S = 60.0


def rented(file: Path) -> Path:
    """The file, in which somebody rented."""
    with at(file) as desk:
        desk.put_user("ann", 700)
        rental(desk, settle(rental(desk, authorize()), 500))
    return copy_of(file, "rented.db")


def damage(file: Path) -> None:
    """Flips a bit of the first entry of the index."""
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'"
        (page,) = connection.execute(query, (INDEX,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(file.read_bytes())
    begin = (page - 1) * size
    # The array of cells follows the header of 8 bytes; an entry's texts are at its end.
    cell = begin + int.from_bytes(content[begin + 8 : begin + 10], "big")
    content[cell + 6] ^= 1
    file.write_bytes(content)


def test_the_search_for_damage_names_the_table(file: Path) -> None:
    """The search after the start checks every table of a whole file. In a damaged one it names the
    table."""
    book = rented(file)
    for harm in (False, True):
        if harm:
            damage(book)
        engine = open_database(f"sqlite:///{book}")
        found = check_tables(engine, LONG_S, Event())
        engine.dispose()
        if harm:
            assert found.fault is not None
            assert (found.fault.rule, found.fault.row) == ("DAMAGED", "table requests")
        else:
            assert (found.fault, found.left) == (None, ())
            assert "requests" in found.checked


def test_a_search_that_ends_slowly_does_not_fail_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the stop the search has as long as the calls to end, so that a busy machine does not make
    the server end with a failure."""
    began = Event()

    def slowly(_engine: Engine, _most_s: float, stopping: Event) -> StartCheck:
        began.set()
        stopping.wait(LONG_S)
        time.sleep(0.3)
        return StartCheck(None, (), ())

    monkeypatch.setattr("service.app.check_tables", slowly)
    with serving(tmp_path, limits=Limits(notice_s=1.0)) as served:
        assert began.wait(LONG_S)
        stopping = asyncio.run_coroutine_threadsafe(served.app.stop(), served.loop)
        assert stopping.result(LONG_S) == []


def test_the_search_for_damage_is_bounded(file: Path) -> None:
    """The search ends when its time is over, or the server stops; it says what it left."""
    engine = open_database(f"sqlite:///{file}")
    stopped = Event()
    stopped.set()
    for most_s, stopping in ((0.0, Event()), (LONG_S, stopped)):
        found = check_tables(engine, most_s, stopping)
        assert (found.fault, found.checked) == (None, ())
        assert "requests" in found.left
    engine.dispose()


def test_a_server_on_a_damaged_file_says_so(file: Path, model: Path) -> None:
    """A server on a whole file logs that it was checked. On a file with a flipped bit in an index
    it logs the damage, its health becomes NOT_SERVING, and `freehold verify` fails."""
    book = rented(file)
    with server(f"sqlite:///{book}", model, "127.0.0.1:0", "--trust-clock") as running:
        address = running.wait_for("serving")["address"]
        assert not running.wait_for("database_checked").get("left")
        assert run("health", address).returncode == 0
        assert running.terminate() == 0
    damage(book)
    with server(f"sqlite:///{book}", model, "127.0.0.1:0", "--trust-clock") as running:
        address = running.wait_for("serving")["address"]
        assert running.wait_for("database_damaged")["where"] == "table requests"
        running.wait_for("storage is away")
        assert run("health", address).returncode == 1
        assert running.terminate() == 0
    done = run("verify", "--database", f"sqlite:///{book}")
    assert done.returncode == 1
    assert "DAMAGED at the database's file" in done.stderr
