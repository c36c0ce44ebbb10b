"""Does Freehold keep what it has acknowledged when it is killed in the middle of its work?

The real server runs as a process; client processes rent with many calls under way at once
(`benchmarks.crash_client`) and write down their calls and the answers. A round:

1. the load runs until a random number of calls was acknowledged, and for a random time longer;
2. SIGKILL: to the server, or to every process of PostgreSQL;
3. the clients stop; nothing is retried yet;
4. the database is checked (`benchmarks.crash_check`): every acknowledged call is stored once, with
   its bytes, the authorizations are as answered, and both books verify. Stored calls without an
   answer were committed: the kill came between commit and answer;
5. the killed process starts again, and the clients first retry every unanswered call by its id.

The next kill may come during the retries. Every `_ROUNDS_A_DATABASE` rounds, and at the end, all
calls are retried until they are answered, the database is checked once more without open calls, the
server is stopped properly, and the next rounds get a fresh copy of the prepared database: so a full
check in each round stays cheap. The seed decides the load and the moments, as far as a race allows.

With ``--defect`` the same run is made against a build that is wrong on purpose
(`benchmarks.crash_server`), and must fail.
"""

from __future__ import annotations

import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.crash_check import Checker, Findings
from benchmarks.crash_client import Job
from benchmarks.crash_crowd import Crowd
from benchmarks.crash_server import DEFECTS, REAL
from benchmarks.crash_sites import SERVER, PostgresSite, Site, SqliteSite
from benchmarks.harness import (
    BenchmarkError,
    commit,
    document,
    machine,
    spread,
    write_json,
)
from benchmarks.options import folder_option, json_option, model_option, transport_option
from benchmarks.postgres import Cluster
from benchmarks.prepared import serve_url
from benchmarks.processes import Server, free_port
from service.config import AIO

_ROUNDS_A_DATABASE = 25
_PEOPLE_A_CLIENT = 300
_LEAST_IN_FLIGHT, _MOST_IN_FLIGHT = 8, 64
_LONGEST_PAUSE_S = 0.020
_LOAD_LIMIT_S = 120.0
# After this many kills at random moments, one must have come between a commit and its answer.
_ENOUGH_ROUNDS = 100


@dataclass(frozen=True)
class Plan:
    """The parameters of a run.

    rounds        kills
    acknowledged  mean number of calls acknowledged between two kills
    clients       client processes
    seed          the load and the moments follow from it
    defect        a name of `benchmarks.crash_server.DEFECTS`; empty for the real build
    transport     of the server
    """

    rounds: int
    acknowledged: int
    clients: int
    seed: int
    defect: str = ""
    transport: str = AIO

    @property
    def people(self) -> int:
        """People in the database; a client rents only for its own."""
        return self.clients * _PEOPLE_A_CLIENT


@dataclass
class Outcome:
    """A run's results.

    findings         of the checker, over all databases
    kills            by victim
    kills_in_flight  kills that left calls without an answer
    in_flight        calls that each kill left without an answer
    start_s          seconds from the server's start as a process to its readiness, each time
    replays          acknowledged calls sent again, and answered once more
    wall_s           seconds from the first call to the last check
    """

    findings: Findings = field(default_factory=Findings)
    kills: Counter[str] = field(default_factory=Counter)
    kills_in_flight: int = 0
    in_flight: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    replays: int = 0
    wall_s: float = 0.0

    @property
    def rounds(self) -> int:
        """The number of kills so far."""
        return self.kills.total()

    @property
    def acknowledged(self) -> int:
        """The number of answered calls, each counted once."""
        return self.findings.acknowledged.total()


