"""What operators rent out, and under which terms: operators, products, tariffs, policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Tariff(NamedTuple):
    """Prices of one product, in minor units and minutes."""

    start_fee_minor: int
    free_minutes: int
    interval_minutes: int
    interval_price_minor: int
    day_cap_minor: int
    buy_out_minor: int


@dataclass(frozen=True, slots=True)
class Policy:
    """Which deposit to ask for at which score, and how long things may wait.

    Times are in microseconds, shares in basis points; cut-offs are inclusive lower bounds of
    the score.
    """

    policy_id: str
    revision: int
    zero_from_score: int
    reduced_from_score: int
    reduced_credit_share_bp: int
    offer_window_us: int
    pickup_window_us: int
    max_feature_age_us: int
    review_window_us: int
    """How long a review may take before the authorization expires."""
    rental_period_us: int
    """When a rental is overdue, unless a shorter time was asked for; the most of one extension."""
    claim_window_us: int
    """How long an operator may contest a claimed return; after it the claim stands."""
    missing_window_us: int
    """How long an item settled as lost may still be found."""


@dataclass(frozen=True, slots=True)
class Product:
    """One thing an operator rents out; amounts in minor units of `currency`."""

    operator_id: str
    product_id: str
    revision: int
    category: str
    currency: str
    deposit_minor: int
    replacement_minor: int
    tariff: Tariff
    policy: Policy


@dataclass(frozen=True, slots=True)
class Operator:
    """A tenant; `fee_bp` is Freehold's fee on every capture, in basis points."""

    operator_id: str
    name: str
    fee_bp: int
