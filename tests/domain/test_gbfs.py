"""Tariffs as pricing plans of GBFS, and plans as tariffs."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.domain.errors import InvalidInput
from service.domain.gbfs_export import GbfsVersion, feed_of, json_of, plan_of, plans_of
from service.domain.gbfs_import import plans_of_text, tariff_of_plan
from service.domain.segment_tariff import Reservation
from service.domain.tariff import MINUTE_US, fee
from service.domain.tariff_document import TariffDocument, read_tariff, write_tariff

BASE = {"name": "power-bank", "currency": "CNY", "rounding": "STARTED", "buy_out_minor": 10**12}
HALF_HOURS = {"interval_minutes": 30, "price_minor": 150}
QUARTERS = {"interval_minutes": 15, "price_minor": 100}
CAP = {"window_minutes": 1_440, "most_minor": 3_000}
PLAN: dict[str, Any] = {
    "plan_id": "plan2", "name": [{"text": "One-Way", "language": "en"}], "currency": "USD",
    "price": Decimal("2.00"), "is_taxable": False,
    "description": [{"text": "Half-hours", "language": "en"}],
    "per_min_pricing": [
        {"start": 30, "end": 60, "rate": Decimal("3.00"), "interval": 0},
        {"start": 60, "rate": Decimal("0.10"), "interval": 1},
    ],
}  # fmt: skip
"""The first example of the specification, without its price of a reservation."""


def document(changes: dict[str, Any]) -> TariffDocument:
    """A tariff with these keys."""
    return read_tariff({**BASE, **changes})


def pricing(changes: dict[str, Any]) -> list[tuple[int, str, int, int | None]]:
    """The segments of the plan of a tariff: start, rate, interval, end."""
    plan = plan_of(document(changes), GbfsVersion.V3_1)
    return [
        (it["start"], str(it["rate"]), it["interval"], it.get("end"))
        for it in plan.get("per_min_pricing", [])
    ]


@pytest.mark.parametrize(
    ("changes", "segments"),
    [
        ({"segment": [HALF_HOURS]}, [(0, "1.50", 30, None)]),
        ({"free_minutes": 5, "segment": [HALF_HOURS]}, [(5, "1.50", 30, None)]),
        # Within the grace nothing is due; after it the first unit is, and the second at 30.
        ({"free_minutes": 5, "free": "GRACE", "segment": [HALF_HOURS]},
         [(5, "1.50", 0, None), (30, "1.50", 30, None)]),
        ({"rounding": "COMPLETED", "segment": [QUARTERS]}, [(15, "1.00", 15, None)]),
        ({"rounding": "COMPLETED", "first_use_minutes": 5, "segment": [QUARTERS]},
         [(5, "1.00", 0, None), (30, "1.00", 15, None)]),
        ({"segment": [{**HALF_HOURS, "from_minute": 10, "to_minute": 80}]},
         [(10, "1.50", 30, 80)]),
        # Completed units end at 25 and 40; the third would end after the segment does.
        ({"rounding": "COMPLETED", "segment": [{**QUARTERS, "from_minute": 10, "to_minute": 54}]},
         [(25, "1.00", 15, 41)]),
        ({"segment": [{"from_minute": 60, "interval_minutes": 0, "price_minor": 1}]},
         [(60, "0.01", 0, None)]),
        ({"segment": []}, []),
    ],
)  # fmt: skip
def test_a_tariff_is_a_plan(
    changes: dict[str, Any], segments: list[tuple[int, str, int, int | None]]
) -> None:
    """Each unit of a tariff is charged at its minute in the plan."""
    assert pricing(changes) == segments


def test_a_plan_has_all_that_the_specification_requires() -> None:
    """A plan has its names and words in two languages, exact amounts, no tax, and its cap."""
    it = document({"segment": [HALF_HOURS], "start_fee_minor": 50, "cap": [CAP]})
    plan = plan_of(it, GbfsVersion.V3_1)
    assert {"plan_id", "name", "currency", "price", "is_taxable", "description"} <= set(plan)
    assert [one["language"] for one in plan["description"]] == ["en", "zh"]
    assert all(re.fullmatch("[a-z]{2,3}(-[A-Z]{2})?", one["language"]) for one in plan["name"])
    assert plan["is_taxable"] is False
    assert plan["fare_capping"] == {"duration": 1_440, "price": Decimal("30.00")}
    feed = feed_of([plan], GbfsVersion.V3_1, "2026-03-01T00:00:00Z", 300)
    text = json_of(feed)
    assert '"price": 0.50' in text
    assert '"rate": 1.50' in text
    read = json.loads(text, parse_float=Decimal)
    assert read == feed
    assert set(read) == {"last_updated", "ttl", "version", "data"}


def test_yen_have_no_decimals() -> None:
    """An amount in a currency without minor units is a whole number."""
    it = document({"currency": "JPY", "segment": [HALF_HOURS], "start_fee_minor": 130})
    assert '"price": 130,' in json_of(plan_of(it, GbfsVersion.V3_0))


def test_each_place_has_a_plan() -> None:
    """The plan of a place is named after the tariff and the place, and has the place's prices. A
    place whose prices GBFS cannot express is refused by its path."""
    places = [{"name": "airport", "stations": ["t-1"], "start_fee_minor": 50}]
    it = document({"segment": [HALF_HOURS], "place": places})
    usual, airport = plans_of(it, GbfsVersion.V3_0)
    assert usual == plan_of(document({"segment": [HALF_HOURS]}), GbfsVersion.V3_0)
    assert airport["plan_id"] == f"{usual['plan_id']}~airport"
    assert (usual["price"], airport["price"]) == (Decimal("0.00"), Decimal("0.50"))
    assert airport["per_min_pricing"] == usual["per_min_pricing"]
    capped = document({"segment": [HALF_HOURS], "place": [{**places[0], "cap": [CAP]}]})
    with pytest.raises(InvalidInput) as refused:
        plans_of(capped, GbfsVersion.V3_0)
    assert [one.field for one in refused.value.violations] == ["place[0].cap[0]"]


def test_what_gbfs_cannot_say_is_refused_by_its_key() -> None:
    """Prices of hours, quotas, passes, a second cap, and a cap in version 3.0 are refused together,
    each by its key."""
    it = document({
        "time_zone": "Asia/Shanghai",
        "segment": [{**HALF_HOURS, "price": [{"from": "07:00", "to": "09:00", "price_minor": 1}]}],
        "quota": [{"name": "q", "minutes": 30, "per": "DAY"}],
        "pass": [{"name": "p", "price_minor": 900, "days": 7, "percent": 20}],
        "cap": [{"window_minutes": 720, "most_minor": 2_000}, CAP],
    })  # fmt: skip
    with pytest.raises(InvalidInput) as refused:
        plan_of(it, GbfsVersion.V3_0)
    assert refused.value.reason == "GBFS_NOT_EXPRESSIBLE"
    assert [one.field for one in refused.value.violations] == [
        "segment[0].price", "quota", "pass", "cap[1]", "cap[0]",
    ]  # fmt: skip
    one_cap = document({"segment": [HALF_HOURS], "cap": [CAP]})
    assert plan_of(one_cap, GbfsVersion.V3_1)["fare_capping"]["duration"] == 1_440


def due_minor(plan: dict[str, Any], minute: int) -> Decimal:
    """The sum of a plan at a minute, unit by unit, as the specification words it."""
    charges = [(0, plan["price"])]
    for it in plan.get("per_min_pricing", []):
        last = minute if it.get("end") is None else min(minute, it["end"] - 1)
        step = it["interval"] or 10**9
        charges += [(at, it["rate"]) for at in range(it["start"], last + 1, step)]
    cap = plan.get("fare_capping")
    if cap is None:
        return sum((rate for _, rate in charges), Decimal(0))
    windows: dict[int, Decimal] = {}
    for at, rate in charges:
        window = at // cap["duration"]
        windows[window] = min(cap["price"], windows.get(window, Decimal(0)) + rate)
    return sum(windows.values(), Decimal(0))


SEGMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "from_minute": st.integers(0, 40),
            "interval_minutes": st.sampled_from([0, 1, 7, 15, 30, 60]),
            "price_minor": st.integers(0, 500),
        },
        optional={"to_minute": st.integers(1, 120)},
    ),
    max_size=3,
)
TARIFFS = st.fixed_dictionaries(
    {"segment": SEGMENTS, "rounding": st.sampled_from(["STARTED", "COMPLETED"])},
    optional={
        "start_fee_minor": st.integers(0, 300),
        "free_minutes": st.integers(0, 20),
        "free": st.sampled_from(["DEDUCTED", "GRACE"]),
        "first_use_minutes": st.integers(0, 10),
    },
)


def maybe_document(changes: dict[str, Any]) -> TariffDocument:
    """A tariff with these keys; keys that make no tariff are another example."""
    try:
        return document(changes)
    except InvalidInput:
        assume(False)
        raise


@given(TARIFFS, st.integers(0, 200))
def test_a_plan_costs_what_its_tariff_costs(changes: dict[str, Any], minute: int) -> None:
    """Right after each minute a plan costs what its tariff costs, to the minor unit."""
    it = maybe_document(changes)
    plan = plan_of(it, GbfsVersion.V3_0)
    total_minor = fee(it.tariff, 0, minute * MINUTE_US + 1).total_minor
    assert due_minor(plan, minute).scaleb(2) == total_minor


def refused_for(it: TariffDocument) -> list[str]:
    """The keys that a plan of version 3.1 cannot express."""
    try:
        plan_of(it, GbfsVersion.V3_1)
    except InvalidInput as refused:
        return [one.field for one in refused.violations]
    return []


@given(TARIFFS, st.sampled_from([15, 30, 60, 90]), st.integers(0, 800), st.integers(0, 200))
def test_a_capped_plan_costs_what_its_tariff_costs(
    changes: dict[str, Any], window: int, most_minor: int, minute: int
) -> None:
    """A plan's cap holds in each window from the start of the rental, as the tariff's cap does; or
    the plan is refused, because an amount counts in another window."""
    cap = {"window_minutes": window, "most_minor": most_minor}
    it = maybe_document({**changes, "cap": [cap]})
    if refused_for(it):
        assert refused_for(it) == ["cap[0].window_minutes"]
        return
    plan = plan_of(it, GbfsVersion.V3_1)
    total_minor = fee(it.tariff, 0, minute * MINUTE_US + 1).total_minor
    assert due_minor(plan, minute).scaleb(2) == total_minor


@pytest.mark.parametrize(
    ("changes", "window", "is_refused"),
    [
        # The fourth unit is completed when the first hour ends.
        ({"rounding": "COMPLETED", "segment": [QUARTERS]}, 60, True),
        ({"rounding": "COMPLETED", "segment": [{**QUARTERS, "to_minute": 59}]}, 60, False),
        ({"rounding": "COMPLETED", "free_minutes": 5, "segment": [QUARTERS]}, 60, False),
        ({"rounding": "COMPLETED", "first_use_minutes": 5, "segment": [QUARTERS]}, 15, True),
        ({"rounding": "COMPLETED", "first_use_minutes": 5, "free_minutes": 10,
          "segment": [{**QUARTERS, "to_minute": 15}]}, 15, True),
        # The first unit is charged after 20 minutes, and counts in the window before.
        ({"free_minutes": 20, "free": "GRACE", "segment": [HALF_HOURS]}, 15, True),
        ({"free_minutes": 20, "free": "GRACE", "segment": [HALF_HOURS]}, 30, False),
        ({"free_minutes": 20, "free": "GRACE", "start_fee_minor": 5, "segment": []}, 15, True),
        ({"segment": [QUARTERS]}, 60, False),
    ],
)  # fmt: skip
def test_a_cap_whose_windows_differ_is_refused(
    changes: dict[str, Any], window: int, is_refused: bool
) -> None:
    """A cap is refused if a unit or the start fee counts in another window than its minute in GBFS
    does."""
    it = document({**changes, "cap": [{"window_minutes": window, "most_minor": 150}]})
    assert refused_for(it) == (["cap[0].window_minutes"] if is_refused else [])


# -- in ------------------------------------------------------------------------------------------


def imported(changes: dict[str, Any]) -> dict[str, Any]:
    """The document of the tariff of a plan."""
    return write_tariff(tariff_of_plan({**PLAN, **changes}, 120_000).document)


def refused_keys(changes: dict[str, Any]) -> list[tuple[str, str]]:
    """The keys for which a plan is refused, and the kinds of their faults."""
    with pytest.raises(InvalidInput) as refused:
        tariff_of_plan({**PLAN, **changes}, 120_000)
    assert refused.value.reason == "GBFS_WRONG"
    return [(it.field, it.rule.removeprefix("gbfs.")) for it in refused.value.violations]


def test_an_example_of_the_specification_is_a_tariff() -> None:
    """A plan's base price is the start fee, and its segments are those of the tariff."""
    assert imported({}) == {
        "name": "plan2", "currency": "USD", "rounding": "STARTED", "start_fee_minor": 200,
        "free_minutes": 0, "free": "DEDUCTED", "first_use_minutes": 0, "buy_out_minor": 120_000,
        "segment": [
            {"from_minute": 30, "to_minute": 60, "interval_minutes": 0, "price_minor": 300},
            {"from_minute": 60, "interval_minutes": 1, "price_minor": 10},
        ],
    }  # fmt: skip
    it = tariff_of_plan({**PLAN, "url": "https://example.com", "surge_pricing": True}, 1, "other")
    assert it.document.name == "other"
    assert len(it.notes) == 2
    assert it.notes[0].startswith("surge_pricing is true")
    assert it.notes[1] == "a tariff does not keep description, name, url"


