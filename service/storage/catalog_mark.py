"""Whether the catalog is still what it was, told without making anything of it."""

from __future__ import annotations

from collections.abc import Hashable

from sqlalchemy import Engine

from service.storage import tables as t
from service.storage.database import reading
from service.storage.terms import values_of

TERMS = (t.operators, t.limit_steps, t.products, t.policies)


def catalog_mark(engine: Engine) -> Hashable:
    """Something that is another one when operators, limits, products or policies have changed.

    Every row counts with all that stands in it: revisions are added and never changed, but
    whoever puts a wrong row right by SQL changes it.
    """
    with reading(engine) as connection:
        return tuple(hash(tuple(values_of(connection, table, bytes))) for table in TERMS)
