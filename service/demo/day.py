"""The plan of the day: every rental with its person, product, time, duration and outcome.

Durations and hours are those of real bike trips: Bay Area Bike Share open data, year 1, 326,339
trips, as packaged in the R package bikeshare14 (CC0). Everything else is an assumption: a constant
of this file, which `assumptions` repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from service.demo import outcomes
from service.demo.tariff import PRODUCTS

DAY_S = 24 * 3600

WEEKDAY_STARTS_PERCENT = (
    0.19, 0.10, 0.06, 0.03, 0.09, 0.57, 2.33, 7.37, 14.20, 9.87, 4.16, 3.76,
    4.51, 4.02, 3.26, 4.33, 8.78, 13.00, 9.15, 4.41, 2.51, 1.64, 1.04, 0.60,
)  # fmt: skip
"""Starts on weekdays by local hour 0..23, of all 326,339 trips."""

LEVELS = (0.0, 0.05, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1.0)
SHORTEST_S, LONGEST_S = 60, DAY_S
SUBSCRIBER_S = (SHORTEST_S, 192, 320, 471, 659, 866, 1015, 1570, LONGEST_S)
CUSTOMER_S = (SHORTEST_S, 327, 661, 1127, 2425, 8528, 14827, 45984, LONGEST_S)
"""Quantiles of trip duration in seconds at LEVELS; both ends are assumed, the rest is measured."""

SUBSCRIBER_SHARE = 0.851
RESERVED_SHARE = 0.12
NO_SHOW_SHARE = 0.10
CANCELLED_RESERVATION_SHARE = 0.10
CANCELLED_SHARE = 0.03
UNDONE_SHARE = 0.004
CANCEL_WITHIN_S = 180
PICKUP_WINDOW_S = 15 * 60
PICKUP_FROM_S, PICKUP_TO_S = 60, 480
CONFIRM_AFTER_S = 120
PAY_AFTER_MEAN_S = 3600
LOST_AFTER_S = 3 * DAY_S
WALK_AWAY = {"REDUCED": 0.15, "FULL": 0.30}
"""Share of people who do not confirm an offer that asks for cash, by offer."""


class Fate(Enum):
    """The person's intention."""

    RIDE = "ride"
    CANCEL = "cancel"
    NO_SHOW = "no show"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Rental:
    """One intended rental. Times in seconds, `start_s` from midnight.

    person       row in the population
    product      row in PRODUCTS
    reserved     authorized now, picked up later
    patience     uniform in [0, 1): below the share of WALK_AWAY the offer is not confirmed
    unpaid, lost, lost_paid  the simulated conduct, see `outcomes.Conduct`
    """

    index: int
    person: int
    product: int
    start_s: int
    duration_s: int
    reserved: bool
    fate: Fate
    cancel_after_s: int
    pickup_after_s: int
    pay_after_s: int
    patience: float
    unpaid: bool
    lost: bool
    lost_paid: bool

    @property
    def rides(self) -> bool:
        """Whether the item goes out if no deposit prevents it."""
        return self.fate is Fate.RIDE


def interpolate(uniform: NDArray[np.float64], quantiles_s: tuple[int, ...]) -> NDArray[np.int64]:
    """Durations in whole seconds, log-linear between the quantiles at LEVELS."""
    return np.rint(np.exp(np.interp(uniform, LEVELS, np.log(quantiles_s)))).astype(np.int64)


