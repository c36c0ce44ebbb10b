"""A share of a count, with the interval that keeps small groups honest."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z95 = 1.959963984540054


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval (E. B. Wilson, 1927) of `hits` of `n`; `n` is not 0."""
    z2 = Z95 * Z95
    p = hits / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `n`."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        """hits / n; None for an empty group."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval; None for an empty group."""
        return wilson(self.hits, self.n) if self.n else None

    def as_json(self) -> dict[str, object]:
        """hits, n, value and interval for a report."""
        interval = self.interval
        return {
            "hits": self.hits,
            "n": self.n,
            "value": self.value,
            "interval": list(interval) if interval is not None else None,
        }
