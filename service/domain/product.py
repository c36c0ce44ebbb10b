"""Operators, and the products that they rent out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.policy import Policy
from service.domain.tariff import AnyTariff


@dataclass(frozen=True, slots=True)
class Product:
    """One kind of item that an operator rents out; amounts are in minor units of `currency`."""

    operator_id: str
    product_id: str
    revision: int
    category: str
    currency: str
    deposit_minor: int
    replacement_minor: int
    tariff: AnyTariff
    policy: Policy
    cancellation_fee_minor: int = 0
    """The price of a reservation that the user cancels after the policy's free time."""
    damage_without_consent_minor: int | None = None
    """A charge that brings all damage to one rental above this amount needs the user's consent;
    None means that no charge does."""
    most_hold_minor: int | None = None
    """The most that one authorization holds with all increments, captured parts included; None
    means no bound."""
    retire_us: int | None = None
    """The instant from which the product is not rented out any more; None means that it is."""
    line_items: tuple[str, ...] | None = None
    """The names that the lines of a bill may have; None means any."""
    pass_minutes: int = 0
    """The most free minutes that a pass gives which any revision of the product sold; it may count
    for a rental of each revision."""
    by_station: Mapping[str, Product] = field(default_factory=dict, compare=False)
    """The product at the prices of the place of each station; other stations have none. The
    revisions of these products are earlier ones, next to this one."""

    def at(self, station: str) -> Product:
        """The product at the prices of a station."""
        return self.by_station.get(station, self)


@dataclass(frozen=True, slots=True)
class Operator:
    """A rental operator; `fee_bp` is Freehold's commission on every capture, in basis points.

    An operator that owes more than `debt_limit_minor` in a currency gets no new authorizations;
    None means no bound.
    """

    operator_id: str
    name: str
    fee_bp: int
    debt_limit_minor: int | None = None
