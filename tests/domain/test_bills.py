"""Plays the bills that were worked by hand (`bills.toml`): sums, lines in both languages."""

from __future__ import annotations

import tomllib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service.domain.hold import lost_after_us
from service.domain.meter import Meter
from service.domain.metered import fee_between
from service.domain.receipt_texts import text_of
from service.domain.segment_tariff import SegmentTariff
from service.domain.tariff import Fee, fee, reaches_us
from service.domain.tariff_document import read_tariff

DOCUMENT = tomllib.loads(Path(__file__).with_name("bills.toml").read_text("utf-8"))
TARIFFS = {name: read_tariff({"name": name, **table}) for name, table in DOCUMENT["tariff"].items()}
START = "2026-03-02T08:00:00+08:00"
"""The start of a bill for which the clock does not matter: a Monday morning in Shanghai."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def duration_us(text: str) -> int:
    """A duration such as 26:30:00.000001, in microseconds."""
    hours, minutes, seconds = text.split(":")
    whole, _, rest = seconds.partition(".")
    full_s = (int(hours) * 60 + int(minutes)) * 60 + int(whole)
    return full_s * 1_000_000 + int(rest.ljust(6, "0") or 0)


def instant_us(text: str) -> int:
    """A local time with its offset from UTC, in microseconds since the epoch."""
    return (datetime.fromisoformat(text) - EPOCH) // MICROSECOND


class Bill(NamedTuple):
    """One bill; instants are microseconds since the epoch."""

    tariff: SegmentTariff
    start_us: int
    end_us: int
    pauses: tuple[tuple[int, int], ...]
    sum_minor: int
    lines: list[list[Any]]
    lost_us: int | None
    reserved_us: int
    quota_minutes: int
    of_pass: tuple[int, int]
    """The minutes of a pass, and its percent."""

    def fee(self) -> Fee:
        """The fee of the code under test."""
        if self.quota_minutes or any(self.of_pass):
            minutes, percent = self.of_pass
            meter = Meter(quota_minutes=self.quota_minutes, pass_minutes=minutes)
            meter = meter._replace(pass_percent=percent)
            return fee_between(self.tariff, self.start_us, self.end_us, meter)
        until = [min(until_us, self.end_us) - from_us for from_us, until_us in self.pauses]
        return fee(
            self.tariff,
            self.start_us,
            self.end_us,
            paused_us=sum(until),
            pauses=self.pauses,
            reserved_us=self.reserved_us,
        )


def tariff_at(name: str, station: str) -> SegmentTariff:
    """The prices of a tariff at a station."""
    it = TARIFFS[name]
    return next((one.tariff for one in it.places if station in one.stations), it.tariff)


def bill_of(entry: dict[str, Any]) -> Bill:
    """The bill of an entry of the file."""
    start_us = instant_us(entry.get("start", START))
    end_us = instant_us(entry["end"]) if "end" in entry else start_us + duration_us(entry["lasts"])
    pauses = tuple(
        (start_us + duration_us(one), start_us + duration_us(other))
        for one, other in entry.get("pauses", ())
    )
    lost_us = start_us + duration_us(entry["lost"]) if "lost" in entry else None
    tariff, lines = tariff_at(entry["tariff"], entry.get("station", "")), entry["lines"]
    reserved_us = duration_us(entry.get("reserved", "0:00:00"))
    of_pass = entry.get("pass_minutes", 0), entry.get("pass_percent", 0)
    beside = lost_us, reserved_us, entry.get("quota_minutes", 0), of_pass
    return Bill(tariff, start_us, end_us, pauses, entry["sum_minor"], lines, *beside)


def name_of(entry: dict[str, Any]) -> str:
    """The name of a bill's test."""
    when = entry.get("lasts") or f"{entry['start']} to {entry['end']}"
    before = f" after {entry['reserved']}" if "reserved" in entry else ""
    where = f" at {entry['station']}" if "station" in entry else ""
    where += f" with {entry['quota_minutes']}" if "quota_minutes" in entry else ""
    where += f" less {entry['pass_percent']} %" if "pass_percent" in entry else ""
    return f"{entry['tariff']} {when}{' paused' if 'pauses' in entry else ''}{before}{where}"


BILLS = [pytest.param(bill_of(it), id=name_of(it)) for it in DOCUMENT["bill"]]


@pytest.mark.parametrize("it", BILLS)
def test_a_bill_has_its_sum_and_its_lines(it: Bill) -> None:
    """A bill's sum is the one worked by hand, and so is each line, in Chinese and in English."""
    found = it.fee()
    assert found.total_minor == it.sum_minor
    shown = []
    for line in found.lines:
        where = line.minutes, line.from_minute, line.times, line.place
        text = text_of(line.item, line.quantity, *where)
        shown.append([text.zh, text.en, line.amount_minor])
    assert shown == it.lines
    assert sum(line[2] for line in it.lines) == it.sum_minor


@pytest.mark.parametrize(
    "it",
    [
        it
        for it, entry in zip(BILLS, DOCUMENT["bill"], strict=True)
        if not {"quota_minutes", "pass_percent"} & entry.keys()
    ],
)
def test_the_instant_of_a_bill_is_exact(it: Bill) -> None:
    """The sum of a bill's usage is reached at its end or earlier, and more than it only later."""
    used_minor = it._replace(reserved_us=0).fee().total_minor
    reached_us = reaches_us(it.tariff, it.start_us, used_minor, pauses=it.pauses)
    assert reached_us is not None
    assert reached_us <= it.end_us
    more_us = reaches_us(it.tariff, it.start_us, used_minor + 1, pauses=it.pauses)
    assert more_us is None or more_us > it.end_us


def test_an_item_counts_as_lost_at_the_exact_instant() -> None:
    """The buy-out is reached at the instant of the file, and not a microsecond earlier."""
    lost = [it for it in map(bill_of, DOCUMENT["bill"]) if it.lost_us is not None]
    assert len(lost) >= 3
    for it in lost:
        assert it.end_us == it.lost_us
        assert lost_after_us(it.tariff, it.start_us) == it.lost_us - it.start_us
        earlier = it._replace(end_us=it.end_us - 1).fee()
        assert earlier.total_minor < it.tariff.buy_out_minor == it.sum_minor


def test_every_bill_names_its_source() -> None:
    """There are at least 40 different bills, and each names a source that the file explains."""
    named = Counter(it["source"] for it in DOCUMENT["bill"])
    assert len(set(map(name_of, DOCUMENT["bill"]))) == len(DOCUMENT["bill"]) >= 40
    assert set(named) == set(DOCUMENT["sources"])
    assert {it["tariff"] for it in DOCUMENT["bill"]} == set(DOCUMENT["tariff"])
    assert sum(count for source, count in named.items() if source != "worked by hand") >= 40
