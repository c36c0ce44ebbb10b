"""R17: pauses that are told together with their end, also after the settlement.

Instants and durations are in hours and minutes: 2:30 is two and a half hours, or that long after
the start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.attestations import AttestationKind
from service.domain.authorization import Authorization, Custody, State
from service.domain.cases import Outcome
from service.domain.errors import IllegalState, InvalidInput
from service.engine import operations as c
from service.engine.operations.pause_rental import PAUSE_RENTAL
from service.engine.rows import Keys
from service.storage import schema as t
from tests.engine import acts
from tests.engine.acts import HOUR_US, Books, found, woken
from tests.engine.calls import authorize, pay, pick_up, refused, rental, reverse, settle, stored
from tests.engine.test_complaints_while_out import complain
from tests.engine.test_late_fees import DROPPED, FEE, TAKEN_US, debt_of, unheld
from tests.engine.test_late_reports import five_percent as five_percent
from tests.engine.test_late_reports import power_bank, verified
from tests.engine.test_quotas import offer
from tests.engine.test_receipts import again, of_event
from tests.engine.test_reservations import TARIFF
from tests.fakes import OPERATOR, START_US, Desk
from tests.operations.test_cases import resolve
from tests.operations.test_cases import told as case_of


def at(hours: float) -> int:
    """An instant after the start of the rental."""
    return START_US + round(hours * HOUR_US)


def told(it: Authorization, begin_us: int | None, end_us: int | None) -> c.PauseRental:
    """A pause with its end."""
    return acts.pause(it, begin_us, resumed_us=end_us)


def paused(desk: Desk, it: Authorization, begin: float, end: float) -> Authorization:
    """The rental after a pause between two hours was told."""
    return rental(desk, told(it, at(begin), at(end)))


def settled(desk: Desk, hours: float = 3) -> Authorization:
    """A power bank that was settled by usage after some hours, at 300 an hour."""
    it = power_bank(desk)
    desk.clock.advance(at(hours))
    return rental(desk, acts.settle_usage(it))


def words(desk: Desk, it: Authorization) -> list[tuple[AttestationKind, int, int | None, int]]:
    """The attestations of a rental: kind, instant, bound and version."""
    found = desk.store.told(*acts.name(it))
    assert found is not None
    return [
        (row.kind, row.event_us, row.until_us, row.authorization_version)
        for row in found.attestations
    ]


def test_r17_a_late_pause_that_ends_where_another_begins(desk: Desk) -> None:
    """R17: the meter stood from 1:00 until the return, because nobody resumed the rental. A late
    pause from 0:30 ends at 1:00, and a late pause within the other one is refused."""
    it = power_bank(desk)
    desk.clock.advance(at(1))
    it = rental(desk, acts.pause(it))
    desk.clock.advance(at(3))
    it = rental(desk, acts.settle_usage(it))
    it = paused(desk, it, 0.5, 1.25)
    assert words(desk, it)[1:] == [
        (AttestationKind.PAUSE, at(0.5), at(1), it.version),
        (AttestationKind.RESUME, at(1), None, it.version),
    ]
    assert refused(desk, told(it, at(1.5), at(2))).reason == "ALREADY_PAUSED"


def test_a_pause_told_after_a_cancellation_for_a_fee(desk: Desk) -> None:
    """A pause of a rental that was cancelled in time, and that costs its reservation, may be told
    later with its end. It gives nothing back, and the books verify."""
    offer(desk, TARIFF)
    acts.change_terms(desk, t.policies, "bike", free_cancellation_us=HOUR_US)
    it = rental(desk, pick_up("ann", product_id="scooter", asset_id="s-1"))
    desk.clock.advance(at(0.25))
    it = rental(desk, acts.picked_up(it, None))
    desk.clock.advance(at(1))
    it = rental(desk, replace(reverse(it), by_user=True))
    assert (it.state, it.captured_minor) == (State.SETTLED, 100)
    it = paused(desk, it, 0.5, 0.75)
    assert (it.captured_minor, it.conceded_minor, it.paused_us) == (100, 0, HOUR_US // 4)
    assert words(desk, it) == [
        (AttestationKind.PAUSE, at(0.5), at(0.75), it.version),
        (AttestationKind.RESUME, at(0.75), None, it.version),
    ]
    verified(desk)


def test_r17_a_pause_told_after_the_settlement_gives_its_difference_back(desk: Desk) -> None:
    """R17: a rental of 3:00 was settled for 900. A pause of an hour is told later, and the fee
    falls to 600. The operator gives back 300, of which 15 were the commission."""
    it = settled(desk)
    assert (it.due_minor, it.fee_minor) == (900, 45)
    desk.clock.advance(at(3.5))
    books = Books(desk)
    it = paused(desk, it, 1, 2)
    books.expect(
        [
            ("money", "operator_payable / receivable", 285),
            ("money", "fee_income / receivable", 15),
            ("line", "available / drawn", 300),
        ],
        "authorization.paused",
    )
    assert (it.due_minor, it.conceded_minor, it.fee_minor) == (600, 300, 30)
    assert (it.paused_us, it.corrections) == (HOUR_US, 1)
    assert words(desk, it) == [
        (AttestationKind.PAUSE, at(1), at(2), it.version),
        (AttestationKind.RESUME, at(2), None, it.version),
    ]
    verified(desk)


def test_r17_a_late_pause_without_its_end_is_refused(desk: Desk) -> None:
    """R17: after the settlement, a pause is refused without its end, and so is a resume."""
    it = settled(desk)
    for command in (acts.pause(it, at(1)), acts.resume(it, at(2))):
        error = refused(desk, command)
        assert isinstance(error, IllegalState)
        assert error.reason == "ILLEGAL_TRANSITION"
    assert "give resumed_at too" in str(refused(desk, acts.pause(it, at(1))))
    assert (stored(desk, it).due_minor, words(desk, it)) == (900, [])


def test_r17_a_pause_with_its_end_leaves_the_rental_as_two_calls_do(desk: Desk) -> None:
    """R17: before the settlement, one call that tells a pause with its end writes the same rows and
    times as a pause and a resume. A rental of 3:30 with such a pause of an hour costs 750."""
    one, two = power_bank(desk), rental(desk, authorize("ben", "power-bank", "pb-2"))
    desk.clock.advance(at(2))
    rental(desk, acts.pause(two, at(0.5)))
    two = rental(desk, acts.resume(two, at(1.5)))
    one = rental(desk, told(one, at(0.5), at(1.5)))
    assert (one.state, one.paused_us) == (State.ACTIVE, HOUR_US)
    same = ("due_us", "lost_us", "paused_us", "state")
    assert [getattr(one, name) for name in same] == [getattr(two, name) for name in same]
    assert [row[:3] for row in words(desk, one)] == [row[:3] for row in words(desk, two)]
    assert [row[3] for row in words(desk, one)] == [one.version] * 2
    desk.clock.advance(at(3.5))
    for it in (one, two):
        assert rental(desk, acts.settle_usage(it)).due_minor == 750
    verified(desk)


def test_r17_a_pause_with_its_end_can_be_followed_by_another(desk: Desk) -> None:
    """R17: two pauses of half an hour, told with their ends, lower a fee of 900 to 600, also if the
    later pause is told first."""
    it = power_bank(desk)
    desk.clock.advance(at(3))
    paused(desk, it, 2, 2.5)
    it = paused(desk, it, 1, 1.5)
    assert refused(desk, acts.resume(it, at(1.25))).reason == "NOT_PAUSED"
    assert rental(desk, acts.settle_usage(it)).due_minor == 600
    verified(desk)


@pytest.mark.parametrize("state", ["out", "settled"])
@pytest.mark.parametrize("begin_us", [None, at(1)])
def test_r17_a_pause_does_not_end_before_it_begins(
    desk: Desk, state: str, begin_us: int | None
) -> None:
    """R17: an end that is not after the beginning is refused. An end without a beginning is refused
    too, because the pause would begin now."""
    it = power_bank(desk)
    desk.clock.advance(at(3))
    if state == "settled":
        it = rental(desk, acts.settle_usage(it))
    with pytest.raises(InvalidInput) as caught:
        desk.do(told(it, begin_us, at(1)))
    of_settled = state == "settled" and begin_us is None
    rule = "occurred_at.closed" if of_settled else "resumed_at.before_pause"
    assert [one.rule for one in caught.value.violations] == [rule]


def test_r17_a_late_pause_of_a_paid_rental_is_owed_back(desk: Desk) -> None:
    """R17: 900 were paid. After a late pause of an hour, 300 of them are owed back."""
    it = settled(desk)
    rental(desk, pay(it, 900))
    it = paused(desk, it, 1, 2)
    assert (it.due_minor, it.refund_payable_minor, it.conceded_minor) == (0, 300, 300)
    verified(desk)


def test_r17_two_late_pauses_in_either_order_cost_the_same(desk: Desk) -> None:
    """R17: two late pauses, of 50 and of 10 minutes, lower a fee of 900 to 600, also if the later
    one is told first."""
    it = settled(desk)
    paused(desk, it, 2, 2 + 1 / 6)
    it = paused(desk, it, 1, 1 + 5 / 6)
    assert (it.due_minor, it.paused_us) == (600, HOUR_US)
    verified(desk)


def test_r17_a_late_pause_ends_where_a_later_one_begins(desk: Desk) -> None:
    """R17: a pause from 2:00 to 2:30 is told, and then one from 1:00 to 2:45. The second one ends
    where the first one begins. So 1:30 of pauses count, and the fee of 900 falls to 450."""
    it = settled(desk)
    paused(desk, it, 2, 2.5)
    it = paused(desk, it, 1, 2.75)
    assert (it.due_minor, it.paused_us) == (450, 3 * HOUR_US // 2)
    assert [row[:3] for row in words(desk, it)[2:]] == [
        (AttestationKind.PAUSE, at(1), at(2)),
        (AttestationKind.RESUME, at(2), None)
    ]  # fmt: skip
    verified(desk)


def test_r17_a_late_pause_until_after_the_return_counts_until_the_return(desk: Desk) -> None:
    """R17: a pause from 2:00 until 20:00 lowers the fee from 900 to 600, because the return was at
    3:00."""
    it = settled(desk)
    desk.clock.advance(at(20))
    assert paused(desk, it, 2, 20).due_minor == 600
    verified(desk)


@pytest.mark.parametrize("told_us", [at(0.5), at(1)])
def test_r17_a_pause_told_before_the_settlement_stays_in_the_fee(desk: Desk, told_us: int) -> None:
    """R17: a rental was paused at 1:00 and settled at 3:00 for 300. A late pause within that pause
    is refused. A late pause of half an hour before it lowers the fee to 150."""
    it = power_bank(desk)
    desk.clock.advance(at(1))
    rental(desk, acts.pause(it))
    desk.clock.advance(at(3))
    it = rental(desk, acts.settle_usage(it))
    assert it.due_minor == 300
    assert refused(desk, told(it, at(1), at(2))).reason == "ALREADY_PAUSED"
    assert refused(desk, acts.resume(it, at(2))).reason == "ILLEGAL_TRANSITION"
    if told_us < at(1):
        it = paused(desk, it, 0.5, 1)
        assert it.due_minor == 150
    verified(desk)


@pytest.mark.parametrize("begin", [0, 1 / 6])
def test_r17_a_receipt_keeps_the_pauses_that_were_told_before_it(desk: Desk, begin: float) -> None:
    """R17: at 3:00 a pause until then is told, and at the same instant a return at 2:00. The
    receipt has that pause, and no pause that is told later. This holds for a fee of 0 too."""
    it = power_bank(desk)
    desk.clock.advance(at(3))
    paused(desk, it, begin, 3)
    it = rental(desk, acts.settle_usage(it, at(2)))
    assert it.close_us == at(3)
    assert (it.captured_minor == 0) == (begin == 0)
    if begin:
        it = paused(desk, it, 1 / 20, 1 / 10)
    else:
        assert refused(desk, told(it, at(1), at(1.5))).reason == "ALREADY_PAUSED"
    receipt = of_event(desk, it)
    told_again = again(desk, it)
    assert told_again is not None
    assert told_again.lines == receipt.lines
    minutes = [line.quantity for line in receipt.lines if line.item == "PAUSED_MINUTES"]
    assert minutes == [round(120 - 60 * begin)]
    verified(desk)


def test_r17_what_was_lowered_for_a_pause_is_not_given_back_twice(desk: Desk) -> None:
    """R17: the operator lowered a charge of 900 by 300. A pause of an hour that is told later
    lowers nothing more."""
    it = settled(desk)
    rental(desk, acts.lower(it, 300))
    it = paused(desk, it, 1, 2)
    assert (it.due_minor, it.conceded_minor) == (600, 300)
    verified(desk)


def test_r17_a_late_pause_leaves_a_surcharge(desk: Desk) -> None:
    """R17: the operator asked for 1,200 for a rental of 3:00. A late pause of a minute gives back
    nothing, and one of an hour gives back 300."""
    it = power_bank(desk)
    desk.clock.advance(at(3))
    it = rental(desk, settle(it, 1_200))
    assert paused(desk, it, 1, 1 + 1 / 60).due_minor == 1_200
    assert paused(desk, it, 1, 2 + 1 / 60).due_minor == 900
    verified(desk)


def test_r17_a_late_pause_after_an_earlier_docking_counts_until_it(desk: Desk) -> None:
    """R17: a rental was settled at 3:00, and then its item was found docked at 2:00, for 600. A
    pause from 1:30 to 2:30 lowers the fee to 450."""
    it = settled(desk)
    assert rental(desk, found(it, at(2))).due_minor == 600
    assert paused(desk, it, 1.5, 2.5).due_minor == 450
    verified(desk)


def test_r17_a_pause_of_a_lost_item_counts_when_it_is_found(desk: Desk) -> None:
    """R17: a late pause of 1:00 does not lower the price of a lost item. When the item is found
    docked at 2:00, the rental costs 300."""
    it = power_bank(desk)
    it = woken(desk, it, it.lost_us or 0)
    it = paused(desk, it, 0.5, 1.5)
    assert (it.custody, it.due_minor) == (Custody.MISSING, 9_900)
    assert rental(desk, found(it, at(2))).due_minor == 300
    verified(desk)


def test_r17_a_late_pause_told_again_gives_nothing_more(desk: Desk) -> None:
    """R17: a pause that another request tells again is refused, and so is a pause after the return.
    A pause that lasts half an hour longer counts for that half hour."""
    it = settled(desk)
    assert paused(desk, it, 1, 2).due_minor == 600
    assert refused(desk, told(it, at(1), at(2))).reason == "ALREADY_PAUSED"
    assert paused(desk, it, 1.5, 2.5).due_minor == 450
    for told_us in (None, at(3)):
        with pytest.raises(InvalidInput) as caught:
            desk.do(told(it, told_us, at(4)))
        assert [one.rule for one in caught.value.violations] == ["occurred_at.closed"]
    verified(desk)


def test_r17_late_pauses_are_bounded_by_the_policy(desk: Desk) -> None:
    """R17: the policy lets 24 hours of a late pause of 28 hours count. So a rental of 30:00 costs
    1,800 instead of 4,800."""
    it = settled(desk, 30)
    assert it.due_minor == 4_800
    it = paused(desk, it, 1, 29)
    assert (it.paused_us, it.due_minor) == (24 * HOUR_US, 1_800)
    assert refused(desk, told(it, at(26), at(27))).reason == "PAUSE_LIMIT_REACHED"
    verified(desk)


def test_r17_the_time_before_the_return_alone_uses_up_the_time_for_pauses(desk: Desk) -> None:
    """R17: a pause without an end stopped the meter for 1:00 until the return. Only that hour is
    used up, so a late pause is accepted."""
    it = power_bank(desk)
    desk.clock.advance(at(2))
    rental(desk, acts.pause(it))
    desk.clock.advance(at(3))
    it = rental(desk, acts.settle_usage(it))
    assert it.due_minor == 600
    assert paused(desk, it, 0.5, 1).due_minor == 450
    verified(desk)


def test_r17_a_disputed_fee_falls_by_a_late_pause(desk: Desk) -> None:
    """R17: all 900 are disputed. A late pause of an hour leaves 600 of them in dispute."""
    it = settled(desk)
    rental(desk, acts.dispute(it, 900))
    it = paused(desk, it, 1, 2)
    assert (it.disputed_minor, it.conceded_minor) == (600, 300)
    verified(desk)


@pytest.mark.parametrize("held_minor", [0, 300, FEE - 1])
def test_r17_a_late_pause_lowers_the_debt_above_the_hold(desk: Desk, held_minor: int) -> None:
    """R17, R5: a late pick-up of 2:00 cost 950, and the part above its hold is a debt. A late pause
    of an hour leaves 550. The debt falls first, by an event of the pause."""
    it = unheld(desk, held_minor)
    end_us = TAKEN_US + 2 * HOUR_US
    desk.clock.advance(end_us)
    it = rental(desk, acts.settle_usage(it))
    books = Books(desk)
    it = rental(desk, told(it, TAKEN_US + HOUR_US // 2, TAKEN_US + 3 * HOUR_US // 2))
    debt = debt_of(desk, it)
    fallen_minor = min(FEE - held_minor, 400)
    assert debt.unheld_dropped_minor == fallen_minor
    assert it.conceded_minor == 400 - fallen_minor
    posted = books.news().rows
    assert (*DROPPED, fallen_minor) in posted
    verified(desk)


def test_r17_a_late_pause_lowers_the_debt_of_an_earlier_return(desk: Desk) -> None:
    """R17, R5: a late pick-up without a hold was returned at 2:00 and settled at 10:00, so all 950
    are a debt. A late pause of an hour leaves 550, as if the settlement had come at once."""
    it = unheld(desk)
    desk.clock.advance(TAKEN_US + 10 * HOUR_US)
    it = rental(desk, acts.settle_usage(it, TAKEN_US + 2 * HOUR_US))
    it = rental(desk, told(it, TAKEN_US + HOUR_US // 2, TAKEN_US + 3 * HOUR_US // 2))
    debt = debt_of(desk, it)
    assert (debt.unheld_minor, debt.unheld_dropped_minor) == (FEE, 400)
    assert refused(desk, told(it, TAKEN_US + 3 * HOUR_US, TAKEN_US + 4 * HOUR_US)).reason == (
        "INVALID_INPUT"
    )
    verified(desk)


@pytest.mark.parametrize(("begin", "end", "due_minor"), [(8, 12, 3_000), (13, 19, 3_000)])
def test_r17_a_late_pause_counts_until_a_settlement_that_took_nothing_more(
    desk: Desk, begin: float, end: float, due_minor: int
) -> None:
    """R17: the day's cap of 3,000 was captured at 12:00, and the settlement at 20:00 took nothing
    more. A late pause gives back nothing, because more than 10 hours of usage are left."""
    it = power_bank(desk)
    desk.clock.advance(at(12))
    rental(desk, c.Settle(*acts.name(it), None, False))
    desk.clock.advance(at(20))
    it = rental(desk, acts.settle_usage(it))
    assert it.due_minor == 3_000
    assert paused(desk, it, begin, end).due_minor == due_minor
    verified(desk)


def test_r17_a_late_pause_counts_until_the_return_and_not_until_the_call(desk: Desk) -> None:
    """R17: a rental was returned at 3:00 and settled at 10:00 for 900, of which 300 were captured
    at 1:00. A pause from 2:30 to 5:00 lowers the fee to 750, and a pause from 3:00 on is
    refused."""
    it = power_bank(desk)
    desk.clock.advance(at(1))
    rental(desk, c.Settle(*acts.name(it), None, False))
    desk.clock.advance(at(10))
    it = rental(desk, acts.settle_usage(it, at(3)))
    assert it.due_minor == 900
    assert refused(desk, told(it, at(3), at(4))).reason == "INVALID_INPUT"
    assert paused(desk, it, 2.5, 5).due_minor == 750
    verified(desk)


def test_r17_a_pause_in_the_batch_of_its_settlement_counts(desk: Desk) -> None:
    """R17: 300 were captured at 1:00. At 10:00, one batch tells the return at 3:00 and a pause of
    an hour. Then 600 are due."""
    it = power_bank(desk)
    desk.clock.advance(at(1))
    it = rental(desk, c.Settle(*acts.name(it), None, False))
    desk.clock.advance(at(10))
    commands = (acts.settle_usage(it, at(3)), told(it, at(1), at(2)))
    results = desk.apply(*(desk.work(command) for command in commands))
    assert [type(result) for result in results] == [bytes, bytes]
    assert (stored(desk, it).due_minor, stored(desk, it).captures) == (600, 2)
    verified(desk)


def test_r17_a_late_pause_of_an_item_that_was_found_after_its_loss(desk: Desk) -> None:
    """R17: an item was lost at 73:00, a pause of 9 hours was told, and the item was found at 82:00.
    It costs 9,300 for 73 hours. One more hour of pause lowers the fee to 9,000, because the usage
    lasted until 82:00 and not until the loss."""
    it = power_bank(desk)
    it = woken(desk, it, it.due_us or 0)
    desk.clock.advance(at(73))
    it = rental(desk, acts.lost(it))
    paused(desk, it, 1, 10)
    desk.clock.advance(at(82))
    assert rental(desk, found(it)).due_minor == 9_300
    assert paused(desk, it, 20, 21).due_minor == 9_000
    verified(desk)


def test_r17_a_late_pause_after_the_return_was_presumed(desk: Desk) -> None:
    """R17: the item of a rental that was lost at 73:00 appears at 80:00. The operator is silent, so
    the call that tells a pause at 75:00 first presumes the return at 80:00."""
    it = rental(desk, authorize("ann", "power-bank", "pb-1"))
    it = woken(desk, it, it.due_us or 0)
    desk.clock.advance(at(73))
    rental(desk, acts.lost(it))
    desk.clock.advance(at(80))
    rental(desk, authorize("ben", "power-bank", "pb-1"))
    it = stored(desk, it)
    assert it.claim_us == at(80)
    desk.clock.advance(it.claim_until_us or 0)
    it = paused(desk, it, 75, 76)
    assert (it.custody, it.due_minor, it.paused_us) == (Custody.IN_STATION, 3_000, HOUR_US)
    assert refused(desk, told(it, at(80), at(81))).reason == "INVALID_INPUT"
    verified(desk)


def test_r17_the_correction_of_a_late_pause_has_its_cause_as_the_reason(desk: Desk) -> None:
    """R17, row 47: the correction that a late pause makes has the pause's cause as its reason."""
    it = settled(desk)
    paused(desk, it, 1, 2)
    whole = desk.store.told(*acts.name(it))
    assert whole is not None
    assert [(row.conceded_minor, row.reason) for row in whole.corrections] == [
        (300, "CABINET_FULL")
    ]


