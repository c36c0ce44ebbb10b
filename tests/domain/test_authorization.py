"""The life of an authorization: every transition with exactly what it posts."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import authorization as life
from service.domain.authorization import (
    Authorization,
    Collection,
    Custody,
    Start,
    State,
    Step,
)
from service.domain.errors import Exhausted, IllegalState, InvalidInput, VersionMismatch
from service.domain.ledger import Account as A
from service.domain.ledger import Line, Posting, post, set_limit
from service.domain.policy import Offer

NOW_US = 1_000_000
WINDOW_US = 30
OFFER_END_US = NOW_US + 15
PLENTY = 10**9

PLAIN = Authorization(
    user_id="u-1",
    authorization_id="a-1",
    operator_id="city",
    request_id="r-1",
    product_id="bike",
    asset_id="bike-7",
    currency="CNY",
    state=State.OFFERED,
    custody=Custody.IN_STATION,
    start=Start.IMMEDIATE,
    offer=Offer.ZERO,
    reasons=(),
    band="B",
    decision_id="d-1",
    model_id="m-1",
    policy_revision=1,
    fee_bp=300,
    credit_minor=19_900,
    cash_minor=0,
    create_us=NOW_US,
    expire_us=OFFER_END_US,
)
PICKUP = PLAIN._replace(start=Start.ON_PICKUP, pickup_window_us=WINDOW_US)
REDUCED = PLAIN._replace(offer=Offer.REDUCED, credit_minor=9_950, cash_minor=9_950)
FULL = PLAIN._replace(offer=Offer.FULL, credit_minor=0, cash_minor=19_900)


def moved(step: Step) -> list[tuple[A, A, int]]:
    """What a step posts, without the postings of zero that the ledger leaves out."""
    return [(debit, credit, amount) for debit, credit, amount in step.postings if amount]


def granted() -> Authorization:
    """ACTIVE with all 19,900 on credit."""
    return life.grant(PLAIN, NOW_US).authorization


def confirmed(paid_minor: int = 9_950) -> Authorization:
    """ACTIVE with 9,950 on credit and 9,950 in cash."""
    return life.confirm(REDUCED, paid_minor, PLENTY, NOW_US).authorization


def waiting() -> Authorization:
    """AUTHORIZED with 9,950 on credit and 9,950 in cash, not picked up yet."""
    offered = REDUCED._replace(start=Start.ON_PICKUP, pickup_window_us=WINDOW_US)
    return life.confirm(offered, 9_950, PLENTY, NOW_US).authorization


# -- to AUTHORIZED and ACTIVE ----------------------------------------------------------------


def test_a_zero_deposit_starts_at_once() -> None:
    """Zero deposit with start IMMEDIATE is ACTIVE, the item OUT; credit posts held / avail."""
    step = life.grant(PLAIN, NOW_US)
    it = step.authorization
    assert moved(step) == [(A.HELD, A.AVAILABLE, 19_900)]
    assert (it.state, it.custody, it.start_us) == (State.ACTIVE, Custody.OUT, NOW_US)
    assert (it.held_credit_minor, it.held_cash_minor, it.version) == (19_900, 0, 1)
    assert step.event == "authorization.active"


def test_a_rental_under_way_never_lapses() -> None:
    """An ACTIVE authorization has no expiry."""
    assert granted().expire_us is None
    assert not life.has_lapsed(granted(), 2**62)


def test_a_zero_deposit_may_wait_for_the_pick_up() -> None:
    """Zero deposit with start ON_PICKUP is AUTHORIZED until the end of the pick-up window."""
    step = life.grant(PICKUP, NOW_US)
    it = step.authorization
    assert moved(step) == [(A.HELD, A.AVAILABLE, 19_900)]
    assert (it.state, it.custody, it.start_us) == (State.AUTHORIZED, Custody.IN_STATION, None)
    assert it.expire_us == NOW_US + WINDOW_US
    assert step.event == "authorization.authorized"


def test_a_confirmed_offer_holds_both_parts() -> None:
    """Confirming posts the credit part held / avail and the cash part cash / deposit."""
    step = life.confirm(REDUCED, 9_950, 9_950, NOW_US)
    it = step.authorization
    assert moved(step) == [(A.HELD, A.AVAILABLE, 9_950), (A.CASH, A.DEPOSIT, 9_950)]
    assert (it.state, it.custody, it.start_us) == (State.ACTIVE, Custody.OUT, NOW_US)
    assert (it.held_credit_minor, it.held_cash_minor) == (9_950, 9_950)
    assert (it.expire_us, it.refund_payable_minor, it.version) == (None, 0, 2)
    assert step.event == "authorization.active"


def test_a_full_deposit_touches_no_credit() -> None:
    """Confirming the full deposit posts cash / deposit and needs nothing of the line."""
    step = life.confirm(FULL, 19_900, 0, NOW_US)
    assert moved(step) == [(A.CASH, A.DEPOSIT, 19_900)]


def test_a_confirmed_offer_may_wait_for_the_pick_up() -> None:
    """A confirmed offer with start ON_PICKUP is AUTHORIZED, its window counted from now."""
    it = waiting()
    assert (it.state, it.custody, it.start_us) == (State.AUTHORIZED, Custody.IN_STATION, None)
    assert it.expire_us == NOW_US + WINDOW_US


def test_what_was_paid_too_much_is_owed_back() -> None:
    """An over-payment posts its excess cash / refund_payable."""
    step = life.confirm(REDUCED, 10_000, PLENTY, NOW_US)
    assert moved(step) == [
        (A.HELD, A.AVAILABLE, 9_950), (A.CASH, A.DEPOSIT, 9_950), (A.CASH, A.REFUND_PAYABLE, 50),
    ]  # fmt: skip
    assert step.authorization.refund_payable_minor == 50
    assert step.authorization.held_cash_minor == 9_950


def test_what_was_paid_too_little_is_refused() -> None:
    """A payment below the cash part is invalid and names the amount asked for."""
    with pytest.raises(InvalidInput) as refused:
        life.confirm(REDUCED, 9_949, PLENTY, NOW_US)
    (violation,) = refused.value.violations
    assert (violation.field, violation.rule) == ("paid.amount_minor", "paid.too_little")
    assert "9950" in violation.description


def test_an_offer_needs_its_credit_part_when_confirmed() -> None:
    """An offer whose credit part the line no longer bears is refused with LINE_EXHAUSTED."""
    with pytest.raises(Exhausted) as refused:
        life.confirm(REDUCED, 9_950, 9_949, NOW_US)
    assert refused.value.reason == "LINE_EXHAUSTED"


@pytest.mark.parametrize(
    "state",
    [State.AUTHORIZED, State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED, State.SETTLED,
     State.REVERSED, State.EXPIRED],
)  # fmt: skip
def test_a_payment_late_or_twice_is_owed_back(state: State) -> None:
    """A cash part paid late or twice posts cash / refund_payable, and the state stays."""
    before = confirmed(10_000)._replace(state=state)
    step = life.confirm(before, 9_950, 0, NOW_US)
    assert moved(step) == [(A.CASH, A.REFUND_PAYABLE, 9_950)]
    assert step.authorization == before._replace(refund_payable_minor=10_000, version=3)
    assert step.event == "authorization.payment_owed_back"


def test_what_asked_for_no_cash_cannot_be_confirmed() -> None:
    """An authorization without a cash part refuses a confirmation in every state."""
    for state in State:
        with pytest.raises(IllegalState) as refused:
            life.confirm(PLAIN._replace(state=state), 1, PLENTY, NOW_US)
        assert refused.value.metadata == {"state": state}


# -- pick-up ---------------------------------------------------------------------------------


def test_a_pick_up_starts_the_rental() -> None:
    """Starting posts nothing: ACTIVE, the item OUT, the time the server's, no more expiry."""
    step = life.start_rental(waiting(), "", NOW_US + 5)
    it = step.authorization
    assert step.postings == ()
    assert (it.state, it.custody, it.start_us) == (State.ACTIVE, Custody.OUT, NOW_US + 5)
    assert (it.expire_us, it.asset_id, it.version) == (None, "bike-7", 3)
    assert (it.held_credit_minor, it.held_cash_minor) == (9_950, 9_950)
    assert step.event == "authorization.active"


