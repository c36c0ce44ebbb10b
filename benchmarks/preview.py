"""``python -m benchmarks preview``: the time of a preview over that of the decisions it repeats.

In each round an engine decides on a fresh SQLite file, in batches of 64 and without the wire, with
the credit model if `--model` names one; only these batches are timed. Rentals last some hours and
are settled between the batches, and half of the offers with a deposit are paid. Then the code of
`freehold policy preview` previews four drafts over all decisions; the slowest one counts. Drafts
with conditions, signals, a budget and a breaker are measured beside them.

The ratio is the seconds of the slowest preview (reading, deciding again and adding up) over those
of the batches of Authorize; the aim is at most 1/20.
"""

from __future__ import annotations

import gc
import random
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine as Database

from benchmarks.harness import (
    BenchmarkError,
    commit,
    document,
    machine,
    ratios,
    spread,
    write_json,
)
from benchmarks.options import json_option, model_option
from benchmarks.power_load import CURRENCY, OPERATOR, START_US, TellingScorer, create_database
from models import reading, spec
from models.scorer import ModelScorer
from service.clock import SandboxClock
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start, State
from service.domain.errors import FreeholdError
from service.domain.money import Money
from service.domain.policy_document import write_policy
from service.engine.calls import Answer, Payloads, Work
from service.engine.engine import Engine
from service.engine.feature_values import pack
from service.engine.operations import Authorize, Command, Confirm, Item, PutUser, Settle
from service.engine.ports import Scorer
from service.engine.scoring import Assessor
from service.ids import RandomIds
from service.preview.run import Asked, preview
from service.rpc.beside import encode_beside
from service.rpc.convert import encode_authorization
from service.storage.database import open_database
from service.storage.store import SqlStore

_SPEC = Path(reading.__file__).with_name("data") / "taiwan.toml"
BATCH = 64
PRODUCTS = ("bike", "umbrella", "power-bank")
DAYS = 30
LONGEST_STEP_US = 600_000_000
"""The longest time between two batches, so that no item counts as lost."""
DAY_US = 86_400_000_000
OUT_US = 3 * 3_600_000_000
"""The time for which a rental is out."""
DRAFTS: dict[str, dict[str, Any]] = {
    "one policy for all products": {},
    "higher cut-offs": {"zero_from_score": 640, "reduced_from_score": 540},
    "lower cut-offs": {"zero_from_score": 560, "reduced_from_score": 460},
    "a smaller share on credit": {"reduced_credit_share_bp": 2_000},
}
RULED: dict[str, dict[str, Any]] = {
    "conditions and a signal": {
        "condition": [
            {"name": "night", "when": "hour < 6 && score < 600", "then": "FULL"},
            {"name": "large", "when": "order_minor > 15000 && band == 'E'", "then": "FULL"},
        ],
        "signal": [{"signal": "MANY_DEVICES", "most": 3, "days": 7, "then": "FULL"}],
    },
    "a budget and a breaker": {
        "budget": [{"currency": CURRENCY, "most_minor": 3_000_000}],
        "breaker": [{"currency": CURRENCY, "days": 7, "most_minor": 100_000}],
    },
}


@dataclass(frozen=True)
class Run:
    """The seconds of one round: wall and CPU time of the batches, and of each preview by name."""

    decisions: int
    make_s: float
    make_cpu_s: float
    previews_s: dict[str, float]
    previews_cpu_s: dict[str, float]
    changed: dict[str, int]


