"""Clocks never agree: a client's instant that is slightly off counts as the nearest possible
one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody, Start, State
from service.domain.errors import IllegalState, InvalidInput, RequestIdReused
from service.engine import calls
from service.engine import operations as c
from service.engine.clock_gaps import ClockGap, ClockGapLimits, ClockGaps
from service.engine.feature_values import pack
from service.engine.tables import USERS
from service.storage.database import open_database
from service.storage.store import SqlStore
from tests.engine.acts import (
    DAY_US,
    HOUR_US,
    Books,
    found,
    lost,
    money,
    picked_up,
    settle_usage,
    woken,
)
from tests.engine.calls import authorize, pick_up, refused, rental, settle, stored
from tests.engine.faults import Fault, FaultyStore
from tests.fakes import OPERATOR, START_US, Desk
from tests.rows import read

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
APART_US = 10 * SECOND_US

LIMITS = ClockGapLimits()
FAR_US = int(LIMITS.far_s * 1_000_000)
PAUSE_US = int(LIMITS.pause_s * 1_000_000)


def features(as_of_us: int, score: float = 700) -> c.PutUser:
    """Zoe's features as of an instant."""
    return c.PutUser("zoe", pack([score, 0.0]), as_of_us, True)


def known_as_of(desk: Desk) -> int:
    """The instant of Zoe's features on record."""
    with desk.store.begin() as transaction:
        return read(transaction, USERS, ["zoe"])["zoe"].as_of_us


def closed(desk: Desk, command: c.Settle, request_id: str | None = None) -> calls.Settled:
    """The answer of a settlement."""
    answer = desk.do(command, request_id=request_id)
    assert isinstance(answer, calls.Settled)
    return answer


# -- one server ------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_us", [1, 5_000, MINUTE_US, MINUTE_US + 1, 1_000 * DAY_US])
def test_r4_occurred_at_after_now_counts_as_now(desk: Desk, ahead_us: int) -> None:
    """R4: an `occurred_at` after the server's now counts as now, however far ahead, and costs the
    person no more than without it."""
    it = rental(desk, authorize())
    desk.clock.advance(START_US + HOUR_US)
    books = Books(desk)
    answer = closed(desk, settle_usage(it, START_US + HOUR_US + ahead_us))
    assert answer.fee is not None
    assert answer.fee.total_minor == 550
    ((_, event_us, ledger_us),) = books.news().ledger
    assert event_us == ledger_us == START_US + HOUR_US
    assert desk.clock_gaps == [
        ClockGap(OPERATOR, "SettleAuthorization", ahead_us, START_US + HOUR_US)
    ]


@pytest.mark.parametrize("early_us", [1, 5_000, MINUTE_US, MINUTE_US + 1, 3 * HOUR_US])
def test_r4_a_return_before_the_start_counts_as_the_start(desk: Desk, early_us: int) -> None:
    """R4: the `occurred_at` of a return counts as the start if it is before the start, however
    early: a refusal would keep the meter running."""
    it = rental(desk, authorize())
    desk.clock.advance(START_US + HOUR_US)
    answer = closed(desk, settle_usage(it, START_US - early_us))
    assert answer.fee is not None
    assert answer.fee.total_minor == 150
    assert [(gap.gap_us, gap.now_us) for gap in desk.clock_gaps] == [
        (-early_us, START_US + HOUR_US)
    ]


def test_r4_a_pick_up_long_before_the_authorization_is_refused(desk: Desk) -> None:
    """R4: a pick-up more than a minute before the authorization is refused and not counted."""
    it = rental(desk, pick_up())
    desk.clock.advance(START_US + 5 * MINUTE_US)
    error = refused(desk, picked_up(it, START_US - MINUTE_US - 1))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "occurred_at.range"
    assert desk.clock_gaps == []


@pytest.mark.parametrize(
    ("told_us", "kept_minor"), [(START_US + 9 * HOUR_US, 950), (START_US - MINUTE_US, 150)]
)
def test_r4_an_item_is_found_between_the_start_and_now(
    desk: Desk, told_us: int, kept_minor: int
) -> None:
    """R4: if a ReportFound names a future time, the person pays the fee until now. If it names a
    time up to a minute before the start, the person pays the fee of no time at all."""
    asked = c.Authorize("ann", (c.Item("bike", ""),), Start.IMMEDIATE, (), None, HOUR_US)
    it = woken(desk, rental(desk, asked), START_US + 2 * HOUR_US)
    it = rental(desk, found(rental(desk, lost(it)), told_us))
    assert it.custody is Custody.IN_STATION
    assert it.captured_minor - it.conceded_minor == kept_minor
    assert [gap.method for gap in desk.clock_gaps] == ["ReportFound"]


