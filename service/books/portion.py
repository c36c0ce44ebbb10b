"""A portion of the people: their rows as columns, and codes for the rows' names.

Codes are places in sorted lists of the people, of their lines, and of their authorizations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from itertools import product, repeat
from typing import Final, NamedTuple

import numpy as np

from service.books.case_rows import CASES, EVIDENCE
from service.books.codes import (
    AMOUNT,
    BYTES,
    MAYBE,
    NUMBER,
    TEXT,
    AcceptedOffers,
    among,
    codes_of,
    named,
    or_absent,
)
from service.books.columns import Columns, Fields, Kind, Row, Unreadable, read
from service.books.faults import Array, Faults, Found, Place
from service.books.report_rows import ATTESTATIONS, LATE_PICKUPS
from service.domain.authorization import Custody, Start, State, TransferKind
from service.domain.captures import Purpose
from service.domain.ledger import Account, Book, Standing
from service.domain.policy import Offer
from service.domain.transitions import Transition
from service.engine.records.payments import PaymentKind
from service.engine.records.transfers import TransferState
from service.storage import schema as t

LAST = 1 << 62
"""A place after all rows of a line."""
NONE, MISSING = -1, -2
"""Used instead of a code: the row names nothing, or names a missing row."""


class Stage(IntEnum):
    """The order of the checks of a person's rows."""

    AUTHORIZATION_ROWS = 1
    LINES = 2
    AUTHORIZATIONS = 3
    EVENT_ROWS = 4
    EVENTS = 5
    BY_HAND = 6
    PAYMENT_ROWS = 7
    TRANSFER_ROWS = 8
    MONEY = 9
    DEPOSITS = 10
    OPERATORS_OWN = 11
    CAPTURE_ROWS = 12
    CORRECTION_ROWS = 13
    CAPTURED = 14
    CITED = 15
    CONCEDED = 16
    LATE_PICKUP_ROWS = 17
    CASES = 18
    ATTESTATION_ROWS = 19
    ATTESTED = 20


TRANSITIONS = codes_of(Transition)
ACCOUNTS = codes_of(Account)
BOOKS = codes_of(Book)
STATES = codes_of(State)
CUSTODIES = codes_of(Custody)
STANDINGS = codes_of(Standing)
STARTS = codes_of(Start)
OFFERS = codes_of(Offer)
ACCEPTED = AcceptedOffers(OFFERS)
PAYMENT_KINDS = codes_of(PaymentKind)
TRANSFER_KINDS = codes_of(TransferKind)
PURPOSES = codes_of(Purpose)
TRANSFER_STATES = codes_of(TransferState)


def authorization_name(user_id: str, authorization_id: str) -> str:
    """The resource name of an authorization."""
    return f"users/{user_id}/authorizations/{authorization_id}"


