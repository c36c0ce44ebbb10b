"""Two server processes on one PostgreSQL database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from freehold.client import Client, FreeholdError
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, SettleAuthorizationRequest
from freehold.v1.credit_service_pb2 import GetCreditProfileRequest, PutUsersRequest, User
from freehold.v1.types_pb2 import Money

from service.books.verify import verify_books
from service.config import LIMITS
from service.storage.database import open_database
from tests.faults.support import people, prepare, run, server
from tests.postgres import Cluster

HANG_S = 60.0
ROUNDS = 10
AS_OF_S = 1_704_067_200
SANDBOX = ("--sandbox", "2024-01-01T00:10:00Z")


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """An empty database on PostgreSQL; at the end its books verify."""
    name = cluster.empty()
    url = cluster.url(name)
    yield url
    engine = open_database(url)
    assert verify_books(engine).fault is None
    engine.dispose()
    assert "books verified" in run("verify", "--database", url).stdout
    cluster.drop(name)


def at_once(*actions: Callable[[], None]) -> None:
    """Runs every action in its own thread, all starting together."""
    together = threading.Barrier(len(actions), timeout=HANG_S)
    raised: list[BaseException] = []

    def one(action: Callable[[], None]) -> None:
        try:
            together.wait()
            action()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=one, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
    assert raised == []


def test_two_servers_on_one_database(database: str, model: Path) -> None:
    """A request sent to two servers at once, and repeated at either, has one effect and one answer;
    each server knows the other's rows; a killed server loses nothing."""
    operator_key, platform_key = prepare(database)
    with (
        server(database, model, "127.0.0.1:0", *SANDBOX) as first,
        server(database, model, "127.0.0.1:0", *SANDBOX) as second,
    ):
        addresses = [str(one.wait_for("serving")["address"]) for one in (first, second)]
        with Client(addresses[0], platform_key, plaintext=True) as platform:
            users = [
                User(user_id=f"u-{n}", scoring_consent=True, features=features)
                for n, features in enumerate(people(model, 8))
            ]
            for user in users:
                user.as_of.FromSeconds(AS_OF_S)
            platform.put_users(PutUsersRequest(request_id="p", users=users))
        answers: dict[str, list[Authorization]] = {}
        with (
            Client(addresses[0], operator_key, plaintext=True) as one,
            Client(addresses[1], operator_key, plaintext=True) as other,
        ):

            def rent(client: Client, n: int) -> None:
                request = AuthorizeRequest(
                    request_id=f"r-{n}", user_id=f"u-{n % 8}", product_id="umbrella"
                )
                answers.setdefault(f"r-{n}", []).append(client.authorize(request).authorization)

            for n in range(ROUNDS):
                at_once(lambda n=n: rent(one, n), lambda n=n: rent(other, n))  # type: ignore[misc]
            for n in range(ROUNDS):
                rent(one, n)
                rent(other, n)
            for told in answers.values():
                assert len(told) == 4
                assert all(it == told[0] for it in told)
            names = {told[0].name for told in answers.values()}
            assert len(names) == ROUNDS
            active = [
                told[0] for told in answers.values() if told[0].state == Authorization.STATE_ACTIVE
            ]
            assert active
            first.kill()
            with (
                Client(addresses[0], operator_key, plaintext=True, timeout_s=1.0) as gone,
                pytest.raises(FreeholdError, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"),
            ):
                rent(gone, 0)
            fee = Money(currency_code="CNY", amount_minor=100)
            for place, it in enumerate(active):
                request = SettleAuthorizationRequest(
                    request_id=f"s-{place}", name=it.name, amount=fee
                )
                assert other.settle_authorization(request).authorization.held.amount_minor == 0
        with Client(addresses[1], platform_key, plaintext=True) as platform:
            asked = GetCreditProfileRequest(user_id=active[0].name.split("/")[1])
            profile = platform.get_credit_profile(asked).profile
            assert profile.drawn.amount_minor % 100 == 0
            assert profile.drawn.amount_minor > 0
        assert second.terminate() == 0
        assert second.lines()


TARIFF = """
name = "bike"
currency = "CNY"
arithmetic = 1
start_fee_minor = {}
free_minutes = 0
interval_minutes = 15
interval_price_minor = 100
day_cap_minor = 3_000
buy_out_minor = 19_900
"""


def test_changed_terms_count_on_every_server(database: str, model: Path, tmp_path: Path) -> None:
    """A tariff that a command activates counts on two servers, which look for changed terms more
    often than once a second."""
    assert LIMITS.catalog_interval_s < 1
    operator_key, _ = prepare(database)
    file = tmp_path / "tariff.toml"
    words = ("tariff", "apply", str(file), "--operator", "city", "--activate", "--database")
    with (
        server(database, model, "127.0.0.1:0") as first,
        server(database, model, "127.0.0.1:0") as second,
        ExitStack() as callers,
    ):
        addresses = [str(one.wait_for("serving")["address"]) for one in (first, second)]
        clients = [
            callers.enter_context(Client(it, operator_key, plaintext=True)) for it in addresses
        ]
        for revision in (2, 3):
            file.write_text(TARIFF.format(revision))
            assert run(*words, database).returncode == 0
            for place, client in enumerate(clients):
                for number in range(1_000):
                    order = AuthorizeRequest(
                        request_id=f"{revision}-{place}-{number}", user_id="u", product_id="bike"
                    )
                    if client.authorize(order).authorization.product_revision == revision:
                        break
                    time.sleep(0.02)
                else:
                    raise AssertionError("the server does not learn of the terms")
