"""Pages of a person's passes."""

from __future__ import annotations

from sqlalchemy import Engine, select

from service.engine.reads import Page, Place
from service.engine.records.passes import PassRecord
from service.engine.tables import PASSES
from service.storage import schema as t
from service.storage.database import reading
from service.storage.schema.record_tables import CONVERTERS


class PassLists:
    """Reads passes outside any write transaction; thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def passes(self, user_id: str, operator_id: str, *, after: str, size: int) -> Page[PassRecord]:
        """A page of the passes that an operator gave a person, after an id.

        Raises StorageFailed.
        """
        p = t.passes.c
        query = (
            select(*t.recorded(t.passes))
            .where(p.user_id == user_id, p.operator_id == operator_id, p.pass_id > after)
            .order_by(p.pass_id)
            .limit(size + 1)
        )
        with reading(self._engine) as connection:
            found = list(map(CONVERTERS[PASSES].record, connection.execute(query)))
        rows = found[:size]
        return Page(rows, Place(0, rows[-1].pass_id, user_id) if len(found) > size else None)
