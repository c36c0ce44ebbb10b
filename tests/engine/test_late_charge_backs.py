"""R2 and R5: a bank takes back the deposit of a reservation that a late pick-up has taken over."""

from __future__ import annotations

import pytest

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start, State
from service.domain.charge_backs import CaseState
from service.domain.errors import FreeholdError, IllegalState
from service.domain.money import Money
from service.engine import operations as c
from service.engine.calls import ChargedBack
from tests.engine import acts
from tests.engine.acts import Books, money, woken
from tests.engine.calls import CNY, confirm, line, pick_up, refused, rental, stored
from tests.engine.test_late_pickups import END_US, ITEM, gone_out, late, reduced
from tests.fakes import Desk
from tests.operations.test_charge_backs import case, decides, did, match, suspended, took

DEPOSIT = 9_950
PAID = "pay-1"
"""The reference of the deposit, recorded for the reservation."""
TAKEN = "receivable_charged_back / cash"


@pytest.fixture
def both(desk: Desk) -> tuple[Authorization, Authorization]:
    """Ben's expired reservation, and the rental that took over its deposit of 9,950."""
    it = woken(desk, reduced(desk), END_US)
    begun = late(desk, it)
    return stored(desk, it), begun


def moved_on(desk: Desk, command: c.Command, begun: Authorization) -> None:
    """Requires a refusal that names the rental with the deposit, and that nothing is posted."""
    books = Books(desk)
    error = refused(desk, command, caller=PLATFORM)
    assert isinstance(error, IllegalState)
    assert (error.reason, error.metadata["authorization"]) == ("DEPOSIT_TAKEN_OVER", begun.name)
    books.news()


def test_r2_r5_the_deposit_is_taken_back_from_the_rental(
    desk: Desk, both: tuple[Authorization, Authorization]
) -> None:
    """R2, R5: the rental's case names the payment that was recorded for the reservation:
    receivable_charged_back 9,950 / cash 9,950, and nothing is in suspense."""
    _, begun = both
    it = Books(desk).step(
        took(begun, DEPOSIT, payment=PAID),
        [("money", TAKEN, DEPOSIT)],
        "collection.charged_back",
        caller=PLATFORM,
    )
    found = case(desk, it)
    assert (found.state, found.payment, found.open_minor) == (CaseState.OPEN, PAID, DEPOSIT)
    assert (found.suspense_minor, found.gone_out_minor, suspended(desk)) == (0, 0, 0)
    assert (it.charged_back_minor, it.chargeable_back_minor) == (DEPOSIT, 0)


@pytest.mark.parametrize("payment", [PAID, ""])
def test_r2_r5_at_the_reservation_the_refusal_names_the_rental(
    desk: Desk, both: tuple[Authorization, Authorization], payment: str
) -> None:
    """R2, R5: at the reservation the case is refused with DEPOSIT_TAKEN_OVER and the name of the
    rental, whether or not the case names its payment. The same case is then recorded at the
    rental."""
    reservation, begun = both
    moved_on(desk, took(reservation, DEPOSIT, payment=payment), begun)
    assert rental(desk, took(begun, DEPOSIT, payment=payment), caller=PLATFORM)
    assert stored(desk, begun).charged_back_minor == DEPOSIT
    assert not verify_books(desk.store.engine).fault


def test_r2_r5_an_unknown_payment_is_in_suspense_at_both(
    desk: Desk, both: tuple[Authorization, Authorization]
) -> None:
    """R2: a case about an unknown payment is in suspense, at the reservation and at the rental. It
    can be matched to the deposit only at the rental."""
    reservation, begun = both
    for number, it in enumerate(both):
        did(desk, took(it, 500, f"case-{number}", "pay-9"))
    assert suspended(desk) == 1_000
    command = match(500, reservation, reference="case-0", payment=PAID)
    moved_on(desk, command, begun)
    did(desk, match(500, begun, reference="case-0", payment=PAID))
    assert (suspended(desk), stored(desk, begun).charged_back_minor) == (500, 500)


