"""Compares the clients' histories with the database: lost calls, doubled calls, every balance.

Invariants whenever no call is under way, after any kill:

- every acknowledged call has exactly one request record, with its request and response bytes;
- a call that was never answered is stored or not, and stays as it was at the first check;
- a call that Freehold refused or reported as unwritten is not stored, nor one that was never sent;
- every Authorize made one authorization, every other call changed it once (its version counts
  them), it is as in the newest answer about it, and its captured amount is the sum of the recorded
  captures;
- every payment reference was recorded once;
- `verify_books` finds no fault.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from freehold.v1 import authorization_service_pb2 as calls
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.credit_service_pb2 import RecordPaymentRequest, RecordPaymentResponse
from sqlalchemy import Connection, select

from benchmarks.crash_history import Line, Reader
from service.books.verify import verify_books
from service.domain.authorization import State
from service.engine.records.refusals import REFUSED
from service.rpc.convert import encode_authorization
from service.storage import rows
from service.storage import schema as t
from service.storage.database import open_database

AUTHORIZE, SETTLE = "Authorize", "SettleAuthorization"

_MESSAGES: Mapping[str, tuple[Any, Any]] = {
    AUTHORIZE: (calls.AuthorizeRequest, calls.AuthorizeResponse),
    "ConfirmAuthorization": (
        calls.ConfirmAuthorizationRequest,
        calls.ConfirmAuthorizationResponse,
    ),
    SETTLE: (calls.SettleAuthorizationRequest, calls.SettleAuthorizationResponse),
    "ReverseAuthorization": (
        calls.ReverseAuthorizationRequest,
        calls.ReverseAuthorizationResponse,
    ),
    "RecordPayment": (RecordPaymentRequest, RecordPaymentResponse),
}
_PAYING = frozenset({"ConfirmAuthorization", "RecordPayment"})
# Another rental of the same person may have taken the line before a confirmation.
_EXPECTED_REFUSALS = frozenset({"RESOURCE_EXHAUSTED LINE_EXHAUSTED"})
_NOT_WRITTEN = frozenset({"UNAVAILABLE STORAGE_UNAVAILABLE", "UNAVAILABLE CONTENTION"})
_MOST_FAULTS = 20


@dataclass(slots=True)
class KnownCall:
    """One call as its client knows it; `unanswered` has its tries without an answer, in order."""

    method: str
    body: bytes
    unanswered: list[str] = field(default_factory=list)
    answer: bytes | None = None
    refused: str = ""


@dataclass(slots=True)
class Findings:
    """The results of one or more checks; ids are request ids.

    lost               acknowledged, and not there
    doubled            there or done more than once, or told two things
    faults             everything else that is wrong, and a sentence about each of the above
    acknowledged       calls that were answered, by method
    refused            calls that Freehold refused for good, by status and reason
    unknown            calls whose first try had no answer
    unknown_committed  of these, found in the database before any retry
    checks             how often the database and both books were checked
    """

    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    acknowledged: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    unknown_committed: int = 0
    checks: int = 0

    def fault(self, sentence: str) -> None:
        """Note a fault; only the first few are kept."""
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(sentence)

    def lose(self, request_id: str, sentence: str) -> None:
        """Note a lost call."""
        self.lost.add(request_id)
        self.fault(f"lost: {request_id} {sentence}")

    def double(self, request_id: str, sentence: str) -> None:
        """Note a doubled call."""
        self.doubled.add(request_id)
        self.fault(f"doubled: {request_id} {sentence}")

    def add(self, other: Findings) -> None:
        """Add the results of another database's checks."""
        self.lost |= other.lost
        self.doubled |= other.doubled
        for sentence in other.faults:
            self.fault(sentence)
        self.acknowledged += other.acknowledged
        self.refused += other.refused
        self.unknown += other.unknown
        self.unknown_committed += other.unknown_committed
        self.checks += other.checks

    @property
    def right(self) -> bool:
        """Whether there is no fault."""
        return not (self.lost or self.doubled or self.faults)


class _Record(NamedTuple):
    """A request record, with the authorization in its answer."""

    request_id: str
    method: str
    body: bytes
    answer: bytes
    authorization_id: str
    told: Authorization