def test_a_pick_up_may_name_the_item() -> None:
    """An item named at the pick-up is kept when none was named before."""
    assert life.start_rental(waiting(), "bike-7", NOW_US).authorization.asset_id == "bike-7"
    unnamed = waiting()._replace(asset_id="")
    assert life.start_rental(unnamed, "bike-9", NOW_US).authorization.asset_id == "bike-9"
    assert life.start_rental(unnamed, "", NOW_US).authorization.asset_id == ""


def test_a_pick_up_of_another_item_is_refused() -> None:
    """Another item than the authorized one cannot be picked up."""
    with pytest.raises(InvalidInput) as refused:
        life.start_rental(waiting(), "bike-8", NOW_US)
    assert refused.value.violations[0].field == "asset_id"


# -- capture ---------------------------------------------------------------------------------


def test_a_final_capture_on_credit() -> None:
    """A final capture of r on credit posts drawn / held r, receivable / operator_payable r-f and
    fee_income f, and releases the rest avail / held."""
    step = life.settle(granted(), 1_250, True, NOW_US + 9)
    assert moved(step) == [
        (A.DRAWN, A.HELD, 1_250),
        (A.RECEIVABLE, A.OPERATOR_PAYABLE, 1_213),
        (A.RECEIVABLE, A.FEE_INCOME, 37),
        (A.AVAILABLE, A.HELD, 18_650),
    ]
    it = step.authorization
    assert (it.state, it.custody, it.close_us) == (State.SETTLED, Custody.IN_STATION, NOW_US + 9)
    assert (it.captured_minor, it.captured_credit_minor, it.fee_minor) == (1_250, 1_250, 37)
    assert (it.held_credit_minor, it.held_cash_minor, it.version) == (0, 0, 2)
    assert step.event == "authorization.settled"


