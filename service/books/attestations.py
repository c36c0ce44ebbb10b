"""Checks the attestations of a portion against the events, the pauses and the corrections.

Few rentals have any, so the rows are checked one by one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Final, NamedTuple

import numpy as np

from service.books import expectations as e
from service.books.authorizations import of_transitions
from service.books.columns import Columns
from service.books.faults import Faults, Found
from service.books.portion import STARTS, TRANSITIONS, Portion, Stage
from service.books.receipts import DOCKINGS
from service.domain.attestations import AttestationKind as Kind
from service.domain.attestations import Cause, Source
from service.domain.authorization import Start
from service.domain.transitions import Transition as T
from service.engine.records.captures import digest_of

_KINDS, _CAUSES, _SOURCES = list(Kind), [*Cause, None], [*Source, None]
"""By their codes; -1 is an absent value, and so is the last place."""
_ATTESTS = of_transitions(e.ATTESTING.values())
_ATTESTING: Final = {kind: TRANSITIONS[transition] for kind, transition in e.ATTESTING.items()}
_FEE_WAIVED = TRANSITIONS[T.FEE_WAIVED]
_CLOSES, _LATE_PICKUP = of_transitions((*DOCKINGS, T.CANCELLED)), STARTS[Start.LATE_PICKUP]
_EXPLAINED = (Kind.PAUSE, Kind.WAIVER)
"""Kinds with a cause and a source."""

Version = tuple[int, int]
"""An authorization by its place, and one of its versions."""


class _Row(NamedTuple):
    """One attestation; `of` is the place of its authorization."""

    of: int
    user_id: str
    authorization_id: str
    number: int
    kind: Kind
    cause: Cause | None
    source: Source | None
    evidence: str
    until_us: int | None
    amount_minor: int
    pending_minor: int
    version: int
    event_us: int
    record_us: int
    digest: bytes


def check(portion: Portion, faults: Faults) -> None:
    """Notes attestations that differ from their pause, waiver or hand-over, and pauses without an
    attestation."""
    told = _events(portion)
    it = portion.authorizations
    if not (told or portion.attestations.count or (it.count and it["paused_us"].any())):
        return
    rows = _rows(portion)
    paused = _check_rows(rows, told, portion, faults)
    unattested = {of for of, _ in told.keys() - {(row.of, row.version) for row in rows}}
    for of in range(it.count):
        stored_us = int(it["paused_us"][of])
        detail = ""
        if of in unattested:
            detail = "an event has no attestation"
        elif paused[of] != stored_us:
            detail = f"paused_us: the attestations give {paused[of]}, stored {stored_us}"
        if detail:
            place = (int(portion.authorization_person[of]), Stage.ATTESTED, of)
            faults.add(place, Found("PAUSED", portion.authorization_name(of), detail))


def _events(portion: Portion) -> dict[Version, tuple[int, int, int]]:
    """The events that have an attestation: transition, instant, and instant of the record."""
    events = portion.events
    if not events.count:
        return {}
    named = portion.authorizations_named(events)
    attests = _ATTESTS[events["transition"]] & (named >= 0)
    if not attests.any():
        return {}
    # A late pause is also an event of the debt for the fee above the hold, but only the rental has
    # its attestation.
    attests &= portion.authorizations["unheld_minor"][named] == 0
    places = np.flatnonzero(attests)
    columns = [named, events["authorization_version"], events["transition"]]
    columns += [events["event_us"], events["record_us"]]
    values = zip(*(column[places].tolist() for column in columns), strict=True)
    return {(of, version): (transition, *times) for of, version, transition, *times in values}


def _rows(portion: Portion) -> list[_Row]:
    it = portion.attestations
    if not it.count:
        return []
    until = it["until_us"]
    columns: list[Any] = [
        portion.authorizations_named(it).tolist(),
        *(it["user_id"], it["authorization_id"], it["number"].tolist()),
        [_KINDS[code] for code in it["kind"].tolist()],
        [_CAUSES[code] for code in it["cause"].tolist()],
        [_SOURCES[code] for code in it["source"].tolist()],
        it["evidence"],
        [us if there else None for us, there in zip(until.values, until.there, strict=True)],
        *(it[name].tolist() for name in ("amount_minor", "pending_minor")),
        *(it[name].tolist() for name in ("authorization_version", "event_us", "record_us")),
        it["digest"],
    ]
    return [_Row(*values) for values in zip(*columns, strict=True)]


def _check_rows(
    rows: list[_Row],
    told: dict[Version, tuple[int, int, int]],
    portion: Portion,
    faults: Faults,
) -> Counter[int]:
    """Notes wrong rows; returns the length of each authorization's pauses, in microseconds."""
    paused: Counter[int] = Counter()
    waived = _waived(portion)
    closed = _closed(portion)
    fixed = {of for of in closed if portion.authorizations["start"][of] == _LATE_PICKUP}
    numbers: Counter[tuple[str, str]] = Counter()
    stands: defaultdict[int, list[list[int]]] = defaultdict(list)
    """The pauses of each authorization: beginning, end, and 1 if the rental was resumed then."""
    people: list[int] = []
    for index, row in enumerate(rows):
        numbers[row[1:3]] += 1
        last = rows[index - 1] if index else None
        pair = last is not None and _ends(row, last)
        detail = _wrong_row(row, numbers[row[1:3]], told, last if pair else None)
        late = row.version > closed.get(row.of, row.version)
        if row.kind is Kind.PAUSE and late:
            following = rows[index + 1] if index + 1 < len(rows) else None
            if following is None or not _ends(following, row):
                detail = detail or "a pause told after the settlement has no end"
        elif last is not None and pair and (row.event_us == last.until_us) != late:
            detail = detail or "the end does not fit the bound of its pause"
        own, at_us, until_us = stands[row.of], row.event_us, row.until_us or 0
        if row.kind is Kind.PAUSE:
            if any(max(at_us, it[0]) < min(until_us, it[1]) for it in own):
                detail = detail or "overlaps another pause"
            own.append([at_us, until_us, 0])
            paused[row.of] += until_us - at_us
        elif row.kind is Kind.RESUME:
            goes_on = [it for it in own if it[0] <= at_us < it[1] and not it[2]]
            if pair:
                goes_on = own[-1:]
            if not goes_on:
                detail = detail or "no pause goes on"
            for it in goes_on:
                paused[row.of] += at_us - it[1]
                it[1:] = [at_us, 1]
        elif row.kind is Kind.WAIVER:
            both = (row.amount_minor - row.pending_minor, row.pending_minor)
            given_minor, rest_minor = waived[row.of, row.version]
            if row.of in fixed and late:
                # The rest lowered the debt for the fee above the hold.
                given_minor, rest_minor = given_minor + rest_minor, 0
            if (given_minor, rest_minor) != both:
                detail = detail or "the corrections differ"
        if detail:
            people = people or portion.people_of(portion.attestations).tolist()
            name = f"attestations/{row.user_id}/{row.authorization_id}/{row.number}"
            place = (people[index], Stage.ATTESTATION_ROWS, index)
            faults.add(place, Found("ATTESTATION", name, detail))
    return paused


