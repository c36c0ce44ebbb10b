"""Changed terms reach a running server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from freehold.client import Client
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from freehold.v1.credit_service_pb2 import PutUsersRequest, User
from sqlalchemy import Engine, insert, select, update

from service.config import Limits
from service.domain.authorization import State
from service.engine.ports import StorageFailed
from service.storage import schema as t
from service.storage.database import open_database, writing
from service.storage.store import SqlStore
from tests.engine.acts import revise
from tests.engine.calls import authorize, rental, settle, stored
from tests.fakes import START_US, CountingIds, Desk, serving

ON_BOTH = "the database tells which terms changed"

HANG_S = 30.0


class OtherIds(CountingIds):
    """Another process's ids."""

    def new(self, now_us: int) -> str:
        return "v" + super().new(now_us)[1:]


def stricter(engine: Engine) -> None:
    """Adds a revision of every policy without zero deposit."""
    with writing(engine) as connection:
        for row in connection.execute(select(t.policies)).all():
            new = {"revision": row.revision + 1, "zero_from_score": 950}
            connection.execute(insert(t.policies), {**row._asdict(), **new})


@pytest.fixture
def other(url: str, desk: Desk) -> Iterator[Desk]:
    """An engine of another process, on the same database."""
    made = Desk(SqlStore(open_database(url)), ids=OtherIds())
    yield made
    made.store.close()


def test_a_new_revision_reaches_the_other_process(desk: Desk, other: Desk) -> None:
    """A new revision of a product and its policy counts in another process after its next look.
    Rentals under the first revision keep this revision. Without changes nothing is read again."""
    assert not other.engine.terms.follow()
    first = rental(other, authorize(product_id="umbrella"), request_id="first")
    assert (first.product_revision, first.held_minor) == (1, 5_900)
    stricter(desk.store.engine)
    revise(desk.store.engine, "umbrella", policy_revision=2, deposit_minor=7_000)
    assert rental(other, authorize("ben", "umbrella"), request_id="old").product_revision == 1
    assert other.engine.terms.follow()
    assert not other.engine.terms.follow()
    new = rental(other, authorize("ann", "umbrella"), request_id="new")
    assert (new.product_revision, new.state) == (2, State.OFFERED)
    rental(other, settle(first, 100), request_id="end")
    assert stored(other, first).captured_minor == 100


@pytest.mark.parametrize(
    "change",
    [
        insert(t.operators).values(operator_id="new", name="New", fee_bp=1, create_us=START_US),
        update(t.operators).where(t.operators.c.operator_id == "city").values(fee_bp=301),
        insert(t.limit_steps).values(currency="EUR", from_score=500, limit_minor=1),
        update(t.limit_steps).where(t.limit_steps.c.from_score == 650).values(limit_minor=1),
        insert(t.exposure_rates).values(
            currency="EUR", total_currency="CNY", worth_minor=785, of_minor=100
        ),
    ],
)
def test_each_of_the_terms_is_watched(desk: Desk, change: object) -> None:
    """Operators, their commissions and the limits count as terms."""
    terms = desk.engine.terms
    assert not terms.follow()
    with writing(desk.store.engine) as connection:
        connection.execute(change)  # type: ignore[call-overload]
    assert terms.follow()
    assert terms.used.catalog == desk.store.catalog()
    assert not terms.follow()


def test_terms_that_could_not_be_read_are_read_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While changed terms cannot be read, the earlier terms count. Once the changed terms can be
    read, they count."""
    revise(desk.store.engine, "umbrella", deposit_minor=7_000)

    def away(after: int) -> None:
        raise StorageFailed("as told")

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "changed_terms", away)
        with pytest.raises(StorageFailed):
            desk.engine.terms.follow()
        assert rental(desk, authorize(product_id="umbrella")).product_revision == 1
    assert desk.engine.terms.follow()
    assert rental(desk, authorize("ben", "umbrella")).product_revision == 2


def test_a_server_follows_the_terms(tmp_path: Path) -> None:
    """A running server soon uses terms that another process changed."""
    with serving(tmp_path, limits=Limits(catalog_interval_s=0.05)) as served:
        with Client(served.address, served.platform_key, plaintext=True) as platform:
            user = User(user_id="ann", features={"score": 700}, scoring_consent=True)
            user.as_of.FromMicroseconds(START_US)
            platform.put_users(PutUsersRequest(request_id="p", users=[user]))
        with Client(served.address, served.operator_key, plaintext=True) as operator:

            def rent(request_id: str) -> Authorization:
                request = AuthorizeRequest(
                    request_id=request_id, user_id="ann", product_id="umbrella"
                )
                return operator.authorize(request).authorization

            assert rent("first").held.amount_minor == 5_900
            beside = open_database(f"sqlite:///{tmp_path / 'freehold.db'}")
            revise(beside, "umbrella", deposit_minor=1_000)
            beside.dispose()
            until(lambda n: rent(f"r-{n}").held.amount_minor == 1_000)


def until(what: Callable[[int], bool]) -> None:
    """Retries, with the number of the try, until a condition holds."""
    end = time.monotonic() + HANG_S
    number = 0
    while not what(number):
        assert time.monotonic() < end, "the condition never held"
        number += 1
        time.sleep(0.02)
