"""Backups and restores; both are verified before they count.

A backup is one file with its SHA-256 beside it (`FILE.sha256`, as `sha256sum --check` reads it). On
SQLite the file is the database itself, copied in one step. A read transaction in WAL mode sees one
snapshot. It does not delay a writer, and no writer restarts it. (A copy in portions starts anew
after every commit by others: under steady writes it never ended.) On PostgreSQL the file is a dump
in the custom format, see `service.storage.dump`.

A backup or a restored database gets its name only after it was checked, and never replaces an
existing file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError

from service.books.processes import Elsewhere
from service.config import LIMITS, Limits, SqliteLimits
from service.domain.verification import Verification
from service.storage import dump
from service.storage.database import backend_named, open_database
from service.storage.migrate import (
    Schema,
    migrate,
    oldest_build_of,
    revision_of,
    schema_of,
)
from service.storage.proof import BackupRefused, prove, require_current
from service.storage.sqlite_files import address, has_log, make_private, read_from_disk
from service.storage.terms import dangling_rows

PORTION_BYTES = 1 << 20
BESIDE = ("", "-wal", "-shm", "-journal")
"""The suffixes of SQLite's files; an old log would be replayed into a new database."""


LEFT_OUT = (
    "the books in the backup: entries, balances, authorizations, payments, transfers, events, seals"
    " (freehold restore verifies them)"
)
UNVERIFIED = Verification(0, 0, 0, None, unchecked=(LEFT_OUT,))
"""The verification of a quick backup: nothing but a statement of what was left out."""


class Backup(NamedTuple):
    """A finished backup: its path, its SHA-256 in hexadecimal, and the verification of its books.

    `warnings` has a clause for each row of terms that names a missing row; the books do not need
    such rows. For a quick backup, `books` only names the checks that were left out.
    """

    path: Path
    sha256: str
    books: Verification
    warnings: tuple[str, ...]


def back_up(
    url: str,
    to: Path,
    *,
    quick: bool = False,
    postgres_bin: Path | None = None,
    limits: Limits = LIMITS,
) -> Backup:
    """Writes a backup of a database that may be in use, and checks it before it gets its name.

    With `quick`, the file and its schema are checked, but not the books. `postgres_bin` is the
    folder of pg_dump; without it PATH is searched. Raises BackupRefused if `to` exists, if there is
    no database with a current schema, if the copy is damaged or its books are wrong, or if
    PostgreSQL's tools fail.
    """
    file = sqlite_file(url)
    with _new_file(to) as draft, _new_file(_sum_file(to)) as sum_draft:
        if file is None:
            books, warnings = dump.write(url, draft, postgres_bin, quick=quick, limits=limits)
        else:
            _copy(file, draft, limits.sqlite)
            books, warnings = _checked(draft, quick=quick)
        sha256 = _sync_and_hash(draft)
        sum_draft.write_text(f"{sha256}  {to.name}\n", "utf-8")
        _sync_and_hash(sum_draft)
        # The sum is published first: a sum without a backup does no harm.
        _publish(sum_draft, _sum_file(to))
        try:
            _publish(draft, to)
        except BaseException:
            _sum_file(to).unlink(missing_ok=True)
            raise
    return Backup(to, sha256, books or UNVERIFIED, tuple(warnings))


def restore(
    source: Path,
    url: str,
    *,
    sha256: str | None = None,
    postgres_bin: Path | None = None,
    limits: Limits = LIMITS,
) -> Verification:
    """Restores a backup as a new database; returns the verification of its books.

    The backup must have the given SHA-256, or the SHA-256 in `FILE.sha256` beside it. A backup of
    an earlier build is migrated to the current schema. On PostgreSQL the database must exist and be
    empty. Raises BackupRefused if the backup is damaged, wrong or of a later schema, if the target
    exists, or if PostgreSQL's tools fail.
    """
    file = sqlite_file(url)
    if file is not None:
        return _restore_file(source, _wanted_sum(source, sha256), file, url, limits)
    require_sum(source, sha256)
    dump.read(source, url, postgres_bin, limits=limits)
    engine = open_database(url, limits=limits)
    try:
        if schema_of(engine) is Schema.OLDER:
            migrate(engine)
    finally:
        engine.dispose()
    try:
        return _proved(url, limits)
    except BackupRefused as error:
        text = f"do not serve from the restored database: {error.message}"
        raise BackupRefused(error.reason, text) from error


