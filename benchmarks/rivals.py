"""``python -m benchmarks rivals``: Freehold beside other ways to keep such books, in one run.

Against Freehold's Authorize on SQLite: a careful service with one transaction a call
(`rivals_service`), behind the same wire, with the same load. Against BatchAuthorize of one process
on PostgreSQL: ``pgbench -N`` and a plain double-entry function in SQL, each with 8 clients, on the
same PostgreSQL. TigerBeetle, which keeps only accounts, where the address of a server is given.

All run in turn in each round. The database waits for the disk in all of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
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
    write_json,
)
from benchmarks.load import Job, generate
from benchmarks.options import folder_option, json_option, model_option, transport_option
from benchmarks.postgres import Cluster
from benchmarks.prepared import PRODUCT, count_rows, fill, prepare, serve, serve_url
from benchmarks.prepared import people as people_of
from benchmarks.processes import Server, free_port, two_cores
from benchmarks.rivals_postgres import (
    check_ledger,
    prepare_ledger,
    prepare_pgbench,
    speed_of_ledger,
    speed_of_pgbench,
)
from benchmarks.rivals_service import fill as fill_service
from benchmarks.rivals_tigerbeetle import TigerBeetle
from models import manifest, reading, spec

_ROOT = Path(__file__).resolve().parent.parent
_SPEC = _ROOT / "models" / "data" / "taiwan.toml"
FREEHOLD, ONE = "Authorize, SQLite", "one transaction a call, SQLite"
ITEMS, PGBENCH = "BatchAuthorize, PostgreSQL", "pgbench -N, 8 clients"
LEDGER, TIGERBEETLE = "double entry in SQL, 8 clients", "TigerBeetle, pending transfers"
PAIRS = ((FREEHOLD, ONE), (ITEMS, PGBENCH), (ITEMS, LEDGER), (ITEMS, TIGERBEETLE))
"""The compared sides: Freehold's, and the rival's."""


@dataclass(frozen=True)
class Plan:
    """The parameters of a run: in each of the `rounds`, `calls` timed calls of each side after
    `warm_up`, but no longer than `seconds`; pgbench takes the whole of them."""

    rounds: int
    calls: int
    warm_up: int
    seconds: int
    in_flight: int
    items: int
    messages: int
    seed: int
    transport: str

    @property
    def each(self) -> int:
        """The number of people of a round."""
        return self.calls + self.warm_up


@dataclass(frozen=True)
class Compared:
    """Freehold's calls a second over a rival's, of the same round."""

    freehold: str
    rival: str
    ratio: Quartiles


@dataclass(frozen=True)
class Turn:
    """A side's turn in a round: its calls a second, and the CPU time of everything on the machine
    but server and load over wall time; None if the side runs in other processes too."""

    calls_per_s: float
    other_cpu_share: float | None = None


Run = Callable[[int], Turn]
"""A function that gives a side's turn in a round."""


@click.command()
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(1))
@click.option("--calls", default=2048, show_default=True, type=click.IntRange(100),
              help="Timed calls of each side in each round.")  # fmt: skip
@click.option("--warm-up", default=256, show_default=True, type=click.IntRange(1),
              help="Calls before the clock starts.")  # fmt: skip
@click.option("--seconds", default=3, show_default=True, type=click.IntRange(1),
              help="Seconds of pgbench in each round; the longest of others.")  # fmt: skip
@click.option("--in-flight", default=64, show_default=True, type=click.IntRange(1),
              help="Single calls under way.")  # fmt: skip
@click.option("--items", default=64, show_default=True, type=click.IntRange(2, 256),
              help="Items in a message of BatchAuthorize.")  # fmt: skip
