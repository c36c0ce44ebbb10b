"""Rows of the transition table: from the offer to the hold, and its end without a charge."""

from __future__ import annotations

import pytest

from service.domain.authorization import Collection, Custody, Start, State
from service.domain.errors import IllegalState, InvalidInput
from service.domain.policy import Offer
from service.engine.calls import Tombstone
from service.storage import schema as t
from tests.engine.acts import (
    DAY_US,
    MINUTE_US,
    Books,
    Row,
    change_terms,
    decrease,
    extend,
    in_state,
    increment,
    states,
    woken,
)
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
    reverse_origin,
    settle,
    start,
    stored,
)
from tests.fakes import START_US, Desk

BOTH: list[Row] = [("line", "held / available", 9_950), ("money", "cash / deposit", 9_950)]
RELEASED: list[Row] = [
    ("line", "available / held", 9_950),
    ("money", "deposit / refund_payable", 9_950),
]

# -- → AUTHORIZED, ACTIVE --------------------------------------------------------------------


def test_to_active_on_credit(desk: Desk) -> None:
    """→ ACTIVE on credit posts held / avail; the item is OUT, due in a day."""
    books = Books(desk)
    it = books.step(
        authorize("ann", "bike", "bike-7"),
        [("line", "held / available", 19_900)],
        "authorization.active",
    )
    assert states(it) == (State.ACTIVE, Custody.OUT, Collection.NONE)
    assert (it.start_us, it.due_us, it.expire_us) == (START_US, START_US + DAY_US, None)
    assert balances(desk) == (50_000, 30_100, 19_900, 0)


def test_to_authorized_on_credit(desk: Desk) -> None:
    """→ AUTHORIZED on credit posts held / avail; the item keeps its custody until the pick-up."""
    books = Books(desk)
    it = books.step(pick_up(), [("line", "held / available", 19_900)], "authorization.authorized")
    assert states(it) == (State.AUTHORIZED, Custody.IN_STATION, Collection.NONE)
    assert balances(desk) == (50_000, 30_100, 19_900, 0)


@pytest.mark.parametrize(
    ("user_id", "rows", "after"),
    [
        ("ben", BOTH, (20_000, 10_050, 9_950, 0)),
        ("cem", [("money", "cash / deposit", 19_900)], (0, 0, 0, 0)),
    ],
    ids=["both parts", "cash alone"],
)
@pytest.mark.parametrize("when", [Start.IMMEDIATE, Start.ON_PICKUP])
def test_to_active_with_cash(
    desk: Desk, user_id: str, rows: list[Row], after: tuple[int, int, int, int], when: Start
) -> None:
    """OFFERED → AUTHORIZED or ACTIVE: the credit part posts held / avail, the cash part
    cash / deposit, in one transaction."""
    offered = rental(desk, authorize(user_id, start=when))
    books = Books(desk)
    at_once = when is Start.IMMEDIATE
    event = "authorization.active" if at_once else "authorization.authorized"
    it = books.step(confirm(offered), rows, event)
    assert it.state is (State.ACTIVE if at_once else State.AUTHORIZED)
    assert it.custody is (Custody.OUT if at_once else Custody.IN_STATION)
    assert it.collection is Collection.NONE
    assert balances(desk, user_id) == after
    assert line(desk, user_id).deposit_minor == it.cash_minor


def test_to_active_with_too_much_cash(desk: Desk) -> None:
    """Money above the cash part posts cash / refund_payable in the same transaction."""
    offered = rental(desk, authorize("ben"))
    books = Books(desk)
    it = books.step(
        confirm(offered, 10_000),
        [*BOTH, ("money", "cash / refund_payable", 50)],
        "authorization.active",
    )
    assert (it.collection, it.refund_payable_minor) == (Collection.REFUND_PENDING, 50)


def test_to_active_with_too_little_cash(desk: Desk) -> None:
    """A payment below the cash part is refused with the amount needed, and changes nothing."""
    offered = rental(desk, authorize("ben"))
    before = counts(desk)
    error = refused(desk, confirm(offered, 9_949))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].field == "paid.amount_minor"
    assert "9950" in error.violations[0].description
    assert counts(desk) == before


def test_payment_late(desk: Desk) -> None:
    """A payment for an offer that has lapsed posts cash / refund_payable; EXPIRED stays."""
    offered = rental(desk, authorize("ben"))
    desk.clock.advance(START_US + 15 * MINUTE_US)
    books = Books(desk)
    it = books.step(
        confirm(offered),
        [("money", "cash / refund_payable", 9_950)],
        "authorization.expired", "authorization.payment_owed_back",
    )  # fmt: skip
    assert states(it) == (State.EXPIRED, Custody.IN_STATION, Collection.REFUND_PENDING)
    assert balances(desk, "ben") == (20_000, 20_000, 0, 0)