def test_a_capped_plan_is_a_tariff_with_a_cap() -> None:
    """fare_capping of version 3.1 is a cap."""
    found = imported({"fare_capping": {"duration": 720, "price": Decimal("15.00")}})
    assert found["cap"] == [{"window_minutes": 720, "most_minor": 1_500}]


def test_a_plan_without_a_rate_is_a_start_fee() -> None:
    """A plan without rates costs its price, however long the trip is."""
    found = imported({"per_min_pricing": []})
    assert "segment" not in found
    assert found["start_fee_minor"] == 200


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"per_km_pricing": [{"start": 0, "rate": 1, "interval": 1}]},
         [("per_km_pricing", "not_expressible")]),
        ({"reservation_price_per_min": Decimal("0.155")},
         [("reservation_price_per_min", "minor_units")]),
        ({"reservation_price_flat_rate": -1}, [("reservation_price_flat_rate", "negative")]),
        ({"reservation_price_per_min": 1, "reservation_price_flat_rate": 1},
         [("reservation_price_flat_rate", "two_prices")]),
        ({"is_taxable": True}, [("is_taxable", "taxable")]),
        ({"price": Decimal("0.155")}, [("price", "minor_units")]),
        ({"price": -1}, [("price", "negative")]),
        ({"price": "2.00"}, [("price", "number")]),
        ({"price": True}, [("price", "number")]),
        ({"price": float("nan")}, [("price", "number")]),
        ({"currency": "JPY", "price": 2},
         [("per_min_pricing[1].rate", "minor_units")]),
        ({"currency": "XAU"}, [("currency", "currency.without_minor_unit")]),
        ({"currency": "yen"}, [("currency", "form")]),
        ({"plan_id": "one way"}, [("plan_id", "form")]),
        ({"per_min_pricing": [{"start": -1, "rate": -1, "interval": Decimal("0.5")}, 7]},
         [("per_min_pricing[0].start", "whole"), ("per_min_pricing[0].interval", "whole"),
          ("per_min_pricing[0].rate", "negative"), ("per_min_pricing[1]", "segment")]),
        ({"per_min_pricing": {}}, [("per_min_pricing", "list")]),
        ({"fare_capping": 3}, [("fare_capping", "cap")]),
        ({"fare_capping": {"duration": 720}}, [("fare_capping.price", "number")]),
    ],
)  # fmt: skip
def test_a_plan_that_is_no_tariff_is_refused(
    changes: dict[str, Any], faults: list[tuple[str, str]]
) -> None:
    """Prices by distance and with taxes on top, discounts, two prices of a reservation, and amounts
    that are no whole minor units are refused by their keys."""
    assert refused_keys(changes) == faults


