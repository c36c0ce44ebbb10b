"""The schema of a later build: this build's migrations, and one written by a test."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import CheckConstraint, Engine

from service.storage import schema as t
from service.storage.migrate import (
    LOCK_WAITS,
    MIGRATIONS,
    LockWaits,
    build_number,
    head_revision,
    migrate,
)
from tests.conftest import Databases, PostgresDatabases

NUMBER = build_number() + 1
"""The number of the next build."""

ADDS = """
op.add_column("entries", sa.Column("later", sa.Text(), nullable=False, server_default="none"))
op.add_column("authorizations", sa.Column("later", sa.BigInteger(), nullable=True))
op.create_index("ix_entries_later", "entries", ["authorization_id"])
op.create_table("later", sa.Column("later_id", sa.BigInteger(), primary_key=True))
"""
"""A migration that only adds: columns, an index, a table."""

CLOSES = f'op.execute("INSERT INTO compatibility (oldest_build) VALUES ({NUMBER})")'
"""A migration after which this build may no longer run."""


@contextmanager
def changeable(databases: Databases) -> Iterator[str]:
    """The URL of a fresh database for this test only, whose schema may be changed."""
    if isinstance(databases, PostgresDatabases):
        name = databases.cluster.fresh()
        yield databases.cluster.url(name)
        databases.cluster.drop(name)
        return
    url = databases.new()
    yield url
    databases.drop(url)


def widens(table: str, check: str, alternative: str) -> str:
    """A migration that lets a CHECK of this build allow one more value."""
    name = f"ck_{table}_{check}"
    (before,) = [
        str(it.sqltext)
        for it in t.metadata.tables[table].constraints
        if isinstance(it, CheckConstraint) and it.name == name
    ]
    return f"widen_check({table!r}, {name!r}, {before!r}, {f'{before} OR {alternative}'!r})\n"


WIDENS = "".join(
    widens(*it)
    for it in (
        ("authorizations", "state_known", "state = 'PAUSED'"),
        ("authorizations", "only_open_states_hold", "state = 'PAUSED'"),
        ("authorizations", "offer_known", "offer = 'HALF'"),
        ("entries", "debit_known", "debit = 'reserve'"),
        ("entries", "credit_known", "credit = 'reserve'"),
        ("transfers", "kind_known", "kind = 'LOAN'"),
    )
)
"""A migration that adds a state that may hold, an offer, an account and a kind of transfer."""

MIGRATION = '''"""The next build."""

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import widen_check

revision = "{revision}"
down_revision = "{down_revision}"
AHEAD = {ahead}
AHEAD_SINCE = "{down_revision}"


def upgrade() -> None:
{body}
'''


def migration_of_next_build(
    versions: Path, body: str, ahead: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Adds the next build's migration, with this body, to a folder of migrations.

    `ahead` has the indexes that PostgreSQL builds before it.
    """
    text = MIGRATION.format(
        revision=f"{NUMBER:04d}",
        down_revision=head_revision(),
        body=textwrap.indent(textwrap.dedent(body), "    "),
        ahead=dict(ahead),
    )
    (versions / f"{NUMBER:04d}_next.py").write_text(text, "utf-8")


def migrate_as_next_build(
    engine: Engine,
    folder: Path,
    body: str,
    waits: LockWaits = LOCK_WAITS,
    ahead: Mapping[str, str] = MappingProxyType({}),
) -> bool:
    """Migrates a database as the next build would, with this body of its newest migration.

    `folder` is an empty folder that the test owns. Returns as `migrate`.
    """
    scripts = folder / "migrations"
    shutil.copytree(MIGRATIONS, scripts)
    migration_of_next_build(scripts / "versions", body, ahead)
    return migrate(engine, migrations=scripts, waits=waits)
