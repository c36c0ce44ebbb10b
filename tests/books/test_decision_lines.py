"""The lines that decisions saw are computed again from the entries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import State
from service.domain.ledger import Book
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine import operations as c
from service.storage.database import writing
from service.storage.store import SqlStore
from tests.engine import acts
from tests.engine.calls import authorize, confirm, line, pay, rental, reverse, settle
from tests.engine.currencies import EUR, EURO_RATE, offer_euros
from tests.fakes import Desk


@pytest.fixture
def city(store: SqlStore) -> Iterator[Desk]:
    """Ann's rentals in yuan and in euros, under a total exposure: granted, raised and declined."""
    desk = Desk(store)
    desk.put_user("ann", 700)
    first = rental(desk, authorize("ann"))
    offer_euros(desk, {EUR: EURO_RATE})
    desk.put_user("ann", 700)
    due = rental(desk, settle(first, 500))
    rental(desk, authorize("ann", "scooter"))
    out = rental(desk, authorize("ann", "umbrella"))
    desk.do(c.Increment("ann", out.authorization_id, Money("CNY", 100)))
    rental(desk, authorize("ann", accept=(Offer.ZERO,)))
    desk.do(pay(due, due.due_minor), caller=PLATFORM)
    desk.do(acts.group("ann", ("umbrella", ""), ("umbrella", "")))
    rental(desk, authorize("ann", "umbrella"))
    yield desk
    assert not desk.faults


def fault(desk: Desk) -> str:
    """The first fault of the books as text; empty if there is none."""
    found = verify_books(desk.store.engine).fault
    return "" if found is None else f"{found.rule} {found.row}: {found.detail}"


def decisions(desk: Desk) -> list[dict[str, Any]]:
    """The decisions in the order of their ids."""
    query = "SELECT * FROM decisions ORDER BY decision_id"
    with desk.store.engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def change(desk: Desk, decision_id: str, column: str, value: object) -> None:
    """Changes a column of a decision by SQL."""
    with writing(desk.store.engine) as connection:
        connection.execute(
            text(f"UPDATE decisions SET {column} = :value WHERE decision_id = :id"),
            {"value": value, "id": decision_id},
        )


def test_lines_that_decisions_saw_verify(city: Desk) -> None:
    """The lines of all decisions follow from the entries, and so do the free parts under a total
    exposure, which decisions from before it do not name."""
    assert fault(city) == ""
    read = [json.loads(it["read_values"] or "{}") for it in decisions(city)]
    assert ["total.free_minor" in it for it in read] == [False] + [True] * (len(read) - 1)
    assert read[2]["total.lines"]["ann/EUR"] > 0


@pytest.mark.parametrize("column", ["line_limit_minor", "line_held_minor", "line_drawn_minor"])
def test_a_changed_balance_is_found(city: Desk, column: str) -> None:
    """A balance that a decision did not see is found, whichever decision it is."""
    for it in decisions(city):
        change(city, it["decision_id"], column, it[column] + 1)
        assert fault(city).startswith(f"DECISION_LINE decisions/{it['decision_id']}: {column} was")
        change(city, it["decision_id"], column, it[column])
    assert fault(city) == ""


def test_another_place_in_the_order_is_found(city: Desk) -> None:
    """A decision that held its amount at once was made right before its own first entry."""
    granted = [it for it in decisions(city) if it["offer"] == "ZERO"]
    for it in granted[:3]:
        for step in (-1, 1):
            change(city, it["decision_id"], "line_version", it["line_version"] + step)
            assert fault(city).startswith(f"DECISION_LINE decisions/{it['decision_id']}: line_")
        change(city, it["decision_id"], "line_version", it["line_version"])
    assert fault(city) == ""


def test_a_place_beyond_an_entry_of_money_is_found(store: SqlStore) -> None:
    """An entry of the book of money leaves a line's balances alone. A decision that held its amount
    at once is found even if it was moved only over such an entry."""
    desk = Desk(store)
    desk.put_user("ann", 700)
    first = rental(desk, authorize("ann", "umbrella"))
    rental(desk, settle(first, first.credit_minor))
    rental(desk, authorize("ann", "umbrella"))
    it = decisions(desk)[1]
    change(desk, it["decision_id"], "line_version", it["line_version"] - 1)
    assert fault(desk).startswith(f"DECISION_LINE decisions/{it['decision_id']}: line_version is")


