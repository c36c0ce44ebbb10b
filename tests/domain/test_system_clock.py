"""A4: the machine's clock jumps. The process follows no jump and reports each."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from service.clock import (
    CLOCK_LIMITS,
    DAY_US,
    SECOND_US,
    ClockNews,
    SystemClock,
)
from service.domain.errors import ClockUnproven
from tests.machine import YEAR_S, Machine

JUMPED, RIGHT_AGAIN = ClockNews.JUMPED, ClockNews.RIGHT_AGAIN
MOST_S = int(CLOCK_LIMITS.most_apart_s)
MOST_BEHIND_US = int(CLOCK_LIMITS.most_behind_s * 1_000_000)
MOST_AHEAD_US = int(CLOCK_LIMITS.most_ahead_s * 1_000_000)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a4_time_goes_on_while_the_clock_is_ten_years_ahead(machine: Machine) -> None:
    """While the wall clock is wrong, time follows the monotonic clock and is not trusted; when the
    wall clock is right again, time follows it. Each change is reported once, with the error."""
    clock, began_us = machine.clock(), machine.now_us()
    for off_s in (10 * YEAR_S, -10 * YEAR_S, 3_600, -3_600):
        machine.set_clock(off_s)
        for _ in range(4):
            machine.pass_s(1)
            assert clock.now_us() == machine.now_us() - off_s * SECOND_US
            assert not clock.trusted
            assert clock.off_us == off_s * SECOND_US
        machine.set_clock(-off_s)
        assert clock.trusted
        assert clock.off_us == 0
        assert clock.now_us() == machine.now_us()
        assert machine.told == [(JUMPED, off_s * SECOND_US), (RIGHT_AGAIN, 0)]
        machine.told.clear()
    assert clock.now_us() == began_us + 16 * SECOND_US


def test_a4_a_jump_that_stays_is_not_followed(machine: Machine) -> None:
    """A wall clock that stays wrong is untrusted until the process ends, and time goes on. A new
    process uses the clock as it is."""
    clock = machine.clock()
    machine.set_clock(3_600)
    before_us = clock.now_us()
    machine.pass_s(30 * 86_400)
    assert clock.now_us() == before_us + 30 * DAY_US
    assert not clock.trusted
    assert machine.clock().now_us() == machine.now_us()
    assert machine.told == [(JUMPED, 3_600 * SECOND_US)]


def test_a4_each_jump_is_reported(machine: Machine) -> None:
    """A second jump while the clock is wrong is reported; a clock that stays wrong is not reported
    again."""
    clock = machine.clock()
    for step_s in (60, 0, 3_600, MOST_S, -7_200):
        machine.set_clock(step_s)
        clock.now_us()
    told = [off_us // SECOND_US for news, off_us in machine.told if news is JUMPED]
    assert told == [60, 3_660, MOST_S + 3_660 - 7_200]


@pytest.mark.parametrize("step_s", [0.5, 2, MOST_S])
def test_a4_small_steps_are_followed(machine: Machine, step_s: float) -> None:
    """Time follows a small step of the wall clock, such as a time daemon makes. After a step
    forward, time follows at once. After a step back, time stands still until the wall clock has
    caught up. Time follows later steps too."""
    clock = machine.clock()
    for _ in range(5):
        machine.pass_s(30 * MOST_S)
        machine.set_clock(step_s)
        assert clock.now_us() == machine.now_us()
        machine.pass_s(30 * MOST_S)
        last_us = clock.now_us()
        machine.set_clock(-step_s)
        assert clock.now_us() == last_us
        machine.pass_s(step_s / 2)
        assert clock.now_us() == last_us
        machine.pass_s(step_s)
        assert clock.now_us() == machine.now_us() == last_us + int(step_s / 2 * SECOND_US)
    assert clock.trusted
    assert not machine.told


def test_a4_small_steps_do_not_add_up_to_a_jump(machine: Machine) -> None:
    """Many small steps move the time no further than one large jump."""
    clock = machine.clock()
    for _ in range(100):
        machine.set_clock(2)
        machine.pass_s(0.1)
        clock.now_us()
    assert not clock.trusted
    assert clock.now_us() < machine.now_us() - 150 * SECOND_US


def test_a4_a_slew_is_followed(machine: Machine) -> None:
    """A wall clock that runs a little faster or slower than the monotonic clock is followed without
    end."""
    clock = machine.clock()
    for parts in (500e-6, -500e-6, 0.08):
        for _ in range(2_000):
            machine.pass_s(10)
            machine.set_clock(10 * parts)
            assert clock.now_us() == machine.now_us()
    assert clock.trusted
    assert not machine.told


def test_a4_a_sleeping_machine_does_not_jump(machine: Machine) -> None:
    """If the process gets no CPU, or the machine sleeps, both clocks continue and no jump is
    seen."""
    clock = machine.clock()
    machine.pass_s(3 * 86_400)
    assert clock.now_us() == machine.now_us()
    assert clock.trusted


def test_a4_a_pause_between_two_readings_is_no_jump(machine: Machine) -> None:
    """When the process is stopped between its readings of the two clocks, it reads them again."""
    clock = machine.clock()
    machine.stop_once_s = 3_600
    assert clock.now_us() == machine.now_us()
    assert clock.trusted
    assert not machine.told


def test_a4_time_never_goes_back(machine: Machine) -> None:
    """After any change of the wall clock, no reading lies before the last one."""
    clock = machine.clock()
    answers = []
    for step_s in (3, -8, 9, -9, 50, -3, -47, 10 * YEAR_S, 1, -10 * YEAR_S, -5, 4) * 20:
        machine.set_clock(step_s)
        machine.pass_s(0.01)
        answers.append(clock.now_us())
    assert answers == sorted(answers)


def test_a4_the_start_is_compared_with_the_database(machine: Machine) -> None:
    """At the start, a clock behind the newest row is reported and used; a clock more than a month
    ahead is used with --trust-clock; without rows nothing is compared."""
    for newest_us, vouched, told in (
        (None, False, []),
        (machine.now_us(), False, []),
        (machine.now_us() + MOST_BEHIND_US, False, []),
        (machine.now_us() + DAY_US, False, [(ClockNews.BEHIND, -DAY_US)]),
        (machine.now_us() - MOST_AHEAD_US, False, []),
        (machine.now_us() - 40 * DAY_US, True, []),
    ):
        clock = machine.clock()
        clock.compare_start(newest_us, vouched=vouched)
        assert clock.trusted
        assert machine.told == told
        machine.told.clear()


def test_a4_a_clock_far_ahead_of_the_database_is_refused(machine: Machine) -> None:
    """A start more than a month after the newest row is refused without --trust-clock; the error
    has the clock's lead and the remedy."""
    for ahead_us, days in ((40 * DAY_US, "40.0"), (3_650 * DAY_US, "3,650.0")):
        with pytest.raises(ClockUnproven, match=f" {days} days ahead .*--trust-clock") as refused:
            machine.clock().compare_start(machine.now_us() - ahead_us, vouched=False)
        assert refused.value.reason == "CLOCK_UNPROVEN"
    with pytest.raises(ClockUnproven):
        machine.clock().compare_start(machine.now_us() - MOST_AHEAD_US - 1, vouched=False)


def test_a4_the_default_clocks_are_the_machines() -> None:
    """A clock without other sources reads the machine's clocks, also from several threads."""
    clock = SystemClock()
    answers: list[list[int]] = [[] for _ in range(4)]

    def read(mine: list[int]) -> None:
        mine += [clock.now_us() for _ in range(2_000)]

    threads = [Thread(target=read, args=(mine,)) for mine in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in answers)
    assert clock.trusted
    assert abs(clock.now_us() - time.time_ns() // 1000) < SECOND_US
