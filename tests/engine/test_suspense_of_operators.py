"""A13: the platform matches or sends back money in suspense in an operator's own account."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.charge_backs import CaseState
from service.domain.suspense import Direction, SuspenseItem
from service.engine import operations as c
from service.engine.calls import Matched
from service.storage import rail_accounts
from tests.engine.acts import Books, charged, money
from tests.engine.calls import CNY, refused, rental, stored
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US, Desk
from tests.operations.test_charge_backs import case, decides, did, match, paid, took, unmatched

DEFAULT = f"operators/{OPERATOR}/railAccounts/default"
TILL = f"operators/{OPERATOR}/railAccounts/till"
UNKNOWN = "SUSPENSE_NOT_FOUND"


def arrived(
    desk: Desk,
    amount_minor: int,
    direction: Direction = Direction.IN,
    account: str = DEFAULT,
    reference: str = "odd-1",
) -> SuspenseItem:
    """Money that matches nothing in an account of the operator's own."""
    command = replace(unmatched(amount_minor, direction, reference), rail_account=account)
    answer = did(desk, command)
    assert isinstance(answer, Matched)
    return answer.item


def of(command: c.MatchSuspense, owner: str = OPERATOR) -> c.MatchSuspense:
    """The same match of an operator's item."""
    return replace(command, owner=owner)


def open_cases(desk: Desk) -> list[tuple[str, str]]:
    """The open cases of unmatched money: the operator, and the payment."""
    query = (
        "SELECT operator_id, reference FROM cases"
        " WHERE kind = 'UNMATCHED_MONEY' AND state <> 'CLOSED' ORDER BY reference"
    )
    with desk.store.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.mark.parametrize(
    ("direction", "booked", "transition"),
    [
        (Direction.IN, "suspense / cash", "suspense.returned"),
        (Direction.OUT, "cash / suspense", "suspense.regained"),
    ],
)
def test_money_in_an_operators_account_goes_back_to_the_rail(
    desk: Desk, direction: Direction, booked: str, transition: str
) -> None:
    """A13: of 500 in suspense in an operator's account, 200 and then 300 go back to the rail. The
    last part closes the case of the money."""
    item = arrived(desk, 500, direction)
    payment = (OPERATOR, f"payments/{OPERATOR}/odd-1")
    assert (item.caller, item.open_minor, open_cases(desk)) == (OPERATOR, 500, [payment])
    books = Books(desk)
    for amount_minor, left_minor in ((200, 300), (300, 0)):
        after = did(desk, of(match(amount_minor))).item
        books.expect([("money", booked, amount_minor)], transition)
        assert (after.open_minor, after.returned_minor) == (left_minor, 500 - left_minor)
        assert open_cases(desk) == [payment] * (left_minor > 0)
    assert refused(desk, of(match(1)), caller=PLATFORM).reason == "INVALID_INPUT"
    assert verify_books(desk.store.engine).fault is None


def test_two_keys_match_an_operators_money_to_a_person(desk: Desk) -> None:
    """A13: 800 in suspense in an operator's account pay a debt of 800 (suspense / receivable). One
    key proposes it and is refused as the second one; another key carries it out."""
    it = charged(desk, amount_minor=800)
    arrived(desk, 800)
    books = Books(desk)
    proposed = did(desk, of(match(800, it))).item
    assert (proposed.proposed_by, proposed.open_minor) == ("key-1", 800)
    books.expect([])
    again = refused(desk, of(match(800, it)), caller=PLATFORM)
    assert again.reason == "SECOND_PERSON_NEEDED"
    after = did(desk, of(match(800, it, by="key-2"))).item
    rows = [("money", "suspense / receivable", 800), ("line", "available / drawn", 800)]
    books.expect(rows, "collection.payment_recorded")
    assert (after.open_minor, stored(desk, it).due_minor, open_cases(desk)) == (0, 0, [])
    assert verify_books(desk.store.engine).fault is None


