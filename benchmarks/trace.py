"""Counts the Python calls of one Authorize, and how often they change the module.

A server runs on a SQLite file with the trained model, under Python's own profiler, which notes
every call of a function of `service/` in every thread. One caller authorizes for people with a
score and no rental. After a few calls, the next one with a zero deposit counts, from its incoming
bytes to its outgoing bytes. A coroutine counts each time that it resumes.

calls      calls of functions of `service/`
functions  different functions among them
modules    different modules among them
borders    times that a call is in another module than the call before it

``--beside FOLDER`` counts the code of another checkout as well.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import grpc
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, AuthorizeResponse
from freehold.v1.types_pb2 import OFFER_ZERO
from rich.console import Console
from rich.table import Table

from benchmarks.harness import BenchmarkError, commit, document, machine, revision, write_json
from benchmarks.options import FOLDER, beside_option, json_option
from benchmarks.prepared import PRODUCT, Prepared, prepare, prepare_beside, serve_url

_PEOPLE = 16
_WARM_UP = 3
"""Calls that do not count: they look the key up and compile statements."""
_SEED = 1
_QUIET_S = 0.3
"""A pause in which background work after a start or a call ends."""

# Runs `freehold` in a process that notes the calls below a folder. At its end it writes for each
# call the time, on the clock that all processes of the machine share, and the function.
_NOTING = """
import json, sys, threading, time
folder, out, *arguments = sys.argv[1:]
calls = []
def note(frame, event, _argument):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(folder):
        calls.append((time.monotonic(), code.co_filename, code.co_name, code.co_firstlineno))
threading.setprofile(note)
from service.cli import cli
sys.setprofile(note)
try:
    cli(arguments, standalone_mode=False)
finally:
    sys.setprofile(None)
    with open(out, "w", encoding="utf-8") as sink:
        json.dump(list(calls), sink)
"""


@dataclass(frozen=True)
class Counts:
    """The counts of one Authorize, as in the module's docstring."""

    calls: int
    functions: int
    modules: int
    borders: int


def count(prepared: Prepared, work: Path) -> Counts:
    """Counts one Authorize of the code that prepared a database; files go to the folder `work`."""
    noted, folder = work / "calls.json", prepared.checkout / "service"
    with serve_url(
        f"sqlite:///{prepared.database}",
        prepared.model,
        work / "server.log",
        program=("-c", _NOTING, f"{folder}/", str(noted)),
        checkout=prepared.checkout,
    ) as server:
        begin, end = _last_call(server.port, prepared)
    calls = [
        (file, name, line)
        for when, file, name, line in json.loads(noted.read_text(encoding="utf-8"))
        if begin <= when <= end
    ]
    modules = [file for file, _, _ in calls]
    borders = sum(a != b for a, b in pairwise(modules))
    return Counts(len(calls), len(set(calls)), len(set(modules)), borders)


def _last_call(port: int, prepared: Prepared) -> tuple[float, float]:
    """Authorizes for one person after another until, after the first few, an offer has zero
    deposit.

    Returns when that call began and ended, by `time.monotonic`.
    """
    key = (("authorization", f"Bearer {prepared.key}"),)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        authorize = channel.unary_unary(
            "/freehold.v1.AuthorizationService/Authorize",
            request_serializer=AuthorizeRequest.SerializeToString,
            response_deserializer=AuthorizeResponse.FromString,
        )
        for number, user_id in enumerate(prepared.users):
            request = AuthorizeRequest(
                request_id=f"trace-{number}",
                user_id=user_id,
                product_id=PRODUCT,
                asset_id=f"asset-{number}",
            )
            time.sleep(_QUIET_S)
            begin = time.monotonic()
            answer = authorize(request, metadata=key, timeout=10, wait_for_ready=True)
            end = time.monotonic()
            if number >= _WARM_UP and answer.authorization.offer == OFFER_ZERO:
                return begin, end
    raise BenchmarkError("no call got a zero deposit")


@click.command()
@beside_option("A checkout of another revision, whose Authorize is counted too.")
@json_option()
def trace(beside: Path | None, json_file: Path | None) -> None:
    """Calls, functions, modules and borders of one Authorize."""
    FOLDER.mkdir(exist_ok=True)
    described, head = machine(FOLDER), commit()
    theirs: Counts | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="trace-", dir=FOLDER) as name:
            work = Path(name)
            ours = count(prepare(work, FOLDER / "model", _PEOPLE, _SEED), work)
            if beside is not None:
                model = beside / ".freehold" / "model"
                prepared = prepare_beside(beside, work / "beside", model, _PEOPLE, _SEED)
                theirs = count(prepared, work / "beside")
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    figures: dict[str, Any] = asdict(ours)
    table = Table("one Authorize", "here", *(() if beside is None else (revision(beside)[:12],)))
    for name, figure in figures.items():
        table.add_row(name, str(figure), *(() if theirs is None else (str(asdict(theirs)[name]),)))
    Console().print(table)
    if beside is not None and theirs is not None:
        figures["beside"] = {"revision": revision(beside), **asdict(theirs)}
    if json_file is not None:
        content = document(
            name="trace",
            ratio=ours.borders / theirs.borders if theirs is not None else None,
            rounds=1,
            seed=_SEED,
            machine=described,
            commit=head,
            figures=figures,
        )
        write_json(json_file, content)
