"""Brings a database to the current schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from service.storage.database import take_time, writing

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
# Names the lock of PostgreSQL that a migration holds; any number that nobody else uses.
MIGRATION_LOCK = 4_602_678_819


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def migrate(engine: Engine, revision: str = "head") -> None:
    """Applies every migration up to a revision that the database does not have yet.

    All of them in one transaction.
    """
    config = _config()
    with writing(engine) as connection:
        _be_alone(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _be_alone(connection: Connection) -> None:
    """Waits for another migration to end; SQLite's transaction is alone from its begin."""
    if connection.dialect.name == "postgresql":
        # Building an index or moving rows to their shards may take longer than any call may.
        take_time(connection)
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})


def revision_of(connection: Connection) -> str | None:
    """The revision of a database's schema; None where it has none."""
    return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """The revision of this build's schema."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def is_known(revision: str) -> bool:
    """Whether this build has the migrations up to a revision."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(script.revision == revision for script in scripts)


def is_current(engine: Engine) -> bool:
    """Whether the database has every migration."""
    with engine.connect() as connection:
        return revision_of(connection) == head_revision()


def is_older(engine: Engine) -> bool:
    """Whether the database has a schema that this build can bring up to date."""
    with engine.connect() as connection:
        revision = revision_of(connection)
    return revision is not None and revision != head_revision() and is_known(revision)
