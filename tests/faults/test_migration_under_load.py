"""The next build's migration runs under servers of this build, which go on answering."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from freehold.client import Client
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    SettleAuthorizationRequest,
)
from freehold.v1.credit_service_pb2 import PutUsersRequest, User
from freehold.v1.types_pb2 import Money

from service.storage.database import open_database
from service.storage.migrate import Schema, schema_of
from tests.conftest import Databases
from tests.faults.support import Server, people, prepare, run, server
from tests.storage.next_build import ADDS, WIDENS, migrate_as_next_build

HANG_S = 60.0
PEOPLE = 8
SANDBOX = ("--sandbox", "2024-01-01T00:10:00Z")
AS_OF_S = 1_704_067_200
LOADERS = 3


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    """An empty database for this test only."""
    url = databases.empty()
    yield url
    databases.drop(url)


class Load:
    """Threads that rent and settle at one server until the block ends; no call may fail."""

    def __init__(self, one: Server, key: str) -> None:
        self.first: dict[str, AuthorizeResponse] = {}
        """The answer to each request id."""
        self.settled = 0
        self._address = str(one.wait_for("serving")["address"])
        self._key = key
        self._raised: list[BaseException] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(LOADERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(HANG_S)
        assert self._raised == []

    def wait_for_more(self, rentals: int) -> None:
        """Waits until this many more rentals are settled."""
        enough, end = self.settled + rentals, time.monotonic() + HANG_S
        while self.settled < enough:
            assert self._raised == []
            assert time.monotonic() < end, "the server stopped answering"
            time.sleep(0.01)

    def _run(self, number: int) -> None:
        try:
            with Client(self._address, self._key, plaintext=True) as client:
                for turn in itertools.count():
                    if self._end.is_set():
                        return
                    self._rent(client, f"{self._address}-{number}-{turn}", (number + turn) % PEOPLE)
        except BaseException as error:
            self._raised.append(error)

    def _rent(self, client: Client, name: str, person: int) -> None:
        request = AuthorizeRequest(
            request_id=f"r-{name}", user_id=f"u-{person}", product_id="umbrella"
        )
        answer = client.authorize(request)
        self.first[request.request_id] = answer
        assert client.authorize(request) == answer
        if answer.authorization.held.amount_minor:
            fee = Money(currency_code="CNY", amount_minor=1)
            settle = SettleAuthorizationRequest(
                request_id=f"s-{name}", name=answer.authorization.name, amount=fee
            )
            assert client.settle_authorization(settle).authorization.captured == fee
        self.settled += 1


def register(one: Server, key: str, model: Path) -> None:
    """Registers the people who rent."""
    users = [
        User(user_id=f"u-{n}", scoring_consent=True, features=features)
        for n, features in enumerate(people(model, PEOPLE))
    ]
    for user in users:
        user.as_of.FromSeconds(AS_OF_S)
    with Client(str(one.wait_for("serving")["address"]), key, plaintext=True) as platform:
        platform.put_users(PutUsersRequest(request_id="p", users=users))


def test_a_server_answers_while_the_next_builds_migration_runs(
    database: str, model: Path, tmp_path: Path, databases: Databases
) -> None:
    """The next build's migration adds columns, an index, a table and values to lists. A server that
    started before it answers every call before, during and after the migration. Another server of
    this build starts on the migrated schema, both servers work, and the books verify."""
    operator_key, platform_key = prepare(database)
    with ExitStack() as running:
        one = running.enter_context(server(database, model, "127.0.0.1:0", *SANDBOX))
        register(one, platform_key, model)
        with Load(one, operator_key) as load:
            load.wait_for_more(20)
            engine = open_database(database)
            migrate_as_next_build(engine, tmp_path / "next", ADDS + WIDENS)
            assert schema_of(engine) is Schema.NEWER
            engine.dispose()
            load.wait_for_more(40)
        if databases.kind == "sqlite":
            assert one.terminate() == 0
        other = running.enter_context(server(database, model, "127.0.0.1:0", *SANDBOX))
        with ExitStack() as loads:
            if databases.kind == "postgresql":
                loads.enter_context(Load(one, operator_key)).wait_for_more(20)
            loads.enter_context(Load(other, operator_key)).wait_for_more(20)
        with Client(str(other.wait_for("serving")["address"]), operator_key, plaintext=True) as it:
            for request_id, answer in itertools.islice(load.first.items(), 10):
                person = answer.authorization.name.split("/")[1]
                request = AuthorizeRequest(
                    request_id=request_id, user_id=person, product_id="umbrella"
                )
                assert it.authorize(request) == answer
        for left in {one, other} - ({one} if databases.kind == "sqlite" else set()):
            assert left.terminate() == 0
            assert "fault" not in left.events()
    verified = run("verify", "--database", database)
    assert "books verified" in verified.stdout, verified.stderr
