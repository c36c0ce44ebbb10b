"""Rate limits by key."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from service.engine.rates import RateLimits, Rates, Weight, retry_ms

TOLERANCE = 1e-5

gaps = st.lists(st.floats(0, 3), min_size=1, max_size=60)


def rates(**limits: float) -> Rates:
    return Rates(RateLimits(**limits))  # type: ignore[arg-type]


@given(gaps, st.floats(0.5, 50), st.floats(0.1, 5), st.sampled_from([0.25, 1.0, 2.0]))
def test_no_time_lets_more_pass_than_the_budget(
    pauses: list[float], rate: float, burst_s: float, units: float
) -> None:
    """Between any two moments, a key gets at most its full budget and what has grown meanwhile; one
    call of more units than the full budget is the only exception."""
    limited = rates(units_a_second=rate, burst_s=burst_s)
    passed = [at for at in accumulate(pauses) if not limited.wait_s("key", units, at)]
    for first, start in enumerate(passed):
        for last, end in enumerate(passed[first:], 1):
            most = max(rate * burst_s, units) + rate * (end - start)
            assert last * units <= most + TOLERANCE


@given(st.floats(0, 1e8), st.integers(1, 300), st.integers(1, 1_000))
def test_a_full_budget_is_used_to_its_last_unit(now_s: float, calls: int, rate: int) -> None:
    """A budget of some calls lets so many pass at once, whatever the clock says, and not one
    more."""
    limited = rates(units_a_second=rate, burst_s=calls * 2 / rate)
    assert [limited.wait_s("key", 2, now_s) for _ in range(calls)] == [0.0] * calls
    assert limited.wait_s("key", 2, now_s) > 0


@given(gaps, st.floats(0.5, 50), st.floats(0.1, 5))
def test_a_retry_after_the_named_wait_passes(
    pauses: list[float], rate: float, burst_s: float
) -> None:
    """A refused call takes nothing from the budget, and passes after the wait that it was told,
    but not a moment earlier."""
    limited = rates(units_a_second=rate, burst_s=burst_s)
    for at in accumulate(pauses):
        wait_s = limited.wait_s("key", 1.0, at)
        if wait_s:
            assert limited.wait_s("key", 1.0, at + wait_s * 0.999 - TOLERANCE) > 0
            assert limited.wait_s("key", 1.0, at + wait_s + TOLERANCE) == 0
            return


def test_keys_have_budgets_of_their_own() -> None:
    """One key's calls take nothing from another key's budget."""
    limited = rates(units_a_second=1, burst_s=1)
    assert limited.wait_s("a", 1, 0.0) == 0
    assert limited.wait_s("a", 1, 0.0) == 1
    assert limited.wait_s("b", 1, 0.0) == 0


def test_a_call_larger_than_the_budget_waits_for_a_full_one() -> None:
    """A call of more units than a full budget passes if the budget is full, and later calls wait
    until its units have grown again."""
    limited = rates(units_a_second=1, burst_s=2)
    assert limited.wait_s("a", 10, 0.0) == 0
    assert limited.wait_s("a", 1, 0.0) == 9
    assert limited.wait_s("a", 1, 9.0) == 0


def test_memory_is_bounded() -> None:
    """The budgets of at most `max_keys` keys are kept. The full ones are forgotten first, and then
    the one that is full soonest."""
    limited = rates(units_a_second=1, burst_s=10, max_keys=2)
    limited.wait_s("nearly full", 1, 0.0)
    limited.wait_s("empty", 10, 0.0)
    limited.wait_s("new", 1, 0.5)
    assert limited.wait_s("empty", 1, 0.5) > 0
    limited.wait_s("newer", 1, 20.0)
    assert limited.wait_s("empty", 10, 20.0) == 0


def test_each_kind_of_call_has_its_units() -> None:
    """The units of a call are the limit that its kind names."""
    limits = RateLimits(read=1, list=2, quote=3, write=4, batch=5, bulk=6, verify=7)
    assert [limits.units(it) for it in Weight] == [1, 2, 3, 4, 5, 6, 7]


def test_the_told_delay_is_never_short() -> None:
    """A wait is told in whole milliseconds, rounded up."""
    assert [retry_ms(it) for it in (0.0001, 0.001, 0.0011, 2.0)] == [1, 1, 2, 2000]
