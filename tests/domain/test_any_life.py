"""After any sequence of steps, an authorization's amounts and its entries agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from service.domain import collection, hold, settlement, timers
from service.domain.authorization import (
    CLOSED,
    HOLDING,
    Authorization,
    Start,
    State,
    Step,
    TransferKind,
)
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Account as A
from service.domain.ledger import Line
from service.domain.money import share_minor
from service.domain.policy import Split
from service.domain.tariff import DAY_US, MINUTE_US
from tests.domain.lives import BIKE, FULL, NOW_US, PICKUP, PLAIN, REDUCED, book, line_of
from tests.operations.call import CallOnAuthorization
from tests.operations.every import ON_AUTHORIZATION

LIMIT_MINOR = 50_000


class Life:
    """One authorization with its line and the sums of its postings."""

    def __init__(self, offered: Authorization) -> None:
        self.it = offered
        self.line: Line = line_of(LIMIT_MINOR)
        self.now_us = NOW_US
        self.net: Counter[A] = Counter()
        self.elsewhere_minor = 0
        self.payouts: list[int] = []
        self.debit_minor = 0
        """The debit that the rail was asked for and has not answered."""
        self.undone: list[int] = []
        """Debits that failed or were cancelled."""

    def take(self, step: Step) -> None:
        """Posts a step and checks the invariants."""
        before = self.it
        assert step.authorization.version == before.version + 1
        assert all(posting.amount_minor >= 0 for posting in step.postings)
        book(self.line, step.postings)
        for debit, credit, amount_minor in step.postings:
            self.net[debit] += amount_minor
            self.net[credit] -= amount_minor
        if step.transfer is not None:
            assert step.transfer.amount_minor > 0
            if step.transfer.kind is TransferKind.PAYOUT:
                self.payouts.append(step.transfer.amount_minor)
            else:
                assert self.debit_minor == 0
                self.debit_minor = step.transfer.amount_minor
        self.it = step.authorization
        self.check(before)

    def check(self, before: Authorization) -> None:
        """The authorization's amounts are what its entries moved."""
        it, line, net = self.it, self.line, self.net
        assert line.held_minor == it.held_credit_minor
        assert line.deposit_minor == it.held_cash_minor
        assert line.receivable_minor == it.due_minor
        assert line.disputed_minor == it.disputed_minor
        assert line.drawn_minor == it.due_minor + it.disputed_minor
        assert line.charged_back_minor == it.charged_back_minor
        assert line.refund_payable_minor == it.refund_payable_minor
        assert line.limit_minor == LIMIT_MINOR - it.written_off_minor
        assert line.limit_minor == line.available_minor + line.held_minor + line.drawn_minor
        # Shares.
        kept_minor = it.captured_minor - it.conceded_minor
        assert it.fee_minor == share_minor(kept_minor, it.fee_bp) == -net[A.FEE_INCOME]
        assert -net[A.OPERATOR_PAYABLE] == kept_minor - it.fee_minor - self.elsewhere_minor
        assert net[A.CREDIT_LOSS] == it.provisioned_minor >= it.written_off_minor
        assert -net[A.ALLOWANCE] == it.provisioned_minor - it.written_off_minor
        assert -net[A.RECOVERY] == it.recovered_minor + it.forgiven_minor
        # What was authorized, captured, paid and given back.
        if it.state in HOLDING:
            assert it.held_minor + it.captured_minor == it.credit_minor + it.cash_minor
        else:
            assert it.held_minor == 0
        assert it.captured_minor <= it.credit_minor + it.cash_minor
        assert it.captured_credit_minor <= it.credit_minor
        assert 0 <= it.conceded_minor <= it.captured_minor
        assert min(it.due_minor, it.refundable_minor, it.unrecovered_minor) >= 0
        # Where the person's money is.
        assert net[A.CASH] + it.charged_back_minor == it.received_minor - it.paid_out_minor
        assert it.received_minor + self.elsewhere_minor - it.paid_out_minor == (
            it.held_cash_minor + it.refund_payable_minor + it.refundable_minor
        )
        assert it.elsewhere_minor == self.elsewhere_minor
        assert it.debiting_minor == self.debit_minor
        assert min(it.chargeable_back_minor, it.in_hand_minor, it.kept_minor) >= 0
        assert net[A.GOODWILL] == it.goodwill_minor >= 0
        assert (it.close_us is not None) is (it.state in CLOSED)
        if before.state in CLOSED:
            assert it.state is before.state
            assert it.captured_minor == before.captured_minor


