"""R5: an item was picked up within its reservation, and this is told after the expiry."""

from __future__ import annotations

import pytest

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody, Start, State, TransferKind
from service.domain.cases import Case, CaseKind, Outcome
from service.domain.errors import IllegalState, InvalidInput, InvariantBroken
from service.domain.ledger import Standing
from service.domain.money import Money
from service.engine import late_pickups
from service.engine import operations as c
from service.engine.calls import LateStart
from service.engine.records.transfers import TransferState
from service.engine.rows import Rows, Wish
from service.engine.tables import CASES, LATE_PICKUPS, OPEN_ITEMS
from service.storage import schema as t
from tests.engine import acts
from tests.engine.acts import DAY_US, HOUR_US, MINUTE_US, Books, change_terms, picked_up, woken
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    counts,
    line,
    pick_up,
    refused,
    rental,
    reverse,
    settle,
    start,
    stored,
)
from tests.fakes import OTHER_OPERATOR, START_US, Desk
from tests.rows import read

ITEM = "bike-7"
TAKEN_US = START_US + 29 * MINUTE_US
"""The pick-up, a minute before the reservation ends."""
END_US = START_US + 30 * MINUTE_US
HOLD = 19_900


def reserved(desk: Desk, user_id: str = "ann", asset_id: str = ITEM) -> Authorization:
    """A bike that is held for a pick-up until END_US."""
    it = rental(desk, pick_up(user_id, "bike", asset_id))
    assert (it.state, it.expire_us) == (State.AUTHORIZED, END_US)
    return it


def expired(desk: Desk, user_id: str = "ann", asset_id: str = ITEM) -> Authorization:
    """A reservation after its end."""
    it = woken(desk, reserved(desk, user_id, asset_id), END_US)
    assert it.state is State.EXPIRED
    return it


def questions(desk: Desk, it: Authorization) -> list[Case]:
    """The cases of an authorization."""
    rows = Rows()
    with desk.store.begin() as transaction:
        transaction.read(rows, [Wish(CASES, ("user_id", "authorization_id"), {acts.name(it)})])
    return list(rows[CASES].values())


def late(desk: Desk, it: Authorization, occurred_us: int = TAKEN_US) -> Authorization:
    """The rental that begins late."""
    return rental(desk, picked_up(it, occurred_us))


@pytest.mark.parametrize("swept", [True, False])
def test_r5_a_pick_up_reported_after_the_expiry_begins_a_rental(desk: Desk, swept: bool) -> None:
    """R5: an item is picked up at 08:29, and this is reported at 08:30. The reservation stays
    EXPIRED, and a new ACTIVE authorization cites it. The new one has the same terms and decision,
    and starts at 08:29. held h / avail h."""
    before = reserved(desk)
    books = Books(desk)
    if swept:
        before = woken(desk, before, END_US)
        books.expect([("line", "available / held", HOLD)], "authorization.expired")
    else:
        desk.clock.advance(END_US)
    answer = desk.do(picked_up(before, TAKEN_US))
    ended = [] if swept else [("line", "available / held", HOLD)]
    books.expect(
        [*ended, ("line", "held / available", HOLD)],
        *([] if swept else ["authorization.expired"]),
        "authorization.late_picked_up",
    )
    assert isinstance(answer, LateStart)
    it, cited = answer.authorization, stored(desk, before)
    assert answer.reservation == before.name
    assert (cited.state, cited.close_us) == (State.EXPIRED, END_US)
    assert it.authorization_id != before.authorization_id
    assert (it.state, it.custody, it.start) == (State.ACTIVE, Custody.OUT, Start.LATE_PICKUP)
    assert (it.start_us, it.create_us) == (TAKEN_US, END_US)
    assert it.due_us == TAKEN_US + DAY_US
    same = ("product_id", "product_revision", "policy_revision", "decision_id", "fee_bp", "offer")
    assert [getattr(it, name) for name in same] == [getattr(before, name) for name in same]
    assert (it.held_credit_minor, it.held_cash_minor, it.asset_id) == (HOLD, 0, ITEM)
    assert counts(desk)["decisions"] == 1
    told = desk.store.told(*acts.name(it))
    assert told is not None
    assert told.reservation == before.name


def test_r5_the_fee_counts_from_the_pick_up(desk: Desk) -> None:
    """R5: the rental of a late pick-up is settled by the tariff from the pick-up on."""
    it = late(desk, expired(desk))
    desk.clock.advance(TAKEN_US + 2 * HOUR_US)
    it = rental(desk, acts.settle_usage(it))
    assert (it.state, it.captured_minor) == (State.SETTLED, 150 + 8 * 100)


