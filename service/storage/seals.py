"""The sealer's reads, on connections of their own."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, func, select

from service.engine.ports import Unsealed
from service.engine.records.seals import SealedHead, SealRecord
from service.storage import schema as t
from service.storage.database import reading
from service.storage.horizon import Horizon

EVENTS_A_HEAD = 4
"""The number of events read for each line that may have changed."""


class SqlSealStore:
    """Finds lines that changed since their last seal, on SQLite or PostgreSQL."""

    def __init__(self, engine: Engine, horizon: Horizon) -> None:
        self._engine = engine
        self._horizon = horizon

    def last_event(self) -> int:
        """The number of the last committed event; 0 before the first."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.max(t.outbox.c.sequence))).scalar() or 0)

    def unsealed(self, after: int, max_heads: int) -> Unsealed:
        """Heads of lines that have events after this number and are not sealed as they are now.

        Events are left for later while a transaction may still add one with a smaller number.
        Returns about one seal's heads; a little more if people have lines in several currencies.
        """
        until = self._horizon.look().events
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
