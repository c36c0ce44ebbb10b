"""Behaviour of PostgreSQL only: lost answers to COMMIT, conflicts between sessions, bounded
waits."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, String, Table, event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from benchmarks.postgres import children
from service.books import read_values
from service.books.columns import Cursor, rows_of, text_of
from service.books.verify import verify_books
from service.config import LIMITS, Limits
from service.domain.authorization import Authorization
from service.domain.errors import InvariantBroken
from service.domain.ledger import Line
from service.engine.ports import Conflict, OutcomeUnknown, StorageFailed
from service.engine.rows import Rows
from service.engine.tables import LINES, REQUESTS
from service.storage import postgres as settings
from service.storage import schema as t
from service.storage.database import open_database, reading, reading_all, take_time, writing
from service.storage.migrate import is_current, migrate
from service.storage.postgres_session import Session
from service.storage.store import SqlStore
from service.storage.transaction import SqlTransaction
from tests.engine.calls import authorize, balances, counts, line, reason, rental
from tests.engine.faults import FaultyStore
from tests.fakes import CountingIds, Desk, encode
from tests.postgres import Cluster, Wire
from tests.rows import changed, read
from tests.storage.test_schema import row_of
from tests.storage.test_store import READS, everything

HANG_S = 30.0
POLL_S = 0.01


class OtherIds(CountingIds):
    """Another process's ids."""

    def new(self, now_us: int) -> str:
        return "v" + super().new(now_us)[1:]


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """The name of a fresh database."""
    made = cluster.fresh()
    yield made
    cluster.drop(made)


@pytest.fixture
def store(cluster: Cluster, name: str) -> Iterator[SqlStore]:
    """A store on that database."""
    opened = SqlStore(open_database(cluster.url(name)))
    yield opened
    opened.close()


@pytest.fixture
def desk(store: SqlStore) -> Iterator[Desk]:
    """An engine on that store, where Ann scores 700 and Ben 550; at the end the books verify."""
    made = Desk(store)
    made.put_user("ann", 700)
    made.put_user("ben", 550)
    yield made
    assert verify_books(store.engine).fault is None


@pytest.fixture
def wire(cluster: Cluster, tmp_path: Path) -> Iterator[Wire]:
    """A connection to the server that can be cut."""
    made = Wire(cluster.folder, tmp_path)
    yield made
    made.close()


@pytest.fixture
def remote(wire: Wire, cluster: Cluster, name: str) -> Iterator[Desk]:
    """An engine at the other end of the wire; Ann scores 700."""
    made = Desk(SqlStore(open_database(cluster.url(name, wire.folder))))
    made.put_user("ann", 700)
    yield made
    assert verify_books(made.store.engine).fault is None
    made.store.close()


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server for these tests only, which they may kill; it syncs, and can have standbys."""
    with Cluster(safe=True, settings={"wal_level": "replica", "max_wal_senders": "2"}) as started:
        yield started


IMPATIENT = replace(LIMITS, postgres=replace(LIMITS.postgres, answer_s=0.5, connect_s=2))
"""Limits that wait less long for answers than the default."""


@pytest.fixture
def doomed(own: Cluster, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """An engine on that server, with limits that a test may give; Ann scores 700."""
    limits = getattr(request, "param", LIMITS)
    made = Desk(SqlStore(open_database(own.url(own.fresh()), limits=limits)))
    made.put_user("ann", 700)
    yield made
    assert verify_books(made.store.engine).fault is None
    made.store.close()


def until(what: Callable[[], object]) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + HANG_S
    while not what():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(POLL_S)


def sessions(cluster: Cluster, where: str = "true") -> list[int]:
    """Freehold's sessions on the server."""
    found = cluster.admin.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'freehold' AND " + where
    )
    return [row[0] for row in found]


def writing_session(store: SqlStore) -> int:
    """The server's process of a store's writing connection."""
    driver: Any = store._writing_session().driver
    return int(driver.info.backend_pid)


# -- the answer to COMMIT --------------------------------------------------------------------------


def test_a_lost_answer_after_the_commit(remote: Desk, wire: Wire) -> None:
    """If a COMMIT took place but its answer was lost, the outcome is unknown. A retry with the same
    id gets the true answer, and there is one effect."""
    wire.at_commit = Wire.cut_answer
    (result,) = remote.apply(remote.work(authorize(), request_id="r"))
    assert reason(result) == "OUTCOME_UNKNOWN"
    decided = remote.answers["r"]
    wire.hear_again()
    assert remote.apply(remote.work(authorize(), request_id="r")) == [encode(decided)]
    assert counts(remote)["authorizations"] == 1
    assert balances(remote) == (50_000, 30_100, 19_900, 0)