def test_r5_a_late_pick_up_happens_once(desk: Desk) -> None:
    """R5: the same request id gets the stored answer. Another request id gets the present state of
    the same authorization, and nothing is posted."""
    it, books = expired(desk), Books(desk)
    first = desk.do(picked_up(it, TAKEN_US), request_id="told-1")
    again = desk.apply(desk.work(picked_up(it, TAKEN_US), request_id="told-1"))
    assert again == [repr(first).encode()]
    books.news()
    assert desk.do(picked_up(it, TAKEN_US - 1), request_id="told-2") == first
    books.expect([])
    assert isinstance(first, LateStart)
    settled = rental(desk, acts.capture(first.authorization, 350, final=True))
    third = desk.do(picked_up(it, TAKEN_US), request_id="told-3")
    assert third == LateStart(settled, it.name)
    assert counts(desk)["late_pickups"] == 1
    error = refused(desk, picked_up(it, TAKEN_US, "bike-8"))
    assert isinstance(error, InvalidInput)


def test_r5_two_reports_in_one_batch_begin_one_rental(desk: Desk) -> None:
    """R5: two reports of one late pick-up in the same batch get one rental."""
    it = expired(desk)
    desk.apply(
        *(desk.work(picked_up(it, TAKEN_US), request_id=f"told-{number}") for number in (1, 2))
    )
    assert desk.answers["told-1"] == desk.answers["told-2"]
    assert counts(desk)["authorizations"] == 2


def test_r5_a_claim_on_a_late_pick_up_ends_in_a_batch_that_reports_it_again(desk: Desk) -> None:
    """R5, R18: a claimed return of a late pick-up is accepted by time, and its case is closed. That
    holds even if another call of the same batch reports the pick-up again."""
    it = expired(desk)
    claimed = rental(desk, acts.claim_return(late(desk, it)))
    assert claimed.claim_until_us is not None
    desk.clock.advance(claimed.claim_until_us)
    desk.apply(
        desk.work(picked_up(it, TAKEN_US), request_id="again"),
        desk.work(authorize(asset_id=ITEM), request_id="next"),
    )
    assert stored(desk, claimed).state is State.SETTLED
    assert [case.outcome for case in questions(desk, claimed)] == [Outcome.FOR_USER]


@pytest.mark.parametrize(("days", "custody"), [(10, Custody.MISSING), (100, Custody.SOLD)])
def test_r5_a_late_pick_up_is_lost_in_a_batch_that_reports_it_again(
    desk: Desk, days: int, custody: Custody
) -> None:
    """R5, R13: the item of a late pick-up that time has lost is missing or sold, even if the batch
    reports the pick-up again without the item, and another call only needs the line."""
    it = expired(desk, asset_id="")
    begun = rental(desk, picked_up(it, TAKEN_US, ITEM))
    desk.do(c.SetLimit("ann", Money("CNY", HOLD)), caller=PLATFORM)
    desk.clock.advance(START_US + days * DAY_US)
    desk.apply(
        desk.work(picked_up(it, TAKEN_US), request_id="again"),
        desk.work(authorize(asset_id="b-2"), request_id="next"),
    )
    assert stored(desk, begun).custody is custody
    with desk.store.begin() as transaction:
        (item,) = read(transaction, OPEN_ITEMS, {(begun.operator_id, ITEM)}).values()
    assert (item.authorization_id, str(item.kind)) == (begun.authorization_id, str(custody))
    found = verify_books(desk.store.engine)
    assert found.fault is None, found.fault


