"""R22: what is owed back to a person goes out by itself, after the policy's time."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection, TransferKind
from service.domain.refunds import PAUSES_US
from service.engine import operations as c
from service.engine.records.transfers import TransferState
from service.rpc.convert import encode_authorization
from service.storage import schema as t
from service.storage.database import writing
from tests.engine.acts import (
    DAY_US,
    HOUR_US,
    Books,
    change_terms,
    charge_back,
    decide_charge_back,
    name,
    pay_out,
    refund,
    told,
    transfers,
    wake,
    woken,
)
from tests.engine.calls import authorize, confirm, pay, reason, rental, reverse, settle, stored
from tests.fakes import START_US, Desk

DEPOSIT = 9_950
OUT = [("money", "refund_payable / cash", DEPOSIT)]
AGAIN = [("money", "cash / refund_payable", DEPOSIT)]
BY_TIME = "collection.paid_out_by_time"


def released(desk: Desk, user_id: str = "ben") -> Authorization:
    """A bike's deposit of 9,950, paid in cash and owed back since the reversal."""
    desk.put_user(user_id, 550)
    held = rental(desk, confirm(rental(desk, authorize(user_id)), reference=f"pay-{user_id}"))
    it = rental(desk, reverse(held))
    assert (it.refund_payable_minor, it.collection) == (DEPOSIT, Collection.REFUND_PENDING)
    return it


def say(desk: Desk, it: Authorization, state: TransferState) -> Authorization:
    """The authorization after the rail's report on its newest transfer."""
    desk.do(told(transfers(desk, it)[-1], state), caller=PLATFORM)
    return stored(desk, it)


def set_row(desk: Desk, it: Authorization, **values: int | None) -> None:
    """Changes columns of the authorization's row by hand."""
    a = t.authorizations
    mine = a.c.user_id == it.user_id, a.c.authorization_id == it.authorization_id
    with writing(desk.store.engine) as connection:
        connection.execute(update(a).where(*mine).values(**values))


def verify(desk: Desk) -> str:
    """The rule that the books break, or nothing."""
    fault = verify_books(desk.store.engine).fault
    return "" if fault is None else fault.rule


def test_r22_a_deposit_goes_out_by_itself_a_day_after_its_release(desk: Desk) -> None:
    """R22: a deposit of 9,950 that was released goes out after the policy's 24 hours, to the
    microsecond, as one payout dated at that instant."""
    it, books = released(desk), Books(desk)
    assert (it.refund_after_us, it.refund_since_us) == (DAY_US, START_US)
    it = books.wake(it, START_US + DAY_US, OUT, BY_TIME)
    (payout,) = transfers(desk, it)
    assert (payout.kind, payout.amount_minor, payout.state) == (
        TransferKind.PAYOUT, DEPOSIT, TransferState.REQUESTED,
    )  # fmt: skip
    assert (it.refund_payable_minor, it.paid_out_minor, it.wake_us) == (0, DEPOSIT, None)
    assert verify(desk) == ""


def test_r22_a_late_timer_dates_the_payout_when_it_was_due(desk: Desk) -> None:
    """R22: if nobody looks for three days, the payout is dated 24 hours after the release."""
    it, books = released(desk), Books(desk)
    woken(desk, it, START_US + 3 * DAY_US)
    happened = books.expect(OUT, BY_TIME)
    assert happened.events == [(BY_TIME, START_US + DAY_US)]
    assert happened.ledger == {(BY_TIME, START_US + DAY_US, START_US + 3 * DAY_US)}


def test_r22_at_once_means_the_same_instant(desk: Desk) -> None:
    """R22: under a policy of 0 hours the payout is due at the instant of the release."""
    change_terms(desk, t.policies, "bike", refund_after_us=0)
    it, books = released(desk), Books(desk)
    assert it.wake_us == START_US
    it = woken(desk, it, START_US + 1)
    assert books.expect(OUT, BY_TIME).events == [(BY_TIME, START_US)]
    assert verify(desk) == ""


def test_r22_a_hold_that_lapses_sends_its_deposit_back_by_itself(desk: Desk) -> None:
    """R22: one visit of the timers ends a damage charge and pays its deposit out, each dated when
    it was due."""
    change_terms(desk, t.policies, "bike", refund_after_us=0)
    desk.put_user("ben", 550)
    rented = rental(desk, confirm(rental(desk, authorize("ben")), reference="d-1"))
    closed = rental(desk, settle(rented, 0))
    charge = c.Authorize("ben", closed_items(), closed.start, (), parent_id=closed.authorization_id)
    held = rental(desk, confirm(rental(desk, charge), reference="d-2"))
    books, lapse_us = Books(desk), held.expire_us or 0
    it = woken(desk, held, lapse_us + HOUR_US)
    names = [event for event, _ in books.news().events]
    assert names == ["authorization.expired", BY_TIME]
    assert (it.refund_payable_minor, it.paid_out_minor) == (0, DEPOSIT)


