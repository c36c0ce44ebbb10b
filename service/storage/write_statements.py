"""The texts of statements that get rows: their form on a database, and those that insert and change
records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Column, Dialect, Table, literal

from service.engine.tables import Table as RecordTable
from service.storage import schema
from service.storage.database import BACKENDS
from service.storage.row_statements import RowsStatement


def rows_statement(
    dialect: Dialect,
    head: str,
    tail: str,
    columns: Sequence[Column[Any]],
    literals: Sequence[str] = (),
    one: str = "",
) -> RowsStatement:
    """A statement with its rows, a query of their own, between a head and a tail; see
    `Backend.rows_statement`."""
    return BACKENDS[dialect.name].rows_statement(head, tail, columns, literals, one)


def insert_rows(
    table: Table, dialect: Dialect, literals: Mapping[str, str] = MappingProxyType({})
) -> RowsStatement:
    """Inserts whole records: the columns in the table's order, those of `literals` at the end."""
    columns = [column for column in schema.recorded(table) if column.name not in literals]
    verb = f"INSERT {BACKENDS[dialect.name].conflict_clause}"
    quoted = map(dialect.identifier_preparer.quote, [*(it.name for it in columns), *literals])
    head = f"{verb}INTO {table.name}{names_list(quoted)} "
    return rows_statement(dialect, head, "", columns, list(literals.values()))


def literal_text(column: Column[Any], value: Any, dialect: Dialect) -> str:
    """A value of the column, as it is written in a statement's text."""
    written = literal(value, column.type).compile(
        dialect=dialect, compile_kwargs={"literal_binds": True}
    )
    return str(written)


def update_rows(
    declared: RecordTable[Any, Any], table: Table, dialect: Dialect, without: Sequence[str] = ()
) -> RowsStatement:
    """Updates the columns that may change, except `without`, if the row has the version read.

    The values are the new values in the order of the table, then the keys, then the version read.
    """
    keys, left = declared.key, {*declared.key, *declared.fixed, *without}
    names = [it.name for it in schema.recorded(table) if it.name not in left]
    columns = [table.c[name] for name in (*names, *keys, declared.version)]
    given = [f"column{place}" for place in range(1, len(columns) + 1)]
    sets = ", ".join(f"{name} = new.{value}" for name, value in zip(names, given, strict=False))
    # SQLite makes two tables of the passed rows on the way, which a single row does not need.
    one_set = ", ".join(f"{name} = ?" for name in names)
    one_where = all_given([*keys, declared.version])
    conditions = " AND ".join(
        f"{table.name}.{name} = new.{value}"
        for name, value in zip((*keys, declared.version), given[len(names) :], strict=True)
    )
    backend = BACKENDS[dialect.name]
    verb, called = f"UPDATE {backend.conflict_clause}", backend.named_rows("new", given)
    return rows_statement(
        dialect,
        f"{verb}{table.name} SET {sets} FROM (",
        f") AS {called} WHERE {conditions}",
        columns,
        one=f"{verb}{table.name} SET {one_set} WHERE {one_where}",
    )


def all_given(names: Iterable[str]) -> str:
    """The condition that these columns have the values of parameters, as SQLite's driver takes
    them."""
    return " AND ".join(f"{name} = ?" for name in names)


def names_list(names: Iterable[str]) -> str:
    """Names of columns in parentheses."""
    return f" ({', '.join(names)})"
