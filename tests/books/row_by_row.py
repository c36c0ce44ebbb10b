"""A second verifier, which compares row by row in plain Python. The shipped one compares in bulk.

It shares only the tables of expectations with the shipped verifier. The tests compare the results
of both on the same books.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from freehold.v1 import authorization_pb2 as pb
from freehold.v1.authorization_service_pb2 import SettleAuthorizationResponse
from google.protobuf.message import DecodeError
from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Engine,
    Select,
    Table,
    case,
    func,
    select,
)

from service.books import expectations as e
from service.books.cases import Event as EventOfCase
from service.books.cases import Person as CasesOfPerson
from service.books.cases import faults_of
from service.books.faults import Found
from service.books.references import REFERENCES
from service.books.share import REPORT_TRANSFER, START_RENTAL, ReadAnswer
from service.domain import settlement
from service.domain.access import PLATFORM
from service.domain.attestations import AttestationKind
from service.domain.authorization import (
    CHARGED,
    CLOSED,
    HOLDING,
    LAPSING,
    Authorization,
    Custody,
    Start,
    State,
    TransferKind,
)
from service.domain.captures import Purpose
from service.domain.cases import Case, Evidence
from service.domain.dunning import LADDER, Rung
from service.domain.hash_chain import LINK_FORMATS, NO_LINK, link_of, seal_digest, subject_of
from service.domain.ledger import (
    LINE_COLUMNS,
    Account,
    Entry,
    Line,
    Standing,
    book_of,
    operator_account,
)
from service.domain.money import share_minor
from service.domain.suspense import RAIL_ACCOUNT
from service.domain.transitions import Transition
from service.domain.transitions import Transition as T
from service.domain.verification import Verification, Witness
from service.engine.ports import SealKeys
from service.engine.records.attestations import AttestationRecord
from service.engine.records.captures import CaptureRecord, CorrectionRecord, digest_of
from service.engine.records.events import Event
from service.engine.records.payments import PaymentKind, PaymentRecord
from service.engine.records.seals import SealedHead
from service.engine.records.transfers import TransferRecord, TransferState, transfer_reference
from service.storage import rows
from service.storage import schema as t
from service.storage.admin import ADMIN
from service.storage.database import reading_all
from tests.books import aliases_row_by_row, charge_backs_row_by_row

_WAKE_US = len(Authorization._fields)
A = Account
PORTION = 1_000
Row = Sequence[Any]
Made = TypeVar("Made")

# -- a line and its entries ---------------------------------------------------------------------


class LineReplay:
    """Replays the entries of one line, in order, and compares them with the stored line."""

    def __init__(self, stored: Line) -> None:
        self.name = f"lines/{stored.user_id}/{stored.currency}"
        self.entries = 0
        self.head = b""
        self._stored = stored
        self._balances = dict.fromkeys(LINE_COLUMNS, 0)
        self._last: Entry | None = None
        self.standing, self.limit_fixed = stored.standing, stored.limit_fixed
        if stored.subject_key and stored.subject != _subject(stored):
            raise Found("SUBJECT", self.name, "the chain is another person's")

    def add(self, entry: Entry, row: str) -> None:
        """Takes the next entry; raises Found where it does not follow from the earlier ones."""
        last = self._last
        if entry.sequence != self.entries + 1:
            raise Found(
                "ENTRY_MISSING", row, f"expected {self.entries + 1}, found {entry.sequence}"
            )
        if entry.amount_minor <= 0:
            raise Found("AMOUNT_NOT_POSITIVE", row, str(entry.amount_minor))
        if not book_of(entry.debit) is book_of(entry.credit) is entry.book:
            raise Found(
                "BOOK_NOT_BALANCED", row, f"{entry.debit} / {entry.credit} in book {entry.book}"
            )
        if last is None or entry.transaction_sequence == entry.sequence:
            self._end_transaction()
        if not _belongs(entry, last):
            raise Found("TRANSACTION", row, "neither begins nor continues a transaction")
        if entry.event_us > entry.ledger_us:
            raise Found("TIME", row, "written before the event happened")
        if last is not None and entry.ledger_us < last.ledger_us:
            raise Found("TIME", row, "written before the previous entry")
        self._move(entry.debit, entry.amount_minor, entry.debit_after_minor, row)
        self._move(entry.credit, -entry.amount_minor, entry.credit_after_minor, row)
        if entry.link_format not in LINK_FORMATS:
            raise Found(
                "LINK_FORMAT", row, f"format {entry.link_format} is not known to this build"
            )
        self.head = link_of(self.head, self._stored.subject, entry)
        if entry.link != self.head:
            raise Found(
                "LINK", row, "the link does not follow from the entry and the previous link"
            )
        self.entries = entry.sequence
        self._last = entry

    def _move(
        self, account: Account, debited_minor: int, after_minor: int | None, row: str
    ) -> None:
        kept = LINE_COLUMNS.get(account)
        if kept is None:
            if after_minor is not None:
                raise Found("BALANCE_AFTER", row, f"{account} keeps no balance here")
            return
        balance_minor = self._balances[account] + kept[1] * debited_minor
        if balance_minor != after_minor:
            raise Found(
                "BALANCE_AFTER", row, f"{account}: replayed {balance_minor}, stored {after_minor}"
            )
        if balance_minor < 0:
            raise Found("BALANCE_NEGATIVE", row, f"{account}: {balance_minor}")
        self._balances[account] = balance_minor

    def _end_transaction(self) -> None:
        """Checks after each transaction, and in the stored line, that drawn = receivable +
        disputed."""
        it, last = self._balances, self._last
        owed_minor = it[A.RECEIVABLE] + it[A.RECEIVABLE_DISPUTED]
        if last is not None and it[A.DRAWN] != owed_minor:
            row = entry_row(last.user_id, last.currency, last.transaction_sequence)
            raise Found(
                "DRAWN_IS_RECEIVABLE", row, f"after it: drawn {it[A.DRAWN]}, owed {owed_minor}"
            )

    def finish(self) -> None:
        """Checks after the last entry that the stored line equals the replayed one."""
        it, name = self._stored, self.name
        if it.version != self.entries:
            raise Found(
                "ENTRY_MISSING", name, f"counts {it.version} entries, there are {self.entries}"
            )
        self._end_transaction()
        parts_minor = it.available_minor + it.held_minor + it.drawn_minor
        if it.limit_minor != parts_minor:
            raise Found("LIMIT_IS_THE_SUM", name, f"limit {it.limit_minor}, parts {parts_minor}")
        owed_minor = it.receivable_minor + it.disputed_minor
        if it.drawn_minor != owed_minor:
            raise Found("DRAWN_IS_RECEIVABLE", name, f"drawn {it.drawn_minor}, owed {owed_minor}")
        for account, (column, _) in LINE_COLUMNS.items():
            stored_minor, replayed_minor = getattr(it, column), self._balances[account]
            if stored_minor != replayed_minor:
                raise Found(
                    "BALANCE_STORED",
                    name,
                    f"{column}: replayed {replayed_minor}, stored {stored_minor}",
                )
        if it.cut_pending_minor and (it.cut_pending_minor < 0 or it.available_minor):
            raise Found("CUT_PENDING", name, "a cut is pending while something is available")
        if it.cut_pending_minor > it.limit_minor:
            raise Found("CUT_PENDING", name, "more is to be cut than the limit")
        if it.head != self.head:
            raise Found("HEAD_STORED", name, "the head is not the last entry's link")
        ledger_us = self._last.ledger_us if self._last is not None else 0
        if it.ledger_us != ledger_us:
            raise Found("TIME", name, f"ledger_us: replayed {ledger_us}, stored {it.ledger_us}")


def entry_row(user_id: str, currency: str, sequence: int) -> str:
    """The name of an entry's row."""
    return f"entries/{user_id}/{currency}/{sequence}"


def _subject(line: Line) -> bytes | None:
    try:
        return subject_of(line.user_id, line.subject_key)
    except ValueError:
        return None  # no key has such a length


def _belongs(entry: Entry, last: Entry | None) -> bool:
    """Whether an entry begins a transaction, or continues that of the entry before it."""
    if entry.transaction_sequence == entry.sequence:
        return True
    return last is not None and _transaction(entry) == _transaction(last)


def _transaction(it: Entry) -> tuple[object, ...]:
    """The values that all entries of a transaction share."""
    return (
        it.transaction_sequence,
        it.operator_id,
        it.authorization_id,
        it.transition,
        it.event_us,
        it.ledger_us,
    )


# -- an authorization and its entries -----------------------------------------------------------


_PLACE_NAMES = list(e.PLACES)


