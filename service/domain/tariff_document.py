"""The document of a tariff of arithmetic 2 (`segment_tariff.py` has the meaning of its keys).

`service/data/examples/tariff.toml` has every key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from service.domain.document_fields import CURRENCY, MOST_MINOR, NAME, Fields, require_none
from service.domain.documents import Table, canonical
from service.domain.errors import Violation
from service.domain.near_names import near_name
from service.domain.pass_document import read_passes, written_pass
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
from service.domain.tariff import AnyTariff, Tariff
from service.domain.time_zones import time_zones

DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES
MOST_MINUTES = 366 * DAY_MINUTES
"""The longest time in a tariff; a year of use."""
MOST_PRICE_MINOR = 10**9
"""The highest price of a unit. So no line of a fee is too large for a message."""
LEAST_WINDOW_MINUTES = 15
NOT_ARITHMETIC_1 = 2**31 - 1
"""The minutes of an interval in the rows of tariffs of arithmetic 2."""
MOST_SEGMENTS = 10
MOST_PRICES = 20
"""The most prices of hours, of all segments together."""
MOST_CAPS = MOST_QUOTAS = 5
MOST_PLACES = 20
MOST_STATIONS = 1_000
"""The most stations of one place."""
PLACE_KEYS = (
    *("start_fee_minor", "free_minutes", "free", "first_use_minutes"),
    *("segment", "cap", "reservation"),
)
"""The prices that a place may have of its own."""
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
"""The names of weekdays, in the order of their ISO numbers."""
EVERY_DAY = tuple(range(1, 8))
TIME = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]|24:00")
ZONE = re.compile("[A-Za-z0-9_+/-]{1,64}")


class Place(NamedTuple):
    """Stations, and their prices; the place's name is the `place` of its tariff."""

    stations: tuple[str, ...]
    tariff: SegmentTariff


class TariffDocument(NamedTuple):
    """A tariff with its name; amounts are minor units of `currency`.

    `tariff` has the prices of all stations that are in no place. Places are in the order of their
    names.
    """

    name: str
    currency: str
    tariff: SegmentTariff
    places: tuple[Place, ...] = ()


def read_tariff(table: Table) -> TariffDocument:
    """Reads a tariff's document. Raises InvalidInput (TERMS_WRONG) with all faults."""
    faults: list[Violation] = []
    it = Fields(table, faults)
    name, currency = it.text("name", NAME), it.text("currency", CURRENCY)
    tariff = _arithmetic(it)
    places = _places(it, tariff)
    _require_zone(it, [tariff, *(one.tariff for one in places)])
    it.end()
    require_none(faults)
    return TariffDocument(name, currency, tariff, places)


def write_tariff(it: TariffDocument) -> dict[str, Any]:
    """The document of a tariff; keys with their usual values are there, absent lists are not."""
    found = {"name": it.name, "currency": it.currency, **_written(it.tariff)}
    places = [_written_place(one, it.tariff) for one in it.places]
    return {**found, "place": places} if places else found


def _written_place(it: Place, usual: SegmentTariff) -> dict[str, Any]:
    """A place, with the prices that differ from the usual ones."""
    own, other = _written(it.tariff), _written(usual)
    changed = {key: own.get(key, []) for key in PLACE_KEYS if own.get(key) != other.get(key)}
    return {"name": it.tariff.place, "stations": list(it.stations), **changed}


def arithmetic_of(tariff: SegmentTariff) -> str:
    """The canonical JSON of a tariff without name and currency: the column `products.tariff`.

    The tariff of a place has the place's name as `place`.
    """
    written = _written(tariff)
    return canonical({**written, "place": tariff.place} if tariff.place else written)


def stations_text(stations: Sequence[str]) -> str:
    """The stations of a place as JSON: the column `products.stations`."""
    return json.dumps(stations, separators=(",", ":"))


def stations_of(text: object) -> tuple[str, ...]:
    """The stations of a column `products.stations`.

    Raises InvalidInput (TERMS_WRONG) for a text that `stations_text` does not write.
    """
    faults: list[Violation] = []
    try:
        named = json.loads(str(text))
    except (ValueError, RecursionError):
        named = None
    it = Fields({"stations": named}, faults)
    stations = it.texts("stations", NAME, MOST_STATIONS)
    if not faults and (not stations or stations_text(stations) != text):
        it.fault("stations", "canonical", "must be the canonical form of a list of stations")
    require_none(faults)
    return stations