def shortcomings(outcome: Outcome) -> list[str]:
    """The reasons why a run proves nothing, a sentence each; empty for a proof."""
    findings = outcome.findings
    found = []
    if findings.lost:
        found.append(f"{len(findings.lost)} acknowledged calls are lost")
    if findings.doubled:
        found.append(f"{len(findings.doubled)} calls are doubled")
    if findings.faults:
        found.append(f"the check found: {findings.faults[0]}")
    if not outcome.acknowledged:
        found.append("nothing was acknowledged")
    if not outcome.kills_in_flight:
        found.append("no kill came with calls in flight")
    if outcome.rounds >= _ENOUGH_ROUNDS and not findings.unknown_committed:
        found.append("no unknown call had committed: the kills came at idle moments")
    return found


class Rounds:
    """Runs a plan on a site; `step` is called after each round."""

    def __init__(
        self,
        plan: Plan,
        site: Site,
        crowd: Crowd,
        serve: Callable[[str, Path], Server],
        work: Path,
        step: Callable[[Outcome], None],
    ) -> None:
        self._plan = plan
        self._site = site
        self._crowd = crowd
        self._serve = serve
        self._work = work
        self._step = step
        self._chance = random.Random(plan.seed)
        self.outcome = Outcome()

    def run(self) -> None:
        """Runs all rounds; keeps the folders of databases with faults."""
        began = time.monotonic()
        number = 0
        while self.outcome.rounds < self._plan.rounds:
            number += 1
            folder = self._work / f"database-{number}"
            folder.mkdir()
            left = self._plan.rounds - self.outcome.rounds
            findings = self._on_one_database(folder, min(left, _ROUNDS_A_DATABASE))
            self.outcome.findings.add(findings)
            if findings.right:
                shutil.rmtree(folder)
        outcome = self.outcome
        outcome.wall_s = time.monotonic() - began
        outcome.replays = self._crowd.told - outcome.acknowledged

    def _on_one_database(self, folder: Path, rounds: int) -> Findings:
        """Runs this many rounds, or fewer when one finds a fault."""
        url = self._site.fresh(folder)
        checker = Checker(self._crowd.fresh(folder))
        server = self._serve(url, folder / "server.log")
        began = time.monotonic()
        server.launch()
        try:
            self._wait_serving(server, began)
            for _ in range(rounds):
                self._round(server, checker, folder)
                self._step(self.outcome)
                if not checker.findings.right:
                    return checker.findings
            self._crowd.settle()
            checker.check(url, settled=True)
            server.stop()
        finally:
            server.kill()
        return checker.findings

    def _round(self, server: Server, checker: Checker, folder: Path) -> None:
        chance, crowd, outcome = self._chance, self._crowd, self.outcome
        crowd.run(chance.randint(_LEAST_IN_FLIGHT, _MOST_IN_FLIGHT))
        crowd.wait_told(chance.randint(1, 2 * self._plan.acknowledged), _LOAD_LIMIT_S)
        time.sleep(chance.uniform(0, _LONGEST_PAUSE_S))
        victim = chance.choice(self._site.victims)
        if victim != SERVER:
            self._site.kill(victim)
        elif not server.kill():
            raise BenchmarkError(f"the server ended before it was killed:\n{server.tail}")
        outcome.kills[victim] += 1
        crowd.halt()
        left = self._site.after_kill(victim, folder)
        began = time.monotonic()
        if victim == SERVER:
            server.launch()  # importing takes longer than the check, which uses the other core
        unanswered = checker.check(left, settled=False)
        outcome.kills_in_flight += unanswered > 0
        outcome.in_flight.append(unanswered)
        if victim == SERVER:
            self._wait_serving(server, began)

    def _wait_serving(self, server: Server, began: float) -> None:
        server.wait_serving()
        self.outcome.start_s.append(time.monotonic() - began)


