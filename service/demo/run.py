"""The demo from beginning to end."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from freehold.client import AsyncClient
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.ledger_service_pb2 import VerifyBooksResponse
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

import models
from models import dataset, manifest, reading, train
from models import spec as specs
from service.demo import drive, population, report, table, tally
from service.demo.day import Rental, plan
from service.demo.drive import Driver, Journal
from service.demo.population import Population
from service.demo.server import Keys, Server, prepare

SPEC = Path(models.__file__).parent / "data" / "taiwan.toml"
DAY = datetime(2026, 6, 1, tzinfo=UTC)
"""Midnight before the day, a Monday; the server's clock starts here."""


@dataclass(frozen=True)
class Options:
    """Options of `python -m service.demo`; `people` None means the whole hold-out."""

    out: Path
    seed: int = 1
    rentals: int = 20_000
    people: int | None = None
    model: Path | None = None
    spec: Path = SPEC


class DemoFailed(Exception):
    """The demo ran to its end and found a fault."""


@dataclass
class _Run:
    """The server's answers."""

    scores: list[int]
    journal: Journal
    listed: list[Authorization]
    books: VerifyBooksResponse


def run(options: Options, console: Console) -> dict[str, Any]:
    """Train or reuse a model, run the day, print the tables, write and return the report.

    Raises DemoFailed if the books do not verify, if the server's list differs from the operator's
    records, or if an authorization is still open. The server is stopped in any case.
    """
    began = time.perf_counter()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if options.model is None:
        console.print("[bold]1 Model[/] training on real card-default data")
        model_dir, _ = train.train_version(
            options.spec, out / "models", progress=console.is_terminal, jobs=2
        )
        name_latest(out / "model", model_dir)
    else:
        model_dir = options.model.resolve()
        console.print(f"[bold]1 Model[/] reusing {options.model}")
    people = _people(options, model_dir)
    rentals = plan(people.label, options.rentals, options.seed)

    console.print("[bold]2 Server[/] fresh database, one operator, sandbox clock")
    database, log = out / "freehold.db", out / "server.log"
    keys = prepare(database, "city-rentals", "City Rentals", report.COMMISSION_BP)
    with Server(database, model_dir, log, f"{DAY:%Y-%m-%dT%H:%M:%SZ}") as server:
        console.print(
            f"[bold]3 The day[/] {len(people):,} people, {len(rentals):,} rentals, "
            f"server at {server.address}"
        )
        done = asyncio.run(_drive(server.address, keys, people, rentals, console))
        server.stop()
        last_words = server.last_words

    metrics = json.loads((model_dir / manifest.METRICS).read_text("utf-8"))
    wrong = drive.discrepancies(done.journal.records, done.listed)
    found = report.find(
        people,
        np.array(done.scores, dtype=np.int64),
        done.journal,
        tally.classify(done.journal.records, done.listed),
        done.books,
        wrong,
        last_words,
    )
    document = report.document(
        found,
        metrics,
        manifest.read(model_dir).model_id,
        options.seed,
        time.perf_counter() - began,
    )
    report.write(out / "report.json", document)
    console.print("[bold]4 Results[/]\n")
    table.show(console, found, metrics)
    if document["empty_end_states"]:
        console.print(
            f"No rental ended as {', '.join(document['empty_end_states'])}: give more --rentals.\n"
        )
    _assumptions(console, document["assumptions"])
    _paths(console, options, model_dir)
    _judge(document, wrong)
    return document


def _people(options: Options, model_dir: Path) -> Population:
    """The people of the hold-out, each checked against the manifest."""
    spec = specs.load(options.spec)
    data = reading.load(spec)
    trained = manifest.read(model_dir)
    return population.select(
        data,
        spec.raw_names,
        dataset.holdout_indices(data),
        lambda row_id: manifest.is_training_id(trained, row_id),
        options.people,
        np.random.default_rng(np.random.SeedSequence([options.seed, 1])),
    )


async def _drive(
    address: str, keys: Keys, people: Population, rentals: list[Rental], console: Console
) -> _Run:
    """Make all calls to the server, with a progress bar for each part."""
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    async with (
        AsyncClient(address, keys.operator, plaintext=True) as operator,
        AsyncClient(address, keys.platform, plaintext=True) as platform,
    ):
        with bars:
            bar = bars.add_task("registering people", total=len(people))
            scores = await drive.load_people(
                platform, people, DAY - timedelta(days=1), lambda n: bars.advance(bar, n)
            )
            bar = bars.add_task("the day", total=len(rentals))

            def on_tick(second: int, begun: int) -> None:
                now = DAY + timedelta(seconds=second)
                bars.update(bar, completed=begun, description=f"the day, {now:%d %b %H:%M}")

            driver = Driver(rentals, people, operator, platform, DAY)
            journal = await driver.run(on_tick)
            listing = bars.add_task("reading the list", total=len(rentals))
            listed = await drive.list_all(operator, lambda n: bars.advance(listing, n))
            checking = bars.add_task("verifying the books", total=1)
            books = await drive.verify_books(platform)
            bars.advance(checking, 1)
    return _Run(scores, journal, listed, books)


def _assumptions(console: Console, sentences: list[str]) -> None:
    console.print("[bold]Assumptions[/] (everything else was measured)")
    for sentence in sentences:
        console.print(f"  [dim]-[/] {sentence}", highlight=False)
    console.print()


def name_latest(link: Path, model_dir: Path) -> None:
    """Makes a link to the folder of the model that was trained last, for the README's commands.

    The demo of an earlier build wrote its model into a folder of this name, which stays.
    """
    if link.is_dir() and not link.is_symlink():
        return
    link.unlink(missing_ok=True)
    link.symlink_to(model_dir.relative_to(link.parent), target_is_directory=True)


def _paths(console: Console, options: Options, model_dir: Path) -> None:
    shown_model = options.model or options.out / "models" / model_dir.name
    for title, path in (
        ("server log", options.out / "server.log"),
        ("database", options.out / "freehold.db"),
        ("model figures", shown_model / manifest.METRICS),
        ("model page", shown_model / "report.html"),
        ("report", options.out / "report.json"),
    ):
        console.print(f"{title:<14}{path}", highlight=False, soft_wrap=True)


def _judge(document: dict[str, Any], wrong: list[str]) -> None:
    if wrong:
        raise DemoFailed(
            f"{len(wrong)} authorizations differ from the server's list; the first: {wrong[0]}"
        )
    if not document["books_verified"]:
        raise DemoFailed(f"the books do not verify: {document['books']['fault']}")
    if document["by_end_state"][tally.OPEN]:
        raise DemoFailed(f"{document['by_end_state'][tally.OPEN]} authorizations are still open")
