"""How much of a bare gRPC call's speed is left when Authorize does all its work?

In turn, in one run, the same load generator sends the same messages to a bare ``grpc.aio`` echo
and to Freehold. Both servers are pinned to one core, the generator to another. Every Authorize
has a request id, an item and a person of its own; the people have real features, in a database
file on disk. Afterwards the rows in that file are counted: fewer than the calls answered with OK
fails the benchmark, and so does a run in which most calls held nothing.

The database is prepared once: migrated, an operator and its products created, everybody loaded
over PutUsers. Each level of calls in flight starts one server on a fresh copy of it, so that the
mean batch is of that level; its rounds use people that no earlier round has used.

Rounds of a busy machine differ by more than builds do. With ``--beside FOLDER`` a third server
takes its turn in each round: that of another checkout, on a database that its own code prepared.
Who wants to know which of two builds is faster runs many short rounds, and reads the ratios of
neighbours.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.harness import (
    BenchmarkError,
    Quartiles,
    Spread,
    commit,
    document,
    in_turn,
    machine,
    quartiles,
    ratios,
    revision,
    spread,
    write_json,
)
from benchmarks.load import Job, Report, generate
from benchmarks.prepared import (
    PRODUCT,
    Prepared,
    copy,
    count_rows,
    prepare,
    prepare_beside,
    serve,
)
from benchmarks.processes import Server, free_port, two_cores

_ROOT = Path(__file__).resolve().parent.parent
_HEADLINE_IN_FLIGHT = 64
_LEAST_HELD_SHARE = 0.5
_PROBE_CALLS = 64
_SATURATED = 0.95
_BUSY = 0.25


@dataclass(frozen=True)
class Side:
    """One server at one level, over the rounds; units as in `benchmarks.load.Report`."""

    calls_per_s: Spread
    latency_ms_p50: Spread
    latency_ms_p99: Spread
    load_cpu_share: Spread
    server_cpu_share: Spread
    server_cpu_us: Spread
    other_cpu_share: Spread
    request_bytes: float
    response_bytes: float


@dataclass(frozen=True)
class Beside:
    """The other build at one level, and this one's Authorize compared with it.

    revision    its commit, or the name of its folder
    time_ratio  seconds of wall time per call, of this build over the other's, of the same round
    cpu_ratio   server CPU per call, of this build over the other's, of the same round
    ratio       the other's calls per second over the echo's, of the same round
    batch_mean  authorizations per commit, warm-up included
    """

    revision: str
    time_ratio: Quartiles
    cpu_ratio: Quartiles
    ratio: Spread
    authorize: Side
    batch_mean: float


@dataclass(frozen=True)
class Level:
    """Both servers at one number of calls in flight.

    ratio         Authorize's calls per second over the echo's, of the same round
    p99_ratio     Authorize's p99 over the echo's, of the same round
    cpu_ratio     the echo's server CPU per call over Authorize's; what the ratio would be if
                  the generator cost nothing
    batch_mean    authorizations per commit, warm-up included
    batches       commits by the number of authorizations in them, as the server logged it
    acknowledged  Authorize calls answered with OK, warm-up included
    rows          rows in the authorizations table afterwards, by state
    held          answers whose hold is on the credit line
    beside        the other build, where there is one
    """

    in_flight: int
    ratio: Spread
    p99_ratio: Spread
    cpu_ratio: Spread
    echo: Side
    authorize: Side
    batch_mean: float
    batches: dict[str, int]
    acknowledged: int
    rows: dict[str, int]
    held: int
    beside: Beside | None = None


@dataclass(frozen=True)
class Plan:
    """What to run: `rounds` at each level, in each `warm_up` and then `calls` timed calls.

    `beside` is the folder of the other build, where there is one.
    """

    in_flight: tuple[int, ...]
    rounds: int
    calls: int
    warm_up: int
    seed: int
    beside: Path | None

    @property
    def people(self) -> int:
        """People that one level uses up, each in one call."""
        return self.rounds * (self.warm_up + self.calls)


@click.command()
@click.option("--in-flight", default="8,64,128", show_default=True, help="Levels, with commas.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option(
    "--calls",
    default=4000,
    show_default=True,
    type=click.IntRange(100),
    help="Timed calls of each server in each round of each level.",
)
@click.option(
    "--warm-up",
    default=400,
    show_default=True,
    type=click.IntRange(1),
    help="Calls before the clock starts; their rows are counted too.",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**32),
    help="Request ids and the order of people follow from it.",
)
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="A model directory; without it each checkout trains one once, by its own code, into its "
    ".freehold/model.",
)
@click.option(
    "--folder",
    default=_ROOT / ".freehold",
    show_default=".freehold",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    help="Where the database files go; on a disk, or the figures flatter.",
)
@click.option(
    "--beside",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="A checkout of another revision, whose server is measured in turn with this one's.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the figures to this file.")  # fmt: skip
def rpc(
    in_flight: str,
    rounds: int,
    calls: int,
    warm_up: int,
    seed: int,
    model: Path | None,
    folder: Path,
    beside: Path | None,
    json_file: Path | None,
) -> None:
    """Authorize against a bare gRPC echo, same messages, same load, in turn."""
    plan = Plan(_levels(in_flight), rounds, calls, warm_up, seed, _checkout(beside))
    console = Console(stderr=True)
    folder.mkdir(parents=True, exist_ok=True)
    described, head = machine(folder), commit()
    try:
        with tempfile.TemporaryDirectory(prefix="rpc-", dir=folder) as work:
            measured = _measure(console, Path(work), folder / "model", plan, model)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    headline = next((m for m in measured if m.in_flight == _HEADLINE_IN_FLIGHT), measured[-1])
    content = document(
        name="rpc",
        ratio=headline.ratio.median,
        rounds=rounds,
        seed=seed,
        machine=described,
        commit=head,
        figures={
            "p99_ratio": headline.p99_ratio.median,
            "ratio_in_flight": headline.in_flight,
            "calls": calls,
            "warm_up": warm_up,
            "levels": [_as_json(level) for level in measured],
        },
    )
    _show(Console(), content, measured)
    if json_file is not None:
        write_json(json_file, content)


def check_rows(rows: dict[str, int], acknowledged: int) -> None:
    """Raise BenchmarkError where the database holds fewer authorizations than were answered."""
    counted = sum(rows.values())
    if counted < acknowledged:
        raise BenchmarkError(
            f"{acknowledged} calls were answered with OK, but the database holds only "
            f"{counted} authorizations: {rows}"
        )


def check_held(held: int, acknowledged: int) -> None:
    """Raise BenchmarkError where most answers held nothing: declining is cheaper than holding."""
    if held < _LEAST_HELD_SHARE * acknowledged:
        raise BenchmarkError(f"only {held} of {acknowledged} calls held a deposit on the line")


def level_of(
    in_flight: int,
    echo: Sequence[Report],
    authorize: Sequence[Report],
    stopped: dict[str, Any],
    rows: dict[str, int],
    beside: Beside | None = None,
) -> Level:
    """Sum up the rounds of one level; `stopped` is the server's last log line."""
    return Level(
        in_flight=in_flight,
        ratio=_paired(authorize, echo, lambda r: r.calls_per_s),
        p99_ratio=_paired(authorize, echo, lambda r: r.latency_ms_p99),
        cpu_ratio=_paired(echo, authorize, lambda r: r.server_cpu_us),
        echo=_side(echo),
        authorize=_side(authorize),
        batch_mean=float(stopped["batch_mean"]),
        batches={str(size): int(n) for size, n in stopped.get("batch_histogram", {}).items()},
        acknowledged=_acknowledged(authorize),
        rows=rows,
        held=_held(authorize),
        beside=beside,
    )