class Moved:
    """One authorization and its entries' sums."""

    __slots__ = ("_amounts", "_payouts", "_posted", "authorization", "changes", "requests", "story")

    def __init__(self, authorization: Authorization) -> None:
        self.authorization = authorization
        self._amounts = [0] * len(e.PLACES)
        self._payouts: Counter[tuple[str, int]] = Counter()
        self.story = Story(authorization)
        self.requests = 0
        """The number of stored answers about it."""
        self._posted: Counter[tuple[T, int]] = Counter()
        self.changes: Counter[tuple[str, T, int]] = Counter()
        """The changes of each amount, by transition and instant."""

    def add(self, entry: Entry, row: str) -> None:
        """Takes the next entry; raises Found for a posting that the authorization cannot have."""
        it = self.authorization
        if (entry.operator_id, entry.currency) != (it.operator_id, it.currency):
            raise Found("ENTRY_OF_ANOTHER", row, f"{it.name} has another operator or currency")
        for place, sign in effect_of(entry, row):
            self._amounts[place] += sign * entry.amount_minor
            changed = (_PLACE_NAMES[place], entry.transition, entry.event_us)
            self.changes[changed] += sign * entry.amount_minor
        flow = e.PAYOUTS.get(entry.transition)
        if flow is not None and entry.credit not in (Account.OVERPAID, Account.RECOVERY):
            self._payouts[flow, entry.transaction_sequence] += entry.amount_minor
        if entry.transaction_sequence == entry.sequence:
            self._posted[entry.transition, entry.event_us] += 1

    def carry_over(self, deposit_minor: int) -> None:
        """Takes a deposit that a late pick-up took over from this reservation."""
        for name in e.CARRIED:
            self._amounts[e.PLACES[name]] -= deposit_minor

    @property
    def payouts(self) -> Counter[tuple[str, int]]:
        """Payouts and failed payouts, by flow and amount: each is one transfer."""
        return Counter((flow, minor) for (flow, _), minor in self._payouts.items())

    def flow_minor(self, name: str) -> int:
        """The money that came or went, by its name in e.FLOWS."""
        return self._amounts[e.PLACES[name]]

    def check(self) -> None:
        """Raises Found unless the stored amounts equal the entries' sums."""
        it = self.authorization
        for name, amount_minor in zip(e.AMOUNTS, self._amounts, strict=False):
            if getattr(it, name) != amount_minor:
                raise Found(
                    "AUTHORIZATION_AMOUNT",
                    it.name,
                    f"{name}: entries moved {amount_minor}, stored {getattr(it, name)}",
                )
        kept_minor = it.captured_minor - it.conceded_minor
        if it.fee_minor != share_minor(kept_minor, it.fee_bp):
            raise Found("FEE_IS_THE_SHARE", it.name, f"{it.fee_minor} of {kept_minor}")
        for rule, detail in _inconsistencies(it):
            raise Found(rule, it.name, detail)

    def check_story(self, debits: int) -> None:
        """Raises Found unless each transaction has its event, and each call's event its request.

        Payments of `debits` come from the rail, not from calls.
        """
        it, told = self.authorization, self.story.told
        for transition, event_us in self._posted - told:
            raise Found("EVENTS_TELL", it.name, f"{transition} was posted as of {event_us}")
        calls = sum(n for (by, _), n in told.items() if by not in e.NO_CALLS) - debits
        lost = sum(n for (by, _), n in told.items() if by is T.LOST)
        # A group's answer is stored once for all of it; without a request, no answer is stored.
        if it.request_id and not it.group_id and not calls - lost <= self.requests <= calls:
            raise Found("REQUESTS", it.name, f"{calls} calls by the events, {self.requests} kept")


def effect_of(entry: Entry, row: str) -> e.Effect:
    """The effect of an entry on its authorization; raises Found for an impossible posting."""
    effect = e.EFFECTS.get(entry.transition, {}).get((entry.debit, entry.credit))
    if effect is None:
        raise Found("POSTING", row, f"{entry.transition} never posts {entry.debit}/{entry.credit}")
    return effect


def check_alone(entry: Entry, row: str) -> None:
    """Checks an entry without authorization: a person's limit, or an operator's payout or
    payment."""
    effect_of(entry, row)
    operator = operator_account(entry.operator_id) == entry.user_id
    expected = e.OPERATORS_OWN if operator else {T.LIMIT_SET}
    if entry.user_id == RAIL_ACCOUNT:
        expected = e.RAILS_OWN
    if entry.transition not in expected or (not operator and entry.operator_id != PLATFORM):
        raise Found("ENTRY_OF_NOTHING", row, f"{entry.transition} of no authorization")


def _inconsistencies(it: Authorization) -> Iterator[tuple[str, str]]:
    """The values that do not fit the state: custody, amounts, times."""
    state, settled = it.state, it.state is State.SETTLED
    # A late charge for damage has no item of its own, so nothing is out, due or lost.
    charge = it.parent_id != ""
    at_rest = {Custody.IN_STATION}
    if it.custody not in (at_rest if charge else e.CUSTODIES.get(state, at_rest)):
        yield "STATE_AND_CUSTODY", f"{state} with custody {it.custody}"
    cash_minor = it.captured_minor - it.captured_credit_minor
    rest_minor = (
        it.credit_minor - it.captured_credit_minor - it.held_credit_minor,
        it.cash_minor - cash_minor - it.held_cash_minor,
    )
    twice_minor = it.overpaid_minor + it.overpaid_written_off_minor
    came_minor = it.received_minor + it.elsewhere_minor + twice_minor - it.paid_out_minor
    place_minor = (
        it.held_cash_minor
        + it.refund_payable_minor
        + cash_minor
        + it.paid_minor
        + it.recovered_minor
        - it.refunded_minor
    )
    wrong_amounts = {
        "only open states hold an amount": state not in HOLDING and it.held_minor != 0,
        "only rentals are charged": state not in CHARGED and it.captured_minor != 0,
        "authorized = held + captured while open": state in HOLDING and any(rest_minor),
        "captured and held are at most the authorized amount": min(rest_minor) < 0,
        "nothing is negative": min(getattr(it, name) for name in e.AMOUNTS) < 0,
        "refunded is at most the paid amount": it.refundable_minor < 0,
        "conceded is at most the lowered, refunded and forgiven amount": it.goodwill_minor < 0,
        "recovered and forgiven are at most the amount written off": it.unrecovered_minor < 0,
        "money that came in is held, kept, owed back or paid out": came_minor != place_minor,
        "charged back is at most the received amount": it.received_minor < it.charged_back_minor,
        "nothing is both overpaid and owed back": it.overpaid_minor != 0 != it.refund_payable_minor,
        "the amount written off is at most the provision": it.provisioned_minor
        < it.written_off_minor,
        "collected only when settled": not settled
        and (it.rung != 0 or (it.write_off_by != "" and not it.overpaid_minor)),
        "a proposal has a person and an amount": (it.write_off_by != "")
        != (it.write_off_minor > 0),
        "proposed only while something is unpaid": it.write_off_minor != 0
        and it.due_minor + it.overpaid_minor == 0,
        "a charge is ACTIVE until it ends": charge
        and state in (State.AUTHORIZED, State.OVERDUE, State.RETURN_CLAIMED),
        "failed payouts are counted": it.refund_tries < 0,
        "a debt is a settled charge": it.unheld_minor != 0 and not (settled and charge),
        "a debt is captured when it is paid": it.unheld_minor != 0
        and it.captured_credit_minor != it.paid_minor,
        "dropped and disputed are at most the debt": it.unheld_disputed_minor < 0
        or it.unheld_dropped_minor + it.unheld_disputed_minor
        > (it.unheld_minor - it.paid_minor if it.unheld_minor else 0),
        "a rung of the ladder": not 0 <= it.rung <= len(LADDER),
    }
    away = it.custody in (Custody.MISSING, Custody.SOLD)
    started = it.start_us is not None
    wrong_times = {
        "expire_us": (it.expire_us is not None)
        != (state in LAPSING or (charge and state is State.ACTIVE)),
        "close_us": (it.close_us is not None) != (state in CLOSED),
        "start_us": started
        if charge
        else started != (state in e.STARTED)
        and state is not State.REVERSED
        and not (settled and not started and it.captured_minor + it.uncollected_minor > 0),
        "due_us": (it.due_us is not None) != started,
        "lost_us": it.lost_us is not None and not started,
        "claim_us": (it.claim_us is None and state is State.RETURN_CLAIMED)
        or (it.claim_us is not None and not started),
        "claim_until_us": (it.claim_until_us is not None) != (it.custody is Custody.UNKNOWN),
        "sold_us": (it.sold_us is not None) != away,
        "paused_us": it.paused_us != 0 and it.start_us is None,
        "unheld_until_us": (it.unheld_until_us is not None) != (it.unheld_minor != 0),
    }
    if it.offer is not None and it.accept_offers and it.offer not in it.accept_offers:
        yield "OFFER_ACCEPTED", f"{it.offer} was not accepted"
    for detail, wrong in wrong_amounts.items():
        if wrong:
            yield "STATE_AND_AMOUNTS", f"{state}: {detail}"
    for detail, wrong in wrong_times.items():
        if wrong:
            yield "STATE_AND_TIMES", f"{state}: {detail}"


# -- an authorization and its events ------------------------------------------------------------

Words = Counter[tuple[T, int]]
"""The results of debits, each with the instant of its record."""


