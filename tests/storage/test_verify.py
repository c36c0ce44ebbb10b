"""Verifying the books: correct ones pass, and every planted fault is found at its row."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import select, true

from service import books as rules_of_books
from service.books import columns, expectations, groups
from service.books.verify import verify_books
from service.domain import verification
from service.domain.access import PLATFORM
from service.domain.charge_backs import ChargeBack
from service.domain.ledger import Account
from service.domain.reviews import Verdict
from service.domain.verification import Verification, Witness
from service.engine.records.seals import SealRecord
from service.engine.records.transfers import TransferState
from service.engine.records.verdicts import VerdictRecord
from service.rpc.stored import read_payload
from service.signing import PublicKeys
from service.storage import schema as t
from service.storage.database import open_database
from tests.engine import acts
from tests.engine.calls import authorize, pay, rental, reverse, settle
from tests.fakes import Desk, new_database
from tests.operations.every import ON_AUTHORIZATION
from tests.rows import keep_rows_again, let_rows_be_removed
from tests.sqlite import LentFile, LentFiles
from tests.storage.administered import id_of
from tests.storage.book import (
    KEY,
    KEYS,
    at,
    attack,
    copy_of,
    live,
    multiply,
    relink,
    reseal,
    restore,
    seal,
    tamper,
    verified,
    witness,
)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SealRecord]]:
    """A folder with two books, and their seals: a sealed book, and the same book before Ann's last
    payment."""
    folder = tmp_path_factory.mktemp("lived")
    file = folder / "book.db"
    new_database(f"sqlite:///{file}").close()
    with at(file) as desk:
        live(desk)
        seals = seal(desk, max_heads=2)
        it = rental(desk, settle(rental(desk, authorize()), 500))
        copy_of(file, "older.db")
        rental(desk, pay(it, 500, reference="last"), caller="platform")
        seals += seal(desk)
        assert not desk.faults
    # Each test attacks a copy of its own. The triggers are dropped here, once for all of them.
    with attack(copy_of(file, "book.db.whole")):
        pass
    return folder, seals


@pytest.fixture
def books(lived: tuple[Path, list[SealRecord]], tmp_path: Path) -> Path:
    """A copy of the sealed book."""
    return Path(shutil.copy(lived[0] / "book.db.whole", tmp_path / "book.db"))


@pytest.fixture(scope="module")
def copies(
    lived: tuple[Path, list[SealRecord]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LentFiles]:
    """Copies of the sealed book, for tests that change only rows."""
    book = lived[0] / "book.db.whole"
    made = LentFiles(book, lambda: Path(shutil.copy(book, tmp_path_factory.mktemp("planted"))))
    yield made
    made.close()


@pytest.fixture
def planted(copies: LentFiles) -> Iterator[LentFile]:
    """A copy of the sealed book whose rows the test changes."""
    with copies.borrowed() as made:
        yield made


@pytest.fixture
def seals(lived: tuple[Path, list[SealRecord]]) -> list[SealRecord]:
    """The seals of the book."""
    return lived[1]


class Where(dict[str, object]):
    """Names for rows of the book: `{lowered}` is the sequence of Ann's first entry of that
    transition, `{one}` her first authorization, `{open}` her open one."""

    def __init__(self, file: Path) -> None:
        connection = sqlite3.connect(file)

        def ask(query: str) -> list[tuple[object, ...]]:
            return connection.execute(query).fetchall()

        by_transition = ask(
            "SELECT transition, min(sequence) FROM entries WHERE user_id='ann' GROUP BY transition"
        )
        for transition, sequence in by_transition:
            self[str(transition).partition(".")[2]] = sequence
        of = "SELECT authorization_id FROM authorizations WHERE"
        self["one"] = ask(f"{of} user_id='ann' ORDER BY 1")[0][0]
        self["lost"] = ask(f"{of} user_id='ann' AND written_off_minor > 0")[0][0]
        self["open"] = ask(f"{of} user_id='ann' AND state='ACTIVE'")[0][0]
        self["reversed_one"] = ask(f"{of} user_id='ann' AND state='REVERSED'")[0][0]
        self["twice"] = ask(f"{of} user_id='ben' AND overpaid_minor > 0")[0][0]
        self["debt"] = ask(f"{of} user_id='eve' AND unheld_disputed_minor > 0")[0][0]
        paused = ask(f"{of} user_id='joe' ORDER BY authorization_id")
        self["posted"], self["handed"], self["paused"] = (it[0] for it in paused)
        (self["umas"],) = ask(f"{of} user_id='uma'")[0]
        self["kept"] = ask(
            f"{of} user_id='ben' AND captured_minor > captured_credit_minor ORDER BY 1"
        )[0][0]
        self["reserved"] = ask(f"{of} user_id='sam' AND state='AUTHORIZED'")[0][0]
        self["fee"] = ask(f"{of} user_id='val' AND order_fee_minor=300")[0][0]
        self["capped"] = ask(f"{of} user_id='val' AND order_fee_minor=200")[0][0]
        self["seventh"] = ask(f"{of} custody='UNKNOWN' AND state='SETTLED'")[0][0]
        self["gils"] = ask(f"{of} user_id='gil'")[0][0]
        asked = "SELECT case_id FROM cases WHERE reference='payments/platform"
        self["odd_case"] = ask(f"{asked}/odd-2'")[0][0]
        self["gils_case"] = ask(f"{asked}/case-3'")[0][0]
        self["late"] = ask(f"{of} user_id='ben' AND state='EXPIRED'")[0][0]
        self["bens"] = ask(f"{of} user_id='ben' AND state='ACTIVE' AND group_id=''")[0][0]
        self["payout"] = ask(
            "SELECT transfer_id FROM transfers WHERE kind='PAYOUT' AND state='REQUESTED'"
        )[0][0]
        self["returned"] = ask(
            "SELECT transfer_id FROM transfers WHERE state='RETURNED' AND user_id='ann'"
        )[0][0]
        self["debit"] = ask(
            "SELECT transfer_id FROM transfers WHERE kind='DEBIT' AND state='SUCCEEDED'"
        )[0][0]
        event = "SELECT sequence FROM outbox WHERE authorization_id="
        versions = ask(f"{event}'{self['one']}' ORDER BY authorization_version")
        self["event"], self["second"], self["newest"] = (versions[at][0] for at in (0, 1, -1))
        debt = f"{event}'{self['debt']}' ORDER BY authorization_version DESC"
        self["debt_event"] = ask(debt)[0][0]
        self["eves_rental"] = ask(f"{of} user_id='eve' AND parent_id=''")[0][0]
        self["cited"], self["begun"] = ask(
            "SELECT authorization_id, started_id FROM late_pickups WHERE user_id='gus'"
        )[0]
        self["ivy"] = ask(f"{of} user_id='ivy'")[0][0]
        case = "SELECT case_id FROM cases WHERE user_id='ivy' AND kind="
        for kind in ("WRONG_FEE", "SECOND_REFERENCE", "CLAIM", "ITEM_AT_FAULT"):
            self[kind.lower()] = ask(f"{case}'{kind}'")[0][0]
        self["taken"], self["taken_at"] = ask(
            "SELECT authorization_id, authorization_version FROM consents"
            " WHERE user_id='ora' AND authorization_version=2 AND authorization_id IN"
            " (SELECT authorization_id FROM captures WHERE purpose='DAMAGE')"
            " AND authorization_id IN"
            " (SELECT authorization_id FROM authorizations WHERE parent_id='')"
        )[0]
        self["oras_charge"] = ask(f"{of} user_id='ora' AND parent_id<>'' AND unheld_minor=0")[0][0]
        self["oras_debt"] = ask(f"{of} user_id='ora' AND unheld_minor>0")[0][0]
        self["cancelled"] = ask(
            f"{of} user_id='ora' AND state='SETTLED' AND start_us IS NULL AND parent_id=''"
        )[0][0]
        self["order"] = ask(f"{of} user_id='nia'")[0][0]
        self["approved"], self["refused"] = (
            it[0] for it in ask("SELECT authorization_id FROM verdicts ORDER BY 1")
        )
        ((self["presumed"], self["presumed_at"]),) = ask(
            "SELECT authorization_id, authorization_version FROM lapses"
            " WHERE user_id='fay' AND lapse='RETURN_PRESUMED'"
        )
        self["expired"] = "/".join(
            map(
                str,
                ask(
                    "SELECT user_id, authorization_id, authorization_version FROM lapses"
                    " WHERE lapse='PICKUP_EXPIRED' ORDER BY 1, 2, 3"
                )[0],
            )
        )
        of_event = "SELECT sequence FROM outbox WHERE"
        self["docked"] = ask(
            f"{of_event} transition='authorization.claim_accepted' AND user_id='ann' ORDER BY 1"
        )[0][0]
        self["oda"], self["oda_at"] = ask(
            "SELECT authorization_id, authorization_version FROM unposted_dockings"
        )[0]
        self["raised"], self["raised_at"], self["later"] = ask(
            "SELECT authorization_id, authorization_version, decision_id FROM later_decisions"
        )[0]
        self["ulfs"] = ask(f"{of} user_id='ulf'")[0][0]
        ((self["tried"],),) = ask(
            "SELECT caller || '/' || request_id FROM refused_increments WHERE number=2"
        )
        self["dispute"] = ask(
            "SELECT case_id FROM cases WHERE user_id='ann' AND kind='DISPUTE' ORDER BY 1"
        )[0][0]
        self["disputed"] = ask(
            f"SELECT authorization_id FROM cases WHERE case_id='{self['dispute']}'"
        )[0][0]
        calls = "SELECT caller || '/' || request_id FROM requests WHERE"
        by_ada = "SELECT min(number) FROM audit WHERE act='act.proposed' AND owner='platform'"
        self["by_ada"] = ask(by_ada)[0][0]
        self["proposed"] = ask(f"{calls} method='ProposeMerge' AND user_id='max'")[0][0]
        self["asked"] = ask(f"{calls} method='AddEvidence' AND authorization_id=''")[0][0]
        self["other"] = ask(f"{event}'{self['open']}'")[0][0]
        self["persons"] = ask(f"{event}''")[0][0]
        requests = f"SELECT request_id FROM requests WHERE authorization_id='{self['one']}'"
        self["request"] = ask(f"{requests} ORDER BY record_us, request_id")[0][0]
        self["decision"] = ask("SELECT decision_id FROM authorizations WHERE user_id='dan'")[0][0]
        self["counted"] = ask(
            "SELECT decision_id FROM decisions WHERE read_values LIKE '%user.open\":1%'"
        )[0][0]
        self["stopped"] = ask(
            "SELECT decision_id FROM decisions WHERE read_values LIKE '%breaker.bounded\":2%'"
        )[0][0]
        self["day"] = ask("SELECT period FROM budget_accounts WHERE period<>''")[0][0]
        quotas = "SELECT user_id, operator_id, name, per, period_us FROM quotas"
        (quota,) = ask(f"{quotas} WHERE per='DAY'")
        used_pass = "SELECT pass_id FROM passes WHERE user_id='una' AND uses=1 ORDER BY 1"
        self["used_pass"] = ask(used_pass)[0][0]
        bought = "SELECT request_id FROM requests WHERE method='BuyPass' ORDER BY record_us"
        self["buying"] = ask(bought)[0][0]
        self["quota"] = "/".join(map(str, quota))
        self["dans"] = ask(f"{of} user_id='dan'")[0][0]
        connection.close()


# -- correct books ------------------------------------------------------------------------------


def test_correct_books_pass(books: Path, seals: list[SealRecord]) -> None:
    """Correct books have no fault, and the verification reports how much it checked."""
    found = verified(books)
    assert found.fault is None
    assert (found.lines, found.authorizations) == (27, 71)
    assert found.entries > 100
    assert found.seals == found.signatures == len(seals) > 2
    assert found.last_seal == witness(seals[-1])


def _refunded_by_time(desk: Desk) -> None:
    """Pays 400 that are due with 500 owed back, and sends the rest."""
    desk.put_user("time", 700)
    it = rental(desk, settle(rental(desk, authorize("time")), 900))
    rental(desk, pay(it, 500, reference="p-time"), caller=PLATFORM)
    rental(desk, acts.refund(it, 500))
    it = acts.woken(desk, it, desk.clock.now_us() + acts.HOUR_US)
    desk.do(acts.told(acts.transfers(desk, it)[-1], TransferState.FAILED), caller=PLATFORM)
    acts.woken(desk, it, desk.clock.now_us() + acts.DAY_US)


def test_the_book_has_every_transition_that_posts(books: Path, file: Path) -> None:
    """The book of these tests has every transition that may post, and every account."""
    with at(file) as desk:
        for method, call in ON_AUTHORIZATION.items():
            desk.do(call.command(call.before(desk, method)))
        _refunded_by_time(desk)
    assert verified(file).fault is None
    posted: set[tuple[str, str, str]] = set()
    for book in (books, file):
        with attack(book) as connection:
            posted |= set(connection.execute("SELECT transition, debit, credit FROM entries"))
    assert {transition for transition, _, _ in posted} == set(expectations.EFFECTS)
    assert {account for _, *pair in posted for account in pair} == set(Account)


def test_empty_books_pass(file: Path) -> None:
    """An empty database has correct books."""
    assert verified(file) == Verification(0, 0, 0, None)


def test_correct_books_pass_on_both_databases(desk: Desk) -> None:
    """Correct books pass on PostgreSQL too, with their seals."""
    live(desk)
    seals = seal(desk, max_heads=2)
    noted = [witness(it) for it in seals]
    found = verify_books(desk.store.engine, KEYS, noted, read_payload=read_payload)
    assert found.fault is None
    assert found.signatures == len(seals)


C = t.cases.c
REMOVED = (
    (t.authorization_details, true(), "DETAILS"),
    (t.lapses, true(), "LAPSES"),
    (t.unposted_dockings, true(), "UNPOSTED"),
    (t.later_decisions, true(), "DECISION"),
    (t.aliases, t.aliases.c.approve_us.is_(None), "ALIAS"),
    (t.cases, C.kind == "SECOND_REFERENCE", "CASE"),
    (t.cases, C.kind == "UNMATCHED_MONEY", "CASE"),
    (t.cases, C.kind == "CLAIM", "CASE"),
    (t.cases, C.kind == "DISPUTE", "CASE"),
)


def test_removed_rows_are_missed_on_both_databases(desk: Desk) -> None:
    """A step writes rows beside its authorization. The verifier finds it if all rows of one kind,
    with their evidence, are removed."""
    live(desk)
    engine = desk.store.engine
    tables = {t.case_evidence, *(table for table, *_ in REMOVED)}
    let_rows_be_removed(engine, tables)
    for table, which, rule in REMOVED:
        without = [(table, which)]
        if table is t.cases:
            ids = select(C.case_id).where(which)
            without.insert(0, (t.case_evidence, t.case_evidence.c.case_id.in_(ids)))
        kept = []
        with engine.begin() as connection:
            for each, where in without:
                query = select(*t.recorded(each)).where(where)
                rows = [dict(row) for row in connection.execute(query).mappings()]
                kept.append((each, rows))
                connection.execute(each.delete().where(where))
        found = verify_books(engine, read_payload=read_payload).fault
        assert found is not None, table.name
        assert found.rule == rule, found
        with engine.begin() as connection:
            for each, rows in kept:
                if rows:
                    connection.execute(each.insert(), rows)
    keep_rows_again(engine, tables)
    assert verify_books(engine, read_payload=read_payload).fault is None


def test_many_people_pass(desk: Desk) -> None:
    """People with and without lines, entries and authorizations are matched side by side."""
    for n in range(20):
        if n % 2:
            desk.put_user(f"u{n}", 700 if n % 3 else 400)
        if n % 5:
            rental(desk, reverse(rental(desk, authorize(f"u{n}"))))
    found = verify_books(desk.store.engine)
    assert (found.fault, found.authorizations) == (None, 16)


def test_memory_is_bounded_by_a_portion(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times as many people take no more memory to verify."""
    monkeypatch.setattr(columns, "BLOCK_VALUES", 1_024)  # A few of the people have many rows.
    monkeypatch.setattr(groups, "PORTION_BYTES", 16_384)
    multiply(books, 20)
    peak_bytes(books)  # Objects that are kept for later exist now.
    few = peak_bytes(books)
    multiply(books, 2)
    assert peak_bytes(books) < 1.1 * few


