"""Rows of the transition table: the limit, and the holds it allows."""

from __future__ import annotations

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Collection, Custody, State
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine.feature_values import pack
from service.engine.operations import (
    ApproveWriteOff,
    ProposeWriteOff,
    PutUser,
    SetLimit,
    SetStanding,
)
from tests.engine.acts import Books, extend, increment, money, review, states
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    line,
    pay,
    pick_up,
    refused,
    rental,
    reverse,
    settle,
    start,
)
from tests.fakes import MINUTE_US, START_US, Desk

# -- limit set or raised; cut ----------------------------------------------------------------


def scored(user_id: str, score: float) -> PutUser:
    """A person with features of the given score."""
    return PutUser(user_id, pack([score, 0.0]), START_US, True)


def test_limit_set(desk: Desk) -> None:
    """Setting the first limit posts avail / limit_control."""
    books = Books(desk)
    desk.do(scored("zoe", 700), caller=PLATFORM)
    happened = books.news()
    assert happened.rows == [("line", "available / limit_control", 50_000)]
    assert happened.ledger == {("line.limit_set", START_US, START_US)}
    assert happened.events == [("user.features_recorded", START_US)]
    assert balances(desk, "zoe") == (50_000, 50_000, 0, 0)


def test_limit_raised(desk: Desk) -> None:
    """A raise posts avail / limit_control for the difference, available at once."""
    rental(desk, authorize("ben", "umbrella"))
    books = Books(desk)
    desk.do(scored("ben", 700), caller=PLATFORM)
    books.expect([("line", "available / limit_control", 30_000)], "user.features_recorded")
    assert balances(desk, "ben") == (50_000, 44_100, 5_900, 0)


def test_limit_cut(desk: Desk) -> None:
    """A cut posts limit_control / avail for the available part; the rest is pending and taken from
    each release, in the release's own transaction."""
    one = rental(desk, authorize("ann", "umbrella"))
    two = rental(desk, authorize("ann", "umbrella"))
    three = rental(desk, authorize("ann", "umbrella"))
    books = Books(desk)
    desk.do(scored("ann", 499), caller=PLATFORM)
    books.expect([("line", "limit_control / available", 32_300)], "user.features_recorded")
    assert balances(desk) == (17_700, 0, 17_700, 0)
    assert line(desk).cut_pending_minor == 17_700
    books.step(
        reverse(one),
        [("line", "available / held", 5_900), ("line", "limit_control / available", 5_900)],
        "authorization.reversed",
    )
    two = books.step(
        settle(two, 1_000),
        [
            ("line", "drawn / held", 1_000),
            ("money", "receivable / operator_payable", 970),
            ("money", "receivable / fee_income", 30),
            ("line", "available / held", 4_900),
            ("line", "limit_control / available", 4_900),
        ],
        "authorization.settled",
    )
    books.step(
        pay(two, 1_000),
        [
            ("money", "cash / receivable", 1_000),
            ("line", "available / drawn", 1_000),
            ("line", "limit_control / available", 1_000),
        ],
        "collection.payment_recorded",
    )
    assert line(desk).cut_pending_minor == 5_900
    rental(desk, reverse(three))
    assert balances(desk) == (0, 0, 0, 0)
    assert line(desk).cut_pending_minor == 0


def test_a_write_off_counts_towards_a_cut(desk: Desk) -> None:
    """A write-off lowers the limit by its amount: only the rest of a cut stays pending."""
    it = rental(desk, settle(rental(desk, authorize("ann", "bike")), 19_900))
    desk.do(SetLimit("ann", money(0)), caller=PLATFORM)
    assert balances(desk) == (19_900, 0, 0, 19_900)
    assert line(desk).cut_pending_minor == 19_900
    rental(desk, pay(it, 900), caller=PLATFORM)
    assert line(desk).cut_pending_minor == 19_000
    desk.do(ProposeWriteOff(it.user_id, it.authorization_id, "key-1"), caller=PLATFORM)
    desk.do(ApproveWriteOff(it.user_id, it.authorization_id, "key-2"), caller=PLATFORM)
    assert balances(desk) == (0, 0, 0, 0)
    assert line(desk).cut_pending_minor == 0


