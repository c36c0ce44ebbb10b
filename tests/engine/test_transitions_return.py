"""Rows of the transition table: the item comes back, or not."""

from __future__ import annotations

import pytest

from service.domain.authorization import Authorization, Collection, Custody, State
from service.domain.errors import InvalidInput
from service.domain.policy import Offer
from service.domain.tariff import FeeItem, FeeLine
from service.engine.calls import Settled
from service.storage import schema as t
from tests.engine.acts import (
    DAY_US,
    HOUR_US,
    MINUTE_US,
    Books,
    Row,
    approve,
    change_terms,
    charge_back,
    claim_return,
    contest,
    decide_charge_back,
    decide_dispute,
    dispute,
    extend,
    found,
    in_state,
    lost,
    lower,
    pay_elsewhere,
    pay_out,
    propose,
    settle_usage,
    states,
)
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    counts,
    line,
    pay,
    refused,
    rental,
    settle,
    stored,
)
from tests.fakes import START_US, Desk

LOST_US = START_US + 6 * DAY_US + 18 * 15 * MINUTE_US + 1
"""Six days at 30 yuan are 180; the nineteenth interval of the seventh makes it the cap of 199."""


def out(desk: Desk, user_id: str = "ann") -> Authorization:
    """A rental with the bike out: Ann's all on credit, Ben's half in cash."""
    it = rental(desk, authorize(user_id, "bike", "bike-7"))
    return it if it.state is State.ACTIVE else rental(desk, confirm(it))


# -- capture ---------------------------------------------------------------------------------


def test_capture_on_credit(desk: Desk) -> None:
    """A capture of r on credit with commission f posts drawn / held r, receivable /
    operator_payable r-f and fee_income f; the rest stays held."""
    it = out(desk)
    books = Books(desk)
    it = books.step(
        settle(it, 1_250, final=False),
        [
            ("line", "drawn / held", 1_250),
            ("money", "receivable / operator_payable", 1_213),
            ("money", "receivable / fee_income", 37),
        ],
        "authorization.captured",
    )
    assert states(it) == (State.ACTIVE, Custody.OUT, Collection.DUE)
    assert balances(desk) == (50_000, 30_100, 18_650, 1_250)


def test_capture_in_cash_first(desk: Desk) -> None:
    """A capture of k in cash with commission f posts deposit / operator_payable k-f, fee_income f
    first, then the credit part; the commission is rounded down on the sum."""
    it = out(desk, "ben")
    books = Books(desk)
    it = books.step(
        settle(it, 1_250, final=False),
        [
            ("money", "deposit / operator_payable", 1_213),
            ("money", "deposit / fee_income", 37),
        ],
        "authorization.captured",
    )
    assert it.collection is Collection.PAID
    it = books.step(
        settle(it, 9_000, final=False),
        [
            ("money", "deposit / operator_payable", 8_439),
            ("money", "deposit / fee_income", 261),
            ("line", "drawn / held", 300),
            ("money", "receivable / operator_payable", 291),
            ("money", "receivable / fee_income", 9),
        ],
        "authorization.captured",
    )
    assert (it.captured_minor, it.captured_credit_minor, it.fee_minor) == (10_250, 300, 307)
    assert (it.held_credit_minor, it.held_cash_minor) == (9_650, 0)


def test_captures_of_one_unit(desk: Desk) -> None:
    """The commission is rounded down on the sum: 3 % of 100 captures of one is 3."""
    it = out(desk)
    for _ in range(100):
        it = rental(desk, settle(it, 1, final=False))
    assert (it.captured_minor, it.fee_minor) == (100, 3)


# -- → SETTLED -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED])
def test_to_settled(desk: Desk, state: State) -> None:
    """→ SETTLED: the final capture and the release of the rest in one transaction: avail / held,
    deposit / refund_payable. Captures are allowed only in ACTIVE, OVERDUE and RETURN_CLAIMED."""
    change_terms(desk, t.products, "umbrella", start_fee_minor=500)
    it = in_state(desk, state, "zoe")
    it = Books(desk).step(
        settle(it, 500),
        [
            ("money", "deposit / operator_payable", 485),
            ("money", "deposit / fee_income", 15),
            ("line", "available / held", 2_950),
            ("money", "deposit / refund_payable", 2_450),
        ],
        "authorization.settled",
    )
    assert states(it) == (State.SETTLED, Custody.IN_STATION, Collection.REFUND_PENDING)
    assert (it.close_us, it.held_minor) == (desk.clock.now_us(), 0)
    assert balances(desk, "zoe") == (10_000, 10_000, 0, 0)


