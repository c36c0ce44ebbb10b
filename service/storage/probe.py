"""Whether the database works, tried for as little as it takes to know."""

from __future__ import annotations

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoneFree

from service.engine.ports import StorageFailed
from service.storage.database import telling, writing

READ = text("SELECT version_num FROM alembic_version")
# Asks for what a batch needs, and changes no row.
UPDATE = text("UPDATE lines SET version = version WHERE 1 = 0")
# A record in the log that says nothing, so that COMMIT waits for the disk and for the standbys.
MESSAGE = text("SELECT pg_logical_emit_message(true, 'freehold', 'probe')")


def probe(engine: Engine, writes: bool) -> bool:
    """Reads something; with `writes` it commits something as well, as durably as a batch.

    On SQLite that is the first page, whose `user_version` gets the value that it has; on PostgreSQL
    a record of the log. Returns False when no connection was free. Raises StorageFailed or
    OutcomeUnknown.
    """
    try:
        if not writes:
            # Who only reads does not look at everything; nobody else may have come for long.
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
        raise StorageFailed("the database could not be tried") from telling(error)
    return True