def jobs(plan: Plan, site: Site, port: int) -> list[Job]:
    """Each client process's job: people, a part of the calls, and its own seed."""
    users = site.filled.users
    return [
        Job(
            name=f"c{plan.seed}-{number}",
            port=port,
            operator_key=site.filled.operator_key,
            platform_key=site.filled.platform_key,
            users=users[number :: plan.clients],
            callers=-(-_MOST_IN_FLIGHT // plan.clients),
            seed=plan.seed * 1000 + number,
        )
        for number in range(plan.clients)
    ]


def run(
    plan: Plan, site: Site, model: Path, work: Path, step: Callable[[Outcome], None]
) -> Outcome:
    """Run a plan; when it returns or raises, every process that it started has ended.

    Raises BenchmarkError when the benchmark itself fails: a server that does not start, a client
    that ends by itself. Wrong answers are in the Outcome.
    """
    port = free_port()
    program = ("benchmarks.crash_server", plan.defect or REAL)

    def serve(url: str, log: Path) -> Server:
        options = "--transport", plan.transport
        return serve_url(url, model, log, *options, port=port, program=program)

    with Crowd(jobs(plan, site, port), work) as crowd:
        rounds = Rounds(plan, site, crowd, serve, work, step)
        rounds.run()
    return rounds.outcome


@click.command()
@click.option("--rounds", default=500, show_default=True, type=click.IntRange(1), help="Kills.")
@click.option(
    "--database",
    default="sqlite",
    show_default=True,
    type=click.Choice(("sqlite", "postgresql")),
    help="With postgresql each kill is of the server or of PostgreSQL, at random.",
)
@click.option(
    "--acknowledged",
    default=500,
    show_default=True,
    type=click.IntRange(1),
    help="Mean number of acknowledged calls between two kills.",
)
@click.option("--clients", default=3, show_default=True, type=click.IntRange(1, 8),
              help="Client processes.")  # fmt: skip
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**32),
    help="Seed of the load and of the moments of the kills.",
)
@click.option(
    "--defect",
    type=click.Choice(tuple(DEFECTS)),
    help="Run against a build with this defect, which must fail.",
)
@model_option()
@folder_option("Folder for databases and histories; a failed run's files stay.")
@transport_option()
@json_option()
def crash(
    rounds: int,
    database: str,
    acknowledged: int,
    clients: int,
    seed: int,
    defect: str | None,
    model: Path | None,
    folder: Path,
    transport: str,
    json_file: Path | None,
) -> None:
    """Kill the server under load by SIGKILL, again and again: no acknowledged call is lost or
    doubled.

    Exits with 1 if a call is lost or doubled, if the books do not verify, or if the kills came at
    idle moments and prove nothing.
    """
    plan = Plan(rounds, acknowledged, clients, seed, defect or "", transport)
    folder.mkdir(parents=True, exist_ok=True)
    described, head = machine(folder), commit()
    work = Path(tempfile.mkdtemp(prefix="crash-", dir=folder))
    keep = False
    try:
        with _terminable():
            outcome, site = _measure(
                Console(stderr=True), plan, database, model or folder / "model", work
            )
        failed = shortcomings(outcome)
        keep = bool(failed)
    except BenchmarkError as error:
        keep = True
        raise click.ClickException(f"{error}\nWhat it left is in {work}") from error
    finally:
        if not keep:
            shutil.rmtree(work)
    described["file_system"] = site["file_system"]  # of the data's folder, not of the histories'
    content = _document(outcome, plan, database, site["version"], described, head)
    Console().print(_table(content, failed))
    if json_file is not None:
        write_json(json_file, content)
    if failed:
        click.echo(f"Failed: {'; '.join(failed)}.\nWhat it left is in {work}", err=True)
        sys.exit(1)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the block like an exception, so that the block's processes end too."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _measure(
    console: Console, plan: Plan, database: str, model: Path, work: Path
) -> tuple[Outcome, dict[str, str]]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("preparing", total=plan.rounds)

        def step(outcome: Outcome) -> None:
            progress.update(
                task,
                completed=outcome.rounds,
                description=f"kill {outcome.rounds}: {outcome.in_flight[-1]:.0f} calls in flight",
            )

        with _site(database, plan, model, work) as site:
            return run(plan, site, model, work, step), site.described


@contextmanager
def _site(database: str, plan: Plan, model: Path, work: Path) -> Iterator[Site]:
    if database == "sqlite":
        yield SqliteSite(work, model, plan.people, plan.seed)
        return
    with Cluster(safe=True) as cluster:
        yield PostgresSite(cluster, work, model, plan.people, plan.seed)


