"""R5, R9 and R17: a waiver lowers the fee of a late pick-up above its hold first, then the hold's
part."""

from __future__ import annotations

from typing import Any

import pytest

from service.books.verify import verify_books
from service.domain import waivers
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Step
from service.domain.errors import IllegalState, InvalidInput
from service.domain.waivers import Waiver
from service.engine.calls import Attestation
from service.storage.store import SqlStore
from tests.engine import acts
from tests.engine.acts import HOUR_US, Books
from tests.engine.calls import pay, pick_up, refused, rental, stored
from tests.engine.test_late_fees import BACK_US, DROPPED, FEE, ITEM, TAKEN_US, debt_of, lost, unheld
from tests.fakes import Desk

HELD = 300
ABOVE = FEE - HELD


def settled(desk: Desk, held_minor: int = HELD) -> Authorization:
    """A late pick-up with a fee of 950, of which only a part was held."""
    it = unheld(desk, held_minor)
    desk.clock.advance(BACK_US)
    return rental(desk, acts.settle_usage(it))


def waived(desk: Desk, it: Authorization, amount_minor: int | None = None) -> Authorization:
    """The rental after a waiver; its attestation has the amount, and nothing of it is pending."""
    answer = desk.do(acts.waive(it, amount_minor))
    assert isinstance(answer, Attestation)
    assert answer.row.pending_minor == 0
    assert amount_minor in (None, answer.row.amount_minor)
    assert verify_books(desk.store.engine).fault is None
    return answer.authorization


@pytest.mark.parametrize("amount_minor", [1, 200, ABOVE])
def test_r17_a_part_is_waived_above_the_hold_first(desk: Desk, amount_minor: int) -> None:
    """R5, R17: of a fee of 950 with 300 held, a waiver of x up to 650 posts operator_deferred x /
    receivable_unheld x, and nothing on the credit line."""
    it, books = settled(desk), Books(desk)
    it = waived(desk, it, amount_minor)
    books.expect([(*DROPPED, amount_minor)], "authorization.fee_waived", "authorization.found")
    debt = debt_of(desk, it)
    assert (debt.unheld_due_minor, it.uncollected_minor) == (ABOVE - amount_minor,) * 2
    assert (it.due_minor, it.conceded_minor) == (HELD, 0)


def test_r17_a_waiver_beyond_the_debt_is_given_back(desk: Desk) -> None:
    """R5, R17: a waiver of 750 drops the debt of 650 and lowers the captured 300 by 100."""
    it, books = settled(desk), Books(desk)
    it = waived(desk, it, ABOVE + 100)
    books.expect(
        [
            ("money", "operator_payable / receivable", 97),
            ("money", "fee_income / receivable", 3),
            ("line", "available / drawn", 100),
            (*DROPPED, ABOVE),
        ],
        "authorization.fee_waived",
        "authorization.found",
    )
    assert (it.due_minor, it.uncollected_minor, debt_of(desk, it).unheld_due_minor) == (200, 0, 0)


def test_r17_no_more_is_waived_than_the_whole_fee(desk: Desk) -> None:
    """R5, R17: at most the captured part and what is left of the debt are waived, in parts too."""
    it = settled(desk)
    error = refused(desk, acts.waive(it, FEE + 1))
    assert isinstance(error, InvalidInput)
    assert "at most 950" in error.violations[0].description
    for part_minor in (500, 150, 299):
        it = waived(desk, it, part_minor)
    assert isinstance(refused(desk, acts.waive(it, 2)), InvalidInput)
    it = waived(desk, it)
    assert (it.due_minor, it.conceded_minor, debt_of(desk, it).unheld_due_minor) == (0, HELD, 0)


@pytest.mark.parametrize("amount_minor", [None, FEE])
def test_r17_a_fee_without_a_hold_is_waived(desk: Desk, amount_minor: int | None) -> None:
    """R5, R17: the whole fee of a late pick-up without a hold is a debt. It can be waived too, and
    then nothing is left to waive."""
    it = waived(desk, settled(desk, 0), amount_minor)
    assert (it.uncollected_minor, debt_of(desk, it).unheld_due_minor) == (0, 0)
    for again in (None, 1):
        error = refused(desk, acts.waive(it, again))
        assert isinstance(error, IllegalState)
        assert error.reason == "NOTHING_TO_WAIVE"


