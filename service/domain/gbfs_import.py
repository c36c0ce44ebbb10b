"""A pricing plan of GBFS (`system_pricing_plans`, versions 3.0 and 3.1-RC3) as a tariff.

A plan's intervals are charged as they start, so the tariff is STARTED. A plan has no buy-out, so it
is given beside the plan. The price of a reservation becomes that of the tariff; the policy bounds
its time. Refused, with the reason: prices by distance, taxes that are added, discounts, amounts
that are no whole minor units, and two prices of a reservation. Noted: a surge, and texts that a
tariff does not keep.

Source: General Bikeshare Feed Specification, `gbfs.md`, section `system_pricing_plans.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from service.domain.currencies import exponent_of, minor_of_decimal
from service.domain.document_fields import CURRENCY, NAME
from service.domain.documents import table_of_json
from service.domain.errors import InvalidInput, Violation
from service.domain.segment_tariff import Rounding
from service.domain.tariff_document import TariffDocument, read_tariff

GBFS_WRONG = "GBFS_WRONG"
"""The reason of the error that lists the faults of a feed."""
VERSIONS = ("3.0", "3.1-RC3")
KEPT = frozenset({
    "plan_id", "currency", "price", "is_taxable", "per_min_pricing", "per_km_pricing",
    "surge_pricing", "fare_capping", "reservation_price_per_min", "reservation_price_flat_rate",
})  # fmt: skip


class Imported(NamedTuple):
    """A tariff from a plan, and what of the plan it does not say."""

    document: TariffDocument
    notes: tuple[str, ...]


def plans_of_text(text: str) -> dict[str, Any]:
    """The plans of a feed, by their ids. Raises InvalidInput (GBFS_WRONG) for a wrong feed."""
    try:
        feed = table_of_json(text, Decimal)
    except InvalidInput as error:
        said = error.violations[0].description
        raise _wrong([Violation("feed", "gbfs.json", said)]) from None
    except InvalidOperation:
        said = "has a number that is too large"
        raise _wrong([Violation("feed", "gbfs.json", said)]) from None
    data = feed.get("data")
    plans = data.get("plans") if isinstance(data, dict) else None
    if not isinstance(plans, list) or not plans or not all(isinstance(it, dict) for it in plans):
        text = "must be a list of at least one plan, as in system_pricing_plans.json"
        raise _wrong([Violation("data.plans", "gbfs.plans", text)])
    version = feed.get("version")
    if version not in VERSIONS:
        text = f"must be one of {', '.join(VERSIONS)}, and is {version}"
        raise _wrong([Violation("version", "gbfs.version", text)])
    found: dict[str, Any] = {}
    for place, plan in enumerate(plans):
        plan_id = plan.get("plan_id")
        if not isinstance(plan_id, str) or plan_id in found:
            text = "must be a text that no other plan has"
            raise _wrong([Violation(f"data.plans[{place}].plan_id", "gbfs.plan_id", text)])
        found[plan_id] = plan
    return found


def tariff_of_plan(plan: Mapping[str, Any], buy_out_minor: int, name: str = "") -> Imported:
    """The tariff of a plan, named `name` or else by the plan's id.

    Raises InvalidInput: GBFS_WRONG with every key that is wrong or cannot be expressed, or
    TERMS_WRONG if the result breaks a rule of tariffs.
    """
    reader = _Reader(plan)
    table = reader.table(buy_out_minor, name)
    if reader.faults:
        raise _wrong(reader.faults)
    return Imported(read_tariff(table), tuple(reader.notes))


def _wrong(faults: list[Violation]) -> InvalidInput:
    return InvalidInput(faults, GBFS_WRONG)


class _Reader:
    """Reads one plan, and collects its faults and notes."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.plan = plan
        self.faults: list[Violation] = []
        self.notes: list[str] = []
        self.currency = self._text("currency", CURRENCY.fullmatch)
        try:
            exponent_of(self.currency)
        except InvalidInput as error:
            self.faults += error.violations

    def table(self, buy_out_minor: int, name: str) -> dict[str, Any]:
        """The tariff's document; with faults it is not complete."""
        plan = self.plan
        table: dict[str, Any] = {
            "name": name or self._text("plan_id", NAME.fullmatch),
            "currency": self.currency,
            "rounding": str(Rounding.STARTED),
            "start_fee_minor": self._minor("price", plan.get("price")),
            "buy_out_minor": buy_out_minor,
        }
        if plan.get("is_taxable") is not False:
            text = "must be false: prices in Freehold include taxes, and none is added"
            self._fault("is_taxable", "taxable", text)
        if plan.get("per_km_pricing"):
            text = "cannot be expressed: Freehold bills time, and knows no distance"
            self._fault("per_km_pricing", "not_expressible", text)
        self._reservation(table)
        segments = self._list("per_min_pricing")
        if segments:
            table["segment"] = [self._segment(place, it) for place, it in enumerate(segments)]
        if plan.get("fare_capping") is not None:
            table["cap"] = [self._cap(plan["fare_capping"])]
        self._note()
        return table

    def _reservation(self, table: dict[str, Any]) -> None:
        """Adds the price of a reservation, which GBFS gives by the minute or once."""
        kinds = (("reservation_price_per_min", 1), ("reservation_price_flat_rate", 0))
        for key, interval_minutes in kinds:
            price_minor = self._minor(key, self.plan[key]) if key in self.plan else 0
            if not price_minor:
                continue
            if "reservation" in table:
                text = "must not be combined with reservation_price_per_min"
                self._fault(key, "two_prices", text)
            price = {"interval_minutes": interval_minutes, "price_minor": price_minor}
            table["reservation"] = price

    def _note(self) -> None:
        if self.plan.get("surge_pricing"):
            self.notes.append(
                "surge_pricing is true: the plan's present prices are raised, and the tariff has"
                " them for good"
            )
        left_out = sorted(set(self.plan) - KEPT)
        if left_out:
            self.notes.append(f"a tariff does not keep {', '.join(left_out)}")

    def _segment(self, place: int, it: Any) -> dict[str, Any]:
        path = f"per_min_pricing[{place}]"
        if not isinstance(it, dict):
            self._fault(path, "segment", "must be a segment with start, rate and interval")
            return {}
        segment = {
            "from_minute": self._whole(f"{path}.start", it.get("start")),
            "interval_minutes": self._whole(f"{path}.interval", it.get("interval")),
            "price_minor": self._minor(f"{path}.rate", it.get("rate")),
        }
        if it.get("end") is not None:
            segment["to_minute"] = self._whole(f"{path}.end", it["end"])
        return segment

    def _cap(self, it: Any) -> dict[str, Any]:
        if not isinstance(it, dict):
            self._fault("fare_capping", "cap", "must have duration and price")
            return {}
        return {
            "window_minutes": self._whole("fare_capping.duration", it.get("duration")),
            "most_minor": self._minor("fare_capping.price", it.get("price")),
        }

    def _text(self, key: str, matches: Any) -> str:
        value = self.plan.get(key)
        if not isinstance(value, str) or not matches(value):
            self._fault(key, "form", "is missing or has characters that a name cannot have")
            return ""
        return value

    def _list(self, key: str) -> list[Any]:
        value = self.plan.get(key, [])
        if not isinstance(value, list):
            self._fault(key, "list", "must be a list of segments")
            return []
        return value

    def _whole(self, path: str, value: Any) -> int:
        """A number of minutes. JSON may write a whole number as 30.0."""
        number = minor_of_decimal(value, "JPY") if _is_number(value) else None
        if number is None or number < 0:
            self._fault(path, "whole", "must be a whole number from 0 up")
            return 0
        return number

    def _minor(self, path: str, value: Any) -> int:
        if not _is_number(value):
            self._fault(path, "number", f"must be an amount of {self.currency}")
            return 0
        if value < 0:
            text = "is a discount: a fee in Freehold never falls as time goes on"
            self._fault(path, "negative", text)
            return 0
        try:
            minor = minor_of_decimal(value, self.currency)
        except InvalidInput:
            return 0
        if minor is None:
            text = f"{value} is no whole number of minor units of {self.currency}"
            self._fault(path, "minor_units", text)
        return minor or 0

    def _fault(self, path: str, rule: str, text: str) -> None:
        self.faults.append(Violation(path, f"gbfs.{rule}", text))


def _is_number(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) and not isinstance(value, bool)
