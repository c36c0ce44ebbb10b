"""Checks the captures and corrections of a portion against their authorizations and entries.

A capture of an earlier build may have no row. So the rows never have more than the entries, and
each authorization has the number of its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from service.books import expectations as e
from service.books.authorizations import Attribution, Check, of_transitions
from service.books.columns import Columns, add_up
from service.books.faults import Array, Faults, Place
from service.books.portion import PURPOSES, TRANSITIONS, Portion, Stage
from service.domain.captures import Purpose
from service.domain.transitions import Transition as T
from service.engine.records.captures import digest_of

_PURPOSE_NAMES, _TRANSITION_NAMES = list(PURPOSES), list(TRANSITIONS)
_FEE = PURPOSES[Purpose.FEE]
_CAPTURING = of_transitions(e.CAPTURING)
_ALLOWED: Final = {
    (TRANSITIONS[transition], *kind) for transition, kinds in e.CORRECTING.items() for kind in kinds
}
_REOPENED: Final = TRANSITIONS[T.CHARGE_BACK_REOPENED]
_OF_DEBTS: Final = {TRANSITIONS[transition] for transition in e.CORRECTING_DEBTS}
_CAPTURE_VALUES = (
    *("authorization_id", "number", "purpose", "amount_minor", "business_reference"),
    *("authorization_version", "event_us", "record_us"),
)
_CORRECTION_VALUES = (
    *("authorization_id", "number", "transition", "capture", "amount_minor", "conceded_minor"),
    *("disputed_minor", "business_reference", "reason", "authorization_version"),
    *("event_us", "record_us"),
)
"""The columns that each digest covers, in their order."""


def check(portion: Portion, moved: Attribution, faults: Faults) -> None:
    """Notes captures and corrections that differ from their authorization or its entries."""
    captures = _Rows(portion, portion.captures, "captures", Stage.CAPTURE_ROWS, faults)
    corrections = _Rows(portion, portion.corrections, "corrections", Stage.CORRECTION_ROWS, faults)
    events = _Events(portion)
    if captures.count:
        it = captures.it
        captures.check_rows(it["purpose"], _PURPOSE_NAMES, _CAPTURE_VALUES)
        transition, event_us = events.of(captures.named, it["authorization_version"])
        told = _CAPTURING[transition] & (event_us == it["event_us"])
        captures.note(~told, "no event records this")
        more = _more(captures.named, transition, it, it["amount_minor"], moved, "captured_minor")
        captures.note(more, "the entries captured less")
    if corrections.count:
        it = corrections.it
        corrections.check_rows(it["transition"], _TRANSITION_NAMES, _CORRECTION_VALUES)
        corrections.note(~_allowed(it), "this transition never makes such a correction")
        transition, event_us = events.of(corrections.named, it["authorization_version"])
        told = (transition == it["transition"]) & (event_us == it["event_us"])
        corrections.note(~told, "no event records this")
        given = it["conceded_minor"]
        more = _more(corrections.named, transition, it, given, moved, "conceded_minor")
        corrections.note(more, "the entries conceded less")
    if portion.authorizations.count:
        _check_authorizations(portion, captures, corrections, faults)
    _check_conceded(captures, corrections)


class _Rows:
    """The rows of one of the two tables, with the authorization of each."""

    def __init__(
        self, portion: Portion, it: Columns, table: str, stage: Stage, faults: Faults
    ) -> None:
        self.it, self.count, self._table = it, it.count, table
        self._portion, self._stage, self._faults = portion, stage, faults
        self.named = portion.authorizations_named(it)
        self._people: list[int] = []
        self._order = 0

    def note(self, wrong: Array, detail: str, stage: Stage | None = None) -> None:
        """Notes the rows that break a rule; each call is for the next rule."""
        self._order += 1
        order, it = self._order, self.it

        def place(index: int) -> Place:
            self._people = self._people or self._portion.people_of(it).tolist()
            return (self._people[index], stage or self._stage, index, order)

        def row(index: int) -> str:
            key = (it["user_id"][index], it["authorization_id"][index], it["number"][index])
            return "/".join((self._table, *map(str, key)))

        self._faults.note("CAPTURE", wrong, place, row, detail)

    def check_rows(self, codes: Array, names: Sequence[str], covered: Sequence[str]) -> None:
        """Notes rows of no authorization, out of order, or changed since they were written."""
        it, named = self.it, self.named
        self.note(named < 0, "the authorization is missing")
        first = np.ones(it.count, dtype=bool)
        ids = list(zip(it["user_id"], it["authorization_id"], strict=True))
        first[1:] = [one != other for one, other in zip(ids[1:], ids[:-1], strict=True)]
        begins = np.flatnonzero(first)
        place = np.arange(it.count) - np.repeat(begins, np.diff(begins, append=it.count)) + 1
        self.note(it["number"] != place, "not the next number")
        self.note(it["amount_minor"] <= 0, "not more than zero")
        name = "purpose" if "purpose" in covered else "transition"
        texts = {name: [names[code] for code in codes.tolist()]}
        columns = [texts[one] if one in texts else _plain(it[one]) for one in covered]
        made = [digest_of(*values) for values in zip(*columns, strict=True)]
        pairs = zip(made, it["digest"], strict=True)
        changed = np.array([one != other for one, other in pairs], dtype=bool)
        self.note(changed, "changed since it was written")

    def sums(self, values: Array, where: Array | None = None) -> Array:
        """The sum of the values for each authorization."""
        some = self.named >= 0 if where is None else (self.named >= 0) & where
        return add_up(self.named[some], values[some], self._portion.authorizations.count)


def _plain(column: Any) -> Iterable[Any]:
    """A column as plain values."""
    values: Iterable[Any] = column.tolist() if isinstance(column, np.ndarray) else column
    return values


class _Events:
    """The events of a portion's authorizations, by version."""

    def __init__(self, portion: Portion) -> None:
        events = portion.events
        named = portion.authorizations_named(events)
        self._of = np.flatnonzero(named >= 0)
        at = named[self._of]
        count = portion.authorizations.count
        self._counts = np.bincount(at, minlength=count) if count else np.zeros(0, dtype=np.int64)
        self._first = np.full(count, 0, dtype=np.int64)
        places, first = np.unique(at, return_index=True)
        self._first[places] = first
        self._transition = events["transition"][self._of] if len(self._of) else self._of
        self._event_us = events["event_us"][self._of] if len(self._of) else self._of

    def of(self, named: Array, version: Array) -> tuple[Array, Array]:
        """The transition and the instant of the event of each version.

        If a version has no event, the instant is -1, and the transition means nothing.
        """
        if not len(self._of):
            nothing = np.zeros(len(named), dtype=np.int64)
            return nothing, nothing - 1
        known = np.where(named >= 0, named, 0)
        there = (named >= 0) & (version >= 1)
        there = there & (version <= (self._counts[known] if len(self._counts) else 0))
        step = np.where(there, version - 1, 0).astype(np.int64)
        place = np.where(there, self._first[known], 0) + step
        return self._transition[place], np.where(there, self._event_us[place], -1)


