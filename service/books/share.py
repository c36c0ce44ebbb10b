"""The share of a verification that one process does: the books of a range of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, case, func, literal, select, true
from sqlalchemy.sql.elements import ColumnElement

from service.books import attestations, authorizations, captures, cases, portion
from service.books.authorizations import Attribution
from service.books.beside import wrong_beside
from service.books.columns import Counts, Cursor, Row, Stream, first_of, kept, portions, typed
from service.books.consents import wrong_consent
from service.books.decisions import wrong_line
from service.books.details import wrong_details
from service.books.events import Story
from service.books.faults import Faults, Found
from service.books.groups import (
    BODIES,
    Body,
    Groups,
    Trial,
    check_types,
    portion_of_groups,
)
from service.books.increments import wrong_increment
from service.books.lapses import wrong_decision, wrong_lapse, wrong_unposted, wrong_verdict
from service.books.money import Recorded
from service.books.payloads import ReadPayload, wrong_payload
from service.books.portion import FIELDS, Portion, portion_of
from service.books.quotas import wrong_quota
from service.books.read_values import wrong_read_values
from service.books.references import REFERENCES
from service.books.replay import Replay
from service.books.seals import Start
from service.books.texts import Doubt
from service.domain.verification import BookFault
from service.engine.ports import StorageFailed
from service.storage import schema as t
from service.storage.admin import ADMIN
from service.storage.database import backend_of

EACH_VALUE: Mapping[str, Body] = {}
REPORT_TRANSFER, START_RENTAL = "ReportTransfer", "StartRental"
ANSWERS = 1_000
"""The number of stored answers fetched together."""

ReadAnswer = Callable[[str, bytes], str | None]
"""A function that reads a method's stored answer and returns its resource, or None if it has none.

Raises ValueError if the bytes are not an answer of the method.
"""


class Readers(NamedTuple):
    """The functions that read stored messages; None means that these messages are not read."""

    answer: ReadAnswer | None = None
    payload: ReadPayload | None = None


class Share(NamedTuple):
    """People from `low` (inclusive) to `high` (exclusive) with changes after `start`.

    None means no bound.
    """

    low: str | None = None
    high: str | None = None
    start: Start | None = None

    def people(self, user_id: ColumnElement[str]) -> list[ColumnElement[bool]]:
        """The conditions on a column of user ids."""
        bounds: list[ColumnElement[bool]] = []
        if self.low is not None:
            bounds.append(user_id >= self.low)
        if self.high is not None:
            bounds.append(user_id < self.high)
        if self.start is not None:
            bounds.append(user_id.in_(self.start.moved()))
        return bounds


EVERYBODY = Share()
"""The share of a verification of everything by one process."""


class Part(NamedTuple):
    """The result of a share: counts of rows, operators' balances, and the first faults.

    `references` has the first fault of each reference that is broken, by the reference's number.
    """

    lines: int
    entries: int
    authorizations: int
    payable: Counter[tuple[str, str]]
    fault: BookFault | None = None
    references: tuple[tuple[int, BookFault], ...] = ()
    answer: BookFault | None = None
    payload: BookFault | None = None


class _Counts:
    """Counts of the verified rows, and the operators' balances so far."""

    def __init__(self) -> None:
        self.lines = self.entries = self.authorizations = 0
        self.payable: Counter[tuple[str, str]] = Counter()
        self.alone: set[str] = set()
        """Tables with a row of these people that names a missing authorization."""

    def look_at(self, people: Portion, faults: Faults) -> None:
        """Notes the faults of a portion, and counts up to the first."""
        self._check(people, faults)
        last = faults.place[0] if faults.place else len(people.people)
        person = people.line_person
        self.lines += int(((person <= last) & (people.line_row >= 0)).sum())
        self.entries += int((person[people.entry_line] <= last).sum())
        self.authorizations += int((people.authorization_person <= last).sum())

    def _check(self, people: Portion, faults: Faults) -> None:
        replay = Replay(people, faults)
        replay.check()
        moved = Attribution(people, replay)
        moved.add(self.payable)
        if people.late_pickups.count:
            moved.carry_over()
        authorizations.check(people, moved, faults)
        story = Story(people)
        story.check(moved.written_off, faults)
        recorded = Recorded(people, moved, faults)
        recorded.check(replay, story)
        captures.check(people, moved, faults)
        cases.check(people, faults)
        attestations.check(people, faults)
        self.alone |= recorded.alone

    def add(self, other: _Counts) -> None:
        """Adds what was counted of other people."""
        self.lines += other.lines
        self.entries += other.entries
        self.authorizations += other.authorizations
        self.payable.update(other.payable)
        self.alone |= other.alone

    def part(self, fault: BookFault | None = None) -> Part:
        return Part(self.lines, self.entries, self.authorizations, self.payable, fault)


def verify_share(
    connection: Connection,
    share: Share,
    readers: Readers,
    tell: Callable[[int], None] | None = None,
) -> Part:
    """Verifies a share; stops at its first fault. `tell` gets the number of entries read so far."""
    counts = _Counts()
    try:
        return _verified(connection, share, readers, counts, tell)
    except Found as found:
        return counts.part(found.fault)


