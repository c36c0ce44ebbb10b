"""The rivals keep their promises: otherwise their speed would mean nothing."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from click.testing import CliRunner
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, AuthorizeResponse
from freehold.v1.authorization_service_pb2_grpc import add_AuthorizationServiceServicer_to_server
from freehold.v1.credit_service_pb2 import User
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_REDUCED, OFFER_ZERO

from benchmarks import rivals, rivals_postgres, rivals_tigerbeetle
from benchmarks.__main__ import main
from benchmarks.harness import BenchmarkError
from benchmarks.postgres import Cluster
from benchmarks.rivals_service import DEPOSIT_MINOR, Service, fill, open_file

KEY = "k"


class OwnScore:
    """A model whose score is the row's first value."""

    model_id = "m"

    def score(self, raw: bytes) -> tuple[float, int]:
        value = float(np.frombuffer(raw, dtype="<f8")[0])
        return value, int(value)


class Desk:
    """A client of the service, and its file."""

    def __init__(self, channel: grpc.Channel, file: Path) -> None:
        self._file = file
        self._call = channel.unary_unary(
            "/freehold.v1.AuthorizationService/Authorize",
            request_serializer=AuthorizeRequest.SerializeToString,
            response_deserializer=AuthorizeResponse.FromString,
        )

    def authorize(self, request_id: str, user_id: str = "good", key: str = KEY) -> Authorization:
        """An Authorize of an item with the name of the request."""
        request = AuthorizeRequest(
            request_id=request_id, user_id=user_id, product_id="bike", asset_id=request_id
        )
        answer: AuthorizeResponse = self._call(
            request, metadata=(("authorization", f"Bearer {key}"),)
        )
        return answer.authorization

    def refused(self, *arguments: str, **named: str) -> grpc.StatusCode:
        """The code of a call that must be refused."""
        with pytest.raises(grpc.RpcError) as refusal:
            self.authorize(*arguments, **named)
        code: grpc.StatusCode = refusal.value.code()
        return code

    def read(self, query: str) -> list[Any]:
        """Rows of the file."""
        with closing(sqlite3.connect(self._file)) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A service with a good, a fair and a poor person, and its client."""
    file = tmp_path / "one.db"
    scores = {"good": 700.0, "fair": 520.0, "poor": 400.0}
    people = [User(user_id=name, features={"score": it}) for name, it in scores.items()]
    fill(file, KEY, people, ["score"])
    server = grpc.server(ThreadPoolExecutor(8))
    service = Service(open_file(file), OwnScore())
    add_AuthorizationServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Desk(channel, file)
    server.stop(None).wait()


def test_a_request_id_counts_once(desk: Desk) -> None:
    """The same request gets its first answer, another one under its id is refused, and one hold is
    there."""
    first = desk.authorize("r-1")
    assert desk.authorize("r-1") == first
    assert desk.refused("r-1", "fair") is grpc.StatusCode.ALREADY_EXISTS
    assert desk.read("SELECT count(*) FROM authorizations") == [(1,)]
    assert desk.refused("r-2", key="other") is grpc.StatusCode.UNAUTHENTICATED
    assert desk.refused("r-2", "nobody") is grpc.StatusCode.NOT_FOUND


def test_the_score_decides_the_offer(desk: Desk) -> None:
    """A high score needs no cash, a middle one half of it, and a low one the whole deposit; each
    decision is recorded."""
    offers = [desk.authorize(name, name).offer for name in ("good", "fair", "poor")]
    assert offers == [OFFER_ZERO, OFFER_REDUCED, OFFER_FULL]
    assert desk.read("SELECT user_id, score FROM decisions ORDER BY score DESC") == [
        *(("good", 700), ("fair", 520), ("poor", 400)),
    ]


def test_holds_never_exceed_the_line(desk: Desk) -> None:
    """Of calls at the same time only as many hold as the line has room for, and each entry has the
    balance after it."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(desk.authorize, [f"r-{number}" for number in range(8)]))
    assert [it.held.amount_minor for it in found].count(DEPOSIT_MINOR) == 2
    assert desk.read("SELECT held_minor, version FROM lines WHERE user_id = 'good'") == [
        (2 * DEPOSIT_MINOR, 2),
    ]
    assert desk.read("SELECT balance_minor, version FROM entries WHERE account = 'HELD'") == [
        *((DEPOSIT_MINOR, 1), (2 * DEPOSIT_MINOR, 2)),
    ]
    assert desk.read("SELECT count(*) FROM events") == [(8,)]


