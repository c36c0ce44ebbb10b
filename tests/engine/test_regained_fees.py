"""R14: a charge-back is reopened after the fee became lower: the operator regains no more than the
fee leaves, and the rest is owed to the person."""

from __future__ import annotations

import pytest

from service.books.verify import verify_books
from service.domain import reopening
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody
from service.domain.captures import Purpose
from service.domain.charge_backs import CaseState
from service.rpc.stored import read_payload
from service.storage import schema as t
from tests.engine import acts
from tests.engine.acts import MINUTE_US, picked_up, woken
from tests.engine.calls import authorize, pay, rental, stored
from tests.engine.test_late_fees import BACK_US, ITEM, TAKEN_US, debt_of, unheld
from tests.engine.test_order_fees import order
from tests.engine.test_quotas import offer
from tests.engine.test_reservations import TARIFF, reserve
from tests.engine.test_transitions_return import FOUND_US, missing
from tests.fakes import START_US, Desk
from tests.operations.test_charge_backs import case, decides, did, took

PRICE = 19_900


def verified(desk: Desk) -> None:
    """Requires that the books verify, with their events."""
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None


def lost_case(desk: Desk, it: Authorization, amount_minor: int, name: str = "1") -> Authorization:
    """The authorization after the person paid an amount, and the bank took it back for good."""
    rental(desk, pay(it, amount_minor, reference=f"pay-{name}"), caller=PLATFORM)
    did(desk, took(it, amount_minor, f"case-{name}", f"pay-{name}"))
    return rental(desk, decides(it, f"case-{name}", user_won=True), caller=PLATFORM)


def reopened(desk: Desk, it: Authorization, name: str = "1") -> Authorization:
    """The authorization after the bank gave the money back."""
    it = rental(desk, decides(it, f"case-{name}", user_won=False), caller=PLATFORM)
    verified(desk)
    return it


@pytest.mark.parametrize("goodwill", [False, True])
def test_r14_the_price_of_a_found_item_is_not_regained(desk: Desk, goodwill: bool) -> None:
    """R14: a bank took the 19,900 that were paid for a lost item, and the item was found since. If
    the bank gives the money back, the operator gets the 3,200 of the usage, and the person is owed
    16,700; whether the operator or Freehold bore the case does not matter."""
    it = missing(desk)
    rental(desk, pay(it, PRICE, reference="pay-1"), caller=PLATFORM)
    did(desk, took(it, PRICE, payment="pay-1"))
    did(desk, decides(it, user_won=True, goodwill=goodwill))
    desk.clock.advance(FOUND_US)
    it = rental(desk, acts.found(it))
    it = reopened(desk, it)
    assert it.captured_minor - it.conceded_minor == 3_200
    assert (it.refund_payable_minor, it.received_minor) == (16_700, PRICE)
    assert (it.fee_minor, it.refundable_minor) == (96, 3_200)


def test_r14_the_case_says_what_is_not_regained(desk: Desk) -> None:
    """R14: when the item is found, the lost case shows the fee as conceded, and the rest of the
    price as given up for good."""
    it = lost_case(desk, missing(desk), PRICE)
    assert case(desk, it).conceded_minor == PRICE
    desk.clock.advance(FOUND_US)
    it = rental(desk, acts.found(it))
    found = case(desk, it)
    assert (found.state, found.conceded_minor, found.found_minor) == (CaseState.LOST, 3_200, 16_700)
    assert it.conceded_minor == PRICE
    verified(desk)


def test_r14_a_found_item_of_an_order_regains_at_most_its_fee(desk: Desk) -> None:
    """R14: the price of a lost item was taken by the bank, and the item of an order with a fee of
    0.01 is found. The case may be decided anew, and the operator keeps at most the fee."""
    offer(desk, TARIFF)
    acts.change_terms(desk, t.products, "scooter", most_hold_minor=40_000)
    it = rental(desk, order(1))
    it = woken(desk, it, it.lost_us or 0)
    assert (it.custody, it.captured_minor) == (Custody.MISSING, PRICE)
    it = lost_case(desk, it, PRICE)
    it = rental(desk, acts.found(it))
    it = reopened(desk, it)
    assert (it.captured_minor - it.conceded_minor, it.refund_payable_minor) == (1, PRICE - 1)


def test_r14_the_oldest_case_gives_up_first(desk: Desk) -> None:
    """R14: of two lost cases of 17,000 and 2,900 the first is given up for good, up to the excess
    over the usage. When both are reopened, the operator keeps the 3,200 of the usage."""
    it = missing(desk)
    it = lost_case(desk, lost_case(desk, it, 17_000), 2_900, "2")
    desk.clock.advance(FOUND_US)
    it = rental(desk, acts.found(it))
    assert [case(desk, it, f"case-{n}").found_minor for n in (1, 2)] == [16_700, 0]
    it = reopened(desk, reopened(desk, it, "2"))
    assert it.captured_minor - it.conceded_minor == 3_200


