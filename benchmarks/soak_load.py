"""The load generator of the soak benchmark: days of the demo, one after the other, in one process.

The first day is driven as fast as the server answers: that is the peak. The later days are driven
at a share of it, by a fixed time for each call. A day's rentals, people and outcomes are those of
the demo. Its calls are Authorize, Confirm, Start, Settle, Reverse and RecordPayment, and the
server's simulated clock runs with them.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from array import array
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from freehold.client import AsyncClient

import models
from benchmarks.attacks.siege import resident_bytes
from benchmarks.harness import BenchmarkError, percentile
from benchmarks.processes import cpu_seconds, spawn
from models import dataset, manifest, reading
from models import spec as specs
from service.demo.day import DAY_S, plan
from service.demo.drive import Driver, Journal, load_people
from service.demo.population import Population, select

QUARTERS = 4
START = datetime(2026, 6, 1, tzinfo=UTC)
"""The instant at which the server's simulated clock must start."""

_SAMPLES = 400


@dataclass(frozen=True)
class Job:
    """One run against one server whose simulated clock stands at START.

    port          on 127.0.0.1
    server_pid    process whose memory and CPU time are measured
    operator_key  API key of the operator
    platform_key  API key of the platform
    model         directory of the server's model
    people        number of people
    rentals       rentals of a day
    seconds       of the measured days
    share         of the peak
    seed          the people, the rentals and their outcomes follow from it
    """

    port: int
    server_pid: int
    operator_key: str
    platform_key: str
    model: str
    people: int
    rentals: int
    seconds: float
    share: float
    seed: int


@dataclass(frozen=True)
class Report:
    """The figures of one run.

    peak_per_s        calls per second of the first day, with the time that moved the clock
    calls_per_s       of the measured days
    days, calls       measured
    methods           calls of the measured days by method
    memory            (seconds since the begin, resident bytes of the server), at regular times
    p50_ms, p99_ms    of each quarter of the time, as the client saw it
    load_cpu_share    CPU time of the generator / wall time
    server_cpu_share  CPU time of the server / wall time
    """

    peak_per_s: float
    calls_per_s: float
    days: int
    calls: int
    methods: dict[str, int]
    memory: list[tuple[float, int]]
    p50_ms: list[float]
    p99_ms: list[float]
    load_cpu_share: float
    server_cpu_share: float


class Pace:
    """Lets calls begin at regular times; calls that are late begin at once."""

    def __init__(self, a_second: float) -> None:
        self._each_s = 1 / a_second
        self._next = time.perf_counter()

    async def __call__(self) -> None:
        """Wait for the time of the next call."""
        at, self._next = self._next, self._next + self._each_s
        if (left := at - time.perf_counter()) > 0:
            await asyncio.sleep(left)


class Days:
    """Drives one day after the other against one server."""

    def __init__(self, job: Job, people: Population, operator: AsyncClient, platform: AsyncClient):
        self._job = job
        self._people = people
        self._operator = operator
        self._platform = platform
        self._epoch = START
        self.driven = 0

    async def drive(self, pace: Pace | None, notice: Notice) -> Journal:
        """Drive one day; `notice` gets the journal after each tick."""
        job, number = self._job, self.driven
        rentals = [
            replace(it, index=number * job.rentals + it.index)
            for it in plan(self._people.label, job.rentals, job.seed * 1000 + number)
        ]
        driver = Driver(
            rentals, self._people, self._operator, self._platform, self._epoch, pace=pace
        )
        journal = await driver.run(lambda *_: notice.see(driver.journal))
        self._epoch += timedelta(days=math.ceil(journal.end_s / DAY_S))
        self.driven += 1
        return journal


