"""Tables of records: a column for each field of the record."""

from __future__ import annotations

from collections import abc
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
)
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from service.engine.tables import Table as RecordTable
from service.storage.rows import Converter, Kind, kinds_of
from service.storage.schema.columns import ARRIVAL, instant_column, metadata, string

CONVERTERS: dict[RecordTable[Any, Any], Converter[Any]] = {}
"""The converters between the records of a batch and rows."""


_TYPES: dict[type, TypeEngine[Any]] = {
    int: BigInteger(),
    bool: Boolean(),
    bytes: LargeBinary(),
}


Default = str | ColumnElement[Any]
"""The value of a column in rows written before the column existed."""


def _column(
    name: str, kind: Kind, given: TypeEngine[Any] | None, *, key: bool, default: Default | None
) -> Column[Any]:
    """The column of a record's field; its type follows from the field's type unless given."""
    return Column(
        name,
        given if given is not None else _TYPES.get(kind.type, string(200)),
        primary_key=key,
        nullable=kind.nullable,
        # The server makes the numbers in keys, not the database.
        autoincrement=False,
        # Servers of builds without this column still insert rows.
        server_default=default,
    )


def of_records(
    declared: RecordTable[Any, Any],
    *rest: Column[Any] | CheckConstraint | ForeignKeyConstraint | Index,
    key: abc.Sequence[str] = (),
    derived: abc.Sequence[str] = (),
    first: abc.Sequence[Column[Any]] = (),
    last: abc.Sequence[Column[Any]] = (),
    added: abc.Mapping[str, Default] = MappingProxyType({}),
    **types: TypeEngine[Any],
) -> Table:
    """The table of a record: a column for each field, then one for each derived property.

    `types` are the columns' types that do not follow from the field's type. `key` is the primary
    key if the record's rows are not found by a key. `first` and `last` are columns that the
    database fills in. `added` has each column that was added later, with the value that the
    existing rows got.
    """
    kinds = kinds_of(declared.record)
    keys = (*declared.key, *key)
    columns = [
        _column(name, kind, types.get(name), key=name in keys, default=added.get(name))
        for name, kind in kinds.items()
    ]
    CONVERTERS[declared] = Converter(
        declared.record,
        fixed=(*declared.fixed, *declared.key),
        derived=derived,
        rare=declared.rare,
        usual=tuple(declared.usual),
    )
    columns += [instant_column(name) for name in derived]
    return Table(declared.name, metadata, *first, *columns, *last, *rest)


def recorded(table: Table) -> list[Column[Any]]:
    """The columns that a record fills: all except the number that the database generates."""
    given = {ARRIVAL} | ({"sequence"} if table.name == "outbox" else set())
    return [column for column in table.columns if column.name not in given]
