"""Many states of the disk, each rebuilt from a recording of the load and checked."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import BenchmarkError
from benchmarks.power_check import Batch, Verdict, acknowledged, check
from benchmarks.power_disk import (
    Disk,
    Fates,
    choose_cut,
    ignoring,
    index_of_log,
    write_files,
)
from benchmarks.power_load import create_database, digest_of_rows
from benchmarks.power_trace import Acknowledge, Create, Event, Sync, Write, record
from service.storage.database import open_database

DATABASE = "freehold.db"

_SHOWN_FINDINGS = 5
_STATES_AT_ONCE = 10


@dataclass(frozen=True)
class Experiment:
    """One question: states of a run with a setting, on a correct disk or one that skips syncs.

    name         also part of the states' seed
    synchronous  SQLite's setting in the run
    lies         syncs that the disk acknowledges and does not do: "log", "folder", "database"
    loses        whether acknowledged batches must be lost, which makes it a control
    states       number of disks to rebuild
    """

    name: str
    synchronous: str
    lies: str
    loses: bool
    states: int


@dataclass(frozen=True)
class Recording:
    """One run of the load.

    load    the arguments of ``python -m`` that ran it, except the database
    files   of the database before it, by name
    rows    digest of all rows before it
    events  the changes, syncs and acknowledgements
    """

    load: tuple[str, ...]
    files: dict[str, bytes]
    rows: str
    events: list[Event]


@dataclass(frozen=True)
class State:
    """One rebuilt disk.

    number    the state's among those of its experiment, from 0
    near      the kind of event near the cut
    cut       events of the recording that had taken place
    pattern   of what was kept
    fates     of the changes of files until then
    verdict   on the database
    """

    number: int
    near: str
    cut: int
    pattern: str
    fates: Fates
    verdict: Verdict


@dataclass
class Tally:
    """The sum of an experiment's states.

    states           disks rebuilt
    unsynced_states  of these, the ones in which something was not synced yet
    lost_states      of these, the ones that lost an acknowledged batch
    broken_states    of these, the ones with another fault
    acknowledged     batches acknowledged before the cut, over all states
    lost_batches     of these, lost
    lost_requests    acknowledged answers that are missing, over all states
    cuts, patterns   states by where the power was cut, and by what was kept
    changes          writes and truncations of files by fate, over all states
    findings         the first states that lost or broke something
    """

    states: int = 0
    unsynced_states: int = 0
    lost_states: int = 0
    broken_states: int = 0
    acknowledged: int = 0
    lost_batches: int = 0
    lost_requests: int = 0
    cuts: dict[str, int] = field(default_factory=dict)
    patterns: dict[str, int] = field(default_factory=dict)
    changes: Fates = field(default_factory=Fates)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, state: State) -> None:
        """Adds one state."""
        verdict = state.verdict
        self.states += 1
        self.unsynced_states += state.fates.open
        self.lost_states += bool(verdict.lost_batches)
        self.broken_states += bool(verdict.broken)
        self.acknowledged += verdict.acknowledged
        self.lost_batches += verdict.lost_batches
        self.lost_requests += verdict.lost_requests
        self.cuts[state.near] = self.cuts.get(state.near, 0) + 1
        self.patterns[state.pattern] = self.patterns.get(state.pattern, 0) + 1
        self.changes.add(state.fates)
        if not verdict.whole and len(self.findings) < _SHOWN_FINDINGS:
            self.findings.append(asdict(state))

    def passes(self, experiment: Experiment) -> bool:
        """Whether a control lost something, or any other experiment lost and broke nothing."""
        if experiment.loses:
            return self.lost_states > 0
        return not self.lost_states and not self.broken_states


def experiments(states: int, control_states: int, synchronous: Sequence[str]) -> list[Experiment]:
    """The experiments with these settings; disks that skip syncs belong to FULL."""
    found = [
        Experiment("FULL", "FULL", "", False, states),
        Experiment("NORMAL", "NORMAL", "", True, control_states),
        *(
            Experiment(f"{lies} unsynced", "FULL", lies, True, control_states)
            for lies in ("log", "folder", "database")
        ),
    ]
    return [it for it in found if it.synchronous in synchronous]


def make_recording(
    folder: Path, synchronous: str, *, batches: int, sessions: int, seed: int
) -> Recording:
    """Run the load in the new folder `folder` under strace.

    Raises StraceMissing, or BenchmarkError when the run has no acknowledgement, no checkpoint, or a
    log that was never overwritten.
    """
    disk = folder / "disk"
    disk.mkdir(parents=True)
    create_database(disk / DATABASE)
    files = {path.name: path.read_bytes() for path in disk.iterdir()}
    database = open_database(f"sqlite:///{disk / DATABASE}")
    rows = digest_of_rows(database)
    database.dispose()
    load = (
        "benchmarks.power_load", "--synchronous", synchronous, "--batches", str(batches),
        "--sessions", str(sessions), "--seed", str(seed),
    )  # fmt: skip
    events = record([*load, "--database", str(disk / DATABASE)], disk, folder / "trace")
    recording = Recording(load, files, rows, events)
    counts = counts_of(recording)
    needed = {"batches": batches, "checkpoints": 1, "log_restarts": 1, "database_writes": 1}
    for name, least in needed.items():
        if counts[name] < least:
            raise BenchmarkError(f"the run has {counts[name]} {name}, and needs at least {least}")
    return recording


def counts_of(recording: Recording) -> dict[str, int]:
    """The numbers of events in a recording; a log restarts when it is written at 0 again."""
    events = recording.events
    writes = [event for event in events if isinstance(event, Write)]
    syncs = [event for event in events if isinstance(event, Sync)]
    batches = acknowledged(events)
    created = sum(1 for event in events if isinstance(event, Create))
    headers = sum(1 for event in writes if event.name != DATABASE and event.offset == 0)
    return {
        "batches": len(batches),
        "requests": sum(len(batch.requests) for batch in batches),
        "events": len(events),
        "log_writes": sum(1 for event in writes if event.name != DATABASE),
        "database_writes": sum(1 for event in writes if event.name == DATABASE),
        "written_bytes": sum(len(event.data) for event in writes),
        "log_syncs": sum(1 for event in syncs if event.name != DATABASE),
        "checkpoints": sum(1 for event in syncs if event.name == DATABASE),
        "logs_created": created,
        "log_restarts": headers - created,
    }


class Bench:
    """Rebuilds and checks states of recordings, in its own folder."""

    def __init__(self, recordings: dict[str, Recording], seed: int, folder: Path) -> None:
        self._recordings = recordings
        self._seed = seed
        self._folder = folder
        self._runs: dict[Experiment, tuple[list[Event], list[Batch]]] = {}

    def state(self, experiment: Experiment, number: int) -> State:
        """One state; the same seed, experiment, number and recording give the same."""
        recording = self._recordings[experiment.synchronous]
        events, batches = self._run(experiment, recording)
        chance = random.Random(f"{self._seed}/{experiment.name}/{number}")
        near, cut = choose_cut(events, chance)
        disk, told = Disk(recording.files), 0
        for event in events[:cut]:
            disk.do(event)
            told += isinstance(event, Acknowledge)
        files, fates, pattern = disk.cut(chance)
        write_files(self._folder, files | index_of_log(DATABASE, chance))
        verdict = check(self._folder / DATABASE, batches, told, recording.rows)
        return State(number, near, cut, pattern, fates, verdict)

    def _run(self, experiment: Experiment, recording: Recording) -> tuple[list[Event], list[Batch]]:
        if experiment not in self._runs:
            lies = experiment.lies
            events = ignoring(
                recording.events,
                log=lies == "log", folder=lies == "folder", database=lies == "database",
            )  # fmt: skip
            self._runs[experiment] = events, acknowledged(events)
        return self._runs[experiment]


_bench: Bench | None = None
"""A worker process's bench, set at its start."""


