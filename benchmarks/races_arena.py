"""The arena of the races: Freehold's server processes on one database, and their many clients.

The servers are `freehold serve`, each with a sandbox clock, so that a race may be about an instant.
A client is its own connection; half of them lead to each of two servers. Contending calls are
prepared to the last byte, wait at one barrier, and are sent in random order; each call notes when
it was sent and answered, which shows how close the race was.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from freehold.client import AsyncClient as Methods
from freehold.client import FreeholdError, parse_error
from freehold.v1.credit_service_pb2 import PutUsersRequest
from freehold.v1.ledger_service_pb2 import VerifyBooksRequest, VerifyBooksResponse
from freehold.v1.sandbox_service_pb2 import AdvanceClockRequest
from google.protobuf.message import Message
from sqlalchemy import Engine, insert, select

from benchmarks.crash_server import REAL
from benchmarks.harness import BenchmarkError
from benchmarks.prepared import people
from benchmarks.processes import Server, free_port
from models import reading, spec
from service.config import AIO
from service.domain.access import PLATFORM, new_key
from service.domain.rules import Budget, Counted, Of, Outcome, Rules, Span, Velocity
from service.domain.rules_document import json_of_rules
from service.domain.segment_tariff import (
    FreeMinutes,
    Pass,
    PassGift,
    Quota,
    QuotaPeriod,
    Rounding,
    Segment,
    SegmentTariff,
)
from service.domain.tariff_document import tariff_columns
from service.storage import admin, rail_accounts
from service.storage import schema as t
from service.storage.database import open_database, writing
from service.storage.migrate import migrate

CITY, HARBOUR = "city", "harbour"
JOINT = "joint"
"""An account of the platform that both operators share, under this name of all three."""
PAYEES = tuple(f"payee-{number}" for number in range(5))
"""Operators; the payees are those whose payables are raced for."""
SCOOTER, FREE_MINUTES = "scooter", 2
"""A product whose tariff has so many free minutes for each person and day."""
TRICYCLE, PASS_NAME = "tricycle", "week"
"""A product whose tariff sells a pass with free minutes for each rental."""
BOUNDED = "bounded"
"""A product whose policy allows `MOST` rentals of a person, a device and an account in a day."""
MOST = 2
BUDGETS, BUDGET_RENTALS, BUDGET_SLICE = 50, 5, 2
"""Products, each under a policy of its own whose budget is for so many of its deposits, with a
slice of so many; each round of a wave has one."""
CONNECTIONS = 50
FEE_BP = 300
"""Freehold's commission on a capture, in basis points."""
RAIL_SECRET = b"what the races' payment rail signs with"
"""A rail that reports nothing by itself: its reports are part of a race."""
SECOND_US = 1_000_000
START = datetime(2030, 1, 1, tzinfo=UTC)

_SPEC = Path(reading.__file__).with_name("data") / "taiwan.toml"
_START_US = int(START.timestamp()) * SECOND_US
_PLATFORM_KEYS = 3
_SCORED = 200
_ENOUGH_SCORE = 600
_TRY_LIMIT_S = 20.0
_CALL_LIMIT_S = 60.0
_VERIFY_LIMIT_S = 1800.0
_PAUSE_S = 0.02
_PASSING = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


@dataclass(frozen=True, slots=True)
class Keys:
    """API keys of the operators, and of three people of the platform."""

    operators: Mapping[str, str]
    platform: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, ready to be sent.

    kind        its name in the race, such as "settle"
    method      of `freehold.client`: path, request and response
    body        the request's bytes
    request_id  empty where the method has none
    key         API key
    server      the number of the server it must go to, of as many as there are; None: any
    """

    kind: str
    method: Any
    body: bytes
    request_id: str
    key: str
    server: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A call's result: answered, or finally refused.

    sent_s, heard_s  of the first try's beginning and the last try's end, on one steady clock
    tries            number of sends: an UNAVAILABLE call is repeated unchanged
    """

    call: Call
    server: int
    sent_s: float
    heard_s: float
    tries: int
    told: bytes | None
    refusal: FreeholdError | None

    @property
    def message(self) -> Any:
        """The parsed response; an empty one for a refusal."""
        return self.call.method.response.FromString(self.told or b"")

    @property
    def kind(self) -> str:
        """The call's name in its race."""
        return self.call.kind


