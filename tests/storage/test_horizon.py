"""Two servers on one PostgreSQL commit in the wrong order: readers miss no event and no row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.errors import Unavailable
from service.domain.ledger import Standing
from service.engine.operations import SetStanding
from service.engine.reads import START, Page, Place
from service.engine.records.transfers import TransferState
from service.engine.tables import AUTHORIZATIONS
from service.ids import RandomIds
from service.storage import horizon as h
from service.storage.backend import Session
from service.storage.database import open_database
from service.storage.horizon import Waiting
from service.storage.lists import Lists
from service.storage.seals import SqlSealStore
from service.storage.store import SqlStore
from tests.engine.acts import HOUR_US, charged, wake
from tests.engine.calls import authorize, reason, rental
from tests.fakes import OPERATOR, CountingIds, Desk, horizon_of, lists_of
from tests.postgres import Cluster

HANG_S = 30.0
SHORT_S = 0.05


class LateIds(CountingIds):
    """Ids of a server whose clock is ahead."""

    def new(self, now_us: int) -> str:
        return "v" + super().new(now_us)[1:]


@dataclass
class Server:
    """A server whose next commit can be delayed."""

    desk: Desk
    held: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """The name of a fresh database."""
    made = cluster.lend()
    yield made
    cluster.give_back(made)


@pytest.fixture(params=["behind", "ahead"])
def servers(cluster: Cluster, name: str, request: pytest.FixtureRequest) -> Iterator[list[Server]]:
    """Two servers on one database; the clock of the first is behind or ahead of the second's."""
    made = []
    for ids in (CountingIds(), LateIds()):
        store = HeldStore(open_database(cluster.url(name)))
        store.server = Server(Desk(store, ids=ids))
        made.append(store.server)
    yield made if request.param == "behind" else made[::-1]
    for server in made:
        server.go.set()
        assert server.desk.faults == []
        server.desk.store.close()


class HeldStore(SqlStore):
    """A store whose next batch waits before its commit."""

    server: Server

    def _commit(self, session: Session) -> None:
        server = self.server
        if server.held:
            server.held = False
            server.reached.set()
            assert server.go.wait(HANG_S)
        super()._commit(session)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads of the test."""
    with ThreadPoolExecutor(4) as made:
        yield made


def hold(server: Server, pool: ThreadPoolExecutor, act: Callable[[], object]) -> Future[object]:
    """Runs a call on a server up to its commit."""
    server.held = True
    running = pool.submit(act)
    assert server.reached.wait(HANG_S)
    return running


Read = Callable[[Lists, Place, int], Page[Any]]


@dataclass(frozen=True)
class Case:
    """A list that clients read repeatedly, and a call that adds a row to it."""

    read: Read
    prepare: Callable[[Desk, str], object]
    add: Callable[[Desk, str, Any], object]

    def ids(self, page: Page[Any]) -> list[str]:
        """The people of a page's rows."""
        return [row.user_id for row in page.rows]


def _rent(desk: Desk, user_id: str, _: object) -> object:
    return rental(desk, authorize(user_id), request_id=f"rent-{user_id}")


def _watch(desk: Desk, user_id: str) -> object:
    desk.put_user(user_id, 700)
    return desk.do(SetStanding(user_id, Standing.WATCHED), caller=PLATFORM)


def _owe(desk: Desk, user_id: str) -> Authorization:
    desk.put_user(user_id, 700)
    return charged(desk, user_id)


def _debit(desk: Desk, _: str, it: Any) -> object:
    desk.clock.advance((it.wake_us or 0) + HOUR_US)
    (result,) = desk.apply(desk.work(wake(it), caller="", request_id=""))
    assert reason(result) == ""
    return result


def _transfers(state: TransferState | None, user_id: str = "") -> Read:
    def read(lists: Lists, after: Place, size: int) -> Page[Any]:
        return lists.transfers(user_id, after=after, size=size, state=state)

    return read


def _authorizations(lists: Lists, after: Place, size: int) -> Page[Any]:
    return lists.authorizations(OPERATOR, after=after, size=size, user_id="", state=None)


def _reviews(lists: Lists, after: Place, size: int) -> Page[Any]:
    return lists.reviews(after=after, size=size)


