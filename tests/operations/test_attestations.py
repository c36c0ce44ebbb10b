"""R17, PauseRental, ResumeRental, WaiveFee and returns without a dock: what an operator attests."""

from __future__ import annotations

from typing import Any

import pytest
from freehold.v1 import authorization_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select

from service.books.verify import verify_books
from service.domain import pauses, waivers
from service.domain.access import PLATFORM
from service.domain.attestations import AttestationKind
from service.domain.authorization import Authorization, Custody, State
from service.domain.captures import Purpose
from service.domain.errors import InvalidInput
from service.domain.meter import RUNNING, Meter, Pause
from service.domain.tariff import FeeItem
from service.engine import operations as c
from service.engine.calls import Attestation, Settled
from service.engine.records.attestations import AttestationRecord
from service.rpc.stored import read_payload
from service.storage import schema as t
from service.storage.database import writing
from tests.domain.lives import BIKE
from tests.engine import acts
from tests.engine.acts import DAY_US, HOUR_US, MINUTE_US, Books
from tests.engine.calls import authorize, pay, refused, rental, stored
from tests.fakes import OPERATOR, START_US, Desk
from tests.operations.call import AMOUNT, CHARGED, SAME_LINE, CallOnAuthorization, Parts, then
from tests.rpc import ready
from tests.rpc.support import START_S, Desks

NOW = Timestamp(seconds=START_S)
WORD: Parts = {
    "cause": pb.CAUSE_CABINET_FULL,
    "source": pb.SOURCE_USER,
    "evidence": "https://example.com/case?id=4711",
}
RIDING = frozenset({State.ACTIVE, State.OVERDUE})


def _says_why(_desk: Desks, request: Any) -> None:
    request.cause, request.source = pb.CAUSE_CABINET_FULL, pb.SOURCE_OPERATOR
    request.evidence = "case-4711"


def _paused(desk: Desks) -> pb.Authorization:
    it: pb.Authorization = desk.operator.call(
        "PauseRental", name=ready.active(desk).name, **WORD
    ).authorization
    return it


CALLS = (
    CallOnAuthorization(
        method="PauseRental",
        required=frozenset({"name", "cause", "source", "evidence"}),
        parts=({**WORD, "occurred_at": NOW, "resumed_at": Timestamp(seconds=START_S + 60)},),
        fill=_says_why,
        unraced=SAME_LINE,
        states=RIDING,
        rule=lambda it, n, now_us: pauses.pause(it, BIKE, RUNNING, now_us, now_us)[0],
        command=acts.pause,
        before=then(State.ACTIVE),
        behind=ready.active,
    ),
    CallOnAuthorization(
        method="ResumeRental",
        parts=({"evidence": "case-4711", "occurred_at": NOW},),
        unraced=SAME_LINE,
        states=RIDING,
        rule=lambda it, n, now_us: pauses.resume(
            it._replace(paused_us=9), BIKE, Meter((Pause(now_us, now_us + 9),)), now_us, now_us
        )[0],
        command=acts.resume,
        before=then(State.ACTIVE, lambda desk, it: rental(desk, acts.pause(it))),
        behind=_paused,
    ),
    CallOnAuthorization(
        method="WaiveFee",
        required=frozenset({"name", "cause", "source", "evidence"}),
        parts=({**WORD, **AMOUNT},),
        fill=_says_why,
        unraced=SAME_LINE,
        states=CHARGED,
        rule=lambda it, n, now_us: waivers.waive(it, BIKE, RUNNING, (), n or None, now_us)[0],
        command=acts.waive,
        before=then(State.SETTLED),
        behind=ready.settled,
    ),
)


@pytest.fixture
def city(desk: Desk) -> Desk:
    """Ann may rent on credit, and Freehold's commission is 5 %."""
    desk.put_user("ann", 800)
    with writing(desk.store.engine) as connection:
        of_city = t.operators.c.operator_id == OPERATOR
        connection.execute(t.operators.update().where(of_city).values(fee_bp=500))
    assert desk.engine.terms.follow()
    return desk


def power_bank(desk: Desk) -> Authorization:
    """A power bank that is out since the tests' clocks began: 150 for each 30 minutes, 5 free."""
    return rental(desk, authorize("ann", "power-bank", "pb-1"))


def after(desk: Desk, us: int) -> None:
    """Moves the clock to a time after the start."""
    desk.clock.advance(START_US + us)