class Story:
    """The events of one authorization: one for each version, in order."""

    __slots__ = (
        "_authorization",
        "_claim_us",
        "_climbed",
        "_close_us",
        "_events",
        "_extended",
        "_granted_us",
        "_start_us",
        "_state",
        "records",
        "told",
        "transfers",
        "versions",
    )  # fmt: skip

    def __init__(self, authorization: Authorization) -> None:
        self._authorization = authorization
        self._events = 0
        self._state: frozenset[State] = frozenset()
        self._start_us: int | None = None
        self._close_us: int | None = None
        self._claim_us: int | None = None
        self._granted_us: list[int] = []
        self._extended = False
        self._climbed: Rung | None = None
        self.transfers: Words = Counter()
        """The numbers of debits requested, failed and cancelled, with the instants of their
        records."""
        self.records: dict[int, tuple[T, int, int]] = {}
        """The transition, the instant and the record's instant of each version."""
        self.versions: list[tuple[T, int]] = []
        """The transition and the instant of each version, from version 1 on."""
        self.told: Counter[tuple[T, int]] = Counter()
        """The number of each event, by its instant."""

    def add(self, event: Event, row: str) -> None:
        """Takes the next event; raises Found if its version is not the next one."""
        self._events += 1
        if event.authorization_version != self._events:
            raise Found("EVENT", row, f"of version {event.authorization_version}, "
                        f"expected {self._events}")  # fmt: skip
        transition = event.transition
        self.told[transition, event.event_us] += 1
        self.versions.append((transition, event.event_us))
        self.records[self._events] = (transition, event.event_us, event.record_us)
        self._state = e.STATES_AFTER.get(transition, self._state)
        self._climbed = e.CLIMBED.get(transition, self._climbed)
        if transition in (T.RETURN_CLAIMED, T.RETURN_CONTESTED, T.APPEARED):
            contested = transition is T.RETURN_CONTESTED
            self._claim_us = None if contested else event.event_us
        self._extended = self._extended or transition is T.EXTENDED
        if transition in (T.ACTIVE, T.STARTED) and not self._authorization.parent_id:
            self._start_us = event.event_us
        if transition in e.STATES_AFTER and self._state <= CLOSED:
            # A settlement's event has the instant of the return; the rental closes at the instant
            # of the call.
            told = transition in (T.SETTLED, T.HANDED_OVER, T.CANCELLED)
            self._close_us = event.record_us if told else event.event_us
        if transition in e.TRANSFERRED:
            by_time = transition is T.PAID_OUT_BY_TIME
            self.transfers[T.PAID_OUT if by_time else transition, event.record_us] += 1

    def add_case(self, case: dict[str, Any]) -> None:
        """Takes a case with a time. If it is a complaint that was granted while the item was out,
        the fee stops at its time."""
        stops = case["kind"] in ("RETURN_BLOCKED", "ITEM_AT_FAULT")
        closed = [number for number, it in enumerate(self.versions, 1) if _closes(it[0])]
        late = closed and case["close_version"] > closed[-1]
        if stops and case["outcome"] == "FOR_USER" and not late:
            self._granted_us.append(case["occurred_us"])

    def _stopped_us(self) -> int | None:
        """The instant at which the fee stopped, by the events and the granted complaints."""
        told = [self._claim_us] if self._claim_us is not None else []
        return min((*told, *self._granted_us), default=None)

    def check(self) -> None:
        """Raises Found unless the stored authorization equals the events."""
        it = self._authorization
        if self._events != it.version:
            raise Found("EVENT", it.name, f"version {it.version}, and {self._events} events")
        told = {
            "state": it.state in self._state,
            "start_us": it.start is Start.LATE_PICKUP or it.start_us == self._start_us,
            "due_us": self._extended
            or it.due_us == (it.start_us and it.start_us + it.rental_period_us + it.paused_us),
            "lost_us": it.lost_us is None or it.lost_us >= (it.due_us or 0),
            "claim_us": it.claim_us == self._stopped_us(),
            "close_us": it.close_us == self._close_us,
            "rung": (LADDER[it.rung - 1].rung if it.rung else None) is self._climbed,
        }
        for name, fits in told.items():
            if not fits:
                raise Found("EVENTS_TELL", it.name, f"{name}: the events have another value")


def _closes(transition: T) -> bool:
    return transition in e.STATES_AFTER and e.STATES_AFTER[transition] <= CLOSED


# -- captures and corrections -------------------------------------------------------------------


class Corrected:
    """One person's captures and corrections, to be compared with the entries and events."""

    def __init__(self, moved: dict[str, Moved]) -> None:
        self._moved = moved
        self._captures: dict[str, list[CaptureRecord]] = {}
        self._corrections: dict[str, list[CorrectionRecord]] = {}
        self._told: dict[str, Counter[tuple[str, T, int]]] = {}
        self._rows: list[tuple[str, CaptureRecord | CorrectionRecord, str, T, int]] = []

    @property
    def every(self) -> list[CorrectionRecord]:
        """All corrections."""
        return [it for its in self._corrections.values() for it in its]

    def purpose_of(self, authorization_id: str, number: int) -> str:
        """The purpose of a capture; an amount without a row was captured for the fee."""
        rows = self._captures.get(authorization_id, [])
        return next((str(it.purpose) for it in rows if it.number == number), "FEE")

    def add_capture(self, it: CaptureRecord, row: str) -> None:
        """Takes the next capture."""
        self._captures.setdefault(it.authorization_id, []).append(it)
        self._add(it, row, "captured_minor", it.amount_minor, self._captures)

    def add_correction(self, it: CorrectionRecord, row: str) -> None:
        """Takes the next row of a correction; all captures come first."""
        self._corrections.setdefault(it.authorization_id, []).append(it)
        self._add(it, row, "conceded_minor", it.conceded_minor, self._corrections)

    def _add(
        self,
        it: CaptureRecord | CorrectionRecord,
        row: str,
        amount: str,
        amount_minor: int,
        rows_of: dict[str, Any],
    ) -> None:
        of, version = it.authorization_id, it.authorization_version
        moved = self._moved.get(of)
        told: tuple[T, int] | None = None
        if moved is not None and 1 <= version <= len(moved.story.versions):
            told = moved.story.versions[version - 1]
        transition = told[0] if told is not None else T.LIMIT_SET
        self._told.setdefault(of, Counter())[amount, transition, it.event_us] += amount_minor
        self._rows.append((amount, it, row, transition, len(rows_of[of])))

    def check(self) -> None:
        """Raises Found unless all rows fit the entries, the events, and each other."""
        for amount in ("captured_minor", "conceded_minor"):
            for name, it, row, transition, place in self._rows:
                if name == amount:
                    self._check_row(amount, it, row, transition, place)
        for of, moved in self._moved.items():
            self._check_authorization(moved, of)
        for _, it, row, *_ in self._rows:
            if isinstance(it, CorrectionRecord) and it.capture:
                numbers = [one.number for one in self._captures.get(it.authorization_id, [])]
                if it.capture not in numbers:
                    raise Found("CAPTURE", row, "the capture is missing")
        for _, it, row, *_ in self._rows:
            if isinstance(it, CaptureRecord):
                self._check_conceded(it, row)

    def _check_row(
        self, amount: str, it: CaptureRecord | CorrectionRecord, row: str, transition: T, place: int
    ) -> None:
        of = it.authorization_id
        moved = self._moved.get(of)
        if moved is None:
            raise Found("CAPTURE", row, "the authorization is missing")
        covered = [value for name, value in it._asdict().items() if name in _COVERED[type(it)]]
        if it.number != place or it.amount_minor <= 0 or digest_of(*covered) != it.digest:
            raise Found("CAPTURE", row, "of another number, of nothing, or changed")
        versions = moved.story.versions
        told = versions[it.authorization_version - 1 : it.authorization_version]
        if isinstance(it, CorrectionRecord):
            sign = (it.disputed_minor > 0) - (it.disputed_minor < 0)
            kinds = e.CORRECTING.get(it.transition, ())
            back = -1 if it.transition is T.CHARGE_BACK_REOPENED else 1
            conceded_minor = back * it.conceded_minor
            whole = conceded_minor in (0, it.amount_minor)
            whole = whole and abs(it.disputed_minor) <= it.amount_minor
            of_debt = it.transition in e.CORRECTING_DEBTS and not (
                it.capture or it.conceded_minor or it.disputed_minor
            )
            if not of_debt and (not whole or (conceded_minor > 0, sign) not in kinds):
                raise Found("CAPTURE", row, "this transition never makes such a correction")
            fits = told == [(it.transition, it.event_us)]
        else:
            fits = bool(told) and told[0][0] in e.CAPTURING and told[0][1] == it.event_us
        if it.authorization_version < 1 or not fits:
            raise Found("CAPTURE", row, "no event records this")
        key = (amount, transition, it.event_us)
        if self._told[of][key] > moved.changes[key]:
            raise Found("CAPTURE", row, "the entries moved less")

    def _check_authorization(self, moved: Moved, of: str) -> None:
        it = moved.authorization
        captures, corrections = self._captures.get(of, []), self._corrections.get(of, [])
        others = [one.amount_minor for one in captures if one.purpose is not Purpose.FEE]
        wrong = (
            len(captures) != it.captures
            or len(corrections) != it.corrections
            or sum(one.amount_minor for one in captures) > it.captured_minor
            or sum(others) != it.other_captured_minor
            or sum(one.conceded_minor for one in captures) > it.conceded_minor
            or sum(one.disputed_minor for one in captures) > it.disputed_minor
            or it.uncollected_minor < 0
        )
        if wrong:
            raise Found("CAPTURES", it.name, "the rows tell otherwise")

    def _check_conceded(self, it: CaptureRecord, row: str) -> None:
        parts = [
            one
            for one in self._corrections.get(it.authorization_id, [])
            if one.capture == it.number
        ]
        conceded = sum(one.conceded_minor for one in parts)
        disputed = sum(one.disputed_minor for one in parts)
        over = it.conceded_minor + it.disputed_minor > it.amount_minor
        if over or (conceded, disputed) != (it.conceded_minor, it.disputed_minor):
            raise Found("CAPTURE", row, "the corrections differ")


