"""Turns: each caller has a bounded queue, and callers take turns."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from service.engine.turns import Full, Turns


def test_callers_take_turns() -> None:
    """One item of each caller is taken in turn, and a caller's items keep their order."""
    turns: Turns[str] = Turns(100, 100)
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        turns.put(item[0], item)
    assert turns.take(6) == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert len(turns) == turns.callers == 0


def test_the_next_take_goes_on_with_the_next_caller() -> None:
    """A take goes on with the caller whose turn it is, so that small takes are fair as well."""
    turns: Turns[str] = Turns(100, 100)
    for item in ("a1", "a2", "a3", "b1", "b2", "b3"):
        turns.put(item[0], item)
    assert [turns.take(1)[0] for _ in range(6)] == ["a1", "b1", "a2", "b2", "a3", "b3"]
    assert turns.take(1) == []


def test_a_flood_delays_others_by_one_item() -> None:
    """A caller waits behind one item of a caller that has a thousand."""
    turns: Turns[str] = Turns(2_000, 2_000)
    for number in range(1_000):
        turns.put("flood", f"flood {number}")
    turns.put("good", "good")
    assert turns.take(2) == ["flood 0", "good"]


def test_a_caller_that_comes_back_waits_for_the_others() -> None:
    """A caller whose queue was emptied is the last in turn when it comes back."""
    turns: Turns[str] = Turns(100, 100)
    for item in ("a1", "b1", "b2", "c1"):
        turns.put(item[0], item)
    assert turns.take(1) == ["a1"]
    turns.put("a", "a2")
    assert turns.take(4) == ["b1", "c1", "a2", "b2"]


def test_a_share_bounds_a_caller_while_others_wait() -> None:
    """At most `at_most_each` items of one caller are taken while others wait; a caller alone gets
    all."""
    turns: Turns[str] = Turns(1_000, 1_000)
    for number in range(100):
        turns.put("flood", f"flood {number}")
    turns.put("good", "good")
    first = turns.take(64, at_most_each=16)
    assert Counter(item.split()[0] for item in first) == {"flood": 16, "good": 1}
    assert len(turns.take(64, at_most_each=16)) == 64
    assert len(turns) == 20


def test_a_full_queue_refuses_its_own_caller_alone() -> None:
    """A caller's items beyond its bound are refused; others are not."""
    turns: Turns[int] = Turns(100, 2)
    turns.put("a", 1)
    turns.put("a", 2)
    with pytest.raises(Full) as refused:
        turns.put("a", 3)
    assert refused.value.of_caller
    turns.put("b", 4)
    assert turns.take(10) == [1, 4, 2]
    turns.put("a", 5)
    assert turns.waiting("a") == 1
    assert turns.waiting("b") == 0


def test_a_full_queue_shuts_nobody_out() -> None:
    """When all queues together are full, a caller without an item may still add one."""
    turns: Turns[int] = Turns(4, 4)
    for number in range(4):
        turns.put("flood", number)
    turns.put("good", 10)
    with pytest.raises(Full) as refused:
        turns.put("good", 11)
    assert not refused.value.of_caller
    for number in range(3):
        turns.put(f"other {number}", number)
    assert len(turns) == 8
    with pytest.raises(Full) as refused:
        turns.put("one caller too many", 1)
    assert not refused.value.of_caller


def test_no_room_refuses_all() -> None:
    """A bound of 0 for each caller refuses every item."""
    turns: Turns[int] = Turns(4, 0)
    with pytest.raises(Full):
        turns.put("a", 1)
    assert turns.take(1) == []


@pytest.mark.parametrize("seed", range(20))
def test_no_item_is_lost_or_taken_twice(seed: int) -> None:
    """Whatever the order of puts and takes, each item comes out once, in its caller's order, and no
    caller gets two turns while another waits for its first."""
    chance = random.Random(seed)
    turns: Turns[tuple[int, int]] = Turns(10_000, 10_000)
    added: Counter[int] = Counter()
    out: list[tuple[int, int]] = []
    for _ in range(500):
        caller = chance.choice((0, 0, 0, 0, 1, 2, 3))
        turns.put(caller, (caller, added[caller]))
        added[caller] += 1
        if chance.random() < 0.2:
            count = chance.randrange(1, 12)
            waiting = {it: turns.waiting(it) for it in range(4)}
            taken = turns.take(count, chance.choice((None, 1, 2)))
            got = Counter(it for it, _ in taken)
            for one, most in got.items():
                left_behind = [it for it in waiting if got[it] < min(waiting[it], most - 1)]
                assert not left_behind, (one, got, waiting)
            out += taken
    out += turns.take(10_000)
    assert sorted(out) == sorted((it, n) for it in added for n in range(added[it]))
    for caller in added:
        assert [n for it, n in out if it == caller] == list(range(added[caller]))
    assert len(turns) == turns.callers == 0
