"""How long does an Authorize take at half load, and what do hot people and operators change?

Each round measures the server's peak first, by a closed loop. Then independent callers (a Poisson
process) offer a share of it, in turn to Freehold and to a bare echo, and the disk is asked for
single fsyncs. Latency counts from a call's intended begin. The echo gets as many calls a second as
Freehold, so its own load is lower.

The bounds: the p50 is at most half a millisecond above the echo's plus that of an fsync. The p99
without an fsync's p99 is at most three times the echo's.

With `--skew user` half of the calls are one person's, and wait for that person's line. With `--skew
operator` half of the calls are one operator's, and eight others share the rest. The latencies of
the other calls are told apart.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.harness import (
    BenchmarkError,
    Quartiles,
    commit,
    conclude,
    in_turn,
    machine,
    percentile,
    quartiles,
)
from benchmarks.load import AUTHORIZE
from benchmarks.open_loop import NO_SKEW, OPERATOR, SKEWS, Job, Report, generate
from benchmarks.options import folder_option, json_option, model_option, transport_option
from benchmarks.prepared import PRODUCT, Prepared, checkpoint, count_rows, prepare, serve
from benchmarks.processes import Server, command, two_cores
from benchmarks.rpc import echo_of, probe
from benchmarks.rpc_figures import check_rows
from service.config import AIO

MOST_ABOVE_MS = 0.5
MOST_P99_RATIO = 3.0
LEAST_ANSWERED = 0.99
MOST_LOAD_CPU = 0.8
MOST_LATE_MS = 5.0
BOUNDS = {
    "most_p50_above_ms": MOST_ABOVE_MS,
    "most_p99_ratio": MOST_P99_RATIO,
    "least_answered": LEAST_ANSWERED,
    "most_load_cpu_share": MOST_LOAD_CPU,
    "most_late_ms_p99": MOST_LATE_MS,
}
OTHERS = 8
"""The operators besides the hot one."""

_ECHO, _HERE = "echo", "freehold"
_WARM_UP_S = 0.5
_DEADLINE_S = 1.0
# People who are made for each second of the peak: more than a server answers with OK.
_PEOPLE_A_SECOND = 5_000
_FSYNCS = 100
_FSYNC_BYTES = 64 * 1024


@dataclass(frozen=True)
class Plan:
    """The parameters of a run.

    rounds       of a peak, and of an open loop on each server
    peak_s       seconds of the closed loop
    seconds      of each open loop
    share        offered calls over the peak
    connections  of the load
    in_flight    calls under way in the closed loop
    skew         a name of `benchmarks.open_loop.SKEWS`
    transport    of Freehold's server
    """

    rounds: int
    peak_s: float
    seconds: float
    share: float
    connections: int
    in_flight: int
    skew: str
    seed: int
    transport: str = AIO

    @property
    def people(self) -> tuple[int, int]:
        """The people of a round: those of the peak, and those of the open loop."""
        over_s = self.seconds + _WARM_UP_S + _DEADLINE_S
        return (
            int(_PEOPLE_A_SECOND * (self.peak_s + _WARM_UP_S + _DEADLINE_S)),
            int(_PEOPLE_A_SECOND * self.share * over_s),
        )


@dataclass(frozen=True)
class Round:
    """One round; times are milliseconds.

    p50_above_ms  Freehold's p50 above the sum of the echo's and an fsync's
    p99_ratio     Freehold's p99 without an fsync's, over the echo's
    """

    peak: Report
    echo: Report
    freehold: Report
    fsync_ms_p50: float
    fsync_ms_p99: float
    p50_above_ms: float
    p99_ratio: float


@click.command()
@click.option("--share", default=0.5, show_default=True,
              type=click.FloatRange(0, 1, min_open=True), help="Share of the peak.")  # fmt: skip
@click.option("--skew", default=NO_SKEW, show_default=True, type=click.Choice(SKEWS),
              help="Half of the calls are of one person, or of one operator.")  # fmt: skip
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=4.0, show_default=True, type=click.FloatRange(0.5),
              help="Length of each open loop; the peak takes a half.")  # fmt: skip
@click.option("--connections", default=16, show_default=True, type=click.IntRange(1, 1024))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**32))
@folder_option()
@model_option()
@transport_option()
@json_option()
def latency(
    share: float,
    skew: str,
    rounds: int,
    seconds: float,
    connections: int,
    seed: int,
    folder: Path,
    model: Path | None,
    transport: str,
    json_file: Path | None,
) -> None:
    """Measure an Authorize's latency at a share of the peak; exit with 1 if it is out of bounds.

    A skewed load is only measured: its bound is that the calls are answered.
    """
    plan = Plan(
        rounds=rounds, peak_s=seconds / 2, seconds=seconds, share=share, connections=connections,
        in_flight=64, skew=skew, seed=seed, transport=transport,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    described, head, console = machine(folder), commit(), Console()
    try:
        with tempfile.TemporaryDirectory(prefix="latency-", dir=folder) as work:
            measured = measure(Path(work), model or folder / "model", plan)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    figures = figures_of(measured)
    failed = failures(figures, skewed=skew != NO_SKEW)
    _show(console, plan, figures)
    conclude(
        json_file, plan, name="latency", ratio=figures["p99_ratio"]["median"], machine=described,
        commit=head, failed=failed, figures={"bounds": BOUNDS, **figures}, each_round=measured,
    )  # fmt: skip


def measure(work: Path, model: Path, plan: Plan) -> list[Round]:
    """The rounds, each on people of its own; checks that every answer has its row."""
    prepared = prepare(work, model, plan.rounds * sum(plan.people), plan.seed)
    answer = probe(work, prepared, plan.seed, AUTHORIZE)
    others = _operators(prepared) if plan.skew == OPERATOR else ()
    core, _ = two_cores()
    options = "--transport", plan.transport
    with ExitStack() as running:
        server = running.enter_context(
            serve(prepared.database, prepared, work / "server.log", core, *options)
        )
        echo = running.enter_context(echo_of(answer, AUTHORIZE, work / "echo.log", core, ()))
        measured = [
            _round(work, {_HERE: server, _ECHO: echo}, prepared, others, plan, number, order)
            for number, order in in_turn((_ECHO, _HERE), plan.rounds)
        ]
    acknowledged = sum(it.peak.acknowledged + it.freehold.acknowledged for it in measured)
    check_rows(count_rows(checkpoint(prepared.database)), acknowledged, AUTHORIZE)
    return measured


def _operators(prepared: Prepared) -> tuple[str, ...]:
    """API keys of the operators besides the prepared one."""
    url = f"sqlite:///{prepared.database}"
    made = [
        command(
            "service.cli", "operator", "create", f"other-{number}", "--name", "Other",
            "--fee-bps", "300", "--database", url, "--json",
        )
        for number in range(OTHERS)
    ]  # fmt: skip
    return tuple(json.loads(it)["api_key"] for it in made)


def _round(
    work: Path,
    servers: dict[str, Server],
    prepared: Prepared,
    others: tuple[str, ...],
    plan: Plan,
    number: int,
    order: Sequence[str],
) -> Round:
    of_peak, of_loop = plan.people
    first = number * (of_peak + of_loop)
    users = prepared.users[first : first + of_peak + of_loop]

    def job(server: Server, people: tuple[str, ...], a_second: float) -> Job:
        return Job(
            port=server.port, server_pid=server.pid, key=prepared.key, product_id=PRODUCT,
            users=people, seed=plan.seed * 1000 + 2 * number + bool(a_second),
            connections=plan.connections, a_second=a_second, in_flight=plan.in_flight,
            warm_up_s=_WARM_UP_S, seconds=plan.seconds if a_second else plan.peak_s,
            deadline_s=_DEADLINE_S, skew=plan.skew if a_second else NO_SKEW, others=others,
        )  # fmt: skip

    _, core = two_cores()
    peak = generate(job(servers[_HERE], users[:of_peak], 0.0), core=core)
    if not peak.ok_per_s:
        raise BenchmarkError(f"no call of the peak was answered with OK: {peak.answers}")
    offered, reports = plan.share * peak.ok_per_s, {}
    for name in order:
        reports[name] = generate(job(servers[name], users[of_peak:], offered), core=core)
    return round_of(peak, reports[_ECHO], reports[_HERE], _fsyncs_ms(work))


def round_of(peak: Report, echo: Report, here: Report, fsyncs_ms: Sequence[float]) -> Round:
    """A round with its comparisons; `fsyncs_ms` are in ascending order. Raises BenchmarkError if a
    server answered nothing."""
    times = here.latency_ms_p50, here.latency_ms_p99, echo.latency_ms_p50, echo.latency_ms_p99
    p50, p99, echo_p50, echo_p99 = (it or 0.0 for it in times)
    if not echo_p50 or not p50:
        raise BenchmarkError(f"no call was answered with OK: {echo.answers}, {here.answers}")
    fsync_p50, fsync_p99 = percentile(fsyncs_ms, 0.5), percentile(fsyncs_ms, 0.99)
    return Round(
        peak=peak, echo=echo, freehold=here, fsync_ms_p50=fsync_p50, fsync_ms_p99=fsync_p99,
        p50_above_ms=p50 - echo_p50 - fsync_p50, p99_ratio=(p99 - fsync_p99) / echo_p99,
    )  # fmt: skip


def _fsyncs_ms(folder: Path) -> list[float]:
    """The times of writes that are followed by an fsync, in ascending order."""
    path, times = folder / "fsync", []
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        for _ in range(_FSYNCS):
            began_s = time.perf_counter()
            os.write(file, bytes(_FSYNC_BYTES))
            os.fsync(file)
            times.append((time.perf_counter() - began_s) * 1e3)
    finally:
        os.close(file)
        path.unlink()
    return sorted(times)


def figures_of(rounds: Sequence[Round]) -> dict[str, Any]:
    """The figures over the rounds, each with its quartiles; those of calls that are not hot only
    where there are any."""

    def over(of: Callable[[Round], float | None]) -> dict[str, float] | None:
        values = [value for it in rounds if (value := of(it)) is not None]
        return _as_json(quartiles(values)) if values else None

    return {
        "p50_above_ms": over(lambda r: r.p50_above_ms),
        "p99_ratio": over(lambda r: r.p99_ratio),
        "peak_per_s": over(lambda r: r.peak.ok_per_s),
        "offered_per_s": over(lambda r: r.freehold.offered_per_s),
        "answered": over(lambda r: answered(r.freehold)),
        "latency_ms_p50": over(lambda r: r.freehold.latency_ms_p50),
        "latency_ms_p99": over(lambda r: r.freehold.latency_ms_p99),
        "other_ms_p50": over(lambda r: r.freehold.other_ms_p50),
        "other_ms_p99": over(lambda r: r.freehold.other_ms_p99),
        "echo_ms_p50": over(lambda r: r.echo.latency_ms_p50),
        "echo_ms_p99": over(lambda r: r.echo.latency_ms_p99),
        "fsync_ms_p50": over(lambda r: r.fsync_ms_p50),
        "fsync_ms_p99": over(lambda r: r.fsync_ms_p99),
        "load_cpu_share": over(lambda r: r.freehold.load_cpu_share),
        "late_ms_p99": over(lambda r: r.freehold.late_ms_p99),
    }


def answered(report: Report) -> float:
    """The share of the calls that were answered with OK in time."""
    return report.answers.get("OK", 0) / max(1, sum(report.answers.values()))


def failures(figures: dict[str, Any], *, skewed: bool) -> list[str]:
    """The bounds that do not hold, each as a sentence; empty if the run passed. Only those of the
    load itself bind a skewed one."""
    found = []

    def median(name: str) -> float:
        return float(figures[name]["median"])

    above, ratio = median("p50_above_ms"), median("p99_ratio")
    if not skewed and above > MOST_ABOVE_MS:
        found.append(
            f"the p50 is {above:.2f} ms above the echo's and an fsync, more than {MOST_ABOVE_MS:g}"
        )
    if not skewed and ratio > MOST_P99_RATIO:
        found.append(
            f"the p99 without an fsync is {ratio:.2f} times the echo's, above {MOST_P99_RATIO:g}"
        )
    if median("answered") < LEAST_ANSWERED:
        found.append(f"only {median('answered'):.1%} of the calls were answered with OK")
    if median("load_cpu_share") > MOST_LOAD_CPU:
        found.append(
            f"the generator used {median('load_cpu_share'):.0%} of a core, so it may be the limit"
        )
    if median("late_ms_p99") > MOST_LATE_MS:
        found.append(
            f"the generator began calls {median('late_ms_p99'):.1f} ms late (p99), so it may be the"
            " limit"
        )
    return found


def _as_json(figure: Quartiles) -> dict[str, float]:
    return asdict(figure)


def _show(console: Console, plan: Plan, figures: dict[str, Any]) -> None:
    skew = "" if plan.skew == NO_SKEW else f", half of one {plan.skew}"
    table = Table(
        title=f"Authorize at {plan.share:g} of the peak{skew}, {plan.transport}, {plan.rounds}"
        " rounds"
    )
    for column in ("", "median", "middle half"):
        table.add_column(column, justify="left" if not column else "right")
    for name, figure in figures.items():
        if figure is not None:
            middle = f"{figure['lower']:.2f} to {figure['upper']:.2f}"
            table.add_row(name, f"{figure['median']:.2f}", middle)
    console.print(table)