_UNCOVERED = {"user_id", "digest"}
_COVERED = {
    CaptureRecord: set(CaptureRecord._fields) - _UNCOVERED - {"conceded_minor", "disputed_minor"},
    CorrectionRecord: set(CorrectionRecord._fields) - _UNCOVERED,
}
_capture_of = rows.Converter(CaptureRecord).record
_correction_of = rows.Converter(CorrectionRecord).record
_case_of = rows.Converter(Case).record
_evidence_of = rows.Converter(Evidence).record


# -- attestations -------------------------------------------------------------------------------


class Attested:
    """One person's attestations, to be compared with the events and corrections."""

    def __init__(self, moved: dict[str, Moved], corrections: list[CorrectionRecord]) -> None:
        self._moved = moved
        self._corrections = corrections
        self._rows: list[tuple[AttestationRecord, str]] = []

    def add(self, it: AttestationRecord, row: str) -> None:
        """Takes the next attestation; all events and corrections come first."""
        self._rows.append((it, row))

    def check(self) -> None:
        """Raises Found unless each row fits its event, and each pause the authorization."""
        numbers: Counter[str] = Counter()
        stands: dict[str, list[tuple[int, int]]] = {}
        waiting: dict[str, set[tuple[int, int]]] = {}
        """The pauses that nobody ended so far."""
        for it, row in self._rows:
            of = it.authorization_id
            numbers[of] += 1
            self._check_row(it, row, numbers[of])
            own = stands.setdefault(of, [])
            if it.kind is AttestationKind.PAUSE:
                end_us = it.until_us or 0
                if any(max(it.event_us, begin) < min(end_us, end) for begin, end in own):
                    raise Found("ATTESTATION", row, "overlaps another pause")
                own.append((it.event_us, end_us))
                waiting.setdefault(of, set()).add((it.event_us, end_us))
            elif it.kind is AttestationKind.RESUME:
                # A second RESUME finds no pause.
                ended = [one for one in waiting.get(of, ()) if one[0] <= it.event_us < one[1]]
                pause = self._pair_of(it)
                if pause is not None:
                    ended = [(pause.event_us, pause.until_us or 0)]
                if not ended:
                    raise Found("ATTESTATION", row, "no pause goes on")
                waiting[of].remove(ended[0])
                own[own.index(ended[0])] = (ended[0][0], it.event_us)
        attested = {(it.authorization_id, it.authorization_version) for it, _ in self._rows}
        for of, moved in self._moved.items():
            versions = enumerate(moved.story.versions, 1)
            events = {n for n, (transition, _) in versions if transition in e.ATTESTING.values()}
            # A late pause is also an event of the debt, but only its rental has the attestation.
            debt = moved.authorization.unheld_minor > 0
            silent = not debt and any((of, version) not in attested for version in events)
            paused_us = sum(end - begin for begin, end in stands.get(of, []))
            if silent or paused_us != moved.authorization.paused_us:
                raise Found("PAUSED", moved.authorization.name, "the attestations tell otherwise")

    def _pair_of(self, it: AttestationRecord) -> AttestationRecord | None:
        """The other row of a pause that was told with its end: the end for the pause, and the pause
        for the end."""
        pausing = it.kind is AttestationKind.PAUSE
        for other, _ in self._rows:
            one, two = (it, other) if pausing else (other, it)
            if (
                (one.kind, two.kind) == (AttestationKind.PAUSE, AttestationKind.RESUME)
                and one.authorization_id == two.authorization_id
                and (one.number + 1, one.authorization_version, one.evidence)
                == (two.number, two.authorization_version, two.evidence)
                and one.until_us is not None
                and one.event_us <= two.event_us <= one.until_us
            ):
                return other
        return None

    def _check_row(self, it: AttestationRecord, row: str, number: int) -> None:
        moved = self._moved.get(it.authorization_id)
        if moved is None:
            raise Found("ATTESTATION", row, "the authorization is missing")
        covered = [value for name, value in it._asdict().items() if name not in _UNCOVERED]
        if it.number != number or digest_of(*covered) != it.digest:
            raise Found("ATTESTATION", row, "of another number, or changed")
        explained = it.kind in (AttestationKind.PAUSE, AttestationKind.WAIVER)
        told = moved.story.records.get(it.authorization_version)
        pair = self._pair_of(it)
        before = moved.story.versions[: it.authorization_version - 1]
        ends = {*settlement.DOCKINGS, T.CANCELLED}
        late = any(transition in ends for transition, _ in before)
        if pair is None and it.kind is AttestationKind.PAUSE and late:
            raise Found("ATTESTATION", row, "a late pause has no end")
        due = (e.ATTESTING[it.kind], it.event_us, it.record_us)
        if pair is not None and it.kind is AttestationKind.RESUME:
            if (it.event_us == pair.until_us) != late:
                raise Found("ATTESTATION", row, "the end does not fit the bound of its pause")
            due = (T.PAUSED, pair.event_us, it.record_us)
        wrong = (
            explained != (it.cause is not None)
            or explained != (it.source is not None)
            or (it.kind is AttestationKind.PAUSE) != (it.until_us is not None)
            or (it.until_us is not None and it.until_us <= it.event_us)
            or (it.kind is AttestationKind.WAIVER) != (it.amount_minor > 0)
            or it.amount_minor < 0
            or not 0 <= it.pending_minor <= it.amount_minor
            or (it.evidence == "" and it.kind is not AttestationKind.RESUME)
            or told != due
        )
        if it.kind is AttestationKind.WAIVER:
            parts = [
                one
                for one in self._corrections
                if one.authorization_id == it.authorization_id
                and one.authorization_version == it.authorization_version
                and one.transition is T.FEE_WAIVED
            ]
            given = sum(one.conceded_minor for one in parts)
            pending = sum(one.amount_minor for one in parts if not one.conceded_minor)
            wrong = wrong or (given + pending, pending) != (it.amount_minor, it.pending_minor)
        if wrong:
            raise Found("ATTESTATION", row, "no event or correction says so")


_attestation_of = rows.Converter(AttestationRecord).record


# -- recorded money outside ---------------------------------------------------------------------


