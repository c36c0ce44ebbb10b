"""Freehold ready to be measured: a database with people, and servers on copies of it."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import numpy as np
from freehold.v1.credit_service_pb2 import PutUsersRequest, PutUsersResponse, User

from benchmarks.harness import BenchmarkError
from benchmarks.processes import Server, command, environment, free_port
from models import dataset, reading, spec, train

PRODUCT = "bike"

_ROOT = Path(__file__).resolve().parent.parent
_SPEC = _ROOT / "models" / "data" / "taiwan.toml"
_PUT_USERS = "/freehold.v1.CreditService/PutUsers"
_PUT_USERS_LIMIT_S = 60.0
_USERS_PER_CALL = 500

# The Python of another checkout runs this, with the checkout's own `prepare` and JSON output.
_PREPARE = """
import json, sys
from pathlib import Path
from benchmarks.prepared import prepare
work, model, people, seed = sys.argv[1:]
done = prepare(Path(work), Path(model), int(people), int(seed))
print(json.dumps({"database": str(done.database), "key": done.key, "users": done.users}))
"""


@dataclass(frozen=True)
class Prepared:
    """A database with all people and no authorization.

    database  SQLite file, closed and whole
    model     directory of the served model
    key       API key of an operator that rents out PRODUCT
    users     ids of the people, in the order to use them up
    checkout  folder of the code that prepared it, and that serves it
    """

    database: Path
    model: Path
    key: str
    users: tuple[str, ...]
    checkout: Path = _ROOT


@dataclass(frozen=True)
class Filled:
    """The contents of a filled database.

    operator_key  API key of an operator that rents out PRODUCT
    platform_key  API key of the platform
    users         ids of the people, in the order to use them up
    """

    operator_key: str
    platform_key: str
    users: tuple[str, ...]


def prepare(work: Path, model: Path, people: int, seed: int) -> Prepared:
    """Fill a SQLite file in the folder `work`, as `fill` does, and leave it closed and whole."""
    database = work / "prepared.db"
    filled = fill(f"sqlite:///{database}", model, work / "prepare.log", people, seed)
    return Prepared(checkpoint(database), model, filled.operator_key, filled.users)


def prepare_beside(checkout: Path, work: Path, model: Path, people: int, seed: int) -> Prepared:
    """As `prepare`, but by the code of another checkout, whose tables may differ.

    All paths are absolute. Raises BenchmarkError when that code fails.
    """
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _PREPARE, str(work), str(model), str(people), str(seed)],
        env=environment(checkout), cwd=checkout, stdin=subprocess.DEVNULL, capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchmarkError(
            f"{checkout} could not prepare:\n{done.stderr.decode(errors='replace')}"
        )
    told = json.loads(done.stdout)
    return Prepared(Path(told["database"]), model, told["key"], tuple(told["users"]), checkout)


def fill(url: str, model: Path, log: Path, people: int, seed: int) -> Filled:
    """Train a model if there is none, then migrate, create the keys, and load this many people.

    The seed decides the order of people; `log` gets the log of the server that loads them.
    """
    operator_key, platform_key = create_keys(url, model)
    with serve_url(url, model, log) as server:
        users = _load_users(server.port, platform_key, people, seed)
    return Filled(operator_key, platform_key, users)


def trained(model: Path) -> Path:
    """The model's folder; a model is trained into it if there is none."""
    if not model.exists():
        train.train(_SPEC, model, progress=False)
    return model


def create_keys(url: str, model: Path) -> tuple[str, str]:
    """Train a model if there is none, then migrate; return an operator's and the platform's key."""
    trained(model)
    command("service.cli", "migrate", "--database", url)
    operator = json.loads(
        command(
            "service.cli", "operator", "create", "bench", "--name", "Bench", "--fee-bps", "300",
            "--database", url, "--json",
        )
    )  # fmt: skip
    platform = json.loads(
        command("service.cli", "platform", "create-key", "--database", url, "--json")
    )
    return operator["api_key"], platform["api_key"]


