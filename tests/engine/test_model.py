"""Any commands in any order, with retries, clock jumps, lost answers and dead processes, against
the reference.

Hypothesis draws a call as one number, and `chance.py` makes the call from it and the books:
Hypothesis can leave calls and steps out of a failing run, but not simplify a call. `soak.py` runs
the same machine without Hypothesis, for as long as you like.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.conftest import Databases
from tests.engine.model import TROUBLES, Model, Step

NUMBERS = st.integers(0, 2**32 - 1)
BAD_TIMES = sorted(TROUBLES.keys() - {"none"})
# A share of the profile's examples: a step on PostgreSQL costs four times as much, and the rules
# are the same.
SHARES = {"sqlite": 4, "postgresql": 16}


class Rentals(RuleBasedStateMachine):
    """Two operators, four people, one engine on a database that sometimes fails."""

    def __init__(self, databases: Databases) -> None:
        super().__init__()
        self.databases = databases
        self.model = Model(databases.new())
        self.sound = True

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=8))
    def calls_arrive(self, numbers: list[int]) -> None:
        """A batch of calls, new ones and retries."""
        self.do(["calls", "none", numbers])

    @rule(numbers=st.lists(NUMBERS, min_size=8, max_size=24))
    def many_calls_arrive(self, numbers: list[int]) -> None:
        """A large batch of calls."""
        self.do(["calls", "none", numbers])

    @rule(
        numbers=st.lists(NUMBERS, min_size=1, max_size=6),
        trouble=st.sampled_from(BAD_TIMES),
    )
    def calls_arrive_at_a_bad_time(self, numbers: list[int], trouble: str) -> None:
        """A batch whose transaction or process fails."""
        self.do(["calls", trouble, numbers])

    @rule(number=NUMBERS)
    def time_passes(self, number: int) -> None:
        """The clock moves on: by a microsecond, by months, or to the next timer."""
        self.do(["time", number])

    @rule(number=NUMBERS)
    def terms_change(self, number: int) -> None:
        """Somebody changes documents of terms, or listings."""
        self.do(["terms", number])

    @rule()
    def the_sweeper_comes(self) -> None:
        """The sweeper takes every step that is due."""
        self.do(["sweep"])

    def do(self, step: Step) -> None:
        """Takes one step, then compares every changed row."""
        self.sound = False
        self.model.do(step)
        self.sound = True

    def teardown(self) -> None:
        """At the end every row is right, every retry gets its first answer, and the books
        verify."""
        try:
            if self.sound:
                self.model.finish()
        finally:
            self.model.close()
            self.databases.drop(self.model.url)


def test_the_engine_agrees_with_the_plain_rules(databases: Databases) -> None:
    """Two operators, four people and the platform make all calls in any order, while terms change,
    with retries, batches, clock jumps, conflicts and lost answers; the server dies before a write,
    before a commit and after it. Every answer, row and account equals the reference's, a retry gets
    the first answer, and the books verify at the end."""
    default = settings.default
    assert default is not None
    machine: Any = lambda: Rentals(databases)  # noqa: E731
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, default.max_examples // SHARES[databases.kind]),
            stateful_step_count=default.stateful_step_count,
        ),
    )
