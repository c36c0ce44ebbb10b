"""What the sealer reads, on connections of its own."""

from __future__ import annotations

from sqlalchemy import BigInteger, Connection, Engine, func, literal_column, select
from sqlalchemy.sql.elements import ColumnElement

from service.engine.ports import OutboxMark, Unsealed
from service.engine.records import SealedHead, SealRecord
from service.storage import tables as t
from service.storage.database import reading

EVENTS_A_HEAD = 4
"""How many events are looked at for one line that may have changed."""
# A number higher than that of any transaction so far is had only by taking one: a snapshot knows
# the last that ended, and a later one may be under way.
_OLDEST_OPEN, _NEXT_TRANSACTION = (
    literal_column(f"CAST(CAST({number} AS text) AS bigint)", BigInteger)
    for number in ("pg_snapshot_xmin(pg_current_snapshot())", "pg_current_xact_id()")
)


class SqlSealStore:
    """Lines that changed since they were last sealed, on SQLite or PostgreSQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def outbox_mark(self) -> OutboxMark:
        """The last event that is committed, and which transactions are under way."""
        columns: list[ColumnElement[int]] = [func.coalesce(func.max(t.outbox.c.sequence), 0)]
        if self._engine.dialect.name == "postgresql":
            columns += [_OLDEST_OPEN, _NEXT_TRANSACTION]
        with reading(self._engine) as connection:
            sequence, *transactions = connection.execute(select(*columns)).one()
        # SQLite has one writer: events are committed in the order of their numbers.
        oldest_open, next_transaction = transactions or (0, 0)
        return OutboxMark(sequence, oldest_open, next_transaction)

    def unsealed(self, after: int, until: int, max_heads: int) -> Unsealed:
        """Heads of lines with events in (after, until] that were not sealed as they are now.

        Of one seal's size, or little more where people have lines in several currencies.
        """
        with reading(self._engine) as connection:
            last = _last(connection)
            if last is not None:
                after = max(after, last.outbox_sequence)
            o = t.outbox.c
            most = EVENTS_A_HEAD * max_heads
            query = (
                select(o.sequence, o.user_id)
                .where(o.sequence > after, o.sequence <= until)
                .order_by(o.sequence)
                .limit(most)
            )
            people: set[str] = set()
            looked, more = after, False
            for seen, (sequence, user_id) in enumerate(connection.execute(query).all(), 1):
                if user_id not in people and len(people) == max_heads:
                    more = True
                    break
                people.add(user_id)
                looked, more = sequence, seen == most
            return Unsealed(last, looked, _heads(connection, people), more)


def _last(connection: Connection) -> SealRecord | None:
    query = select(t.seals).order_by(t.seals.c.number.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else SealRecord._make((*row, ()))


def _heads(connection: Connection, people: set[str]) -> tuple[SealedHead, ...]:
    line, s = t.lines.c, t.sealed_heads.c
    sealed = (
        select(s.version)
        .where(s.user_id == line.user_id, s.currency == line.currency)
        .order_by(s.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(line.user_id, line.currency, line.version, line.head).where(
        line.user_id.in_(sorted(people)), line.version > func.coalesce(sealed, 0)
    )
    return tuple(SealedHead(*row) for row in connection.execute(query))