def serve(database: Path, prepared: Prepared, log: Path, core: int | None, *options: str) -> Server:
    """A Freehold server on a copy of the prepared database, by the code that prepared it.

    It is pinned to `core` unless that is None; its log lines go to `log`. `options` are further
    options of `freehold serve`.
    """
    return serve_url(
        f"sqlite:///{database}",
        prepared.model,
        log,
        *options,
        core=core,
        checkout=prepared.checkout,
    )


def serve_url(
    url: str,
    model: Path,
    log: Path,
    *options: str,
    core: int | None = None,
    port: int | None = None,
    program: Sequence[str] = ("service.cli",),
    checkout: Path = _ROOT,
    kind: type[Server] = Server,
) -> Server:
    """A Freehold server on any database, by default on a free port; `program` may wrap it.

    `options` are further options of `freehold serve`.
    """
    port = port or free_port()
    arguments = [
        *program, "serve", "--listen", f"127.0.0.1:{port}", "--database", url,
        "--model", str(model), *options,
    ]  # fmt: skip
    return kind(arguments, core=core, port=port, log=log, checkout=checkout)


def without_scores(prepared: Prepared) -> Prepared:
    """The same database without the scores that PutUsers stored beside the features.

    Every person is scored once, when they are loaded. So a server on it scores each person in the
    call, as it does for people of earlier builds and after another model was promoted.
    """
    with closing(sqlite3.connect(prepared.database)) as connection:
        connection.execute(
            "UPDATE feature_snapshots"
            " SET model_id = '', margin = '', reasons = NULL, extrapolated = ''"
        )
        connection.commit()
    return prepared


def copy(prepared: Prepared, target: Path) -> Path:
    """A copy of the prepared database at `target`."""
    shutil.copyfile(prepared.database, target)
    return target


def count_rows(database: Path) -> dict[str, int]:
    """Rows of the authorizations table by state, the most frequent first."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute(
            "SELECT state, COUNT(*) FROM authorizations GROUP BY state ORDER BY 2 DESC"
        ).fetchall()
    return {str(state): int(count) for state, count in found}


def people(data: dataset.Dataset, names: Sequence[str], count: int, seed: int) -> Iterator[User]:
    """This many people with consent, each with the features of a row of the data, in shuffled
    order.

    After the last row the same features come again in the same order, under new ids.
    """
    order = np.random.default_rng(seed).permutation(len(data.ids)).tolist()
    as_of = datetime.now(UTC) - timedelta(minutes=1)
    for number in range(count):
        lap, place = divmod(number, len(order))
        row = order[place]
        values = zip(names, data.raw[row].tolist(), strict=True)
        user = User(
            user_id=f"{data.ids[row]}~{lap}" if lap else data.ids[row],
            features={name: value for name, value in values if not math.isnan(value)},
            scoring_consent=True,
        )
        user.as_of.FromDatetime(as_of)
        yield user


def _load_users(port: int, key: str, count: int, seed: int) -> tuple[str, ...]:
    """Load people by PutUsers; return their ids in order."""
    described = spec.load(_SPEC)
    users = list(people(reading.load(described), described.raw_names, count, seed))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        put = channel.unary_unary(
            _PUT_USERS,
            request_serializer=PutUsersRequest.SerializeToString,
            response_deserializer=PutUsersResponse.FromString,
        )
        for start in range(0, count, _USERS_PER_CALL):
            request = PutUsersRequest(
                request_id=f"load-{start}", users=users[start : start + _USERS_PER_CALL]
            )
            try:
                put(
                    request,
                    metadata=(("authorization", f"Bearer {key}"),),
                    timeout=_PUT_USERS_LIMIT_S,
                )
            except grpc.RpcError as error:
                raise BenchmarkError(f"PutUsers failed: {error}") from error
    return tuple(user.user_id for user in users)


def checkpoint(database: Path) -> Path:
    """Move the write-ahead log's content into the file, so that a copy of the file is complete."""
    with closing(sqlite3.connect(database)) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise BenchmarkError(f"{database} is still in use")
    return database
