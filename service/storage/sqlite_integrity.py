"""SQLite's own check of a file, and the schema that is in the file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CheckConstraint, CreateIndex

from service.domain.verification import DAMAGED, BookFault
from service.storage.schema import metadata
from service.storage.schema.triggers import TRIGGERS, digest_of

_OF_A_ROW = re.compile(r"(?:CHECK constraint failed in|NULL value in) (.*)")
"""What SQLite says of a row that its table does not allow."""
_CONSTRAINT = re.compile(r"CONSTRAINT (\w+) (CHECK|PRIMARY KEY) ", re.IGNORECASE)


def damage_of(connection: Connection) -> BookFault | None:
    """The first fault that SQLite finds in its pages, indexes, UNIQUEs, NOT NULLs and CHECKs."""
    driver: Any = connection.connection.driver_connection
    try:
        ((said,),) = driver.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said == "ok":
        return None
    row = _OF_A_ROW.match(said)
    if row is not None:
        return BookFault("SCHEMA", row[1], said)
    return BookFault(DAMAGED, "the database's file", " ".join(str(said).split()))


def described(connection: Connection) -> dict[str, str]:
    """The text of every trigger, index, key and CHECK in the file, by kind and name."""
    found: dict[str, str] = {}
    driver: Any = connection.connection.driver_connection
    query = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    for kind, name, sql in driver.execute(query):
        if kind == "trigger":
            found[f"trigger {name}"] = digest_of(sql)
        elif kind == "index":
            found[f"index {name}"] = _plain(sql)
        else:
            found[f"table {name}"] = ""
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
        found[f"table {table.name}"] = ""
        keys = ", ".join(column.name for column in table.primary_key)
        found[f"primary key {table.primary_key.name}"] = keys
        for check in table.constraints:
            if isinstance(check, CheckConstraint):
                found[f"check {check.name}"] = _plain(str(check.sqltext))
        for index in table.indexes:
            if index.info.get("only", dialect.name) == dialect.name:
                text = str(CreateIndex(index).compile(dialect=dialect))
                found[f"index {index.name}"] = _plain(text)
    return found


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
