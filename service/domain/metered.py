"""The fee of a usage with a meter: pauses, waivers, and the fee of the order."""

from __future__ import annotations

from service.domain.meter import RUNNING, Meter
from service.domain.order_fees import within_order
from service.domain.tariff import MINUTE_US, AnyTariff, Fee, fee


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

    Of the meter's quota it takes the fewest full minutes with the same fee as with all of them; if
    the quota does not lower the fee, it takes none. A quota moves units to other windows and hours,
    so it could raise a fee: it never does, not even with minutes that the rental has used.
    """
    if meter is RUNNING and free_us is None:
        running = fee(tariff, start_us, end_us, reserved_us=reserved_us)
        return within_order(running, order_fee_minor, 0)
    paused_us, waived_minor = meter.paused_us(end_us), meter.pending_minor
    pauses = meter.times if tariff.by_clock else ()

    def after(minutes: int) -> Fee:
        metered = fee(
            tariff,
            start_us,
            end_us,
            paused_us=paused_us,
            waived_minor=waived_minor,
            free_us=free_us,
            pauses=pauses,
            quota_us=minutes * MINUTE_US,
            reserved_us=reserved_us,
        )
        return within_order(metered, order_fee_minor, waived_minor)

    used_minutes = max(1, -((start_us + paused_us - end_us) // MINUTE_US))
    high = min(meter.quota_minutes, used_minutes)
    low, without = 0, after(0)
    if meter.quota_fixed:
        return min(after(max(0, high)), without, key=_total_minor)
    if high <= 0 or (best_minor := after(high).total_minor) >= without.total_minor:
        return without
    # The fee with `high` minutes is never above that with all of them.
    while high - low > 1:
        middle = (low + high) // 2
        if after(middle).total_minor <= best_minor:
            high = middle
        else:
            low = middle
    return after(high)


def _total_minor(it: Fee) -> int:
    return it.total_minor
