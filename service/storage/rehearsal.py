"""A rehearsal of a restore: every check that a restore makes, without a change to the target.

The books are verified only if asked, because that needs a temporary copy: on SQLite a file in the
folder for temporary files, on PostgreSQL a database on the target's server. The copy is removed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from service.config import LIMITS, Limits
from service.domain.verification import Verification
from service.storage import dump
from service.storage.backup import (
    require_free,
    require_sound,
    require_sum,
    restore,
    schema_in,
    sqlite_file,
)
from service.storage.database import open_database
from service.storage.migrate import USABLE, Schema, compare_schema
from service.storage.proof import BackupRefused

ROOM = 2
"""A restore needs this many times the size of the backup: the database, and its log."""


class Rehearsal(NamedTuple):
    """The findings of a rehearsal.

    `made_on` is the database that the backup was made on. `revision` is its schema, and `migrates`
    says that the restore would bring it up to date. `tools` are PostgreSQL's programs that the
    restore would use. `room_bytes` is the free room at the target, and None on PostgreSQL, whose
    disk is out of sight. `books` is None if they were not verified.
    """

    sha256: str
    size_bytes: int
    made_on: str
    revision: str
    migrates: bool
    tools: str | None
    room_bytes: int | None
    books: Verification | None


def rehearse(
    source: Path,
    url: str,
    *,
    sha256: str | None = None,
    postgres_bin: Path | None = None,
    verify: bool = False,
    limits: Limits = LIMITS,
) -> Rehearsal:
    """Checks whether `restore` with these arguments would succeed, and changes nothing.

    With `verify`, it also restores into a temporary place and verifies the books there. Raises
    BackupRefused as `restore` does, and if there is no room.
    """
    target = sqlite_file(url)
    found = require_sum(source, sha256)
    size = source.stat().st_size
    if target is not None:
        require_free(target)
        room: int | None = _require_room(target.parent, size)
        require_sound(source)
        made_on, tools, schema = "SQLite", None, schema_in(source)
    else:
        archive = dump.look(source, url, postgres_bin, limits=limits)
        made_on, tools, room = f"PostgreSQL {archive.made_on}", archive.tools, None
        schema = (archive.revision, archive.oldest_build)
    migrates = _require_known(*schema)
    books = None
    if verify:
        with _temporary(url, size, limits) as place:
            books = restore(source, place, sha256=found, postgres_bin=postgres_bin, limits=limits)
    return Rehearsal(found, size, made_on, str(schema[0]), migrates, tools, room, books)


def _require_known(revision: str | None, oldest_build: int | None) -> bool:
    """Whether the schema must be migrated; raises BackupRefused if this build cannot use it."""
    schema = compare_schema(revision, oldest_build)
    if schema is not Schema.OLDER and schema not in USABLE:
        what = "no schema of Freehold" if revision is None else f"the newer schema {revision}"
        raise BackupRefused(
            "SCHEMA_NOT_CURRENT", f"the backup has {what}: use the build that made it"
        )
    return schema is Schema.OLDER


def _require_room(folder: Path, size: int) -> int:
    """The free bytes of a folder; raises BackupRefused if a restore would not fit."""
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise BackupRefused("NOT_WRITABLE", f"cannot write into {folder}: check it and its mode")
    free = shutil.disk_usage(folder).free
    if free < ROOM * size:
        raise BackupRefused(
            "NO_ROOM", f"{folder} has {free:,} bytes free, and a restore needs {ROOM * size:,}"
        )
    return free


@contextmanager
def _temporary(url: str, size: int, limits: Limits) -> Iterator[str]:
    """The URL of an empty temporary place of the target's kind; removed at the block's end."""
    if sqlite_file(url) is not None:
        with tempfile.TemporaryDirectory(prefix="freehold-rehearsal-") as folder:
            _require_room(Path(folder), size)
            yield f"sqlite:///{folder}/freehold.db"
        return
    name = f"freehold_rehearsal_{secrets.token_hex(4)}"
    _administer(url, f"CREATE DATABASE {name}", limits)
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        _administer(url, f"DROP DATABASE {name} WITH (FORCE)", limits)


def _administer(url: str, statement: str, limits: Limits) -> None:
    engine = open_database(url, limits=limits)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))
    except SQLAlchemyError as error:
        raise BackupRefused(
            "NO_TEMPORARY_DATABASE",
            f"the server refused {' '.join(statement.split()[:2])} (the user needs CREATEDB):"
            " rehearse without the books, or with such a user",
        ) from error
    finally:
        engine.dispose()