def attested(desk: Desk, command: c.Command) -> AttestationRecord:
    """The row of the attestation that a command makes."""
    answer = desk.do(command)
    assert isinstance(answer, Attestation)
    return answer.row


def settled(desk: Desk, command: c.Command) -> Settled:
    """The answer to a settlement."""
    answer = desk.do(command)
    assert isinstance(answer, Settled)
    return answer


def verified(desk: Desk) -> None:
    """Requires that the books verify."""
    report = verify_books(desk.store.engine, read_payload=read_payload)
    assert report.fault is None, report.fault


# -- pauses -------------------------------------------------------------------------------------


def test_r17_a_pause_stops_the_meter(city: Desk) -> None:
    """R17: a rental of 2:30 with a pause of 30 minutes costs 600, like a rental of 2:00, and the
    bill has the 30 minutes."""
    it = power_bank(city)
    after(city, HOUR_US)
    rental(city, acts.pause(it))
    after(city, HOUR_US + 30 * MINUTE_US)
    rental(city, acts.resume(it))
    after(city, 2 * HOUR_US + 30 * MINUTE_US)
    answer = settled(city, acts.settle_usage(it))
    assert answer.fee is not None
    assert answer.fee.total_minor == answer.authorization.captured_minor == 600
    lines = {line.item: line.quantity for line in answer.fee.lines}
    assert lines[FeeItem.PAUSED_MINUTES] == 30
    verified(city)


@pytest.mark.parametrize(
    ("end_us", "fee_minor"),
    [
        (2 * HOUR_US + 5 * MINUTE_US, 600),
        (2 * HOUR_US + 5 * MINUTE_US + 1, 750),
        (26 * HOUR_US, 750),
        (26 * HOUR_US + 5 * MINUTE_US, 750),
        (26 * HOUR_US + 35 * MINUTE_US, 750),
        (26 * HOUR_US + 35 * MINUTE_US + 1, 900),
    ],
)
def test_r17_the_meter_runs_on_by_itself_at_the_bound(
    city: Desk, end_us: int, fee_minor: int
) -> None:
    """R17: a pause that nobody resumes lasts for the policy's 24 hours. The answer has the time at
    which the meter runs again, and the fee continues from its amount before the pause, to the
    microsecond."""
    it = power_bank(city)
    after(city, 2 * HOUR_US + 10 * MINUTE_US)
    row = attested(city, acts.pause(it))
    assert row.until_us == START_US + 26 * HOUR_US + 10 * MINUTE_US
    after(city, 30 * HOUR_US)
    answer = settled(city, acts.settle_usage(it, START_US + end_us))
    assert answer.authorization.captured_minor == fee_minor
    verified(city)


def test_r17_due_time_and_loss_move_by_the_pause(city: Desk) -> None:
    """R17: the due time and the time of loss move by a pause, and the loss is found from the fee
    itself: fee(lost - 1 µs) < 9,900 <= fee(lost)."""
    it = power_bank(city)
    assert (it.due_us, it.lost_us) == (
        START_US + 72 * HOUR_US,
        START_US + 74 * HOUR_US + 30 * MINUTE_US + 5 * 0 + 1,
    )
    due_us, lost_us = it.due_us or 0, it.lost_us or 0
    after(city, HOUR_US)
    it = rental(city, acts.pause(it))
    assert (it.due_us, it.lost_us) == (due_us + DAY_US, lost_us + DAY_US)
    after(city, 2 * HOUR_US)
    it = rental(city, acts.resume(it))
    assert (it.due_us, it.lost_us) == (due_us + HOUR_US, lost_us + HOUR_US)
    assert it.paused_us == HOUR_US
    lost = acts.woken(city, it, it.lost_us or 0)
    assert (lost.custody, lost.captured_minor) == (Custody.MISSING, 9_900)
    at_us = it.lost_us or 0
    early = city.do(acts.found(lost, at_us - 1))
    assert stored(city, lost).conceded_minor > 0, early
    verified(city)


def test_r17_a_pause_may_be_reported_late(city: Desk) -> None:
    """R17: a pause is backdated within the report window, and an OVERDUE rental becomes ACTIVE if
    its due time moves beyond now."""
    it = power_bank(city)
    it = acts.woken(city, it, it.due_us or 0)
    assert it.state is State.OVERDUE
    from_us = START_US + 70 * HOUR_US
    it = rental(city, acts.pause(it, from_us))
    assert (it.state, it.due_us) == (State.ACTIVE, START_US + 96 * HOUR_US)
    it = rental(city, acts.resume(it, START_US + 71 * HOUR_US))
    assert it.due_us == START_US + 73 * HOUR_US
    verified(city)