# Revisions of a product often have the same tariff, and reading one takes 50 us.
@lru_cache(maxsize=1024)
def tariff_of(arithmetic: str) -> SegmentTariff:
    """The tariff of a column `products.tariff`.

    Raises InvalidInput (TERMS_WRONG) for a text that `arithmetic_of` does not write.
    """
    faults: list[Violation] = []
    try:
        table = json.loads(arithmetic)
    except (ValueError, RecursionError):
        table = None
    it = Fields(table, faults)
    if not faults:
        tariff = _arithmetic(it)._replace(place=it.text("place", NAME, ""))
        _require_zone(it, [tariff])
        it.end()
        if not faults and arithmetic_of(tariff) != arithmetic:
            it.fault("tariff", "canonical", "must be the canonical form of a tariff")
    require_none(faults)
    return tariff


def tariff_columns(tariff: AnyTariff) -> dict[str, Any]:
    """The columns of a product's row that its tariff decides.

    For arithmetic 2 the tariff stands in the column `tariff`. The columns of arithmetic 1 repeat
    what they can, but for `interval_minutes`: its value is beyond the bound of the terms. So a
    build that knows only arithmetic 1 refuses the row, and does not bill by it.
    """
    if isinstance(tariff, Tariff):
        return {**tariff._asdict(), "tariff": None}
    days = (it.most_minor for it in tariff.caps if it.window_minutes >= DAY_MINUTES)
    beside = Tariff(
        tariff.start_fee_minor,
        tariff.free_minutes,
        NOT_ARITHMETIC_1,
        tariff.segments[0].price_minor if tariff.segments else 0,
        next(days, tariff.buy_out_minor),
        tariff.buy_out_minor,
    )
    return {**beside._asdict(), "tariff": arithmetic_of(tariff)}


def _arithmetic(it: Fields) -> SegmentTariff:
    """Reads all keys but the name, the currency and the places, and notes the faults."""
    rounding = Rounding(it.choice("rounding", Rounding))
    buy_out_minor = it.whole("buy_out_minor", 0, MOST_MINOR)
    tariff = SegmentTariff(
        rounding,
        it.whole("start_fee_minor", 0, MOST_MINOR, 0),
        it.whole("free_minutes", 0, MOST_MINUTES, 0),
        FreeMinutes(it.choice("free", FreeMinutes, FreeMinutes.DEDUCTED)),
        it.whole("first_use_minutes", 0, MOST_MINUTES, 0),
        buy_out_minor,
        _segments(it),
        _caps(it),
        it.text("time_zone", ZONE, ""),
        _quotas(it),
        _reservation(it),
        passes=read_passes(it),
    )
    if tariff.time_zone and tariff.time_zone not in time_zones():
        near = near_name(tariff.time_zone, time_zones())
        hint = "" if near is None else f": did you mean {near}?"
        it.fault("time_zone", "unknown_zone", f"must be a zone of the IANA data base{hint}")
    _require_few_prices(it, tariff)
    _require_single_units(it, tariff)
    return tariff


def _places(it: Fields, usual: SegmentTariff) -> tuple[Place, ...]:
    """The places; no station is in two of them."""
    found: list[Place] = []
    taken: dict[str, str] = {}
    for one in it.tables("place", MOST_PLACES):
        tariff = _prices_of_place(one, usual)
        if any(tariff.place == other.tariff.place for other in found):
            one.fault("name", "repeated", "must be another name than that of an earlier place")
        stations = one.texts("stations", NAME, MOST_STATIONS)
        if not stations:
            one.fault("stations", "missing", "must name a station")
        for number, station in enumerate(stations):
            if taken.setdefault(station, tariff.place) != tariff.place:
                text = f"{station} is in the place {taken[station]} already: remove it from one"
                one.fault(f"stations[{number}]", "two_places", text)
        one.end()
        found.append(Place(tuple(sorted(stations)), tariff))
    return tuple(sorted(found, key=lambda one: one.tariff.place))


def _prices_of_place(one: Fields, usual: SegmentTariff) -> SegmentTariff:
    """The tariff of a place. Prices that the place leaves out are the usual ones."""
    tariff = usual._replace(
        place=one.text("name", NAME),
        start_fee_minor=one.whole("start_fee_minor", 0, MOST_MINOR, usual.start_fee_minor),
        free_minutes=one.whole("free_minutes", 0, MOST_MINUTES, usual.free_minutes),
        free=FreeMinutes(one.choice("free", FreeMinutes, usual.free)),
        first_use_minutes=one.whole("first_use_minutes", 0, MOST_MINUTES, usual.first_use_minutes),
        segments=_segments(one) if one.has("segment") else usual.segments,
        caps=_caps(one) if one.has("cap") else usual.caps,
        reservation=_reservation(one) if one.has("reservation") else usual.reservation,
    )
    _require_few_prices(one, tariff)
    _require_single_units(one, tariff)
    return tariff