def peak_bytes(file: Path) -> int:
    """The peak memory of a verification of correct books."""
    engine = open_database(f"sqlite:///{file}")
    tracemalloc.start()
    try:
        assert verify_books(engine, KEYS).fault is None
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        engine.dispose()


# -- planted faults: by plain SQL, then the name of the rule and of the row ---------------------

E = "UPDATE entries SET"
AT = "WHERE user_id='ann' AND sequence="
L = "UPDATE lines SET"
ANN = "WHERE user_id='ann'"
A = "UPDATE authorizations SET"
ONE = "WHERE authorization_id='{one}'"
OPEN = "WHERE authorization_id='{open}'"
FIRST_REQUEST = "SELECT request_id FROM authorizations WHERE authorization_id='{one}'"
DEBT = "WHERE authorization_id='{debt}'"
BEGUN = "WHERE authorization_id='{begun}'"
LATE = "late_pickups/gus/{cited}"
CASES, ITEMS, PAYMENT = (f"UPDATE {it} SET" for it in ("charge_backs", "suspense", "payments"))
COPIED = ", ".join("'case-9'" if name == "case_id" else name for name in ChargeBack._fields)
"""The columns of a charge-back with another id."""
ALIAS_OF_HAL = (
    "SELECT 'hal', survivor, reason, proposed_by, propose_us, approved_by, approve_us, version,"
    " digest FROM aliases WHERE user_id='kim'"
)
GILS, ODD = "charge_backs/gil/{gils}/case-3", "suspense/platform/odd-1"
EVES = "users/eve/authorizations/{debt}"
IVY = "users/ivy/authorizations/{ivy}"
CASE = "cases/ivy/{ivy}/{wrong_fee}"
EVIDENCE = "case_evidence/ivy/{ivy}/{wrong_fee}/1"
ANN_LINE = "lines/ann/CNY"
FIRST = "users/ann/authorizations/{one}"
STAYS = "users/ann/authorizations/{open}"

TRANSFER = (
    "INSERT INTO transfers VALUES"
    " ('ann', 'x', '{{one}}', '{kind}', {amount}, 'CNY', '{state}', '', 1, 1, NULL, NULL, NULL, 0)"
)

EMPTY = sha256(b"{}").hexdigest()
"""The digest of an empty document."""
DEPOT_POLICY = "WHERE owner='depot' AND kind='policy' AND name='careful' AND revision=2"
DEPOT_BIKE = "WHERE operator_id='depot' AND product_id='bike' AND revision=3"

