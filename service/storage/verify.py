"""Proves the books: every entry replayed, every stored amount compared, every seal checked, and
each authorization, payment and transfer compared with the entries and events that tell of it.

Streams in the order of the person are read side by side in one snapshot of the database, so
that memory is bounded by the authorizations and payments of one person, however many entries
there are. What rows must come to stands in `engine/audit.py`. The streams are matched by bytes,
as SQLite sorts; on PostgreSQL the columns have the collation "C" for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Column, Connection, Engine, Select, Table, and_, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.domain.authorization import HOLDING
from service.domain.chain import NO_LINK, seal_digest
from service.domain.ledger import Account, Entry, Standing
from service.domain.policy import Reason
from service.domain.transitions import Transition
from service.engine.audit import (
    OPERATORS_OWN,
    Found,
    LineReplay,
    Moved,
    Recorded,
    check_alone,
    entry_row,
    payment_row,
)
from service.engine.ports import SealKeys
from service.engine.records import (
    Event,
    PaymentKind,
    PaymentRecord,
    SealedHead,
    TransferRecord,
    Verification,
    Witness,
)
from service.storage import rows
from service.storage import tables as t
from service.storage.admin import ADMIN
from service.storage.database import reading_all

REPORT_TRANSFER = "ReportTransfer"
PORTION = 1_000
"""Rows of a stream that are fetched together."""

Row = Sequence[Any]
Made = TypeVar("Made")
ReadAnswer = Callable[[str, bytes], str | None]
"""Reads a method's stored answer: the resource that it is about, None if about none.

Raises ValueError for what is no answer of the method.
"""


def verify_books(
    engine: Engine,
    keys: SealKeys | None = None,
    witnesses: Iterable[Witness] = (),
    read_answer: ReadAnswer | None = None,
) -> Verification:
    """Checks both books and their seals; stops at the first fault and names its row.

    Without `keys` the signatures of the seals are not checked. `witnesses` are seals that were
    noted outside the database, without which seals cut off at the end are not missed. Without
    `read_answer` the answers that are kept for retries are not read.

    Each entry is in one book with two accounts of it, which is why every transaction sums to
    zero per book and currency; each changes its line and its authorization by the same amount,
    which is why held = open credit parts and deposit = open cash parts once every stored line
    and every stored authorization equals its entries. Raises StorageFailed when the database is
    away.
    """
    books = _Books()
    fault = None
    try:
        with reading_all(engine, PORTION) as connection:
            books.verify(connection, keys, dict(witnesses))
            if read_answer is not None:
                _verify_answers(connection, read_answer)
    except Found as found:
        fault = found.fault
    return Verification(
        books.lines,
        books.entries,
        books.authorizations,
        fault,
        books.seals,
        books.signatures,
        books.last_seal,
    )


# -- streams ------------------------------------------------------------------------------------


class _Stream:
    """Rows in the order of their leading columns, one ahead."""

    def __init__(self, found: Iterator[Row]) -> None:
        self._found = found
        self.head = next(found, None)

    def of(self, *key: Any) -> Iterator[Row]:
        """Takes the rows that begin with these values."""
        while self.head is not None and tuple(self.head[: len(key)]) == key:
            row = self.head
            self.head = next(self._found, None)
            yield row


def _stream(connection: Connection, query: Select[Any]) -> _Stream:
    return _Stream(_rows(connection, query))


def _rows(connection: Connection, query: Select[Any]) -> Iterator[Row]:
    """The rows of a query of one table, as the driver gives them, each of the declared types.

    SQLite keeps whatever it was given: a text in a column of numbers is a fault to be named.
    """
    columns = [column for column in query.selected_columns if isinstance(column, Column)]
    types = [_types(column) for column in columns]
    # As plain text, so that nothing converts a value on its way.
    sql = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    for row in connection.exec_driver_sql(sql):
        if not all(map(isinstance, row, types)):
            keys = [str(value) for value, at in zip(row, columns, strict=True) if at.primary_key]
            raise Found("UNREADABLE", "/".join([columns[0].table.name, *keys]), "of another type")
        yield tuple(row)


def _types(column: Column[Any]) -> tuple[type, ...]:
    python_type = column.type.python_type
    # SQLite gives truth values as numbers.
    known = (bool, int) if python_type is bool else (python_type,)
    return (*known, type(None)) if column.nullable else known


def _made(make: Callable[[Row], Made], row: Row, name: str) -> Made:
    """A row as a record; a name in it that nobody knows is a fault."""
    try:
        return make(row)
    except (KeyError, ValueError) as error:
        raise Found("UNREADABLE", name, f"an unknown {type(error).__name__}") from error


def _ordered(table: Table, *by: str) -> Select[Any]:
    return select(*t.recorded(table)).order_by(*(table.c[name] for name in by))


class _People:
    """All that belongs to people, side by side."""

    def __init__(self, connection: Connection) -> None:
        p = t.payments.c
        by_person = (p.user_id, p.authorization_id, p.caller, p.payment_reference)
        payments = select(*by_person, p.kind, p.amount_minor, p.currency, p.record_us)
        self.lines = _stream(connection, _ordered(t.lines, "user_id", "currency"))
        self.entries = _stream(connection, _ordered(t.entries, "user_id", "currency", "sequence"))
        self.heads = _stream(connection, _ordered(t.sealed_heads, "user_id", "currency", "number"))
        self.authorizations = _stream(
            connection, _ordered(t.authorizations, "user_id", "authorization_id")
        )
        self.payments = _stream(connection, payments.order_by(*by_person))
        self.transfers = _stream(connection, _ordered(t.transfers, "user_id", "transfer_id"))
        o = t.outbox.c
        by_version = (o.user_id, o.authorization_id, o.authorization_version, o.sequence)
        events = select(*by_version, o.transition, o.event_us, o.record_us)
        self.events = _stream(connection, events.order_by(*by_version))
        r = t.requests.c
        about = (r.user_id, r.authorization_id)
        # What a rail says again changes nothing, whether or not it was kept.
        calls = and_(r.authorization_id != "", r.method != REPORT_TRANSFER)
        requests = select(*about, func.count()).where(calls)
        self.requests = _stream(connection, requests.group_by(*about).order_by(*about))
        self._of_lines = (self.lines, self.entries, self.heads)
        self._all = (
            *self._of_lines,
            self.authorizations,
            self.payments,
            self.transfers,
            self.events,
            self.requests,
        )

    def next_person(self) -> str | None:
        """The first person of whom something is left."""
        return min((it.head[0] for it in self._all if it.head is not None), default=None)

    def next_line(self, user_id: str) -> str | None:
        """The first currency in which something of a person's lines is left."""
        heads = [it.head for it in self._of_lines if it.head is not None]
        return min((head[1] for head in heads if head[0] == user_id), default=None)