def plan(label: NDArray[np.int8], rentals: int, seed: int) -> list[Rental]:
    """The day's rentals in the order of their start; the same seed gives the same plan.

    `label` is (n,) int8, 1 = bad, one for each person. Starts, durations, intentions and conduct
    each have a random generator of their own, so a change of one does not change the others.
    """
    people_seed, start_seed, duration_seed, fate_seed, conduct_seed = np.random.SeedSequence(
        seed
    ).spawn(5)
    generator = np.random.default_rng(people_seed)
    person = generator.integers(label.shape[0], size=rentals)
    weights = np.array([p.share_percent for p in PRODUCTS]) / 100
    product = generator.choice(len(PRODUCTS), size=rentals, p=weights)
    subscriber = (product == _bike()) & (generator.random(rentals) < SUBSCRIBER_SHARE)

    start_s = _starts(rentals, np.random.default_rng(start_seed))
    uniform = np.random.default_rng(duration_seed).random(rentals)
    duration_s = np.where(
        subscriber, interpolate(uniform, SUBSCRIBER_S), interpolate(uniform, CUSTOMER_S)
    )
    generator = np.random.default_rng(fate_seed)
    reserved = generator.random(rentals) < RESERVED_SHARE
    whim = generator.random(rentals)
    cancel_s = generator.integers(30, CANCEL_WITHIN_S, size=rentals)
    pickup_s = generator.integers(PICKUP_FROM_S, PICKUP_TO_S, size=rentals)
    pay_s = np.ceil(generator.exponential(PAY_AFTER_MEAN_S, size=rentals)).astype(np.int64)
    patience = generator.random(rentals)
    conduct = outcomes.draw(label[person], np.random.default_rng(conduct_seed))
    return [
        Rental(
            index=i,
            person=int(person[i]),
            product=int(product[i]),
            start_s=int(start_s[i]),
            duration_s=int(duration_s[i]),
            reserved=bool(reserved[i]),
            fate=_fate(float(whim[i]), bool(reserved[i])),
            cancel_after_s=int(cancel_s[i]),
            pickup_after_s=int(pickup_s[i]),
            pay_after_s=int(pay_s[i]),
            patience=float(patience[i]),
            unpaid=bool(conduct.unpaid[i]),
            lost=bool(conduct.lost[i]),
            lost_paid=bool(conduct.lost_paid[i]),
        )
        for i in range(rentals)
    ]


def _bike() -> int:
    return next(i for i, p in enumerate(PRODUCTS) if p.product_id == "bike")


def _starts(rentals: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """(n,) seconds from midnight, ascending; uniform within the hour."""
    weights = np.array(WEEKDAY_STARTS_PERCENT)
    hour = generator.choice(24, size=rentals, p=weights / weights.sum())
    return np.sort(hour * 3600 + generator.integers(3600, size=rentals))


def _fate(whim: float, reserved: bool) -> Fate:
    """Split one uniform draw into the shares above."""
    if whim < UNDONE_SHARE:
        return Fate.UNDO
    whim -= UNDONE_SHARE
    if not reserved:
        return Fate.CANCEL if whim < CANCELLED_SHARE else Fate.RIDE
    if whim < NO_SHOW_SHARE:
        return Fate.NO_SHOW
    return Fate.CANCEL if whim < NO_SHOW_SHARE + CANCELLED_RESERVATION_SHARE else Fate.RIDE


def assumptions() -> list[str]:
    """The plan's assumptions, in sentences."""
    return [
        (
            "Starting hours (weekdays) and durations are quantiles of real bike trips: Bay Area "
            "Bike Share open data, year 1, as packaged in bikeshare14, CC0; log-linear between p5, "
            f"p25, p50, p75, p90, p95 and p99, down to {SHORTEST_S} s and up to "
            f"{LONGEST_S // 3600} h at the ends. The durations of umbrellas and power banks are "
            "unknown: they are taken as those of casual riders, and so are those of "
            f"{1 - SUBSCRIBER_SHARE:.1%} of bike rentals. The other bike rentals have those of "
            "subscribers."
        ),
        (
            "The person of every rental is drawn evenly: neither label nor score changes how often "
            "or what somebody rents."
        ),
        (
            f"{RESERVED_SHARE:.0%} of rentals are reserved first (pick-up within "
            f"{PICKUP_WINDOW_S // 60} minutes); of these {NO_SHOW_SHARE:.0%} are never picked up "
            f"and {CANCELLED_RESERVATION_SHARE:.0%} are cancelled. {CANCELLED_SHARE:.0%} of the "
            f"others are cancelled within {CANCEL_WITHIN_S // 60} minutes, free of charge. "
            f"{UNDONE_SHARE:.1%} of all are reversed before the Authorize arrives, as after a lost "
            "connection."
        ),
        (
            f"{WALK_AWAY['REDUCED']:.0%} of the people who are asked for a reduced deposit in cash "
            f"walk away, and {WALK_AWAY['FULL']:.0%} of those asked for the full one; the others "
            f"pay within {CONFIRM_AFTER_S // 60} minutes."
        ),
        (
            "A fee charged on credit that is paid at all is paid after an exponential delay of "
            f"{PAY_AFTER_MEAN_S // 60} minutes on average. Only then is that part of the credit "
            "line available again."
        ),
        (
            f"An item that is not returned is settled as lost after {LOST_AFTER_S // DAY_S} days, "
            "for the whole hold."
        ),
    ]