@pytest.mark.parametrize("early_us", [1, MINUTE_US, MINUTE_US + 1, 2 * HOUR_US])
def test_r17_a_pause_before_the_start_begins_at_the_start(city: Desk, early_us: int) -> None:
    """R17: if a pause is reported to begin before the rental's start, it begins at the start. If
    the rental is paused until 1:00 and settled at 2:00, the fee is that of 1 hour, 300."""
    it = power_bank(city)
    after(city, 2 * HOUR_US)
    assert attested(city, acts.pause(it, START_US - early_us)).event_us == START_US
    rental(city, acts.resume(it, START_US + HOUR_US))
    assert rental(city, acts.settle_usage(it)).captured_minor == 300
    verified(city)


def test_r17_a_pause_counts_at_any_age(city: Desk) -> None:
    """R17: a pause from before the policy's report window counts from its own time."""
    acts.change_terms(city, t.policies, "small-item", report_window_us=HOUR_US)
    it = power_bank(city)
    after(city, 3 * HOUR_US)
    assert attested(city, acts.pause(it, START_US + HOUR_US)).event_us == START_US + HOUR_US
    assert rental(city, acts.settle_usage(it)).captured_minor == 300
    verified(city)


def test_r17_a_resume_reported_late_loses_no_item_at_once(city: Desk) -> None:
    """R17: if a late report of a resume moves the time of loss into the past, the item is first
    overdue for the policy's time."""
    it = power_bank(city)
    after(city, HOUR_US)
    rental(city, acts.pause(it))
    after(city, 80 * HOUR_US)
    it = rental(city, acts.resume(it, START_US + HOUR_US + 1))
    assert (it.state, it.due_us) == (State.ACTIVE, START_US + 72 * HOUR_US + 1)
    assert it.lost_us == START_US + 82 * HOUR_US
    it = acts.woken(city, it, START_US + 80 * HOUR_US)
    assert it.state is State.OVERDUE


def test_r17_pauses_are_bounded(city: Desk) -> None:
    """R17: all pauses of a rental last at most the policy's time, and their number is bounded."""
    acts.change_terms(city, t.policies, "small-item", pause_limit_us=HOUR_US, most_pauses=2)
    it = power_bank(city)
    rental(city, acts.pause(it))
    assert refused(city, acts.pause(it)).reason == "ALREADY_PAUSED"
    after(city, 20 * MINUTE_US)
    rental(city, acts.resume(it))
    assert refused(city, acts.resume(it)).reason == "NOT_PAUSED"
    row = attested(city, acts.pause(it))
    assert row.until_us == START_US + HOUR_US
    after(city, 30 * MINUTE_US)
    it = rental(city, acts.resume(it))
    assert it.paused_us == 30 * MINUTE_US
    error = refused(city, acts.pause(it))
    assert (error.reason, "2 pauses, of 60 minutes in all" in str(error)) == (
        "PAUSE_LIMIT_REACHED",
        True,
    )
    verified(city)


def test_r17_a_pause_without_length_counts(city: Desk) -> None:
    """R17: a pause that is resumed at the instant of its beginning still counts as one of the
    pauses that the policy allows."""
    acts.change_terms(city, t.policies, "small-item", most_pauses=2)
    it = power_bank(city)
    after(city, 10 * MINUTE_US)
    for _ in range(2):
        rental(city, acts.pause(it, START_US + 5 * MINUTE_US))
        it = rental(city, acts.resume(it, START_US + 5 * MINUTE_US))
    assert it.paused_us == 0
    assert refused(city, acts.pause(it)).reason == "PAUSE_LIMIT_REACHED"
    verified(city)


def test_r17_a_pause_without_length_bounds_no_other(city: Desk) -> None:
    """R17: if a pause is reported to begin before a pause without length, it continues beyond the
    pause without length."""
    it = power_bank(city)
    after(city, 10 * MINUTE_US)
    rental(city, acts.pause(it))
    rental(city, acts.resume(it))
    row = attested(city, acts.pause(it, START_US))
    assert (row.event_us, row.until_us) == (START_US, START_US + DAY_US)
    verified(city)


