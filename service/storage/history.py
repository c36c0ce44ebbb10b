"""The past of the books: entries page by page, and balances as of any past instant."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import BigInteger, Engine, cast, func, select

from service.domain.ledger import LINE_COLUMNS, Account, Entry, LineAt
from service.engine.reads import Page, Place
from service.storage import rows
from service.storage import schema as t
from service.storage.database import reading


class History:
    """Reads outside any write transaction; thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def line_at(
        self, user_id: str, currency: str, known_us: int | None, happened_us: int | None
    ) -> LineAt | None:
        """The balances by the entries written until `known_us` of events until `happened_us`.

        Instants are microseconds since the epoch, UTC; None means no bound. Returns None if there
        is no such line. Entries may be written in another order than their events happened. The
        line then never had these balances (`rearranged`), and one of them may be negative.
        """
        e, line = t.entries.c, t.lines.c
        query = (
            select(
                e.debit,
                e.credit,
                cast(func.sum(e.amount_minor), BigInteger),
                func.count(),
                func.max(e.sequence),
            )
            .where(e.user_id == user_id, e.currency == currency)
            .group_by(e.debit, e.credit)
        )
        if known_us is not None:
            query = query.where(e.ledger_us <= known_us)
        if happened_us is not None:
            query = query.where(e.event_us <= happened_us)
        there = select(line.version).where(line.user_id == user_id, line.currency == currency)
        debited: Counter[Account] = Counter()
        entries, last_sequence = 0, 0
        with reading(self._engine) as connection:
            if connection.scalar(there) is None:
                return None
            for debit, credit, amount_minor, count, sequence in connection.execute(query):
                debited[Account(debit)] += amount_minor
                debited[Account(credit)] -= amount_minor
                entries += count
                last_sequence = max(last_sequence, sequence)
        balances = {
            column: sign * debited[account] for account, (column, sign) in LINE_COLUMNS.items()
        }
        return LineAt(user_id, currency, entries, last_sequence, **balances)

    def entries(self, user_id: str, currency: str, *, after: Place, size: int) -> Page[Entry]:
        """A page of a line's entries; the id of an entry's place is its sequence."""
        e = t.entries.c
        query = (
            select(t.entries)
            .where(e.user_id == user_id, e.currency == currency, e.sequence > int(after.id or 0))
            .order_by(e.sequence)
            .limit(size + 1)
        )
        with reading(self._engine) as connection:
            found = [rows.entry_of(row) for row in connection.execute(query)]
        last = Place(0, str(found[size - 1].sequence)) if len(found) > size else None
        return Page(found[:size], last)