def test_rivals_on_postgresql_are_measured(tmp_path: Path) -> None:
    """pgbench tells the speed of its own transactions and of the double-entry function, whose
    balances are right afterwards; a lost balance is noticed."""
    with Cluster() as cluster:
        bench = rivals_postgres.prepare_pgbench(cluster, scale=1)
        assert rivals_postgres.speed_of_pgbench(cluster, bench, 1) > 0
        ledger, script = rivals_postgres.prepare_ledger(cluster, tmp_path)
        assert rivals_postgres.speed_of_ledger(cluster, ledger, script, 1) > 0
        rivals_postgres.check_ledger(cluster, ledger)
        import psycopg

        with psycopg.connect(cluster.dsn(ledger)) as connection:
            connection.execute(
                "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE account_id ="
                " (SELECT min(account_id) FROM transfers)"
            )
        with pytest.raises(BenchmarkError, match="lost money"):
            rivals_postgres.check_ledger(cluster, ledger)
        with pytest.raises(BenchmarkError, match="pgbench failed"):
            rivals_postgres.speed_of_pgbench(cluster, "no_such_database", 1)


class FakeBeetle:
    """The part of TigerBeetle's client that the benchmark uses."""

    def __init__(self) -> None:
        self.ids = 0
        self.accounts: list[Any] = []
        self.transfers: list[Any] = []
        self.Account = self.Transfer = SimpleNamespace
        self.TransferFlags = SimpleNamespace(PENDING=2)
        self.CreateAccountStatus = self.CreateTransferStatus = SimpleNamespace(CREATED=-1)
        self.status = -1

    def id(self) -> int:
        self.ids += 1
        return self.ids

    def ClientSync(self, **_: Any) -> FakeBeetle:
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def create_accounts(self, made: list[Any]) -> list[SimpleNamespace]:
        self.accounts += made
        return [SimpleNamespace(status=self.status) for _ in made]

    def create_transfers(self, made: list[Any]) -> list[SimpleNamespace]:
        self.transfers += made
        return [SimpleNamespace(status=self.status) for _ in made]


def test_tigerbeetle_gets_pending_transfers(monkeypatch: pytest.MonkeyPatch) -> None:
    """TigerBeetle gets pending transfers between different accounts, in batches of 64; what it
    refuses fails the benchmark, and so does a machine without its client or its server."""
    fake = FakeBeetle()
    monkeypatch.setattr(rivals_tigerbeetle, "import_module", lambda _: fake)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        beetle = rivals_tigerbeetle.TigerBeetle(address)
    with beetle:
        assert beetle.speed(130) > 0
        assert len(fake.accounts) == 1_000
        assert len(fake.transfers) == 192
        assert all(it.debit_account_id != it.credit_account_id for it in fake.transfers)
        assert {it.flags for it in fake.transfers} == {2}
        fake.status = 46  # the transfer exists
        with pytest.raises(BenchmarkError, match="refused"):
            beetle.speed(1)
    for no_server in (address, "nowhere"):
        with pytest.raises(BenchmarkError, match="no server of TigerBeetle"):
            rivals_tigerbeetle.TigerBeetle(no_server)
    monkeypatch.undo()
    with pytest.raises(BenchmarkError, match="pip install 'tigerbeetle"):
        rivals_tigerbeetle.TigerBeetle(address)


def test_sides_are_compared_within_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headline is Authorize over the service with one transaction a call, round by round; a
    rival that was not measured has no ratio. The document names machine, commit, seed, and the CPU
    time of everything else."""
    speeds = {
        rivals.FREEHOLD: [800.0, 1_000.0, 400.0],
        rivals.ONE: [200.0, 100.0, 100.0],
        rivals.ITEMS: [30.0, 30.0, 30.0],
        rivals.PGBENCH: [40.0, 40.0, 40.0],
        rivals.LEDGER: [60.0, 60.0, 60.0],
    }
    turns = {name: [rivals.Turn(it) for it in each] for name, each in speeds.items()}
    turns[rivals.ONE] = [rivals.Turn(it, 0.25) for it in speeds[rivals.ONE]]
    monkeypatch.setattr(rivals, "measure", lambda *_: turns)
    out = tmp_path / "rivals.json"
    ran = CliRunner().invoke(main, ["rivals", "--folder", str(tmp_path), "--json", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "TigerBeetle is left out" in ran.output
    compared = rivals.compare(speeds)
    assert [it.ratio.median for it in compared] == [4.0, 0.75, 0.5]
    told = json.loads(out.read_text())
    assert told["ratio"] == 4.0
    assert told["other_cpu_share"].keys() == {rivals.ONE}
    assert told["other_cpu_share"][rivals.ONE]["median"] == 0.25
    assert {"machine", "commit", "seed", "plan"} <= told.keys()
