"""How much of a bare gRPC call's speed is left when Authorize, Settle or Reverse does all its work?

The same load generator sends the same messages, alternately in one run, to a bare ``grpc.aio`` echo
and to Freehold. Both servers are pinned to one core, the generator to another. Every Authorize has
its own request id, item and person; the people have real features, and the database is a file on
disk. Afterwards the rows in that file are counted: fewer rows than calls answered with OK fail the
benchmark, and so does a run in which most calls held nothing.

With ``--method Settle`` every person's rental is authorized before the clock starts, and those that
got a hold at once, about two thirds, are settled: the usage is billed, captured and collected. The
figures are of the settlements alone, but the batches are of both calls. ``--method Reverse``
reverses these rentals in the same way.

The database is prepared once: migrated, with an operator and its products, and all people loaded by
PutUsers. Each level of calls in flight starts servers on fresh copies of it, so the mean batch is
that level's; its rounds use people that no earlier round has used. PutUsers has scored every one of
them with the served model and stored the score, so no Authorize asks the model. With ``--unscored``
nobody has a stored score, and the model scores each person in the call.

On a busy machine rounds differ by more than builds do. With ``--beside FOLDER`` a third server
takes its turn in each round: that of another checkout, on a database that its own code prepared. To
compare two builds, run many short rounds and read the ratios within a round.

Two processes of one build differ as well, by up to 9 % of their CPU time for as long as they run
(another layout of their memory). So all servers start anew every `--rounds-a-start` rounds, each
time in the opposite order. To learn a run's error, give `--beside` a checkout of the same revision.

With ``--rules velocity`` or ``--rules conditions`` this build has a second server, which takes its
turn in each round: its product has a policy with such rules, that of the first server one without.
No rule applies to anybody, so that both decide alike.

With ``--transport native`` all servers of Freehold serve by pygrpc-native, and two further echoes
take their turns in each round: grpc.aio on uvloop, and pygrpc-native. The ratio stays that to the
first echo.

With ``--tls`` the echo and Freehold each have a second server, which takes its turn in each round
and speaks TLS. The connection exists before the clock starts, so the price is that of encryption,
not of handshakes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.certificate import Certificate, self_signed
from benchmarks.echo import ASYNCIO, NATIVE, UVLOOP
from benchmarks.harness import (
    BenchmarkError,
    commit,
    document,
    in_turn,
    machine,
    revision,
    write_json,
)
from benchmarks.load import AUTHORIZE, METHODS, Job, Report, generate
from benchmarks.options import (
    beside_option,
    folder_option,
    json_option,
    model_option,
    transport_option,
    unscored_option,
)
from benchmarks.prepared import (
    PRODUCT,
    Prepared,
    copy,
    count_rows,
    prepare,
    prepare_beside,
    serve,
    without_scores,
)
from benchmarks.processes import Server, free_port, two_cores
from benchmarks.rpc_figures import (
    Level,
    acknowledged_of,
    beside_of,
    check_moved,
    check_rows,
    echoes_of,
    level_of,
    moved_of,
    ruled_of,
    tls_of,
)
from benchmarks.rpc_table import show
from benchmarks.rules import NONE, RULES, with_rules
from benchmarks.scrape import Scraper
from service.config import AIO

_HEADLINE_IN_FLIGHT = 64
_PROBE_CALLS = 64
_TLS, _TLS_ECHO, _RULED = "tls", "tls echo", "ruled"
_ECHOES = {"echo": ASYNCIO, _TLS_ECHO: ASYNCIO, "uvloop echo": UVLOOP, "native echo": NATIVE}
"""The wires of the echoes."""


@dataclass(frozen=True)
class Plan:
    """The parameters of a run: `rounds` at each level, in each `warm_up` and then `calls` timed
    calls.

    Servers are started anew after `rounds_a_start` rounds. `beside` is the folder of the other
    build, if there is one. `method` is one of METHODS. With `tls` the echo and this build are also
    measured by TLS. With `metrics` this build's server serves metrics, and is scraped once a
    second. With `rules` this build is also measured under a policy with them. `transport` is that
    of this build's servers. With `unscored` nobody's score is stored beside the features in this
    build's database.
    """

    in_flight: tuple[int, ...]
    rounds: int
    rounds_a_start: int
    calls: int
    warm_up: int
    seed: int
    beside: Path | None
    method: str
    tls: bool = False
    metrics: bool = False
    rules: str = NONE
    transport: str = AIO
    unscored: bool = False

    @property
    def echoes(self) -> tuple[str, ...]:
        """The echoes besides the first one."""
        more = ("uvloop echo", "native echo") if self.transport == NATIVE else ()
        return (*((_TLS_ECHO,) if self.tls else ()), *more)

    @property
    def people(self) -> int:
        """The number of people that one level uses, each in one call."""
        return self.rounds * (self.warm_up + self.calls)

    @property
    def starts(self) -> list[range]:
        """The rounds of each start of the servers."""
        step = self.rounds_a_start
        return [
            range(first, min(first + step, self.rounds)) for first in range(0, self.rounds, step)
        ]


@click.command()
@click.option(
    "--method",
    default=AUTHORIZE,
    show_default=True,
    type=click.Choice(METHODS),
    help="The measured call. The rentals of Settle and Reverse are authorized before the clock "
    "starts.",
)
@click.option("--in-flight", default="8,64,128", show_default=True, help="Levels, with commas.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option(
    "--rounds-a-start",
    default=2,
    show_default=True,
    type=click.IntRange(1),
    help="Rounds after which all servers start anew.",
)
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
    help="Seed of the request ids and of the order of people.",
)
@model_option(
    "A model directory; without it each checkout trains one once, by its own code, into its "
    ".freehold/model."
)
@folder_option()
@beside_option("A checkout of another revision, whose server is measured in turn with this one's.")
@click.option(
    "--tls",
    is_flag=True,
    help="Measure the echo and this build by TLS too, in the same rounds.",
)
@click.option(
    "--metrics",
    is_flag=True,
    help="Scrape this build's server once a second. The server of --beside serves no metrics.",
)
@click.option(
    "--rules",
    default=NONE,
    show_default=True,
    type=click.Choice(RULES),
    help="Measure this build under a policy with such rules too, in the same rounds.",
)
@transport_option()
@unscored_option()
@json_option()
def rpc(
    method: str,
    in_flight: str,
    rounds: int,
    rounds_a_start: int,
    calls: int,
    warm_up: int,
    seed: int,
    model: Path | None,
    folder: Path,
    beside: Path | None,
    tls: bool,
    metrics: bool,
    rules: str,
    transport: str,
    unscored: bool,
    json_file: Path | None,
) -> None:
    """Measure Authorize, Settle or Reverse against a bare gRPC echo, in turn, with the same
    messages and load."""
    plan = Plan(
        _levels(in_flight), rounds, rounds_a_start, calls, warm_up, seed, _checkout(beside), method,
        tls,
        metrics,
        rules,
        transport,
        unscored,
    )  # fmt: skip
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
            "method": method,
            "p99_ratio": headline.p99_ratio.median,
            "ratio_in_flight": headline.in_flight,
            "rounds_a_start": rounds_a_start,
            "calls": calls,
            "warm_up": warm_up,
            "metrics": metrics,
            "transport": transport,
            "unscored": unscored,
            "levels": [_as_json(level) for level in measured],
        },
    )
    show(Console(), content, measured)
    if json_file is not None:
        write_json(json_file, content)


def _levels(text: str) -> tuple[int, ...]:
    try:
        levels = tuple(int(part) for part in text.split(","))
    except ValueError:
        levels = ()
    if not levels or min(levels) < 1 or len(set(levels)) != len(levels):
        raise click.BadParameter("wants distinct whole numbers such as 8,64,128")
    return levels


def _checkout(beside: Path | None) -> Path | None:
    """Refuse a folder without the code, because Python would find this checkout's and compare it
    with itself."""
    if beside is not None and not (beside / "benchmarks" / "prepared.py").is_file():
        raise click.BadParameter(f"--beside {beside} is not a checkout with benchmarks/prepared.py")
    return beside


def _as_json(level: Level) -> dict[str, Any]:
    content = asdict(level)
    for optional in ("beside", "tls", "ruled", "echoes"):
        if not content[optional]:
            del content[optional]
    return content


def _measure(
    console: Console, work: Path, own: Path, plan: Plan, given: Path | None
) -> list[Level]:
    """Measures every level. `given` is the model of both builds; if it is None, this build has the
    model `own`, and the other build its own."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        sides = 2 + (plan.beside is not None) + plan.tls + len(plan.echoes) + (plan.rules != NONE)
        task = progress.add_task("preparing", total=1 + len(plan.in_flight) * plan.rounds * sides)

        def step(done: str) -> None:
            progress.update(task, description=done, advance=1)

        prepared = prepare(work, given or own, plan.people, plan.seed)
        if plan.unscored:
            prepared = without_scores(prepared)
        answer = probe(work, prepared, plan.seed, plan.method)
        builds = {"here": prepared}
        if plan.beside is not None:
            theirs = given or plan.beside / ".freehold" / "model"
            builds["beside"] = prepare_beside(
                plan.beside, work / "beside", theirs, plan.people, plan.seed
            )
        if plan.tls:
            builds[_TLS] = prepared
        if plan.rules != NONE:
            builds |= {"here": with_rules(prepared, NONE, work)}
            builds |= {_RULED: with_rules(prepared, plan.rules, work)}
        certificate = self_signed(work)
        step("prepared")
        return [_level(work, builds, answer, n, plan, certificate, step) for n in plan.in_flight]


