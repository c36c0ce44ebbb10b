"""The fee of a usage with a meter: pauses, waivers, quotas, the person's pass, and the fee of the
order."""

from __future__ import annotations

from service.domain.due_units import Use
from service.domain.fee_lines import FeeItem, line
from service.domain.least_fee import fewest_minutes
from service.domain.meter import RUNNING, Meter
from service.domain.order_fees import within_order
from service.domain.passes import discounted, with_pass_minutes
from service.domain.reservation_fee import reservation_lines
from service.domain.segment_fee import fee_of_lines
from service.domain.segment_tariff import SegmentTariff
from service.domain.tariff import MINUTE_US, AnyTariff, Fee, fee, stops_of


def fee_between(
    tariff: AnyTariff,
    start_us: int,
    end_us: int,
    meter: Meter,
    free_us: int | None = None,
    reserved_us: int = 0,
    order_fee_minor: int | None = None,
) -> Fee:
    """The fee of a usage with this meter; see `tariff.fee` for `free_us` and `reserved_us`, and
    `order_fees.py` for `order_fee_minor`.

    Of the meter's quota it takes the fewest full minutes with the least fee. Minutes that a rental
    has used count as they are, but not if they would raise the fee.
    """
    if meter is RUNNING and free_us is None:
        running = fee(tariff, start_us, end_us, reserved_us=reserved_us)
        return within_order(running, order_fee_minor, 0)
    paused_us, waived_minor = meter.paused_us(end_us), meter.pending_minor
    pauses, percent = meter.times if tariff.by_clock else (), meter.pass_percent
    # A share is taken off before the waived amount.
    undiscounted_minor = 0 if percent else waived_minor

    def charged(usage: Fee) -> Fee:
        if percent:
            usage = discounted(usage, percent, waived_minor, order_fee_minor)
        return within_order(usage, order_fee_minor, waived_minor)

    def after(minutes: int) -> Fee:
        usage = fee(
            tariff,
            start_us,
            end_us,
            paused_us=paused_us,
            waived_minor=undiscounted_minor,
            free_us=free_us,
            pauses=pauses,
            quota_us=minutes * MINUTE_US,
            reserved_us=reserved_us,
        )
        usage = charged(usage)
        return with_pass_minutes(usage, meter.pass_minutes) if meter.pass_minutes else usage

    used_us = end_us - start_us - paused_us
    high = min(meter.quota_minutes, max(1, -(-used_us // MINUTE_US)))
    in_time = free_us is not None and used_us <= free_us
    if high <= 0 or in_time or not isinstance(tariff, SegmentTariff):
        return after(0)
    if meter.quota_fixed:
        return min(after(high), after(0), key=_total_minor)
    use = Use(start_us, used_us, stops_of(start_us, end_us, pauses))
    reserved = reservation_lines(tariff, reserved_us) if reserved_us else ()

    def due_minor(sum_minor: int) -> int:
        lines = (line(FeeItem.STARTED_UNITS, 1, sum_minor),)
        usage = fee_of_lines(tariff, lines, 0, undiscounted_minor, reserved)
        return charged(usage).total_minor

    return after(fewest_minutes(tariff, use, high, due_minor))


def quota_minutes(it: Fee) -> int:
    """The free minutes of quotas and of a pass that a fee uses."""
    free = (FeeItem.QUOTA_MINUTES, FeeItem.PASS_MINUTES)
    return sum(one.quantity for one in it.lines if one.item in free)


def _total_minor(it: Fee) -> int:
    return it.total_minor