def test_r4_a_retry_of_a_future_instant_gets_the_same_answer(desk: Desk) -> None:
    """R4: a retry is compared with the instant that was sent. The same body gets the same answer
    even after that instant, and is not counted again. A body with the instant that the server used
    instead is another body."""
    it = rental(desk, authorize())
    desk.clock.advance(START_US + HOUR_US)
    ahead = settle_usage(it, START_US + HOUR_US + 30 * SECOND_US)
    first = desk.apply(desk.work(ahead, request_id="same"))
    desk.clock.advance(START_US + 2 * HOUR_US)
    assert desk.apply(desk.work(ahead, request_id="same")) == first
    (other,) = desk.apply(desk.work(settle_usage(it, START_US + HOUR_US), request_id="same"))
    assert isinstance(other, RequestIdReused)
    assert len(desk.clock_gaps) == 1


@pytest.mark.parametrize("ahead_us", [1, 5_000, 1_000 * DAY_US])
def test_r4_as_of_after_now_counts_as_now(desk: Desk, ahead_us: int) -> None:
    """R4: an `as_of` after the server's present time counts as the present. If the next features
    are as of an instant between the two, they are newer than the features on record."""
    answer = desk.do(features(START_US + ahead_us), caller=PLATFORM)
    assert isinstance(answer, calls.Profile)
    assert answer.as_of_us == known_as_of(desk) == START_US
    assert desk.clock_gaps == [ClockGap(PLATFORM, "PutUsers", ahead_us, START_US)]
    desk.clock.advance(START_US + 7)
    answer = desk.do(features(START_US + 7, 650), caller=PLATFORM)
    assert isinstance(answer, calls.Profile)
    assert (answer.as_of_us, answer.score) == (START_US + 7, 650)
    error = refused(desk, features(START_US + 6), caller=PLATFORM)
    assert error.reason == "FEATURES_OUTDATED"


# -- two servers -----------------------------------------------------------------------------


