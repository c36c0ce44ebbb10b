"""From score to credit limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LimitStep:
    """A limit in minor units for everybody who has at least `from_score`."""

    from_score: int
    limit_minor: int


def limit_for(score: int | None, steps: tuple[LimitStep, ...]) -> int:
    """The default limit, in minor units, of a person with this score.

    `steps` go from the highest score down; below the last one, and for a person who cannot be
    scored (`score` None), the limit is 0.
    """
    if score is None:
        return 0
    return next((step.limit_minor for step in steps if score >= step.from_score), 0)
