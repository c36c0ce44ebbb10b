"""The section of signals in a policy's document."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.document_fields import Fields
from service.domain.errors import Violation
from service.domain.rules import Of, Outcome, Signal, SignalRule
from service.domain.rules_document import json_of_rules, read_rules, rules_of_json
from service.domain.signals import Suspect, Trace, judge_signals

MINUTE_US = 60_000_000
DAY_US = 24 * 60 * MINUTE_US
GOOD = {"signal": "DEVICE_SHARED", "most": 3, "days": 30, "then": "REVIEW"}
RETURNS = {"signal": "IMPLAUSIBLE_RETURNS", "most": 1, "days": 7, "then": "FULL"}


def test_signals_are_read_and_written() -> None:
    """A document's signals become rules, and their stored text becomes the same rules again."""
    faults: list[Violation] = []
    document = {"signal": [GOOD, {**RETURNS, "within_minutes": 3}]}
    rules = read_rules(Fields(document, faults), platform=False)
    assert faults == []
    assert rules is not None
    assert rules.signal == (
        SignalRule(Signal.DEVICE_SHARED, 3, 30 * DAY_US, Outcome.REVIEW),
        SignalRule(Signal.IMPLAUSIBLE_RETURNS, 1, 7 * DAY_US, Outcome.FULL, 3 * MINUTE_US),
    )
    assert rules_of_json(json_of_rules(rules) or "") == rules


@pytest.mark.parametrize(
    ("rows", "field", "kind"),
    [
        ([{**GOOD, "signal": "BAD_FEELING"}], "signal[0].signal", "choice"),
        ([{**GOOD, "then": "REDUCED"}], "signal[0].then", "choice"),
        ([{**GOOD, "days": 91}], "signal[0].days", "range"),
        ([{**GOOD, "most": -1}], "signal[0].most", "range"),
        ([{**GOOD, "within_minutes": 3}], "signal[0].within_minutes", "unused"),
        ([RETURNS], "signal[0].within_minutes", "missing"),
        ([GOOD, GOOD], "signal[1].signal", "repeated"),
        ([{**GOOD, "user": 1}], "signal[0].user", "unknown"),
    ],
)
def test_a_wrong_signal_is_named(rows: list[dict[str, Any]], field: str, kind: str) -> None:
    """Each fault of a signal is named with its path and its kind."""
    faults: list[Violation] = []
    read_rules(Fields({"signal": rows}, faults), platform=False)
    assert [(it.field, it.rule.rpartition(".")[2]) for it in faults] == [(field, kind)]


@pytest.mark.parametrize("days", [(1, 9), (9, 1)])
def test_of_several_windows_the_most_is_told(days: tuple[int, int]) -> None:
    """If the policies of a group count the same signal in several windows, the decision's record
    has the largest number, in whatever order the items stand."""
    rules = [SignalRule(Signal.ITEM_REPEATED, 5, it * DAY_US, Outcome.FULL) for it in days]
    order = Suspect("ann", ["bike-1"], {Of.USER: "ann"}, 0)
    earlier = Trace("ann", 8 * DAY_US, "bike-1", "", "", "", "", None, None, 0)
    hits, values = judge_signals(rules, order, {Of.USER: [earlier]}, 10 * DAY_US)
    assert (hits, values) == ([], {"signal.item_repeated": 2})