def test_a_capture_within_the_cash_part() -> None:
    """Cash is used first: k of it posts deposit / operator_payable k-f and fee_income f, and the
    rest of the cash is owed back."""
    step = life.settle(confirmed(), 1_250, True, NOW_US)
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
    """A capture beyond the cash part takes all cash and the remainder on credit."""
    step = life.settle(confirmed(), 10_000, True, NOW_US)
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


def test_a_partial_capture_keeps_the_rest_held() -> None:
    """A capture that is not final leaves the state and holds what is left."""
    step = life.settle(confirmed(), 10_000, False, NOW_US)
    it = step.authorization
    assert (it.state, it.custody, it.close_us) == (State.ACTIVE, Custody.OUT, None)
    assert (it.held_credit_minor, it.held_cash_minor) == (9_900, 0)
    assert (it.captured_minor, it.captured_credit_minor, it.version) == (10_000, 50, 3)
    assert step.event == "authorization.captured"


def test_several_captures() -> None:
    """Several captures add up, and the last releases what is left."""
    first = life.settle(confirmed(), 4_000, False, NOW_US)
    second = life.settle(first.authorization, 6_000, False, NOW_US)
    assert moved(second)[0] == (A.DEPOSIT, A.OPERATOR_PAYABLE, 5_772)
    last = life.settle(second.authorization, 0, True, NOW_US)
    assert moved(last) == [(A.AVAILABLE, A.HELD, 9_900)]
    assert last.authorization.captured_minor == 10_000
    assert last.authorization.state is State.SETTLED


def test_all_of_the_hold_may_be_captured_and_no_more() -> None:
    """Captures together never exceed what was authorized."""
    whole = life.settle(confirmed(), 19_900, False, NOW_US).authorization
    assert (whole.held_credit_minor, whole.held_cash_minor) == (0, 0)
    for it, amount_minor in ((whole, 1), (confirmed(), 19_901)):
        with pytest.raises(InvalidInput) as refused:
            life.settle(it, amount_minor, True, NOW_US)
        assert refused.value.violations[0].rule == "amount.exceeds_hold"


def test_settling_nothing_releases_everything() -> None:
    """A final capture of zero closes without a charge: all is released, no fee."""
    step = life.settle(confirmed(), 0, True, NOW_US)
    assert moved(step) == [(A.AVAILABLE, A.HELD, 9_950), (A.DEPOSIT, A.REFUND_PAYABLE, 9_950)]
    it = step.authorization
    assert (it.state, it.captured_minor, it.fee_minor) == (State.SETTLED, 0, 0)


def test_many_small_captures_cost_no_more_fee() -> None:
    """The fee is floored on the cumulated amount: 100 captures of 1 at 3 % make a fee of 3."""
    it = granted()
    for _ in range(100):
        it = life.settle(it, 1, False, NOW_US).authorization
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
    """However an amount is cut into captures, fee, cash, credit and every account come out as
    with one capture of the whole."""
    offered = PLAIN._replace(credit_minor=credit_minor, cash_minor=cash_minor, fee_bp=fee_bp)
    it = (
        life.confirm(offered, cash_minor, PLENTY, NOW_US)
        if cash_minor
        else life.grant(offered, NOW_US)
    ).authorization
    kept = list(itertools.accumulate(parts))
    parts = [
        part
        for part, so_far in zip(parts, kept, strict=True)
        if so_far <= credit_minor + cash_minor
    ]
    steps: list[Step] = []
    small = it
    for place, part in enumerate(parts):
        steps.append(life.settle(small, part, place == len(parts) - 1, NOW_US))
        small = steps[-1].authorization
    if not steps:
        return
    large = life.settle(it, sum(parts), True, NOW_US)
    assert small._replace(version=0) == large.authorization._replace(version=0)
    assert small.fee_minor == sum(parts) * fee_bp // 10_000
    assert _net(*steps) == _net(large)