def test_limit_by_hand(desk: Desk) -> None:
    """A limit set by hand stays for any score, until it is left to the score again."""
    books = Books(desk)
    desk.do(SetLimit("ann", money(7_000)), caller=PLATFORM)
    books.expect([("line", "limit_control / available", 43_000)], "line.limit_set")
    desk.do(scored("ann", 620), caller=PLATFORM)
    books.expect([], "user.features_recorded")
    desk.do(SetLimit("ann", None), caller=PLATFORM)
    books.expect([], "line.limit_set")
    desk.do(scored("ann", 620), caller=PLATFORM)
    books.expect([("line", "available / limit_control", 23_000)], "user.features_recorded")


def test_limit_of_an_unknown_person(desk: Desk) -> None:
    """A limit needs a person and a configured currency."""
    assert refused(desk, SetLimit("ghost", money(1)), caller=PLATFORM).reason == "USER_NOT_FOUND"
    euro = SetLimit("ann", Money("EUR", 1))
    assert refused(desk, euro, caller=PLATFORM).reason == "INVALID_INPUT"
    assert refused(desk, SetStanding("ghost", Standing.WATCHED), caller=PLATFORM).reason == (
        "USER_NOT_FOUND"
    )


def test_older_features_are_refused(desk: Desk) -> None:
    """Features older than those on record do not replace them."""
    desk.clock.advance(START_US + 10)
    desk.do(PutUser("ann", pack([700, 0]), START_US + 5, True), caller=PLATFORM)
    old = PutUser("ann", pack([400, 0]), START_US + 4, True)
    assert refused(desk, old, caller=PLATFORM).reason == "FEATURES_OUTDATED"
    assert balances(desk) == (50_000, 50_000, 0, 0)


# -- → OFFERED, REVIEW, DECLINED -------------------------------------------------------------


def test_to_offered(desk: Desk) -> None:
    """An offer posts nothing; the decision is recorded."""
    books = Books(desk)
    it = books.step(authorize("ben"), [], "authorization.offered")
    assert states(it) == (State.OFFERED, Custody.IN_STATION, Collection.NONE)
    assert (it.credit_minor, it.cash_minor, it.held_minor) == (9_950, 9_950, 0)


def test_to_declined(desk: Desk) -> None:
    """A decline posts nothing and stays the answer of its request id."""
    books = Books(desk)
    it = books.step(authorize("cem", accept=(Offer.ZERO,)), [], "authorization.declined")
    assert states(it) == (State.DECLINED, Custody.IN_STATION, Collection.NONE)
    assert it.reasons[0] == "OFFER_NOT_ACCEPTED"


def watch(desk: Desk, user_id: str, standing: Standing = Standing.WATCHED) -> None:
    """Sets a person to WATCHED or SUSPENDED."""
    desk.do(SetStanding(user_id, standing), caller=PLATFORM)


def test_to_review(desk: Desk) -> None:
    """A watched person's authorization waits in REVIEW and posts nothing."""
    books = Books(desk)
    watch(desk, "ann")
    books.expect([], "line.standing_set")
    it = books.step(authorize("ann", "bike", "bike-7"), [], "authorization.review")
    assert states(it) == (State.REVIEW, Custody.IN_STATION, Collection.NONE)
    assert (it.reasons, it.credit_minor) == (("UNDER_REVIEW",), 19_900)
    assert it.expire_us == START_US + 24 * 60 * MINUTE_US
    watch(desk, "ann", Standing.NORMAL)
    assert rental(desk, authorize("ann")).state is State.ACTIVE


# -- REVIEW ends by the verdict --------------------------------------------------------------


def test_review_approved_on_credit(desk: Desk) -> None:
    """An approved review that needs no cash posts held / avail and is ACTIVE."""
    watch(desk, "ann")
    it = rental(desk, authorize("ann", "bike", "bike-7"))
    books = Books(desk)
    it = books.step(
        review(it, approve=True), [("line", "held / available", 19_900)], "authorization.active"
    )
    assert states(it) == (State.ACTIVE, Custody.OUT, Collection.NONE)
    assert refused(desk, authorize("ben", "umbrella", "bike-7")).reason == "ASSET_IN_USE"


def test_review_approved_with_cash(desk: Desk) -> None:
    """An approved review that needs cash is OFFERED with its cash part, for a whole window."""
    watch(desk, "ben")
    it = rental(desk, authorize("ben"))
    desk.clock.advance(START_US + 7)
    books = Books(desk)
    it = books.step(review(it, approve=True), [], "authorization.offered")
    assert (it.state, it.expire_us) == (State.OFFERED, START_US + 7 + 15 * MINUTE_US)
    it = books.step(
        confirm(it),
        [("line", "held / available", 9_950), ("money", "cash / deposit", 9_950)],
        "authorization.active",
    )
    assert it.state is State.ACTIVE


