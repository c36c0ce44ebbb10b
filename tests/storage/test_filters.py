"""Lists on tables that have grown: no page reads more than a bounded number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from service.domain.authorization import State
from service.domain.cases import CaseKind, CaseState, Side
from service.domain.errors import InvalidInput
from service.domain.lapses import Lapse
from service.engine.reads import START, CaseFilter, Page, Place
from service.engine.records.transfers import TransferState
from service.storage import schema as t
from service.storage.charge_backs import ChargeBackLists
from service.storage.database import open_database
from service.storage.horizon import Horizon
from service.storage.lists import Lists
from tests.conftest import KINDS, Databases, databases_of
from tests.fakes import OPERATOR, OTHER_OPERATOR
from tests.storage.next_build import changeable
from tests.storage.test_schema import row_of

ROWS = 20_000
SIZE = 5
WINDOW = 100
RARE = 4
"""Every so many thousands of rows has the rare value, and belongs to Ann and to her order."""
SOME = f"n % {RARE}000 = 7"
MOST_STEPS = 15_000
"""Of SQLite's machine, which takes three to thirty for each row that a filter looks at."""
MOST_ROWS = 10 * WINDOW
"""Of PostgreSQL's plans: each row of the window counts once for each index and each table, and a
page at the horizon is read twice."""

ID = {"sqlite": "printf('%020d', n)", "postgresql": "lpad(n::text, 20, '0')"}
ANNS = f"CASE WHEN {SOME} THEN 'ann' ELSE 'u' || n END"
NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS"
    f" (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ROWS})",
    "postgresql": f"WITH numbers(n) AS (SELECT generate_series(1, {ROWS}))",
}


def rare(usual: str, few: str) -> str:
    """The SQL of a column with a usual value and a rare one."""
    return f"CASE WHEN {SOME} THEN '{few}' ELSE '{usual}' END"


COLUMNS: dict[str, dict[str, str]] = {
    "authorizations": {
        "state": rare("SETTLED", "EXPIRED"),
        "operator_id": f"'{OPERATOR}'",
        "expire_us": "NULL",
        "reasons": "''",
        "accept_offers": "''",
    },
    "authorization_details": {
        "operator_id": f"'{OPERATOR}'",
        "order_reference": f"CASE WHEN {SOME} THEN 'order' ELSE 'o' || n END",
    },
    "lapses": {"operator_id": f"'{OPERATOR}'", "lapse": rare("PICKUP_EXPIRED", "LOST")},
    "cases": {
        "case_id": "ID",
        "operator_id": f"'{OPERATOR}'",
        "kind": rare("OTHER", "WRONG_FEE"),
        "waits_for": rare("PLATFORM", "USER"),
        "state": f"CASE WHEN n % 2 = 0 OR {SOME} THEN 'OPEN' ELSE 'CLOSED' END",
        "outcome": f"CASE WHEN n % 2 = 0 OR {SOME} THEN NULL ELSE 'FOR_USER' END",
        "close_us": f"CASE WHEN n % 2 = 0 OR {SOME} THEN NULL ELSE 5 END",
        "due_us": f"CASE WHEN {SOME} THEN 5 ELSE 1000 END",
    },
    "transfers": {"transfer_id": "ID", "state": rare("SUCCEEDED", "FAILED")},
    "charge_backs": {
        "case_id": "ID",
        "amount_minor": "1",
        "open_minor": f"CASE WHEN {SOME} THEN 1 ELSE 0 END",
        "overturned_minor": f"CASE WHEN {SOME} THEN 0 ELSE 1 END",
    },
    "suspense": {
        "amount_minor": "1",
        "payment_reference": "ID",
        "open_minor": f"CASE WHEN {SOME} THEN 1 ELSE 0 END",
        "returned_minor": f"CASE WHEN {SOME} THEN 0 ELSE 1 END",
    },
}


def fill(engine: Engine) -> None:
    """Adds many rows to every table with a list."""
    kind = engine.dialect.name
    with engine.begin() as connection:
        for name, columns in COLUMNS.items():
            table = t.metadata.tables[name]
            given = row_of(table)
            connection.execute(table.insert(), given)
            named = {"user_id": ANNS, "authorization_id": "ID"} | columns
            if name in ("authorizations", "charge_backs"):
                zero = {it.name: "0" for it in table.columns if it.name.endswith("_minor")}
                named = zero | named
            names = [it.name for it in table.columns if it.name != "arrival"]
            made = [named.get(it, it) for it in names]
            made = [ID[kind] if it == "ID" else it for it in made]
            connection.execute(
                text(
                    f"INSERT INTO {name} ({', '.join(names)}) {NUMBERS[kind]}"
                    f" SELECT {', '.join(made)} FROM {name}, numbers"
                ).execution_options(autocommit=False)
            )
    if kind == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


