"""``python -m benchmarks budget``: the CPU time of each step of an Authorize, in µs a call.

At each number of calls in flight, and with each kind of rules, a server on a SQLite file serves
distinct people with real features, as in ``benchmarks rpc``; with ``--unscored`` the model scores
each of them in the call. Its steps are timed on the clock of
their thread's CPU (`budget_server.py`), and the price of measuring is taken off. All variants take
turns in each round, and the figures are medians over the rounds. "the wire" is all that the process
spends outside of the steps: gRPC, the event loop and the threads' hand-over. With
``--transport native`` some of its steps are apart.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
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
    write_json,
)
from benchmarks.load import Job, generate
from benchmarks.options import (
    FOLDER,
    json_option,
    model_option,
    transport_option,
    unscored_option,
)
from benchmarks.prepared import PRODUCT, Prepared, copy, prepare, serve_url, without_scores
from benchmarks.processes import Server, two_cores
from benchmarks.rules import NONE, RULES, with_rules
from service.config import AIO

WIRE = "the wire"
_OF_THE_WIRE = (
    *("parse and check the message", "make the command", "queue", "take turns", "admit"),
    *("pass frames to the transport", "pass frames to the client", "send the answer"),
)
_LEAST_US = 0.05
_WARM_UP = 400
_LIMIT_S = 10.0


@dataclass(frozen=True)
class Sample:
    """CPU microseconds a call in one round: of each step, of the engine, and of the process.

    The engine's time is that of the steps in the writer's thread, without sending the answers.
    """

    steps: dict[str, float]
    process_us: float

    @property
    def engine_us(self) -> float:
        return sum(us for name, us in self.steps.items() if name not in (*_OF_THE_WIRE, WIRE))


@dataclass(frozen=True)
class Variant:
    """One variant of the table: the calls in flight and the rules of the policy."""

    in_flight: int
    rules: str


class Timed:
    """A timed server, and the file of its sums."""

    def __init__(self, server: Server, sums: Path) -> None:
        self.server = server
        self._sums = sums

    def look(self) -> dict[str, Any]:
        """The sums now."""
        before = self._lines()
        os.kill(self.server.pid, signal.SIGUSR1)
        end_s = time.monotonic() + _LIMIT_S
        while len(lines := self._lines()) == len(before):
            if time.monotonic() > end_s:
                raise BenchmarkError("the server tells no sums")
            time.sleep(0.005)
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    def _lines(self) -> list[str]:
        if not self._sums.exists():
            return []
        whole, _, _ = self._sums.read_text(encoding="utf-8").rpartition("\n")
        return whole.splitlines()


def sample(
    timed: Timed, prepared: Prepared, in_flight: int, users: Iterable[str], seed: int
) -> Sample:
    """Authorizes for these people; returns the times a call."""
    _, load_core = two_cores()
    people = tuple(users)
    job = Job(
        port=timed.server.port,
        server_pid=timed.server.pid,
        key=prepared.key,
        product_id=PRODUCT,
        in_flight=in_flight,
        warm_up=1,
        users=people,
        seed=seed,
    )
    before = timed.look()
    report = generate(job, core=load_core)
    after = timed.look()
    if report.errors:
        raise BenchmarkError(f"{report.errors} calls failed: {'; '.join(report.first_errors)}")

    def us(now_s: float, then_s: float) -> float:
        return (now_s - then_s) * 1e6 / len(people)

    steps = {
        name: us(taken_s, before["steps"].get(name, 0.0))
        for name, taken_s in after["steps"].items()
    }
    whole = us(after["process_s"], before["process_s"])
    steps[WIRE] = whole - sum(steps.values())
    return Sample(steps, whole)


def measure(
    work: Path,
    model: Path,
    variants: list[Variant],
    rounds: int,
    calls: int,
    seed: int,
    *,
    unscored: bool = False,
    transport: str = AIO,
) -> dict[Variant, list[Sample]]:
    """The samples of each variant in each round, after a round that does not count.

    With `unscored` nobody's score is stored beside the features.
    """
    server_core, _ = two_cores()
    of_rules = {it.rules for it in variants}
    prepared = prepare(work, model, (rounds * calls + _WARM_UP), seed)
    if unscored:
        prepared = without_scores(prepared)
    found: dict[Variant, list[Sample]] = defaultdict(list)
    with ExitStack() as running:
        servers = {}
        ruled = {rules: with_rules(prepared, rules, work) for rules in sorted(of_rules)}
        for place, variant in enumerate(variants):
            database, sums = (
                copy(ruled[variant.rules], work / f"{place}.db"),
                work / f"{place}.sums",
            )
            server = serve_url(
                f"sqlite:///{database}",
                prepared.model,
                work / f"{place}.log",
                *("--transport", transport),
                core=server_core,
                program=("benchmarks.budget_server", str(sums)),
            )
            servers[variant] = Timed(running.enter_context(server), sums)
        people = prepared.users
        for variant in variants:  # statements are prepared, and keys looked up
            sample(servers[variant], prepared, variant.in_flight, people[:_WARM_UP], seed)
        for number, order in in_turn([str(it) for it in range(len(variants))], rounds):
            first = _WARM_UP + number * calls
            for name in order:
                variant = variants[int(name)]
                users = people[first : first + calls]
                one = sample(
                    servers[variant], prepared, variant.in_flight, users, seed + number + 1
                )
                found[variant].append(one)
    return found


def _medians(samples: list[Sample]) -> dict[str, float]:
    names = {name for it in samples for name in it.steps}
    return {name: median(it.steps.get(name, 0.0) for it in samples) for name in names}


def _prices(found: dict[Variant, list[Sample]]) -> dict[Variant, Quartiles]:
    """The engine's time with rules over that without, of the same round and the same load."""
    prices = {}
    for variant, samples in found.items():
        plain = found.get(Variant(variant.in_flight, NONE))
        if variant.rules != NONE and plain is not None:
            over, under = [it.engine_us for it in samples], [it.engine_us for it in plain]
            prices[variant] = quartiles(ratios(over, under))
    return prices


