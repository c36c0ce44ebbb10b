"""Is every acknowledged call still stored after a power cut, whatever else reached the disk?

A process that dies by SIGKILL leaves its writes with the system, which still brings them to the
disk: such a test cannot find a missing fsync. Here strace records the writes, the syncs and the
acknowledgements of a run of the real engine (`benchmarks.power_load`), in order. Then the power is
cut at chosen moments of that record: the disk is rebuilt with everything that was synced, and with
unsynced writes kept, dropped or torn (`benchmarks.power_disk` has the model). Each rebuilt database
is opened as a server opens it. It must have every acknowledged answer, whole batches only, and
exactly the rows that stood after its last batch. Its books must verify.

With `synchronous=FULL`, which the server uses, no state may lose or break anything. Four controls
show that the test finds losses: with `synchronous=NORMAL`, and on disks that acknowledge the syncs
of the log, of the folder or of the database file without doing them, states must be lost.

The process is also killed as it enters chosen calls (`benchmarks.power_kill`); after that no
acknowledged call may be missing either.

The exit code is 0 only if all of this holds, 1 if not, and 3 where strace cannot trace.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.harness import BenchmarkError, commit, document, machine, write_json
from benchmarks.options import json_option
from benchmarks.power_kill import Death, all_deaths, moments
from benchmarks.power_load import CHECKPOINT_PAGES
from benchmarks.power_states import (
    Experiment,
    Recording,
    Tally,
    counts_of,
    experiments,
    make_recording,
    run,
)
from benchmarks.power_trace import StraceMissing, require_strace

CANNOT_TRACE = 3
"""Exit code where strace is missing or may not trace."""


def failures(tallies: dict[Experiment, Tally], died: Sequence[Death]) -> list[str]:
    """The names of everything that came out wrong; none for a proof."""
    failed = [it.name for it, tally in tallies.items() if not tally.passes(it)]
    return failed if all(death.verdict.whole for death in died) else [*failed, "deaths"]


class _CannotTrace(click.ClickException):
    exit_code = CANNOT_TRACE


@click.command()
@click.option(
    "--states",
    default=2_000,
    show_default=True,
    type=click.IntRange(1),
    help="Disks rebuilt with synchronous=FULL.",
)
@click.option(
    "--control-states",
    default=600,
    show_default=True,
    type=click.IntRange(1),
    help="Disks rebuilt for each control; at most --states.",
)
@click.option(
    "--deaths",
    default=200,
    show_default=True,
    type=click.IntRange(0),
    help="Runs with synchronous=FULL that are killed as they enter a chosen call.",
)
@click.option(
    "--synchronous",
    default="both",
    show_default=True,
    type=click.Choice(["both", "FULL", "NORMAL"]),
    help="FULL with its lying disks, the control NORMAL, or both.",
)
@click.option("--batches", default=60, show_default=True, type=click.IntRange(20),
              help="Batches that the load commits and acknowledges.")  # fmt: skip
@click.option("--sessions", default=3, show_default=True, type=click.IntRange(1),
              help="Number of times that the load opens and closes the database.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**32),
              help="Seed of the load and of the states.")  # fmt: skip
@click.option("--workers", default=0, type=click.IntRange(0),
              help="Processes that check states; 0: one for each core.")  # fmt: skip
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for rebuilt disks; in memory if possible.",
)
@json_option()
def power(
    states: int,
    control_states: int,
    deaths: int,
    synchronous: str,
    batches: int,
    sessions: int,
    seed: int,
    workers: int,
    folder: Path | None,
    json_file: Path | None,
) -> None:
    """Cut the power in the middle: FULL keeps every answer, NORMAL must lose some."""
    settings = ("FULL", "NORMAL") if synchronous == "both" else (synchronous,)
    plan = experiments(states, min(states, control_states), settings)
    place = folder or _in_memory()
    place.mkdir(parents=True, exist_ok=True)
    described, head = machine(place), commit()
    started = time.monotonic()
    try:
        require_strace()
        with tempfile.TemporaryDirectory(prefix="power-", dir=place) as work:
            recordings = {
                setting: make_recording(
                    Path(work) / setting, setting, batches=batches, sessions=sessions, seed=seed
                )
                for setting in settings
            }
            tallies, died = _run_showing(
                plan, recordings, deaths, seed, Path(work), workers or _cores()
            )
    except StraceMissing as error:
        raise _CannotTrace(str(error)) from error
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    content = document(
        name="power",
        ratio=_kept(tallies[plan[0]]),
        rounds=1,
        seed=seed,
        machine=described,
        commit=head,
        figures=_figures(tallies, died, recordings, sessions, time.monotonic() - started),
    )
    _show(Console(), content, tallies, died)
    if json_file is not None:
        write_json(json_file, content)
    failed = failures(tallies, died)
    if failed:
        raise click.ClickException(f"not as it must be: {'; '.join(failed)}")


def _in_memory() -> Path:
    """A folder in memory where there is one: the record has the syncs, so rebuilding needs none."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _kept(tally: Tally) -> float:
    return 1.0 - tally.lost_states / tally.states