PLANTED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "an amount": (
        (f"{E} amount_minor=amount_minor+1 {AT}{{lowered}}",),
        "BALANCE_AFTER", "entries/ann/CNY/{lowered}",
    ),
    "an amount between shared accounts": (
        (f"{E} amount_minor=amount_minor+1 {AT}{{provisioned}}",),
        "LINK", "entries/ann/CNY/{provisioned}",
    ),
    "an amount of zero": (
        (f"{E} amount_minor=0 {AT}{{reversed}}",),
        "AMOUNT_NOT_POSITIVE", "entries/ann/CNY/{reversed}",
    ),
    "another event time": (
        (f"{E} event_us=event_us-1 {AT}{{reversed}}",), "LINK", "entries/ann/CNY/{reversed}",
    ),
    "a link": (
        (f"{E} link=x'00' {AT}{{reversed}}",), "LINK", "entries/ann/CNY/{reversed}",
    ),
    "a link's format": (
        (f"{E} link_format=1 {AT}{{reversed}}",), "LINK", "entries/ann/CNY/{reversed}",
    ),
    "an unknown link format": (
        (f"{E} link_format=9 {AT}{{reversed}}",), "LINK_FORMAT", "entries/ann/CNY/{reversed}",
    ),
    "a missing entry": (
        (f"DELETE FROM entries {AT}{{lowered}}",),
        "ENTRY_MISSING", "entries/ann/CNY/{after_lowered}",
    ),
    "a missing first entry": (
        (f"DELETE FROM entries {AT}1",), "ENTRY_MISSING", "entries/ann/CNY/2",
    ),
    "a tail cut off, and the line left": (
        (f"DELETE FROM entries {ANN} AND sequence>=60",), "ENTRY_MISSING", ANN_LINE,
    ),
    "all entries gone": (
        (f"DELETE FROM entries {ANN}",), "ENTRY_MISSING", ANN_LINE,
    ),
    "a balance after": (
        (f"{E} debit_after_minor=debit_after_minor+1 {AT}{{reversed}}",),
        "BALANCE_AFTER", "entries/ann/CNY/{reversed}",
    ),
    "a balance of a shared account": (
        (f"{E} credit_after_minor=1 {AT}{{provisioned}}",),
        "BALANCE_AFTER", "entries/ann/CNY/{provisioned}",
    ),
    "a balance left out": (
        (f"{E} debit_after_minor=NULL {AT}{{reversed}}",),
        "BALANCE_AFTER", "entries/ann/CNY/{reversed}",
    ),
    "more held than there was": (
        ((f"{E} amount_minor=400000, debit_after_minor=400000, credit_after_minor=-100000"
          f" {AT}{{active}}"),),
        "BALANCE_NEGATIVE", "entries/ann/CNY/{active}",
    ),
    "the other book": (
        (f"{E} book='money' {AT}{{reversed}}",),
        "BOOK_NOT_BALANCED", "entries/ann/CNY/{reversed}",
    ),
    "an entry across the books": (
        (f"{E} credit='cash' {AT}{{reversed}}",),
        "BOOK_NOT_BALANCED", "entries/ann/CNY/{reversed}",
    ),
    "swapped accounts": (
        ((f"{E} debit=credit, credit=debit, debit_after_minor=credit_after_minor,"
          f" credit_after_minor=debit_after_minor {AT}{{reversed}}"),),
        "BALANCE_AFTER", "entries/ann/CNY/{reversed}",
    ),
    "an entry of another transaction": (
        (f"{E} transaction_sequence=3 {AT}{{after_captured}}",),
        "TRANSACTION", "entries/ann/CNY/{after_captured}",
    ),
    "a transaction of two instants": (
        (f"{E} event_us=event_us-1 {AT}{{after_captured}}",),
        "TRANSACTION", "entries/ann/CNY/{after_captured}",
    ),
    "a transaction in two halves": (
        (f"{E} transaction_sequence=sequence {AT}{{after_captured}}",),
        "DRAWN_IS_RECEIVABLE", "entries/ann/CNY/{captured}",
    ),
    "written before the event happened": (
        (f"{E} event_us=ledger_us+1 {AT}{{reversed}}",), "TIME", "entries/ann/CNY/{reversed}",
    ),
    "written before the one before": (
        (f"{E} ledger_us=1, event_us=1 {AT}{{reversed}}",), "TIME", "entries/ann/CNY/{reversed}",
    ),
    "a line's time": (
        (f"{L} ledger_us=ledger_us+1 {ANN}",), "TIME", ANN_LINE,
    ),
    "a line's head": (
        (f"{L} head=x'00' {ANN}",), "HEAD_STORED", ANN_LINE,
    ),
    "a line's version": (
        (f"{L} version=version+1 {ANN}",), "ENTRY_MISSING", ANN_LINE,
    ),
    "a line's subject": (
        (f"{L} subject=x'00' {ANN}",), "SUBJECT", ANN_LINE,
    ),
    "a subject key of no length": (
        (f"{L} subject_key=zeroblob(65) {ANN}",), "SUBJECT", ANN_LINE,
    ),
    "everything moved to another person": (
        tuple(f"UPDATE {table} SET user_id='zoe' {ANN}"
              for table in ("users", "lines", "entries", "authorizations", "sealed_heads",
                            "payments", "transfers", "requests", "decisions", "open_items",
                            "outbox", "captures", "corrections", "cases", "case_evidence")),
        "SUBJECT", "lines/zoe/CNY",
    ),
    "a pending cut of an available amount": (
        (f"{L} cut_pending_minor=1 {ANN}",), "CUT_PENDING", ANN_LINE,
    ),
    "limit and available": (
        (f"{L} limit_minor=limit_minor+1, available_minor=available_minor+1 {ANN}",),
        "BALANCE_STORED", ANN_LINE,
    ),
    "held for drawn": (
        (f"{L} held_minor=held_minor-1, drawn_minor=drawn_minor+1 {ANN}",),
        "DRAWN_IS_RECEIVABLE", ANN_LINE,
    ),
    **{
        f"a line's {column}": ((f"{L} {column}={column}+1 {ANN}",), rule, ANN_LINE)
        for column, rule in {
            "limit_minor": "LIMIT_IS_THE_SUM", "available_minor": "LIMIT_IS_THE_SUM",
            "held_minor": "LIMIT_IS_THE_SUM", "receivable_minor": "DRAWN_IS_RECEIVABLE",
            "disputed_minor": "DRAWN_IS_RECEIVABLE", "charged_back_minor": "BALANCE_STORED",
            "deposit_minor": "BALANCE_STORED", "refund_payable_minor": "BALANCE_STORED",
        }.items()
    },
    "an entry without a line": (
        (f"{E} currency='EUR' {AT}1",), "ENTRY_MISSING", "entries/ann/CNY/2",
    ),
    "a line that is gone": (
        (f"DELETE FROM lines {ANN}",), "ENTRY_WITHOUT_LINE", "entries/ann/CNY/1",
    ),
    "a person that is gone": (
        (f"DELETE FROM lines {ANN}", f"DELETE FROM entries {ANN}"), "TAIL_CUT", ANN_LINE,
    ),
    "an authorization that is gone": (
        (f"DELETE FROM authorizations {ONE}",),
        "ENTRY_WITHOUT_AUTHORIZATION", "entries/ann/CNY/{active}",
    ),
    "an authorization of another person": (
        (f"{A} user_id='zoe' {ONE}",), "ENTRY_WITHOUT_AUTHORIZATION", "entries/ann/CNY/{active}",
    ),
    "an authorization in another currency": (
        (f"{A} currency='EUR' {ONE}",), "ENTRY_OF_ANOTHER", "entries/ann/CNY/{active}",
    ),
    "an authorization of another operator": (
        (f"{A} operator_id='harbour' {ONE}",), "ENTRY_OF_ANOTHER", "entries/ann/CNY/{active}",
    ),
    "an authorization without a line": (
        (f"{A} currency='EUR' WHERE user_id='dan'",),
        "AUTHORIZATION_WITHOUT_LINE", "users/dan/authorizations/{dans}",
    ),
    **{
        f"an authorization's {column}": (
            (f"{A} {column}={column}+1 {ONE}",), "AUTHORIZATION_AMOUNT", FIRST,
        )
        for column in expectations.AMOUNTS if column != "due_minor"
    },
    "an authorization's fee share": (
        (f"{A} fee_bp=fee_bp+100 {ONE}",), "FEE_IS_THE_SHARE", FIRST,
    ),
    "more authorized than held": (
        (f"{A} credit_minor=credit_minor+1 {OPEN}",), "AUTHORIZATION_AMOUNT", STAYS,
    ),
    "less authorized than captured": (
        (f"{A} credit_minor=1 {ONE}",), "AUTHORIZATION_AMOUNT", FIRST,
    ),
    "a deposit above the held one": (
        (f"{A} cash_minor=cash_minor+1 {OPEN}",), "STATE_AND_AMOUNTS", STAYS,
    ),
    "a deposit below its captured part": (
        (f"{A} cash_minor=1 WHERE authorization_id='{{kept}}'",),
        "STATE_AND_AMOUNTS", "users/ben/authorizations/{kept}",
    ),
    "a reservation without its beginning": (
        (f"{A} reserve_us=NULL WHERE authorization_id='{{reserved}}'",),
        "RESERVATION", "users/sam/authorizations/{reserved}",
    ),
    "a reservation that has no price": (
        (f"{A} reserve_us=create_us {ONE}",), "EVENTS_TELL", FIRST,
    ),
    "a known fee that was not held": (
        (f"{A} order_fee_minor=order_fee_minor+1 WHERE authorization_id='{{fee}}'",),
        "ORDER_FEE", "users/val/authorizations/{fee}",
    ),
    "more kept than the known fee": (
        (f"{A} order_fee_minor=0 WHERE authorization_id='{{capped}}'",),
        "STATE_AND_AMOUNTS", "users/val/authorizations/{capped}",
    ),
    "a damage charge with a fee of an order": (
        (f"{A} order_fee_minor=0 WHERE authorization_id='{{debt}}'",),
        "STATE_AND_AMOUNTS", "users/eve/authorizations/{debt}",
    ),
    "an offer that was not accepted": (
        (f"{A} accept_offers='REDUCED,FULL' {ONE}",), "OFFER_ACCEPTED", FIRST,
    ),
    "a closed state that holds": (
        (f"{A} state='REVERSED', custody='IN_STATION', close_us=1 {OPEN}",),
        "STATE_AND_AMOUNTS", STAYS,
    ),
    "a proposal without a proposer": (
        (f"{A} write_off_minor=1 {ONE}",), "STATE_AND_AMOUNTS", FIRST,
    ),
    "a proposal of zero": (
        (f"{A} write_off_by='key-1' {ONE}",), "STATE_AND_AMOUNTS", FIRST,
    ),
    "a proposal where nothing is due": (
        (f"{A} write_off_by='key-1', write_off_minor=1 WHERE authorization_id='{{lost}}'",),
        "STATE_AND_AMOUNTS", "users/ann/authorizations/{lost}",
    ),
    "an unknown dunning step": (
        (f"{A} rung=99 {ONE}",), "STATE_AND_AMOUNTS", FIRST,
    ),
    "an item that is out and in": (
        (f"{A} custody='IN_STATION' {OPEN}",), "STATE_AND_CUSTODY", STAYS,
    ),
    "a rental that lapses": (
        (f"{A} expire_us=1 {OPEN}",), "STATE_AND_TIMES", STAYS,
    ),
    "a rental that never began": (
        (f"{A} start_us=NULL, due_us=NULL, lost_us=NULL {OPEN}",), "STATE_AND_TIMES", STAYS,
    ),
    "two rentals of one request": (
        (f"{A} request_id=({FIRST_REQUEST}) WHERE authorization_id='{{reversed_one}}'",),
        "REQUEST_TWICE", "users/ann/authorizations/{reversed_one}",
    ),
    "a wake-up": (
        (f"{A} wake_us=wake_us+1 {OPEN}",), "WAKE_STORED", STAYS,
    ),
    "a payment's amount": (
        ("UPDATE payments SET amount_minor=amount_minor+1 WHERE payment_reference='p-1'",),
        "PAYMENTS", FIRST,
    ),
    "a payment in another currency": (
        ("UPDATE payments SET currency='EUR' WHERE payment_reference='p-1'",),
        "PAYMENTS", "payments/platform/p-1",
    ),
    "a payment that is gone": (
        ("DELETE FROM payments WHERE payment_reference='b-4'",), "PAYMENTS", FIRST,
    ),
    "a deposit that is gone": (
        ("DELETE FROM payments WHERE payment_reference='d-1'",),
        "PAYMENTS", "users/ben/authorizations/{bens}",
    ),
    "a payout of a person": (
        ("UPDATE transfers SET amount_minor=amount_minor+1 WHERE kind='PAYOUT'",),
        "PAYMENTS", FIRST,
    ),
    "a payout that failed after all": (
        ("UPDATE transfers SET state='FAILED' WHERE kind='PAYOUT' AND state='REQUESTED'",),
        "PAYMENTS", FIRST,
    ),
    "a payout of an operator": (
        ("UPDATE payments SET amount_minor=amount_minor+1 WHERE kind='OPERATOR_PAYOUT'",),
        "PAYMENTS", "lines/operators/city/CNY",
    ),
    "a payment of an operator": (
        ("UPDATE payments SET amount_minor=amount_minor+1 WHERE kind='OPERATOR_PAYMENT'",),
        "PAYMENTS", "lines/operators/city/CNY",
    ),
    "an operator's payment for a payout": (
        ("UPDATE payments SET kind='OPERATOR_PAYOUT' WHERE kind='OPERATOR_PAYMENT'",),
        "PAYMENTS", "lines/operators/city/CNY",
    ),
    "a debit without its payment": (
        (("UPDATE payments SET payment_reference='other'"
         " WHERE payment_reference='transfers/{debit}'"),),
        "TRANSFER_WITHOUT_PAYMENT", "transfers/ann/{debit}",
    ),
    "an earlier result without an event": (
        ("UPDATE transfers SET earlier_state='CANCELLED' WHERE transfer_id='{debit}'",),
        "TRANSFER", FIRST,
    ),
    "an earlier result at another instant": (
        ("UPDATE transfers SET earlier_us=earlier_us+1 WHERE transfer_id='{debit}'",),
        "TRANSFER", FIRST,
    ),
    "an earlier result that is gone": (
        (("UPDATE transfers SET earlier_state=NULL, earlier_detail=NULL, earlier_us=NULL"
         " WHERE transfer_id='{debit}'"),),
        "TRANSFER", FIRST,
    ),
    "a debit whose success is gone": (
        (("UPDATE transfers SET state='FAILED', change_us=earlier_us"
         " WHERE transfer_id='{debit}'"),),
        "TRANSFER", "transfers/ann/{debit}",
    ),
    "a payout with an earlier result": (
        (("UPDATE transfers SET earlier_state='FAILED', earlier_detail='', earlier_us=1"
         " WHERE transfer_id='{returned}'"),),
        "PAYMENTS", FIRST,
    ),
    "a payout that is cancelled": (
        ("UPDATE transfers SET state='CANCELLED' WHERE transfer_id='{payout}'",),
        "PAYMENTS", FIRST,
    ),
    "an earlier result of a payout at another instant": (
        (("UPDATE transfers SET earlier_us=earlier_us+1"
         " WHERE user_id='ben' AND kind='PAYOUT' AND earlier_us IS NOT NULL"),),
        "TRANSFER", "users/ben/authorizations/{twice}",
    ),
    "another earlier result of a payout": (
        (("UPDATE transfers SET earlier_state='CANCELLED'"
         " WHERE user_id='ben' AND kind='PAYOUT' AND earlier_us IS NOT NULL"),),
        "TRANSFER", "users/ben/authorizations/{twice}",
    ),
    "an overpaid amount of a line": (
        ("UPDATE lines SET overpaid_minor=overpaid_minor+1 WHERE user_id='ben'",),
        "BALANCE_STORED", "lines/ben/CNY",
    ),
    "an overpaid amount of an authorization": (
        ((f"{A} overpaid_minor=overpaid_minor-1, overpaid_written_off_minor="
          "overpaid_written_off_minor+1 WHERE authorization_id='{twice}'"),),
        "AUTHORIZATION_AMOUNT", "users/ben/authorizations/{twice}",
    ),
    "a debt without a hold": (
        ("UPDATE lines SET unheld_minor=1 WHERE user_id='ben'",),
        "BALANCE_STORED", "lines/ben/CNY",
    ),
    "one payout as two": (
        ("UPDATE transfers SET amount_minor=amount_minor-50 WHERE transfer_id='{payout}'",
         TRANSFER.format(kind="PAYOUT", amount=50, state="REQUESTED")),
        "TRANSFER", FIRST,
    ),
    "a debit under way without a request": (
        (TRANSFER.format(kind="DEBIT", amount=5, state="SENT"),), "TRANSFER", FIRST,
    ),
    "a debit that failed and was never asked for": (
        (TRANSFER.format(kind="DEBIT", amount=5, state="FAILED"),), "TRANSFER", FIRST,
    ),
    "a debit awaited that is not under way": (
        (f"{A} debiting_minor=5 {ONE}",), "TRANSFER", FIRST,
    ),
    "a standing without an event": (
        (f"{L} standing='WATCHED' {ANN}",), "SET_BY_NOBODY", ANN_LINE,
    ),
    "a fixed limit without an event": (
        (f"{L} limit_fixed=1 WHERE user_id='dan'",), "SET_BY_NOBODY", "lines/dan/CNY",
    ),
    "an event that is gone": (
        (f"DELETE FROM outbox {ONE} AND authorization_version=1",), "EVENT", "outbox/{second}",
    ),
    "the last event gone": (
        ((f"DELETE FROM outbox {ONE} AND authorization_version="
          f"(SELECT version FROM authorizations {ONE})"),),
        "EVENT", FIRST,
    ),
    "an event twice": (
        (("INSERT INTO outbox VALUES"
          " (99999, 'authorization.overdue', 'ann', '{one}', 1, 1, 1, '', x'')"),),
        "EVENT", "outbox/99999",
    ),
    "an event of no authorization": (
        (("INSERT INTO outbox VALUES"
          " (99999, 'authorization.overdue', 'ann', 'ghost', 1, 1, 1, '', x'')"),),
        "EVENT", "outbox/99999",
    ),
    "an unknown event": (
        (("INSERT INTO outbox VALUES"
          " (99999, 'authorization.sung', 'ann', '{one}', 1, 1, 1, '', x'')"),),
        "UNREADABLE", "outbox/99999",
    ),
    "an event of another operator": (
        (f"UPDATE outbox SET operator_id='harbour' {ONE} AND authorization_version=1",),
        "PAYLOAD", "outbox/{event}",
    ),
    "an event without a payload": (
        (f"UPDATE outbox SET payload=x'' {ONE} AND authorization_version=1",),
        "PAYLOAD", "outbox/{event}",
    ),
    "an event without an operator": (
        (f"UPDATE outbox SET operator_id='' {ONE} AND authorization_version=1",),
        "PAYLOAD", "outbox/{event}",
    ),
    "a person's event with an operator": (
        ("UPDATE outbox SET operator_id='city', payload=x'00' WHERE sequence={persons}",),
        "PAYLOAD", "outbox/{persons}",
    ),
    "a payload that is cut off": (
        ("UPDATE outbox SET payload=substr(payload, 1, 20) WHERE sequence={newest}",),
        "PAYLOAD", "outbox/{newest}",
    ),
    "the payload of another authorization": (
        (("UPDATE outbox SET payload=(SELECT payload FROM outbox WHERE sequence={other})"
          " WHERE sequence={newest}"),),
        "PAYLOAD", "outbox/{newest}",
    ),
    "the payload of an earlier version": (
        (("UPDATE outbox SET payload=(SELECT payload FROM outbox WHERE sequence={event})"
          " WHERE sequence={newest}"),),
        "PAYLOAD", "outbox/{newest}",
    ),
    "a state of which no event tells": (
        (f"UPDATE outbox SET transition='authorization.overdue' {OPEN}",), "EVENTS_TELL", STAYS,
    ),
    "a rental that began earlier": (
        (f"{A} start_us=start_us-1 {OPEN}",), "EVENTS_TELL", STAYS,
    ),
    "a rental that ended later": (
        (f"{A} close_us=close_us+1 {ONE}",), "EVENTS_TELL", FIRST,
    ),
    "dunning begun anew": (
        (f"{A} rung=0 {ONE}",), "EVENTS_TELL", FIRST,
    ),
    **{
        f"a capture's {column}": (
            (f"UPDATE captures SET {column}={value} {ONE} AND number=1",),
            "CAPTURE", f"captures/ann/{{one}}/{number}",
        )
        for column, value, number in (
            ("user_id", "'zoe'", 2), ("authorization_id", "'ghost'", 2), ("number", "9", 2),
            ("purpose", "'PENALTY'", 1), ("amount_minor", "amount_minor+1", 1),
            ("business_reference", "'case-9'", 1), ("event_us", "event_us-1", 1),
            ("authorization_version", "authorization_version+1", 1),
            ("record_us", "record_us+1", 1), ("digest", "x'00'", 1),
        )
    },
    **{
        f"a correction's {column}": (
            (f"UPDATE corrections SET {column}={value} {ONE} AND number=1",),
            "CAPTURE", f"corrections/ann/{{one}}/{number}",
        )
        for column, value, number in (
            ("user_id", "'zoe'", 2), ("authorization_id", "'ghost'", 2), ("number", "99", 2),
            ("transition", "'collection.refunded'", 1), ("capture", "capture-1", 1),
            ("amount_minor", "amount_minor+1", 1), ("conceded_minor", "0", 1),
            ("disputed_minor", "1", 1), ("business_reference", "'case-9'", 1),
            ("reason", "'none'", 1), ("event_us", "event_us-1", 1),
            ("authorization_version", "authorization_version+1", 1),
            ("record_us", "record_us+1", 1), ("digest", "x'00'", 1),
        )
    },
    **{
        f"the {column} of an order ({value})": (
            (f"UPDATE authorization_details SET {column}={value} WHERE user_id='nia'",),
            "DETAILS", f"authorization_details/{user}/{of}",
        )
        for column, value, user, of in (
            ("user_id", "'ann'", "ann", "{order}"), ("authorization_id", "'ghost'", "nia", "ghost"),
            *((it, "'x'", "nia", "{order}") for it in (
                "operator_id", "order_reference", "labels", "device_hash", "payment_account_hash",
                "rail_account", "time_zone", "price_hash", "start_station", "start_condition",
                "end_station", "end_condition",
            )),
            ("authorization_version", "1", "nia", "{order}"),
            ("authorization_version", "99", "nia", "{order}"),
            ("record_us", "record_us+1", "nia", "{order}"), ("digest", "x'00'", "nia", "{order}"),
        )
    },
    **{
        f"the {column} of what time ended": (
            ((f"UPDATE lapses SET {column}={value}"
              " WHERE user_id='fay' AND lapse='RETURN_PRESUMED'"),),
            "LAPSES", f"lapses/{name}",
        )
        for column, value, name in (
            ("user_id", "'ann'", "ann/{presumed}/{presumed_at}"),
            ("authorization_id", "'ghost'", "fay/ghost/{presumed_at}"),
            ("authorization_version", "99", "fay/{presumed}/99"),
            ("lapse", "'LOST'", "fay/{presumed}/{presumed_at}"),
            ("operator_id", "'harbour'", "fay/{presumed}/{presumed_at}"),
            ("transition", "'authorization.lost'", "fay/{presumed}/{presumed_at}"),
            ("event_us", "event_us-1", "fay/{presumed}/{presumed_at}"),
            ("record_us", "record_us+1", "fay/{presumed}/{presumed_at}"),
            ("digest", "x'00'", "fay/{presumed}/{presumed_at}"),
        )
    },
    **{
        f"the {column} of a settlement that posted nothing": (
            (f"UPDATE unposted_dockings SET {column}={value}",),
            "UNPOSTED", f"unposted_dockings/{name}",
        )
        for column, value, name in (
            ("user_id", "'ann'", "ann/{oda}/{oda_at}"),
            ("authorization_id", "'ghost'", "oda/ghost/{oda_at}"),
            ("authorization_version", "99", "oda/{oda}/99"),
            ("transition", "'authorization.lost'", "oda/{oda}/{oda_at}"),
            ("event_us", "event_us-1", "oda/{oda}/{oda_at}"),
            ("record_us", "record_us+1", "oda/{oda}/{oda_at}"),
            ("digest", "x'00'", "oda/{oda}/{oda_at}"),
        )
    },
    **{
        f"the {column} of an increment's decision": (
            (f"UPDATE later_decisions SET {column}={value}",),
            "DECISION", f"later_decisions/{name}",
        )
        for column, value, name in (
            ("user_id", "'zoe'", "zoe/{raised}/{raised_at}"),
            ("authorization_id", "'ghost'", "ann/ghost/{raised_at}"),
            ("authorization_version", "99", "ann/{raised}/99"),
            ("decision_id", "'ghost'", "ann/{raised}/{raised_at}"),
            ("currency", "'USD'", "ann/{raised}/{raised_at}"),
            ("transaction_sequence", "transaction_sequence+1", "ann/{raised}/{raised_at}"),
            ("transition", "'authorization.extended'", "ann/{raised}/{raised_at}"),
            ("event_us", "event_us-1", "ann/{raised}/{raised_at}"),
            ("record_us", "record_us+1", "ann/{raised}/{raised_at}"),
            ("digest", "x'00'", "ann/{raised}/{raised_at}"),
        )
    },
    **{
        f"the {column} of a refused increment ({value})": (
            (f"UPDATE refused_increments SET {column}={value} WHERE number={number}",),
            "INCREMENTS", f"refused_increments/{name}",
        )
        for column, value, number, name in (
            ("user_id", "'ann'", 1, "ann/{ulfs}/1"),
            ("authorization_id", "'ghost'", 3, "ulf/ghost/3"),
            ("number", "4", 1, "ulf/{ulfs}/2"),
            ("number", "4", 3, "ulf/{ulfs}/4"),
            ("caller", "'harbour'", 1, "ulf/{ulfs}/1"),
            ("caller", "'harbour'", 2, "ulf/{ulfs}/2"),
            ("request_id", "'x'", 1, "ulf/{ulfs}/1"),
            ("request_id", "'x'", 2, "ulf/{ulfs}/2"),
            ("reason", "'LINE_EXHAUSTED'", 1, "ulf/{ulfs}/1"),
            ("reason", "'DEPOSIT_REQUIRED'", 2, "ulf/{ulfs}/2"),
            ("reason", "'ASSET_IN_USE'", 3, "ulf/{ulfs}/3"),
            ("record_us", "record_us+1", 1, "ulf/{ulfs}/1"),
            ("record_us", "record_us+1", 2, "ulf/{ulfs}/2"),
            ("digest", "x'00'", 3, "ulf/{ulfs}/3"),
        )
    },
    "a refused increment is removed": (
        ("DELETE FROM refused_increments WHERE number=1",),
        "INCREMENTS", "refused_increments/ulf/{ulfs}/2",
    ),
    "a refused increment is removed, and its answer stays": (
        ("DELETE FROM refused_increments WHERE number=2",),
        "INCREMENTS", "requests/{tried}",
    ),
    "all refused increments are removed": (
        ("DELETE FROM refused_increments",), "INCREMENTS", "requests/{tried}",
    ),
    "the answer of a refused increment is removed": (
        ("DELETE FROM requests WHERE caller || '/' || request_id = '{tried}'",),
        "INCREMENTS", "refused_increments/ulf/{ulfs}/2",
    ),
    "a refused increment of no authorization": (
        (("INSERT INTO refused_increments VALUES"
          " ('ann', 'ghost', 1, 'city', 'r', 'DEPOSIT_REQUIRED', 1, x'00')"),),
        "INCREMENTS", "refused_increments/ann/ghost/1",
    ),
    "more tries than the policy allows": (
        (
            "DELETE FROM compiled_products",
            "DELETE FROM terms_documents WHERE kind='policy' AND name='bike'",
            "UPDATE policies SET most_increments=3 WHERE policy_id='bike'",
        ),
        "INCREMENTS", "users/ulf/authorizations/{ulfs}",
    ),
    "a hold above the product's bound": (
        (
            "DELETE FROM compiled_products",
            "UPDATE products SET most_hold_minor=20199 WHERE product_id='bike'",
        ),
        "INCREMENTS", "users/ulf/authorizations/{ulfs}",
    ),
    "the decision of an increment is removed": (
        ("DELETE FROM decisions WHERE decision_id='{later}'",),
        "DECISION", "later_decisions/ann/{raised}/{raised_at}",
    ),
    "the way to an increment's decision is removed": (
        ("DELETE FROM later_decisions",),
        "DECISION", "later_decisions/ann/{raised}/{raised_at}",
    ),
    "a decision of no increment": (
        (("INSERT INTO later_decisions VALUES ('ann', 'ghost', 2, '{later}', 'CNY', 1,"
          " 'authorization.incremented', 1, 1, x'00')"),),
        "DECISION", "later_decisions/ann/ghost/2",
    ),
    "a settlement of no rental": (
        (("INSERT INTO unposted_dockings VALUES"
          " ('ann', 'ghost', 1, 'authorization.lost', 1, 1, x'00')"),),
        "UNPOSTED", "unposted_dockings/ann/ghost/1",
    ),
    "a settlement that posted nothing is removed": (
        ("DELETE FROM unposted_dockings",), "UNPOSTED", "unposted_dockings/oda/{oda}/{oda_at}",
    ),
    "the details of an order are removed": (
        ("DELETE FROM authorization_details WHERE user_id='nia'",),
        "DETAILS", "authorization_details/nia/{order}",
    ),
    "what time ended is removed": (
        ("DELETE FROM lapses WHERE user_id='fay' AND lapse='RETURN_PRESUMED'",),
        "LAPSES", "lapses/fay/{presumed}/{presumed_at}",
    ),
    "a claim's case is removed with its evidence": (
        ("DELETE FROM cases WHERE case_id='{claim}'",
         "DELETE FROM case_evidence WHERE case_id='{claim}'"),
        "CASE", "cases/ivy/{ivy}/{claim}",
    ),
    "a dispute's case is removed with its evidence": (
        ("DELETE FROM cases WHERE case_id='{dispute}'",
         "DELETE FROM case_evidence WHERE case_id='{dispute}'"),
        "CASE", "cases/ann/{disputed}/{dispute}",
    ),
    "a question of the platform is removed with its evidence": (
        ("DELETE FROM cases WHERE case_id='{second_reference}'",
         "DELETE FROM case_evidence WHERE case_id='{second_reference}'"),
        "CASE", "requests/{asked}",
    ),
    "a merge that nobody approved is removed": (
        ("DELETE FROM aliases WHERE user_id='max'",), "ALIAS", "requests/{proposed}",
    ),
    "a receipt is cut off": (
        (("UPDATE outbox SET payload=substr(payload, 1, instr(payload, x'd205') - 1)"
          " WHERE sequence={docked}"),),
        "PAYLOAD", "outbox/{docked}",
    ),
    **{
        f"the {column} of a consent": (
            ((f"UPDATE consents SET {column}={value} WHERE user_id='ora'"
              " AND authorization_id='{taken}'"),),
            "CONSENTS", f"consents/{name}",
        )
        for column, value, name in (
            ("user_id", "'ann'", "ann/{taken}/2"),
            ("authorization_id", "'ghost'", "ora/ghost/2"),
            ("authorization_version", "99", "ora/{taken}/99"),
            # The version of the settlement.
            ("authorization_version", "3", "ora/{taken}/3"),
            ("operator_id", "'harbour'", "ora/{taken}/2"),
            ("user_consent_reference", "'form-9'", "ora/{taken}/2"),
            ("record_us", "record_us+1", "ora/{taken}/2"),
            ("digest", "x'00'", "ora/{taken}/2"),
        )
    },
    "a capture's consent gone": (
        ("DELETE FROM consents WHERE authorization_id='{taken}'",),
        "CONSENTS", "users/ora/authorizations/{taken}",
    ),
    "a damage charge's consents gone": (
        ("DELETE FROM consents WHERE authorization_id='{oras_charge}'",),
        "CONSENTS", "users/ora/authorizations/{oras_charge}",
    ),
    "a consent to an increment is removed": (
        (("DELETE FROM consents WHERE authorization_id='{oras_charge}'"
          " AND authorization_version=2"),),
        "CONSENTS", "consents/ora/{oras_charge}/2",
    ),
    "a debt's consent gone": (
        ("UPDATE debts SET user_consent_reference='' WHERE authorization_id='{oras_debt}'",),
        "CONSENTS", "users/ora/authorizations/{oras_debt}",
    ),
    "a consent to no charge": (
        (("INSERT INTO consents VALUES ('ann', 'ghost', 1, 'city', 'form-1', 1, x'00')"),),
        "CONSENTS", "consents/ann/ghost/1",
    ),
    **{
        f"the {column} of a verdict": (
            ((f"UPDATE verdicts SET {column}={value} WHERE user_id='rex'"
              " AND authorization_id='{approved}'"),),
            "VERDICTS", f"verdicts/{name}",
        )
        for column, value, name in (
            ("user_id", "'ann'", "ann/{approved}"),
            ("authorization_id", "'ghost'", "rex/ghost"),
            ("authorization_version", "3", "rex/{approved}"),
            ("operator_id", "'harbour'", "rex/{approved}"),
            ("verdict", "'DECLINED'", "rex/{approved}"),
            ("reason", "'MEANS'", "rex/{approved}"),
            ("reason_text", "'seen'", "rex/{approved}"),
            ("decided_by", "'persons/eve'", "rex/{approved}"),
            ("transition", "'authorization.declined'", "rex/{approved}"),
            ("event_us", "event_us+1", "rex/{approved}"),
            ("record_us", "record_us+1", "rex/{approved}"),
            ("digest", "x'00'", "rex/{approved}"),
        )
    },
    "a verdict gone": (
        ("DELETE FROM verdicts WHERE authorization_id='{refused}'",),
        "VERDICTS", "verdicts/rex/{refused}",
    ),
    "a verdict on no review": (
        (("INSERT INTO verdicts SELECT user_id, authorization_id, authorization_version,"
          " operator_id, 'APPROVED', 'FRAUD', '', 'persons/eve', transition, event_us, record_us,"
          " x'00' FROM outbox WHERE authorization_id='{cancelled}' AND authorization_version=2"),),
        "VERDICTS", "verdicts/ora/{cancelled}",
    ),
    "a consent to a pick-up": (
        (("INSERT INTO consents SELECT user_id, authorization_id, authorization_version,"
          " operator_id, 'form-1', record_us, x'00' FROM outbox"
          " WHERE authorization_id='{cancelled}' AND authorization_version=1"),),
        "CONSENTS", "consents/ora/{cancelled}/1",
    ),
    "a start of a cancelled reservation": (
        ((f"{A} start_us=create_us, due_us=create_us+rental_period_us"
          " WHERE authorization_id='{cancelled}'"),),
        "EVENTS_TELL", "users/ora/authorizations/{cancelled}",
    ),
    "another kind of expiry": (
        ("UPDATE lapses SET lapse='REVIEW_EXPIRED' WHERE lapse='PICKUP_EXPIRED'",),
        "LAPSES", "lapses/{expired}",
    ),
    "an end of no authorization": (
        (("INSERT INTO lapses VALUES"
          " ('ann', 'ghost', 1, 'SOLD', 'city', 'authorization.sold', 1, 1, x'00')"),),
        "LAPSES", "lapses/ann/ghost/1",
    ),
    "an order of no authorization": (
        (("INSERT INTO authorization_details VALUES ('ann', 'ghost', 'city',"
          " '', '', '', '', '', '', '', '', '', '', '', 1, 1, x'00')"),),
        "DETAILS", "authorization_details/ann/ghost",
    ),
    **{
        f"a capture's {column} that no correction tells of": (
            (f"UPDATE captures SET {column}={column}+1 {ONE} AND number=1",), "CAPTURES", FIRST,
        )
        for column in ("conceded_minor", "disputed_minor")
    },
    "less conceded of a capture than was": (
        (f"UPDATE captures SET conceded_minor=conceded_minor-1 {ONE} AND number=2",),
        "CAPTURE", "captures/ann/{one}/2",
    ),
    **{
        f"the {name} of an authorization": ((f"{A} {name}={name}+1 {ONE}",), "CAPTURES", FIRST)
        for name in ("captures", "corrections", "other_captured_minor")
    },
    "an amount that was collected": (
        (f"{A} uncollected_minor=1 {ONE}",), "PAYLOAD", "outbox/{newest}",
    ),
    "the last capture gone": (
        (f"DELETE FROM captures {ONE} AND number=2",), "CAPTURES", FIRST,
    ),
    "the last correction gone": (
        ((f"DELETE FROM corrections {ONE} AND"
          f" number=(SELECT corrections FROM authorizations {ONE})"),),
        "CAPTURES", FIRST,
    ),
    "a capture of no authorization": (
        (("INSERT INTO captures VALUES"
          " ('ann', 'ghost', 1, 'FEE', 1, '', 1, 1, 1, x'00', 0, 0)"),),
        "CAPTURE", "captures/ann/ghost/1",
    ),
    "an unknown purpose": (
        (f"UPDATE captures SET purpose='GIFT' {ONE} AND number=1",),
        "UNREADABLE", "captures/ann/{one}/1",
    ),
    "an operator's payable": (
        ("UPDATE operator_payables SET amount_minor=amount_minor+1 WHERE operator_id='city'",),
        "OPERATOR_PAYABLE", "operator_payables/city/CNY",
    ),
    "a missing operator's payable": (
        ("DELETE FROM operator_payables WHERE operator_id='city'",),
        "OPERATOR_PAYABLE", "operator_payables/city/CNY",
    ),
    **{
        f"{what} that no act made so": (
            (f"UPDATE api_keys SET {change} WHERE key_hash LIKE '{id_of(key)}%'",),
            "AUDIT", f"api_keys/{id_of(key)}",
        )
        for what, key, change in (
            ("a scope of a key", "bob", "scopes=scopes || ' users.write'"),
            ("an end of a key", "eve", "revoke_us=NULL"),
            ("an expiry of a key", "app", "expire_us=NULL"),
            ("a person of an earlier build's key", "old", "person_id='ada'"),
        )
    },
    **{
        f"{what} of an act": (
            (f"UPDATE audit SET {change} WHERE owner='city' AND number={number}",), "AUDIT", row,
        )
        for what, number, change, row in (
            ("the owner", 4, "owner='platform', number=1000", "audit/city"),
            ("another kind", 4, "act='key.lost'", "audit/city/4"),
            ("an actor", 4, "by_person_id='eve'", "audit/city/4"),
            ("the subject", 4, "subject='keys/0'", "audit/city/4"),
            ("the reason", 4, "details='x'", "audit/city/4"),
            ("the label", 12, "details=replace(details, 'do', 'lo')", f"api_keys/{id_of('app-2')}"),
            ("the ended keys", 14, "details=replace(details, '2', '3')", "audit/city/14"),
        )
    },
    "a lease of a budget": (
        ("UPDATE budget_leases SET net_minor=net_minor-1 WHERE period=''",),
        "BUDGET", "budget_accounts/city/bounded/CNY",
    ),
    **{
        f"{what} of a breaker": (
            (f"UPDATE breakers SET {change} WHERE number={number}",),
            rule, f"breakers/city/{number}",
        )
        for what, number, change, rule in (
            ("the losses", 1, "loss_minor=loss_minor+1", "BREAKER"),
            ("the rentals", 2, "rentals=rentals+1", "BREAKER"),
            ("the bound", 2, "most_minor=most_minor-1", "BREAKER"),
            ("the window", 1, "window_us=window_us+1", "BREAKER"),
            ("the least number", 1, "least_rentals=2, rentals=2", "BREAKER"),
            ("the policy", 1, "policy_id='bike'", "BREAKER"),
            ("the revision", 1, "policy_revision=9", "BREAKER"),
            ("the currency", 1, "currency='EUR'", "BREAKER"),
            ("the begin", 1, "since_us=since_us+1", "BREAKER"),
            ("the begin after a closing", 2, "since_us=since_us-1", "BREAKER"),
            ("the opening", 2, "open_us=open_us-10, since_us=open_us-10", "BREAKER"),
            ("the person", 1, "closed_by='shell/eve'", "AUDIT"),
            ("the reason", 1, "close_reason='x'", "AUDIT"),
            ("the closing without an act", 2, "close_us=open_us, closed_by='shell/root'", "AUDIT"),
        )
    },
    "the closing of a breaker": (
        ("UPDATE breakers SET close_us=close_us+1 WHERE number=1",),
        "BREAKER", "breakers/city/2",
    ),
    "the number of a breaker": (
        ("UPDATE breakers SET number=3 WHERE number=2",), "BREAKER", "breakers/city/3",
    ),
    "a removed breaker": (
        ("DELETE FROM breakers WHERE number=2",), "READ_VALUES", "decisions/{stopped}",
    ),
    "all breakers": (
        ("DELETE FROM breakers",), "AUDIT", "breakers/city/1",
    ),
    "the number of a breaker that a decision has read": (
        (
            """UPDATE decisions SET read_values=replace(read_values, 'bounded":2', 'bounded":3')
            WHERE decision_id='{stopped}'""",
        ),
        "READ_VALUES", "decisions/{stopped}",
    ),
    "a grant of a budget": (
        ("UPDATE budget_accounts SET granted_minor=granted_minor+1 WHERE period<>''",),
        "BUDGET", "budget_accounts/city/bounded/CNY/{day}",
    ),
    "a count that a decision has read": (
        (
            """UPDATE decisions SET read_values=replace(read_values, 'open":1', 'open":2')
            WHERE decision_id='{counted}'""",
        ),
        "READ_VALUES", "decisions/{counted}",
    ),
    "the used minutes of a quota": (
        ("UPDATE quotas SET used_minutes=used_minutes-1",),
        "QUOTAS", "quotas/{quota}",
    ),
    "a use of a quota": (
        ("DELETE FROM quota_uses WHERE returned_version=0",),
        "QUOTAS", "quotas/{quota}",
    ),
    "the uses of a pass": (
        ("UPDATE passes SET uses=uses+1, changes=changes+1 WHERE pass_id='{used_pass}'",),
        "PASSES", "users/una/passes/{used_pass}",
    ),
    "a pass of a call": (
        ("DELETE FROM passes WHERE pass_id='{used_pass}'",),
        "PASS", "requests/city/{buying}",
    ),
    "an owner of a key": (
        (f"UPDATE api_keys SET operator_id='city' WHERE key_hash LIKE '{id_of('ada')}%'",),
        "AUDIT", "audit/platform/{by_ada}",
    ),
    "a person who came back": (
        ("UPDATE persons SET leave_us=NULL, left_by=NULL WHERE person_id='eve'",),
        "AUDIT", "persons/city/eve",
    ),
    "a person whom nobody added": (
        ("UPDATE persons SET person_id='dee' WHERE person_id='cy'",),
        "AUDIT", "persons/platform/dee",
    ),
    **{
        f"{what} of terms": ((f"UPDATE {statement}",), rule, row)
        for what, statement, rule, row in (
            (
                "a changed document",
                f"terms_documents SET document=replace(document, '48', '49') {DEPOT_POLICY}",
                *("TERMS", "terms/depot/policy/careful/2"),
            ),
            (
                "another name",
                f"terms_documents SET document='{{{{}}}}', digest='{EMPTY}' WHERE name='draft'",
                *("TERMS", "terms/depot/tariff/draft/1"),
            ),
            (
                "a changed policy",
                "policies SET most_pauses=1 WHERE policy_id='depot/careful' AND revision=2",
                *("TERMS", "policies/depot/careful/2"),
            ),
            (
                "changed rules",
                "policies SET rules=NULL WHERE policy_id='depot/steps'",
                *("TERMS", "policies/depot/steps/1"),
            ),
            (
                "a changed deposit",
                f"products SET deposit_minor=1 {DEPOT_BIKE}",
                *("TERMS", "products/depot/bike/3"),
            ),
            (
                "a changed price",
                f"products SET interval_price_minor=1 {DEPOT_BIKE}",
                *("TERMS", "products/depot/bike/3"),
            ),
            (
                "a milder policy",
                f"products SET policy_id='bike', policy_revision=1 {DEPOT_BIKE}",
                *("TERMS", "products/depot/bike/3"),
            ),
            (
                "another tariff",
                f"compiled_products SET tariff_name='umbrella', tariff_revision=1 {DEPOT_BIKE}",
                *("TERMS", "products/depot/bike/3"),
            ),
            (
                "a missing tariff",
                f"compiled_products SET tariff_name='none' {DEPOT_BIKE}",
                *("TERMS", "compiled_products"),
            ),
            (
                "a renamed policy",
                "policies SET revision=9 WHERE policy_id='depot/careful' AND revision=2",
                *("TERMS", "policies/depot/careful/9"),
            ),
            *(
                (
                    f"another {column} without an act",
                    f"terms_documents SET {change} WHERE kind='limits' AND revision=1",
                    *("TERMS", "terms/platform/limits/limits/1"),
                )
                for column, change in (
                    ("end", "retire_us=retire_us+1"),
                    ("actor of an end", "retired_by='shell/eve'"),
                    ("reason of an end", "retire_reason='x'"),
                )
            ),
            (
                "a renamed draft",
                "terms_documents SET revision=2 WHERE name='lost'",
                *("AUDIT", "terms/depot/product/lost/1"),
            ),
            (
                "a draft in force",
                "terms_documents SET state='VALIDATED' WHERE kind='bounds'",
                *("AUDIT", "terms/platform/bounds/depot/1"),
            ),
            (
                "another actor",
                "terms_documents SET activated_by='x' WHERE kind='bounds'",
                *("AUDIT", "terms/platform/bounds/depot/1"),
            ),
        )
    },
    "another call than the approved one": (
        ("UPDATE proposals SET request=x'00' WHERE number={by_ada}",),
        "AUDIT", "proposals/platform/{by_ada}",
    ),
    "an approval that was not used": (
        ("UPDATE proposals SET use_us=NULL WHERE number={by_ada}",),
        "AUDIT", "proposals/platform/{by_ada}",
    ),
    "an operator's account": (
        (f"{E} amount_minor=amount_minor-1 WHERE user_id='operators/city'",),
        "LINK", "entries/operators/city/CNY/1",
    ),
    "a request of no authorization": (
        ("INSERT INTO requests VALUES ('city','x','Settle',x'00',x'00','ann','ghost',1)",),
        "REFERENCE", "requests/city/x",
    ),
    "a request that is gone": (
        ("DELETE FROM requests WHERE user_id='dan'",),
        "REQUESTS", "users/dan/authorizations/{dans}",
    ),
    "a later request that is gone": (
        ("DELETE FROM requests WHERE method='LowerCharge'",),
        "REQUESTS", "users/ann/authorizations/{one}",
    ),
    "a later due time": (
        (f"{A} due_us=due_us+1, wake_us=wake_us+1 {OPEN}",), "EVENTS_TELL", STAYS,
    ),
    "a claim without an event": (
        (f"{A} claim_us=start_us {ONE}",), "EVENTS_TELL", "users/ann/authorizations/{one}",
    ),
    "an event of another kind": (
        ("UPDATE outbox SET transition='collection.lowered' WHERE transition LIKE '%.refunded'",),
        "EVENTS_TELL", "users/ann/authorizations/{one}",
    ),
    "a decision that is gone": (
        ("DELETE FROM decisions WHERE decision_id='{decision}'",),
        "REFERENCE", "users/dan/authorizations/{dans}",
    ),
    "a decision that saw another line": (
        (("UPDATE decisions SET line_held_minor=line_held_minor+1"
          " WHERE decision_id='{decision}'"),),
        "DECISION_LINE", "decisions/{decision}",
    ),
    "a decision on another product": (
        ("UPDATE decisions SET product_id='umbrella' WHERE decision_id='{decision}'",),
        "REFERENCE", "users/dan/authorizations/{dans}",
    ),
    "another offer than decided": (
        (f"{A} offer='ZERO' WHERE user_id='dan'",), "REFERENCE", "users/dan/authorizations/{dans}",
    ),
    "terms that are not there": (
        (
            "DELETE FROM compiled_products",
            "UPDATE products SET revision=2 WHERE operator_id='harbour' AND product_id='umbrella'",
        ),
        "REFERENCE", STAYS,
    ),
    "a person who is gone": (
        ("DELETE FROM users WHERE user_id='dan'",), "REFERENCE", "users/dan/authorizations/{dans}",
    ),
    "a payment of no authorization": (
        ("INSERT INTO payments VALUES ('city','x','PAYMENT','zoe','ghost',1,'CNY',1)",),
        "REFERENCE", "payments/city/x",
    ),
    "a transfer of no authorization": (
        (("INSERT INTO transfers VALUES"
         " ('zoe','x','ghost','DEBIT',1,'CNY','SENT','',1,1,NULL,NULL,NULL,0)"),),
        "REFERENCE", "transfers/zoe/x",
    ),
    "a debt whose disputed part is another": (
        (f"{A} unheld_disputed_minor=unheld_disputed_minor-1 {DEBT}",),
        "PAYLOAD", "outbox/{debt_event}",
    ),
    "a debt of which more is disputed than was booked": (
        (f"{A} unheld_disputed_minor=unheld_minor {DEBT}",), "STATE_AND_AMOUNTS", EVES,
    ),
    "a rental with a disputed debt": (
        (f"{A} unheld_disputed_minor=1 {ONE}",), "STATE_AND_AMOUNTS", FIRST,
    ),
    "a debt that is no charge": (
        (f"{A} parent_id='' {DEBT}",), "STATE_AND_AMOUNTS", EVES,
    ),
    "a debt captured beyond its payments": (
        (f"{A} captured_credit_minor=captured_credit_minor+1 {DEBT}",),
        "AUTHORIZATION_AMOUNT", EVES,
    ),
    "a debt without an end": (
        (f"{A} unheld_until_us=NULL, wake_us=NULL {DEBT}",), "STATE_AND_TIMES", EVES,
    ),
    "a rental with a debt's end": (
        (f"{A} unheld_until_us=1 {ONE}",), "STATE_AND_TIMES", FIRST,
    ),
    "a debt that ends later": (
        (f"{A} unheld_until_us=unheld_until_us+1 {DEBT}",),
        "PAYLOAD", "outbox/{debt_event}",
    ),
    "a debt that nobody booked": (
        ("DELETE FROM debts WHERE business_reference='lock'",), "DEBT", EVES,
    ),
    "a booking of another amount": (
        ("UPDATE debts SET amount_minor=amount_minor+1 WHERE business_reference='lock'",),
        "DEBT", "debts/eve/{eves_rental}/lock",
    ),
    **{
        f"a charge-back with another {column}": (
            (f"{CASES} {column}={value} WHERE case_id='case-3'",), "CHARGE_BACK", GILS,
        )
        for column, value in {
            "caller": "'city'", "payment": "'g-12'", "currency": "'USD'", "amount_minor": 901,
            "suspense_minor": "suspense_minor+1", "open_minor": "open_minor-1",
            "overturned_minor": 1, "owed_minor": 1, "held_minor": 1, "conceded_minor": 1,
            "goodwill_minor": 1, "recovered_minor": 1, "overpaid_minor": 1, "found_minor": 1,
            "gone_out_minor": 1, "record_us": "record_us+1", "decide_us": 1, "decide_version": 1,
            "reopened": 1, "changes": 7, "digest": "x'00'",
        }.items()
    },
    "a charge-back of another case": (
        (f"{CASES} case_id='case-9' WHERE case_id='case-3'",), "CHARGE_BACK",
        "charge_backs/gil/{gils}/case-9",
    ),
    "a charge-back of another person": (
        (f"{CASES} user_id='ann' WHERE case_id='case-3'",), "CHARGE_BACK",
        "charge_backs/ann/{gils}/case-3",
    ),
    "a charge-back of another rental": (
        (f"{CASES} authorization_id='ghost' WHERE case_id='case-3'",), "CHARGE_BACK",
        "charge_backs/gil/ghost/case-3",
    ),
    "a charge-back that nobody recorded": (
        (f"INSERT INTO charge_backs SELECT {COPIED} FROM charge_backs WHERE case_id='case-1'",),
        "CHARGE_BACK",
        "charge_backs/gil/{gils}/case-9",
    ),
    "a charge-back that is gone": (
        ("DELETE FROM charge_backs WHERE case_id='case-1'",), "CHARGE_BACK",
        "payments/platform/case-1",
    ),
    "a charge-back that came out of suspense and is gone": (
        ("DELETE FROM charge_backs WHERE case_id='suspense/1/odd-2'",), "CHARGE_BACK",
        "payments/platform/suspense/1/odd-2",
    ),
    "a charge-back of a payment of another kind": (
        (f"{PAYMENT} kind='CHARGE_BACK' WHERE payment_reference='case-1'",), "CHARGE_BACK",
        "charge_backs/gil/{gils}/case-1",
    ),
    **{
        f"an item in suspense with another {column}": (
            (f"{ITEMS} {column}={value} WHERE payment_reference='odd-1'",), "SUSPENSE", ODD,
        )
        for column, value in {
            "user_id": "'ann'", "authorization_id": "'ghost'", "direction": "'OUT'",
            "amount_minor": 1_501, "currency": "'USD'", "record_us": "record_us+1",
            "open_minor": "open_minor-1", "returned_minor": "returned_minor-1", "matches": 1,
            "proposed_by": "'key-9'", "proposed_user_id": "'ann'",
            "proposed_authorization_id": "'ghost'",
            "proposed_minor": 99, "changes": 9, "digest": "x'00'",
        }.items()
    },
    "an item in suspense of another caller": (
        (f"{ITEMS} caller='city' WHERE payment_reference='odd-1'",), "SUSPENSE",
        "suspense/city/odd-1",
    ),
    "an item in suspense with another reference": (
        (f"{ITEMS} payment_reference='odd-9' WHERE payment_reference='odd-1'",), "SUSPENSE",
        "suspense/platform/odd-9",
    ),
    "an item in suspense that is gone": (
        ("DELETE FROM suspense WHERE payment_reference='odd-2'",), "SUSPENSE",
        "payments/platform/odd-2",
    ),
    "a question about money in suspense that is gone": (
        ("DELETE FROM cases WHERE reference='payments/platform/odd-2'",), "CASE",
        "cases///{odd_case}",
    ),
    "a question about the suspense of a charge-back that is gone": (
        ("DELETE FROM cases WHERE reference='payments/platform/case-3'",), "CASE",
        "cases/gil/{gils}/{gils_case}",
    ),
    "the part of a charge-back in suspense that is gone": (
        ("DELETE FROM suspense WHERE payment_reference='case-3'",), "CHARGE_BACK", GILS,
    ),
    "a match that is gone": (
        ("DELETE FROM payments WHERE payment_reference='suspense/2/odd-1'",), "PAYMENTS",
        "lines/rails/suspense/CNY",
    ),
    "a debt of another rental": (
        (f"{A} parent_id='ghost' {DEBT}",), "DEBT", "debts/eve/{eves_rental}/lock",
    ),
    "a late pick-up without its row": (
        ("DELETE FROM late_pickups",), "AUTHORIZATION_AMOUNT", "users/gus/authorizations/{cited}",
    ),
    "a late pick-up without a deposit and without its row": (
        (f"{A} start='LATE_PICKUP' {OPEN}",), "LATE_PICKUP", STAYS,
    ),
    "a late pick-up with another deposit": (
        ("UPDATE late_pickups SET deposit_minor=deposit_minor-1",),
        "AUTHORIZATION_AMOUNT", "users/gus/authorizations/{cited}",
    ),
    "a late pick-up of another start": (
        ("UPDATE late_pickups SET start_us=start_us-1",), "LATE_PICKUP", LATE,
    ),
    "a late pick-up that began earlier": (
        ((f"{A} start_us=start_us-1, due_us=due_us-1, lost_us=lost_us-1, wake_us=wake_us-1"
         f" {BEGUN}"),),
        "LATE_PICKUP", LATE,
    ),
    "a late pick-up told at another time": (
        ("UPDATE late_pickups SET record_us=record_us+1",), "LATE_PICKUP", LATE,
    ),
    "a late pick-up that begins another rental": (
        ("UPDATE late_pickups SET deposit_minor=0, started_id='ghost'",),
        "AUTHORIZATION_AMOUNT", "users/gus/authorizations/{cited}",
    ),
    "a late pick-up of another reservation": (
        ("UPDATE late_pickups SET authorization_id='ghost'",),
        "AUTHORIZATION_AMOUNT", "users/gus/authorizations/{cited}",
    ),
    "a late pick-up of another person": (
        ("UPDATE late_pickups SET user_id='hal'",),
        "AUTHORIZATION_AMOUNT", "users/gus/authorizations/{cited}",
    ),
    "a late pick-up that nobody told": (
        ("INSERT INTO late_pickups VALUES ('ann','{reversed_one}','{open}',1,0,1)",),
        "LATE_PICKUP", "late_pickups/ann/{reversed_one}",
    ),
    "a late pick-up as an ordinary rental": (
        (f"{A} start='ON_PICKUP' {BEGUN}",),
        "EVENTS_TELL", "users/gus/authorizations/{begun}",
    ),
    "a late pick-up under other terms": (
        (f"{A} policy_revision=policy_revision+1 {BEGUN}",), "LATE_PICKUP", LATE,
    ),
    "a late pick-up on another decision": (
        (f"{A} decision_id='ghost' {BEGUN}",), "LATE_PICKUP", LATE,
    ),
    **{
        f"a case with another {column}": (
            (f"UPDATE cases SET {column}={value} WHERE case_id='{{wrong_fee}}'",), "CASE", CASE,
        )
        for column, value in {
            "kind": "'OTHER'", "operator_id": "'harbour'", "currency": "'EUR'",
            "asked_minor": "asked_minor+1", "reference": "'p-2'", "opened_by": "'PLATFORM'",
            "open_us": "open_us+1", "open_version": "open_version+1", "occurred_us": "1",
            "waits_for": "'USER'", "due_us": "NULL", "outcome": "'FOR_USER'",
            "granted_minor": "granted_minor+1", "closed_by": "''", "close_us": "close_us+1",
            "close_version": "close_version-1", "evidence": "evidence+1", "version": "version+1",
            "digest": "x'00'",
        }.items()
    },
    "a case that is open again": (
        (("UPDATE cases SET state='OPEN', outcome=NULL, close_us=NULL, close_version=0,"
         " granted_minor=0, closed_by='' WHERE case_id='{wrong_fee}'"),),
        "CASE", CASE,
    ),
    "a case of another authorization": (
        ("UPDATE cases SET authorization_id='ghost' WHERE case_id='{wrong_fee}'",),
        "CASE", "cases/ivy/ghost/{wrong_fee}",
    ),
    "a case by another name": (
        ("UPDATE cases SET case_id='x' WHERE case_id='{wrong_fee}'",),
        "CASE", "cases/ivy/{ivy}/x",
    ),
    "a case of an unknown kind": (
        ("UPDATE cases SET kind='WHIM' WHERE case_id='{wrong_fee}'",), "UNREADABLE", CASE,
    ),
    **{
        f"evidence with another {column}": (
            ((f"UPDATE case_evidence SET {column}={value}"
             " WHERE case_id='{wrong_fee}' AND number=1"),),
            "CASE", EVIDENCE,
        )
        for column, value in {
            "side": "'OPERATOR'", "text": "'cheap'", "reference": "'x'",
            "record_us": "record_us+1", "digest": "x'00'",
        }.items()
    },
    **{
        f"a case without its evidence ({case})": (
            (f"DELETE FROM case_evidence WHERE case_id='{{{case}}}' AND number=1",),
            "CASE", f"cases/ivy/{{ivy}}/{{{case}}}",
        )
        for case in ("wrong_fee", "second_reference", "claim")
    },
    **{
        f"evidence without its case ({case})": (
            (f"DELETE FROM cases WHERE case_id='{{{case}}}'",),
            "CASE", f"case_evidence/ivy/{{ivy}}/{{{case}}}/1",
        )
        for case in ("wrong_fee", "second_reference", "claim")
    },
    "a complaint that is gone with its evidence": (
        ("DELETE FROM cases WHERE case_id='{wrong_fee}'",
         "DELETE FROM case_evidence WHERE case_id='{wrong_fee}'"),
        "CASE", IVY,
    ),
    "a case that nobody opened": (
        (("INSERT INTO cases SELECT user_id, authorization_id, 'x', kind, operator_id, currency,"
         " asked_minor, reference, opened_by, open_us, open_version, occurred_us, state,"
         " waits_for, due_us, outcome, granted_minor, closed_by, close_us, close_version, 0,"
         " version, digest, arrival FROM cases WHERE case_id='{wrong_fee}'"),),
        "CASE", "cases/ivy/{ivy}/x",
    ),
    "evidence that nobody gave": (
        (("INSERT INTO case_evidence SELECT user_id, authorization_id, case_id, 9, side, text,"
         " reference, record_us, digest FROM case_evidence WHERE case_id='{wrong_fee}' AND"
         " number=1"),),
        "CASE", "case_evidence/ivy/{ivy}/{wrong_fee}/9",
    ),
    **{
        f"{what}'s {column}": (
            ((f"UPDATE attestations SET {column}={value} WHERE user_id='joe'"
              f" AND authorization_id='{{posted}}' AND number={number}"),),
            "ATTESTATION", f"attestations/joe/{{posted}}/{named}",
        )
        for what, number, after in (
            ("a pause", 1, 2), ("an end of a pause", 2, 3), ("a waiver", 4, 5),
            ("a return by post", 5, 5),
        )
        for column, value, moved in (
            ("kind", "'BY_HAND'", False), ("evidence", "'other'", False),
            ("amount_minor", "amount_minor+1", False), ("event_us", "event_us-1", False),
            ("authorization_version", "authorization_version+1", False),
            ("record_us", "record_us+1", False), ("digest", "x'00'", False),
            ("until_us", "coalesce(until_us, event_us)+1", False),
            ("cause", "'APP_DOWN'", False), ("source", "'OPERATOR'", False),
            ("pending_minor", "pending_minor+1", False), ("number", "9", True),
        )
        for named in (((after if after > number else 9) if moved else number),)
    },
    **{
        f"an alias with another {column}": (
            (f"UPDATE aliases SET {column}={value} WHERE user_id='kim'",), "ALIAS", row,
        )
        for column, value, row in (
            ("user_id", "'ben'", "users/ben"), ("survivor", "'ann'", "users/ann"),
            ("reason", "''", "aliases/kim"), ("proposed_by", "'key-3'", "aliases/kim"),
            ("propose_us", "propose_us-1", "aliases/kim"),
            ("approved_by", "'key-3'", "aliases/kim"),
            ("approve_us", "approve_us+1", "aliases/kim"), ("version", "3", "aliases/kim"),
            ("digest", "x'00'", "aliases/kim"),
        )
    },
    "a proposal that nobody approved as approved": (
        ("UPDATE aliases SET approve_us=propose_us, approved_by='key-1' WHERE user_id='max'",),
        "ALIAS", "aliases/max",
    ),
    "a deleted alias": (
        ("DELETE FROM aliases WHERE user_id='kim'",), "ALIAS", "users/kim",
    ),
    "a merged person who names nobody": (
        ("UPDATE users SET alias_of='' WHERE user_id='kim'",), "ALIAS", "users/kim",
    ),
    "a survivor who names nobody": (
        ("UPDATE users SET alias_of='' WHERE user_id='lea'",), "ALIAS", "users/lea",
    ),
    "a person who names another": (
        ("UPDATE users SET alias_of='lea' WHERE user_id='max'",), "ALIAS", "users/max",
    ),
    "an alias of another person, whose line gives credit": (
        (f"INSERT INTO aliases {ALIAS_OF_HAL}",
         "UPDATE users SET alias_of='lea' WHERE user_id='hal'"),
        "ALIAS", "lines/hal/CNY",
    ),
    "an attestation of another person": (
        ("UPDATE attestations SET user_id='zoe' WHERE authorization_id='{paused}'",),
        "PAUSED", "users/joe/authorizations/{paused}",
    ),
    "an attestation of no authorization": (
        ("UPDATE attestations SET authorization_id='ghost' WHERE authorization_id='{paused}'",),
        "ATTESTATION", "attestations/joe/ghost/1",
    ),
    **{
        f"a deleted {what}": (
            (f"DELETE FROM attestations WHERE authorization_id='{{{of}}}' AND number={number}",),
            rule, row,
        )
        for what, of, number, rule, row in (
            ("pause that goes on", "paused", 1, "PAUSED", "users/joe/authorizations/{paused}"),
            ("pause that ended", "posted", 1, "ATTESTATION", "attestations/joe/{posted}/2"),
            ("return by post", "posted", 5, "PAUSED", "users/joe/authorizations/{posted}"),
            ("waiver", "handed", 1, "ATTESTATION", "attestations/joe/{handed}/2"),
            ("return by hand", "handed", 2, "PAUSED", "users/joe/authorizations/{handed}"),
            ("pause with its end", "umas", 1, "ATTESTATION", "attestations/uma/{umas}/2"),
            ("end of a pause", "umas", 2, "ATTESTATION", "attestations/uma/{umas}/3"),
            ("late pause", "umas", 3, "ATTESTATION", "attestations/uma/{umas}/4"),
            ("end of a late pause", "umas", 4, "ATTESTATION", "attestations/uma/{umas}/3"),
            ("end of the last late pause", "umas", 6, "ATTESTATION", "attestations/uma/{umas}/5"),
        )
    },
    "a pause that nobody told of": (
        (("INSERT INTO attestations SELECT user_id, authorization_id, 2, kind, cause, source,"
          " evidence, until_us, amount_minor, pending_minor, authorization_version, event_us,"
          " record_us, digest FROM attestations WHERE authorization_id='{paused}'"),),
        "ATTESTATION", "attestations/joe/{paused}/2",
    ),
    "a longer pause": (
        (f"{A} paused_us=paused_us+1 WHERE authorization_id='{{paused}}'",),
        "EVENTS_TELL", "users/joe/authorizations/{paused}",
    ),
    "a longer pause with a later due time": (
        ((f"{A} paused_us=paused_us+1, due_us=due_us+1, wake_us=wake_us+1"
          " WHERE authorization_id='{paused}'"),),
        "PAUSED", "users/joe/authorizations/{paused}",
    ),
    "a pause of a rental that never began": (
        (f"{A} paused_us=1 WHERE authorization_id='{{dans}}'",),
        "STATE_AND_TIMES", "users/dan/authorizations/{dans}",
    ),
    "a correction of a waiver": (
        (("UPDATE corrections SET amount_minor=amount_minor+1"
          " WHERE authorization_id='{posted}'"),),
        "CAPTURE", "corrections/joe/{posted}/1",
    ),
    "an item that no rental holds": (
        ("INSERT INTO open_items VALUES ('city','x-9','ann','{one}','RENTED')",),
        "OPEN_ITEM", "open_items/city/x-9",
    ),
    "a missing item as sold": (
        ("UPDATE open_items SET kind='SOLD' WHERE asset_id='x-8'",),
        "OPEN_ITEM", "open_items/city/x-8",
    ),
    "a missing item as rented": (
        ("UPDATE open_items SET kind='RENTED' WHERE asset_id='x-8'",),
        "OPEN_ITEM", "open_items/city/x-8",
    ),
    "a rented item as missing": (
        ("UPDATE open_items SET kind='MISSING' WHERE asset_id='u-1'",),
        "OPEN_ITEM", "open_items/harbour/u-1",
    ),
    "an item that appeared and waits for nothing": (
        (f"{A} claim_until_us=NULL WHERE asset_id='x-7' AND custody='UNKNOWN'",),
        "STATE_AND_TIMES", "users/fay/authorizations/{seventh}",
    ),
    "an item that appeared at another time": (
        (f"{A} claim_us=claim_us-1 WHERE asset_id='x-7' AND custody='UNKNOWN'",),
        "EVENTS_TELL", "users/fay/authorizations/{seventh}",
    ),
    "an item that is free": (
        ("DELETE FROM open_items WHERE asset_id='u-1'",), "OPEN_ITEM", STAYS,
    ),
    "a text for an amount": (
        (f"{E} amount_minor='many' {AT}{{reversed}}",),
        "UNREADABLE", "entries/ann/CNY/{reversed}",
    ),
    "an unknown account": (
        (f"{E} debit='casino' {AT}{{reversed}}",), "UNREADABLE", "entries/ann/CNY/{reversed}",
    ),
    "an unknown standing": (
        (f"{L} standing='KING' {ANN}",), "UNREADABLE", ANN_LINE,
    ),
    "an unknown state": (
        (f"{A} state='LIMBO' {ONE}",), "UNREADABLE", FIRST,
    ),
}  # fmt: skip
"""The change, the rule that finds it, and the row."""