@pytest.mark.parametrize(("user_won", "left"), [(True, 0), (False, DEPOSIT)])
def test_r2_r5_the_case_is_decided_at_the_rental(
    desk: Desk, both: tuple[Authorization, Authorization], user_won: bool, left: int
) -> None:
    """R2, R5: a lost case takes the deposit of the rental: deposit 9,950 / receivable_charged_back.
    An overturned case brings it back: cash 9,950. The reservation does not change."""
    reservation, begun = both
    it = rental(desk, took(begun, DEPOSIT, payment=PAID), caller=PLATFORM)
    account = "deposit" if user_won else "cash"
    name = "won" if user_won else "overturned"
    it = Books(desk).step(
        decides(it, user_won=user_won),
        [("money", f"{account} / receivable_charged_back", DEPOSIT)],
        f"collection.charge_back_{name}",
        caller=PLATFORM,
    )
    assert (it.held_cash_minor, line(desk, "ben").deposit_minor) == (left, left)
    assert stored(desk, reservation) == reservation


def test_r2_r5_a_fee_that_the_deposit_paid_is_conceded(
    desk: Desk, both: tuple[Authorization, Authorization]
) -> None:
    """R2, R5: after a fee of 350 from the deposit, a lost case of 9,950 takes the 9,600 that are
    owed back, and 350 of the charge."""
    _, begun = both
    it = rental(desk, acts.capture(begun, 350, final=True))
    it = rental(desk, took(it, DEPOSIT, payment=PAID), caller=PLATFORM)
    it = rental(desk, decides(it, user_won=True), caller=PLATFORM)
    found = case(desk, it)
    assert (found.owed_minor, found.conceded_minor, found.overpaid_minor) == (9_600, 350, 0)
    assert (it.refund_payable_minor, it.conceded_minor) == (0, 350)


def test_r2_r5_a_deposit_that_went_out_in_part_is_in_two_places(desk: Desk) -> None:
    """R2, R5: of 10,000 paid, 4,000 went out before the late pick-up took 6,000 over. A case of
    10,000 takes 6,000 at the rental. The other 4,000 are in suspense, and are matched to the
    reservation as DOUBLE."""
    it = rental(desk, confirm(rental(desk, pick_up("ben", "bike", ITEM)), 10_000))
    it = woken(desk, it, END_US)
    it = gone_out(desk, it, 4_000)
    begun = late(desk, it)
    moved_on(desk, took(it, 10_000, payment=PAID), begun)
    books = Books(desk)
    begun = rental(desk, took(begun, 10_000, payment=PAID), caller=PLATFORM)
    books.expect(
        [("money", TAKEN, 6_000), ("money", "suspense / cash", 4_000)], "collection.charged_back"
    )
    did(desk, match(4_000, stored(desk, it), reference="case-1", payment=PAID))
    it = stored(desk, it)
    assert (it.charged_back_minor, begun.charged_back_minor, suspended(desk)) == (4_000, 6_000, 0)
    told = desk.store.told(*acts.name(it))
    assert told is not None
    assert [one.gone_out_minor for one in told.charge_backs] == [4_000]
    assert not verify_books(desk.store.engine).fault


def test_r2_r5_money_left_at_the_reservation_is_taken_there(desk: Desk) -> None:
    """R2, R5: of 10,000 paid, 50 stayed at the reservation. A case of 50 is recorded there. A
    larger case is recorded at the rental, until the bank has all of the rental's 9,950."""
    it = rental(desk, confirm(rental(desk, pick_up("ben", "bike", ITEM)), 10_000))
    it = woken(desk, it, END_US)
    begun = late(desk, it)
    moved_on(desk, took(it, 51, payment=PAID), begun)
    it = rental(desk, took(it, 50, payment=PAID), caller=PLATFORM)
    assert it.charged_back_minor == 50
    assert rental(desk, took(begun, 9_960, "case-2", PAID), caller=PLATFORM).charged_back_minor == (
        DEPOSIT
    )
    assert suspended(desk) == 10
    did(desk, took(it, 7, "case-3", PAID))
    assert suspended(desk) == 17