@pytest.mark.parametrize(("changes", "reservation"), [
    ({"reservation_price_per_min": Decimal("0.15")}, Reservation(0, 1, 15)),
    ({"reservation_price_flat_rate": Decimal("1.50")}, Reservation(0, 0, 150)),
    ({"reservation_price_per_min": 0}, None),
])  # fmt: skip
def test_the_price_of_a_reservation_goes_both_ways(
    changes: dict[str, Any], reservation: Reservation | None
) -> None:
    """A price of a reservation, by the minute or once, is imported, and exported as it was; 0 is
    none."""
    it = tariff_of_plan({**PLAN, **changes}, 120_000).document
    assert it.tariff.reservation == reservation
    plan = plan_of(it, GbfsVersion.V3_1)
    keys = ("reservation_price_per_min", "reservation_price_flat_rate")
    assert {key: plan[key] for key in keys if key in plan} == (changes if reservation else {})


def test_a_reservation_that_gbfs_cannot_say_is_refused_by_its_keys() -> None:
    """Free minutes, a cap and units of a reservation other than the started minute are refused, and
    in version 3.0 any price of a reservation."""
    table = {"free_minutes": 1, "interval_minutes": 2, "price_minor": 1, "most_minor": 9}
    with pytest.raises(InvalidInput) as refused:
        plan_of(document({"segment": [HALF_HOURS], "reservation": table}), GbfsVersion.V3_0)
    assert [one.field for one in refused.value.violations] == [
        "reservation", "reservation.free_minutes", "reservation.interval_minutes",
        "reservation.most_minor",
    ]  # fmt: skip
    completed = {"rounding": "COMPLETED", "segment": [QUARTERS]}
    by_minute = {"interval_minutes": 1, "price_minor": 1}
    with pytest.raises(InvalidInput) as refused:
        plan_of(document({**completed, "reservation": by_minute}), GbfsVersion.V3_1)
    assert [one.field for one in refused.value.violations] == ["reservation.interval_minutes"]


