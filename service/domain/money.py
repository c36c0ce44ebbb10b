"""Money: integer minor units with a currency."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of an ISO 4217 currency; a difference may be negative."""

    currency: str
    amount_minor: int

    def __add__(self, other: Money) -> Money:
        return Money(self.currency, self.amount_minor + other.require(self.currency))

    def __sub__(self, other: Money) -> Money:
        return Money(self.currency, self.amount_minor - other.require(self.currency))

    def require(self, currency: str, field: str = "currency_code") -> int:
        """The amount in minor units. Raises InvalidInput if its currency is not `currency`."""
        if self.currency != currency:
            raise InvalidInput.of(field, "currency.mismatch", f"must be {currency}")
        return self.amount_minor


def share_minor(amount_minor: int, basis_points: int) -> int:
    """The share of an amount in minor units, floored; 10,000 basis points are the whole."""
    return amount_minor * basis_points // 10_000
