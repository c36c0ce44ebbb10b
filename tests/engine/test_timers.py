"""The sweeper: takes every step that is due."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from typing import TypeVar

import pytest
from sqlalchemy import Engine, update

from service.books.verify import verify_books
from service.clock import Clock
from service.domain.authorization import Custody, State
from service.engine.group_commit import CommitLimits, Committer
from service.engine.ports import StorageFailed, Waking
from service.engine.workers.timers import Timers
from service.engine.workers.worker import Worker
from service.storage import schema as t
from service.storage.database import open_database, writing
from service.storage.store import SqlStore
from tests.engine.acts import transfers
from tests.engine.calls import authorize, balances, pick_up, rental, reverse, stored
from tests.fakes import BACKSTAGE, MINUTE_US, START_US, Desk

T = TypeVar("T")
HANG_S = 30.0
OFFER_END_US = START_US + 15 * MINUTE_US
PICKUP_END_US = START_US + 30 * MINUTE_US


class WatchedStore(SqlStore):
    """Records its queries, and may return authorizations that have not lapsed."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.portions: list[int] = []
        self.stale: list[Waking] = []

    def waking(self, now_us: int, limit: int, after: Waking | None = None) -> list[Waking]:
        """The stale rows, then the store's."""
        stale = [it for it in self.stale if after is None or it > after]
        found = (stale + super().waking(now_us, limit, after))[:limit]
        self.portions.append(len(found))
        return found


@pytest.fixture
def watched(url: str) -> Iterator[WatchedStore]:
    """A fresh watched store."""
    store = WatchedStore(open_database(url))
    yield store
    assert verify_books(store.engine).fault is None
    store.close()


@pytest.fixture
def hall(watched: WatchedStore) -> Desk:
    """An engine on that store, with Ann at 700."""
    desk = Desk(watched)
    desk.put_user("ann", 700)
    return desk


def sweep(desk: Desk, portion: int = 100) -> int:
    """One sweep of a fresh sweeper."""
    return sweeps(desk, portion, 1)[0]


def sweeps(desk: Desk, portion: int, rounds: int) -> list[int]:
    """Several sweeps of one sweeper, through its own committer."""

    async def main() -> list[int]:
        committer = Committer(desk.engine.apply, CommitLimits())
        committer.start()
        timers = Timers(desk.store, committer, desk.clock, BACKSTAGE, portion=portion)
        swept = [await timers.wake_due() for _ in range(rounds)]
        await committer.close()
        return swept

    return run(main())


def run(main: Coroutine[object, object, T]) -> T:
    """Runs to the end, or fails after a time limit."""
    return asyncio.run(asyncio.wait_for(main, HANG_S))


def test_lapsed_holds_expire(hall: Desk) -> None:
    """A sweep expires exactly what has ended by now, and releases the holds."""
    offer = rental(hall, authorize("new"))
    hold = rental(hall, pick_up())
    active = rental(hall, authorize())
    assert sweep(hall) == 0
    hall.clock.advance(OFFER_END_US)
    assert sweep(hall) == 1
    assert stored(hall, offer).state is State.EXPIRED
    assert stored(hall, hold).state is State.AUTHORIZED
    hall.clock.advance(PICKUP_END_US + 60 * MINUTE_US)
    assert sweep(hall) == 1
    assert stored(hall, hold).close_us == PICKUP_END_US
    assert stored(hall, active).state is State.ACTIVE
    assert balances(hall) == (50_000, 30_100, 19_900, 0)
    assert sweep(hall) == 0


def test_a_rental_without_return(hall: Desk) -> None:
    """Under a sweeper, a rental without return becomes overdue, is lost at the buy-out cap, is
    debited once while the rail does not answer, and its item is sold in the end."""
    it = rental(hall, authorize("ann", "umbrella"))
    for day in range(0, 140, 2):
        hall.clock.advance((it.due_us or 0) + day * 24 * 60 * MINUTE_US)
        sweep(hall)
    after = stored(hall, it)
    assert (after.state, after.custody, after.captured_minor) == (
        State.SETTLED, Custody.SOLD, 5_900,
    )  # fmt: skip
    assert (after.wake_us, after.close_us) == (None, it.lost_us)
    assert [each.amount_minor for each in transfers(hall, it)] == [5_900]
    assert sweep(hall) == 0


def test_a_sweep_after_a_long_outage(hall: Desk) -> None:
    """A sweep after a long outage brings each authorization up to the present; no one is debited
    twice."""
    it = rental(hall, authorize("ann", "umbrella"))
    hall.clock.advance((it.due_us or 0) + 200 * 24 * 60 * MINUTE_US)
    assert sweep(hall) == 1
    after = stored(hall, it)
    assert (after.state, after.custody, after.wake_us) == (State.SETTLED, Custody.SOLD, None)
    assert [each.amount_minor for each in transfers(hall, it)] == [5_900]