def _document(
    outcome: Outcome,
    plan: Plan,
    database: str,
    version: str,
    described: dict[str, Any],
    head: dict[str, Any],
) -> dict[str, Any]:
    findings = outcome.findings
    acknowledged = outcome.acknowledged
    wrong = len(findings.lost | findings.doubled)
    return document(
        name="crash",
        ratio=(acknowledged - wrong) / acknowledged if acknowledged else 0.0,
        rounds=outcome.rounds,
        seed=plan.seed,
        machine=described,
        commit=head,
        figures={
            "database": database,
            "database_version": version,
            "defect": plan.defect or None,
            "transport": plan.transport,
            "lost": len(findings.lost),
            "doubled": len(findings.doubled),
            "faults": findings.faults,
            "acknowledged": acknowledged,
            "acknowledged_by_method": dict(findings.acknowledged.most_common()),
            "refused": dict(findings.refused.most_common()),
            "replays": outcome.replays,
            "unknown": findings.unknown,
            "unknown_committed": findings.unknown_committed,
            "kills": dict(outcome.kills),
            "kills_in_flight": outcome.kills_in_flight,
            "in_flight": asdict(spread(outcome.in_flight)),
            "books_verified": findings.checks,
            "start_s": asdict(spread(outcome.start_s)),
            "wall_s": outcome.wall_s,
            "clients": plan.clients,
            "rounds_a_database": _ROUNDS_A_DATABASE,
        },
    )


def _table(content: dict[str, Any], failed: Sequence[str]) -> Table:
    host, head = content["machine"], content["commit"]
    kills = ", ".join(f"{count:,} {victim}" for victim, count in content["kills"].items())
    flight, start = content["in_flight"], content["start_s"]
    build = f"the build with the defect {content['defect']}" if content["defect"] else "Freehold"
    table = Table(
        title=(
            f"{build} on {content['database_version']}, killed {content['rounds']} times under "
            f"load: {content['lost']} lost, {content['doubled']} doubled of "
            f"{content['acknowledged']:,} acknowledged"
        ),
        caption=(
            f"{'; '.join(failed) or 'Right'}. Checked after every kill, before any retry, and "
            f"once more with all calls answered after every {content['rounds_a_database']} kills, "
            f"when a fresh database follows. {content['clients']} client processes.\n"
            f"{host['cpu']}, {host['cores']} cores, {host['kernel']}, Python {host['python']}, "
            f"files on {host['file_system']}; load average before the run "
            f"{host['load_average']['1_min']:.2f}; commit {(head['hash'] or 'unknown')[:12]}"
            f"{' with changes' if head['dirty'] else ''}; seed {content['seed']}; "
            f"{content['wall_s']:,.0f} s."
        ),
        caption_justify="left",
        show_header=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right")
    rows = (
        ("SIGKILLs", kills),
        ("  with calls in flight", f"{content['kills_in_flight']:,}"),
        ("  calls in flight, median (lowest, highest)",
         f"{flight['median']:.0f} ({flight['min']:.0f}, {flight['max']:.0f})"),
        ("acknowledged calls", f"{content['acknowledged']:,}"),
        *(
            (f"  {method}", f"{count:,}")
            for method, count in content["acknowledged_by_method"].items()
        ),
        ("acknowledged, sent again, same bytes", f"{content['replays']:,}"),
        ("without an answer at first", f"{content['unknown']:,}"),
        ("  of these committed", f"{content['unknown_committed']:,}"),
        ("both books verified", f"{content['books_verified']:,} times"),
        ("server ready again after, s", f"{start['median']:.1f} (at most {start['max']:.1f})"),
        ("lost", f"{content['lost']:,}"),
        ("doubled", f"{content['doubled']:,}"),
    )  # fmt: skip
    for row in rows:
        table.add_row(*row)
    return table