def test_an_offer_stays_when_its_person_is_watched(desk: Desk) -> None:
    """A person who becomes WATCHED after an offer can still confirm it or pick up the hold, as
    after an approved review; only a suspension prevents that."""
    offer = rental(desk, authorize("ben"))
    held = rental(desk, pick_up("ann", "umbrella"))
    watch(desk, "ben")
    watch(desk, "ann")
    books = Books(desk)
    it = books.step(
        confirm(offer),
        [("line", "held / available", 9_950), ("money", "cash / deposit", 9_950)],
        "authorization.active",
    )
    assert it.state is State.ACTIVE
    assert rental(desk, start(held)).state is State.ACTIVE
    assert rental(desk, authorize("ben", "umbrella")).state is State.REVIEW
    assert refused(desk, increment(it, 1)).reason == "USER_WATCHED"


def test_review_declined(desk: Desk) -> None:
    """A declined review posts nothing and gives the reason REVIEW_DECLINED."""
    watch(desk, "ann")
    it = rental(desk, authorize("ann"))
    books = Books(desk)
    it = books.step(review(it, approve=False), [], "authorization.declined")
    assert states(it) == (State.DECLINED, Custody.IN_STATION, Collection.NONE)
    assert it.reasons[0] == "REVIEW_DECLINED"


def reviewed_last(desk: Desk, accept: tuple[Offer, ...]) -> Authorization:
    """The last of Ann's three reviews; the first two were approved and leave 10,200 of her line."""
    watch(desk, "ann")
    waiting = [rental(desk, authorize("ann")) for _ in range(2)]
    last = rental(desk, authorize("ann", "bike", "bike-7", accept=accept))
    assert (last.state, last.offer, last.accept_offers) == (State.REVIEW, Offer.ZERO, accept)
    for it in waiting:
        rental(desk, review(it, approve=True))
    desk.clock.advance(START_US + 7)
    return last


EXHAUSTED = ("LINE_EXHAUSTED", "UNDER_REVIEW")


def test_review_approved_with_a_stricter_offer(desk: Desk) -> None:
    """When the line is too small at an approval, the review is OFFERED with the next offer that
    fits, for a whole window, with LINE_EXHAUSTED first; its cash is paid as usual."""
    last = reviewed_last(desk, ())
    books = Books(desk)
    it = books.step(review(last, approve=True), [], "authorization.offered")
    assert states(it) == (State.OFFERED, Custody.IN_STATION, Collection.NONE)
    assert (it.offer, it.credit_minor, it.cash_minor) == (Offer.REDUCED, 9_950, 9_950)
    assert (it.reasons, it.held_minor) == (EXHAUSTED, 0)
    assert (it.expire_us, it.version) == (START_US + 7 + 15 * MINUTE_US, last.version + 1)
    assert balances(desk) == (50_000, 10_200, 39_800, 0)
    it = books.step(
        confirm(it),
        [("line", "held / available", 9_950), ("money", "cash / deposit", 9_950)],
        "authorization.active",
    )
    assert (it.state, it.offer, it.reasons) == (State.ACTIVE, Offer.REDUCED, EXHAUSTED)
    assert balances(desk) == (50_000, 250, 49_750, 0)


@pytest.mark.parametrize(
    ("accept", "limit_minor", "offer", "credit_minor"),
    [
        ((Offer.ZERO, Offer.FULL, Offer.REDUCED), 50_000, Offer.FULL, 0),
        ((Offer.REDUCED, Offer.FULL, Offer.ZERO), 50_000, Offer.REDUCED, 9_950),
        ((Offer.FULL, Offer.ZERO), 50_000, Offer.FULL, 0),
        ((Offer.ZERO, Offer.REDUCED), 49_750, Offer.REDUCED, 9_950),
        ((Offer.ZERO, Offer.REDUCED, Offer.FULL), 49_749, Offer.FULL, 0),
        ((), 49_749, Offer.FULL, 0),
    ],
)
def test_review_approved_with_the_callers_next_offer(
    desk: Desk, accept: tuple[Offer, ...], limit_minor: int, offer: Offer, credit_minor: int
) -> None:
    """The stricter offers of an approved review are tried in the caller's order, to the last unit
    of the line."""
    last = reviewed_last(desk, accept)
    desk.do(SetLimit("ann", money(limit_minor)), caller=PLATFORM)
    books = Books(desk)
    it = books.step(review(last, approve=True), [], "authorization.offered")
    assert (it.offer, it.credit_minor) == (offer, credit_minor)
    assert it.credit_minor + it.cash_minor == 19_900
    assert it.reasons == EXHAUSTED


