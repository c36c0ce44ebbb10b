"""The process dies as it enters its N-th write, sync, acknowledgement or deletion of a file.

The system goes on here and keeps all writes: this tests only the process, at the exact calls around
a batch's commit and acknowledgement. Every acknowledged batch must be there afterwards.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.power_check import Verdict, acknowledged, check
from benchmarks.power_disk import write_files
from benchmarks.power_states import DATABASE, Recording
from benchmarks.power_trace import (
    Acknowledge,
    Event,
    Sync,
    SyncFolder,
    Unlink,
    Write,
    kill_at,
)

_SHARES = (
    ("pwrite64", 0.5, (Write,)),
    ("fsync,fdatasync", 0.25, (Sync, SyncFolder)),
    ("write", 0.2, (Acknowledge,)),
    ("?unlink,?unlinkat", 0.05, (Unlink,)),
)


@dataclass(frozen=True)
class Death:
    """One run that ended early.

    call, number  it died as it entered its `number`-th `call`, from 1
    verdict       on the database that it left
    """

    call: str
    number: int
    verdict: Verdict


def moments(events: Sequence[Event], deaths: int, seed: int) -> list[tuple[str, int]]:
    """(call, number) of at most this many different deaths in a run with these events.

    Half of the deaths are at writes, a quarter at syncs, and most others at acknowledgements. A
    call that the run makes less often has fewer.
    """
    chance = random.Random(f"{seed}/deaths")
    found = []
    for call, share, kinds in _SHARES:
        made = sum(1 for event in events if isinstance(event, kinds))
        wanted = min(made, max(1, round(deaths * share)))
        found += [(call, number) for number in sorted(chance.sample(range(1, made + 1), wanted))]
    return found[:deaths]


def all_deaths(
    lived: Recording,
    folder: Path,
    planned: Sequence[tuple[str, int]],
    *,
    workers: int,
    step: Callable[[], None] = lambda: None,
) -> list[Death]:
    """Runs the load of a recording again for each planned death; calls `step` after each.

    Each has its own folder below `folder`. Raises BenchmarkError when a run ends without dying.
    """
    batches = acknowledged(lived.events)

    def die(place: int) -> Death:
        own = folder / f"death-{place}"
        database = own / DATABASE
        write_files(own, lived.files)
        call, number = planned[place]
        heard = kill_at([*lived.load, "--database", str(database)], call, number)
        verdict = check(database, batches, len(heard.splitlines()), lived.rows)
        shutil.rmtree(own)
        return Death(call, number, verdict)

    found = []
    # Threads, because they only wait for processes.
    with ThreadPoolExecutor(workers) as pool:
        for death in pool.map(die, range(len(planned))):
            found.append(death)
            step()
    return found