def _net(*steps: Step) -> dict[A, int]:
    net = dict.fromkeys(A, 0)
    for posting in (posting for step in steps for posting in step.postings):
        assert posting.amount_minor >= 0
        net[posting.debit] += posting.amount_minor
        net[posting.credit] -= posting.amount_minor
    return net


# -- the end without a charge ----------------------------------------------------------------


def test_a_reverse_gives_everything_back() -> None:
    """A reverse posts avail / held and deposit / refund_payable and closes."""
    step = life.reverse(confirmed(), NOW_US + 3)
    assert moved(step) == [(A.AVAILABLE, A.HELD, 9_950), (A.DEPOSIT, A.REFUND_PAYABLE, 9_950)]
    it = step.authorization
    assert (it.state, it.custody, it.close_us) == (State.REVERSED, Custody.IN_STATION, NOW_US + 3)
    assert (it.held_credit_minor, it.held_cash_minor) == (0, 0)
    assert (it.refund_payable_minor, it.version) == (9_950, 3)
    assert step.event == "authorization.reversed"


def test_a_reversed_hold_waits_for_no_pick_up() -> None:
    """A reverse before the pick-up gives everything back and ends the pick-up window."""
    step = life.reverse(waiting(), NOW_US)
    assert moved(step) == [(A.AVAILABLE, A.HELD, 9_950), (A.DEPOSIT, A.REFUND_PAYABLE, 9_950)]
    assert step.authorization.expire_us is None


def test_a_reversed_offer_posts_nothing() -> None:
    """An offer that is withdrawn closes without postings."""
    step = life.reverse(REDUCED, NOW_US)
    assert moved(step) == []
    assert step.authorization.state is State.REVERSED


@pytest.mark.parametrize("amount_minor", [1, 19_900])
def test_a_capture_cannot_be_reversed(amount_minor: int) -> None:
    """A reverse after a capture is refused and names the state."""
    it = life.settle(granted(), amount_minor, False, NOW_US).authorization
    with pytest.raises(IllegalState) as refused:
        life.reverse(it, NOW_US)
    assert refused.value.metadata == {"state": "ACTIVE"}


@pytest.mark.parametrize(("late_us", "lapsed"), [(-1, False), (0, True), (1, True)])
@pytest.mark.parametrize("it", [REDUCED, waiting()], ids=["offer", "hold"])
def test_the_end_is_an_instant(it: Authorization, late_us: int, lapsed: bool) -> None:
    """An offer and a hold that waits end exactly at their instant, not one microsecond before."""
    assert it.expire_us is not None
    assert life.has_lapsed(it, it.expire_us + late_us) is lapsed


def test_an_expired_hold_gives_everything_back() -> None:
    """An unpicked hold posts avail / held and deposit / refund_payable, as of its end."""
    step = life.expire(waiting())
    assert moved(step) == [(A.AVAILABLE, A.HELD, 9_950), (A.DEPOSIT, A.REFUND_PAYABLE, 9_950)]
    it = step.authorization
    assert (it.state, it.close_us, it.expire_us) == (State.EXPIRED, NOW_US + WINDOW_US, None)
    assert (it.refund_payable_minor, it.version) == (9_950, 3)
    assert step.event == "authorization.expired"


def test_an_expired_offer_posts_nothing() -> None:
    """An unconfirmed offer expires without postings."""
    step = life.expire(REDUCED)
    assert moved(step) == []
    assert (step.authorization.state, step.authorization.close_us) == (State.EXPIRED, OFFER_END_US)


# -- payment ---------------------------------------------------------------------------------


def settled(amount_minor: int = 1_000) -> Authorization:
    """SETTLED with an amount captured on credit."""
    return life.settle(granted(), amount_minor, True, NOW_US).authorization


