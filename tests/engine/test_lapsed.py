"""A lapsed hold takes neither the line nor an item, before the sweeper closes it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.clock import SandboxClock
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start, State
from service.domain.ledger import Standing
from service.domain.policy import Offer
from service.engine.calls import Group, Work
from service.engine.context import Context
from service.engine.engine import Engine
from service.engine.operations import SetLimit, SetStanding, Wake
from service.engine.scoring import Assessor
from service.rpc.beside import encode_beside
from service.rpc.convert import encode_authorization
from tests.engine.acts import DAY_US, Books, group, increment, members, money, review, wake
from tests.engine.calls import (
    authorize,
    balances,
    confirm,
    pick_up,
    reason,
    refused,
    rental,
    start,
    stored,
)
from tests.fakes import MINUTE_US, START_US, Desk, FakeScorer

ITEM = "bike-7"
LAPSE_US = START_US + 30 * MINUTE_US
ZERO = (Offer.ZERO,)


def two_waiting(desk: Desk) -> list[Authorization]:
    """Two bikes that Ann will not pick up: they hold 39,800 of her 50,000."""
    return [rental(desk, pick_up()) for _ in range(2)]


def test_a_lapsed_hold_takes_no_line(desk: Desk) -> None:
    """An Authorize without enough room on the line first ends the person's lapsed holds and is
    decided again."""
    waiting = two_waiting(desk)
    desk.clock.advance(LAPSE_US)
    books = Books(desk)
    it = rental(desk, authorize(accept=ZERO))
    released = ("line", "available / held", 19_900)
    books.expect(
        [released, released, ("line", "held / available", 19_900)],
        "authorization.expired", "authorization.expired", "authorization.active",
    )  # fmt: skip
    assert (it.state, it.reasons) == (State.ACTIVE, ())
    assert [(stored(desk, each).state, stored(desk, each).close_us) for each in waiting] == [
        (State.EXPIRED, LAPSE_US)
    ] * 2
    assert balances(desk) == (50_000, 30_100, 19_900, 0)


def test_a_lapsed_hold_makes_no_offer_stricter(desk: Desk) -> None:
    """Only holds that have not lapsed make an offer stricter."""
    two_waiting(desk)
    desk.clock.advance(LAPSE_US)
    it = rental(desk, authorize())
    assert (it.state, it.offer, it.reasons) == (State.ACTIVE, Offer.ZERO, ())


def test_an_open_hold_takes_the_line(desk: Desk) -> None:
    """One microsecond before they lapse, holds still take the line, and the answer is stored."""
    two_waiting(desk)
    desk.clock.advance(LAPSE_US - 1)
    it = rental(desk, authorize(accept=ZERO), request_id="r")
    assert (it.state, it.reasons) == (State.DECLINED, ("LINE_EXHAUSTED",))
    desk.clock.advance(LAPSE_US)
    assert rental(desk, authorize(accept=ZERO), request_id="r") == it


def test_lapsed_holds_are_looked_for_only_when_needed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An Authorize that gets what it asks for does not look for lapsed holds."""
    waiting = rental(desk, pick_up())
    desk.clock.advance(LAPSE_US)
    monkeypatch.setattr("service.storage.store.SqlTransaction.lapsed", None)
    assert rental(desk, authorize()).state is State.ACTIVE
    assert stored(desk, waiting) == waiting


@pytest.mark.parametrize("who", ["ann", "ben"])
def test_a_lapsed_hold_takes_no_item(desk: Desk, who: str) -> None:
    """An item is free once the hold on it has lapsed, whoever had it."""
    waiting = rental(desk, pick_up(asset_id=ITEM))
    desk.clock.advance(LAPSE_US - 1)
    assert refused(desk, authorize(who, "umbrella", ITEM)).reason == "ASSET_IN_USE"
    desk.clock.advance(LAPSE_US)
    it = rental(desk, authorize(who, "umbrella", ITEM))
    assert it.state is State.ACTIVE
    assert stored(desk, waiting).state is State.EXPIRED
    assert refused(desk, authorize("cem", asset_id=ITEM)).reason == "ASSET_IN_USE"


