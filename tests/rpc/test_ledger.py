"""The books over the wire: entries, balances at past instants, verification and seals."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from freehold.v1.ledger_service_pb2 import (
    Entry,
    GetLineAtRequest,
    GetLineAtResponse,
    LineAt,
    ListEntriesRequest,
    ListEntriesResponse,
    SealWitness,
    VerifyBooksRequest,
    VerifyBooksResponse,
)
from freehold.v1.types_pb2 import SignedMoney
from google.protobuf.timestamp_pb2 import Timestamp

from service.config import Limits
from tests.fakes import START_US, serving
from tests.rpc.support import Desks, advance, desks, yuan
from tests.storage.book import KEY, verified


@pytest.fixture(scope="module")
def sealing(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    """A server that seals some fifty times a second."""
    limits = Limits(seal_interval_s=0.02, seal_pause_s=0.005)
    folder = tmp_path_factory.mktemp("sealing")
    with serving(folder, limits=limits, seal_key=KEY) as served, desks(served) as callers:
        yield callers


def cny(amount_minor: int) -> SignedMoney:
    """An amount that may be negative."""
    return SignedMoney(currency_code="CNY", amount_minor=amount_minor)


def at(instant_us: int) -> Timestamp:
    """An instant."""
    made = Timestamp()
    made.FromMicroseconds(instant_us)
    return made


def line_at(desk: Desks, user_id: str, **bounds: Timestamp) -> LineAt:
    """A person's line as of an instant."""
    answer: GetLineAtResponse = desk.platform.call(
        "GetLineAt", user_id=user_id, currency_code="CNY", **bounds
    )
    return answer.line


def page(desk: Desks, user_id: str, **parts: object) -> ListEntriesResponse:
    """A page of a person's entries."""
    answer: ListEntriesResponse = desk.platform.call(
        "ListEntries", user_id=user_id, currency_code="CNY", **parts
    )
    return answer


def verify(desk: Desks, *witnesses: SealWitness) -> VerifyBooksResponse:
    """A verification with noted seals."""
    answer: VerifyBooksResponse = desk.platform.call("VerifyBooks", witnesses=witnesses)
    return answer


def amounts(it: LineAt) -> dict[str, int]:
    """The balances that are not zero."""
    values = {
        field.name: value.amount_minor
        for field, value in it.ListFields()
        if isinstance(value, SignedMoney)
    }
    return {name: value for name, value in values.items() if value}


# -- balances as of past instants ---------------------------------------------------------------


def test_a_line_as_it_was_known(desk: Desks) -> None:
    """The balances known at any past instant are those stored then."""
    user_id = desk.platform.person()
    seen = []

    def look() -> None:
        now = at(desk.served.clock.now_us())
        stored = desk.served.store.line(user_id, "CNY")
        assert stored is not None
        seen.append((now, stored))
        advance(desk, 60)

    look()
    name = desk.operator.authorize(user_id, "bike").name
    look()
    desk.operator.settle(name, 1_000)
    look()
    desk.platform.pay(name, 1_400)
    look()
    assert len({line.version for _, line in seen}) == 4
    for now, line in seen:
        assert line_at(desk, user_id, known_at=now) == LineAt(
            user_id=user_id,
            limit=cny(line.limit_minor),
            available=cny(line.available_minor),
            held=cny(line.held_minor),
            drawn=cny(line.drawn_minor),
            receivable=cny(line.receivable_minor),
            disputed=cny(line.disputed_minor),
            charged_back=cny(line.charged_back_minor),
            deposit=cny(line.deposit_minor),
            refund_payable=cny(line.refund_payable_minor),
            overpaid=cny(line.overpaid_minor),
            unheld=cny(line.unheld_minor),
            entries=line.version,
            last_sequence=line.version,
        )
    assert line_at(desk, user_id) == line_at(desk, user_id, known_at=seen[-1][0])
    assert amounts(line_at(desk, user_id, known_at=at(START_US - 1))) == {}