CASES = {
    "ListAuthorizations": Case(_authorizations, lambda desk, it: desk.put_user(it, 700), _rent),
    "ListReviews": Case(_reviews, _watch, _rent),
    "ListTransfers": Case(_transfers(None), _owe, _debit),
    "ListTransfers by state": Case(_transfers(TransferState.REQUESTED), _owe, _debit),
}
PEOPLE = ("slow", "one", "two", "three")


def prepared(servers: list[Server], case: Case) -> dict[str, Any]:
    """The rows' preconditions, by person."""
    slow, quick = (server.desk for server in servers)
    slow._requests = count(1_000_000)  # not a request id of the other server's
    return {it: case.prepare(slow if it == "slow" else quick, it) for it in PEOPLE}


def all_pages(case: Case, lists: Lists, size: int, after: Place = START) -> list[str]:
    """The people of all rows after a place."""
    found: list[str] = []
    while True:
        page = case.read(lists, after, size)
        found += case.ids(page)
        if page.last is None:
            return found
        after = Place.read(str(page.last))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_late_commit_is_on_a_later_page(
    servers: list[Server], pool: ThreadPoolExecutor, case: Case
) -> None:
    """A page waits for a transaction that took its number before the page's last row, even if that
    server's ids are larger. Each row comes once, and a reader that continues from an early page
    misses no row."""
    slow, quick = (server.desk for server in servers)
    before = prepared(servers, case)
    lists = lists_of(quick.store)
    known = all_pages(case, lists, 10)
    late = hold(servers[0], pool, lambda: case.add(slow, "slow", before["slow"]))
    for it in PEOPLE[1:]:
        case.add(quick, it, before[it])
    fresh = len(known) + 2
    page = pool.submit(case.read, lists, START, fresh)
    with pytest.raises(TimeoutError):
        page.result(4 * SHORT_S)
    servers[0].go.set()
    late.result(HANG_S)
    first = page.result(HANG_S)
    assert first.last is not None
    rest = all_pages(case, lists, 1, first.last)
    assert sorted(case.ids(first) + rest) == sorted([*known, *PEOPLE])
    assert set(PEOPLE) - {"slow"} <= set(case.ids(first) + rest)
    for size in (1, 2, 3):
        assert sorted(all_pages(case, lists, size)) == sorted([*known, *PEOPLE])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_row_of_a_slow_clock_is_on_a_later_page(
    servers: list[Server], pool: ThreadPoolExecutor, case: Case
) -> None:
    """A server with a slow clock makes a row after a page was read. The row comes after that
    page."""
    slow, quick = (server.desk for server in servers)
    before = prepared(servers, case)
    lists = lists_of(slow.store)
    known = len(all_pages(case, lists, 10))
    for it in PEOPLE[1:]:
        case.add(quick, it, before[it])
    page = case.read(lists, START, known + 2)
    assert page.last is not None
    case.add(slow, "slow", before["slow"])
    assert all_pages(case, lists, 10, page.last)[-1] == "slow"


def test_an_earlier_builds_token_misses_no_row(servers: list[Server]) -> None:
    """A token with only an id continues with every row numbered since, and with earlier rows in the
    order of ids."""
    case = CASES["ListAuthorizations"]
    before = prepared(servers, case)
    quick = servers[1].desk
    for it in PEOPLE[1:]:
        case.add(quick, it, before[it])
    lists = lists_of(quick.store)
    page = case.read(lists, START, 2)
    assert page.last is not None
    assert all_pages(case, lists, 10, Place.read(page.last.id)) == list(PEOPLE[1:])
    with quick.store.engine.begin() as connection:
        connection.execute(text("UPDATE authorizations SET arrival = 0"))
    old = sorted(row.authorization_id for row in case.read(lists, START, 9).rows)
    rest = case.read(lists, Place.read(old[0]), 9).rows
    assert [row.authorization_id for row in rest] == old[1:]