def test_the_first_of_two_gets_the_lapsed_item(desk: Desk) -> None:
    """If two people in a batch ask for an item with a lapsed hold, the first person gets the item.
    The commands before them are decided once."""
    rental(desk, pick_up(asset_id=ITEM))
    desk.clock.advance(LAPSE_US)
    before, first, second = desk.apply(
        desk.work(authorize("ann", "umbrella"), request_id="first"),
        desk.work(authorize("ben", "umbrella", ITEM)),
        desk.work(authorize("cem", "umbrella", ITEM)),
    )
    assert [reason(it) for it in (before, first, second)] == ["", "", "ASSET_IN_USE"]
    books = Books(desk)
    rental(desk, authorize("ann", "umbrella"), request_id="first")
    books.expect([])


def test_an_overdue_item_is_not_free(desk: Desk) -> None:
    """A timer that does not end the rental frees no item, but its step is still taken."""
    out = rental(desk, authorize(asset_id=ITEM))
    desk.clock.advance(START_US + DAY_US)
    assert refused(desk, authorize("ben", "umbrella", ITEM)).reason == "ASSET_IN_USE"
    assert stored(desk, out).state is State.OVERDUE


def test_a_group_and_lapsed_holds(desk: Desk) -> None:
    """When a group is decided, lapsed holds on the person's line or on the items do not count."""
    two_waiting(desk)
    rental(desk, confirm(rental(desk, pick_up("ben", "bike", ITEM)), reference="p"))
    desk.clock.advance(LAPSE_US)
    answer = desk.do(group("ann", ("bike", ITEM), ("bike", ""), accept=ZERO))
    assert isinstance(answer, Group)
    assert {it.state for it in answer.authorizations} == {State.ACTIVE}
    assert balances(desk) == (50_000, 10_200, 39_800, 0)


@pytest.mark.parametrize("item", ["", ITEM])
def test_a_payment_and_lapsed_holds(desk: Desk, item: str) -> None:
    """A confirmation is not declined because of a lapsed hold on the line or the item."""
    offer = rental(desk, authorize("ben", "bike", item))
    who, number = ("ann", 1) if item else ("ben", 2)
    soon = authorize(who, "umbrella", item, start=Start.ON_PICKUP, window_us=MINUTE_US)
    waiting = [rental(desk, soon) for _ in range(number)]
    desk.clock.advance(START_US + MINUTE_US)
    it = rental(desk, confirm(offer))
    assert (it.state, it.refund_payable_minor) == (State.ACTIVE, 0)
    assert {stored(desk, each).state for each in waiting} == {State.EXPIRED}