# -- files ---------------------------------------------------------------------------------


def sqlite_file(url: str) -> Path | None:
    """The file behind a SQLite URL; None for PostgreSQL. Raises BackupRefused for another URL."""
    parsed = make_url(url)
    if not backend_named(parsed).is_file:
        return None
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise BackupRefused("NO_FILE", "the database is not a file: say sqlite:///FILE")
    return Path(parsed.database)


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """A new empty file in the target's folder, only for its owner; removed at the block's end."""
    if os.path.lexists(target):
        raise BackupRefused("FILE_EXISTS", f"{target} exists; it was left as it is")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        make_private(draft)
    except OSError as error:
        raise BackupRefused("NOT_WRITABLE", f"cannot write into {target.parent}") from error
    try:
        yield draft
    except OSError as error:
        raise BackupRefused("NOT_WRITTEN", f"{target}: {error.strerror}") from error
    finally:
        for suffix in BESIDE:
            Path(f"{draft}{suffix}").unlink(missing_ok=True)


def _publish(draft: Path, target: Path) -> None:
    """Gives a synced file its name, durably. It never replaces another file."""
    try:
        os.link(draft, target)
    except FileExistsError as error:
        raise BackupRefused("FILE_EXISTS", f"{target} exists; it was left as it is") from error
    except OSError as error:
        # Some file systems (network, memory cards) have no links.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS) or target.exists():
            raise
        draft.rename(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_and_hash(path: Path) -> str:
    """Syncs a file to disk, and returns its SHA-256."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while portion := file.read(PORTION_BYTES):
            found.update(portion)
    return found.hexdigest()


def _sum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def require_sum(source: Path, sha256: str | None = None) -> str:
    """The SHA-256 of a backup; raises BackupRefused if it is not the wanted one."""
    wanted = _wanted_sum(source, sha256)
    if _sync_and_hash(source) != wanted:
        raise _damaged(source)
    return wanted


def _wanted_sum(source: Path, sha256: str | None) -> str:
    if not source.is_file():
        raise BackupRefused("NO_BACKUP", f"{source} is not a file")
    if sha256 is not None:
        return sha256.lower()
    try:
        return _sum_file(source).read_text("utf-8").split()[0].lower()
    except (OSError, ValueError, IndexError) as error:
        raise BackupRefused(
            "NO_SUM", f"{_sum_file(source)} is not there: give the backup's --sha256"
        ) from error


def _damaged(path: Path) -> BackupRefused:
    return BackupRefused("BACKUP_DAMAGED", f"{path} is damaged: its SHA-256 does not match")


def _proved(url: str, limits: Limits) -> Verification:
    """The verification of a restored database, read as the server reads it."""
    engine = open_database(url, limits=limits)
    try:
        return prove(engine, Elsewhere(partial(open_database, url, limits=limits)))
    finally:
        engine.dispose()


# -- SQLite --------------------------------------------------------------------------------


def _copy(source: Path, draft: Path, limits: SqliteLimits) -> None:
    """Copies a database and its log in one step into one file without a log."""
    if not source.is_file():
        raise BackupRefused("NO_DATABASE", f"{source} is not there")
    end = time.monotonic() + limits.busy_ms / 1_000

    def bounded(status: int, _remaining: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > end:
            raise BackupRefused("DATABASE_BUSY", f"{source} is locked by another process")

    try:
        if has_log(str(source)):
            read_from_disk(str(source))
        # mode=rw never creates the file, and can read a log that a crash left.
        with (
            closing(sqlite3.connect(address(source, "mode=rw"), uri=True)) as database,
            closing(sqlite3.connect(draft)) as copy,
        ):
            database.backup(copy, pages=-1, progress=bounded)
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupRefused("NOT_COPIED", f"{source} could not be copied: {error}") from error


def _checked(path: Path, *, quick: bool = False) -> tuple[Verification | None, list[str]]:
    """Verifies an unused SQLite file; returns the result and its dangling rows of terms.

    Writes nothing beside the file. With `quick` the books are not verified.
    """
    with _read_only(path) as engine:
        _refuse_damaged(engine, path)
        require_current(engine)
        elsewhere = Elsewhere(partial(_open_read_only, path), frozen=True)
        books = None if quick else prove(engine, elsewhere)
        with engine.connect() as connection:
            return books, [it.row for it in dangling_rows(connection)]


def _open_read_only(path: Path) -> Engine:
    return create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            address(path, "mode=ro&immutable=1"), uri=True, check_same_thread=False
        ),
        poolclass=NullPool,
    )


@contextmanager
def _read_only(path: Path) -> Iterator[Engine]:
    """A read-only engine on a SQLite file that nobody has open."""
    engine = _open_read_only(path)
    try:
        yield engine
    except DatabaseError as error:
        raise BackupRefused("BACKUP_DAMAGED", "the file is not a sound database") from error
    finally:
        engine.dispose()


def _refuse_damaged(engine: Engine, path: Path) -> None:
    """Raises BackupRefused for a damaged file.

    Rows of terms that break foreign keys are not damage, because servers tolerate them.
    """
    with engine.connect() as connection:
        # On a read-only file SQLite skips CHECKs; the verification covers those of the books.
        said = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        page_bytes = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    # SQLite reads a truncated last page as if zeros followed.
    whole = path.stat().st_size == pages * page_bytes
    if said != "ok" or not whole:
        raise BackupRefused("BACKUP_DAMAGED", "the content of the file is damaged")


def _bring_up_to_date(draft: Path, limits: Limits) -> None:
    """Migrates a sound copy of an earlier build's backup; leaves any other copy as it is."""
    with _read_only(draft) as engine:
        _refuse_damaged(engine, draft)
        older = schema_of(engine) is Schema.OLDER
    if older:
        engine = open_database(f"sqlite:///{draft}", limits=limits)
        try:
            migrate(engine)
        finally:
            engine.dispose()
        # Back to one file without a log.
        with closing(sqlite3.connect(draft)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")


def require_free(target: Path) -> None:
    """Raises BackupRefused if the file of a new database, or a file beside it, exists."""
    for suffix in BESIDE:
        beside = Path(f"{target}{suffix}")
        if os.path.lexists(beside):
            raise BackupRefused("FILE_EXISTS", f"{beside} exists; it was left as it is")


def require_sound(source: Path) -> None:
    """Raises BackupRefused if a SQLite file that nobody uses is damaged; writes nothing."""
    with _read_only(source) as engine:
        _refuse_damaged(engine, source)


def schema_in(source: Path) -> tuple[str | None, int | None]:
    """The revision and the oldest build that a SQLite file names; writes nothing."""
    with _read_only(source) as engine, engine.connect() as connection:
        return revision_of(connection), oldest_build_of(connection)


def _restore_file(
    source: Path, wanted: str, target: Path, url: str, limits: Limits
) -> Verification:
    require_free(target)
    with _new_file(target) as draft:
        with source.open("rb") as read, draft.open("wb") as written:
            while portion := read.read(PORTION_BYTES):
                written.write(portion)
        if _sync_and_hash(draft) != wanted:
            raise _damaged(source)
        _bring_up_to_date(draft, limits)
        _checked(draft)
        _sync_and_hash(draft)
        _publish(draft, target)
    try:
        return _proved(url, limits)
    except BaseException:
        # A failed restore must not be served; the backup still exists.
        for suffix in BESIDE:
            with suppress(OSError):
                Path(f"{target}{suffix}").unlink(missing_ok=True)
        raise
