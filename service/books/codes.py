"""The ways to read columns. Names of enumerations become numbers, their codes."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from service.books.columns import Codes, Kind, Row

ABSENT: Final = -1
"""The code of an absent value."""
TEXT, BYTES, NUMBER, AMOUNT, MAYBE = Kind.TEXT, Kind.BYTES, Kind.NUMBER, Kind.AMOUNT, Kind.MAYBE


def codes_of(kind: type[StrEnum]) -> dict[str, int]:
    """The code of each name of an enumeration, in its order."""
    return {str(member): code for code, member in enumerate(kind)}


def or_absent(codes: Codes) -> Codes:
    """The same codes with an absent value."""
    return {**codes, None: ABSENT}


class AcceptedOffers(dict[Any, int]):
    """The bits of offers in a comma-separated list; every list is cached."""

    def __init__(self, offers: Codes) -> None:
        super().__init__()
        self._offers = offers

    def get(self, key: Any, default: Any = None) -> Any:
        """The bits of a list; None if it has an unknown name."""
        found = super().get(key)
        if found is None and isinstance(key, str):
            places = {self._offers.get(name) for name in key.split(",")} if key else set()
            if None not in places:
                found = self[key] = sum(1 << place for place in places if place is not None)
        return found


def named(pattern: str, *places: int) -> Callable[[Row], str]:
    """A function that makes the name of a row from the values at these places."""
    return lambda row: pattern.format(*(row[place] for place in places))


def among(*names: str, kind: Kind) -> dict[str, Kind | Codes]:
    """Columns that are all read in the same way."""
    return dict.fromkeys(names, kind)
