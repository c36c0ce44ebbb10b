"""Faults in the books, and their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from service.domain.verification import BookFault

Array = np.ndarray[Any, np.dtype[Any]]
Place = tuple[int, ...]
"""The place of a check in a verification; the smaller place comes first."""
Text = str | Callable[[int], str]
SENSELESS = (AttributeError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError)
"""The errors of a stored JSON text that has another form than the texts that Freehold writes."""


class Found(Exception):
    """A fault in the books."""

    def __init__(self, rule: str, row: str, detail: str) -> None:
        super().__init__(rule)
        self.fault = BookFault(rule, row, detail)


class Faults:
    """The first fault of a portion of the books, whatever the order of the checks.

    Each check reads all rows of a portion, so a later check may find an earlier row.
    """

    def __init__(self) -> None:
        self.place: Place = ()
        """The place of the first fault; empty if there is none."""
        self._found: Found | None = None

    def note(
        self,
        rule: str,
        wrong: Array,
        place: Callable[[int], Place],
        row: Callable[[int], str],
        detail: Text,
    ) -> None:
        """Keeps the first wrong row, unless an earlier fault is known.

        `wrong` has one truth value for each row; `place`, `row` and `detail` take the row's index.
        """
        if wrong.any():
            index = int(wrong.argmax())
            text = detail if isinstance(detail, str) else detail(index)
            self.add(place(index), Found(rule, row(index), text))

    def add(self, place: Place, found: Found) -> None:
        """Keeps one fault, unless an earlier one is known."""
        if self._found is None or place < self.place:
            self.place, self._found = place, found

    def raise_first(self) -> None:
        """Raises the first fault, if there is one."""
        if self._found is not None:
            raise self._found
