"""``python -m benchmarks terms``: the time for which a change of one operator's terms delays other
work.

For each number of operators a SQLite database with their default products is made. Then, many
times, one product gets a new revision, and five times are measured: a look that finds no change,
the load of the change off the writer, the longest pause of another thread during the load, the
writer's read of an operator that this process does not know yet, and, for comparison, the read of
all terms at a start.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine, insert, select

from benchmarks.harness import BenchmarkError, Spread, commit, document, machine, spread, write_json
from benchmarks.options import json_option
from service.engine.terms import Terms
from service.storage import admin
from service.storage import schema as t
from service.storage.database import open_database, writing
from service.storage.migrate import migrate
from service.storage.store import SqlStore

CURRENCY = "CNY"
START_US = 1_704_067_200_000_000


@dataclass(frozen=True)
class Level:
    """Milliseconds at one number of operators, each over all rounds.

    whole      read of all terms, as at a start
    look       look at the terms when nothing has changed
    load       load of one product's new revision, in the thread beside the writer's
    stall      longest pause of another thread during the load
    learn      read of a new operator's product, in the writer
    """

    operators: int
    whole: Spread
    look: Spread
    load: Spread
    stall: Spread
    learn: Spread


def _filled(folder: Path, operators: int) -> Engine:
    """A database with this many operators, each with the default products."""
    engine = open_database(f"sqlite:///{folder / f'terms-{operators}.db'}", create=True)
    migrate(engine)
    admin.install_defaults(engine)
    admin.create_operator(engine, "o-0", "O", 300, START_US)
    with writing(engine) as connection:
        operator = connection.execute(select(t.operators)).one()._asdict()
        products = [row._asdict() for row in connection.execute(select(t.products))]
        more = [f"o-{number}" for number in range(1, operators)]
        if more:
            connection.execute(
                insert(t.operators), [{**operator, "operator_id": name} for name in more]
            )
            connection.execute(
                insert(t.products),
                [{**row, "operator_id": name} for name in more for row in products],
            )
    return engine


def _revise(engine: Engine, revision: int) -> tuple[str, str, int]:
    """Adds a revision of the first operator's first product; returns its key."""
    p = t.products.c
    with writing(engine) as connection:
        query = select(t.products).where(p.operator_id == "o-0").order_by(p.product_id, p.revision)
        row = connection.execute(query.limit(1)).one()._asdict()
        row |= {"revision": revision, "deposit_minor": revision}
        connection.execute(insert(t.products), row)
    return (row["operator_id"], row["product_id"], revision)


def _taking(action: Callable[[], Any]) -> tuple[float, Any]:
    """An action's duration in milliseconds, and its result."""
    start = time.perf_counter()
    result = action()
    return (time.perf_counter() - start) * 1_000, result


def _stalled_by(action: Callable[[], Any]) -> tuple[float, Any]:
    """The longest pause of this thread in milliseconds while another one ran an action, and the
    action's result.

    The pauses before the first look at the action and before the last one count too: on a busy
    machine an action may be over before this thread runs again.
    """
    longest, done = 0.0, False
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # the thread is there, so its start is no pause
        last = time.perf_counter()
        running = pool.submit(action)
        while not done:
            done = running.done()
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        return longest * 1_000, running.result()


def _require(true: bool, what: str) -> None:
    if not true:
        raise BenchmarkError(what)


def measure(folder: Path, operators: int, rounds: int) -> Level:
    """The figures at one number of operators.

    Raises BenchmarkError when the terms in use are not the database's.
    """
    engine = _filled(folder, operators)
    store = SqlStore(engine)
    figures: dict[str, list[float]] = {
        name: [] for name in ("whole", "look", "load", "stall", "learn")
    }
    terms = Terms(store, CURRENCY, lambda _fault, mended: None)
    terms.follow()
    for number in range(rounds):
        whole_ms, catalog = _taking(store.catalog)
        _require(len(catalog.operators) == operators + number, "operators are missing")
        look_ms, changed = _taking(terms.follow)
        _require(not changed, "something changed by itself")
        key = _revise(engine, number + 2)
        stall_ms, (load_ms, changed) = _stalled_by(partial(_taking, terms.follow))
        loaded = terms.used.catalog.revisions.get(key)
        _require(changed and loaded is not None, "a revision was not loaded")
        name = f"new-{number}"
        admin.create_operator(engine, name, "N", 300, START_US)
        learn_ms, learned = _taking(partial(terms.learn, [(name, key[1])]))
        _require(learned and name in terms.used.catalog.operators, "an operator was not learned")
        terms.follow()
        for name, value in zip(
            figures, (whole_ms, look_ms, load_ms, stall_ms, learn_ms), strict=True
        ):
            figures[name].append(value)
    store.close()
    return Level(operators, **{name: spread(values) for name, values in figures.items()})


@click.command()
@click.option("--operators", default="1000,10000", show_default=True, help="Numbers, with commas.")
@click.option("--rounds", default=20, show_default=True, type=click.IntRange(1))
@json_option()
def terms(operators: str, rounds: int, json_file: Path | None) -> None:
    """Measure what a change of one operator's terms costs, beside the writer and in it."""
    try:
        numbers = [int(it) for it in operators.split(",")]
    except ValueError as error:
        raise click.BadParameter("wants whole numbers such as 1000,10000") from error
    levels: list[Level] = []
    described, head = machine(Path(tempfile.gettempdir())), commit()
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            level = measure(Path(folder), number, rounds)
            levels.append(level)
            click.echo(
                f"{number} operators: all terms {level.whole.median:.1f} ms; beside the writer:"
                f" look {level.look.median:.2f} ms, load {level.load.median:.2f} ms; in the writer:"
                f" stall {level.stall.median:.2f} ms, learn {level.learn.median:.2f} ms"
            )
    if json_file is not None:
        content = document(
            name="terms",
            ratio=levels[-1].load.median / levels[-1].whole.median,
            rounds=rounds,
            seed=0,
            machine=described,
            commit=head,
            figures={"levels": [asdict(it) for it in levels]},
        )
        write_json(json_file, content)
