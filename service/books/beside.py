"""Checks that every row and every receipt named by an event or an answer exists.

The event of a step has a copy of every other row that the step wrote: details of an order, an end
by time, an opened case, a settlement that posted nothing, the decision of an increment, a user's
consent, or it says that there is one: a verdict on a review. A payload has a field for each of
these. The database searches the payload's bytes, so only events with a missing row are fetched.
Events of earlier builds tell of nothing.

A receipt is expected if an answer has it, or if the list of ends by time has the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, not_, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books import expectations as e
from service.books.case_expectations import CASE_OPENINGS
from service.books.columns import Cursor, kept
from service.books.lapses import AFTER_VERDICTS, TOLD_BY
from service.books.payloads import ReadPayload
from service.books.receipts import bills, docks
from service.domain.transitions import Transition
from service.domain.verification import BookFault
from service.storage import schema as t
from service.storage.schema.columns import HasBytes

TOGETHER = 1_000
"""The number of events fetched together."""
RECEIPT, DETAILS, LAPSE, CASE, MOVED_NO_MONEY, STEP_DECISION, CONSENT, REVIEWED = range(90, 98)
"""The numbers of an authorization's fields; a test compares them with the contract."""
_NUMBER, _MESSAGE = 0, 2
"""The kinds of fields on the wire."""
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


def _tag(field: int, kind: int) -> bytes:
    """The two bytes before the value of a field."""
    key = field << 3 | kind
    return bytes([key & 0x7F | 0x80, key >> 7])


TAGS: Final = {
    RECEIPT: _tag(RECEIPT, _MESSAGE),
    DETAILS: _tag(DETAILS, _MESSAGE),
    LAPSE: _tag(LAPSE, _NUMBER),
    CASE: _tag(CASE, _MESSAGE),
    MOVED_NO_MONEY: _tag(MOVED_NO_MONEY, _NUMBER),
    STEP_DECISION: _tag(STEP_DECISION, _MESSAGE),
    CONSENT: _tag(CONSENT, _MESSAGE),
    REVIEWED: _tag(REVIEWED, _NUMBER),
}


def wrong_beside(
    connection: Connection, people: People, read_payload: ReadPayload
) -> BookFault | None:
    """The fault of the first event without its receipt or without a row that it names, or None."""
    first: tuple[int, BookFault] | None = None
    any_bare = False
    with closing(Cursor(connection, "beside", _missing(connection, people))) as it:
        while rows := it.fetch(TOGETHER):
            for row in rows:
                any_bare |= bool(row[-1])
                for sequence, fault in _faults(row, read_payload):
                    if first is None or sequence < first[0]:
                        first = sequence, fault
    if first is not None:
        return first[1]
    return _cut_receipt(connection, people, read_payload) if any_bare else None


@kept
def _missing(_connection: Connection, people: People) -> Select[Any]:
    """Selects the events without a receipt, and those whose bytes may name a missing row.

    The last columns are conditions. One for each kind says that the row is missing. Two more say
    that the receipt of an end by time is missing, and that any receipt is missing.
    """
    o = t.outbox.c
    lapses, details, cases = t.lapses.c, t.authorization_details.c, t.cases.c
    unposted, decisions = t.unposted_dockings.c, t.later_decisions.c
    consents, verdicts = t.consents.c, t.verdicts.c

    def has(field: int) -> ColumnElement[bool]:
        return HasBytes(o.payload, TAGS[field])

    def there(c: Any, *where: ColumnElement[bool]) -> ColumnElement[bool]:
        same = (c.user_id == o.user_id, c.authorization_id == o.authorization_id)
        return select(c.user_id).where(*same, *where).exists()

    by_time = there(lapses, lapses.authorization_version == o.authorization_version)
    ends = o.transition.in_(sorted(set(TOLD_BY.values())))
    opens = o.transition.in_(sorted(set(CASE_OPENINGS.values())))
    posted = there(unposted, unposted.authorization_version == o.authorization_version)
    decided = there(decisions, decisions.authorization_version == o.authorization_version)
    charges = o.transition.in_(sorted({it for it, _ in e.CONSENTED}))
    consented = there(consents, consents.authorization_version == o.authorization_version)
    reviewed = o.transition.in_(sorted(AFTER_VERDICTS))
    given = there(verdicts, verdicts.authorization_version == o.authorization_version)
    missing = (
        and_(ends, has(LAPSE), not_(by_time)),
        and_(
            has(DETAILS),
            not_(there(details, details.authorization_version >= o.authorization_version)),
        ),
        and_(opens, has(CASE), not_(there(cases, cases.open_version == o.authorization_version))),
        and_(docks(), has(MOVED_NO_MONEY), not_(posted)),
        and_(o.transition == Transition.INCREMENTED, has(STEP_DECISION), not_(decided)),
        and_(charges, has(CONSENT), not_(consented)),
        and_(reviewed, has(REVIEWED), not_(given)),
    )
    bare = and_(bills(), not_(has(RECEIPT)))
    names = (o.user_id, o.authorization_id, o.authorization_version)
    return select(o.sequence, *names, o.payload, *missing, and_(bare, by_time), bare).where(
        or_(*missing, bare), *people(o.user_id)
    )


