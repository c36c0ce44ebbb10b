"""The people who rent: the people of the data set whom the served model has never seen.

Data: I-C. Yeh, "Default of Credit Card Clients", UCI Machine Learning Repository, 2009,
doi 10.24432/C55S3H, CC BY 4.0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset

NO_CONSENT_SHARE = 0.03


class SeenInTraining(Exception):
    """The model was trained on a person of the demo."""


@dataclass(frozen=True)
class Population:
    """People, row by row.

    ids       n opaque user ids, made from the data set's own
    names     the k raw features
    features  (n, k) float64, NaN where a value is missing
    label     (n,) int8, 1 = defaulted on the card in the next month
    consent   (n,) bool, agreed to be scored
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    features: NDArray[np.float64]
    label: NDArray[np.int8]
    consent: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    def values(self, row: int) -> dict[str, float]:
        """The features of one person by name, without missing values."""
        pairs = zip(self.names, self.features[row].tolist(), strict=True)
        return {name: value for name, value in pairs if value == value}


def select(
    dataset: Dataset,
    names: tuple[str, ...],
    holdout: NDArray[np.int64],
    seen: Callable[[str], bool],
    people: int | None,
    generator: np.random.Generator,
) -> Population:
    """Take `people` of the hold-out rows (None: all), in the file's order.

    `seen` says whether the model was trained on the row with this id. Raises SeenInTraining for
    the first person it was trained on, and ValueError when there are not that many people.
    """
    rows = holdout
    if people is not None:
        if not 1 <= people <= holdout.shape[0]:
            raise ValueError(f"people must be from 1 to {holdout.shape[0]}")
        rows = np.sort(generator.permutation(holdout)[:people])
    for row in rows.tolist():
        if seen(dataset.ids[row]):
            raise SeenInTraining(
                f"row {row + 1} of the data set was used to train this model; "
                "the demo runs only on people whom the model has not seen"
            )
    return Population(
        ids=tuple(f"person-{dataset.ids[row]}" for row in rows.tolist()),
        names=names,
        features=dataset.raw[rows],
        label=dataset.label[rows],
        consent=np.greater_equal(generator.random(rows.shape[0]), NO_CONSENT_SHARE),
    )


def assumptions() -> list[str]:
    """The source of the people, in sentences."""
    return [
        (
            "People, features and labels are real: the hold-out fifth of I-C. Yeh, Default of "
            "Credit Card Clients, UCI, 2009, doi 10.24432/C55S3H, CC BY 4.0. None of them was used "
            "in training. The label is default on a credit card in the next month, not on a "
            "rental."
        ),
        (
            f"{NO_CONSENT_SHARE:.0%} of people, drawn at random, do not agree to be scored; they "
            "are asked for the full deposit."
        ),
    ]