@dataclass(slots=True)
class _Sums:
    """The results of the servers of one name at one level: reports, last log lines, and rows."""

    reports: list[Report] = field(default_factory=list)
    stopped: list[dict[str, Any]] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)


def _level(
    work: Path,
    builds: dict[str, Prepared],
    answer: Path,
    in_flight: int,
    plan: Plan,
    certificate: Certificate,
    step: Callable[[str], None],
) -> Level:
    sums = {name: _Sums() for name in ("echo", *plan.echoes, *builds)}
    for start, order in in_turn(tuple(sums), len(plan.starts)):
        part = work / f"{in_flight}-{start}"
        part.mkdir()
        rounds = plan.starts[start]
        _start(part, builds, answer, in_flight, plan, certificate, rounds, order, sums, step)
    for name in builds:
        check_rows(sums[name].rows, acknowledged_of(sums[name].reports), plan.method)
        check_moved(moved_of(sums[name].reports), acknowledged_of(sums[name].reports))
    echo, here = sums["echo"].reports, sums["here"]
    beside = None
    if plan.beside is not None:
        other = sums["beside"]
        beside = beside_of(revision(plan.beside), echo, here.reports, other.reports, other.stopped)
    tls = None
    if plan.tls:
        by_tls = sums[_TLS]
        tls_echo = sums[_TLS_ECHO].reports
        tls = tls_of(echo, here.reports, tls_echo, by_tls.reports, by_tls.stopped)
    ruled = None
    if plan.rules != NONE:
        under = sums[_RULED]
        ruled = ruled_of(plan.rules, here.reports, under.reports, under.stopped)
    others = {name: sums[name].reports for name in plan.echoes if name != _TLS_ECHO}
    echoes, rows = echoes_of(echo, others), dict(here.rows)
    return level_of(in_flight, echo, here.reports, here.stopped, rows, beside, tls, ruled, echoes)