@pytest.mark.parametrize(
    ("accept", "limit_minor"),
    [((Offer.ZERO,), 50_000), ((Offer.ZERO,), 0), ((Offer.REDUCED, Offer.ZERO), 49_749)],
)
def test_review_approved_when_no_accepted_offer_is_left(
    desk: Desk, accept: tuple[Offer, ...], limit_minor: int
) -> None:
    """If no accepted offer fits on the line at an approval, the review is DECLINED with
    LINE_EXHAUSTED. An offer that was not accepted is never made."""
    last = reviewed_last(desk, accept)
    desk.do(SetLimit("ann", money(limit_minor)), caller=PLATFORM)
    books = Books(desk)
    it = books.step(review(last, approve=True), [], "authorization.declined")
    assert states(it) == (State.DECLINED, Custody.IN_STATION, Collection.NONE)
    assert (it.offer, it.credit_minor, it.cash_minor) == (Offer.ZERO, 19_900, 0)
    assert (it.reasons, it.expire_us, it.close_us) == (EXHAUSTED, None, START_US + 7)


@pytest.mark.parametrize(
    ("accept", "state", "offer", "cash_minor"),
    [
        ((), State.OFFERED, Offer.FULL, 19_900),
        ((Offer.REDUCED,), State.DECLINED, Offer.REDUCED, 9_950),
    ],
)
def test_review_of_a_reduced_deposit_on_an_exhausted_line(
    desk: Desk, accept: tuple[Offer, ...], state: State, offer: Offer, cash_minor: int
) -> None:
    """If the credit part of an offer is too large for the line, an approval does not make this
    offer. It asks for the full deposit in cash, if the caller accepts that."""
    watch(desk, "ben")
    it = rental(desk, authorize("ben", accept=accept))
    assert (it.state, it.offer) == (State.REVIEW, Offer.REDUCED)
    desk.do(SetLimit("ben", money(9_949)), caller=PLATFORM)
    it = Books(desk).step(review(it, approve=True), [], f"authorization.{state.lower()}")
    assert (it.state, it.offer, it.cash_minor) == (state, offer, cash_minor)
    assert it.reasons == (*EXHAUSTED, "SCORE_BELOW_ZERO_DEPOSIT")


def test_review_of_a_full_deposit_needs_no_line(desk: Desk) -> None:
    """A full deposit is offered as decided, whatever room the line has."""
    watch(desk, "ben")
    it = rental(desk, authorize("ben", accept=(Offer.FULL,)))
    desk.do(SetLimit("ben", money(0)), caller=PLATFORM)
    it = Books(desk).step(review(it, approve=True), [], "authorization.offered")
    assert (it.state, it.offer, it.cash_minor) == (State.OFFERED, Offer.FULL, 19_900)
    assert it.reasons == ("UNDER_REVIEW", "SCORE_BELOW_ZERO_DEPOSIT")


def test_the_exhausted_line_is_named_once_and_first(desk: Desk) -> None:
    """A review whose offer became stricter twice names the exhausted line once, as the first
    reason."""
    for _ in range(2):
        rental(desk, authorize("ann"))
    watch(desk, "ann")
    it = rental(desk, authorize("ann"))
    assert (it.offer, it.reasons) == (Offer.REDUCED, ("UNDER_REVIEW", "LINE_EXHAUSTED"))
    desk.do(SetLimit("ann", money(40_000)), caller=PLATFORM)
    it = rental(desk, review(it, approve=True))
    assert (it.state, it.offer, it.reasons) == (State.OFFERED, Offer.FULL, EXHAUSTED)


def test_review_of_a_suspended_person_with_an_exhausted_line(desk: Desk) -> None:
    """The review of a suspended person is DECLINED, whatever room the line has."""
    last = reviewed_last(desk, ())
    watch(desk, "ann", Standing.SUSPENDED)
    it = Books(desk).step(review(last, approve=True), [], "authorization.declined")
    assert (it.offer, it.reasons) == (Offer.ZERO, ("USER_SUSPENDED", "UNDER_REVIEW"))