@click.command()
@click.option("--in-flight", default="8,64", show_default=True, help="Levels, with commas.")
@click.option(
    "--rules",
    multiple=True,
    default=(NONE,),
    show_default=True,
    type=click.Choice(RULES),
    help="Rules of the policy; may be given several times.",
)
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(1))
@click.option("--calls", default=512, show_default=True, type=click.IntRange(64))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@model_option()
@unscored_option()
@transport_option()
@json_option()
def budget(
    in_flight: str,
    rules: tuple[str, ...],
    rounds: int,
    calls: int,
    seed: int,
    model: Path | None,
    unscored: bool,
    transport: str,
    json_file: Path | None,
) -> None:
    """Microseconds of CPU of each step of an Authorize."""
    variants = [Variant(int(level), it) for level in in_flight.split(",") for it in rules]
    FOLDER.mkdir(exist_ok=True)
    described, head = machine(FOLDER), commit()
    try:
        with tempfile.TemporaryDirectory(prefix="budget-", dir=FOLDER) as work:
            found = measure(
                Path(work), model or FOLDER / "model", variants, rounds, calls, seed,
                unscored=unscored, transport=transport,
            )  # fmt: skip
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    prices = _prices(found)
    _show(found, prices)
    if json_file is not None:
        content = document(
            name="budget",
            ratio=None,
            rounds=rounds,
            seed=seed,
            machine=described,
            commit=head,
            figures={
                "calls": calls,
                "unscored": unscored,
                "transport": transport,
                "variants": [
                    {
                        "in_flight": it.in_flight,
                        "rules": it.rules,
                        "process_us": median(one.process_us for one in samples),
                        "engine_us": median(one.engine_us for one in samples),
                        "engine_over_none": prices[it].__dict__ if it in prices else None,
                        "steps_us": _medians(samples),
                    }
                    for it, samples in found.items()
                ],
            },
        )
        write_json(json_file, content)


def _show(found: dict[Variant, list[Sample]], prices: dict[Variant, Quartiles]) -> None:
    table = Table()
    table.add_column("CPU µs a call", no_wrap=True)
    for it in found:
        table.add_column(f"{it.in_flight}\n{it.rules}", justify="right", no_wrap=True)
    columns = [_medians(samples) for samples in found.values()]
    most: dict[str, float] = defaultdict(float)
    for column in columns:
        for name, us in column.items():
            most[name] = max(most[name], us)
    for name in sorted(most, key=most.__getitem__, reverse=True):
        if most[name] >= _LEAST_US:
            table.add_row(name, *(f"{it.get(name, 0.0):.1f}" for it in columns))
    table.add_section()
    engines = [median(it.engine_us for it in samples) for samples in found.values()]
    wholes = [median(it.process_us for it in samples) for samples in found.values()]
    table.add_row("the engine", *(f"{it:.1f}" for it in engines))
    table.add_row("the process", *(f"{it:.1f}" for it in wholes))
    console = Console()
    console.print(table)
    for it, price in prices.items():
        console.print(
            f"{it.in_flight} in flight, {it.rules}: the engine takes {price.median:.3f} of its time"
            f" without rules, middle half of the rounds {price.lower:.3f} to {price.upper:.3f}"
        )
