"""Migrations: they bring a database to the current schema, which names the builds that may use it.

The number of a build is the number of its newest migration. A schema names the oldest build that
may still run on it (the largest `oldest_build` in the table `compatibility`). A migration that only
adds leaves that number alone. A migration may remove something, or let builds write rows that
earlier builds cannot read. Such a migration adds a row with a larger number.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from service.domain.errors import FreeholdError
from service.storage.database import backend_of, writing

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
# The number of the lock that a migration holds; any number not used elsewhere.
MIGRATION_LOCK = 4_602_678_819
# PostgreSQL's codes for a lock that was not got in time, and for a deadlock with other sessions.
LOCK_REFUSED = frozenset({"55P03", "40P01"})
REVISION_TABLE = "alembic_version"
COMPATIBILITY_TABLE = "compatibility"
OLDEST_BUILD = f"SELECT max(oldest_build) FROM {COMPATIBILITY_TABLE}"


class Schema(Enum):
    """Whether a database's schema is missing, older, current, newer or too new for this build."""

    MISSING = "missing"
    OLDER = "older"
    """This build can migrate the schema, and cannot run on it before that."""
    CURRENT = "current"
    NEWER = "newer"
    """A later build made the schema, and this build may run on it."""
    TOO_NEW = "too new"
    """A later or unknown build made the schema, and this build may not run on it."""


USABLE = frozenset({Schema.CURRENT, Schema.NEWER})
"""Schemas that this build may run on."""


def _config(migrations: Path = MIGRATIONS) -> Config:
    # Imported here: a server and most commands only ask for the revision, and Alembic takes a
    # fifth of the time that they need to start.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations))
    return config


class TablesInUse(FreeholdError):
    """A migration did not get the lock on a table; nothing was changed."""

    def __init__(self) -> None:
        super().__init__(
            "TABLES_IN_USE",
            "another program, such as a backup or a verification, has used the tables for too "
            "long, and the servers must not wait for it: nothing was changed; migrate again when "
            "that program has ended",
        )


@dataclass(frozen=True, slots=True)
class LockWaits:
    """The waits of a migration for tables in use, on PostgreSQL.

    Other sessions queue behind a waiting migration. It therefore gives up after `wait_ms`, lets the
    others run for `pause_s`, and tries again. After `tries` attempts it is refused.
    """

    wait_ms: int = 2_000
    pause_s: float = 3.0
    tries: int = 12


LOCK_WAITS = LockWaits()


def migrate(
    engine: Engine,
    revision: str = "head",
    *,
    migrations: Path = MIGRATIONS,
    waits: LockWaits = LOCK_WAITS,
) -> bool:
    """Applies all missing migrations up to a revision, in one transaction.

    `migrations` is the folder of a build's migrations. Returns False, and changes nothing, for a
    schema of a later build. Raises TablesInUse if tables stay in use.
    """
    for attempt in range(1, waits.tries + 1):
        try:
            return _migrate(engine, revision, migrations, waits.wait_ms)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in LOCK_REFUSED:
                raise
        if attempt < waits.tries:
            time.sleep(waits.pause_s)
    raise TablesInUse


def _migrate(engine: Engine, revision: str, migrations: Path, wait_ms: int) -> bool:
    from alembic import command

    config = _config(migrations)
    _build_ahead(engine, revision, migrations)
    with writing(engine) as connection:
        backend_of(engine).lock_for_migration(connection, MIGRATION_LOCK, wait_ms)
        found = revision_of(connection)
        if found is not None and found not in _revisions(migrations):
            return False
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        return True


def _build_ahead(engine: Engine, revision: str, migrations: Path) -> None:
    """Builds the indexes that the missing migrations name in AHEAD, while the servers go on."""
    from alembic.script import ScriptDirectory

    if backend_of(engine).is_file:
        return
    with engine.connect() as connection:
        found = revision_of(connection)
    if found is None or found not in _revisions(migrations):
        return
    scripts = ScriptDirectory.from_config(_config(migrations))
    for script in reversed(list(scripts.iterate_revisions(revision, found))):
        ahead: dict[str, str] = getattr(script.module, "AHEAD", {})
        if ahead and found >= script.module.AHEAD_SINCE:
            for name, columns in ahead.items():
                backend_of(engine).build_index(engine, MIGRATION_LOCK + 1, name, columns)


@cache
def _revisions(migrations: Path) -> tuple[str, ...]:
    """The revisions of a folder of migrations, the first one first.

    A file's name begins with its revision, a number of four digits.
    """
    files = (migrations / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")
    return tuple(sorted(it.name.partition("_")[0] for it in files))


def revision_of(connection: Connection) -> str | None:
    """The revision of a database's schema, or None if the schema names no revision."""
    if not inspect(connection).has_table(REVISION_TABLE):
        return None
    found = connection.scalar(text(f"SELECT version_num FROM {REVISION_TABLE}"))
    return None if found is None else str(found)


def head_revision() -> str:
    """The revision of this build's schema."""
    return _revisions(MIGRATIONS)[-1]


def is_known(revision: str) -> bool:
    """True if this build has the migrations up to a revision."""
    return revision in _revisions(MIGRATIONS)


def build_number() -> int:
    """The number of this build: that of its newest migration."""
    return int(head_revision())


def compare_schema(revision: str | None, oldest_build: int | None) -> Schema:
    """Compares a schema, by its revision and its oldest build, with the needs of this build.

    `oldest_build` is None if the schema names no oldest build; schemas before 0006 name none.
    """
    if revision is None:
        return Schema.MISSING
    if revision == head_revision():
        return Schema.CURRENT
    if is_known(revision):
        return Schema.OLDER
    # Revisions are numbers of the same length, so they compare correctly as texts.
    later = revision > head_revision()
    may_run = oldest_build is not None and oldest_build <= build_number()
    return Schema.NEWER if later and may_run else Schema.TOO_NEW


def schema_of(engine: Engine) -> Schema:
    """Whether a database's schema is missing, older, current, newer or too new for this build."""
    with engine.connect() as connection:
        return compare_schema(revision_of(connection), oldest_build_of(connection))


def oldest_build_of(connection: Connection) -> int | None:
    """The oldest build that may run on a database's schema, or None if the schema names no
    build."""
    if not inspect(connection).has_table(COMPATIBILITY_TABLE):
        return None
    oldest = connection.scalar(text(OLDEST_BUILD))
    # SQLite may store a text in a number column.
    return oldest if isinstance(oldest, int) else None


def is_current(engine: Engine) -> bool:
    """True if the database has exactly the migrations of this build."""
    return schema_of(engine) is Schema.CURRENT