def test_r17_a_pause_reported_after_a_later_pause_counts(city: Desk) -> None:
    """R17: there are two pauses, 1:00 to 1:50 and 2:00 to 2:10, and the later one is reported
    first. At 3:00 the fee is 600, the fee of 2 hours. It is the same in the order of time."""
    it = power_bank(city)
    after(city, 3 * HOUR_US)
    hour_us = START_US + HOUR_US
    rental(city, acts.pause(it, hour_us + HOUR_US))
    rental(city, acts.resume(it, hour_us + HOUR_US + 10 * MINUTE_US))
    row = attested(city, acts.pause(it, hour_us))
    assert (row.event_us, row.until_us) == (hour_us, hour_us + HOUR_US)
    it = rental(city, acts.resume(it, hour_us + 50 * MINUTE_US))
    assert it.paused_us == HOUR_US
    it = rental(city, acts.settle_usage(it))
    assert it.captured_minor == 600
    verified(city)


def test_r17_an_earlier_pause_ends_where_a_later_pause_begins(city: Desk) -> None:
    """R17: no time is paused twice. If nobody ends a pause that is reported later, it lasts until
    the known pause begins: 60 and 10 minutes. A resume within the known one is refused."""
    it = power_bank(city)
    after(city, 3 * HOUR_US)
    hour_us = START_US + HOUR_US
    rental(city, acts.pause(it, hour_us + HOUR_US))
    rental(city, acts.resume(it, hour_us + HOUR_US + 10 * MINUTE_US))
    it = rental(city, acts.pause(it, hour_us))
    assert it.paused_us == 70 * MINUTE_US
    error = refused(city, acts.resume(it, hour_us + 65 * MINUTE_US))
    assert (error.reason, "where another began" in str(error)) == ("NOT_PAUSED", True)
    # A third one fits in between by its own resume.
    rental(city, acts.pause(it, START_US + 30 * MINUTE_US))
    rental(city, acts.resume(it, START_US + 40 * MINUTE_US))
    it = rental(city, acts.resume(it, hour_us + 50 * MINUTE_US))
    assert it.paused_us == (10 + 50 + 10) * MINUTE_US
    it = rental(city, acts.settle_usage(it))
    assert it.captured_minor == 600
    verified(city)


def test_r17_a_used_up_time_allows_no_other_pause(city: Desk) -> None:
    """R17: after a pause that ended at the bound there is nothing to resume and no time left."""
    it = power_bank(city)
    rental(city, acts.pause(it))
    after(city, DAY_US)
    error = refused(city, acts.resume(it))
    assert (error.reason, "bound" in str(error)) == ("NOT_PAUSED", True)
    assert refused(city, acts.pause(it)).reason == "PAUSE_LIMIT_REACHED"
    # A late report may still say that it ended earlier.
    it = rental(city, acts.resume(it, START_US + HOUR_US))
    assert it.paused_us == HOUR_US


def test_r17_a_pause_begins_after_the_last_one(city: Desk) -> None:
    """R17: no time is paused twice: if a pause is reported to begin within the previous pause, it
    begins at the end of the previous one."""
    it = power_bank(city)
    rental(city, acts.pause(it))
    after(city, HOUR_US)
    rental(city, acts.resume(it))
    row = attested(city, acts.pause(it, START_US + 10 * MINUTE_US))
    assert row.event_us == START_US + HOUR_US
    verified(city)


def test_r17_a_claim_during_a_pause(city: Desk) -> None:
    """R17: a return that is claimed during a pause costs the fee until the pause began, also when
    the operator is silent."""
    it = power_bank(city)
    after(city, 2 * HOUR_US)
    rental(city, acts.pause(it))
    after(city, 5 * HOUR_US)
    it = rental(city, acts.claim_return(it))
    excess = refused(city, acts.capture(it, 601))
    assert isinstance(excess, InvalidInput)
    it = acts.woken(city, it, it.claim_until_us or 0)
    assert (it.state, it.captured_minor) == (State.SETTLED, 600)
    verified(city)


def test_r17_a_paused_rental_in_the_way_of_another(city: Desk) -> None:
    """R17: a claimed return that ends because its hold is in the way costs the fee without the
    pause."""
    city.do(c.SetLimit("ann", acts.money(9_900)), caller=PLATFORM)
    it = power_bank(city)
    after(city, 2 * HOUR_US)
    rental(city, acts.pause(it))
    after(city, 5 * HOUR_US)
    rental(city, acts.claim_return(it))
    after(city, 60 * HOUR_US)
    assert rental(city, authorize("ann", "umbrella")).state is State.ACTIVE
    assert stored(city, it).captured_minor == 600
    verified(city)