def test_settled_after_captures(desk: Desk) -> None:
    """The last of several captures closes the rental; settling 0 releases the rest without a
    charge."""
    it = rental(desk, settle(out(desk, "ben"), 10_000, final=False))
    books = Books(desk)
    it = books.step(settle(it, 0), [("line", "available / held", 9_900)], "authorization.settled")
    assert (it.captured_minor, it.collection) == (10_000, Collection.DUE)
    assert counts(desk)["open_items"] == 0


def usage(desk: Desk, it: Authorization, occurred_us: int | None = None) -> Settled:
    """The answer of a settlement by usage."""
    answer = desk.do(settle_usage(it, occurred_us))
    assert isinstance(answer, Settled)
    return answer


def test_settled_by_usage(desk: Desk) -> None:
    """For a settlement by usage the engine computes the fee and returns its lines."""
    it = out(desk)
    desk.clock.advance(START_US + DAY_US + 16 * MINUTE_US)
    answer = usage(desk, it)
    assert answer.fee is not None
    assert answer.fee.lines == (
        FeeLine(FeeItem.FULL_DAYS, 1, 3_000, 3_000), FeeLine(FeeItem.INTERVALS, 2, 100, 200),
    )  # fmt: skip
    assert answer.fee.total_minor == answer.authorization.captured_minor == 3_200
    assert answer.authorization.state is State.SETTLED


def test_settled_by_usage_until_the_devices_time(desk: Desk) -> None:
    """The device's time of return ends the usage and is the event time; the ledger time is now."""
    it = out(desk)
    desk.clock.advance(START_US + 2 * HOUR_US)
    books = Books(desk)
    answer = usage(desk, it, START_US + 15 * MINUTE_US)
    assert answer.authorization.captured_minor == 250
    assert books.news().ledger == {
        ("authorization.settled", START_US + 15 * MINUTE_US, START_US + 2 * HOUR_US)
    }
    assert answer.authorization.close_us == START_US + 2 * HOUR_US


def test_settled_by_usage_less_earlier_captures(desk: Desk) -> None:
    """A settlement by usage captures the fee less earlier captures."""
    it = rental(desk, settle(out(desk), 200, final=False))
    desk.clock.advance(START_US + 16 * MINUTE_US)
    answer = usage(desk, it)
    assert answer.fee is not None
    assert (answer.fee.total_minor, answer.authorization.captured_minor) == (350, 350)


def test_settled_by_usage_within_the_hold(desk: Desk) -> None:
    """A fee above the hold is captured up to the hold; the lines show the whole fee."""
    change_terms(desk, t.products, "bike", buy_out_minor=30_000, day_cap_minor=25_000)
    it = rental(desk, authorize("ann", "bike"))
    it = rental(desk, extend(it, DAY_US))
    desk.clock.advance(START_US + DAY_US)
    answer = usage(desk, it)
    assert answer.fee is not None
    assert (answer.fee.total_minor, answer.authorization.captured_minor) == (25_000, 19_900)


@pytest.mark.parametrize(("hours", "fee_minor"), [(-1, 150), (0, 150), (1, 550), (6, 2_550)])
def test_r3_a_settlement_is_billed_until_the_return_at_any_age(
    desk: Desk, hours: int, fee_minor: int
) -> None:
    """R3: a settlement with a return before the policy's window, or before the start, is not
    refused, because a refusal would keep the meter running. It bills until the return; a return
    before the start counts as the start."""
    change_terms(desk, t.policies, "bike", report_window_us=DAY_US)
    it = rental(desk, extend(out(desk), DAY_US))
    desk.clock.advance(START_US + 30 * HOUR_US)
    done = usage(desk, it, START_US + hours * HOUR_US).authorization
    assert (done.state, done.captured_minor) == (State.SETTLED, fee_minor)


# -- ACTIVE → OVERDUE ------------------------------------------------------------------------


