"""When several calls compete for the same object at once, does exactly one win?

Real servers, one on a SQLite file or two on one PostgreSQL database, and fifty connections. Each
scenario (`benchmarks.races_scenarios`) runs in many rounds with their own people, holds and items,
on its own database. In a round all contenders wait at one barrier and are sent together, to both
servers, in random order; the outcome is checked against the answers and the stored rows, and both
books are verified again and again.

A race that every call could win proves nothing. So the closeness is counted: how often every
contender was under way before the first answer, how often a call lost to one that was sent later,
and how often each kind of contender won; a kind that never won fails the run.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.harness import BenchmarkError, commit, document, file_system, machine, write_json
from benchmarks.options import folder_option, json_option, model_option, transport_option
from benchmarks.postgres import Cluster
from benchmarks.races_arena import CONNECTIONS, Arena, Clients, arena
from benchmarks.races_round import Round, Tally
from benchmarks.races_rows import Reader
from benchmarks.races_scenarios import RACES
from benchmarks.races_wave import Wave
from models import train

_ROOT = Path(__file__).resolve().parent.parent
_SPEC = _ROOT / "models" / "data" / "taiwan.toml"
_ROUNDS_A_WAVE = 50
_ROUNDS_A_VERIFICATION = 500
# In this many rounds every kind of contender must have won one.
_ENOUGH_ROUNDS = 200
SERVERS = {"sqlite": 1, "postgresql": 2}


def run(place: Arena, name: str, rounds: int, seed: int, step: Callable[[Tally], None]) -> Tally:
    """Runs one scenario with clients of its own; see `race`."""

    async def connect_and_race() -> Tally:
        async with Clients(place) as clients:
            return await race(clients, name, rounds, seed, step)

    return asyncio.run(connect_and_race())


def _nothing(_: Tally) -> None:
    pass


async def race(
    clients: Clients,
    name: str,
    rounds: int,
    seed: int,
    step: Callable[[Tally], None] = _nothing,
) -> Tally:
    """Runs this many rounds of one scenario; `step` is called after each wave of them.

    Raises BenchmarkError when the benchmark itself fails. Wrong outcomes are in the Tally.
    """
    tally, began, verified = Tally(), time.monotonic(), 0
    reader = Reader(clients.arena.engine)
    while tally.rounds < rounds:
        count = min(_ROUNDS_A_WAVE, rounds - tally.rounds)
        await _wave(clients, reader, tally, name, seed, count)
        if tally.rounds - verified >= _ROUNDS_A_VERIFICATION or tally.rounds == rounds:
            verified = tally.rounds
            await _verify(clients, tally)
        step(tally)
    tally.wall_s = time.monotonic() - began
    return tally


async def _wave(
    clients: Clients, reader: Reader, tally: Tally, name: str, seed: int, count: int
) -> None:
    first = tally.rounds
    chance = random.Random(f"{name}.{seed}/{first}")
    wave = Wave(clients, reader, count, RACES[name].heat, chance)
    try:
        async with asyncio.TaskGroup() as group:
            for place in range(count):
                one = Round(wave, tally, f"{name}.{seed}", first + place, place)
                group.create_task(_round(one, name))
    except ExceptionGroup as errors:
        # The first error is the cause; the other rounds were ended because of it.
        raise errors.exceptions[0] from None


async def _round(one: Round, name: str) -> None:
    await RACES[name].run(one)
    await one.stored()  # set where the scenario stopped early
    one.finish()


async def _verify(clients: Clients, tally: Tally) -> None:
    books = await clients.verify()
    tally.books += 1
    if not books.verified:
        fault = books.fault
        tally.wrong([f"books: {fault.rule} at {fault.row}: {fault.detail}"])


def shortcomings(tallies: dict[str, Tally]) -> list[str]:
    """The reasons why a run proves nothing, a sentence each; empty for a proof."""
    found = []
    for name, tally in tallies.items():
        if tally.violations:
            found.append(f"{name}: {tally.violations} violations: {tally.sentences[0]}")
        if tally.rounds < _ENOUGH_ROUNDS:
            continue
        never = [it for it in RACES[name].outcomes if not tally.outcomes[it]]
        if never:
            found.append(f"{name}: never won by {', '.join(never)}")
        if 2 * tally.overlapping < tally.rounds:
            found.append(f"{name}: only {tally.overlapping} rounds overlapped")
    return found


@click.command()
@click.option(
    "--rounds", default=2000, show_default=True, type=click.IntRange(1), help="Of each scenario."
)
@click.option(
    "--database",
    default="sqlite",
    show_default=True,
    type=click.Choice(tuple(SERVERS)),
    help="One server process on a SQLite file, or two on one PostgreSQL database.",
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=click.Choice(tuple(RACES)),
    help="Only this one; may be given again. Without it all.",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**32),
    help="Seed of the calls and their order; it does not decide the winners.",
)
@model_option()
@folder_option("Folder for databases and logs; a failed run's files stay.")
@transport_option()
@json_option()
def races(
    rounds: int,
    database: str,
    scenarios: tuple[str, ...],
    seed: int,
    model: Path | None,
    folder: Path,
    transport: str,
    json_file: Path | None,
) -> None:
    """Many clients at one barrier ask for one object: exactly one client gets it.

    Exits with 1 if a round had a wrong outcome, or if some kind of contender never won.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described, head = machine(folder), commit()
    work = Path(tempfile.mkdtemp(prefix="races-", dir=folder))
    failed = ["it did not come to an end"]
    try:
        with _terminable(), _site(database, work) as site:
            described["file_system"] = site.file_system
            served = _trained(model or folder / "model")
            names = scenarios or tuple(RACES)
            console = Console(stderr=True)
            tallies = _measure(console, site, served, work, names, rounds, seed, transport)
            failed = shortcomings(tallies)
    except BenchmarkError as error:
        raise click.ClickException(f"{error}\nWhat it left is in {work}") from error
    finally:
        if not failed:
            shutil.rmtree(work)
    content = _document(tallies, site, seed, described, head, transport)
    Console().print(_table(content, failed))
    if json_file is not None:
        write_json(json_file, content)
    if failed:
        click.echo(f"Failed: {'; '.join(failed)}.\nWhat it left is in {work}", err=True)
        sys.exit(1)


