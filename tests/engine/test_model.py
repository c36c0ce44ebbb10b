"""Any commands in any order, with retries, clock jumps, lost answers and deaths of the process,
against plain rules.

A call is drawn as one number, from which and from the books `chance.py` makes it: Hypothesis can
leave calls and steps out of a failing run, but not simplify a call. `soak.py` runs the same
machine without Hypothesis, for as long as one likes.
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
# Of the profile's examples. A step costs PostgreSQL four times as much; the rules are the same.
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
        """A busy moment."""
        self.do(["calls", "none", numbers])

    @rule(
        numbers=st.lists(NUMBERS, min_size=1, max_size=6),
        trouble=st.sampled_from(BAD_TIMES),
    )
    def calls_arrive_at_a_bad_time(self, numbers: list[int], trouble: str) -> None:
        """A batch whose transaction, or whose process, goes wrong."""
        self.do(["calls", trouble, numbers])

    @rule(number=NUMBERS)
    def time_passes(self, number: int) -> None:
        """The clock goes on: a microsecond, months, or to where something happens."""
        self.do(["time", number])

    @rule()
    def the_sweeper_comes(self) -> None:
        """What time has brought is done."""
        self.do(["sweep"])

    def do(self, step: Step) -> None:
        """One step; every row that changed is compared after it."""
        self.sound = False
        self.model.do(step)
        self.sound = True

    def teardown(self) -> None:
        """At the end every row is right, every answer is the same, and the books verify."""
        try:
            if self.sound:
                self.model.finish()
        finally:
            self.model.close()
            self.databases.drop(self.model.url)


def test_the_engine_agrees_with_the_plain_rules(databases: Databases) -> None:
    """Whatever two operators, four people and the platform do in whatever order, with retries,
    batches, clock jumps, conflicts, lost answers and deaths before write, before commit and after
    it: every answer, every row and every account is what the plain rules say, a retry gives the
    first answer, and at the end the books verify."""
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
