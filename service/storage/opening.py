"""Opens a database for a command; any fault is reported in one line, with its remedy.

The checks change nothing: they make no file, and do not change a database of another program.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from sqlalchemy import URL, Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from service.config import LIMITS, Limits
from service.domain.errors import FreeholdError
from service.storage.database import (
    PostgresError,
    backend_named,
    backend_of,
    open_database,
    telling,
)
from service.storage.migrate import (
    COMPATIBILITY_TABLE,
    OLDEST_BUILD,
    REVISION_TABLE,
    Schema,
    build_number,
    compare_schema,
    oldest_build_of,
    revision_of,
)
from service.storage.schema import metadata
from service.storage.sqlite_files import address, has_log, read_from_disk

MAX_SAID = 300


class DatabaseUnusable(FreeholdError):
    """The database cannot be used; the text says why, and what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)


class _Found(NamedTuple):
    """A database's schema: its revision, the names of its tables, and its oldest build.

    `revision` and `oldest_build` are None if the schema does not name them.
    """

    revision: str | None
    tables: frozenset[str]
    oldest_build: int | None = None

    @property
    def schema(self) -> Schema:
        """Whether the schema is missing, older, current, newer or too new for this build."""
        return compare_schema(self.revision, self.oldest_build)


def open_current(url: str, *, limits: Limits = LIMITS) -> Engine:
    """An engine on a Freehold database whose schema this build may run on.

    Raises DatabaseUnusable; raises ValueError and ImportError as `open_database` does.
    """
    engine = open_database(url, limits=limits)
    with _disposed_on_error(engine):
        found = _look(engine)
        _refuse_too_new(engine.url, found)
        if found.schema is Schema.MISSING:
            is_what = "is not a Freehold database" if found.tables else "is empty"
            text = f"{_name(engine.url)} {is_what}: check --database, or run freehold migrate"
            raise DatabaseUnusable("NO_SCHEMA", text)
        if found.schema is Schema.OLDER:
            text = f"{_name(engine.url)} has the older schema {found.revision}"
            raise DatabaseUnusable("SCHEMA_OLDER", f"{text}: run freehold migrate")
    return engine


def open_to_migrate(url: str, *, limits: Limits = LIMITS) -> Engine:
    """An engine on an empty database, or on a Freehold database that this build may migrate.

    The engine's first connection makes a missing SQLite file. Raises as `open_current` does.
    """
    engine = open_database(url, create=True, limits=limits)
    with _disposed_on_error(engine):
        found = _look(engine, to_create=True)
        _refuse_too_new(engine.url, found)
        # A database on a server may also have tables of its extensions.
        own_file = backend_of(engine).is_file
        in_the_way = found.tables if own_file else found.tables & metadata.tables.keys()
        if found.revision is None and in_the_way:
            text = f"{_name(engine.url)} has tables of another program ({min(in_the_way)})"
            raise DatabaseUnusable("NOT_FREEHOLD", f"{text}: give an empty database")
    return engine


def reach(url: str, *, limits: Limits = LIMITS) -> None:
    """Raises DatabaseUnusable if a PostgreSQL database cannot be reached."""
    engine = open_database(url, limits=limits)
    try:
        if not backend_of(engine).is_file:
            _look(engine)
    finally:
        engine.dispose()


@contextmanager
def _disposed_on_error(engine: Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def _name(url: URL) -> str:
    """The name of a database in messages, without user and password."""
    if backend_named(url).is_file:
        return str(url.database)
    return f"the database {url.database}"


def _refuse_too_new(url: URL, found: _Found) -> None:
    if found.schema is not Schema.TOO_NEW:
        return
    text = f"{_name(url)} has the newer schema {found.revision}"
    if found.oldest_build is not None:
        text += f", for builds from {found.oldest_build} on, and this is build {build_number()}"
    raise DatabaseUnusable("SCHEMA_NEWER", f"{text}: run the newer build that made it")


def _look(engine: Engine, *, to_create: bool = False) -> _Found:
    if backend_of(engine).is_file:
        return _look_into_file(str(engine.url.database), to_create=to_create)
    try:
        with engine.connect() as connection:
            tables = frozenset(inspect(connection).get_table_names()) - {REVISION_TABLE}
            return _Found(revision_of(connection), tables, oldest_build_of(connection))
    except SQLAlchemyError as error:
        raise DatabaseUnusable("UNREACHABLE", _why_unreachable(error)) from error


def _why_unreachable(error: SQLAlchemyError) -> str:
    """The driver's message in one line; it names host, user and database, never a password."""
    said = getattr(error, "orig", None) or error
    told = telling(error)
    if isinstance(told, PostgresError):
        return f"PostgreSQL refused the read, {told}: check the user in --database"
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    text = "; ".join(lines).removeprefix("connection failed: ")[:MAX_SAID]
    what = "check host, port, user, password and database in --database, and that it runs"
    return f"no connection to PostgreSQL: {text}: {what}"


def _look_into_file(path: str, *, to_create: bool) -> _Found:
    """The schema in a SQLite file, read before the file is opened for use and put in WAL mode."""
    if not os.path.exists(path):
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            text = (
                f"{path} does not exist, nor does its folder: check --database, or make the folder"
            )
            raise DatabaseUnusable("NO_DATABASE", text)
        if to_create:
            return _Found(None, frozenset())
        text = f"{path} is not there: check --database, or make it by freehold migrate"
        raise DatabaseUnusable("NO_DATABASE", text)
    if not os.path.isfile(path):
        raise DatabaseUnusable("NOT_A_FILE", f"{path} is not a file: say sqlite:///FILE")
    if not os.access(path, os.R_OK | os.W_OK):
        text = f"{path} cannot be read and written by this user: change its owner or its mode"
        raise DatabaseUnusable("NO_ACCESS", text)
    try:
        if has_log(path):
            read_from_disk(path)
        with closing(sqlite3.connect(address(path, "mode=rw"), uri=True)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = frozenset(name for (name,) in names)
            versions, oldest = [], None
            if REVISION_TABLE in tables:
                versions = connection.execute(
                    f"SELECT version_num FROM {REVISION_TABLE}"
                ).fetchall()
            if versions and COMPATIBILITY_TABLE in tables:
                (oldest,) = connection.execute(OLDEST_BUILD).fetchone()
    except sqlite3.Error as error:
        raise DatabaseUnusable("NOT_A_DATABASE", _why_unreadable(path, error)) from error
    revision = str(versions[0][0]) if versions else None
    # SQLite may store a text in a number column.
    oldest = oldest if isinstance(oldest, int) else None
    return _Found(revision, tables - {REVISION_TABLE}, oldest)


def _why_unreadable(path: str, error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorname", ""):
        case "SQLITE_NOTADB":
            return f"{path} is not a database: check --database"
        case "SQLITE_CORRUPT":
            return f"{path} is damaged: restore a backup"
        case "SQLITE_BUSY":
            return f"{path} is locked by another program: wait until that program ends"
        case _:
            return f"{path} cannot be opened ({error}): check the file, its folder and their modes"
