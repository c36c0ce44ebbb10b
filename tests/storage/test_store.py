"""The store: conflicts, failures, query plans, reads."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start, State
from service.domain.cases import CaseState, WaitingCase
from service.domain.errors import InvariantBroken
from service.domain.money import Money
from service.domain.product import Operator
from service.engine.operations import Authorize, Item, PayOutOperator, ReportTransfer, Wake
from service.engine.ports import Conflict, OutcomeUnknown, StorageFailed
from service.engine.reads import START, CaseFilter, Page, Place
from service.engine.records.authorizations import OpenItem
from service.engine.records.requests import RequestRecord
from service.engine.records.transfers import TransferState
from service.engine.rows import Rows
from service.engine.tables import AUTHORIZATIONS, LINES, OPEN_ITEMS, PAYMENTS, REQUESTS, USERS
from service.storage import schema as t
from service.storage.charge_backs import ChargeBackLists
from service.storage.database import open_database
from service.storage.keys import find_principal
from service.storage.row_statements import MOST_ROWS
from service.storage.statements import statements_of
from service.storage.store import SqlStore
from service.storage.transaction import SqlTransaction
from tests.conftest import NewFile
from tests.engine.calls import (
    authorize,
    confirm,
    counts,
    pay,
    pick_up,
    rental,
    reverse,
    reverse_origin,
    settle,
    start,
)
from tests.fakes import MINUTE_US, OPERATOR, OTHER_OPERATOR, START_US, Desk, lists_of
from tests.rows import changed, read
from tests.terms import copied_product

# -- conflicts -------------------------------------------------------------------------------


def stale_line(desk: Desk) -> Rows:
    """A line whose version changed after the read."""
    line = desk.store.line("ann", "CNY")
    assert line is not None
    read = line.copy()
    read.version -= 1
    return changed(LINES, {("ann", "CNY"): line}, {("ann", "CNY"): read})


def stale_authorization(desk: Desk) -> Rows:
    """An authorization whose version changed after the read."""
    it = rental(desk, authorize())
    key = (it.user_id, it.authorization_id)
    return changed(AUTHORIZATIONS, {key: it._replace(version=8)}, {key: it._replace(version=7)})


def stale_user(desk: Desk) -> Rows:
    """A person whose features were replaced after the read."""
    with desk.store.begin() as transaction:
        user = read(transaction, USERS, ["ann"])["ann"]
    return changed(USERS, {"ann": user}, {"ann": user._replace(feature_version=9)})


def freed_item(desk: Desk) -> Rows:
    """An item that another process freed after the read."""
    key = (OPERATOR, "bike-7")
    return changed(OPEN_ITEMS, {key: None}, {key: OpenItem(*key, "ann", "a-1")})


def taken_item(desk: Desk) -> Rows:
    """An item that another process took after the read."""
    rental(desk, authorize(asset_id="bike-7"))
    key = (OPERATOR, "bike-7")
    return changed(OPEN_ITEMS, {key: OpenItem(*key, "ann", "a-1")})


def new_line(desk: Desk) -> Rows:
    """A line that another process opened after the read."""
    line = desk.store.line("ann", "CNY")
    assert line is not None
    return changed(LINES, {("ann", "CNY"): line})


def taken_request(desk: Desk) -> Rows:
    """A request id that another process used after the read."""
    rental(desk, authorize(), request_id="r")
    record = RequestRecord(OPERATOR, "r", "Settle", b"", b"", "ann", "", START_US)
    return changed(REQUESTS, {(OPERATOR, "r"): record})


def taken_after_another(desk: Desk) -> Rows:
    """A used request id after a free one: the statement fails in its middle."""
    changes = taken_request(desk)
    (record,) = changes.changed[REQUESTS].values()
    changes.changed[REQUESTS][OPERATOR, "q"] = record._replace(request_id="q")
    return changes


def used_tombstone(desk: Desk) -> Rows:
    """A tombstone that a late Authorize replaced after the read."""
    desk.do(reverse_origin("ann", "r"))
    with desk.store.begin() as transaction:
        base = read(transaction, REQUESTS, [(OPERATOR, "r")])
    rental(desk, authorize(), request_id="r")
    late = {key: it._replace(method="Authorize") for key, it in base.items()}
    return changed(REQUESTS, late, base)


@pytest.mark.parametrize(
    "make",
    [stale_line, stale_authorization, stale_user, freed_item, taken_item, new_line, taken_request,
     taken_after_another, used_tombstone],
)  # fmt: skip
def test_a_changed_row_is_a_conflict(desk: Desk, make: Callable[[Desk], Rows]) -> None:
    """If a row changed since it was read, or another process took a key, that is a conflict, and no
    part of the batch is written."""
    desk.put_user("ann", 700)
    changes = make(desk)
    other = desk.store.line("ann", "CNY")
    assert other is not None
    other.user_id, other.version = "zoe", 1
    changes.changed.setdefault(LINES, {})["zoe", "CNY"] = other
    before = counts(desk)
    with pytest.raises(Conflict), desk.store.begin() as transaction:
        transaction.write(changes)
    assert counts(desk) == before
    assert desk.store.line("zoe", "CNY") is None


def write_and_fail(transaction: SqlTransaction, changes: Rows) -> None:
    """A caller with a defect."""
    transaction.write(changes)
    raise ZeroDivisionError


def test_an_error_in_the_block_rolls_back(desk: Desk) -> None:
    """The caller's error passes through, and nothing is written."""
    desk.put_user("ann", 700)
    line = desk.store.line("ann", "CNY")
    assert line is not None
    line.user_id = "zoe"
    with pytest.raises(ZeroDivisionError), desk.store.begin() as transaction:
        write_and_fail(transaction, changed(LINES, {("zoe", "CNY"): line}))
    assert desk.store.line("zoe", "CNY") is None
    with desk.store.begin() as transaction:
        transaction.write(changed(LINES, {("zoe", "CNY"): line}))
    assert desk.store.line("zoe", "CNY") == line


