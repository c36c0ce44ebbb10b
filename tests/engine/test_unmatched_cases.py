"""R18, part 8: money that matches nothing is a case of the platform until it is matched."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from service.books.verify import verify_books
from service.domain import cases
from service.domain.access import PLATFORM
from service.domain.cases import CaseKind
from service.domain.suspense import RAIL_ACCOUNT, Direction, SuspenseItem
from service.engine import operations as c
from service.engine.cases import put_case
from service.engine.rows import Draft, Rows
from service.storage import schema as t
from service.storage.store import SqlStore
from tests.books import row_by_row
from tests.engine.acts import charged, money
from tests.engine.calls import CNY, pay, refused, rental
from tests.fakes import OPERATOR, START_US, Desk
from tests.operations.test_charge_backs import match, took, unmatched
from tests.rows import keep_rows_again, let_rows_be_removed

Question = tuple[Any, ...]


def questions(desk: Desk) -> list[Question]:
    """The cases of unmatched money: person, rental, amount, reference, state, end, closed by."""
    query = (
        "SELECT user_id, authorization_id, asked_minor, reference, state, outcome, closed_by"
        " FROM cases WHERE kind = 'UNMATCHED_MONEY' AND waits_for = 'PLATFORM'"
        " ORDER BY reference"
    )
    with desk.store.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


OPEN, HANDLED = ("OPEN", None, ""), ("CLOSED", "HANDLED", PLATFORM)


@pytest.mark.parametrize("way", list(Direction))
def test_r18_unmatched_money_is_a_case_until_the_money_goes_back(
    desk: Desk, way: Direction
) -> None:
    """R18: 800 that match nothing open a case without a person; 300 that go back leave it open, and
    the other 500 close it as HANDLED."""
    desk.do(unmatched(800, way), caller=PLATFORM)
    asked = ("", "", 800, "payments/platform/odd-1")
    assert questions(desk) == [(*asked, *OPEN)]
    desk.do(match(300), caller=PLATFORM)
    assert questions(desk) == [(*asked, *OPEN)]
    assert verify_books(desk.store.engine).fault is None
    desk.do(match(500), caller=PLATFORM)
    assert questions(desk) == [(*asked, *HANDLED)]
    assert verify_books(desk.store.engine).fault is None


def test_r18_a_match_to_a_debt_closes_the_case_at_its_second_key(desk: Desk) -> None:
    """R18: a proposed match leaves the case open, and the approved one closes it."""
    it = charged(desk)
    desk.do(unmatched(1_250), caller=PLATFORM)
    desk.do(match(1_250, it), caller=PLATFORM)
    assert [row[4:] for row in questions(desk)] == [OPEN]
    desk.do(match(1_250, it, by="key-2"), caller=PLATFORM)
    assert [row[4:] for row in questions(desk)] == [HANDLED]


def test_r18_the_rest_of_a_charge_back_in_suspense_is_a_case_of_its_rental(desk: Desk) -> None:
    """R18, R2: a charge-back of 1,300 takes back a payment of 1,250. The other 50 open a case at
    the rental. A charge-back that its payment covers opens none."""
    it = charged(desk)
    rental(desk, pay(it, 1_250, reference="pay-1"))
    desk.do(took(it, 1_300, "bank-1", "pay-1"), caller=PLATFORM)
    asked = (it.user_id, it.authorization_id, 50, "payments/platform/bank-1")
    assert questions(desk) == [(*asked, *OPEN)]
    desk.do(match(50, reference="bank-1"), caller=PLATFORM)
    assert questions(desk) == [(*asked, *HANDLED)]
    other = charged(desk)
    rental(desk, pay(other, 1_250, reference="pay-2"))
    desk.do(took(other, 1_250, "bank-2", "pay-2"), caller=PLATFORM)
    assert len(questions(desk)) == 1
    assert verify_books(desk.store.engine).fault is None


def test_r18_a_charge_back_matched_to_its_payment_closes_the_case(desk: Desk) -> None:
    """R18, R2: a bank took back 200. One batch records the 200, matches them to the payment of a
    rental, and closes the case."""
    it = charged(desk)
    rental(desk, pay(it, 1_250, reference="pay-1"))
    done = desk.apply(
        desk.work(unmatched(200, Direction.OUT), caller=PLATFORM),
        desk.work(match(200, it, payment="pay-1"), caller=PLATFORM),
    )
    assert [isinstance(one, bytes) for one in done] == [True, True]
    assert [row[4:] for row in questions(desk)] == [HANDLED]
    assert verify_books(desk.store.engine).fault is None


def test_r18_an_operators_unmatched_money_has_its_name(desk: Desk) -> None:
    """R18: money that an operator records in its own account opens a case that names it."""
    desk.do(unmatched(800), caller=OPERATOR)
    with desk.store.engine.connect() as connection:
        query = text("SELECT operator_id, opened_by FROM cases WHERE kind = 'UNMATCHED_MONEY'")
        assert tuple(connection.execute(query).one()) == (OPERATOR, "OPERATOR")


def test_r18_a_second_use_has_a_case_of_its_own(desk: Desk) -> None:
    """R18, A13: a reference that is used again opens one case beside those of unmatched money."""
    for number in range(3):
        desk.do(unmatched(800, reference=f"odd-{number}"), caller=PLATFORM)
    for _ in "ab":
        again = c.RecordUnmatched(Direction.IN, money(5), "odd-1")
        assert refused(desk, again, caller=PLATFORM).reason == "PAYMENT_REFERENCE_USED"
    with desk.store.engine.connect() as connection:
        query = "SELECT kind, count(*) FROM cases GROUP BY kind ORDER BY kind"
        found = [tuple(row) for row in connection.exec_driver_sql(query)]
    assert found == [("SECOND_REFERENCE", 1), ("UNMATCHED_MONEY", 3)]


@pytest.mark.parametrize("reference", ["odd-1", "odd-2", "odd-3"])
def test_r18_verify_finds_a_question_without_its_money(store: SqlStore, reference: str) -> None:
    """R18: the verifier finds an open case about matched money, about another amount, or about no
    money at all."""
    desk = Desk(store)
    desk.do(unmatched(800), caller=PLATFORM)
    desk.do(match(800), caller=PLATFORM)
    desk.do(unmatched(700, reference="odd-2"), caller=PLATFORM)
    assert verify_books(store.engine).fault is None
    case = cases.open_case(
        "0" * 20,
        CaseKind.UNMATCHED_MONEY,
        START_US,
        currency=CNY,
        asked_minor=800,
        reference=f"payments/platform/{reference}",
    )
    draft, rows = Draft(list), Rows()
    put_case(draft, case)
    rows.merge(draft)
    with store.begin() as transaction:
        transaction.write(rows)
    for fault in (verify_books(store.engine).fault, row_by_row.verify_books(store.engine).fault):
        assert fault is not None
        assert (fault.rule, fault.row) == ("CASE", "cases///" + "0" * 20)


def faults(desk: Desk) -> list[tuple[str, str] | None]:
    """The rule and the row of the fault that each of the two verifiers finds, or None."""
    found = verify_books(desk.store.engine).fault, row_by_row.verify_books(desk.store.engine).fault
    return [None if one is None else (one.rule, one.row) for one in found]


@pytest.fixture
def bare(store: SqlStore) -> Desk:
    """An engine whose books may be wrong at the end."""
    desk = Desk(store)
    desk.put_user("ann", 700)
    return desk


def removed(desk: Desk, reference: str) -> str:
    """Removes the case about a payment by SQL, and returns its row as faults name it."""
    let_rows_be_removed(desk.store.engine, [t.cases])
    with desk.store.engine.begin() as connection:
        one = {"reference": f"payments/platform/{reference}"}
        query = text(
            "DELETE FROM cases WHERE reference = :reference"
            " RETURNING user_id, authorization_id, case_id"
        )
        name = "/".join(("cases", *connection.execute(query, one).one()))
    keep_rows_again(desk.store.engine, [t.cases])
    return name


@pytest.mark.parametrize("back_minor", [0, 300, 800])
def test_r18_verify_misses_a_question_that_was_removed(bare: Desk, back_minor: int) -> None:
    """R18: the case of 800 in suspense is removed by SQL. verify names it, whether none, 300 or all
    of the money has gone back since it was recorded."""
    bare.do(unmatched(800), caller=PLATFORM)
    if back_minor:
        bare.do(match(back_minor), caller=PLATFORM)
    assert faults(bare) == [None, None]
    row = removed(bare, "odd-1")
    assert faults(bare) == [("CASE", row)] * 2


@pytest.mark.parametrize("proposed", [False, True])
def test_r18_verify_misses_the_question_of_a_charge_back(bare: Desk, proposed: bool) -> None:
    """R18, R2: a charge-back leaves 50 in suspense, and a match of 20 to its payment may follow. If
    the case about the 50 is removed, verify names it."""
    it = charged(bare)
    rental(bare, pay(it, 1_250, reference="pay-1"))
    rental(bare, pay(it, 20, reference="pay-2"))
    bare.do(took(it, 1_300, "bank-1", "pay-1"), caller=PLATFORM)
    if proposed:
        bare.do(match(20, it, reference="bank-1", payment="pay-2"), caller=PLATFORM)
    assert faults(bare) == [None, None]
    row = removed(bare, "bank-1")
    assert faults(bare) == [("CASE", row)] * 2


def test_r18_an_item_without_a_question_of_an_earlier_build_verifies(desk: Desk) -> None:
    """R18: an earlier build recorded 800 without a case. The books verify before a match, after a
    part has gone back, and after all has."""
    desk.do(unmatched(800), caller=PLATFORM)
    removed(desk, "odd-1")
    item = SuspenseItem(
        PLATFORM, "odd-1", RAIL_ACCOUNT, "", Direction.IN, 800, CNY, START_US, 800
    ).sealed()
    with desk.store.engine.begin() as connection:
        query = text("UPDATE suspense SET digest = :digest")
        connection.execute(query, {"digest": item.digest})
    assert faults(desk) == [None, None]
    for minor in (300, 500):
        desk.do(match(minor), caller=PLATFORM)
        assert faults(desk) == [None, None]
    assert questions(desk) == []
