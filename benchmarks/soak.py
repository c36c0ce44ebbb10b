"""Does the server keep its memory and its speed over a long time?

Days of the demo follow each other at a share of the peak, with all its kinds of calls. The slope of
the server's memory is that of the least squares over the samples after the first quarter of the
time, because caches fill up first.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.harness import BenchmarkError, commit, document, machine, write_json
from benchmarks.options import folder_option, json_option, model_option, transport_option
from benchmarks.prepared import create_keys, serve_url
from benchmarks.processes import two_cores
from benchmarks.soak_load import START, Job, Report, generate

MOST_MB_IN_10_MINUTES = 1.0
MOST_SLOWER = 1.5
BOUNDS = {
    "most_memory_mb_in_10_minutes": MOST_MB_IN_10_MINUTES,
    "most_p99_ratio": MOST_SLOWER,
}

_MB = 1e6
_TEN_MINUTES_S = 600.0


@click.command()
@click.option("--minutes", default=30.0, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Length of the measured part.")  # fmt: skip
@click.option("--share", default=0.7, show_default=True,
              type=click.FloatRange(0, 1, min_open=True), help="Share of the peak.")  # fmt: skip
@click.option("--rentals", default=10_000, show_default=True, type=click.IntRange(10),
              help="Rentals of a day.")  # fmt: skip
@click.option("--people", default=5_000, show_default=True, type=click.IntRange(10))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@folder_option()
@model_option()
@transport_option()
@json_option()
def soak(
    minutes: float,
    share: float,
    rentals: int,
    people: int,
    seed: int,
    folder: Path,
    model: Path | None,
    transport: str,
    json_file: Path | None,
) -> None:
    """Load the server for a long time; exit with 1 if its memory grows or it becomes slower."""
    folder.mkdir(parents=True, exist_ok=True)
    described, head, console = machine(folder), commit(), Console()
    chosen = model or folder / "model"
    try:
        with tempfile.TemporaryDirectory(prefix="soak-", dir=folder) as work:
            report = _measure(
                Path(work), chosen, minutes * 60, share, rentals, people, seed, console, transport
            )
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    figures = figures_of(report.memory, report.p99_ms)
    failed = failures(figures)
    content = document(
        name="soak", ratio=figures["p99_ratio"], rounds=1, seed=seed, machine=described,
        commit=head,
        figures={
            "passed": not failed,
            "failed": failed,
            "bounds": BOUNDS,
            "minutes": minutes,
            "share_of_peak": share,
            "people": people,
            "rentals_a_day": rentals,
            "transport": transport,
            **figures,
            **asdict(report),
        },
    )  # fmt: skip
    _show(console, report, figures)
    if json_file is not None:
        write_json(json_file, content)
    if failed:
        raise click.ClickException("; ".join(failed))


def slope_per_s(samples: Sequence[tuple[float, float]]) -> float:
    """The slope of the least squares through (seconds, value); at least two samples."""
    at, values = zip(*samples, strict=True)
    return statistics.linear_regression(at, values).slope


def figures_of(memory: Sequence[tuple[float, int]], p99_ms: Sequence[float]) -> dict[str, Any]:
    """The two figures with bounds. Raises BenchmarkError if there are too few samples."""
    end_s = memory[-1][0] if memory else 0.0
    late = [(at, size) for at, size in memory if at >= end_s / 4]
    if len(late) < 2:
        raise BenchmarkError("the run was too short for a slope of the memory; give more --minutes")
    return {
        "memory_mb_in_10_minutes": slope_per_s(late) / _MB * _TEN_MINUTES_S,
        "p99_ratio": p99_ms[-1] / p99_ms[0],
    }


def failures(figures: dict[str, Any]) -> list[str]:
    """The bounds that do not hold, each as a sentence; empty if the run passed."""
    found = []
    if figures["memory_mb_in_10_minutes"] >= MOST_MB_IN_10_MINUTES:
        found.append(
            f"memory grew by {figures['memory_mb_in_10_minutes']:.1f} MB in 10 minutes, not less"
            f" than {MOST_MB_IN_10_MINUTES:g} MB"
        )
    if figures["p99_ratio"] > MOST_SLOWER:
        found.append(
            f"the p99 of the last quarter is {figures['p99_ratio']:.2f} times that of the first,"
            f" above {MOST_SLOWER:g}"
        )
    return found


def _measure(
    work: Path,
    model: Path,
    seconds: float,
    share: float,
    rentals: int,
    people: int,
    seed: int,
    console: Console,
    transport: str,
) -> Report:
    url = f"sqlite:///{work / 'soak.db'}"
    operator_key, platform_key = create_keys(url, model)
    server_core, load_core = two_cores()
    options = ("--sandbox", f"{START:%Y-%m-%dT%H:%M:%SZ}", "--transport", transport)
    with serve_url(url, model, work / "server.log", *options, core=server_core) as server:
        job = Job(
            port=server.port, server_pid=server.pid, operator_key=operator_key,
            platform_key=platform_key, model=str(model), people=people, rentals=rentals,
            seconds=seconds, share=share, seed=seed,
        )  # fmt: skip
        with progress(console, server.pid):
            return generate(job, core=load_core)


@contextmanager
def progress(console: Console, pid: int, every_s: float = 30.0) -> Iterator[None]:
    """Prints the time and the memory of a process now and then, while the block runs."""
    over, began_s = threading.Event(), time.monotonic()

    def tell() -> None:
        while not over.wait(every_s):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            size_mb = pages * os.sysconf("SC_PAGE_SIZE") / _MB
            console.print(f"after {time.monotonic() - began_s:.0f} s: {size_mb:.0f} MB of memory")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show(console: Console, report: Report, figures: dict[str, Any]) -> None:
    table = Table(
        title=f"Soak: {report.calls:,} calls of {report.days} days,"
        f" {report.calls_per_s:.0f} calls/s of a peak of {report.peak_per_s:.0f},"
        f" memory {figures['memory_mb_in_10_minutes']:+.1f} MB in 10 minutes"
    )
    for name in ("quarter", "p50, ms", "p99, ms"):
        table.add_column(name, justify="right")
    for number, (p50, p99) in enumerate(zip(report.p50_ms, report.p99_ms, strict=True), 1):
        table.add_row(str(number), f"{p50:.1f}", f"{p99:.1f}")
    console.print(table)
