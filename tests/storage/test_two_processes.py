"""Two engines with their own connections on one PostgreSQL database, as two processes have."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, select

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.money import Money
from service.domain.policy import Offer
from service.domain.transitions import Transition
from service.engine.calls import Work, own_work
from service.engine.engine import Result
from service.engine.feature_values import pack
from service.engine.group_commit import CommitLimits, Committer
from service.engine.operations import FoldPayable, PayOutOperator, PutUser
from service.engine.records.transfers import TransferState
from service.engine.tables import USERS
from service.engine.workers.timers import Timers
from service.storage import schema as t
from service.storage.database import open_database, reading
from service.storage.payables import payables_of
from service.storage.store import SqlStore
from tests.engine.acts import DAY_US, HOUR_US, increment, told, transfers, woken
from tests.engine.calls import (
    authorize,
    balances,
    counts,
    line,
    pick_up,
    reason,
    rental,
    reverse,
    settle,
    stored,
)
from tests.fakes import BACKSTAGE, MINUTE_US, OPERATOR, START_US, CountingIds, Desk, encode
from tests.postgres import Cluster
from tests.rows import read
from tests.terms import forget_documents

HANG_S = 60.0
ROUNDS = 20
ZERO = (Offer.ZERO,)


class OtherIds(CountingIds):
    """The other process's ids."""

    def new(self, now_us: int) -> str:
        return "v" + super().new(now_us)[1:]


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """The name of a fresh database."""
    made = cluster.fresh()
    yield made
    cluster.drop(made)


@pytest.fixture
def desks(cluster: Cluster, name: str) -> Iterator[tuple[Desk, Desk]]:
    """Two engines on one database; at the end there was no deadlock, and the books verify."""
    made = (
        Desk(SqlStore(open_database(cluster.url(name)))),
        Desk(SqlStore(open_database(cluster.url(name))), ids=OtherIds()),
    )
    # Request ids belong to callers, and the callers differ unless the test says otherwise.
    made[1]._requests = itertools.count(1_000_000)
    yield made
    assert verify_books(made[0].store.engine).fault is None
    for desk in made:
        desk.store.close()
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = %s"
    assert cluster.admin.execute(deadlocks, (name,)).fetchone() == (0,)


def at_once(*actions: Callable[[], None]) -> None:
    """Runs every action in its own thread, all at once; raises their first error."""
    together = threading.Barrier(len(actions), timeout=HANG_S)
    raised: list[BaseException] = []

    def run(action: Callable[[], None]) -> None:
        try:
            together.wait()
            action()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
        assert not thread.is_alive()
    if raised:
        raise raised[0]


def race(desks: tuple[Desk, Desk], *batches: list[Work]) -> list[list[Result]]:
    """The results of one batch for each engine, started together."""
    results: list[list[Result]] = [[], []]

    def apply(place: int) -> Callable[[], None]:
        return lambda: results[place].extend(desks[place].apply(*batches[place]))

    at_once(apply(0), apply(1))
    return results


def test_one_request_id_at_two_processes(desks: tuple[Desk, Desk]) -> None:
    """A request that reaches two processes at once has one effect, and both give the same
    answer."""
    desks[0].put_user("ann", 700)
    for n in range(ROUNDS):
        user_id, call = f"user-{n}", authorize("ann" if n < 2 else f"user-{n}")
        if n >= 2 and n % 2:
            desks[0].put_user(user_id, 700)
        works = [[desk.work(call, request_id=f"race-{n}")] for desk in desks]
        (one,), (other,) = race(desks, *works)
        assert one == other
        decided = [desk.answers[f"race-{n}"] for desk in desks if f"race-{n}" in desk.answers]
        assert one in [encode(answer) for answer in decided]
    assert counts(desks[0])["authorizations"] == ROUNDS
    assert balances(desks[0]) == (50_000, 10_200, 39_800, 0)


def test_a_line_is_used_exactly_to_its_end(desks: tuple[Desk, Desk]) -> None:
    """When two processes compete for one line, exactly as many holds are granted as fit."""
    deposit_minor = 1_000
    with desks[0].store.engine.begin() as connection:
        forget_documents(connection)
        connection.execute(t.products.update().values(deposit_minor=deposit_minor))
    # Engines with the present products.
    racing = (Desk(desks[0].store), Desk(desks[1].store, ids=OtherIds()))
    racing[0].put_user("ann", 700)
    granted = []

    def rent(desk: Desk, place: int) -> Callable[[], None]:
        def run() -> None:
            for n in range(40):
                work = desk.work(authorize(accept=ZERO), request_id=f"{place}-{n}")
                (result,) = desk.apply(work)
                assert reason(result) == "", desk.faults[-1]
                it = desk.answers[f"{place}-{n}"]
                assert isinstance(it, Authorization)
                granted.append(it.state is State.ACTIVE)

        return run

    at_once(*(rent(desk, place) for place, desk in enumerate(racing)))
    assert granted.count(True) == 50
    assert balances(desks[0]) == (50_000, 0, 50_000, 0)