def _more(
    named: Array, transition: Array, it: Columns, amount: Array, moved: Attribution, name: str
) -> Array:
    """True for rows with a larger sum than the entries of the same instant."""
    keys = list(zip(named.tolist(), transition.tolist(), it["event_us"].tolist(), strict=True))
    told: Counter[tuple[int, int, int]] = Counter()
    for key, amount_minor in zip(keys, amount.tolist(), strict=True):
        told[key] += amount_minor
    told.subtract(moved.changes(name))
    return np.array([told[key] > 0 for key in keys], dtype=bool)


def _allowed(it: Columns) -> Array:
    """True for corrections that their transition may have."""
    names = ("transition", "capture", "amount_minor", "conceded_minor", "disputed_minor")
    kinds = []
    for transition, capture, amount, conceded, disputed in zip(
        *(it[name].tolist() for name in names), strict=True
    ):
        sign = (disputed > 0) - (disputed < 0)
        if transition == _REOPENED:
            conceded = -conceded
        whole = conceded in (0, amount) and abs(disputed) <= amount
        of_debt = not (capture or conceded or sign) and transition in _OF_DEBTS
        kinds.append(of_debt or (whole and (transition, conceded > 0, sign) in _ALLOWED))
    return np.array(kinds, dtype=bool)


def _check_authorizations(
    portion: Portion, captures: _Rows, corrections: _Rows, faults: Faults
) -> None:
    """The rows of each authorization add up to what is stored there."""
    it, found = portion.authorizations, Check(portion, Stage.CAPTURED, faults)
    one = np.ones(captures.count, dtype=np.int64), np.ones(corrections.count, dtype=np.int64)
    for rows, ones, name in ((captures, one[0], "captures"), (corrections, one[1], "corrections")):
        there = rows.sums(ones)
        found.note("CAPTURES", there != it[name], _differ(f"rows of {name}", there, it[name]))
    amounts = captures.sums(captures.it["amount_minor"]) if captures.count else 0 * it["captures"]
    found.note("CAPTURES", amounts > it["captured_minor"], "the rows have more captured")
    other = 0 * it["captures"]
    if captures.count:
        other = captures.sums(captures.it["amount_minor"], captures.it["purpose"] != _FEE)
    stored = it["other_captured_minor"]
    found.note(
        "CAPTURES",
        other != stored,
        _differ("captured for other purposes than the fee", other, stored),
    )
    for name in ("conceded_minor", "disputed_minor"):
        told = captures.sums(captures.it[name]) if captures.count else 0 * it["captures"]
        found.note("CAPTURES", told > it[name], f"{name}: the rows have more")
    found.note("CAPTURES", it["uncollected_minor"] < 0, "uncollected_minor is negative")