def _require_few_prices(it: Fields, tariff: SegmentTariff) -> None:
    if sum(len(one.prices) for one in tariff.segments) > MOST_PRICES:
        text = f"must have at most {MOST_PRICES} prices of hours, of all segments together"
        it.fault("segment", "prices", text)


def _require_zone(it: Fields, tariffs: Sequence[SegmentTariff]) -> None:
    if any(not one.time_zone and (one.by_clock or one.quotas or one.passes) for one in tariffs):
        text = "is missing: prices of hours, quotas and passes need it, as in Asia/Shanghai"
        it.fault("time_zone", "missing", text)


def _segments(it: Fields) -> tuple[Segment, ...]:
    found = []
    for one in it.tables("segment", MOST_SEGMENTS):
        from_minute = one.whole("from_minute", 0, MOST_MINUTES, 0)
        to_minute = one.maybe_whole("to_minute", 1, MOST_MINUTES)
        if to_minute is not None and to_minute <= from_minute:
            one.fault("to_minute", "before_from", "must be after from_minute")
        interval_minutes = one.whole("interval_minutes", 0, MOST_MINUTES)
        price_minor = one.whole("price_minor", 0, MOST_PRICE_MINOR)
        prices = _prices(one)
        one.end()
        found.append(Segment(from_minute, to_minute, interval_minutes, price_minor, prices))
    return tuple(sorted(found, key=_in_order))


def _in_order(it: Segment) -> tuple[Any, ...]:
    to_minute = MOST_MINUTES + 1 if it.to_minute is None else it.to_minute
    return it.from_minute, to_minute, it.interval_minutes, it.price_minor, it.prices


def _prices(segment: Fields) -> tuple[HourPrice, ...]:
    """The prices of hours of a segment; no two count at the same minute of the week."""
    found, taken = [], set[int]()
    for one in segment.tables("price", MOST_PRICES):
        # Stored documents leave every day out, so none of them has an empty list.
        every = "names no day: leave days out for every day"
        named = one.texts("days", re.compile("|".join(DAYS)), len(DAYS), every)
        days = tuple(sorted(DAYS.index(day) + 1 for day in named if day in DAYS)) or EVERY_DAY
        from_minute, to_minute = _time(one, "from"), _time(one, "to")
        if to_minute <= from_minute:
            to_minute += DAY_MINUTES
        price = HourPrice(
            days, from_minute, to_minute, one.whole("price_minor", 0, MOST_PRICE_MINOR)
        )
        one.end()
        minutes = _minutes_of_week(price)
        if taken & minutes:
            one.fault("from", "overlaps", "must not count at the same time as an earlier price")
        taken |= minutes
        found.append(price)
    return tuple(sorted(found))


def _time(it: Fields, name: str) -> int:
    """A time of the day, in minutes; `from` may not be 24:00."""
    text = it.text(name, TIME)
    hours, _, minutes = text.partition(":")
    at_minute = int(hours) * 60 + int(minutes) if minutes else 0
    if name == "from" and at_minute == DAY_MINUTES:
        it.fault(name, "range", "must be before 24:00")
        return 0
    return at_minute


def _minutes_of_week(it: HourPrice) -> set[int]:
    return {
        ((day - 1) * DAY_MINUTES + minute) % WEEK_MINUTES
        for day in it.days
        for minute in range(it.from_minute, it.to_minute)
    }


def _caps(it: Fields) -> tuple[Cap, ...]:
    found: list[Cap] = []
    for one in it.tables("cap", MOST_CAPS):
        known = len(one.faults)
        window_minutes = one.whole("window_minutes", LEAST_WINDOW_MINUTES, MOST_MINUTES)
        cap = Cap(window_minutes, one.whole("most_minor", 0, MOST_MINOR))
        one.end()
        for other in found if len(one.faults) == known else ():
            shorter, longer = sorted((window_minutes, other.window_minutes))
            if longer == shorter:
                one.fault("window_minutes", "repeated", "must not be that of an earlier cap")
            elif longer % shorter:
                text = f"must be a multiple of the shorter window: {longer} is none of {shorter}"
                one.fault("window_minutes", "not_nested", text)
        found.append(cap)
    return tuple(sorted(found))


