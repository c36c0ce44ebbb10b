"""Does every call survive the restarts of its server?

The real server is stopped by SIGTERM and started again, again and again, on one port and one
SQLite file. Two kinds of callers rent meanwhile:

* the shipped client, which must cure every failure by itself: any error that it raises counts;
* a bare client without retries. It sends a failed call again by hand, with the same request id, and
  the codes of its failures are counted. A failure that is not UNAVAILABLE counts, since a caller
  cannot know that a retry helps.

At the end every request id must have exactly one authorization, and the books must verify.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import click
import grpc
from freehold.client import AsyncClient, FreeholdError
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, AuthorizeResponse
from rich.console import Console

from benchmarks.crash_server import REAL
from benchmarks.harness import (
    BenchmarkError,
    commit,
    document,
    machine,
    percentile,
    write_json,
)
from benchmarks.options import folder_option, json_option, model_option, transport_option
from benchmarks.prepared import PRODUCT, prepare, serve_url
from benchmarks.processes import START_LIMIT_S, Server, command, free_port
from service.config import LIMITS

_PATH = "/freehold.v1.AuthorizationService/Authorize"
_PEOPLE = 2_000
# A call may have to wait for a whole start.
_CALL_LIMIT_S = START_LIMIT_S + 60.0
_STOP_LIMIT_S = LIMITS.drain_s + 2.0
_LONGEST_RUN_S = 0.8
_PAUSE_S = 0.05


@dataclass
class Outcome:
    """A run's results.

    restarts    of the server
    answered    names of the authorizations by request id
    cured       calls of the shipped client that were answered after more than one second
    failed      failures that the shipped client raised, as text
    bare        failures of the bare client by gRPC code; each was cured by hand
    stop_s      seconds from SIGTERM to the end, for each restart
    start_s     seconds from the start of the process to its readiness
    longest_s   the longest time until a call of the shipped client was answered
    """

    restarts: int = 0
    answered: dict[str, str] = field(default_factory=dict)
    cured: int = 0
    failed: list[str] = field(default_factory=list)
    bare: Counter[str] = field(default_factory=Counter)
    stop_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    longest_s: float = 0.0


class Callers:
    """Both kinds of callers, with one call each under way; lives on one event loop."""

    def __init__(self, port: int, key: str, users: tuple[str, ...], outcome: Outcome) -> None:
        self._port = port
        self._key = key
        self._users = users
        self._outcome = outcome
        self._numbers = count()
        self._over = asyncio.Event()
        self._served = 0

    def end(self) -> None:
        """Begin no further call."""
        self._over.set()

    async def served(self, more: int) -> None:
        """Wait for this many more answers to the shipped client; raises BenchmarkError."""
        goal, end = self._served + more, time.monotonic() + _CALL_LIMIT_S
        while self._served < goal:
            if time.monotonic() > end:
                raise BenchmarkError(f"the shipped client had no answers for {_CALL_LIMIT_S:g} s")
            await asyncio.sleep(_PAUSE_S)

    async def shipped(self) -> None:
        """Rent by the shipped client until the end."""
        async with AsyncClient(f"127.0.0.1:{self._port}", self._key, plaintext=True) as client:
            while not self._over.is_set():
                request, began = self._request(), time.monotonic()
                try:
                    answer = await client.authorize(request, timeout_s=_CALL_LIMIT_S)
                except FreeholdError as error:
                    self._outcome.failed.append(str(error))
                    continue
                self._served += 1
                took = time.monotonic() - began
                self._outcome.cured += took > 1.0
                self._outcome.longest_s = max(self._outcome.longest_s, took)
                self._outcome.answered[request.request_id] = answer.authorization.name

    async def bare(self) -> None:
        """Rent without the shipped client's retries until the end."""
        options = (("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 500))
        address = f"127.0.0.1:{self._port}"
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            call = channel.unary_unary(_PATH, response_deserializer=AuthorizeResponse.FromString)
            while not self._over.is_set():
                request = self._request()
                answer = await self._by_hand(call, request.SerializeToString())
                self._outcome.answered[request.request_id] = answer.authorization.name

    async def _by_hand(self, call: Any, request: bytes) -> Any:
        metadata, end = (("authorization", f"Bearer {self._key}"),), time.monotonic()
        end += _CALL_LIMIT_S
        while True:
            try:
                return await call(request, metadata=metadata, timeout=_CALL_LIMIT_S)
            except grpc.aio.AioRpcError as error:
                self._outcome.bare[error.code().name] += 1
                if time.monotonic() > end:
                    raise BenchmarkError(f"no retry cured a call: {error.details()}") from error
            await asyncio.sleep(_PAUSE_S)

    def _request(self) -> AuthorizeRequest:
        number = next(self._numbers)
        return AuthorizeRequest(
            request_id=f"restart-{number:09d}",
            user_id=self._users[number % len(self._users)],
            product_id=PRODUCT,
            asset_id=f"restart-{number:09d}",
            start=AuthorizeRequest.START_IMMEDIATE,
        )


def shortcomings(outcome: Outcome, rows: Counter[str]) -> list[str]:
    """The reasons why a run is no proof, or is a failure; empty for a proof.

    `rows` counts the authorizations of each request id in the database.
    """
    found = []
    if outcome.failed:
        found.append(f"the shipped client failed {len(outcome.failed)} times: {outcome.failed[0]}")
    other = {code: n for code, n in outcome.bare.items() if code != "UNAVAILABLE"}
    if other:
        found.append(f"calls failed with {other}, which tells no caller that a retry helps")
    if not outcome.bare:
        found.append("no restart met a call")
    lost = outcome.answered.keys() - rows.keys()
    if lost:
        found.append(f"{len(lost)} answered calls have no authorization")
    doubled = [it for it, n in rows.items() if n > 1]
    if doubled:
        found.append(f"{len(doubled)} request ids have several authorizations")
    return found


@click.command()
@click.option("--count", "restarts_wanted", default=200, show_default=True,
              type=click.IntRange(1), help="Restarts.")  # fmt: skip
@click.option("--in-flight", default=32, show_default=True, type=click.IntRange(2))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@folder_option("Folder for the database files.")
@model_option()
@transport_option()
@json_option()
def restarts(
    restarts_wanted: int,
    in_flight: int,
    seed: int,
    folder: Path,
    model: Path | None,
    transport: str,
    json_file: Path | None,
) -> None:
    """Restart the server under load; exit with 1 if a retry does not cure every call."""
    folder.mkdir(parents=True, exist_ok=True)
    described, head, console = machine(folder), commit(), Console()
    try:
        with tempfile.TemporaryDirectory(prefix="restarts-", dir=folder) as work:
            prepared = prepare(Path(work), model or folder / "model", _PEOPLE, seed)
            url = f"sqlite:///{prepared.database}"
            outcome = asyncio.run(
                _run(
                    url, prepared.model, prepared.key, prepared.users, Path(work),
                    restarts_wanted, in_flight, random.Random(seed), console, transport,
                )
            )  # fmt: skip
            rows = _rows(prepared.database)
            command("service.cli", "verify", "--database", url)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    wrong = shortcomings(outcome, rows)
    figures = _figures(outcome, rows, wrong)
    content = document(
        name="restarts", ratio=None, rounds=outcome.restarts, seed=seed, machine=described,
        commit=head, figures={"transport": transport} | figures,
    )  # fmt: skip
    console.print_json(json.dumps(figures))
    if json_file is not None:
        write_json(json_file, content)
    if wrong:
        raise click.ClickException("; ".join(wrong))


async def _run(
    url: str,
    model: Path,
    key: str,
    users: tuple[str, ...],
    work: Path,
    wanted: int,
    in_flight: int,
    moments: random.Random,
    console: Console,
    transport: str,
) -> Outcome:
    outcome, port = Outcome(), free_port()
    server = serve_url(
        url, model, work / "server.log", "--transport", transport,
        port=port, program=("benchmarks.crash_server", REAL),
    )  # fmt: skip
    callers = Callers(port, key, users, outcome)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as hand:
        try:
            await loop.run_in_executor(hand, _start, server, outcome)
            async with asyncio.TaskGroup() as group:
                for number in range(in_flight):
                    group.create_task(callers.bare() if number % 2 else callers.shipped())
                for number in range(wanted):
                    await callers.served(in_flight)
                    await asyncio.sleep(moments.uniform(0, _LONGEST_RUN_S))
                    await loop.run_in_executor(hand, _restart, server, outcome)
                    if (number + 1) % 10 == 0:
                        console.print(f"{number + 1} restarts, {len(outcome.answered):,} answers")
                callers.end()
            await loop.run_in_executor(hand, server.stop)
        finally:
            server.kill()
    return outcome


def _restart(server: Server, outcome: Outcome) -> None:
    end = server.stop_within(_STOP_LIMIT_S)
    if end.fault:
        raise BenchmarkError(
            f"after {outcome.restarts} restarts {end.fault}; the last lines of its log:\n"
            f"{server.tail}"
        )
    outcome.stop_s.append(end.took_s)
    outcome.restarts += 1
    _start(server, outcome)


def _start(server: Server, outcome: Outcome) -> None:
    began = time.monotonic()
    server.launch()
    server.wait_serving()
    outcome.start_s.append(time.monotonic() - began)


def _rows(database: Path) -> Counter[str]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return Counter(
            row[0] for row in connection.execute("SELECT request_id FROM authorizations")
        )


def _figures(outcome: Outcome, rows: Counter[str], wrong: list[str]) -> dict[str, Any]:
    told = asdict(outcome)
    del told["answered"]
    for name in ("stop_s", "start_s"):
        ordered = sorted(told.pop(name))
        told[f"{name}_p50"], told[f"{name}_max"] = percentile(ordered, 0.5), ordered[-1]
    return {
        "cured_by_every_retry": not wrong,
        "wrong": wrong,
        **told,
        "answered": len(outcome.answered),
        "authorizations": rows.total(),
        "bare": dict(outcome.bare),
        "failed": outcome.failed[:5],
    }