def test_r5_a_rental_does_not_end_before_its_item_was_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R5: if a defect leaves an item unread, its rental does not end; the defect is reported, and a
    call that needs the line asks for a cash deposit."""
    it = expired(desk, asset_id="")
    begun = rental(desk, picked_up(it, TAKEN_US, ITEM))
    desk.do(c.SetLimit("ann", Money("CNY", HOLD)), caller=PLATFORM)
    desk.clock.advance(START_US + 10 * DAY_US)
    monkeypatch.setattr(late_pickups, "read_timed", lambda rows, found, transaction: None)
    desk.apply(
        desk.work(picked_up(it, TAKEN_US), request_id="again"),
        desk.work(authorize(asset_id="b-2"), request_id="next"),
    )
    (error,) = desk.faults
    assert isinstance(error, InvariantBroken)
    assert stored(desk, begun) == begun
    other = rental(desk, authorize(asset_id="b-2"), request_id="next")
    assert other.state is State.OFFERED
    assert verify_books(desk.store.engine).fault is None
    desk.faults.clear()


def test_r5_two_reports_in_one_batch_may_name_two_items(desk: Desk) -> None:
    """R5: if two reports in the same batch name two items, the first report counts, even if both
    items were promised to somebody else."""
    desk.put_users(dan=800)
    it = expired(desk, asset_id="")
    taken, kept = (rental(desk, pick_up("dan", "umbrella", each)) for each in ("u-1", "u-2"))
    desk.apply(*(desk.work(picked_up(it, TAKEN_US, each)) for each in ("u-1", "u-2", "")))
    assert stored(desk, taken).state is State.REVERSED
    assert stored(desk, kept).state is State.AUTHORIZED
    assert counts(desk)["late_pickups"] == 1


@pytest.mark.parametrize("occurred_us", [None, END_US, END_US + 1, END_US + HOUR_US])
def test_r5_a_pick_up_after_the_expiry_is_refused(desk: Desk, occurred_us: int | None) -> None:
    """R5: a pick-up without a time, or at or after the expiry, is refused as before."""
    it = expired(desk)
    desk.clock.advance(END_US + 2 * MINUTE_US)
    error = refused(desk, picked_up(it, occurred_us))
    assert isinstance(error, IllegalState)
    assert error.reason == "ILLEGAL_TRANSITION"
    assert counts(desk)["authorizations"] == 1


def test_r5_the_last_microsecond_of_a_reservation_is_in_time(desk: Desk) -> None:
    """R5: a pick-up one microsecond before the expiry begins a rental."""
    it = late(desk, expired(desk), END_US - 1)
    assert (it.start_us, it.create_us) == (END_US - 1, END_US)


def test_r5_the_reports_window_bounds_a_late_pick_up(desk: Desk) -> None:
    """R5: a pick-up must be reported within the policy's report window. A time up to a minute
    before the reservation counts as the reservation's beginning."""
    it = expired(desk)
    error = refused(desk, picked_up(it, START_US - MINUTE_US - 1))
    assert isinstance(error, InvalidInput)
    begun = late(desk, it, START_US - MINUTE_US)
    assert begun.start_us == START_US


def test_r5_a_report_after_the_window_is_refused(desk: Desk) -> None:
    """R5: a late pick-up that is reported after the policy's window of 90 days is refused."""
    it = expired(desk)
    desk.clock.advance(TAKEN_US + 90 * DAY_US + 1)
    assert isinstance(refused(desk, picked_up(it, TAKEN_US)), InvalidInput)
    assert late(desk, it, TAKEN_US + 1).start_us == TAKEN_US + 1


def reduced(desk: Desk) -> Authorization:
    """A bike of Ben that waits for its pick-up, with 9,950 on credit and 9,950 in cash."""
    it = rental(desk, confirm(rental(desk, pick_up("ben", "bike", ITEM))))
    assert (it.held_credit_minor, it.held_cash_minor) == (9_950, 9_950)
    return it


def test_r5_a_deposit_that_is_still_here_comes_back(desk: Desk) -> None:
    """R5: a deposit not yet paid out posts refund_payable / deposit with the new authorization. The
    reservation no longer owes the deposit, and the money of both adds up to the money received."""
    it = woken(desk, reduced(desk), END_US)
    assert (it.refund_payable_minor, it.received_minor) == (9_950, 9_950)
    books = Books(desk)
    begun = late(desk, it)
    books.expect(
        [("line", "held / available", 9_950), ("money", "refund_payable / deposit", 9_950)],
        "authorization.deposit_carried_over",
        "authorization.late_picked_up",
    )
    cited = stored(desk, it)
    assert (cited.state, cited.refund_payable_minor, cited.received_minor) == (State.EXPIRED, 0, 0)
    assert cited.wake_us is None
    assert (begun.held_cash_minor, begun.received_minor, begun.cash_minor) == (9_950,) * 3
    assert (line(desk, "ben").deposit_minor, line(desk, "ben").refund_payable_minor) == (9_950, 0)
    assert rental(desk, acts.capture(begun, 350, final=True)).refund_payable_minor == 9_600


def gone_out(desk: Desk, it: Authorization, amount_minor: int) -> Authorization:
    """The authorization after a payout that was handed to the rail."""
    it = rental(desk, acts.pay_out(it, amount_minor), caller=PLATFORM)
    desk.do(acts.told(acts.transfers(desk, it)[-1], TransferState.SENT), caller=PLATFORM)
    return it


def test_r5_a_part_of_the_deposit_that_went_out_stays_out(desk: Desk) -> None:
    """R5: if a part of the deposit was paid out, only the rest is held again. An overpaid amount is
    still owed back."""
    it = rental(desk, pick_up("ben", "bike", ITEM))
    it = woken(desk, rental(desk, confirm(it, 10_000)), it.create_us + 30 * MINUTE_US)
    assert it.refund_payable_minor == 10_000
    it = gone_out(desk, it, 4_000)
    begun, cited = late(desk, it), stored(desk, it)
    assert (begun.held_cash_minor, cited.refund_payable_minor) == (6_000, 0)


