"""The tests' stand-ins: a scripted scorer, counting ids, a server in a thread.

Everything else in the tests is real: SQLite files, gRPC sockets, the engine itself.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy
from sqlalchemy import make_url

from service.clock import Clock, SandboxClock
from service.conditions import CelConditions
from service.config import AIO, LIMITS, Limits
from service.domain.access import PLATFORM, new_key
from service.engine.calls import Answer, Payloads, Work
from service.engine.catalog import TermsFault
from service.engine.clock_gaps import ClockGap
from service.engine.engine import Engine, Result
from service.engine.feature_values import unpack
from service.engine.operations import Command, PutUser
from service.engine.pool import Pool, PoolLimits
from service.engine.ports import Scorer
from service.engine.scoring import Assessor
from service.ids import Ids
from service.rpc.beside import encode_beside
from service.rpc.convert import encode_authorization
from service.signing import SealKey
from service.storage import admin
from service.storage.database import open_database
from service.storage.horizon import Horizon, Notice
from service.storage.lists import Lists
from service.storage.migrate import migrate
from service.storage.store import SqlStore

if TYPE_CHECKING:
    import grpc

    from service.app import App
    from service.rails.simulated import Behaviour
    from service.rpc.tls import ServerTls

START_US = 1_780_272_000_000_000
"""2026-06-01T00:00:00Z, where the tests' clocks begin."""
MINUTE_US = 60_000_000
OPERATOR = "city"
OTHER_OPERATOR = "harbour"
RAIL_SECRET = b"shared with the rail in tests only"
BANDS = ((700, "A"), (650, "B"), (600, "C"), (550, "D"))


BACKSTAGE = Pool("background reads", PoolLimits(threads=4, max_waiting=64))
"""The readers' place, for tests that run a part of the server by itself."""


class FakeScored(NamedTuple):
    """A given score."""

    margin: float
    pd: float
    score: int
    band: str
    extrapolated: tuple[str, ...] = ()


class FakeUnscorable(NamedTuple):
    """A given refusal."""

    reason: str
    feature: str = ""


class FakeScorer:
    """Returns the first raw value as the score; NaN cannot be scored."""

    model_id = "fake-model"
    scale_version = "fake-scale"
    outcome = "fake_outcome"
    raw_names: tuple[str, ...] = ("score", "other")
    absent_names = frozenset({"other"})
    levels: Mapping[str, Mapping[str, float]] = {}

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> list[tuple[FakeScored | FakeUnscorable, tuple[str, ...]]]:
        """Scores rows together, in order; the second raw value, if positive, lowers the score."""
        return [self._explained(unpack(row), below) for row in rows]

    def _explained(
        self, values: Sequence[float], below: int
    ) -> tuple[FakeScored | FakeUnscorable, tuple[str, ...]]:
        value, other = values
        result = self._one(value)
        low = isinstance(result, FakeScored) and result.score < below
        return result, ("HIGH_OTHER",) if low and other > 0 else ()

    def _one(self, value: float) -> FakeScored | FakeUnscorable:
        if math.isnan(value):
            return FakeUnscorable("MISSING_FEATURE", "score")
        return self.scored((600 - int(value)) / 72.0, ())

    def scored(self, margin: float, extrapolated: tuple[str, ...]) -> FakeScored:
        """The score of a margin."""
        if not math.isfinite(margin):
            raise ValueError(margin)
        score = round(600 - margin * 72.0)
        band = next((band for bound, band in BANDS if score >= bound), "E")
        return FakeScored(margin, 0.2, score, band, extrapolated)


class CountingIds:
    """Counting ids, so that runs repeat."""

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


def horizon_of(
    store: SqlStore, notice: Notice = lambda _: None, notice_after_s: float = 10.0
) -> Horizon:
    """The horizon of a store's database."""
    return Horizon(store.engine, notice, notice_after_s=notice_after_s)


def lists_of(
    store: SqlStore,
    notice: Notice = lambda _: None,
    wait_s: float = 10.0,
    notice_after_s: float = 10.0,
) -> Lists:
    """The lists of a store's database, with their own horizon."""
    horizon = horizon_of(store, notice, notice_after_s)
    window = LIMITS.page_window
    return Lists(store.engine, horizon, wait_s=wait_s, retry_ms=1_000, window=window)


