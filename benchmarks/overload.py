"""Does the server keep its speed when it is offered more than it can do?

Each round measures the peak first: a closed loop over all connections. Then an open loop offers
three times the peak. Each of its calls has a deadline, the latency counts from the call's intended
begin, and only an OK within the deadline is goodput. Meanwhile idle connections and slow readers,
which never read their answers, are there too, and one connection asks for the server's health.

The server has one core, and the generator shares the other with the crowd, which has the lower
priority. The figures also say how busy the generator was, and how late its calls began.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

import service
from benchmarks.attacks.attacker import Attacker, Facts
from benchmarks.attacks.scene import Scene
from benchmarks.harness import BenchmarkError, commit, conclude, machine
from benchmarks.load import AUTHORIZE
from benchmarks.open_loop import Job, Report, generate
from benchmarks.options import folder_option, json_option, model_option, transport_option
from benchmarks.prepared import PRODUCT, checkpoint, count_rows, fill, serve_url
from benchmarks.processes import Server, free_port, two_cores
from benchmarks.rpc_figures import check_rows
from service.config import AIO

LEAST_GOODPUT = 0.8
MOST_REFUSAL_MS = 200.0
MOST_HEALTH_MS = 1_000.0
MOST_LOAD_CPU = 0.8
MOST_LATE_MS = 50.0
BOUNDS = {
    "least_goodput_ratio": LEAST_GOODPUT,
    "most_refusal_ms_p99": MOST_REFUSAL_MS,
    "most_health_ms": MOST_HEALTH_MS,
    "most_load_cpu_share": MOST_LOAD_CPU,
    "most_late_ms_p99": MOST_LATE_MS,
}
REFUSAL_MEANS = (
    "refusals are timed by the generator, from the call's headers sent to the refusal read, on the"
    " connections of the load itself; the server's metrics do not part times by code"
)

_PROXY = Path(service.__file__).parent / "deploy" / "haproxy.cfg"
_PROXY_LIMIT_S = 10.0
_FILES = 8_192
_METRICS_LIMIT_S = 10.0
_DEADLINE_S = 1.0
# People who are made for each second of load: more than a server answers with OK.
_PEOPLE_A_SECOND = 4_500


@dataclass(frozen=True)
class Plan:
    """The parameters of a run.

    rounds        of a peak and an overload each
    peak_s        seconds of the closed loop
    seconds       of the open loop
    warm_up_s     seconds before each
    times         offered calls over the peak
    connections   of the load
    in_flight     calls under way in the closed loop
    deadline_s    of each call
    idle          idle connections
    slow_readers  connections that never read their answers
    proxy         HAProxy stands in front of the server
    people        each for one call that is not refused
    transport     of the server
    """

    rounds: int
    peak_s: float
    seconds: float
    warm_up_s: float
    times: float
    connections: int
    in_flight: int
    deadline_s: float
    idle: int
    slow_readers: int
    proxy: bool
    people: int
    seed: int
    transport: str = AIO


@dataclass(frozen=True)
class Round:
    """One round.

    goodput_ratio  calls per second answered with OK in time, over the peak's
    refusals       of the overload by reason, as the server counted them; those of a proxy and of
                   gRPC's core are only among the answers
    crowd          the idle connections and slow readers, at their begin and at their end
    """

    goodput_ratio: float
    peak: Report
    overload: Report
    refusals: dict[str, int]
    crowd: dict[str, Facts]


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=8.0, show_default=True, type=click.FloatRange(1),
              help="Length of each overload; the peak takes half of it.")  # fmt: skip
@click.option("--times", default=3.0, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Offered calls over the peak.")  # fmt: skip
@click.option("--connections", default=64, show_default=True, type=click.IntRange(1, 1024))
@click.option("--idle", default=2_000, show_default=True, type=click.IntRange(0, 3_500),
              help="Idle connections.")  # fmt: skip
@click.option("--slow-readers", default=16, show_default=True, type=click.IntRange(0, 256),
              help="Connections that never read their answers.")  # fmt: skip
@click.option("--proxy", is_flag=True,
              help="HAProxy with the shipped configuration in front of the server.")  # fmt: skip
@click.option("--people", type=click.IntRange(100),
              help="People in the database; without it as many as the time needs.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**32))
@folder_option()
@model_option()
@transport_option()
@json_option()
def overload(
    rounds: int,
    seconds: float,
    times: float,
    connections: int,
    idle: int,
    slow_readers: int,
    proxy: bool,
    people: int | None,
    seed: int,
    folder: Path,
    model: Path | None,
    transport: str,
    json_file: Path | None,
) -> None:
    """Offer the server three times its peak; exit with 1 unless it keeps its speed."""
    peak_s = seconds / 2
    warm_up_s = min(1.0, seconds / 4)
    if people is None:
        # Those of the calls under way in the overload are not free for another call.
        needed_s = peak_s + seconds + 2 * warm_up_s + times * _DEADLINE_S
        people = int(rounds * needed_s * _PEOPLE_A_SECOND)
    plan = Plan(
        rounds=rounds, peak_s=peak_s, seconds=seconds, warm_up_s=warm_up_s, times=times,
        connections=connections, in_flight=2 * connections, deadline_s=_DEADLINE_S, idle=idle,
        slow_readers=slow_readers, proxy=proxy, people=people, seed=seed, transport=transport,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    described, head, console = machine(folder), commit(), Console()
    try:
        with tempfile.TemporaryDirectory(prefix="overload-", dir=folder) as work:
            measured = _measure(Path(work), model or folder / "model", plan)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    figures = figures_of(measured)
    failed = failures(figures)
    _show(console, measured, figures)
    conclude(
        json_file, plan, name="overload", ratio=figures["goodput_ratio"], machine=described,
        commit=head, failed=failed, each_round=measured,
        figures={"bounds": BOUNDS, "refusals_are_timed": REFUSAL_MEANS, **figures},
    )  # fmt: skip


def figures_of(rounds: Sequence[Round]) -> dict[str, Any]:
    """The figures over the rounds: medians, and the worst health check."""

    def median(of: Callable[[Report], float | None]) -> float | None:
        values = [value for it in rounds if (value := of(it.overload)) is not None]
        return statistics.median(values) if values else None

    answers, refusals = Counter[str](), Counter[str]()
    for it in rounds:
        answers.update(it.overload.answers)
        refusals.update(it.refusals)
    return {
        "goodput_ratio": statistics.median(it.goodput_ratio for it in rounds),
        "peak_per_s": statistics.median(it.peak.ok_per_s for it in rounds),
        "offered_per_s": median(lambda r: r.offered_per_s),
        "goodput_per_s": median(lambda r: r.ok_per_s),
        "latency_ms_p50": median(lambda r: r.latency_ms_p50),
        "latency_ms_p99": median(lambda r: r.latency_ms_p99),
        "answers": dict(answers.most_common()),
        "refusals": dict(refusals.most_common()),
        "refusal_ms_p50": median(lambda r: r.refusal_ms_p50),
        "refusal_ms_p99": median(lambda r: r.refusal_ms_p99),
        "health_ms_p99": median(lambda r: r.health_ms_p99),
        "health_ms_max": max(it.overload.health_ms_max for it in rounds),
        "load_cpu_share": median(lambda r: r.load_cpu_share),
        "late_ms_p99": median(lambda r: r.late_ms_p99),
    }


def failures(figures: dict[str, Any]) -> list[str]:
    """The bounds that do not hold, each as a sentence; empty if the run passed."""
    found = []
    if figures["goodput_ratio"] < LEAST_GOODPUT:
        found.append(
            f"goodput is {figures['goodput_ratio']:.2f} of the peak, below {LEAST_GOODPUT:g}"
        )
    for name, most, what in (
        ("refusal_ms_p99", MOST_REFUSAL_MS, "the p99 of refusals"),
        ("health_ms_max", MOST_HEALTH_MS, "the slowest health check"),
    ):
        if (figures[name] or 0.0) > most:
            found.append(f"{what} is {figures[name]:.0f} ms, above {most:g} ms")
    if figures["load_cpu_share"] > MOST_LOAD_CPU:
        found.append(
            f"the generator used {figures['load_cpu_share']:.0%} of a core, so it may be the limit"
        )
    if figures["late_ms_p99"] > MOST_LATE_MS:
        found.append(
            f"the generator began calls {figures['late_ms_p99']:.0f} ms late (p99), so it may be"
            " the limit"
        )
    return found


def _measure(work: Path, model: Path, plan: Plan) -> list[Round]:
    _raise_open_files()
    database, core = work / "overload.db", two_cores()[0]
    url = f"sqlite:///{database}"
    filled = fill(url, model, work / "prepare.log", plan.people, plan.seed)
    metrics_port = free_port()
    options = ("--metrics", f"127.0.0.1:{metrics_port}", "--transport", plan.transport)
    server = serve_url(url, model, work / "server.log", *options, core=core)
    with server, _front(server.port, plan.proxy, work / "proxy.log") as port:
        made = list(
            _rounds(work, server, port, metrics_port, filled.operator_key, filled.users, plan)
        )
    acknowledged = sum(it.peak.acknowledged + it.overload.acknowledged for it in made)
    check_rows(count_rows(checkpoint(database)), acknowledged, AUTHORIZE)
    return made


@contextmanager
def _front(server_port: int, proxy: bool, log: Path) -> Iterator[int]:
    """The port to call: the server's, or that of HAProxy in front of it."""
    if not proxy:
        yield server_port
        return
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise BenchmarkError("HAProxy is not installed; install it, or leave out --proxy")
    port = free_port()
    places = {
        "FREEHOLD_PROXY": f"127.0.0.1:{port}",
        "FREEHOLD_UPSTREAM": f"127.0.0.1:{server_port}",
    }
    with log.open("wb") as sink:
        child = subprocess.Popen(
            [found, "-db", "-f", str(_PROXY)], env=os.environ | places,
            stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
        )  # fmt: skip
    try:
        end = time.monotonic() + _PROXY_LIMIT_S
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if child.poll() is not None or time.monotonic() > end:
                raise BenchmarkError(f"HAProxy did not start: {log.read_text()[-500:]}")
            time.sleep(0.05)
        yield port
    finally:
        child.kill()
        child.wait()