def test_review_of_an_item_in_use_with_an_exhausted_line(desk: Desk) -> None:
    """A review may ask for cash for an item in use; the cash is owed back if the item is still in
    use at the payment."""
    last = reviewed_last(desk, ())
    rental(desk, authorize("ben", "umbrella", "bike-7", accept=(Offer.ZERO,)))
    books = Books(desk)
    it = books.step(review(last, approve=True), [], "authorization.offered")
    it = books.step(confirm(it), [("money", "cash / refund_payable", 9_950)],
                    "authorization.declined")  # fmt: skip
    assert (it.state, it.reasons[0]) == (State.DECLINED, "ASSET_IN_USE")


@pytest.mark.parametrize(
    ("meanwhile", "reason"), [("taken", "ASSET_IN_USE"), ("suspended", "USER_SUSPENDED")]
)
def test_review_approved_too_late(desk: Desk, meanwhile: str, reason: str) -> None:
    """A review that is approved while the item is in use, or the person suspended, is DECLINED."""
    watch(desk, "ann")
    it = rental(desk, authorize("ann", "bike", "bike-7"))
    if meanwhile == "taken":
        rental(desk, authorize("ben", "umbrella", "bike-7"))
    else:
        watch(desk, "ann", Standing.SUSPENDED)
    books = Books(desk)
    it = books.step(review(it, approve=True), [], "authorization.declined")
    assert it.reasons[0] == reason


def test_review_expired(desk: Desk) -> None:
    """REVIEW → EXPIRED: the sweeper ends an undecided review at its instant, without postings."""
    watch(desk, "ann")
    it = rental(desk, authorize("ann"))
    books = Books(desk)
    end_us = START_US + 24 * 60 * MINUTE_US
    it = books.wake(it, end_us, [], "authorization.expired")
    assert (it.state, it.close_us) == (State.EXPIRED, end_us)
    assert refused(desk, review(it, approve=True)).metadata == {"state": "EXPIRED"}


# -- a suspended person ----------------------------------------------------------------------


def test_a_suspended_person_gets_no_new_hold(desk: Desk) -> None:
    """A suspended person is declined for any score, currency and operator."""
    watch(desk, "ann", Standing.SUSPENDED)
    books = Books(desk)
    it = books.step(authorize("ann"), [], "authorization.declined")
    assert (it.state, it.reasons) == (State.DECLINED, ("USER_SUSPENDED",))


def test_suspended_before_the_confirmation(desk: Desk) -> None:
    """A payment for the offer of a person who is now suspended is owed back: DECLINED."""
    offered = rental(desk, authorize("ben"))
    watch(desk, "ben", Standing.SUSPENDED)
    books = Books(desk)
    it = books.step(
        confirm(offered), [("money", "cash / refund_payable", 9_950)], "authorization.declined"
    )
    assert states(it) == (State.DECLINED, Custody.IN_STATION, Collection.REFUND_PENDING)
    assert it.reasons[0] == "USER_SUSPENDED"


def test_suspended_before_the_pick_up(desk: Desk) -> None:
    """A suspended person cannot pick up; the hold is released at the end of its window."""
    it = rental(desk, pick_up())
    watch(desk, "ann", Standing.SUSPENDED)
    error = refused(desk, start(it))
    assert (error.reason, error.metadata) == ("USER_SUSPENDED", {"state": "AUTHORIZED"})
    books = Books(desk)
    it = books.wake(
        it,
        START_US + 30 * MINUTE_US,
        [("line", "available / held", 19_900)],
        "authorization.expired",
    )
    assert it.state is State.EXPIRED


def test_suspended_while_out(desk: Desk) -> None:
    """A suspended person's open rental continues: it can be extended, settled and paid, but not
    incremented."""
    it = rental(desk, authorize())
    watch(desk, "ann", Standing.SUSPENDED)
    assert refused(desk, increment(it, 1)).reason == "USER_SUSPENDED"
    rental(desk, extend(it, MINUTE_US))
    assert rental(desk, settle(it, 500)).state is State.SETTLED
    assert rental(desk, pay(it, 500)).collection is Collection.PAID


def test_watched_while_out(desk: Desk) -> None:
    """A watched person's hold is not raised without a verdict."""
    it: Authorization = rental(desk, authorize())
    watch(desk, "ann")
    assert refused(desk, increment(it, 1)).reason == "USER_WATCHED"


def test_standing_before_the_first_line(desk: Desk) -> None:
    """A person who is suspended before the first Authorize is declined at once."""
    rental(desk, authorize("new"))
    watch(desk, "new", Standing.SUSPENDED)
    assert rental(desk, authorize("new")).reasons == ("USER_SUSPENDED",)