FORGED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a hold released that never was": (
        (f"{E} transition='authorization.active' {AT}{{reversed}}",),
        "POSTING", "entries/ann/CNY/{reversed}",
    ),
    "a hold of no authorization": (
        (f"{E} authorization_id='' {AT}{{reversed}}",),
        "ENTRY_OF_NOTHING", "entries/ann/CNY/{reversed}",
    ),
    "a limit set by an operator": (
        (f"{E} operator_id='city' {AT}1",), "ENTRY_OF_NOTHING", "entries/ann/CNY/1",
    ),
    "an entry of another authorization": (
        (f"{E} authorization_id='{{one}}' {AT}{{reversed}}",), "SEALED_HEAD", "sealed",
    ),
    "a commission booked as the operator's": (
        (f"{E} credit='operator_payable' {AT}{{after_captured}}+1",), "SEALED_HEAD", "sealed",
    ),
    "another instant": (
        (f"{E} event_us=event_us-1 {AT}{{reversed}}",), "SEALED_HEAD", "sealed",
    ),
    "an earlier format": (
        (f"{E} link_format=1 {AT}{{reversed}}",), "SEALED_HEAD", "sealed",
    ),
}  # fmt: skip
"""The same by an attacker who computes all links and heads anew."""


def _first_seal(file: Path) -> str:
    """Ann's entry whose link was sealed first."""
    with attack(file) as connection:
        (version,) = connection.execute(
            "SELECT version FROM sealed_heads WHERE user_id='ann' ORDER BY number"
        ).fetchone()
    return f"entries/ann/CNY/{version}"


