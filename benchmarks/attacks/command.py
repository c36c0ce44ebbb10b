"""Does a good caller still get its answers while the server is attacked?

Each attack meets a fresh server on a fresh copy of a prepared database. A good caller with 8 calls
in flight is measured before and during the attack; the server's memory is watched; SIGTERM comes
while the attack goes on. `benchmarks.attacks.siege` says when a server has survived.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.attacks.attacker import Facts
from benchmarks.attacks.ground import PEOPLE, RENTALS, ROWS, people, with_rentals, with_rows
from benchmarks.attacks.scene import Scene
from benchmarks.attacks.siege import SURVIVED_MEANS, Attack, Good, Verdict, besiege
from benchmarks.attacks.unread_log import UnreadServer
from benchmarks.harness import BenchmarkError, commit, document, machine, write_json
from benchmarks.load import GET
from benchmarks.options import folder_option, json_option, model_option, transport_option
from benchmarks.prepared import PRODUCT, serve_url
from benchmarks.processes import Server, command, two_cores
from service.config import AIO


@dataclass(frozen=True)
class Scale:
    """The sizes of a run.

    people    in the database: two thirds for the good caller, one third for the attacker
    rentals   that the attacking operator has where an attack wants rentals
    rows      that it has where an attack wants many rows
    warm_up   calls of the good caller before each measurement
    limit_s   longest time of each of its measurements
    divisor   by which the numbers of each attack are divided
    """

    people: int
    rentals: int
    rows: int
    warm_up: int
    limit_s: float
    divisor: int


FULL = Scale(people=9_000, rentals=30_000, rows=200_000, warm_up=300, limit_s=6.0, divisor=1)
QUICK = Scale(people=150, rentals=200, rows=5_000, warm_up=10, limit_s=5.0, divisor=20)
READ_PEOPLE = 64
"""A good caller that reads makes the rentals of this many people, and reads them in turn."""


def _cancelled(facts: Facts) -> list[str]:
    """A call that the server's end left unanswered must say that a retry helps."""
    count = facts["answers"].get("CANCELLED", 0)
    return [f"{count} calls in flight at SIGTERM were CANCELLED"] if count else []


STREAMS = {"connections": 9, "streams": 9_000, "again_a_second": 100}
ATTACKS = (
    Attack("half-open calls", "half_open_calls", STREAMS),
    Attack("half-open health checks", "half_open_checks", STREAMS),
    Attack("health watches", "watches", STREAMS),
    Attack("unfinished bodies", "unfinished_bodies", {"streams": 60, "bytes": 7 * 2**20}),
    Attack("unread log", "unread_log", {}, unread=True),
    Attack("lists over many rows", "lists", {"in_flight": 32}, ground=ROWS, method=GET),
    Attack(
        "abandoned verifications", "abandoned_verifications", {"calls": 10},
        ground=RENTALS, method=GET,
    ),
    Attack("busy operator, 200 in flight", "busy_operator", {"in_flight": 200}, extra=_cancelled),
    Attack(
        "busy operator, 1,024 in flight", "busy_operator", {"in_flight": 1_024}, extra=_cancelled
    ),
    Attack("wrong keys, 200 in flight", "wrong_keys", {"in_flight": 200}),
)  # fmt: skip


