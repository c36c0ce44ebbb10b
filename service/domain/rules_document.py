"""Reads and writes the rules of a policy: the sections of its document, and the stored JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from service.domain.breaker_document import read_breakers, write_breakers
from service.domain.budget_document import read_budgets
from service.domain.condition_document import read_conditions
from service.domain.document_fields import (
    CATEGORY,
    MOST_MINOR,
    MOST_SCORE,
    Fields,
    require_none,
)
from service.domain.documents import canonical
from service.domain.errors import Violation
from service.domain.rules import Counted, CutOff, NewUser, Of, Outcome, Over, Rules, Rung, Velocity
from service.domain.signal_document import read_signals, write_signals
from service.domain.tariff import DAY_US

MOST_TABLES = 100
"""The most tables of one section."""
MOST_RENTALS = 1_000_000
MOST_DAYS = 3_650
SHARE_BP = 10_000
THEN = (Outcome.FULL, Outcome.REVIEW, Outcome.DECLINE)
MILDEST_OFFERS = (Outcome.REDUCED, Outcome.FULL)


class Section(NamedTuple):
    """One member of `Rules`, which has the section's key.

    `read` takes the document's keys, and whether the policy is the platform's; it returns None if
    the document lacks the section. `write` returns what `read` takes.
    """

    key: str
    read: Callable[[Fields, bool], Any]
    write: Callable[[Any], object]


def read_rules(fields: Fields, *, platform: bool) -> Rules | None:
    """The rules of a document; None if it has none. Faults are noted in `fields`."""
    found = {it.key: it.read(fields, platform) for it in SECTIONS}
    rules = Rules(**{key: value for key, value in found.items() if value is not None})
    return None if rules == Rules() else rules


def write_rules(rules: Rules | None) -> dict[str, object]:
    """The sections of a document with these rules."""
    if rules is None:
        return {}
    return {
        it.key: it.write(value) for it in SECTIONS if (value := getattr(rules, it.key)) is not None
    }


def rules_of_json(text: str) -> Rules:
    """The rules of a stored text. Raises InvalidInput if the text makes no sense."""
    try:
        document = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        document = None
    faults: list[Violation] = []
    fields = Fields(document, faults)
    # Which policy may have which rules was checked when the row was written.
    rules = read_rules(fields, platform=True)
    fields.end()
    require_none(faults)
    return rules or Rules()


def json_of_rules(rules: Rules | None) -> str | None:
    """The text to store: canonical JSON; None without rules."""
    return None if rules is None else canonical(write_rules(rules))


def _read_cut_offs(fields: Fields, _platform: bool) -> tuple[CutOff, ...] | None:
    found: list[CutOff] = []
    for row in fields.tables("cut_off", MOST_TABLES):
        cut_off = CutOff(
            row.text("category", CATEGORY),
            row.whole("zero_from_score", -MOST_SCORE, MOST_SCORE),
            row.whole("reduced_from_score", -MOST_SCORE, MOST_SCORE),
            row.maybe_whole("reduced_credit_share_bp", 0, SHARE_BP),
        )
        require_order(row, cut_off.zero_from_score, cut_off.reduced_from_score)
        if cut_off.category in [it.category for it in found]:
            row.fault("category", "repeated", "has two cut-offs: remove one")
        row.end()
        found.append(cut_off)
    return tuple(sorted(found, key=lambda it: it.category)) or None


def require_order(fields: Fields, zero_from_score: int, reduced_from_score: int) -> None:
    """Notes a fault if the cut-offs are in the wrong order."""
    if zero_from_score < reduced_from_score:
        text = "must be at least reduced_from_score, because it is the stricter cut-off"
        fields.fault("zero_from_score", "below_reduced", text)


def _read_ladder(fields: Fields, _platform: bool) -> tuple[Rung, ...] | None:
    found: list[Rung] = []
    for row in fields.tables("ladder", MOST_TABLES):
        found.append(
            Rung(
                row.whole("from_score", -MOST_SCORE, MOST_SCORE),
                row.whole("credit_share_bp", 0, SHARE_BP),
            )
        )
        row.end()
    found.sort(reverse=True)
    for higher, lower in pairwise(found):
        if higher.from_score == lower.from_score:
            text = f"has two steps from the score {lower.from_score}: remove one"
            fields.fault("ladder", "repeated", text)
        elif higher.credit_share_bp <= lower.credit_share_bp:
            text = (
                f"asks at least as much cash from the score {higher.from_score} on as from"
                f" {lower.from_score} on: a higher score must have a higher credit_share_bp"
            )
            fields.fault("ladder", "falls", text)
    return tuple(found) or None


def _read_velocity(fields: Fields, platform: bool) -> tuple[Velocity, ...] | None:
    found: list[Velocity] = []
    for row in fields.tables("velocity", MOST_TABLES):
        rule = Velocity(
            Of(row.choice("of", Of)),
            Counted(row.choice("counted", Counted)),
            row.whole("most", 0, MOST_RENTALS),
            Outcome(row.choice("then", THEN)),
            _read_over(row, platform),
        )
        _require_quiet(row, rule.over, rule.then)
        row.end()
        found.append(rule)
    return tuple(found) or None


def _read_new_user(fields: Fields, platform: bool) -> NewUser | None:
    if not fields.has("new_user"):
        return None
    row = Fields(fields.take("new_user"), fields.faults, "new_user")
    days = row.maybe_whole("until_days", 1, MOST_DAYS)
    new = NewUser(
        row.maybe_whole("until_settled", 1, MOST_RENTALS),
        None if days is None else days * DAY_US,
        Outcome(row.choice("mildest_offer", MILDEST_OFFERS)) if row.has("mildest_offer") else None,
        row.maybe_whole("most_waived_minor", 0, MOST_MINOR),
        row.maybe_whole("most_open", 0, MOST_RENTALS),
        Outcome(row.choice("then", THEN, Outcome.DECLINE)),
        _read_over(row, platform),
    )
    if new.until_settled is None and new.until_us is None:
        text = "or until_days is needed: without both nobody is new"
        row.fault("until_settled", "missing", text)
    if new.mildest_offer is None and new.most_waived_minor is None and new.most_open is None:
        text = "or most_waived_minor or most_open is needed: the rule has no consequence"
        row.fault("mildest_offer", "missing", text)
    if new.most_open is not None:
        _require_quiet(row, new.over, new.then)
    row.end()
    return new


def _read_over(row: Fields, platform: bool) -> Over:
    over = Over(row.choice("over", Over, Over.OPERATOR))
    if over is Over.ALL_OPERATORS and not platform:
        text = "counts rentals of other operators, which only a policy of the platform may do"
        row.fault("over", "platform_only", text)
    return over


def _require_quiet(row: Fields, over: Over, then: Outcome) -> None:
    """Notes a fault if the outcome would tell an operator of rentals of other operators."""
    if over is Over.ALL_OPERATORS and then is not Outcome.FULL:
        text = (
            "must be FULL if rentals of all operators count: an operator may learn no more than"
            " from an exhausted credit line"
        )
        row.fault("then", "tells_of_others", text)


def _write_tables(rows: tuple[Any, ...]) -> object:
    return [_without_defaults(row) for row in rows]


def _write_new_user(new: NewUser) -> object:
    written = _without_defaults(new)
    until_us = written.pop("until_us", None)
    if until_us is not None:
        written["until_days"] = until_us // DAY_US
    return written


def _without_defaults(row: Any) -> dict[str, Any]:
    """The fields of a record, except those that have their defaults."""
    usual = row._field_defaults
    named = row._asdict().items()
    return {name: value for name, value in named if name not in usual or value != usual[name]}


SECTIONS = (
    Section("cut_off", _read_cut_offs, _write_tables),
    Section("ladder", _read_ladder, _write_tables),
    Section("velocity", _read_velocity, _write_tables),
    Section("new_user", _read_new_user, _write_new_user),
    Section("condition", read_conditions, _write_tables),
    Section("signal", read_signals, write_signals),
    Section("budget", read_budgets, _write_tables),
    Section("breaker", read_breakers, write_breakers),
)
"""The sections of all rules, in the order of the members of `Rules`."""