def test_an_earlier_builds_server_numbers_its_rows(servers: list[Server]) -> None:
    """A row inserted without a number gets one, and stands after earlier rows."""
    case = CASES["ListAuthorizations"]
    before = prepared(servers, case)
    slow, quick = (server.desk for server in servers)
    case.add(quick, "one", before["one"])
    assert "arrival" not in slow.store._statements.tables[AUTHORIZATIONS].insert.statement.columns
    case.add(slow, "slow", before["slow"])
    assert all_pages(case, lists_of(quick.store), 1) == ["one", "slow"]


def test_a_late_committed_event_is_sealed(servers: list[Server], pool: ThreadPoolExecutor) -> None:
    """Events after a number that may still be committed are left for later, and none is skipped."""
    slow, quick = (server.desk for server in servers)
    prepared(servers, CASES["ListAuthorizations"])
    seals = SqlSealStore(quick.store.engine, horizon_of(quick.store))
    before = seals.unsealed(0, 100).outbox_sequence
    late = hold(servers[0], pool, lambda: _rent(slow, "slow", None))
    _rent(quick, "one", None)
    assert seals.unsealed(before, 100).heads == ()
    assert seals.last_event() > before + 1
    _rent(quick, "two", None)
    servers[0].go.set()
    late.result(HANG_S)
    found = seals.unsealed(before, 100)
    assert {it.user_id for it in found.heads} == {"slow", "one", "two"}
    assert found.outbox_sequence == seals.last_event()


def test_events_are_read_up_to_a_mark_while_others_write(
    servers: list[Server], pool: ThreadPoolExecutor
) -> None:
    """Overlapping writers do not stop a reader: once the transactions under way have ended, every
    number from before the start of the oldest can be read."""
    slow, quick = (server.desk for server in servers)
    prepared(servers, CASES["ListAuthorizations"])
    horizon = horizon_of(quick.store)
    start = horizon.look().events
    first = hold(servers[0], pool, lambda: _rent(slow, "slow", None))
    _rent(quick, "one", None)
    assert horizon.look().events == start
    second = hold(servers[1], pool, lambda: _rent(quick, "two", None))
    servers[0].go.set()
    first.result(HANG_S)
    reached = horizon.look().events
    assert start < reached
    seals = SqlSealStore(quick.store.engine, horizon)
    assert {it.user_id for it in seals.unsealed(start, 100).heads} == {"slow", "one"}
    servers[1].go.set()
    second.result(HANG_S)
    assert horizon.look().events > reached


# -- transactions that delay readers -------------------------------------------------------------


@pytest.fixture
def session(cluster: Cluster, name: str) -> Iterator[psycopg.Connection[Any]]:
    """Another client's session with a transaction."""
    with psycopg.connect(cluster.dsn(name), application_name="stuck") as opened:
        yield opened
        opened.rollback()


WRITE = "UPDATE authorizations SET version = version WHERE false"


def test_a_hanging_writer_is_named(servers: list[Server], session: psycopg.Connection[Any]) -> None:
    """While a transaction that writes to a list does not end, pages up to the reached place are
    given, and so is the last page. A later page is UNAVAILABLE after a bounded wait. The log
    repeatedly names the process."""
    case = CASES["ListAuthorizations"]
    before = prepared(servers, case)
    quick = servers[1].desk
    told: list[Waiting] = []
    lists = lists_of(quick.store, told.append, wait_s=20 * SHORT_S, notice_after_s=SHORT_S)
    for it in ("one", "two"):
        case.add(quick, it, before[it])
    assert case.ids(case.read(lists, START, 1)) == ["one"]
    session.execute(WRITE)
    case.add(quick, "three", before["three"])
    case.add(quick, "slow", before["slow"])
    assert case.ids(case.read(lists, START, 1)) == ["one"]
    assert case.ids(case.read(lists, START, 4)) == ["one", "two", "three", "slow"]
    with pytest.raises(Unavailable, match="has not ended") as refused:
        case.read(lists, START, 3)
    assert refused.value.reason == "LIST_INCOMPLETE"
    assert len(told) > 1
    assert {(it.pid, it.application) for it in told} == {(session.info.backend_pid, "stuck")}
    assert told[-1].since_s > told[0].since_s >= SHORT_S
    session.rollback()
    assert all_pages(case, lists, 3) == ["one", "two", "three", "slow"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM authorizations",
        "SELECT * FROM authorizations FOR UPDATE",
        "UPDATE operators SET name = name",
        "SELECT pg_current_xact_id()",
    ],
)
def test_other_transactions_delay_no_reader(
    servers: list[Server], session: psycopg.Connection[Any], statement: str
) -> None:
    """A long transaction that only reads or locks, or writes to other tables, does not delay a
    reader."""
    case = CASES["ListAuthorizations"]
    before = prepared(servers, case)
    quick = servers[1].desk
    session.execute(statement.encode())
    for it in ("one", "two"):
        case.add(quick, it, before[it])
    assert all_pages(case, lists_of(quick.store, wait_s=0.0), 1) == ["one", "two"]


