"""R22: the log tells how much is owed back and for how long, and warns of what waits too long."""

from __future__ import annotations

import asyncio

from service.domain.access import PLATFORM
from service.engine.ports import OwedBack
from service.engine.records.transfers import TransferState
from service.engine.workers.owed_back import OwedBackWatch
from tests.engine.acts import DAY_US, HOUR_US, charge_back, told, transfers, woken
from tests.engine.calls import rental
from tests.engine.test_refunds_by_time import DEPOSIT, released, set_row
from tests.fakes import BACKSTAGE, START_US, Desk

ON_BOTH = "late refunds are found by a statement of their own"


def look(desk: Desk) -> list[tuple[OwedBack, int]]:
    """The reports of one look, under a bound of three days."""
    said: list[tuple[OwedBack, int]] = []
    watch = OwedBackWatch(
        desk.store,
        desk.clock,
        BACKSTAGE,
        late_us=3 * DAY_US,
        report=lambda it, now_us: said.append((it, now_us)),
    )
    assert asyncio.run(watch.work()) is False
    return said


def test_r22_the_age_and_the_sum_of_refunds_are_told(desk: Desk) -> None:
    """R22: two deposits of 9,950 are owed back, the older one for five hours; none is late."""
    assert look(desk) == []
    released(desk)
    desk.clock.advance(START_US + 4 * HOUR_US)
    released(desk, "cem")
    desk.clock.advance(START_US + 5 * HOUR_US)
    expected = OwedBack("CNY", 2, 2 * DEPOSIT, START_US, 0, 0, "")
    assert look(desk) == [(expected, START_US + 5 * HOUR_US)]


def test_r22_a_refund_that_went_out_is_not_reported(desk: Desk) -> None:
    """R22: an amount that has gone out is no longer reported as owed back."""
    woken(desk, released(desk), START_US + DAY_US)
    assert look(desk) == []


def test_r22_a_refund_that_the_rail_never_takes_is_late(desk: Desk) -> None:
    """R22: after the last try a refund waits for a call; three days later it is late, and named."""
    it = woken(desk, released(desk), START_US + DAY_US)
    for _ in range(4):
        desk.do(told(transfers(desk, it)[-1], TransferState.FAILED), caller=PLATFORM)
        it = woken(desk, it, desk.clock.now_us() + 7 * DAY_US)
    desk.do(told(transfers(desk, it)[-1], TransferState.FAILED), caller=PLATFORM)
    failed_us = desk.clock.now_us()
    desk.clock.advance(failed_us + 3 * DAY_US - 1)
    ((early, _),) = look(desk)
    assert (early.since_us, early.late_count) == (failed_us, 0)
    desk.clock.advance(failed_us + 3 * DAY_US)
    ((late, _),) = look(desk)
    assert late == OwedBack("CNY", 1, DEPOSIT, failed_us, 1, DEPOSIT, it.authorization_id)


def test_r22_refunds_of_an_earlier_build_count_from_the_close(desk: Desk) -> None:
    """R22: a refund of an earlier build has no time of its own, and counts from the close."""
    it = released(desk)
    set_row(desk, it, refund_after_us=None, refund_since_us=None, wake_us=None)
    desk.clock.advance(START_US + 4 * DAY_US)
    ((late, _),) = look(desk)
    assert (late.since_us, late.late_count, late.oldest) == (START_US, 1, it.authorization_id)


def test_r22_what_a_bank_took_back_is_owed_and_not_late(desk: Desk) -> None:
    """R22: a deposit that a bank took back counts in the sum, and waits for the bank's decision."""
    it = released(desk)
    rental(desk, charge_back(it, DEPOSIT, "b-1"), caller=PLATFORM)
    desk.clock.advance(START_US + 9 * DAY_US)
    assert [said for said, _ in look(desk)] == [OwedBack("CNY", 1, DEPOSIT, None, 0, 0, "")]
