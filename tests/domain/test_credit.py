"""From score to credit limit."""

from __future__ import annotations

import pytest

from service.domain.credit import LimitStep, limit_for

STEPS = (
    LimitStep(650, 50_000),
    LimitStep(600, 30_000),
    LimitStep(550, 20_000),
    LimitStep(500, 10_000),
)


@pytest.mark.parametrize(
    ("score", "limit_minor"),
    [(950, 50_000), (650, 50_000), (649, 30_000), (600, 30_000), (599, 20_000), (550, 20_000),
     (549, 10_000), (500, 10_000), (499, 0), (350, 0)],
)  # fmt: skip
def test_a_limit_follows_from_the_score(score: int, limit_minor: int) -> None:
    """A score of at least 650 gives a limit of 500 yuan, 600 gives 300, 550 gives 200, and 500
    gives 100; a lower score gives no limit."""
    assert limit_for(score, STEPS) == limit_minor


def test_no_score_no_limit() -> None:
    """A person who cannot be scored has no limit."""
    assert limit_for(None, STEPS) == 0


def test_no_steps_no_limit() -> None:
    """A currency without steps gives no limit."""
    assert limit_for(950, ()) == 0