LINES = Fields(
    t.lines,
    {
        "user_id": TEXT,
        "currency": TEXT,
        **among("limit_minor", "available_minor", "held_minor", "drawn_minor", kind=AMOUNT),
        **among("cut_pending_minor", "receivable_minor", "disputed_minor", kind=AMOUNT),
        **among("charged_back_minor", "deposit_minor", "refund_payable_minor", kind=AMOUNT),
        **among("overpaid_minor", "unheld_minor", kind=AMOUNT),
        "standing": STANDINGS,
        "limit_fixed": Kind.TRUTH,
        "ledger_us": NUMBER,
        **among("subject_key", "subject", "head", kind=BYTES),
        "version": NUMBER,
    },
    named("lines/{}/{}", 0, 1),
)
KINDS = {
    "\n".join(names): code
    for code, names in enumerate(product(TRANSITIONS, BOOKS, ACCOUNTS, ACCOUNTS))
}
"""The code of transition, book, debit and credit, which are read as one text."""
OWNER = "{}\n{}"
"""The operator and the authorization of an entry, which are read as one text."""
ENTRY_COUNTS = Fields(
    t.entries,
    # The first entry of the line goes with the count.
    {"user_id": TEXT, "currency": TEXT, "count": NUMBER, "sequence": NUMBER},
    named("entries/{}/{}/{}", 0, 1, 3),
)
ENTRIES = Fields(
    t.entries,
    {
        # What a link covers, in its order; the currency comes before it.
        **among("sequence", "transaction_sequence", kind=NUMBER),
        "owner": TEXT,
        "kind": KINDS,
        "amount_minor": AMOUNT,
        **among("debit_after_minor", "credit_after_minor", kind=MAYBE),
        **among("event_us", "ledger_us", kind=NUMBER),
        "link": BYTES,
        "link_format": NUMBER,
    },
    named("{}", 0),
)
"""Entries are read by their number for each line, so that no id is fetched with each entry."""
HEADS = Fields(
    t.sealed_heads,
    {"user_id": TEXT, "currency": TEXT, "number": NUMBER, "version": NUMBER, "head": BYTES},
    named("sealed_heads/{}/{}/{}", 0, 1, 2),
)
AUTHORIZATIONS = Fields(
    t.authorizations,
    {
        **among("user_id", "authorization_id", "operator_id", "request_id", kind=TEXT),
        **among("parent_id", "group_id", "currency", kind=TEXT),
        "accept_offers": ACCEPTED,
        "start": STARTS,
        "offer": or_absent(OFFERS),
        "state": STATES,
        "custody": CUSTODIES,
        "fee_bp": Kind.SHARE,
        "rental_period_us": NUMBER,
        **among("credit_minor", "cash_minor", kind=AMOUNT),
        **among("expire_us", "start_us", "due_us", "lost_us", "claim_us", kind=MAYBE),
        **among("claim_until_us", "close_us", "sold_us", "wake_us", kind=MAYBE),
        **among("held_credit_minor", "held_cash_minor", "captured_minor", kind=AMOUNT),
        **among("captured_credit_minor", "conceded_minor", "fee_minor", kind=AMOUNT),
        **among("paid_minor", "lowered_minor", "disputed_minor", kind=AMOUNT),
        **among("charged_back_minor", "refunded_minor", "refund_payable_minor", kind=AMOUNT),
        **among("provisioned_minor", "written_off_minor", "recovered_minor", kind=AMOUNT),
        **among("forgiven_minor", "received_minor", "elsewhere_minor", kind=AMOUNT),
        **among("paid_out_minor", "debiting_minor", "write_off_minor", kind=AMOUNT),
        **among("overpaid_minor", "overpaid_written_off_minor", "unheld_minor", kind=AMOUNT),
        **among("unheld_dropped_minor", "unheld_disputed_minor", kind=AMOUNT),
        "unheld_until_us": MAYBE,
        "paused_us": NUMBER,
        **among("reserve_us", "order_fee_minor", kind=MAYBE),
        "write_off_by": TEXT,
        **among("rung", "version", "captures", "corrections", kind=NUMBER),
        **among("other_captured_minor", "uncollected_minor", kind=AMOUNT),
        **among("refund_after_us", "refund_since_us", kind=MAYBE),
        "refund_tries": NUMBER,
    },
    named("users/{}/authorizations/{}", 0, 1),
)
EVENTS = Fields(
    t.outbox,
    {
        **among("user_id", "authorization_id", kind=TEXT),
        **among("authorization_version", "sequence", kind=NUMBER),
        "transition": TRANSITIONS,
        **among("event_us", "record_us", kind=NUMBER),
    },
    named("outbox/{}", 3),
)
PAYMENTS = Fields(
    t.payments,
    {
        **among("user_id", "authorization_id", "caller", "payment_reference", kind=TEXT),
        "kind": PAYMENT_KINDS,
        "amount_minor": AMOUNT,
        "currency": TEXT,
    },
    named("payments/{}/{}", 2, 3),
)
TRANSFERS = Fields(
    t.transfers,
    {
        **among("user_id", "transfer_id", "authorization_id", kind=TEXT),
        "kind": TRANSFER_KINDS,
        "amount_minor": AMOUNT,
        "currency": TEXT,
        "state": TRANSFER_STATES,
        **among("request_us", "change_us", kind=NUMBER),
        "earlier_state": or_absent(TRANSFER_STATES),
        "earlier_us": MAYBE,
    },
    named("transfers/{}/{}", 0, 1),
)
REQUESTS = Fields(
    t.requests,
    {"user_id": TEXT, "authorization_id": TEXT, "count": NUMBER},
    named("requests"),
)


CAPTURES = Fields(
    t.captures,
    {
        **among("user_id", "authorization_id", kind=TEXT),
        "number": NUMBER,
        "purpose": PURPOSES,
        "amount_minor": AMOUNT,
        "business_reference": TEXT,
        **among("authorization_version", "event_us", "record_us", kind=NUMBER),
        "digest": BYTES,
        **among("conceded_minor", "disputed_minor", kind=AMOUNT),
    },
    named("captures/{}/{}/{}", 0, 1, 2),
)
CORRECTIONS = Fields(
    t.corrections,
    {
        **among("user_id", "authorization_id", kind=TEXT),
        "number": NUMBER,
        "transition": TRANSITIONS,
        "capture": NUMBER,
        **among("amount_minor", "conceded_minor", "disputed_minor", kind=AMOUNT),
        **among("business_reference", "reason", kind=TEXT),
        **among("authorization_version", "event_us", "record_us", kind=NUMBER),
        "digest": BYTES,
    },
    named("corrections/{}/{}/{}", 0, 1, 2),
)


