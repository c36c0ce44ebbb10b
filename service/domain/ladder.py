"""The ladder by which what is due is collected; the same for everybody, and published.

The days count from the settlement. A debit asks the payment rail for what is due at that moment;
a reminder and a change of the delinquency range are events. Whatever is paid, disputed, lowered
or written off in between is no longer asked for.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

DAY_US = 24 * 60 * 60 * 1_000_000


class Rung(StrEnum):
    """What happens at a rung."""

    DEBIT = "DEBIT"
    REMIND = "REMIND"
    RANGE = "RANGE"


class LadderStep(NamedTuple):
    """One rung: so long after the settlement, in microseconds."""

    after_us: int
    rung: Rung


class Delinquency(StrEnum):
    """How long something has been due, by days past due."""

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

_DAYS = (
    (0, Rung.DEBIT),
    (1, Rung.RANGE),
    (1, Rung.REMIND),
    (3, Rung.DEBIT),
    (7, Rung.REMIND),
    (7, Rung.DEBIT),
    (14, Rung.DEBIT),
    (30, Rung.REMIND),
    (30, Rung.DEBIT),
    (31, Rung.RANGE),
    (61, Rung.RANGE),
    (91, Rung.RANGE),
)
LADDER = tuple(LadderStep(days * DAY_US, rung) for days, rung in _DAYS)


def delinquency(past_due_us: int) -> Delinquency:
    """The range of what has been due for so many microseconds."""
    days = past_due_us // DAY_US
    return next((found for first, found in RANGES if days >= first), Delinquency.CURRENT)
