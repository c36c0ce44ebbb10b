"""Terms that somebody else has changed reach a server that is up."""

from __future__ import annotations

import asyncio
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
from service.engine.watch import CatalogWatch
from service.storage import tables as t
from service.storage.catalog_mark import catalog_mark
from service.storage.database import open_database, writing
from service.storage.store import SqlStore
from tests.engine.acts import revise
from tests.engine.calls import authorize, rental, settle, stored
from tests.fakes import BACKSTAGE, START_US, CountingIds, Desk, serving

HANG_S = 30.0


class OtherIds(CountingIds):
    """Ids of another process."""

    def new(self, now_us: int) -> str:
        return "v" + super().new(now_us)[1:]


def stricter(engine: Engine) -> None:
    """Adds a revision of every policy in which nobody's deposit is waived."""
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


def watch_of(desk: Desk, told: list[str]) -> CatalogWatch:
    """A watch over a desk's terms; what it says is counted."""

    def changed() -> None:
        told.append("changed")
        desk.engine.catalog_changed()

    def mark() -> object:
        return catalog_mark(desk.store.engine)

    return CatalogWatch(
        mark,
        changed,
        BACKSTAGE,
        interval_s=0.0,
        log_fault=lambda _id, error: desk.faults.append(error),
    )


def look(watch: CatalogWatch) -> None:
    asyncio.run(asyncio.wait_for(watch.look(), HANG_S))


def test_a_new_revision_reaches_the_other_process(desk: Desk, other: Desk) -> None:
    """A revision of a product and its policy that one process has added counts in another once that
    has looked; what was rented under the first goes on under it; where nothing has changed nothing
    is read again."""
    told: list[str] = []
    watch = watch_of(other, told)
    look(watch)
    look(watch)
    assert told == ["changed"]
    first = rental(other, authorize(product_id="umbrella"), request_id="first")
    assert (first.product_revision, first.held_minor) == (1, 5_900)
    stricter(desk.store.engine)
    revise(desk.store.engine, "umbrella", policy_revision=2, deposit_minor=7_000)
    assert rental(other, authorize("ben", "umbrella"), request_id="old").product_revision == 1
    look(watch)
    look(watch)
    assert told == ["changed", "changed"]
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
    ],
)
def test_each_of_the_terms_is_watched(desk: Desk, change: object) -> None:
    """Operators, their fees and the limits count as terms."""
    engine = desk.store.engine
    before = catalog_mark(engine)
    assert catalog_mark(engine) == before
    with writing(engine) as connection:
        connection.execute(change)  # type: ignore[call-overload]
    assert catalog_mark(engine) != before


def test_a_catalog_that_could_not_be_read_is_read_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the terms have changed and cannot be read, calls are refused as UNAVAILABLE until they
    can be; nothing is decided under the old ones."""
    revise(desk.store.engine, "umbrella", deposit_minor=7_000)
    desk.engine.catalog_changed()

    def away() -> None:
        raise StorageFailed("as told")

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "catalog", away)
        (refused,) = desk.apply(desk.work(authorize(product_id="umbrella")))
    assert getattr(refused, "reason", "") == "STORAGE_UNAVAILABLE"
    assert rental(desk, authorize(product_id="umbrella")).product_revision == 2


def test_the_watch_goes_on_until_it_is_cancelled(desk: Desk) -> None:
    """The watch looks again and again, also after the database was away."""
    told: list[str] = []
    answers: list[object] = [1, StorageFailed("as told"), 1, 2]

    def mark() -> object:
        answer = answers.pop(0) if answers else 2
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def main() -> None:
        watch = CatalogWatch(
            mark,
            lambda: told.append("changed"),
            BACKSTAGE,
            interval_s=0.0,
            log_fault=lambda _id, error: desk.faults.append(error),
        )
        task = asyncio.create_task(watch.run())
        while len(told) < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), HANG_S))
    assert [str(error) for error in desk.faults] == ["as told"]


def test_a_server_follows_the_terms(tmp_path: Path) -> None:
    """A server that is up decides under terms that were changed beside it, shortly after."""
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
    """Tries, with a number for each try, until something is so."""
    end = time.monotonic() + HANG_S
    number = 0
    while not what(number):
        assert time.monotonic() < end, "it never became so"
        number += 1
        time.sleep(0.02)
