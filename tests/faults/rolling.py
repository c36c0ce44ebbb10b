"""A rolling upgrade: servers of one build are replaced by those of another while calls go on."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
from freehold.client import Client, FreeholdError
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    GetAuthorizationRequest,
    ListAuthorizationsRequest,
    SettleAuthorizationRequest,
)
from freehold.v1.types_pb2 import Money

from tests.faults.support import Server, prepare, run, server
from tests.faults.test_migration_under_load import LOADERS, PEOPLE, SANDBOX, register

HANG_S = 120.0
ROUNDS = 15
"""The rentals that are settled between two steps of the upgrade."""
CURED = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}
)
"""The codes of calls that a stopping server, or a busy machine, may leave undone."""


class Crowd:
    """Threads that rent, read and settle. Each sends a call that failed again, with its id, to the
    next server."""

    def __init__(self, key: str) -> None:
        self.settled = self.cured = 0
        self.first: dict[str, AuthorizeResponse] = {}
        """The answer to each request id."""
        self.addresses: list[str] = []
        """The servers that run; the upgrade changes them."""
        self._key = key
        self._raised: list[BaseException] = []
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(LOADERS)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(HANG_S)
        if self._raised:
            raise self._raised[0]

    def wait_for_more(self, rentals: int = ROUNDS) -> None:
        """Waits until this many more rentals are settled."""
        enough, end = self.settled + rentals, time.monotonic() + HANG_S
        while self.settled < enough:
            assert not self._raised, self._raised
            assert time.monotonic() < end, "the servers stopped answering"
            time.sleep(0.01)

    def _run(self, number: int) -> None:
        try:
            with ExitStack() as stack:
                clients: dict[str, Client] = {}

                def send(method: str, request: object) -> object:
                    for turn in itertools.count(number):
                        address = self.addresses[turn % len(self.addresses)]
                        if address not in clients:
                            made = Client(address, self._key, plaintext=True)
                            clients[address] = stack.enter_context(made)
                        try:
                            return getattr(clients[address], method)(request)
                        except FreeholdError as error:
                            if error.code not in CURED or turn > number + 100:
                                raise
                            with self._lock:
                                self.cured += 1
                            time.sleep(0.02)
                    raise AssertionError

                for turn in itertools.count():
                    if self._end.is_set():
                        return
                    self._rent(send, f"{number}-{turn}", (number + turn) % PEOPLE)
        except BaseException as error:
            self._raised.append(error)

    def _rent(self, send: object, name: str, person: int) -> None:
        assert callable(send)
        request = AuthorizeRequest(
            request_id=f"r-{name}", user_id=f"u-{person}", product_id="umbrella"
        )
        answer = send("authorize", request)
        assert send("authorize", request) == answer
        held = answer.authorization
        if held.held.amount_minor:
            found = send("get_authorization", GetAuthorizationRequest(name=held.name))
            assert found.authorization.name == held.name
            page = ListAuthorizationsRequest(state=held.state, page_size=5)
            assert send("list_authorizations", page).authorizations
            fee = Money(currency_code="CNY", amount_minor=1)
            settle = SettleAuthorizationRequest(request_id=f"s-{name}", name=held.name, amount=fee)
            assert send("settle_authorization", settle).authorization.captured == fee
        with self._lock:
            self.first[request.request_id] = answer
            self.settled += 1


def roll(database: str, model: Path, old: Path, new: Path) -> Crowd:
    """Upgrades two servers on a PostgreSQL database from one build to another, under load.

    `old` and `new` are the folders of the builds. The new build migrates the database while both
    servers of the old one work. Then each server is stopped by SIGTERM, and replaced by one of the
    new build. Every call must succeed, at the latest when it is sent again with the same id. At the
    end every request id has its first answer, and the new build verifies the books.
    """
    operator_key, platform_key = prepare(database, build=old)

    def address(it: Server) -> str:
        return str(it.wait_for("serving")["address"])

    def start(build: Path) -> Server:
        return running.enter_context(server(database, model, "127.0.0.1:0", *SANDBOX, build=build))

    with ExitStack() as running:
        servers = [start(old), start(old)]
        register(servers[0], platform_key, model)
        crowd = Crowd(operator_key)
        crowd.addresses = [address(it) for it in servers]
        with crowd:
            crowd.wait_for_more()
            migrated = run("migrate", "--database", database, build=new)
            assert migrated.returncode == 0, migrated.stderr
            crowd.wait_for_more()
            for place in (0, 1):
                # As a balancer: it learns of the end from the failing calls, and of the new server
                # when that one serves.
                assert servers[place].terminate() == 0
                assert "fault" not in servers[place].events()
                servers[place] = start(new)
                crowd.addresses[place] = address(servers[place])
                crowd.wait_for_more()
        with Client(crowd.addresses[0], operator_key, plaintext=True) as client:
            for request_id, answer in list(crowd.first.items())[::5]:
                person = answer.authorization.name.split("/")[1]
                request = AuthorizeRequest(
                    request_id=request_id, user_id=person, product_id="umbrella"
                )
                assert client.authorize(request) == answer
        for left in servers:
            assert left.terminate() == 0
            assert "fault" not in left.events()
    verified = run("verify", "--database", database, build=new)
    assert "books verified" in verified.stdout, verified.stderr
    return crowd