def test_active_to_overdue(desk: Desk) -> None:
    """ACTIVE → OVERDUE by the sweeper at the exact instant: nothing is posted, the hold stays."""
    it = out(desk)
    it = Books(desk).wake(it, START_US + DAY_US, [], "authorization.overdue")
    assert states(it) == (State.OVERDUE, Custody.OUT, Collection.NONE)
    assert it.held_minor == 19_900
    assert balances(desk) == (50_000, 30_100, 19_900, 0)
    assert counts(desk)["open_items"] == 1


def test_overdue_without_the_sweeper(desk: Desk) -> None:
    """A call after the due time finds the rental OVERDUE even before the sweeper's visit."""
    it = out(desk)
    desk.clock.advance(START_US + DAY_US)
    it = Books(desk).step(
        settle(it, 0),
        [("line", "available / held", 19_900)],
        "authorization.overdue", "authorization.settled",
    )  # fmt: skip
    assert it.state is State.SETTLED


# -- a claimed return ------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.ACTIVE, State.OVERDUE])
def test_to_return_claimed(desk: Desk, state: State) -> None:
    """ACTIVE, OVERDUE → RETURN_CLAIMED: nothing is posted, and the fee stops when the claim
    arrives."""
    it = in_state(desk, state, "zoe")
    it = Books(desk).step(claim_return(it), [], "authorization.return_claimed")
    assert states(it) == (State.RETURN_CLAIMED, Custody.UNKNOWN, Collection.NONE)
    assert (it.claim_us, it.held_minor) == (desk.clock.now_us(), 5_900)
    assert it.claim_until_us == desk.clock.now_us() + 48 * HOUR_US


def test_return_claimed_settled_by_usage(desk: Desk) -> None:
    """A claimed return settled by usage gives the operator the fee at the claim, no more."""
    it = out(desk)
    desk.clock.advance(START_US + 16 * MINUTE_US)
    it = rental(desk, claim_return(it))
    desk.clock.advance(START_US + 20 * HOUR_US)
    assert isinstance(refused(desk, settle(it, 351)), InvalidInput)
    assert usage(desk, it).authorization.captured_minor == 350


@pytest.mark.parametrize(
    ("after_us", "state"), [(DAY_US - 1, State.ACTIVE), (DAY_US, State.OVERDUE)]
)
def test_return_claimed_to_active_or_overdue(desk: Desk, after_us: int, state: State) -> None:
    """RETURN_CLAIMED → ACTIVE or OVERDUE, contested in time: nothing is posted, and the fee runs as
    without a claim."""
    it = rental(desk, claim_return(out(desk)))
    desk.clock.advance(START_US + after_us)
    it = Books(desk).step(contest(it), [], "authorization.return_contested")
    assert states(it) == (state, Custody.OUT, Collection.NONE)
    assert (it.claim_us, it.claim_until_us) == (None, None)
    answer = usage(desk, it)
    assert answer.authorization.captured_minor == 3_000


def test_return_claimed_decided_by_silence(desk: Desk) -> None:
    """An uncontested claim is decided for the user at the exact instant: the fee at the claim is
    captured and the rest released, dated at that instant."""
    it = out(desk)
    desk.clock.advance(START_US + 16 * MINUTE_US)
    it = rental(desk, claim_return(it))
    until_us = START_US + 16 * MINUTE_US + 48 * HOUR_US
    it = Books(desk).wake(
        it,
        until_us,
        [
            ("line", "drawn / held", 350),
            ("money", "receivable / operator_payable", 340),
            ("money", "receivable / fee_income", 10),
            ("line", "available / held", 19_550),
        ],
        "authorization.claim_accepted",
    )
    assert states(it) == (State.SETTLED, Custody.IN_STATION, Collection.DUE)
    assert it.close_us == until_us
    assert counts(desk)["open_items"] == 0
    assert refused(desk, contest(it)).metadata == {"state": "SETTLED"}


def test_return_contested_too_late(desk: Desk) -> None:
    """A claim cannot be contested from the instant of its limit on, even before the sweeper's
    visit."""
    it = rental(desk, claim_return(out(desk)))
    desk.clock.advance(START_US + 48 * HOUR_US)
    assert refused(desk, contest(it)).metadata == {"state": "SETTLED"}
    assert stored(desk, it).state is State.SETTLED


# -- lost ------------------------------------------------------------------------------------

