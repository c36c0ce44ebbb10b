"""A cheap probe that the database works."""

from __future__ import annotations

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoneFree

from service.engine.ports import StorageFailed
from service.storage.database import telling, writing

READ = text("SELECT version_num FROM alembic_version")
# Takes the locks of a batch, and changes no row.
UPDATE = text("UPDATE lines SET version = version WHERE 1 = 0")
# An empty WAL record, so that COMMIT waits for the disk and the standbys.
MESSAGE = text("SELECT pg_logical_emit_message(true, 'freehold', 'probe')")


def probe(engine: Engine, writes: bool) -> bool:
    """Reads a row; with `writes` it also commits, as durably as a batch.

    On SQLite it writes the first page, whose `user_version` keeps its value; on PostgreSQL a WAL
    record. Returns False if no connection was free. Raises StorageFailed or OutcomeUnknown.
    """
    try:
        if not writes:
            # Plain reads check less, so this read is thorough: no other may have come for long.
            with engine.connect().execution_options(thorough=True) as connection:
                connection.execute(READ).all()
            return True
        with writing(engine) as connection:
            connection.execute(UPDATE)
            if engine.dialect.name == "postgresql":
                connection.execute(MESSAGE)
            else:
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                connection.exec_driver_sql(f"PRAGMA user_version = {version}")
    except NoneFree:
        return False
    except SQLAlchemyError as error:
        raise StorageFailed("the database could not be probed") from telling(error)
    return True
