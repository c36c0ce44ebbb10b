"""R8, R10: each capture is a row with a purpose, and corrections cite one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody, Start
from service.domain.captures import Purpose
from service.domain.errors import BusinessReferenceReused, InvalidInput
from service.domain.transitions import Transition
from service.engine.calls import Corrected, Settled
from service.engine.operations import (
    Authorize,
    Command,
    ForgiveCharge,
    Item,
    ReportFound,
    ResolveChargeBack,
    ResolveDispute,
    Settle,
)
from service.engine.records.captures import CaptureRecord, CorrectionRecord
from service.engine.tables import CAPTURES, CORRECTIONS
from service.storage import admin
from tests.engine import acts
from tests.engine.acts import DAY_US, HOUR_US, Books
from tests.engine.calls import authorize, balances, pay, refused, rental, stored
from tests.fakes import START_US, Desk
from tests.rows import read

ON_BOTH = "corrections are read by statements of their own"

FEE, DAMAGE, PENALTY = Purpose.FEE, Purpose.DAMAGE, Purpose.PENALTY
FIVE = "five"
"""An operator whose commission is 5 %."""
BY_AUTHORIZATION = ("user_id", "authorization_id")


def short_rental() -> Authorize:
    """A power bank for an hour; afterwards the rental is overdue."""
    return Authorize(
        "ann", (Item("power-bank", ""),), Start.IMMEDIATE, (), rental_period_us=HOUR_US
    )


@pytest.fixture
def out(desk: Desk) -> Authorization:
    """A power bank that is out, with 9,900 held on credit, of an operator with 5 % commission."""
    admin.create_operator(desk.store.engine, FIVE, "Five", 500, START_US)
    desk.put_user("ann", 700)
    it = rental(desk, short_rental(), caller=FIVE)
    assert (it.held_credit_minor, it.held_cash_minor) == (9_900, 0)
    return it


def captures(desk: Desk, it: Authorization) -> list[CaptureRecord]:
    """The stored captures of an authorization, the oldest first."""
    with desk.store.begin() as transaction:
        found = read(transaction, CAPTURES, [acts.name(it)], BY_AUTHORIZATION)
    return [found[key] for key in sorted(found)]


def corrections(desk: Desk, it: Authorization) -> list[CorrectionRecord]:
    """The stored corrections of an authorization, the oldest first."""
    with desk.store.begin() as transaction:
        found = read(transaction, CORRECTIONS, [acts.name(it)], BY_AUTHORIZATION)
    return [found[key] for key in sorted(found)]


def plain(rows: list[CaptureRecord]) -> list[tuple[int, Purpose, int, int, int]]:
    """The rows of captures without times and references."""
    return [
        (row.number, row.purpose, row.amount_minor, row.conceded_minor, row.disputed_minor)
        for row in rows
    ]


def damaged(desk: Desk, it: Authorization, amount_minor: int = 5_000) -> Authorization:
    """The rental after a capture for damage."""
    return rental(desk, acts.capture(it, amount_minor, DAMAGE), caller=FIVE)


def lost(desk: Desk, it: Authorization) -> Authorization:
    """The rental after its item was reported as lost, two hours after the start."""
    desk.clock.advance(START_US + 2 * HOUR_US)
    return rental(desk, acts.lost(it), caller=FIVE)


def test_r8_damage_then_usage(desk: Desk, out: Authorization) -> None:
    """R8: damage 5,000 not final posts drawn 5,000 / held, receivable 5,000 / operator_payable
    4,750 and fee_income 250. A usage of 600, final, posts drawn 600 / held, avail 4,300 / held,
    receivable 600 / operator_payable 570 and fee_income 30."""
    books = Books(desk)
    rows = [
        ("line", "drawn / held", 5_000),
        ("money", "receivable / operator_payable", 4_750),
        ("money", "receivable / fee_income", 250),
    ]
    it = books.step(acts.capture(out, 5_000, DAMAGE), rows, "authorization.captured", caller=FIVE)
    assert (it.captured_minor, it.fee_captured_minor, it.held_minor) == (5_000, 0, 4_900)
    desk.clock.advance(START_US + 2 * HOUR_US)
    rows = [
        ("line", "drawn / held", 600),
        ("money", "receivable / operator_payable", 570),
        ("money", "receivable / fee_income", 30),
        ("line", "available / held", 4_300),
    ]
    both = ("authorization.overdue", "authorization.settled")
    it = books.step(acts.settle_usage(it), rows, *both, caller=FIVE)
    assert (it.captured_minor, it.fee_captured_minor, it.uncollected_minor) == (5_600, 600, 0)
    assert plain(captures(desk, it)) == [(1, DAMAGE, 5_000, 0, 0), (2, FEE, 600, 0, 0)]


def test_r8_damage_then_lost_then_found(desk: Desk, out: Authorization) -> None:
    """R8: after damage of 5,000 a lost power bank is charged 4,900, and answer and event say that
    5,000 was not collected. When it is found at a fee of 600, the operator gives back 4,300, not
    9,300."""
    it = lost(desk, damaged(desk, out))
    assert it.custody is Custody.MISSING
    assert (it.captured_minor, it.uncollected_minor) == (9_900, 5_000)
    assert plain(captures(desk, it)) == [(1, DAMAGE, 5_000, 0, 0), (2, FEE, 4_900, 0, 0)]
    rows = [
        ("money", "operator_payable / receivable", 4_085),
        ("money", "fee_income / receivable", 215),
        ("line", "available / drawn", 4_300),
    ]
    it = Books(desk).step(
        ReportFound(*acts.name(it), reason="behind the counter"),
        rows,
        "authorization.found",
        caller=FIVE,
    )
    assert (it.conceded_minor, it.due_minor, it.uncollected_minor) == (4_300, 5_600, 0)
    assert plain(captures(desk, it)) == [(1, DAMAGE, 5_000, 0, 0), (2, FEE, 4_900, 4_300, 0)]
    (row,) = corrections(desk, it)
    assert (row.transition, row.capture, row.amount_minor) == (Transition.FOUND, 2, 4_300)
    assert row.reason == "behind the counter"


def test_r8_found_leaves_a_disputed_damage(desk: Desk, out: Authorization) -> None:
    """R8: when an item is found, only the fee is given back. A dispute about damage stays open; a
    dispute about the fee is settled as far as the fee is given back."""
    it = lost(desk, damaged(desk, out))
    it = rental(desk, acts.dispute(it, 5_000, 1), caller=PLATFORM)
    it = rental(desk, acts.dispute(it, 4_000, 2), caller=PLATFORM)
    it = rental(desk, acts.found(it), caller=FIVE)
    assert (it.conceded_minor, it.disputed_minor, it.due_minor) == (4_300, 5_600, 0)
    assert plain(captures(desk, it)) == [(1, DAMAGE, 5_000, 0, 5_000), (2, FEE, 4_900, 4_300, 600)]


def test_r8_found_refunds_a_paid_fee_beside_a_disputed_damage(
    desk: Desk, out: Authorization
) -> None:
    """R8: if the fee was paid and the damage is disputed, the excess of the fee is refunded, and
    nothing of the damage is lowered."""
    it = lost(desk, damaged(desk, out))
    it = rental(desk, pay(it, 4_900), caller=PLATFORM)
    it = rental(desk, acts.dispute(it, 5_000, 1), caller=PLATFORM)
    it = rental(desk, acts.found(it), caller=FIVE)
    assert (it.refunded_minor, it.disputed_minor, it.lowered_minor) == (4_300, 5_000, 0)
    assert plain(captures(desk, it)) == [(1, DAMAGE, 5_000, 0, 5_000), (2, FEE, 4_900, 4_300, 0)]


def test_r8_found_lowers_a_disputed_fee_beside_a_due_damage(desk: Desk, out: Authorization) -> None:
    """R8: if the whole fee is disputed and the damage is due, the excess is taken from the dispute,
    and the damage stays due."""
    it = lost(desk, damaged(desk, out))
    it = rental(desk, acts.dispute(it, 4_900, 2), caller=PLATFORM)
    it = rental(desk, acts.found(it), caller=FIVE)
    assert (it.due_minor, it.disputed_minor, it.lowered_minor) == (5_000, 600, 4_300)
    assert plain(captures(desk, it)) == [(1, DAMAGE, 5_000, 0, 0), (2, FEE, 4_900, 4_300, 600)]


def test_r8_a_claim_bounds_only_the_fee(desk: Desk, out: Authorization) -> None:
    """R8: while a return is claimed, captures for the fee are at most the fee at the claim.
    Captures for damage and penalties are not bounded by this fee, and do not count toward it."""
    desk.clock.advance(START_US + 2 * HOUR_US)
    it = rental(desk, acts.claim_return(out), caller=FIVE)
    it = damaged(desk, it, 3_000)
    it = rental(desk, acts.capture(it, 1_000, PENALTY), caller=FIVE)
    error = refused(desk, acts.capture(it, 601), caller=FIVE)
    assert isinstance(error, InvalidInput)
    it = rental(desk, acts.capture(it, 600, final=True), caller=FIVE)
    assert (it.captured_minor, it.other_captured_minor) == (4_600, 4_000)


def test_r8_a_claim_that_is_not_contested(desk: Desk, out: Authorization) -> None:
    """R8: an accepted claim captures the fee beside the damage, and says what the hold did not
    cover."""
    desk.clock.advance(START_US + 2 * HOUR_US)
    it = rental(desk, acts.claim_return(damaged(desk, out, 9_500)), caller=FIVE)
    it = acts.woken(desk, it, desk.clock.now_us() + 48 * HOUR_US)
    assert (it.captured_minor, it.fee_captured_minor, it.uncollected_minor) == (9_900, 400, 200)


def test_r8_all_captures_are_within_the_hold(desk: Desk, out: Authorization) -> None:
    """R8: captures of all purposes together are at most the held amount. If the usage costs more,
    the answer has the uncollected amount; if the caller names a larger amount, the call is
    refused."""
    it = rental(desk, acts.capture(out, 9_500, PENALTY), caller=FIVE)
    for purpose in (None, DAMAGE, PENALTY):
        error = refused(desk, acts.capture(it, 401, purpose), caller=FIVE)
        assert isinstance(error, InvalidInput)
        assert error.violations[0].rule == "amount.exceeds_hold"
    desk.clock.advance(START_US + 2 * HOUR_US)
    answer = desk.do(acts.settle_usage(it), caller=FIVE)
    assert isinstance(answer, Settled)
    assert (answer.authorization.uncollected_minor, answer.capture) == (200, captures(desk, it)[1])
    assert answer.fee is not None
    assert answer.fee.total_minor == 600


def test_r8_a_later_capture_collects_the_rest(desk: Desk, out: Authorization) -> None:
    """R8: a later capture for the fee lowers the amount that a settlement could not collect."""
    it = rental(desk, acts.capture(out, 9_500, PENALTY), caller=FIVE)
    desk.clock.advance(START_US + 2 * HOUR_US)
    it = rental(desk, Settle(*acts.name(it), None, False), caller=FIVE)
    assert (it.uncollected_minor, it.held_minor) == (200, 0)
    it = rental(desk, acts.increment(it, 300), caller=FIVE)
    it = rental(desk, acts.capture(it, 150), caller=FIVE)
    assert it.uncollected_minor == 50


def test_r8_the_usage_is_a_fee(desk: Desk, out: Authorization) -> None:
    """R8: a settlement by usage is for the fee, and a damage charge is not."""
    command = Settle(*acts.name(out), None, True, None, DAMAGE)
    error = refused(desk, command, caller=FIVE)
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "purpose.usage"


ACTS: dict[str, Callable[[Authorization, int, int | None], Command]] = {
    "lower": acts.lower, "refund": acts.refund, "dispute": acts.dispute,
}  # fmt: skip


@pytest.mark.parametrize("what", ACTS)
def test_r8_a_correction_cites_a_capture(desk: Desk, out: Authorization, what: str) -> None:
    """R8: lowering, a refund and a dispute concern the cited capture. A capture that does not
    exist, or has less left, is refused, and the error names the field."""
    it = rental(desk, acts.capture(damaged(desk, out), 600, final=True), caller=FIVE)
    caller = PLATFORM if what == "dispute" else FIVE
    if what == "refund":
        it = rental(desk, pay(it, 5_600), caller=PLATFORM)
    act = ACTS[what]
    for amount_minor, number, rule in (
        (100, 3, "capture.unknown"),
        (601, 2, "capture.exceeded"),
        (100, 0, "capture.unknown"),
    ):
        error = refused(desk, act(it, amount_minor, number), caller=caller)
        assert isinstance(error, InvalidInput)
        assert [(found.field, found.rule) for found in error.violations] == [("capture", rule)]
    it = rental(desk, act(it, 700, 1), caller=caller)
    it = rental(desk, act(it, 600, 2), caller=caller)
    both = [row[3:] for row in plain(captures(desk, it))]
    assert both == ([(0, 700), (0, 600)] if what == "dispute" else [(700, 0), (600, 0)])


def test_r8_by_default_the_newest_capture_with_enough_left(desk: Desk, out: Authorization) -> None:
    """R8: without a citation the newest capture with enough left is corrected. If no single capture
    has enough left, the amount is taken from several captures, the newest first, with one row for
    each."""
    it = rental(desk, acts.capture(damaged(desk, out), 600, final=True), caller=FIVE)
    it = rental(desk, acts.lower(it, 500), caller=FIVE)
    it = rental(desk, acts.lower(it, 101), caller=FIVE)
    assert [row.conceded_minor for row in captures(desk, it)] == [101, 500]
    answer = desk.do(acts.lower(it, 4_999, reason="all of it", reference="case-7"), caller=FIVE)
    assert isinstance(answer, Corrected)
    rows = [(row.number, row.capture, row.conceded_minor) for row in answer.corrections]
    assert rows == [(3, 2, 100), (4, 1, 4_899)]
    # The reference is that of the correction, and stands on its first row.
    assert [row.business_reference for row in answer.corrections] == ["case-7", ""]
    assert {row.reason for row in answer.corrections} == {"all of it"}
    assert answer.authorization.due_minor == 0


def test_r8_disputes_end_at_their_captures(desk: Desk, out: Authorization) -> None:
    """R8: a decision ends the dispute of each capture. If the user won, the capture is conceded;
    otherwise it is as before the dispute."""
    it = rental(desk, acts.capture(damaged(desk, out), 600, final=True), caller=FIVE)
    for number, amount_minor in ((1, 4_000), (2, 200)):
        it = rental(desk, acts.dispute(it, amount_minor, number), caller=PLATFORM)
    lost_one = ResolveDispute(*acts.name(it), False, False, "a photo")
    it = rental(desk, lost_one, caller=PLATFORM)
    assert [row[3:] for row in plain(captures(desk, it))] == [(0, 0), (0, 0)]
    it = rental(desk, acts.dispute(it, 300, 1), caller=PLATFORM)
    it = rental(desk, acts.decide_dispute(it, user_won=True, goodwill=True), caller=PLATFORM)
    assert [row[3:] for row in plain(captures(desk, it))] == [(0, 0), (0, 0)]
    it = rental(desk, acts.dispute(it, 300, 1), caller=PLATFORM)
    it = rental(desk, acts.decide_dispute(it, user_won=True), caller=PLATFORM)
    assert [row[3:] for row in plain(captures(desk, it))] == [(300, 0), (0, 0)]


def test_r8_a_capture_and_its_correction_in_one_batch(desk: Desk, out: Authorization) -> None:
    """R8: a correction sees a capture of the same batch."""
    works = [
        desk.work(acts.capture(out, 5_000, DAMAGE), caller=FIVE),
        desk.work(acts.lower(out, 300, 1), caller=FIVE),
        desk.work(acts.lower(out, 4_701, 1), caller=FIVE),
    ]
    first, second, third = desk.apply(*works)
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert isinstance(third, InvalidInput)
    assert plain(captures(desk, out)) == [(1, DAMAGE, 5_000, 300, 0)]


def test_r8_a_loss_that_time_brings_can_be_cited(desk: Desk, out: Authorization) -> None:
    """R8: a correction may cite the capture of a loss that is due and not posted yet."""
    desk.clock.advance(START_US + 30 * DAY_US)
    it = rental(desk, acts.lower(out, 900, 1), caller=FIVE)
    assert plain(captures(desk, it)) == [(1, FEE, 9_900, 900, 0)]


# -- the operator's own reference ---------------------------------------------------------------


def test_r10_a_capture_counts_once(desk: Desk, out: Authorization) -> None:
    """R10: the same capture with a fresh request id and the same business reference is refused, and
    the error names the first; without a reference it is another capture."""
    command = acts.capture(out, 1_000, DAMAGE, reference="case-1")
    it = rental(desk, command, caller=FIVE)
    error = refused(desk, command, caller=FIVE)
    assert isinstance(error, BusinessReferenceReused)
    assert error.reason == "BUSINESS_REFERENCE_REUSED"
    assert error.metadata == {"business_reference": "case-1", "capture": "1"}
    assert stored(desk, it) == it
    for _ in range(2):
        it = rental(desk, acts.capture(out, 100, DAMAGE), caller=FIVE)
    assert it.captured_minor == 1_200


def test_r10_a_correction_counts_once(desk: Desk, out: Authorization) -> None:
    """R10: a business reference is used once for a rental, by a capture, a refund or a lowered
    charge. Another rental may use the same reference."""
    it = rental(desk, acts.capture(out, 3_000, reference="case-1", final=True), caller=FIVE)
    it = rental(desk, acts.lower(it, 100, reference="case-2"), caller=FIVE)
    it = rental(desk, pay(it, 1_000), caller=PLATFORM)
    it = rental(desk, acts.refund(it, 200, reference="case-3"), caller=FIVE)
    for act in (acts.lower, acts.refund):
        for reference, first in (
            ("case-1", {"capture": "1"}),
            ("case-2", {"correction": "1"}),
            ("case-3", {"correction": "2"}),
        ):
            error = refused(desk, act(it, 50, reference=reference), caller=FIVE)
            assert error.metadata == {"business_reference": reference, **first}
    other = rental(desk, authorize("ann", "power-bank"), caller=FIVE)
    for reference in ("case-2", "case-1"):
        other = rental(desk, acts.capture(other, 10, reference=reference), caller=FIVE)
    assert other.captures == 2


def test_r10_two_in_one_batch(desk: Desk, out: Authorization) -> None:
    """R10: of two captures with one business reference in one batch the second is refused."""
    works = [desk.work(acts.capture(out, 1_000, reference="case-1"), caller=FIVE) for _ in range(2)]
    first, second = desk.apply(*works)
    assert isinstance(first, bytes)
    assert isinstance(second, BusinessReferenceReused)
    assert stored(desk, out).captured_minor == 1_000


# -- the reason ---------------------------------------------------------------------------------


def test_47_every_correction_keeps_its_reason(desk: Desk, out: Authorization) -> None:
    """47: a reason is kept with a correction and returned, with the capture and the amount."""
    it = rental(desk, acts.capture(out, 3_000, final=True), caller=FIVE)
    it = rental(desk, pay(it, 1_000), caller=PLATFORM)
    charge_back = acts.charge_back(it, 400)
    for command, caller, kind, amount_minor, conceded_minor in (
        (acts.lower(it, 100, reason="a"), FIVE, Transition.LOWERED, 100, 100),
        (acts.refund(it, 200, reason="b"), FIVE, Transition.REFUNDED, 200, 200),
        (acts.dispute(it, 300, reason="c"), PLATFORM, Transition.DISPUTE_OPENED, 300, 0),
        (ResolveDispute(*acts.name(it), True, False, "d"), PLATFORM, Transition.DISPUTE_WON,
         300, 300),
        (charge_back, PLATFORM, None, 0, 0),
        (ResolveChargeBack(*acts.name(it), False, False, "e"), PLATFORM,
         Transition.CHARGE_BACK_OVERTURNED, 400, 0),
        (acts.charge_back(it, 250, "bank-2"), PLATFORM, None, 0, 0),
        (ResolveChargeBack(*acts.name(it), True, False, "f"), PLATFORM,
         Transition.CHARGE_BACK_WON, 50, 50),
        (ForgiveCharge(*acts.name(it), "g"), PLATFORM, Transition.CHARGE_FORGIVEN, 1_600, 0),
    ):  # fmt: skip
        answer = desk.do(command, caller=caller)
        if kind is None:
            continue
        assert isinstance(answer, Corrected)
        row = answer.corrections[0]
        assert (row.transition, row.reason) == (kind, getattr(command, "reason", None))
        assert (row.amount_minor, row.conceded_minor) == (amount_minor, conceded_minor)
        assert list(answer.corrections) == corrections(desk, it)[-len(answer.corrections) :]
    assert balances(desk)[3] == 0