LINK_TEXT: Final = "\n%d\n%d\n%s\n%s\n%d\n%s\n%s\n%d\n%d"
"""The text of a link after the currency: the fields of ENTRIES, each on a line of its own; two of
them are several of the entry's, with line feeds between them."""
LINK_HEADS: Final = {1: b"", 2: b"2\n"}
"""The text of a link, by its format, before the currency."""
_LINKED: Final = slice(0, 9)
_FORMAT: Final = 10

Line = tuple[str, str]
"""A line by its person and its currency."""
Entries = tuple[Columns, Array]
"""Entries, and the line of each."""


class Portion(NamedTuple):
    """The rows of some people, and the places of the rows that they name."""

    people: Sequence[str]
    lines_of: Sequence[Line]
    """Each line of which there is a row, entries or sealed heads, by person and currency."""
    line_person: Array
    line_row: Array
    """The place of each line in `lines`; MISSING if the line itself does not exist."""
    lines: Columns
    entries: Columns
    entry_line: Array
    heads: Columns
    head_line: Array
    authorizations: Columns
    authorization_person: Array
    authorization_codes: dict[tuple[str, str], int]
    events: Columns
    payments: Columns
    transfers: Columns
    requests: Columns
    captures: Columns
    corrections: Columns
    late_pickups: Columns
    cases: Columns
    evidence: Columns
    attestations: Columns

    def authorizations_named(self, rows: Columns, by: str = "authorization_id") -> Array:
        """The authorization that each row names: its place, NONE or MISSING."""
        if not rows.count:
            return np.zeros(0, dtype=np.int64)
        names = rows[by]
        keys = zip(rows["user_id"], names, strict=True)
        found = list(map(self.authorization_codes.get, keys, repeat(MISSING)))
        places = np.array(found, dtype=np.int64)
        nothing = np.flatnonzero(places == MISSING)
        places[[at for at in nothing if names[at] == ""]] = NONE
        return rows.spread(places)

    def owners(self) -> tuple[Array, Array]:
        """The authorization that each entry names: its place, NONE or MISSING.

        Also returns whether the entry has another operator than its authorization.
        """
        it, names = self.authorizations, self.entries["owner"]
        keys = list(map(OWNER.format, it["operator_id"], it["authorization_id"]))
        codes = dict(zip(keys, range(it.count), strict=True))
        person = self.line_person[self.entry_line]
        places = np.array(list(map(codes.get, names, repeat(MISSING))), dtype=np.int64)
        places = places.reshape(-1)
        others = np.zeros(len(places), dtype=bool)
        # Check entries with an unknown owner, or with an owner of another person, one by one.
        known = places >= 0
        known[known] = self.authorization_person[places[known]] == person[known]
        for at in np.flatnonzero(~known):
            operator_id, _, authorization_id = names[at].partition("\n")
            if authorization_id == "":
                places[at] = NONE
                continue
            key = (self.people[person[at]], authorization_id)
            places[at] = place = self.authorization_codes.get(key, MISSING)
            others[at] = place >= 0 and it["operator_id"][place] != operator_id
        return places, others

    def operator_of(self, entry: int) -> str:
        """The operator of an entry."""
        return str(self.entries["owner"][entry].partition("\n")[0])

    def people_of(self, rows: Columns) -> Array:
        """The person of each row, by place."""
        codes = {user_id: place for place, user_id in enumerate(self.people)}
        found = np.array([codes[user_id] for user_id in rows["user_id"]], dtype=np.int64)
        return rows.spread(found)

    def authorization_name(self, place: int) -> str:
        """The name of an authorization."""
        it = self.authorizations
        return authorization_name(it["user_id"][place], it["authorization_id"][place])


FIELDS = (
    *(LINES, ENTRY_COUNTS, HEADS, AUTHORIZATIONS, PAYMENTS, TRANSFERS, EVENTS, REQUESTS),
    *(CAPTURES, CORRECTIONS, LATE_PICKUPS, CASES, EVIDENCE, ATTESTATIONS),
)
"""The tables that are read in parallel, in the order of the streams."""


def portion_of(
    taken: Sequence[list[Row]], fetch: Callable[[int], list[Row]], faults: Faults
) -> Portion:
    """The portion of rows from all streams, in the order of FIELDS; notes unreadable rows.

    Unreadable rows are left out, because their own faults come before all faults that follow from
    them. `fetch` reads the next entries.
    """
    columns: list[Columns] = []
    wrong: list[tuple[Fields, Unreadable]] = []
    for fields, rows in zip(FIELDS, taken, strict=True):
        found, bad = read(fields, rows)
        columns.append(found)
        wrong += [(fields, it) for it in bad]
        if fields is ENTRY_COUNTS and bad:
            raise bad[0].found

    def entries(line: Array, lines_of: Sequence[Line], people: Sequence[str]) -> Entries:
        return _entries(fetch(len(line)), line, lines_of, people, faults)

    portion = join({row[0] for rows in taken for row in rows}, columns, entries)
    person = {user_id: place for place, user_id in enumerate(portion.people)}
    line = {key: place for place, key in enumerate(portion.lines_of)}
    for fields, it in wrong:
        faults.add(_place(fields, it, person, line), it.found)
    return portion


