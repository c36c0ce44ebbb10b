"""R18: a person who cannot return the item, or whose item does not work, complains while the item
is out. If the complaint is granted, the rental costs the fee until the complaint's time."""

from __future__ import annotations

import pytest

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.attestations import AttestationKind
from service.domain.authorization import Authorization, Custody, Start, State
from service.domain.captures import Purpose
from service.domain.cases import COMPLAINTS, Case, CaseKind, CaseState, Outcome, Side
from service.domain.errors import InvalidInput
from service.engine import operations as c
from service.rpc.stored import read_payload
from tests.books import row_by_row
from tests.engine import acts
from tests.engine.acts import DAY_US, HOUR_US, MINUTE_US, Books, capture, money, settle_usage
from tests.engine.calls import authorize, refused, rental, reverse, settle, stored
from tests.engine.test_late_reports import five_percent as five_percent
from tests.engine.test_receipts import again, of_event
from tests.engine.test_transitions_damage import damage
from tests.fakes import START_US, Desk
from tests.operations.test_cases import (
    CLOCK_US,
    DUNNED,
    evidence,
    kept,
    open_cases,
    over,
    power_bank,
    resolve,
    told,
)

BLOCKED_US = START_US + 2 * HOUR_US
"""The fee of a power bank until then is 600."""
BACK_US = START_US + 26 * HOUR_US + 30 * MINUTE_US
"""The fee of a power bank until then is 3,750."""
GIVEN_BACK = [
    ("money", "operator_payable / receivable", 2_993),
    ("money", "fee_income / receivable", 157),
    ("line", "available / drawn", 3_150),
]
"""The entries that reduce a fee of 3,750 to 600."""
KINDS = [CaseKind.RETURN_BLOCKED, CaseKind.ITEM_AT_FAULT]
OTHERS = sorted(COMPLAINTS - {*KINDS})


def complain(
    it: Authorization,
    occurred_us: int | None = None,
    kind: CaseKind = CaseKind.RETURN_BLOCKED,
    minor: int | None = None,
) -> c.OpenComplaint:
    """A complaint about an item that is out."""
    amount = None if minor is None else money(minor)
    return c.OpenComplaint(*acts.name(it), kind, amount, "the cabinet is full", "", occurred_us)


def blocked(desk: Desk, kind: CaseKind = CaseKind.RETURN_BLOCKED) -> tuple[Authorization, Case]:
    """The rental of a power bank that cannot be returned at 2 h, and the complaint at that time."""
    it = power_bank(desk)
    desk.clock.advance(BLOCKED_US)
    return it, told(desk, complain(it, kind=kind))


def granted(desk: Desk) -> Authorization:
    """The rental of a power bank after a complaint as of 2 h was granted at once."""
    it, case = blocked(desk)
    told(desk, resolve(case, Outcome.FOR_USER))
    return stored(desk, it)


def verified(desk: Desk) -> None:
    """Requires sound books, by both verifiers."""
    found = verify_books(desk.store.engine, read_payload=read_payload)
    assert found.fault is None, found.fault
    rows = row_by_row.verify_books(desk.store.engine)
    assert rows.fault is None, rows.fault


def receipt_of(desk: Desk, it: Authorization) -> tuple[int, int]:
    """The end and the total of the receipt, which is the same when it is made again."""
    receipt = of_event(desk, it)
    made = again(desk, it)
    assert made is not None
    # Only lines of units have a unit, and the price of a lost item has no such lines.
    assert made._replace(interval_minutes=0) == receipt._replace(interval_minutes=0)
    return receipt.end_us, receipt.total_minor


# -- before the return -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_r18_a_complaint_about_an_item_that_is_out_is_a_case(desk: Desk, kind: CaseKind) -> None:
    """R18: while the item is out, a complaint that it cannot be returned, or does not work, opens a
    case with the complaint's time and a clock of 48 hours. The rental goes on."""
    it = power_bank(desk)
    desk.clock.advance(BLOCKED_US)
    books = Books(desk)
    case = told(desk, complain(it, kind=kind))
    books.expect([], "case.opened")
    assert (case.kind, case.state, case.waits_for) == (kind, CaseState.OPEN, Side.OPERATOR)
    assert (case.occurred_us, case.due_us, case.asked_minor) == (
        BLOCKED_US, BLOCKED_US + CLOCK_US, 0,
    )  # fmt: skip
    assert stored(desk, it) == it._replace(version=it.version + 1)
    verified(desk)