LOST_ON_CREDIT: list[Row] = [
    ("line", "drawn / held", 19_900),
    ("money", "receivable / operator_payable", 19_303),
    ("money", "receivable / fee_income", 597),
]
LOST_IN_BOTH: list[Row] = [
    ("money", "deposit / operator_payable", 9_652),
    ("money", "deposit / fee_income", 298),
    ("line", "drawn / held", 9_950),
    ("money", "receivable / operator_payable", 9_651),
    ("money", "receivable / fee_income", 299),
]


@pytest.mark.parametrize(("user_id", "rows"), [("ann", LOST_ON_CREDIT), ("ben", LOST_IN_BOTH)])
def test_overdue_to_settled_as_lost(desk: Desk, user_id: str, rows: list[Row]) -> None:
    """OVERDUE → SETTLED as lost by the sweeper at the instant when the fee reaches the buy-out
    cap: min(buy-out cap, authorized) is captured; custody MISSING."""
    it = out(desk, user_id)
    books = Books(desk)
    it = books.wake(it, START_US + DAY_US, [], "authorization.overdue")
    it = books.wake(it, LOST_US, rows, "authorization.lost")
    assert states(it) == (State.SETTLED, Custody.MISSING, Collection.DUE)
    assert (it.captured_minor, it.close_us) == (19_900, LOST_US)
    assert it.sold_us == LOST_US + 30 * DAY_US
    assert line(desk, user_id).held_minor == 0


def test_lost_less_earlier_captures(desk: Desk) -> None:
    """The loss captures the buy-out cap less earlier captures, and releases the rest."""
    change_terms(desk, t.products, "bike", buy_out_minor=10_000)
    it = rental(desk, settle(out(desk), 3_000, final=False))
    desk.clock.advance(START_US + DAY_US)
    it = Books(desk).step(
        lost(it),
        [
            ("line", "drawn / held", 7_000),
            ("money", "receivable / operator_payable", 6_790),
            ("money", "receivable / fee_income", 210),
            ("line", "available / held", 9_900),
        ],
        "authorization.overdue", "authorization.lost",
    )  # fmt: skip
    assert it.captured_minor == 10_000


def test_lost_by_the_operator(desk: Desk) -> None:
    """An operator may report an overdue item as lost at once, with the same postings."""
    it = in_state(desk, State.OVERDUE, "zoe")
    it = Books(desk).step(
        lost(it),
        [
            ("money", "deposit / operator_payable", 2_862),
            ("money", "deposit / fee_income", 88),
            ("line", "drawn / held", 2_950),
            ("money", "receivable / operator_payable", 2_861),
            ("money", "receivable / fee_income", 89),
        ],
        "authorization.lost",
    )
    assert states(it) == (State.SETTLED, Custody.MISSING, Collection.DUE)
    assert (it.close_us, it.sold_us) == (
        desk.clock.now_us(), desk.clock.now_us() + 30 * DAY_US,
    )  # fmt: skip


def test_missing_to_sold(desk: Desk) -> None:
    """An item MISSING for exactly 30 days is SOLD; nothing is posted."""
    it = missing(desk)
    it = rental(desk, pay(it, 19_900))
    books = Books(desk)
    assert it.sold_us is not None
    it = books.wake(it, it.sold_us, [], "authorization.sold")
    assert states(it) == (State.SETTLED, Custody.SOLD, Collection.PAID)


# -- found while MISSING ---------------------------------------------------------------------


def missing(desk: Desk, user_id: str = "ann") -> Authorization:
    """A bike reported as lost on the day it was due; 199 yuan captured."""
    it = out(desk, user_id)
    desk.clock.advance(START_US + DAY_US)
    return rental(desk, lost(it))


FOUND_US = START_US + DAY_US + 30 * MINUTE_US
"""The tariff at this return is 32 yuan: a day and two intervals."""


def dock(desk: Desk) -> Books:
    """Moves the clock to the instant of the return."""
    desk.clock.advance(FOUND_US)
    return Books(desk)


def test_found_while_due(desk: Desk) -> None:
    """Found while MISSING and due: the excess over the tariff at the return is lowered."""
    it = missing(desk)
    it = dock(desk).step(
        found(it),
        [
            ("money", "operator_payable / receivable", 16_199),
            ("money", "fee_income / receivable", 501),
            ("line", "available / drawn", 16_700),
        ],
        "authorization.found",
    )
    assert states(it) == (State.SETTLED, Custody.IN_STATION, Collection.DUE)
    assert (it.due_minor, it.fee_minor) == (3_200, 96)
    assert it.sold_us is None


