"""Lists that grow: a CHECK is replaced by a wider one, and no row is read or moved.

The values that a state, an account or a kind may have stand in CHECKs. They cost a row next to
nothing, other programs that write into the file meet them too, and the rules that only some of the
states keep (`only_open_states_hold`) stand beside them in the same words. References to a table of
values do cost, are off by default in other programs on SQLite, and cannot say those rules.

SQLite has no statement for it, and rebuilding a table takes as long as copying it. Its manual gives
this way instead, for changes of the schema that touch no row: the text of the table is changed in
the schema itself, within the transaction. PostgreSQL takes the wider rule for new rows at once; the
old ones kept the narrower one.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection, text

TABLE = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
CONDITION = text(
    "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE conrelid = CAST(:table AS regclass) AND conname = :name"
)
PROBE = "check_as_it_was"
CHANGE = text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :name")


def widen_check(table: str, name: str, before: str, after: str) -> None:
    """Replaces a CHECK by one that allows all that it allowed, and more.

    Both conditions are alternatives joined by OR. Raises ValueError when one of `before` is not in
    `after`, and NoSuchCheck when the table has no such CHECK.
    """
    missing = _alternatives(before) - _alternatives(after)
    if missing:
        raise ValueError(f"{name} would be narrower: without {', '.join(sorted(missing))}")
    connection = op.get_bind()
    change = _change_schema if connection.dialect.name == "sqlite" else _change_constraint
    change(connection, table, name, before, after)


class NoSuchCheck(ValueError):
    """A table does not have the CHECK that is to be widened."""

    def __init__(self, table: str, name: str, condition: str) -> None:
        super().__init__(f"the table {table} does not have: {_clause(name, condition)}")


def _clause(name: str, condition: str) -> str:
    return f"CONSTRAINT {name} CHECK ({condition})"


def _alternatives(condition: str) -> set[str]:
    """The parts of a condition between the ORs that stand in no parentheses."""
    parts, depth = [""], 0
    for word in condition.split(" "):
        if word == "OR" and depth == 0:
            parts.append("")
            continue
        depth += word.count("(") - word.count(")")
        parts[-1] = f"{parts[-1]} {word}".strip()
    return set(parts)


def _change_constraint(
    connection: Connection, table: str, name: str, before: str, after: str
) -> None:
    """On PostgreSQL, which keeps a condition in words of its own: it is asked for them."""
    connection.execute(text(f"ALTER TABLE {table} ADD {_clause(PROBE, before)} NOT VALID"))
    said = [
        str(connection.scalar(CONDITION, {"table": table, "name": it})).removesuffix(" NOT VALID")
        for it in (name, PROBE)
    ]
    if said[0] != said[1]:
        raise NoSuchCheck(table, name, before)
    connection.execute(
        text(
            f"ALTER TABLE {table} DROP CONSTRAINT {PROBE}, DROP CONSTRAINT {name},"
            f" ADD {_clause(name, after)} NOT VALID"
        )
    )


def _change_schema(connection: Connection, table: str, name: str, before: str, after: str) -> None:
    """On SQLite, which keeps the text of the table."""
    found = connection.scalar(TABLE, {"name": table})
    if found is None or found.count(_clause(name, before)) != 1:
        raise NoSuchCheck(table, name, before)
    changed = found.replace(_clause(name, before), _clause(name, after))
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        connection.execute(CHANGE, {"sql": changed, "name": table})
        # So every connection reads the schema again.
        connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    finally:
        connection.exec_driver_sql("PRAGMA writable_schema = RESET")
    # Fails, and with it the migration, should the text be none that SQLite understands.
    connection.exec_driver_sql(f"SELECT 1 FROM {table} LIMIT 0")