def test_r2_r5_the_rentals_own_money_is_not_that_payment(desk: Desk) -> None:
    """R2, R5: a case that names the reservation's payment takes at most the deposit that the rental
    took over, even if more was paid for the rental."""
    it = rental(desk, confirm(rental(desk, pick_up("ben", "bike", ITEM)), 10_000))
    it = woken(desk, it, END_US)
    it = gone_out(desk, it, 4_000)
    begun = rental(desk, acts.increment(late(desk, it), 1_000, 1_000))
    assert begun.chargeable_back_minor == 7_000
    answer = did(desk, took(begun, 7_000, payment=PAID))
    assert isinstance(answer, ChargedBack)
    assert (answer.charge_back.charged_minor, answer.charge_back.suspense_minor) == (6_000, 1_000)
    begun = rental(desk, took(begun, 1_000, "case-2", "more-1"), caller=PLATFORM)
    assert begun.charged_back_minor == 7_000


def test_r2_r5_a_deposit_that_went_out_before_stays_the_reservations(desk: Desk) -> None:
    """R2, R5: a late pick-up that took nothing over has no part in the payment. A case at the
    reservation is DOUBLE, and a case at the rental is in suspense."""
    it = woken(desk, reduced(desk), END_US)
    it = gone_out(desk, it, DEPOSIT)
    begun = late(desk, it)
    assert begun.held_cash_minor == 0
    did(desk, took(begun, 1, "case-2", PAID))
    assert suspended(desk) == 1
    it = rental(desk, took(it, DEPOSIT, payment=PAID), caller=PLATFORM)
    assert case(desk, it).gone_out_minor == DEPOSIT


def test_r2_r5_the_deposit_of_a_group_is_found_at_the_late_pick_up(desk: Desk) -> None:
    """R2, R5: a deposit may be recorded at another authorization of the reservation's group. It is
    still a payment of the rental that took over a share of it."""
    first, second = acts.members(
        desk, acts.group("ben", ("bike", ITEM), ("umbrella", "u-1"), start=Start.ON_PICKUP)
    )
    paid_minor = first.cash_minor + second.cash_minor
    payment = c.Confirm(*acts.name(first), PAID, Money(CNY, paid_minor))
    desk.do(payment)
    second = woken(desk, second, END_US)
    assert second.state is State.EXPIRED
    begun = rental(desk, acts.picked_up(second, END_US - 1))
    assert begun.held_cash_minor == second.cash_minor
    it = rental(desk, took(begun, second.cash_minor, payment=PAID), caller=PLATFORM)
    assert (it.charged_back_minor, suspended(desk)) == (second.cash_minor, 0)


def test_r2_r5_both_in_one_batch(desk: Desk) -> None:
    """R2, R5: a case at the reservation in the batch that begins the rental is refused with the
    rental's name. If the case comes before the rental, the bank keeps its part, and only the rest
    is taken over."""
    it = woken(desk, reduced(desk), END_US)
    *_, error = desk.apply(
        desk.work(took(it, 3_000, "case-0", PAID), caller=PLATFORM),
        desk.work(acts.picked_up(it, END_US - 1), request_id="late"),
        desk.work(took(it, 6_000, payment=PAID), caller=PLATFORM),
    )
    assert isinstance(error, FreeholdError)
    assert error.reason == "DEPOSIT_TAKEN_OVER"
    begun = late(desk, it)
    assert (begun.name, begun.held_cash_minor) == (error.metadata["authorization"], 6_950)
    assert money(6_950) == Money(CNY, begun.chargeable_back_minor)
