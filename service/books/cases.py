"""Checks the cases of a portion: each case is unchanged, and agrees with the events.

Each case has the digest of its columns, and the number of its rows of evidence. An event opens each
case about an authorization, and an event closes it. Claims and disputes of earlier builds have
events but no case. Every other event that opens or closes a case has its case.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from service.books.authorizations import of_transitions
from service.books.case_expectations import CASE_ENDS, CASE_EVENTS, CASE_OPENINGS
from service.books.faults import Array, Faults, Found
from service.books.portion import PURPOSES, TRANSITIONS, Portion, Stage
from service.domain.captures import Purpose
from service.domain.cases import PLATFORM_ONLY, Case, CaseKind, CaseState, Evidence, digest_of
from service.domain.transitions import Transition as T

_NAMES = list(TRANSITIONS)
_PURPOSE_NAMES = list(PURPOSES)
_OF_CASES = of_transitions(CASE_EVENTS)
_DECIDED = of_transitions({T.CASE_DECIDED, T.CASE_DECIDED_BY_TIME})
_BY_STEPS = (CaseKind.CLAIM, CaseKind.DISPUTE)

ABOUT = {
    **dict.fromkeys((CaseKind.RETURN_BLOCKED, CaseKind.ITEM_AT_FAULT), Purpose.FEE),
    **dict.fromkeys((CaseKind.WRONG_FEE, CaseKind.LATE_CLAIM), Purpose.FEE),
    CaseKind.DAMAGE_NOT_MINE: Purpose.DAMAGE,
}
"""A case of one of these kinds gives back only captures for this purpose."""

Version = tuple[str, int]
"""An authorization id, and a version of the authorization."""


class Event(NamedTuple):
    """The event of one version of an authorization."""

    transition: str
    event_us: int
    record_us: int


class Person(NamedTuple):
    """The rows that one person's cases are compared with.

    owners  the operator and the currency of each authorization
    events  the events of authorizations with a case, and all events that open or close a case
    given   the amounts that decided cases gave back of the captures for each purpose, minor units
    charges the damage charges and the debts: a case about one of them may give back its whole
    amount
    """

    cases: list[Case]
    evidence: list[Evidence]
    owners: Mapping[str, tuple[str, str]]
    events: dict[Version, Event]
    given: dict[Version, Counter[str]]
    charges: set[str]


def check(portion: Portion, faults: Faults) -> None:
    """Notes the first fault of each person's cases."""
    for place, person in sorted(_people(portion).items()):
        for row, why in faults_of(portion.people[place], person):
            faults.add((place, Stage.CASES, 0), Found("CASE", row, why))
            break


def _people(portion: Portion) -> dict[int, Person]:
    """The people with a case, with evidence or with an event of a case, by their places."""
    found: dict[int, Person] = defaultdict(lambda: Person([], [], {}, {}, {}, set()))
    if portion.cases.count:
        of = portion.people_of(portion.cases).tolist()
        for place, row in zip(of, portion.cases.rows, strict=True):
            found[place].cases.append(Case(*row[: len(Case._fields)]))
    if portion.evidence.count:
        of = portion.people_of(portion.evidence).tolist()
        for place, row in zip(of, portion.evidence.rows, strict=True):
            found[place].evidence.append(Evidence(*row[: len(Evidence._fields)]))
    _add_events(portion, found)
    if not found:
        return found
    it = portion.authorizations
    for place, person in found.items():
        user_id = portion.people[place]
        ids = {case.authorization_id for case in person.cases}
        codes = {name: portion.authorization_codes.get((user_id, name)) for name in ids}
        there = {name: code for name, code in codes.items() if code is not None}
        known = {
            name: (it["operator_id"][code], it["currency"][code]) for name, code in there.items()
        }
        charges = {name for name, code in there.items() if it["parent_id"][code]}
        found[place] = person._replace(owners=known, charges=charges)
    _add_given(portion, found)
    return found


def _add_events(portion: Portion, found: dict[int, Person]) -> None:
    events = portion.events
    if not events.count:
        return
    named = portion.authorizations_named(events)
    told = (named >= 0) & _OF_CASES[events["transition"]]
    for person in found.values():
        for case in person.cases:
            code = portion.authorization_codes.get((case.user_id, case.authorization_id))
            told |= named == (-3 if code is None else code)
    it = portion.authorizations
    for at in np.flatnonzero(told).tolist():
        place = int(portion.authorization_person[named[at]])
        version = (it["authorization_id"][named[at]], int(events["authorization_version"][at]))
        found[place].events[version] = Event(
            _NAMES[events["transition"][at]],
            int(events["event_us"][at]),
            int(events["record_us"][at]),
        )