def _rounds(
    work: Path,
    server: Server,
    port: int,
    metrics_port: int,
    key: str,
    users: tuple[str, ...],
    plan: Plan,
) -> Iterator[Round]:
    core, each = two_cores()[1], len(users) // plan.rounds
    peak_s = plan.peak_s + plan.warm_up_s
    over_s = plan.seconds + plan.warm_up_s + plan.times * plan.deadline_s
    for number in range(plan.rounds):
        own = users[number * each : (number + 1) * each]
        cut = int(each * peak_s / (peak_s + over_s))
        peak = generate(_job(server, port, key, own[:cut], plan, number, 0.0), core=core)
        if not peak.ok_per_s:
            raise BenchmarkError(f"no call of the peak was answered with OK: {peak.answers}")
        size = {"idle": plan.idle, "slow_readers": plan.slow_readers, "calls": 16}
        scene = Scene(port, key, "", PRODUCT, (), size)
        before = _refusals(metrics_port)
        with Attacker("idle_and_unread", scene, work / "crowd.log") as crowd:
            begun = crowd.ready()
            offered = plan.times * peak.ok_per_s
            over = generate(_job(server, port, key, own[cut:], plan, number, offered), core=core)
            ended = crowd.end()
        refused = _refusals(metrics_port)
        refused.subtract(before)
        yield Round(
            goodput_ratio=over.ok_per_s / peak.ok_per_s,
            peak=peak,
            overload=over,
            refusals={reason: count for reason, count in refused.most_common() if count},
            crowd={"begun": begun, "ended": ended},
        )


