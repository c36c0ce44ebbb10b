"""The PostgreSQL server that the tests share, and a proxy to it with connections that a test can
cut."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine

from benchmarks import postgres
from benchmarks.postgres import STOP_TIMEOUT_S
from service.storage.database import open_database
from service.storage.postgres_tools import PLACES

SOCKET = ".s.PGSQL.5432"
# Deleted rows stay in the files and slow later tests a little. So a database is replaced after this
# many tests. Replacing it takes as much CPU time as cleaning it 60 times.
LIFETIME = 200
NOTES = "terms_changes"


OLDEST = "15"
"""The oldest major version that Freehold runs on."""


def major_of(programs: Path) -> str:
    """The major version of the server in a folder of programs; empty when none runs there."""
    try:
        said = subprocess.run(
            [str(programs / "postgres"), "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.split("(PostgreSQL) ")[-1].split(".")[0]


def other_programs() -> dict[str, Path]:
    """This machine's servers of other major versions than the pinned one, by major version.

    Besides packages, the folders in FREEHOLD_OTHER_POSTGRES, separated as in PATH.
    """
    named = os.environ.get("FREEHOLD_OTHER_POSTGRES", "").split(os.pathsep)
    packaged = (path for place in PLACES for path in sorted(Path("/").glob(place[1:])))
    found = {major_of(path): path for path in (*packaged, *(Path(it) for it in named if it))}
    return {major: found[major] for major in sorted(found) if major not in ("", major_of_pinned())}


@cache
def major_of_pinned() -> str:
    """The major version of the PostgreSQL that the other tests run on."""
    return major_of(postgres.pinned_programs())


class Cluster(postgres.Cluster):
    """One server with its databases; the arguments are those of every cluster."""

    def __init__(
        self,
        *,
        safe: bool = False,
        settings: dict[str, str] | None = None,
        programs: Path | None = None,
    ) -> None:
        super().__init__(safe=safe, settings=settings, programs=programs)
        self._template = ""
        self._spare: list[_Lent] = []
        self._lent: dict[str, _Lent] = {}

    def fresh(self) -> str:
        """The name of a new database with two operators, copied from a migrated one."""
        if not self._template:
            from tests.fakes import new_database

            template = self.empty()
            new_database(self.url(template)).close()
            self._template = template
        return self.copy(self._template)

    def lend(self) -> str:
        """The name of a database like a fresh one, for a test that changes only rows."""
        lent = self._spare.pop() if self._spare else None
        if lent is None:
            name = self.fresh()
            lent = _Lent(name, self.dsn(name), self.url(name))
        self._lent[lent.name] = lent
        return lent.name

    def engine_of(self, name: str) -> Engine:
        """The engine of a lent database, whose sessions stay open for the next borrower."""
        return self._lent[name].engine()

    def give_back(self, name: str) -> None:
        """Takes a lent database back; one that cannot be cleaned is removed."""
        lent = self._lent.pop(name)
        if lent.clean():
            self._spare.append(lent)
        else:
            lent.close()
            self.drop(name)

    def close(self) -> None:
        """Stops the server and removes all that it wrote."""
        for lent in (*self._spare, *self._lent.values()):
            lent.close()
        super().close()


class _Lent:
    """A database that many tests use one after the other. Each test finds it empty.

    Deleting a test's rows takes 3 ms; copying a database takes 15 ms on a quiet machine, mostly of
    its disk, and ten times that on a busy one.
    """

    def __init__(self, name: str, dsn: str, url: str) -> None:
        self.name = name
        self._uses = 0
        self._url = url
        self._engine: Engine | None = None
        self._session: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True)
        self._tables = self._names("pg_tables", "tablename")
        sequences = [
            (name, *self._session.execute(f"SELECT last_value, is_called FROM {name}".encode()))
            for name in self._names("pg_sequences", "sequencename")
        ]
        self._session.execute("CREATE SCHEMA seed")
        statements = [f"DELETE FROM {table}" for table in self._tables]
        # Every change of the terms is noted, these too: so the notes are deleted last.
        for table in sorted(self._tables, key=lambda it: it == NOTES):
            made = f"CREATE TABLE seed.{table} AS TABLE {table}"
            if not self._session.execute(made.encode()).rowcount:
                continue
            if table == NOTES:
                statements.append(f"DELETE FROM {table}")
            statements.append(f"INSERT INTO {table} SELECT * FROM seed.{table}")
        statements += [
            f"PERFORM setval('{name}', {last}, {called})" for name, (last, called) in sequences
        ]
        # A function keeps its plans: planning these statements takes longer than running them.
        self._session.execute(
            "CREATE FUNCTION seed.clean() RETURNS void LANGUAGE plpgsql AS"
            f" $$ BEGIN {'; '.join(statements)}; END $$".encode()
        )
        # Triggers forbid the deletion of entries, so the session turns them off. It leaves them
        # off, because a change of this setting drops all plans.
        self._session.execute("SET session_replication_role = replica; SET lock_timeout = '5s'")

    def _names(self, catalog: str, column: str) -> list[str]:
        query = f"SELECT {column} FROM {catalog} WHERE schemaname = 'public' ORDER BY 1"
        return [row[0] for row in self._session.execute(query.encode())]

    def engine(self) -> Engine:
        """An engine that stays open when a store on it is closed.

        PostgreSQL takes 20 ms of CPU to start a session and to read its catalogs.
        """
        if self._engine is None:
            self._engine = open_database(self._url)
            setattr(self._engine, "dispose", lambda: None)  # noqa: B010
        return self._engine

    def clean(self) -> bool:
        """Makes the database like a fresh one. Returns False if that fails, or was done too
        often."""
        self._uses += 1
        try:
            if self._uses >= LIFETIME or self._names("pg_tables", "tablename") != self._tables:
                return False
            self._session.execute("SELECT seed.clean()")
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        """Ends all sessions that are kept here."""
        if self._engine is not None:
            Engine.dispose(self._engine)
        self._session.close()


class Wire:
    """A proxy between a client and a server, on its own socket.

    At a client's first COMMIT the proxy calls `at_commit` once. This function may cut either side
    off.
    """

    COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"

    def __init__(self, server: Path, folder: Path) -> None:
        self.folder = folder
        self.at_commit: Callable[[Wire], None] | None = None
        self._server = server
        self._clients: list[socket.socket] = []
        self._servers: list[socket.socket] = []
        self._deaf = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        self._run(self._accept)

    def _run(self, what: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=what, args=arguments, name="wire")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                self._clients.append(client)
                self._servers.append(server)
                try:
                    server.connect(str(self._server / SOCKET))
                except OSError:
                    _shut(client)
                    continue
                self._run(self._ask, client, server)
                self._run(self._answer, server, client)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while portion := client.recv(65_536):
                if portion == self.COMMIT and self.at_commit is not None:
                    act, self.at_commit = self.at_commit, None
                    act(self)
                server.sendall(portion)
        _shut(server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while portion := server.recv(65_536):
                if self._deaf.is_set():
                    break  # the answer has come, and must not arrive
                client.sendall(portion)
        _shut(client)

    def cut(self) -> None:
        """Cuts both sides off at once: data on its way does not arrive."""
        for end in (*self._servers, *self._clients):
            _shut(end)

    def cut_answer(self) -> None:
        """Lets requests through, and cuts the client off in place of the answer."""
        self._deaf.set()

    def hear_again(self) -> None:
        """New clients get their answers."""
        self._deaf.clear()

    def close(self) -> None:
        """Cuts all connections and ends its threads."""
        _shut(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(STOP_TIMEOUT_S)
        for end in (self._listener, *self._servers, *self._clients):
            end.close()


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
