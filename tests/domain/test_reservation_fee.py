"""The fee of a reservation: monotone, capped, without jumps, and counted a second time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.books.walked_fees import walked_reservation_minor
from service.domain.fee_lines import MINUTE_US, FeeItem, total
from service.domain.reservation_fee import reservation_lines, reservation_minor
from service.domain.segment_tariff import Reservation, Rounding, SegmentTariff
from service.domain.tariff import Tariff, fee
from service.domain.tariff_document import TariffDocument, write_tariff
from tests.domain.segment_tariffs import RESERVATIONS, SEGMENT_TARIFFS, SHENZHEN
from tests.engine.plain_tariffs import plain_reservation

WAITS = st.one_of(
    st.integers(0, 300 * MINUTE_US),
    st.tuples(st.integers(0, 300), st.sampled_from((-1, 0, 1))).map(
        lambda it: max(0, it[0] * MINUTE_US + it[1])
    ),
)
"""Times of a reservation in microseconds, many at the boundary of a minute."""
PRICED = st.builds(
    lambda tariff, reservation, rounding: tariff._replace(
        reservation=reservation, rounding=rounding, first_use_minutes=0
    ),
    SEGMENT_TARIFFS,
    RESERVATIONS,
    st.sampled_from(Rounding),
)
"""Tariffs with a price of a reservation."""


@given(PRICED, WAITS)
def test_three_ways_of_counting_agree(tariff: SegmentTariff, wait_us: int) -> None:
    """The lines add up to the sum that the verifier walks and that the reference of the tests
    counts from the document."""
    sum_minor = total(reservation_lines(tariff, wait_us))
    assert sum_minor == reservation_minor(tariff, wait_us)
    assert sum_minor == walked_reservation_minor(tariff, wait_us)
    document = write_tariff(TariffDocument("any", "CNY", tariff))
    assert sum_minor == plain_reservation(document, wait_us)


@given(PRICED, WAITS, WAITS)
def test_a_reservation_is_monotone_and_capped(tariff: SegmentTariff, one: int, other: int) -> None:
    """A longer reservation never costs less, and none costs more than its cap, which is never above
    the buy-out cap."""
    shorter, longer = (reservation_minor(tariff, it) for it in sorted((one, other)))
    most_minor = reservation_minor(tariff, None)
    assert 0 <= shorter <= longer <= most_minor <= tariff.buy_out_minor
    it = tariff.reservation
    assert it is not None
    assert it.most_minor is None or most_minor <= it.most_minor


@given(PRICED, WAITS)
def test_no_instant_adds_more_than_a_unit(tariff: SegmentTariff, wait_us: int) -> None:
    """A microsecond more of a reservation adds at most the price of one unit."""
    added = reservation_minor(tariff, wait_us + 1) - reservation_minor(tariff, wait_us)
    assert tariff.reservation is not None
    assert 0 <= added <= tariff.reservation.price_minor


@given(PRICED, WAITS, st.integers(0, 3 * 1_440 * MINUTE_US))
def test_a_rental_costs_its_reservation_and_its_usage(
    tariff: SegmentTariff, wait_us: int, used_us: int
) -> None:
    """The fee of a rental is that of its usage and that of its reservation, together at most the
    buy-out cap, and its lines add up to it."""
    used = fee(tariff, 0, used_us)
    whole = fee(tariff, 0, used_us, reserved_us=wait_us)
    sum_minor = used.total_minor + reservation_minor(tariff, wait_us)
    assert whole.total_minor == min(tariff.buy_out_minor, sum_minor)
    assert total(whole.lines) == whole.total_minor
    assert [it.item for it in whole.lines].count(FeeItem.BUY_OUT_REDUCTION) <= 1
    assert fee(tariff, 0, used_us, reserved_us=0) == used


@given(PRICED, WAITS, st.integers(0, 500))
def test_a_rental_cancelled_in_time_costs_its_reservation(
    tariff: SegmentTariff, wait_us: int, waived_minor: int
) -> None:
    """A rental within the time of a free cancellation costs its reservation, less a waiver."""
    free_us = 5 * MINUTE_US
    found = fee(tariff, 0, free_us, free_us=free_us, reserved_us=wait_us, waived_minor=waived_minor)
    expected_minor = max(0, reservation_minor(tariff, wait_us) - waived_minor)
    assert found.total_minor == total(found.lines) == expected_minor


def test_a_tariff_without_a_price_has_free_reservations() -> None:
    """A reservation costs nothing under arithmetic 1, and under a tariff without a price for it."""
    for tariff in (Tariff(0, 0, 15, 100, 3_000, 9_900), SHENZHEN):
        assert reservation_lines(tariff, 99 * MINUTE_US) == ()
        assert reservation_minor(tariff, None) == 0
        assert fee(tariff, 0, 0, reserved_us=99 * MINUTE_US) == fee(tariff, 0, 0)


def test_the_last_microsecond_is_exact() -> None:
    """Exactly 10 free minutes cost nothing, and a microsecond more the first started minute."""
    tariff = SHENZHEN._replace(reservation=Reservation(10, 1, 20, 50))
    sums = [
        reservation_minor(tariff, minutes * MINUTE_US + more)
        for minutes, more in ((10, 0), (10, 1), (11, 0), (11, 1), (12, 1))
    ]
    assert sums == [0, 20, 20, 40, 50]
