"""Measures CPU and wall time of a verification of the books, for each rental.

A city's day of rentals is made as `make demo` makes it, over gRPC. Then the books in the database
are verified again and again: on one core, to measure CPU time, and on all cores, to measure wall
time. Processes are started for each run, and their start is not part of the time on one core.

With ``--beside FOLDER`` the code of another checkout makes the day; its verifier takes turns with
this one's, on the same rows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
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
    document,
    in_turn,
    machine,
    quartiles,
    ratios,
    revision,
    write_json,
)
from benchmarks.options import beside_option, folder_option, json_option, model_option
from benchmarks.prepared import checkpoint
from benchmarks.processes import environment

_ROOT = Path(__file__).resolve().parent.parent

# Run by a checkout's code, which finds its own spec.
_TRAIN = """
import sys
from pathlib import Path
from models import train
train.train(Path("models/data/taiwan.toml"), Path(sys.argv[1]), progress=False)
"""

# Run by a checkout's code on its own database.
_VERIFY = """
import json, resource, sys, time
from functools import partial
from service.rpc.stored import read_answer
from service.storage.database import open_database
try:
    from service.books.processes import Elsewhere
    from service.books.verify import verify_books
except ImportError:
    from service.storage.verify import verify_books
    more = {}
else:
    more = {"elsewhere": Elsewhere(partial(open_database, sys.argv[1]))}

try:
    from service.rpc.stored import read_payload
except ImportError:
    pass
else:
    more["read_payload"] = read_payload

def cpu_s():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(it.ru_utime + it.ru_stime for it in used)