class Recorded:
    """One person's payments and transfers, to be compared with the entries."""

    def __init__(self) -> None:
        self._minor: Counter[tuple[str, str]] = Counter()
        self._payments: dict[str, PaymentRecord] = {}
        self._payouts: dict[str, Counter[tuple[str, int]]] = {}
        self._words: dict[str, Words] = {}
        self._succeeded: Counter[str] = Counter()
        self._asked: dict[str, list[int]] = {}

    def add_payment(self, it: PaymentRecord) -> None:
        """Takes a payment for one of the person's authorizations."""
        flow = e.PAYMENTS.get(it.kind)
        if flow is None:
            raise Found("PAYMENTS", payment_row(it), f"{it.kind} to a person")
        self._minor[it.authorization_id, flow] += it.amount_minor
        if it.caller == PLATFORM:
            self._payments[it.payment_reference] = it

    def add_carried_over(self, deposits: Counter[str]) -> None:
        """Takes the deposits that late pick-ups took over, by their authorization ids."""
        for begun, deposit_minor in deposits.items():
            self._minor[begun, "carried_over"] += deposit_minor

    def add_transfer(self, it: TransferRecord, row: str) -> None:
        """Takes a transfer to or from the person; all payments come first."""
        state = it.state
        if it.kind is TransferKind.PAYOUT:
            flows = ["paid_out"]
            words = self._words.setdefault(it.authorization_id, Counter())
            words[T.PAID_OUT, it.request_us] += 1
            if state in e.PAYOUT_ENDS:
                words[e.PAYOUT_ENDS[state], it.change_us] += 1
            if it.earlier_state is not None:
                came = state in (TransferState.SUCCEEDED, TransferState.RETURNED)
                if not came or it.earlier_state not in e.ENDS:
                    raise Found("TRANSFER", row, f"{state}, and {it.earlier_state} before")
                words[e.PAYOUT_ENDS[it.earlier_state], it.earlier_us or 0] += 1
                flows += ["failed_payouts", "paid_out"]
            if state in e.PAYOUT_ENDS:
                flows.append("failed_payouts")
            payouts = self._payouts.setdefault(it.authorization_id, Counter())
            for flow in flows:
                self._minor[it.authorization_id, flow] += it.amount_minor
                payouts[flow, it.amount_minor] += 1
            return
        self._add_words(it, row)
        if it.state in (TransferState.REQUESTED, TransferState.SENT):
            self._asked.setdefault(it.authorization_id, []).append(it.amount_minor)
        elif it.state is TransferState.SUCCEEDED:
            self._succeeded[it.authorization_id] += 1
            paid = self._payments.get(transfer_reference(it.transfer_id))
            told = (PaymentKind.PAYMENT, it.authorization_id, it.amount_minor, it.currency)
            if paid is None or told != (
                paid.kind,
                paid.authorization_id,
                paid.amount_minor,
                paid.currency,
            ):
                raise Found(
                    "TRANSFER_WITHOUT_PAYMENT", row, "succeeded, and no payment records this"
                )

    def _add_words(self, it: TransferRecord, row: str) -> None:
        """Takes a debit's results and instants: its request, its end before a late success, and its
        last end."""
        words = self._words.setdefault(it.authorization_id, Counter())
        words[T.DEBIT_REQUESTED, it.request_us] += 1
        if it.state in e.ENDS:
            words[e.ENDS[it.state], it.change_us] += 1
        if it.earlier_state is None:
            return
        if it.state is not TransferState.SUCCEEDED or it.earlier_state not in e.ENDS:
            raise Found("TRANSFER", row, f"{it.state}, and {it.earlier_state} before")
        words[e.ENDS[it.earlier_state], it.earlier_us or 0] += 1

    def check(self, all_moved: Iterable[Moved]) -> None:
        """Raises Found unless the entries equal the payments and transfers.

        A deposit is recorded on one authorization of a group and counts for all.
        """
        deposits: Counter[str] = Counter()
        named: dict[str, str] = {}
        for moved in all_moved:
            it = moved.authorization
            together = it.group_id or it.authorization_id
            named.setdefault(together, it.name)
            deposits[together] += self._minor[it.authorization_id, "deposits"]
            deposits[together] -= moved.flow_minor("deposits")
            for flow in e.FLOWS[1:]:
                recorded_minor = self._minor[it.authorization_id, flow]
                if recorded_minor != moved.flow_minor(flow):
                    raise Found(
                        "PAYMENTS",
                        it.name,
                        f"{flow}: entries moved {moved.flow_minor(flow)},"
                        f" recorded {recorded_minor}",
                    )
            self._check_transfers(moved)
            moved.check_story(self._succeeded[it.authorization_id])
        for together, difference_minor in deposits.items():
            if difference_minor:
                raise Found(
                    "PAYMENTS", named[together], f"deposits: {difference_minor} more recorded"
                )

    def _check_transfers(self, moved: Moved) -> None:
        """Checks that each payout was posted, each debit requested, and each debit's result has an
        event of the same instant."""
        it, told = moved.authorization, moved.story.transfers
        if self._payouts.get(it.authorization_id, Counter()) != moved.payouts:
            raise Found("TRANSFER", it.name, "the payouts differ from the posted ones")
        asked = self._asked.get(it.authorization_id, [])
        if asked != ([it.debiting_minor] if it.debiting_minor else []):
            raise Found(
                "TRANSFER", it.name, f"debits under way: {asked}, stored {it.debiting_minor}"
            )
        said = self._words.get(it.authorization_id, Counter())
        if said != told:
            apart = [f"{word} at {us}" for word, us in sorted((said - told) + (told - said))]
            raise Found("TRANSFER", it.name, f"transfers and events differ: {', '.join(apart)}")


def payment_row(it: PaymentRecord) -> str:
    """The name of a payment's row."""
    return f"payments/{it.caller}/{it.payment_reference}"


def verify_books(
    engine: Engine,
    keys: SealKeys | None = None,
    witnesses: Iterable[Witness] = (),
    read_answer: ReadAnswer | None = None,
    *,
    payloads: bool = False,
) -> Verification:
    """Checks both books and their seals; stops at the first fault and names its row.

    Without `keys` the signatures of the seals are not checked. `witnesses` are seals that were
    noted outside the database; without them, the removal of the last seals is not detected. Without
    `read_answer` the answers that are kept for retries are not read. With `payloads`, the rows that
    events name must exist.

    Each entry moves an amount between two accounts of one book, so every transaction sums to zero
    in each book and currency. Each entry changes its line and its authorization by the same amount.
    If every stored line and authorization equals its entries, held is therefore the sum of the open
    credit parts, and deposit the sum of the open cash parts. Raises StorageFailed when the database
    is away.
    """
    books = _Books()
    fault = None
    try:
        with reading_all(engine, PORTION) as connection:
            books.verify(connection, keys, dict(witnesses))
            _verify_details(connection)
            _verify_lapses(connection)
            _verify_consents(connection)
            _verify_verdicts(connection)
            _verify_unposted(connection)
            _verify_later_decisions(connection)
            _verify_increments(connection)
            if payloads:
                _verify_beside(connection)
            _verify_asked(connection)
            if read_answer is not None:
                _verify_answers(connection, read_answer)
            _verify_operators(connection)
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
    """The rows of a query of one table, with each value's type checked.

    SQLite stores values of any type: a text in a column of numbers is a fault to be named.
    """
    columns = [column for column in query.selected_columns if isinstance(column, Column)]
    types = [_types(column) for column in columns]
    # Plain SQL text, so that no value is converted on its way.
    for row in connection.exec_driver_sql(_text(connection.dialect, query)):
        if not all(map(isinstance, row, types)):
            keys = [str(value) for value, at in zip(row, columns, strict=False) if at.primary_key]
            raise Found(
                "UNREADABLE",
                "/".join([columns[0].table.name, *keys]),
                "has a value of another type",
            )
        yield tuple(row)


def _text(dialect: Dialect, query: Select[Any]) -> str:
    """The text of a query, with its values."""
    found = query._generate_cache_key()
    assert found is not None
    values = tuple(it.value for it in found.bindparams)
    key = (dialect.name, found.key, values)
    if key not in _TEXTS:
        _TEXTS[key] = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return _TEXTS[key]


_TEXTS: dict[object, str] = {}
"""The texts of queries: a book is verified many times, and compiling took a third of the time."""


@cache
def _types(column: Column[Any]) -> tuple[type, ...]:
    python_type = column.type.python_type
    # SQLite stores truth values as numbers.
    known = (bool, int) if python_type is bool else (python_type,)
    return (*known, type(None)) if column.nullable else known


def _made(make: Callable[[Row], Made], row: Row, name: str) -> Made:
    """A row as a record; an unknown name in it is a fault."""
    try:
        return make(row)
    except (KeyError, ValueError) as error:
        raise Found("UNREADABLE", name, f"an unknown {type(error).__name__}") from error


def _ordered(table: Table, *by: str) -> Select[Any]:
    return select(table).order_by(*(table.c[name] for name in by))


class _People:
    """All rows of people, side by side."""

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
        events = select(
            *by_version, o.transition, o.event_us, o.record_us, o.operator_id, o.payload
        )
        self.events = _stream(connection, events.order_by(*by_version))
        r = t.requests.c
        about = (r.user_id, r.authorization_id)
        # A repeated result of a rail changes nothing, whether or not it was stored; nor does a
        # repeated late pick-up.
        starts = func.sum(case((r.method == START_RENTAL, 1), else_=0))
        others = func.sum(
            case((r.method == REPORT_TRANSFER, 0), (r.method == START_RENTAL, 0), else_=1)
        )
        once = others + case((starts > 0, 1), else_=0)
        # Reports are read too, since each row must be readable.
        requests = select(*about, once).where(r.authorization_id != "")
        self.requests = _stream(connection, requests.group_by(*about).order_by(*about))
        self.captures, self.corrections, self.attestations = (
            _stream(connection, _ordered(table, "user_id", "authorization_id", "number"))
            for table in (t.captures, t.corrections, t.attestations)
        )
        self.late_pickups = _stream(
            connection, _ordered(t.late_pickups, "user_id", "authorization_id")
        )
        of_case = ("user_id", "authorization_id", "case_id")
        self.cases = _stream(connection, _ordered(t.cases, *of_case))
        self.evidence = _stream(connection, _ordered(t.case_evidence, *of_case, "number"))
        self._of_lines = (self.lines, self.entries, self.heads)
        self._all = (
            *self._of_lines,
            self.authorizations,
            self.payments,
            self.transfers,
            self.events,
            self.requests,
            self.captures,
            self.corrections,
            self.late_pickups,
            self.cases,
            self.evidence,
            self.attestations,
        )

    def next_person(self) -> str | None:
        """The first person with rows left."""
        return min((it.head[0] for it in self._all if it.head is not None), default=None)

    def next_line(self, user_id: str) -> str | None:
        """The first currency in which a person's line has rows left."""
        heads = [it.head for it in self._of_lines if it.head is not None]
        return min((head[1] for head in heads if head[0] == user_id), default=None)


# -- both books ---------------------------------------------------------------------------------


class _Person:
    """The facts about one person while the entries pass."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.currencies: set[str] = set()
        self.moved: dict[str, Moved] = {}
        self.wake_us: dict[str, int | None] = {}
        self.operators_own: Counter[tuple[PaymentKind, str]] = Counter()
        self.by_hand: dict[str, tuple[str, frozenset[Transition]]] = {}
        """Settings of lines by hand: the line, and the events that set it."""
        self.carried_over: Counter[str] = Counter()
        """The deposits that late pick-ups took over, by authorization id."""
        self.cases: list[Row] = []
        self.told: dict[tuple[str, int], EventOfCase] = {}
        """The events of the person's authorizations, by their versions."""
        self.given: dict[tuple[str, int], Counter[str]] = {}
        """The amounts that decided cases gave back, by the purpose of the captures."""
        self.seen: set[Transition] = set()
        """Events of the person without an authorization, and write-offs."""
        self.asked: set[tuple[str, str]] = set()
        """The operators and request ids of authorizations that are of no group."""


