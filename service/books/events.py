"""Checks the events of a portion: each version of an authorization has one event, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from service.books import expectations as e
from service.books.authorizations import Check, of_transitions, sooner
from service.books.columns import Columns, Maybe, last_of
from service.books.faults import Array, Faults, Found, Place
from service.books.fee_stops import stopped_us
from service.books.portion import (
    MISSING,
    NONE,
    STANDINGS,
    STARTS,
    TRANSITIONS,
    Portion,
    Stage,
)
from service.books.texts import empty
from service.domain.authorization import CLOSED, Start, State
from service.domain.dunning import LADDER, Rung
from service.domain.ledger import Standing
from service.domain.transitions import Transition as T

_AFTER: Final = np.array(
    [[state in e.STATES_AFTER.get(transition, ()) for state in State] for transition in T],
    dtype=bool,
)
_TELLS_STATE = of_transitions(e.STATES_AFTER)
_CLOSES = of_transitions({it for it, states in e.STATES_AFTER.items() if states <= CLOSED})
_RUNGS = list(Rung)
_CLIMBED = of_transitions(e.CLIMBED)
_CLIMBED_TO = np.array(
    [_RUNGS.index(e.CLIMBED[it]) if it in e.CLIMBED else NONE for it in T], dtype=np.int64
)
_RUNG_OF = np.array([NONE, *(_RUNGS.index(step.rung) for step in LADDER)], dtype=np.int64)
_CLAIMS = of_transitions({T.RETURN_CLAIMED, T.RETURN_CONTESTED, T.APPEARED})
_STOPS_THE_FEE = of_transitions({T.RETURN_CLAIMED, T.APPEARED})
_BEGINS = of_transitions({T.ACTIVE, T.STARTED})
_CALLS = ~of_transitions(e.NO_CALLS)
_TRANSFERRED = of_transitions(e.TRANSFERRED)
_BY_TIME, _PAID_OUT = TRANSITIONS[T.PAID_OUT_BY_TIME], TRANSITIONS[T.PAID_OUT]
_LOST, _EXTENDED, _AUTHORIZED = (TRANSITIONS[it] for it in (T.LOST, T.EXTENDED, T.AUTHORIZED))
_SETTLES = of_transitions({T.SETTLED, T.HANDED_OVER, T.CANCELLED})
_STANDING_SET = of_transitions({T.STANDING_SET})
_LIMIT_FIXED = of_transitions({T.LIMIT_SET, T.WRITTEN_OFF})

Words = tuple[Array, Array, Array]
"""An authorization, the code of a transition, and an instant."""


class Story:
    """The history of a portion's authorizations, by their events."""

    def __init__(self, portion: Portion) -> None:
        self._portion = portion
        events = portion.events
        self._named = portion.authorizations_named(events)
        self._of = np.flatnonzero(self._named >= 0)
        at = self._of
        self._at = self._named[at]
        self._transition = events["transition"][at]
        self._event_us, self._record_us = events["event_us"][at], events["record_us"][at]

    @property
    def told(self) -> Words:
        """The transitions with their instants."""
        return self._at, self._transition, self._event_us

    @property
    def transfers(self) -> Words:
        """The events on transfers, with the instants at which they were recorded."""
        said = _TRANSFERRED[self._transition]
        word = np.where(self._transition == _BY_TIME, _PAID_OUT, self._transition)
        return self._at[said], word[said], self._record_us[said]

    def calls(self) -> tuple[Array, Array]:
        """For each authorization, the number of events of calls, and the number of losses."""
        count = self._portion.authorizations.count
        calls = np.bincount(self._at[_CALLS[self._transition]], minlength=count)
        lost = np.bincount(self._at[self._transition == _LOST], minlength=count)
        return calls, lost

    def check(self, written_off: set[int], faults: Faults) -> None:
        """Notes events without the next version, and stored values that differ from the events."""
        self._check_rows(faults)
        if self._portion.authorizations.count:
            self._check_authorizations(Check(self._portion, Stage.EVENTS, faults))
        self._check_by_hand(written_off, faults)

    def _check_rows(self, faults: Faults) -> None:
        events, named = self._portion.events, self._named
        if not events.count:
            return
        people: list[int] = []

        def place(order: int) -> Callable[[int], Place]:
            def of(index: int) -> Place:
                people[:] = people or self._portion.people_of(events).tolist()
                return (people[index], Stage.EVENT_ROWS, index, order)

            return of

        def row(index: int) -> str:
            return f"outbox/{events['sequence'][index]}"

        faults.note("EVENT", named == MISSING, place(0), row, "the authorization is missing")
        first = np.ones(events.count, dtype=bool)
        first[1:] = named[1:] != named[:-1]
        begins = np.flatnonzero(first)
        number = np.arange(events.count) - np.repeat(begins, np.diff(begins, append=events.count))
        version = events["authorization_version"]
        faults.note(
            "EVENT", (named >= 0) & (version != number + 1), place(1), row,
            lambda i: f"of version {version[i]}, expected {number[i] + 1}",
        )  # fmt: skip

    def _last(self, where: Array) -> tuple[Array, Array]:
        """The last of these events for each authorization, and whether the authorization has such
        an event."""
        places = np.flatnonzero(where)
        last = last_of(self._at[places], self._portion.authorizations.count)
        there = last >= 0
        return places[last] if len(places) else np.zeros(len(last), dtype=np.int64), there

    def _instant(self, where: Array, instants: Array, *, told: Array | None = None) -> Maybe:
        """The instant of the last of these events, if it has one."""
        last, there = self._last(where)
        if not len(instants):
            return Maybe(np.zeros(len(last), dtype=np.int64), there)
        if told is not None:
            there = there & told[last]
        return Maybe(np.where(there, instants[last], 0), there)

    def _versions_of(self, where: Array) -> Maybe:
        """The version of the last of these events for each authorization."""
        return self._instant(where, self._portion.events["authorization_version"][self._of])

    def _check_authorizations(self, found: Check) -> None:
        it, transition = self._portion.authorizations, self._transition
        count = np.bincount(self._at, minlength=it.count)
        found.note(
            "EVENT", count != it["version"],
            lambda i: f"version {it['version'][i]}, and {count[i]} events",
        )  # fmt: skip

        def tell(name: str, fits: Array) -> None:
            found.note("EVENTS_TELL", ~fits, f"{name}: the events have another value")

        last, there = self._last(_TELLS_STATE[transition])
        state = transition[last] if len(transition) else last
        tell("state", there & _AFTER[state, it["state"]])
        charge = ~empty(it["parent_id"])
        start = self._instant(_BEGINS[transition], self._event_us)
        start = Maybe(np.where(charge, 0, start.values), start.there & ~charge)
        # The event of a late pick-up has the instant of its call; its row has that of the start.
        late = it["start"] == STARTS[Start.LATE_PICKUP]
        tell("start_us", it["start_us"].same(start) | late)
        held = self._instant(transition == _AUTHORIZED, self._event_us)
        reserve = it["reserve_us"]
        tell("reserve_us", ~reserve.there | late | reserve.same(held))
        extended = np.zeros(it.count, dtype=bool)
        extended[self._at[transition == _EXTENDED]] = True
        tell("due_us", extended | _due_fits(it))
        lost, due = it["lost_us"], it["due_us"]
        tell("lost_us", ~lost.there | (lost.values >= due.values))
        claimed = _STOPS_THE_FEE[transition]
        claim = self._instant(_CLAIMS[transition], self._event_us, told=claimed)
        granted = stopped_us(self._portion, self._versions_of(_CLOSES[transition]))
        tell("claim_us", it["claim_us"].same(sooner(claim, granted)))
        # A settlement's event time is the item's return; the rental closes at the record's time.
        closed_us = np.where(_SETTLES[transition], self._record_us, self._event_us)
        tell("close_us", it["close_us"].same(self._instant(_CLOSES[transition], closed_us)))
        last, there = self._last(_CLIMBED[transition])
        climbed = np.where(there, _CLIMBED_TO[transition[last]] if len(transition) else NONE, NONE)
        rung = np.where((it["rung"] > 0) & (it["rung"] <= len(LADDER)), it["rung"], 0)
        tell("rung", _RUNG_OF[rung.astype(np.int64)] == climbed)

    def _check_by_hand(self, written_off: set[int], faults: Faults) -> None:
        """Notes standings and limits set by hand without an event of the person."""
        portion, lines = self._portion, self._portion.lines
        standing = lines["standing"] != STANDINGS[Standing.NORMAL]
        if not (standing.any() or lines["limit_fixed"].any()):
            return
        person = portion.people_of(lines)
        own = np.flatnonzero(self._named == NONE)
        of, transition = portion.people_of(portion.events)[own], portion.events["transition"][own]
        for order, (what, where, by) in enumerate(
            (("the standing", standing, _STANDING_SET),
             ("the limit is fixed", lines["limit_fixed"], _LIMIT_FIXED))
        ):  # fmt: skip
            seen = set(of[by[transition]].tolist())
            seen |= written_off if by is _LIMIT_FIXED else set()
            # Of a person's lines the last one is named.
            named = {int(person[at]): int(at) for at in np.flatnonzero(where)}
            for owner, at in named.items():
                if owner not in seen:
                    row = f"lines/{lines['user_id'][at]}/{lines['currency'][at]}"
                    found = Found("SET_BY_NOBODY", row, f"{what}, and no event records this")
                    faults.add((owner, Stage.BY_HAND, order), found)