def beside_of(
    revision: str,
    echo: Sequence[Report],
    here: Sequence[Report],
    beside: Sequence[Report],
    stopped: dict[str, Any],
) -> Beside:
    """Sum up the rounds of the other build; `stopped` is its server's last log line."""
    return Beside(
        revision=revision,
        # Seconds per call are one over calls per second: here over beside is beside over here.
        time_ratio=quartiles(_ratios(beside, here, lambda r: r.calls_per_s)),
        cpu_ratio=quartiles(_ratios(here, beside, lambda r: r.server_cpu_us)),
        ratio=_paired(beside, echo, lambda r: r.calls_per_s),
        authorize=_side(beside),
        batch_mean=float(stopped["batch_mean"]),
    )


def _ratios(
    over: Sequence[Report], under: Sequence[Report], of: Callable[[Report], float]
) -> list[float]:
    return ratios([of(r) for r in over], [of(r) for r in under])


def _paired(
    over: Sequence[Report], under: Sequence[Report], of: Callable[[Report], float]
) -> Spread:
    return spread(_ratios(over, under, of))


def _acknowledged(reports: Sequence[Report]) -> int:
    return sum(report.acknowledged for report in reports)


def _held(reports: Sequence[Report]) -> int:
    return sum(report.held for report in reports)


