"""The document of a tariff: what it means, its canonical form, and its faults."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given

from service.domain.document_fields import MOST_MINUTES
from service.domain.errors import InvalidInput
from service.domain.segment_tariff import (
    Cap,
    FreeMinutes,
    HourPrice,
    Pass,
    PassGift,
    Quota,
    QuotaPeriod,
    Reservation,
    Rounding,
    Segment,
    SegmentTariff,
)
from service.domain.tariff import Tariff
from service.domain.tariff_document import (
    Place,
    TariffDocument,
    arithmetic_of,
    read_tariff,
    tariff_columns,
    tariff_of,
    write_tariff,
)
from tests.domain.segment_tariffs import SEGMENT_TARIFFS

LEAST: dict[str, Any] = {
    "name": "free", "currency": "CNY", "rounding": "STARTED", "buy_out_minor": 0,
}  # fmt: skip
WHOLE = """
name = "power-bank-2026"
currency = "CNY"
rounding = "COMPLETED"
start_fee_minor = 50
free_minutes = 5
free = "GRACE"
first_use_minutes = 5
buy_out_minor = 9_900
time_zone = "Asia/Shanghai"
[[segment]]
from_minute = 60
interval_minutes = 30
price_minor = 100
[[segment]]
to_minute = 60
interval_minutes = 15
price_minor = 150
[[segment.price]]
days = ["SUN", "SAT"]
from = "22:00"
to = "06:00"
price_minor = 120
[[segment.price]]
from = "08:00"
to = "24:00"
days = ["MON"]
price_minor = 130
[[cap]]
window_minutes = 1_440
most_minor = 3_000
[[cap]]
window_minutes = 720
most_minor = 2_000
[[quota]]
name = "commuters"
minutes = 30
per = "WEEK"
[[pass]]
name = "share"
price_minor = 500
days = 30
percent = 20
[[pass]]
name = "week"
price_minor = 990
days = 7
minutes = 30
per = "DAY"
[reservation]
free_minutes = 10
interval_minutes = 1
price_minor = 20
most_minor = 500
"""
TARIFF = SegmentTariff(
    Rounding.COMPLETED,
    50,
    5,
    FreeMinutes.GRACE,
    5,
    9_900,
    (
        Segment(
            0,
            60,
            15,
            150,
            (HourPrice((1,), 480, 1_440, 130), HourPrice((6, 7), 1_320, 1_800, 120)),
        ),
        Segment(60, None, 30, 100),
    ),
    (Cap(720, 2_000), Cap(1_440, 3_000)),
    "Asia/Shanghai",
    (Quota("commuters", 30, QuotaPeriod.WEEK),),
    Reservation(10, 1, 20, 500),
    passes=(
        Pass("share", 500, 30, PassGift.PERCENT, 20),
        Pass("week", 990, 7, PassGift.MINUTES_A_DAY, 30),
    ),
)


def test_a_document_means_its_tariff() -> None:
    """Each key of a document has its place in the tariff, and lists are put in order."""
    assert read_tariff(tomllib.loads(WHOLE)) == TariffDocument("power-bank-2026", "CNY", TARIFF)


def test_absent_keys_have_their_usual_values() -> None:
    """A tariff needs a name, a currency, a rounding and a buy-out cap; the rest has defaults."""
    least = SegmentTariff(Rounding.STARTED, 0, 0, FreeMinutes.DEDUCTED, 0, 0, ())
    assert read_tariff(LEAST) == TariffDocument("free", "CNY", least)


@given(SEGMENT_TARIFFS)
def test_a_document_is_read_as_it_was_written(tariff: SegmentTariff) -> None:
    """The written document of any tariff is read as the same tariff, and so is its canonical
    arithmetic."""
    document = TariffDocument("any", "EUR", tariff)
    assert read_tariff(write_tariff(document)) == document
    assert tariff_of(arithmetic_of(tariff)) == tariff


def test_the_order_of_lists_does_not_matter() -> None:
    """Two documents that differ only in the order of their lists have one canonical form."""
    document = tomllib.loads(WHOLE)
    turned = {**document, "segment": document["segment"][::-1], "cap": document["cap"][::-1]}
    assert write_tariff(read_tariff(turned)) == write_tariff(read_tariff(document))


PLACES: list[dict[str, Any]] = [
    {"name": "centre", "stations": ["c-1"], "segment": [{"interval_minutes": 5, "price_minor": 1}]},
    {"name": "airport", "stations": ["t-2", "t-1"], "start_fee_minor": 500},
]


def test_a_place_has_the_usual_prices_where_it_has_none_of_its_own() -> None:
    """A place takes over each key that it leaves out. Places are in the order of their names, and
    so are their stations."""
    document = tomllib.loads(WHOLE) | {"place": [{**PLACES[0], "cap": []}, PLACES[1]]}
    found = read_tariff(document)
    assert found.tariff == TARIFF
    airport, centre = found.places
    assert airport == Place(("t-1", "t-2"), TARIFF._replace(start_fee_minor=500, place="airport"))
    minutes = (Segment(0, None, 5, 1),)
    assert centre.tariff == TARIFF._replace(segments=minutes, caps=(), place="centre")
    assert read_tariff(write_tariff(found)) == found
    for one in found.places:
        assert tariff_of(arithmetic_of(one.tariff)) == one.tariff


def test_a_price_that_is_the_usual_one_is_not_written() -> None:
    """A place that repeats a usual price has the same canonical form as one that leaves it out."""
    usual = {**LEAST, "start_fee_minor": 7}
    place = {"name": "a", "stations": ["s"]}
    repeated = {**usual, "place": [{**place, "start_fee_minor": 7}]}
    assert write_tariff(read_tariff(repeated))["place"] == [place]


def _faults(document: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as refused:
        read_tariff(document)  # type: ignore[arg-type]
    assert refused.value.reason == "TERMS_WRONG"
    return [(it.field, it.rule) for it in refused.value.violations]


PASS = {"name": "p", "price_minor": 900, "days": 7, "percent": 20}
SEGMENT = {"interval_minutes": 30, "price_minor": 100}
HOURS = {"from": "08:00", "to": "09:00", "price_minor": 1}


MANY = [{**HOURS, "from": f"{it:02}:00", "to": f"{it:02}:30"} for it in range(11)]


def _priced(*prices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"segment": [{**SEGMENT, "price": list(prices)}], "time_zone": "Asia/Tokyo", **more}


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"rounding": "UP"}, "rounding", "rounding.choice"),
        ({"free": "GRATIS"}, "free", "free.choice"),
        ({"buy_out_minor": -1}, "buy_out_minor", "buy_out_minor.range"),
        ({"start_fee_minor": 1.5}, "start_fee_minor", "start_fee_minor.whole_number"),
        ({"free_minutes": True}, "free_minutes", "free_minutes.whole_number"),
        ({"colour": "red"}, "colour", "colour.unknown"),
        ({"time_zone": "Asia/Atlantis"}, "time_zone", "time_zone.unknown_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone", "time_zone.form"),
        (
            {"place": [PLACES[0], {"name": "b", "stations": ["x", "c-1"]}]},
            "place[1].stations[1]",
            "place.stations.two_places",
        ),
        ({"place": [{"name": "a"}]}, "place[0].stations", "place.stations.missing"),
        (
            {"place": [PLACES[0], {**PLACES[0], "stations": ["x"]}]},
            "place[1].name",
            "place.name.repeated",
        ),
        (
            {"place": [{**PLACES[0], "stations": ["x", "x"]}]},
            "place[0].stations[1]",
            "place.stations.repeated",
        ),
        (
            {"place": [{**PLACES[0], "buy_out_minor": 1}]},
            "place[0].buy_out_minor",
            "place.buy_out_minor.unknown",
        ),
        (
            {"place": [{**PLACES[0], "segment": [{**SEGMENT, "price": [HOURS]}]}]},
            "time_zone",
            "time_zone.missing",
        ),
        (
            {"place": [{**PLACES[0], "first_use_minutes": 6}]},
            "place[0].first_use_minutes",
            "place.first_use_minutes.two_units",
        ),
        (
            {"place": [{**PLACES[0], "reservation": {"interval_minutes": 1, "price_minor": 0}}]},
            "place[0].reservation.price_minor",
            "place.reservation.price_minor.range",
        ),
        (
            {"segment": [{"price_minor": 1}]},
            "segment[0].interval_minutes",
            "segment.interval_minutes.missing",
        ),
        (
            {"segment": [{**SEGMENT, "from_minute": 9, "to_minute": 9}]},
            "segment[0].to_minute",
            "segment.to_minute.before_from",
        ),
        (
            {"segment": [{**SEGMENT, "price": [HOURS]}]},
            "time_zone",
            "time_zone.missing",
        ),
        (
            _priced({**HOURS, "from": "24:00"}),
            "segment[0].price[0].from",
            "segment.price.from.range",
        ),
        (
            _priced({**HOURS, "days": []}),
            "segment[0].price[0].days",
            "segment.price.days.empty",
        ),
        (
            _priced({**HOURS, "to": "9:00"}),
            "segment[0].price[0].to",
            "segment.price.to.form",
        ),
        (
            _priced(HOURS, {**HOURS, "days": ["SUN"], "from": "08:59"}),
            "segment[0].price[1].from",
            "segment.price.from.overlaps",
        ),
        (
            _priced({**HOURS, "days": ["SUN"], "from": "23:00", "to": "08:01"}, HOURS),
            "segment[0].price[1].from",
            "segment.price.from.overlaps",
        ),
        (
            {"cap": [{"window_minutes": 1_440, "most_minor": 1}] * 2},
            "cap[1].window_minutes",
            "cap.window_minutes.repeated",
        ),
        (
            {"cap": [{"window_minutes": it, "most_minor": 1} for it in (1_440, 1_000)]},
            "cap[1].window_minutes",
            "cap.window_minutes.not_nested",
        ),
        (
            {"quota": [{"name": "a", "minutes": 5, "per": "DAY"}]},
            "time_zone",
            "time_zone.missing",
        ),
        (
            {"pass": [PASS]},
            "time_zone",
            "time_zone.missing",
        ),
        (
            {"time_zone": "UTC", "pass": [PASS, PASS]},
            "pass[1].name",
            "pass.name.repeated",
        ),
        (
            {"time_zone": "UTC", "pass": [{**PASS, "percent": 100}]},
            "pass[0].percent",
            "pass.percent.range",
        ),
        (
            {"time_zone": "UTC", "pass": [{**PASS, "minutes": 30}]},
            "pass[0].minutes",
            "pass.minutes.two_gifts",
        ),
        (
            {"time_zone": "UTC", "pass": [{"name": "p", "price_minor": 900, "days": 7}]},
            "pass[0].minutes",
            "pass.minutes.missing",
        ),
        (
            {"reservation": {"price_minor": 1}},
            "reservation.interval_minutes",
            "reservation.interval_minutes.missing",
        ),
        (
            {"reservation": {"interval_minutes": 1, "price_minor": 0}},
            "reservation.price_minor",
            "reservation.price_minor.range",
        ),
        (
            {"reservation": {"interval_minutes": 1, "price_minor": 1, "per": "DAY"}},
            "reservation.per",
            "reservation.per.unknown",
        ),
        (
            {"time_zone": "UTC", "quota": [{"name": "a", "minutes": 1_441, "per": "DAY"}]},
            "quota[0].minutes",
            "quota.minutes.range",
        ),
        (
            {"time_zone": "UTC", "quota": [{"name": "a", "minutes": 5, "per": "DAY"}] * 2},
            "quota[1].name",
            "quota.name.repeated",
        ),
        (
            {
                "segment": [{**SEGMENT, "price": MANY[:10]}, {**SEGMENT, "price": MANY[:11]}],
                "time_zone": "UTC",
            },
            "segment",
            "segment.prices",
        ),
        (
            {"segment": [SEGMENT], "free": "GRACE", "free_minutes": 30},
            "free_minutes",
            "free_minutes.two_units",
        ),
        (
            {"segment": [SEGMENT], "first_use_minutes": 31},
            "first_use_minutes",
            "first_use_minutes.two_units",
        ),
    ],
)
def test_a_fault_names_its_key(changes: dict[str, Any], field: str, rule: str) -> None:
    """A wrong value is refused with its path and a stable reason."""
    assert _faults({**LEAST, **changes}) == [(field, rule)]


@pytest.mark.parametrize(
    "changes",
    [
        {"segment": [SEGMENT], "free": "GRACE", "free_minutes": 29},
        {"segment": [SEGMENT], "free_minutes": 90},
        {"segment": [SEGMENT], "rounding": "COMPLETED", "free": "GRACE", "free_minutes": 59},
        {"segment": [{**SEGMENT, "to_minute": 30}], "free": "GRACE", "free_minutes": 90},
        {"segment": [SEGMENT], "first_use_minutes": 30},
        {"segment": [{**SEGMENT, "to_minute": 30}], "first_use_minutes": 90},
        _priced(HOURS, {**HOURS, "from": "09:00", "to": "08:00"}),
    ],
)
def test_a_tariff_at_a_boundary_is_allowed(changes: dict[str, Any]) -> None:
    """Free minutes, first minutes and hours that just do not collide are allowed."""
    read_tariff({**LEAST, **changes})


def test_all_faults_are_told_at_once() -> None:
    """A document with several wrong keys is refused with all of them."""
    found = _faults({"name": "", "rounding": "UP", "segment": 7, "cap": [{"most_minor": -1}]})
    assert [field for field, _ in found] == [
        "name",
        "currency",
        "rounding",
        "buy_out_minor",
        "segment",
        "cap[0].window_minutes",
        "cap[0].most_minor",
    ]


@pytest.mark.parametrize("document", [None, 7, "tariff", []])
def test_a_document_is_a_table(document: object) -> None:
    """A document that is no table is refused."""
    assert ("document", "document.table") in _faults(document)


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "7", "[" * 10_000, '{"rounding": "STARTED", "buy_out_minor": 0}', "{}"],
)
def test_a_column_is_canonical(text: str) -> None:
    """A stored arithmetic that the writer would not write is refused."""
    with pytest.raises(InvalidInput) as refused:
        tariff_of(text)
    assert refused.value.reason == "TERMS_WRONG"


def test_a_build_without_arithmetic_2_refuses_the_row() -> None:
    """The columns beside a tariff of arithmetic 2 are beyond the bounds of arithmetic 1, so no
    earlier build bills by them; a tariff of arithmetic 1 has only its own columns."""
    columns = tariff_columns(TARIFF)
    assert columns["interval_minutes"] > MOST_MINUTES
    assert columns["buy_out_minor"] == TARIFF.buy_out_minor
    assert columns["day_cap_minor"] == 3_000
    assert tariff_of(columns["tariff"]) == TARIFF
    old = Tariff(150, 0, 15, 100, 3_000, 19_900)
    assert tariff_columns(old) == {**old._asdict(), "tariff": None}