@pytest.mark.parametrize("accept", [(), ZERO])
def test_a_verdict_and_lapsed_holds(desk: Desk, accept: tuple[Offer, ...]) -> None:
    """An approved review is neither declined nor made stricter because of a lapsed hold."""
    desk.do(SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    asked = rental(desk, authorize(accept=accept))
    desk.do(SetStanding("ann", Standing.NORMAL), caller=PLATFORM)
    waiting = two_waiting(desk)
    desk.clock.advance(LAPSE_US)
    books = Books(desk)
    it = rental(desk, review(asked, approve=True))
    released = ("line", "available / held", 19_900)
    books.expect(
        [released, released, ("line", "held / available", 19_900)],
        "authorization.expired", "authorization.expired", "authorization.active",
    )  # fmt: skip
    assert (it.state, it.offer, it.reasons) == (State.ACTIVE, Offer.ZERO, ("UNDER_REVIEW",))
    assert {stored(desk, each).state for each in waiting} == {State.EXPIRED}


def test_only_open_holds_make_a_verdict_stricter(desk: Desk) -> None:
    """An approved review becomes as strict as the room on the line requires after the lapsed holds
    have ended."""
    desk.do(SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    asked = rental(desk, authorize())
    desk.do(SetStanding("ann", Standing.NORMAL), caller=PLATFORM)
    rental(desk, authorize("ann", "bike"))
    waiting = rental(desk, pick_up())
    desk.clock.advance(LAPSE_US - 1)
    rental(desk, authorize("ann", "bike", accept=(Offer.REDUCED,)))
    desk.do(SetLimit("ann", money(34_000)), caller=PLATFORM)
    desk.clock.advance(LAPSE_US)
    it = rental(desk, review(asked, approve=True))
    assert (it.state, it.offer) == (State.OFFERED, Offer.REDUCED)
    assert it.reasons == ("LINE_EXHAUSTED", "UNDER_REVIEW")
    assert stored(desk, waiting).state is State.EXPIRED
    assert balances(desk) == (34_000, 14_100, 19_900, 0)


def test_an_increment_and_a_pick_up_after_lapsed_holds(desk: Desk) -> None:
    """An increment or a pick-up is not refused because of a lapsed hold."""
    out = rental(desk, authorize())
    rental(desk, pick_up(asset_id=ITEM))
    desk.clock.advance(LAPSE_US - 1)
    later = rental(desk, pick_up("ben", "umbrella"))
    desk.clock.advance(LAPSE_US)
    assert rental(desk, start(later, ITEM)).asset_id == ITEM
    again = rental(desk, pick_up())
    desk.clock.advance(LAPSE_US + 30 * MINUTE_US)
    assert rental(desk, increment(out, 20_000)).held_minor == 39_900
    assert stored(desk, again).state is State.EXPIRED


@pytest.mark.parametrize("amount_minor", [30_100, 30_101])
def test_the_expected_version_is_compared_first(desk: Desk, amount_minor: int) -> None:
    """An increment compares its expected version before its own rental's timers run. That holds
    even if it first ends the person's other lapsed holds."""
    two = group("ann", ("bike", ""), ("bike", ""), start=Start.ON_PICKUP)
    first, waiting = members(desk, two)
    out = rental(desk, start(first))
    desk.clock.advance(START_US + DAY_US)
    books = Books(desk)
    more = replace(increment(out, amount_minor), expected_version=out.version)
    released = ("line", "available / held", 19_900)
    if amount_minor > 30_100:
        assert refused(desk, more).reason == "LINE_EXHAUSTED"
        books.expect([released], "authorization.expired", "authorization.overdue")
    else:
        held = ("line", "held / available", amount_minor)
        news = ("authorization.expired", "authorization.overdue", "authorization.incremented")
        it = books.step(more, [released, held], *news)
        assert (it.state, it.version) == (State.OVERDUE, out.version + 2)
    assert stored(desk, waiting).state is State.EXPIRED
    assert refused(desk, more).reason == "VERSION_MISMATCH"


def test_only_the_named_rental_is_due(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """If only its own rental has a due timer, an increment without room on the line is decided once
    and refused. The timer's step is still written."""
    out = rental(desk, authorize())
    desk.clock.advance(START_US + DAY_US)
    contexts: list[Context] = []
    context = desk.engine._context

    def counted(batch: Sequence[Work]) -> Context:
        contexts.append(context(batch))
        return contexts[-1]

    monkeypatch.setattr(desk.engine, "_context", counted)
    books = Books(desk)
    more = replace(increment(out, 30_101), expected_version=out.version)
    assert refused(desk, more).reason == "LINE_EXHAUSTED"
    books.expect([], "authorization.overdue")
    assert len(contexts) == 1
    assert stored(desk, out).version == out.version + 1


@pytest.mark.parametrize("paid_minor", [6_000, 100])
def test_an_increment_needs_no_cash_for_a_lapsed_hold(desk: Desk, paid_minor: int) -> None:
    """An increment needs cash only because of open holds; cash that it did not need is owed
    back."""
    it = rental(desk, authorize())
    rental(desk, pick_up())
    desk.clock.advance(LAPSE_US)
    books = Books(desk)
    after = rental(desk, increment(it, 12_000, paid_minor))
    books.expect(
        [
            ("line", "available / held", 19_900),
            ("line", "held / available", 12_000),
            ("money", "cash / refund_payable", paid_minor),
        ],
        "authorization.expired", "authorization.incremented",
    )  # fmt: skip
    assert (after.held_credit_minor, after.held_cash_minor) == (31_900, 0)
    assert after.refund_payable_minor == paid_minor


def test_an_increment_pays_because_of_open_holds(desk: Desk) -> None:
    """One microsecond before the hold lapses, the increment needs its cash, and the refusal says
    why."""
    it = rental(desk, authorize())
    rental(desk, pick_up())
    desk.clock.advance(LAPSE_US - 1)
    error = refused(desk, increment(it, 12_000, 100))
    assert error.reason == "DEPOSIT_REQUIRED"
    assert error.metadata["reasons"] == "LINE_EXHAUSTED"
    after = rental(desk, increment(it, 12_000, 6_000))
    assert (after.held_credit_minor, after.held_cash_minor) == (25_900, 6_000)


def test_a_lost_rental_can_be_charged_for_damage(desk: Desk) -> None:
    """A damage charge may cite a rental from the instant at which it counts as lost, not a
    microsecond earlier."""
    parent = rental(desk, authorize("ann", "umbrella"))
    assert parent.lost_us is not None
    charge = authorize("ann", "umbrella")._replace(parent_id=parent.authorization_id)
    desk.clock.advance(parent.lost_us - 1)
    assert refused(desk, charge).reason == "PARENT_OPEN"
    desk.clock.advance(parent.lost_us)
    assert rental(desk, charge).state is State.ACTIVE
    assert stored(desk, parent).state is State.SETTLED


def test_the_named_hold_has_lapsed(desk: Desk) -> None:
    """A command on a lapsed hold is refused with the state and the version that the caller could
    read, whoever has the line and the item."""
    desk.do(SetStanding("ann", Standing.WATCHED), caller=PLATFORM)
    asked = rental(desk, authorize("ann", "umbrella"))
    desk.do(SetStanding("ann", Standing.NORMAL), caller=PLATFORM)
    one, two = two_waiting(desk)
    offered = rental(desk, authorize("ann", "bike", accept=(Offer.FULL,)))
    rental(desk, pick_up("ben", "umbrella", ITEM))
    desk.clock.advance(START_US + 2 * DAY_US)
    for command in (
        start(one, ITEM, version=one.version),
        replace(increment(two, 60_000), expected_version=two.version),
        replace(review(asked, approve=True), expected_version=asked.version),
    ):
        error = refused(desk, command)
        assert (error.reason, error.metadata["state"]) == ("ILLEGAL_TRANSITION", "EXPIRED")
    it = rental(desk, confirm(offered, version=offered.version))
    assert (it.state, it.refund_payable_minor) == (State.EXPIRED, 19_900)
    for before in (one, two, asked):
        assert stored(desk, before).version == before.version + 1
    assert balances(desk) == (50_000, 50_000, 0, 0)


def test_another_process_was_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process sweeps a lapsed hold and takes its item while the batch is decided
    again, the item is in use."""
    waiting = rental(desk, pick_up(asset_id=ITEM))
    desk.clock.advance(LAPSE_US)
    rival = Engine(
        desk.store, Assessor(desk.store, FakeScorer()), SandboxClock(LAPSE_US),
        desk.engine._ids, currency="CNY", build="test", max_attempts=3,
        log_fault=lambda _id, error, _about=None: desk.faults.append(error),
        log_terms=lambda fault, mended: desk.terms.append((fault, mended)),
        notice_gap=desk.clock_gaps.append, encode=encode_authorization,
        encode_beside=encode_beside,
    )  # fmt: skip
    calls: list[Sequence[Work]] = []
    context = desk.engine._context

    def again(batch: Sequence[Work]) -> Context:
        calls.append(batch)
        if len(calls) == 2:
            works = [
                desk.work(Wake("ann", waiting.authorization_id), request_id="", caller=""),
                desk.work(authorize("ann", "umbrella", ITEM), request_id="rival"),
            ]
            assert [reason(it) for it in rival.apply(works)] == ["", ""]
        return context(batch)

    monkeypatch.setattr(desk.engine, "_context", again)
    assert refused(desk, authorize("ben", "umbrella", ITEM)).reason == "ASSET_IN_USE"
    assert len(calls) == 2
    assert stored(desk, waiting).version == waiting.version + 1
    assert desk.faults == []
    assert reason(desk.apply(desk.work(wake(waiting), request_id="", caller=""))[0])