def _side(reports: Sequence[Report]) -> Side:
    def over(of: Callable[[Report], float]) -> Spread:
        return spread([of(report) for report in reports])

    return Side(
        calls_per_s=over(lambda r: r.calls_per_s),
        latency_ms_p50=over(lambda r: r.latency_ms_p50),
        latency_ms_p99=over(lambda r: r.latency_ms_p99),
        load_cpu_share=over(lambda r: r.load_cpu_share),
        server_cpu_share=over(lambda r: r.server_cpu_share),
        server_cpu_us=over(lambda r: r.server_cpu_us),
        other_cpu_share=over(lambda r: r.other_cpu_share),
        request_bytes=over(lambda r: r.request_bytes).median,
        response_bytes=over(lambda r: r.response_bytes).median,
    )


def _levels(text: str) -> tuple[int, ...]:
    try:
        levels = tuple(int(part) for part in text.split(","))
    except ValueError:
        levels = ()
    if not levels or min(levels) < 1 or len(set(levels)) != len(levels):
        raise click.BadParameter("wants distinct whole numbers such as 8,64,128")
    return levels


def _checkout(beside: Path | None) -> Path | None:
    """Refuse a folder without the code: Python would find it here, and compare it with itself."""
    if beside is not None and not (beside / "benchmarks" / "prepared.py").is_file():
        raise click.BadParameter(f"--beside {beside} is not a checkout with benchmarks/prepared.py")
    return beside


def _as_json(level: Level) -> dict[str, Any]:
    content = asdict(level)
    if level.beside is None:
        del content["beside"]
    return content