def test_one_item_at_two_processes(desks: tuple[Desk, Desk]) -> None:
    """When two people ask two processes for one item, one gets it and the other is refused."""
    for user_id in ("ann", "zoe"):
        desks[0].put_user(user_id, 700)
    for n in range(ROUNDS):
        works = [
            [desk.work(authorize(user_id, "umbrella", f"item-{n}"), request_id=f"{user_id}-{n}")]
            for desk, user_id in zip(desks, ("ann", "zoe"), strict=True)
        ]
        results = race(desks, *works)
        assert sorted(reason(result) for (result,) in results) == ["", "ASSET_IN_USE"]
        won = 0 if reason(results[0][0]) == "" else 1
        it = desks[won].answers[f"{('ann', 'zoe')[won]}-{n}"]
        assert isinstance(it, Authorization)
        rental(desks[won], settle(it, 0))
    assert counts(desks[0])["open_items"] == 0
    assert [balances(desks[0], who)[2] for who in ("ann", "zoe")] == [0, 0]


def test_the_first_use_of_a_person(desks: tuple[Desk, Desk]) -> None:
    """A new person who comes to two processes at once gets one line, and both calls count."""
    for n in range(ROUNDS):
        works = [[desk.work(authorize(f"new-{n}", "umbrella"))] for desk in desks]
        results = race(desks, *works)
        assert [reason(result) for (result,) in results] == ["", ""]
    assert counts(desks[0])["authorizations"] == 2 * ROUNDS


def test_a_person_registered_twice_at_once(desks: tuple[Desk, Desk]) -> None:
    """Two registrations of one person at once leave two versions of features, and one line with one
    limit."""
    for n in range(ROUNDS):
        put = PutUser(f"new-{n}", pack([700.0, 0.0]), START_US, True)
        works = [[desk.work(put, caller=PLATFORM)] for desk in desks]
        results = race(desks, *works)
        assert [reason(result) for (result,) in results] == ["", ""]
        assert balances(desks[0], f"new-{n}") == (50_000, 50_000, 0, 0)
        with desks[0].store.begin() as transaction:
            known = read(transaction, USERS, [f"new-{n}"])
        assert known[f"new-{n}"].feature_version == 2