@pytest.fixture(scope="module")
def where(lived: tuple[Path, list[SealRecord]]) -> Where:
    """Names for rows of the book."""
    where = Where(lived[0] / "book.db.whole")
    for name in ("lowered", "captured"):
        where[f"after_{name}"] = int(str(where[name])) + 1
    return where


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(planted: LentFile, where: Where, name: str) -> None:
    """A file changed by hand is found, with the broken rule and the row."""
    statements, rule, row = PLANTED[name]
    planted.session.execute("PRAGMA ignore_check_constraints=ON")
    planted.session.execute("BEGIN")
    for statement in statements:
        told = statement.format(**where)
        assert planted.session.execute(told).rowcount >= 1, told
    planted.session.execute("COMMIT")
    fault = verify_books(planted.engine, KEYS, read_payload=read_payload).fault
    assert fault is not None
    assert (fault.rule, fault.row) == (rule, row.format(**where)), fault
    assert fault.detail


def test_a_verdict_fits_its_step(books: Path, where: Where) -> None:
    """A verdict that was turned round with its digest does not fit the step that carried it out."""
    with closing(sqlite3.connect(books)) as connection:
        (row,) = connection.execute("SELECT * FROM verdicts WHERE verdict = 'APPROVED'")
    turned = VerdictRecord(*row)._replace(verdict=Verdict.DECLINED)
    digest = turned.expected_digest.hex()
    tamper(
        books,
        f"UPDATE verdicts SET verdict='DECLINED', digest=x'{digest}' WHERE verdict='APPROVED'",
    )
    fault = verified(books).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("VERDICTS", f"verdicts/rex/{where['approved']}")
    assert fault.detail == "authorization.active carries out no DECLINED"


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_chain_is_found(books: Path, where: Where, name: str) -> None:
    """A chain whose links were all made anew is found by its content or by its seals."""
    statements, rule, row = FORGED[name]
    tamper(books, *(statement.format(**where) for statement in statements))
    relink(books)
    fault = verified(books).fault
    assert fault is not None
    expected = _first_seal(books) if row == "sealed" else row.format(**where)
    assert (fault.rule, fault.row) == (rule, expected), fault