def _start(recordings: dict[str, Recording], seed: int, folder: Path) -> None:
    global _bench
    _bench = Bench(recordings, seed, folder / f"states-{os.getpid()}")


def _state(experiment: Experiment, number: int) -> State:
    if _bench is None:
        raise BenchmarkError("the worker was not started")
    return _bench.state(experiment, number)


def run(
    plan: Sequence[Experiment],
    recordings: dict[str, Recording],
    *,
    seed: int,
    folder: Path,
    workers: int,
    step: Callable[[str], None] = lambda _name: None,
) -> dict[Experiment, Tally]:
    """Rebuild and check every state of the plan; call `step` with each one's experiment."""
    tallies = {experiment: Tally() for experiment in plan}
    for experiment, state in _states(plan, recordings, seed, folder, workers):
        tallies[experiment].add(state)
        step(experiment.name)
    return tallies


def _states(
    plan: Sequence[Experiment],
    recordings: dict[str, Recording],
    seed: int,
    folder: Path,
    workers: int,
) -> Iterator[tuple[Experiment, State]]:
    wanted = [(experiment, number) for experiment in plan for number in range(experiment.states)]
    which = [experiment for experiment, _ in wanted]
    if workers == 1:
        bench = Bench(recordings, seed, folder / "states")
        for experiment, number in wanted:
            yield experiment, bench.state(experiment, number)
        return
    # Workers are not forked, because this process shows its progress from a thread.
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start, (recordings, seed, folder)
    ) as pool:
        numbers = [number for _, number in wanted]
        yield from zip(
            which, pool.map(_state, which, numbers, chunksize=_STATES_AT_ONCE), strict=True
        )
