"""The load of the power benchmark: the real engine, and a line on stdout for each batch.

``python -m benchmarks.power_load`` runs under strace, in one thread. A line is one ``write`` call
after `Engine.apply` has returned, so the trace itself shows what had been synced when a batch was
acknowledged. A line is JSON: the batch's number, the request ids with a digest of each answer, and
a digest of every row of the database at that moment.

The load closes and reopens the database between sessions, and keeps the write-ahead log short, so
that the trace has checkpoints, overwritten logs, and deleted and new logs. The seed decides
everything.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import click
from sqlalchemy import Engine as Database
from sqlalchemy import event

from benchmarks.harness import BenchmarkError
from service.clock import SandboxClock
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start, State
from service.domain.errors import FreeholdError, InternalFault, Unavailable
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine.calls import Answer, Group, Payloads, Settled, Work
from service.engine.engine import Engine
from service.engine.feature_values import pack, unpack
from service.engine.operations import (
    Authorize,
    Command,
    Confirm,
    Increment,
    Item,
    PutUser,
    RecordPayment,
    Reverse,
    Settle,
    StartRental,
)
from service.engine.scoring import Assessor
from service.rpc.beside import encode_beside
from service.rpc.convert import encode_authorization
from service.storage import admin
from service.storage.database import open_database
from service.storage.migrate import migrate
from service.storage.store import SqlStore

SYNCHRONOUS = ("FULL", "NORMAL")
STDOUT = 1
OPERATOR = "city"
START_US = 1_780_272_000_000_000
CURRENCY = "CNY"
# Few pages, so that a short run has many checkpoints, but more than one batch between two.
CHECKPOINT_PAGES = 150

_SECOND_US = 1_000_000
_FEE_BP = 300
_PEOPLE = 24
_ITEMS = 400
_LARGEST_BATCH = 10
# Every outcome of a score: zero deposit, part in cash, all in cash, declined.
_SCORES = (700.0, 660.0, 610.0, 580.0, 520.0, 450.0)
_BANDS = ((700, "A"), (650, "B"), (600, "C"), (550, "D"))
_PRODUCTS = ("bike", "umbrella", "power-bank")
_OFFERS = (Offer.ZERO, Offer.REDUCED, Offer.FULL)


class ToldScore(NamedTuple):
    """A given score, with the fields of `service.engine.ports.Scored`."""

    margin: float
    pd: float
    score: int
    band: str
    extrapolated: tuple[str, ...] = ()


class ToldUnscorable(NamedTuple):
    """A refusal to score a person, as an answer told it."""

    reason: str
    feature: str = ""


class TellingScorer:
    """Replaces the credit model: the one raw value is the score, NaN cannot be scored."""

    model_id = "told"
    scale_version = "told"
    outcome = "power_load"
    raw_names = ("score",)
    absent_names: frozenset[str] = frozenset()
    levels: Mapping[str, Mapping[str, int]] = {}

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> list[tuple[ToldScore | ToldUnscorable, tuple[str, ...]]]:
        """Scores rows together, in order; scores below `below` get one reason."""
        return [self._one(unpack(row)[0], below) for row in rows]

    def _one(self, value: float, below: int) -> tuple[ToldScore | ToldUnscorable, tuple[str, ...]]:
        if math.isnan(value):
            return ToldUnscorable("MISSING_FEATURE"), ()
        scored = self.scored((600 - int(value)) / 72.0, ())
        return scored, ("LOW_VALUE",) if scored.score < below else ()

    def scored(self, margin: float, extrapolated: tuple[str, ...]) -> ToldScore:
        """The score of a margin."""
        score = round(600 - margin * 72.0)
        band = next((band for bound, band in _BANDS if score >= bound), "E")
        return ToldScore(margin, 0.2, score, band, extrapolated)


class CountingIds:
    """Counting ids, so that a run can be repeated; each session continues the ids of the previous
    session."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def new(self, now_us: int) -> str:
        """The next id."""
        return f"{next(self._numbers):020d}"

    def least(self, us: int) -> str:
        """The empty text: these ids do not tell the time."""
        return ""

    def key(self) -> bytes:
        """The next secret."""
        return next(self._numbers).to_bytes(16, "big")