class Notice:
    """Sorts the latencies of calls into quarters of the time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begin = time.perf_counter()
        self._seen: dict[str, int] = {}
        self.quarters = [array("d") for _ in range(QUARTERS)]
        self.methods: dict[str, int] = {}

    @property
    def elapsed_s(self) -> float:
        """Seconds since the begin."""
        return time.perf_counter() - self._begin

    def new_day(self) -> None:
        """The next journal is a new one."""
        self._seen = {}

    def see(self, journal: Journal) -> None:
        """Take the calls that are new in the journal."""
        quarter = self.quarters[min(QUARTERS - 1, int(QUARTERS * self.elapsed_s / self._seconds))]
        for method, latencies in journal.latency_s.items():
            fresh = latencies[self._seen.get(method, 0) :]
            self._seen[method] = len(latencies)
            self.methods[method] = self.methods.get(method, 0) + len(fresh)
            quarter.extend(fresh)


async def run(job: Job) -> Report:
    """Run the job in this process. Raises BenchmarkError if a quarter has no calls."""
    people = _people(job)
    address = f"127.0.0.1:{job.port}"
    async with (
        AsyncClient(address, job.operator_key, plaintext=True) as operator,
        AsyncClient(address, job.platform_key, plaintext=True) as platform,
    ):
        await load_people(platform, people, START - timedelta(days=1), lambda _: None)
        days = Days(job, people, operator, platform)
        first = await days.drive(None, Notice(job.seconds))
        peak = first.calls / first.wall_s
        notice, pace = Notice(job.seconds), Pace(job.share * peak)
        memory: list[tuple[float, int]] = []
        sampling = asyncio.create_task(
            _sample(job.server_pid, notice, memory, job.seconds / _SAMPLES)
        )
        server, load = cpu_seconds(job.server_pid), time.process_time()
        while notice.elapsed_s < job.seconds:
            notice.new_day()
            await days.drive(pace, notice)
        wall = notice.elapsed_s
        server, load = cpu_seconds(job.server_pid) - server, time.process_time() - load
        sampling.cancel()
    if not all(notice.quarters):
        raise BenchmarkError("a quarter of the time had no calls; give more --minutes")
    ordered = [sorted(it) for it in notice.quarters]
    calls = sum(map(len, ordered))
    return Report(
        peak_per_s=peak,
        calls_per_s=calls / wall,
        days=days.driven - 1,
        calls=calls,
        methods=notice.methods,
        memory=memory,
        p50_ms=[percentile(it, 0.50) * 1e3 for it in ordered],
        p99_ms=[percentile(it, 0.99) * 1e3 for it in ordered],
        load_cpu_share=load / wall,
        server_cpu_share=server / wall,
    )


def _people(job: Job) -> Population:
    described = specs.load(Path(models.__file__).parent / "data" / "taiwan.toml")
    data = reading.load(described)
    trained = manifest.read(Path(job.model))
    return select(
        data, described.raw_names, dataset.holdout_indices(data),
        lambda row_id: manifest.is_training_id(trained, row_id),
        job.people, np.random.default_rng(job.seed),
    )  # fmt: skip


async def _sample(
    pid: int, notice: Notice, memory: list[tuple[float, int]], every_s: float
) -> None:
    while True:
        memory.append((notice.elapsed_s, resident_bytes(pid)))
        await asyncio.sleep(every_s)


def generate(job: Job, *, core: int) -> Report:
    """Run the job in a fresh process pinned to `core`. Raises BenchmarkError."""
    with spawn(
        ["benchmarks.soak_load"], core=core, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        out, error = child.communicate(json.dumps(asdict(job)).encode())
    if child.returncode != 0:
        raise BenchmarkError(f"the load generator failed:\n{error.decode(errors='replace')}")
    content = json.loads(out)
    return Report(**content | {"memory": [(at, size) for at, size in content["memory"]]})


def main() -> None:
    """Read a Job as JSON from stdin, run it, write its Report as JSON to stdout."""
    json.dump(asdict(asyncio.run(run(Job(**json.load(sys.stdin))))), sys.stdout)


if __name__ == "__main__":
    main()
