"""The fee of an order: a bound on the usage's fee, told as a line of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.domain.fee_lines import MINUTE_US, FeeItem, total
from service.domain.meter import RUNNING, Meter, Pause
from service.domain.metered import fee_between
from service.domain.order_fees import within_order
from service.domain.segment_tariff import SegmentTariff
from service.domain.tariff import Tariff
from tests.domain.segment_tariffs import SEGMENT_TARIFFS, SHENZHEN

PLAIN = Tariff(100, 0, 15, 100, 3_000, 9_900)
USES = st.integers(0, 3_000).map(lambda minutes: minutes * MINUTE_US)
FEES = st.integers(0, 12_000)
WAIVED = st.integers(0, 4_000)


def meter(waived_minor: int, paused_us: int = 0) -> Meter:
    """A meter that stood from the start on, with an amount waived before the capture."""
    pauses = (Pause(0, paused_us),) if paused_us else ()
    return RUNNING._replace(pauses=pauses, pending_minor=waived_minor)


def fee(tariff: SegmentTariff | Tariff, used_us: int, waived_minor: int, most: int | None) -> int:
    """The fee of a use from the epoch on."""
    return fee_between(tariff, 0, used_us, meter(waived_minor), order_fee_minor=most).total_minor


@given(st.one_of(SEGMENT_TARIFFS, st.just(PLAIN)), USES, FEES)
def test_the_fee_is_the_smaller_of_tariff_and_order(
    tariff: SegmentTariff | Tariff, used_us: int, most_minor: int
) -> None:
    """Without a waiver, the fee is that of the tariff or that of the order, whichever is less, and
    its lines add up to it."""
    by_tariff = fee(tariff, used_us, 0, None)
    found = fee_between(tariff, 0, used_us, RUNNING, order_fee_minor=most_minor)
    assert found.total_minor == total(found.lines) == min(by_tariff, most_minor)


@given(st.one_of(SEGMENT_TARIFFS, st.just(PLAIN)), USES, FEES, WAIVED)
def test_a_waiver_lowers_the_bounded_fee(
    tariff: SegmentTariff | Tariff, used_us: int, most_minor: int, waived_minor: int
) -> None:
    """A waived amount is taken off the fee after the bound of the order, down to nothing."""
    bounded = min(fee(tariff, used_us, 0, None), most_minor)
    assert fee(tariff, used_us, waived_minor, most_minor) == max(0, bounded - waived_minor)


@given(USES, FEES)
def test_a_longer_use_never_costs_less(used_us: int, most_minor: int) -> None:
    """The bounded fee is monotone in the use, as that of the tariff is."""
    longer = fee(SHENZHEN, used_us + 17 * MINUTE_US, 0, most_minor)
    assert fee(SHENZHEN, used_us, 0, most_minor) <= longer <= most_minor


def test_the_lines_of_a_known_fee() -> None:
    """An hour costs 5.00 by the tariff: the order's fee of 2.00 takes 3.00 off after the units, and
    the pause and the waiver of 1.50 come after that."""
    found = fee_between(PLAIN, 0, 61 * MINUTE_US, meter(150, MINUTE_US), order_fee_minor=200)
    assert [(it.item, it.amount_minor) for it in found.lines] == [
        (FeeItem.START_FEE, 100),
        (FeeItem.INTERVALS, 400),
        (FeeItem.ORDER_FEE_REDUCTION, -300),
        (FeeItem.PAUSED_MINUTES, 0),
        (FeeItem.WAIVED, -150),
    ]
    assert found.total_minor == 50


def test_the_lines_of_a_fee_that_is_paid_elsewhere() -> None:
    """A fee that is paid elsewhere is taken off as a whole, and nothing is left to waive."""
    found = fee_between(PLAIN, 0, 60 * MINUTE_US, meter(150), order_fee_minor=0)
    assert [(it.item, it.amount_minor) for it in found.lines] == [
        (FeeItem.START_FEE, 100), (FeeItem.INTERVALS, 400), (FeeItem.PAID_ELSEWHERE, -500),
    ]  # fmt: skip
    assert found.total_minor == 0


def test_a_fee_within_the_order_is_unchanged() -> None:
    """A fee of exactly the order's amount has no line of a reduction."""
    by_tariff = fee_between(PLAIN, 0, 60 * MINUTE_US, RUNNING)
    assert within_order(by_tariff, 500, 0) == by_tariff
    assert within_order(by_tariff, None, 0) is by_tariff