def _verified(
    connection: Connection,
    share: Share,
    readers: Readers,
    counts: _Counts,
    tell: Callable[[int], None] | None,
) -> Part:
    """Verifies a share; raises Found at a fault of its people or of a text that is none."""
    _verify_people(connection, share, counts, tell)
    part = counts.part()
    broken = tuple(_broken(connection, share, counts.alone))
    if broken:
        return part._replace(references=broken)
    wrong = (
        wrong_details(connection, share.people)
        or wrong_lapse(connection, share.people)
        or wrong_consent(connection, share.people)
        or wrong_unposted(connection, share.people)
        or wrong_decision(connection, share.people)
        or wrong_verdict(connection, share.people)
        or wrong_increment(connection, share.people)
        or wrong_quota(connection, share.people)
        or wrong_read_values(connection, share.people)
        or wrong_line(connection, share.people)
    )
    if wrong is None and readers.payload is not None:
        wrong = wrong_beside(connection, share.people, readers.payload)
    if wrong is not None:
        return part._replace(payload=wrong)
    return part._replace(
        answer=readers.answer and _wrong_answer(connection, share, readers.answer),
        payload=wrong_payload(connection, share.people, readers.payload),
    )


# -- people ---------------------------------------------------------------------------------------

_ORDERS = {
    t.lines.name: ("user_id", "currency"),
    t.sealed_heads.name: ("user_id", "currency", "number"),
    t.authorizations.name: ("user_id", "authorization_id"),
    t.payments.name: ("user_id", "authorization_id", "caller", "payment_reference"),
    t.transfers.name: ("user_id", "transfer_id"),
    t.outbox.name: ("user_id", "authorization_id", "authorization_version", "sequence"),
    t.captures.name: ("user_id", "authorization_id", "number"),
    t.corrections.name: ("user_id", "authorization_id", "number"),
    t.late_pickups.name: ("user_id", "authorization_id"),
    t.cases.name: ("user_id", "authorization_id", "case_id"),
    t.case_evidence.name: ("user_id", "authorization_id", "case_id", "number"),
    t.attestations.name: ("user_id", "authorization_id", "number"),
}


def _verify_people(
    connection: Connection, share: Share, counts: _Counts, tell: Callable[[int], None] | None
) -> None:
    """Verifies people in bulk, and value by value those whose rows are in doubt. Raises Found at
    the first fault."""
    low = share.low
    for until, sound in _in_bulk(connection, share):
        if sound is None:
            high = share.high if until is None else until
            _verify_doubted(connection, share._replace(low=low, high=high), counts)
        else:
            counts.add(sound)
        if tell is not None:
            tell(counts.entries)
        low = until


def _in_bulk(connection: Connection, share: Share) -> Iterator[tuple[str | None, _Counts | None]]:
    """For each portion, the counts and the first person after the portion (None for the last
    portion). The counts are None if the portion may have a fault."""
    try:
        check_types(connection, share.people)
        with ExitStack() as stack:
            for until, taken in portions(_streams(connection, share, stack, BODIES)):
                try:
                    found = _Counts()
                    found.look_at(portion_of_groups(taken), Trial())
                except Doubt:
                    yield until, None
                else:
                    yield until, found
    except StorageFailed:
        # A stream ended early: SQLite makes no text of every value. PostgreSQL answers nothing more
        # in this transaction.
        if not backend_of(connection).is_file:
            raise
        yield None, None
    except (Doubt, Found):
        yield None, None


def _verify_doubted(connection: Connection, share: Share, counts: _Counts) -> None:
    """Verifies people value by value; raises Found at the first fault."""
    with ExitStack() as stack:
        entries = Cursor(connection, "entries_of_people", _entries(connection, share))
        stack.callback(entries.close)
        for _, taken in portions(_streams(connection, share, stack)):
            faults = Faults()
            counts.look_at(portion_of(taken, entries.fetch, faults), faults)
            faults.raise_first()


def _streams(
    connection: Connection, share: Share, stack: ExitStack, bodies: Mapping[str, Body] = EACH_VALUE
) -> list[Stream]:
    """All tables that belong to people, side by side, in the order of FIELDS; open until the stack
    is left. The tables in `bodies` are read in groups."""
    streams: list[Stream] = []
    for place, fields in enumerate(FIELDS):
        body = bodies.get(fields.table.name)
        if body is not None:
            text = _grouped(connection, fields.table.name, share)
            streams.append(Groups(connection, body, text))
        elif fields is portion.REQUESTS:
            streams.append(Stream(connection, fields, _requests(connection, share)))
        elif fields is portion.ENTRY_COUNTS:
            streams.append(Counts(connection, fields, _entry_counts(connection, share)))
        else:
            streams.append(Stream(connection, fields, _single(connection, place, share)))
        stack.callback(streams[-1].close)
    return streams


@kept
def _grouped(connection: Connection, table: str, share: Share) -> Select[Any]:
    """Selects the groups of a table."""
    body = BODIES[table]
    return body.query(connection).where(*share.people(body.fields.table.c.user_id))


