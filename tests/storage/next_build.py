"""The schema of a build after this one: this build's migrations, and one that a test writes."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from service.storage.database import writing
from service.storage.migrate import MIGRATIONS, build_number, head_revision

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
"""A migration after which this build may not run any more."""

MIGRATION = '''"""The next build."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{down_revision}"


def upgrade() -> None:
{body}
'''


def migrate_as_next_build(engine: Engine, folder: Path, body: str) -> None:
    """Migrates a database as the next build would, whose newest migration has this body.

    `folder` is an empty one that the test owns.
    """
    scripts = folder / "migrations"
    shutil.copytree(MIGRATIONS, scripts)
    text = MIGRATION.format(
        revision=f"{NUMBER:04d}",
        down_revision=head_revision(),
        body=textwrap.indent(textwrap.dedent(body), "    "),
    )
    (scripts / "versions" / f"{NUMBER:04d}_next.py").write_text(text, "utf-8")
    config = Config()
    config.set_main_option("script_location", str(scripts))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