def test_another_database_delays_no_reader(cluster: Cluster, servers: list[Server]) -> None:
    """A transaction that writes to the same table of another database does not delay a reader."""
    case = CASES["ListAuthorizations"]
    before = prepared(servers, case)
    quick = servers[1].desk
    other = cluster.fresh()
    with psycopg.connect(cluster.dsn(other)) as session:
        session.execute(WRITE)
        for it in ("one", "two"):
            case.add(quick, it, before[it])
        assert all_pages(case, lists_of(quick.store, wait_s=0.0), 1) == ["one", "two"]
    cluster.drop(other)


def test_numbers_of_a_rolled_back_transaction_are_skipped(
    servers: list[Server], session: psycopg.Connection[Any]
) -> None:
    """A number of a rolled back transaction stays a gap, and no reader waits for it."""
    case = CASES["ListAuthorizations"]
    before = prepared(servers, case)
    quick = servers[1].desk
    session.execute(WRITE)
    session.execute("SELECT nextval('arrivals'), nextval('outbox_sequence_seq')")
    case.add(quick, "one", before["one"])
    session.rollback()
    case.add(quick, "two", before["two"])
    assert all_pages(case, lists_of(quick.store, wait_s=0.0), 1) == ["one", "two"]


def test_a_prepared_transaction_is_waited_for_and_named() -> None:
    """A prepared transaction, neither committed nor rolled back, counts as under way."""
    with Cluster(settings={"max_prepared_transactions": "2"}) as cluster:
        desk = Desk(SqlStore(open_database(cluster.url(cluster.fresh()))))
        told: list[Waiting] = []
        horizon = horizon_of(desk.store, told.append, notice_after_s=0.0)
        start = horizon.look()
        dsn = cluster.dsn(str(make_url(desk.store.engine.url).database))
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute("BEGIN")
            session.execute(WRITE)
            session.execute("PREPARE TRANSACTION 'forgotten'")
            desk.put_user("ann", 700)
            _rent(desk, "ann", None)
            assert horizon.look() == start
            assert {it.pid for it in told} == {0}
            session.execute("ROLLBACK PREPARED 'forgotten'")
            assert horizon.look() > start
        desk.store.close()


def test_sqlite_readers_never_wait(file: Any) -> None:
    """On SQLite rows appear in the order of their numbers: every row can be read at once."""
    store = SqlStore(open_database(f"sqlite:///{file}"))
    horizon = horizon_of(store)
    assert horizon.look() == (h.EVERYTHING, h.EVERYTHING)
    assert horizon.reach(1, 0.0)
    store.close()


def test_sqlite_rows_come_once_while_the_clock_stands_still(file: Any) -> None:
    """On SQLite a row that is added between two pages is on a later page, even when a sandbox's
    clock stands still."""
    desk = Desk(SqlStore(open_database(f"sqlite:///{file}")), ids=RandomIds())
    lists, case, after = lists_of(desk.store), CASES["ListAuthorizations"], START
    found: list[str] = []
    for number in range(40):
        desk.put_user(f"u-{number}", 700)
        _rent(desk, f"u-{number}", None)
        page = case.read(lists, after, 3)
        if page.last is not None:
            found += case.ids(page)
            after = page.last
    found += all_pages(case, lists, 3, after)
    assert found == [f"u-{number}" for number in range(40)]
    desk.store.close()


@pytest.mark.parametrize("place", [START, Place(0, "0" * 20), Place(7, "v" * 20)])
def test_a_place_survives_its_text(place: Place) -> None:
    """A place's text reads back as the same place."""
    assert Place.read(str(place)) == place