def terminate(cluster: Cluster) -> None:
    """Ends every session of Freehold and waits until they are gone."""
    cluster.admin.execute(
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
        " WHERE application_name = 'freehold'"
    )


@pytest.mark.parametrize("how", ["cut", "terminated"])
def test_a_lost_commit(remote: Desk, wire: Wire, cluster: Cluster, how: str) -> None:
    """If a COMMIT never reached the server, the outcome is unknown too, for a cut connection and
    for an ended session. Nothing is written, and the retry is applied."""
    before = counts(remote)
    wire.at_commit = Wire.cut if how == "cut" else lambda _: terminate(cluster)
    (result,) = remote.apply(remote.work(authorize(), request_id="r"))
    assert reason(result) == "OUTCOME_UNKNOWN"
    until(lambda: not sessions(cluster, "state LIKE 'idle in%'"))
    assert counts(remote) == before
    (again,) = remote.apply(remote.work(authorize(), request_id="r"))
    assert again == encode(remote.answers["r"])
    assert balances(remote) == (50_000, 30_100, 19_900, 0)


@pytest.fixture
def own_wire(own: Cluster, tmp_path: Path) -> Iterator[Wire]:
    """A connection to the server that may be killed."""
    made = Wire(own.folder, tmp_path)
    yield made
    made.close()


def test_a_server_that_dies_at_the_commit(own: Cluster, own_wire: Wire) -> None:
    """If the server is killed as COMMIT arrives, the outcome is unknown. After its restart the
    server has every answered call and no part of this call, and accepts the retry."""
    desk = Desk(SqlStore(open_database(own.url(own.fresh(), own_wire.folder))))
    desk.put_user("ann", 700)
    first = rental(desk, authorize(), request_id="first")
    own_wire.at_commit = lambda _: own.kill()
    (result,) = desk.apply(desk.work(authorize(), request_id="r"))
    assert reason(result) == "OUTCOME_UNKNOWN"
    (away,) = desk.apply(desk.work(authorize(), request_id="r"))
    assert reason(away) == "STORAGE_UNAVAILABLE"
    own.start()
    assert rental(desk, authorize(), request_id="first") == first
    assert counts(desk)["authorizations"] == 1
    rental(desk, authorize(), request_id="r")
    assert counts(desk)["authorizations"] == 2
    assert verify_books(desk.store.engine).fault is None
    desk.store.close()


def renamed(it: Line, user_id: str) -> Line:
    """The same line under another user's name."""
    it.user_id = user_id
    return it


def write_and_stumble(transaction: SqlTransaction, changes: Rows) -> None:
    """A caller that ignores a failed statement."""
    transaction.write(changes)
    with suppress(psycopg.errors.DivisionByZero):
        transaction.cursor.execute("SELECT 1 / 0")


def test_a_commit_that_is_answered_with_rollback(desk: Desk) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK if a failure was ignored. This answer counts as a
    failure: nothing is written, and the next transaction works."""
    store = desk.store
    zoe = changed(LINES, {("zoe", "CNY"): renamed(line(desk), "zoe")})
    with pytest.raises(StorageFailed, match="ROLLBACK"), store.begin() as transaction:
        write_and_stumble(transaction, zoe)
    assert store.line("zoe", "CNY") is None
    rental(desk, authorize())


def test_a_commit_without_its_standbys_answer(own: Cluster, doomed: Desk) -> None:
    """A COMMIT whose wait for the synchronous standby was cancelled is unknown, although PostgreSQL
    answers with success and a warning."""
    own.admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    own.admin.execute("SELECT pg_reload_conf()")
    until(lambda: own.admin.execute("SHOW synchronous_standby_names").fetchall() == [("nobody",)])
    pid = writing_session(doomed.store)
    waits = f"pid = {pid} AND wait_event = 'SyncRep'"

    def give_up() -> None:
        until(lambda: sessions(own, waits))
        own.admin.execute("SELECT pg_cancel_backend(%s)", (pid,))

    impatient = threading.Thread(target=give_up)
    impatient.start()
    (result,) = doomed.apply(doomed.work(authorize(), request_id="r"))
    impatient.join(HANG_S)
    own.admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
    own.admin.execute("SELECT pg_reload_conf()")
    assert reason(result) == "OUTCOME_UNKNOWN"
    assert "01000" in str(doomed.faults[-1])
    until(lambda: own.admin.execute("SHOW synchronous_standby_names").fetchall() == [("",)])
    assert doomed.apply(doomed.work(authorize(), request_id="r")) == [encode(doomed.answers["r"])]
    assert balances(doomed) == (50_000, 30_100, 19_900, 0)


# -- an outage of the server -----------------------------------------------------------------------


def read_back(desk: Desk, it: Authorization) -> Authorization:
    """The authorization as the store reads it for callers."""
    found = desk.store.told(it.user_id, it.authorization_id)
    assert found is not None
    return found.authorization


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_returns(own: Cluster, doomed: Desk, how: str) -> None:
    """While the server is away, calls are UNAVAILABLE and reads fail. When the server is back,
    reads work at once, and calls work at the second try at the latest."""
    first = rental(doomed, authorize(), request_id="r")
    own.stop() if how == "stop" else own.kill()
    for _ in range(3):
        (result,) = doomed.apply(doomed.work(authorize()))
        assert reason(result) == "STORAGE_UNAVAILABLE"
        with pytest.raises(StorageFailed):
            read_back(doomed, first)
    own.start()
    assert read_back(doomed, first) == first
    assert rental(doomed, authorize(), request_id="r") == first
    assert counts(doomed)["authorizations"] == 1


def test_an_unnoticed_restart(own: Cluster, doomed: Desk) -> None:
    """After a restart between two calls, at worst the first is UNAVAILABLE, and the next works."""
    own.stop()
    own.start()
    (result,) = doomed.apply(doomed.work(authorize(), request_id="r"))
    assert reason(result) in ("", "STORAGE_UNAVAILABLE")
    rental(doomed, authorize(), request_id="r")
    assert counts(doomed)["authorizations"] == 1


# -- a stopped server ------------------------------------------------------------------------------

# The time left after one missing answer: a new session (the driver waits for at least two seconds),
# and pauses of this machine. Without its bounds a session would wait for minutes.
BOUNDED_S = 30.0


@contextmanager
def standing_still(*processes: int) -> Iterator[None]:
    """Processes that are stopped but still look alive to the network."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