class _Books:
    """One verification: its progress, and the sums over all people."""

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
        aliases_row_by_row.verify(connection)
        charge_backs_row_by_row.verify(connection)
        for reference in REFERENCES:
            keys_alone = connection.execute(reference.alone.limit(1)).first()
            if keys_alone is not None:
                raise Found(reference.rule, reference.row(keys_alone), reference.detail)

    # -- seals ----------------------------------------------------------------------------------

    def _verify_seals(
        self, connection: Connection, keys: SealKeys | None, witnesses: dict[int, bytes]
    ) -> None:
        """Checks that the seals follow each other and cover their heads, and that no head is
        without a seal."""
        h = t.sealed_heads.c
        heads = _stream(connection, select(h.number, h.version, h.head).order_by(h.number, h.head))
        previous = NO_LINK
        for row in _rows(connection, _ordered(t.seals, "number")):
            number, before, digest, signature, key_id, seal_us, outbox_sequence = row
            name = f"seals/{number}"
            if number != self.seals + 1:
                raise Found("SEAL_MISSING", name, f"expected {self.seals + 1}")
            if before != previous:
                raise Found("SEAL_CHAIN", name, "does not follow the previous seal")
            covered = ((version, head) for _, version, head in heads.of(number))
            if digest != seal_digest(number, before, seal_us, outbox_sequence, covered):
                raise Found(
                    "SEAL_DIGEST", name, "the digest does not follow from the covered values"
                )
            if keys is not None:
                if not keys.verify(key_id, digest, signature):
                    raise Found("SEAL_SIGNATURE", name, f"not signed by the key {key_id}")
                self.signatures += 1
            if witnesses.pop(number, digest) != digest:
                raise Found("SEAL_WITNESS", name, "a witness names another digest for this seal")
            previous = digest
            self.seals = number
            self.last_seal = Witness(number, digest)
        if heads.head is not None:
            raise Found(
                "SEAL_MISSING",
                f"seals/{heads.head[0]}",
                "the seal is gone, but heads that it covered are left",
            )
        for number in sorted(witnesses):
            raise Found(
                "SEAL_MISSING", f"seals/{number}", "a witness names this seal, but it is gone"
            )

    # -- people ---------------------------------------------------------------------------------

    def _verify_person(self, people: _People, user_id: str) -> None:
        person = _Person(user_id)
        for row in people.authorizations.of(user_id):
            name = f"users/{user_id}/authorizations/{row[1]}"
            it = _made(rows.authorization_of, row, name)
            person.moved[it.authorization_id] = Moved(it)
            person.wake_us[it.authorization_id] = row[_WAKE_US]
        while (currency := people.next_line(user_id)) is not None:
            self._verify_line(people, person, currency)
        for _, cited, begun, _, deposit_minor, _ in people.late_pickups.of(user_id):
            person.carried_over[begun] += deposit_minor
            if cited in person.moved:
                person.moved[cited].carry_over(deposit_minor)
        for moved in person.moved.values():
            self.authorizations += 1
            it = moved.authorization
            if it.currency not in person.currencies:
                raise Found("AUTHORIZATION_WITHOUT_LINE", it.name, f"no line in {it.currency}")
            moved.check()
            known = {it.wake_us, it.life_us} if it.refund_us is not None else {it.wake_us}
            if person.wake_us[it.authorization_id] not in known:
                raise Found("WAKE_STORED", it.name, "does not follow from state and times")
            asked = (it.operator_id, it.request_id)
            if it.request_id and not it.group_id:
                if asked in person.asked:
                    raise Found("REQUEST_TWICE", it.name, "an earlier one has the same request id")
                person.asked.add(asked)
        self._verify_events(people, person)
        for _, authorization_id, requests in people.requests.of(user_id):
            # Events of a missing authorization are found with the references.
            if authorization_id in person.moved:
                person.moved[authorization_id].requests = requests
        self._verify_payments(people, person)
        corrected = Corrected(person.moved)
        for row in people.captures.of(user_id):
            name = f"captures/{user_id}/{row[1]}/{row[2]}"
            corrected.add_capture(_made(_capture_of, row, name), name)
        for row in people.corrections.of(user_id):
            name = f"corrections/{user_id}/{row[1]}/{row[2]}"
            made = _made(_correction_of, row, name)
            corrected.add_correction(made, name)
            if made.transition in (T.CASE_DECIDED, T.CASE_DECIDED_BY_TIME):
                version = (made.authorization_id, made.authorization_version)
                purpose = corrected.purpose_of(made.authorization_id, made.capture)
                person.given.setdefault(version, Counter())[purpose] += made.amount_minor
        corrected.check()
        self._verify_cases(people, person)
        attested = Attested(person.moved, corrected.every)
        for row in people.attestations.of(user_id):
            name = f"attestations/{user_id}/{row[1]}/{row[2]}"
            attested.add(_made(_attestation_of, row, name), name)
        attested.check()

    def _verify_cases(self, people: _People, person: _Person) -> None:
        """Checks the cases of a person, with their evidence."""
        user_id = person.user_id
        owners = {
            name: (it.authorization.operator_id, it.authorization.currency)
            for name, it in person.moved.items()
        }
        cases = [_made(_case_of, row, f"cases/{user_id}/{row[1]}/{row[2]}") for row in person.cases]
        evidence = [
            _made(_evidence_of, row, f"case_evidence/{user_id}/{row[1]}/{row[2]}/{row[3]}")
            for row in people.evidence.of(user_id)
        ]
        charges = {name for name, it in person.moved.items() if it.authorization.parent_id}
        told = CasesOfPerson(cases, evidence, owners, person.told, person.given, charges)
        for name, why in faults_of(user_id, told):
            raise Found("CASE", name, why)

    def _verify_events(self, people: _People, person: _Person) -> None:
        """Checks that each version of an authorization has its event, and that each setting by hand
        has one."""
        for row in people.events.of(person.user_id):
            user_id, authorization_id, version, sequence, transition, *rest = row
            name = f"outbox/{sequence}"
            event = _made(_event_of, (transition, user_id, authorization_id, version, *rest), name)
            if not authorization_id:
                person.seen.add(event.transition)
                continue
            moved = person.moved.get(authorization_id)
            if moved is None:
                raise Found("EVENT", name, "the authorization is missing")
            moved.story.add(event, name)
            times = (event.event_us, event.record_us)
            person.told[authorization_id, version] = EventOfCase(event.transition, *times)
        person.cases = list(people.cases.of(person.user_id))
        for row in person.cases:
            told = dict(zip(Case._fields, row, strict=False))
            moved = person.moved.get(told["authorization_id"])
            if moved is not None and told["occurred_us"] is not None:
                moved.story.add_case(told)
        for moved in person.moved.values():
            moved.story.check()
        for what, (line, by) in person.by_hand.items():
            if person.seen.isdisjoint(by):
                raise Found("SET_BY_NOBODY", line, f"{what}, and no event records this")

    def _verify_line(self, people: _People, person: _Person, currency: str) -> None:
        """Checks one line: its entries one by one, its sealed heads, then the line itself."""
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
                raise Found("ENTRY_WITHOUT_LINE", entry_name, "the line is missing")
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
        """Adds an entry to its authorization and to its operator's payable."""
        if entry.authorization_id:
            moved = person.moved.get(entry.authorization_id)
            if moved is None:
                raise Found("ENTRY_WITHOUT_AUTHORIZATION", name, "the authorization is missing")
            moved.add(entry, name)
            if entry.transition is Transition.WRITTEN_OFF:
                person.seen.add(entry.transition)
        else:
            check_alone(entry, name)
            kind = (e.OPERATORS_OWN | e.RAILS_OWN).get(entry.transition)
            if kind is not None:
                person.operators_own[kind, entry.currency] += entry.amount_minor
        if entry.credit is Account.OPERATOR_PAYABLE:
            self._payable[entry.operator_id, entry.currency] += entry.amount_minor
        elif entry.debit is Account.OPERATOR_PAYABLE:
            self._payable[entry.operator_id, entry.currency] -= entry.amount_minor

    def _verify_payments(self, people: _People, person: _Person) -> None:
        """Checks that the recorded payments and transfers equal the entries."""
        recorded = Recorded()
        for row in people.payments.of(person.user_id):
            user_id, authorization_id, caller, reference, *rest = row
            kind, *amount = rest
            values = (caller, reference, kind, user_id, authorization_id, *amount)
            payment = _made(rows.payment_of, values, f"payments/{caller}/{reference}")
            if payment.kind in (*e.OPERATORS_OWN.values(), *e.RAILS_OWN.values()):
                person.operators_own[payment.kind, payment.currency] -= payment.amount_minor
                continue
            _same_currency(person, payment, payment_row(payment))
            recorded.add_payment(payment)
        for row in people.transfers.of(person.user_id):
            name = f"transfers/{row[0]}/{row[1]}"
            transfer = _made(rows.transfer_of, row, name)
            _same_currency(person, transfer, name)
            recorded.add_transfer(transfer, name)
        recorded.add_carried_over(person.carried_over)
        recorded.check(person.moved.values())
        for (kind, currency), difference_minor in person.operators_own.items():
            if difference_minor:
                raise Found(
                    "PAYMENTS",
                    f"lines/{person.user_id}/{currency}",
                    f"{kind}: entries moved {difference_minor} more than was recorded",
                )

    def _verify_payables(self, connection: Connection) -> None:
        """Checks that each operator's payable equals the sum of all people's entries."""
        query = _ordered(t.operator_payables, "operator_id", "currency", "batch_id")
        for operator_id, currency, _, amount_minor in _rows(connection, query):
            self._payable[operator_id, currency] -= amount_minor
        for key in sorted(self._payable):
            if self._payable[key]:
                raise Found(
                    "OPERATOR_PAYABLE",
                    "/".join(("operator_payables", *key)),
                    f"the entries add up to {self._payable[key]} more",
                )