def _add_given(portion: Portion, found: dict[int, Person]) -> None:
    rows = portion.corrections
    if not rows.count:
        return
    decided = np.flatnonzero(_DECIDED[rows["transition"]])
    if not len(decided):
        return
    people, named = portion.people_of(rows), portion.authorizations_named(rows)
    purposes = _purposes(portion, named[decided])
    for at in decided.tolist():
        version = (rows["authorization_id"][at], int(rows["authorization_version"][at]))
        cited = (int(named[at]), int(rows["capture"][at]))
        given = found[int(people[at])].given.setdefault(version, Counter())
        given[purposes.get(cited, Purpose.FEE)] += int(rows["amount_minor"][at])


def _purposes(portion: Portion, named: Array) -> dict[tuple[int, int], str]:
    """The purpose of each capture of these authorizations, by the authorization and the number.

    An amount without a row counts as captured for the fee.
    """
    captures = portion.captures
    of = portion.authorizations_named(captures)
    return {
        (int(of[at]), int(captures["number"][at])): _PURPOSE_NAMES[captures["purpose"][at]]
        for at in np.flatnonzero(np.isin(of, named)).tolist()
    }


def faults_of(user_id: str, person: Person) -> Iterator[tuple[str, str]]:
    """The faults of a person's cases: the name of each row, and what is wrong."""
    evidence: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for piece in person.evidence:
        name = "/".join(("case_evidence", *piece[:3], str(piece.number)))
        if digest_of(piece) != piece.digest:
            yield name, "changed since it was written"
        evidence[piece.authorization_id, piece.case_id].append(piece)
    told: set[Version] = set()
    for case in person.cases:
        name = "/".join(("cases", *case[:3]))
        if digest_of(case) != case.digest:
            yield name, "changed since it was written"
        rows = evidence.pop((case.authorization_id, case.case_id), [])
        for why in _faults(case, rows, person):
            yield name, why
        told |= {(case.authorization_id, it) for it in (case.open_version, case.close_version)}
    for rows in evidence.values():
        yield "/".join(("case_evidence", *rows[0][:3], str(rows[0].number))), "of no case"
    for version, event in sorted(person.events.items()):
        if event.transition in CASE_EVENTS and version not in told:
            name = f"users/{user_id}/authorizations/{version[0]}"
            yield name, f"{event.transition} at version {version[1]} without a case"


def _faults(case: Case, evidence: Sequence[Evidence], person: Person) -> Iterator[str]:
    if [it.number for it in evidence] != [*range(1, case.evidence + 1)]:
        yield f"{case.evidence} rows of evidence expected"
    if case.kind in PLATFORM_ONLY:
        if case.open_version or case.close_version or case.granted_minor:
            yield "a question of the platform changes no authorization"
        return
    if person.owners.get(case.authorization_id) != (case.operator_id, case.currency):
        yield "the authorization is missing, or has another operator or currency"
    opening = person.events.get((case.authorization_id, case.open_version))
    expected = (CASE_OPENINGS[CaseKind(case.kind)], case.open_us)
    if opening is None or (opening.transition, opening.record_us) != expected:
        yield "no event opened this case"
    if case.state == CaseState.CLOSED:
        version = (case.authorization_id, case.close_version)
        given = person.given.get(version, Counter())
        yield from _wrong_ends(case, person.events.get(version), given.total())
        about = None if case.authorization_id in person.charges else ABOUT.get(CaseKind(case.kind))
        others = {} if about is None else {name: given[name] for name in given if name != about}
        if any(others.values()):
            yield f"gives back what was captured for {' and '.join(sorted(others))}"


def _wrong_ends(case: Case, end: Event | None, given_minor: int) -> Iterator[str]:
    if end is None:
        yield "no event closed this case"
        return
    if case.outcome not in CASE_ENDS.get((CaseKind(case.kind), T(end.transition)), ()):
        yield f"{case.outcome} is no outcome of {end.transition}"
    by_step = case.kind in _BY_STEPS
    by_time = end.transition == T.CASE_DECIDED_BY_TIME and not by_step
    if case.close_us != (end.event_us if by_time else end.record_us):
        yield "closed at another time than in the event"
    if bool(case.closed_by) != (not by_step and not by_time):
        yield "closed_by: the event has another value"
    if by_step:
        return
    if case.granted_minor != given_minor:
        yield f"{case.granted_minor} granted, and {given_minor} given back"
    if case.asked_minor and case.granted_minor > case.asked_minor:
        yield "more granted than asked for"
