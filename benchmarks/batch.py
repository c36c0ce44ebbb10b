"""``python -m benchmarks batch``: items a second of BatchAuthorize and BatchSettle over the calls a
second of a bare echo.

All three are measured in turn, on the same cores: the echo with single calls, as in ``rpc``, and
Freehold with batches. Every item is a whole call: its rows are counted afterwards.
"""

from __future__ import annotations

import tempfile
from collections import Counter
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
from benchmarks.load import AUTHORIZE, SETTLE, Job, Report, generate
from benchmarks.options import folder_option, json_option, model_option, transport_option
from benchmarks.prepared import PRODUCT, Prepared, copy, count_rows, prepare, serve
from benchmarks.processes import Server, two_cores
from benchmarks.rpc import echo_of, probe
from benchmarks.rpc_figures import Side, acknowledged_of, check_moved, check_rows, moved_of, side_of
from service.config import AIO

_ECHO = "echo"
_BATCHED = (AUTHORIZE, SETTLE)
_ECHO_IN_FLIGHT = 64


@dataclass(frozen=True)
class Plan:
    """The parameters of a run: in each of the `rounds`, `calls` items a side, after `warm_up`.

    A message has `items` items, and `in_flight` messages are under way at a time. `transport` is
    that of Freehold's servers.
    """

    items: int
    in_flight: int
    rounds: int
    calls: int
    warm_up: int
    seed: int
    transport: str = AIO

    @property
    def each(self) -> int:
        """The number of people of a round."""
        return self.calls + self.warm_up


@dataclass(frozen=True)
class Batched:
    """The figures of one method's batches.

    ratio      items a second over the echo's calls a second, of the same round
    cpu_ratio  the echo's server CPU a call over Freehold's an item
    freehold   Freehold's figures; latencies are those of messages
    """

    method: str
    ratio: Quartiles
    cpu_ratio: Quartiles
    freehold: Side


@click.command()
@click.option("--items", default=64, show_default=True, type=click.IntRange(2, 256),
              help="Items in a message.")  # fmt: skip
@click.option("--in-flight", default=4, show_default=True, type=click.IntRange(1),
              help="Messages under way. The echo has 64 calls under way.")  # fmt: skip
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(1))
@click.option("--calls", default=4096, show_default=True, type=click.IntRange(100),
              help="Timed calls, or items, of each side in each round.")  # fmt: skip
@click.option("--warm-up", default=512, show_default=True, type=click.IntRange(1),
              help="Items before the clock starts.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**32))
@model_option()
@folder_option()
@transport_option()
@json_option()
def batch(
    items: int,
    in_flight: int,
    rounds: int,
    calls: int,
    warm_up: int,
    seed: int,
    model: Path | None,
    folder: Path,
    transport: str,
    json_file: Path | None,
) -> None:
    """Measure BatchAuthorize and BatchSettle against single calls of a bare gRPC echo, in turn."""
    plan = Plan(items, in_flight, rounds, calls, warm_up, seed, transport)
    folder.mkdir(parents=True, exist_ok=True)
    described, head = machine(folder), commit()
    try:
        with tempfile.TemporaryDirectory(prefix="batch-", dir=folder) as work:
            echo, measured = measure(Path(work), model or folder / "model", plan)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    content = document(
        name="batch",
        ratio=min(it.ratio.median for it in measured),
        rounds=rounds,
        seed=seed,
        machine=described,
        commit=head,
        figures={
            **{"items": items, "in_flight": in_flight, "echo_in_flight": _ECHO_IN_FLIGHT},
            **{"calls": calls, "warm_up": warm_up, "transport": transport, "echo": asdict(echo)},
            "batches": [asdict(it) for it in measured],
        },
    )
    _show(Console(), content, echo, measured)
    if json_file is not None:
        write_json(json_file, content)


def measure(work: Path, model: Path, plan: Plan) -> tuple[Side, list[Batched]]:
    """The echo's figures, and those of each method, each on fresh copies of one database."""
    prepared = prepare(work, model, plan.rounds * plan.each, plan.seed)
    answer = probe(work, prepared, plan.seed, AUTHORIZE)
    server_core, _ = two_cores()
    options = "--transport", plan.transport
    databases = {method: copy(prepared, work / f"{method}.db") for method in _BATCHED}
    with ExitStack() as running:
        servers = {
            method: running.enter_context(
                serve(database, prepared, work / f"{method}.log", server_core, *options)
            )
            for method, database in databases.items()
        }
        log = work / "echo.log"
        servers[_ECHO] = running.enter_context(echo_of(answer, AUTHORIZE, log, server_core, ()))
        reports: dict[str, list[Report]] = {name: [] for name in servers}
        for number, order in in_turn((_ECHO, *_BATCHED), plan.rounds):
            for name in order:
                reports[name].append(_round(servers[name], prepared, plan, name, number))
    for method in _BATCHED:
        done = acknowledged_of(reports[method])
        check_rows(Counter(count_rows(databases[method])), done, method)
        check_moved(moved_of(reports[method]), done)
    echo = reports[_ECHO]
    return side_of(echo), [_batched(method, reports[method], echo) for method in _BATCHED]


def _round(server: Server, prepared: Prepared, plan: Plan, name: str, number: int) -> Report:
    _, load_core = two_cores()
    single = name == _ECHO
    job = Job(
        port=server.port,
        server_pid=server.pid,
        key=prepared.key,
        product_id=PRODUCT,
        in_flight=_ECHO_IN_FLIGHT if single else plan.in_flight,
        warm_up=plan.warm_up,
        users=prepared.users[number * plan.each : (number + 1) * plan.each],
        seed=plan.seed * 1000 + number,
        method=SETTLE if name == SETTLE else AUTHORIZE,
        items=1 if single else plan.items,
    )
    report = generate(job, core=load_core)
    if report.errors:
        raise BenchmarkError(
            f"{report.errors} calls to {name} failed: {'; '.join(report.first_errors)}"
        )
    return report


def _batched(method: str, here: list[Report], echo: list[Report]) -> Batched:
    def paired(over: list[Report], under: list[Report], of: Callable[[Report], float]) -> Quartiles:
        return quartiles(ratios([of(it) for it in over], [of(it) for it in under]))

    return Batched(
        method=method,
        ratio=paired(here, echo, lambda it: it.calls_per_s),
        cpu_ratio=paired(echo, here, lambda it: it.server_cpu_us),
        freehold=side_of(here),
    )


def _show(console: Console, content: dict[str, Any], echo: Side, measured: list[Batched]) -> None:
    table = Table(title=f"{content['items']} items a message, {content['rounds']} rounds")
    for column in ("", "a second", "/ echo", "CPU µs", "p50 ms", "p99 ms", "load's CPU"):
        table.add_column(column, justify="right")

    def row(name: str, side: Side, ratio: str) -> None:
        table.add_row(
            name,
            f"{side.calls_per_s.median:,.0f}",
            ratio,
            f"{side.server_cpu_us.median:.0f}",
            f"{side.latency_ms_p50.median:.1f}",
            f"{side.latency_ms_p99.median:.1f}",
            f"{side.load_cpu_share.median:.2f}",
        )

    row("echo", echo, "")
    for it in measured:
        middle = f"{it.ratio.median:.2f} ({it.ratio.lower:.2f} to {it.ratio.upper:.2f})"
        row(f"Batch{it.method}", it.freehold, middle)
    console.print(table)
