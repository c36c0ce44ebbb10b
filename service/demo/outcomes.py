"""The declared simulator of conduct: payments and returns.

No data set says whether a card customer would pay for an umbrella. So conduct is drawn for each
rental, independently, with a chance that depends only on the person's real label (default on the
card in the next month). Every table that shows conduct calls it simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Chance:
    """Two probabilities: one for people with a good label, and one for people with a bad label."""

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
    """The conduct if the item goes out: (n,) flags, one for each rental.

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
    """The simulator's assumptions, in sentences."""
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
            "The same draws count under every deposit rule: in this demo a deposit does not change "
            "whether people return the item or pay. In a real city it does."
        ),
    ]
