"""The closed list of derivations: the only ways in which a declared column follows from others.

A derivation computes each row by itself with operations that IEEE 754 defines exactly, so a row has
the same bits alone as in any batch. A value that is not known (NaN) makes the result unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DeriveError

Floats = NDArray[np.float64]

# Each operation with the fewest and the most columns that it takes.
OPERATIONS = {
    "clip": (1, 1),
    "indicator": (1, 1),
    "level": (1, 1),
    "min": (2, 20),
    "max": (2, 20),
    "sum": (2, 20),
    "difference": (2, 2),
    "ratio": (2, 2),
    "months_between": (2, 2),
}
# 30 million days are 82,000 years: NumPy's dates hold them.
_FARTHEST_DAY = 3e7


@dataclass(frozen=True)
class Derivation:
    """One declared column.

    `of` names raw columns or earlier derivations. `clip` bounds a value by `low` and `high`;
    `indicator` is 1 from `low` to `high`, else 0; `level` is 1 for each of the `values` of a code,
    or the positions of a text's levels. `ratio` is unknown where the second column is 0.
    `months_between` counts whole months from the first date to the second; its `low` and `high` are
    those of the training, or infinite in models of earlier builds. Months beyond them count as the
    nearer one up to the `reach`, and are infinite from there on.
    """

    name: str
    operation: str
    of: tuple[str, ...]
    low: float
    high: float
    values: tuple[float, ...]
    monotone: int
    reason_group: str | None


def reach(low: float, high: float) -> tuple[float, float]:
    """The bounds up to which a value counts as the nearest trained one, which are `low` and `high`:
    one trained range beyond either end, but not below 0 where no trained value was."""
    span = high - low
    return max(low - span, 0.0) if low >= 0.0 else low - span, high + span


def bounded(derivation: Derivation, columns: Sequence[Floats]) -> Derivation:
    """A derivation that counts months, with the bounds of these training rows."""
    months = _months(*columns)
    months = months[~np.isnan(months)]
    if not months.shape[0]:
        return derivation
    return replace(derivation, low=float(months.min()), high=float(months.max()))


def beyond(derivation: Derivation, columns: Sequence[Floats]) -> NDArray[np.bool_]:
    """(n,): the rows whose months lie outside the bounds of the training."""
    months = _months(*columns)
    outside: NDArray[np.bool_] = (months < derivation.low) | (months > derivation.high)
    return outside


def compute(derivation: Derivation, columns: Sequence[Floats]) -> Floats:
    """The derived column of (n,) float64 columns in the order of `derivation.of`."""
    first = columns[0]
    match derivation.operation:
        case "clip":
            return np.minimum(np.maximum(first, derivation.low), derivation.high) + 0.0
        case "indicator":
            inside = (first >= derivation.low) & (first <= derivation.high)
            return _known(first, inside)
        case "level":
            return _known(first, np.isin(first, derivation.values))
        case "months_between":
            return _within(derivation, _months(first, columns[1]))
        case "ratio":
            divisor = np.where(columns[1] == 0.0, math.nan, columns[1])
            ratio: Floats = first / divisor + 0.0
            return ratio
        case "difference":
            return np.asarray(first - columns[1] + 0.0, dtype=np.float64)
        case "min" | "max" | "sum":
            combine = {"min": np.minimum, "max": np.maximum, "sum": np.add}[derivation.operation]
            total = first
            for column in columns[1:]:
                total = combine(total, column)
            return np.asarray(total + 0.0, dtype=np.float64)
        case unknown:
            raise DeriveError(f"{derivation.name}: the operation {unknown!r} is unknown")


def to_json(derivation: Derivation) -> dict[str, Any]:
    """The derivation in a manifest; floats as hexadecimal text."""
    return {
        "name": derivation.name,
        "operation": derivation.operation,
        "of": list(derivation.of),
        "low": derivation.low.hex(),
        "high": derivation.high.hex(),
        "values": [v.hex() for v in derivation.values],
        "monotone": derivation.monotone,
        "reason_group": derivation.reason_group,
    }


def from_json(document: Mapping[str, Any]) -> Derivation:
    """The reverse of `to_json`; raises KeyError, TypeError or ValueError for anything else."""
    return Derivation(
        name=document["name"],
        operation=document["operation"],
        of=tuple(document["of"]),
        low=float.fromhex(document["low"]),
        high=float.fromhex(document["high"]),
        values=tuple(float.fromhex(v) for v in document["values"]),
        monotone=document["monotone"],
        reason_group=document["reason_group"],
    )


def _known(column: Floats, hit: NDArray[np.bool_]) -> Floats:
    """1 for a hit, 0 for none, NaN for an unknown value."""
    return np.where(np.isnan(column), math.nan, hit.astype(np.float64))


def _within(derivation: Derivation, months: Floats) -> Floats:
    """Months as the training knows them; infinite ones beyond the reach."""
    low, high = derivation.low, derivation.high
    if low == -math.inf:
        return months
    least, most = reach(low, high)
    far = (months < least) | (months > most)
    return np.where(far, math.inf, np.minimum(np.maximum(months, low), high))


def _months(start: Floats, end: Floats) -> Floats:
    known = ~(np.isnan(start) | np.isnan(end))
    days = [
        np.clip(np.where(known, d, 0.0), -_FARTHEST_DAY, _FARTHEST_DAY).astype("datetime64[D]")
        for d in (start, end)
    ]
    months = [d.astype("datetime64[M]") for d in days]
    of_month = [
        (d - m.astype("datetime64[D]")).astype(np.int64) for d, m in zip(days, months, strict=True)
    ]
    whole = (months[1] - months[0]).astype(np.float64)
    # A month counts once the later date has reached the earlier date's day of the month.
    whole -= (whole > 0) & (of_month[1] < of_month[0])
    whole += (whole < 0) & (of_month[1] > of_month[0])
    return np.where(known, whole + 0.0, math.nan)
