"""The figures over the whole database, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from service.engine import operations as c
from service.engine.figures import AGES, OLDEST, Due, Figures, OpenTransfers, Unsealed
from tests.engine.acts import DAY_US, charged, money, name, woken
from tests.engine.calls import authorize, line, rental
from tests.fakes import START_US, Desk


def figures(desk: Desk, sealed_sequence: int = 0) -> Figures:
    """The figures now."""
    return desk.store.figures(desk.clock.now_us(), sealed_sequence)


def test_an_empty_database_has_no_figures(desk: Desk) -> None:
    """Without rentals nothing is held or due, and nothing waits."""
    assert figures(desk) == Figures((), (), (), None, None, Unsealed(None, 0, None))


def test_exposure_is_the_sum_of_all_lines(desk: Desk) -> None:
    """The exposure of a currency is the sum over all its lines: limit, held, drawn, receivable and
    disputed."""
    desk.put_users(ann=720, ben=720)
    charged(desk, "ann", 1_250)
    rental(desk, authorize("ben", "umbrella"))
    lines = [line(desk, "ann"), line(desk, "ben")]
    (found,) = figures(desk).exposures
    assert found.currency == "CNY"
    for part in ("limit", "held", "drawn", "receivable", "disputed"):
        amount = f"{part}_minor"
        assert getattr(found, amount) == sum(getattr(it, amount) for it in lines), part
    assert (found.held_minor, found.drawn_minor) == (lines[1].held_minor, 1_250)


@pytest.mark.parametrize("age", [*AGES, OLDEST])
def test_what_is_due_has_an_age(age: str, desk: Desk) -> None:
    """A due amount is of the age that its time since the settlement falls into; the upper bound of
    an age belongs to the next one."""
    desk.put_user("ann", 720)
    charged(desk, "ann", 1_250)
    names = [*AGES, OLDEST]
    first_us = 0 if age == names[0] else AGES[names[names.index(age) - 1]]
    last_us = AGES.get(age, 400 * DAY_US) - 1
    for at_us in (first_us, last_us):
        desk.clock.advance(START_US + at_us)
        assert figures(desk).dues == (Due("CNY", age, 1, 1_250),)


def test_a_debt_without_a_hold_is_due(desk: Desk) -> None:
    """The due part of a debt without a hold counts too, and a paid part does not."""
    desk.put_user("ann", 720)
    it = charged(desk, "ann", 1_250)
    desk.do(c.BookDebt(*name(it), money(700), "damage-1", "photo"))
    (found,) = figures(desk).dues
    assert (found.authorizations, found.due_minor) == (2, 1_250 + 700)


def test_transfers_and_timers_wait(desk: Desk) -> None:
    """A requested transfer waits since its request. A due timer waits since its instant, until it
    is woken."""
    desk.put_user("ann", 720)
    it = charged(desk, "ann", 1_250)
    assert figures(desk).timer_us is None
    assert it.wake_us is not None
    desk.clock.advance(it.wake_us + DAY_US)
    assert figures(desk).timer_us == it.wake_us
    woken(desk, it, desk.clock.now_us())
    found = figures(desk)
    assert found.timer_us is None
    assert found.transfers == (OpenTransfers("REQUESTED", 1, desk.clock.now_us()),)


def test_events_wait_for_a_seal(desk: Desk) -> None:
    """Events after the sealed number are counted, and the oldest of them is the first."""
    desk.put_users(ann=720, ben=720)
    charged(desk, "ann", 1_250)
    desk.clock.advance(START_US + DAY_US)
    before = figures(desk).unsealed
    charged(desk, "ben", 1_250)
    after = figures(desk).unsealed
    assert before.since_us == after.since_us == START_US
    assert after.events > before.events > 0
    some = figures(desk, before.events).unsealed
    assert (some.events, some.since_us) == (after.events - before.events, START_US + DAY_US)
    assert figures(desk, after.events).unsealed == Unsealed(None, 0, None)