@pytest.mark.parametrize("kind", KINDS)
def test_r18_silence_stops_the_fee_of_an_item_that_is_out(desk: Desk, kind: CaseKind) -> None:
    """R18: nobody answers the complaint as of 2 h for 48 hours. The fee stops at 2 h, and the hold
    stays. The item comes back at 60 h: the fee is 600, and the rest of the hold is released."""
    it, case = blocked(desk, kind)
    books = Books(desk)
    case = over(desk, case, BLOCKED_US + CLOCK_US)
    books.expect([], "case.decided_by_time")
    after = stored(desk, it)
    assert (case.outcome, case.granted_minor) == (Outcome.FOR_USER, 0)
    assert (after.state, after.custody, after.claim_us) == (
        State.ACTIVE, Custody.OUT, BLOCKED_US,
    )  # fmt: skip
    assert (after.held_minor, after.lost_us) == (it.held_minor, it.lost_us)
    verified(desk)
    desk.clock.advance(START_US + 60 * HOUR_US)
    settled = rental(desk, settle_usage(it))
    assert (settled.captured_minor, settled.due_minor, settled.held_minor) == (600, 600, 0)
    assert receipt_of(desk, it) == (BLOCKED_US, 600)
    verified(desk)


def test_r18_a_return_before_the_granted_time_costs_less(desk: Desk) -> None:
    """R18: the fee until the complaint's time is the most that is charged: a return at 1 h costs
    300."""
    it = granted(desk)
    settled = rental(desk, settle_usage(it, START_US + HOUR_US))
    assert settled.captured_minor == 300
    verified(desk)


def test_r18_an_amount_above_the_granted_fee_is_refused(desk: Desk) -> None:
    """R18: after a granted complaint as of 2 h, the operator can capture 600 for the fee, but not
    601, in one part or in two. Damage can still be captured."""
    it = granted(desk)
    desk.clock.advance(BACK_US)
    error = refused(desk, settle(it, 601))
    assert isinstance(error, InvalidInput)
    assert "at most 600" in error.violations[0].description
    rental(desk, capture(it, 400))
    assert isinstance(refused(desk, settle(it, 201)), InvalidInput)
    rental(desk, capture(it, 1_000, Purpose.DAMAGE))
    it = rental(desk, settle(it, 200))
    assert (it.state, it.fee_captured_minor, it.captured_minor) == (State.SETTLED, 600, 1_600)
    verified(desk)


def test_r18_what_was_charged_beyond_the_time_is_given_back(desk: Desk) -> None:
    """R18: 3,750 are charged at 26.5 h while the item is out. A complaint as of 2 h is granted:
    3,150 are given back, 2,993 by the operator and 157 of the commission, and the rental goes on.
    Its settlement captures nothing more, and 600 are due."""
    it = power_bank(desk)
    desk.clock.advance(BACK_US)
    rental(desk, c.Settle(*acts.name(it), None, False))
    case = told(desk, complain(it, BLOCKED_US))
    books = Books(desk)
    case = told(desk, resolve(case, Outcome.FOR_USER))
    books.expect(GIVEN_BACK, "case.decided")
    after = stored(desk, it)
    assert (case.granted_minor, after.state, after.claim_us) == (3_150, State.ACTIVE, BLOCKED_US)
    verified(desk)
    desk.clock.advance(START_US + 30 * HOUR_US)
    settled = rental(desk, settle_usage(it))
    assert (settled.captured_minor, settled.due_minor, settled.uncollected_minor) == (3_750, 600, 0)
    verified(desk)


def test_r18_a_return_by_hand_after_a_granted_complaint(desk: Desk) -> None:
    """R18: after a granted complaint the item comes back by hand at 26.5 h: the fee is 600."""
    it = granted(desk)
    desk.clock.advance(BACK_US)
    settled = rental(desk, acts.hand_over(it, AttestationKind.BY_HAND, BACK_US))
    assert settled.captured_minor == 600
    verified(desk)


# -- after the return ------------------------------------------------------------------------------


