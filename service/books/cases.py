"""Checks cases: each is as it was written, and the events of its authorization tell the same.

Each case has the digest of its columns, and counts its evidence. An event opens each case about an
authorization, and an event closes it. Claims and disputes of earlier builds have events and no
case; every other event of a case has one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books import expectations as e
from service.books.faults import Found
from service.domain.cases import PLATFORM_ONLY, Case, CaseKind, CaseState, Evidence, digest_of
from service.domain.transitions import Transition as T
from service.domain.verification import BookFault
from service.engine.tables import CASES, EVIDENCE
from service.storage import schema as t
from service.storage.schema.record_tables import CONVERTERS

People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""
Key = tuple[str, str, str]
Version = tuple[str, str, int]
"""A user id, an authorization id, and a version of the authorization."""


class _Event(NamedTuple):
    transition: str
    event_us: int
    record_us: int


def wrong_case(connection: Connection, people: People) -> BookFault | None:
    """The first fault of the cases of these people, or None."""
    try:
        _check(connection, people)
    except Found as found:
        return found.fault
    return None


def _check(connection: Connection, people: People) -> None:
    evidence: dict[Key, list[Evidence]] = defaultdict(list)
    for piece in _rows(connection, t.case_evidence, people, CONVERTERS[EVIDENCE].record):
        evidence[piece[:3]].append(piece)
    cases = list(_rows(connection, t.cases, people, CONVERTERS[CASES].record))
    owners = _owners(connection, people)
    events = _events(connection, people)
    given = _given(connection, people)
    told: set[Version] = set()
    for case in cases:
        row = "/".join(("cases", *case[:3]))
        for why in _faults(case, evidence.pop(case[:3], []), owners, events, given):
            raise Found("CASE", row, why)
        name = (case.user_id, case.authorization_id)
        told |= {(*name, case.open_version), (*name, case.close_version)}
    for key, rows in evidence.items():
        raise Found("CASE", "/".join(("case_evidence", *key, str(rows[0].number))), "of no case")
    for version, event in sorted(events.items()):
        if event.transition in e.CASE_EVENTS and version not in told:
            row = f"users/{version[0]}/authorizations/{version[1]}"
            raise Found("CASE", row, f"{event.transition} at version {version[2]} without a case")


def _rows(
    connection: Connection, table: Table, people: People, read: Callable[[Any], Any]
) -> Iterator[Any]:
    """The records of a table in the order of its key; raises Found for an unreadable one."""
    key = list(table.primary_key)
    query = select(*t.recorded(table)).where(*people(table.c.user_id)).order_by(*key)
    for row in connection.execute(query):
        name = "/".join((table.name, *(str(row._mapping[column]) for column in key)))
        try:
            found = read(row)
        except (KeyError, ValueError, TypeError) as error:
            raise Found("UNREADABLE", name, "has an unknown value") from error
        if digest_of(found) != found.digest:
            raise Found("CASE", name, "changed since it was written")
        yield found


def _owners(connection: Connection, people: People) -> Mapping[tuple[str, str], tuple[str, str]]:
    """The operator and the currency of each authorization that a case names."""
    a, c = t.authorizations.c, t.cases.c
    named = select(c.user_id, c.authorization_id).where(*people(c.user_id)).distinct().subquery()
    query = select(a.user_id, a.authorization_id, a.operator_id, a.currency).join_from(
        named,
        t.authorizations,
        (a.user_id == named.c.user_id) & (a.authorization_id == named.c.authorization_id),
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}


def _events(connection: Connection, people: People) -> Mapping[Version, _Event]:
    """The events of authorizations with a case, and all events that open or close one."""
    o, c = t.outbox.c, t.cases.c
    named = select(c.authorization_id).where(*people(c.user_id), c.authorization_id != "")
    query = select(
        *(o.user_id, o.authorization_id, o.authorization_version),
        *(o.transition, o.event_us, o.record_us),
    ).where(
        *people(o.user_id),
        or_(o.transition.in_(sorted(e.CASE_EVENTS)), o.authorization_id.in_(named)),
    )
    return {(row[0], row[1], row[2]): _Event(*row[3:]) for row in connection.execute(query)}


def _given(connection: Connection, people: People) -> Mapping[Version, int]:
    """The amounts that decided cases gave back, by the versions of the authorizations."""
    x = t.corrections.c
    version = (x.user_id, x.authorization_id, x.authorization_version)
    decided = sorted({T.CASE_DECIDED, T.CASE_DECIDED_BY_TIME})
    query = (
        select(*version, func.sum(x.amount_minor))
        .where(*people(x.user_id), x.transition.in_(decided))
        .group_by(*version)
    )
    return {(row[0], row[1], row[2]): int(row[3]) for row in connection.execute(query)}


def _faults(
    case: Case,
    evidence: Sequence[Evidence],
    owners: Mapping[tuple[str, str], tuple[str, str]],
    events: Mapping[Version, _Event],
    given: Mapping[Version, int],
) -> Iterator[str]:
    if [it.number for it in evidence] != [*range(1, case.evidence + 1)]:
        yield f"{case.evidence} rows of evidence expected"
    if case.kind in PLATFORM_ONLY:
        if case.open_version or case.close_version or case.granted_minor:
            yield "a question of the platform changes no authorization"
        return
    name = (case.user_id, case.authorization_id)
    if owners.get(name) != (case.operator_id, case.currency):
        yield "the authorization is not there, or has another operator or currency"
    opening = events.get((*name, case.open_version))
    expected = (e.CASE_OPENINGS[case.kind], case.open_us)
    if opening is None or (opening.transition, opening.record_us) != expected:
        yield "no event opened it"
    if case.state is CaseState.CLOSED:
        version = (*name, case.close_version)
        yield from _wrong_ends(case, events.get(version), given.get(version, 0))


def _wrong_ends(case: Case, end: _Event | None, given_minor: int) -> Iterator[str]:
    if end is None:
        yield "no event closed it"
        return
    if case.outcome not in e.CASE_ENDS.get((case.kind, T(end.transition)), ()):
        yield f"{case.outcome} is no outcome of {end.transition}"
    by_time = end.transition == T.CASE_DECIDED_BY_TIME and case.kind is not CaseKind.DISPUTE
    if case.close_us != (end.event_us if by_time else end.record_us):
        yield "closed at another time than the event tells"
    called = case.kind not in (CaseKind.CLAIM, CaseKind.DISPUTE) and not by_time
    if bool(case.closed_by) != called:
        yield "closed_by: the event tells otherwise"
    if case.kind in (CaseKind.CLAIM, CaseKind.DISPUTE):
        return
    if case.granted_minor != given_minor:
        yield f"{case.granted_minor} granted, and {given_minor} given back"
    if case.asked_minor and case.granted_minor > case.asked_minor:
        yield "more granted than asked for"