@pytest.mark.parametrize(
    ("count", "portion", "portions"),
    [(7, 3, [3, 3, 1]), (6, 3, [3, 3, 0]), (2, 3, [2]), (0, 3, [0])],
)
def test_a_sweep_takes_bounded_portions(
    hall: Desk, watched: WatchedStore, count: int, portion: int, portions: list[int]
) -> None:
    """A sweep reads bounded portions until all is expired."""
    for n in range(count):
        rental(hall, authorize(f"new-{n}"))
    hall.clock.advance(OFFER_END_US)
    assert sweep(hall, portion) == count
    assert watched.portions == portions


def test_a_closed_authorization_does_not_stop_a_sweep(hall: Desk, watched: WatchedStore) -> None:
    """A sweep goes on past an authorization that was reversed before its expiry, or does not
    exist."""
    gone = rental(hall, authorize("new-1"))
    rental(hall, reverse(gone))
    rental(hall, authorize("new-2"))
    watched.stale = [Waking(0, "new-1", gone.authorization_id), Waking(1, "ghost", "0" * 20)]
    hall.clock.advance(OFFER_END_US)
    assert sweep(hall) == 1
    assert stored(hall, gone).state is State.REVERSED


def test_a_portion_that_does_not_move_is_left_to_the_next_round(
    hall: Desk, watched: WatchedStore
) -> None:
    """When nothing of a full portion can be expired, the sweep ends instead of repeating it."""
    watched.stale = [Waking(0, "ghost", f"{n:020d}") for n in range(3)]
    assert sweep(hall, 3) == 0
    assert watched.portions == [3]


def of_products(desk: Desk, users: Iterable[str], revision: int) -> None:
    """Makes rentals refer to the given revision of their product; only the first exists."""
    a = t.authorizations.c
    with writing(desk.store.engine) as connection:
        change = update(t.authorizations).where(a.user_id.in_(list(users)))
        connection.execute(change.values(product_revision=revision))


def test_failing_rentals_delay_no_others(hall: Desk, watched: WatchedStore) -> None:
    """More due rentals than fit into a portion fail repeatedly. The next rounds reach the rentals
    behind them, then try the failing rentals again, and end them once they no longer fail."""
    failing = [f"new-{n}" for n in range(7)]
    for user_id in failing:
        rental(hall, authorize(user_id))
    hall.clock.advance(START_US + 1)
    good = [rental(hall, authorize(f"newer-{n}")) for n in range(4)]
    of_products(hall, failing, 2)
    hall.clock.advance(OFFER_END_US + 1)
    assert sweeps(hall, 3, 4) == [0, 0, 4, 0]
    assert watched.portions == [3, 3, 3, 2, 3, 3]
    assert hall.faults
    assert {stored(hall, it).state for it in good} == {State.EXPIRED}
    of_products(hall, failing, 1)
    assert sweep(hall, 3) == 7


def test_the_sweeper_goes_on_until_it_is_cancelled(hall: Desk) -> None:
    """The sweeper goes on sweeping, also after the database was away."""

    class AwayOnce(SqlStore):
        """Fails at the first query for lapsed holds."""

        away = True

        def waking(self, now_us: int, limit: int, after: Waking | None = None) -> list[Waking]:
            if self.away:
                self.away = False
                raise StorageFailed("as told")
            return super().waking(now_us, limit, after)

    class Counted:
        """Counts the readings of the clock."""

        trusted = True

        def __init__(self, clock: Clock) -> None:
            self.asked = 0
            self.third = asyncio.Event()
            self._clock = clock

        def now_us(self) -> int:
            self.asked += 1
            if self.asked == 3:
                self.third.set()
            return self._clock.now_us()

    async def main() -> None:
        committer = Committer(hall.engine.apply, CommitLimits())
        committer.start()
        clock = Counted(hall.clock)
        timers = Timers(AwayOnce(hall.store.engine), committer, clock, BACKSTAGE, portion=9)
        worker = Worker(
            "timers",
            timers.work,
            interval_s=0.0,
            log_fault=lambda _id, error, _about=None: hall.faults.append(error),
        )
        task = asyncio.create_task(worker.run())
        await clock.third.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await committer.close()

    offer = rental(hall, authorize("new"))
    hall.clock.advance(OFFER_END_US)
    run(main())
    assert stored(hall, offer).state is State.EXPIRED
    assert [type(error) for error in hall.faults] == [StorageFailed]