def test_r5_a_payout_that_was_only_requested_is_cancelled(desk: Desk) -> None:
    """R5: the payout of the deposit of 9,950 is requested and was not handed in: it is cancelled,
    cash / refund_payable 9,950, and the new authorization holds the deposit. A fee of 350 is taken
    from it, and 9,600 are owed back."""
    it = woken(desk, reduced(desk), END_US + DAY_US)
    assert (it.refund_payable_minor, it.paid_out_minor) == (0, 9_950)
    books = Books(desk)
    begun = late(desk, it)
    books.expect(
        [
            ("money", "cash / refund_payable", 9_950),
            ("line", "held / available", 9_950),
            ("money", "refund_payable / deposit", 9_950),
        ],
        "collection.payout_cancelled",
        "authorization.deposit_carried_over",
        "authorization.late_picked_up",
    )
    (payout,), cited = acts.transfers(desk, it), stored(desk, it)
    assert (payout.state, payout.change_us) == (TransferState.CANCELLED, END_US + DAY_US)
    assert (cited.refund_payable_minor, cited.paid_out_minor, cited.received_minor) == (0, 0, 0)
    assert (begun.held_cash_minor, begun.received_minor) == (9_950, 9_950)
    assert rental(desk, acts.capture(begun, 350, final=True)).refund_payable_minor == 9_600
    assert verify_books(desk.store.engine).fault is None


@pytest.mark.parametrize("swept", [True, False])
def test_r5_a_policy_of_no_hours_keeps_the_deposit_until_it_is_handed_in(
    desk: Desk, swept: bool
) -> None:
    """R5, R22: under a policy of 0 hours the payout is requested at the end of the reservation,
    perhaps only by the call that tells of the pick-up. The deposit of 9,950 is held again."""
    change_terms(desk, t.policies, "bike", refund_after_us=0)
    it = reduced(desk)
    it = woken(desk, it, END_US) if swept else it
    desk.clock.advance(END_US + MINUTE_US)
    begun = late(desk, it)
    (payout,) = acts.transfers(desk, it)
    assert (payout.kind, payout.state) == (TransferKind.PAYOUT, TransferState.CANCELLED)
    assert (begun.held_cash_minor, stored(desk, it).paid_out_minor) == (9_950, 0)
    assert line(desk, "ben").deposit_minor == 9_950
    assert verify_books(desk.store.engine).fault is None


@pytest.mark.parametrize("word", [TransferState.SENT, TransferState.SUCCEEDED])
def test_r5_a_payout_that_was_handed_in_has_gone_out(desk: Desk, word: TransferState) -> None:
    """R5: a payout that was handed to the rail is not cancelled: nothing is held in cash."""
    it = woken(desk, reduced(desk), END_US + DAY_US)
    (payout,) = acts.transfers(desk, it)
    desk.do(acts.told(payout, word), caller=PLATFORM)
    begun = late(desk, it)
    assert (begun.held_cash_minor, begun.cash_minor) == (0, 0)
    assert [it.state for it in acts.transfers(desk, it)] == [word]
    assert stored(desk, it).paid_out_minor == 9_950


def test_r5_only_as_many_payouts_are_cancelled_as_the_deposit_needs(desk: Desk) -> None:
    """R5: 50 of the 10,000 paid are more than the deposit, and go out first; 9,900 and 50 follow.
    Of the three payouts the two later ones are cancelled, the first stays requested."""
    it = rental(desk, confirm(rental(desk, pick_up("ben", "bike", ITEM)), 10_000))
    it = woken(desk, it, END_US)
    for amount_minor in (50, 9_900, 50):
        it = rental(desk, acts.pay_out(it, amount_minor), caller=PLATFORM)
    begun = late(desk, it)
    states = [it.state for it in acts.transfers(desk, it)]
    assert states == [TransferState.REQUESTED, *[TransferState.CANCELLED] * 2]
    cited = stored(desk, it)
    assert (begun.held_cash_minor, cited.paid_out_minor, cited.refund_payable_minor) == (
        9_950,
        50,
        0,
    )


def test_r5_a_refused_pick_up_cancels_no_payout(desk: Desk) -> None:
    """R5: if the item is out with somebody else, the call is refused and the payout stays."""
    it = woken(desk, reduced(desk), END_US + DAY_US)
    desk.put_users(dan=800)
    rental(desk, authorize("dan", "umbrella", ITEM))
    assert refused(desk, picked_up(it, TAKEN_US)).reason == "ASSET_IN_USE"
    assert [it.state for it in acts.transfers(desk, it)] == [TransferState.REQUESTED]


