"""Whether the catalog is still what it was, told without reading it."""

from __future__ import annotations

from collections.abc import Hashable

from sqlalchemy import Engine, func, select

from service.storage import tables as t
from service.storage.database import reading


def catalog_mark(engine: Engine) -> Hashable:
    """Something that is another one when operators, limits, products or policies have changed.

    Revisions of products and policies are added and never changed, so that they need only be
    counted.
    """
    operators = select(t.operators.c.operator_id, t.operators.c.name, t.operators.c.fee_bp)
    steps = select(t.limit_steps)
    with reading(engine) as connection:
        return (
            frozenset(tuple(row) for row in connection.execute(operators)),
            frozenset(tuple(row) for row in connection.execute(steps)),
            connection.scalar(select(func.count()).select_from(t.products)),
            connection.scalar(select(func.count()).select_from(t.policies)),
        )