def create_database(path: Path) -> None:
    """A migrated database with one operator at `path`, in a single file, without rentals.

    The rows that a session writes at its start are there already: later only batches change the
    file.
    """
    database = open_database(f"sqlite:///{path}", create=True)
    migrate(database)
    admin.install_defaults(database)
    admin.create_operator(database, OPERATOR, "City", _FEE_BP, START_US)
    store = SqlStore(database)
    Assessor(store, TellingScorer())
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise BenchmarkError(f"{path.name} is still in use")


def digest(content: bytes) -> str:
    """The first 16 hexadecimal digits of SHA-256: enough to tell answers apart."""
    return hashlib.sha256(content).hexdigest()[:16]


def digest_of_rows(database: Database) -> str:
    """A digest of every row of every table, in any order."""
    total = hashlib.sha256()
    with database.connect() as connection:
        names = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " ORDER BY name"
        ).scalars()
        for name in names.all():
            rows = connection.exec_driver_sql(f'SELECT * FROM "{name}"').fetchall()
            total.update(f"{name} {len(rows)}\n".encode())
            for row in sorted(repr(tuple(row)) for row in rows):
                total.update(row.encode())
    return total.hexdigest()[:16]


class Customers:
    """The people who rent: makes batches of commands, and chooses the next ones by the answers."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._people: list[str] = []
        self._rentals: dict[str, Authorization] = {}
        self._answers: dict[str, Answer] = {}

    def batch(self, now_us: int) -> list[Work]:
        """The next calls, each about another authorization."""
        size = self._random.randint(1, _LARGEST_BATCH)
        touched: set[str] = set()
        return [self._work(*self._next(now_us, touched)) for _ in range(size)]

    def learn(self, request_id: str) -> None:
        """Takes the answer to a call."""
        answer = self._answers.pop(request_id)
        for it in _authorizations(answer):
            self._rentals[it.authorization_id] = it
            if not _goes_on(it):
                del self._rentals[it.authorization_id]

    def _next(self, now_us: int, touched: set[str]) -> tuple[str, Command]:
        chance = self._random
        if not self._people or (len(self._people) < _PEOPLE and chance.random() < 0.25):
            person = f"u-{len(self._people) + 1}"
            self._people.append(person)
            return PLATFORM, PutUser(person, pack([chance.choice(_SCORES)]), now_us, True)
        rentals = [it for name, it in sorted(self._rentals.items()) if name not in touched]
        if rentals and chance.random() < 0.6:
            rental = chance.choice(rentals)
            touched.add(rental.authorization_id)
            return OPERATOR, self._step(rental)
        if chance.random() < 0.1:
            person = chance.choice(self._people)
            return PLATFORM, PutUser(person, pack([chance.choice(_SCORES)]), now_us, True)
        start = chance.choice((Start.IMMEDIATE, Start.IMMEDIATE, Start.ON_PICKUP))
        items = tuple(
            Item(chance.choice(_PRODUCTS), self._asset() if start is Start.IMMEDIATE else "")
            for _ in range(chance.choice((1, 1, 1, 1, 2)))
        )
        person = chance.choice(self._people)
        return OPERATOR, Authorize(person, items, start, _OFFERS, grouped=len(items) > 1)

    def _asset(self) -> str:
        return f"item-{self._random.randrange(_ITEMS)}"

    def _step(self, it: Authorization) -> Command:
        """The next command on a rental."""
        chance, person, name = self._random, it.user_id, it.authorization_id
        if it.state is State.OFFERED:
            reference = f"cash-{next(self._numbers)}"
            return Confirm(person, name, reference, Money(CURRENCY, self._asked_minor(it)))
        if it.state is State.SETTLED:
            reference = f"due-{next(self._numbers)}"
            return RecordPayment(person, name, reference, Money(CURRENCY, it.due_minor))
        if chance.random() < 0.2:
            return Reverse(person, name)
        if it.state is State.AUTHORIZED:
            return StartRental(person, name, self._asset())
        if chance.random() < 0.2:
            return Increment(person, name, Money(CURRENCY, chance.randint(100, 3_000)))
        return Settle(person, name, Money(CURRENCY, chance.randint(100, 3_000)), True)

    def _asked_minor(self, it: Authorization) -> int:
        """The cash that an offer asks for; a group's is paid together."""
        if not it.group_id:
            return it.cash_minor
        members = self._rentals.values()
        return sum(member.cash_minor for member in members if member.group_id == it.group_id)

    def _work(self, caller: str, command: Command) -> Work:
        request_id = f"request-{next(self._numbers)}"
        body = repr(command).encode()

        def encode(answer: Answer, _payloads: Payloads) -> bytes:
            self._answers[request_id] = answer
            return repr(answer).encode()

        def differing(first: bytes) -> str | None:
            return None if first == body else "body"

        method = type(command).__name__
        return Work(caller, request_id, method, body, command, encode, differing)