def new_database(url: str, limits: Limits = LIMITS) -> SqlStore:
    """A migrated database with the default terms and two operators."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        file = Path(str(address.database))
        # As the command makes it, so that a server does not warn of it.
        file.touch(0o600)
        file.write_bytes(_new_file())
        return SqlStore(open_database(url, limits=limits))
    engine = open_database(url, limits=limits)
    _fill(engine)
    return SqlStore(engine)


@cache
def _new_file() -> bytes:
    """A new database as one file: migrating takes a hundred times as long as copying."""
    with tempfile.TemporaryDirectory(prefix="freehold-new-") as folder:
        path = Path(folder) / "freehold.db"
        engine = open_database(f"sqlite:///{path}", create=True)
        _fill(engine)
        engine.dispose()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def _fill(engine: sqlalchemy.Engine) -> None:
    migrate(engine)
    admin.install_defaults(engine)
    admin.create_operator(engine, OPERATOR, "City", 300, START_US)
    admin.create_operator(engine, OTHER_OPERATOR, "Harbour", 250, START_US)


def encode(answer: Answer) -> bytes:
    """Bytes that differ for different answers."""
    return repr(answer).encode()


class Desk:
    """An engine on a real database, with a clock that the test moves."""

    def __init__(
        self,
        store: SqlStore,
        *,
        ids: Ids | None = None,
        scorer: Scorer | None = None,
        machine: Clock | None = None,
    ) -> None:
        """`machine` is the engine's clock in place of this one."""
        self.store = store
        self.clock = SandboxClock(START_US)
        self.faults: list[BaseException] = []
        self.terms: list[tuple[TermsFault, bool]] = []
        """The reports of wrong terms, and of terms that are right again."""
        self.clock_gaps: list[ClockGap] = []
        self.answers: dict[str, Answer] = {}
        self.engine = Engine(
            store,
            Assessor(store, scorer or FakeScorer()),
            machine or self.clock,
            ids or CountingIds(),
            currency="CNY",
            build="test",
            max_attempts=3,
            log_fault=lambda _id, error, _about=None: self.faults.append(error),
            log_terms=lambda fault, mended: self.terms.append((fault, mended)),
            notice_gap=self.clock_gaps.append,
            encode=encode_authorization,
            encode_beside=encode_beside,
            conditions=CelConditions(),
        )
        self._requests = itertools.count(1)

    def work(
        self,
        command: Command,
        *,
        request_id: str | None = None,
        caller: str = OPERATOR,
        body: bytes | None = None,
    ) -> Work:
        """A call. Its body stands for the client's bytes, and its request id is fresh unless one is
        given."""
        name = request_id if request_id is not None else f"request-{next(self._requests)}"
        content = repr(command).encode() if body is None else body

        def keep(answer: Answer, _payloads: Payloads) -> bytes:
            self.answers[name] = answer
            return encode(answer)

        def differing(first: bytes) -> str | None:
            return None if first == content else "body"

        return Work(caller, name, type(command).__name__, content, command, keep, differing)

    def apply(self, *works: Work) -> list[Result]:
        """The results of one batch."""
        return self.engine.apply(list(works))

    def do(
        self, command: Command, *, request_id: str | None = None, caller: str = OPERATOR
    ) -> Answer:
        """The answer to one command; raises its refusal."""
        work = self.work(command, request_id=request_id, caller=caller)
        (result,) = self.apply(work)
        if isinstance(result, Exception):
            raise result
        return self.answers[work.request_id]

    def put_user(self, user_id: str, score: float, *, consent: bool = True) -> Answer:
        """Registers a person with this score from the model."""
        raw = _raw(score)
        return self.do(PutUser(user_id, raw, START_US, consent), caller=PLATFORM)

    def put_users(self, **scores: float) -> None:
        """Registers people, each with a score, in one batch."""
        put = [PutUser(user_id, _raw(score), START_US, True) for user_id, score in scores.items()]
        results = self.apply(*(self.work(it, caller=PLATFORM) for it in put))
        assert not [it for it in results if isinstance(it, Exception)], results


def _raw(score: float) -> bytes:
    from service.engine.feature_values import pack

    return pack([score, 0.0])


class Default:
    """The choice of tests that run on each transport."""

    transport = AIO


DEFAULT = Default()


class Served(NamedTuple):
    """A running server: its address, keys, store and clock."""

    address: str
    operator_key: str
    other_operator_key: str
    platform_key: str
    store: SqlStore
    clock: Clock
    app: App
    loop: asyncio.AbstractEventLoop

    def channel(self) -> grpc.Channel:
        """A fresh channel to the server."""
        import grpc

        return grpc.insecure_channel(self.address)


@contextmanager
def serving(
    folder: Path,
    *,
    limits: Limits = LIMITS,
    clock: Clock | None = None,
    scorer: Scorer | None = None,
    rail: Behaviour | None = None,
    seal_key: SealKey | None = None,
    tls: ServerTls | None = None,
    watched: bool = False,
    key_clock: Clock | None = None,
    ids: Ids | None = None,
    transport: str | None = None,
) -> Iterator[Served]:
    """A real server on a real socket and a SQLite file, in its own thread.

    With a behaviour it has a simulated payment rail whose secret is `RAIL_SECRET`. Without a
    transport it has that of `DEFAULT`.
    """
    # Here, since children that only need a desk start much sooner without.
    from service.app import App
    from service.parts import Parts
    from service.rails.simulated import SimulatedRail

    store = new_database(f"sqlite:///{folder / 'freehold.db'}", limits)
    keys = [new_key() for _ in range(3)]
    for key, owner in zip(keys, (OPERATOR, OTHER_OPERATOR, None), strict=True):
        admin.add_key(store.engine, key, owner, START_US)
    used_clock = clock or SandboxClock(START_US)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="server")
    thread.start()

    async def make() -> tuple[App, int]:
        parts = Parts(
            store,
            scorer or FakeScorer(),
            used_clock,
            ids or CountingIds(),
            limits,
            RAIL_SECRET,
            None if rail is None else SimulatedRail(RAIL_SECRET, used_clock, rail),
            seal_key,
            tls=tls,
            watched=watched,
            key_clock=key_clock,
            transport=transport or DEFAULT.transport,
        )
        app = App(parts)
        return app, await app.start("127.0.0.1:0")

    try:
        app, port = asyncio.run_coroutine_threadsafe(make(), loop).result(30)
        try:
            operator_key, other_operator_key, platform_key = keys
            yield Served(
                address=f"127.0.0.1:{port}",
                operator_key=operator_key,
                other_operator_key=other_operator_key,
                platform_key=platform_key,
                store=store,
                clock=used_clock,
                app=app,
                loop=loop,
            )
        finally:
            asyncio.run_coroutine_threadsafe(app.stop(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