# -- stored answers -----------------------------------------------------------------------------


def test_every_stored_answer_is_read(books: Path) -> None:
    """A stored answer must belong to its method and to its request's authorization; the first that
    does not is named."""
    with attack(books) as connection:
        found = connection.execute(
            "SELECT caller, request_id, method, answer, user_id, authorization_id FROM requests"
            " WHERE authorization_id<>'' ORDER BY caller, request_id"
        ).fetchall()
    about = {row[2:4]: f"users/{row[4]}/authorizations/{row[5]}" for row in found}
    caller, request_id, *first = found[0][:4]

    def fault(found: str | ValueError | None) -> tuple[str, str] | None:
        """The verifier's fault when the reader finds this in the first answer."""

        def read(method: str, answer: bytes) -> str | None:
            if [method, answer] != first:
                return about.get((method, answer))
            if isinstance(found, ValueError):
                raise found
            return found

        engine = open_database(f"sqlite:///{books}")
        try:
            said = verify_books(engine, KEYS, read_answer=read).fault
        finally:
            engine.dispose()
        return None if said is None else (said.rule, said.row)

    assert fault(about[first[0], first[1]]) is None
    for wrong in ("users/ann/authorizations/other", ValueError("no such answer"), None):
        assert fault(wrong) == ("ANSWER", f"requests/{caller}/{request_id}")


