"""An operator's stored decisions and the rentals that followed, in columns.

All columns have one value for each requested item, in the order of the decisions. Amounts are minor
units of the product's currency; instants are microseconds since the epoch, UTC, and `NEVER` if
there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.domain.admission import NOTHING_SKIPPED, Past
from service.domain.breakers import OpenedBreaker
from service.domain.policy import Offer
from service.domain.product import Product

Numbers = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]

DAY_US = 86_400_000_000
NEVER = -1
FOREVER_US = 2**62
"""A time or an instant that is never over."""
UNSCORED = -(2**62)
"""The score of a person who was not scored."""


class Fact:
    """Facts of a decision that no draft changes; each is one bit."""

    # Not an enumeration, whose operators take a microsecond.
    CANCELLED = 1
    """The request was cancelled before it arrived."""
    SUSPENDED = 2
    """The person was suspended."""
    ANOTHER = 4
    """The order was of another identity than the person's."""
    WATCHED = 8
    """The person was watched, so that an offer needed a review."""
    STALE = 16
    """The features were too old to be scored under the policy in force."""
    LISTED = 32
    """The person, the device or the payment account was on a list of those to decline."""


class Happened:
    """The course of an authorization; each part is one bit."""

    HELD = 1
    """Its credit part was held, at least for a moment."""
    STARTED = 2
    """The item went out."""
    LOST = 4
    """The item counts as lost or sold."""
    LATE = 8
    """The item was out for longer than agreed."""
    MAYBE_HELD = 16
    """It was reviewed or paid, and its credit part may have been held."""
    AT_ONCE = 32
    """Its credit part was held at once, without a payment and without a review."""
    EXACT = 64
    """Its credit part was held exactly from `held_us` on."""
    SETTLED = 128
    """It is settled, so that it counts for rules even after its end."""


class Told(NamedTuple):
    """The part of an order that conditions read; a text that nobody sent is empty.

    `station` is None if a later call replaced it and no decision kept it.
    """

    station: str | None = ""
    labels: str = ""
    time_zone: str = ""
    band: str = ""
    reserves: bool = False
    device: bool = False
    account: bool = False


class Loss(NamedTuple):
    """An amount that counts for a breaker from `at_us` on, in minor units.

    It was `most_minor` at first, and later payments have left `least_minor`. `row` is the rental's
    row; NEVER if the rental is not in the history.
    """

    at_us: int
    rental: str
    row: int
    policy_id: str
    currency: str
    least_minor: int
    most_minor: int


NO_NUMBERS: Numbers = np.zeros(0, np.int64)


class Beside(NamedTuple):
    """Facts that only some rules read; a column or a list is empty if no rule reads it.

    `told` and `skips` are the lists that the columns of these names refer to: the details of the
    order, and the rules that a listing skipped, as `admission.judge` takes them. Assets and
    stations are numbers, NEVER for none. `registered` has the instant at which each person was
    first seen. `openings` are the times in which breakers were really open.
    """

    told: tuple[Told, ...] = (Told(),)
    skips: tuple[Mapping[str, str], ...] = (NOTHING_SKIPPED,)
    told_of: Numbers = NO_NUMBERS
    skips_of: Numbers = NO_NUMBERS
    assets: Numbers = NO_NUMBERS
    start_us: Numbers = NO_NUMBERS
    start_stations: Numbers = NO_NUMBERS
    end_stations: Numbers = NO_NUMBERS
    registered: Mapping[int, int] = MappingProxyType({})
    losses: tuple[Loss, ...] = ()
    openings: tuple[OpenedBreaker, ...] = ()

    def told_on(self, row: int) -> Told:
        """The details of the order of a row."""
        return self.told[self.told_of[row]] if len(self.told_of) else self.told[0]

    def skipped_on(self, row: int) -> Mapping[str, str]:
        """The rules that a listing skipped for a row."""
        return self.skips[self.skips_of[row]] if len(self.skips_of) else NOTHING_SKIPPED


NOTHING_BESIDE = Beside()


@dataclass(frozen=True, slots=True)
class OrderedProduct(Product):
    """A product of orders that knew a fee, in minor units: it is held with the deposit."""

    order_fee_minor: int = 0


def asked_minor(product: Product) -> int:
    """The amount that an order of a product asks to hold, in minor units."""
    if isinstance(product, OrderedProduct):
        return product.deposit_minor + product.order_fee_minor
    return product.deposit_minor


@dataclass(frozen=True, slots=True)
class History:
    """The decisions of one operator in a window of time.

    Rows before `from_us` are not judged: their holds began earlier, and last into the window.
    `products` and `accepted` are the lists that the columns of these names refer to: the product in
    the revision that was in force (once more for each known fee of an order, before increments),
    and the offers that the caller accepted. `calls` has the same number for all items of one
    Authorize. `offers` are ranks of strictness, `DECLINED` for a decline. `reasons` refers to
    `reason_lists`. `users` are numbers that mean nothing outside this history. `available` is the
    free part of the line before the decision.
    """

    operator_id: str
    from_us: int
    until_us: int
    products: tuple[Product, ...]
    accepted: tuple[tuple[Offer, ...], ...]
    reason_lists: tuple[tuple[str, ...], ...]
    at_us: Numbers
    calls: Numbers
    users: Numbers
    product: Numbers
    accept: Numbers
    score: Numbers
    facts: Numbers
    available: Numbers
    most_available: Numbers
    """The most that may have been free; more than `available` where only the operator's own
    knowledge counts (`own_view.py`)."""
    offers: Numbers
    reasons: Numbers
    as_of_us: Numbers
    happened: Numbers
    held_us: Numbers
    """The latest instant at which the hold may have begun."""
    close_us: Numbers
    captured: Numbers
    """Everything that was captured, for the fee or for damage."""
    captured_fee: Numbers
    captured_credit: Numbers
    unpaid: Numbers
    """The amount that is due, disputed or written off, and was not recovered."""
    written_off: Numbers
    devices: Numbers
    """The device of the order, by number; NEVER if it named none, or if no rule counts."""
    accounts: Numbers
    """The payment account of the order, in the same way."""
    pasts: Mapping[int, Past]
    """The rentals of persons from before the history; empty if no rule needs them."""
    beside: Beside = NOTHING_BESIDE
    left_out: int = 0
    """The decisions under revisions of products that make no sense; they have no row."""
    without_total: int = 0
    """The judged decisions that kept no free part under a total exposure, though one is in force or
    others kept theirs; `available` is the free part of the line itself."""

    def __len__(self) -> int:
        return len(self.at_us)

    @property
    def judged(self) -> Bits:
        """The rows that a preview judges."""
        return self.at_us >= self.from_us


DECLINED = 3
"""The rank of a decline among the offers."""
OFFERS: tuple[Offer | None, ...] = (Offer.ZERO, Offer.REDUCED, Offer.FULL, None)
"""The offers by their ranks."""
RANKS = {offer: rank for rank, offer in enumerate(OFFERS)}


def currencies_of(history: History) -> tuple[str, ...]:
    """The currencies of the operator's products in this history, in the order of their names."""
    return tuple(sorted({it.currency for it in history.products}))