_STANDING_SET = frozenset({Transition.STANDING_SET})
_LIMIT_FIXED = frozenset({Transition.LIMIT_SET, Transition.WRITTEN_OFF})


def _event_of(row: Row) -> Event:
    return Event(Transition(row[0]), *row[1:])


def _verify_details(connection: Connection) -> None:
    """Checks that the details of an order belong to its authorization, and are unchanged."""
    a, d = t.authorizations.c, t.authorization_details.c
    found = _rows(connection, select(a.user_id, a.authorization_id, a.operator_id, a.version))
    versions = {tuple(key): version for *key, version in found}
    order = (d.user_id, d.authorization_id)
    for row in _rows(connection, select(t.authorization_details).order_by(*order)):
        name = f"authorization_details/{row[0]}/{row[1]}"
        *told, told_at, record_us, digest = row
        version = versions.get(tuple(told[:3]))
        if version is None:
            raise Found("DETAILS", name, "the authorization is missing")
        if isinstance(told_at, (str, bytes)) or told_at > version:
            raise Found("DETAILS", name, "of a later version")
        text = "\n".join(map(str, (*told[1:], told_at, record_us)))
        if hashlib.sha256(text.encode()).digest() != digest:
            raise Found("DETAILS", name, "the digest does not fit the row")


def _verify_lapses(connection: Connection) -> None:
    """Checks that each row of an end by time has its event."""
    o = t.outbox.c
    names = ("user_id", "authorization_id", "operator_id", "authorization_version")
    told = [o[name] for name in (*names, "transition", "event_us", "record_us")]
    events = {tuple(row) for row in _rows(connection, select(*told))}
    key = [t.lapses.c[name] for name in ("user_id", "authorization_id", "authorization_version")]
    for row in _rows(connection, select(t.lapses).order_by(*key)):
        user_id, of, version, lapse, operator_id, transition, event_us, record_us, digest = row
        name = f"lapses/{user_id}/{of}/{version}"
        if (user_id, of, operator_id, version, transition, event_us, record_us) not in events:
            raise Found("LAPSES", name, "no event records this row")
        kind = transition.rpartition(".")[2].upper()
        if kind != lapse and (kind, lapse in EXPIRED) != ("EXPIRED", True):
            raise Found("LAPSES", name, "of another kind")
        text = "\n".join(map(str, row[1:-1]))
        if hashlib.sha256(text.encode()).digest() != digest:
            raise Found("LAPSES", name, "the digest does not fit the row")


def _verify_consents(connection: Connection) -> None:
    """Checks that an event of a charge for damage tells of each consent."""
    o, a = t.outbox.c, t.authorizations.c
    told = [o.user_id, o.authorization_id, o.authorization_version, o.record_us]
    events = {tuple(row[:4]): row[4] for row in _rows(connection, select(*told, o.transition))}
    named = select(a.user_id, a.authorization_id, a.operator_id, a.parent_id)
    parents = {tuple(row[:3]): row[3] for row in _rows(connection, named)}
    key = [t.consents.c[name] for name in ("user_id", "authorization_id", "authorization_version")]
    for row in _rows(connection, select(t.consents).order_by(*key)):
        name = f"consents/{row[0]}/{row[1]}/{row[2]}"
        transition, of = events.get((*row[:3], row[5])), (row[0], row[1], row[3])
        if transition is None or of not in parents:
            raise Found("CONSENTS", name, "no event records this row")
        asked = ("offered", "review", "declined", "active", "incremented")
        taken = ("captured", "settled", "handed_over")
        kind = transition.rpartition(".")[2]
        if kind not in (asked if parents[of] else taken):
            raise Found("CONSENTS", name, "charges no damage")
        text = "\n".join(map(str, row[1:-1]))
        if hashlib.sha256(text.encode()).digest() != row[-1]:
            raise Found("CONSENTS", name, "the digest does not fit the row")


def _verify_verdicts(connection: Connection) -> None:
    """Checks that the step of each verdict on a review has its event."""
    o = t.outbox.c
    names = ("user_id", "authorization_id", "authorization_version")
    told = [o[name] for name in (*names, "operator_id", "transition", "event_us", "record_us")]
    events = {tuple(row) for row in _rows(connection, select(*told))}
    key = [t.verdicts.c[name] for name in names]
    for row in _rows(connection, select(t.verdicts).order_by(*key)):
        name = f"verdicts/{row[0]}/{row[1]}"
        if (*row[:4], *row[8:11]) not in events:
            raise Found("VERDICTS", name, "no event records this row")
        kind = row[8].rpartition(".")[2]
        granted = kind in ("offered", "authorized", "active")
        if kind != "declined" and not (granted and row[4] == "APPROVED"):
            raise Found("VERDICTS", name, "of another verdict")
        text = "\n".join(map(str, row[1:-1]))
        if hashlib.sha256(text.encode()).digest() != row[-1]:
            raise Found("VERDICTS", name, "the digest does not fit the row")


def _verify_unposted(connection: Connection) -> None:
    """Checks that each settlement that posted nothing has its event."""
    o = t.outbox.c
    names = ("user_id", "authorization_id", "authorization_version")
    told = [o[name] for name in (*names, "transition", "event_us", "record_us")]
    events = {tuple(row) for row in _rows(connection, select(*told))}
    key = [t.unposted_dockings.c[name] for name in names]
    for row in _rows(connection, select(t.unposted_dockings).order_by(*key)):
        name = "/".join(map(str, ("unposted_dockings", *row[:3])))
        if row[:-1] not in events or row[3] not in SETTLING:
            raise Found("UNPOSTED", name, "no event records this row")
        if hashlib.sha256("\n".join(map(str, row[1:-1])).encode()).digest() != row[-1]:
            raise Found("UNPOSTED", name, "the digest does not fit the row")


def _verify_later_decisions(connection: Connection) -> None:
    """Checks that an event tells of each decision of an increment."""
    o = t.outbox.c
    names = ("user_id", "authorization_id", "authorization_version")
    told = [o[name] for name in (*names, "transition", "event_us", "record_us")]
    events = {tuple(row) for row in _rows(connection, select(*told))}
    key = [t.later_decisions.c[name] for name in names]
    for row in _rows(connection, select(t.later_decisions).order_by(*key)):
        name = "/".join(map(str, ("later_decisions", *row[:3])))
        if (*row[:3], *row[6:9]) not in events or row[6] != "authorization.incremented":
            raise Found("DECISION", name, "no event records this row")
        if hashlib.sha256("\n".join(map(str, row[1:-1])).encode()).digest() != row[-1]:
            raise Found("DECISION", name, "the digest does not fit the row")


def _as_stored(connection: Connection, query: Select[Any]) -> Iterator[Row]:
    """The rows of a query, whatever the types of their values: the verifier only compares them."""
    yield from connection.exec_driver_sql(_text(connection.dialect, query))


def _verify_increments(connection: Connection) -> None:
    """Checks that the refused tries of increments are whole and have their refusals, and that no
    authorization has more tries or holds more than its terms allow."""
    x, r, a = t.refused_increments.c, t.requests.c, t.authorizations.c
    p, q, d = t.products.c, t.policies.c, t.later_decisions.c
    terms = (a.operator_id, a.product_id, a.product_revision)
    amounts = (a.credit_minor, a.cash_minor, a.unheld_minor)
    rentals = {
        tuple(row[:2]): row[2:]
        for row in _rows(connection, select(a.user_id, a.authorization_id, *terms, *amounts))
    }
    key = select(t.refused_increments).order_by(x.user_id, x.authorization_id, x.number)
    tries: Counter[tuple[str, str]] = Counter()
    calls = {}
    for user_id, of, number, caller, request_id, reason, *rest in _rows(connection, key):
        name = f"refused_increments/{user_id}/{of}/{number}"
        tries[user_id, of] += 1
        if (user_id, of) not in rentals or number != tries[user_id, of]:
            raise Found("INCREMENTS", name, "of no authorization, or a try is missing")
        if reason not in ("LINE_EXHAUSTED", "DEPOSIT_REQUIRED"):
            raise Found("INCREMENTS", name, "not decided on the line")
        told = (of, number, caller, request_id, reason, rest[0])
        if hashlib.sha256("\n".join(map(str, told)).encode()).digest() != rest[1]:
            raise Found("INCREMENTS", name, "the digest does not fit the row")
        calls[caller, request_id, user_id, rest[0]] = name, reason
    kept = select(r.caller, r.request_id, r.method, r.answer, r.user_id, r.record_us)
    refused = {
        (caller, request_id, *rest): answer
        for caller, request_id, method, answer, *rest in _as_stored(connection, kept)
        if isinstance(method, str) and method.endswith(" refused")
    }
    for call, (name, reason) in calls.items():
        if reason == "LINE_EXHAUSTED" and call not in refused:
            raise Found("INCREMENTS", name, "its refusal is missing")
    for call in sorted(refused, key=str):
        answer = refused[call]
        tried = isinstance(answer, bytes) and b'"tries_left"' in answer
        if tried and call not in calls:
            raise Found("INCREMENTS", f"requests/{call[0]}/{call[1]}", "the try is missing")
    policies = select(q.policy_id, q.revision, q.most_increments)
    most = {tuple(row[:2]): row[2] for row in _as_stored(connection, policies)}
    products = select(p.operator_id, p.product_id, p.revision, p.most_hold_minor,
                      p.policy_id, p.policy_revision)  # fmt: skip
    bounds = {
        tuple(row[:3]): (row[3], most.get(tuple(row[4:])))
        for row in _as_stored(connection, products)
    }
    for row in _rows(connection, select(d.user_id, d.authorization_id)):
        tries[row[0], row[1]] += 1
    for place in (1, 0):
        for (user_id, of), (*named, credit, cash, unheld) in sorted(rentals.items()):
            bound = bounds.get(tuple(named), (None, None))[place]
            found = tries[user_id, of] if place else 0 if unheld else credit + cash
            if isinstance(bound, int) and found > bound:
                raise Found("INCREMENTS", f"users/{user_id}/authorizations/{of}", "above a bound")