@pytest.mark.parametrize("by_time", [False, True])
def test_r18_a_complaint_is_granted_after_the_return(desk: Desk, by_time: bool) -> None:
    """R18: the item comes back at 26.5 h, before the complaint as of 2 h is decided, and 3,750 are
    charged. If the complaint is then granted, or nobody answers it, 3,150 are given back and 600
    stay due."""
    it, case = blocked(desk)
    desk.clock.advance(BACK_US)
    settled = rental(desk, settle_usage(it))
    assert settled.due_minor == 3_750
    books = Books(desk)
    if by_time:
        case = over(desk, case, BLOCKED_US + CLOCK_US)
    else:
        case = told(desk, resolve(case, Outcome.FOR_USER))
    books.expect(GIVEN_BACK, *DUNNED[:by_time], f"case.decided{'_by_time' * by_time}")
    after = stored(desk, it)
    assert (case.granted_minor, after.due_minor, after.claim_us) == (3_150, 600, None)
    assert (after.state, after.custody) == (State.SETTLED, Custody.IN_STATION)
    verified(desk)


def test_r18_a_complaint_with_a_time_after_the_return(desk: Desk) -> None:
    """R18: after the return at 26.5 h the user says that the cabinet was full at 2 h. If that is
    granted, 3,150 are given back. An amount beside the time is refused, and so is a time older than
    the policy's report window."""
    it = power_bank(desk)
    desk.clock.advance(BACK_US)
    rental(desk, settle_usage(it))
    error = refused(desk, complain(it, BLOCKED_US, minor=600))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].field == "amount"
    case = told(desk, complain(it, BLOCKED_US))
    assert told(desk, resolve(case, Outcome.FOR_USER)).granted_minor == 3_150
    assert stored(desk, it).due_minor == 600
    desk.clock.advance(START_US + 91 * DAY_US)
    assert isinstance(refused(desk, complain(it, START_US)), InvalidInput)
    verified(desk)


# -- loss ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["grant", "loss"])
@pytest.mark.parametrize("told_lost", [False, True])
def test_r18_a_granted_complaint_bounds_the_fee_of_a_lost_item(
    desk: Desk, first: str, told_lost: bool
) -> None:
    """R18: a complaint as of 2 h is granted before or after the item counts as lost. In either
    order 600 are due and the item is missing. A later report that it was docked at 1 h leaves 300
    due."""
    it, case = blocked(desk)
    desk.clock.advance(BLOCKED_US + CLOCK_US - 1)
    case = told(desk, evidence(case, Side.OPERATOR))
    if first == "grant":
        told(desk, resolve(case, Outcome.FOR_USER), caller=PLATFORM)
    after = acts.woken(desk, it, it.due_us or 0)
    assert after.state is State.OVERDUE
    if told_lost:
        rental(desk, acts.lost(it))
    else:
        acts.woken(desk, it, after.lost_us or 0)
    captured_minor = stored(desk, it).captured_minor
    assert captured_minor == (600 if first == "grant" else 9_900)
    receipt = receipt_of(desk, it)
    if first == "grant":
        assert receipt == (BLOCKED_US, 600)
    else:
        assert receipt[1] == 9_900
        told(desk, resolve(case, Outcome.FOR_USER), caller=PLATFORM)
    lost = stored(desk, it)
    assert (lost.state, lost.custody, lost.due_minor) == (State.SETTLED, Custody.MISSING, 600)
    assert lost.uncollected_minor == 0
    verified(desk)
    docked = rental(desk, acts.found(it, START_US + HOUR_US))
    assert (docked.custody, docked.due_minor) == (Custody.IN_STATION, 300)
    assert receipt_of(desk, it) == receipt
    verified(desk)


def test_r6_a_lost_item_that_appears_keeps_the_granted_time(desk: Desk) -> None:
    """R6: Ben gets the missing item after Ann's complaint as of 2 h was granted. Her fee still
    stops at 2 h. If the operator does not say when the item was docked, no more than 600 are
    due."""
    it = granted(desk)
    lost = acts.woken(desk, it, it.lost_us or 0)
    desk.clock.advance(START_US + 10 * DAY_US)
    rental(desk, authorize("ben", "power-bank", "pb-1"))
    seen = stored(desk, it)
    assert (lost.due_minor, seen.custody, seen.claim_us) == (600, Custody.UNKNOWN, BLOCKED_US)
    verified(desk)
    after = acts.woken(desk, it, seen.claim_until_us or 0)
    assert (after.custody, after.due_minor) == (Custody.IN_STATION, 600)
    assert receipt_of(desk, it) == (BLOCKED_US, 600)
    verified(desk)


# -- claims ----------------------------------------------------------------------------------------