def test_a_segment_that_ends_before_it_begins_is_refused() -> None:
    """A plan that breaks a rule of tariffs is refused with the rule."""
    with pytest.raises(InvalidInput) as refused:
        imported({"per_min_pricing": [{"start": 5, "rate": 1, "interval": 1, "end": 5}]})
    assert refused.value.reason == "TERMS_WRONG"


def feed(**changes: Any) -> str:
    """The text of a feed with one plan."""
    plan = {"plan_id": "a"}
    return json.dumps({"version": "3.0", "data": {"plans": [plan]}, **changes})


def test_a_feed_has_plans_by_their_ids() -> None:
    """A feed's plans are found by their ids, with amounts as exact decimals."""
    text = feed().replace('"a"', '"a", "price": 0.1')
    assert plans_of_text(text) == {"a": {"plan_id": "a", "price": Decimal("0.1")}}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "feed"),
        ("[" * 100_000, "feed"),
        ("[]", "feed"),
        (feed().replace('"a"', '"a", "price": 1, "price": 2'), "feed"),
        (feed().replace('"a"', '"a", "price": NaN'), "feed"),
        (feed().replace('"a"', f'"a", "price": 1{"0" * 5_000}'), "feed"),
        (feed().replace('"a"', f'"a", "price": 1e{"9" * 30}'), "feed"),
        (feed(data={"plans": []}), "data.plans"),
        ("{}", "data.plans"),
        ('{"data": []}', "data.plans"),
        (feed(data={"plans": [1]}), "data.plans"),
        (feed(version="2.3"), "version"),
        (feed(version=[3]), "version"),
        (feed(data={"plans": [{"plan_id": "a"}, {"plan_id": "a"}]}), "data.plans[1].plan_id"),
        (feed(data={"plans": [{}]}), "data.plans[0].plan_id"),
    ],
)
def test_a_damaged_feed_is_refused(text: str, field: str) -> None:
    """A feed that is no JSON, of another version, without plans, or with an id or a key twice is
    refused."""
    with pytest.raises(InvalidInput) as refused:
        plans_of_text(text)
    assert [it.field for it in refused.value.violations] == [field]