def test_r17_an_item_found_after_a_paused_rental(city: Desk) -> None:
    """R17: a lost item that is found is charged the fee without the pause."""
    it = power_bank(city)
    after(city, HOUR_US)
    rental(city, acts.pause(it))
    after(city, 2 * HOUR_US)
    it = rental(city, acts.resume(it))
    it = acts.woken(city, it, it.lost_us or 0)
    it = rental(city, acts.found(it, START_US + 3 * HOUR_US))
    assert (it.captured_minor - it.conceded_minor, it.fee_minor) == (600, 30)
    verified(city)


def test_r17_an_item_that_appears_after_a_paused_rental(city: Desk) -> None:
    """R17: when nobody says when an item that appeared was docked, the fee is without the pause."""
    city.put_user("ben", 800)
    it = power_bank(city)
    rental(city, acts.pause(it))
    after(city, 24 * HOUR_US)
    it = stored(city, it)
    lost_us = it.lost_us or 0
    it = acts.woken(city, it, lost_us)
    rental(city, authorize("ben", "power-bank", "pb-1"))
    it = acts.woken(city, it, lost_us + 2 * DAY_US)
    assert (it.custody, it.captured_minor - it.conceded_minor) == (Custody.IN_STATION, 3_000)
    verified(city)


# -- waivers ------------------------------------------------------------------------------------


def test_r17_a_waived_fee_settles_at_zero(city: Desk) -> None:
    """R17: an item at fault: the whole fee is waived beforehand, so the rental settles at 0, and so
    does the commission."""
    it = power_bank(city)
    after(city, HOUR_US)
    row = attested(city, acts.waive(it))
    assert (row.amount_minor, row.pending_minor) == (9_900, 9_900)
    after(city, 2 * HOUR_US)
    error = refused(city, acts.capture(it, 1))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "amount.waived"
    answer = settled(city, acts.settle_usage(it))
    assert answer.fee is not None
    assert (answer.fee.total_minor, answer.fee.lines[-1].amount_minor) == (0, -600)
    it = answer.authorization
    assert (it.state, it.captured_minor, it.fee_minor, it.uncollected_minor) == (
        *(State.SETTLED, 0, 0),
        0,
    )
    verified(city)


def test_r17_a_waived_part_lowers_the_fee(city: Desk) -> None:
    """R17: 200 of a fee of 600 are waived before the settlement. Then 400 is captured, with a
    commission of 20. At most the fee until now can be waived."""
    it = power_bank(city)
    after(city, 2 * HOUR_US)
    error = refused(city, acts.waive(it, 601))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "amount.exceeds_fee"
    rental(city, acts.waive(it, 200))
    assert isinstance(refused(city, acts.waive(it, 401)), InvalidInput)
    it = Books(city).step(
        acts.settle_usage(it),
        [
            ("line", "drawn / held", 400),
            ("money", "receivable / operator_payable", 380),
            ("money", "receivable / fee_income", 20),
            ("line", "available / held", 9_500),
        ],
        "authorization.settled",
    )
    verified(city)


def test_r17_a_waiver_after_the_settlement_lowers_the_due_amount(city: Desk) -> None:
    """R17: a fee of 600 that is due is waived afterwards: operator_payable 570, fee_income 30 /
    receivable 600, and the correction cites the capture of the fee."""
    it = power_bank(city)
    after(city, 2 * HOUR_US)
    it = rental(city, acts.settle_usage(it))
    it = Books(city).step(
        acts.waive(it),
        [
            ("money", "operator_payable / receivable", 570),
            ("money", "fee_income / receivable", 30),
            ("line", "available / drawn", 600),
        ],
        "authorization.fee_waived",
    )
    assert (it.due_minor, it.conceded_minor, it.fee_minor) == (0, 600, 0)
    with city.store.engine.connect() as connection:
        (row,) = connection.execute(select(t.corrections)).mappings()
    told = (row["transition"], row["capture"], row["conceded_minor"], row["reason"])
    assert told == ("authorization.fee_waived", 1, 600, "ITEM_AT_FAULT")
    assert refused(city, acts.waive(it)).reason == "NOTHING_TO_WAIVE"
    verified(city)


