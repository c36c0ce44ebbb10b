"""Pages of charge-backs and of money in suspense, in the order of their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Engine, Select, select, text, tuple_

from service.domain.charge_backs import ChargeBack
from service.domain.suspense import SuspenseItem
from service.engine.reads import Keyed
from service.engine.tables import CHARGE_BACKS, SUSPENSE, Table
from service.storage import schema as t
from service.storage.database import reading
from service.storage.schema.charge_backs import OPEN
from service.storage.schema.record_tables import CONVERTERS

Record = TypeVar("Record")


class ChargeBackLists:
    """Reads pages outside any write transaction; thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def charge_backs(
        self, user_id: str, *, open_only: bool, after: Sequence[str], size: int
    ) -> Keyed[ChargeBack]:
        """A page of a person's charge-backs, or of all if `user_id` is empty.

        Raises StorageFailed.
        """
        c, query = t.charge_backs.c, select(t.charge_backs)
        if user_id:
            query = query.where(c.user_id == user_id)
        if open_only:
            query = query.where(text(OPEN))  # selects the index
        return self._page(CHARGE_BACKS, query, after, size)

    def suspense(
        self, *, matched_too: bool, after: Sequence[str], size: int
    ) -> Keyed[SuspenseItem]:
        """A page of the items in suspense; raises StorageFailed."""
        query = select(t.suspense)
        if not matched_too:
            query = query.where(text(OPEN))  # selects the index
        return self._page(SUSPENSE, query, after, size)

    def _page(
        self, declared: Table[Any, Record], query: Select[Any], after: Sequence[str], size: int
    ) -> Keyed[Record]:
        table = t.metadata.tables[declared.name]
        keys = [table.c[name] for name in declared.key]
        # No key is empty, so the first page begins after empty ones.
        query = query.where(tuple_(*keys) > tuple_(*(after or [""] * len(keys))))
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(*keys).limit(size + 1)).all()
        records = [CONVERTERS[declared].record(row) for row in found[:size]]
        if len(found) <= size:
            return records, None
        return records, tuple(str(getattr(records[-1], name)) for name in declared.key)
