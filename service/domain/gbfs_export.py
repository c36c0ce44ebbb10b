"""A tariff as a pricing plan of GBFS (`system_pricing_plans`, versions 3.0 and 3.1-RC3).

GBFS charges an interval from its minute on, and Freehold from the first microsecond after it; a
minute is the unit of time in GBFS. The buy-out is the price of an item that does not come back, and
no part of a trip's fare, so a plan names it in its description only. What a plan cannot say is
refused: prices of hours, quotas, several caps, a cap if an amount counts in another of its windows
than in GBFS, a reservation with free minutes, a cap or units other than started minutes; in version
3.0 also a cap, and any price of a reservation.

Source: General Bikeshare Feed Specification, `gbfs.md`, section `system_pricing_plans.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from service.domain.currencies import decimal_of
from service.domain.errors import InvalidInput, Violation
from service.domain.segment_tariff import (
    FreeMinutes,
    Reservation,
    Rounding,
    Segment,
    SegmentTariff,
)
from service.domain.tariff_document import Place, TariffDocument
from service.domain.tariff_words import words_of

NOT_EXPRESSIBLE = "GBFS_NOT_EXPRESSIBLE"
"""The reason of the error that names the keys that GBFS cannot express."""


class GbfsVersion(StrEnum):
    """A version of GBFS; caps and prices of reservations exist since drafts of 3.1."""

    V3_0 = "3.0"
    V3_1 = "3.1-RC3"


class _Due(NamedTuple):
    """Units of one segment: the first is due at `minute`, each later one `step` minutes later.

    `units` is None if the segment does not end.
    """

    minute: int
    step: int
    units: int | None


def plan_of(document: TariffDocument, version: GbfsVersion) -> dict[str, Any]:
    """The pricing plan of a tariff; amounts are decimals of the currency's unit.

    Its places have plans of their own. Raises InvalidInput (GBFS_NOT_EXPRESSIBLE) that names every
    key that the version cannot express.
    """
    tariff, currency = document.tariff, document.currency
    faults = tuple(_faults(tariff, version))
    if faults:
        raise InvalidInput(faults, NOT_EXPRESSIBLE)
    words = words_of(document)
    plan: dict[str, Any] = {
        "plan_id": document.name,
        "name": [{"text": document.name, "language": it} for it in ("en", "zh")],
        "currency": currency,
        "price": decimal_of(_price_minor(tariff), currency),
        "is_taxable": False,
        "description": [
            {"text": words.en, "language": "en"},
            {"text": words.zh, "language": "zh"},
        ],
    }
    found = sorted(_segments(tariff), key=_key)
    segments = [{**it, "rate": decimal_of(it["rate"], currency)} for it in found]
    if segments:
        plan["per_min_pricing"] = segments
    for cap in tariff.caps:
        most = decimal_of(cap.most_minor, currency)
        plan["fare_capping"] = {"duration": cap.window_minutes, "price": most}
    if tariff.reservation is not None:
        by_minute = tariff.reservation.interval_minutes
        key = "reservation_price_per_min" if by_minute else "reservation_price_flat_rate"
        plan[key] = decimal_of(tariff.reservation.price_minor, currency)
    return plan


def plans_of(document: TariffDocument, version: GbfsVersion) -> list[dict[str, Any]]:
    """The plan of a tariff, and one for each of its places. In GBFS a vehicle names its plan
    (`vehicle_status`), and a station does not.

    A place's plan is named after the tariff and the place, as in `power-bank-2026~airport`. Raises
    InvalidInput as `plan_of`, with the path of the place.
    """
    plans, faults = [], list[Violation]()
    usual = document._replace(places=())
    for number, it in enumerate((usual, *(_of_place(usual, one) for one in document.places))):
        try:
            plans.append(plan_of(it, version))
        except InvalidInput as error:
            path = f"place[{number - 1}]." if number else ""
            told = {fault.field for fault in faults}
            # A place has the same fault as the usual prices that it takes over.
            faults += [
                fault._replace(field=f"{path}{fault.field}")
                for fault in error.violations
                if fault.field not in told
            ]
    if not faults:
        return plans
    raise InvalidInput(faults, NOT_EXPRESSIBLE)


def _of_place(usual: TariffDocument, place: Place) -> TariffDocument:
    return usual._replace(name=f"{usual.name}~{place.tariff.place}", tariff=place.tariff)


def feed_of(
    plans: list[dict[str, Any]], version: GbfsVersion, updated: str, ttl_s: int
) -> dict[str, Any]:
    """The file of plans; `updated` is the time of the last change (RFC 3339), `ttl_s` seconds."""
    data = {"plans": plans}
    return {"last_updated": updated, "ttl": ttl_s, "version": str(version), "data": data}


def _faults(tariff: SegmentTariff, version: GbfsVersion) -> Iterator[Violation]:
    for place, segment in enumerate(tariff.segments):
        if segment.prices:
            text = "GBFS has no prices by the time of day: export one tariff for each price"
            yield _fault(f"segment[{place}].price", text)
    if tariff.quotas:
        yield _fault("quota", "GBFS has no free minutes of a person and period")
    if tariff.passes:
        yield _fault("pass", "GBFS has no passes of a person: export the tariff without them")
    if len(tariff.caps) > 1:
        yield _fault("cap[1]", "a GBFS plan has one cap")
    if tariff.caps and version is GbfsVersion.V3_0:
        text = f"GBFS {version} has no caps: export version {GbfsVersion.V3_1}"
        yield _fault("cap[0]", text)
    elif tariff.caps and _counts_elsewhere(tariff, tariff.caps[0].window_minutes):
        text = (
            "GBFS counts an amount in the window of the minute at which it is charged, and this"
            " tariff counts one in the window before, as a unit that is completed when the window"
            f" ends: change the window or the unit, or export version {GbfsVersion.V3_0} without"
            " the cap"
        )
        yield _fault("cap[0].window_minutes", text)
    if tariff.reservation is not None:
        yield from _reservation_faults(tariff.reservation, tariff.rounding, version)


def _reservation_faults(
    it: Reservation, rounding: Rounding, version: GbfsVersion
) -> Iterator[Violation]:
    if version is GbfsVersion.V3_0:
        text = f"GBFS {version} has no price of a reservation: export version {GbfsVersion.V3_1}"
        yield _fault("reservation", text)
    if it.free_minutes:
        yield _fault("reservation.free_minutes", "a reservation in GBFS costs from its beginning")
    if it.interval_minutes > 1 or (it.interval_minutes and rounding is Rounding.COMPLETED):
        text = "GBFS charges a reservation by the started minute, or once"
        yield _fault("reservation.interval_minutes", text)
    if it.most_minor is not None:
        text = "GBFS bounds a reservation by its time: set the longest reservation of the policy"
        yield _fault("reservation.most_minor", text)


def _fault(key: str, text: str) -> Violation:
    return Violation(key, "gbfs.not_expressible", text)


def _gate_minute(tariff: SegmentTariff) -> int:
    """The minute before which nothing is charged for units, and from which earlier ones are."""
    grace = tariff.free_minutes if tariff.free is FreeMinutes.GRACE else 0
    if not tariff.first_use_minutes or not tariff.segments:
        return grace
    first_minute = min(it.from_minute for it in tariff.segments)
    return max(grace, _base_minute(tariff) + first_minute + tariff.first_use_minutes)


def _base_minute(tariff: SegmentTariff) -> int:
    """The minute at which the segments begin."""
    return tariff.free_minutes if tariff.free is FreeMinutes.DEDUCTED else 0


def _start_minute(tariff: SegmentTariff) -> int:
    """The minute from which the start fee is due."""
    grace = tariff.free_minutes if tariff.free is FreeMinutes.GRACE else 0
    return max(grace, tariff.first_use_minutes)


def _price_minor(tariff: SegmentTariff) -> int:
    """The price that each trip begins with."""
    return 0 if _start_minute(tariff) else tariff.start_fee_minor


def _segments(tariff: SegmentTariff) -> Iterator[dict[str, Any]]:
    """The segments of the plan, with rates in minor units."""
    gate = _gate_minute(tariff)
    if tariff.start_fee_minor and _start_minute(tariff):
        yield _once(_start_minute(tariff), tariff.start_fee_minor)
    for segment in tariff.segments:
        if not segment.price_minor:
            continue
        due = _due(tariff, segment)
        early = _early_units(tariff, segment, due)
        if early:
            yield _once(gate, early * segment.price_minor)
        left = None if due.units is None else max(0, due.units - early)
        if left == 0:
            continue
        start = due.minute + early * due.step
        found = {"start": start, "rate": segment.price_minor, "interval": due.step}
        if left is not None and due.step:
            # The last minute at which a unit is due, and the exclusive end after it.
            last = start + (left - 1) * due.step
            found["end"] = min(last + due.step, _end_minute(tariff, segment, last))
        yield found


def _counts_elsewhere(tariff: SegmentTariff, window_minutes: int) -> bool:
    """True if an amount counts in another window of a cap than the one of its minute in GBFS."""
    gate, completed = _gate_minute(tariff), tariff.rounding is Rounding.COMPLETED
    if tariff.start_fee_minor and _start_minute(tariff) >= window_minutes:
        return True
    for segment in tariff.segments:
        if not segment.price_minor:
            continue
        due = _due(tariff, segment)
        early = _early_units(tariff, segment, due)
        for number in range(early):
            minute = due.minute + number * due.step
            is_first = number == 0 and _has_first_unit(tariff, segment)
            if is_first:
                begin = _base_minute(tariff) + segment.from_minute
                minute = begin + tariff.first_use_minutes if completed else begin
            # A completed unit counts a microsecond before its end, and a one-time price at once.
            at_minute = minute - 1 if completed and due.step else minute
            if at_minute // window_minutes != gate // window_minutes:
                return True
        if completed and due.step and _meets_an_end(due, early, window_minutes):
            return True
    return False


def _meets_an_end(due: _Due, early: int, window_minutes: int) -> bool:
    """True if a unit after the early ones is due at the end of a window."""
    # The minutes of units repeat within the windows after so many units.
    several = window_minutes // math.gcd(due.step, window_minutes)
    left = several if due.units is None else min(several, due.units - early)
    start = due.minute + early * due.step
    return any((start + it * due.step) % window_minutes == 0 for it in range(left))


def _first(tariff: SegmentTariff) -> int:
    return min(it.from_minute for it in tariff.segments)


def _end_minute(tariff: SegmentTariff, segment: Segment, last: int) -> int:
    """The exclusive end of a segment in GBFS: after the last minute at which a unit is due."""
    if segment.to_minute is None or tariff.rounding is Rounding.COMPLETED:
        return last + 1
    return _base_minute(tariff) + segment.to_minute


def _once(minute: int, price_minor: int) -> dict[str, Any]:
    return {"start": minute, "rate": price_minor, "interval": 0}


def _due(tariff: SegmentTariff, segment: Segment) -> _Due:
    """The units of a segment, as if nothing delayed the first ones."""
    begin, step = _base_minute(tariff) + segment.from_minute, segment.interval_minutes
    if not step:
        return _Due(begin, 0, 1)
    length = None if segment.to_minute is None else segment.to_minute - segment.from_minute
    if tariff.rounding is Rounding.COMPLETED:
        return _Due(begin + step, step, None if length is None else length // step)
    return _Due(begin, step, None if length is None else -(-length // step))


def _units_until(due: _Due, minute: int) -> int:
    """The units that are due by a minute that delays them, the minute included; 0 without one."""
    if not minute or due.minute > minute:
        return 0
    units = (minute - due.minute) // due.step + 1 if due.step else 1
    return units if due.units is None else min(units, due.units)


def _early_units(tariff: SegmentTariff, segment: Segment, due: _Due) -> int:
    """The units of a segment that are charged together at the gate minute."""
    early = _units_until(due, _gate_minute(tariff))
    # The first unit is due at the first use, whatever the rounding.
    return max(early, 1) if _has_first_unit(tariff, segment) else early


def _has_first_unit(tariff: SegmentTariff, segment: Segment) -> bool:
    """True if the first unit of a segment is charged at the first use."""
    is_first = segment.from_minute == _first(tariff)
    return bool(tariff.first_use_minutes and segment.interval_minutes and is_first)


def _key(it: dict[str, Any]) -> tuple[int, int, int]:
    return it["start"], it["interval"], it["rate"]


def json_of(value: Any) -> str:
    """The JSON text of a feed, with two spaces a level.

    Decimals are written as numbers with their digits, never by way of a float.
    """
    return _written(value, "")


def _written(value: Any, indent: str) -> str:
    inner = f"{indent}  "
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict) and value:
        parts = [f"{inner}{_text(key)}: {_written(it, inner)}" for key, it in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        parts = [f"{inner}{_written(it, inner)}" for it in value]
        return "[\n" + ",\n".join(parts) + f"\n{indent}]"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