@contextmanager
def bounded(seconds: float = BOUNDED_S) -> Iterator[None]:
    """Fails when the block takes longer."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def test_a_stopped_session(cluster: Cluster, name: str) -> None:
    """If its session does not answer, a call is UNAVAILABLE in bounded time with nothing written.
    The next call works on another session. The stopped session keeps its locks until it continues
    and ends."""
    desk = hasty(cluster, name, "-c lock_timeout=50", IMPATIENT)
    desk.put_user("ann", 700)
    with standing_still(writing_session(desk.store)):
        with bounded():
            (away,) = desk.apply(desk.work(authorize(), request_id="r"))
        assert reason(away) == "STORAGE_UNAVAILABLE"
        rental(desk, authorize(product_id="umbrella"), request_id="other")
    before = counts(desk)

    def stop_within(transaction: SqlTransaction, stack: ExitStack) -> None:
        read(transaction, LINES, ["ann"], ("user_id",))
        stack.enter_context(standing_still(writing_session(desk.store)))
        read(transaction, REQUESTS, [("city", "r")])

    with ExitStack() as stack:
        with bounded(), pytest.raises(StorageFailed), desk.store.begin() as transaction:
            stop_within(transaction, stack)
        desk.put_user("ben", 700)
        (locked,) = desk.apply(desk.work(authorize(), request_id="r"))
        assert reason(locked) == "STORAGE_UNAVAILABLE"
        assert counts(desk)["authorizations"] == before["authorizations"]
    until(lambda: not reason(desk.apply(desk.work(authorize(), request_id="r"))[0]))
    assert counts(desk)["authorizations"] == before["authorizations"] + 1
    assert verify_books(desk.store.engine).fault is None
    desk.store.close()


def test_a_stopped_commit(cluster: Cluster, name: str, wire: Wire) -> None:
    """If a COMMIT reached a stopped session, the outcome is unknown in bounded time. The COMMIT
    takes place when the session continues, and then a retry with the same id gets the true
    answer."""
    url = cluster.url(name, wire.folder)
    desk = Desk(SqlStore(open_database(url, limits=IMPATIENT)))
    desk.put_user("ann", 700)
    pid = writing_session(desk.store)
    with ExitStack() as stack:
        wire.at_commit = lambda _: stack.enter_context(standing_still(pid))
        with bounded():
            (result,) = desk.apply(desk.work(authorize(), request_id="r"))
        assert reason(result) == "OUTCOME_UNKNOWN"
        assert counts(desk)["authorizations"] == 0
    until(lambda: not sessions(cluster, f"pid = {pid}"))
    assert counts(desk)["authorizations"] == 1
    assert desk.apply(desk.work(authorize(), request_id="r")) == [encode(desk.answers["r"])]
    assert balances(desk) == (50_000, 30_100, 19_900, 0)
    assert verify_books(desk.store.engine).fault is None
    desk.store.close()


@pytest.mark.parametrize("doomed", [IMPATIENT], indirect=True)
def test_a_stopped_server(own: Cluster, doomed: Desk) -> None:
    """While the whole server is stopped, calls are UNAVAILABLE and reads fail, each in bounded
    time. When the server continues, both work at once."""
    first = rental(doomed, authorize(), request_id="r")
    assert own._server is not None
    with standing_still(own._server.pid, *children(own._server.pid)):
        for _ in range(2):
            with bounded():
                (result,) = doomed.apply(doomed.work(authorize()))
            assert reason(result) == "STORAGE_UNAVAILABLE"
        with bounded(), pytest.raises(StorageFailed):
            read_back(doomed, first)
    assert read_back(doomed, first) == first
    assert rental(doomed, authorize(), request_id="r") == first
    assert counts(doomed)["authorizations"] == 1


def test_long_work_has_a_longer_bound(cluster: Cluster, name: str) -> None:
    """A migration and a full read may take longer than the answer to a call, and the next user of
    their connection has the usual bound."""
    engine = open_database(cluster.url(name), limits=IMPATIENT)
    slow, pid = text("SELECT pg_sleep(1)"), text("SELECT pg_backend_pid()")
    with writing(engine) as connection:
        first = connection.scalar(pid)
        take_time(connection)
        connection.execute(slow)
    with reading_all(engine, 3) as connection:
        connection.execute(slow).all()
    with bounded(), reading(engine) as connection:
        assert connection.scalar(pid) == first
        with pytest.raises(OperationalError, match="did not answer in time"):
            connection.execute(slow)
    engine.dispose()


def test_a_full_read_may_stand_still(store: SqlStore) -> None:
    """A full read may work on a portion for longer than a call's transaction may stand still. A
    write may not, because it blocks rows."""
    bound = text("SELECT current_setting('idle_in_transaction_session_timeout')")
    with reading_all(store.engine, 3) as connection:
        assert connection.scalar(bound) == "10min"
    with reading(store.engine) as connection:
        assert connection.scalar(bound) == "10s"
        take_time(connection)
        assert connection.scalar(bound) == "0"
    with writing(store.engine) as connection:
        take_time(connection)
        assert connection.scalar(bound) == "10s"


def test_a_refused_read_tells_the_state_and_no_row(store: SqlStore) -> None:
    """The cause of a refused read is the name and the state of PostgreSQL's error, without its
    text, which may quote a row."""
    with pytest.raises(StorageFailed) as failed, reading(store.engine) as connection:
        connection.execute(text("SELECT CAST('Ann' AS integer)"))
    told = "".join(traceback.format_exception(failed.value))
    assert "PostgresError: InvalidTextRepresentation (22P02)" in told
    assert "invalid input syntax" not in told


# -- conflicts between sessions --------------------------------------------------------------------


@pytest.fixture
def shaky(cluster: Cluster, name: str) -> Iterator[Desk]:
    """An engine whose transactions are counted; Ann scores 700, Ben 550."""
    store = FaultyStore(open_database(cluster.url(name)))
    made = Desk(store)
    made.put_user("ann", 700)
    made.put_user("ben", 550)
    store.transactions = 0
    yield made
    assert verify_books(store.engine).fault is None
    store.close()


def transactions(desk: Desk) -> int:
    """The number of transactions that the engine has begun."""
    assert isinstance(desk.store, FaultyStore)
    return desk.store.transactions


FAIL_ONCE = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A sequence does not roll back.
    IF nextval('tries') = 1 THEN
        RAISE EXCEPTION 'as told' USING ERRCODE = '{code}';
    END IF;
    RETURN NEW;
END $$;
CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON requests
    DEFERRABLE INITIALLY {when} FOR EACH ROW EXECUTE FUNCTION fail_once();
"""


