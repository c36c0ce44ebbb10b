"""The parts of tables: columns, indexes and checks.

Amounts are minor units; columns ending in `_us` are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    String,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

# SQLite generates row numbers only for a column of exactly this type.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")

ARRIVALS = Sequence("arrivals", metadata=metadata)
"""The numbers of rows of lists on PostgreSQL, where several servers write at the same time."""
ARRIVAL = "arrival"
"""The column of these numbers."""


class NextArrival(ColumnElement[int]):
    """The next number of `ARRIVALS`; 0 on SQLite, whose one writer needs no numbers."""

    inherit_cache = True


@compiles(NextArrival)
def _no_number(_element: NextArrival, _compiler: Any, **_options: Any) -> str:
    return "0"


@compiles(NextArrival, "postgresql")
def _next_number(_element: NextArrival, _compiler: Any, **_options: Any) -> str:
    return f"nextval('{ARRIVALS.name}')"


def arrival_column() -> Column[int]:
    """The column of the number that the database gives an inserted row; see `horizon`."""
    return Column(ARRIVAL, BigInteger, nullable=False, server_default=NextArrival())


class NoBytes(ColumnElement[bytes]):
    """Empty bytes, as a column's default; SQLite would store '' as a text."""

    inherit_cache = True


@compiles(NoBytes)
def _no_bytes(_element: NoBytes, _compiler: Any, **_options: Any) -> str:
    return "x''"


@compiles(NoBytes, "postgresql")
def _no_bytea(_element: NoBytes, _compiler: Any, **_options: Any) -> str:
    return r"'\x'"


class HasBytes(ColumnElement[bool]):
    """The condition that a column of bytes has these bytes at any place."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[bytes], part: bytes) -> None:
        self.column, self.part = column, part


@compiles(HasBytes)
def _in_bytes(element: HasBytes, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.column, **options)}, x'{element.part.hex()}') > 0"


@compiles(HasBytes, "postgresql")
def _in_bytea(element: HasBytes, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    return rf"position('\x{element.part.hex()}'::bytea in {column}) > 0"


class HasText(ColumnElement[bool]):
    """The condition that a column of bytes has a column's text, in UTF-8, at any place."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[bytes], part: ColumnElement[str]) -> None:
        self.column, self.part = column, part


@compiles(HasText)
def _text_in_bytes(element: HasText, compiler: Any, **options: Any) -> str:
    column, part = (compiler.process(it, **options) for it in (element.column, element.part))
    return f"instr({column}, CAST({part} AS BLOB)) > 0"


@compiles(HasText, "postgresql")
def _text_in_bytea(element: HasText, compiler: Any, **options: Any) -> str:
    column, part = (compiler.process(it, **options) for it in (element.column, element.part))
    return f"position(convert_to({part}, 'UTF8') in {column}) > 0"


CURRENCY, WHOLE = String(3), Integer()


def string(length: int) -> String:
    """A text of at most `length` characters, sorted by its bytes."""
    # SQLite and Python sort by bytes; PostgreSQL's default collation follows a language.
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def key_column(name: str) -> Column[str]:
    """A name in the primary key."""
    return Column(name, string(200), primary_key=True)


def text_column(name: str) -> Column[str]:
    """A name, never NULL."""
    return Column(name, string(200), nullable=False)


def number_column(name: str) -> Column[int]:
    """A whole number of 64 bits, never NULL."""
    return Column(name, BigInteger, nullable=False)


def bytes_column(name: str) -> Column[bytes]:
    """Bytes, never NULL."""
    return Column(name, LargeBinary, nullable=False)


def instant_column(name: str) -> Column[int | None]:
    """An instant, or NULL."""
    return Column(name, BigInteger, nullable=True)


def partial_index(name: str, condition: str, *columns: str) -> Index:
    """An index over the rows for which a condition holds."""
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


def numbered_index(name: str, *columns: str, condition: str = "") -> Index:
    """An index in the order of arrival; only on PostgreSQL, where rows have such numbers."""
    where = text(condition) if condition else None
    index = Index(name, *columns, postgresql_where=where, info={"only": "postgresql"})
    return index.ddl_if(dialect="postgresql")


def unnumbered_index(name: str, *columns: str) -> Index:
    """An index in the order of ids; only on SQLite, where rows have no numbers."""
    index = Index(name, *columns, info={"only": "sqlite"})
    return index.ddl_if(dialect="sqlite")


def among(column: str, values: Iterable[StrEnum]) -> str:
    """The condition that a column holds one of these values."""
    # A migration that widens the CHECK extends such a list (`migrations/checks.py`). The values are
    # joined by OR, because SQLite builds a temporary index for IN (...) anew for every row, which
    # cost 4.5 us for each column and row, against 0.1 us for OR.
    return " OR ".join(f"{column} = '{value}'" for value in sorted(values))


def not_negative(*columns: str) -> list[CheckConstraint]:
    """A CHECK for each column: it is not negative."""
    return [CheckConstraint(f"{column} >= 0", f"{column}_not_negative") for column in columns]
