"""Verifying the books: sound ones pass, and every planted fault is found at its row."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.engine.records import Verification
from service.storage.database import open_database
from service.storage.store import SqlStore
from service.storage.verify import verify_books
from tests.engine.calls import authorize, confirm, pay, rental, reverse, settle
from tests.fakes import OTHER_OPERATOR, Desk

# Ann: 1 limit; 2 hold; 3 drawn, 4 payable, 5 fee, 6 release; 7 cash, 8 line given back;
#      9 a second hold that stays. Ben: 1 limit; 2 credit, 3 cash of a deposit that stays.
ANN_ONE = (
    "authorization_id = (SELECT min(authorization_id) FROM authorizations WHERE user_id='ann')"
)
ANN_TWO = (
    "authorization_id = (SELECT max(authorization_id) FROM authorizations WHERE user_id='ann')"
)


@pytest.fixture
def books(file: Path) -> Path:
    """A file with the life above, closed."""
    desk = Desk(SqlStore(open_database(f"sqlite:///{file}")))
    desk.put_user("ann", 700)
    it = rental(desk, settle(rental(desk, authorize()), 1_250))
    rental(desk, pay(it, 250))
    rental(desk, authorize(product_id="umbrella"), caller=OTHER_OPERATOR)
    desk.put_user("ben", 550)
    rental(desk, confirm(rental(desk, authorize("ben"))))
    desk.store.close()
    return file


def verified(file: Path) -> Verification:
    """What a verification of the file says."""
    engine: Engine = open_database(f"sqlite:///{file}")
    try:
        return verify_books(engine)
    finally:
        engine.dispose()


def tamper(file: Path, *statements: str) -> None:
    """Changes the file behind the server's back, past its CHECKs."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA ignore_check_constraints=ON")
    for statement in statements:
        assert connection.execute(statement).rowcount >= 1, statement
    connection.commit()
    connection.close()


def ids(file: Path) -> list[str]:
    """The names of Ann's first, Ann's second and Ben's authorization."""
    connection = sqlite3.connect(file)
    rows = connection.execute(
        "SELECT user_id, authorization_id FROM authorizations ORDER BY user_id, authorization_id"
    ).fetchall()
    connection.close()
    return [f"users/{user_id}/authorizations/{name}" for user_id, name in rows]


def test_sound_books_pass(books: Path) -> None:
    """Sound books have no fault, and the verification says how much it looked at."""
    assert verified(books) == Verification(lines=2, entries=12, authorizations=3, fault=None)


def test_empty_books_pass(file: Path) -> None:
    """A database in which nothing happened is sound."""
    assert verified(file) == Verification(0, 0, 0, None)


def test_many_people_pass(file: Path) -> None:
    """People with and without lines, entries and authorizations are matched side by side."""
    desk = Desk(SqlStore(open_database(f"sqlite:///{file}")))
    for n in range(20):
        if n % 2:
            desk.put_user(f"u{n}", 700 if n % 3 else 400)
        if n % 5:
            rental(desk, reverse(rental(desk, authorize(f"u{n}"))))
    found = verify_books(desk.store.engine)
    assert (found.fault, found.authorizations) == (None, 16)
    desk.store.close()