def closed_items() -> tuple[c.Item, ...]:
    """One bike."""
    return (c.Item("bike", ""),)


def test_r22_without_a_time_a_refund_waits_for_a_call(desk: Desk) -> None:
    """R22: authorizations of an earlier build have no time for refunds: their refund waits for
    PayOutRefund, even after a failure."""
    it = released(desk)
    set_row(desk, it, refund_after_us=None, refund_since_us=None, wake_us=None)
    assert verify(desk) == ""
    desk.clock.advance(START_US + 30 * DAY_US)
    (idle,) = desk.apply(desk.work(wake(it), caller="", request_id=""))
    assert reason(idle) == "NOTHING_TO_DO"
    it = rental(desk, pay_out(it, DEPOSIT), caller=PLATFORM)
    it = say(desk, it, TransferState.FAILED)
    assert (it.refund_payable_minor, it.wake_us) == (DEPOSIT, None)
    assert verify(desk) == ""


def test_r22_a_failed_payout_is_tried_again_four_times_and_then_waits(desk: Desk) -> None:
    """R22: a failed payout goes out again after 1 hour, 1 day, 3 and 7 days, counted from the
    rail's report. Then it waits for a call, and after the call the pauses begin anew."""
    it, books = released(desk), Books(desk)
    it = books.wake(it, START_US + DAY_US, OUT, BY_TIME)
    for tries, pause_us in enumerate((HOUR_US, DAY_US, 3 * DAY_US, 7 * DAY_US), 1):
        desk.clock.advance(desk.clock.now_us() + 5)
        it = say(desk, it, TransferState.FAILED)
        books.expect(AGAIN, "collection.payout_failed")
        assert (it.refund_tries, it.wake_us) == (tries, desk.clock.now_us() + pause_us)
        assert verify(desk) == ""
        it = books.wake(it, desk.clock.now_us() + pause_us, OUT, BY_TIME)
    it = say(desk, it, TransferState.FAILED)
    assert (it.refund_tries, it.refund_payable_minor, it.wake_us) == (5, DEPOSIT, None)
    assert len(transfers(desk, it)) == len(PAUSES_US) + 1
    it = rental(desk, pay_out(it, DEPOSIT), caller=PLATFORM)
    it = say(desk, it, TransferState.FAILED)
    assert (it.refund_tries, it.wake_us) == (1, desk.clock.now_us() + HOUR_US)
    assert verify(desk) == ""


def test_r22_a_payout_that_came_back_is_tried_again(desk: Desk) -> None:
    """R22: a payout that returns after it had succeeded goes out again after an hour."""
    it = woken(desk, released(desk), START_US + DAY_US)
    say(desk, it, TransferState.SUCCEEDED)
    it = say(desk, it, TransferState.RETURNED)
    assert it.wake_us == START_US + DAY_US + HOUR_US


def test_r22_what_a_bank_took_back_waits_for_the_decision(desk: Desk) -> None:
    """R22: of 9,950 owed back, a bank took back 4,000. The other 5,950 go out by time. The 4,000 go
    out after the charge-back is overturned and the policy's time has passed again."""
    it, books = released(desk), Books(desk)
    it = rental(desk, charge_back(it, 4_000, "b-1"), caller=PLATFORM)
    books.news()
    rest = [("money", "refund_payable / cash", 5_950)]
    it = books.wake(it, START_US + DAY_US, rest, BY_TIME)
    assert (it.payable_out_minor, it.refund_since_us, it.wake_us) == (0, None, None)
    desk.clock.advance(START_US + 10 * DAY_US)
    it = rental(desk, decide_charge_back(it, user_won=False), caller=PLATFORM)
    books.news()
    taken = [("money", "refund_payable / cash", 4_000)]
    it = books.wake(it, START_US + 11 * DAY_US, taken, BY_TIME)
    assert (it.refund_payable_minor, it.paid_out_minor) == (0, DEPOSIT)
    assert verify(desk) == ""


def owing_both(desk: Desk) -> Authorization:
    """A rental of which 400 are due, and 500 that were paid are owed back."""
    desk.put_user("ann", 700)
    it = rental(desk, settle(rental(desk, authorize()), 900))
    rental(desk, pay(it, 500, reference="p-1"), caller=PLATFORM)
    it = rental(desk, refund(it, 500))
    assert (it.due_minor, it.refund_payable_minor) == (400, 500)
    return it


