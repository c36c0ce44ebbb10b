"""The default credit limit of a score, and the basis of a limit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class LimitStep:
    """The limit, in minor units, of scores from `from_score` up."""

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
    """The basis of a credit limit."""

    SCORE = "SCORE"
    """The score of the stored features, or the reason why they have none."""
    NO_SCORE = "NO_SCORE"
    """A person set the limit, or a write-off froze it."""
    NOT_KEPT = "NOT_KEPT"
    """A score that an earlier build used and did not store."""


SCORE_NOT_KEPT = "SCORE_NOT_KEPT"
"""The reason of a profile without a score: an earlier build did not store it."""


def limit_basis(
    limit_minor: int, score_limit_minor: int | None, *, fixed: bool, score_kept: bool
) -> LimitBasis:
    """The basis of a limit of `limit_minor`.

    `score_limit_minor` is the limit that the stored score gave, or None. `fixed` means that no
    score changes the limit. `score_kept` means that the score of the stored features was stored.
    """
    if fixed:
        return LimitBasis.NO_SCORE
    if not score_kept:
        return LimitBasis.NOT_KEPT
    # An earlier build sets a limit by hand and leaves the stored score as it is.
    return LimitBasis.SCORE if limit_minor == score_limit_minor else LimitBasis.NO_SCORE