@click.option("--messages", default=4, show_default=True, type=click.IntRange(1),
              help="Messages of BatchAuthorize under way.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**32))
@click.option("--tigerbeetle", metavar="ADDRESS", help="A server of TigerBeetle's cluster 0.")
@model_option()
@folder_option("Folder for the SQLite files; on a disk, for honest figures.")
@transport_option()
@json_option()
def rivals(
    rounds: int,
    calls: int,
    warm_up: int,
    seconds: int,
    in_flight: int,
    items: int,
    messages: int,
    seed: int,
    tigerbeetle: str | None,
    model: Path | None,
    folder: Path,
    transport: str,
    json_file: Path | None,
) -> None:
    """Measure Freehold beside a service with one transaction a call, pgbench, a ledger in SQL, and
    TigerBeetle, in turn."""
    plan = Plan(rounds, calls, warm_up, seconds, in_flight, items, messages, seed, transport)
    folder.mkdir(parents=True, exist_ok=True)
    described, head = machine(folder), commit()
    if tigerbeetle is None:
        click.echo("TigerBeetle is left out: give --tigerbeetle ADDRESS of a server", err=True)
    try:
        with tempfile.TemporaryDirectory(prefix="rivals-", dir=folder) as work:
            turns = measure(Path(work), model or folder / "model", plan, tigerbeetle)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    speeds = {name: [it.calls_per_s for it in each] for name, each in turns.items()}
    compared = compare(speeds)
    content = document(
        name="rivals",
        ratio=compared[0].ratio.median,
        rounds=rounds,
        seed=seed,
        machine=described,
        commit=head,
        figures={
            "plan": asdict(plan),
            "calls_per_s": {name: asdict(quartiles(each)) for name, each in speeds.items()},
            "other_cpu_share": others_of(turns),
            "ratios": [asdict(it) for it in compared],
        },
    )
    _show(Console(), speeds, compared)
    if json_file is not None:
        write_json(json_file, content)


def compare(speeds: dict[str, list[float]]) -> list[Compared]:
    """The ratios of all pairs whose sides were measured."""
    return [
        Compared(ours, theirs, quartiles(ratios(speeds[ours], speeds[theirs])))
        for ours, theirs in PAIRS
        if theirs in speeds
    ]


def others_of(turns: dict[str, list[Turn]]) -> dict[str, Any]:
    """The quartiles of the CPU time of everything else, by side, where it is known."""
    known = {
        name: [it.other_cpu_share for it in each if it.other_cpu_share is not None]
        for name, each in turns.items()
    }
    return {name: asdict(quartiles(each)) for name, each in known.items() if each}


def measure(work: Path, model: Path, plan: Plan, tigerbeetle: str | None) -> dict[str, list[Turn]]:
    """The turns of each side, round by round."""
    with ExitStack() as running:
        sides: dict[str, Run] = {}
        checks: list[Callable[[], None]] = []
        _add_sqlite(running, sides, checks, work, model, plan)
        _add_postgres(running, sides, checks, work, model, plan)
        if tigerbeetle is not None:
            beetle = running.enter_context(TigerBeetle(tigerbeetle))
            sides[TIGERBEETLE] = lambda _number: Turn(beetle.speed(plan.calls))
        turns: dict[str, list[Turn]] = {name: [] for name in sides}
        for number, order in in_turn(tuple(sides), plan.rounds):
            for name in order:
                turns[name].append(sides[name](number))
        for check in checks:
            check()
        return turns


def _add_sqlite(
    running: ExitStack,
    sides: dict[str, Run],
    checks: list[Callable[[], None]],
    work: Path,
    model: Path,
    plan: Plan,
) -> None:
    """Freehold and the service with one transaction a call, each on a SQLite file with the same
    people."""
    core, _ = two_cores()
    options = "--transport", plan.transport
    prepared = prepare(work, model, plan.rounds * plan.each, plan.seed)
    server = running.enter_context(
        serve(prepared.database, prepared, work / "freehold.log", core, *options)
    )
    described = spec.load(_SPEC)
    people = people_of(
        reading.load(described), described.raw_names, plan.rounds * plan.each, plan.seed
    )
    file = work / "one.db"
    fill_service(file, prepared.key, people, manifest.read(model).raw_names)
    port = free_port()
    arguments = [
        *("benchmarks.rivals_service", "--listen", f"127.0.0.1:{port}"),
        *("--database", str(file), "--model", str(model)),
    ]
    other = running.enter_context(Server(arguments, core=core, port=port, log=work / "one.log"))
    users, key = prepared.users, prepared.key
    sides[FREEHOLD] = _calls(server, key, users, plan, checks, lambda: rows_of(prepared.database))
    sides[ONE] = _calls(other, key, users, plan, checks, lambda: rows_of(file))


def rows_of(database: Path) -> int:
    """The authorizations in a SQLite file."""
    return sum(count_rows(database).values())


def _add_postgres(
    running: ExitStack,
    sides: dict[str, Run],
    checks: list[Callable[[], None]],
    work: Path,
    model: Path,
    plan: Plan,
) -> None:
    """Freehold, pgbench and the ledger in SQL on one PostgreSQL; none is tied to a core."""
    import psycopg

    cluster = running.enter_context(Cluster(safe=True))
    name = cluster.empty()
    url = cluster.url(name)
    filled = fill(url, model, work / "fill.log", plan.rounds * plan.each, plan.seed)
    options = "--transport", plan.transport
    server = running.enter_context(serve_url(url, model, work / "postgres.log", *options))

    def rows() -> int:
        with psycopg.connect(cluster.dsn(name)) as connection:
            found = connection.execute("SELECT count(*) FROM authorizations").fetchone()
        return 0 if found is None else int(found[0])

    sides[ITEMS] = _calls(
        server, filled.operator_key, filled.users, plan, checks, rows, items=plan.items
    )
    bench = prepare_pgbench(cluster)
    sides[PGBENCH] = lambda _number: Turn(speed_of_pgbench(cluster, bench, plan.seconds))
    ledger, script = prepare_ledger(cluster, work)
    sides[LEDGER] = lambda _number: Turn(speed_of_ledger(cluster, ledger, script, plan.seconds))
    checks.append(lambda: check_ledger(cluster, ledger))


def _calls(
    server: Server,
    key: str,
    users: tuple[str, ...],
    plan: Plan,
    checks: list[Callable[[], None]],
    rows: Callable[[], int],
    items: int = 1,
) -> Run:
    """Authorizes the people of a round, and checks in the end that no acknowledged one is
    missing."""
    _, load_core = two_cores()
    acknowledged = 0

    def turn(number: int) -> Turn:
        nonlocal acknowledged
        job = Job(
            port=server.port,
            server_pid=server.pid,
            key=key,
            product_id=PRODUCT,
            in_flight=plan.in_flight if items == 1 else plan.messages,
            warm_up=plan.warm_up,
            users=users[number * plan.each : (number + 1) * plan.each],
            seed=plan.seed * 1000 + number,
            items=items,
            limit_s=plan.seconds,
        )
        report = generate(job, core=load_core)
        if report.errors:
            raise BenchmarkError(f"{report.errors} calls failed: {'; '.join(report.first_errors)}")
        acknowledged += report.acknowledged
        # PostgreSQL works in processes of its own.
        return Turn(report.calls_per_s, report.other_cpu_share if items == 1 else None)

    def check() -> None:
        if (found := rows()) < acknowledged:
            raise BenchmarkError(f"{acknowledged} calls were acknowledged, and {found} are there")

    checks.append(check)
    return turn


def _show(console: Console, speeds: dict[str, list[float]], compared: list[Compared]) -> None:
    table = Table(title="calls a second")
    for column in ("", "median", "lowest", "highest"):
        table.add_column(column, justify="right")
    for name, each in speeds.items():
        it = quartiles(each)
        table.add_row(name, f"{it.median:,.0f}", f"{it.min:,.0f}", f"{it.max:,.0f}")
    console.print(table)
    for one in compared:
        ratio = f"{one.ratio.median:.2f} ({one.ratio.lower:.2f} to {one.ratio.upper:.2f})"
        console.print(f"{one.freehold} / {one.rival}: {ratio}")