def _differ(what: str, there: Array, stored: Array) -> Callable[[int], str]:
    return lambda index: f"{what}: there are {there[index]}, stored {stored[index]}"


def _check_conceded(captures: _Rows, corrections: _Rows) -> None:
    """The conceded and the disputed amount of each capture are the sums of its corrections."""
    sums: dict[str, Counter[tuple[int, int]]] = {}
    numbers: set[tuple[int, int]] = set()
    if captures.count:
        numbers = set(zip(captures.named.tolist(), captures.it["number"].tolist(), strict=True))
    keys: list[tuple[int, int]] = []
    if corrections.count:
        it = corrections.it
        keys = list(zip(corrections.named.tolist(), it["capture"].tolist(), strict=True))
        absent = [number != 0 and (of, number) not in numbers for of, number in keys]
        corrections.note(np.array(absent, dtype=bool), "the capture is missing", Stage.CITED)
        for name in ("conceded_minor", "disputed_minor"):
            sums[name] = Counter()
            for key, amount_minor in zip(keys, it[name].tolist(), strict=True):
                sums[name][key] += amount_minor
    if not captures.count:
        return
    it = captures.it
    own = list(zip(captures.named.tolist(), it["number"].tolist(), strict=True))
    for name in ("conceded_minor", "disputed_minor"):
        told = sums.get(name, Counter())
        pairs = zip(own, it[name].tolist(), strict=True)
        wrong = [told[key] != minor for key, minor in pairs]
        captures.note(
            np.array(wrong, dtype=bool), f"{name}: the corrections differ", Stage.CONCEDED
        )
    over = it["conceded_minor"] + it["disputed_minor"] > it["amount_minor"]
    captures.note(over, "more is given up than was captured", Stage.CONCEDED)
