"""A8: one wrong row of an operator's product, beside a real server."""

from __future__ import annotations

import time
from pathlib import Path

from freehold.client import Client, FreeholdError
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, SettleAuthorizationRequest
from freehold.v1.credit_service_pb2 import PutUsersRequest, User
from freehold.v1.types_pb2 import Money

from service.config import LIMITS
from service.storage.database import open_database
from tests.conftest import Databases
from tests.faults.support import one_line, people, run, server
from tests.terms import BAD_POLICY, plant

AS_OF_S = 1_704_067_200
MEND = "UPDATE products SET policy_id = 'bike' WHERE operator_id = 'city' AND product_id = 'bike'"


def key_of(url: str, *words: str) -> str:
    """A new key."""
    done = run(*words, "--database", url, "--key-only")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Shop:
    """An operator who rents and settles at once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._number = 0

    def rent(self, product_id: str) -> str:
        """The reason of a refusal; empty when the item was rented and settled."""
        self._number += 1
        name = f"{id(self)}-{self._number}"
        asked = AuthorizeRequest(request_id=name, user_id="ann", product_id=product_id)
        try:
            it = self._client.authorize(asked).authorization
        except FreeholdError as refused:
            return str(refused.reason)
        assert it.state in (Authorization.STATE_ACTIVE, Authorization.STATE_OFFERED)
        if it.state == Authorization.STATE_ACTIVE:
            free = Money(currency_code="CNY")
            self._client.settle_authorization(
                SettleAuthorizationRequest(request_id=f"{name}-s", name=it.name, amount=free)
            )
        return ""

    def until(self, product_id: str, reason: str) -> None:
        """Rents until this result; it takes little longer than the reloader's interval."""
        end = time.monotonic() + 3 * LIMITS.catalog_interval_s
        while self.rent(product_id) != reason:
            assert time.monotonic() < end
            time.sleep(0.2)


def test_a8_a_wrong_row_beside_a_server(url: str, model: Path) -> None:
    """A8: when one operator's bike names a missing policy beside a server, only that product is
    refused, and the log has the fault once, with operator and product. A server that starts
    meanwhile serves the same way, without a traceback. Once the row is right, the product can be
    rented within the reloader's interval."""
    city, harbour = (key_of(url, "operator", "create-key", it) for it in ("city", "harbour"))
    platform_key = key_of(url, "platform", "create-key")
    database = open_database(url)
    user = User(user_id="ann", features=people(model, 1)[0], scoring_consent=True)
    user.as_of.seconds = AS_OF_S

    def registered(address: str, request_id: str) -> bool:
        with Client(address, platform_key, plaintext=True) as platform:
            request = PutUsersRequest(request_id=request_id, users=[user])
            return bool(platform.put_users(request).profiles)

    def wrong_in(log: list[dict[str, object]]) -> list[object]:
        return [line["of"] for line in log if line["event"] == "terms_wrong"]

    with server(url, model, "127.0.0.1:0") as running:
        address = str(running.wait_for("serving")["address"])
        with (
            Client(address, city, plaintext=True) as ours,
            Client(address, harbour, plaintext=True) as theirs,
        ):
            shop, other = Shop(ours), Shop(theirs)
            assert registered(address, "p-1")
            assert (shop.rent("bike"), other.rent("bike")) == ("", "")
            plant(database, f"{BAD_POLICY} AND product_id = 'bike'")
            shop.until("bike", "PRODUCT_MISCONFIGURED")
            for _ in range(3):
                assert shop.rent("bike") == "PRODUCT_MISCONFIGURED"
                assert (shop.rent("umbrella"), other.rent("bike")) == ("", "")
            assert registered(address, "p-2")
        assert running.terminate() == 0
        assert wrong_in(running.lines()) == [["city", "bike", "1"]]
    with server(url, model, "127.0.0.1:0") as running:
        address = str(running.wait_for("serving")["address"])
        with Client(address, city, plaintext=True) as ours:
            shop = Shop(ours)
            assert (shop.rent("bike"), shop.rent("umbrella")) == ("PRODUCT_MISCONFIGURED", "")
            assert registered(address, "p-3")
            plant(database, MEND)
            shop.until("bike", "")
        assert running.terminate() == 0
        lines = running.lines()
        assert wrong_in(lines) == [["city", "bike", "1"]]
        assert "terms_right_again" in {line["event"] for line in lines}
        assert "fault" not in {line["event"] for line in lines}
    database.dispose()


def test_a8_no_server_starts_without_valid_limits(databases: Databases, model: Path) -> None:
    """A8: a server without valid limits exits with one line that names the row."""
    url = databases.new()
    database = open_database(url)
    plant(
        database, "UPDATE limit_steps SET limit_minor = 9000000000000000000 WHERE from_score = 600"
    )
    done = run("serve", "--listen", "127.0.0.1:0", "--database", url, "--model", str(model))
    assert done.returncode == 1
    said = one_line(done.stderr)
    assert said.startswith("Error: no limits in CNY")
    assert "600" in said
    database.dispose()
    databases.drop(url)