def test_r5_the_payout_of_the_one_that_loses_the_item_stays(desk: Desk) -> None:
    """R5: the promise of the item lapses with the same call, and its deposit is to go out at once:
    only the payouts of the reservation that was picked up are cancelled."""
    change_terms(desk, t.policies, "bike", refund_after_us=0)
    desk.put_users(dan=550)
    it = woken(desk, reduced(desk), END_US)
    other = rental(desk, confirm(rental(desk, pick_up("dan", "bike", ITEM)), reference="pay-2"))
    desk.clock.advance(END_US + HOUR_US)
    late(desk, it)
    assert [it.state for it in acts.transfers(desk, it)] == [TransferState.CANCELLED]
    assert [it.state for it in acts.transfers(desk, other)] == [TransferState.REQUESTED]


def test_r5_an_overpayment_of_the_reservation_is_still_owed_back(desk: Desk) -> None:
    """R5: only the deposit is held again; what was paid beyond it stays owed back."""
    it = rental(desk, confirm(rental(desk, pick_up("ben", "bike", ITEM)), 10_000))
    it = woken(desk, it, END_US)
    assert late(desk, it).held_cash_minor == 9_950
    assert stored(desk, it).refund_payable_minor == 50


def test_r5_an_open_charge_back_keeps_its_part(desk: Desk) -> None:
    """R5: money that a bank disputes is not held again."""
    it = woken(desk, reduced(desk), END_US)
    it = rental(desk, acts.charge_back(it, 3_000), caller=PLATFORM)
    assert late(desk, it).held_cash_minor == 6_950
    it = rental(desk, acts.decide_charge_back(stored(desk, it), user_won=True), caller=PLATFORM)
    assert (it.refund_payable_minor, it.received_minor, it.overpaid_minor) == (0, 0, 0)


def test_r5_a_rental_of_the_group_is_lost_in_a_batch_with_a_charge_back(desk: Desk) -> None:
    """R5, R13: the item of a rental that time has lost is missing, even if the batch has read the
    rental only because another one of its group is charged back."""
    desk.put_users(ann=800)
    items = (("umbrella", "u-1"), ("umbrella", "u-2"))
    both = acts.members(desk, acts.group("ann", *items, start=Start.ON_PICKUP))
    lost = rental(desk, start(both[0]))
    begun = late(desk, woken(desk, both[1], END_US))
    ended = rental(desk, settle(begun, 100))
    desk.do(c.SetLimit("ann", Money("CNY", 100)), caller=PLATFORM)
    desk.clock.advance(START_US + 10 * DAY_US)
    desk.apply(
        desk.work(acts.charge_back(ended, 50), request_id="bank", caller=PLATFORM),
        desk.work(authorize(asset_id="b-2"), request_id="next"),
    )
    assert stored(desk, lost).custody is Custody.MISSING
    with desk.store.begin() as transaction:
        (item,) = read(transaction, OPEN_ITEMS, {(lost.operator_id, "u-1")}).values()
    assert str(item.kind) == "MISSING"


def test_r5_a_suspended_person_has_the_item_all_the_same(desk: Desk) -> None:
    """R5: the item is gone, so a suspended person's late pick-up is recorded."""
    it = expired(desk)
    desk.do(c.SetStanding("ann", Standing.SUSPENDED), caller=PLATFORM)
    assert late(desk, it).held_credit_minor == HOLD


@pytest.mark.parametrize("limit_minor", [0, 5_000, HOLD - 1, HOLD, HOLD + 1])
def test_r5_the_hold_is_at_most_the_available_amount(desk: Desk, limit_minor: int) -> None:
    """R5: h = min(hold, available); a full line does not refuse a late pick-up."""
    it = expired(desk)
    desk.do(c.SetLimit("ann", acts.money(limit_minor)), caller=PLATFORM)
    begun = late(desk, it)
    hold_minor = min(HOLD, limit_minor)
    assert (begun.held_credit_minor, begun.credit_minor) == (hold_minor, hold_minor)
    assert balances(desk) == (limit_minor, limit_minor - hold_minor, hold_minor, 0)


def test_r5_a_lowered_hold_stays_lowered(desk: Desk) -> None:
    """R5: the hold that begins again is that of the reservation at its end."""
    it = rental(desk, acts.decrease(reserved(desk), 10_000))
    assert late(desk, woken(desk, it, END_US)).held_credit_minor == HOLD - 10_000