@click.command()
@click.option(
    "--attack",
    "names",
    multiple=True,
    type=click.Choice([it.name for it in ATTACKS]),
    help="Play only this attack; may be given again.",
)
@click.option("--quick", is_flag=True, help="Small attacks: whether they work, not how fast.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@folder_option("Folder for the database files.")
@model_option()
@transport_option()
@json_option()
def attacks(
    names: tuple[str, ...],
    quick: bool,
    seed: int,
    folder: Path,
    model: Path | None,
    transport: str,
    json_file: Path | None,
) -> None:
    """Attack a real server, and measure a good caller meanwhile; exit with 1 unless it survives."""
    folder.mkdir(parents=True, exist_ok=True)
    described, head, console = machine(folder), commit(), Console()
    scale = QUICK if quick else FULL
    chosen = [it for it in ATTACKS if not names or it.name in names]
    verdicts = []
    try:
        with tempfile.TemporaryDirectory(prefix="attacks-", dir=folder) as work:
            given = model or folder / "model"
            for verdict in play(chosen, Path(work), given, scale, seed, transport):
                outcome = "survived" if verdict.survived else "; ".join(verdict.failed)
                console.print(f"{verdict.name}: {outcome}", highlight=False)
                verdicts.append(verdict)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    survived = all(it.survived for it in verdicts)
    content = document(
        name="attacks", ratio=None, rounds=1, seed=seed, machine=described, commit=head,
        figures={
            "survived": survived,
            "survived_means": SURVIVED_MEANS,
            "quick": quick,
            "transport": transport,
            "attacks": [asdict(it) for it in verdicts],
        },
    )  # fmt: skip
    _show(console, verdicts)
    if json_file is not None:
        write_json(json_file, content)
    if not survived:
        raise click.ClickException("the server did not survive every attack")


def play(
    chosen: Sequence[Attack],
    work: Path,
    model: Path,
    scale: Scale,
    seed: int,
    transport: str = AIO,
) -> Iterator[Verdict]:
    """Play the attacks one after the other, each against a server of its own."""
    ground = people(work, model, scale.people, seed)
    databases = {PEOPLE: ground.good.database}
    kinds = {it.ground for it in chosen}
    if kinds & {RENTALS, ROWS}:
        databases[RENTALS] = with_rentals(ground, work, scale.rentals)
    if ROWS in kinds:
        databases[ROWS] = with_rows(databases[RENTALS], work, scale.rows)
    seal_key = work / "seal.pem"
    command("service.cli", "create-seal-key", str(seal_key))
    core, _ = two_cores()
    half = len(ground.good.users) // 2
    for attack in chosen:
        database = Path(shutil.copyfile(databases[attack.ground], work / "attacked.db"))
        server = serve_url(
            f"sqlite:///{database}", model, work / "server.log", "--seal-key", str(seal_key),
            "--transport", transport, core=core,
            kind=UnreadServer if attack.unread else Server,
        )  # fmt: skip
        size = _smaller(attack.size, scale.divisor)
        scene = Scene(
            server.port, ground.crowd_key, ground.platform_key, PRODUCT, ground.crowd, size
        )
        users = ground.good.users[:half], ground.good.users[half:]
        if attack.method == GET:
            users = users[0][:READ_PEOPLE], users[1][:READ_PEOPLE]
        good = Good(ground.good.key, users, scale.warm_up, scale.limit_s)
        server.launch()
        try:
            server.wait_serving()
            yield besiege(attack, server, scene, good, work / "attacker.log")
        finally:
            server.kill()


def _smaller(size: dict[str, int], divisor: int) -> dict[str, int]:
    return {name: max(1, number // divisor) for name, number in size.items()}


def _show(console: Console, verdicts: Sequence[Verdict]) -> None:
    table = Table(title="A good caller under attack, 8 in flight")
    columns = ("attack", "p50, ms", "with it", "answered", "memory, MiB", "stop, s")
    for name in columns:
        table.add_column(name, justify="left" if name == "attack" else "right")
    table.add_column("survived")
    for it in verdicts:
        table.add_row(
            it.name,
            f"{it.p50_ms_without:.1f}",
            "none" if it.p50_ms_with is None else f"{it.p50_ms_with:.1f}",
            f"{it.answered_with:.1%}",
            f"{it.memory_mib_before:.0f} to {it.memory_mib_most:.0f}",
            "killed" if it.stop_s is None else f"{it.stop_s:.1f}",
            "yes" if it.survived else "no",
        )
    console.print(table)
