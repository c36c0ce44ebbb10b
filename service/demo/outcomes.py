"""The declared simulator: who pays, what comes back.

No data set tells whether a card customer would pay for an umbrella. Conduct is therefore drawn
for each rental, independently, with a chance that depends on the person's real label (default on
the card in the next month) and on nothing else. It is called simulated wherever it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Chance:
    """A probability for people whose label is good, and one for those whose label is bad."""

    good: float
    bad: float

    def of(self, label: NDArray[np.int8]) -> NDArray[np.float64]:
        """(n,) labels (1 = bad) to (n,) probabilities."""
        return np.where(label == 1, self.bad, self.good)


UNPAID = Chance(good=0.01, bad=0.08)
LOST = Chance(good=0.0003, bad=0.0024)
LOST_PAID = Chance(good=0.6, bad=0.2)


@dataclass(frozen=True)
class Conduct:
    """What would happen if the item went out, (n,) flags, one for each rental.

    unpaid     the fee charged on credit is never paid
    lost       the item never comes back
    lost_paid  the charge for a lost item is paid; meaningful only where `lost`
    """

    unpaid: Flags
    lost: Flags
    lost_paid: Flags


def draw(label: NDArray[np.int8], generator: np.random.Generator) -> Conduct:
    """Draw the conduct for (n,) labels (1 = bad), three independent uniforms a rental."""
    noise = generator.random((label.shape[0], 3))
    return Conduct(
        unpaid=noise[:, 0] < UNPAID.of(label),
        lost=noise[:, 1] < LOST.of(label),
        lost_paid=noise[:, 2] < LOST_PAID.of(label),
    )


def assumptions() -> list[str]:
    """The simulator in sentences."""
    return [
        (
            "Conduct is simulated, for each rental by independent draws that depend only on the "
            "person's real card label: "
            f"P(fee unpaid | label bad) = {UNPAID.bad}, P(fee unpaid | label good) = {UNPAID.good}."
        ),
        (
            f"P(item never returned | label bad) = {LOST.bad}, P(item never returned | label good) "
            f"= {LOST.good}."
        ),
        (
            f"P(charge for a lost item paid | label bad) = {LOST_PAID.bad}, "
            f"P(charge for a lost item paid | label good) = {LOST_PAID.good}."
        ),
        (
            "The same draws hold under every deposit rule: a deposit changes neither who returns "
            "the item nor who would pay. In a real city it does."
        ),
    ]