@pytest.mark.parametrize("same", [True, False])
def test_r5_an_item_promised_meanwhile_is_taken_away(desk: Desk, same: bool) -> None:
    """R5: if the item was promised to somebody else and not picked up, that authorization is
    REVERSED with ASSET_TAKEN in the same transaction: its hold is released."""
    desk.put_users(ann=800, dan=800)
    it = expired(desk)
    other = rental(desk, pick_up("ann" if same else "dan", "bike", ITEM))
    books = Books(desk)
    begun = late(desk, it)
    rows = [("line", "held / available", HOLD), ("line", "available / held", HOLD)]
    books.expect(
        rows[::-1] if same else rows, "authorization.asset_taken", "authorization.late_picked_up"
    )
    other = stored(desk, other)
    assert (other.state, other.reasons, other.held_minor) == (State.REVERSED, ("ASSET_TAKEN",), 0)
    assert other.close_us == END_US
    error = refused(desk, pick_up("ben", "umbrella", ITEM))
    assert error.metadata["authorization"] == begun.name


def test_r5_the_loser_of_the_item_gets_the_deposit_back(desk: Desk) -> None:
    """R5: what the other person paid for the promised item is owed back."""
    it = expired(desk)
    other = rental(desk, pick_up("ben", "bike", ITEM))
    other = rental(desk, confirm(other))
    late(desk, it)
    other = stored(desk, other)
    assert (other.state, other.refund_payable_minor) == (State.REVERSED, 9_950)
    assert other.reasons[0] == "ASSET_TAKEN"
    assert line(desk, "ben").refund_payable_minor == 9_950


def test_r5_an_item_that_was_named_at_the_pick_up_is_taken_away(desk: Desk) -> None:
    """R5: if the reservation has no item yet, the call may name the item."""
    it = expired(desk, asset_id="")
    other = rental(desk, pick_up("ben", "umbrella", ITEM))
    begun = rental(desk, picked_up(it, TAKEN_US, ITEM))
    assert (begun.asset_id, stored(desk, other).state) == (ITEM, State.REVERSED)


def test_r5_a_promise_that_has_lapsed_expires(desk: Desk) -> None:
    """R5: a promise that has lapsed itself meanwhile is EXPIRED and not REVERSED."""
    it = expired(desk)
    other = rental(desk, pick_up("ben", "umbrella", ITEM))
    desk.clock.advance(END_US + 31 * MINUTE_US)
    assert late(desk, it).state is State.ACTIVE
    assert stored(desk, other).state is State.EXPIRED


def test_r5_an_item_that_is_out_with_somebody_else_is_refused(desk: Desk) -> None:
    """R5: if the item was picked up by somebody else, the call is refused with ASSET_IN_USE, which
    names that rental, and one case asks the platform. The pick-up waits until the case is closed,
    even if the item is free before that."""
    it = expired(desk)
    other = rental(desk, authorize("ben", "umbrella", ITEM))
    before = counts(desk)
    error = refused(desk, picked_up(it, TAKEN_US), request_id="told-1")
    assert (error.reason, error.metadata["authorization"]) == ("ASSET_IN_USE", other.name)
    assert error.metadata["product"] == "umbrella"
    assert counts(desk) == {**before, "cases": 1, "case_evidence": 1}
    assert refused(desk, picked_up(it, TAKEN_US)).reason == "PICKUP_IN_QUESTION"
    (case,) = questions(desk, it)
    assert case[3:5] == (CaseKind.LATE_PICKUP, "city")
    assert (case.reference, case.occurred_us, case.is_open) == (other.name, TAKEN_US, True)
    rental(desk, acts.capture(other, 0, final=True))
    waiting = refused(desk, picked_up(it, TAKEN_US), request_id="told-1")
    assert waiting.reason == "PICKUP_IN_QUESTION"
    assert case.case_id in waiting.message
    desk.do(c.ResolveCase(*acts.name(it), case.case_id, outcome=Outcome.HANDLED), caller=PLATFORM)
    answer = desk.do(picked_up(it, TAKEN_US), request_id="told-1")
    assert isinstance(answer, LateStart)


def test_r5_an_ordinary_pick_up_of_an_item_in_use_is_no_question(desk: Desk) -> None:
    """R5: a pick-up within its time, or without one, opens no case for an item in use."""
    rental(desk, authorize("ben", "umbrella", ITEM))
    it = reserved(desk, asset_id="")
    for occurred_us in (None, START_US):
        error = refused(desk, picked_up(it, occurred_us, ITEM))
        assert error.reason == "ASSET_IN_USE"
    assert questions(desk, it) == []