@pytest.mark.parametrize(
    "state",
    [State.AUTHORIZED, State.ACTIVE, State.OVERDUE, State.RETURN_CLAIMED, State.SETTLED,
     State.REVERSED, State.EXPIRED],
)  # fmt: skip
def test_payment_twice(desk: Desk, state: State) -> None:
    """A second payment of the cash part, in any state, posts cash / refund_payable and changes
    neither the state nor the hold."""
    it = in_state(desk, state, "zoe")
    held_minor, owed_minor = it.held_minor, it.refund_payable_minor
    books = Books(desk)
    after = books.step(
        confirm(it, 2_950, reference="again"),
        [("money", "cash / refund_payable", 2_950)],
        "authorization.payment_owed_back",
    )
    assert (after.state, after.custody) == (it.state, it.custody)
    assert (after.held_minor, after.refund_payable_minor) == (held_minor, owed_minor + 2_950)


@pytest.mark.parametrize(
    ("meanwhile", "reason"), [("line", "LINE_EXHAUSTED"), ("item", "ASSET_IN_USE")]
)
def test_payment_when_line_or_item_is_gone(desk: Desk, meanwhile: str, reason: str) -> None:
    """When the line or the item is gone, a confirmation is DECLINED with the reason, and the money
    posts cash / refund_payable."""
    offered = rental(desk, authorize("ben", "bike", "bike-7"))
    if meanwhile == "line":
        for n in range(3):
            rental(desk, authorize("ben", "umbrella", accept=(Offer.ZERO,)), request_id=f"u-{n}")
    else:
        rental(desk, authorize("ann", "bike", "bike-7"))
    held_minor = line(desk, "ben").held_minor
    books = Books(desk)
    it = books.step(
        confirm(offered), [("money", "cash / refund_payable", 9_950)], "authorization.declined"
    )
    assert states(it) == (State.DECLINED, Custody.IN_STATION, Collection.REFUND_PENDING)
    assert (it.reasons[0], it.close_us) == (reason, START_US)
    assert line(desk, "ben").held_minor == held_minor


def test_a_deposit_of_zero(desk: Desk) -> None:
    """An offer without a cash part does not wait: it is held at once."""
    change_terms(desk, t.products, "umbrella", deposit_minor=0)
    books = Books(desk)
    it = books.step(authorize("cem", "umbrella"), [], "authorization.active")
    assert (it.state, it.offer, it.held_minor) == (State.ACTIVE, Offer.FULL, 0)
    assert books.step(settle(it, 0), [], "authorization.settled").state is State.SETTLED


# -- OFFERED → EXPIRED -----------------------------------------------------------------------


def test_offered_expired(desk: Desk) -> None:
    """OFFERED → EXPIRED: by the sweeper at its instant, without postings."""
    it = rental(desk, authorize("ben"))
    end_us = START_US + 15 * MINUTE_US
    it = Books(desk).wake(it, end_us, [], "authorization.expired")
    assert states(it) == (State.EXPIRED, Custody.IN_STATION, Collection.NONE)
    assert it.close_us == end_us


# -- increment, decrease, extend -------------------------------------------------------------


def test_increment_on_credit(desk: Desk) -> None:
    """An increment on credit is decided anew, and posts held / avail."""
    it = rental(desk, authorize("ann", "umbrella"))
    before = counts(desk)["decisions"]
    books = Books(desk)
    it = books.step(
        increment(it, 5_000), [("line", "held / available", 5_000)], "authorization.incremented"
    )
    assert (it.credit_minor, it.held_credit_minor, it.state) == (10_900, 10_900, State.ACTIVE)
    assert counts(desk)["decisions"] == before + 1
    assert balances(desk) == (50_000, 39_100, 10_900, 0)


def test_increment_with_cash(desk: Desk) -> None:
    """An increment whose policy asks for cash posts held / avail and cash / deposit."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    books = Books(desk)
    it = books.step(
        increment(it, 2_001, 1_101),
        [
            ("line", "held / available", 1_000),
            ("money", "cash / deposit", 1_001),
            ("money", "cash / refund_payable", 100),
        ],
        "authorization.incremented",
    )
    assert (it.held_credit_minor, it.held_cash_minor) == (10_950, 10_951)
    assert refused(desk, increment(it, 100, 100)).reason == "PAYMENT_REFERENCE_USED"


def test_increment_with_too_little_cash(desk: Desk) -> None:
    """An increment with a missing or too small payment of its cash part is refused with
    DEPOSIT_REQUIRED, the amount and the reason. It changes nothing but the count of tries."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    before = counts(desk)
    for left, command in (("5", increment(it, 2_000)), ("4", increment(it, 2_000, 999))):
        error = refused(desk, command)
        assert isinstance(error, IllegalState)
        assert error.reason == "DEPOSIT_REQUIRED"
        assert error.metadata == {
            "state": "ACTIVE",
            "deposit_minor": "1000",
            "reasons": "SCORE_BELOW_ZERO_DEPOSIT",
            "tries_left": left,
        }
    assert counts(desk) == {**before, "refused_increments": 2}
    assert stored(desk, it) == it


