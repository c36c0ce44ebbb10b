"""From the offer to the hold: reservation, and release without a charge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain import hold
from service.domain.authorization import Authorization, Custody, State, Transfer
from service.domain.errors import IllegalState, InvalidInput
from service.domain.ledger import Account as A
from service.domain.policy import Offer, Split
from service.domain.tariff import DAY_US, MINUTE_US, Tariff
from tests.domain.lives import (
    BIKE,
    DUE_US,
    FULL,
    LOST_US,
    NOW_US,
    OFFER_END_US,
    PICKUP,
    PICKUP_US,
    PLAIN,
    POLICY,
    REDUCED,
    capture,
    claimed,
    confirmed,
    granted,
    late,
    moved,
    waiting,
)

# -- to AUTHORIZED and ACTIVE ----------------------------------------------------------------


def test_a_zero_deposit_starts_at_once() -> None:
    """Zero deposit with start IMMEDIATE is ACTIVE, the item OUT; credit posts held / avail."""
    step = hold.grant(PLAIN._replace(version=0), BIKE, NOW_US)
    it = step.authorization
    assert moved(step) == [(A.HELD, A.AVAILABLE, 19_900)]
    assert (it.state, it.custody, it.start_us) == (State.ACTIVE, Custody.OUT, NOW_US)
    assert (it.held_credit_minor, it.held_cash_minor, it.version) == (19_900, 0, 1)
    assert (it.due_us, it.lost_us, it.wake_us) == (DUE_US, LOST_US, DUE_US)
    assert (step.transition, step.event_us) == ("authorization.active", NOW_US)
    assert step.transfer is None


def test_a_rental_under_way_never_lapses() -> None:
    """An ACTIVE authorization has no expiry."""
    assert granted().expire_us is None
    with pytest.raises(IllegalState) as refused:
        hold.expire(granted())
    assert refused.value.metadata == {"state": "ACTIVE"}


def test_a_zero_deposit_may_wait_for_the_pick_up() -> None:
    """Zero deposit with start ON_PICKUP is AUTHORIZED until the end of the pick-up window."""
    step = hold.grant(PICKUP, BIKE, NOW_US)
    it = step.authorization
    assert moved(step) == [(A.HELD, A.AVAILABLE, 19_900)]
    assert (it.state, it.custody, it.start_us) == (State.AUTHORIZED, Custody.IN_STATION, None)
    assert (it.expire_us, it.wake_us, it.due_us) == (NOW_US + PICKUP_US, NOW_US + PICKUP_US, None)
    assert step.transition == "authorization.authorized"


def test_a_confirmed_offer_holds_both_parts() -> None:
    """Confirming posts held / avail for the credit part and cash / deposit for the cash part."""
    step = hold.confirm(REDUCED, BIKE, 9_950, NOW_US)
    it = step.authorization
    assert moved(step) == [(A.HELD, A.AVAILABLE, 9_950), (A.CASH, A.DEPOSIT, 9_950)]
    assert (it.state, it.custody, it.start_us) == (State.ACTIVE, Custody.OUT, NOW_US)
    assert (it.held_credit_minor, it.held_cash_minor, it.held_minor) == (9_950, 9_950, 19_900)
    assert (it.expire_us, it.refund_payable_minor, it.version) == (None, 0, 2)
    assert step.transition == "authorization.active"


def test_a_full_deposit_touches_no_credit() -> None:
    """Confirming the full deposit posts cash / deposit and needs no room on the line."""
    assert moved(hold.confirm(FULL, BIKE, 19_900, NOW_US)) == [(A.CASH, A.DEPOSIT, 19_900)]


def test_a_confirmed_offer_may_wait_for_the_pick_up() -> None:
    """A confirmed offer with start ON_PICKUP is AUTHORIZED; its pick-up window starts now."""
    it = waiting()
    assert (it.state, it.custody, it.start_us) == (State.AUTHORIZED, Custody.IN_STATION, None)
    assert it.expire_us == NOW_US + PICKUP_US


def test_an_overpayment_is_owed_back() -> None:
    """An overpayment posts its excess cash / refund_payable."""
    step = hold.confirm(REDUCED, BIKE, 10_000, NOW_US, excess_minor=50)
    assert moved(step) == [
        (A.HELD, A.AVAILABLE, 9_950), (A.CASH, A.DEPOSIT, 9_950), (A.CASH, A.REFUND_PAYABLE, 50),
    ]  # fmt: skip
    assert step.authorization.refund_payable_minor == 50
    assert step.authorization.held_cash_minor == 9_950


def test_an_offer_without_line_or_item_is_declined() -> None:
    """If the line or the item of an offer is gone, the offer is declined with this reason first,
    and its payment is owed back."""
    before = REDUCED._replace(reasons=("B", "LINE_EXHAUSTED", "C", "D"))
    step = hold.declined(before, "LINE_EXHAUSTED", 9_950, NOW_US)
    assert step.event_us == NOW_US
    it = step.authorization
    assert moved(step) == [(A.CASH, A.REFUND_PAYABLE, 9_950)]
    assert (it.state, it.close_us, it.expire_us) == (State.DECLINED, NOW_US, None)
    assert it.reasons == ("LINE_EXHAUSTED", "B", "C", "D")
    assert (it.refund_payable_minor, it.received_minor) == (9_950, 9_950)
    assert step.transition == "authorization.declined"


@pytest.mark.parametrize("state", sorted(set(State) - {State.OFFERED, State.REVIEW}))
def test_a_late_or_second_payment_is_owed_back(state: State) -> None:
    """A cash part that is paid late or twice posts cash / refund_payable, and the state stays."""
    before = confirmed(50)._replace(state=state)
    hold.require_asked(before)
    step = hold.owe_back(before, 9_950, NOW_US)
    assert moved(step) == [(A.CASH, A.REFUND_PAYABLE, 9_950)]
    assert step.authorization == before._replace(
        refund_payable_minor=10_000, received_minor=19_950, version=3
    )
    assert step.transition == "authorization.payment_owed_back"


@pytest.mark.parametrize("state", State)
def test_only_a_cash_part_can_be_confirmed(state: State) -> None:
    """An authorization without a cash part refuses a confirmation in every state."""
    with pytest.raises(IllegalState) as refused:
        hold.require_asked(PLAIN._replace(state=state))
    assert refused.value.metadata == {"state": state}


@pytest.mark.parametrize(
    ("state", "transition"),
    [
        (State.OFFERED, "authorization.offered"),
        (State.REVIEW, "authorization.review"),
        (State.DECLINED, "authorization.declined"),
    ],
)
def test_a_request_posts_nothing(state: State, transition: str) -> None:
    """An authorization that begins as OFFERED, REVIEW or DECLINED posts nothing."""
    step = hold.ask(REDUCED._replace(state=state, version=0), NOW_US)
    assert moved(step) == []
    assert (step.transition, step.authorization.version) == (transition, 1)
    assert step.event_us == NOW_US


def test_an_approved_review() -> None:
    """An approved review without a cash part starts the hold. Otherwise the user is asked for the
    cash, with a whole offer window."""
    review = PLAIN._replace(state=State.REVIEW, expire_us=NOW_US + DAY_US)
    granted_now = hold.grant(review, BIKE, NOW_US)
    assert moved(granted_now) == [(A.HELD, A.AVAILABLE, 19_900)]
    assert (granted_now.authorization.state, granted_now.authorization.expire_us) == (
        State.ACTIVE, None,
    )  # fmt: skip
    asked = hold.offer(review, BIKE.policy.offer_window_us, NOW_US)
    assert moved(asked) == []
    assert (asked.authorization.state, asked.authorization.expire_us) == (
        State.OFFERED, OFFER_END_US,
    )  # fmt: skip
    assert asked.transition == "authorization.offered"


def test_a_review_becomes_stricter() -> None:
    """A stricter offer, with its parts and reasons, is given only to a review."""
    review = PLAIN._replace(state=State.REVIEW, reasons=("UNDER_REVIEW",))
    reasons = ("LINE_EXHAUSTED", "UNDER_REVIEW")
    it = hold.stricter(review, Offer.REDUCED, Split(9_950, 9_950), reasons)
    assert it == REDUCED._replace(state=State.REVIEW, reasons=reasons)
    with pytest.raises(IllegalState):
        hold.stricter(PLAIN, Offer.REDUCED, Split(9_950, 9_950), reasons)


# -- pick-up ---------------------------------------------------------------------------------


def test_a_pick_up_starts_the_rental() -> None:
    """Starting a rental posts nothing. The rental is ACTIVE from the server's time on, has no
    expiry, and its item is OUT."""
    step = hold.start_rental(waiting(), BIKE, "", NOW_US + 5, NOW_US + 5)
    it = step.authorization
    assert step.postings == ()
    assert (it.state, it.custody, it.start_us) == (State.ACTIVE, Custody.OUT, NOW_US + 5)
    assert (it.expire_us, it.asset_id, it.version) == (None, "bike-7", 3)
    assert (it.due_us, it.lost_us) == (DUE_US + 5, LOST_US + 5)
    assert (it.held_credit_minor, it.held_cash_minor) == (9_950, 9_950)
    assert step.transition == "authorization.started"


def test_a_pick_up_may_name_the_item() -> None:
    """A pick-up names the item when the authorization named none."""

    def named(it: Authorization, asset_id: str) -> str:
        return hold.start_rental(it, BIKE, asset_id, NOW_US, NOW_US).authorization.asset_id

    unnamed = waiting()._replace(asset_id="")
    assert named(waiting(), "bike-7") == "bike-7"
    assert named(unnamed, "bike-9") == "bike-9"
    assert named(unnamed, "") == ""


def test_another_item_cannot_be_picked_up() -> None:
    """A pick-up of another item than the authorized one is refused."""
    with pytest.raises(InvalidInput) as refused:
        hold.start_rental(waiting(), BIKE, "bike-8", NOW_US, NOW_US)
    assert refused.value.violations[0].field == "asset_id"


@pytest.mark.parametrize(
    ("tariff", "after_us"),
    [
        (BIKE.tariff, LOST_US - NOW_US),
        (Tariff(0, 0, 15, 100, 3_000, 0), None),
        (Tariff(0, 0, 15, 0, 0, 19_900), None),
        (Tariff(150, 0, 15, 0, 1, 10**9), None),
        (Tariff(19_900, 0, 15, 0, 19_900, 19_900), 0),
    ],
    ids=["bike", "no cap", "free", "longer than anybody lives", "at once"],
)
def test_when_an_item_counts_as_lost(tariff: Tariff, after_us: int | None) -> None:
    """An item counts as lost when the fee reaches the buy-out cap. Without a cap, or if the fee
    takes more than a century, an item never counts as lost."""
    assert hold.lost_after_us(tariff) == after_us


def test_no_item_is_lost_before_the_policys_time() -> None:
    """R7: when the fee reaches the buy-out cap before the due time, the item is lost the policy's
    time after the due time."""
    cap_at_once = Tariff(19_900, 0, 15, 0, 19_900, 19_900)
    product = replace(BIKE, tariff=cap_at_once)
    it = hold.grant(PLAIN, product, NOW_US).authorization
    assert (it.due_us, it.lost_us) == (DUE_US, DUE_US + POLICY.overdue_window_us)
    without = Tariff(0, 0, 15, 100, 3_000, 0)
    product = replace(BIKE, tariff=without)
    it = hold.grant(PLAIN, product, NOW_US).authorization
    assert (it.lost_us, late(it).wake_us) == (None, None)
    assert hold.extend(it, product, MINUTE_US, NOW_US).authorization.lost_us is None


# -- more, less, longer ----------------------------------------------------------------------


@pytest.mark.parametrize("it", [granted(), waiting(), late()], ids=lambda it: str(it.state))
def test_an_increment_holds_more(it: Authorization) -> None:
    """An increment posts held / avail and cash / deposit; an overpayment is owed back."""
    step = hold.increment(it, Split(300, 200), 40, NOW_US)
    after = step.authorization
    assert moved(step) == [
        (A.HELD, A.AVAILABLE, 300), (A.CASH, A.DEPOSIT, 200), (A.CASH, A.REFUND_PAYABLE, 40),
    ]  # fmt: skip
    assert after == it._replace(
        credit_minor=it.credit_minor + 300,
        cash_minor=it.cash_minor + 200,
        held_credit_minor=it.held_credit_minor + 300,
        held_cash_minor=it.held_cash_minor + 200,
        refund_payable_minor=40,
        received_minor=it.received_minor + 240,
        refund_since_us=NOW_US,
        version=it.version + 1,
    )
    assert step.transition == "authorization.incremented"


@pytest.mark.parametrize(
    ("amount_minor", "credit_minor", "cash_minor"),
    [(1, 1, 0), (9_950, 9_950, 0), (9_951, 9_950, 1), (19_900, 9_950, 9_950)],
)
@pytest.mark.parametrize(
    "it", [confirmed(), waiting(), late(confirmed()), claimed(it=confirmed())],
    ids=lambda it: str(it.state),
)  # fmt: skip
def test_a_decrease_releases_the_credit_part_first(
    it: Authorization, amount_minor: int, credit_minor: int, cash_minor: int
) -> None:
    """A decrease posts avail / held first, then deposit / refund_payable."""
    step = hold.decrease(it, amount_minor, NOW_US)
    after = step.authorization
    expected = [(A.AVAILABLE, A.HELD, credit_minor), (A.DEPOSIT, A.REFUND_PAYABLE, cash_minor)]
    assert moved(step) == [row for row in expected if row[2]]
    assert (after.credit_minor, after.cash_minor) == (9_950 - credit_minor, 9_950 - cash_minor)
    assert after.held_minor == 19_900 - amount_minor
    assert (after.refund_payable_minor, after.state) == (cash_minor, it.state)
    assert step.transition == "authorization.decreased"


@pytest.mark.parametrize("amount_minor", [0, 19_901])
def test_a_decrease_is_within_the_hold(amount_minor: int) -> None:
    """A decrease is more than zero and at most what is held."""
    with pytest.raises(InvalidInput) as refused:
        hold.decrease(confirmed(), amount_minor, NOW_US)
    assert refused.value.violations[0].rule == "amount.exceeds_hold"


def test_an_extension_moves_the_due_time() -> None:
    """An extension moves the due time by its duration; nothing is posted, and the fee goes on."""
    step = hold.extend(granted(), BIKE, DAY_US, NOW_US + MINUTE_US)
    it = step.authorization
    assert step.postings == ()
    assert (it.state, it.due_us, it.lost_us) == (State.ACTIVE, DUE_US + DAY_US, LOST_US)
    assert it.wake_us == DUE_US + DAY_US
    assert step.transition == "authorization.extended"


def test_a_renewal_makes_an_overdue_rental_active() -> None:
    """An overdue rental whose new due time lies ahead is ACTIVE again."""
    it = hold.extend(late(), BIKE, MINUTE_US, DUE_US).authorization
    assert (it.state, it.due_us, it.wake_us) == (
        State.ACTIVE, DUE_US + MINUTE_US, DUE_US + MINUTE_US,
    )  # fmt: skip


def test_a_long_extension_moves_the_loss() -> None:
    """R7: an item counts as lost at least the policy's time after its due time."""
    it = granted()
    for _ in range(7):
        it = hold.extend(it, BIKE, DAY_US, NOW_US).authorization
    assert it.due_us == DUE_US + 7 * DAY_US
    assert it.lost_us == it.due_us + POLICY.overdue_window_us