def test_a_locked_database_is_a_failure_before_the_write(file: Path) -> None:
    """While another process holds the lock, no transaction begins; afterwards all works."""
    engine = open_database(f"sqlite:///{file}")
    event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA busy_timeout=0"))
    store = SqlStore(engine)
    rival = sqlite3.connect(file, isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailed), store.begin():
        pytest.fail("the block must not be entered")
    rival.execute("ROLLBACK")
    rival.close()
    with store.begin() as transaction:
        assert read(transaction, USERS, ["ann"]) == {}
    store.close()


# -- meanings of a failed statement or COMMIT ------------------------------------------------


class Refusal(sqlite3.OperationalError):
    """A driver's error with PostgreSQL's code, or SQLite's name for it."""

    def __init__(self, sqlstate: str | None = None, name: str | None = None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate
        self.sqlite_errorname = name or ""


class FakeSession:
    """A session whose transactions begin and end as scripted."""

    driver = memory = None

    def __init__(
        self,
        *,
        at_begin: Exception | None = None,
        at_commit: Exception | None = None,
        at_rollback: Exception | None = None,
        gone: bool = False,
    ) -> None:
        self.at_begin, self.at_commit, self.at_rollback = at_begin, at_commit, at_rollback
        self.rolled_back = 0
        self.gone = gone

    def begin(self) -> Any:
        """A cursor on which no statement is run; or raises the scripted error."""
        if self.at_begin is not None:
            raise self.at_begin

    def commit(self) -> None:
        """Raises the scripted error."""
        if self.at_commit is not None:
            raise self.at_commit

    def rollback(self) -> None:
        """Counts, and raises the scripted error."""
        self.rolled_back += 1
        if self.at_rollback is not None:
            raise self.at_rollback

    def read(self, fetch: Any) -> Any:
        """Reads nothing."""


class FakeConnection:
    """A connection that counts its invalidations."""

    def __init__(self) -> None:
        self.invalidated = 0

    def invalidate(self) -> None:
        """Counts."""
        self.invalidated += 1

    def close(self) -> None:
        """Does nothing."""


class FakeEngine:
    """The parts of an engine that a store needs."""

    def __init__(self, dialect: Any) -> None:
        self.dialect = dialect

    def get_execution_options(self) -> dict[str, Any]:
        """No limits were given."""
        return {}


def scripted(backend: str, session: FakeSession) -> SqlStore:
    """A store of one backend on a scripted session."""
    dialect: Any
    if backend == "postgresql":
        dialect = psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
    else:
        dialect = pysqlite.dialect()
    dialect.dbapi = sqlite3  # replaces psycopg too: the same tree of errors
    made = SqlStore(cast(Engine, FakeEngine(dialect)))
    made._writer, made._session = cast(Connection, FakeConnection()), session
    return made


@pytest.mark.parametrize(
    ("backend", "at_commit", "meaning"),
    [
        ("sqlite", Refusal(name="SQLITE_FULL"), StorageFailed),
        ("sqlite", Refusal(name="SQLITE_BUSY"), StorageFailed),
        ("sqlite", Refusal(name="SQLITE_IOERR_FSYNC"), OutcomeUnknown),
        ("sqlite", Refusal(), OutcomeUnknown),
        ("postgresql", Refusal(), OutcomeUnknown),
        ("postgresql", Refusal("57P01"), OutcomeUnknown),
        ("postgresql", Refusal("08006"), OutcomeUnknown),
        ("postgresql", Refusal("40001"), Conflict),
        ("postgresql", Refusal("40P01"), Conflict),
    ],
)
def test_a_commit_that_fails_is_unknown(
    backend: str, at_commit: Exception, meaning: type[Exception]
) -> None:
    """After a failed COMMIT the outcome is unknown, unless the database certainly rolled back:
    after SQLite's refusal, and after PostgreSQL's serialization failure or deadlock."""
    session = FakeSession(at_commit=at_commit)
    fake = scripted(backend, session)
    with pytest.raises(meaning), fake.begin():
        pass
    assert session.rolled_back == 1


@pytest.mark.parametrize(
    ("in_block", "meaning"),
    [
        (sqlite3.IntegrityError(), Conflict),
        (Refusal("40001"), Conflict),
        (Refusal("40P01"), Conflict),
        (Refusal("42601"), StorageFailed),
        (sqlite3.OperationalError(), StorageFailed),
        (sqlite3.InterfaceError(), StorageFailed),
        (sqlite3.DataError(), InvariantBroken),
        (sqlite3.ProgrammingError(), InvariantBroken),
    ],
)
def test_a_failed_statement_wrote_nothing(in_block: Exception, meaning: type[Exception]) -> None:
    """A statement that fails before COMMIT is a conflict, a failure of the database or a defect,
    never unknown."""
    session = FakeSession()
    fake = scripted("postgresql", session)
    with pytest.raises(meaning), fake.begin():
        raise in_block
    assert session.rolled_back == 1


def test_a_failure_on_a_lost_connection_is_no_defect() -> None:
    """Any driver error on a lost connection means that the database is away, not that the
    statement is wrong."""
    fake = scripted("postgresql", FakeSession(gone=True))
    with pytest.raises(StorageFailed), fake.begin():
        raise sqlite3.ProgrammingError
    assert fake._writer is None


def test_a_connection_that_cannot_roll_back_is_dropped() -> None:
    """When the rollback fails too, the connection is invalidated and not used again."""
    fake = scripted("postgresql", FakeSession(at_rollback=Refusal()))
    connection: Any = fake._writer
    with pytest.raises(StorageFailed), fake.begin():
        raise Refusal
    assert connection.invalidated == 1
    assert fake._writer is None


def test_a_transaction_that_cannot_begin() -> None:
    """A connection that cannot begin a transaction is a failure, and is not used again."""
    fake = scripted("postgresql", FakeSession(at_begin=Refusal()))
    with pytest.raises(StorageFailed), fake.begin():
        pytest.fail("the block must not be entered")
    assert fake._writer is None


# -- plans -----------------------------------------------------------------------------------

TABLES = tuple(t.metadata.tables)
READS = ("SELECT", "WITH", "UPDATE", "DELETE")
# The index has only the few transfers without an end: the query reads all of it, in order.
OPEN = "USING INDEX ix_transfers_change_us"


TIES = re.compile(r"FOR (RIGHT|LAST \d+|LAST) (PART|TERMS?) OF ORDER BY")


def whole_tables(connection: Connection, sql: str, parameters: tuple[Any, ...] = ()) -> list[str]:
    """The steps of a statement's plan that read a whole table or sort by hand.

    Sorting the rows of one instant, at most a batch's, is allowed.
    """
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
    steps = [str(row[3]) for row in plan]
    return [
        step
        for step in steps
        if ("TEMP B-TREE" in step and not TIES.search(step))
        or (step.startswith("SCAN") and step.split()[1] in TABLES and not step.endswith(OPEN))
    ]


@pytest.fixture
def plans(file: Path) -> Iterator[SqlStore]:
    """A store whose query plans are checked; test_postgres.py checks PostgreSQL's."""
    opened = SqlStore(open_database(f"sqlite:///{file}"))
    yield opened
    opened.close()


def test_a_scan_is_found(plans: SqlStore) -> None:
    """The check below finds a scan and a sort."""
    with plans.engine.connect() as connection:
        assert whole_tables(connection, "SELECT * FROM lines WHERE currency = 'CNY'")
        assert whole_tables(connection, "SELECT * FROM lines WHERE user_id = 'a' ORDER BY version")
        assert not whole_tables(connection, "SELECT * FROM lines WHERE user_id = 'a'")


def test_statements_are_compiled_once_for_each_kind_of_database(
    plans: SqlStore, new_file: NewFile
) -> None:
    """All SQLite databases of a process share one set of compiled statements; PostgreSQL has its
    own."""
    another = open_database(f"sqlite:///{new_file()}")
    postgres = open_database("postgresql+psycopg://nobody@127.0.0.1/nothing")
    assert statements_of(another) is statements_of(plans.engine)
    assert statements_of(postgres) is not statements_of(plans.engine)
    another.dispose()


def test_every_select_of_a_batch_uses_an_index(plans: SqlStore) -> None:
    """No SELECT of the hot path reads a whole table, for any number of keys."""
    statements = statements_of(plans.engine)
    of_people = ("features", "lapsed", "products", "reserved")
    selects = {name: getattr(statements, name) for name in of_people}
    for table, of in statements.tables.items():
        selects |= {f"{table.name} by {', '.join(by)}": it for by, it in of.read.items()}
    assert len(selects) == 59
    with plans.engine.connect() as connection:
        for name, statement in selects.items():
            for rows in (1, MOST_ROWS):
                row = ("a",) * len(statement.columns)
                instant = (1,) if name == "lapsed" else ()
                sql, parameters = statement.bound([row] * rows, *instant)
                assert whole_tables(connection, sql, tuple(parameters)) == [], name


def test_no_statement_of_a_call_reads_a_whole_table(file: Path) -> None:
    """No statement of any command, the sweeper's search, lists, gets or key lookups scans a table,
    or sorts rows that an index has in order."""
    ran: list[str] = []
    engine = open_database(f"sqlite:///{file}")
    event.listen(engine, "connect", lambda c, _: c.set_trace_callback(ran.append))
    desk = Desk(SqlStore(engine))
    for user_id, score in (("ann", 700), ("ben", 550), ("cem", 450)):
        desk.put_user(user_id, score)
    ran.clear()
    everything(desk)
    statements = [sql for sql in ran if sql.startswith(READS)]
    for table in ("lines", "authorizations", "requests", "open_items", "users", "payments",
                  "transfers"):  # fmt: skip
        read = [sql for sql in statements if sql.startswith(("SELECT", "WITH"))]
        assert any(f" {table} " in sql for sql in read), table
    for table in ("lines", "authorizations", "users", "transfers"):
        assert any(sql.startswith(f"UPDATE OR FAIL {table} ") for sql in statements), table
    for table in ("requests", "open_items", "operator_payables"):
        assert any(sql.startswith(f"DELETE FROM {table}") for sql in statements), table
    with engine.connect() as connection:
        for sql in statements:
            assert whole_tables(connection, sql.replace("%", "%%")) == [], sql
    desk.store.close()


def everything(desk: Desk) -> None:
    """Runs every statement of commands and reads at least once."""
    it = rental(desk, authorize(asset_id="bike-7"))
    rental(desk, pay(rental(desk, settle(it, 200)), 100))
    desk.store.unsent_transfers(START_US, 10)
    desk.do(PayOutOperator(OPERATOR, Money("CNY", 1), "out"), caller=PLATFORM)
    pair = (Item("umbrella", ""), Item("umbrella", ""))
    desk.do(Authorize("new", pair, Start.IMMEDIATE, (), grouped=True))
    rental(desk, confirm(rental(desk, authorize("ben"))))
    rental(desk, start(rental(desk, pick_up()), "bike-8"))
    rental(desk, reverse(rental(desk, authorize("cem"))))
    desk.do(reverse_origin("ann", "r"))
    rental(desk, authorize(), request_id="r")
    hold = rental(desk, pick_up("cem"))
    desk.put_user("ann", 600)
    desk.clock.advance(START_US + 60 * MINUTE_US)
    for due in [None, *desk.store.waking(desk.clock.now_us(), 10)]:
        desk.store.waking(desk.clock.now_us(), 10, due)
    for woken in (hold, it):
        rental(desk, Wake(woken.user_id, woken.authorization_id), request_id="")
    lists = lists_of(desk.store)
    for transfer in lists.transfers("ann", after=START, size=10, state=None).rows:
        desk.store.unsent_transfers(START_US, 10, transfer)
        sent = ReportTransfer(transfer.user_id, transfer.transfer_id, TransferState.SENT)
        desk.do(sent, caller=PLATFORM)
        for said in (TransferState.FAILED, TransferState.SUCCEEDED):
            desk.do(replace(sent, state=said), caller=PLATFORM)
    for user_id, sent_or_any in (("", TransferState.SENT), ("", None), ("ann", TransferState.SENT)):
        lists.transfers(user_id, after=START, size=10, state=sent_or_any)
    lists.reviews(after=START, size=10)
    for operator_id in ("", OPERATOR):
        listed = CaseFilter(operator_id, CaseState.OPEN, None, None, 0, "")
        lists.cases(listed, after=START, size=10)
    desk.store.case("ann", it.authorization_id, "case-1")
    for over in (None, WaitingCase(1, "ann", it.authorization_id, "case-1")):
        desk.store.cases_over(START_US, 10, over)
    at_the_bank = ChargeBackLists(desk.store.engine)
    for user_id, open_only, after in product(("", "ann"), (False, True), ((), ("ann", "a", "c"))):
        at_the_bank.charge_backs(user_id, open_only=open_only, after=after, size=10)
    for matched_too, after in product((False, True), ((), ("city", "p-1"))):
        at_the_bank.suspense(matched_too=matched_too, after=after, size=10)
    desk.store.told("ann", it.authorization_id)
    desk.store.line("ann", "CNY")
    desk.store.features(["ann", "ben"])
    for user_id in ("", "ann"):
        for state in (None, State.ACTIVE):
            lists.authorizations(OPERATOR, after=START, size=10, user_id=user_id, state=state)
    find_principal(desk.store.engine, "x", START_US)


# -- reads -----------------------------------------------------------------------------------


def test_a_batch_reads_by_keys(desk: Desk) -> None:
    """Missing rows are left out, no keys give no rows, and special characters are plain
    characters."""
    odd = 'a"b\\c[%_]\u2028\N{ROCKET}'
    desk.put_user(odd, 700)
    with desk.store.begin() as transaction:
        assert set(read(transaction, USERS, [odd, "nobody"])) == {odd}
        assert set(read(transaction, LINES, [odd, "nobody"], ("user_id",))) == {(odd, "CNY")}
        assert read(transaction, USERS, []) == {}
        assert read(transaction, LINES, [], ("user_id",)) == {}
        assert read(transaction, PAYMENTS, [(OPERATOR, "p")]) == {}
    assert desk.store.features([odd])[odd].raw is not None


def test_due_wake_ups_are_ordered_by_time(desk: Desk) -> None:
    """Due authorizations are returned in the order of their times, and at most as many as
    requested. If a place is given, the list begins there."""
    ends = []
    for n, minutes in enumerate((5, 0, 9)):
        desk.clock.advance(START_US + sum((5, 0, 9)[: n + 1]) * MINUTE_US)
        ends.append(rental(desk, authorize(f"new-{n}-{minutes}")))
    names = [(it.wake_us, it.user_id, it.authorization_id) for it in ends]
    last_us = ends[-1].expire_us
    assert last_us is not None
    assert desk.store.waking(last_us, 10) == [names[0], names[1], names[2]]
    assert desk.store.waking(last_us, 1) == names[:1]
    assert desk.store.waking(last_us - 1, 10) == names[:2]
    behind = [desk.store.waking(last_us, 10, it) for it in desk.store.waking(last_us, 10)]
    assert behind == [names[1:], names[2:], []]


def test_lists_belong_to_an_operator(desk: Desk) -> None:
    """A list has an operator's authorizations in the order of arrival, page by page, by person or
    state if requested."""
    desk.put_user("ann", 700)
    ours = [rental(desk, authorize(who, "umbrella")) for who in ("ann", "new", "ann")]
    theirs = rental(desk, authorize(product_id="umbrella"), caller=OTHER_OPERATOR)

    lists = lists_of(desk.store)

    def page(operator_id: str = OPERATOR, after: Place = START, size: int = 10, user_id: str = "",
             state: State | None = None) -> Page[Authorization]:  # fmt: skip
        return lists.authorizations(
            operator_id, after=after, size=size, user_id=user_id, state=state
        )

    def listed(**asked: Any) -> list[Authorization]:
        return page(**asked).rows

    assert listed() == ours
    assert listed(operator_id=OTHER_OPERATOR) == [theirs]
    first = page(size=1)
    assert first.rows == ours[:1]
    assert first.last is not None
    rest = page(after=first.last, size=2)
    assert (rest.rows, rest.last) == (ours[1:], None)
    assert listed(user_id="ann") == [ours[0], ours[2]]
    assert listed(state=State.OFFERED) == [ours[1]]
    assert listed(user_id="ann", state=State.OFFERED) == []


def test_the_catalog_has_the_latest_terms(store: SqlStore) -> None:
    """The catalog has the operators, their products in the latest revision, and the limits from the
    highest score down."""
    with store.engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.exec_driver_sql(
            copied_product(
                "product_id = 'bike' AND operator_id = 'city'", revision=2, deposit_minor=100
            )
        )
    catalog = store.catalog()
    assert catalog.operators[OPERATOR] == Operator(OPERATOR, "City", 300, 100_000)
    bike, other = catalog.products[OPERATOR, "bike"], catalog.products[OTHER_OPERATOR, "bike"]
    assert (bike.revision, bike.deposit_minor) == (2, 100)
    assert (other.revision, other.deposit_minor) == (1, 19_900)
    assert (bike.policy.zero_from_score, bike.tariff.buy_out_minor) == (600, 19_900)
    assert [step.from_score for step in catalog.limit_steps["CNY"]] == [650, 600, 550, 500]


def test_schemas_are_kept_once(store: SqlStore) -> None:
    """The order of raw values is stored once under its id; an unknown id has none."""
    store.save_feature_schema("s-1", ["a", "b"])
    store.save_feature_schema("s-1", ["a", "b"])
    assert store.feature_names("s-1") == ("a", "b")
    assert store.feature_names("s-2") == ()
    rival = SqlStore(store.engine)
    rival._schemas["s-1"] = ()
    rival.save_feature_schema("s-1", ["a", "b"])
    assert SqlStore(store.engine).feature_names("s-1") == ("a", "b")
