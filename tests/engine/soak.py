"""Sends random commands through the model: `python -m tests.engine.soak --help`.

It runs the same machine as `test_model.py`, but without Hypothesis, because Hypothesis takes longer
than the commands themselves. A run consists of episodes, each with a database of its own and
repeatable from the seed and its number; a failing episode is shortened and printed.
"""

from __future__ import annotations

import argparse
import atexit
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import structlog

from benchmarks.harness import commit, machine, write_json
from service.books.verify import verify_books
from service.config import TRANSPORTS
from service.rpc.stored import read_payload
from service.storage.database import open_database
from service.storage.store import SqlStore
from tests.conftest import Databases, PostgresDatabases, SqliteDatabases
from tests.engine.chance_currencies import Run
from tests.engine.faults import DEATHS
from tests.engine.model import TROUBLES, Model, Step
from tests.fakes import Desk, new_database
from tests.postgres import Cluster
from tests.sqlite import LentFiles

BAD_TIMES = sorted(TROUBLES.keys() - {"none"})
SIZES = (1, 1, 2, 4, 8, 16, 24, 32, 48)
SHORTEN_S = 120.0
PROGRESS_S = 10.0
WHOLE, CURRENCIES = "whole", "currencies"


class Episode(NamedTuple):
    """The result of one episode; an empty `failure` means no violation."""

    number: int
    database: str
    commands: int
    batches: int
    seconds: float
    counts: Counter[tuple[str, str]]
    troubles: Counter[str]
    transitions: Counter[str]
    steps: list[Step]
    failure: str


def random_steps(seed: str) -> Iterator[Step]:
    """Batches of calls, jumps of the clock, visits of the sweeper and changes of terms, without
    end."""
    chance = Random(seed)
    for _ in range(chance.choice((0, 5, 20))):
        yield ["terms", chance.getrandbits(32)]
    while True:
        draw = chance.random()
        if draw < 0.5:
            trouble = "none" if chance.random() < 0.8 else chance.choice(BAD_TIMES)
            size = chance.choice(SIZES)
            yield ["calls", trouble, [chance.getrandbits(32) for _ in range(size)]]
        elif draw < 0.76:
            yield ["terms", chance.getrandbits(32)]
        elif draw < 0.91:
            yield ["time", chance.getrandbits(32)]
        else:
            yield ["sweep"]


def model_of(url: str, wire: str) -> Model:
    """The model of an engine, or with a transport that of a server."""
    if not wire:
        return Model(url)
    # The engine's own model needs no server.
    from tests.engine.wire_model import WireModel

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    return WireModel(url, wire)


def run_episode(
    databases: Databases,
    number: int,
    steps: Iterator[Step],
    commands: int,
    *,
    finish: bool = True,
    wire: str = "",
) -> Episode:
    """Takes steps until enough commands have arrived or one fails; then `finish`.

    With a transport as `wire` the calls go to a server.
    """
    url, begin, failure = databases.new(), time.perf_counter(), ""
    model, taken = model_of(url, wire), []
    try:
        for step in steps:
            taken.append(step)
            model.do(step)
            if model.commands >= commands:
                break
        if finish:
            model.finish()
    except Exception:
        failure = traceback.format_exc()
    finally:
        model.close()
        databases.drop(url)
    return Episode(
        number,
        databases.kind,
        model.commands,
        sum(model.troubles.values()),
        time.perf_counter() - begin,
        model.counts,
        model.troubles,
        model.transitions,
        taken if failure else [],
        failure,
    )


def run_currencies(databases: Databases, number: int, seed: str, commands: int) -> Episode:
    """Rentals in two currencies under changing rates until enough commands have run or one fails;
    then the books are verified."""
    url, begin, failure = databases.new(), time.perf_counter(), ""
    desk = Desk(SqlStore(open_database(url)))
    run: Run | None = None
    try:
        run = Run(desk, seed)
        while run.commands < commands:
            run.step()
        assert not desk.faults, desk.faults
        found = verify_books(desk.store.engine, read_payload=read_payload)
        assert found.fault is None, found.fault
    except Exception:
        failure = traceback.format_exc()
    finally:
        desk.store.close()
        databases.drop(url)
    taken = 0 if run is None else run.commands
    counts = Counter() if run is None else run.counts
    lasted = time.perf_counter() - begin
    none: list[Step] = []
    return Episode(
        *(number, databases.kind, taken, 0, lasted, counts, Counter(), Counter(), none, failure)
    )