@pytest.mark.parametrize("when", ["IMMEDIATE", "DEFERRED"])
@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_conflicts_of_postgresql_are_tried_again(
    shaky: Desk, cluster: Cluster, name: str, code: str, when: str
) -> None:
    """A serialization failure or a deadlock, in a statement or at COMMIT, is tried again within the
    call, with one effect."""
    with psycopg.connect(cluster.dsn(name)) as connection:
        connection.execute(FAIL_ONCE.format(code=code, when=when).encode())
    it = rental(shaky, authorize(), request_id="r")
    assert transactions(shaky) == 2
    assert balances(shaky) == (50_000, 30_100, 19_900, 0)
    assert rental(shaky, authorize(), request_id="r") == it


def test_a_deadlock_is_tried_again(cluster: Cluster, name: str, shaky: Desk) -> None:
    """A batch that PostgreSQL ends to resolve a deadlock is decided again and applied."""
    url = make_url(cluster.url(name)).update_query_dict({"options": "-c deadlock_timeout=2s"})
    store = FaultyStore(open_database(url.render_as_string(hide_password=False)))
    desk = Desk(store, ids=OtherIds())
    lock = "SELECT 1 FROM lines WHERE user_id = %s FOR UPDATE"
    with psycopg.connect(cluster.dsn(name)) as rival:
        rival.execute("SET deadlock_timeout = '1h'")
        rival.execute(lock, ("ben",))
        pid = writing_session(store)

        def cross() -> None:
            until(lambda: sessions(cluster, f"pid = {pid} AND wait_event_type = 'Lock'"))
            rival.execute(lock, ("ann",))
            rival.commit()

        crossing = threading.Thread(target=cross)
        crossing.start()
        results = desk.apply(desk.work(authorize("ann")), desk.work(authorize("ben")))
        crossing.join(HANG_S)
    assert [reason(result) for result in results] == ["", ""]
    # More than one, if this batch locked Ann's line again before the rival woke up.
    assert store.transactions >= 2
    store.close()


