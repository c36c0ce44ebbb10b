"""Growing lists of values: replaces a CHECK by a wider one without reading or moving rows.

CHECKs list the values of states, accounts and kinds. They cost almost nothing for each row, and
also bind other programs that write into the database. Rules for some of the states
(`only_open_states_hold`) use the same form. Foreign keys to a table of values would cost more, are
off by default in other programs on SQLite, and cannot express such rules.

SQLite has no statement for this, and rebuilding a table takes as long as copying it. For changes
that touch no row, its manual recommends changing the text of the table in the schema itself, within
the transaction. PostgreSQL applies the wider rule to new rows at once; old rows satisfy the
narrower one.
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
    """Replaces a CHECK by one that allows the same values and more.

    Both conditions are alternatives joined by OR. Raises ValueError if an alternative of `before`
    is not in `after`, and NoSuchCheck if the table has no such CHECK.
    """
    missing = _alternatives(before) - _alternatives(after)
    if missing:
        raise ValueError(f"{name} would be narrower: without {', '.join(sorted(missing))}")
    connection = op.get_bind()
    change = _change_schema if connection.dialect.name == "sqlite" else _change_constraint
    change(connection, table, name, before, after)


class NoSuchCheck(ValueError):
    """The table does not have the CHECK to widen."""

    def __init__(self, table: str, name: str, condition: str) -> None:
        super().__init__(f"the table {table} does not have {_clause(name, condition)}")


def _clause(name: str, condition: str) -> str:
    return f"CONSTRAINT {name} CHECK ({condition})"


def _alternatives(condition: str) -> set[str]:
    """The alternatives of a condition: its parts between ORs outside parentheses."""
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
    """Changes a CHECK on PostgreSQL; it is asked for its own wording of the conditions."""
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
    """Changes a CHECK on SQLite, in the stored text of the table."""
    found = connection.scalar(TABLE, {"name": table})
    if found is None or found.count(_clause(name, before)) != 1:
        raise NoSuchCheck(table, name, before)
    changed = found.replace(_clause(name, before), _clause(name, after))
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        connection.execute(CHANGE, {"sql": changed, "name": table})
        # A new version makes every connection read the schema again.
        connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    finally:
        connection.exec_driver_sql("PRAGMA writable_schema = RESET")
    # Fails, and so does the migration, if SQLite does not understand the new text.
    connection.exec_driver_sql(f"SELECT 1 FROM {table} LIMIT 0")