def test_r17_a_paid_part_of_the_debt_is_owed_back(desk: Desk) -> None:
    """R9, R17: if the debt of 650 was paid, a waiver of 200 is owed back: operator_payable 194,
    fee_income 6 / refund_payable 200."""
    it = settled(desk)
    rental(desk, pay(debt_of(desk, it), ABOVE), caller=PLATFORM)
    books = Books(desk)
    it = waived(desk, it, 200)
    books.expect(
        [
            ("money", "operator_payable / refund_payable", 194),
            ("money", "fee_income / refund_payable", 6),
        ],
        "authorization.fee_waived",
        "authorization.found",
    )
    assert debt_of(desk, it).refund_payable_minor == 200
    assert waived(desk, it, ABOVE - 200).due_minor == HELD


def test_r17_an_amount_lowered_before_is_not_waived_again(desk: Desk) -> None:
    """R9, R17: of a debt of 650 that was lowered by 600, only 50 are above the hold."""
    it = settled(desk)
    rental(desk, acts.lower(debt_of(desk, it), 600))
    it = waived(desk, it, 80)
    assert (debt_of(desk, it).unheld_due_minor, it.due_minor) == (0, HELD - 30)


def test_r17_a_waiver_counts_at_an_earlier_return_too(desk: Desk) -> None:
    """R3, R17: after a waiver of 200, a return an hour earlier costs 550 - 200: 300 of this are
    from the hold, and the debt is lowered to 50."""
    it = waived(desk, settled(desk), 200)
    it = rental(desk, acts.found(it, TAKEN_US + HOUR_US))
    assert (it.due_minor, it.uncollected_minor, debt_of(desk, it).unheld_due_minor) == (300, 50, 50)


def test_r17_a_waiver_before_the_return_leaves_the_rest(desk: Desk) -> None:
    """R5, R17: a waiver of 200 before the return lowers the fee to 750: 300 of the hold, and a debt
    of 450."""
    it = unheld(desk, HELD)
    desk.clock.advance(BACK_US)
    answer = desk.do(acts.waive(it, 200))
    assert isinstance(answer, Attestation)
    assert (answer.row.amount_minor, answer.row.pending_minor) == (200, 200)
    it = rental(desk, acts.settle_usage(answer.authorization))
    assert (it.captured_minor, debt_of(desk, it).unheld_due_minor) == (HELD, 450)
    it = waived(desk, it, 100)
    assert debt_of(desk, it).unheld_due_minor == 350


def test_r17_a_waiver_after_an_unswept_end_lowers_the_rest(desk: Desk) -> None:
    """R5, R6, R17: a fee has reached the day's cap of 3,000, and no timer has run yet. A waiver of
    150 then leaves a debt of 2,850."""
    it = lost(desk)
    desk.put_users(dan=800)
    rental(desk, pick_up("dan", "umbrella", ITEM))
    desk.clock.advance(stored(desk, it).claim_until_us or 0)
    it = waived(desk, it, 150)
    assert (it.uncollected_minor, debt_of(desk, it).unheld_due_minor) == (2_850, 2_850)


def test_r17_a_waiver_of_the_debt_that_is_told_as_pending_is_found(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R17: after the return nothing waits for a later capture. If a build tells the waived part of
    the debt as pending, the verifier finds that."""
    desk, waive = Desk(store), waivers.waive
    desk.put_users(ann=700)

    def wrong(*given: Any) -> tuple[Step, Waiver]:
        step, waiver = waive(*given)
        return step, waiver._replace(pending_minor=waiver.amount_minor)

    monkeypatch.setattr(waivers, "waive", wrong)
    it = rental(desk, acts.waive(settled(desk), 200))
    fault = verify_books(desk.store.engine).fault
    assert fault is not None
    assert (fault.rule, fault.detail) == ("ATTESTATION", "the corrections differ")
    assert it.authorization_id in fault.row