class Checker:
    """Checks one database again and again, while its clients' histories grow."""

    def __init__(self, histories: Sequence[Path]) -> None:
        self._readers = [Reader(path) for path in histories]
        self._calls: dict[str, KnownCall] = {}
        self._seen: dict[str, _Record] = {}
        self.findings = Findings()

    def check(self, url: str, *, settled: bool) -> int:
        """Compare while no call is under way; return how many calls the kill left without an
        answer.

        With `settled`, every call has an answer by now, so none may be open.
        """
        for reader in self._readers:
            for line in reader.new_lines():
                self._read(line)
        engine = open_database(url)
        try:
            with engine.connect() as connection:
                records = self._records(connection)
                self._compare_calls(records, settled)
                self._compare_authorizations(connection, records)
                self._compare_payments(connection, records)
            books = verify_books(engine)
        finally:
            engine.dispose()
        if books.fault is not None:
            rule, row, detail = books.fault
            self.findings.fault(f"books: {rule} at {row}: {detail}")
        self.findings.checks += 1
        return sum(1 for call in self._calls.values() if call.answer is None and not call.refused)

    def _read(self, line: Line) -> None:
        findings = self.findings
        if line.kind == "sent":
            self._calls[line.request_id] = KnownCall(line.method, line.content)
            return
        call = self._calls[line.request_id]
        if line.kind == "unknown":
            if not call.unanswered and call.answer is None:
                findings.unknown += 1
            call.unanswered.append(line.why)
        elif line.kind == "refused":
            call.refused = line.why
            findings.refused[line.why] += 1
            if line.why not in _EXPECTED_REFUSALS:
                findings.fault(f"{line.request_id} ({call.method}) was refused: {line.why}")
        elif call.answer is None:
            call.answer = line.content
            findings.acknowledged[call.method] += 1
        elif call.answer != line.content:
            findings.double(line.request_id, "was answered with two different things")

    def _records(self, connection: Connection) -> dict[str, _Record]:
        """All request records by id, except those of the bulk calls that load the people."""
        r = t.requests.c
        query = select(r.request_id, r.method, r.body, r.answer, r.authorization_id)
        found: dict[str, _Record] = {}
        for request_id, method, body, answer, authorization_id in connection.execute(
            query.where(r.method != "PutUsers", ~r.method.endswith(REFUSED))
        ):
            if request_id in found:
                self.findings.double(request_id, "has two request records")
            seen = self._seen.get(request_id)
            if seen is None or seen.answer != answer:
                told = _MESSAGES[method][1].FromString(answer).authorization
                seen = _Record(request_id, method, body, answer, authorization_id, told)
            found[request_id] = seen
        return found

    def _compare_calls(self, records: Mapping[str, _Record], settled: bool) -> None:
        findings = self.findings
        for request_id, call in self._calls.items():
            record = records.get(request_id)
            before = self._seen.get(request_id)
            if record is None:
                if call.answer is not None:
                    findings.lose(request_id, f"({call.method}) was acknowledged and has no record")
                elif before is not None:
                    findings.lose(request_id, f"({call.method}) was committed and has gone")
                elif settled and not call.refused:
                    findings.fault(f"{request_id} was never answered")
                continue
            if (record.method, record.body) != (call.method, call.body):
                findings.fault(f"{request_id} is recorded as another call than was sent")
            if call.answer is not None and record.answer != call.answer:
                findings.fault(f"{request_id} is recorded with another answer than was told")
            if before is not None and before.answer != record.answer:
                findings.double(request_id, "was done again: its recorded answer changed")
            if call.refused:
                findings.fault(f"{request_id} was refused ({call.refused}) and is recorded")
            if call.answer is None and before is None and len(call.unanswered) == 1:
                findings.unknown_committed += 1
                if call.unanswered[0] in _NOT_WRITTEN:
                    findings.fault(f"{request_id}: {call.unanswered[0]}, and it is recorded")
        for request_id in records.keys() - self._calls.keys():
            findings.fault(f"{request_id} is recorded, and nobody sent it")
        self._seen = dict(records)

    def _compare_authorizations(
        self, connection: Connection, records: Mapping[str, _Record]
    ) -> None:
        findings = self.findings
        about: defaultdict[str, list[_Record]] = defaultdict(list)
        for record in records.values():
            about[record.authorization_id].append(record)
        made: set[str] = set()
        for row in connection.execute(select(t.authorizations)):
            stored = rows.authorization_of(row)
            of_it = about.pop(stored.authorization_id, [])
            origins = [record.request_id for record in of_it if record.method == AUTHORIZE]
            if stored.request_id in made or origins != [stored.request_id]:
                findings.double(stored.request_id, f"and {stored.name} do not belong together")
                continue
            made.add(stored.request_id)
            # Every call changes the version by one, and so does the end of an offer.
            changes = stored.version - (stored.state is State.EXPIRED)
            newest = max(of_it, key=lambda record: record.told.version)
            if changes > len(of_it):
                findings.double(newest.request_id, f"or an earlier call changed {stored.name} more")
            elif changes < len(of_it):
                findings.lose(newest.request_id, f"or an earlier call did not change {stored.name}")
            asked_minor = sum(
                calls.SettleAuthorizationRequest.FromString(record.body).amount.amount_minor
                for record in of_it
                if record.method == SETTLE
            )
            if stored.captured_minor != asked_minor:
                findings.fault(
                    f"{stored.name} captured {stored.captured_minor}, asked for {asked_minor}"
                )
            now = Authorization.FromString(encode_authorization(stored))
            # Only the answer of a settlement has the receipt, and the row has no hash of the price.
            told = Authorization()
            told.CopyFrom(newest.told)
            told.ClearField("receipt")
            told.ClearField("price_hash")
            if now != told and stored.state is not State.EXPIRED:
                findings.fault(f"{stored.name} does not stand as {newest.request_id} was told")
        for of_it in about.values():
            findings.lose(of_it[0].request_id, "is recorded, its authorization is not there")

    def _compare_payments(self, connection: Connection, records: Mapping[str, _Record]) -> None:
        p = t.payments.c
        stored = Counter(connection.scalars(select(p.payment_reference)))
        paid = {_reference(record): record.request_id for record in _paying(records.values())}
        for reference, count in stored.items():
            if count > 1 or reference not in paid:
                self.findings.double(paid.get(reference, reference), "was paid more than once")
        for reference in paid.keys() - stored.keys():
            self.findings.lose(paid[reference], "is recorded, its payment is not there")


def _paying(records: Iterable[_Record]) -> list[_Record]:
    return [record for record in records if record.method in _PAYING]


def _reference(record: _Record) -> str:
    reference: str = _MESSAGES[record.method][0].FromString(record.body).payment_reference
    return reference
