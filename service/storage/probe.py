"""A cheap probe that the database works."""

from __future__ import annotations

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoneFree

from service.engine.ports import StorageFailed
from service.storage.database import backend_of, telling, writing

READ = text("SELECT version_num FROM alembic_version")
# Takes the locks of a batch, and changes no row.
UPDATE = text("UPDATE lines SET version = version WHERE 1 = 0")


def probe(engine: Engine, writes: bool) -> bool:
    """Reads a row; with `writes` it also commits, as durably as a batch.

    Returns False if no connection was free. Raises StorageFailed or OutcomeUnknown.
    """
    try:
        if not writes:
            # Plain reads check less, so this read is thorough: no other may have come for long.
            with engine.connect().execution_options(thorough=True) as connection:
                connection.execute(READ).all()
            return True
        with writing(engine) as connection:
            connection.execute(UPDATE)
            backend_of(engine).write_nothing(connection)
    except NoneFree:
        return False
    except SQLAlchemyError as error:
        raise StorageFailed("the database could not be probed") from telling(error)
    return True
