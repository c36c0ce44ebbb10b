"""Databases of earlier builds keep working.

`earlier/BUILD.db.xz` is a SQLite database made by that build, `earlier/BUILD.sql.xz` a script of
PostgreSQL 15 with one. They are never made anew.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.captures import Purpose
from service.domain.credit import SCORE_NOT_KEPT, LimitBasis
from service.domain.errors import InvalidInput
from service.engine.calls import Corrected
from service.engine.feature_values import pack
from service.engine.operations import PutUser
from service.engine.profile import read_profile
from service.engine.reads import START
from service.engine.records.transfers import TransferRecord, TransferState
from service.ids import RandomIds
from service.rpc.stored import read_payload
from service.storage.database import open_database
from service.storage.migrate import is_current, migrate
from service.storage.store import SqlStore
from tests.conftest import KINDS, Databases, databases_of
from tests.engine import acts
from tests.engine.acts import HOUR_US, told, transfers
from tests.engine.calls import authorize, balances, pay, rental, stored
from tests.fakes import OPERATOR, START_US, Desk, lists_of

EARLIER = Path(__file__).parent / "earlier"
BUILDS = ("6882bc2",)


def earlier_database(url: str, build: str) -> None:
    """Puts an earlier build's database into an empty PostgreSQL database, or into a SQLite file."""
    if url.startswith("sqlite:///"):
        content = lzma.decompress((EARLIER / f"{build}.db.xz").read_bytes())
        Path(url.removeprefix("sqlite:///")).write_bytes(content)
        return
    script = lzma.decompress((EARLIER / f"{build}.sql.xz").read_bytes()).decode()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(script)


@pytest.fixture(scope="module", params=KINDS)
def databases(request: pytest.FixtureRequest) -> Databases:
    """Fresh databases for all tests of this file."""
    return databases_of(request)