def test_a_line_as_it_happened(desk: Desks) -> None:
    """A step that was reported late counts from its own instant, and is known from its report
    on."""
    user_id = desk.platform.person()
    name = desk.operator.authorize(user_id, "bike").name
    begun_us = desk.served.clock.now_us()
    advance(desk, 3_600)
    told_us = desk.served.clock.now_us()
    docked = at(begun_us + 600_000_000)
    desk.operator.call(
        "SettleAuthorization",
        request_id=desk.operator.fresh(),
        name=name,
        amount={"currency_code": "CNY", "amount_minor": 1_000},
        occurred_at=docked,
    )
    held = {"limit": 30_000, "available": 10_100, "held": 19_900}
    charged = {"limit": 30_000, "available": 29_000, "drawn": 1_000, "receivable": 1_000}
    assert amounts(line_at(desk, user_id, known_at=at(told_us - 1))) == held
    assert amounts(line_at(desk, user_id, known_at=at(told_us))) == charged
    assert amounts(line_at(desk, user_id, happened_at=docked)) == charged
    assert amounts(line_at(desk, user_id, happened_at=at(begun_us))) == held
    both = line_at(desk, user_id, known_at=at(told_us - 1), happened_at=docked)
    assert amounts(both) == held


def test_a_line_that_was_rearranged(desk: Desks) -> None:
    """If an early step is reported after a later step, the line never had the balances of that
    order. Such an answer is marked as rearranged, and only then may a balance be negative."""
    user_id = desk.platform.person()
    name = desk.operator.authorize(user_id, "bike").name
    docked = at(desk.served.clock.now_us() + 600_000_000)
    advance(desk, 3_600)
    told = at(desk.served.clock.now_us())
    desk.operator.call("IncrementAuthorization", name=name, amount=yuan(5_000))
    before = line_at(desk, user_id, happened_at=docked)
    assert (before.held, before.rearranged) == (cny(19_900), False)
    desk.operator.call("SettleAuthorization", name=name, amount=yuan(24_000), occurred_at=docked)
    after = line_at(desk, user_id, happened_at=docked)
    assert after.rearranged
    assert amounts(after) == {
        "limit": 30_000,
        "available": 11_000,
        "held": -5_000,
        "drawn": 24_000,
        "receivable": 24_000,
    }
    for whole in (line_at(desk, user_id), line_at(desk, user_id, known_at=told)):
        assert not whole.rearranged
        assert amounts(whole) == {
            "limit": 30_000, "available": 6_000, "drawn": 24_000, "receivable": 24_000,
        }  # fmt: skip


def test_a_missing_line(desk: Desks) -> None:
    """The line of an unknown person, or in another currency, is NOT_FOUND."""
    user_id = desk.platform.person()
    for user, currency in (("nobody", "CNY"), (user_id, "USD")):
        request = GetLineAtRequest(user_id=user, currency_code=currency)
        refused = desk.platform.refused("GetLineAt", request)
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "LINE_NOT_FOUND")


# -- entries ------------------------------------------------------------------------------------


def test_entries_come_page_by_page(desk: Desks) -> None:
    """Every entry comes once and in order, for any page size."""
    user_id = desk.platform.person()
    name = desk.operator.authorize(user_id, "bike").name
    desk.operator.settle(name, 1_000)
    whole = page(desk, user_id)
    assert [it.sequence for it in whole.entries] == [1, 2, 3, 4, 5, 6]
    assert whole.next_page_token == ""
    parts: list[Entry] = []
    token = ""
    for _ in range(3):
        part = page(desk, user_id, page_size=2, page_token=token)
        assert len(part.entries) == 2
        parts += part.entries
        token = part.next_page_token
    assert (parts, token) == (list(whole.entries), "")
    assert list(page(desk, "nobody").entries) == []


def test_an_entry_is_complete(desk: Desks) -> None:
    """An entry has its accounts, its amount, the balances after it, both times, and its link with
    the link's format."""
    user_id = desk.platform.person()
    name = desk.operator.authorize(user_id, "bike").name
    desk.operator.settle(name, 1_000)
    limit, held, drawn, owed, fee, rest = page(desk, user_id).entries
    assert (limit.operator_id, limit.authorization) == ("platform", "")
    assert {it.authorization for it in (held, drawn, owed, fee, rest)} == {name}
    assert {it.transaction_sequence for it in (drawn, owed, fee, rest)} == {3}
    assert (owed.book, owed.debit, owed.credit) == ("money", "receivable", "operator_payable")
    assert owed.debit_after_minor == owed.amount.amount_minor == 970
    assert not owed.HasField("credit_after_minor")
    assert (held.transition, rest.transition) == ("authorization.active", "authorization.settled")
    assert held.event_time.ToMicroseconds() == held.ledger_time.ToMicroseconds()
    links = {it.link for it in (limit, held, drawn, owed, fee, rest)}
    assert {len(link) for link in links} == {32}
    assert len(links) == 6
    assert {it.link_format for it in page(desk, user_id).entries} == {2}


