"""LedgerService: verification, balances as of an instant, and entries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from freehold.v1 import ledger_service_pb2 as pb
from freehold.v1.types_pb2 import SignedMoney

from service.domain.access import Scope
from service.domain.errors import NotFound
from service.domain.ledger import LineAt
from service.domain.verification import Verification, Witness
from service.engine.rates import Weight
from service.engine.readers import Readers
from service.engine.reads import DecidedEntry, HistoryReader
from service.rpc import convert
from service.rpc.pages import place_of, size_of, token_of
from service.rpc.pipeline import Call, Method

SERVICE = "freehold.v1.LedgerService"

Verify = Callable[[Sequence[Witness]], Awaitable[Verification]]


class LedgerServicer:
    """The reads of the ledger, and the verification of the books."""

    def __init__(self, verify: Verify, history: HistoryReader, readers: Readers) -> None:
        self._verify = verify
        self._history = history
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The service's methods with their scopes."""
        read, prove = Scope.BOOKS_READ, Scope.BOOKS_VERIFY
        return [
            Method(
                "VerifyBooks", pb.VerifyBooksRequest, prove, self.verify, max_bytes, Weight.VERIFY
            ),
            Method("GetLineAt", pb.GetLineAtRequest, read, self.line_at, max_bytes),
            Method(
                "ListEntries", pb.ListEntriesRequest, read, self.entries, max_bytes, Weight.LIST
            ),
        ]

    async def verify(self, call: Call[pb.VerifyBooksRequest]) -> bytes:
        """Answers VerifyBooks: compares entries with balances, and seals with their lines."""
        witnesses = [Witness(it.number, it.digest) for it in call.message.witnesses]
        found = await self._verify(witnesses)
        fault, last = found.fault, found.last_seal
        return pb.VerifyBooksResponse(
            verified=fault is None,
            lines=found.lines,
            entries=found.entries,
            authorizations=found.authorizations,
            fault=None
            if fault is None
            else pb.BookFault(rule=fault.rule, row=fault.row, detail=fault.detail),
            seals=found.seals,
            signatures=found.signatures,
            last_seal=None
            if last is None
            else pb.SealWitness(number=last.number, digest=last.digest),
        ).SerializeToString()

    async def line_at(self, call: Call[pb.GetLineAtRequest]) -> bytes:
        """Answers GetLineAt."""
        message = call.message
        known_us, happened_us = (
            convert.instant_us(getattr(message, name), name) if message.HasField(name) else None
            for name in ("known_at", "happened_at")
        )
        key = (message.user_id, message.currency_code)
        found = await self._readers.run(
            call, partial(self._history.line_at, *key, known_us, happened_us)
        )
        if found is None:
            raise NotFound("line", message.user_id)
        return pb.GetLineAtResponse(line=_line(found)).SerializeToString()

    async def entries(self, call: Call[pb.ListEntriesRequest]) -> bytes:
        """Answers ListEntries; the page token is the sequence of the last entry."""
        message = call.message
        after, size = place_of(message.page_token), size_of(message.page_size)
        key = (message.user_id, message.currency_code)
        page = await self._readers.run(
            call, partial(self._history.entries, *key, after=after, size=size)
        )
        return pb.ListEntriesResponse(
            entries=[_entry(it) for it in page.rows],
            next_page_token=token_of(page.last),
        ).SerializeToString()


def _line(it: LineAt) -> pb.LineAt:
    def amount(minor: int) -> SignedMoney:
        return SignedMoney(currency_code=it.currency, amount_minor=minor)

    return pb.LineAt(
        user_id=it.user_id,
        limit=amount(it.limit_minor),
        available=amount(it.available_minor),
        held=amount(it.held_minor),
        drawn=amount(it.drawn_minor),
        receivable=amount(it.receivable_minor),
        disputed=amount(it.disputed_minor),
        charged_back=amount(it.charged_back_minor),
        deposit=amount(it.deposit_minor),
        refund_payable=amount(it.refund_payable_minor),
        entries=it.entries,
        last_sequence=it.last_sequence,
        rearranged=it.rearranged,
        overpaid=amount(it.overpaid_minor),
        unheld=amount(it.unheld_minor),
    )


def _entry(decided: DecidedEntry) -> pb.Entry:
    it = decided.entry
    name = f"users/{it.user_id}/authorizations/{it.authorization_id}"
    message = pb.Entry(
        sequence=it.sequence,
        transaction_sequence=it.transaction_sequence,
        operator_id=it.operator_id,
        authorization=name if it.authorization_id else "",
        transition=it.transition,
        book=it.book,
        debit=it.debit,
        credit=it.credit,
        debit_after_minor=it.debit_after_minor,
        credit_after_minor=it.credit_after_minor,
        event_time=convert.timestamp(it.event_us),
        ledger_time=convert.timestamp(it.ledger_us),
        link=it.link,
        link_format=it.link_format,
        decision_id=decided.decision_id,
    )
    message.amount.currency_code = it.currency
    message.amount.amount_minor = it.amount_minor
    return message
