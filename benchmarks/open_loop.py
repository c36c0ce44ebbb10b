"""The load generator of open loads: Authorize calls at given times, in its own process.

Open loop: calls begin at random times (a Poisson process), whether earlier calls were answered or
not, as many independent callers do. Latency counts from the intended begin of a call, so a late
generator does not hide a slow server. Each call has a deadline, counted from there too, after which
the generator cancels it.

Without a rate it is a closed loop, which measures the peak: a fixed number of calls under way, and
the next one begins with an answer.

Each call is another person's, unless the load is skewed: then half of the calls, at random, are
hot, which means of one person or of one operator. A call that failed is retried later, with the
same request id. One connection of its own asks for the server's health meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest

from benchmarks.harness import BenchmarkError, percentile
from benchmarks.light_client import CLOSED, RESET, Calls, LightConnection, connect_all
from benchmarks.load import Job as Messages
from benchmarks.load import messages
from benchmarks.processes import cpu_seconds, spawn

_AUTHORIZE = "/freehold.v1.AuthorizationService/Authorize"
_CHECK = "/grpc.health.v1.Health/Check"
_CHECK_EVERY_S = 0.1
_CHECK_LIMIT_S = 5.0
_CODES = {str(it.value[0]): it.name for it in StatusCode}
_OK = str(StatusCode.OK.value[0])
_REFUSALS = frozenset(
    str(it.value[0])
    # The generator's own cancellations have no answer, so CANCELLED is a refusal of gRPC's core.
    for it in (StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE, StatusCode.CANCELLED)
)
NO_SKEW, USER, OPERATOR = SKEWS = ("none", "user", "operator")
"""The skews of a load: half of its calls are of one person, or of one operator."""
_HOT = 0.5
_LOST = (RESET, CLOSED, "")
_WAKE_S = 0.001
_GIVE_UP_S = 0.01


@dataclass(frozen=True)
class Job:
    """One run against one server.

    port         on 127.0.0.1
    server_pid   process whose CPU time is measured
    key          API key, sent as ``authorization: Bearer KEY``
    product_id   the rented product
    users        people, one for each call; those of failed calls are used again
    seed         request ids, item ids and the times follow from it
    connections  over which the calls are spread in turn
    a_second     calls per second; 0 for a closed loop
    in_flight    calls under way in a closed loop
    warm_up_s    seconds before the figures begin
    seconds      of the figures
    deadline_s   of each call
    skew         one of SKEWS
    others       API keys of the calls that are not hot, under the skew OPERATOR
    """

    port: int
    server_pid: int
    key: str
    product_id: str
    users: tuple[str, ...]
    seed: int
    connections: int
    a_second: float
    in_flight: int
    warm_up_s: float
    seconds: float
    deadline_s: float
    skew: str = NO_SKEW
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The figures of one run; without those of the warm-up, except `acknowledged`.

    acknowledged      people whose call was answered with OK, warm-up included
    offered_per_s     calls that began, per second
    ok_per_s          calls answered with OK within their deadline, per second
    answers           the calls that ended, by status code; CANCELLED_LATE had no answer within
                      the deadline
    latency_ms_*      of calls answered with OK, from the intended begin; None without such calls
    other_ms_*        of those that are not hot; None without a skew
    refusal_ms_*      of RESOURCE_EXHAUSTED, UNAVAILABLE and CANCELLED, from the moment at which
                      the call was sent; None without refusals
    health_ms_*       of health checks; one without an answer counts with its limit
    late_ms_p99       actual minus intended begin of the calls
    load_cpu_share    CPU time of the generator / wall time; near 1 it is the bottleneck
    server_cpu_share  CPU time of the server / wall time
    """

    acknowledged: int
    offered_per_s: float
    ok_per_s: float
    answers: dict[str, int]
    latency_ms_p50: float | None
    latency_ms_p99: float | None
    other_ms_p50: float | None
    other_ms_p99: float | None
    refusal_ms_p50: float | None
    refusal_ms_p99: float | None
    health_ms_p50: float
    health_ms_p99: float
    health_ms_max: float
    late_ms_p99: float
    load_cpu_share: float
    server_cpu_share: float