def test_the_suspense_of_a_charge_back_at_an_operators_account_is_matched(desk: Desk) -> None:
    """A13: a bank takes 700 of an unknown payment back through an operator's account. Of them, 500
    become a charge-back of a real payment (receivable_charged_back / suspense), which is decided
    there, and 200 come back from the rail (cash / suspense)."""
    it = paid(desk)
    did(desk, replace(took(it, 700, payment="nobody-1"), rail_account=DEFAULT))
    command = match(500, it, reference="case-1", payment="pay-9")
    assert refused(desk, command, caller=PLATFORM).reason == UNKNOWN
    books = Books(desk)
    did(desk, of(command))
    rows = [("money", "receivable_charged_back / suspense", 500)]
    books.expect(rows, "collection.charged_back")
    found = case(desk, it, "suspense/1/case-1")
    assert (found.state, found.caller, found.open_minor) == (CaseState.OPEN, OPERATOR, 500)
    did(desk, of(match(200, reference="case-1")))
    books.expect([("money", "cash / suspense", 200)], "suspense.regained")
    after = rental(desk, decides(it, "suspense/1/case-1", user_won=False), caller=PLATFORM)
    assert (after.charged_back_minor, open_cases(desk)) == (0, [])
    assert verify_books(desk.store.engine).fault is None


def test_owner_and_reference_name_an_item(desk: Desk) -> None:
    """A13: the platform, two operators, and an operator's second account each have an item under
    the same reference. A match reaches only the item of the owner and the account that it names."""
    rail_accounts.create(desk.store.engine, OPERATOR, "till", CNY, "Till 1", START_US)
    did(desk, unmatched(100))
    arrived(desk, 200)
    arrived(desk, 300, account=f"operators/{OTHER_OPERATOR}/railAccounts/default")
    item = arrived(desk, 400, account=TILL)
    assert item.payment_reference == "railAccounts/till/odd-1"
    for command, amount_minor in (
        (match(1), 100),
        (of(match(1)), 200),
        (of(match(1), OTHER_OPERATOR), 300),
        (of(match(1, reference=item.payment_reference)), 400),
    ):
        after = did(desk, command).item
        assert (after.amount_minor, after.open_minor) == (amount_minor, amount_minor - 1)
    assert refused(desk, of(match(1), "nobody"), caller=PLATFORM).reason == UNKNOWN


def test_an_item_stays_its_operators_if_the_account_becomes_shared(desk: Desk) -> None:
    """A13: money came in before its operator's account became a shared one; its owner still names
    it, and it goes back."""
    arrived(desk, 500)
    engine = desk.store.engine
    rail_accounts.create(engine, PLATFORM, "bank", "", "Bank 1", START_US)
    rail_accounts.share(engine, "bank", OPERATOR, "default", START_US)
    assert did(desk, of(match(500))).item.open_minor == 0


def test_only_the_platform_reaches_an_operators_item(desk: Desk) -> None:
    """A13: a match in the name of another operator finds nothing, whatever owner it names."""
    arrived(desk, 500)
    error = refused(desk, of(match(500)), caller=OTHER_OPERATOR)
    assert error.reason == UNKNOWN


def test_two_owners_items_of_one_reference_make_no_two_cases_of_one_name(desk: Desk) -> None:
    """A13: 100 of the platform and 200 of an operator went out under one reference. If the second
    one would be a case of the same name at one rental, its match is refused and posts nothing. It
    still comes back from the rail, and is recorded as a charge-back."""
    it = paid(desk)
    did(desk, unmatched(100, Direction.OUT))
    arrived(desk, 200, Direction.OUT)
    did(desk, match(100, it, payment="pay-9"))
    books = Books(desk)
    error = refused(desk, of(match(200, it, payment="pay-9")), caller=PLATFORM)
    assert error.reason == "BUSINESS_REFERENCE_REUSED"
    books.expect([])
    did(desk, of(match(200)))
    did(desk, c.RecordChargeBack(*it[:2], "case-2", money(200), payment="pay-9"))
    assert stored(desk, it).charged_back_minor == 300
    assert verify_books(desk.store.engine).fault is None