def test_an_entry_names_its_decision(desk: Desks) -> None:
    """An entry has the decision of its authorization, but the entries of an increment have the
    increment's own. Later entries have the authorization's again. The entry of a limit has none."""
    user_id = desk.platform.person()
    it = desk.operator.authorize(user_id, "bike")
    decisions = [it.decision_id]
    for amount_minor in (500, 700):
        raised = desk.operator.call(
            "IncrementAuthorization", name=it.name, amount=yuan(amount_minor)
        ).authorization
        assert raised.decision_id == it.decision_id
        decisions.append(raised.step_decision_id)
    settled = desk.operator.settle(it.name, 1_000)
    assert (settled.step_decision_id, len(set(decisions))) == ("", 3)
    limit, held, first, second, *rest = page(desk, user_id).entries
    assert [one.decision_id for one in (limit, held, first, second)] == ["", *decisions]
    assert {one.decision_id for one in rest} == {it.decision_id}
    (alone,) = page(desk, user_id, page_size=1, page_token="3").entries
    assert (alone.transition, alone.decision_id) == ("authorization.incremented", decisions[2])
    assert desk.platform.verify().verified


# -- the proof ----------------------------------------------------------------------------------


def test_a_server_with_a_key_seals(sealing: Desks) -> None:
    """A server with a key seals every change, checks its seals, and returns the last one for
    noting."""
    name = sealing.operator.authorize(sealing.platform.person(), "bike").name
    sealing.operator.settle(name, 100)
    until = time.monotonic() + 30
    while True:
        found = verify(sealing)
        assert found.verified
        with sealing.served.store.engine.connect() as connection:
            sealed = connection.exec_driver_sql("SELECT max(version) FROM sealed_heads").scalar()
        if sealed == 6:
            break
        assert time.monotonic() < until
    found = verify(sealing)
    assert found.seals == found.signatures == found.last_seal.number > 0
    assert verify(sealing, found.last_seal).verified
    fault = verify(sealing, SealWitness(number=1_000_000, digest=b"x" * 32)).fault
    assert (fault.rule, fault.row) == ("SEAL_MISSING", "seals/1000000")


def test_a_server_without_a_key_does_not_seal(desk: Desks) -> None:
    """Without a key there are no seals or signatures, and the books still verify."""
    desk.operator.authorize(desk.platform.person(), "bike")
    found = verify(desk)
    assert (found.verified, found.seals, found.signatures) == (True, 0, 0)
    assert not found.HasField("last_seal")


def test_a_stopped_server_has_sealed_everything(tmp_path: Path) -> None:
    """Every call that was answered before the server stopped is under its last seal."""
    limits = Limits(seal_interval_s=3_600.0)
    with (
        serving(tmp_path, limits=limits, seal_key=KEY) as served,
        desks(served) as callers,
    ):
        callers.operator.authorize(callers.platform.person(), "bike")
    found = verified(tmp_path / "freehold.db")
    assert found.fault is None
    with sqlite3.connect(tmp_path / "freehold.db") as connection:
        (sealed,) = connection.execute("SELECT max(version) FROM sealed_heads").fetchone()
    connection.close()
    assert sealed == 2


def test_operators_cannot_read_the_books(desk: Desks) -> None:
    """Only the platform reads the books: an operator's key lacks the scope."""
    for method, request, scope in (
        ("GetLineAt", GetLineAtRequest(user_id="u", currency_code="CNY"), "books.read"),
        ("ListEntries", ListEntriesRequest(user_id="u", currency_code="CNY"), "books.read"),
        ("VerifyBooks", VerifyBooksRequest(), "books.verify"),
    ):
        refused = desk.operator.refused(method, request)
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.info.metadata["scope"] == scope