def test_r18_a_contested_claim_keeps_the_granted_time(desk: Desk) -> None:
    """R18: after a granted complaint as of 2 h the user claims the return, and the operator
    contests the claim. The fee still stops at 2 h."""
    it = granted(desk)
    desk.clock.advance(BACK_US)
    claimed = rental(desk, acts.claim_return(it))
    assert (claimed.state, claimed.claim_us) == (State.RETURN_CLAIMED, BLOCKED_US)
    verified(desk)
    contested = rental(desk, acts.contest(it))
    assert (contested.state, contested.claim_us) == (State.ACTIVE, BLOCKED_US)
    verified(desk)
    assert rental(desk, settle_usage(it)).captured_minor == 600


def test_r18_an_earlier_claim_counts_until_it_is_contested(desk: Desk) -> None:
    """R18: after a granted complaint as of 2 h the user claims a return at 1 h, and the fee stops
    at 1 h. When the operator contests the claim, the fee stops at 2 h again."""
    it = granted(desk)
    claimed = rental(desk, c.ClaimReturn(*acts.name(it), START_US + HOUR_US, "dock-7"))
    assert claimed.claim_us == START_US + HOUR_US
    verified(desk)
    assert rental(desk, acts.contest(it)).claim_us == BLOCKED_US
    verified(desk)


def test_r18_a_complaint_while_a_return_is_claimed(desk: Desk) -> None:
    """R18: while a return is claimed, a complaint as of an earlier time is granted. The fee stops
    at that time, also when silence accepts the claim."""
    it = power_bank(desk)
    desk.clock.advance(BACK_US)
    rental(desk, acts.claim_return(it))
    case = told(desk, complain(it, BLOCKED_US, CaseKind.ITEM_AT_FAULT))
    told(desk, resolve(case, Outcome.FOR_USER))
    assert stored(desk, it).claim_us == BLOCKED_US
    verified(desk)
    accepted = acts.woken(desk, it, stored(desk, it).claim_until_us or 0)
    assert (accepted.state, accepted.due_minor) == (State.SETTLED, 600)
    verified(desk)


def test_r18_the_earliest_granted_time_counts(desk: Desk) -> None:
    """R18: of two granted complaints, as of 1 h and as of 2 h, the one with the earlier time stops
    the fee, in whichever order they are granted."""
    it = granted(desk)
    later = told(desk, complain(it, START_US + HOUR_US, CaseKind.ITEM_AT_FAULT))
    told(desk, resolve(later, Outcome.FOR_USER))
    assert stored(desk, it).claim_us == START_US + HOUR_US
    again = told(desk, complain(it, BLOCKED_US))
    told(desk, resolve(again, Outcome.FOR_USER))
    assert stored(desk, it).claim_us == START_US + HOUR_US
    verified(desk)


# -- other outcomes --------------------------------------------------------------------------------


def test_r18_a_refused_complaint_leaves_the_meter_running(desk: Desk) -> None:
    """R18: if the platform decides the complaint for the operator, the fee runs on."""
    it, case = blocked(desk)
    told(desk, resolve(case, Outcome.FOR_OPERATOR), caller=PLATFORM)
    assert stored(desk, it).claim_us is None
    assert refused(desk, complain(it)).reason == "CASE_DECIDED"
    desk.clock.advance(BACK_US)
    assert rental(desk, settle_usage(it)).captured_minor == 3_750
    verified(desk)


def test_r18_a_part_is_given_back_of_what_was_charged(desk: Desk) -> None:
    """R18: before anything was charged, no part can be granted. Then 600 are charged at 2 h, and a
    part of 200 can be granted. The fee runs on, and a claim that the operator contests does not
    stop it."""
    it, case = blocked(desk)
    assert isinstance(refused(desk, resolve(case, Outcome.IN_PART, 1)), InvalidInput)
    rental(desk, c.Settle(*acts.name(it), None, False))
    assert isinstance(refused(desk, resolve(case, Outcome.IN_PART, 601)), InvalidInput)
    assert told(desk, resolve(case, Outcome.IN_PART, 200)).granted_minor == 200
    assert stored(desk, it).claim_us is None
    rental(desk, acts.claim_return(it))
    assert rental(desk, acts.contest(it)).claim_us is None
    desk.clock.advance(BACK_US)
    settled = rental(desk, settle_usage(it))
    assert (settled.captured_minor, settled.due_minor) == (3_750, 3_550)
    verified(desk)


def test_r18_a_rental_with_a_granted_complaint_can_be_reversed(desk: Desk) -> None:
    """R18: the operator may still reverse the rental after a granted complaint."""
    it = granted(desk)
    assert rental(desk, reverse(it)).state is State.REVERSED
    verified(desk)