class Arena:
    """Running servers on one database, their clock, and a creditworthy person's features."""

    def __init__(self, url: str, keys: Keys, servers: Sequence[Server], logs: list[Path]) -> None:
        self.keys = keys
        self.servers = servers
        self._logs = logs
        self.engine: Engine = open_database(url)
        self.now_us = _START_US
        self.features: dict[str, float] = {}
        self.numbers = itertools.count(1)

    def faults(self) -> int:
        """Faults in the servers' logs so far: defects, and batches that failed because of
        contention."""
        return sum(log.read_text(encoding="utf-8").count('"event": "fault"') for log in self._logs)


def populate(url: str) -> Keys:
    """Migrate an empty database, create the operators and the keys."""
    engine = open_database(url, create=True)
    try:
        migrate(engine)
        admin.install_defaults(engine)
        operators = {}
        for operator_id in (CITY, HARBOUR, *PAYEES):
            admin.create_operator(engine, operator_id, operator_id, FEE_BP, _START_US)
            operators[operator_id] = new_key()
            admin.add_key(engine, operators[operator_id], operator_id, _START_US)
        _add_free_minutes(engine)
        rail_accounts.create(engine, PLATFORM, JOINT, "", "", _START_US)
        for operator_id in (CITY, HARBOUR):
            rail_accounts.share(engine, JOINT, operator_id, JOINT, _START_US)
        _add_bounded(engine)
        platform = tuple(new_key() for _ in range(_PLATFORM_KEYS))
        for key in platform:
            admin.add_key(engine, key, None, _START_US)
    finally:
        engine.dispose()
    return Keys(operators, platform)


def _add_free_minutes(engine: Engine) -> None:
    """Adds the products of the city with a quota and with a pass."""
    tariff = SegmentTariff(
        Rounding.STARTED, 100, 0, FreeMinutes.DEDUCTED, 0, 1_000, (Segment(0, None, 60, 100),),
        time_zone="Asia/Shanghai",
    )  # fmt: skip
    tariffs = {
        SCOOTER: tariff._replace(quotas=(Quota("daily", FREE_MINUTES, QuotaPeriod.DAY),)),
        TRICYCLE: tariff._replace(passes=(Pass(PASS_NAME, 500, 7, PassGift.MINUTES_A_RENTAL, 30),)),
    }
    p = t.products.c
    with writing(engine) as connection:
        bikes = (p.operator_id == CITY, p.product_id == "bike")
        bike = connection.execute(select(t.products).where(*bikes)).mappings().one()
        small = {"deposit_minor": 1_000, "most_hold_minor": None}
        for name, of_product in tariffs.items():
            row = {**bike, **small, "product_id": name, **tariff_columns(of_product)}
            connection.execute(insert(t.products), row)


def budgeted(place: int) -> str:
    """The product with a budget for the round at a place of its wave."""
    return f"budget-{place}"


def _add_bounded(engine: Engine) -> None:
    """Adds products of the operator `city`: umbrellas under policies with bounds or budgets."""
    bounds = Rules(velocity=tuple(Velocity(it, Counted.DAY, MOST, Outcome.DECLINE) for it in Of))
    policy_id, product_id = t.policies.c.policy_id, t.products.c.product_id
    umbrella = (product_id == "umbrella") & (t.products.c.operator_id == CITY)
    with writing(engine) as connection:
        policy = connection.execute(select(t.policies).where(policy_id == "small-item")).one()
        product = connection.execute(select(t.products).where(umbrella)).one()
        minor = product.deposit_minor
        budget = Budget("CNY", Span.OPEN, BUDGET_RENTALS * minor, BUDGET_SLICE * minor)
        rules = {BOUNDED: bounds}
        rules |= {budgeted(place): Rules(budget=(budget,)) for place in range(BUDGETS)}
        for name, its in rules.items():
            stored = {"policy_id": name, "rules": json_of_rules(its)}
            connection.execute(insert(t.policies), {**policy._asdict(), **stored})
            named = {"policy_id": name, "product_id": name}
            connection.execute(insert(t.products), {**product._asdict(), **named})


