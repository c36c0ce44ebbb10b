"""The fee of a reservation: of the time from the hold until the pick-up (`segment_tariff.py`).

A rental bills its reservation with its own fee. A reservation that ends before the pick-up, by time
or because the user cancels, is billed at its end. If the operator releases the hold, or the item
was given to somebody else, nothing is billed.
"""

from __future__ import annotations

from service.domain.fee_lines import MINUTE_US, Fee, FeeItem, FeeLine, line, shown, total
from service.domain.segment_tariff import Reservation, Rounding, SegmentTariff


def reservation_lines(tariff: object, reserved_us: int) -> tuple[FeeLine, ...]:
    """The lines of a reservation of `reserved_us` microseconds; none if the tariff has no price."""
    if not isinstance(tariff, SegmentTariff) or tariff.reservation is None:
        return ()
    it = tariff.reservation
    units = _units(it, tariff.rounding, reserved_us)
    amount_minor = units * it.price_minor
    units_line = FeeLine(
        *(FeeItem.RESERVATION, units, it.price_minor, amount_minor),
        *(it.interval_minutes, it.free_minutes),
    )
    over_minor = min(0, _most_minor(tariff, it) - amount_minor)
    return shown((units_line, line(FeeItem.RESERVATION_CAP_REDUCTION, 1, over_minor)))


def _units(it: Reservation, rounding: Rounding, reserved_us: int) -> int:
    billed_us = max(0, reserved_us - it.free_minutes * MINUTE_US)
    if not it.interval_minutes:
        return 1 if billed_us else 0
    length_us = it.interval_minutes * MINUTE_US
    return billed_us // length_us if rounding is Rounding.COMPLETED else -(-billed_us // length_us)


def _most_minor(tariff: SegmentTariff, it: Reservation) -> int:
    buy_out_minor = tariff.buy_out_minor
    return buy_out_minor if it.most_minor is None else min(it.most_minor, buy_out_minor)


def reservation_minor(tariff: object, reserved_us: int | None) -> int:
    """The fee of a reservation in minor units; None means one of any length."""
    if not isinstance(tariff, SegmentTariff) or tariff.reservation is None:
        return 0
    if reserved_us is None:
        return _most_minor(tariff, tariff.reservation)
    return total(reservation_lines(tariff, reserved_us))


def after_reservation(reserved: tuple[FeeLine, ...], fee: Fee, waived_minor: int) -> Fee:
    """A fee of 0 together with the lines of the reservation before it."""
    sum_minor = total(reserved)
    if not sum_minor:
        return fee
    waived_minor = min(waived_minor, sum_minor)
    waived = shown([line(FeeItem.WAIVED, 1, -waived_minor)])
    return Fee((*reserved, *fee.lines, *waived), sum_minor - waived_minor)
