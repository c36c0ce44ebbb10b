"""Rows of the table of transitions: the limit, and what a person may take on it."""

from __future__ import annotations

import pytest

from service.domain.authorization import Authorization, Collection, Custody, State
from service.domain.ledger import Standing
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine.assess import pack
from service.engine.commands import (
    ApproveWriteOff,
    ProposeWriteOff,
    PutUser,
    SetLimit,
    SetStanding,
)
from service.engine.records import PLATFORM
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
    """A person with features of this score."""
    return PutUser(user_id, pack([score, 0.0]), START_US, True)


def test_limit_set(desk: Desk) -> None:
    """A limit that is set posts avail / limit_control."""
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
    """A cut posts limit_control / avail for what is available; the rest is pending and taken from
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
    """What is written off leaves the limit with it: only the rest of a cut stays pending."""
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
    """A limit set by hand stays whatever the score, until it is left to the score again."""
    books = Books(desk)
    desk.do(SetLimit("ann", money(7_000)), caller=PLATFORM)
    books.expect([("line", "limit_control / available", 43_000)], "line.limit_set")
    desk.do(scored("ann", 620), caller=PLATFORM)
    books.expect([], "user.features_recorded")
    desk.do(SetLimit("ann", None), caller=PLATFORM)
    books.expect([], "line.limit_set")
    desk.do(scored("ann", 620), caller=PLATFORM)
    books.expect([("line", "available / limit_control", 23_000)], "user.features_recorded")


def test_limit_of_nobody(desk: Desk) -> None:
    """A limit needs a person, and a currency in which lines are kept."""
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
    """A decline posts nothing; it is sticky for its request id."""
    books = Books(desk)
    it = books.step(authorize("cem", accept=(Offer.ZERO,)), [], "authorization.declined")
    assert states(it) == (State.DECLINED, Custody.IN_STATION, Collection.NONE)
    assert it.reasons[0] == "OFFER_NOT_ACCEPTED"


def watch(desk: Desk, user_id: str, standing: Standing = Standing.WATCHED) -> None:
    """Somebody is watched, or suspended."""
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


# -- REVIEW leaves by the verdict ------------------------------------------------------------


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
    """An approved review that needs cash is OFFERED with what it asks, for a whole window."""
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


def test_an_offer_stands_although_its_person_is_watched(desk: Desk) -> None:
    """Who is watched only after an offer was made confirms it, or picks up what is held, as one
    whose review was approved does; only a suspension stops that."""
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


def test_review_approved_when_the_line_is_exhausted(desk: Desk) -> None:
    """A review approved after the line was used up meanwhile is DECLINED: LINE_EXHAUSTED."""
    watch(desk, "ann")
    waiting = [rental(desk, authorize("ann")) for _ in range(3)]
    for it in waiting[:2]:
        rental(desk, review(it, approve=True))
    books = Books(desk)
    last = books.step(review(waiting[2], approve=True), [], "authorization.declined")
    assert (last.state, last.reasons[0]) == (State.DECLINED, "LINE_EXHAUSTED")


@pytest.mark.parametrize(
    ("meanwhile", "reason"), [("taken", "ASSET_IN_USE"), ("suspended", "USER_SUSPENDED")]
)
def test_review_approved_too_late(desk: Desk, meanwhile: str, reason: str) -> None:
    """A review approved when the item is in use, or the person suspended, is DECLINED."""
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
    """REVIEW → EXPIRED: the sweeper ends what nobody decided, at its instant, without postings."""
    watch(desk, "ann")
    it = rental(desk, authorize("ann"))
    books = Books(desk)
    end_us = START_US + 24 * 60 * MINUTE_US
    it = books.wake(it, end_us, [], "authorization.expired")
    assert (it.state, it.close_us) == (State.EXPIRED, end_us)
    assert refused(desk, review(it, approve=True)).metadata == {"state": "EXPIRED"}


# -- a suspended person ----------------------------------------------------------------------


def test_suspended_takes_nothing_new(desk: Desk) -> None:
    """A suspended person is declined whatever the score, in any currency and at any operator."""
    watch(desk, "ann", Standing.SUSPENDED)
    books = Books(desk)
    it = books.step(authorize("ann"), [], "authorization.declined")
    assert (it.state, it.reasons) == (State.DECLINED, ("USER_SUSPENDED",))


def test_suspended_before_the_confirmation(desk: Desk) -> None:
    """A payment for the offer of a person suspended meanwhile is owed back: DECLINED."""
    offered = rental(desk, authorize("ben"))
    watch(desk, "ben", Standing.SUSPENDED)
    books = Books(desk)
    it = books.step(
        confirm(offered), [("money", "cash / refund_payable", 9_950)], "authorization.declined"
    )
    assert states(it) == (State.DECLINED, Custody.IN_STATION, Collection.REFUND_PENDING)
    assert it.reasons[0] == "USER_SUSPENDED"


def test_suspended_before_the_pick_up(desk: Desk) -> None:
    """A suspended person picks nothing up; the hold is given back at the end of its window."""
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
    """What is open goes on: it is extended, settled and paid, but no more is held."""
    it = rental(desk, authorize())
    watch(desk, "ann", Standing.SUSPENDED)
    assert refused(desk, increment(it, 1)).reason == "USER_SUSPENDED"
    rental(desk, extend(it, MINUTE_US))
    assert rental(desk, settle(it, 500)).state is State.SETTLED
    assert rental(desk, pay(it, 500)).collection is Collection.PAID


def test_watched_while_out(desk: Desk) -> None:
    """No more is held for a watched person without a verdict."""
    it: Authorization = rental(desk, authorize())
    watch(desk, "ann")
    assert refused(desk, increment(it, 1)).reason == "USER_WATCHED"


def test_standing_before_the_first_line(desk: Desk) -> None:
    """Who is suspended before anything was taken is declined from the first time on."""
    rental(desk, authorize("new"))
    watch(desk, "new", Standing.SUSPENDED)
    assert rental(desk, authorize("new")).reasons == ("USER_SUSPENDED",)
