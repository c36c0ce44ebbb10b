"""A share of a count, with the interval that keeps small groups honest."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z95 = 1.959963984540054


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
        """Wilson's 95 % interval (E. B. Wilson, 1927); None for an empty group."""
        if self.n == 0:
            return None
        p, n, z2 = self.hits / self.n, self.n, _Z95 * _Z95
        middle = p + z2 / (2 * n)
        spread = _Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        scale = 1 + z2 / n
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)

    def as_json(self) -> dict[str, object]:
        """hits, n, value and interval for a report."""
        interval = self.interval
        return {
            "hits": self.hits,
            "n": self.n,
            "value": self.value,
            "interval": list(interval) if interval is not None else None,
        }
