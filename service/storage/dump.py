"""Backups of PostgreSQL with its own tools: pg_dump, and pg_restore into an empty database.

The dump and the proof see the same snapshot: a transaction exports it, pg_dump and the
verification take it over. What is verified is therefore what was dumped, not the dump; that the
dump can be read to its end is tried, and a restore ends in a verification of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, text

from service.books.processes import Elsewhere, seeing
from service.domain.verification import Verification
from service.storage.database import open_database, take_time, writing
from service.storage.postgres import postgres_bounds
from service.storage.postgres_tools import Tools, tools_for
from service.storage.proof import BackupRefused, prove, require_current
from service.storage.terms import dangling_rows

SECRETS = frozenset({"password", "sslpassword"})
# The host is chosen already: the one that the snapshot is on.
CHOSEN = frozenset({"hostaddr", "load_balance_hosts", "target_session_attrs"})
# What the tools say is looked at below.
ENGLISH = {"LC_ALL": "C"}
# An archive of a version that pg_restore does not know.
NEWER = "unsupported version"
# A failed row is quoted in what follows.
COPY_FAILED = re.compile(r'(COPY failed for table "[^"]*").*')
MAX_SAID = 300

RELATIONS = text(
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' "
    "AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') "
    "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
)

KEYS = text("SELECT conname FROM pg_constraint WHERE contype = 'f' AND convalidated")


def write(
    url: str, target: Path, postgres_bin: Path | None, *, quick: bool = False
) -> tuple[Verification | None, list[str]]:
    """Dumps a database into a file; what the books of the dumped snapshot hold, and a clause for
    each row that names one which is not there, where no key of the database forbids it. With
    `quick` the books are not looked at.

    Raises BackupRefused when the tools of the server's version are not found, or one fails, and
    when a row breaks a key of the database: the key could not be made again over that row.
    """
    engine = open_database(url)
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
                seen = seeing(engine, snapshot)
                require_current(seen)
                elsewhere = Elsewhere(partial(open_database, url))
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
    """The rows that name one which is not there; raises BackupRefused where a key forbids it."""
    keys = set(connection.scalars(KEYS))
    found = dangling_rows(connection)
    for key, row in found:
        if key in keys:
            raise BackupRefused(
                "TERMS_DANGLE",
                f"{row}: no backup with it could be restored; put the row right or delete it, and "
                "back up again",
            )
    return [it.row for it in found]


def read(source: Path, url: str, postgres_bin: Path | None) -> None:
    """Restores a dump into an empty database, in one transaction.

    Raises BackupRefused when the database is not empty, or the tools of the server's version are
    not found or fail. Owners and grants are not restored: everything belongs to the user of the
    URL.
    """
    engine = open_database(url)
    try:
        with engine.connect() as connection:
            tools = _tools(connection, postgres_bin)
            if connection.scalar(RELATIONS) != 0:
                raise BackupRefused("DATABASE_NOT_EMPTY", "the database is not empty")
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
            # A dump has no statistics, and the first plans would be made without them.
            take_time(connection)
            connection.execute(text("ANALYZE"))
    finally:
        engine.dispose()


@contextmanager
def _snapshot(engine: Engine) -> Iterator[tuple[Connection, str]]:
    """A transaction that keeps a snapshot for others to see, and the snapshot's name."""
    repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
    with repeatable.connect() as connection, connection.begin():
        # It has nothing to do until the dump is done.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield connection, str(connection.scalar(text("SELECT pg_export_snapshot()")))


def _tools(connection: Connection, folder: Path | None) -> Tools:
    session: Any = connection.connection.driver_connection
    return tools_for(session.info.server_version, folder)


def _address(connection: Connection) -> tuple[str, dict[str, str]]:
    """Where a connection leads, for the command line, and an environment with its password.

    Command lines are for all to read; the environment of a process is its owner's. Only what the
    URL says is handed over, and how long to wait: the driver's library may be newer than the
    tool's, and has options that the tool does not know.
    """
    from psycopg.conninfo import make_conninfo

    session: Any = connection.connection.driver_connection
    info = session.info
    parameters: dict[str, Any] = {**postgres_bounds(), **_said_in(connection.engine.url)}
    parameters.update(host=info.host, port=str(info.port), dbname=info.dbname, user=info.user)
    environment = {**os.environ, **ENGLISH}
    if info.password:
        environment["PGPASSWORD"] = info.password
    return make_conninfo(**parameters), environment


def _said_in(url: URL) -> dict[str, str]:
    """The options of a URL that are PostgreSQL's and no secrets."""
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()} - SECRETS - CHOSEN
    return {name: str(value) for name, value in url.query.items() if name in known}


def _run(name: str, words: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        check=False,
    )
    _refuse_failure(name, done.returncode, done.stderr)


def _refuse_failure(name: str, code: int, said: str) -> None:
    if code != 0:
        lines = [line for line in said.splitlines() if "error:" in line] or said.splitlines()[:1]
        first = COPY_FAILED.sub(r"\1", lines[0] if lines else f"{name} ended with {code}")
        if NEWER in first:
            text = "the backup was made by a newer PostgreSQL: restore it into one of that version"
            raise BackupRefused("BACKUP_NEWER", text)
        raise BackupRefused("TOOL_FAILED", first[:MAX_SAID])