@pytest.fixture(scope="module", params=KINDS)
def grown(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A database with many rows in every table with a list."""
    databases: Databases = databases_of(request)
    with changeable(databases) as url:
        engine = open_database(url)
        fill(engine)
        yield engine
        engine.dispose()


class Work:
    """The work of the reads in a block, by the database's own count."""

    def __init__(self) -> None:
        self.steps = 0
        self.statements: list[tuple[str, Any]] = []


@contextmanager
def counted(engine: Engine) -> Iterator[Work]:
    """Counts SQLite's steps in hundreds, and notes PostgreSQL's statements."""
    work = Work()

    def note(_: Any, cursor: Any, sql: str, given: Any, *__: Any) -> None:
        work.statements.append((sql, given))

        def step() -> None:
            work.steps += 100

        if engine.dialect.name == "sqlite":
            cursor.connection.set_progress_handler(step, 100)

    event.listen(engine, "before_cursor_execute", note)
    yield work
    event.remove(engine, "before_cursor_execute", note)


def rows_read(engine: Engine, work: Work) -> int:
    """The rows that PostgreSQL reads for the noted statements, those that a filter drops too."""
    total = 0
    with engine.connect() as connection:
        for sql, given in work.statements:
            explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}"
            ((plan,),) = connection.exec_driver_sql(explain, given).all()
            nodes = [plan[0]["Plan"]]
            while nodes:
                node = nodes.pop()
                nodes += node.get("Plans", [])
                if "Scan" in node["Node Type"]:
                    seen = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                    seen += node.get("Rows Removed by Index Recheck", 0)
                    total += round(seen * node["Actual Loops"])
    return total


def check(engine: Engine, what: object, read: Callable[[], object]) -> None:
    """Fails if a read does more work than a page may."""
    with counted(engine) as work:
        read()
    assert work.statements, what
    if engine.dialect.name == "sqlite":
        assert work.steps <= MOST_STEPS, (what, work.statements)
    else:
        seen = rows_read(engine, work)
        assert seen <= MOST_ROWS, (what, seen, work.statements)


def lists(engine: Engine, window: int = WINDOW) -> Lists:
    """The lists of a database in which nobody writes."""
    horizon = Horizon(engine, lambda _: None, notice_after_s=10.0)
    return Lists(engine, horizon, wait_s=10.0, retry_ms=1_000, window=window)


