"""Identifiers and instants."""

from __future__ import annotations

import re

import pytest

from service.clock import SandboxClock
from service.ids import RandomIds

NOW_US = 1_780_272_000_000_000
YEAR_2020_US = 1_577_836_800_000_000
YEAR_US = 365 * 86_400 * 1_000_000


def test_ids_are_short_and_plain() -> None:
    """An id is 20 characters of 0-9 and a-v, and every id is new, within one instant too."""
    ids = RandomIds()
    made = [ids.new(NOW_US) for _ in range(1_000)]
    assert all(re.fullmatch(r"[0-9a-v]{20}", each) for each in made)
    assert len(set(made)) == 1_000


@pytest.mark.parametrize("step_us", [1, 31, 32, 1_000_000, YEAR_US, 20 * YEAR_US])
def test_ids_sort_by_time(step_us: int) -> None:
    """An id of a later instant sorts after, from the next microsecond to twenty years on."""
    ids = RandomIds()
    early, late = ids.new(NOW_US), ids.new(NOW_US + step_us)
    assert early < late
    assert RandomIds().new(NOW_US) < late


@pytest.mark.parametrize("power", range(50))
def test_ids_sort_at_every_carry(power: int) -> None:
    """Until 2055 an id sorts after those of all instants before it, whatever bits differ."""
    ids = RandomIds()
    before, after = YEAR_2020_US + 2**power - 1, YEAR_2020_US + 2**power
    assert ids.new(YEAR_2020_US) <= ids.new(before)[:10] + "v" * 10
    assert ids.new(before)[:10] < ids.new(after)[:10]


def test_ids_of_two_sources_differ() -> None:
    """Two processes that make ids at one instant do not make the same."""
    assert RandomIds().new(NOW_US) != RandomIds().new(NOW_US)


def test_the_sandboxs_clock_stands_until_it_is_moved() -> None:
    """A sandbox's clock stands still, moves on when told, and refuses to go back."""
    clock = SandboxClock(NOW_US)
    assert clock.now_us() == clock.now_us() == NOW_US
    assert clock.advance(NOW_US + 5)
    assert clock.advance(NOW_US + 5)
    assert not clock.advance(NOW_US + 4)
    assert clock.now_us() == NOW_US + 5


def test_ids_grow_whatever_the_clock_does() -> None:
    """Each id of a process is greater than the one before it, also while the clock stands still,
    for longer than one microsecond has ids, or goes back."""
    ids = RandomIds()
    now_us = 1_704_067_200_000_000
    made = [ids.new(now_us - number % 3) for number in range(1_000)]
    ids._part = (1 << 50) - 1
    made += [ids.new(now_us) for _ in range(1_000)]
    made.append(ids.new(now_us + 1_000))
    assert made == sorted(set(made))
    assert {len(it) for it in made} == {20}