def test_r22_a_refund_pays_what_is_due_first(desk: Desk) -> None:
    """R22: 500 are owed back while 400 of the same rental are due. Then 400 are set off and 100 go
    out, and no debit is requested any more."""
    change_terms(desk, t.policies, "bike", refund_after_us=HOUR_US // 2)
    it, books = owing_both(desk), Books(desk)
    rows = [
        ("money", "refund_payable / receivable", 400),
        ("line", "available / drawn", 400),
        ("money", "refund_payable / cash", 100),
    ]
    it = books.wake(it, START_US + HOUR_US // 2, rows, "collection.set_off", BY_TIME)
    assert (it.due_minor, it.paid_minor, it.paid_out_minor, it.wake_us) == (0, 900, 100, None)
    assert [transfer.kind for transfer in transfers(desk, it)] == [TransferKind.PAYOUT]
    assert verify(desk) == ""


def test_r22_a_refund_awaits_a_debit_under_way(desk: Desk) -> None:
    """R22: 400 are due and 500 are owed back. While the rail has not answered a debit of the 400,
    nothing goes out. If the debit succeeds, all 500 go out. If it fails, 400 of the 500 are set
    off."""
    it = woken(desk, owing_both(desk), START_US + HOUR_US)
    assert (it.debiting_minor, it.wake_us) == (400, START_US + DAY_US)
    assert verify(desk) == ""
    it = woken(desk, it, START_US + DAY_US)
    assert (it.paid_out_minor, verify(desk)) == (0, "")
    desk.clock.advance(START_US + DAY_US + HOUR_US)
    failed = say(desk, it, TransferState.FAILED)
    after = woken(desk, failed, desk.clock.now_us() + 1)
    assert (after.due_minor, after.paid_out_minor) == (0, 100)
    assert verify(desk) == ""


def test_r22_after_the_debit_the_whole_refund_goes_out(desk: Desk) -> None:
    """R22: a debit of 400 that succeeded leaves nothing to set off: 500 go out."""
    it = woken(desk, owing_both(desk), START_US + HOUR_US)
    paid = say(desk, it, TransferState.SUCCEEDED)
    after = woken(desk, paid, START_US + DAY_US)
    assert (after.due_minor, after.paid_out_minor, after.refund_payable_minor) == (0, 500, 0)
    assert verify(desk) == ""


def test_r22_a_call_comes_before_the_time(desk: Desk) -> None:
    """R22: PayOutRefund pays out at once, a part too; the rest goes out at the policy's time."""
    it = rental(desk, pay_out(released(desk), 950), caller=PLATFORM)
    it = woken(desk, it, START_US + DAY_US)
    assert [payout.amount_minor for payout in transfers(desk, it)] == [950, 9_000]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("wake_us", START_US + DAY_US + 1),
        ("refund_since_us", START_US + 1),
        ("refund_after_us", DAY_US + 1),
        ("refund_tries", 1),
        ("refund_tries", -1),
    ],
)
def test_r22_the_books_find_a_changed_time(desk: Desk, column: str, value: int) -> None:
    """R22: a change of a refund's times or tries by SQL is found."""
    it = released(desk)
    set_row(desk, it, **{column: value})
    assert verify(desk) in ("WAKE_STORED", "STATE_AND_AMOUNTS")
    set_row(desk, it, **{column: getattr(it, column)})


def test_r22_a_step_of_an_earlier_build_verifies(desk: Desk) -> None:
    """R22: a server of an earlier build that still runs stores a row without the refund's timer:
    the row verifies, and the next step sends the money."""
    it = released(desk)
    set_row(desk, it, wake_us=None)
    assert verify(desk) == ""
    desk.clock.advance(START_US + DAY_US)
    desk.apply(desk.work(wake(it), caller="", request_id=""))
    assert stored(desk, it).paid_out_minor == DEPOSIT


def test_r22_callers_see_when_a_refund_goes_out(desk: Desk) -> None:
    """R22: the authorization shows the time at which its refund goes out by time, and no time if
    the refund waits for a call."""
    from freehold.v1.authorization_pb2 import Authorization as Message

    it = released(desk)
    shown = Message.FromString(encode_authorization(it))
    assert shown.refund_time.ToMicroseconds() == START_US + DAY_US
    by_call = Message.FromString(encode_authorization(it._replace(refund_after_us=None)))
    assert not by_call.HasField("refund_time")
    assert name(it) == tuple(shown.name.split("/")[1::2])


def test_r22_a_due_refund_ends_no_hold(desk: Desk) -> None:
    """R22: a call is refused because its item is in use. The rental that has the item does not
    change, although a refund of its overpaid deposit is due."""
    change_terms(desk, t.policies, "bike", refund_after_us=0)
    desk.put_users(ann=700, ben=550)
    offer = rental(desk, authorize("ben", asset_id="x-1"))
    holder = rental(desk, confirm(offer, DEPOSIT + 50))
    assert holder.wake_us == START_US
    (declined,) = desk.apply(desk.work(authorize("ann", asset_id="x-1")))
    assert reason(declined) == "ASSET_IN_USE"
    assert stored(desk, holder).version == holder.version