def _verify_beside(connection: Connection) -> None:
    """Checks that each row and each receipt that an event names exists."""
    names = ("user_id", "authorization_id", "authorization_version")
    lapses, unposted, decided, consents, verdicts = (
        {tuple(row) for row in _rows(connection, select(*(table.c[name] for name in names)))}
        for table in (t.lapses, t.unposted_dockings, t.later_decisions, t.consents, t.verdicts)
    )
    d, k, r, o = t.authorization_details.c, t.cases.c, t.requests.c, t.outbox.c
    details = {
        (user_id, of): version
        for user_id, of, version in _rows(
            connection, select(d.user_id, d.authorization_id, d.authorization_version)
        )
    }
    cases = {
        tuple(row) for row in _rows(connection, select(k.user_id, k.authorization_id, k.case_id))
    }
    answers: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
    of_answers = select(r.user_id, r.authorization_id, r.answer)
    for user_id, of, answer in _rows(connection, of_answers):
        answers[user_id, of].append(answer)
    query = select(o.sequence, *(o[name] for name in names), o.transition, o.payload)
    for sequence, *step, transition, payload in _rows(connection, query.order_by(o.sequence)):
        user_id, of, version = step
        told = _authorization(payload)
        if told is None:
            continue
        if told.lapse and tuple(step) not in lapses:
            raise Found("LAPSES", f"lapses/{user_id}/{of}/{version}", "is missing")
        if told.HasField("details") and details.get((user_id, of), 0) < version:
            raise Found("DETAILS", f"authorization_details/{user_id}/{of}", "is missing")
        if told.case and (user_id, of, told.case.rpartition("/")[2]) not in cases:
            case_id = told.case.rpartition("/")[2]
            raise Found("CASE", f"cases/{user_id}/{of}/{case_id}", "is missing")
        if told.moved_no_money and tuple(step) not in unposted:
            raise Found("UNPOSTED", f"unposted_dockings/{user_id}/{of}/{version}", "is missing")
        if told.step_decision_id and tuple(step) not in decided:
            raise Found("DECISION", f"later_decisions/{user_id}/{of}/{version}", "is missing")
        if told.user_consent_reference and tuple(step) not in consents:
            raise Found("CONSENTS", f"consents/{user_id}/{of}/{version}", "is missing")
        if told.reviewed and tuple(step) not in verdicts:
            raise Found("VERDICTS", f"verdicts/{user_id}/{of}", "is missing")
        if transition not in SETTLING or told.HasField("receipt"):
            continue
        given = [_first_authorization(answer) for answer in answers[user_id, of]]
        if tuple(step) in lapses or any(
            it is not None and it.version == version and it.HasField("receipt") for it in given
        ):
            raise Found("PAYLOAD", f"outbox/{sequence}", "without the receipt that was given")


def _authorization(content: bytes) -> pb.Authorization | None:
    try:
        return pb.Authorization.FromString(content)
    except DecodeError:
        return None


def _first_authorization(answer: bytes) -> pb.Authorization | None:
    """The authorization in an answer's first field, if it is one."""
    try:
        return SettleAuthorizationResponse.FromString(answer).authorization
    except DecodeError:
        return None


SETTLING = {f"authorization.{it}" for it in ("claim_accepted", "handed_over", "lost", "settled")}


def _verify_asked(connection: Connection) -> None:
    """Checks that the person consented to each charge that is above the terms' bound alone."""
    a = t.authorizations.c
    names = ("operator_id", "product_id", "product_revision", "parent_id", "captured_minor")
    rows = _rows(connection, select(a.user_id, a.authorization_id, *[a[it] for it in names]))
    rentals = {tuple(row[:2]): row[2:] for row in rows}
    p, c, k, d = t.products.c, t.consents.c, t.captures.c, t.debts.c
    terms = select(p.operator_id, p.product_id, p.revision, p.damage_without_consent_minor)
    bounds = {tuple(row[:3]): row[3] for row in _as_stored(connection, terms)}
    key = select(c.user_id, c.authorization_id, c.authorization_version)
    given = {tuple(row) for row in _rows(connection, key)}
    charged: dict[tuple[str, str], list[tuple[int, bool]]] = {}
    for row in _rows(connection, select(k.user_id, k.authorization_id, k.purpose, k.amount_minor,
                                        k.authorization_version)):  # fmt: skip
        if row[2] == "DAMAGE" and tuple(row[:2]) in rentals and not rentals[tuple(row[:2])][3]:
            asked = (row[0], row[1], row[4]) in given
            charged.setdefault((row[0], row[1]), []).append((row[3], asked))
    debts = {
        tuple(row[:2]): row[2:]
        for row in _rows(connection, select(d.user_id, d.authorization_id, d.amount_minor,
                                            d.user_consent_reference, d.evidence))
    }  # fmt: skip
    for name, rental in rentals.items():
        if rental[3] and name not in debts:
            asked = any(one[:2] == name for one in given)
            charged[name] = [(rental[4], asked)]
    for name, (amount, consent, evidence) in debts.items():
        if evidence and name in rentals:
            charged[name] = [(amount, consent != "")]
    for name in sorted(charged):
        parent = rentals[name][3]
        bound = bounds.get(tuple(rentals.get((name[0], parent), rentals[name])[:3]))
        # SQLite sorts every number before every text.
        most = bound if isinstance(bound, int) else math.inf
        if any(some > most and not asked for some, asked in charged[name]):
            row_name = f"users/{name[0]}/authorizations/{name[1]}"
            raise Found("CONSENTS", row_name, "nobody consented")


EXPIRED = {"OFFER_EXPIRED", "REVIEW_EXPIRED", "PICKUP_EXPIRED", "DAMAGE_CHARGE_ENDED"}


def _verify_answers(connection: Connection, read_answer: ReadAnswer) -> None:
    """Checks that each stored answer belongs to its method and its request's authorization."""
    r = t.requests.c
    key = (r.caller, r.request_id)
    query = select(*key, r.method, r.answer, r.user_id, r.authorization_id).order_by(*key)
    for caller, request_id, method, answer, user_id, authorization_id in _rows(connection, query):
        if caller == ADMIN:
            continue  # a command of the shell: its answer is its printed text
        name = f"requests/{caller}/{request_id}"
        try:
            about = read_answer(method, answer)
        except ValueError as error:
            raise Found("ANSWER", name, f"is not an answer of {method}") from error
        authorization = f"users/{user_id}/authorizations/{authorization_id}"
        expected = authorization if authorization_id else f"users/{user_id}"
        if about != expected and (about is not None or authorization_id):
            raise Found("ANSWER", name, f"about {about}, expected {expected}")


def _verify_operators(connection: Connection) -> None:
    """Checks that each event has both a payload and the operator of its authorization, or
    neither."""
    a, o = t.authorizations.c, t.outbox.c
    found = _rows(connection, select(a.user_id, a.authorization_id, a.operator_id))
    operators = {(user_id, of): operator_id for user_id, of, operator_id in found}
    query = select(o.sequence, o.user_id, o.authorization_id, o.operator_id, o.payload)
    for sequence, user_id, of, operator_id, payload in _rows(
        connection, query.order_by(o.sequence)
    ):
        if operator_id and operators.get((user_id, of)) != operator_id:
            raise Found("PAYLOAD", f"outbox/{sequence}", "of another operator")
        if bool(operator_id) != bool(payload):
            raise Found("PAYLOAD", f"outbox/{sequence}", "an operator or a payload alone")


def _same_currency(person: _Person, it: PaymentRecord | TransferRecord, name: str) -> None:
    moved = person.moved.get(it.authorization_id)
    if moved is not None and moved.authorization.currency != it.currency:
        raise Found("PAYMENTS", name, "another currency than the authorization's")