MIDDLE = Place(ROWS // 2, f"{ROWS // 2:020d}")
PLACES = (START, MIDDLE)


def test_the_check_finds_a_scan(grown: Engine) -> None:
    """The check below fails for a read of a whole table."""

    def read() -> None:
        with grown.connect() as connection:
            connection.execute(text("SELECT * FROM cases WHERE reference = 'none'")).all()

    with pytest.raises(AssertionError, match="whole"):
        check(grown, "whole", read)


def test_pages_of_authorizations_read_a_bounded_number_of_rows(grown: Engine) -> None:
    """Each combination of the filters of ListAuthorizations, with values that many, few or no rows
    have, reads a bounded number of 20,000 rows for a page, at the start and in the middle."""
    made = product(
        PLACES,
        ("", "ann", "u9"),
        (None, State.SETTLED, State.ACTIVE),
        ("", "order"),
        (None, Lapse.PICKUP_EXPIRED, Lapse.SOLD),
    )
    for after, user_id, state, order, lapse in made:
        check(
            grown,
            (after, user_id, state, order, lapse),
            partial(
                lists(grown).authorizations,
                OPERATOR,
                after=after,
                size=SIZE,
                user_id=user_id,
                state=state,
                order_reference=order,
                lapse=lapse,
            ),
        )


def test_pages_of_cases_read_a_bounded_number_of_rows(grown: Engine) -> None:
    """Each combination of the filters of ListCases reads a bounded number of rows for a page."""
    made = product(
        PLACES,
        ("", OPERATOR),
        CaseState,
        (None, CaseKind.OTHER, CaseKind.CLAIM),
        (None, Side.OPERATOR),
        (0, 10),
        ("", "ann"),
    )
    for after, *filters in made:
        chosen = CaseFilter(*filters)  # type: ignore[arg-type]
        check(grown, (after, chosen), partial(lists(grown).cases, chosen, after=after, size=SIZE))


def test_pages_of_other_lists_read_a_bounded_number_of_rows(grown: Engine) -> None:
    """Pages of transfers, reviews, charge-backs and money in suspense read a bounded number of rows
    with each of their filters."""
    states = (None, TransferState.SUCCEEDED, TransferState.FAILED, TransferState.SENT)
    for after, user_id, state in product(PLACES, ("", "ann", "u9"), states):
        check(
            grown,
            (after, user_id, state),
            partial(lists(grown).transfers, user_id, after=after, size=SIZE, state=state),
        )
    check(grown, "reviews", partial(lists(grown).reviews, after=START, size=SIZE))
    bank = ChargeBackLists(grown)
    for user_id, open_only in product(("", "ann", "u9"), (False, True)):
        check(
            grown,
            (user_id, open_only),
            partial(bank.charge_backs, user_id, open_only=open_only, after=(), size=SIZE),
        )
    for matched_too in (False, True):
        check(
            grown,
            matched_too,
            partial(bank.suspense, matched_too=matched_too, after=(), size=SIZE),
        )


def all_rows(page_after: Callable[[Place], Page[Any]]) -> tuple[list[str], int]:
    """The ids of all pages, and the number of pages."""
    ids: list[str] = []
    after, pages = START, 0
    while True:
        page = page_after(after)
        pages += 1
        ids += [getattr(it, "case_id", "") or it.authorization_id for it in page.rows]
        if page.last is None:
            return ids, pages
        after = page.last


RARE_IDS = [f"{n:020d}" for n in range(1, ROWS + 1) if n % (RARE * 1_000) == 7]


def test_a_rare_row_is_found_behind_pages_without_rows(grown: Engine) -> None:
    """A page of a filter that few rows pass may end before it is full; all pages together have
    every row once."""

    def page(after: Place) -> Page[Any]:
        chosen = CaseFilter(OPERATOR, CaseState.OPEN, CaseKind.WRONG_FEE, None, 0, "")
        return lists(grown).cases(chosen, after=after, size=SIZE)

    ids, pages = all_rows(page)
    assert ids == RARE_IDS
    assert pages >= ROWS // 2 // WINDOW


@pytest.mark.parametrize("window", [1, 3, ROWS])
def test_the_window_changes_no_row(grown: Engine, window: int) -> None:
    """Whatever the window is, all pages together have the same rows in the same order."""
    for user_id, order, lapse in (("ann", "", None), ("", "order", None), ("", "", Lapse.LOST)):

        def page(
            after: Place, user_id: str = user_id, order: str = order, lapse: Any = lapse
        ) -> Any:
            return lists(grown, window).authorizations(
                OPERATOR,
                after=after,
                size=2,
                user_id=user_id,
                state=State.EXPIRED,
                order_reference=order,
                lapse=lapse,
            )

        assert all_rows(page)[0] == RARE_IDS


def test_a_page_ends_at_no_row_of_another_operator(grown: Engine) -> None:
    """A page of a person who rents only from others is empty, and no page follows it."""
    rentals = lists(grown, 1).authorizations(
        OTHER_OPERATOR, after=START, size=SIZE, user_id="ann", state=State.EXPIRED
    )
    assert rentals == Page([], None)
    chosen = CaseFilter(OTHER_OPERATOR, CaseState.OPEN, CaseKind.WRONG_FEE, None, 0, "ann")
    assert lists(grown, 1).cases(chosen, after=START, size=SIZE) == Page([], None)


def test_a_row_named_without_its_number_has_its_place(grown: Engine) -> None:
    """A page goes on after a row that is named by its id and its user; a row of another operator is
    refused as one that never was."""

    def page(after: Place, operator_id: str = OPERATOR) -> Page[Any]:
        return lists(grown).authorizations(
            operator_id, after=after, size=SIZE, user_id="", state=None
        )

    first = page(START)
    assert first.last is not None
    named = Place(0, first.last.id, first.last.user_id)
    assert page(named) == page(first.last)
    for place, operator_id in ((named, OTHER_OPERATOR), (named._replace(id="v" * 20), OPERATOR)):
        with pytest.raises(InvalidInput, match="page_token"):
            page(place, operator_id)