@kept
def _single(connection: Connection, place: int, share: Share) -> Select[Any]:
    """Selects the rows of the table at this place of FIELDS, value by value."""
    fields = FIELDS[place]
    c = fields.table.c
    order = (c[name] for name in _ORDERS[fields.table.name])
    return fields.query(connection).where(*share.people(c.user_id)).order_by(*order)


@kept
def _entry_counts(_connection: Connection, share: Share) -> Select[Any]:
    """Selects the number of entries of each line, which the index alone gives."""
    c = t.entries.c
    line = (c.user_id, c.currency)
    count, first = func.count().label("count"), func.min(c.sequence).label("sequence")
    counts = select(*line, count, first, true()).where(*share.people(c.user_id))
    return counts.group_by(*line).order_by(*line)


@kept
def _entries(connection: Connection, share: Share) -> Select[Any]:
    """Selects the entries of all lines, line by line."""
    c = t.entries.c
    texts = [c.operator_id, c.authorization_id, c.transition, c.book, c.debit, c.credit]
    feed = literal("\n")
    owner = texts[0] + feed + texts[1]
    kind = texts[2] + feed + texts[3] + feed + texts[4] + feed + texts[5]
    joined = {"owner": owner.label("owner"), "kind": kind.label("kind")}
    read = [joined[name] if name in joined else c[name] for name in portion.ENTRIES.columns]
    return (
        select(*read, typed(connection, texts))
        .where(*share.people(c.user_id))
        .order_by(c.user_id, c.currency, c.sequence)
    )


@kept
def _requests(_connection: Connection, share: Share) -> Select[Any]:
    """Selects the number of stored calls for each authorization."""
    r = t.requests.c
    about = (r.user_id, r.authorization_id)
    # A repeated report of a rail changes nothing, whether or not it was stored; nor does a
    # repeated late pick-up.
    others = func.sum(case((r.method.in_([REPORT_TRANSFER, START_RENTAL]), 0), else_=1))
    started = func.max(case((r.method == START_RENTAL, 1), else_=0))
    calls = (others + started).label("count")
    known = r.authorization_id != ""
    return (
        select(*about, calls, true())
        .where(known, *share.people(r.user_id))
        .group_by(*about)
        .order_by(*about)
    )


# -- rows that name each other, and kept answers ------------------------------------------------


def _broken(connection: Connection, share: Share, alone: set[str]) -> list[tuple[int, BookFault]]:
    found = []
    for number, reference in enumerate(REFERENCES):
        if reference.seen_by_person and reference.table.name not in alone:
            continue
        keys = first_of(connection, _partnerless(connection, number, share))
        if keys is not None:
            fault = BookFault(reference.rule, reference.row(keys), reference.detail)
            found.append((number, fault))
    return found


@kept
def _partnerless(_connection: Connection, number: int, share: Share) -> Select[Any]:
    """Selects the first row that lacks its partner in the reference with this number."""
    return REFERENCES[number].of(share.people)


def _wrong_answer(
    connection: Connection, share: Share, read_answer: ReadAnswer
) -> BookFault | None:
    """The first stored answer that does not fit its method or its request, or None.

    Answers are first read in any order, because that is fastest. They are read in the order of
    their keys only to find the first fault.
    """
    try:
        _read_answers(connection, share, read_answer, named=False)
    except Found:
        try:
            _read_answers(connection, share, read_answer, named=True)
        except Found as found:
            return found.fault
    return None


def _read_answers(
    connection: Connection, share: Share, read_answer: ReadAnswer, *, named: bool
) -> None:
    text = _answers(connection, share, named=named)
    with closing(Cursor(connection, "answers", text)) as cursor:
        while rows := cursor.fetch(ANSWERS):
            _check_answers(rows, read_answer)


@kept
def _answers(_connection: Connection, share: Share, *, named: bool) -> Select[Any]:
    """Selects the stored answers. With `named`, it also selects their keys and sorts by them."""
    r = t.requests.c
    key = (r.caller, r.request_id) if named else ()
    # A command of the shell keeps the text that it prints.
    query = select(r.method, r.answer, r.user_id, r.authorization_id, *key).where(
        r.caller != ADMIN, *share.people(r.user_id)
    )
    return query.order_by(*key) if named else query


def _check_answers(rows: Sequence[Row], read_answer: ReadAnswer) -> None:
    for method, answer, user_id, authorization_id, *key in rows:
        try:
            about = read_answer(method, answer)
        except ValueError as error:
            raise Found("ANSWER", _request(key), f"is not an answer of {method}") from error
        except TypeError as error:
            raise Found("UNREADABLE", _request(key), "has a value of another type") from error
        if authorization_id:
            if about == f"users/{user_id}/authorizations/{authorization_id}":
                continue
        elif about is None or about == f"users/{user_id}":
            continue
        raise Found(
            "ANSWER", _request(key), f"is about {about}, but its request was about something else"
        )


def _request(key: Sequence[str]) -> str:
    return "/".join(("requests", *key))