# -- faults that only seals and witnesses show --------------------------------------------------

UNSEALED = ("seals", "sealed_heads")

SealAttack = Callable[[Path], None]


def _sql(*statements: str) -> SealAttack:
    return lambda file: tamper(file, *statements)


_EARLIER = (
    "UPDATE outbox SET event_us=event_us-1 WHERE user_id='ann' AND transition LIKE '%.reversed'",
    f"{A} close_us=close_us-1 WHERE user_id='ann' AND state='REVERSED'",
)
"""The other rows that have the instant of the reverse of Ann's rental."""


def _rewritten_and_resealed(file: Path) -> None:
    """Another instant, every link anew, every sealed head and every digest anew."""
    reversed_at = (
        "SELECT min(sequence) FROM entries"
        " WHERE user_id='ann' AND transition='authorization.reversed'"
    )
    tamper(file, f"{E} event_us=event_us-1 {AT}({reversed_at})", *_EARLIER)
    relink(file)
    link = (
        "SELECT link FROM entries AS e WHERE e.user_id=sealed_heads.user_id"
        " AND e.sequence=sealed_heads.version"
    )
    tamper(file, f"UPDATE sealed_heads SET head=({link})")
    reseal(file)


def _chained_elsewhere(file: Path) -> None:
    """The second seal has no predecessor, but a digest and a signature for that."""
    with attack(file) as connection:
        connection.execute("CREATE TABLE kept AS SELECT * FROM seals WHERE number<>2")
        connection.execute("DELETE FROM seals WHERE number<>2")
    reseal(file, KEY)
    with attack(file) as connection:
        connection.execute("INSERT INTO seals SELECT * FROM kept")
        connection.execute("DROP TABLE kept")