def _quotas(it: Fields) -> tuple[Quota, ...]:
    found: list[Quota] = []
    for one in it.tables("quota", MOST_QUOTAS):
        per = QuotaPeriod(one.choice("per", QuotaPeriod))
        most = DAY_MINUTES if per is QuotaPeriod.DAY else WEEK_MINUTES
        quota = Quota(one.text("name", NAME), one.whole("minutes", 1, most), per)
        one.end()
        if any(quota.name == other.name for other in found):
            one.fault("name", "repeated", "must be another name than that of an earlier quota")
        found.append(quota)
    return tuple(sorted(found))


def _reservation(it: Fields) -> Reservation | None:
    if not it.has("reservation"):
        return None
    path = f"{it.path}.reservation" if it.path else "reservation"
    one = Fields(it.take("reservation"), it.faults, path)
    found = Reservation(
        one.whole("free_minutes", 0, MOST_MINUTES, 0),
        one.whole("interval_minutes", 0, MOST_MINUTES),
        one.whole("price_minor", 1, MOST_PRICE_MINOR),
        one.maybe_whole("most_minor", 1, MOST_MINOR),
    )
    one.end()
    return found


def _require_single_units(it: Fields, tariff: SegmentTariff) -> None:
    """Notes a fault if an instant would charge two units of one segment.

    That is the end of the free or the first minutes, if two units were due by then.
    """
    grace = tariff.free_minutes if tariff.free is FreeMinutes.GRACE else 0
    completed = tariff.rounding is Rounding.COMPLETED
    for segment in tariff.segments:
        if not segment.interval_minutes:
            continue
        # The second unit is due at the minute `second`, or a microsecond after it if STARTED.
        second = segment.from_minute + segment.interval_minutes * (2 if completed else 1)
        if segment.to_minute is not None and second >= segment.to_minute + completed:
            continue
        if grace and second <= grace:
            text = "with GRACE must end before a second unit is due, or one instant charges two"
            it.fault("free_minutes", "two_units", text)
            break
    for segment in tariff.segments:
        first_end = segment.from_minute + segment.interval_minutes
        if segment.to_minute is not None and first_end >= segment.to_minute:
            continue
        if segment.interval_minutes and first_end < tariff.first_use_minutes:
            text = "must not be longer than the first unit, or one instant charges two"
            it.fault("first_use_minutes", "two_units", text)
            break


def _written(it: SegmentTariff) -> dict[str, Any]:
    document: dict[str, Any] = {
        "rounding": str(it.rounding),
        "start_fee_minor": it.start_fee_minor,
        "free_minutes": it.free_minutes,
        "free": str(it.free),
        "first_use_minutes": it.first_use_minutes,
        "buy_out_minor": it.buy_out_minor,
        "segment": [_written_segment(one) for one in it.segments],
        "cap": [one._asdict() for one in it.caps],
        "time_zone": it.time_zone,
        "quota": [{**one._asdict(), "per": str(one.per)} for one in it.quotas],
        "pass": [written_pass(one) for one in it.passes],
    }
    if it.reservation is not None:
        reservation = it.reservation._asdict()
        if it.reservation.most_minor is None:
            del reservation["most_minor"]
        document["reservation"] = reservation
    return {key: value for key, value in document.items() if value not in ([], "")}


def _written_segment(it: Segment) -> dict[str, Any]:
    document: dict[str, Any] = {
        "from_minute": it.from_minute,
        "to_minute": it.to_minute,
        "interval_minutes": it.interval_minutes,
        "price_minor": it.price_minor,
        "price": [_written_price(one) for one in it.prices],
    }
    return {key: value for key, value in document.items() if value not in ([], None)}


def _written_price(it: HourPrice) -> dict[str, Any]:
    to_minute = it.to_minute if it.to_minute <= DAY_MINUTES else it.to_minute - DAY_MINUTES
    document: dict[str, Any] = {
        "days": [DAYS[day - 1] for day in it.days],
        "from": clock(it.from_minute),
        "to": clock(to_minute),
        "price_minor": it.price_minor,
    }
    if it.days == EVERY_DAY:
        del document["days"]
    return document


def clock(minute: int) -> str:
    """A minute of the day as the time of the clock, such as 07:30."""
    return f"{minute // 60:02}:{minute % 60:02}"