def _faults(row: Sequence[Any], read_payload: ReadPayload) -> Iterator[tuple[int, BookFault]]:
    """The faults of an event whose payload really names a missing row."""
    sequence, user_id, authorization_id, version, payload, *missing, cut, _ = row
    if cut:
        yield sequence, _without_receipt(sequence)
    if not any(missing):
        return
    try:
        told = read_payload(payload)
    except ValueError:
        return  # The check of payloads names it.
    of = f"{user_id}/{authorization_id}"
    _, _, case_id = told.case.rpartition("/")
    for absent, tells, rule, name in zip(
        missing,
        (
            *(told.lapse, told.details, told.case, told.moved_no_money),
            *(told.step_decision_id, told.consent, told.reviewed),
        ),
        ("LAPSES", "DETAILS", "CASE", "UNPOSTED", "DECISION", "CONSENTS", "VERDICTS"),
        (
            f"{t.lapses.name}/{of}/{version}",
            f"{t.authorization_details.name}/{of}",
            f"{t.cases.name}/{of}/{case_id}",
            f"{t.unposted_dockings.name}/{of}/{version}",
            f"{t.later_decisions.name}/{of}/{version}",
            f"{t.consents.name}/{of}/{version}",
            f"{t.verdicts.name}/{of}",
        ),
        strict=True,
    ):
        if absent and tells:
            yield (
                sequence,
                BookFault(rule, name, f"outbox/{sequence} names this row, but it is missing"),
            )


def _without_receipt(sequence: int) -> BookFault:
    return BookFault(
        "PAYLOAD", f"outbox/{sequence}", "the answer has a receipt, but the event has none"
    )


def _cut_receipt(
    connection: Connection, people: People, read_payload: ReadPayload
) -> BookFault | None:
    """The first settlement that has a receipt in its answer but not in its event, or None."""
    found: list[int] = []
    with closing(Cursor(connection, "receipts", _bare(connection, people))) as cursor:
        while rows := cursor.fetch(TOGETHER):
            found += [row[0] for row in rows if _gave_receipt(row, read_payload)]
    return _without_receipt(min(found)) if found else None


@kept
def _bare(_connection: Connection, people: People) -> Select[Any]:
    """Selects the settlements without a receipt in their event, each with an answer that may have
    the receipt."""
    o, r = t.outbox.c, t.requests.c
    bare = and_(bills(), not_(HasBytes(o.payload, TAGS[RECEIPT])), *people(o.user_id))
    same = and_(r.user_id == o.user_id, r.authorization_id == o.authorization_id)
    names = (o.user_id, o.authorization_id, o.authorization_version)
    return (
        select(o.sequence, *names, r.answer)
        .join_from(t.outbox, t.requests, same)
        .where(bare, HasBytes(r.answer, TAGS[RECEIPT]))
    )


def _gave_receipt(row: Sequence[Any], read_payload: ReadPayload) -> bool:
    """Whether an answer has the authorization of the event's version, with its receipt."""
    _, user_id, authorization_id, version, answer = row
    try:
        told = read_payload(_first_message(answer))
    except (ValueError, IndexError):
        return False  # The check of answers names it.
    name = f"users/{user_id}/authorizations/{authorization_id}"
    return (told.name, told.version) == (name, version) and told.receipt is not None


def _first_message(answer: bytes) -> bytes:
    """The message in the first field of an answer; raises IndexError if it has none."""
    length, place, shift = 0, 1, 0
    while True:
        part = answer[place]
        length |= (part & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if part < 0x80:
            return answer[place : place + length]
