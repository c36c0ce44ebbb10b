"""A tariff of arithmetic 1 as a tariff of arithmetic 2 with the same fees.

Arithmetic 1 counts units afresh each day, and a full day costs the day cap. So there is such a
tariff only if units of a day end with it, and if the units of a full day reach the cap.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.domain.document_fields import terms_wrong
from service.domain.errors import Violation
from service.domain.fee_lines import DAY_US, MINUTE_US
from service.domain.segment_tariff import Cap, FreeMinutes, Rounding, Segment, SegmentTariff
from service.domain.tariff import Tariff

DAY_MINUTES = DAY_US // MINUTE_US


def segments_of_days(it: Tariff) -> SegmentTariff:
    """The tariff of arithmetic 2 whose fee is the same after every microsecond.

    Raises InvalidInput (TERMS_WRONG) with the keys because of which there is none.
    """
    faults = tuple(_faults(it))
    if faults:
        raise terms_wrong(faults)
    unit = it.interval_minutes, it.interval_price_minor
    first_day = DAY_MINUTES - it.free_minutes
    return SegmentTariff(
        Rounding.STARTED,
        it.start_fee_minor,
        it.free_minutes,
        FreeMinutes.DEDUCTED,
        0,
        it.buy_out_minor,
        # Free minutes come before the segments, and are those of the first day.
        (Segment(0, first_day, *unit), Segment(first_day, None, *unit)),
        (Cap(DAY_MINUTES, it.day_cap_minor),),
    )


def _faults(it: Tariff) -> Iterator[Violation]:
    if it.free_minutes >= DAY_MINUTES:
        text = "must be less than a day: arithmetic 1 forgets the free minutes after the first day"
        yield Violation("free_minutes", "free_minutes.whole_day", text)
        return
    if DAY_MINUTES % it.interval_minutes:
        text = "must divide a day: arithmetic 1 counts units afresh each day"
        yield Violation("interval_minutes", "interval_minutes.of_day", text)
    first = -(-(DAY_MINUTES - it.free_minutes) // it.interval_minutes)
    later = -(-DAY_MINUTES // it.interval_minutes)
    least_minor = min(
        it.start_fee_minor + first * it.interval_price_minor, later * it.interval_price_minor
    )
    if least_minor < it.day_cap_minor:
        text = (
            f"must be at most {least_minor}, which a full day costs: arithmetic 1 charges the cap"
        )
        yield Violation("day_cap_minor", "day_cap_minor.not_reached", text)