def test_a_place_after_the_release_is_found(store: SqlStore) -> None:
    """After a reversal the line's balances are those from before the hold. A decision that was
    moved behind both is found, also if its amount was held only after a payment."""
    desk = Desk(store)
    desk.put_user("ann", 600)
    asked = rental(desk, authorize("ann", accept=(Offer.REDUCED,)))
    before = line(desk)
    assert asked.cash_minor
    rental(desk, reverse(rental(desk, confirm(asked))))
    after = line(desk)
    assert (before.held_minor, before.version) < (after.held_minor, after.version)
    (it,) = decisions(desk)
    change(desk, it["decision_id"], "line_version", after.version)
    assert fault(desk).startswith(f"DECISION_LINE decisions/{it['decision_id']}: line_version is")


def test_a_place_beyond_the_line_is_found(store: SqlStore) -> None:
    """A decision that names more entries than its line has is found, also if the line's last entry
    is one of the book of money."""
    desk = Desk(store)
    desk.put_user("ann", 600)
    asked = rental(desk, authorize("ann", accept=(Offer.REDUCED,)))
    rental(desk, settle(rental(desk, confirm(asked)), 500))
    last = "SELECT book FROM entries WHERE user_id = 'ann' ORDER BY sequence DESC LIMIT 1"
    with store.engine.connect() as connection:
        assert connection.scalar(text(last)) == Book.MONEY
    assert rental(desk, authorize("ann", accept=(Offer.FULL,))).state is State.OFFERED
    it = decisions(desk)[-1]
    assert (it["line_version"], fault(desk)) == (line(desk).version, "")
    change(desk, it["decision_id"], "line_version", it["line_version"] + 1)
    assert fault(desk).startswith(f"DECISION_LINE decisions/{it['decision_id']}: line_version is")


def set_name(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of one value that a decision read."""
    return lambda values: values.__setitem__(name, value)


@pytest.mark.parametrize(
    "change_of",
    [
        set_name("total.free_minor", 1),
        set_name("total.lines", {}),
        set_name("total.lines", {"ann/EUR": 0}),
        set_name("total.lines", {"ann/EUR": 1_000}),
        set_name("total.rates", {}),
        set_name("total.rates", {EUR: [785, 0]}),
        set_name("total.rates", {EUR: [1e308, 1e-308]}),
        set_name("total.lines", ["ann/EUR"]),
        set_name("total.lines", {"ann/EUR": "1"}),
        set_name("total.lines", {"ann": 1}),
        lambda values: values.pop("total.lines"),
    ],
)
def test_another_total_exposure_is_found(
    city: Desk, change_of: Callable[[dict[str, Any]], object]
) -> None:
    """Another free part under a total exposure, other lines or other rates are found."""
    it = decisions(city)[2]
    values = json.loads(it["read_values"])
    change_of(values)
    change(city, it["decision_id"], "read_values", json.dumps(values))
    assert fault(city).startswith(f"DECISION_LINE decisions/{it['decision_id']}:")


@pytest.mark.parametrize("text", ['{"total.free_minor": 1', '["total.free_minor"]', "[" * 100_000])
def test_a_text_that_makes_no_sense_is_found(city: Desk, text: str) -> None:
    """A text that is no table is found, and ends no verification."""
    it = decisions(city)[2]
    change(city, it["decision_id"], "read_values", text + '"total.free_minor"' * ("[[" in text))
    assert fault(city).startswith(f"DECISION_LINE decisions/{it['decision_id']}:")


def test_the_lines_of_a_merged_person_are_read(store: SqlStore) -> None:
    """A decision names the lines of people who were merged into the person; they are read too."""
    desk = Desk(store)
    offer_euros(desk, {EUR: EURO_RATE})
    desk.put_users(ann=700, dan=700)
    rental(desk, authorize("ann", "scooter"))
    desk.do(c.ProposeMerge("ann", "dan", "same id card", "key-1"), caller=PLATFORM)
    desk.do(c.ApproveMerge("ann", "dan", "key-2"), caller=PLATFORM)
    rental(desk, authorize("dan", "umbrella"))
    assert fault(desk) == ""
    it = decisions(desk)[-1]
    values = json.loads(it["read_values"])
    assert values["total.lines"]["ann/EUR"] > 0
    values["total.lines"]["ann/EUR"] = 0
    change(desk, it["decision_id"], "read_values", json.dumps(values))
    assert fault(desk).startswith(f"DECISION_LINE decisions/{it['decision_id']}: total.free_minor")