# -- times and refusals ----------------------------------------------------------------------------


def test_r18_an_impossible_time_is_moved_and_not_refused(desk: Desk) -> None:
    """R18: while the item is out, a time before the start counts as the start, and a time later
    than now counts as now."""
    it = power_bank(desk)
    desk.clock.advance(START_US + HOUR_US)
    case = told(desk, complain(it, START_US - DAY_US))
    assert case.occurred_us == START_US
    case = told(desk, complain(it, START_US + 5 * HOUR_US, CaseKind.ITEM_AT_FAULT))
    assert case.occurred_us == START_US + HOUR_US
    assert [gap.gap_us for gap in desk.clock_gaps] == [-DAY_US, 4 * HOUR_US]
    verified(desk)


def test_r18_a_time_before_the_report_window_counts_as_its_beginning(desk: Desk) -> None:
    """R18: a power bank is out for 100 days. A complaint as of the first day counts as of the
    beginning of the policy's window of 90 days."""
    it = rental(desk, authorize("ann", "power-bank", "pb-2"))
    for _ in range(40):
        rental(desk, acts.extend(it, 3 * DAY_US))
    desk.clock.advance(START_US + 100 * DAY_US)
    assert stored(desk, it).state is State.ACTIVE
    assert told(desk, complain(it, START_US + DAY_US)).occurred_us == START_US + 10 * DAY_US


@pytest.mark.parametrize("kind", OTHERS)
def test_r18_other_complaints_wait_for_the_return(desk: Desk, kind: CaseKind) -> None:
    """R18: while the item is out, any other complaint is refused, and the refusal names the claim
    of the return and the two complaints. With a time, any other complaint is refused after the
    return too."""
    it = power_bank(desk)
    error = refused(desk, complain(it, kind=kind))
    assert error.reason == "ILLEGAL_TRANSITION"
    for words in ("ClaimReturn", *KINDS):
        assert words in error.message
    rental(desk, settle_usage(it))
    assert isinstance(refused(desk, complain(it, START_US, kind)), InvalidInput)
    assert told(desk, complain(it, kind=kind)).occurred_us is None


@pytest.mark.parametrize("kind", KINDS)
def test_r18_a_complaint_needs_an_item_that_was_out(desk: Desk, kind: CaseKind) -> None:
    """R18: a reservation, a damage charge and a rental that never began have no item that could not
    be returned. The complaint about them, or its time, is refused."""
    reserved = rental(desk, authorize("ann", "power-bank", "pb-1", start=Start.ON_PICKUP))
    assert refused(desk, complain(reserved, kind=kind)).reason == "ILLEGAL_TRANSITION"
    rental(desk, reverse(reserved))
    assert refused(desk, complain(reserved, START_US, kind)).reason == "NEVER_OUT"
    parent = acts.charged(desk)
    charge = rental(desk, damage(parent, 800))
    assert refused(desk, complain(charge, kind=kind)).reason == "ILLEGAL_TRANSITION"
    charge = rental(desk, settle(charge, 800))
    assert refused(desk, complain(charge, START_US, kind)).reason == "DAMAGE_CHARGE"


def test_r18_no_amount_while_the_item_is_out(desk: Desk) -> None:
    """R18: while the item is out the final fee is not known, so a complaint with an amount is
    refused, with or without a time."""
    it = power_bank(desk)
    for occurred_us in (None, START_US):
        error = refused(desk, complain(it, occurred_us, minor=300))
        assert isinstance(error, InvalidInput)
        assert error.violations[0].field == "amount"
    assert open_cases(desk, it) == []


def test_r18_a_complaint_about_a_closed_charge_needs_no_time(desk: Desk) -> None:
    """R18: without a time, a complaint about a settled rental asks for an amount or for all of the
    fee, as before."""
    it = power_bank(desk)
    desk.clock.advance(BLOCKED_US)
    rental(desk, settle_usage(it))
    case = told(desk, complain(it, minor=100))
    assert (case.occurred_us, case.asked_minor) == (None, 100)
    assert told(desk, resolve(case, Outcome.FOR_USER)).granted_minor == 100
    case = told(desk, complain(it))
    assert told(desk, resolve(case, Outcome.FOR_USER)).granted_minor == 500
    assert kept(desk, case)[0].occurred_us is None
    verified(desk)
