"""SQLite files that many tests use one after the other."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine

from service.storage.database import open_database


class LentFiles:
    """Copies of one file. Each test finds its copy like a fresh one."""

    def __init__(self, template: Path, new_file: Callable[[], Path]) -> None:
        """`new_file` makes the copies, each in a folder of its own."""
        self._template = template
        self._new_file = new_file
        self._spare: list[LentFile] = []
        self._lent: dict[Path, LentFile] = {}

    def lend(self) -> Path:
        """A file for a test that changes only rows."""
        lent = self._spare.pop() if self._spare else LentFile(self._new_file(), self._template)
        self._lent[lent.file] = lent
        return lent.file

    def lent(self, file: Path) -> LentFile | None:
        """A file that is lent, with its open connections; None for another."""
        return self._lent.get(file)

    def give_back(self, file: Path) -> bool:
        """Takes a lent file back; one that cannot be cleaned is removed. Returns False for a file
        that was not lent."""
        lent = self._lent.pop(file, None)
        if lent is None:
            return False
        if lent.clean():
            self._spare.append(lent)
        else:
            lent.close()
        return True

    @contextmanager
    def borrowed(self) -> Iterator[LentFile]:
        """A file for as long as one test changes its rows, with its open connections."""
        file = self.lend()
        yield self._lent[file]
        self.give_back(file)

    def close(self) -> None:
        """Removes all files."""
        for lent in (*self._spare, *self._lent.values()):
            lent.close()


class LentFile:
    """A file with connections that stay open.

    A connection reads the whole schema and prepares each statement anew, which took half of the CPU
    time of a test of rules.
    """

    def __init__(self, file: Path, template: Path) -> None:
        self.file = file
        self.engine = open_database(f"sqlite:///{file}")
        """Its connections stay open when a store on it is closed."""
        setattr(self.engine, "dispose", lambda: None)  # noqa: B010
        self.session = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        """A connection that no trigger hinders."""
        read = self.session.execute
        read("PRAGMA synchronous=OFF")
        # Only the engine copies the log, which then knows that no other program wrote the file.
        read("PRAGMA wal_autocheckpoint=0")
        read("ATTACH ? AS seed", (f"{template}",))
        # Triggers forbid the deletion of entries. This connection reads the schema while there are
        # none, and does not read it again while the schema's number is the same.
        triggers = read(
            "SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            read(f"DROP TRIGGER main.{name}")
        (self._number,) = read("PRAGMA main.schema_version").fetchone()
        tables = read("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("PRAGMA synchronous=OFF")
            for _, sql in triggers:
                other.execute(sql)
            other.execute(f"PRAGMA schema_version = {self._number}")
        self._statements = {name: self._fresh(name) for (name,) in tables}

    def _fresh(self, table: str) -> list[str]:
        """The statements that make a table like the template's, with the numbers of its rows."""
        read = self.session.execute
        if read(f"SELECT EXISTS (SELECT * FROM seed.{table})").fetchone() == (0,):
            return [f"DELETE FROM main.{table}"]
        columns = [row[1] for row in read(f"PRAGMA main.table_info({table})").fetchall()]
        names = ", ".join(["rowid", *columns])
        return [
            f"DELETE FROM main.{table}",
            f"INSERT INTO main.{table} ({names}) SELECT {names} FROM seed.{table} ORDER BY rowid",
        ]

    def restore(self, *tables: str) -> None:
        """Makes these tables like the template's; raises the driver's error."""
        self.session.execute("BEGIN IMMEDIATE")
        for table in tables:
            for statement in self._statements[table]:
                self.session.execute(statement)
        self.session.execute("COMMIT")

    def clean(self) -> bool:
        """Makes the file like a fresh one. Returns False if that fails."""
        try:
            if not self.file.exists():
                return False
            found = self.session.execute("PRAGMA main.schema_version").fetchone()
            if found != (self._number,):
                return False
            self.restore(*self._statements)
            # A connection with a result that was not read to its end would see only earlier rows.
            # It reads the log, which is then not emptied.
            busy, *_ = self.session.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return False
        return bool(busy == 0)

    def close(self) -> None:
        """Closes all connections, and removes the file with its folder."""
        Engine.dispose(self.engine)
        self.session.close()
        with suppress(FileNotFoundError):
            shutil.rmtree(self.file.parent)