def test_r5_an_item_that_somebody_lost_meanwhile_has_appeared(desk: Desk) -> None:
    """R5: a missing item that is in this person's hands is no longer missing."""
    it = expired(desk)
    other = rental(desk, authorize("ben", "umbrella", ITEM))
    other = woken(desk, other, other.lost_us or 0)
    assert other.custody is Custody.MISSING
    assert late(desk, it).state is State.ACTIVE
    assert stored(desk, other).custody is Custody.UNKNOWN


def test_r5_a_sold_item_is_refused(desk: Desk) -> None:
    """R5: an item that was sold meanwhile is refused with ASSET_SOLD."""
    it = expired(desk)
    other = rental(desk, authorize("ben", "umbrella", ITEM))
    other = woken(desk, other, other.lost_us or 0)
    woken(desk, other, other.sold_us or 0)
    assert refused(desk, picked_up(it, TAKEN_US)).reason == "ASSET_SOLD"


def test_r5_a_reviewed_hold_lowered_to_zero_was_a_reservation(desk: Desk) -> None:
    """R5: a reservation that was approved after a review has a late pick-up, even if its whole hold
    was given back before the end."""
    desk.do(c.SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    it = rental(
        desk, acts.review(rental(desk, pick_up(asset_id=ITEM)), approve=True), caller=PLATFORM
    )
    assert it.state is State.AUTHORIZED
    it = rental(desk, acts.decrease(it, it.held_minor))
    it = woken(desk, it, START_US + 30 * MINUTE_US)
    assert (it.state, it.credit_minor + it.cash_minor) == (State.EXPIRED, 0)
    begun = late(desk, it)
    assert (begun.state, begun.held_minor) == (State.ACTIVE, 0)


def test_r5_an_offer_or_a_review_that_lapsed_was_no_reservation(desk: Desk) -> None:
    """R5: only a reservation with a hold has a late pick-up. An unpaid offer and an undecided
    review have no late pick-up."""
    offered = rental(desk, pick_up("ben", "bike", ITEM))
    assert offered.state is State.OFFERED
    desk.do(c.SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    review = rental(desk, pick_up("ann", "umbrella"))
    desk.clock.advance(START_US + 25 * HOUR_US)
    for it in (offered, review):
        error = refused(desk, picked_up(it, START_US + MINUTE_US))
        assert (error.reason, stored(desk, it).state) == ("ILLEGAL_TRANSITION", State.EXPIRED)


def test_r5_another_operator_learns_nothing(desk: Desk) -> None:
    """R5: another operator's late pick-up is not found."""
    it = expired(desk)
    error = refused(desk, picked_up(it, TAKEN_US), caller=OTHER_OPERATOR)
    assert error.reason == "AUTHORIZATION_NOT_FOUND"


def test_r5_a_reversed_late_pick_up_is_not_begun_again(desk: Desk) -> None:
    """R5: a late pick-up that was reversed stays the only one of its reservation."""
    it = expired(desk)
    begun = rental(desk, reverse(late(desk, it)))
    assert late(desk, it) == begun


def test_r5_one_of_a_group_is_picked_up_late(desk: Desk) -> None:
    """R5: the late pick-up of one item of a group is a rental of its own, in no group."""
    desk.put_users(ann=800)
    both = acts.members(
        desk, acts.group("ann", ("umbrella", "u-1"), ("umbrella", "u-2"), start=Start.ON_PICKUP)
    )
    rental(desk, start(both[0]))
    desk.clock.advance(END_US)
    begun = late(desk, both[1])
    assert (begun.group_id, begun.asset_id, begun.state) == ("", "u-2", State.ACTIVE)


def test_r5_a_late_pick_up_may_be_overdue_already(desk: Desk) -> None:
    """R5: a pick-up that is reported after the due time begins a rental that is overdue at once.
    The rental is not lost before the policy's time has passed."""
    it = expired(desk)
    desk.clock.advance(TAKEN_US + 40 * DAY_US)
    begun = late(desk, it)
    assert (begun.state, begun.due_us) == (State.ACTIVE, TAKEN_US + DAY_US)
    assert begun.lost_us == TAKEN_US + 40 * DAY_US + 2 * HOUR_US
    assert woken(desk, begun, TAKEN_US + 40 * DAY_US).state is State.OVERDUE


def test_r5_the_row_cites_reservation_and_rental(desk: Desk) -> None:
    """R5: one row names the reservation, the rental, the pick-up and the deposit."""
    it = woken(desk, reduced(desk), END_US)
    begun = late(desk, it)
    with desk.store.begin() as transaction:
        found = read(transaction, LATE_PICKUPS, [acts.name(it)])[acts.name(it)]
    assert found == (*acts.name(it), begun.authorization_id, TAKEN_US, 9_950, END_US)


def test_r5_a_suspension_refuses_no_earlier_pick_up(desk: Desk) -> None:
    """R5: a user is suspended at 10 minutes. A pick-up at 5 minutes is reported at 29 minutes,
    before the reservation ends. The item is out, so the rental is ACTIVE from 5 minutes. A pick-up
    at the present time is refused, also if the caller's clock is ahead."""
    it = reserved(desk)
    desk.clock.advance(START_US + 10 * MINUTE_US)
    desk.do(c.SetStanding("ann", Standing.SUSPENDED), caller=PLATFORM)
    desk.clock.advance(TAKEN_US)
    for at_us in (None, TAKEN_US, TAKEN_US + 1, TAKEN_US + HOUR_US):
        assert refused(desk, picked_up(it, at_us)).reason == "USER_SUSPENDED"
    it = rental(desk, picked_up(it, START_US + 5 * MINUTE_US))
    assert (it.state, it.start_us) == (State.ACTIVE, START_US + 5 * MINUTE_US)
    assert (it.start, it.custody) == (Start.ON_PICKUP, Custody.OUT)


@pytest.mark.parametrize("by_user", [False, True])
def test_r5_a_pick_up_before_the_reversal_begins_a_rental(desk: Desk, by_user: bool) -> None:
    """R5: an item is picked up at 5 minutes, its reservation is cancelled at 10 minutes, and the
    pick-up is reported at 20 minutes. The reservation stays REVERSED, and a rental that cites it is
    ACTIVE from 5 minutes; held h / avail h. It bills 5 hours."""
    it = rental(desk, pick_up("ann", "power-bank", ITEM))
    desk.clock.advance(START_US + 10 * MINUTE_US)
    rental(desk, c.Reverse(*acts.name(it), by_user=by_user))
    desk.clock.advance(START_US + 20 * MINUTE_US)
    books = Books(desk)
    answer = desk.do(picked_up(it, START_US + 5 * MINUTE_US))
    books.expect([("line", "held / available", 9_900)], "authorization.late_picked_up")
    assert isinstance(answer, LateStart)
    begun = answer.authorization
    assert answer.reservation == it.name
    assert stored(desk, it).state is State.REVERSED
    assert (begun.state, begun.start, begun.start_us) == (
        State.ACTIVE, Start.LATE_PICKUP, START_US + 5 * MINUTE_US,
    )  # fmt: skip
    desk.clock.advance(START_US + 5 * MINUTE_US + 5 * HOUR_US)
    assert rental(desk, acts.settle_usage(begun)).captured_minor == 1_500


def test_r5_a_pick_up_after_the_reversal_is_refused(desk: Desk) -> None:
    """R5: a pick-up in the instant of the reversal, or later, is refused. If a rental was started
    and then reversed, a pick-up of its item is refused too."""
    desk.put_users(dan=800)
    it = reserved(desk)
    desk.clock.advance(START_US + 10 * MINUTE_US)
    rental(desk, reverse(it))
    for at_us in (START_US + 10 * MINUTE_US, START_US + 11 * MINUTE_US, None):
        assert refused(desk, picked_up(it, at_us)).metadata == {"state": "REVERSED"}
    started = rental(desk, start(rental(desk, pick_up("dan", "bike", "bike-8"))))
    desk.clock.advance(START_US + 12 * MINUTE_US)
    rental(desk, reverse(started))
    told_late = picked_up(started, START_US + 11 * MINUTE_US)
    assert refused(desk, told_late).metadata == {"state": "REVERSED"}
    desk.clock.advance(START_US + 120 * DAY_US)
    assert refused(desk, told_late).metadata == {"state": "REVERSED"}


@pytest.mark.parametrize("by_origin", [False, True])
def test_r5_a_pick_up_may_be_reported_in_the_batch_of_the_reversal(
    desk: Desk, by_origin: bool
) -> None:
    """R5: a pick-up may be told after the reversal in the same batch. It begins a rental too, and
    takes the item from another reservation of that batch."""
    desk.put_users(dan=800)
    it = rental(desk, pick_up("ann", "bike", ITEM), request_id="asked")
    desk.clock.advance(START_US + 10 * MINUTE_US)
    undo = c.ReverseByOrigin("ann", "asked", None) if by_origin else c.Reverse(*acts.name(it))
    results = desk.apply(
        desk.work(undo, request_id="undo"),
        desk.work(pick_up("dan", "bike", ITEM), request_id="promised"),
        desk.work(picked_up(it, START_US + 5 * MINUTE_US), request_id="told"),
    )
    assert all(isinstance(result, bytes) for result in results), results
    assert stored(desk, it).state is State.REVERSED
    assert counts(desk)["open_items"] == 1