KEYS = st.sampled_from(["start", "rate", "interval", "end", "duration", "price", "text"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.decimals(allow_nan=True, allow_infinity=True)
    | st.text(max_size=3)
    | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*sorted(PLAN), "fare_capping", "surge_pricing"]), JSON))
def test_any_json_is_a_tariff_or_is_refused(changes: dict[str, Any]) -> None:
    """A plan with any JSON in place of its values is a tariff, or a typed refusal with its keys."""
    refused = None
    try:
        found = tariff_of_plan({**PLAN, **changes}, 120_000).document
    except InvalidInput as error:
        refused = error
    if refused is None:
        assert read_tariff(write_tariff(found)) == found
    else:
        assert refused.reason in ("GBFS_WRONG", "TERMS_WRONG")
        assert refused.violations


@given(TARIFFS, st.integers(0, 300))
def test_an_exported_tariff_comes_back_with_the_same_prices(
    changes: dict[str, Any], minute: int
) -> None:
    """A tariff that was exported and imported costs the same right after each minute."""
    it = maybe_document(changes)
    text = json_of(feed_of([plan_of(it, GbfsVersion.V3_0)], GbfsVersion.V3_0, "now", 0))
    back = tariff_of_plan(plans_of_text(text)[it.name], it.tariff.buy_out_minor).document
    at_us = minute * MINUTE_US + 1
    assert fee(back.tariff, 0, at_us).total_minor == fee(it.tariff, 0, at_us).total_minor