@pytest.fixture(params=BUILDS)
def desk(databases: Databases, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """This build's engine on an earlier build's database, migrated."""
    url = databases.empty()
    earlier_database(url, request.param)
    engine = open_database(url)
    assert not is_current(engine)
    migrate(engine)
    assert is_current(engine)
    desk = Desk(SqlStore(engine), ids=RandomIds())
    desk.clock.advance(START_US + 2 * HOUR_US)
    yield desk
    desk.store.close()
    databases.drop(url)


def test_the_books_of_an_earlier_build_verify(desk: Desk) -> None:
    """After the migration, the chains and both books of an earlier build verify."""
    found = verify_books(desk.store.engine)
    assert (found.fault, found.authorizations) == (None, 3)


def test_events_of_an_earlier_build_are_without_a_payload(desk: Desk) -> None:
    """Events of an earlier build have no operator and no payload, even after the migration. A later
    step of the same authorization has both, and the books verify."""
    engine = desk.store.engine
    with engine.begin() as connection:
        query = text("SELECT operator_id, payload FROM outbox")
        assert {(it[0], bytes(it[1])) for it in connection.execute(query)} == {("", b"")}
        # As an earlier build's server writes, which knows no further columns.
        newest = text("SELECT max(sequence) FROM outbox WHERE authorization_id <> ''")
        written = {"sequence": connection.execute(newest).scalar_one()}
        names = "transition, user_id, authorization_id, authorization_version, event_us, record_us"
        again = f"SELECT {names} FROM outbox WHERE sequence = :sequence"
        connection.execute(text(f"INSERT INTO outbox ({names}) {again}"), written)
        connection.execute(text("DELETE FROM outbox WHERE sequence = :sequence"), written)
        query = text("SELECT authorization_id FROM transfers WHERE state = 'FAILED'")
        authorization_id = connection.execute(query).scalar_one()
    assert verify_books(engine, read_payload=read_payload).fault is None
    (it,) = [it for it in listed(desk, "ann") if it.authorization_id == authorization_id]
    (debit,) = transfers(desk, it)
    desk.do(told(debit, TransferState.SUCCEEDED), request_id="late", caller=PLATFORM)
    with engine.connect() as connection:
        query = text("SELECT operator_id, payload FROM outbox ORDER BY sequence DESC LIMIT 1")
        operator_id, payload = connection.execute(query).one()
    assert operator_id == OPERATOR
    assert read_payload(bytes(payload))[:2] == (it.name, stored(desk, it).version)
    assert verify_books(engine, read_payload=read_payload).fault is None


def listed(desk: Desk, user_id: str) -> list[Authorization]:
    """A person's authorizations."""
    lists = lists_of(desk.store)
    page = lists.authorizations(OPERATOR, user_id=user_id, after=START, size=9, state=None)
    return page.rows


def test_a_retry_of_a_call_to_an_earlier_build_gets_its_answer(desk: Desk) -> None:
    """A request id that an earlier build answered gets the stored bytes, and nothing is written."""
    with desk.store.engine.connect() as connection:
        query = text("SELECT body, answer FROM requests WHERE request_id = 'authorize-ann'")
        body, first = connection.execute(query).one()
    command = authorize("ann", "umbrella", "umbrella-0")
    work = desk.work(command, request_id="authorize-ann", body=bytes(body))
    assert desk.apply(work) == [first]
    assert verify_books(desk.store.engine).authorizations == 3


def test_a_debit_that_failed_under_an_earlier_build_may_succeed(desk: Desk) -> None:
    """A debit that failed under an earlier build may still succeed late."""
    with desk.store.engine.connect() as connection:
        query = text("SELECT authorization_id FROM transfers WHERE state = 'FAILED'")
        authorization_id = connection.execute(query).scalar_one()
    (it,) = [it for it in listed(desk, "ann") if it.authorization_id == authorization_id]
    (debit,) = transfers(desk, it)
    answer = desk.do(told(debit, TransferState.SUCCEEDED), request_id="late", caller=PLATFORM)
    assert isinstance(answer, TransferRecord)
    assert answer.earlier_state is TransferState.FAILED
    assert stored(desk, it).paid_minor == debit.amount_minor
    assert verify_books(desk.store.engine).fault is None


def test_d9_an_earlier_builds_score_is_not_kept(desk: Desk) -> None:
    """D9: a person registered by an earlier build has no score on record until newer features
    arrive. From then on, the score on record is the score of the limit."""
    it = read_profile(desk.store, "ann", "CNY")
    assert (it.score, it.unscorable_reason, it.model_id) == (None, SCORE_NOT_KEPT, "")
    assert it.limit_basis is LimitBasis.NOT_KEPT
    put = PutUser("ann", pack([640, 0]), START_US + HOUR_US, True)
    answer = desk.do(put, request_id="put-ann-anew", caller=PLATFORM)
    it = read_profile(desk.store, "ann", "CNY")
    assert it == answer
    assert (it.score, it.limit_basis) == (640, LimitBasis.SCORE)
    assert verify_books(desk.store.engine).fault is None


def test_people_and_lines_of_an_earlier_build_go_on(desk: Desk) -> None:
    """A person registered by an earlier build rents with the features on record."""
    before = balances(desk, "ann")
    it = rental(desk, authorize("ann", "bike"), request_id="anew")
    assert (it.offer, it.band) == ("ZERO", "A")
    assert balances(desk, "ann")[1] == before[1] - 19_900
    assert verify_books(desk.store.engine).fault is None


def owing(desk: Desk) -> Authorization:
    """An earlier build's rental of which an amount is due; it has no row of a capture."""
    (it,) = [it for it in listed(desk, "ann") if it.due_minor]
    assert (it.captures, it.fee_captured_minor) == (0, it.captured_minor)
    return it


def test_r8_an_amount_that_an_earlier_build_captured(desk: Desk) -> None:
    """R8: an amount that an earlier build captured has no row and counts as the fee. It can be
    disputed, lowered and refunded without a citation; the corrections then name no capture."""
    it = owing(desk)
    whole_minor = it.due_minor
    with pytest.raises(InvalidInput):
        desk.do(acts.lower(it, 100, 1), request_id="cites")
    for n, (command, caller) in enumerate(
        (
            (acts.lower(it, 100, reason="late", reference="case-1"), OPERATOR),
            (acts.dispute(it, 200), PLATFORM),
            (acts.decide_dispute(it, user_won=True), PLATFORM),
            (pay(it, whole_minor - 300), PLATFORM),
            (acts.refund(it, 50), OPERATOR),
        )
    ):
        desk.do(command, request_id=f"corrects-{n}", caller=caller)
    after = stored(desk, it)
    assert (after.conceded_minor, after.captures, after.corrections) == (350, 0, 4)
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None


def test_r8_an_earlier_server_captures_without_a_row(desk: Desk) -> None:
    """R8: while servers of the previous build run, their captures have no rows and count as the
    fee. This holds before and after captures of this build in the same rental."""
    it = rental(desk, authorize("ann", "bike"), request_id="anew")

    def without_a_row(amount_minor: int, request_id: str) -> None:
        number = rental(desk, acts.capture(it, amount_minor), request_id=request_id).captures
        with desk.store.engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.execute(text("DROP TRIGGER IF EXISTS captures_no_delete"))
            else:
                connection.execute(text("ALTER TABLE captures DISABLE TRIGGER ALL"))
            of = {"it": it.authorization_id, "number": number}
            row = "DELETE FROM captures WHERE authorization_id = :it AND number = :number"
            assert connection.execute(text(row), of).rowcount == 1
            less = "UPDATE authorizations SET captures = captures - 1 WHERE authorization_id = :it"
            connection.execute(text(less), of)

    without_a_row(700, "before")
    rental(desk, acts.capture(it, 400, Purpose.DAMAGE), request_id="damage")
    without_a_row(300, "between")
    after = rental(desk, acts.capture(it, 200, final=True), request_id="last")
    assert (after.captures, after.captured_minor, after.fee_captured_minor) == (2, 1_600, 1_200)
    answer = desk.do(acts.lower(after, 1_550), request_id="lowers")
    assert isinstance(answer, Corrected)
    parts = [(row.capture, row.conceded_minor) for row in answer.corrections]
    assert parts == [(2, 200), (1, 400), (0, 950)]
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None


FORMATS = text("SELECT link_format, link FROM entries WHERE user_id = 'ann' ORDER BY sequence")


def test_a_line_has_links_of_two_formats(desk: Desk) -> None:
    """New entries follow an earlier build's links in a later format, the old links stay, and the
    line verifies."""
    with desk.store.engine.connect() as connection:
        before = connection.execute(FORMATS).all()
    rental(desk, authorize("ann", "bike"), request_id="anew")
    with desk.store.engine.connect() as connection:
        after = connection.execute(FORMATS).all()
    assert {it.link_format for it in before} == {1}
    assert after[: len(before)] == before
    assert {it.link_format for it in after[len(before) :]} == {2}
    assert verify_books(desk.store.engine).fault is None


def test_an_earlier_server_continues_the_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier build's server writes links of format 1 and does not name the format. Its entries
    may stand between entries of this build."""
    rental(desk, authorize("ann", "bike"), request_id="this-build")
    with monkeypatch.context() as earlier:
        earlier.setattr("service.domain.ledger.LINK_FORMAT", 1)
        rental(desk, authorize("ann", "power-bank"), request_id="build-before")
    rental(desk, authorize("ann", "umbrella"), request_id="this-build-again")
    with desk.store.engine.connect() as connection:
        formats = [it.link_format for it in connection.execute(FORMATS)]
    assert formats[-3:] == [2, 1, 2]
    assert verify_books(desk.store.engine).fault is None