def test_increment_on_an_exhausted_line(desk: Desk) -> None:
    """An increment too large for the line is refused with LINE_EXHAUSTED and changes nothing but
    its own records; with cash for the stricter offer it passes."""
    it = rental(desk, authorize())
    before = counts(desk)
    error = refused(desk, increment(it, 30_101))
    assert (type(error).__name__, error.reason) == ("Exhausted", "LINE_EXHAUSTED")
    added = {"requests": before["requests"] + 1, "refused_increments": 1}
    assert counts(desk) == {**before, **added}
    it = Books(desk).step(
        increment(it, 30_101, 15_051),
        [("line", "held / available", 15_050), ("money", "cash / deposit", 15_051)],
        "authorization.incremented",
    )
    assert it.held_minor == 19_900 + 30_101


@pytest.mark.parametrize(("amount_minor", "paid_minor"), [(0, None), (100, 0)])
def test_increment_of_zero(desk: Desk, amount_minor: int, paid_minor: int | None) -> None:
    """An increment and its payment are more than zero."""
    it = rental(desk, authorize())
    assert isinstance(refused(desk, increment(it, amount_minor, paid_minor)), InvalidInput)


def test_increment_with_unneeded_cash(desk: Desk) -> None:
    """Cash that an increment does not need is owed back."""
    it = rental(desk, authorize("ann", "umbrella"))
    it = Books(desk).step(
        increment(it, 100, 30),
        [("line", "held / available", 100), ("money", "cash / refund_payable", 30)],
        "authorization.incremented",
    )
    assert it.refund_payable_minor == 30


@pytest.mark.parametrize(
    ("amount_minor", "rows"),
    [
        (500, [("line", "available / held", 500)]),
        (10_000, [("line", "available / held", 9_950), ("money", "deposit / refund_payable", 50)]),
        (19_900, RELEASED),
    ],
)
def test_decrease(desk: Desk, amount_minor: int, rows: list[Row]) -> None:
    """A decrease posts avail / held first, then deposit / refund_payable."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    books = Books(desk)
    it = books.step(decrease(it, amount_minor), rows, "authorization.decreased")
    assert (it.state, it.custody) == (State.ACTIVE, Custody.OUT)
    assert it.held_minor == it.credit_minor + it.cash_minor == 19_900 - amount_minor
    assert isinstance(refused(desk, decrease(it, it.held_minor + 1)), InvalidInput)


def test_extend(desk: Desk) -> None:
    """An extension posts nothing and moves the due time, and the sweeper's next visit with it."""
    it = rental(desk, authorize())
    books = Books(desk)
    it = books.step(extend(it, DAY_US), [], "authorization.extended")
    assert (it.state, it.due_us) == (State.ACTIVE, START_US + 2 * DAY_US)
    it = books.wake(it, START_US + 2 * DAY_US, [], "authorization.overdue")
    assert it.state is State.OVERDUE


def test_a_hold_that_waits_is_extended(desk: Desk) -> None:
    """A reservation is extended by at most the policy's pick-up window. It expires at the new end,
    and not before."""
    it = rental(desk, pick_up())
    assert it.expire_us == START_US + 30 * MINUTE_US
    longer = Books(desk).step(extend(it, 30 * MINUTE_US), [], "authorization.extended")
    assert (longer.state, longer.expire_us) == (State.AUTHORIZED, START_US + 60 * MINUTE_US)
    error = refused(desk, extend(it, 30 * MINUTE_US + 1))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "duration.range"
    assert woken(desk, longer, START_US + 60 * MINUTE_US).state is State.EXPIRED
    late = extend(it, MINUTE_US)
    assert refused(desk, late).reason == "ILLEGAL_TRANSITION"


def test_an_extended_reservation_is_picked_up(desk: Desk) -> None:
    """A reservation that was extended starts within its new end, and verifies."""
    it = rental(desk, extend(rental(desk, pick_up()), 30 * MINUTE_US))
    desk.clock.advance(START_US + 45 * MINUTE_US)
    begun = rental(desk, start(it))
    assert (begun.state, begun.due_us) == (State.ACTIVE, desk.clock.now_us() + DAY_US)


