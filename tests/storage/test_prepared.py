"""D2: on PostgreSQL the statements of batches and reads stay prepared, with plans that use
indexes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from select import select
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import OperationalError
from psycopg.errors import UniqueViolation
from sqlalchemy import Boolean, Column, Double, Integer, LargeBinary, String, text
from sqlalchemy.types import TypeEngine

from service.domain.access import PLATFORM
from service.domain.ledger import Line
from service.engine.catalog import TermsNames
from service.engine.feature_values import pack
from service.engine.operations import PutUser
from service.engine.ports import Conflict
from service.engine.reads import START
from service.engine.tables import LINES
from service.ids import RandomIds
from service.storage.database import open_database
from service.storage.history import History
from service.storage.keys import find_principal
from service.storage.payables import payables_of
from service.storage.postgres import ArraysStatement
from service.storage.postgres_pipeline import PIPELINED
from service.storage.store import SqlStore
from tests.engine.calls import authorize, pick_up, reason, settle
from tests.fakes import MINUTE_US, OPERATOR, START_US, Desk, lists_of
from tests.postgres import Cluster
from tests.rows import changed
from tests.storage.test_postgres import GROWING, fill

ROUNDS = 75
SEED = 20


@pytest.fixture
def store(cluster: Cluster) -> Iterator[SqlStore]:
    """A store on a fresh database."""
    name = cluster.fresh()
    opened = SqlStore(open_database(cluster.url(name)))
    yield opened
    opened.close()
    cluster.drop(name)


@pytest.fixture
def desk(store: SqlStore) -> Desk:
    """An engine on that store, where Ann scores 700, Ben 550 and Cem 450."""
    made = Desk(store, ids=RandomIds())
    for user_id, score in (("ann", 700), ("ben", 550), ("cem", 450)):
        made.put_user(user_id, score)
    return made


def session(store: SqlStore) -> Any:
    """The driver's connection for batches."""
    return store._writing_session().driver


def prepared(connection: Any) -> list[Any]:
    """Names, texts and numbers of parameters of a session's prepared statements."""
    query = (
        "SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements "
        "WHERE statement NOT LIKE '%pg_prepared_statements%' ORDER BY name"
    )
    return asked(connection, query)


def asked(connection: Any, query: str) -> list[Any]:
    """A query's answer, without a transaction and not prepared."""
    connection.autocommit = True
    found = connection.execute(query, prepare=False).fetchall()
    connection.autocommit = False
    return [tuple(row) for row in found]


class Ran:
    """The texts that the writer's cursor ran, and how often."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: dict[str, int] = {}
        execute = type(session(desk.store).cursor()).execute

        def watched(cursor: Any, query: Any, *rest: Any, **options: Any) -> Any:
            if cursor.connection is session(desk.store) and "pg_prepared" not in query:
                self.texts[query] = self.texts.get(query, 0) + 1
            return execute(cursor, query, *rest, **options)

        monkeypatch.setattr(type(session(desk.store).cursor()), "execute", watched)


def rounds(desk: Desk, number: int) -> None:
    """Batches of 1 to 64 commands: registrations, rentals and settlements."""
    chance, names = random.Random(SEED), iter(range(10_000))
    for _ in range(number):
        people = [f"u-{next(names)}" for _ in range(chance.randint(1, 32))]
        raw = pack([700.0, 0.0])
        puts = [desk.work(PutUser(it, raw, START_US, True), caller=PLATFORM) for it in people]
        asks = [desk.work(authorize(it, "umbrella", f"of-{it}")) for it in people]
        assert {reason(it) for it in desk.apply(*puts, *asks)} <= {"", "USER_NOT_FOUND"}
        asks = [desk.work(authorize(it, "umbrella", f"2-of-{it}")) for it in people]
        assert {reason(it) for it in desk.apply(*asks)} == {""}
        rentals: list[Any] = [desk.answers[it.request_id] for it in asks]
        settles = [desk.work(settle(it, 100)) for it in rentals]
        assert {reason(it) for it in desk.apply(*settles)} == {""}


def test_d2_every_statement_of_a_batch_is_prepared_after_75_rounds(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D2: after 75 rounds of batches of mixed sizes, PostgreSQL holds each statement that the
    writer ran, once."""
    desk.store._drop_writer()
    ran = Ran(desk, monkeypatch)
    rounds(desk, ROUNDS)
    texts = [sql for sql in ran.texts if sql.startswith(("WITH", "INSERT", "UPDATE", "DELETE"))]
    held = prepared(session(desk.store))
    assert len(texts) >= 14
    assert len(held) == len({sql for _, sql, _ in held}) == len(texts)


