"""A pass lowers a fee or leaves it as it is, never brings a loss nearer, and has its days."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.domain.errors import IllegalState
from service.domain.fee_lines import MINUTE_US, FeeItem
from service.domain.hold import lost_after_us
from service.domain.meter import Meter
from service.domain.metered import fee_between
from service.domain.passes import Span, require_unused, span_of
from service.domain.segment_tariff import Pass, PassGift, SegmentTariff
from service.domain.tariff import AnyTariff, Tariff
from service.domain.time_zones import time_zone
from tests.domain.segment_tariffs import SEGMENT_TARIFFS
from tests.domain.test_quota_fees import FREE, STARTS, USES

OF_DAYS = Tariff(100, 5, 30, 150, 3_000, 9_900)
"""A tariff of arithmetic 1."""
ANY_TARIFFS = st.one_of(SEGMENT_TARIFFS, st.just(OF_DAYS))


@given(
    ANY_TARIFFS, STARTS, USES, st.integers(1, 99), st.integers(0, 3_000),
    st.one_of(st.none(), st.just(10 * MINUTE_US)),
)  # fmt: skip
def test_a_share_leaves_a_part_of_the_fee(
    tariff: AnyTariff, start_us: int, used_us: int, percent: int, waived: int, free_us: int | None
) -> None:
    """A fee with a share of a pass is the rest of the fee without it, rounded down, before a
    waiver; its lines add up, and it is never above the fee without the pass."""
    end_us = start_us + used_us
    whole = fee_between(tariff, start_us, end_us, Meter(), free_us).total_minor
    without = fee_between(tariff, start_us, end_us, Meter(pending_minor=waived), free_us)
    found = fee_between(
        tariff, start_us, end_us, Meter(pending_minor=waived, pass_percent=percent), free_us
    )
    assert found.total_minor == max(0, whole * (100 - percent) // 100 - waived)
    assert found.total_minor <= without.total_minor
    assert sum(it.amount_minor for it in found.lines) == found.total_minor
    assert all(it.amount_minor == it.quantity * it.unit_minor for it in found.lines)


@given(
    ANY_TARIFFS, STARTS, USES, st.integers(1, 99), st.integers(0, 300), st.integers(0, 3_000),
)  # fmt: skip
def test_a_share_counts_below_the_fee_of_the_order(
    tariff: AnyTariff, start_us: int, used_us: int, percent: int, waived: int, order_minor: int
) -> None:
    """A share is taken off the fee by the tariff, and the fee of the order bounds the rest. A share
    that leaves no less than that is not told, so it uses no pass."""
    end_us = start_us + used_us
    left_minor = fee_between(tariff, start_us, end_us, Meter()).total_minor * (100 - percent) // 100
    meter = Meter(pending_minor=waived, pass_percent=percent)
    found = fee_between(tariff, start_us, end_us, meter, order_fee_minor=order_minor)
    assert found.total_minor == max(0, min(left_minor, order_minor) - waived)
    assert sum(it.amount_minor for it in found.lines) == found.total_minor
    if left_minor >= order_minor:
        assert FeeItem.PASS_DISCOUNT not in {it.item for it in found.lines}


@given(SEGMENT_TARIFFS, STARTS, USES, FREE, FREE, st.integers(0, 99))
def test_the_minutes_of_a_pass_never_raise_a_fee(
    tariff: SegmentTariff, start_us: int, used_us: int, of_pass: int, more: int, percent: int
) -> None:
    """A fee with minutes of a pass and of a quota is at most the fee without them, and the minutes
    of the pass are told first."""
    end_us = start_us + used_us
    share = Meter(pass_percent=percent)
    meter = share._replace(quota_minutes=of_pass + more, pass_minutes=of_pass)
    found = fee_between(tariff, start_us, end_us, meter)
    assert found.total_minor <= fee_between(tariff, start_us, end_us, share).total_minor
    told = {it.item: it.quantity for it in found.lines}
    passed, rest = told.get(FeeItem.PASS_MINUTES, 0), told.get(FeeItem.QUOTA_MINUTES, 0)
    assert passed <= of_pass
    assert not rest or passed == of_pass


@given(SEGMENT_TARIFFS, STARTS, FREE, st.integers(1, 1_440))
def test_a_pass_never_brings_a_loss_nearer(
    tariff: SegmentTariff, start_us: int, minutes: int, fewer: int
) -> None:
    """An item counts as lost no earlier if its tariff sells passes; a share puts no loss off."""
    assume(tariff.buy_out_minor)
    bare = tariff._replace(time_zone=tariff.time_zone or "Asia/Shanghai", passes=())
    without_us = lost_after_us(bare, start_us)
    share = Pass("share", 1, 1, PassGift.PERCENT, 50)
    assert lost_after_us(bare._replace(passes=(share,)), start_us) == without_us
    day = Pass("day", 1, 1, PassGift.MINUTES_A_DAY, min(minutes, fewer))
    each = Pass("each", 1, 1, PassGift.MINUTES_A_RENTAL, max(minutes, fewer))
    with_us = lost_after_us(bare._replace(passes=(day, each, share)), start_us)
    assert with_us is None or (without_us is not None and without_us <= with_us)


@pytest.mark.parametrize(
    ("begin", "days", "hours"),
    [
        ("2026-03-28T15:20:30", 7, 7 * 24 - 1),
        ("2026-10-24T15:20:30", 7, 7 * 24 + 1),
        ("2026-06-01T00:00:00", 30, 30 * 24),
        ("2026-03-28T02:30:00", 1, 24),
    ],
)
def test_a_pass_ends_at_the_time_of_day_of_its_beginning(begin: str, days: int, hours: int) -> None:
    """A pass from 15:20 ends at 15:20 some days later, also if the clocks change in between; if
    they leave that time out, it ends that much later."""
    start = datetime.fromisoformat(begin).replace(tzinfo=time_zone("Europe/Berlin"))
    from_us = int(start.timestamp()) * 1_000_000 + 1
    lasting = timedelta(hours=hours) // timedelta(microseconds=1)
    assert span_of(days, "Europe/Berlin", from_us) == Span(from_us, from_us + lasting)


@pytest.mark.parametrize(
    ("uses", "refund_us", "reason"), [(1, None, "PASS_USED"), (0, 1, "PASS_REFUNDED")]
)
def test_a_used_or_refunded_pass_is_not_refunded(
    uses: int, refund_us: int | None, reason: str
) -> None:
    """A pass that a rental uses is not refunded, and none is refunded twice."""
    require_unused(0, None)
    with pytest.raises(IllegalState) as error:
        require_unused(uses, refund_us)
    assert error.value.reason == reason