def _measure(
    console: Console, work: Path, own: Path, plan: Plan, given: Path | None
) -> list[Level]:
    """Every level; `given` is the model of both builds, None: each has its own, this one `own`."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        sides = 2 if plan.beside is None else 3
        task = progress.add_task("preparing", total=1 + len(plan.in_flight) * plan.rounds * sides)

        def step(done: str) -> None:
            progress.update(task, description=done, advance=1)

        prepared = prepare(work, given or own, plan.people, plan.seed)
        answer = _probe(work, prepared, plan.seed)
        builds = {"Authorize": prepared}
        if plan.beside is not None:
            theirs = given or plan.beside / ".freehold" / "model"
            builds["beside"] = prepare_beside(
                plan.beside, work / "beside", theirs, plan.people, plan.seed
            )
        step("prepared")
        return [_level(work, builds, answer, n, plan, step) for n in plan.in_flight]


def _level(
    work: Path,
    builds: dict[str, Prepared],
    answer: Path,
    in_flight: int,
    plan: Plan,
    step: Callable[[str], None],
) -> Level:
    server_core, load_core = two_cores()
    databases = {name: copy(it, work / f"{name}-{in_flight}.db") for name, it in builds.items()}
    servers = {"echo": _echo(answer, work / f"echo-{in_flight}.log", server_core)}
    for name, prepared in builds.items():
        log = work / f"{name}-{in_flight}.log"
        servers[name] = serve(databases[name], prepared, log, server_core)
    reports: dict[str, list[Report]] = {name: [] for name in servers}
    with ExitStack() as running:
        for server in servers.values():
            running.enter_context(server)
        for number, order in in_turn(tuple(servers), plan.rounds):
            each = plan.people // plan.rounds
            for name in order:
                prepared = builds.get(name, builds["Authorize"])  # the echo asks for nobody's
                job = Job(
                    port=servers[name].port,
                    server_pid=servers[name].pid,
                    key=prepared.key,
                    product_id=PRODUCT,
                    in_flight=in_flight,
                    warm_up=plan.warm_up,
                    users=prepared.users[number * each : (number + 1) * each],
                    seed=plan.seed * 1000 + number,  # the same for all: the same messages
                )
                report = generate(job, core=load_core)
                if report.errors:
                    raise BenchmarkError(
                        f"{report.errors} calls to {name} failed: {'; '.join(report.first_errors)}"
                    )
                reports[name].append(report)
                step(f"{in_flight} in flight, round {number + 1}, {name}")
    rows = {name: count_rows(database) for name, database in databases.items()}
    for name in builds:
        check_rows(rows[name], _acknowledged(reports[name]))
        check_held(_held(reports[name]), _acknowledged(reports[name]))
    echo, here = reports["echo"], reports["Authorize"]
    beside = None
    if plan.beside is not None:
        other = servers["beside"].stopped
        beside = beside_of(revision(plan.beside), echo, here, reports["beside"], other)
    stopped = servers["Authorize"].stopped
    return level_of(in_flight, echo, here, stopped, rows["Authorize"], beside)


def _echo(answer: Path, log: Path, core: int) -> Server:
    port = free_port()
    arguments = ["benchmarks.echo", "--listen", f"127.0.0.1:{port}", "--answer", str(answer)]
    return Server(arguments, core=core, port=port, log=log)


def _probe(work: Path, prepared: Prepared, seed: int) -> Path:
    """A few calls on a copy: fails early, and records a real answer for the echo to give."""
    server_core, load_core = two_cores()
    database = copy(prepared, work / "probe.db")
    with serve(database, prepared, work / "probe.log", server_core) as server:
        job = Job(
            port=server.port,
            server_pid=server.pid,
            key=prepared.key,
            product_id=PRODUCT,
            in_flight=8,
            warm_up=1,
            users=prepared.users[:_PROBE_CALLS],
            seed=seed,
        )
        report = generate(job, core=load_core)
    if report.errors or not report.sample:
        raise BenchmarkError(
            f"trial calls failed: {'; '.join(report.first_errors) or report.states}"
        )
    path = work / "answer.bin"
    path.write_bytes(bytes.fromhex(report.sample))
    return path


def _show(console: Console, content: dict[str, Any], levels: Sequence[Level]) -> None:
    console.print(_table(content, levels))
    saturated = [m.in_flight for m in levels if m.echo.load_cpu_share.median > _SATURATED]
    if saturated:
        console.print(
            f"At {', '.join(map(str, saturated))} in flight the generator's own core was full: "
            "the echo could have been faster, so the ratio flatters Authorize; the CPU per call "
            "does not."
        )
    others = max(m.authorize.other_cpu_share.median for m in levels)
    if others > _BUSY:
        console.print(
            f"Other processes took {others:.0%} of a core meanwhile: these figures are of a busy "
            "machine."
        )


def _table(content: dict[str, Any], levels: Sequence[Level]) -> Table:
    host, head = content["machine"], content["commit"]
    load = host["load_average"]
    table = Table(
        title=(
            f"Authorize keeps {content['ratio']:.2f} of a bare gRPC echo's throughput "
            f"at {content['ratio_in_flight']} calls in flight"
        ),
        caption=(
            f"Medians of {content['rounds']} rounds of {content['calls']} calls. "
            f"Echo and Authorize in turn, ratios within a round. Every "
            f"call has its own request id, item and person. CPU µs/call are the server's; CPU "
            f"shares are server / load generator / everything else, of one core each.\n"
            f"{host['cpu']}, {host['cores']} cores, {host['kernel']}, Python {host['python']}, "
            f"grpcio {host['libraries']['grpcio']}, database on {host['file_system']}; load "
            f"average before the run {load['1_min']:.2f}; commit "
            f"{(head['hash'] or 'unknown')[:12]}{' with changes' if head['dirty'] else ''}; "
            f"seed {content['seed']}.{_revision_beside(levels)}"
        ),
        caption_justify="left",
    )
    table.add_column("", no_wrap=True)
    for level in levels:
        table.add_column(f"{level.in_flight} in flight", justify="right")

    def row(name: str, of: Callable[[Level], str], *, last: bool = False) -> None:
        table.add_row(name, *(of(level) for level in levels), end_section=last)

    row("echo, calls/s", lambda m: f"{m.echo.calls_per_s.median:,.0f}")
    row("Authorize, calls/s", lambda m: f"{m.authorize.calls_per_s.median:,.0f}")
    row("ratio of calls/s", lambda m: f"{m.ratio.median:.2f}")
    row("  lowest, highest round", lambda m: _range(m.ratio), last=True)
    row("echo, p50 ms", lambda m: f"{m.echo.latency_ms_p50.median:.1f}")
    row("Authorize, p50 ms", lambda m: f"{m.authorize.latency_ms_p50.median:.1f}")
    row("echo, p99 ms", lambda m: f"{m.echo.latency_ms_p99.median:.1f}")
    row("Authorize, p99 ms", lambda m: f"{m.authorize.latency_ms_p99.median:.1f}")
    row("ratio of p99", lambda m: f"{m.p99_ratio.median:.2f}")
    row("  lowest, highest round", lambda m: _range(m.p99_ratio), last=True)
    row("echo, CPU µs/call", lambda m: f"{m.echo.server_cpu_us.median:.0f}")
    row("Authorize, CPU µs/call", lambda m: f"{m.authorize.server_cpu_us.median:.0f}")
    row("ratio of CPU/call", lambda m: f"{m.cpu_ratio.median:.2f}")
    row("  lowest, highest round", lambda m: _range(m.cpu_ratio), last=True)
    if any(level.beside for level in levels):
        _rows_beside(row)
    row("Authorize, mean batch", lambda m: f"{m.batch_mean:.1f}")
    row("echo, CPU shares", lambda m: _cpu_shares(m.echo))
    row("Authorize, CPU shares", lambda m: _cpu_shares(m.authorize))
    row("request / answer, bytes", lambda m: (
        f"{m.authorize.request_bytes:.0f} / {m.authorize.response_bytes:.0f}"
    ), last=True)  # fmt: skip
    row("answered with OK", lambda m: f"{m.acknowledged:,}")
    row("rows in the database", lambda m: f"{sum(m.rows.values()):,}")
    row("of these", lambda m: "\n".join(f"{n:,} {state}" for state, n in m.rows.items()))
    row("holding a deposit", lambda m: f"{m.held:,}")
    return table


def _rows_beside(row: Callable[..., None]) -> None:
    """The rows about the other build; every level has one, or none has."""

    def beside(of: Callable[[Beside], str]) -> Callable[[Level], str]:
        return lambda level: of(level.beside) if level.beside else ""

    row("time/call, here / beside", beside(lambda b: f"{b.time_ratio.median:.3f}"))
    row("  middle half of rounds", beside(lambda b: _middle(b.time_ratio)))
    row("CPU/call, here / beside", beside(lambda b: f"{b.cpu_ratio.median:.3f}"))
    row("  middle half of rounds", beside(lambda b: _middle(b.cpu_ratio)))
    row("beside, calls/s", beside(lambda b: f"{b.authorize.calls_per_s.median:,.0f}"))
    row("beside, ratio to echo", beside(lambda b: f"{b.ratio.median:.2f}"))
    row("beside, mean batch", beside(lambda b: f"{b.batch_mean:.1f}"), last=True)


def _revision_beside(levels: Sequence[Level]) -> str:
    beside = levels[0].beside
    return f" Beside: {beside.revision}." if beside else ""


def _middle(figure: Quartiles) -> str:
    return f"{figure.lower:.3f} .. {figure.upper:.3f}"


def _range(figure: Spread) -> str:
    return f"{figure.min:.2f} .. {figure.max:.2f}"


def _cpu_shares(side: Side) -> str:
    shares = (side.server_cpu_share, side.load_cpu_share, side.other_cpu_share)
    return " / ".join(f"{share.median * 100:.0f}" for share in shares) + " %"
