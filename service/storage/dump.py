"""Backups of PostgreSQL with its own tools: pg_dump, and pg_restore into an empty database.

The dump and the verification see the same snapshot: a transaction exports it, and both import it.
The verification therefore proves the dumped rows, not the dump file. So the dump file is also read
to its end once, and a restore ends with a verification of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, text

from service.books.processes import Elsewhere
from service.config import LIMITS, Limits
from service.domain.verification import Verification
from service.storage.database import backend_of, limits_of, open_database, take_time, writing
from service.storage.migrate import COMPATIBILITY_TABLE, REVISION_TABLE
from service.storage.postgres import postgres_bounds
from service.storage.postgres_tools import Tools, tools_for
from service.storage.proof import BackupRefused, prove, require_current
from service.storage.terms import dangling_rows

SECRETS = frozenset({"password", "sslpassword"})
# The host of the snapshot is chosen already.
CHOSEN = frozenset({"hostaddr", "load_balance_hosts", "target_session_attrs"})
# The tools' messages are parsed below.
ENGLISH = {"LC_ALL": "C"}
# pg_restore's message for an archive of a newer version.
NEWER = "unsupported version"
# The rest of the message quotes the failed row.
COPY_FAILED = re.compile(r'(COPY failed for table "[^"]*").*')
MAX_SAID = 300
# In the list of an archive's content.
MADE_ON = re.compile(r"^;\s+Dumped from database version: (\S+)", re.MULTILINE)
COPIED = re.compile(r"^COPY [^\n]* FROM stdin;\n(.*?)^\\\.$", re.MULTILINE | re.DOTALL)

RELATIONS = text(
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' "
    "AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') "
    "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
)

KEYS = text("SELECT conname FROM pg_constraint WHERE contype = 'f' AND convalidated")


def write(
    url: str,
    target: Path,
    postgres_bin: Path | None,
    *,
    quick: bool = False,
    limits: Limits = LIMITS,
) -> tuple[Verification | None, list[str]]:
    """Dumps a database into a file, and verifies the books of the dumped snapshot.

    Returns the verification, and a clause for each row that names a missing row, for columns
    without a foreign key. With `quick` the books are not verified.

    Raises BackupRefused if the tools of the server's version are not found or fail. Also raises it
    if a row breaks a key of the database, because a restore could not make that key again.
    """
    engine = open_database(url, limits=limits)
    try:
        with _snapshot(engine) as (exporter, snapshot):
            tools = _tools(exporter, postgres_bin)
            address, environment = _address(exporter)
            warnings = _dangling(exporter)
            dumping = subprocess.Popen(
                [
                    tools.pg_dump,
                    "--format=custom",
                    "--no-password",
                    f"--snapshot={snapshot}",
                    f"--file={target}",
                    f"--dbname={address}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            try:
                seen = backend_of(engine).see_snapshot(engine, snapshot)
                require_current(seen)
                elsewhere = Elsewhere(partial(open_database, url, limits=limits))
                books = None if quick else prove(seen, elsewhere)
            except BaseException:
                dumping.kill()
                raise
            finally:
                _, said = dumping.communicate()
            _refuse_failure("pg_dump", dumping.returncode, said)
    finally:
        engine.dispose()
    _run(
        "pg_restore",
        [tools.pg_restore, f"--file={os.devnull}", str(target)],
        {**os.environ, **ENGLISH},
    )
    return books, warnings


def _dangling(connection: Connection) -> list[str]:
    """The rows that name a missing row; raises BackupRefused if a key forbids one of them."""
    keys = set(connection.scalars(KEYS))
    found = dangling_rows(connection)
    for key, row in found:
        if key in keys:
            raise BackupRefused(
                "TERMS_DANGLE",
                f"{row}: a backup with this row could not be restored; correct or delete it, and "
                "back up again",
            )
    return [it.row for it in found]


class Archive(NamedTuple):
    """A dump: the version of the server that it was made on, the schema that it names, and the
    program that would restore it."""

    made_on: str
    revision: str | None
    oldest_build: int | None
    tools: str


def look(source: Path, url: str, postgres_bin: Path | None, *, limits: Limits = LIMITS) -> Archive:
    """Reads what a dump says of itself, and checks whether its database could take it.

    Raises BackupRefused as `read` does; changes nothing.
    """
    engine = open_database(url, limits=limits)
    try:
        with engine.connect() as connection:
            tools = _ready(connection, postgres_bin)
    finally:
        engine.dispose()

    def said(*words: str) -> str:
        environment = {**os.environ, **ENGLISH}
        return _run("pg_restore", [tools.pg_restore, *words, str(source)], environment)

    made_on = MADE_ON.search(said("--list"))
    revisions = _rows(said("--data-only", f"--table={REVISION_TABLE}", "--file=-"))
    oldest = _rows(said("--data-only", f"--table={COMPATIBILITY_TABLE}", "--file=-"))
    return Archive(
        "of an unknown version" if made_on is None else made_on[1],
        revisions[0] if revisions else None,
        max(map(int, oldest)) if oldest else None,
        tools.pg_restore,
    )


def _rows(script: str) -> list[str]:
    """The lines of the only COPY in a script, for a table with one column."""
    copied = COPIED.search(script)
    return copied[1].splitlines() if copied else []


def _ready(connection: Connection, postgres_bin: Path | None) -> Tools:
    """The tools for an empty database; raises BackupRefused."""
    tools = _tools(connection, postgres_bin)
    if connection.scalar(RELATIONS) != 0:
        raise BackupRefused("DATABASE_NOT_EMPTY", "the database is not empty")
    return tools


def read(source: Path, url: str, postgres_bin: Path | None, *, limits: Limits = LIMITS) -> None:
    """Restores a dump into an empty database, in one transaction.

    Owners and grants are not restored: everything belongs to the user of the URL. Raises
    BackupRefused if the database is not empty, or the tools of the server's version are not found
    or fail.
    """
    engine = open_database(url, limits=limits)
    try:
        with engine.connect() as connection:
            tools = _ready(connection, postgres_bin)
            address, environment = _address(connection)
        _run(
            "pg_restore",
            [
                tools.pg_restore,
                "--exit-on-error",
                "--single-transaction",
                "--no-owner",
                "--no-privileges",
                "--no-password",
                f"--dbname={address}",
                str(source),
            ],
            environment,
        )
        with writing(engine) as connection:
            # A dump has no statistics, and the first query plans need them.
            take_time(connection)
            connection.execute(text("ANALYZE"))
    finally:
        engine.dispose()


@contextmanager
def _snapshot(engine: Engine) -> Iterator[tuple[Connection, str | None]]:
    """A transaction that exports its snapshot, and the snapshot's name."""
    repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
    with repeatable.connect() as connection, connection.begin():
        yield connection, backend_of(engine).export_snapshot(connection)