def shorter(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """Leaves out steps, then calls, while it still fails; for a bounded time."""
    end = time.monotonic() + SHORTEN_S

    def without(parts: list[Any], still: Callable[[list[Any]], bool]) -> list[Any]:
        width = max(1, len(parts) // 2)
        while width and time.monotonic() < end:
            place = 0
            while place < len(parts) and time.monotonic() < end:
                rest = parts[:place] + parts[place + width :]
                if still(rest):
                    parts = rest
                else:
                    place += width
            width //= 2
        return parts

    steps = without(steps, fails)
    for place, step in enumerate(steps):
        if step[0] == "calls":
            before, after = steps[:place], steps[place + 1 :]
            fewer = without(
                step[2],
                lambda numbers, b=before, s=step, a=after: (
                    bool(numbers)  # type: ignore[misc]
                    and fails([*b, [*s[:2], numbers], *a])
                ),
            )
            steps = [*before, [*step[:2], fewer], *after]
    return steps


_databases: dict[str, Databases] = {}
"""This process's servers, by kind; a PostgreSQL server starts with the first episode that needs
it."""


def databases_of(kind: str) -> Databases:
    """The source of an episode's database."""
    if kind not in _databases:
        _databases[kind] = _sqlite() if kind == "sqlite" else _postgresql()
    return _databases[kind]


def _sqlite() -> Databases:
    folder = Path(tempfile.mkdtemp(prefix="freehold-soak-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    template = folder / "template.db"
    store = new_database(f"sqlite:///{template}")
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()

    def new_folder() -> Path:
        return Path(tempfile.mkdtemp(dir=folder))

    def new_file() -> Path:
        return Path(shutil.copy(template, new_folder()))

    return SqliteDatabases(new_file, new_folder, LentFiles(template, new_file))


def _postgresql() -> Databases:
    cluster = Cluster()
    atexit.register(cluster.close)
    return PostgresDatabases(cluster)


def work(kind: str, seed: int, number: int, commands: int, model: str, wire: str) -> Episode:
    """Runs one episode, in a process that may have run others."""
    if model == CURRENCIES:
        return run_currencies(databases_of(kind), number, f"{seed}/{number}", commands)
    steps = random_steps(f"{seed}/{number}")
    return run_episode(databases_of(kind), number, steps, commands, wire=wire)


def kind_of(database: str, number: int) -> str:
    """The kind of database of an episode; with both kinds, every fourth is on PostgreSQL."""
    if database != "both":
        return database
    return "postgresql" if number % 4 == 3 else "sqlite"


def soak(options: argparse.Namespace) -> list[Episode]:
    """Episodes until enough commands have run, or one has failed."""
    done: list[Episode] = []
    waiting: set[Future[Episode]] = set()
    number, commands, begin, said = options.first, 0, time.monotonic(), time.monotonic()
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        while commands < options.commands:
            while len(waiting) < options.jobs:
                kind, size = kind_of(options.database, number), options.episode
                size = min(size, max(1, options.commands - commands))
                of = (kind, options.seed, number, size, options.model, options.wire)
                waiting.add(pool.submit(work, *of))
                number += 1
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            done += [future.result() for future in ended]
            commands = sum(it.commands for it in done)
            if any(it.failure for it in done):
                break
            if time.monotonic() - said > PROGRESS_S:
                said = time.monotonic()
                rate = commands / (said - begin)
                print(f"{commands:,} commands, {rate:,.0f} a second", file=sys.stderr, flush=True)
        done += [future.result() for future in wait(waiting).done]
    return done


def report(
    options: argparse.Namespace, done: list[Episode], seconds: float, where: dict[str, Any]
) -> dict[str, Any]:
    """The result: numbers of commands by kind and outcome, and the databases."""
    outcomes: dict[str, Counter[str]] = {}
    for (kind, outcome), times in sum((it.counts for it in done), Counter()).items():
        outcomes.setdefault(kind, Counter())[outcome or "OK"] += times
    troubles = sum((it.troubles for it in done), Counter())
    commands = sum(it.commands for it in done)
    return {
        "name": "model" if options.model == WHOLE else f"model of {options.model}",
        "seed": options.seed,
        "commands": commands,
        "violations": sum(1 for it in done if it.failure),
        "seconds": round(seconds, 1),
        "commands_per_second": round(commands / seconds, 1),
        "jobs": options.jobs,
        "wire": options.wire,
        "episodes": len(done),
        "commands_per_episode": options.episode,
        "batches": sum(it.batches for it in done),
        "deaths": sum(troubles[fault.name.lower()] for fault in DEATHS),
        "databases": {
            kind: {
                "commands": sum(it.commands for it in done if it.database == kind),
                "episodes": sum(1 for it in done if it.database == kind),
                "seconds": round(sum(it.seconds for it in done if it.database == kind), 1),
            }
            for kind in sorted({it.database for it in done})
        },
        **where,
        "batches_by_trouble": dict(sorted(troubles.items())),
        "commands_by_kind": {
            kind: dict(counts.most_common()) for kind, counts in sorted(outcomes.items())
        },
        "transitions": dict(sum((it.transitions for it in done), Counter()).most_common()),
    }


def fails_on(kind: str, *, finish: bool, wire: str) -> Callable[[list[Step]], bool]:
    """Whether the steps, or the end, fail on a fresh database of this kind."""

    def fails(steps: list[Step]) -> bool:
        databases = databases_of(kind)
        episode = run_episode(databases, 0, iter(steps), sys.maxsize, finish=finish, wire=wire)
        return bool(episode.failure)

    return fails


def explain(options: argparse.Namespace, failed: Episode) -> None:
    """Prints how to repeat a failure, whole and shortened."""
    print(f"\nepisode {failed.number} on {failed.database}:\n{failed.failure}")
    print(
        f"again: python -m tests.engine.soak --seed {options.seed} --first {failed.number}"
        f" --commands {options.episode} --episode {options.episode} --database {failed.database}"
        f" --model {options.model}{_wired(options)}"
    )
    if options.model == CURRENCIES:
        return
    early = fails_on(failed.database, finish=False, wire=options.wire)
    whole = fails_on(failed.database, finish=True, wire=options.wire)
    steps = failed.steps
    steps = shorter(steps, early if early(steps) else whole)
    databases = databases_of(failed.database)
    again = run_episode(databases, 0, iter(steps), sys.maxsize, wire=options.wire)
    print(f"\nshortened to {len(steps)} steps:\n{again.failure}")
    print(
        f"again: python -m tests.engine.soak --database {failed.database}{_wired(options)}"
        f" --replay '{json.dumps(steps, separators=(',', ':'))}'"
    )


def _wired(options: argparse.Namespace) -> str:
    return f" --wire {options.wire}" if options.wire else ""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=20_000, help="how many, at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first episode")
    parser.add_argument("--episode", type=int, default=3_000, help="commands in an episode")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="sqlite")
    parser.add_argument(
        "--model", choices=(WHOLE, CURRENCIES), default=WHOLE,
        help="all commands in one currency, or rentals in two currencies under changing rates",
    )  # fmt: skip
    parser.add_argument(
        "--wire", choices=TRANSPORTS, default="",
        help="a server with this transport gets the calls: it decides their order and batches, so a"
        " seed does not repeat a run exactly",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--replay", help="printed steps to repeat instead of random ones")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs, prints the rate, and writes the result; returns 1 after a violation."""
    options = _options(arguments)
    if options.replay:
        steps: list[Step] = json.loads(options.replay)
        kind = kind_of(options.database, 0)
        again = run_episode(databases_of(kind), 0, iter(steps), sys.maxsize, wire=options.wire)
        print(again.failure or "no violation")
        return 1 if again.failure else 0
    where = {"commit": commit(), "machine": machine(Path(tempfile.gettempdir()))}
    begin = time.monotonic()
    done = soak(options)
    result = report(options, done, time.monotonic() - begin, where)
    if options.json:
        write_json(options.json, result)
    print(
        f"{result['commands']:,} commands in {result['episodes']} episodes,"
        f" {result['deaths']} deaths, {result['violations']} violations:"
        f" {result['seconds']} s, {result['commands_per_second']:,.0f} commands a second"
    )
    failed = next((it for it in done if it.failure), None)
    if failed is not None:
        explain(options, failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