engine = open_database(sys.argv[1])
engine.connect().close()
cpu, began = cpu_s(), time.perf_counter()
found = verify_books(engine, read_answer=read_answer, **more)
wall = time.perf_counter() - began
print(json.dumps({
    "fault": found.fault,
    "rentals": found.authorizations,
    "entries": found.entries,
    "cpu_s": cpu_s() - cpu,
    "wall_s": wall,
    "memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
}))
"""


@dataclass(frozen=True)
class Run:
    """One verification: rentals found, CPU and wall seconds, and the peak memory of its first
    process."""

    rentals: int
    entries: int
    cpu_s: float
    wall_s: float
    memory_bytes: int


@dataclass(frozen=True)
class Side:
    """One build over the rounds.

    cpu_us        CPU microseconds a rental on one core, start-up apart
    wall_us       wall microseconds a rental on one core, start-up apart
    all_cores_us  wall microseconds a rental on all cores, with the start of further processes
    memory_bytes  the most memory of the process on one core, libraries included
    """

    revision: str
    cpu_us: Quartiles
    wall_us: Quartiles
    all_cores_us: Quartiles
    memory_bytes: int


@click.command()
@click.option("--rentals", default=20_000, show_default=True, type=click.IntRange(100))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@folder_option("Folder for the database files.")
@model_option(
    "A model directory; without it the checkout that makes the day trains one once, into its "
    ".freehold/model."
)
@beside_option("A checkout of another revision, whose verifier takes turns with this one's.")
@json_option()
def verify(
    rentals: int,
    rounds: int,
    seed: int,
    folder: Path,
    model: Path | None,
    beside: Path | None,
    json_file: Path | None,
) -> None:
    """CPU and wall time of a full verification, for each rental."""
    folder.mkdir(parents=True, exist_ok=True)
    described, head = machine(folder), commit()
    try:
        with tempfile.TemporaryDirectory(prefix="verify-", dir=folder) as work:
            databases = _prepare(Path(work), folder, model, beside, rentals, seed)
            runs = _measure(databases, rounds)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    sides = {str(checkout): _side(checkout, *them) for checkout, them in runs.items()}
    here = runs[_ROOT]
    if beside is None:
        ratio = quartiles(ratios(*([it.wall_s for it in them] for them in (here[1], here[0]))))
        meaning = "wall time on all cores over that on one"
    else:
        ratio = quartiles(ratios(*([it.cpu_s for it in runs[it][0]] for it in (_ROOT, beside))))
        meaning = "CPU time of this build over the other's, on one core"
    content = document(
        name="verify",
        ratio=ratio.median,
        rounds=rounds,
        seed=seed,
        machine=described,
        commit=head,
        figures={
            "ratio_means": meaning,
            "ratio_quartiles": asdict(ratio),
            "rentals": here[0][0].rentals,
            "entries": here[0][0].entries,
            "here": asdict(sides[str(_ROOT)]),
            "beside": None if beside is None else asdict(sides[str(beside)]),
        },
    )
    _show(Console(), content, list(sides.values()))
    if json_file is not None:
        write_json(json_file, content)


def _prepare(
    work: Path, folder: Path, model: Path | None, beside: Path | None, rentals: int, seed: int
) -> dict[Path, Path]:
    """The database of each checkout, with the same rows; made by the other one, if there is one."""
    maker = beside or _ROOT
    if model is None:
        # An earlier build cannot read a model directory of this one.
        model = (folder if beside is None else beside / ".freehold") / "model"
        if not model.exists():
            model.parent.mkdir(parents=True, exist_ok=True)
            _run(maker, "-c", _TRAIN, str(model))
    words = ["--rentals", str(rentals), "--seed", str(seed), "--model", str(model)]
    _run(maker, "-m", "service.demo", *words, "--out", str(work / "day"))
    made = checkpoint(work / "day" / "freehold.db")
    databases = {maker: made}
    if beside is not None:
        databases[_ROOT] = Path(shutil.copyfile(made, work / "here.db"))
        _run(_ROOT, "-m", "service.cli", "migrate", "--database", f"sqlite:///{work / 'here.db'}")
        checkpoint(databases[_ROOT])
    return databases


def _measure(databases: dict[Path, Path], rounds: int) -> dict[Path, tuple[list[Run], list[Run]]]:
    """The runs of each checkout on one core, and those on all cores."""
    runs: dict[Path, tuple[list[Run], list[Run]]] = {it: ([], []) for it in databases}
    checkouts = {str(it): it for it in databases}
    for _, order in in_turn(tuple(checkouts), rounds):
        for name in order:
            checkout = checkouts[name]
            for cores, them in enumerate(runs[checkout]):
                them.append(_verify(checkout, databases[checkout], one_core=cores == 0))
    return runs


def _verify(checkout: Path, database: Path, *, one_core: bool) -> Run:
    before = os.sched_getaffinity(0)
    try:
        if one_core:
            os.sched_setaffinity(0, {max(before)})
        said = _run(checkout, "-c", _VERIFY, f"sqlite:///{database}")
    finally:
        os.sched_setaffinity(0, before)
    told = json.loads(said)
    if told.pop("fault") is not None or not told["rentals"]:
        raise BenchmarkError(f"{checkout} found a fault in correct books, or no rental")
    return Run(**told)


def _run(checkout: Path, *words: str) -> str:
    """Runs Python in a checkout and returns its output; raises BenchmarkError when it fails."""
    done = subprocess.run(
        [sys.executable, *words],
        env=environment(checkout), cwd=checkout, stdin=subprocess.DEVNULL, capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchmarkError(f"{checkout}: {words[:2]}:\n{done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def _side(checkout: Path, one: list[Run], all_cores: list[Run]) -> Side:
    def a_rental(runs: list[Run], name: str) -> Quartiles:
        return quartiles([1e6 * float(getattr(it, name)) / it.rentals for it in runs])

    return Side(
        revision(checkout),
        a_rental(one, "cpu_s"),
        a_rental(one, "wall_s"),
        a_rental(all_cores, "wall_s"),
        max(it.memory_bytes for it in one),
    )


def _show(console: Console, content: dict[str, Any], sides: list[Side]) -> None:
    table = Table(
        title=f"{content['ratio']:.2f}: {content['ratio_means']}",
        caption=f"Medians of {content['rounds']} rounds; {content['rentals']:,} rentals, "
        f"{content['entries']:,} entries, seed {content['seed']}; load average before the run "
        f"{content['machine']['load_average']['1_min']:.2f}",
        caption_justify="left",
    )
    for name in ("build", "CPU µs/rental", "wall µs/rental", "on all cores", "memory, MB"):
        table.add_column(name, justify="left" if name == "build" else "right")
    for side in sides:
        table.add_row(
            side.revision[:12],
            f"{side.cpu_us.median:.0f}",
            f"{side.wall_us.median:.0f}",
            f"{side.all_cores_us.median:.0f}",
            f"{side.memory_bytes / 1e6:.0f}",
        )
    console.print(table)