def _tools(connection: Connection, folder: Path | None) -> Tools:
    session: Any = connection.connection.driver_connection
    return tools_for(session.info.server_version, folder)


def _address(connection: Connection) -> tuple[str, dict[str, str]]:
    """A connection's address for the command line, and an environment with its password.

    All users can read a command line, but only its owner can read a process's environment. Only the
    URL's own options and the timeouts are passed on: the driver's library may be newer than the
    tools, and have options that the tools do not know.
    """
    from psycopg.conninfo import make_conninfo

    session: Any = connection.connection.driver_connection
    info = session.info
    bounds = postgres_bounds(limits_of(connection).postgres)
    parameters: dict[str, Any] = {**bounds, **_said_in(connection.engine.url)}
    parameters.update(host=info.host, port=str(info.port), dbname=info.dbname, user=info.user)
    environment = {**os.environ, **ENGLISH}
    if info.password:
        environment["PGPASSWORD"] = info.password
    return make_conninfo(**parameters), environment


def _said_in(url: URL) -> dict[str, str]:
    """The PostgreSQL options in a URL, without secrets."""
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()} - SECRETS - CHOSEN
    return {name: str(value) for name, value in url.query.items() if name in known}


def _run(name: str, words: list[str], environment: dict[str, str]) -> str:
    """The output of a tool; raises BackupRefused if it fails."""
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    _refuse_failure(name, done.returncode, done.stderr)
    return done.stdout


def _refuse_failure(name: str, code: int, said: str) -> None:
    if code != 0:
        lines = [line for line in said.splitlines() if "error:" in line] or said.splitlines()[:1]
        first = COPY_FAILED.sub(r"\1", lines[0] if lines else f"{name} ended with {code}")
        if NEWER in first:
            text = "the backup was made by a newer PostgreSQL: restore it into that version"
            raise BackupRefused("BACKUP_NEWER", text)
        raise BackupRefused("TOOL_FAILED", first[:MAX_SAID])
