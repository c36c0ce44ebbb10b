"""A server is killed with a part of a budget in hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from freehold.client import Client
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from freehold.v1.credit_service_pb2 import PutUsersRequest, SetCreditLimitRequest, User
from freehold.v1.sandbox_service_pb2 import AdvanceClockRequest
from freehold.v1.types_pb2 import OFFER_ZERO, Money
from google.protobuf.timestamp_pb2 import Timestamp

from service.books.verify import verify_books
from service.domain.budgets import IDLE_US
from service.domain.rules import Budget, Rules, Span
from service.domain.rules_document import json_of_rules
from service.storage import schema as t
from service.storage.budgets import list_budgets
from service.storage.database import open_database, writing
from tests.faults.support import people, prepare, server
from tests.postgres import Cluster
from tests.terms import forget_documents

UMBRELLA_MINOR = 5_900
MOST, SLICE = 6, 4
"""The budget and its slice, in deposits."""
BEGIN_S = 1_704_067_800
SANDBOX = ("--sandbox", "2024-01-01T00:10:00Z")


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """An empty database on PostgreSQL."""
    name = cluster.empty()
    yield cluster.url(name)
    cluster.drop(name)


def test_a_killed_server_takes_no_room_with_it(database: str, model: Path) -> None:
    """After a server was killed (SIGKILL) with a lease in hand, another one never exceeds the
    budget. What the dead server had not used comes back after ten minutes; what it held stays
    counted, and the books verify."""
    operator_key, platform_key = prepare(database)
    engine = open_database(database)
    budget = Budget("CNY", Span.OPEN, MOST * UMBRELLA_MINOR, SLICE * UMBRELLA_MINOR)
    with writing(engine) as connection:
        forget_documents(connection)
        mine = t.policies.update().where(t.policies.c.policy_id == "small-item")
        rules = json_of_rules(Rules(budget=(budget,)))
        lax = {"zero_from_score": -100_000, "reduced_from_score": -100_000}
        connection.execute(mine.values(rules=rules, **lax))
    with (
        server(database, model, "127.0.0.1:0", *SANDBOX) as first,
        server(database, model, "127.0.0.1:0", *SANDBOX) as second,
    ):
        addresses = [str(it.wait_for("serving")["address"]) for it in (first, second)]
        with (
            Client(addresses[1], platform_key, plaintext=True) as platform,
            Client(addresses[0], operator_key, plaintext=True) as one,
            Client(addresses[1], operator_key, plaintext=True) as other,
        ):
            enroll(platform, model)
            assert rents(one, 0)
            (now,) = list_budgets(engine, "city", BEGIN_S * 1_000_000)
            assert now.used_minor == UMBRELLA_MINOR
            assert now.leased_minor >= UMBRELLA_MINOR
            first.kill()
            granted = 1 + sum(rents(other, place) for place in range(1, 8))
            assert MOST - SLICE < granted < MOST
            later = Timestamp(seconds=BEGIN_S + IDLE_US // 1_000_000 + 60)
            platform.advance_clock(AdvanceClockRequest(now=later))
            granted += sum(rents(other, place) for place in range(8, 16))
            assert granted == MOST
    (now,) = list_budgets(engine, "city", BEGIN_S * 1_000_000)
    assert (now.used_minor, now.left_minor + now.leased_minor) == (MOST * UMBRELLA_MINOR, 0)
    assert verify_books(engine).fault is None
    engine.dispose()


def enroll(platform: Client, model: Path) -> None:
    """Registers people, each with a line for an umbrella."""
    users = [
        User(user_id=f"u-{place}", scoring_consent=True, features=features)
        for place, features in enumerate(people(model, 16))
    ]
    for user in users:
        user.as_of.FromSeconds(BEGIN_S - 600)
    platform.put_users(PutUsersRequest(request_id="p", users=users))
    for user in users:
        limit = Money(currency_code="CNY", amount_minor=50_000)
        request = SetCreditLimitRequest(
            request_id=f"l-{user.user_id}", user_id=user.user_id, limit=limit
        )
        platform.set_credit_limit(request)


def rents(client: Client, place: int) -> bool:
    """True if a person rents an umbrella on credit; otherwise the budget declined it."""
    request = AuthorizeRequest(
        request_id=f"r-{place}",
        user_id=f"u-{place}",
        product_id="umbrella",
        accept_offers=[OFFER_ZERO],
    )
    it = client.authorize(request).authorization
    if it.state == Authorization.STATE_ACTIVE:
        return True
    assert list(it.reasons)[:1] == ["BUDGET_EXHAUSTED"]
    return False
