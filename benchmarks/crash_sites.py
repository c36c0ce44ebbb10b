"""The crash benchmark's databases, which are filled once and copied often."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path
from typing import Protocol

from benchmarks.harness import BenchmarkError, file_system
from benchmarks.postgres import Cluster
from benchmarks.prepared import Filled, checkpoint, fill

SERVER, POSTGRESQL = "server", "postgresql"
"""The victims of kills: SERVER is at every site, and the site does not kill it."""

_SESSIONS_LIMIT_S = 30.0


class Site(Protocol):
    """One kind of database."""

    filled: Filled
    victims: tuple[str, ...]

    @property
    def described(self) -> dict[str, str]:
        """The database's version, and the file system that it writes to."""
        ...

    def fresh(self, folder: Path) -> str:
        """The URL of a new copy of the filled database; earlier copies are no longer used."""
        ...

    def kill(self, victim: str) -> None:
        """SIGKILL one of `victims` except SERVER, which the site does not kill."""
        ...

    def after_kill(self, victim: str, folder: Path) -> str:
        """Start the killed process again; return the URL of the data after the kill, for the
        checker.

        The server is dead, or has no call under way.
        """
        ...


class SqliteSite:
    """SQLite files on disk; only the server can be killed."""

    victims: tuple[str, ...] = (SERVER,)

    def __init__(self, work: Path, model: Path, people: int, seed: int) -> None:
        self._prepared = work / "prepared.db"
        url = f"sqlite:///{self._prepared}"
        self.filled = fill(url, model, work / "prepare.log", people, seed)
        checkpoint(self._prepared)

    @property
    def described(self) -> dict[str, str]:
        """SQLite's version, and where the file is."""
        return {
            "version": f"SQLite {sqlite3.sqlite_version}",
            "file_system": file_system(self._prepared.parent),
        }

    def fresh(self, folder: Path) -> str:
        """A copy of the prepared file in `folder`."""
        target = folder / "freehold.db"
        shutil.copyfile(self._prepared, target)
        return f"sqlite:///{target}"

    def kill(self, victim: str) -> None:
        """Do nothing: only the server can be killed."""
        raise ValueError(victim)

    def after_kill(self, victim: str, folder: Path) -> str:
        """A copy of the file and its log as they were after the kill.

        The server itself must recover the originals: if the checker opened them first, it would do
        a part of this work.
        """
        for suffix in ("", "-wal"):
            source, target = folder / f"freehold.db{suffix}", folder / f"checked.db{suffix}"
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, target)
        (folder / "checked.db-shm").unlink(missing_ok=True)
        return f"sqlite:///{folder / 'checked.db'}"


class PostgresSite:
    """Databases of one PostgreSQL server, which syncs to the disk and is killed too."""

    victims: tuple[str, ...] = (SERVER, POSTGRESQL)

    def __init__(self, cluster: Cluster, work: Path, model: Path, people: int, seed: int) -> None:
        self._cluster = cluster
        self._prepared = cluster.empty()
        self._name = ""
        url = cluster.url(self._prepared)
        self.filled = fill(url, model, work / "prepare.log", people, seed)
        self._wait_unused(self._prepared)

    @property
    def described(self) -> dict[str, str]:
        """PostgreSQL's version, and where its data is."""
        row = self._cluster.admin.execute("SHOW server_version").fetchone()
        return {
            "version": f"PostgreSQL {row[0] if row else 'unknown'}",
            "file_system": file_system(self._cluster.data),
        }

    def fresh(self, folder: Path) -> str:
        """A copy of the prepared database; the last copy is dropped."""
        if self._name:
            self._cluster.drop(self._name)
        self._name = self._cluster.copy(self._prepared)
        return self._cluster.url(self._name)

    def kill(self, victim: str) -> None:
        """SIGKILL to every process of PostgreSQL."""
        if victim != POSTGRESQL:
            raise ValueError(victim)
        self._cluster.kill()

    def after_kill(self, victim: str, folder: Path) -> str:
        """Start PostgreSQL again, or wait for the end of the dead server's sessions.

        A session whose client is gone may still finish its COMMIT.
        """
        if victim == POSTGRESQL:
            self._cluster.start()
        else:
            self._wait_unused(self._name)
        return self._cluster.url(self._name)

    def _wait_unused(self, name: str) -> None:
        deadline = time.monotonic() + _SESSIONS_LIMIT_S
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        while (row := self._cluster.admin.execute(query, (name,)).fetchone()) and row[0]:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{row[0]} sessions of a dead server do not end")
            time.sleep(0.01)