def test_d2_a_batch_that_starts_again_keeps_its_statements(desk: Desk) -> None:
    """D2: a transaction that ends without a write, to lock more lines, keeps all prepared
    statements."""
    assert reason(desk.apply(desk.work(pick_up("ann", "umbrella", "bike-7")))[0]) == ""
    desk.clock.advance(START_US + 30 * MINUTE_US)
    before = prepared(session(desk.store))
    assert reason(desk.apply(desk.work(authorize("ben", "umbrella", "bike-7")))[0]) == ""
    assert set(before) < set(prepared(session(desk.store)))


def test_d2_statements_are_prepared_again_at_once_after_a_conflict(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D2: the driver forgets its prepared statements at a rollback. Afterwards each statement is
    prepared once more, and all of them by the end of the next batch."""
    rounds(desk, 1)
    line = {("zoe", "CNY"): Line("zoe", "CNY")}
    with pytest.raises(Conflict), desk.store.begin() as transaction:
        transaction.write(changed(LINES, line, line))
    assert prepared(session(desk.store)) == []
    ran = Ran(desk, monkeypatch)
    assert reason(desk.apply(desk.work(authorize()))[0]) == ""
    texts = [sql for sql in ran.texts if sql.startswith(("WITH", "INSERT", "UPDATE", "DELETE"))]
    assert len(prepared(session(desk.store))) == len(texts) > 5


READS: dict[str, Callable[[SqlStore], object]] = {
    "person": lambda it: it.person("ann", "CNY"),
    "waking": lambda it: it.waking(START_US, 10),
    "unsent transfers": lambda it: it.unsent_transfers(START_US, 10),
    "transfers": lambda it: lists_of(it).transfers("ann", after=START, size=10, state=None),
    "authorization": lambda it: it.told("ann", "a"),
    "authorizations": lambda it: lists_of(it).authorizations(
        OPERATOR, after=START, size=10, user_id="ann", state=None
    ),
    "reviews": lambda it: lists_of(it).reviews(after=START, size=10),
    "line": lambda it: it.line("ann", "CNY"),
    "unfolded": lambda it: it.unfolded(10),
    "terms": lambda it: it.terms_of(TermsNames(products=frozenset({(OPERATOR, "bike")}))),
    "catalog": lambda it: it.catalog(),
    "key": lambda it: find_principal(it.engine, "x", START_US),
    "changed terms": lambda it: it.changed_terms(it.catalog().change),
    "payables": lambda it: payables_of(it.engine, OPERATOR),
    "history": lambda it: History(it.engine).entries("ann", "CNY", after=START, size=10),
}


@pytest.mark.parametrize("name", READS)
def test_d2_reads_keep_their_statements(store: SqlStore, name: str) -> None:
    """D2: a repeated read is prepared on the pool's connection, and stays prepared when the
    connection returns to the pool."""
    for _ in range(10):
        READS[name](store)
    with store.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        assert prepared(driver) != []


def rows_read(desk: Desk) -> int:
    """The number of rows of growing tables that the writer has read so far."""
    asked(session(desk.store), "SELECT pg_stat_force_next_flush()")
    names = ", ".join(f"'{table.name}'" for table in GROWING)
    query = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
    with desk.store.engine.connect() as connection:
        return int(connection.scalar(text(f"{query} WHERE relname IN ({names})")) or 0)


def test_d2_statements_prepared_on_small_tables_use_indexes_on_large_ones(desk: Desk) -> None:
    """D2: a statement prepared while its tables were small reads none of them in full at 20,000
    rows, with or without PostgreSQL's statistics."""
    rounds(desk, 3)
    with desk.store.engine.begin() as connection:
        fill(connection, analyze=False)
    held, before = prepared(session(desk.store)), rows_read(desk)
    people = [f"u-{n}" for n in range(8)]
    asks = [desk.work(authorize(it, "umbrella", f"3-of-{it}")) for it in people]
    assert {reason(it) for it in desk.apply(*asks)} == {""}
    assert set(prepared(session(desk.store))) == set(held)
    assert 0 < rows_read(desk) - before < 1_000


KINDS: tuple[TypeEngine[Any], ...] = (String(200), LargeBinary(), Integer(), Boolean())
ROWS = st.lists(
    st.tuples(
        st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
        st.none() | st.binary(),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.booleans(),
    ),
    min_size=1,
)


@pytest.fixture(scope="module")
def plain(cluster: Cluster) -> Iterator[Any]:
    """A cursor on an empty database."""
    name = cluster.empty()
    engine = open_database(cluster.url(name))
    with engine.connect() as connection:
        yield connection.connection.cursor()
    engine.dispose()
    cluster.drop(name)


@given(rows=ROWS)
def test_d2_arrays_carry_every_value(plain: Any, rows: list[tuple[Any, ...]]) -> None:
    """D2: texts, bytes, numbers, booleans and NULL arrive unchanged, row by row and in order."""
    columns: list[Column[Any]] = [Column(f"c{n}", kind) for n, kind in enumerate(KINDS)]
    plain.execute(*ArraysStatement("", "", columns).bound(rows))
    assert plain.fetchall() == rows


def test_d2_a_column_of_another_type() -> None:
    """D2: a column of a type without a known array is refused when statements are made."""
    with pytest.raises(TypeError, match="no array type is known"):
        ArraysStatement("", "", [Column("share", Double())])


@pytest.mark.parametrize("failing", range(3))
def test_statements_together_fail_as_one_after_the_other(store: SqlStore, failing: int) -> None:
    """The numbers of changed rows come until the statement that failed, whose own error is raised;
    the statements after it change nothing."""
    cursor = session(store).cursor()
    cursor.execute("CREATE TEMPORARY TABLE twice (c0 BIGINT PRIMARY KEY) ON COMMIT DROP")
    insert = ArraysStatement("INSERT INTO twice ", "", [Column("c0", Integer())])
    cursor.execute(*insert.bound([(1,)]))
    runs = [(insert, [(10 * place + 2,), (10 * place + 3,)]) for place in range(40)]
    runs[failing] = (insert, [(1,)])
    counts = PIPELINED.run(cursor, runs)
    assert [next(counts) for _ in range(failing)] == [2] * failing
    with pytest.raises(UniqueViolation):
        next(counts)


class Slow(ArraysStatement):
    """A statement that is bound only when the server has answered those before it."""

    def __init__(self, statement: ArraysStatement, connection: Any) -> None:
        self._statement, self._connection = statement, connection

    def bound(self, rows: Sequence[Any], *parameters: int | str) -> tuple[str, Sequence[Any]]:
        """As the statement's own."""
        select([self._connection], [], [], 10)
        return self._statement.bound(rows, *parameters)


def test_a_statement_that_fails_leaves_the_connection(store: SqlStore) -> None:
    """The connection serves on after a failed statement, whenever its error and the answers to
    those after it arrive."""
    connection = session(store)
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE twice (c0 BIGINT PRIMARY KEY) ON COMMIT DROP")
    insert = ArraysStatement("INSERT INTO twice ", "", [Column("c0", Integer())])
    runs = [(it, [(1,)]) for it in (insert, insert, Slow(insert, connection), insert)]
    with pytest.raises(UniqueViolation):
        list(PIPELINED.run(cursor, runs))
    connection.rollback()
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_statements_together_need_a_connection(store: SqlStore) -> None:
    """Statements on a connection that is lost raise the driver's error; no statements ask nothing
    of the server."""
    connection = session(store)
    cursor = connection.cursor()
    connection.close()
    insert = ArraysStatement("INSERT INTO twice ", "", [Column("c0", Integer())])
    with pytest.raises(OperationalError):
        list(PIPELINED.run(cursor, [(insert, [(1,)])] * 2))
    assert (list(PIPELINED.run(cursor, [])), PIPELINED.fetch(cursor, [])) == ([], [])


def test_statements_together_find_what_each_finds(store: SqlStore) -> None:
    """The rows of several statements are those of each, in the order of the statements."""
    reads = [ArraysStatement(f"SELECT {place}, c0 FROM (", ") AS it (c0)",
                             [Column("c0", Integer())]) for place in range(3)]  # fmt: skip
    found = PIPELINED.fetch(session(store).cursor(), [(it, [(7,), (5,)]) for it in reads])
    assert found == [[(place, 5), (place, 7)] for place in range(3)]
