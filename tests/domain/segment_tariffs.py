"""Tariffs of arithmetic 2 for tests: those of the worked bills, and any sound tariff."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from service.domain.errors import InvalidInput
from service.domain.segment_tariff import (
    Cap,
    FreeMinutes,
    HourPrice,
    Quota,
    QuotaPeriod,
    Reservation,
    Rounding,
    Segment,
    SegmentTariff,
)
from service.domain.tariff_document import DAY_MINUTES, TariffDocument, read_tariff, write_tariff

STARTED, COMPLETED = Rounding
DEDUCTED, GRACE = FreeMinutes
DAY_CAP = (Cap(DAY_MINUTES, 3_000),)

BEIJING = SegmentTariff(COMPLETED, 0, 0, DEDUCTED, 5, 9_900, (Segment(0, None, 15, 100),), DAY_CAP)
SHENZHEN = SegmentTariff(STARTED, 0, 5, DEDUCTED, 0, 9_900, (Segment(0, None, 30, 200),), DAY_CAP)
SHENZHEN_GRACE = SHENZHEN._replace(free=GRACE)
COMPANY = SHENZHEN._replace(segments=(Segment(0, None, 30, 150),))
RUSH = SegmentTariff(
    STARTED,
    100,
    0,
    DEDUCTED,
    0,
    20_000,
    (
        Segment(
            0,
            None,
            30,
            200,
            (
                HourPrice((1, 2, 3, 4, 5), 7 * 60, 9 * 60, 300),
                HourPrice((6, 7), 22 * 60, 30 * 60, 50),
            ),
        ),
    ),
    (Cap(720, 2_500), Cap(DAY_MINUTES, 4_000)),
    "Europe/Berlin",
)
"""Dearer on the mornings of weekdays, cheap on the nights of weekends."""
NAMED = (BEIJING, SHENZHEN, SHENZHEN_GRACE, COMPANY, RUSH)


def _sound(tariff: SegmentTariff) -> SegmentTariff | None:
    """The tariff as its document is read; None if the reader refuses it."""
    try:
        return read_tariff(write_tariff(TariffDocument("any", "CNY", tariff))).tariff
    except InvalidInput:
        return None


MINUTES = st.one_of(st.integers(1, 90), st.sampled_from((240, 720, 1_440, 2_000)))
PRICES = st.one_of(st.integers(0, 5), st.integers(0, 500))


@st.composite
def _hour_prices(draw: Any) -> tuple[HourPrice, ...]:
    """Prices of hours that do not overlap: each begins on a day of its own part of the clock."""
    found = []
    marks = sorted(draw(st.sets(st.integers(0, DAY_MINUTES), max_size=6)))
    for begin, end in zip(marks[::2], marks[1::2], strict=False):
        days = tuple(sorted(draw(st.sets(st.integers(1, 7), min_size=1))))
        found.append(HourPrice(days, begin, end, draw(PRICES)))
    if found and draw(st.booleans()):
        # The last one goes on after midnight, until before the first one begins.
        last = found.pop()
        found.append(last._replace(to_minute=DAY_MINUTES + marks[0]))
    return tuple(sorted(it for it in found if it.from_minute < DAY_MINUTES))


@st.composite
def _segments(draw: Any) -> Segment:
    from_minute = draw(st.one_of(st.just(0), MINUTES))
    to_minute = draw(st.one_of(st.none(), MINUTES.map(lambda it: from_minute + it)))
    interval = draw(st.one_of(st.just(0), MINUTES, MINUTES))
    prices = draw(st.one_of(st.just(()), _hour_prices()))
    return Segment(from_minute, to_minute, interval, draw(PRICES), prices)


@st.composite
def _caps(draw: Any) -> tuple[Cap, ...]:
    window, found = draw(st.sampled_from((15, 20, 60, 720, 1_440))), []
    for _ in range(draw(st.integers(0, 3))):
        found.append(Cap(window, draw(st.integers(0, 3_000))))
        window *= draw(st.integers(2, 3))
    return tuple(found)


RESERVATIONS = st.builds(
    Reservation,
    st.one_of(st.just(0), MINUTES),
    st.one_of(st.just(0), MINUTES),
    st.integers(1, 500),
    st.one_of(st.none(), st.integers(1, 3_000)),
)


@st.composite
def _tariffs(draw: Any) -> SegmentTariff:
    segments = draw(st.lists(_segments(), max_size=3))
    tariff = SegmentTariff(
        draw(st.sampled_from(Rounding)),
        draw(PRICES),
        draw(st.one_of(st.just(0), MINUTES)),
        draw(st.sampled_from(FreeMinutes)),
        draw(st.one_of(st.just(0), MINUTES)),
        draw(st.integers(0, 20_000)),
        tuple(segments),
        draw(_caps()),
        draw(st.sampled_from(("Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe"))),
        draw(st.sampled_from(((), (Quota("commuters", 30, QuotaPeriod.DAY),)))),
        draw(st.one_of(st.none(), RESERVATIONS)),
    )
    without_first_use = tariff._replace(first_use_minutes=0)
    for found in (tariff, without_first_use, without_first_use._replace(free_minutes=0)):
        sound = _sound(found)
        if sound is not None:
            return sound
    raise AssertionError(f"no sound tariff: {tariff}")


SEGMENT_TARIFFS = st.one_of(st.sampled_from(NAMED), _tariffs())