def join(
    users: Iterable[str],
    columns: Sequence[Columns],
    read_entries: Callable[[Array, Sequence[Line], Sequence[str]], Entries],
) -> Portion:
    """The columns of all tables, in the order of FIELDS, with the indexes of the rows that they
    name.

    `read_entries` gets the line of each entry, all lines and all people.
    """
    lines, counts, heads, authorizations, payments, transfers, events, *others = columns
    requests, captures, corrections, late_pickups, cases, evidence, attestations = others
    people = sorted(users)
    person = {user_id: place for place, user_id in enumerate(people)}
    keyed = [list(zip(it["user_id"], it["currency"], strict=True)) for it in (lines, counts, heads)]
    lines_of = sorted(set().union(*keyed))
    line = {key: place for place, key in enumerate(lines_of)}
    of_lines, of_entries, of_heads = (
        np.array([line[key] for key in keys], dtype=np.int64) for keys in keyed
    )
    line_row = np.full(len(lines_of), MISSING, dtype=np.int64)
    line_row[of_lines] = np.arange(lines.count)
    entries, entry_line = read_entries(np.repeat(of_entries, counts["count"]), lines_of, people)
    keys = list(zip(authorizations["user_id"], authorizations["authorization_id"], strict=True))
    return Portion(
        people,
        lines_of,
        np.array([person[user_id] for user_id, _ in lines_of], dtype=np.int64),
        line_row,
        lines,
        entries,
        entry_line,
        heads,
        of_heads,
        authorizations,
        np.array([person[user_id] for user_id, _ in keys], dtype=np.int64),
        {key: place for place, key in enumerate(keys)},
        events,
        payments,
        transfers,
        requests,
        captures,
        corrections,
        late_pickups,
        cases,
        evidence,
        attestations,
    )


def _entries(
    rows: list[Row],
    line: Array,
    lines_of: Sequence[Line],
    people: Sequence[str],
    faults: Faults,
) -> Entries:
    """The readable entries as columns, with the line of each entry."""
    entries, wrong = read(ENTRIES, rows)
    if wrong:
        person = {user_id: place for place, user_id in enumerate(people)}
        bad = {id(it.row): it for it in wrong}
        for row, of in zip(rows, line, strict=True):
            it = bad.get(id(row))
            if it is not None:
                name = entry_row(*lines_of[int(of)], row[0])
                sequence = row[0] if isinstance(row[0], int) else NONE
                place = (person[lines_of[of][0]], Stage.LINES, int(of), sequence, 0)
                faults.add(place, Found("UNREADABLE", name, it.found.fault.detail))
        line = line[[id(row) not in bad for row in rows]]
    entries["text"] = [
        LINK_HEADS.get(row[_FORMAT], b"")
        + lines_of[of][1].encode()
        + (LINK_TEXT % row[_LINKED]).encode()
        for row, of in zip(entries.rows, line.tolist(), strict=True)
    ]
    rest, entries["credit"] = np.divmod(entries["kind"], len(ACCOUNTS))
    rest, entries["debit"] = np.divmod(rest, len(ACCOUNTS))
    entries["transition"], entries["book"] = np.divmod(rest, len(BOOKS))
    return entries, line


def entry_row(user_id: str, currency: str, sequence: object) -> str:
    """The name of an entry's row."""
    return f"entries/{user_id}/{currency}/{sequence}"


_STAGES = {
    t.authorizations.name: Stage.AUTHORIZATION_ROWS,
    t.outbox.name: Stage.EVENT_ROWS,
    t.payments.name: Stage.PAYMENT_ROWS,
    t.transfers.name: Stage.TRANSFER_ROWS,
    t.requests.name: Stage.EVENTS,
    t.captures.name: Stage.CAPTURE_ROWS,
    t.corrections.name: Stage.CORRECTION_ROWS,
    t.late_pickups.name: Stage.LATE_PICKUP_ROWS,
    t.cases.name: Stage.CASES,
    t.case_evidence.name: Stage.CASES,
    t.attestations.name: Stage.ATTESTATION_ROWS,
}


def _place(
    fields: Fields, it: Unreadable, people: dict[str, int], lines: dict[tuple[str, str], int]
) -> Place:
    """The place of an unreadable row: before the checks that depend on it."""
    person, stage = people[it.row[0]], _STAGES.get(fields.table.name, Stage.LINES)
    if stage is not Stage.LINES:
        return (person, stage, -1)
    return (person, stage, lines.get(it.row[:2], NONE), NONE, 0)