def _start(
    work: Path,
    builds: dict[str, Prepared],
    answer: Path,
    in_flight: int,
    plan: Plan,
    certificate: Certificate,
    rounds: range,
    names: tuple[str, ...],
    sums: dict[str, _Sums],
    step: Callable[[str], None],
) -> None:
    """Runs some rounds on servers of their own, started in the order of `names`."""
    server_core, load_core = two_cores()
    databases = {name: copy(it, work / f"{name}.db") for name, it in builds.items()}
    servers = {}
    metrics_port = free_port() if plan.metrics else None
    for name in names:
        log = work / f"{name}.log"
        scraped = name == "here" and metrics_port is not None
        options: tuple[str, ...] = ()
        if scraped:
            options = ("--metrics", f"127.0.0.1:{metrics_port}")
        options += tuple(certificate.options) if name in (_TLS, _TLS_ECHO) else ()
        if name in _ECHOES:
            options += ("--wire", _ECHOES[name])
        elif name in ("here", "beside", _RULED) and plan.transport != AIO:
            options += ("--transport", plan.transport)
        servers[name] = (
            serve(databases[name], builds[name], log, server_core, *options)
            if name in builds
            else echo_of(answer, plan.method, log, server_core, options)
        )
    with ExitStack() as running:
        for server in servers.values():
            running.enter_context(server)
        if metrics_port is not None:
            running.enter_context(Scraper(metrics_port))
        for turn, order in in_turn(names, len(rounds)):
            number, each = rounds[turn], plan.people // plan.rounds
            for name in order:
                prepared = builds.get(name, builds["here"])  # the echo checks no key
                job = Job(
                    port=servers[name].port,
                    server_pid=servers[name].pid,
                    key=prepared.key,
                    product_id=PRODUCT,
                    in_flight=in_flight,
                    warm_up=plan.warm_up,
                    users=prepared.users[number * each : (number + 1) * each],
                    seed=plan.seed * 1000 + number,  # the same messages for all servers
                    method=plan.method,
                    trusted=(str(certificate.certificate) if name in (_TLS, _TLS_ECHO) else None),
                )
                report = generate(job, core=load_core)
                if report.errors:
                    raise BenchmarkError(
                        f"{report.errors} calls to {name} failed: {'; '.join(report.first_errors)}"
                    )
                sums[name].reports.append(report)
                step(f"{in_flight} in flight, round {number + 1}, {name}")
    for name, server in servers.items():
        sums[name].stopped.append(server.stopped)
    for name, database in databases.items():
        sums[name].rows.update(count_rows(database))
        database.unlink()


def echo_of(answer: Path, method: str, log: Path, core: int, options: Sequence[str]) -> Server:
    """A bare echo of a recorded answer to the method."""
    port = free_port()
    arguments = [
        "benchmarks.echo", "--listen", f"127.0.0.1:{port}", "--method", method,
        "--answer", str(answer), *options,
    ]  # fmt: skip
    return Server(arguments, core=core, port=port, log=log)


def probe(work: Path, prepared: Prepared, seed: int, method: str) -> Path:
    """A few calls on a copy: they fail early, and record a real answer for the echo."""
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
            method=method,
        )
        report = generate(job, core=load_core)
    if report.errors or not report.sample:
        raise BenchmarkError(
            f"trial calls failed: {'; '.join(report.first_errors) or report.states}"
        )
    path = work / "answer.bin"
    path.write_bytes(bytes.fromhex(report.sample))
    return path