def test_found_and_paid(desk: Desk) -> None:
    """Found while MISSING and paid: the excess over the tariff at the return is refunded."""
    it = rental(desk, pay(missing(desk), 19_900))
    it = dock(desk).step(
        found(it),
        [
            ("money", "operator_payable / refund_payable", 16_199),
            ("money", "fee_income / refund_payable", 501),
        ],
        "authorization.found",
    )
    assert states(it) == (State.SETTLED, Custody.IN_STATION, Collection.REFUND_PENDING)
    assert it.refund_payable_minor == 16_700


def test_found_and_written_off(desk: Desk) -> None:
    """Found while MISSING and written off: operator_payable x-f, fee_income f / recovery x."""
    it = rental(desk, propose(missing(desk)))
    it = rental(desk, approve(it))
    it = dock(desk).step(
        found(it),
        [("money", "operator_payable / recovery", 16_199), ("money", "fee_income / recovery", 501)],
        "authorization.found",
    )
    assert states(it) == (State.SETTLED, Custody.IN_STATION, Collection.WRITTEN_OFF)
    assert (it.forgiven_minor, it.unrecovered_minor) == (16_700, 3_200)


def test_found_while_due_written_off_and_paid(desk: Desk) -> None:
    """Found while partly due, written off and paid: the excess is lowered first, then recovered,
    then refunded."""
    it = rental(desk, pay(missing(desk), 10_000))
    it = rental(desk, dispute(it, 4_000))
    it = rental(desk, approve(rental(desk, propose(it))))
    it = rental(desk, decide_dispute(it, user_won=False))
    assert (it.due_minor, it.unrecovered_minor, it.paid_minor) == (4_000, 5_900, 10_000)
    it = dock(desk).step(
        found(it),
        [
            ("money", "operator_payable / receivable", 3_880),
            ("money", "fee_income / receivable", 120),
            ("line", "available / drawn", 4_000),
            ("money", "operator_payable / recovery", 5_723),
            ("money", "fee_income / recovery", 177),
            ("money", "operator_payable / refund_payable", 6_596),
            ("money", "fee_income / refund_payable", 204),
        ],
        "authorization.found",
    )
    assert (it.fee_minor, it.captured_minor - it.conceded_minor) == (96, 3_200)


def test_found_after_cash_and_credit(desk: Desk) -> None:
    """Found after the deposit was captured: the part that is due is lowered, the cash is
    refunded."""
    it = missing(desk, "ben")
    it = dock(desk).step(
        found(it),
        [
            ("money", "operator_payable / receivable", 9_651),
            ("money", "fee_income / receivable", 299),
            ("line", "available / drawn", 9_950),
            ("money", "operator_payable / refund_payable", 6_548),
            ("money", "fee_income / refund_payable", 202),
        ],
        "authorization.found",
    )
    assert (it.due_minor, it.refund_payable_minor) == (0, 6_750)


def test_found_and_disputed(desk: Desk) -> None:
    """Found while disputed: operator_payable x-f, fee_income f / receivable_disputed x; avail /
    drawn x; the rest waits for the decision."""
    it = rental(desk, dispute(missing(desk), 18_000))
    it = dock(desk).step(
        found(it),
        [
            ("money", "operator_payable / receivable", 1_843),
            ("money", "fee_income / receivable", 57),
            ("line", "available / drawn", 1_900),
            ("money", "operator_payable / receivable_disputed", 14_356),
            ("money", "fee_income / receivable_disputed", 444),
            ("line", "available / drawn", 14_800),
        ],
        "authorization.found",
    )
    assert (it.due_minor, it.disputed_minor, it.lowered_minor) == (0, 3_200, 16_700)


def test_found_and_charged_back(desk: Desk) -> None:
    """Found while charged back: operator_payable x-f, fee_income f / receivable_charged_back x; the
    person keeps the money, and it counts as refunded."""
    it = rental(desk, pay(missing(desk), 19_900))
    it = rental(desk, charge_back(it, 10_000))
    it = dock(desk).step(
        found(it),
        [
            ("money", "operator_payable / receivable_charged_back", 9_700),
            ("money", "fee_income / receivable_charged_back", 300),
            ("money", "operator_payable / refund_payable", 6_499),
            ("money", "fee_income / refund_payable", 201),
        ],
        "authorization.found",
    )
    assert (it.charged_back_minor, it.refunded_minor, it.refund_payable_minor) == (
        0, 16_700, 6_700,
    )  # fmt: skip
    assert it.in_hand_minor == 9_900
    assert refused(desk, decide_charge_back(it, user_won=True)).reason == "NOTHING_CHARGED_BACK"