Act = Callable[[Life, int], Step]


def _confirm(life: Life, n: int) -> Step:
    it = life.it
    hold.require_asked(it)
    if it.state is not State.OFFERED:
        return hold.owe_back(it, n, life.now_us)
    if it.credit_minor > life.line.available_minor:
        return hold.declined(it, "LINE_EXHAUSTED", it.cash_minor + n, life.now_us)
    return hold.confirm(it, BIKE, it.cash_minor + n, life.now_us, excess_minor=n)


def _increment(life: Life, n: int) -> Step:
    credit_minor = min(n, life.line.available_minor)
    return hold.increment(life.it, Split(credit_minor, n - credit_minor), n % 3, life.now_us)


def _elsewhere(life: Life, n: int) -> Step:
    step = collection.pay_elsewhere(life.it, n, life.now_us)
    life.elsewhere_minor += n
    return step


def _payout_failed(life: Life, n: int) -> Step:
    if not life.payouts:
        raise IllegalState("NOTHING_PAID_OUT", "there was no payout", life.it.state)
    return collection.payout_failed(life.it, life.payouts.pop(), life.now_us)


def _ended_debit(life: Life) -> int:
    """The debit that was under way and has ended."""
    if not life.debit_minor:
        raise IllegalState("NOTHING_DEBITED", "there was no debit", life.it.state)
    amount_minor, life.debit_minor = life.debit_minor, 0
    return amount_minor


def _debit_succeeded(life: Life, n: int) -> Step:
    return collection.debit_succeeded(life.it, _ended_debit(life), life.now_us)


def _debit_failed(life: Life, n: int) -> Step:
    life.undone.append(_ended_debit(life))
    undo = collection.debit_cancelled if n % 3 == 0 else collection.debit_failed
    return undo(life.it, life.now_us)


def _debit_succeeded_late(life: Life, n: int) -> Step:
    if not life.undone:
        raise IllegalState("NOTHING_UNDONE", "every debit was answered once", life.it.state)
    amount_minor = life.undone.pop(n % len(life.undone))
    return collection.debit_succeeded_late(life.it, amount_minor, life.now_us)


def _usage(life: Life, n: int) -> Step:
    if life.it.start_us is None:
        raise IllegalState("NOT_STARTED", "there was no start", life.it.state)
    total_minor = settlement.usage_fee(life.it, BIKE, life.now_us).total_minor
    amount_minor = settlement.usage_amount_minor(life.it, total_minor)
    return settlement.settle(life.it, BIKE, amount_minor, True, life.now_us, life.now_us)


def _find(life: Life, n: int) -> Step:
    docked_us = max(life.it.start_us or 0, life.now_us - n * MINUTE_US)
    return settlement.find(life.it, BIKE, docked_us)


def _ruled(call: CallOnAuthorization) -> Act:
    """The rule of a call on a life in its present state."""
    return lambda life, n: call.rule(life.it, n, life.now_us)


