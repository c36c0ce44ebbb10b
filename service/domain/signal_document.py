"""Reads and writes the section `[[signal]]` of a policy's document."""

from __future__ import annotations

from service.domain.document_fields import Fields
from service.domain.rules import Outcome, Signal, SignalRule
from service.domain.tariff import DAY_US, MINUTE_US

MOST_SIGNALS = 16
MOST_COUNTED = 10_000
MOST_DAYS = 90
MOST_WITHIN_MINUTES = 24 * 60
THEN = (Outcome.FULL, Outcome.REVIEW, Outcome.DECLINE)


def read_signals(fields: Fields, _platform: bool) -> tuple[SignalRule, ...] | None:
    """The signals in their order; None without any. Faults are noted in `fields`."""
    found: list[SignalRule] = []
    for row in fields.tables("signal", MOST_SIGNALS):
        signal = Signal(row.choice("signal", Signal))
        most = row.whole("most", 0, MOST_COUNTED)
        days = row.whole("days", 1, MOST_DAYS)
        then = Outcome(row.choice("then", THEN))
        within = row.maybe_whole("within_minutes", 1, MOST_WITHIN_MINUTES)
        needed = signal is Signal.IMPLAUSIBLE_RETURNS
        if needed and within is None:
            text = "is missing: the minutes in which nobody gets to another station"
            row.fault("within_minutes", "missing", text)
        if within is not None and not needed:
            row.fault("within_minutes", "unused", f"is only for {Signal.IMPLAUSIBLE_RETURNS}")
        if signal in [it.signal for it in found]:
            row.fault("signal", "repeated", f"{signal} has two bounds: remove one")
        row.end()
        within_us = None if within is None else within * MINUTE_US
        found.append(SignalRule(signal, most, days * DAY_US, then, within_us))
    return tuple(found) or None


def write_signals(rules: tuple[SignalRule, ...]) -> object:
    """The tables of the section."""
    written = []
    for it in rules:
        row: dict[str, object] = {
            "signal": str(it.signal),
            "most": it.most,
            "days": it.window_us // DAY_US,
            "then": str(it.then),
        }
        if it.within_us is not None:
            row["within_minutes"] = it.within_us // MINUTE_US
        written.append(row)
    return written