def _job(
    server: Server,
    port: int,
    key: str,
    users: tuple[str, ...],
    plan: Plan,
    number: int,
    offered: float,
) -> Job:
    return Job(
        port=port, server_pid=server.pid, key=key, product_id=PRODUCT, users=users,
        seed=plan.seed * 1000 + 2 * number + bool(offered), connections=plan.connections,
        a_second=offered, in_flight=plan.in_flight, warm_up_s=plan.warm_up_s,
        seconds=plan.seconds if offered else plan.peak_s, deadline_s=plan.deadline_s,
    )  # fmt: skip


def _refusals(metrics_port: int) -> Counter[str]:
    """The refusals by reason since the server's start, from its metrics."""
    url = f"http://127.0.0.1:{metrics_port}/metrics"
    with urlopen(url, timeout=_METRICS_LIMIT_S) as answer:
        text = answer.read().decode()
    return Counter(
        {
            sample.labels["reason"]: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "freehold_refusals_total"
        }
    )


def _raise_open_files() -> None:
    """Let this process and its children have a file for each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FILES:
        raise BenchmarkError(f"{_FILES} open files are needed; raise the hard limit of {hard}")
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, hard))


def _show(console: Console, rounds: Sequence[Round], figures: dict[str, Any]) -> None:
    table = Table(title=f"Overload: goodput is {figures['goodput_ratio']:.2f} of the peak")
    for name in (
        "round", "peak, calls/s", "offered, calls/s", "goodput, calls/s", "ratio", "p50, ms",
        "p99, ms", "refusals p99, ms", "health p99, ms", "generator CPU", "late p99, ms",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for number, it in enumerate(rounds, 1):
        over = it.overload
        table.add_row(
            str(number), f"{it.peak.ok_per_s:.0f}", f"{over.offered_per_s:.0f}",
            f"{over.ok_per_s:.0f}", f"{it.goodput_ratio:.2f}", _figure(over.latency_ms_p50),
            _figure(over.latency_ms_p99), _figure(over.refusal_ms_p99), _figure(over.health_ms_p99),
            f"{over.load_cpu_share:.0%}", _figure(over.late_ms_p99),
        )  # fmt: skip
    console.print(table)


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"
