"""Part 3: money that arrived with a wrong id is matched to its real purpose, and is never lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Standing
from service.domain.suspense import Direction
from service.engine import operations as c
from tests.engine import acts
from tests.engine.acts import Books, group, members, pay_out, woken
from tests.engine.calls import authorize, confirm, pay, refused, rental, reverse, settle, stored
from tests.fakes import START_US, Desk
from tests.operations.test_charge_backs import match, unmatched

OWED_BACK = "authorization.payment_owed_back"


def offered(desk: Desk) -> Authorization:
    """An offer of a power bank for a deposit of 9,900 in cash."""
    it = rental(desk, authorize("cem", "power-bank"))
    assert (it.state, it.cash_minor, it.credit_minor) == (State.OFFERED, 9_900, 0)
    return it


def matched(desk: Desk, amount_minor: int, it: Authorization) -> Authorization:
    """The authorization after two keys matched an amount to it."""
    desk.do(match(amount_minor, it, by="key-1"), caller=PLATFORM)
    assert stored(desk, it).received_minor == it.received_minor
    desk.do(match(amount_minor, it, by="key-2"), caller=PLATFORM)
    return stored(desk, it)


def test_a_match_is_the_deposit_of_an_offer(desk: Desk) -> None:
    """Part 3: 10,000 arrived with a wrong id, and are matched to an offer for 9,900. Its deposit is
    paid (suspense / deposit 9,900), 100 are owed back, and the rental begins."""
    it = offered(desk)
    desk.do(unmatched(10_000), caller=PLATFORM)
    desk.do(match(10_000, it), caller=PLATFORM)
    books = Books(desk)
    desk.do(match(10_000, it, by="key-2"), caller=PLATFORM)
    rows = [("suspense / deposit", 9_900), ("suspense / refund_payable", 100)]
    books.expect([("money", *row) for row in rows], "authorization.active")
    after = stored(desk, it)
    assert (after.state, after.held_cash_minor, after.refund_payable_minor) == (
        State.ACTIVE, 9_900, 100,
    )  # fmt: skip
    assert after.received_minor == 10_000
    assert verify_books(desk.store.engine).fault is None


ADVICE = "the platform records it with RecordUnmatched, and MatchSuspense brings it to the user"
END_US = START_US + 2 * acts.HOUR_US
Paying = Callable[[Authorization], c.Command]


def ended(desk: Desk) -> Authorization:
    """A power bank that was settled for 600, a second before END_US."""
    it = rental(desk, authorize("ann", "power-bank"))
    desk.clock.advance(END_US - 1_000_000)
    it = rental(desk, settle(it, 600))
    desk.clock.advance(END_US)
    return it


def reversed_one(desk: Desk) -> Authorization:
    """A power bank that was reversed at once; nothing was ever due."""
    return rental(desk, reverse(rental(desk, authorize("ann", "power-bank"))))


def without_deposit(desk: Desk) -> Authorization:
    """A rental that began under an offer of no cash."""
    return rental(desk, authorize("ann", "power-bank"))


REFUSED: dict[str, tuple[Callable[[Desk], Authorization], Paying, int]] = {
    "an increment a second after the end": (ended, lambda it: acts.increment(it, 900, 900), 300),
    "a confirmation without an offer of cash": (without_deposit, lambda it: confirm(it, 900), 900),
    "a payment for a reversed rental": (reversed_one, lambda it: pay(it, 900), 900),
}
"""Each with the part of 900 that is owed back; the rest pays what was due."""


@pytest.mark.parametrize("name", REFUSED)
def test_money_of_a_refused_payment_is_recorded_and_matched(desk: Desk, name: str) -> None:
    """Part 6, A13: 900 have arrived for a call that the state does not allow. The refusal posts
    nothing, does not use the reference up, and says how to record the money. Recorded in that way,
    the money pays the 600 that are due, or is owed back."""
    begin, paying, owed_minor = REFUSED[name]
    it = begin(desk)
    command, books = paying(it), Books(desk)
    error = refused(desk, command)
    assert error.reason == "ILLEGAL_TRANSITION"
    assert ADVICE in error.message
    books.news()
    reference = command.payment_reference
    desk.do(c.RecordUnmatched(Direction.IN, acts.money(900), reference), caller=PLATFORM)
    for by in ("key-1", "key-2"):
        desk.do(match(900, it, by=by, reference=reference), caller=PLATFORM)
    after = stored(desk, it)
    assert (after.received_minor - it.received_minor, after.refund_payable_minor) == (
        900,
        owed_minor,
    )
    assert (after.paid_minor, after.due_minor) == (900 - owed_minor, 0)
    assert verify_books(desk.store.engine).fault is None


def test_a_suspended_users_paid_increment_says_how_its_money_is_recorded(desk: Desk) -> None:
    """Part 6: a refusal because of the user's standing also says how to record the money. The
    refusal of an increment without a payment does not, and neither does a refusal for wrong input
    or for a used reference."""
    it = without_deposit(desk)
    wrong = refused(desk, acts.increment(it, 0, 900))
    assert isinstance(wrong, InvalidInput)
    assert ADVICE not in wrong.message
    desk.do(unmatched(900), caller=PLATFORM)
    used = refused(desk, pay(it, 900, reference="odd-1"), caller=PLATFORM)
    assert (used.reason, ADVICE in used.message) == ("PAYMENT_REFERENCE_USED", False)
    desk.do(c.SetStanding("ann", Standing.SUSPENDED), caller=PLATFORM)
    for paid_minor in (None, 900):
        error = refused(desk, acts.increment(it, 900, paid_minor))
        assert error.reason == "USER_SUSPENDED"
        assert (ADVICE in error.message) is (paid_minor is not None)


def test_a_match_below_the_deposit_is_refused(desk: Desk) -> None:
    """Part 3: a match of 9,899 to an offer for 9,900 is refused at its proposal, like a
    confirmation of 9,899. The money stays in suspense."""
    it = offered(desk)
    desk.do(unmatched(9_900), caller=PLATFORM)
    error = refused(desk, match(9_899, it), caller=PLATFORM)
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "paid.too_little"
    assert stored(desk, it).state is State.OFFERED
    assert matched(desk, 9_900, it).state is State.ACTIVE


def test_a_match_pays_for_a_whole_group(desk: Desk) -> None:
    """Part 3: one match is the deposit of all offers of a group, and is recorded at one."""
    got = members(desk, group("cem", ("power-bank", "p1"), ("umbrella", "u1")))
    cash_minor = sum(it.cash_minor for it in got)
    desk.do(unmatched(cash_minor), caller=PLATFORM)
    assert refused(desk, match(cash_minor - 1, got[1]), caller=PLATFORM).reason == "INVALID_INPUT"
    matched(desk, cash_minor, got[1])
    after = [stored(desk, it) for it in got]
    assert [it.held_cash_minor for it in after] == [it.cash_minor for it in got]
    assert {it.state for it in after} == {State.ACTIVE}
    assert verify_books(desk.store.engine).fault is None


def test_a_match_to_an_offer_that_cannot_be_held_is_owed_back(desk: Desk) -> None:
    """Part 3: the person was suspended after the offer; the match declines it, and 9,900 are owed
    back."""
    it = offered(desk)
    desk.do(unmatched(9_900), caller=PLATFORM)
    desk.do(c.SetStanding("cem", Standing.SUSPENDED), caller=PLATFORM)
    after = matched(desk, 9_900, it)
    assert (after.state, after.refund_payable_minor) == (State.DECLINED, 9_900)
    assert verify_books(desk.store.engine).fault is None


@pytest.mark.parametrize("state", ["EXPIRED", "REVERSED", "ACTIVE", "SETTLED", "FREE"])
def test_a_match_to_no_debt_is_owed_back(desk: Desk, state: str) -> None:
    """Part 3: money is owed back to the person (suspense / refund_payable 700) if it arrived for an
    offer that expired, or for a rental with nothing due: it was reversed, it still runs, its
    deposit paid for it, or it had no fee."""
    it = rental(desk, authorize()) if state in ("REVERSED", "FREE") else offered(desk)
    if state == "EXPIRED":
        it = woken(desk, it, it.expire_us or 0)
    elif state == "REVERSED":
        it = rental(desk, reverse(it))
    elif state == "FREE":
        it = rental(desk, settle(it, 0))
    else:
        it = rental(desk, confirm(it, reference="deposit-1"))
    if state == "SETTLED":
        it = rental(desk, settle(it, 9_900))
    owed_minor = it.refund_payable_minor
    desk.do(unmatched(700), caller=PLATFORM)
    desk.do(match(700, it), caller=PLATFORM)
    books = Books(desk)
    desk.do(match(700, it, by="key-2"), caller=PLATFORM)
    books.expect([("money", "suspense / refund_payable", 700)], OWED_BACK)
    after = stored(desk, it)
    assert (after.state, after.refund_payable_minor) == (it.state, owed_minor + 700)
    out = rental(desk, pay_out(after, 700), caller=PLATFORM)
    assert [one.amount_minor for one in acts.transfers(desk, out)][-1] == 700
    assert verify_books(desk.store.engine).fault is None


def test_a_proposed_deposit_that_comes_too_late_is_owed_back(desk: Desk) -> None:
    """Part 3: the first key matched 9,900 to an offer, and the second key approves this after the
    end of the offer. The amount is owed back, because the state at the approval counts."""
    it = offered(desk)
    desk.do(unmatched(9_900), caller=PLATFORM)
    desk.do(match(9_900, it), caller=PLATFORM)
    it = woken(desk, it, it.expire_us or 0)
    desk.do(match(9_900, it, by="key-2"), caller=PLATFORM)
    after = stored(desk, it)
    assert (after.state, after.refund_payable_minor) == (State.EXPIRED, 9_900)
    assert verify_books(desk.store.engine).fault is None


def test_a_match_waits_for_a_review(desk: Desk) -> None:
    """Part 3: an authorization in review asked for nothing yet, so a match to it is refused, and
    the money stays in suspense."""
    desk.do(c.SetStanding("cem", Standing.WATCHED), caller=PLATFORM)
    it = rental(desk, authorize("cem", "power-bank"))
    assert it.state is State.REVIEW
    desk.do(unmatched(9_900), caller=PLATFORM)
    error = refused(desk, match(9_900, it), caller=PLATFORM)
    assert isinstance(error, IllegalState)
    assert str(error) == "MatchSuspense is not allowed in state REVIEW"