def _wrong_row(
    row: _Row, number: int, told: dict[Version, tuple[int, int, int]], pause: _Row | None
) -> str:
    """The first rule that a row breaks by itself; empty if it breaks none. `pause` is the pause
    that was told together with this row, which is its end; None if there is none."""
    if row.of < 0:
        return "the authorization is missing"
    if row.number != number:
        return "not the next number"
    if digest_of(*row[2:-1]) != row.digest:
        return "changed since it was written"
    explained = row.kind in _EXPLAINED
    waiver = row.kind is Kind.WAIVER
    fits = (
        (row.cause is not None) is explained
        and (row.source is not None) is explained
        and (row.until_us is not None) is (row.kind is Kind.PAUSE)
        and (row.until_us is None or row.until_us > row.event_us)
        and (row.amount_minor > 0 if waiver else row.amount_minor == 0)
        and 0 <= row.pending_minor <= row.amount_minor
        and (row.evidence != "" or row.kind is Kind.RESUME)
    )
    if not fits:
        return "such an attestation is never written"
    event = (_ATTESTING[row.kind], row.event_us, row.record_us)
    if pause is not None:
        # One step wrote both rows, and its event is that of the pause.
        event = (_ATTESTING[Kind.PAUSE], pause.event_us, row.record_us)
    return "" if told.get((row.of, row.version)) == event else "no event records this"


def _ends(row: _Row, pause: _Row) -> bool:
    """Whether a row is the end of a pause, and was told together with it.

    After the settlement, the pause's own row has the same end. Before it, the pause's row has a
    later bound.
    """
    return (
        (row.kind, pause.kind) == (Kind.RESUME, Kind.PAUSE)
        and (row.of, row.version, row.evidence) == (pause.of, pause.version, pause.evidence)
        and pause.event_us <= row.event_us <= (pause.until_us or 0)
    )


def _closed(portion: Portion) -> dict[int, int]:
    """The version at which each rental ended: by its settlement, or by a cancellation for a fee."""
    events, it = portion.events, portion.authorizations
    if not events.count or not it.count:
        return {}
    named = portion.authorizations_named(events)
    places = np.flatnonzero(_CLOSES[events["transition"]] & (named >= 0))
    versions = events["authorization_version"][places].tolist()
    return dict(zip(named[places].tolist(), versions, strict=True))


def _waived(portion: Portion) -> defaultdict[Version, tuple[int, int]]:
    """Two amounts for each waiver: the amount given back, and the amount subtracted from a later
    capture."""
    found: defaultdict[Version, tuple[int, int]] = defaultdict(lambda: (0, 0))
    it: Columns = portion.corrections
    if not it.count:
        return found
    places = np.flatnonzero(it["transition"] == _FEE_WAIVED)
    names = ("authorization_version", "amount_minor", "conceded_minor")
    columns = [portion.authorizations_named(it), *(it[name] for name in names)]
    for of, version, minor, conceded in zip(
        *(column[places].tolist() for column in columns), strict=True
    ):
        given, pending = found[of, version]
        found[of, version] = (given + conceded, pending + (0 if conceded else minor))
    return found
