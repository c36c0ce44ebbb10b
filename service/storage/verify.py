"""Compares every entry of both books with every stored balance and every authorization.

Three streams in the order of the user id are read side by side in one snapshot of the
database: lines, entries, authorizations. Memory is bounded by the largest single person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Engine, select

from service.domain.authorization import Authorization
from service.domain.ledger import LINE_COLUMNS, Account, Entry, Line, book_of
from service.engine.records import BookFault, Verification
from service.storage import rows
from service.storage import tables as t
from service.storage.database import Read, streaming

PORTION = 2_000


class _Found(Exception):
    def __init__(self, rule: str, row: str, detail: str) -> None:
        super().__init__(rule)
        self.fault = BookFault(rule, row, detail)


@dataclass(slots=True)
class _Count:
    lines: int = 0
    entries: int = 0
    authorizations: int = 0


@dataclass(slots=True)
class _Moved:
    """What the entries of one authorization add up to, by account: debits less credits."""

    net: defaultdict[Account, int] = field(default_factory=lambda: defaultdict(int))
    drawn: int = 0
    paid: int = 0

    def add(self, entry: Entry) -> None:
        self.net[entry.debit] += entry.amount_minor
        self.net[entry.credit] -= entry.amount_minor
        if entry.debit is Account.RECEIVABLE:
            self.drawn += entry.amount_minor
        if entry.credit is Account.RECEIVABLE:
            self.paid += entry.amount_minor


def verify_books(engine: Engine) -> Verification:
    """Checks both books; stops at the first fault and names its row.

    Rules: entries of a line are numbered without a gap; an entry stays within one book; every
    balance after an entry, and every stored balance, equals the replay; limit = available +
    held + drawn; drawn = receivable; a person's holds, deposits, dues and refunds are the sums
    over the authorizations; and each authorization's amounts are what its entries moved.
    """
    count = _Count()
    try:
        with streaming(engine, PORTION) as read:
            _verify(read, count)
    except _Found as found:
        return Verification(count.lines, count.entries, count.authorizations, found.fault)
    return Verification(count.lines, count.entries, count.authorizations, None)


def _verify(read: Read, count: _Count) -> None:
    lines = _grouped(
        Line(*row) for row in read(select(t.lines).order_by(t.lines.c.user_id, t.lines.c.currency))
    )
    e = t.entries.c
    entries = _grouped(
        rows.entry_of(row)
        for row in read(select(t.entries).order_by(e.user_id, e.currency, e.sequence))
    )
    a = t.authorizations.c
    authorizations = _grouped(
        rows.authorization_of(row)
        for row in read(select(t.authorizations).order_by(a.user_id, a.authorization_id))
    )
    for user_id, of_lines, of_entries, of_authorizations in _side_by_side(
        lines, entries, authorizations
    ):
        count.lines += len(of_lines)
        count.entries += len(of_entries)
        count.authorizations += len(of_authorizations)
        _verify_user(user_id, of_lines, of_entries, of_authorizations)


def _grouped(items: Iterable[Any]) -> Iterator[tuple[str, list[Any]]]:
    for user_id, group in groupby(items, key=lambda item: item.user_id):
        yield user_id, list(group)


def _side_by_side(
    *streams: Iterator[tuple[str, list[Any]]],
) -> Iterator[tuple[str, list[Line], list[Entry], list[Authorization]]]:
    """The groups of each user id, empty where a stream has none."""
    heads = [next(stream, None) for stream in streams]
    while any(head is not None for head in heads):
        user_id = min(head[0] for head in heads if head is not None)
        groups: list[list[Any]] = []
        for place, stream in enumerate(streams):
            head = heads[place]
            if head is not None and head[0] == user_id:
                groups.append(head[1])
                heads[place] = next(stream, None)
            else:
                groups.append([])
        yield user_id, groups[0], groups[1], groups[2]


def _verify_user(
    user_id: str,
    lines: list[Line],
    entries: list[Entry],
    authorizations: list[Authorization],
) -> None:
    stored = {line.currency: line for line in lines}
    replayed = {currency: Line(user_id, currency) for currency in stored}
    moved: defaultdict[str, _Moved] = defaultdict(_Moved)
    for entry in entries:
        name = f"entries/{user_id}/{entry.currency}/{entry.sequence}"
        line = replayed.get(entry.currency)
        if line is None:
            raise _Found("ENTRY_WITHOUT_LINE", name, "the person has no line in this currency")
        _replay(line, entry, name)
        moved[entry.authorization_id].add(entry)
    for currency, line in stored.items():
        _verify_line(line, replayed[currency])
    for authorization in authorizations:
        _verify_authorization(authorization, moved.pop(authorization.authorization_id, _Moved()))
    for authorization_id in moved:
        if authorization_id:
            raise _Found(
                "ENTRY_WITHOUT_AUTHORIZATION",
                f"users/{user_id}/authorizations/{authorization_id}",
                "entries name an authorization that is not there",
            )
    for currency, line in stored.items():
        _verify_sums(line, [it for it in authorizations if it.currency == currency])


def _replay(line: Line, entry: Entry, name: str) -> None:
    if entry.sequence != line.version + 1:
        raise _Found("ENTRY_MISSING", name, f"expected {line.version + 1}, found {entry.sequence}")
    if entry.amount_minor <= 0:
        raise _Found("AMOUNT_NOT_POSITIVE", name, str(entry.amount_minor))
    debit, credit = entry.debit, entry.credit
    if not book_of(debit) is book_of(credit) is entry.book:
        raise _Found("BOOK_NOT_BALANCED", name, f"{debit} / {credit} in book {entry.book}")
    line.version = entry.sequence
    sides = (
        (debit, entry.amount_minor, entry.debit_after_minor),
        (credit, -entry.amount_minor, entry.credit_after_minor),
    )
    for account, change_minor, after_minor in sides:
        kept = LINE_COLUMNS.get(account)
        if kept is None:
            if after_minor is not None:
                raise _Found("BALANCE_AFTER", name, f"{account} keeps no balance here")
            continue
        column, sign = kept
        balance = getattr(line, column) + sign * change_minor
        if balance != after_minor:
            raise _Found(
                "BALANCE_AFTER", name, f"{account}: replayed {balance}, stored {after_minor}"
            )
        if balance < 0:
            raise _Found("BALANCE_NEGATIVE", name, f"{account}: {balance}")
        setattr(line, column, balance)


def _verify_line(stored: Line, replayed: Line) -> None:
    name = f"lines/{stored.user_id}/{stored.currency}"
    if stored.version != replayed.version:
        raise _Found(
            "ENTRY_MISSING",
            name,
            f"the line counts {stored.version} entries, there are {replayed.version}",
        )
    for column, _ in LINE_COLUMNS.values():
        if getattr(stored, column) != getattr(replayed, column):
            raise _Found(
                "BALANCE_STORED",
                name,
                f"{column}: replayed {getattr(replayed, column)}, stored {getattr(stored, column)}",
            )
    parts_minor = stored.available_minor + stored.held_minor + stored.drawn_minor
    if stored.limit_minor != parts_minor:
        raise _Found("LIMIT_IS_THE_SUM", name, f"limit {stored.limit_minor}, parts {parts_minor}")
    if stored.drawn_minor != stored.receivable_minor:
        raise _Found(
            "DRAWN_IS_RECEIVABLE",
            name,
            f"drawn {stored.drawn_minor}, receivable {stored.receivable_minor}",
        )


def _verify_authorization(it: Authorization, moved: _Moved) -> None:
    net = moved.net
    expected = {
        "held_credit_minor": net[Account.HELD],
        "held_cash_minor": -net[Account.DEPOSIT],
        "captured_minor": -net[Account.OPERATOR_PAYABLE] - net[Account.FEE_INCOME],
        "captured_credit_minor": moved.drawn,
        "fee_minor": -net[Account.FEE_INCOME],
        "paid_minor": moved.paid,
        "refund_payable_minor": -net[Account.REFUND_PAYABLE],
    }
    for column, amount_minor in expected.items():
        if getattr(it, column) != amount_minor:
            raise _Found(
                "AUTHORIZATION_AMOUNT",
                it.name,
                f"{column}: entries moved {amount_minor}, stored {getattr(it, column)}",
            )


def _verify_sums(line: Line, authorizations: list[Authorization]) -> None:
    sums = {
        "held_minor": sum(it.held_credit_minor for it in authorizations),
        "deposit_minor": sum(it.held_cash_minor for it in authorizations),
        "receivable_minor": sum(it.due_minor for it in authorizations),
        "refund_payable_minor": sum(it.refund_payable_minor for it in authorizations),
    }
    for column, sum_minor in sums.items():
        if getattr(line, column) != sum_minor:
            raise _Found(
                "SUM_OF_AUTHORIZATIONS",
                f"lines/{line.user_id}/{line.currency}",
                f"{column}: authorizations {sum_minor}, line {getattr(line, column)}",
            )