# -- both books ---------------------------------------------------------------------------------


class _Person:
    """What is known of one person while the entries pass."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.currencies: set[str] = set()
        self.moved: dict[str, Moved] = {}
        self.wake_us: dict[str, int | None] = {}
        self.operators_own: Counter[tuple[PaymentKind, str]] = Counter()
        self.by_hand: dict[str, tuple[str, frozenset[Transition]]] = {}
        """What is set by hand on lines: the line, and the events of which one has set it."""
        self.seen: set[Transition] = set()
        """What happened to the person as such, and write-offs."""


class _Books:
    """One verification: how far it came, and the sums that go through all people."""

    def __init__(self) -> None:
        self.lines = 0
        self.entries = 0
        self.authorizations = 0
        self.seals = 0
        self.signatures = 0
        self.last_seal: Witness | None = None
        self._payable: Counter[tuple[str, str]] = Counter()

    def verify(
        self, connection: Connection, keys: SealKeys | None, witnesses: dict[int, bytes]
    ) -> None:
        """Raises Found at the first fault."""
        self._verify_seals(connection, keys, witnesses)
        people = _People(connection)
        while (user_id := people.next_person()) is not None:
            self._verify_person(people, user_id)
        self._verify_payables(connection)
        for reference in _REFERENCES:
            keys_alone = connection.execute(reference.alone.limit(1)).first()
            if keys_alone is not None:
                raise Found(reference.rule, reference.row(keys_alone), reference.detail)

    # -- seals ----------------------------------------------------------------------------------

    def _verify_seals(
        self, connection: Connection, keys: SealKeys | None, witnesses: dict[int, bytes]
    ) -> None:
        """The seals follow each other, and each covers its heads; no head is without a seal."""
        h = t.sealed_heads.c
        heads = _stream(connection, select(h.number, h.version, h.head).order_by(h.number, h.head))
        previous = NO_LINK
        for row in _rows(connection, _ordered(t.seals, "number")):
            number, before, digest, signature, key_id, seal_us, outbox_sequence = row
            name = f"seals/{number}"
            if number != self.seals + 1:
                raise Found("SEAL_MISSING", name, f"expected {self.seals + 1}")
            if before != previous:
                raise Found("SEAL_CHAIN", name, "does not follow on the seal before it")
            covered = ((version, head) for _, version, head in heads.of(number))
            if digest != seal_digest(number, before, seal_us, outbox_sequence, covered):
                raise Found("SEAL_DIGEST", name, "the digest does not follow from what it covers")
            if keys is not None:
                if not keys.verify(key_id, digest, signature):
                    raise Found("SEAL_SIGNATURE", name, f"not signed by the key {key_id}")
                self.signatures += 1
            if witnesses.pop(number, digest) != digest:
                raise Found("SEAL_WITNESS", name, "a witness has another digest")
            previous = digest
            self.seals = number
            self.last_seal = Witness(number, digest)
        if heads.head is not None:
            raise Found("SEAL_MISSING", f"seals/{heads.head[0]}", "heads are left that it covered")
        for number in sorted(witnesses):
            raise Found("SEAL_MISSING", f"seals/{number}", "a witness has it")

    # -- people ---------------------------------------------------------------------------------

    def _verify_person(self, people: _People, user_id: str) -> None:
        person = _Person(user_id)
        for row in people.authorizations.of(user_id):
            name = f"users/{user_id}/authorizations/{row[1]}"
            it = _made(rows.authorization_of, row, name)
            person.moved[it.authorization_id] = Moved(it)
            person.wake_us[it.authorization_id] = row[-1]
        while (currency := people.next_line(user_id)) is not None:
            self._verify_line(people, person, currency)
        for moved in person.moved.values():
            self.authorizations += 1
            it = moved.authorization
            if it.currency not in person.currencies:
                raise Found("AUTHORIZATION_WITHOUT_LINE", it.name, f"no line in {it.currency}")
            moved.check()
            if person.wake_us[it.authorization_id] != it.wake_us:
                raise Found("WAKE_STORED", it.name, "does not follow from state and times")
        self._verify_events(people, person)
        for _, authorization_id, requests in people.requests.of(user_id):
            # Those of an authorization that is not there are looked for with the references.
            if authorization_id in person.moved:
                person.moved[authorization_id].requests = requests
        self._verify_payments(people, person)

    def _verify_events(self, people: _People, person: _Person) -> None:
        """Each version of an authorization has its event, and what was set by hand has one."""
        for row in people.events.of(person.user_id):
            user_id, authorization_id, version, sequence, transition, *times = row
            name = f"outbox/{sequence}"
            event = _made(_event_of, (transition, user_id, authorization_id, version, *times), name)
            if not authorization_id:
                person.seen.add(event.transition)
                continue
            moved = person.moved.get(authorization_id)
            if moved is None:
                raise Found("EVENT", name, "the authorization is not there")
            moved.story.add(event, name)
        for moved in person.moved.values():
            moved.story.check()
        for what, (line, by) in person.by_hand.items():
            if person.seen.isdisjoint(by):
                raise Found("SET_BY_NOBODY", line, f"{what}, and no event says so")

    def _verify_line(self, people: _People, person: _Person, currency: str) -> None:
        """One line: its entries one by one, the seals of its heads, then the line itself."""
        key = (person.user_id, currency)
        name = "/".join(("lines", *key))
        replay = None
        for row in people.lines.of(*key):
            self.lines += 1
            replay = LineReplay(_made(rows.line_of, row, name))
            if replay.standing is not Standing.NORMAL:
                person.by_hand["the standing"] = (name, _STANDING_SET)
            if replay.limit_fixed:
                person.by_hand["the limit is fixed"] = (name, _LIMIT_FIXED)
        person.currencies.add(currency)
        heads = (SealedHead(*row[:2], *row[3:]) for row in people.heads.of(*key))
        sealed = next(heads, None)
        for row in people.entries.of(*key):
            entry_name = entry_row(*key, row[2])
            if replay is None:
                raise Found("ENTRY_WITHOUT_LINE", entry_name, "the line is not there")
            entry = _made(rows.entry_of, row, entry_name)
            replay.add(entry, entry_name)
            self._attribute(person, entry, entry_name)
            self.entries += 1
            while sealed is not None and sealed.version <= entry.sequence:
                if (sealed.version, sealed.head) != (entry.sequence, entry.link):
                    raise Found("SEALED_HEAD", entry_name, "another link was sealed here")
                sealed = next(heads, None)
        if replay is not None:
            replay.finish()
        if sealed is not None:
            entries = 0 if replay is None else replay.entries
            raise Found(
                "TAIL_CUT", name, f"{sealed.version} entries were sealed, {entries} are there"
            )

    def _attribute(self, person: _Person, entry: Entry, name: str) -> None:
        """Adds an entry to its authorization, and to what its operator is owed."""
        if entry.authorization_id:
            moved = person.moved.get(entry.authorization_id)
            if moved is None:
                raise Found("ENTRY_WITHOUT_AUTHORIZATION", name, "the authorization is not there")
            moved.add(entry, name)
            if entry.transition is Transition.WRITTEN_OFF:
                person.seen.add(entry.transition)
        else:
            check_alone(entry, name)
            kind = OPERATORS_OWN.get(entry.transition)
            if kind is not None:
                person.operators_own[kind, entry.currency] += entry.amount_minor
        if entry.credit is Account.OPERATOR_PAYABLE:
            self._payable[entry.operator_id, entry.currency] += entry.amount_minor
        elif entry.debit is Account.OPERATOR_PAYABLE:
            self._payable[entry.operator_id, entry.currency] -= entry.amount_minor

    def _verify_payments(self, people: _People, person: _Person) -> None:
        """Payments and transfers, as they were recorded, are what the entries moved."""
        recorded = Recorded()
        for row in people.payments.of(person.user_id):
            user_id, authorization_id, caller, reference, *rest = row
            kind, *amount = rest
            values = (caller, reference, kind, user_id, authorization_id, *amount)
            payment = _made(rows.payment_of, values, f"payments/{caller}/{reference}")
            if payment.kind in OPERATORS_OWN.values():
                person.operators_own[payment.kind, payment.currency] -= payment.amount_minor
                continue
            _same_currency(person, payment, payment_row(payment))
            recorded.add_payment(payment)
        for row in people.transfers.of(person.user_id):
            name = f"transfers/{row[0]}/{row[1]}"
            transfer = _made(rows.transfer_of, row, name)
            _same_currency(person, transfer, name)
            recorded.add_transfer(transfer, name)
        recorded.check(person.moved.values())
        for (kind, currency), difference_minor in person.operators_own.items():
            if difference_minor:
                raise Found(
                    "PAYMENTS",
                    f"lines/{person.user_id}/{currency}",
                    f"{kind}: entries moved {difference_minor} more than was recorded",
                )

    def _verify_payables(self, connection: Connection) -> None:
        """What each operator is owed is what the entries of all people come to."""
        query = _ordered(t.operator_payables, "operator_id", "currency", "batch_id")
        for operator_id, currency, _, amount_minor in _rows(connection, query):
            self._payable[operator_id, currency] -= amount_minor
        for key in sorted(self._payable):
            if self._payable[key]:
                raise Found(
                    "OPERATOR_PAYABLE",
                    "/".join(("operator_payables", *key)),
                    f"entries come to {self._payable[key]} more",
                )


_STANDING_SET = frozenset({Transition.STANDING_SET})
_LIMIT_FIXED = frozenset({Transition.LIMIT_SET, Transition.WRITTEN_OFF})


def _event_of(row: Row) -> Event:
    return Event(Transition(row[0]), *row[1:])


def _verify_answers(connection: Connection, read_answer: ReadAnswer) -> None:
    """Each answer that is kept is one of its method, about what the request was about."""
    r = t.requests.c
    key = (r.caller, r.request_id)
    query = select(*key, r.method, r.answer, r.user_id, r.authorization_id).order_by(*key)
    for caller, request_id, method, answer, user_id, authorization_id in _rows(connection, query):
        if caller == ADMIN:
            continue  # a command of the shell, whose answer is the text that it prints
        name = f"requests/{caller}/{request_id}"
        try:
            about = read_answer(method, answer)
        except ValueError as error:
            raise Found("ANSWER", name, f"no answer of {method}") from error
        authorization = f"users/{user_id}/authorizations/{authorization_id}"
        expected = authorization if authorization_id else f"users/{user_id}"
        if about != expected and (about is not None or authorization_id):
            raise Found("ANSWER", name, f"about {about}, expected {expected}")


def _same_currency(person: _Person, it: PaymentRecord | TransferRecord, name: str) -> None:
    moved = person.moved.get(it.authorization_id)
    if moved is not None and moved.authorization.currency != it.currency:
        raise Found("PAYMENTS", name, "another currency than the authorization's")


# -- rows that name each other ------------------------------------------------------------------


class _Reference(NamedTuple):
    """Rows of a table that must have a partner: which have none, and what that means."""

    rule: str
    table: Table
    alone: Select[Any]
    detail: str

    def row(self, keys: Row) -> str:
        """How a row with these keys is named."""
        if self.table is t.authorizations:
            return "users/{}/authorizations/{}".format(*keys)
        return "/".join([self.table.name, *map(str, keys)])


def _alone(
    table: Table, partner: Table, on: ColumnElement[bool], *where: ColumnElement[bool]
) -> Select[Any]:
    """The keys of rows without a partner; searched for in the database, so without memory."""
    absent = next(iter(partner.primary_key)).is_(None)
    return (
        select(*table.primary_key).select_from(table.outerjoin(partner, on)).where(absent, *where)
    )


def _references() -> list[_Reference]:
    a, o, r, d = t.authorizations.c, t.open_items.c, t.requests.c, t.decisions.c
    # A damage charge may name an item, and leaves it free.
    holds = and_(a.state.in_(sorted(str(state) for state in HOLDING)), a.parent_id == "")
    keys = ("operator_id", "asset_id", "user_id", "authorization_id")
    item = and_(*(o[key] == a[key] for key in keys))
    asked = and_(r.caller == a.operator_id, r.request_id == a.request_id, r.user_id == a.user_id)
    same = ("decision_id", "user_id", "operator_id", "product_id", "product_revision")
    decided = and_(
        *(d[key] == a[key] for key in (*same, "policy_revision", "model_id")),
        d.decide_us == a.create_us,
        or_(d.request_id == a.request_id, a.request_id == ""),
        or_(
            d.offer == a.offer,
            and_(d.offer.is_(None), a.offer.is_(None)),
            # The person who resolved the review decided last.
            d.reasons.startswith(Reason.UNDER_REVIEW),
        ),
    )
    p = t.products.c
    rented = and_(
        p.operator_id == a.operator_id,
        p.product_id == a.product_id,
        p.revision == a.product_revision,
    )
    found = [
        _Reference(
            "REFERENCE",
            table,
            _alone(
                table,
                t.authorizations,
                and_(
                    a.user_id == table.c.user_id,
                    a.authorization_id == table.c.authorization_id,
                ),
                table.c.authorization_id != "",
            ),
            "the authorization is not there",
        )
        for table in (t.requests, t.payments, t.transfers)
    ]
    return [
        *found,
        _Reference(
            "REFERENCE",
            t.authorizations,
            _alone(t.authorizations, t.requests, asked, a.request_id != ""),
            "the request that made it is not there",
        ),
        _Reference(
            "REFERENCE",
            t.authorizations,
            _alone(t.authorizations, t.decisions, decided),
            "the decision that it rests on is not there",
        ),
        _Reference(
            "REFERENCE",
            t.authorizations,
            _alone(t.authorizations, t.products, rented),
            "the product that was rented is not there",
        ),
        _Reference(
            "REFERENCE",
            t.authorizations,
            _alone(t.authorizations, t.users, t.users.c.user_id == a.user_id),
            "the person is not there",
        ),
        _Reference(
            "OPEN_ITEM",
            t.open_items,
            _alone(t.open_items, t.authorizations, and_(item, holds)),
            "no authorization holds the item",
        ),
        _Reference(
            "OPEN_ITEM",
            t.authorizations,
            _alone(t.authorizations, t.open_items, item, holds, a.asset_id != ""),
            "the item is free for others",
        ),
    ]


_REFERENCES = _references()