@pytest.mark.parametrize("end_us", [None, at(2)])
def test_r17_only_a_pause_with_its_end_reads_the_bill(desk: Desk, end_us: int | None) -> None:
    """R17: a pause without its end is refused after the settlement, so it reads no rows of the
    bill."""
    it, keys = power_bank(desk), Keys()
    PAUSE_RENTAL.keys(OPERATOR, told(it, at(1), end_us), keys)
    assert keys.attested == {acts.name(it)}
    assert keys.billed == (set() if end_us is None else {acts.name(it)})
    assert (keys.captured, keys.corrected, keys.cased) == (set(), set(), set())


@pytest.mark.parametrize("woken_first", [True, False])
def test_r17_a_late_pause_of_a_lost_item_whose_fee_was_stopped(
    desk: Desk, woken_first: bool
) -> None:
    """R17, R18: a complaint as of 2:00 was granted, so the loss cost 600 and not the price. A pause
    of an hour before 2:00 lowers the fee to 300, and the item stays missing. A pause after 2:00 is
    refused."""
    it = power_bank(desk)
    desk.clock.advance(at(2))
    case_of(desk, resolve(case_of(desk, complain(it)), Outcome.FOR_USER))
    it = stored(desk, it)
    it = woken(desk, it, it.due_us or 0)
    if woken_first:
        it = woken(desk, it, it.lost_us or 0)
        assert it.due_minor == 600
    else:
        desk.clock.advance(it.lost_us or 0)
    it = paused(desk, it, 0.5, 1.5)
    assert (it.custody, it.due_minor) == (Custody.MISSING, 300)
    assert refused(desk, told(it, at(2), at(3))).reason == "INVALID_INPUT"
    verified(desk)


def test_r17_a_complaint_granted_after_the_settlement_ends_the_usage(desk: Desk) -> None:
    """R17, R18: a rental was settled at 3:00 for 900. Then a complaint as of 2:00 is granted, and
    the fee falls to 600. A pause from 1:30 to 3:00 lowers it to 450."""
    it = settled(desk)
    case_of(desk, resolve(case_of(desk, complain(it, at(2))), Outcome.FOR_USER))
    assert stored(desk, it).due_minor == 600
    assert paused(desk, it, 1.5, 3).due_minor == 450
    verified(desk)
