"""Tariffs of arithmetic 2: segments of units, caps over windows, prices by the time of day.

A tariff of arithmetic 2 is the `tariff` of a product that was activated from a document
(`tariff_document.py`). `segment_fee.py` computes its fees.

**Meter.** All minutes are minutes of use: a pause stops the meter, and moves everything after it.

**Units.** A segment begins at `from_minute` and ends before `to_minute`. Within it a unit of
`interval_minutes` begins at the segment's beginning and after each unit; an interval of 0 makes one
unit in all. Segments may follow each other or overlap; overlapping segments add up (GBFS 3.0,
`per_min_pricing`). STARTED charges a unit from its first microsecond on, COMPLETED at its end. A
unit that does not end before its segment does is never completed.

**First use.** Nothing is charged before `first_use_minutes` full minutes. From then on the first
unit is charged, even if COMPLETED units are charged at their ends. (Beijing consumer association,
convention on power banks, 20 August 2025.)

**Free minutes.** DEDUCTED ones, and those of a quota, come before the segments, which begin that
much later. GRACE: a rental that is not longer is free; a longer one is charged from the start.
Neither delays a window.

**Caps.** Windows of a cap follow each other from the start of the rental. A STARTED unit belongs
to the window in which it begins, a COMPLETED one to the window in which it ends; the end of a
window belongs to the window. The start fee belongs to the first window. A longer window is a
multiple of a shorter one, and its cap counts what the shorter one left. The whole rental costs at
most the buy-out cap.

**Prices by the time of day.** A unit has the price of the moment in which it begins, in the
tariff's time zone. After a pause that is the moment by the clock, or the moment if there had been
no pause: the price that is lower.

**Reservation.** The time before the pick-up has a price of its own: units of `interval_minutes`, by
the tariff's rounding, after its free minutes, up to its cap. An interval of 0 makes one unit in
all. The buy-out cap bounds the reservation and the rental together, but a reservation does not
bring a loss nearer.

**Places.** A place is a list of stations with prices of its own. `place` names it in the tariff of
its prices, and is empty in the tariff of all other stations. The station at which a rental is
authorized decides. The place of the pick-up or of the return changes no price, because the user was
shown the price before.

**Passes.** A pass is sold for a price and counts for some days from its beginning until the same
time of day, in the tariff's time zone. To each rental that begins in that time it gives free
minutes, or to all rentals of a day together, or it takes a share off each fee. Its minutes are
those of a quota, and are used before them. A share is taken off the whole fee after its caps,
rounded up. The price of a lost item is no fee: it is not reduced, and a share puts no loss off. The
minutes of a pass do, also if another revision of the product sold it.

**Loss.** An item counts as lost when the fee reaches the buy-out cap, but not after more than a
year of use, or 92 days with prices of hours. From then on only a report makes it lost.

No instant charges more than one unit of each segment and the start fee.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Rounding(StrEnum):
    """The units that are charged: those that were started, or those that were completed."""

    STARTED = "STARTED"
    COMPLETED = "COMPLETED"


class FreeMinutes(StrEnum):
    """The use of free minutes: subtracted from every rental, or only as a bound of free rentals."""

    DEDUCTED = "DEDUCTED"
    GRACE = "GRACE"


class QuotaPeriod(StrEnum):
    """The period of a quota, a calendar day or a week from Monday, in the tariff's time zone."""

    DAY = "DAY"
    WEEK = "WEEK"


class PassGift(StrEnum):
    """The gift of a pass: free minutes of each rental, or of all rentals of a day, or a share of
    each fee."""

    MINUTES_A_RENTAL = "MINUTES_A_RENTAL"
    MINUTES_A_DAY = "MINUTES_A_DAY"
    PERCENT = "PERCENT"


class HourPrice(NamedTuple):
    """The price of units that begin at some times of a week.

    `days` are ISO weekdays, 1 for Monday. On each of them the price counts from minute
    `from_minute` of the day until before `to_minute`, which may be up to 1,440 minutes later, on
    the next day.
    """

    days: tuple[int, ...]
    from_minute: int
    to_minute: int
    price_minor: int


class Segment(NamedTuple):
    """Units of one length and price, in minutes of use and minor units.

    `to_minute` is exclusive; None means that the segment does not end. `prices` are the prices that
    differ from `price_minor`; no two count at the same time.
    """

    from_minute: int
    to_minute: int | None
    interval_minutes: int
    price_minor: int
    prices: tuple[HourPrice, ...] = ()


class Cap(NamedTuple):
    """The most that a window of the rental costs, in minutes of use and minor units."""

    window_minutes: int
    most_minor: int


class Quota(NamedTuple):
    """Minutes that a person has free in each period, over all rentals with this quota's name."""

    name: str
    minutes: int
    per: QuotaPeriod


class Pass(NamedTuple):
    """A pass that the tariff sells: its price in minor units, the days for which it counts, its
    gift, and the minutes or the percent that it gives."""

    name: str
    price_minor: int
    days: int
    gives: PassGift
    size: int

    @property
    def minutes(self) -> int:
        """The free minutes that it gives to a rental or a day; 0 if it gives a share of the fee."""
        return 0 if self.gives is PassGift.PERCENT else self.size


class Reservation(NamedTuple):
    """The price of the time from the hold until the pick-up, in minutes and minor units.

    `most_minor` is the most that a reservation costs; None means the tariff's buy-out cap.
    """

    free_minutes: int
    interval_minutes: int
    price_minor: int
    most_minor: int | None = None


class SegmentTariff(NamedTuple):
    """A tariff of arithmetic 2; see the module for the meaning of each field.

    Segments are in the order of their beginnings, caps in the order of their windows. `time_zone`
    is a name of the IANA data base; it is empty if neither prices, quotas nor passes need it.
    `place` names the place whose prices these are; it is empty for all other stations. `passes` are
    in the order of their names.
    """

    rounding: Rounding
    start_fee_minor: int
    free_minutes: int
    free: FreeMinutes
    first_use_minutes: int
    buy_out_minor: int
    segments: tuple[Segment, ...]
    caps: tuple[Cap, ...] = ()
    time_zone: str = ""
    quotas: tuple[Quota, ...] = ()
    reservation: Reservation | None = None
    place: str = ""
    passes: tuple[Pass, ...] = ()

    @property
    def by_clock(self) -> bool:
        """True if the fee depends on the time of day at which the rental begins."""
        return any(it.prices for it in self.segments)