class Shop:
    """An engine on a file, and the rentals that it has out."""

    def __init__(self, database: Database, seed: int, model: Path | None) -> None:
        self._rows: list[list[float]] = []
        scorer: Scorer = TellingScorer()
        if model is not None:
            scorer = ModelScorer.load(model)
            self._rows = reading.load(spec.load(_SPEC)).raw.tolist()
        self.store = SqlStore(database)
        self.clock = SandboxClock(START_US)
        self._chance = random.Random(seed)
        self._faults: list[BaseException] = []
        self._engine = Engine(
            self.store,
            Assessor(self.store, scorer),
            self.clock,
            RandomIds(),
            currency=CURRENCY,
            build="preview",
            max_attempts=3,
            log_fault=lambda _id, error, _about=None: self._faults.append(error),
            log_terms=lambda _fault, mended: None,
            notice_gap=lambda _gap: None,
            encode=encode_authorization,
            encode_beside=encode_beside,
        )
        self._out: deque[Authorization] = deque()
        self._offered: list[Authorization] = []
        self._number = 0

    def _works(self, caller: str, commands: Sequence[Command]) -> list[Work]:
        works = []
        for command in commands:
            self._number += 1
            name = f"r-{self._number}"
            method, body = type(command).__name__, name.encode()
            works.append(Work(caller, name, method, body, command, self._keep, lambda _first: None))
        return works

    def _keep(self, answer: Answer, payloads: Payloads) -> bytes:
        """The bytes of an answer; a rental that has begun is noted."""
        if isinstance(answer, Authorization) and answer.state is State.ACTIVE:
            self._out.append(answer)
        elif isinstance(answer, Authorization) and answer.state is State.OFFERED:
            self._offered.append(answer)
        return payloads.of(answer) if isinstance(answer, Authorization) else b""

    def _apply(self, caller: str, commands: Sequence[Command]) -> None:
        for result in self._engine.apply(self._works(caller, commands)):
            if isinstance(result, FreeholdError):
                raise BenchmarkError(f"{result}; {self._faults}")

    def register(self, people: int) -> None:
        """Registers people: with rows of the model's data, or with scores from 450 to 720."""
        for first in range(0, people, BATCH):
            self._apply(
                PLATFORM,
                [
                    PutUser(f"u-{number}", pack(self._features()), START_US, True)
                    for number in range(first, min(people, first + BATCH))
                ],
            )

    def _features(self) -> list[float]:
        return self._chance.choice(self._rows) if self._rows else [self._chance.randint(450, 720)]

    def authorize(self, people: int, step_us: int) -> tuple[float, float]:
        """Decides one batch; returns its wall and CPU seconds."""
        self.clock.advance(self.clock.now_us() + step_us)
        commands: list[Command] = [
            Authorize(
                f"u-{self._chance.randrange(people)}",
                (Item(self._chance.choice(PRODUCTS), ""),),
                Start.IMMEDIATE,
                (),
            )
            for _ in range(BATCH)
        ]
        works = self._works(OPERATOR, commands)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        results = self._engine.apply(works)
        took = time.perf_counter() - wall_s, time.process_time() - cpu_s
        if any(isinstance(it, FreeholdError) for it in results) or self._faults:
            raise BenchmarkError(f"an Authorize failed: {self._faults}")
        return took

    def go_on(self) -> None:
        """Pays half of the offers, and settles the rentals that were out for long enough, by the
        tariff."""
        offered, self._offered = self._offered, []
        paid: list[Command] = [
            Confirm(
                it.user_id, it.authorization_id, f"p-{it.authorization_id}",
                Money(CURRENCY, it.cash_minor),
            )
            for it in offered
            if self._chance.random() < 0.5
        ]  # fmt: skip
        self._apply(OPERATOR, paid)
        due_us = self.clock.now_us() - OUT_US
        ended: list[Command] = []
        while self._out and self._out[0].create_us <= due_us:
            it = self._out.popleft()
            ended.append(Settle(it.user_id, it.authorization_id, None, True, None))
        for first in range(0, len(ended), BATCH):
            self._apply(OPERATOR, ended[first : first + BATCH])


