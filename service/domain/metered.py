"""The fee of a usage with a meter: pauses and waivers."""

from __future__ import annotations

from service.domain.meter import RUNNING, Meter
from service.domain.tariff import AnyTariff, Fee, fee


def fee_between(
    tariff: AnyTariff, start_us: int, end_us: int, meter: Meter, free_us: int | None = None
) -> Fee:
    """The fee of a usage with this meter; see `tariff.fee` for the rest."""
    if meter is RUNNING and free_us is None:
        return fee(tariff, start_us, end_us)
    paused_us, waived_minor = meter.paused_us(end_us), meter.pending_minor
    pauses = meter.times if tariff.by_clock else ()
    return fee(
        tariff,
        start_us,
        end_us,
        paused_us=paused_us,
        waived_minor=waived_minor,
        free_us=free_us,
        pauses=pauses,
    )