@pytest.mark.parametrize(
    ("by_us", "now_us", "rule"),
    [
        (0, DUE_US, "duration.range"),
        (DAY_US + 1, DUE_US, "duration.range"),
        (MINUTE_US, DUE_US + MINUTE_US, "duration.too_short"),
    ],
)
def test_an_extension_has_bounds(by_us: int, now_us: int, rule: str) -> None:
    """An extension is more than zero, at most the policy's period, and ends in the future."""
    with pytest.raises(InvalidInput) as refused:
        hold.extend(late(), BIKE, by_us, now_us)
    assert refused.value.violations[0].rule == rule


# -- the end without a charge ----------------------------------------------------------------


@pytest.mark.parametrize("it", [confirmed(), waiting()], ids=lambda it: str(it.state))
def test_a_reverse_gives_everything_back(it: Authorization) -> None:
    """A reverse posts avail / held and deposit / refund_payable and closes."""
    step = hold.reverse(it, NOW_US + 3)
    assert moved(step) == [(A.AVAILABLE, A.HELD, 9_950), (A.DEPOSIT, A.REFUND_PAYABLE, 9_950)]
    after = step.authorization
    assert (after.state, after.custody) == (State.REVERSED, Custody.IN_STATION)
    assert (after.close_us, after.expire_us, after.wake_us) == (NOW_US + 3, None, None)
    assert (after.held_credit_minor, after.held_cash_minor) == (0, 0)
    assert (after.refund_payable_minor, after.version) == (9_950, 3)
    assert step.transition == "authorization.reversed"