def measure(folder: Path, decisions: int, people: int, seed: int, model: Path | None = None) -> Run:
    """One round in a folder. Raises BenchmarkError if a decision is missing or not repeated."""
    path = folder / f"preview-{seed}.db"
    create_database(path)
    database = open_database(f"sqlite:///{path}")
    shop = Shop(database, seed, model)
    shop.register(people)
    batches = -(-decisions // BATCH)
    step_us = min(LONGEST_STEP_US, DAYS * DAY_US // (batches + 1))
    make_s = make_cpu_s = 0.0
    for _ in range(batches):
        wall_s, cpu_s = shop.authorize(people, step_us)
        make_s, make_cpu_s = make_s + wall_s, make_cpu_s + cpu_s
        shop.go_on()
    run = Run(batches * BATCH, make_s, make_cpu_s, {}, {}, {})
    policy = write_policy(shop.store.catalog().products[OPERATOR, "bike"].policy)
    until_us = shop.clock.now_us() + 1
    for name, values in (DRAFTS | RULED).items():
        asked = Asked(
            OPERATOR, "policy", {**policy, **values}, frozenset(PRODUCTS), DAYS, until_us,
            run.decisions,
        )  # fmt: skip
        # What the batches left behind would be collected in the middle of the first preview.
        gc.collect()
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        found = preview(database, asked)
        run.previews_s[name] = time.perf_counter() - wall_s
        run.previews_cpu_s[name] = time.process_time() - cpu_s
        run.changed[name] = found.whole.changed.most
        if found.whole.decisions != run.decisions or found.whole.repeated != run.decisions:
            raise BenchmarkError(f"{found.whole.repeated} of {run.decisions} decisions repeated")
    shop.store.close()
    path.unlink()
    return run


@click.command()
@click.option("--decisions", default=100_000, show_default=True, type=click.IntRange(64))
@click.option("--people", default=20_000, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@model_option(
    "A model directory, so that decisions are scored as by a server; without it the one "
    "feature is the score."
)
@json_option()
def previews(
    decisions: int,
    people: int,
    rounds: int,
    seed: int,
    model: Path | None,
    json_file: Path | None,
) -> None:
    """Time of a preview over the time of making the decisions that it repeats."""
    described, head = machine(Path(tempfile.gettempdir())), commit()
    runs = []
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        for number in range(rounds):
            runs.append(measure(Path(folder), decisions, people, seed + number, model))
            click.echo(_line(runs[-1]))
    made, cpu = [it.make_s for it in runs], [it.make_cpu_s for it in runs]
    walls = ratios([slowest(it.previews_s, DRAFTS) for it in runs], made)
    cpus = ratios([slowest(it.previews_cpu_s, DRAFTS) for it in runs], cpu)
    ruled = spread(ratios([slowest(it.previews_cpu_s, RULED) for it in runs], cpu))
    ratio = spread(walls)
    click.echo(
        f"{ratio.median:.4f} of the time of making them (1/{1 / ratio.median:.0f});"
        f" CPU {spread(cpus).median:.4f}, with rules that read other rentals {ruled.median:.4f}"
    )
    if json_file is not None:
        content = document(
            name="preview",
            ratio=ratio.median,
            rounds=rounds,
            seed=seed,
            machine=described,
            commit=head,
            figures={
                "ratio_means": "wall time of the slowest preview over that of the batches",
                "ratio_spread": asdict(ratio),
                "ratio_cpu": asdict(spread(cpus)),
                "ratio_cpu_with_rules": asdict(ruled),
                "decisions": runs[0].decisions,
                "people": people,
                "scored_by_model": model is not None,
                "runs": [asdict(it) for it in runs],
            },
        )
        write_json(json_file, content)


def slowest(seconds: dict[str, float], drafts: dict[str, Any]) -> float:
    """The seconds of the slowest preview of these drafts."""
    return max(seconds[name] for name in drafts)


def _line(it: Run) -> str:
    shown = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in it.previews_s.items())
    cpu = max(it.previews_cpu_s.values())
    return (
        f"{it.decisions:,} decisions in {it.make_s:.1f} s ({it.make_cpu_s:.1f} s of CPU);"
        f" previews: {shown}; the most CPU {cpu:.2f} s"
    )
