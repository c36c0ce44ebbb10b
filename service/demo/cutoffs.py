"""Approvals against bad rate at several cut-offs of the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.rates import Rate

CUTOFFS = (550, 600, 650, 700)


@dataclass(frozen=True)
class Cutoff:
    """The outcome if everybody with at least `score` is approved.

    approved       of the people with a score
    bad_approved   bad labels among the approved
    bad_refused    bad labels among the refused
    good_refused   refused among the people with a good label
    """

    score: int
    approved: Rate
    bad_approved: Rate
    bad_refused: Rate
    good_refused: Rate

    def as_json(self) -> dict[str, object]:
        """The row for the report."""
        return {
            "score": self.score,
            "approved": self.approved.as_json(),
            "bad_rate_approved": self.bad_approved.as_json(),
            "bad_rate_refused": self.bad_refused.as_json(),
            "good_refused": self.good_refused.as_json(),
        }


def curve(
    score: NDArray[np.int64], label: NDArray[np.int8], cutoffs: tuple[int, ...] = CUTOFFS
) -> list[Cutoff]:
    """One row for each cut-off. `score` (n,) is 0 for people without a score; `label` (n,) is 1 for
    bad.

    People without a score are left out: they are neither approved nor refused by a cut-off.
    """
    scored = score > 0
    bad = label[scored] == 1
    rows = []
    for cutoff in cutoffs:
        approved = score[scored] >= cutoff
        rows.append(
            Cutoff(
                score=cutoff,
                approved=Rate(int(approved.sum()), int(approved.shape[0])),
                bad_approved=Rate(int((approved & bad).sum()), int(approved.sum())),
                bad_refused=Rate(int((~approved & bad).sum()), int((~approved).sum())),
                good_refused=Rate(int((~approved & ~bad).sum()), int((~bad).sum())),
            )
        )
    return rows