ACTS: dict[str, Act] = {
    **{method: _ruled(call) for method, call in ON_AUTHORIZATION.items()},
    # These depend on the line, or their amounts must be remembered.
    "ConfirmAuthorization": _confirm,
    "IncrementAuthorization": _increment,
    "RecordPaidElsewhere": _elsewhere,
    "ReportFound": _find,
    # These are no calls, or a second form of one.
    "capture": lambda life, n: settlement.settle(life.it, BIKE, n, False, life.now_us, life.now_us),
    "settle usage": _usage,
    "payout failed": _payout_failed,
    "debit succeeded": _debit_succeeded,
    "debit failed": _debit_failed,
    "debit succeeded late": _debit_succeeded_late,
}
AFTER_A_CAPTURE = [
    *sorted(method for method, call in ON_AUTHORIZATION.items() if State.SETTLED in call.states),
    *("payout failed", "debit succeeded", *["debit failed", "debit succeeded late"] * 2),
]
OFFERS = [
    PLAIN._replace(expire_us=None, state=State.AUTHORIZED),
    PICKUP._replace(expire_us=None, state=State.AUTHORIZED),
    REDUCED,
    FULL,
    REDUCED._replace(start=Start.ON_PICKUP, pickup_window_us=30 * MINUTE_US),
    REDUCED._replace(state=State.REVIEW),
    PLAIN._replace(state=State.REVIEW),
]
AMOUNTS = st.one_of(st.integers(1, 40), st.integers(1, 25_000))
JUMPS = st.one_of(st.just(0), st.integers(0, 30 * MINUTE_US), st.integers(0, 40 * DAY_US))
MOVES = st.lists(st.tuples(st.sampled_from(sorted(ACTS)), AMOUNTS, JUMPS), max_size=25)


def live(life: Life, moves: list[tuple[str, int, int]]) -> Counter[str]:
    """Takes each move that is allowed after time's own steps; returns the names of the moves
    taken."""
    passed: Counter[str] = Counter()
    for name, n, jump_us in moves:
        life.now_us += jump_us
        while (step := timers.advance(life.it, BIKE, life.now_us)) is not None:
            life.take(step)
            passed["time"] += 1
        try:
            step = ACTS[name](life, n)
        except (IllegalState, InvalidInput):
            continue
        life.take(step)
        passed[name] += 1
    return passed


def begin(offered: Authorization) -> Life:
    """A new life; without a cash part the hold starts at once."""
    life = Life(offered)
    if offered.state is State.AUTHORIZED:
        life.take(hold.grant(offered, BIKE, NOW_US))
    return life


@given(offered=st.sampled_from(OFFERS), moves=MOVES)
def test_any_life_keeps_books_and_amounts_together(
    offered: Authorization, moves: list[tuple[str, int, int]]
) -> None:
    """In any order of steps and jumps of the clock, the authorization's amounts are the sums of its
    entries, and a closed authorization is never charged again."""
    live(begin(offered), moves)


@given(
    captured_minor=st.integers(1, 19_900),
    cash_minor=st.integers(0, 19_900),
    fee_bp=st.integers(0, 10_000),
    moves=st.lists(
        st.tuples(
            st.sampled_from(AFTER_A_CAPTURE),
            AMOUNTS,
            JUMPS,
        ),
        max_size=30,
    ),
    lost=st.booleans(),
)
def test_any_collection_keeps_books_and_amounts_together(
    captured_minor: int,
    cash_minor: int,
    fee_bp: int,
    moves: list[tuple[str, int, int]],
    lost: bool,
) -> None:
    """After any steps, the commission is the floored share of the amount that the operator keeps,
    and refunds never exceed the captured and paid amount."""
    offered = REDUCED._replace(
        credit_minor=19_900 - cash_minor, cash_minor=cash_minor, fee_bp=fee_bp
    )
    life = Life(offered)
    life.take(hold.confirm(offered, BIKE, cash_minor, NOW_US))
    if lost:
        life.take(settlement.overdue(life.it, BIKE))
        life.take(settlement.lose(life.it, BIKE, NOW_US + DAY_US))
        life.now_us += DAY_US
    else:
        life.take(settlement.settle(life.it, BIKE, captured_minor, True, NOW_US, NOW_US))
    live(life, moves)