def _run_showing(
    plan: Sequence[Experiment],
    recordings: dict[str, Recording],
    deaths: int,
    seed: int,
    folder: Path,
    workers: int,
) -> tuple[dict[Experiment, Tally], list[Death]]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    full = recordings.get("FULL")
    planned = [] if full is None else moments(full.events, deaths, seed)
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("disks", total=sum(it.states for it in plan) + len(planned))

        def step(name: str = "deaths") -> None:
            progress.update(task, description=name, advance=1)

        tallies = run(plan, recordings, seed=seed, folder=folder, workers=workers, step=step)
        if full is None:
            return tallies, []
        died = all_deaths(full, folder, planned, workers=workers, step=step)
    return tallies, died


def _figures(
    tallies: dict[Experiment, Tally],
    died: Sequence[Death],
    recordings: dict[str, Recording],
    sessions: int,
    elapsed_s: float,
) -> dict[str, Any]:
    return {
        "sqlite": sqlite3.sqlite_version,
        "elapsed_s": round(elapsed_s, 1),
        "sessions": sessions,
        "checkpoint_pages": CHECKPOINT_PAGES,
        "recordings": {name: counts_of(recording) for name, recording in recordings.items()},
        "experiments": [
            {
                "name": it.name,
                "synchronous": it.synchronous,
                "disk_lies_about": it.lies or None,
                "must": "lose" if it.loses else "keep",
                "passed": tally.passes(it),
                **asdict(tally),
            }
            for it, tally in tallies.items()
        ],
        "deaths": {
            "count": len(died),
            "by_call": dict(Counter(death.call for death in died)),
            "acknowledged": sum(death.verdict.acknowledged for death in died),
            "lost_batches": sum(death.verdict.lost_batches for death in died),
            "broken": sum(bool(death.verdict.broken) for death in died),
            "findings": [asdict(death) for death in died if not death.verdict.whole],
        },
    }


def _show(
    console: Console,
    content: dict[str, Any],
    tallies: dict[Experiment, Tally],
    died: Sequence[Death],
) -> None:
    host, head = content["machine"], content["commit"]
    counts = next(iter(content["recordings"].values()))
    table = Table(
        title="What a power cut leaves of what was acknowledged",
        caption=(
            f"The load: {counts['requests']} requests in {counts['batches']} batches, "
            f"{content['sessions']} sessions, {counts['checkpoints']} checkpoints; "
            f"{counts['log_writes']:,} writes and {counts['log_syncs']} syncs of the log in the "
            f"first recording. Changes are writes and truncations not yet synced, over all "
            f"states.\n"
            f"{host['cpu']}, {host['cores']} cores, {host['kernel']}, Python {host['python']}, "
            f"SQLite {content['sqlite']}; commit {(head['hash'] or 'unknown')[:12]}"
            f"{' with changes' if head['dirty'] else ''}; seed {content['seed']}; "
            f"{content['elapsed_s']:.0f} s."
        ),
        caption_justify="left",
    )
    table.add_column("", no_wrap=True)
    for it in tallies:
        table.add_column(it.name, justify="right")

    def row(name: str, of: Callable[[Tally], int], *, last: bool = False) -> None:
        table.add_row(name, *(f"{of(it):,}" for it in tallies.values()), end_section=last)

    row("disks rebuilt", lambda it: it.states)
    row("  with unsynced changes", lambda it: it.unsynced_states)
    row("changes kept", lambda it: it.changes.kept)
    row("changes dropped", lambda it: it.changes.dropped)
    row("changes torn", lambda it: it.changes.torn)
    row("names there or not", lambda it: it.changes.names, last=True)
    row("batches acknowledged", lambda it: it.acknowledged)
    row("  of these lost", lambda it: it.lost_batches)
    row("disks that lost one", lambda it: it.lost_states)
    row("disks broken besides", lambda it: it.broken_states, last=True)
    table.add_row("must", *("lose" if it.loses else "keep" for it in tallies))
    table.add_row("did", *("yes" if tally.passes(it) else "NO" for it, tally in tallies.items()))
    console.print(table)
    for it, tally in tallies.items():
        if not tally.passes(it):
            for finding in tally.findings:
                console.print(f"{it.name}: {finding}", markup=False)
    if died:
        told = sum(death.verdict.acknowledged for death in died)
        bad = [death for death in died if not death.verdict.whole]
        console.print(
            f"Killed {len(died)} times as it entered a write, a sync, an acknowledgement or a "
            f"deletion: of {told:,} batches acknowledged until then, "
            f"{sum(death.verdict.lost_batches for death in died)} lost; {len(bad)} databases "
            f"that are not as they must be."
        )
        for death in bad:
            console.print(f"{death}", markup=False)