def test_r14_damage_is_regained_whole(desk: Desk) -> None:
    """R14: a bank took the 500 of damage and the fee, which was captured last. The item turns out
    to have been docked at once. When the case is reopened, the 500 go back to the damage."""
    it = rental(desk, authorize())
    it = rental(desk, acts.capture(it, 500, Purpose.DAMAGE))
    desk.clock.advance(START_US + 120 * MINUTE_US)
    it = rental(desk, acts.settle_usage(it))
    it = lost_case(desk, it, it.captured_minor)
    it = rental(desk, acts.found(it, START_US))
    it = reopened(desk, it)
    told = desk.store.told(*acts.name(it))
    assert told is not None
    damage, fee = [one.capture.kept_minor for one in told.captures]
    assert damage == 500
    assert fee == it.captured_minor - it.conceded_minor - 500 < told.captures[1].amount_minor


@pytest.mark.parametrize(("waived_minor", "kept_minor"), [(None, 0), (100, 700)])
def test_r14_a_waived_fee_is_not_regained(
    desk: Desk, waived_minor: int | None, kept_minor: int
) -> None:
    """R14, R17: a bank took 500 of a fee of 800. After a waiver of the whole fee the operator
    regains none of them, and after a waiver of 100 all of them."""
    it = lost_case(desk, acts.charged(desk, amount_minor=800), 500)
    it = rental(desk, acts.waive(it, waived_minor))
    it = reopened(desk, it)
    assert it.captured_minor - it.conceded_minor == kept_minor
    assert it.refund_payable_minor == (500 if waived_minor is None else 0)


def test_r14_a_debt_for_a_fee_above_the_hold_is_regained_in_part(desk: Desk) -> None:
    """R5, R14: a bank took the paid debt for a fee above the hold, and the item turns out to have
    been docked earlier. When the case of the debt is reopened, the operator gets the fee until
    then, and the rest is owed to the person."""
    it = unheld(desk)
    desk.clock.advance(BACK_US)
    it = rental(desk, acts.settle_usage(it))
    whole = debt_of(desk, it)
    debt = lost_case(desk, whole, whole.unheld_minor)
    it = rental(desk, acts.found(it, TAKEN_US + 40 * MINUTE_US))
    assert 0 < it.uncollected_minor < whole.unheld_minor
    debt = reopened(desk, stored(desk, debt))
    assert debt.captured_minor - debt.conceded_minor == it.uncollected_minor
    assert debt.refund_payable_minor == whole.unheld_minor - it.uncollected_minor


def test_r14_the_price_of_a_reservation_that_was_used_is_not_regained(desk: Desk) -> None:
    """R5, R14: a bank took the price of a reservation that ended by time. A late pick-up bills the
    reservation with its own fee, so the operator does not get the price twice."""
    offer(desk, TARIFF)
    it = reserve(desk, asset_id=ITEM)
    it = woken(desk, it, START_US + 40 * MINUTE_US)
    assert it.captured_minor == 300
    it = lost_case(desk, it, 300)
    begun = rental(desk, picked_up(it, START_US + 20 * MINUTE_US))
    assert begun.authorization_id != it.authorization_id
    it = reopened(desk, stored(desk, it))
    assert (it.captured_minor - it.conceded_minor, it.refund_payable_minor) == (0, 300)


def test_r14_a_fall_of_the_fee_leaves_what_the_operator_may_regain(desk: Desk) -> None:
    """R14: a bank took a whole fee. A later report of an earlier return lowers the fee, and
    the operator keeps the lower fee when the case is reopened, and not less."""
    it = rental(desk, authorize())
    desk.clock.advance(START_US + 120 * MINUTE_US)
    it = rental(desk, acts.settle_usage(it))
    whole_minor = it.captured_minor
    it = lost_case(desk, it, whole_minor)
    it = rental(desk, acts.found(it, START_US + 40 * MINUTE_US))
    less_minor = case(desk, it).conceded_minor
    assert 0 < less_minor < whole_minor
    it = reopened(desk, it)
    assert it.captured_minor - it.conceded_minor == less_minor


def test_r14_a_case_of_an_earlier_build_regains_at_most_the_fee_of_the_order(desk: Desk) -> None:
    """R14: a row of an earlier build still has the whole price of a found item as conceded. When
    it is reopened, the operator gets the fee of the order, and the rest is owed to the person."""
    it = lost_case(desk, missing(desk), PRICE)
    desk.clock.advance(FOUND_US)
    row = case(desk, it)
    it = rental(desk, acts.found(it))._replace(order_fee_minor=1_000)
    step, after = reopening.reopen(it, row, FOUND_US, [(1, PRICE)])
    kept = step.authorization
    assert kept.captured_minor - kept.conceded_minor == 1_000
    assert kept.refund_payable_minor == PRICE - 1_000
    assert (after.open_minor, after.kept_minor) == (PRICE, 0)
