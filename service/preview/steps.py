"""Sums of amounts between places on a line of numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from service.preview.history import Numbers


class Steps:
    """Amounts at places on a line of numbers."""

    def __init__(self, places: Numbers, amounts: Numbers) -> None:
        order = np.argsort(places, kind="stable")
        self._places = places[order]
        self._sums = np.r_[0, np.cumsum(amounts[order])]

    def between(self, begin: Numbers, end: Numbers, side: Literal["left", "right"]) -> Numbers:
        """The sums of the amounts from each `begin` on, until before `end` or with it."""
        first = np.searchsorted(self._places, begin, side="left")
        last = np.searchsorted(self._places, end, side=side)
        sums: Numbers = self._sums[last] - self._sums[first]
        return sums
