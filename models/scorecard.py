"""The platform's scale: from the model's margin to a score and a band.

600 points are odds of 4 good to 1 bad, 50 points double the odds. With Platt's log-odds of bad
x = a * margin + b, odds = e^-x, so

    600 + 50 * log2(odds / 4) = 500 - (50 / ln 2) * (a * margin + b),

an affine function of the margin. It is computed as such, in plain Python floats, because a decision
must replay to the bit. Exponentials and logarithms differ in their last bit between libraries;
multiplication and addition do not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from models.calibrate import Platt

VERSION = "freehold-score-1"

ANCHOR_SCORE = 600.0
ANCHOR_ODDS = 4.0
POINTS_TO_DOUBLE = 50.0
LOWEST, HIGHEST = 350, 950
BANDS = (("A", 700), ("B", 650), ("C", 600), ("D", 550), ("E", LOWEST))

# ln 2 and log2 of the anchor odds are literals, so that no library computes a logarithm.
_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
_LOG2_ANCHOR_ODDS = 2.0


class Scale(NamedTuple):
    """score = round_half_even(a * margin + b), clipped; `a` is negative: margins rise with risk."""

    a: float
    b: float

    def score(self, margin: float) -> int:
        """Score of one finite margin, from LOWEST to HIGHEST."""
        value = self.a * margin + self.b
        # Clipped before rounding: the bounds are whole numbers, so the order does not matter,
        # and no margin can overflow an int.
        return round(min(max(value, LOWEST), HIGHEST))


def scale(platt: Platt) -> Scale:
    """The scale of a calibrated model."""
    points_per_nat = POINTS_TO_DOUBLE / _LN2
    zero = ANCHOR_SCORE - POINTS_TO_DOUBLE * _LOG2_ANCHOR_ODDS
    return Scale(a=-(points_per_nat * platt.a), b=zero - points_per_nat * platt.b)


def band(score: int) -> str:
    """Band of a score; lower bounds are inclusive."""
    for name, lowest in BANDS:
        if score >= lowest:
            return name
    return BANDS[-1][0]


def pd_at(score: float) -> float:
    """The unrounded PD of a score, for tables and axes."""
    odds = ANCHOR_ODDS * math.pow(2.0, (score - ANCHOR_SCORE) / POINTS_TO_DOUBLE)
    return 1.0 / (1.0 + odds)