def _due_fits(it: Columns) -> Array:
    """True if the due time fits the rental period and the pauses; no unstarted rental has one."""
    start, due = it["start_us"], it["due_us"]
    period = it["rental_period_us"] + it["paused_us"]
    expected = np.where(start.there & (start.values != 0), start.values + period, 0)
    fits: Array = due.same(Maybe(expected, start.there))
    return fits


def differing(these: Words, those: Words, *, below: bool = False) -> Array:
    """The authorizations whose words occur in different numbers, in ascending order.

    With `below`, only authorizations that occur less often in `these` than in `those`.
    """
    columns = [np.concatenate(pair) for pair in zip(these, those, strict=True)]
    if not len(columns[0]):
        return np.zeros(0, dtype=np.int64)
    weight = np.repeat(np.array([1, -1]), [len(these[0]), len(those[0])])
    order = np.lexsort(columns[::-1])
    of, word, instant = (column[order] for column in columns)
    first = np.ones(len(of), dtype=bool)
    first[1:] = (of[1:] != of[:-1]) | (word[1:] != word[:-1]) | (instant[1:] != instant[:-1])
    begins = np.flatnonzero(first)
    sums = np.add.reduceat(weight[order], begins)
    apart: Array = np.unique(of[begins[(sums < 0) if below else (sums != 0)]])
    return apart