def test_crossing_batches(desks: tuple[Desk, Desk]) -> None:
    """Batches with the same people, request ids and items in opposite orders are all answered,
    without a deadlock. Some of the people are new."""
    people = [f"user-{n}" for n in range(16)]
    for user_id in people[::2]:
        desks[0].put_user(user_id, 700)
    for n in range(ROUNDS // 2):
        batches = [
            [
                desk.work(
                    authorize(user_id, "umbrella", f"item-{user_id}-{n}"),
                    request_id=f"{user_id}-{n}",
                )
                for user_id in order
            ]
            for desk, order in zip(desks, (people, people[::-1]), strict=True)
        ]
        one, other = race(desks, *batches)
        assert {reason(result) for result in (*one, *other)} <= {""}
        assert one == other[::-1]
    assert counts(desks[0])["authorizations"] == len(people) * ROUNDS // 2


def test_settle_and_reverse_at_once(desks: tuple[Desk, Desk]) -> None:
    """When one process settles and another reverses a rental, exactly one succeeds."""
    desks[0].put_user("ann", 700)
    for _ in range(ROUNDS):
        it = rental(desks[0], authorize(product_id="umbrella"))
        results = race(desks, [desks[0].work(settle(it, 0))], [desks[1].work(reverse(it))])
        assert sorted(bool(reason(result)) for (result,) in results) == [False, True]
        assert stored(desks[0], it).state in (State.SETTLED, State.REVERSED)
        assert stored(desks[0], it).version == 2
    assert line(desks[0]).held_minor == 0


def test_a_late_success_and_the_next_debit_at_once(desks: tuple[Desk, Desk]) -> None:
    """One process reports a debit's late success while another hands in the next debit. The next
    debit is either cancelled and not handed in, or stays under way, and the sums are exact."""
    desks[0].put_user("ann", 700)
    for _ in range(ROUNDS):
        it = rental(desks[0], settle(rental(desks[0], authorize(product_id="umbrella")), 800))
        settled_us = desks[0].clock.now_us()
        for desk in desks:
            desk.clock.advance(settled_us + HOUR_US)
        woken(desks[0], it, settled_us + HOUR_US)
        (first,) = transfers(desks[0], it)
        desks[0].do(told(first, TransferState.FAILED), caller=PLATFORM)
        for desk in desks:
            desk.clock.advance(settled_us + 3 * DAY_US)
        woken(desks[0], it, settled_us + 3 * DAY_US)
        _, second = transfers(desks[0], it)
        results = race(
            desks,
            [desks[0].work(told(first, TransferState.SUCCEEDED), request_id="")],
            [desks[1].work(told(second, TransferState.SENT), request_id="")],
        )
        assert [reason(result) for (result,) in results] == ["", ""]
        state = transfers(desks[0], it)[1].state
        (answered,) = results[1]
        assert isinstance(answered, bytes)
        if state is TransferState.SENT:
            assert b"TransferState.SENT" in answered
            assert stored(desks[0], it).debiting_minor == 800
            desks[1].do(told(second, TransferState.SUCCEEDED), caller=PLATFORM)
        else:
            assert state is TransferState.CANCELLED
            assert b"TransferState.CANCELLED" in answered
        it = stored(desks[0], it)
        assert (it.paid_minor, it.debiting_minor) == (800, 0)
        assert it.refund_payable_minor == (800 if state is TransferState.SENT else 0)


def test_sweepers_of_two_processes(desks: tuple[Desk, Desk]) -> None:
    """Two sweepers at once end every lapsed hold exactly once."""
    desks[0].put_user("ann", 700)
    for n in range(30):
        rental(desks[0], authorize(f"new-{n}"))
    rental(desks[0], pick_up())
    for desk in desks:
        desk.clock.advance(START_US + 60 * MINUTE_US)

    def sweep(desk: Desk) -> Callable[[], None]:
        async def main() -> None:
            committer = Committer(desk.engine.apply, CommitLimits())
            committer.start()
            timers = Timers(desk.store, committer, desk.clock, BACKSTAGE, portion=7)
            await timers.wake_due()
            await committer.close()

        return lambda: asyncio.run(main())

    at_once(*(sweep(desk) for desk in desks))
    a, events = t.authorizations.c, t.outbox.c
    with reading(desks[0].store.engine) as connection:
        ended = select(a.state, a.version, func.count()).group_by(a.state, a.version)
        assert [tuple(row) for row in connection.execute(ended)] == [("EXPIRED", 2, 31)]
        ends = select(func.count()).where(events.transition == str(Transition.EXPIRED))
        assert connection.scalar(ends) == 31
    assert balances(desks[0]) == (50_000, 50_000, 0, 0)


def test_payouts_and_folding(desks: tuple[Desk, Desk]) -> None:
    """When one process folds an operator's payable while another pays it out, nothing is lost or
    paid twice."""
    desks[0].put_user("ann", 700)
    for n in range(ROUNDS):
        for desk in desks:
            rental(desk, settle(rental(desk, authorize()), 100))
        out = [
            desk.work(PayOutOperator(OPERATOR, Money("CNY", 97 * 2), f"{n}"), caller=PLATFORM)
            for desk in desks
        ]
        fold = [own_work(FoldPayable(OPERATOR, "CNY")) for _ in desks]
        results = race(desks, [fold[0], out[0]], [fold[1], out[1]])
        assert sorted(isinstance(result[1], bytes) for result in results) == [False, True]
        assert payables_of(desks[0].store.engine, OPERATOR).get("CNY", 0) == 0


def test_increments_at_two_processes_use_only_the_tries_that_there_are(
    desks: tuple[Desk, Desk],
) -> None:
    """Two processes that race on one authorization's tries, granted and refused ones, together
    never use more than the policy allows, and no try is lost."""
    tries = 6
    for n in range(ROUNDS):
        user_id = f"user-{n}"
        desks[0].put_user(user_id, 700)
        it = rental(desks[0], authorize(user_id))
        batches = [
            [desk.work(increment(it, minor)) for minor in (100, 40_000, 100, 40_000)]
            for desk in desks
        ]
        results = [reason(result) for of_desk in race(desks, *batches) for result in of_desk]
        decided = results.count("") + results.count("LINE_EXHAUSTED")
        assert (decided, results.count("INCREMENT_TRIES_USED")) == (tries, 8 - tries)
        with desks[0].store.engine.connect() as connection:
            rows = [
                connection.scalar(
                    select(func.count())
                    .select_from(table)
                    .where(table.c.authorization_id == it.authorization_id)
                )
                for table in (t.later_decisions, t.refused_increments)
            ]
        assert rows == [results.count(""), results.count("LINE_EXHAUSTED")]
        assert stored(desks[0], it).held_minor == 19_900 + 100 * results.count("")