def test_a_full_payment() -> None:
    """A payment posts cash / receivable and gives the line back: avail / drawn."""
    step = life.pay(settled(), 1_000)
    assert moved(step) == [(A.CASH, A.RECEIVABLE, 1_000), (A.AVAILABLE, A.DRAWN, 1_000)]
    it = step.authorization
    assert (it.paid_minor, it.due_minor, it.refund_payable_minor) == (1_000, 0, 0)
    assert (it.state, it.version) == (State.SETTLED, 3)
    assert step.event == "authorization.payment_recorded"


def test_a_partial_payment() -> None:
    """A partial payment leaves the rest due."""
    it = life.pay(settled(), 400).authorization
    assert (it.paid_minor, it.due_minor) == (400, 600)
    assert moved(life.pay(it, 600)) == [(A.CASH, A.RECEIVABLE, 600), (A.AVAILABLE, A.DRAWN, 600)]


def test_a_payment_of_too_much() -> None:
    """What is paid beyond what is due posts cash / refund_payable."""
    step = life.pay(settled(), 1_300)
    assert moved(step) == [
        (A.CASH, A.RECEIVABLE, 1_000),
        (A.AVAILABLE, A.DRAWN, 1_000),
        (A.CASH, A.REFUND_PAYABLE, 300),
    ]
    assert step.authorization.refund_payable_minor == 300
    again = life.pay(step.authorization, 50)
    assert moved(again) == [(A.CASH, A.REFUND_PAYABLE, 50)]
    assert again.authorization.paid_minor == 1_000


def test_a_payment_may_come_before_the_end() -> None:
    """What was captured so far can be paid while the rental goes on."""
    it = life.settle(granted(), 500, False, NOW_US).authorization
    assert moved(life.pay(it, 500)) == [(A.CASH, A.RECEIVABLE, 500), (A.AVAILABLE, A.DRAWN, 500)]


def test_nothing_due_nothing_paid() -> None:
    """A payment is refused with NOTHING_DUE when nothing was ever captured on credit."""
    only_cash = life.settle(confirmed(), 1_000, True, NOW_US).authorization
    for it in (granted(), only_cash):
        with pytest.raises(IllegalState) as refused:
            life.pay(it, 1)
        assert refused.value.reason == "NOTHING_DUE"
        assert refused.value.metadata == {"state": it.state}


# -- which command when ----------------------------------------------------------------------

Command = Callable[[Authorization], Step]
COMMANDS: dict[str, tuple[Command, frozenset[State]]] = {
    "confirm": (
        lambda it: life.confirm(it, it.cash_minor, PLENTY, NOW_US),
        frozenset(State) - {State.DECLINED, State.REVIEW},
    ),
    "start": (lambda it: life.start_rental(it, "", NOW_US), frozenset({State.AUTHORIZED})),
    "settle": (
        lambda it: life.settle(it, 1, True, NOW_US),
        frozenset({State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED}),
    ),
    "settle nothing": (
        lambda it: life.settle(it, 0, True, NOW_US),
        frozenset({State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED}),
    ),
    "reverse": (
        lambda it: life.reverse(it, NOW_US),
        frozenset({State.OFFERED, State.AUTHORIZED, State.ACTIVE}),
    ),
    "expire": (life.expire, frozenset({State.OFFERED, State.AUTHORIZED})),
}
CAN_HOLD = frozenset({State.AUTHORIZED, State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED})


def in_state(state: State) -> Authorization:
    """An authorization with a cash part in any state, with a hold where the state has one."""
    held = 9_950 if state in CAN_HOLD else 0
    return REDUCED._replace(state=state, held_credit_minor=held, held_cash_minor=held)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("state", State)
def test_which_command_is_allowed_in_which_state(state: State, command: str) -> None:
    """A command outside the states that allow it is refused with the present state, and changes
    nothing; within them it makes the next version."""
    run, allowed = COMMANDS[command]
    it = in_state(state)
    if state in allowed:
        assert run(it).authorization.version == it.version + 1
        return
    with pytest.raises(IllegalState) as refused:
        run(it)
    assert refused.value.metadata == {"state": state}
    assert state in refused.value.message


@pytest.mark.parametrize("state", State)
def test_nothing_else_lapses(state: State) -> None:
    """Only offers and holds that wait for a pick-up can lapse."""
    assert life.has_lapsed(in_state(state), 2**62) is (state in {State.OFFERED, State.AUTHORIZED})


def test_without_an_end_nothing_expires() -> None:
    """An authorization without an expiry cannot be expired."""
    endless = REDUCED._replace(expire_us=None)
    assert not life.has_lapsed(endless, 2**62)
    with pytest.raises(IllegalState):
        life.expire(endless)


