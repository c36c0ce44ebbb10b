"""SQLite's own check of a file, and the schema that is in the file."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CheckConstraint, CreateIndex

from service.domain.verification import DAMAGED, BookFault
from service.engine.read_time import ReadTime, timed
from service.storage.schema import metadata
from service.storage.schema.triggers import TRIGGERS, digest_of

_OF_A_ROW = re.compile(r"(?:CHECK constraint failed in|NULL value in) (.*)")
"""SQLite's words for a row that its table does not allow."""
_CONSTRAINT = re.compile(r"CONSTRAINT (\w+) (CHECK|PRIMARY KEY) ", re.IGNORECASE)


def damage_of(connection: Connection) -> BookFault | None:
    """The first fault that SQLite finds in its pages, indexes, UNIQUEs, NOT NULLs and CHECKs."""
    driver: Any = connection.connection.driver_connection
    try:
        ((said,),) = driver.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        said = str(error)
    return _fault(said, "the database's file")


class _Until(ReadTime):
    """The time of a read that ends when a function says so."""

    __slots__ = ("_is_over",)

    def __init__(self, over: Callable[[], bool]) -> None:
        super().__init__(math.inf)
        self._is_over = over

    @property
    def over(self) -> bool:
        """Whether the read must end."""
        return self._is_over()


def damage_of_table(
    connection: Connection, table: str, over: Callable[[], bool]
) -> tuple[bool, BookFault | None]:
    """The same of one table and its indexes; False if `over` said so before the end."""
    driver: Any = connection.connection.driver_connection
    try:
        with timed(_Until(over)):
            (said,), *_ = driver.execute(f"PRAGMA integrity_check({table})").fetchall()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return False, None
        said = str(error)
    return True, _fault(said, f"table {table}")


def _fault(said: str, where: str) -> BookFault | None:
    if said == "ok":
        return None
    row = _OF_A_ROW.match(said)
    if row is not None:
        return BookFault("SCHEMA", row[1], said)
    return BookFault(DAMAGED, where, " ".join(str(said).split()))


def described(connection: Connection) -> dict[str, str]:
    """The text of every trigger, index, key and CHECK in the file, by kind and name."""
    found: dict[str, str] = {}
    driver: Any = connection.connection.driver_connection
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master"
    for kind, name, table, sql in driver.execute(query).fetchall():
        if kind == "trigger" and sql:
            found[f"trigger {name}"] = digest_of(sql)
        elif kind == "index":
            # The index of a primary key has no text.
            found[f"index {name}"] = _plain(sql or table)
        elif kind == "table" and sql:
            found[f"table {name}"] = _in_words(driver, name)
            for it in _CONSTRAINT.finditer(sql):
                found[f"{it[2].lower()} {it[1]}"] = _in_brackets(sql, it.end())
    return found


@cache
def declared() -> Mapping[str, str | None]:
    """The same of this build's schema."""
    dialect = sqlite.dialect()
    found: dict[str, str | None] = {
        f"trigger {name}": digest for name, digest in TRIGGERS[dialect.name].items()
    }
    for table in metadata.sorted_tables:
        found[f"table {table.name}"] = _declared(table, dialect)
        keys = ", ".join(column.name for column in table.primary_key)
        found[f"primary key {table.primary_key.name}"] = keys
        if [it.type.compile(dialect) for it in table.primary_key] != ["INTEGER"]:
            found[f"index sqlite_autoindex_{table.name}_1"] = table.name
        for check in table.constraints:
            if isinstance(check, CheckConstraint):
                found[f"check {check.name}"] = _plain(str(check.sqltext))
        for index in table.indexes:
            if index.info.get("only", dialect.name) == dialect.name:
                text = str(CreateIndex(index).compile(dialect=dialect))
                found[f"index {index.name}"] = _plain(text)
    return found


def _in_words(driver: Any, table: str) -> str:
    """The columns of a table and the rows that they refer to, in the order of their names."""
    columns = driver.execute(
        'SELECT name, type, "notnull", dflt_value FROM pragma_table_info(?)', (table,)
    )
    keys = driver.execute('SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)', (table,))
    return _words(
        (f"{name} {kind} {filled} {default}" for name, kind, filled, default in columns),
        (f"{column} -> {other}.{key}" for column, other, key in keys),
    )


def _declared(table: Table, dialect: Dialect) -> str:
    """The same of a declared table."""
    # The compiler of no statement.
    make: Any = dialect.ddl_compiler
    compiler = make(dialect, None)
    return _words(
        (
            f"{it.name} {it.type.compile(dialect)} {int(not it.nullable)}"
            f" {compiler.get_column_default_string(it)}"
            for it in table.columns
        ),
        (
            f"{it.parent.name} -> {it.column.table.name}.{it.column.name}"
            for it in table.foreign_keys
        ),
    )


def _words(*parts: Iterable[str]) -> str:
    return "; ".join(word for part in parts for word in sorted(part))


def _in_brackets(sql: str, start: int) -> str:
    """The text in the brackets that open at this place."""
    depth = 0
    for place in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[place], 0)
        if not depth:
            return _plain(sql[start + 1 : place])
    return ""


def _plain(sql: str) -> str:
    return " ".join(sql.split())
