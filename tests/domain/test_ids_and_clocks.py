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
    """An id has 20 characters of 0-9 and a-v; ids of one instant differ."""
    ids = RandomIds()
    made = [ids.new(NOW_US) for _ in range(1_000)]
    assert all(re.fullmatch(r"[0-9a-v]{20}", each) for each in made)
    assert len(set(made)) == 1_000


@pytest.mark.parametrize("step_us", [1, 31, 32, 1_000_000, YEAR_US, 20 * YEAR_US])
def test_ids_sort_by_time(step_us: int) -> None:
    """The id of a later instant sorts later, from one microsecond to twenty years."""
    ids = RandomIds()
    early, late = ids.new(NOW_US), ids.new(NOW_US + step_us)
    assert early < late
    assert RandomIds().new(NOW_US) < late


@pytest.mark.parametrize("power", range(50))
def test_ids_sort_at_every_carry(power: int) -> None:
    """Until 2055 an id sorts after the ids of all earlier instants, whichever bits differ."""
    ids = RandomIds()
    before, after = YEAR_2020_US + 2**power - 1, YEAR_2020_US + 2**power
    assert ids.new(YEAR_2020_US) <= ids.new(before)[:10] + "v" * 10
    assert ids.new(before)[:10] < ids.new(after)[:10]


def test_ids_of_two_sources_differ() -> None:
    """Two processes make different ids at the same instant."""
    assert RandomIds().new(NOW_US) != RandomIds().new(NOW_US)


def test_a_sandbox_clock_moves_only_on_request() -> None:
    """A sandbox's clock stands still, moves forward on request, and refuses to go back."""
    clock = SandboxClock(NOW_US)
    assert clock.now_us() == clock.now_us() == NOW_US
    assert clock.advance(NOW_US + 5)
    assert clock.advance(NOW_US + 5)
    assert not clock.advance(NOW_US + 4)
    assert clock.now_us() == NOW_US + 5


def test_ids_grow_with_any_clock() -> None:
    """Each id of a process is greater than its previous id, even if the clock goes back, or stands
    still while the ids of one microsecond run out."""
    ids = RandomIds()
    now_us = 1_704_067_200_000_000
    made = [ids.new(now_us - number % 3) for number in range(1_000)]
    ids._part = (1 << 50) - 1
    made += [ids.new(now_us) for _ in range(1_000)]
    made.append(ids.new(now_us + 1_000))
    assert made == sorted(set(made))
    assert {len(it) for it in made} == {20}