SEALS: dict[str, tuple[SealAttack, str, str]] = {
    "a seal that is gone": (
        _sql("DELETE FROM seals WHERE number=2"), "SEAL_MISSING", "seals/3",
    ),
    "the last seal gone, and its heads left": (
        _sql("DELETE FROM seals WHERE number=(SELECT max(number) FROM seals)"),
        "SEAL_MISSING", "seals/{last}",
    ),
    "the last seals gone": (
        _sql("DELETE FROM seals WHERE number>1", "DELETE FROM sealed_heads WHERE number>1"),
        "SEAL_MISSING", "seals/{last}",
    ),
    "all seals gone": (
        _sql("DELETE FROM seals", "DELETE FROM sealed_heads"), "SEAL_MISSING", "seals/{last}",
    ),
    "a sealed head": (
        _sql("UPDATE sealed_heads SET head=x'00' WHERE number=2"), "SEAL_DIGEST", "seals/2",
    ),
    "a sealed head that is gone": (
        _sql("DELETE FROM sealed_heads WHERE number=2"), "SEAL_DIGEST", "seals/2",
    ),
    "a seal's time": (
        _sql("UPDATE seals SET seal_us=seal_us+1 WHERE number=2"), "SEAL_DIGEST", "seals/2",
    ),
    "a seal's digest": (
        _sql("UPDATE seals SET digest=x'00' WHERE number=2"), "SEAL_DIGEST", "seals/2",
    ),
    "a seal's signature": (
        _sql("UPDATE seals SET signature=zeroblob(64) WHERE number=2"),
        "SEAL_SIGNATURE", "seals/2",
    ),
    "a seal of an unknown key": (
        _sql("UPDATE seals SET key_id='nobody' WHERE number=2"), "SEAL_SIGNATURE", "seals/2",
    ),
    "a seal that follows on another": (_chained_elsewhere, "SEAL_CHAIN", "seals/2"),
    "a chain rewritten, and sealed anew without the key": (
        _rewritten_and_resealed, "SEAL_SIGNATURE", "seals/{ann}",
    ),
    "a sealed person renamed": (
        _sql("UPDATE sealed_heads SET user_id='zoe' WHERE user_id='ann'"),
        "TAIL_CUT", "lines/zoe/CNY",
    ),
}  # fmt: skip
"""The attack on the seals, and the fault for a reader with a witness of the last seal."""


@pytest.mark.parametrize("name", SEALS)
def test_a_touched_seal_is_found(books: Path, seals: list[SealRecord], name: str) -> None:
    """Seals cannot be removed, edited, or made anew without the key."""
    act, rule, row = SEALS[name]
    with attack(books) as connection:
        (ann,) = connection.execute(
            "SELECT min(number) FROM sealed_heads WHERE user_id='ann'"
        ).fetchone()
    last = seals[-1].number
    act(books)
    fault = verified(books, KEYS, [witness(seals[-1])]).fault
    assert fault is not None
    assert (fault.rule, fault.row) == (rule, row.format(last=last, ann=ann)), fault


def test_a_tail_cut_off_everywhere_is_found_by_its_seal(
    books: Path, lived: tuple[Path, list[SealRecord]]
) -> None:
    """Books put back to before the last payment are correct except for the seal."""
    restore(books, lived[0] / "older.db", leave=UNSEALED)
    fault = verified(books).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("TAIL_CUT", ANN_LINE)


def test_removed_seals_are_found_by_a_witness(
    books: Path, lived: tuple[Path, list[SealRecord]]
) -> None:
    """Books put back together with their seals are correct in themselves; a noted seal reveals the
    change."""
    folder, seals = lived
    restore(books, folder / "older.db")
    assert verified(books).fault is None
    fault = verified(books, KEYS, [witness(seals[-1])]).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("SEAL_MISSING", f"seals/{seals[-1].number}")


def test_a_rewritten_chain_is_found_by_its_seals_alone(books: Path, where: Where) -> None:
    """A chain made anew is correct in itself; only its seals reveal the change."""
    tamper(books, f"{E} event_us=event_us-1 {AT}{where['reversed']}", *_EARLIER)
    relink(books)
    with attack(books) as connection:
        for table in UNSEALED:
            connection.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
            connection.execute(f"DELETE FROM {table}")
    assert verified(books).fault is None
    with attack(books) as connection:
        for table in UNSEALED:
            connection.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    fault = verified(books).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("SEALED_HEAD", _first_seal(books))


def test_a_stolen_key_is_found_by_a_witness(books: Path, seals: list[SealRecord]) -> None:
    """An attacker with the key can make every seal anew, but not the witnesses."""
    _rewritten_and_resealed(books)
    reseal(books, KEY)
    assert verified(books).fault is None
    fault = verified(books, KEYS, [witness(seals[-1])]).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("SEAL_WITNESS", f"seals/{seals[-1].number}")


def test_signatures_need_a_public_key(books: Path) -> None:
    """Without public keys the digests are checked but not the signatures, and the output says
    so."""
    tamper(books, "UPDATE seals SET signature=zeroblob(64)")
    found = verified(books, None)
    assert (found.fault, found.signatures) == (None, 0)
    assert found.seals > 0
    assert verified(books, PublicKeys([])).fault is not None


def test_a_witness_of_a_missing_seal(books: Path) -> None:
    """A witness of a seal that does not exist is a fault in any books."""
    fault = verified(books, KEYS, [Witness(99, b"\x00" * 32)]).fault
    assert fault is not None
    assert (fault.rule, fault.row) == ("SEAL_MISSING", "seals/99")


# -- all of them --------------------------------------------------------------------------------


def test_the_first_fault_is_named(books: Path) -> None:
    """Of several faults the first person's is named, and the verification stops there."""
    tamper(
        books,
        "UPDATE lines SET held_minor=1 WHERE user_id='ben'",
        "UPDATE lines SET held_minor=1 WHERE user_id='ann'",
    )
    found = verified(books)
    assert found.fault is not None
    assert (found.fault.row, found.lines) == (ANN_LINE, 1)


def test_every_rule_has_a_planted_fault() -> None:
    """Every rule of the verifier is broken by a test."""
    rules: set[str] = set()
    for file in Path(str(rules_of_books.__file__)).parent.glob("*.py"):
        source = file.read_text(encoding="utf-8")
        rules.update(re.findall(r'"([A-Z][A-Z_]{3,})"', source))
        names = re.findall(r"\bFound\(([A-Z_]+),", source)
        rules.update(getattr(verification, name) for name in names)
    planted = {rule for table in (PLANTED, FORGED, SEALS) for _, rule, _ in table.values()}
    assert rules == planted | {"SEAL_WITNESS", "ANSWER", "WITNESS_MISSING"}