def test_overdue_to_active(desk: Desk) -> None:
    """OVERDUE → ACTIVE by a renewal: nothing is posted, the hold stays."""
    it = in_state(desk, State.OVERDUE, "zoe")
    books = Books(desk)
    it = books.step(extend(it, DAY_US), [], "authorization.extended")
    assert (it.state, it.custody, it.held_minor) == (State.ACTIVE, Custody.OUT, 5_900)
    assert it.due_us == desk.clock.now_us() + DAY_US


# -- AUTHORIZED → ACTIVE ---------------------------------------------------------------------


def test_authorized_to_active(desk: Desk) -> None:
    """AUTHORIZED → ACTIVE at the pick-up: nothing is posted, the custody is OUT, and the start is
    the server's time."""
    it = rental(desk, pick_up())
    desk.clock.advance(START_US + 5 * MINUTE_US)
    it = Books(desk).step(start(it, "bike-7"), [], "authorization.started")
    assert states(it) == (State.ACTIVE, Custody.OUT, Collection.NONE)
    assert (it.start_us, it.asset_id) == (START_US + 5 * MINUTE_US, "bike-7")
    assert (it.due_us, it.expire_us) == (START_US + 5 * MINUTE_US + DAY_US, None)


# -- → REVERSED, EXPIRED ---------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.OFFERED, State.REVIEW, State.AUTHORIZED, State.ACTIVE])
def test_to_reversed(desk: Desk, state: State) -> None:
    """OFFERED and REVIEW → REVERSED post nothing; AUTHORIZED and ACTIVE → REVERSED post
    avail / held and deposit / refund_payable."""
    it = in_state(desk, state, "zoe")
    rows: list[Row] = []
    if state in (State.AUTHORIZED, State.ACTIVE):
        rows = [("line", "available / held", 2_950), ("money", "deposit / refund_payable", 2_950)]
    desk.clock.advance(START_US + 60_000_000)
    it = Books(desk).step(reverse(it), rows, "authorization.reversed")
    owed = Collection.REFUND_PENDING if rows else Collection.NONE
    assert states(it) == (State.REVERSED, Custody.IN_STATION, owed)
    assert (it.close_us, it.held_minor) == (START_US + 60_000_000, 0)
    assert balances(desk, "zoe") == (10_000, 10_000, 0, 0)


def test_active_not_reversed_after_a_capture(desk: Desk) -> None:
    """A reverse after a capture is refused: settle 0 with `final` instead."""
    it = rental(desk, settle(rental(desk, authorize()), 1, final=False))
    error = refused(desk, reverse(it))
    assert (error.reason, error.metadata) == ("CAPTURED_ALREADY", {"state": "ACTIVE"})
    assert rental(desk, settle(it, 0)).state is State.SETTLED


def test_authorized_expired(desk: Desk) -> None:
    """AUTHORIZED → EXPIRED by the sweeper at its instant: avail / held, deposit / refund_payable,
    as of the end of the pick-up window."""
    it = rental(desk, confirm(rental(desk, pick_up("ben", asset_id="bike-7"))))
    end_us = START_US + 30 * MINUTE_US
    it = Books(desk).wake(it, end_us, RELEASED, "authorization.expired")
    assert states(it) == (State.EXPIRED, Custody.IN_STATION, Collection.REFUND_PENDING)
    assert it.close_us == end_us
    assert counts(desk)["open_items"] == 0


def test_event_time_and_ledger_time(desk: Desk) -> None:
    """A timer's step may run late, even within a refused command. It is posted with its own instant
    as event time and the present as ledger time."""
    it = rental(desk, pick_up())
    end_us, late_us = START_US + 30 * MINUTE_US, START_US + 9 * DAY_US
    books = Books(desk)
    desk.clock.advance(late_us)
    assert refused(desk, start(it)).metadata == {"state": "EXPIRED"}
    happened = books.news()
    assert happened.ledger == {("authorization.expired", end_us, late_us)}
    assert happened.events == [("authorization.expired", end_us)]


# -- tombstones ------------------------------------------------------------------------------


def test_a_reversal_before_its_authorize_arrives(desk: Desk) -> None:
    """A reverse of an Authorize not seen yet leaves a tombstone: the late Authorize is DECLINED."""
    books = Books(desk)
    assert desk.do(reverse_origin("ann", "r")) == Tombstone()
    books.expect([])
    it = rental(desk, authorize("ann", "bike", "bike-7"), request_id="r")
    books.expect([], "authorization.declined")
    assert (it.state, it.reasons) == (State.DECLINED, ("CANCELLED_BEFORE_ARRIVAL",))


def test_reversed_by_its_origin(desk: Desk) -> None:
    """A reverse by an Authorize's request id posts the same as a reverse by name."""
    rental(desk, authorize("ann", "bike", "bike-7"), request_id="r")
    it = Books(desk).step(
        reverse_origin("ann", "r"), [("line", "available / held", 19_900)], "authorization.reversed"
    )
    assert it.state is State.REVERSED
