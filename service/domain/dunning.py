"""The dunning ladder: the published schedule of debits, reminders and delinquency ranges.

It is the same for everybody. The times count from the settlement. The first debit comes an hour
later, so that the person can pay first. A debit asks the payment rail for the amount due at that
moment. While the rail has not answered the previous debit, no other debit is made. A reminder and a
change of the delinquency range are events. The next debit does not ask for amounts that were paid,
disputed, lowered or written off since.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

HOUR_US = 60 * 60 * 1_000_000
DAY_US = 24 * HOUR_US


class Rung(StrEnum):
    """The action of a rung."""

    DEBIT = "DEBIT"
    REMIND = "REMIND"
    RANGE = "RANGE"


class LadderStep(NamedTuple):
    """One rung of the ladder; `after_us` counts from the settlement, in microseconds."""

    after_us: int
    rung: Rung


class Delinquency(StrEnum):
    """A range of days past due."""

    CURRENT = "CURRENT"
    DAYS_1_TO_30 = "DAYS_1_TO_30"
    DAYS_31_TO_60 = "DAYS_31_TO_60"
    DAYS_61_TO_90 = "DAYS_61_TO_90"
    DAYS_91_AND_MORE = "DAYS_91_AND_MORE"


RANGES = (
    (91, Delinquency.DAYS_91_AND_MORE),
    (61, Delinquency.DAYS_61_TO_90),
    (31, Delinquency.DAYS_31_TO_60),
    (1, Delinquency.DAYS_1_TO_30),
    (0, Delinquency.CURRENT),
)
"""The first day past due of each range, the longest first."""

LADDER = (
    LadderStep(HOUR_US, Rung.DEBIT),
    LadderStep(1 * DAY_US, Rung.RANGE),
    LadderStep(1 * DAY_US, Rung.REMIND),
    LadderStep(3 * DAY_US, Rung.DEBIT),
    LadderStep(7 * DAY_US, Rung.REMIND),
    LadderStep(7 * DAY_US, Rung.DEBIT),
    LadderStep(14 * DAY_US, Rung.DEBIT),
    LadderStep(30 * DAY_US, Rung.REMIND),
    LadderStep(30 * DAY_US, Rung.DEBIT),
    LadderStep(31 * DAY_US, Rung.RANGE),
    LadderStep(61 * DAY_US, Rung.RANGE),
    LadderStep(91 * DAY_US, Rung.RANGE),
)


def delinquency(past_due_us: int) -> Delinquency:
    """The delinquency range of an amount that has been due for so many microseconds."""
    days = past_due_us // DAY_US
    return next((found for first, found in RANGES if days >= first), Delinquency.CURRENT)