def test_a_version_that_changed_under_a_lock(shaky: Desk, store: SqlStore) -> None:
    """A row that another session changed while a batch waited for it is read in its new state."""
    rival = Desk(store, ids=OtherIds())
    rental(rival, authorize(product_id="umbrella"), request_id="rival")
    rental(shaky, authorize(product_id="umbrella"), request_id="ours")
    assert transactions(shaky) == 1
    assert balances(shaky) == (50_000, 38_200, 11_800, 0)


# -- waits are bounded -----------------------------------------------------------------------------


def test_every_session_has_its_bounds(store: SqlStore) -> None:
    """Writing and reading sessions get their bounds and durability from one place, and write at
    READ COMMITTED, even if the server's default differs."""
    with store.begin() as transaction:
        cursor: Any = transaction.cursor
        found = {}
        for setting in (*settings.postgres_settings(LIMITS.postgres), "transaction_isolation"):
            cursor.execute(f"SHOW {setting}")
            found[setting] = cursor.fetchone()[0]
    assert found == {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "10s",
        "synchronous_commit": "on",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_seqscan": "off",
        "jit": "off",
        "plan_cache_mode": "force_custom_plan",
        "application_name": "freehold",
        "transaction_isolation": "read committed",
    }
    with reading(store.engine) as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "10s"
        assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"
        assert connection.scalar(text("SHOW transaction_read_only")) == "on"
    with store.begin() as transaction:
        cursor = transaction.cursor
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",)


def hasty(cluster: Cluster, name: str, options: str, limits: Limits = LIMITS) -> Desk:
    """An engine whose sessions wait less long."""
    url = make_url(cluster.url(name)).update_query_dict({"options": options})
    store = SqlStore(open_database(url.render_as_string(hide_password=False), limits=limits))
    return Desk(store, ids=OtherIds())


def test_a_lock_that_is_held_too_long(cluster: Cluster, name: str, desk: Desk) -> None:
    """If another session locks a line for too long, the call is refused before the write. Once the
    line is free, the call passes."""
    other = hasty(cluster, name, "-c lock_timeout=50")
    with psycopg.connect(cluster.dsn(name)) as rival:
        rival.execute("SELECT 1 FROM lines WHERE user_id = 'ann' FOR UPDATE")
        (result,) = other.apply(other.work(authorize(), request_id="r"))
    assert reason(result) == "STORAGE_UNAVAILABLE"
    assert "55P03" in str(other.faults[-1])
    rental(other, authorize(), request_id="r")
    other.store.close()


def test_an_idle_transaction_is_ended(cluster: Cluster, name: str, desk: Desk) -> None:
    """The server ends an idle transaction, so that others can use the locked rows. Later statements
    of this transaction fail and write nothing."""
    other = hasty(cluster, name, "-c idle_in_transaction_session_timeout=50")
    pid = writing_session(other.store)
    zoe = changed(LINES, {("zoe", "CNY"): renamed(line(desk), "zoe")})

    def stand_still(transaction: SqlTransaction) -> None:
        read(transaction, LINES, ["ann"], ("user_id",))
        until(lambda: not sessions(cluster, f"pid = {pid}"))
        rental(desk, authorize())
        transaction.write(zoe)

    with pytest.raises(StorageFailed), other.store.begin() as transaction:
        stand_still(transaction)
    assert other.store.line("zoe", "CNY") is None
    other.store.close()


def test_scoring_holds_no_transaction_open(desk: Desk, cluster: Cluster) -> None:
    """No transaction is open between the read of the features and the start of the batch."""
    assert set(desk.store.features(["ann", "ben"])) == {"ann", "ben"}
    pid = writing_session(desk.store)
    until(lambda: sessions(cluster, f"pid = {pid} AND state = 'idle'"))
    assert not sessions(cluster, "state LIKE 'idle in%'")


# -- the log ---------------------------------------------------------------------------------------

SECRET = "anna.secret"


def told(error: BaseException) -> str:
    """All text of an error that a log may contain."""
    return "".join(traceback.format_exception(error))


