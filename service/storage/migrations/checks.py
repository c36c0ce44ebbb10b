"""CHECKs that change: lists of values grow, and new columns join, without reading or moving rows.

CHECKs list the values of states, accounts and kinds. CHECKs cost almost nothing for each row. They
also bind other programs that write into the database. Rules for some of the states
(`only_open_states_hold`) use the same form. Foreign keys to a table of values would cost more. On
SQLite they are off by default in other programs, and they cannot express such rules.

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
        raise ValueError(f"{name} would allow less: {', '.join(sorted(missing))} is missing")
    change_check(table, name, before, after)


def change_check(table: str, name: str, before: str, after: str) -> None:
    """Replaces a CHECK by a new one. All rows satisfy the new CHECK, because its new columns have
    their defaults.

    Raises NoSuchCheck if the table has no such CHECK.
    """
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        _change_schema(connection, table, _clause(name, before), _clause(name, after))
        return
    _require_constraint(connection, table, name, before)
    connection.execute(
        text(f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD {_clause(name, after)} NOT VALID")
    )


def add_check(table: str, name: str, condition: str) -> None:
    """Adds a CHECK that all rows satisfy, because its columns are new and have their defaults."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        found = str(connection.scalar(TABLE, {"name": table}))
        columns, end, rest = found.rpartition(")")
        _write_schema(connection, table, f"{columns}, {_clause(name, condition)}{end}{rest}")
        return
    connection.execute(text(f"ALTER TABLE {table} ADD {_clause(name, condition)} NOT VALID"))


def drop_check(table: str, name: str, condition: str) -> None:
    """Drops a CHECK, so that more is allowed. Raises NoSuchCheck if the table has no such CHECK."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        found = str(connection.scalar(TABLE, {"name": table}))
        clause = _clause(name, condition)
        # The table's columns come first, so a comma precedes every CHECK.
        before, here, after = found.partition(clause)
        if not here:
            raise NoSuchCheck(clause, table)
        _write_schema(connection, table, before.rstrip().removesuffix(",") + after)
        return
    _require_constraint(connection, table, name, condition)
    connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))


class NoSuchCheck(ValueError):
    """The table does not have the CHECK to widen."""

    def __init__(self, clause: str, table: str) -> None:
        super().__init__(f"the table {table} does not have {clause}")


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


def _require_constraint(connection: Connection, table: str, name: str, condition: str) -> None:
    """Raises NoSuchCheck unless PostgreSQL words the CHECK as it words this condition."""
    connection.execute(text(f"ALTER TABLE {table} ADD {_clause(PROBE, condition)} NOT VALID"))
    said = [
        str(connection.scalar(CONDITION, {"table": table, "name": it})).removesuffix(" NOT VALID")
        for it in (name, PROBE)
    ]
    connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {PROBE}"))
    if said[0] != said[1]:
        raise NoSuchCheck(_clause(name, condition), table)


def _change_schema(connection: Connection, table: str, before: str, after: str) -> None:
    """Replaces a part of the stored text of a table on SQLite."""
    found = connection.scalar(TABLE, {"name": table})
    if found is None or found.count(before) != 1:
        raise NoSuchCheck(before, table)
    _write_schema(connection, table, found.replace(before, after))


def _write_schema(connection: Connection, table: str, changed: str) -> None:
    """Replaces the stored text of a table on SQLite."""
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