@dataclass(frozen=True)
class _Site:
    """One kind of database: `new` gives the URL of an empty one."""

    name: str
    version: str
    file_system: str
    new: Callable[[], str]


@contextmanager
def _site(database: str, work: Path) -> Iterator[_Site]:
    numbers = itertools.count(1)
    if database == "sqlite":
        version = f"SQLite {sqlite3.sqlite_version}"
        yield _Site(
            database,
            version,
            file_system(work),
            lambda: f"sqlite:///{work / f'races-{next(numbers)}.db'}",
        )
        return
    with Cluster(safe=True) as cluster:
        row = cluster.admin.execute("SHOW server_version").fetchone()
        yield _Site(
            database,
            f"PostgreSQL {row[0] if row else 'unknown'}",
            file_system(cluster.data),
            lambda: cluster.url(cluster.empty()),
        )


def _trained(model: Path) -> Path:
    if not model.exists():
        train.train(_SPEC, model, progress=False)
    return model


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the block like an exception, so that the block's processes end too."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _measure(
    console: Console,
    site: _Site,
    model: Path,
    work: Path,
    names: Sequence[str],
    rounds: int,
    seed: int,
    transport: str,
) -> dict[str, Tally]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    tallies: dict[str, Tally] = {}
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=rounds * len(names))
        for place, name in enumerate(names):
            progress.update(task, description=name)

            def step(tally: Tally, done: int = place * rounds) -> None:
                progress.update(task, completed=done + tally.rounds)

            folder = work / name
            folder.mkdir()
            with arena(site.new(), model, folder, SERVERS[site.name], transport) as there:
                tallies[name] = run(there, name, rounds, seed, step)
                tallies[name].faults = there.faults()
    return tallies


def _document(
    tallies: dict[str, Tally],
    site: _Site,
    seed: int,
    described: dict[str, Any],
    head: dict[str, Any],
    transport: str,
) -> dict[str, Any]:
    rounds = sum(tally.rounds for tally in tallies.values())
    violations = sum(tally.violations for tally in tallies.values())
    return document(
        name="races",
        ratio=1 - violations / rounds,
        rounds=rounds,
        seed=seed,
        machine=described,
        commit=head,
        figures={
            "database": site.name,
            "database_version": site.version,
            "servers": SERVERS[site.name],
            "connections": CONNECTIONS,
            "transport": transport,
            "violations": violations,
            "scenarios": {
                name: asdict(tally)
                | {"outcomes": dict(tally.outcomes), "rounds_a_barrier": RACES[name].heat}
                for name, tally in tallies.items()
            },
        },
    )


def _table(content: dict[str, Any], failed: Sequence[str]) -> Table:
    host, head = content["machine"], content["commit"]
    table = Table(
        title=(
            f"Races on {content['database_version']}: {content['violations']} of "
            f"{content['rounds']:,} rounds came out wrong"
        ),
        caption=(
            f"{'; '.join(failed) or 'Right'}. {content['servers']} server process"
            f"{'es on one database' if content['servers'] > 1 else ''}, {content['connections']} "
            "connections. Overlapping: every contender was sent before the first was answered. "
            "Overtaken: one lost to another that was sent after it.\n"
            f"{host['cpu']}, {host['cores']} cores, {host['kernel']}, Python {host['python']}, "
            f"files on {host['file_system']}; load average before the run "
            f"{host['load_average']['1_min']:.2f}; commit {(head['hash'] or 'unknown')[:12]}"
            f"{' with changes' if head['dirty'] else ''}; seed {content['seed']}."
        ),
        caption_justify="left",
    )
    for heading in ("scenario", "rounds", "wrong", "overlapping", "overtaken", "ms", "won by"):
        table.add_column(heading, justify="left" if heading in ("scenario", "won by") else "right")
    for name, it in content["scenarios"].items():
        table.add_row(
            name,
            f"{it['rounds']:,}",
            f"{it['violations']:,}",
            f"{it['overlapping'] / it['rounds'] * 100:.0f} %",
            f"{it['overtaken'] / it['rounds'] * 100:.0f} %",
            f"{it['wall_s'] / it['rounds'] * 1000:.0f}",
            ", ".join(f"{count:,} {kind}" for kind, count in sorted(it["outcomes"].items())),
        )
    return table