def test_found_and_charged_back_in_part(desk: Desk) -> None:
    """A charge-back beyond the excess over the tariff still waits for its decision. If all of it
    comes back, the excess is owed to the person."""
    it = rental(desk, pay(missing(desk), 19_900))
    it = rental(desk, found(rental(desk, charge_back(it, 19_900))))
    assert (it.charged_back_minor, it.refund_payable_minor) == (19_900 - it.refunded_minor, 0)
    it = rental(desk, decide_charge_back(it, user_won=False))
    assert it.refundable_minor == it.captured_minor - it.conceded_minor
    assert (it.refund_payable_minor, it.in_hand_minor) == (it.conceded_minor, 19_900)


def test_found_and_recovered(desk: Desk) -> None:
    """Found after a recovery of the write-off: the person who paid it gets it back."""
    it = rental(desk, approve(rental(desk, propose(missing(desk)))))
    it = rental(desk, pay(it, 19_000))
    it = dock(desk).step(
        found(it),
        [
            ("money", "operator_payable / recovery", 873),
            ("money", "fee_income / recovery", 27),
            ("money", "operator_payable / refund_payable", 15_326),
            ("money", "fee_income / refund_payable", 474),
        ],
        "authorization.found",
    )
    assert (it.recovered_minor, it.unrecovered_minor) == (19_000, 0)
    assert (it.refunded_minor, it.refund_payable_minor, it.fee_minor) == (15_800, 15_800, 96)


def test_found_after_goodwill(desk: Desk) -> None:
    """Found after Freehold bore the charge as goodwill: operator_payable x-f, fee_income f /
    goodwill x; the operator bears the excess instead."""
    it = rental(desk, dispute(missing(desk), 19_000))
    it = rental(desk, decide_dispute(it, user_won=True, goodwill=True))
    it = dock(desk).step(
        found(it),
        [
            ("money", "operator_payable / receivable", 873),
            ("money", "fee_income / receivable", 27),
            ("line", "available / drawn", 900),
            ("money", "operator_payable / goodwill", 15_326),
            ("money", "fee_income / goodwill", 474),
        ],
        "authorization.found",
    )
    assert (it.captured_minor - it.conceded_minor, it.fee_minor) == (3_200, 96)
    assert (it.goodwill_minor, it.refund_payable_minor) == (3_200, 0)


def test_found_and_paid_elsewhere(desk: Desk) -> None:
    """Found after a payment to the operator: the excess over the tariff is owed to the person and
    can be paid out."""
    it = rental(desk, pay_elsewhere(missing(desk), 19_900))
    dock(desk)
    it = rental(desk, found(it))
    assert (it.refund_payable_minor, it.in_hand_minor) == (16_700, 16_700)
    it = rental(desk, pay_out(it, 16_700))
    assert (it.in_hand_minor, it.chargeable_back_minor) == (0, 0)


def test_found_after_a_concession(desk: Desk) -> None:
    """An amount that the operator conceded before is not given back again."""
    it = rental(desk, lower(missing(desk), 17_000))
    it = dock(desk).step(found(it), [], "authorization.found")
    assert (it.due_minor, it.custody) == (2_900, Custody.IN_STATION)


def test_found_at_the_devices_time(desk: Desk) -> None:
    """The device's time of return counts and is the event time."""
    it = missing(desk)
    books = dock(desk)
    rental(desk, found(it, START_US + DAY_US))
    happened = books.news()
    assert happened.rows[2] == ("line", "available / drawn", 16_900)
    assert happened.ledger == {("authorization.found", START_US + DAY_US, FOUND_US)}


def test_a_found_item_is_free_again(desk: Desk) -> None:
    """Once a lost item is found, it can be rented again."""
    it = missing(desk)
    rental(desk, found(it))
    assert rental(desk, authorize("cem", "umbrella", "bike-7", accept=(Offer.FULL,))).asset_id == (
        "bike-7"
    )
