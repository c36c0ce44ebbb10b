"""Verification by several processes, which read one state of the database.

Each process verifies a share of the people. On PostgreSQL all processes use one exported snapshot.
SQLite has no name for a state. There all processes begin to read while the verifier holds the write
lock, so nobody can commit between. If the lock cannot be taken, or the other processes take too
long to begin, this process verifies everything alone.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from service.books.share import Part, Readers, Share, verify_share
from service.engine.ports import StorageFailed
from service.storage import schema as t
from service.storage.database import backend_of, limits_of, reading, reading_all, take_time

PORTION = 1_000
"""The number of rows that a driver fetches together, unless stated otherwise."""
WORTH_SHARING = 50_000
"""The least entries for each process; with fewer, starting a process takes longer than it saves."""
MOST_PROCESSES = 16
START_S = 60.0
BEGIN_S = 2.0
"""The longest time for all helpers to begin to read, while nobody can commit."""


Progress = Callable[[float], None]
"""A function that is called with the part of the entries that was read, from 0 to 1."""


class Elsewhere(NamedTuple):
    """The way for another process to open the database; `frozen` means that nobody writes to the
    database."""

    open: Callable[[], Engine]
    frozen: bool = False


class Helper(NamedTuple):
    """Another process, and the pipe to it."""

    process: BaseProcess
    pipe: Pipe

    def tell(self, word: object) -> None:
        """Sends the process a message; raises StorageFailed if it is dead."""
        try:
            self.pipe.send(word)
        except OSError as error:
            raise StorageFailed("a process that verified a share of the books died") from error

    def told(self, wait_s: float | None) -> Any:
        """The next answer of the process; None after a timeout."""
        try:
            if wait_s is not None and not self.pipe.poll(wait_s):
                return None
            said = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise StorageFailed("a process that verified a share of the books died") from error
        if isinstance(said, BaseException):
            raise said
        return said

    def end(self) -> None:
        """Ends the process at once."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()
        self.process.close()


class Team:
    """This process and its helpers, which all read one state of the database."""

    def __init__(self, connection: Connection, helpers: list[Helper], readers: Readers) -> None:
        self.connection = connection
        self._helpers = helpers
        self._readers = readers

    def verify(self, share: Share, progress: Progress | None = None) -> list[Part]:
        """The verified parts of a share, in the order of the people; this process does the last.

        All shares have about as many entries, so its own progress is that of all.
        """
        shares = _shares(self.connection, share, 1 + len(self._helpers))
        helpers = self._helpers[: len(shares) - 1]
        for helper, theirs in zip(helpers, shares, strict=False):
            helper.tell(theirs)
        tell = None
        if progress is not None:
            own_entries = max(1, _entries(self.connection, shares[-1]))

            def tell(entries: int) -> None:
                progress(min(1.0, entries / own_entries))

        own = verify_share(self.connection, shares[-1], self._readers, tell)
        parts: list[Part] = [helper.told(None) for helper in helpers]
        return [*parts, own]


@contextmanager
def at_one_state(engine: Engine, elsewhere: Elsewhere | None, readers: Readers) -> Iterator[Team]:
    """Processes that read the same state; only this process if sharing is not worth it."""
    with ExitStack() as stack:
        helpers: list[Helper] = []
        if elsewhere is not None:
            stack.enter_context(_without_collector())
            count = min(_cores(), _size(engine) // WORTH_SHARING, MOST_PROCESSES)
            helpers = _helpers(stack, elsewhere, readers, count - 1)
        locked = ExitStack()
        with locked:
            if helpers and elsewhere and not elsewhere.frozen and not backend_of(engine).locks_rows:
                helpers = helpers if _shut_out_writers(locked, engine) else []
            connection = stack.enter_context(reading_all(engine, PORTION))
            snapshot = backend_of(engine).export_snapshot(connection) if helpers else None
            _look(connection)
            for helper in helpers:
                helper.tell(snapshot)
            end = time.monotonic() + BEGIN_S
            if any(helper.told(max(0.0, end - time.monotonic())) is None for helper in helpers):
                helpers = []
        yield Team(connection, helpers, readers)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Turns the garbage collector off: it would walk millions of rows, which have no cycles."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _look(connection: Connection) -> None:
    """Reads once, because a transaction sees the state at its first read."""
    connection.execute(select(func.max(t.seals.c.number))).all()


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _size(engine: Engine) -> int:
    with reading(engine) as connection:
        take_time(connection, limits_of(connection).postgres.portion_s)
        return int(connection.scalar(select(func.sum(t.lines.c.version))) or 0)


def _shut_out_writers(stack: ExitStack, engine: Engine) -> bool:
    """Prevents commits until the stack is left; returns whether that was possible."""
    try:
        connection = stack.enter_context(engine.connect().execution_options(writes=True))
        stack.callback(connection.rollback)
        connection.begin()
    except SQLAlchemyError:
        return False
    return True


def _helpers(stack: ExitStack, elsewhere: Elsewhere, readers: Readers, count: int) -> list[Helper]:
    """Starts `count` processes, ready to read."""
    context = multiprocessing.get_context("spawn")
    helpers = []
    for _ in range(count):
        here, there = context.Pipe()
        process = context.Process(target=_help, args=(there, elsewhere.open, readers), daemon=True)
        process.start()
        there.close()
        helper = Helper(process, here)
        stack.callback(helper.end)
        helpers.append(helper)
    for helper in helpers:
        if helper.told(START_S) is None:
            raise StorageFailed(f"another process did not start within {START_S:.0f} s")
    return helpers


def _help(pipe: Pipe, open_engine: Callable[[], Engine], readers: Readers) -> None:
    """The main function of a helper: it starts, begins to read, and verifies its share."""
    try:
        engine = open_engine()
        try:
            pipe.send("ready")
            snapshot = pipe.recv()
            seen = backend_of(engine).see_snapshot(engine, snapshot)
            with _without_collector(), reading_all(seen, PORTION) as connection:
                _look(connection)
                pipe.send("begun")
                pipe.send(verify_share(connection, pipe.recv(), readers))
        finally:
            engine.dispose()
    except EOFError:
        return  # nobody waits for it any more
    except StorageFailed as error:
        if error.__cause__ is not None:
            # A pipe passes no causes on.
            error.add_note(f"in a process that verified a share of the books: {error.__cause__!r}")
        pipe.send(error)


def _entries(connection: Connection, share: Share) -> int:
    """The entries of a share, by the versions of its lines."""
    line = t.lines.c
    query = select(func.sum(line.version)).where(*share.people(line.user_id))
    return int(connection.scalar(query) or 0)


def _shares(connection: Connection, share: Share, count: int) -> list[Share]:
    """A share, divided into at most `count` ranges of people with about as many entries each."""
    if count == 1:
        return [share]
    line = t.lines.c
    people = select(line.user_id, line.version).where(*share.people(line.user_id))
    total = _entries(connection, share)
    bounds: list[str] = []
    seen = 0
    for user_id, version in connection.execute(people.order_by(line.user_id)):
        if seen * count >= total * (len(bounds) + 1) and user_id not in bounds:
            bounds.append(user_id)
        seen += version
    cuts = [share.low, *bounds[: count - 1], share.high]
    return [share._replace(low=low, high=high) for low, high in pairwise(cuts)]