def test_an_expected_version_is_compared() -> None:
    """A caller who expects another version than the present one is told both."""
    life.check_version(PLAIN, None)
    life.check_version(PLAIN, 1)
    for expected in (0, 2):
        with pytest.raises(VersionMismatch) as refused:
            life.check_version(PLAIN, expected)
        assert refused.value.metadata == {"expected_version": str(expected), "version": "1"}


# -- collection and names --------------------------------------------------------------------


def settled_over() -> Authorization:
    """SETTLED for the whole hold, with one unit of the deposit over-paid and some credit due."""
    return life.settle(confirmed(9_951), 19_900, True, NOW_US).authorization


@pytest.mark.parametrize(
    ("it", "collection"),
    [
        (REDUCED, Collection.NONE),
        (granted(), Collection.NONE),
        (life.settle(granted(), 0, True, NOW_US).authorization, Collection.NONE),
        (settled(), Collection.DUE),
        (life.settle(granted(), 1, False, NOW_US).authorization, Collection.DUE),
        (life.pay(settled(), 1).authorization, Collection.PAYING),
        (life.pay(settled(), 999).authorization, Collection.PAYING),
        (life.pay(settled(), 1_000).authorization, Collection.PAID),
        (life.settle(confirmed(), 9_950, False, NOW_US).authorization, Collection.PAID),
        (life.pay(settled(), 1_001).authorization, Collection.REFUND_PENDING),
        (life.reverse(confirmed(), NOW_US).authorization, Collection.REFUND_PENDING),
        (confirmed(9_951), Collection.REFUND_PENDING),
        (settled_over(), Collection.REFUND_PENDING),
    ],
)
def test_collection_follows_from_the_amounts(it: Authorization, collection: Collection) -> None:
    """Collection is the first that applies: a refund is pending, then paying or due, then paid
    when something was captured, else none."""
    assert it.collection is collection


def test_a_name_holds_the_person_and_the_id() -> None:
    """The resource name is users/USER/authorizations/ID."""
    assert PLAIN.name == "users/u-1/authorizations/a-1"


# -- any life --------------------------------------------------------------------------------

STEPS: list[Callable[[Authorization, int], Step]] = [
    lambda it, n: life.confirm(it, n, PLENTY, NOW_US),
    lambda it, n: life.start_rental(it, "", NOW_US),
    lambda it, n: life.settle(it, n, False, NOW_US),
    lambda it, n: life.settle(it, n, True, NOW_US),
    lambda it, n: life.reverse(it, NOW_US),
    lambda it, n: life.expire(it),
    lambda it, n: life.pay(it, n),
]


@given(
    offer=st.sampled_from([PLAIN, PICKUP, REDUCED, FULL, REDUCED._replace(start=Start.ON_PICKUP)]),
    steps=st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.integers(1, 25_000)), max_size=8),
)
def test_any_life_keeps_books_and_amounts_together(
    offer: Authorization, steps: list[tuple[int, int]]
) -> None:
    """Whatever happens in whatever order, the authorization's amounts are what its entries moved,
    and nothing is held once it is closed."""
    line = Line("u-1", "CNY")
    book(line, set_limit(line, 50_000))
    it = offer
    if it.cash_minor == 0:
        it = follow(line, life.grant(it, NOW_US))
    for place, amount_minor in steps:
        try:
            step = STEPS[place](it, amount_minor)
        except (IllegalState, InvalidInput):
            continue
        assert step.authorization.version == it.version + 1
        it = follow(line, step)
        assert line.held_minor == it.held_credit_minor
        assert line.deposit_minor == it.held_cash_minor
        assert line.drawn_minor == line.receivable_minor == it.due_minor
        assert line.refund_payable_minor == it.refund_payable_minor
        assert it.captured_credit_minor + it.held_credit_minor <= it.credit_minor
        assert it.captured_minor - it.captured_credit_minor + it.held_cash_minor <= it.cash_minor
        assert 0 <= it.paid_minor <= it.captured_credit_minor
        assert it.fee_minor == it.captured_minor * it.fee_bp // 10_000
        if it.close_us is not None:
            assert it.held_credit_minor == it.held_cash_minor == 0


def follow(line: Line, step: Step) -> Authorization:
    """Posts a step and returns its authorization."""
    book(line, step.postings)
    return step.authorization


def book(line: Line, postings: tuple[Posting, ...] | list[Posting]) -> None:
    """One transaction."""
    post(line, postings, operator_id="", authorization_id="", event_us=0, ledger_us=0)
