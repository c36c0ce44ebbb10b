"""The past of the books: entries page by page, and balances as of any past instant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import BigInteger, Connection, Engine, cast, func, select

from service.domain.ledger import LINE_COLUMNS, Account, Entry, LineAt
from service.domain.transitions import Transition
from service.engine.reads import DecidedEntry, Page, Place
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
        """The balances after events until `happened_us`, by entries written until `known_us`.

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

    def entries(
        self, user_id: str, currency: str, *, after: Place, size: int
    ) -> Page[DecidedEntry]:
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
            decided = _decided(connection, user_id, currency, found[:size])
        last = Place(0, str(found[size - 1].sequence)) if len(found) > size else None
        return Page(decided, last)


def _decided(
    connection: Connection, user_id: str, currency: str, entries: Sequence[Entry]
) -> list[DecidedEntry]:
    """Entries of a line with their decisions. An increment has a decision of its own; every other
    entry has the decision of its authorization."""
    a, d = t.authorizations.c, t.later_decisions.c
    names = sorted({it.authorization_id for it in entries} - {""})
    if not names:
        return [DecidedEntry(it, "") for it in entries]
    granted = select(a.authorization_id, a.decision_id).where(
        a.user_id == user_id, a.authorization_id.in_(names)
    )
    own = {str(row[0]): str(row[1]) for row in connection.execute(granted)}
    increments: dict[int, str] = {}
    if any(it.transition is Transition.INCREMENTED for it in entries):
        later = select(d.transaction_sequence, d.decision_id).where(
            d.user_id == user_id, d.authorization_id.in_(names), d.currency == currency
        )
        increments = {int(row[0]): str(row[1]) for row in connection.execute(later)}

    def decision_of(it: Entry) -> str:
        if it.transition is Transition.INCREMENTED:
            return increments.get(it.transaction_sequence, "")
        return own.get(it.authorization_id, "")

    return [DecidedEntry(it, decision_of(it)) for it in entries]