def negative(desk: Desk) -> Rows:
    """A line that violates a CHECK."""
    it = line(desk)
    it.user_id, it.held_minor = SECRET, -5
    return changed(LINES, {(SECRET, "CNY"): it})


def taken(desk: Desk) -> Rows:
    """A line that exists already."""
    desk.put_user(SECRET, 700)
    return changed(LINES, {(SECRET, "CNY"): line(desk, SECRET)})


def too_long(desk: Desk) -> Rows:
    """A line whose key is too long."""
    it = line(desk)
    it.user_id = SECRET * 40
    return changed(LINES, {(it.user_id, "CNY"): it})


def with_nul(desk: Desk) -> Rows:
    """A line whose key PostgreSQL cannot store."""
    it = line(desk)
    it.user_id = f"{SECRET}\0"
    return changed(LINES, {(it.user_id, "CNY"): it})


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (negative, InvariantBroken),
        (taken, Conflict),
        (too_long, InvariantBroken),
        (with_nul, InvariantBroken),
    ],
)
def test_no_row_is_quoted(desk: Desk, make: Callable[[Desk], Rows], kind: type[Exception]) -> None:
    """PostgreSQL quotes a refused row in its message; our errors do not."""
    changes = make(desk)
    with pytest.raises(kind) as caught, desk.store.begin() as transaction:
        transaction.write(changes)
    assert SECRET not in told(caught.value)


def test_a_failed_read_quotes_nothing(desk: Desk) -> None:
    """A read that PostgreSQL refuses is a failure with the error code and without quoted values."""
    with pytest.raises(StorageFailed) as caught, reading(desk.store.engine) as connection:
        connection.execute(text(f"SELECT CAST('{SECRET}' AS integer)"))
    assert SECRET not in told(caught.value)


# -- plans -----------------------------------------------------------------------------------------

MANY = 20_000


GROWING = (
    t.users, t.feature_snapshots, t.lines, t.entries, t.authorizations, t.requests,
    t.open_items, t.payments, t.transfers, t.operator_payables, t.sealed_heads,
    t.charge_backs, t.suspense,
)  # fmt: skip


def fill(
    connection: Connection,
    tables: Sequence[Table] = GROWING,
    count: int = MANY,
    *,
    analyze: bool = True,
) -> None:
    """Adds many rows to every table that grows, with keys in no order."""
    for table in tables:
        connection.execute(table.insert(), row_of(table))
        columns = ", ".join(
            f"left(md5(n::text), {column.type.length})"
            if column.primary_key and isinstance(column.type, String)
            else column.name
            for column in table.columns
        )
        names = [column.name for column in table.columns]
        key = next(iter(table.primary_key)).name
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {columns} FROM {table.name}, "
            f"generate_series(1, {count}) AS n WHERE {key} = 'x'"
        )
        if analyze:
            connection.exec_driver_sql(f"ANALYZE {table.name}")