class Generator:
    """One run; all times are seconds of `time.perf_counter`."""

    def __init__(self, job: Job) -> None:
        self._job = job
        chance = random.Random(f"hot {job.seed}")
        self._hot = [job.skew != NO_SKEW and chance.random() < _HOT for _ in job.users]
        users = job.users
        if job.skew == USER:
            users = tuple(users[0] if hot else it for it, hot in zip(users, self._hot, strict=True))
        made = Messages(
            port=job.port, server_pid=job.server_pid, key=job.key, product_id=job.product_id,
            in_flight=job.in_flight, warm_up=0, users=users, seed=job.seed,
        )  # fmt: skip
        self._messages = messages(made)
        self._fresh = deque(range(len(self._messages)))
        self._calls = Calls(_AUTHORIZE, job.key)
        self._others = [Calls(_AUTHORIZE, key) for key in job.others]
        self._check = Calls(_CHECK)
        self._times = random.Random(job.seed)
        self._message_of: list[int] = []
        self._intended: list[float] = []
        self._sent: list[float] = []
        self._due: deque[tuple[int, LightConnection, int]] = deque()
        self._from = self._to = 0.0
        self._acknowledged: set[int] = set()
        self._begun = 0
        self._answers: Counter[str] = Counter()
        self._ok: list[float] = []
        self._other: list[float] = []
        self._refused: list[float] = []
        self._late: list[float] = []
        self._checks: dict[int, float] = {}
        self._health: list[float] = []
        self._connections: Sequence[LightConnection] = ()

    async def run(self) -> Report:
        """Run the job. Raises BenchmarkError if there are too few people."""
        job, clock = self._job, time.perf_counter
        self._connections = await connect_all(job.port, job.connections, self._answered)
        probe = await LightConnection.connect(job.port, self._checked)
        gc.collect()
        gc.freeze()  # garbage collections of the generator would show as the server's latency
        gc.disable()
        begin = clock()
        self._from, self._to = begin + job.warm_up_s, begin + job.warm_up_s + job.seconds
        checking = asyncio.create_task(self._check_health(probe))
        measuring = asyncio.create_task(self._measure())
        if job.a_second:
            await self._offer(begin)
        else:
            await self._keep()
        server, load = await measuring
        checking.cancel()
        await asyncio.sleep(job.deadline_s)  # the last answers, which count as acknowledged
        gc.enable()
        for it in (*self._connections, probe):
            it.close()
        return self._report(server, load)

    async def _offer(self, begin: float) -> None:
        """Begin calls at random times."""
        job, clock = self._job, time.perf_counter
        intended = begin + self._times.expovariate(job.a_second)
        while (now := clock()) < self._to:
            while intended <= now:
                self._begin(intended)
                intended += self._times.expovariate(job.a_second)
            self._give_up(clock())
            await asyncio.sleep(max(0.0, min(intended - clock(), _WAKE_S)))

    async def _keep(self) -> None:
        """Keep `in_flight` calls under way: the end of each one begins the next."""
        clock = time.perf_counter
        for _ in range(self._job.in_flight):
            self._begin(clock())
        while (now := clock()) < self._to:
            self._give_up(now)
            await asyncio.sleep(_GIVE_UP_S)

    def _begin(self, intended: float) -> None:
        if not self._fresh:
            raise BenchmarkError("the people were used up; give more with --people")
        message, number = self._fresh.popleft(), len(self._sent)
        connection = self._connections[number % len(self._connections)]
        now = time.perf_counter()
        left_ms = max(1, int((intended + self._job.deadline_s - now) * 1e3))
        self._message_of.append(message)
        self._intended.append(intended)
        self._sent.append(now)
        if self._from <= intended < self._to:
            self._begun += 1
            self._late.append(now - intended)
        block = self._calls_of(message).block(left_ms)
        stream = connection.call(number, block, self._messages[message])
        self._due.append((number, connection, stream))

    def _calls_of(self, message: int) -> Calls:
        """The headers of a message, which name its operator."""
        if self._job.skew != OPERATOR or self._hot[message]:
            return self._calls
        return self._others[message % len(self._others)]

    def _give_up(self, now: float) -> None:
        """Cancel the calls whose deadline is over."""
        due, deadline_s = self._due, self._job.deadline_s
        while due and self._intended[due[0][0]] + deadline_s <= now:
            number, connection, stream = due.popleft()
            if connection.cancel(stream):
                self._fresh.append(self._message_of[number])
                self._count("CANCELLED_LATE", now)

    def _answered(self, number: int, status: str) -> None:
        now = time.perf_counter()
        took_s = now - self._intended[number]
        if status == _OK:
            self._acknowledged.add(self._message_of[number])
            if took_s > self._job.deadline_s:
                self._count("OK_LATE", now)
                return
            self._count("OK", now)
            if self._from <= now < self._to:
                self._ok.append(took_s)
                if self._job.skew != NO_SKEW and not self._hot[self._message_of[number]]:
                    self._other.append(took_s)
            return
        self._fresh.append(self._message_of[number])
        if status in _REFUSALS and self._from <= now < self._to:
            self._refused.append(now - self._sent[number])
        self._count(status if status in _LOST else _CODES.get(status, status), now)

    def _count(self, code: str, now: float) -> None:
        if self._from <= now < self._to:
            self._answers[code] += 1
        if not self._job.a_second and now < self._to:
            self._begin(now)

    async def _check_health(self, probe: LightConnection) -> None:
        """Ask for the server's health at regular times."""
        body, number, at = HealthCheckRequest().SerializeToString(), 0, time.perf_counter()
        block = self._check.block(int(_CHECK_LIMIT_S * 1e3))
        while True:
            self._checks[number] = at
            probe.call(number, block, body)
            number, at = number + 1, at + _CHECK_EVERY_S
            await asyncio.sleep(max(0.0, at - time.perf_counter()))

    def _checked(self, number: int, status: str) -> None:
        took_s = time.perf_counter() - self._checks.pop(number)
        self._health.append(took_s if status == _OK else _CHECK_LIMIT_S)

    async def _measure(self) -> tuple[float, float]:
        """The CPU shares of the server and of the generator, without the warm-up."""
        clock = time.perf_counter
        await asyncio.sleep(self._from - clock())
        began, server, load = clock(), cpu_seconds(self._job.server_pid), time.process_time()
        await asyncio.sleep(self._to - clock())
        wall = clock() - began
        server, load = cpu_seconds(self._job.server_pid) - server, time.process_time() - load
        return server / wall, load / wall

    def _report(self, server: float, load: float) -> Report:
        job = self._job
        health = [*self._health, *(_CHECK_LIMIT_S for _ in self._checks)]
        return Report(
            acknowledged=len(self._acknowledged),
            offered_per_s=self._begun / job.seconds,
            ok_per_s=len(self._ok) / job.seconds,
            answers=dict(self._answers.most_common()),
            latency_ms_p50=_ms(self._ok, 0.50),
            latency_ms_p99=_ms(self._ok, 0.99),
            other_ms_p50=_ms(self._other, 0.50),
            other_ms_p99=_ms(self._other, 0.99),
            refusal_ms_p50=_ms(self._refused, 0.50),
            refusal_ms_p99=_ms(self._refused, 0.99),
            health_ms_p50=_ms(health, 0.50) or 0.0,
            health_ms_p99=_ms(health, 0.99) or 0.0,
            health_ms_max=max(health, default=0.0) * 1e3,
            late_ms_p99=_ms(self._late, 0.99) or 0.0,
            load_cpu_share=load,
            server_cpu_share=server,
        )


def _ms(seconds: list[float], share: float) -> float | None:
    return percentile(sorted(seconds), share) * 1e3 if seconds else None


def generate(job: Job, *, core: int) -> Report:
    """Run the job in a fresh process pinned to `core`. Raises BenchmarkError."""
    with spawn(
        ["benchmarks.open_loop"], core=core, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        out, error = child.communicate(json.dumps(asdict(job)).encode())
    if child.returncode != 0:
        raise BenchmarkError(f"the load generator failed:\n{error.decode(errors='replace')}")
    return Report(**json.loads(out))


def main() -> None:
    """Read a Job as JSON from stdin, run it, write its Report as JSON to stdout."""
    content = json.load(sys.stdin)
    job = Job(**content | {name: tuple(content[name]) for name in ("users", "others")})
    json.dump(asdict(asyncio.run(Generator(job).run())), sys.stdout)


if __name__ == "__main__":
    main()