@pytest.fixture(params=[-APART_US, APART_US], ids=["behind", "ahead"])
def other(desk: Desk, url: str, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Another server on the same database, whose clock is ten seconds off."""
    store = SqlStore(open_database(url))
    made = Desk(store, ids=desk.engine._ids)
    made.clock = desk.clock.__class__(START_US + request.param)
    made.engine._clock = made.clock
    yield made
    store.close()


def test_r4_servers_ten_seconds_apart_settle_each_others_rentals(desk: Desk, other: Desk) -> None:
    """R4: one server can at once settle a rental that another server started, if either clock is
    fast. No event is earlier than the start, no entry is written before its event, and the books
    verify."""
    apart_us = other.clock.now_us() - START_US
    for place, told_us in enumerate((None, START_US + 1, START_US + 1 + apart_us)):
        for begin, end in ((desk, other), (other, desk)):
            request_id = f"{place}-{begin is desk}"
            work = begin.work(authorize("ann", "umbrella"), request_id=f"a-{request_id}")
            begin.apply(work)
            it = begin.answers[work.request_id]
            assert isinstance(it, Authorization)
            books = Books(end)
            command = c.Settle(it.user_id, it.authorization_id, money(70), True, told_us)
            after = closed(end, command, f"s-{request_id}").authorization
            assert after.state is State.SETTLED
            for _, event_us, ledger_us in books.news().ledger:
                assert (it.start_us or 0) <= event_us <= ledger_us
    assert verify_books(desk.store.engine).fault is None


def test_r4_a_usage_of_another_server_costs_no_time(desk: Desk, other: Desk) -> None:
    """R4: the usage of a rental that another server started a moment ago is billed from its start,
    whichever clock gives its end."""
    apart_us = other.clock.now_us() - START_US
    for place, told_us in enumerate((None, START_US + 1, START_US + 1 + apart_us)):
        work = desk.work(authorize("ann", "umbrella"), request_id=f"a-{place}")
        desk.apply(work)
        it = desk.answers[work.request_id]
        assert isinstance(it, Authorization)
        answer = closed(other, settle_usage(it, told_us), f"s-{place}")
        assert answer.fee is not None
        assert answer.fee.total_minor == 0


def test_r4_a_charge_of_another_server_occurs_after_its_request(desk: Desk, other: Desk) -> None:
    """R4: a damage charge has no start. Its events are never earlier than its request, on any
    server."""
    parent = rental(desk, settle(rental(desk, authorize()), 100))
    apart_us = other.clock.now_us() - START_US
    for place, told_us in enumerate((None, START_US, START_US + apart_us)):
        asked = c.Authorize(
            "ann",
            (c.Item("bike", ""),),
            parent.start,
            (),
            parent_id=parent.authorization_id,
            amount=money(100),
        )
        work = desk.work(asked, request_id=f"a-{place}")
        desk.apply(work)
        it = desk.answers[work.request_id]
        assert isinstance(it, Authorization)
        books = Books(other)
        command = c.Settle(it.user_id, it.authorization_id, money(10), True, told_us)
        closed(other, command, f"s-{place}")
        for _, event_us, ledger_us in books.news().ledger:
            assert it.create_us <= event_us <= ledger_us


def test_r4_newer_features_are_newer_at_another_server(desk: Desk, other: Desk) -> None:
    """R4: one server recorded features, and another server with a slow clock can record newer ones.
    Features on record never get older, and older features are still refused."""
    first, second = sorted((desk, other), key=lambda it: -it.clock.now_us())
    now_us = first.clock.now_us()
    first.do(features(now_us), caller=PLATFORM, request_id="first")
    answer = second.do(features(now_us + 1, 650), caller=PLATFORM, request_id="second")
    assert isinstance(answer, calls.Profile)
    assert (answer.as_of_us, answer.score) == (now_us, 650)
    with pytest.raises(IllegalState, match="newer features"):
        second.do(features(now_us - 1), caller=PLATFORM, request_id="third")


# -- counted ---------------------------------------------------------------------------------


def test_r4_a_gap_is_counted_once(shaky: Desk, faulty: FaultyStore) -> None:
    """R4: a clock gap is counted once when its batch commits, however often the batch was decided.
    It is not counted if nothing was written."""
    it = rental(shaky, authorize())
    command = c.Settle(it.user_id, it.authorization_id, money(1), False, START_US + 1)
    faulty.plan = [Fault.FAILED]
    shaky.apply(shaky.work(command, request_id="r"))
    assert shaky.clock_gaps == []
    faulty.plan = [Fault.CONFLICT, Fault.CONFLICT]
    shaky.apply(shaky.work(command, request_id="r"))
    assert [gap.gap_us for gap in shaky.clock_gaps] == [1]
    assert stored(shaky, it).captured_minor == 1


def test_r4_gaps_are_counted_by_kind() -> None:
    """R4: times ahead, times far ahead, and times before the start are counted; only times more
    than a minute ahead are logged as warnings."""
    warned: list[tuple[ClockGap, int]] = []
    gaps = ClockGaps(lambda gap, seen: warned.append((gap, seen)), LIMITS)
    for gap_us in (1, FAR_US, FAR_US + 1, -1, -MINUTE_US):
        gaps.add(ClockGap("city", "ReportFound", gap_us, START_US))
    assert (gaps.ahead, gaps.far_ahead, gaps.before_start) == (3, 1, 2)
    assert warned == [(ClockGap("city", "ReportFound", FAR_US + 1, START_US), 1)]


def test_r4_a_bad_clock_does_not_flood_the_log() -> None:
    """R4: each caller and method gets one warning in ten minutes, with the number since the
    last."""
    warned: list[tuple[str, str, int]] = []
    gaps = ClockGaps(lambda gap, seen: warned.append((gap.caller, gap.method, seen)), LIMITS)
    for second in range(1_500):
        for caller, method in (("city", "ReportFound"), ("city", "PutUsers"), ("harbour", "x")):
            now_us = START_US + second * SECOND_US
            gaps.add(ClockGap(caller, method, FAR_US + 1, now_us))
    assert gaps.far_ahead == 4_500
    assert [seen for caller, method, seen in warned if (caller, method) == ("harbour", "x")] == [
        1, PAUSE_US // SECOND_US, PAUSE_US // SECOND_US,
    ]  # fmt: skip
    assert len(warned) == 9