def scans(connection: Connection, sql: str, parameters: Any) -> list[str]:
    """The tables that a statement's plan reads in full."""
    (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", parameters).one()
    found, nodes = [], [plan[0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node["Node Type"] == "Seq Scan":
            found.append(node["Relation Name"])
    return found


def watched_desk(store: SqlStore) -> tuple[Desk, dict[str, Any]]:
    """A desk with connections of its own, and the reads that it makes from now on, with their
    parameters."""
    ran: dict[str, Any] = {}

    class Watched(psycopg.Cursor[Any]):
        """Records the statements it runs."""

        def execute(self, query: Any, params: Any = None, **options: Any) -> Watched:
            if isinstance(query, str) and query.startswith(READS):
                ran[query] = params
            return super().execute(query, params, **options)

    engine = open_database(store.engine.url.render_as_string(hide_password=False))
    event.listen(engine, "connect", lambda c, _: setattr(c, "cursor_factory", Watched))
    return Desk(SqlStore(engine)), ran


def test_no_statement_of_a_call_reads_a_whole_table(store: SqlStore) -> None:
    """On large tables no statement of any command, the sweeper's search, lists, gets or key lookups
    reads a table in full."""
    watched, ran = watched_desk(store)
    for user_id, score in (("ann", 700), ("ben", 550), ("cem", 450)):
        watched.put_user(user_id, score)
    with store.engine.begin() as connection:
        fill(connection)
    everything(watched)
    assert len(ran) > 15
    with store.engine.connect() as connection:
        assert scans(connection, "SELECT * FROM lines WHERE held_minor = 1", ())
        # A worker adds up the balances of all operators, whose rows another worker merges.
        ran = {sql: it for sql, it in ran.items() if "GROUP BY operator_payables" not in sql}
        read = {sql: scans(connection, sql, params) for sql, params in ran.items()}
    catalog = {
        *("operators", "api_keys", "policies", "products", "limit_steps", "feature_schemas"),
        *("exposure_rates", "listing_kinds"),
    }
    assert {sql: found for sql, found in read.items() if set(found) - catalog} == {}
    watched.store.close()


def test_a_batch_reads_a_table_without_statistics_by_an_index(store: SqlStore) -> None:
    """A full batch reads no table in full that has no statistics yet, however small it looks."""
    watched, ran = watched_desk(store)
    with store.engine.begin() as connection:
        fill(connection, count=SOME, analyze=False)
    people = [f"p-{number}" for number in range(64)]
    watched.put_users(**dict.fromkeys(people, 700.0))
    ran.clear()
    results = watched.apply(*(watched.work(authorize(it, "bike", it)) for it in people))
    assert not [it for it in results if isinstance(it, Exception)], results
    with store.engine.connect() as connection:
        read = {sql: scans(connection, sql, params) for sql, params in ran.items()}
    assert len(read) >= 4
    assert {sql: found for sql, found in read.items() if found} == {}
    watched.store.close()


READ = (*GROWING, t.decisions)
SOME = 3_000
"""A number of rows at which the planner, without statistics, would choose nested loops."""


def products(plan: dict[str, Any]) -> list[str]:
    """The large tables that a plan reads in full for each row of another large one."""
    parts = plan.get("Plans", [])
    found = [name for part in parts for name in products(part)]
    if plan["Node Type"] == "Nested Loop":
        outer, inner = parts[:2]
        if whole(outer) and inner["Node Type"] in ("Seq Scan", "Materialize"):
            found += whole(inner)
    return found


def whole(plan: dict[str, Any]) -> list[str]:
    """The large tables that a plan reads in full."""
    large = {table.name for table in (*READ, t.outbox)}
    own = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return [it for it in own if it in large] + [
        name for part in plan.get("Plans", []) for name in whole(part)
    ]


def test_a_verification_joins_large_tables_without_statistics(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On large tables without statistics, no query of a verification compares every row of one
    table with every row of another."""
    ran: set[str] = set()
    opened = Cursor.__init__

    def watched(it: Cursor, connection: Connection, name: str, query: Any) -> None:
        ran.add(text_of(connection, query).sql)
        opened(it, connection, name, query)

    monkeypatch.setattr(Cursor, "__init__", watched)
    # As if there were a policy with rules.
    monkeypatch.setattr(read_values, "first_of", lambda *_: ("policy",))
    desk = Desk(store)
    desk.put_user("ann", 700)
    assert rental(desk, authorize()).held_minor
    assert verify_books(store.engine).fault is None
    assert len(ran) > 30
    with store.engine.begin() as connection:
        fill(connection, READ, SOME, analyze=False)
        connection.execute(t.outbox.insert(), row_of(t.outbox))
        one, names = "authorization_version", ", ".join(it.name for it in t.outbox.columns)
        values = names.replace("sequence", "1000000 + n").replace(one, "n")
        connection.exec_driver_sql(
            f"INSERT INTO outbox ({names}) SELECT {values} FROM outbox, "
            f"generate_series(2, {SOME}) AS n WHERE user_id = 'x'"
        )
    slow = {}
    with reading(store.engine) as connection:
        take_time(connection)
        for sql in ran:
            ((plan,),) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}").all()
            if found := products(plan[0]["Plan"]):
                slow[sql] = found
    assert slow == {}


# -- reads of everything ---------------------------------------------------------------------------


def test_a_long_read_streams_one_state(desk: Desk) -> None:
    """A long read takes portions from a server-side cursor, sees one state even while others write,
    and has no time limit."""
    for n in range(10):
        desk.put_user(f"user-{n}", 700)
    with reading_all(desk.store.engine, 3) as connection:
        rows = iter(connection.execute(select(t.lines.c.user_id).order_by(t.lines.c.user_id)))
        first = next(rows)
        asked = "SELECT (SELECT count(*) FROM pg_cursors), current_setting('statement_timeout')"
        ((cursors, bound),) = connection.execute(text(asked))
        # Its own lock, and the lines' one.
        assert (cursors, bound) == (2, "0")
        desk.put_user("zoe", 700)
        assert [row[0] for row in (first, *rows)] == sorted(
            ["ann", "ben", *(f"user-{n}" for n in range(10))]
        )
    with reading_all(desk.store.engine, 3) as connection:
        assert next(iter(connection.execute(select(t.lines.c.user_id)))) is not None
    with reading(desk.store.engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_cursors")) == 0
        assert connection.scalar(text("SHOW statement_timeout")) == "10s"


def test_rows_that_verification_leaves_unread_end_with_its_read(desk: Desk) -> None:
    """Rows that verification leaves unread at a fault end with its read, before another call uses
    the session."""
    with reading_all(desk.store.engine, 3) as connection:
        rows = rows_of(connection, select(t.lines.c.user_id))
        assert next(rows) == ("ann",)
    with reading(desk.store.engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_cursors")) == 0
        del rows
        assert connection.scalar(text("SELECT 1")) == 1


def test_verify_sees_one_state(desk: Desk) -> None:
    """Books are verified in one state of the database while others write, and a row changed by hand
    is found."""
    rental(desk, authorize(), request_id="r")
    stop, written = threading.Event(), threading.Event()
    rival = Desk(SqlStore(desk.store.engine), ids=OtherIds())

    def write() -> None:
        for n in range(10_000):
            rental(rival, authorize(f"user-{n}"), request_id=f"w-{n}")
            written.set()
            if stop.is_set():
                break

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(HANG_S)
        for _ in range(5):
            assert verify_books(desk.store.engine).fault is None
    finally:
        stop.set()
        writer.join(HANG_S)
        rival.store._drop_writer()
    change = t.lines.update().where(t.lines.c.user_id == "ann")
    limit, available = t.lines.c.limit_minor, t.lines.c.available_minor
    with desk.store.engine.begin() as connection:
        connection.execute(change.values(limit_minor=limit + 1, available_minor=available + 1))
    fault = verify_books(desk.store.engine).fault
    assert fault is not None
    assert fault.row == "lines/ann/CNY"
    with desk.store.engine.begin() as connection:
        connection.execute(change.values(limit_minor=limit - 1, available_minor=available - 1))


# -- migrations ------------------------------------------------------------------------------------


def test_two_migrations_at_once(cluster: Cluster) -> None:
    """When two processes migrate one database at once, one waits for the other; both succeed."""
    empty = cluster.empty()
    engines = [open_database(cluster.url(empty)) for _ in range(2)]
    together = threading.Barrier(2, timeout=HANG_S)
    failed: list[BaseException] = []

    def run(engine: Engine) -> None:
        try:
            together.wait()
            migrate(engine)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
    assert failed == []
    assert is_current(engines[0])
    for engine in engines:
        engine.dispose()
    cluster.drop(empty)


def read_while_lost(connection: Connection, lost: list[Session]) -> None:
    """Reads, loses the connection, and reads again."""
    connection.execute(text("SELECT 1"))
    driver: Any = connection.connection.driver_connection
    lost.append(driver)
    connection.execute(text("SELECT 2"))


def test_a_lost_reader_gives_its_place_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a read loses its connection, it raises StorageFailed, even if the driver has not noticed
    the loss. The read gives its place in the pool back."""
    engine, lost = desk.store.engine, list[Session]()
    wait, rollback = Session.wait, Session.rollback

    def losing(session: Session, *words: Any, **options: Any) -> Any:
        if session in lost:
            raise psycopg.OperationalError("consuming input failed: as told")
        return wait(session, *words, **options)

    def ending(session: Session) -> None:
        if session not in lost:
            rollback(session)

    monkeypatch.setattr(Session, "wait", losing)
    # As of a session that ended with its server: there is nothing left to undo.
    monkeypatch.setattr(Session, "rollback", ending)
    pool: Any = engine.pool
    before = pool.checkedout()
    for _ in range(LIMITS.postgres.connections + 1):
        with pytest.raises(StorageFailed), reading(engine) as connection:
            read_while_lost(connection, lost)
    pool = engine.pool
    assert pool.checkedout() <= before
    lost.clear()
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT 3")) == 3


def test_an_unknown_outcome_drops_the_connection(remote: Desk, wire: Wire) -> None:
    """A connection whose COMMIT failed is not used again."""
    before = remote.store._writer
    changes = changed(LINES, {("zoe", "CNY"): renamed(line(remote), "zoe")})
    wire.at_commit = Wire.cut
    with pytest.raises(OutcomeUnknown), remote.store.begin() as transaction:
        transaction.write(changes)
    assert before is not None
    assert before.closed
    assert remote.store._writer is None


def test_a_session_stuck_in_autocommit_is_dropped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a session cannot leave autocommit after a read, nobody writes to it: the read is refused,
    and the next batch gets another session."""
    store = desk.store
    stuck = store._writing_session().driver
    autocommit: Any = Session.autocommit

    def refuse(session: Session, on: bool) -> None:
        if not on and session is stuck:
            raise psycopg.OperationalError("as told")
        autocommit.__set__(session, on)

    monkeypatch.setattr(Session, "autocommit", property(autocommit.__get__, refuse))
    with pytest.raises(StorageFailed):
        store.features(["ann"])
    assert store._writing_session().driver is not stuck
    assert rental(desk, authorize()).held_minor
