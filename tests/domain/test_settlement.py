"""The exact postings of captures, claimed returns, losses, and items found again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import charge_backs, collection, concessions, hold, settlement
from service.domain.authorization import Authorization, Collection, Custody, State, Step
from service.domain.errors import IllegalState, InvalidInput, InvariantBroken
from service.domain.ledger import Account as A
from service.domain.ledger import Posting
from service.domain.tariff import DAY_US, MINUTE_US, fee
from tests.domain.lives import (
    BIKE,
    CLAIM_WINDOW_US,
    DUE_US,
    LOST_US,
    MISSING_WINDOW_US,
    NOW_US,
    PLAIN,
    TARIFF,
    capture,
    claimed,
    confirmed,
    granted,
    late,
    missing,
    moved,
    net,
    settled,
)

# -- captures --------------------------------------------------------------------------------


def test_a_final_capture_on_credit() -> None:
    """A final capture of r on credit with commission f posts drawn / held r, receivable /
    operator_payable r-f and fee_income f, and releases the rest avail / held."""
    step = settlement.settle(granted(), BIKE, 1_250, True, NOW_US + 9, NOW_US + 4)
    assert moved(step) == [
        (A.DRAWN, A.HELD, 1_250),
        (A.RECEIVABLE, A.OPERATOR_PAYABLE, 1_213),
        (A.RECEIVABLE, A.FEE_INCOME, 37),
        (A.AVAILABLE, A.HELD, 18_650),
    ]
    it = step.authorization
    assert (it.state, it.custody, it.close_us) == (State.SETTLED, Custody.IN_STATION, NOW_US + 9)
    assert (it.captured_minor, it.captured_credit_minor, it.fee_minor) == (1_250, 1_250, 37)
    assert (it.held_credit_minor, it.held_cash_minor, it.version) == (0, 0, 3)
    assert (step.transition, step.event_us) == ("authorization.settled", NOW_US + 4)


def test_a_capture_within_the_cash_part() -> None:
    """Cash is used first. A cash part of k with commission f posts deposit / operator_payable k-f
    and fee_income f, and the rest of the cash is owed back."""
    step = capture(confirmed(), 1_250, final=True)
    assert moved(step) == [
        (A.DEPOSIT, A.OPERATOR_PAYABLE, 1_213),
        (A.DEPOSIT, A.FEE_INCOME, 37),
        (A.AVAILABLE, A.HELD, 9_950),
        (A.DEPOSIT, A.REFUND_PAYABLE, 8_700),
    ]
    it = step.authorization
    assert (it.captured_minor, it.captured_credit_minor) == (1_250, 0)
    assert (it.due_minor, it.refund_payable_minor) == (0, 8_700)


def test_a_capture_over_both_parts() -> None:
    """A capture beyond the cash part takes all the cash and the remainder on credit."""
    step = capture(confirmed(), 10_000, final=True)
    assert moved(step) == [
        (A.DEPOSIT, A.OPERATOR_PAYABLE, 9_652),
        (A.DEPOSIT, A.FEE_INCOME, 298),
        (A.DRAWN, A.HELD, 50),
        (A.RECEIVABLE, A.OPERATOR_PAYABLE, 48),
        (A.RECEIVABLE, A.FEE_INCOME, 2),
        (A.AVAILABLE, A.HELD, 9_900),
    ]
    assert step.authorization.fee_minor == 300
    assert step.authorization.due_minor == 50


@pytest.mark.parametrize("it", [confirmed(), late(confirmed())], ids=lambda it: str(it.state))
def test_a_partial_capture_keeps_the_rest_held(it: Authorization) -> None:
    """A capture that is not final keeps the state and the rest of the hold."""
    step = capture(it, 10_000, final=False)
    after = step.authorization
    assert (after.state, after.custody, after.close_us) == (it.state, Custody.OUT, None)
    assert (after.held_credit_minor, after.held_cash_minor) == (9_900, 0)
    assert (after.captured_minor, after.captured_credit_minor) == (10_000, 50)
    assert step.transition == "authorization.captured"


def test_several_captures() -> None:
    """Captures add up, and the final one releases the rest."""
    first = capture(confirmed(), 4_000, final=False)
    second = capture(first.authorization, 6_000, final=False)
    assert moved(second)[0] == (A.DEPOSIT, A.OPERATOR_PAYABLE, 5_772)
    last = capture(second.authorization, 0, final=True)
    assert moved(last) == [(A.AVAILABLE, A.HELD, 9_900)]
    assert last.authorization.captured_minor == 10_000
    assert last.authorization.state is State.SETTLED


def test_all_of_the_hold_may_be_captured_and_no_more() -> None:
    """Captures together never exceed what was authorized."""
    whole = capture(confirmed(), 19_900, final=False).authorization
    assert (whole.held_credit_minor, whole.held_cash_minor) == (0, 0)
    for it, amount_minor in ((whole, 1), (confirmed(), 19_901)):
        with pytest.raises(InvalidInput) as refused:
            capture(it, amount_minor, final=True)
        assert refused.value.violations[0].rule == "amount.exceeds_hold"


def test_settling_nothing_releases_everything() -> None:
    """A final capture of zero releases everything without a charge or commission."""
    step = capture(confirmed(), 0, final=True)
    assert moved(step) == [(A.AVAILABLE, A.HELD, 9_950), (A.DEPOSIT, A.REFUND_PAYABLE, 9_950)]
    it = step.authorization
    assert (it.state, it.captured_minor, it.fee_minor) == (State.SETTLED, 0, 0)


def test_many_small_captures_cost_the_same_commission() -> None:
    """The commission is rounded down on the sum: 100 captures of 1 at 3 % cost a commission of
    3."""
    it = granted()
    for _ in range(100):
        it = capture(it, 1, final=False).authorization
    assert it.fee_minor == 3


@given(
    parts=st.lists(st.integers(0, 5_000), min_size=1, max_size=12),
    credit_minor=st.integers(0, 30_000),
    cash_minor=st.integers(0, 30_000),
    fee_bp=st.integers(0, 10_000),
)
def test_small_captures_equal_one_large(
    parts: list[int], credit_minor: int, cash_minor: int, fee_bp: int
) -> None:
    """Any split of an amount into captures gives the same commission, cash, credit and accounts as
    one capture of the whole."""
    offered = PLAIN._replace(credit_minor=credit_minor, cash_minor=cash_minor, fee_bp=fee_bp)
    it = hold.confirm(offered, BIKE, cash_minor, NOW_US).authorization
    so_far = list(itertools.accumulate(parts))
    parts = [part for part, sum_minor in zip(parts, so_far, strict=True)
             if sum_minor <= credit_minor + cash_minor]  # fmt: skip
    steps: list[Step] = []
    small = it
    for place, part in enumerate(parts):
        steps.append(capture(small, part, final=place == len(parts) - 1))
        small = steps[-1].authorization
    if not steps:
        return
    large = capture(it, sum(parts), final=True)
    assert small._replace(version=0, captures=0) == large.authorization._replace(
        version=0, captures=0
    )
    assert small.fee_minor == sum(parts) * fee_bp // 10_000
    assert net(*steps) == net(large)


def test_a_capture_after_a_concession() -> None:
    """A conceded part of an earlier capture costs no commission, whatever is captured later."""
    it = capture(granted(), 1_000, final=False).authorization
    it = collection.lower(it, 400, NOW_US).authorization
    step = capture(it, 99, final=True)
    assert step.authorization.fee_minor == (1_000 - 400 + 99) * 300 // 10_000 == 20
    assert moved(step)[:3] == [
        (A.DRAWN, A.HELD, 99), (A.RECEIVABLE, A.OPERATOR_PAYABLE, 97),
        (A.RECEIVABLE, A.FEE_INCOME, 2),
    ]  # fmt: skip


# -- the fee for the usage -------------------------------------------------------------------


def test_the_fee_for_the_usage() -> None:
    """The fee for the usage follows the tariff, from the start to the return."""
    end_us = NOW_US + 16 * MINUTE_US
    found = settlement.usage_fee(granted(), BIKE, end_us)
    assert found == fee(TARIFF, NOW_US, end_us)
    assert found.total_minor == 150 + 2 * 100


@pytest.mark.parametrize(
    ("captured_minor", "total_minor", "amount_minor"),
    [(0, 350, 350), (100, 350, 250), (350, 350, 0), (400, 350, 0), (0, 25_000, 19_900),
     (19_800, 25_000, 100)],
)  # fmt: skip
def test_the_rest_of_a_fee_is_captured(
    captured_minor: int, total_minor: int, amount_minor: int
) -> None:
    """The rest of a fee that was not captured before is captured, up to the hold."""
    it = capture(granted(), captured_minor, final=False).authorization
    assert settlement.usage_amount_minor(it, total_minor) == amount_minor


def test_no_start_means_no_fee() -> None:
    """An authorization without a start has no fee for usage."""
    with pytest.raises(InvariantBroken):
        settlement.usage_fee(PLAIN, BIKE, NOW_US)


# -- a claimed return ------------------------------------------------------------------------


@pytest.mark.parametrize("it", [granted(), late()], ids=lambda it: str(it.state))
def test_a_claim_stops_the_fee_clock(it: Authorization) -> None:
    """A claimed return posts nothing, and the fee stops when the claim arrives."""
    step = settlement.claim_return(it, BIKE, NOW_US + 20 * MINUTE_US, NOW_US + 20 * MINUTE_US)
    after = step.authorization
    assert step.postings == ()
    assert (after.state, after.custody) == (State.RETURN_CLAIMED, Custody.UNKNOWN)
    assert after.claim_us == NOW_US + 20 * MINUTE_US
    assert after.claim_until_us == after.wake_us == NOW_US + 20 * MINUTE_US + CLAIM_WINDOW_US
    assert after.held_minor == 19_900
    assert settlement.usage_fee(after, BIKE, NOW_US + 9 * DAY_US).total_minor == 350
    assert settlement.usage_fee(after, BIKE, NOW_US + MINUTE_US).total_minor == 250
    assert step.transition == "authorization.return_claimed"


@pytest.mark.parametrize(("now_us", "state"), [(DUE_US - 1, State.ACTIVE), (DUE_US, State.OVERDUE)])
def test_a_contested_claim_counts_as_never_made(now_us: int, state: State) -> None:
    """A contested claim makes the rental ACTIVE before the due time and OVERDUE after it, and the
    fee runs as without a claim."""
    step = settlement.contest_return(claimed(), now_us)
    after = step.authorization
    assert step.postings == ()
    assert (after.state, after.custody) == (state, Custody.OUT)
    assert (after.claim_us, after.claim_until_us) == (None, None)
    assert after.wake_us == (DUE_US if state is State.ACTIVE else LOST_US)
    assert settlement.usage_fee(after, BIKE, NOW_US + 20 * MINUTE_US).total_minor == 350


def test_a_silent_operator_accepts_the_claim() -> None:
    """An operator who stays silent past its limit gets the fee until the claim, dated at the
    limit."""
    it = claimed(NOW_US + 20 * MINUTE_US)
    step = settlement.accept_claim(it, BIKE)
    after = step.authorization
    until_us = NOW_US + 20 * MINUTE_US + CLAIM_WINDOW_US
    assert moved(step) == [
        (A.DRAWN, A.HELD, 350),
        (A.RECEIVABLE, A.OPERATOR_PAYABLE, 340),
        (A.RECEIVABLE, A.FEE_INCOME, 10),
        (A.AVAILABLE, A.HELD, 19_550),
    ]
    assert (after.state, after.custody) == (State.SETTLED, Custody.IN_STATION)
    assert (after.close_us, step.event_us) == (until_us, until_us)
    assert step.transition == "authorization.claim_accepted"


def test_silence_after_a_capture_above_the_fee() -> None:
    """A capture above the fee at the claim stays; silence adds nothing to it."""
    it = claimed(it=capture(granted(), 5_000, final=False).authorization)
    step = settlement.accept_claim(it, BIKE)
    assert moved(step) == [(A.AVAILABLE, A.HELD, 14_900)]
    assert step.authorization.captured_minor == 5_000


@pytest.mark.parametrize(
    ("captured_minor", "amount_minor", "passes"),
    [(0, 350, True), (0, 351, False), (300, 50, True), (300, 51, False), (400, 0, True)],
)
def test_captures_end_at_the_fee_of_the_claim(
    captured_minor: int, amount_minor: int, passes: bool
) -> None:
    """While a return is claimed, all captures together are at most the fee at the claim."""
    it = capture(granted(), captured_minor, final=False).authorization
    it = claimed(NOW_US + 20 * MINUTE_US, it)
    if passes:
        done = capture(it, amount_minor, final=True, now_us=NOW_US + DAY_US).authorization
        assert done.captured_minor == captured_minor + amount_minor
        return
    with pytest.raises(InvalidInput) as refused:
        capture(it, amount_minor, final=True, now_us=NOW_US + DAY_US)
    assert refused.value.violations[0].rule == "amount.exceeds_claim"


@pytest.mark.parametrize(
    "it", [granted(), claimed()._replace(claim_until_us=None)], ids=["active", "no limit"]
)
def test_silence_decides_only_claims(it: Authorization) -> None:
    """Without a claimed return, silence decides nothing."""
    with pytest.raises(IllegalState):
        settlement.accept_claim(it, BIKE)


# -- overdue, lost, found --------------------------------------------------------------------


def test_overdue_keeps_the_hold() -> None:
    """At the due time nothing is posted, and the hold stays."""
    step = settlement.overdue(confirmed(), BIKE)
    it = step.authorization
    assert step.postings == ()
    assert (it.state, it.custody, it.held_minor) == (State.OVERDUE, Custody.OUT, 19_900)
    assert (step.event_us, it.wake_us) == (DUE_US, LOST_US)


@pytest.mark.parametrize("it", [late(), granted()._replace(due_us=None)])
def test_only_an_active_rental_becomes_overdue(it: Authorization) -> None:
    """Only an ACTIVE rental with a due time becomes overdue."""
    with pytest.raises(IllegalState):
        settlement.overdue(it, BIKE)


@pytest.mark.parametrize(
    ("credit_minor", "captured_minor", "amount_minor", "released_minor"),
    [(19_900, 0, 19_900, 0), (19_900, 3_000, 16_900, 0), (30_000, 0, 19_900, 10_100),
     (5_000, 0, 5_000, 0), (30_000, 25_000, 0, 5_000)],
    ids=["the cap", "less what was captured", "the rest is released", "what was authorized",
         "captured more already"],
)  # fmt: skip
def test_a_lost_item_costs_the_buy_out_cap(
    credit_minor: int, captured_minor: int, amount_minor: int, released_minor: int
) -> None:
    """A loss captures min(buy-out cap, authorized) less earlier captures, and releases the rest."""
    it = hold.grant(PLAIN._replace(credit_minor=credit_minor), BIKE, NOW_US).authorization
    it = late(capture(it, captured_minor, final=False).authorization)
    step = settlement.lose(it, BIKE, LOST_US)
    after = step.authorization
    total = net(step)
    assert (total[A.DRAWN], total[A.AVAILABLE]) == (amount_minor, released_minor)
    assert after.captured_minor == captured_minor + amount_minor
    assert (after.state, after.custody) == (State.SETTLED, Custody.MISSING)
    assert (after.close_us, after.sold_us) == (LOST_US, LOST_US + MISSING_WINDOW_US)
    assert (step.transition, step.event_us) == ("authorization.lost", LOST_US)


def test_a_missing_item_is_sold_after_30_days() -> None:
    """An item that is missing for 30 days counts as sold; this posts nothing."""
    step = settlement.sell(missing())
    assert step.postings == ()
    assert step.authorization.custody is Custody.SOLD
    assert step.event_us == LOST_US + MISSING_WINDOW_US


@pytest.mark.parametrize("it", [settled(), missing()._replace(sold_us=None)])
def test_only_a_missing_item_is_sold(it: Authorization) -> None:
    """Only a missing item can count as sold."""
    with pytest.raises(IllegalState):
        settlement.sell(it)


DOCKED_US = NOW_US + 20 * MINUTE_US
"""The tariff at this return is 350: 19,550 of the buy-out cap of 19,900 are too much."""
EXCESS_MINOR = 19_550


def test_found_while_due_is_lowered() -> None:
    """If the charge of a found item is still due, it is lowered to the tariff's fee until the
    return, and nothing is owed back."""
    step = settlement.find(missing(), BIKE, DOCKED_US)
    it = step.authorization
    assert moved(step) == [
        (A.OPERATOR_PAYABLE, A.RECEIVABLE, 18_963),
        (A.FEE_INCOME, A.RECEIVABLE, 587),
        (A.AVAILABLE, A.DRAWN, EXCESS_MINOR),
    ]
    assert (it.due_minor, it.fee_minor, it.lowered_minor) == (350, 10, EXCESS_MINOR)
    assert (it.state, it.custody, it.sold_us) == (State.SETTLED, Custody.IN_STATION, None)
    assert (step.transition, step.event_us) == ("authorization.found", DOCKED_US)


def test_found_after_payment_is_refunded() -> None:
    """When a found item's charge was paid, the excess over the tariff at its return is owed
    back."""
    paid = collection.pay(missing(), 19_900, LOST_US).authorization
    step = settlement.find(paid, BIKE, DOCKED_US)
    assert moved(step) == [
        (A.OPERATOR_PAYABLE, A.REFUND_PAYABLE, 18_963),
        (A.FEE_INCOME, A.REFUND_PAYABLE, 587),
    ]
    assert step.authorization.refund_payable_minor == EXCESS_MINOR
    assert step.authorization.collection is Collection.REFUND_PENDING


def written_off(it: Authorization) -> Authorization:
    """Written off with two keys."""
    proposed = collection.propose_write_off(it, "key-1", LOST_US).authorization
    return collection.write_off(proposed, "key-2", LOST_US).authorization


def test_found_after_write_off_is_borne_by_the_operator() -> None:
    """When a found item's charge was written off, the operator bears the excess over the tariff at
    its return."""
    step = settlement.find(written_off(missing()), BIKE, DOCKED_US)
    assert moved(step) == [
        (A.OPERATOR_PAYABLE, A.RECOVERY, 18_963),
        (A.FEE_INCOME, A.RECOVERY, 587),
    ]
    assert step.authorization.forgiven_minor == EXCESS_MINOR
    assert step.authorization.unrecovered_minor == 350


def test_found_gives_back_in_order() -> None:
    """The excess is subtracted first from the due amount, then from the amount written off, then
    from the paid amount."""
    it = collection.pay(missing(), 10_000, LOST_US).authorization
    it = collection.open_dispute(it, 4_000, LOST_US).authorization
    it = written_off(it)
    it = collection.resolve_dispute(
        it, user_won=False, goodwill=False, now_us=LOST_US
    ).authorization
    assert (it.due_minor, it.unrecovered_minor, it.paid_minor) == (4_000, 5_900, 10_000)
    step = settlement.find(it, BIKE, DOCKED_US)
    after, total = step.authorization, net(step)
    assert (after.lowered_minor, after.forgiven_minor, after.refunded_minor) == (
        4_000, 5_900, 9_650,
    )  # fmt: skip
    assert (total[A.RECEIVABLE], total[A.RECOVERY], total[A.REFUND_PAYABLE]) == (
        -4_000, -5_900, -9_650,
    )  # fmt: skip
    assert (total[A.OPERATOR_PAYABLE], total[A.FEE_INCOME]) == (18_963, 587)
    assert (total[A.AVAILABLE], total[A.DRAWN]) == (4_000, -4_000)


def test_found_while_disputed() -> None:
    """If the charge of a found item is disputed, the excess over the tariff's fee until the return
    is lowered; the rest waits for the decision."""
    it = collection.open_dispute(missing(), 19_900, LOST_US).authorization
    step = settlement.find(it, BIKE, DOCKED_US)
    assert moved(step) == [
        (A.OPERATOR_PAYABLE, A.RECEIVABLE_DISPUTED, 18_963),
        (A.FEE_INCOME, A.RECEIVABLE_DISPUTED, 587),
        (A.AVAILABLE, A.DRAWN, EXCESS_MINOR),
    ]
    after = step.authorization
    assert (after.disputed_minor, after.lowered_minor, after.due_minor) == (350, EXCESS_MINOR, 0)


def test_found_at_the_full_price() -> None:
    """When the tariff at the item's return has reached the captured amount, nothing is given
    back."""
    step = settlement.find(missing(), BIKE, LOST_US)
    assert moved(step) == []
    assert step.authorization.custody is Custody.IN_STATION


def test_found_after_a_concession() -> None:
    """An amount that the operator conceded before is not given back again."""
    it = collection.lower(missing(), 19_000, LOST_US).authorization
    step = settlement.find(it, BIKE, DOCKED_US)
    assert moved(step)[2] == (A.AVAILABLE, A.DRAWN, 550)
    assert (step.authorization.due_minor, step.authorization.conceded_minor) == (350, 19_550)


@pytest.mark.parametrize("custody", [Custody.IN_STATION, Custody.UNKNOWN])
def test_only_a_missing_or_sold_item_is_found_without_a_time(custody: Custody) -> None:
    """A report without a time is refused if the item is neither missing nor sold, and the error
    names the state."""
    with pytest.raises(IllegalState) as refused:
        settlement.require_found(settled()._replace(custody=custody), dated=False)
    assert refused.value.reason == "NOT_MISSING"
    assert refused.value.metadata == {"state": "SETTLED"}


# -- concessions -----------------------------------------------------------------------------


@given(
    captured_minor=st.integers(1, 19_900),
    parts=st.lists(st.integers(0, 4_000), max_size=10),
    fee_bp=st.integers(0, 10_000),
)
def test_small_concessions_equal_one_large(
    captured_minor: int, parts: list[int], fee_bp: int
) -> None:
    """Any split of a concession costs operator and commission the same as one concession of the
    whole."""
    it = settled(captured_minor, granted()._replace(fee_bp=fee_bp))
    postings: list[Posting] = []
    small, given_minor = it, 0
    for part in parts:
        if given_minor + part > captured_minor:
            continue
        given_minor += part
        small, posted = concessions.concede(small, part, A.RECEIVABLE)
        postings += posted
    large, at_once = concessions.concede(it, given_minor, A.RECEIVABLE)
    assert small == large
    assert small.fee_minor == (captured_minor - given_minor) * fee_bp // 10_000
    for account in (A.OPERATOR_PAYABLE, A.FEE_INCOME):
        assert sum(p.amount_minor for p in postings if p.debit is account) == sum(
            p.amount_minor for p in at_once if p.debit is account
        )
    assert all(posting.amount_minor >= 0 for posting in postings)


@given(
    paid_minor=st.integers(0, 19_900),
    disputed_minor=st.integers(0, 19_900),
    off=st.booleans(),
    later_minor=st.integers(0, 19_900),
    back_minor=st.integers(0, 19_900),
    goodwill=st.booleans(),
    amount_minor=st.integers(0, 19_900),
)
def test_concessions_go_in_order(
    paid_minor: int,
    disputed_minor: int,
    off: bool,
    later_minor: int,
    back_minor: int,
    goodwill: bool,
    amount_minor: int,
) -> None:
    """A concession is taken from the due, disputed, written-off, charged-back and paid amounts, in
    this order, and last from the amount that Freehold bore. The sum of these is the amount that the
    operator keeps. Nothing is given back twice."""
    it = missing()
    if paid_minor:
        it = collection.pay(it, paid_minor, LOST_US).authorization
    for won in (goodwill, False):
        if 0 < disputed_minor <= it.due_minor:
            it = collection.open_dispute(it, disputed_minor, LOST_US).authorization
            if won:
                it = collection.resolve_dispute(
                    it, user_won=True, goodwill=True, now_us=LOST_US
                ).authorization
    if off and it.due_minor:
        it = written_off(it)
    if later_minor:
        it = collection.pay(it, later_minor, LOST_US).authorization
    if 0 < back_minor <= it.chargeable_back_minor:
        it = charge_backs.charge_back(it, back_minor, LOST_US).authorization
    amount_minor = min(amount_minor, it.captured_minor - it.conceded_minor)
    after, postings = concessions.give_back(it, amount_minor, amount_minor, amount_minor)
    disputed = it.disputed_minor - after.disputed_minor
    lowered = after.lowered_minor - it.lowered_minor - disputed
    forgiven = after.forgiven_minor - it.forgiven_minor
    taken = it.charged_back_minor - after.charged_back_minor
    refunded = after.refunded_minor - it.refunded_minor - taken
    borne = it.goodwill_minor - after.goodwill_minor
    rest = amount_minor
    for gone, there in (
        (lowered, it.due_minor),
        (disputed, it.disputed_minor),
        (forgiven, it.unrecovered_minor),
        (taken, min(it.charged_back_minor, it.kept_minor)),
        (refunded, it.refundable_minor - taken),
        (borne, it.goodwill_minor),
    ):
        assert gone == min(rest, there)
        rest -= gone
    assert rest == 0
    assert after.conceded_minor - it.conceded_minor == amount_minor
    assert after.refund_payable_minor - it.refund_payable_minor == refunded
    assert min(after.due_minor, after.unrecovered_minor, after.refundable_minor) >= 0
    assert sum(p.amount_minor for p in postings if p.credit is A.RECEIVABLE) == lowered
