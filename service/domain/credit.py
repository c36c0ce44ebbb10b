"""From score to credit limit, and what a limit rests on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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


class LimitBasis(StrEnum):
    """What a limit rests on."""

    SCORE = "SCORE"
    """The score of the features on record, or the reason why there is none."""
    NO_SCORE = "NO_SCORE"
    """A person set the limit, or a write-off froze it."""
    NOT_KEPT = "NOT_KEPT"
    """A score that an earlier build did not keep."""


SCORE_NOT_KEPT = "SCORE_NOT_KEPT"
"""Why a profile has no score: an earlier build took it and did not keep it."""


def limit_basis(
    limit_minor: int, score_limit_minor: int | None, *, fixed: bool, score_kept: bool
) -> LimitBasis:
    """What a limit of `limit_minor` rests on.

    `score_limit_minor` is the limit that the kept score gave, None if it gave none. `fixed` says
    that no score changes the limit, `score_kept` that the score of the features on record was kept.
    """
    if fixed:
        return LimitBasis.NO_SCORE
    if not score_kept:
        return LimitBasis.NOT_KEPT
    # An earlier build changes a limit by hand without a word about the score.
    return LimitBasis.SCORE if limit_minor == score_limit_minor else LimitBasis.NO_SCORE
