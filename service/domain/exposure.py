"""The total exposure of a person with credit lines in several currencies.

The exposure of a line is the part of it that is held or drawn. No new hold takes a person's
exposures together, in the total's currency, above the limit of the person's line in that currency.
So a line in a second currency gives no more credit. A new rate, or a lower limit, ends no hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol


class Rate(NamedTuple):
    """The worth of a currency: `of_minor` minor units of it are worth `worth_minor` minor units of
    the total's currency. Both are more than 0."""

    worth_minor: int
    of_minor: int


class ExposedLine(Protocol):
    """A credit line; amounts are minor units of its currency."""

    @property
    def currency(self) -> str: ...
    @property
    def limit_minor(self) -> int: ...
    @property
    def available_minor(self) -> int: ...


class TotalExposure(NamedTuple):
    """The currency of the total, and the rates of the other currencies."""

    currency: str
    rates: Mapping[str, Rate]

    def free_minor(self, line: ExposedLine, others: Iterable[ExposedLine]) -> int:
        """The part of a line that a new hold may take, in minor units of the line's currency.

        `others` are the person's lines in other currencies. Exposures are rounded up, and the free
        part is rounded down. Without a line in the total's currency, and without a rate for the
        line's currency, nothing is free. An exposure in another currency without a rate leaves
        nothing free either.
        """
        left_minor, bound = 0, False
        for it in (line, *others):
            rate = self._rate(it.currency)
            exposed_minor = it.limit_minor - it.available_minor
            if it.currency == self.currency:
                left_minor, bound = left_minor + it.limit_minor, True
            if rate is None:
                if exposed_minor or it is line:
                    return 0
                continue
            left_minor -= -(-exposed_minor * rate.worth_minor // rate.of_minor)
        own = self._rate(line.currency)
        if own is None or not bound or left_minor <= 0:
            return 0
        return min(line.available_minor, left_minor * own.of_minor // own.worth_minor)

    def _rate(self, currency: str) -> Rate | None:
        return _SAME if currency == self.currency else self.rates.get(currency)


_SAME = Rate(1, 1)