def _authorizations(answer: Answer) -> tuple[Authorization, ...]:
    match answer:
        case Authorization():
            return (answer,)
        case Settled(authorization):
            return (authorization,)
        case Group(authorizations):
            return authorizations
        case _:
            return ()


def _goes_on(it: Authorization) -> bool:
    going = it.state in (State.OFFERED, State.AUTHORIZED, State.ACTIVE)
    return going or (it.state is State.SETTLED and it.due_minor > 0)


def batches(
    path: Path, *, synchronous: str, batches: int, sessions: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Apply the batches to the database at `path`; one acknowledgement each, once committed.

    Raises BenchmarkError when the engine answers with an internal error, because such a run puts no
    load on the engine.
    """
    customers, ids, clock = Customers(seed), CountingIds(), SandboxClock(START_US)
    portion = math.ceil(batches / sessions)
    faults: list[BaseException] = []
    for first in range(0, batches, portion):
        database = _open(path, synchronous)
        store = SqlStore(database)
        engine = Engine(
            store,
            Assessor(store, TellingScorer()),
            clock,
            ids,
            currency=CURRENCY,
            build="power",
            max_attempts=3,
            log_fault=lambda _id, error, _about=None: faults.append(error),
            log_terms=lambda fault, mended: faults.append(ValueError(fault, mended)),
            notice_gap=lambda _gap: None,
            encode=encode_authorization,
            encode_beside=encode_beside,
        )
        for number in range(first, min(first + portion, batches)):
            clock.advance(START_US + number * _SECOND_US)
            works = customers.batch(clock.now_us())
            requests = {}
            for work, result in zip(works, engine.apply(works), strict=True):
                if isinstance(result, Unavailable | InternalFault):
                    raise BenchmarkError(f"{work.method}: {result}; {faults}")
                if isinstance(result, FreeholdError):
                    continue  # a refusal leaves no row, so it is not acknowledged
                requests[work.request_id] = digest(result)
                customers.learn(work.request_id)
            yield {"batch": number + 1, "requests": requests, "rows": digest_of_rows(database)}
        store.close()


def _open(path: Path, synchronous: str) -> Database:
    """The database as the server opens it, but with a short log and the setting under test."""
    database = open_database(f"sqlite:///{path}")

    # Listeners run in the order in which they were added: this one is the last.
    @event.listens_for(database, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        if synchronous != "FULL":
            connection.execute(f"PRAGMA synchronous={synchronous}")

    return database


@click.command()
@click.option("--database", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--synchronous", default="FULL", type=click.Choice(SYNCHRONOUS))
@click.option("--batches", "count", default=60, type=click.IntRange(1))
@click.option("--sessions", default=3, type=click.IntRange(1))
@click.option("--seed", default=1, type=click.IntRange(0))
def main(database: Path, synchronous: str, count: int, sessions: int, seed: int) -> None:
    """Apply batches, and acknowledge each with a line on stdout."""
    for acknowledgement in batches(
        database, synchronous=synchronous, batches=count, sessions=sessions, seed=seed
    ):
        # One unbuffered system call: its place in the trace is the moment of the acknowledgement.
        os.write(STDOUT, json.dumps(acknowledgement).encode() + b"\n")


if __name__ == "__main__":
    main()