PLANTED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "amount changed": (
        ("UPDATE entries SET amount_minor = amount_minor + 1 WHERE user_id='ann' AND sequence=4",),
        "BALANCE_AFTER", "entries/ann/CNY/4",
    ),
    "amount of a shared account changed": (
        ("UPDATE entries SET amount_minor = amount_minor - 1 WHERE user_id='ben' AND sequence=3",),
        "BALANCE_AFTER", "entries/ben/CNY/3",
    ),
    "amount not positive": (
        ("UPDATE entries SET amount_minor = 0 WHERE user_id='ann' AND sequence=5",),
        "AMOUNT_NOT_POSITIVE", "entries/ann/CNY/5",
    ),
    "entry deleted in the middle": (
        ("DELETE FROM entries WHERE user_id='ann' AND sequence=3",),
        "ENTRY_MISSING", "entries/ann/CNY/4",
    ),
    "first entry deleted": (
        ("DELETE FROM entries WHERE user_id='ann' AND sequence=1",),
        "ENTRY_MISSING", "entries/ann/CNY/2",
    ),
    "tail cut off": (
        ("DELETE FROM entries WHERE user_id='ann' AND sequence>=8",),
        "ENTRY_MISSING", "lines/ann/CNY",
    ),
    "all entries deleted": (
        ("DELETE FROM entries WHERE user_id='ann'",), "ENTRY_MISSING", "lines/ann/CNY",
    ),
    "balance after changed": (
        (("UPDATE entries SET debit_after_minor=debit_after_minor+1"
         " WHERE user_id='ann' AND sequence=2"),),
        "BALANCE_AFTER", "entries/ann/CNY/2",
    ),
    "balance after of a shared account": (
        ("UPDATE entries SET credit_after_minor = 1 WHERE user_id='ann' AND sequence=4",),
        "BALANCE_AFTER", "entries/ann/CNY/4",
    ),
    "balance after left out": (
        ("UPDATE entries SET debit_after_minor = NULL WHERE user_id='ann' AND sequence=4",),
        "BALANCE_AFTER", "entries/ann/CNY/4",
    ),
    "more held than there was": (
        (("UPDATE entries SET amount_minor=60000, debit_after_minor=60000,"
          " credit_after_minor=-10000 WHERE user_id='ann' AND sequence=2"),),
        "BALANCE_NEGATIVE", "entries/ann/CNY/2",
    ),
    "entry put into the other book": (
        ("UPDATE entries SET book='money' WHERE user_id='ann' AND sequence=2",),
        "BOOK_NOT_BALANCED", "entries/ann/CNY/2",
    ),
    "entry across the books": (
        ("UPDATE entries SET credit='cash' WHERE user_id='ann' AND sequence=2",),
        "BOOK_NOT_BALANCED", "entries/ann/CNY/2",
    ),
    "share booked as fee": (
        ("UPDATE entries SET credit='fee_income' WHERE user_id='ann' AND sequence=4",),
        "AUTHORIZATION_AMOUNT", "ann 1",
    ),
    "entry of another authorization": (
        (f"UPDATE entries SET {ANN_TWO} WHERE user_id='ann' AND sequence=5",),
        "AUTHORIZATION_AMOUNT", "ann 1",
    ),
    "entry of no authorization": (
        ("UPDATE entries SET authorization_id='ghost' WHERE user_id='ben' AND sequence>1",
         "UPDATE authorizations SET held_credit_minor=0, held_cash_minor=0 WHERE user_id='ben'"),
        "ENTRY_WITHOUT_AUTHORIZATION", "users/ben/authorizations/ghost",
    ),
    "entry without a line": (
        ("UPDATE entries SET currency='EUR' WHERE user_id='ben' AND sequence=3",),
        "ENTRY_WITHOUT_LINE", "entries/ben/EUR/3",
    ),
    "limit and available raised": (
        (("UPDATE lines SET limit_minor=limit_minor+1, available_minor=available_minor+1"
         " WHERE user_id='ann'"),),
        "BALANCE_STORED", "lines/ann/CNY",
    ),
    "version of a line changed": (
        ("UPDATE lines SET version=version+1 WHERE user_id='ben'",),
        "ENTRY_MISSING", "lines/ben/CNY",
    ),
    "line removed": (
        ("DELETE FROM lines WHERE user_id='ann'",), "ENTRY_WITHOUT_LINE", "entries/ann/CNY/1",
    ),
    "authorization removed": (
        ("DELETE FROM authorizations WHERE user_id='ben'",),
        "ENTRY_WITHOUT_AUTHORIZATION", "ben",
    ),
    "authorization given to somebody else": (
        ("UPDATE authorizations SET user_id='zoe' WHERE user_id='ben'",),
        "ENTRY_WITHOUT_AUTHORIZATION", "ben",
    ),
    "authorization in another currency": (
        ("UPDATE authorizations SET currency='EUR' WHERE user_id='ben'",),
        "SUM_OF_AUTHORIZATIONS", "lines/ben/CNY",
    ),
    "drawn without a receivable": (
        (("INSERT INTO entries VALUES ('ben','CNY',4,4,'city',(SELECT max(authorization_id) FROM"
         " authorizations WHERE user_id='ben'),'line','drawn','held',10,10,9940,0,0)"),
         "UPDATE lines SET held_minor=9940, drawn_minor=10, version=4 WHERE user_id='ben'",
         "UPDATE authorizations SET held_credit_minor=9940 WHERE user_id='ben'"),
        "DRAWN_IS_RECEIVABLE", "lines/ben/CNY",
    ),
    **{
        f"{column} of a line changed": (
            (f"UPDATE lines SET {column}={column}+1 WHERE user_id='ann'",),
            "BALANCE_STORED", "lines/ann/CNY",
        )
        for column in ("limit_minor", "available_minor", "held_minor", "drawn_minor",
                       "receivable_minor", "deposit_minor", "refund_payable_minor")
    },
    **{
        f"{column} of an authorization changed": (
            (f"UPDATE authorizations SET {column}={column}+1 WHERE {ANN_ONE}",),
            "AUTHORIZATION_AMOUNT", "ann 1",
        )
        for column in ("held_credit_minor", "held_cash_minor", "captured_minor",
                       "captured_credit_minor", "fee_minor", "paid_minor", "refund_payable_minor")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(books: Path, name: str) -> None:
    """A file changed by hand is seen to be changed, by the rule that is broken and the row."""
    statements, rule, row = PLANTED[name]
    one, _, ben = ids(books)
    tamper(books, *statements)
    fault = verified(books).fault
    assert fault is not None
    assert (fault.rule, fault.row) == (rule, {"ann 1": one, "ben": ben}.get(row, row))
    assert fault.detail


def test_the_first_fault_is_named(books: Path) -> None:
    """Of several faults the first person's is named, and the verification stops there."""
    tamper(
        books,
        "UPDATE lines SET held_minor=1 WHERE user_id='ben'",
        "UPDATE lines SET held_minor=1 WHERE user_id='ann'",
    )
    found = verified(books)
    assert found.fault is not None
    assert found.fault.row == "lines/ann/CNY"
    assert (found.lines, found.entries) == (1, 9)