def test_r17_a_waiver_of_a_paid_fee_is_owed_back(city: Desk) -> None:
    """R17: of a paid fee of 600 a part of 250 is waived: it is owed back, and the operator gets the
    commission on it back."""
    it = power_bank(city)
    after(city, 2 * HOUR_US)
    it = rental(city, acts.settle_usage(it))
    it = rental(city, pay(it, 600), caller="platform")
    assert isinstance(refused(city, acts.waive(it, 601)), InvalidInput)
    it = rental(city, acts.waive(it, 250))
    assert (it.refund_payable_minor, it.refunded_minor, it.fee_minor) == (250, 250, 17)
    verified(city)


def test_r17_only_the_fee_is_waived(city: Desk) -> None:
    """R17: a waiver takes nothing of what was captured for damage."""
    it = power_bank(city)
    after(city, 2 * HOUR_US)
    rental(city, acts.capture(it, 5_000, Purpose.DAMAGE))
    rental(city, acts.capture(it, 300))
    row = attested(city, acts.waive(it))
    assert (row.amount_minor, row.pending_minor) == (9_900, 9_600)
    it = rental(city, acts.settle_usage(it))
    assert (it.captured_minor, it.conceded_minor, it.due_minor) == (5_300, 300, 5_000)
    verified(city)


def test_r17_a_lost_item_is_charged_all_the_same(city: Desk) -> None:
    """R17: a waiver applies only to the fee. A lost item still costs 9,900; when it is found, the
    waived part is given back with the excess."""
    it = power_bank(city)
    after(city, 2 * HOUR_US)
    it = rental(city, acts.waive(it, 200))
    it = acts.woken(city, it, it.lost_us or 0)
    assert (it.custody, it.captured_minor) == (Custody.MISSING, 9_900)
    assert refused(city, acts.waive(it)).reason == "NOT_RETURNED"
    it = rental(city, acts.found(it, START_US + 3 * HOUR_US))
    assert it.captured_minor - it.conceded_minor == 900 - 200
    verified(city)


def test_r17_a_late_report_counts_every_waiver(city: Desk) -> None:
    """R17: 1,000 of a fee of 3,750 were waived. A late report lowers the fee to 1,200, so 200 are
    left."""
    it = power_bank(city)
    after(city, 26 * HOUR_US + 30 * MINUTE_US)
    it = rental(city, acts.settle_usage(it))
    assert it.captured_minor == 3_750
    it = rental(city, acts.waive(it, 1_000))
    it = rental(city, acts.found(it, START_US + 4 * HOUR_US))
    assert it.captured_minor - it.conceded_minor == 200
    verified(city)


# -- returns without a dock ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AttestationKind.BY_POST, AttestationKind.BY_HAND])
def test_r17_a_return_without_a_dock_is_backdated(city: Desk, kind: AttestationKind) -> None:
    """R17: a return by post or by hand is billed until the hand-over, 600 at 2:00, however late it
    is reported. Its kind and evidence are kept."""
    it = power_bank(city)
    after(city, 50 * HOUR_US)
    handed_us = START_US + 2 * HOUR_US
    answer = settled(city, acts.hand_over(it, kind, handed_us))
    it, row = answer.authorization, answer.handover
    assert row is not None
    assert (it.state, it.captured_minor, it.custody) == (State.SETTLED, 600, Custody.IN_STATION)
    assert (row.kind, row.evidence, row.event_us) == (kind, "parcel-1", handed_us)
    with city.store.engine.connect() as connection:
        (kept,) = connection.execute(select(t.attestations)).mappings()
    assert (kept["kind"], kept["authorization_version"]) == (str(kind), it.version)
    verified(city)


def test_r17_a_docked_return_has_no_row(city: Desk) -> None:
    """R17: a docked return writes no attestation."""
    it = power_bank(city)
    assert settled(city, acts.settle_usage(it)).handover is None
    with city.store.engine.connect() as connection:
        assert connection.execute(select(t.attestations)).all() == []


@pytest.mark.parametrize("kind", [AttestationKind.BY_POST, AttestationKind.BY_HAND])
def test_r17_a_return_by_post_counts_at_any_age(city: Desk, kind: AttestationKind) -> None:
    """R17: a hand-over from before the policy's report window is billed until the hand-over: 600 at
    2:00, told at 26:30."""
    acts.change_terms(city, t.policies, "small-item", report_window_us=DAY_US)
    it = power_bank(city)
    after(city, 26 * HOUR_US + 30 * MINUTE_US)
    it = rental(city, acts.hand_over(it, kind, START_US + 2 * HOUR_US))
    assert (it.state, it.captured_minor) == (State.SETTLED, 600)
    verified(city)