@pytest.mark.parametrize("state", [State.OFFERED, State.REVIEW])
def test_a_reversed_offer_posts_nothing(state: State) -> None:
    """A withdrawn offer or review closes without postings."""
    step = hold.reverse(REDUCED._replace(state=state), NOW_US)
    assert moved(step) == []
    assert step.authorization.state is State.REVERSED


@pytest.mark.parametrize("amount_minor", [1, 19_900])
def test_a_capture_cannot_be_reversed(amount_minor: int) -> None:
    """A reverse after a capture is refused and names the state."""
    it = capture(granted(), amount_minor, final=False).authorization
    with pytest.raises(IllegalState) as refused:
        hold.reverse(it, NOW_US)
    assert refused.value.metadata == {"state": "ACTIVE"}
    assert refused.value.reason == "CAPTURED_ALREADY"


def test_an_expired_hold_is_released() -> None:
    """A hold without pick-up posts avail / held and deposit / refund_payable, dated at its end."""
    step = hold.expire(waiting())
    assert moved(step) == [(A.AVAILABLE, A.HELD, 9_950), (A.DEPOSIT, A.REFUND_PAYABLE, 9_950)]
    it = step.authorization
    assert (it.state, it.close_us, it.expire_us) == (State.EXPIRED, NOW_US + PICKUP_US, None)
    assert (it.refund_payable_minor, it.version) == (9_950, 3)
    assert (step.transition, step.event_us) == ("authorization.expired", NOW_US + PICKUP_US)


@pytest.mark.parametrize("state", [State.OFFERED, State.REVIEW])
def test_an_expired_offer_posts_nothing(state: State) -> None:
    """An unconfirmed offer and an undecided review expire without postings."""
    step = hold.expire(REDUCED._replace(state=state))
    assert moved(step) == []
    assert (step.authorization.state, step.authorization.close_us) == (State.EXPIRED, OFFER_END_US)


def test_without_an_end_nothing_expires() -> None:
    """An authorization without an expiry cannot be expired."""
    with pytest.raises(IllegalState):
        hold.expire(REDUCED._replace(expire_us=None))


def test_a_hold_asks_nothing_of_the_rail() -> None:
    """Holding and releasing ask nothing of the payment rail."""
    transfers: list[Transfer | None] = [
        hold.grant(PLAIN, BIKE, NOW_US).transfer,
        hold.reverse(confirmed(), NOW_US).transfer,
        hold.expire(waiting()).transfer,
    ]
    assert transfers == [None, None, None]