@contextmanager
def arena(
    url: str, model: Path, folder: Path, servers: int, transport: str = AIO
) -> Iterator[Arena]:
    """This many servers on an empty database; their logs go to `folder`."""
    keys = populate(url)
    logs = [folder / f"server-{number}.log" for number in range(servers)]
    secret = folder / "rail-secret"
    secret.write_bytes(RAIL_SECRET)
    started: list[Server] = []
    made: Arena | None = None
    try:
        for log in logs:
            server = _server(url, model, log, secret, transport)
            server.launch()
            started.append(server)
        for server in started:
            server.wait_serving()
        made = Arena(url, keys, started, logs)
        yield made
        for server in started:
            server.stop()
    finally:
        for server in started:
            server.kill()
        if made is not None:
            made.engine.dispose()


def _server(url: str, model: Path, log: Path, secret: Path, transport: str) -> Server:
    port = free_port()
    arguments = [
        "benchmarks.crash_server", REAL, "serve", "--listen", f"127.0.0.1:{port}",
        "--database", url, "--model", str(model), "--sandbox", START.isoformat(),
        "--rail-secret", str(secret), "--transport", transport,
    ]  # fmt: skip
    return Server(arguments, core=None, port=port, log=log)


class Clients:
    """Connections to an arena's servers, for one event loop; a context manager."""

    def __init__(self, place: Arena) -> None:
        self.arena = place
        self._channels: list[list[grpc.aio.Channel]] = []

    async def __aenter__(self) -> Self:
        servers = self.arena.servers
        for server in servers:
            self._channels.append(
                [_connect(server.port) for _ in range(CONNECTIONS // len(servers))]
            )
        await asyncio.gather(
            *(channel.channel_ready() for channels in self._channels for channel in channels)
        )
        if not self.arena.features:
            self.arena.features = await self._creditworthy()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(
            *(channel.close() for channels in self._channels for channel in channels)
        )

    async def race(
        self, groups: Sequence[Sequence[Call]], late_s: float, chance: random.Random
    ) -> list[list[Answer]]:
        """Send groups of calls together; return each group's answers in the order of sending.

        Chance decides the order of the groups and within each. The last group, which may be empty,
        is sent `late_s` seconds later, or somewhere among the others.
        """
        count = len(self._channels)
        barrier = asyncio.Barrier(sum(map(len, groups)))
        order = chance.sample(range(len(groups)), len(groups))
        server = chance.randrange(count)
        sending: list[list[asyncio.Task[Answer]]] = [[] for _ in groups]
        for place in order:
            late = late_s if place == len(groups) - 1 else 0.0
            # The calls of one group use different connections, as long as there are enough.
            used = [0] * count
            for call in chance.sample(list(groups[place]), len(groups[place])):
                server = (server + 1) % count
                where = server if call.server is None else call.server % count
                sent = self._send(call, where, used[where], barrier, late)
                used[where] += 1
                sending[place].append(asyncio.create_task(sent))
        return [list(await asyncio.gather(*tasks)) for tasks in sending]

    async def ask(self, call: Call) -> Answer:
        """Send a single call; calls alternate between servers and connections."""
        number = next(self.arena.numbers)
        connection, server = divmod(number, len(self._channels))
        return await self._send(call, server if call.server is None else call.server, connection)

    async def _send(
        self,
        call: Call,
        server: int,
        connection: int,
        barrier: asyncio.Barrier | None = None,
        late_s: float = 0.0,
    ) -> Answer:
        channels = self._channels[server]
        channel = channels[connection % len(channels)]
        stub = channel.unary_unary(call.method.path)
        metadata = (("authorization", f"Bearer {call.key}"),)
        if barrier is not None:
            await barrier.wait()
        if late_s:
            await asyncio.sleep(late_s)
        sent_s = time.perf_counter()
        told: bytes | None = None
        tries = 0
        while True:
            tries += 1
            refusal = None
            try:
                told = await stub(call.body, timeout=_TRY_LIMIT_S, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                refusal = parse_error(error)
            if refusal is None or refusal.code not in _PASSING:
                break
            if time.perf_counter() - sent_s > _CALL_LIMIT_S:
                tail = self.arena.servers[server].tail
                raise BenchmarkError(f"{call.kind} was never answered: {refusal}\n{tail}")
            await asyncio.sleep(_PAUSE_S)
        return Answer(call, server, sent_s, time.perf_counter(), tries, told, refusal)

    # -- the clocks --------------------------------------------------------------------------

    def to_instant(self, at_us: int, kind: str, server: int) -> Call:
        """The call that moves one server's clock to an instant and runs the due timers."""
        request = AdvanceClockRequest()
        request.now.FromMicroseconds(at_us)
        key = self.arena.keys.platform[0]
        return Call(kind, Methods.advance_clock, request.SerializeToString(), "", key, server)

    async def advance(self, at_us: int) -> None:
        """Move every server's clock to an instant, unless it is there already."""
        if at_us <= self.arena.now_us:
            return
        servers = range(len(self.arena.servers))
        calls = [self.to_instant(at_us, "clock", server) for server in servers]
        for answer in await asyncio.gather(*map(self.ask, calls)):
            require_told(answer)
        self.arena.now_us = at_us

    # -- the platform ------------------------------------------------------------------------

    async def verify(self) -> VerifyBooksResponse:
        """Both books, verified by one of the servers."""
        channel = self._channels[0][0]
        body = VerifyBooksRequest().SerializeToString()
        metadata = (("authorization", f"Bearer {self.arena.keys.platform[0]}"),)
        stub = channel.unary_unary(Methods.verify_books.path)
        try:
            answer = await stub(body, timeout=_VERIFY_LIMIT_S, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise BenchmarkError(f"VerifyBooks failed: {parse_error(error)}") from error
        return VerifyBooksResponse.FromString(answer)

    async def _creditworthy(self) -> dict[str, float]:
        """The features of a person in the model's data who gets everything with zero deposit."""
        described = spec.load(_SPEC)
        users = list(people(reading.load(described), described.raw_names, _SCORED, seed=1))
        for user in users:
            user.as_of.FromMicroseconds(self.arena.now_us - SECOND_US)
        request = PutUsersRequest(request_id="people", users=users)
        call = ready("people", Methods.put_users, request, self.arena.keys.platform[0])
        profiles = require_told(await self.ask(call)).profiles
        score, features = max(
            ((it.score, user.features) for it, user in zip(profiles, users, strict=True)),
            key=lambda pair: pair[0],
        )
        if score < _ENOUGH_SCORE:
            raise BenchmarkError(
                f"the model finds no creditworthy person: the best score is {score}"
            )
        return dict(features)


def ready(kind: str, method: Any, request: Message, key: str, server: int | None = None) -> Call:
    """A call of a built request, with its bytes."""
    request_id: str = getattr(request, "request_id", "")
    return Call(kind, method, request.SerializeToString(), request_id, key, server)


def require_told(answer: Answer) -> Any:
    """The parsed response of a call that must not be refused; raises BenchmarkError."""
    if answer.told is None:
        raise BenchmarkError(f"{answer.kind} was refused: {answer.refusal}")
    return answer.message


def _connect(port: int) -> grpc.aio.Channel:
    # Without its own pool a channel shares the other channels' connection.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
