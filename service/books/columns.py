"""Rows of the database as columns, a portion of the people at a time.

Each table is read as one stream in the order of the people. A portion has the rows of some
consecutive people in all streams. So memory is bounded by the size of a block, or by the rows of
one person if these are more. Streams are matched by bytes, because SQLite sorts by bytes. On
PostgreSQL the columns have the collation "C", so PostgreSQL compares in the same way.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from enum import Enum, auto
from functools import wraps
from operator import itemgetter
from typing import Any, Concatenate, NamedTuple, ParamSpec

import numpy as np
from sqlalchemy import Column, Connection, Select, Table, and_, func, or_, select, true
from sqlalchemy.sql.elements import ColumnElement

from service.books.faults import Array, Found
from service.engine.ports import StorageFailed
from service.storage.database import backend_of, telling

BLOCK_VALUES = 65_536
"""The number of values fetched together for a stream, whatever its number of columns."""
LARGEST = 1 << 60
"""Larger numbers are kept as Python's integers, which cannot overflow."""
LARGEST_SHARE = 1 << 14

KEPT_TEXTS = 64
"""The number of texts that are kept of one query, one for each set of arguments."""

Row = tuple[Any, ...]
P = ParamSpec("P")
Codes = Mapping[Any, int]
"""The codes of a column's values, if they are few and known; an absent value has a code too."""
_user_of = itemgetter(0)
_numbers_of_cursors = itertools.count(1)


class Kind(Enum):
    """The kind of a column, which decides how it is read."""

    TEXT = auto()
    BYTES = auto()
    NUMBER = auto()
    """A number to which at most one other is added."""
    AMOUNT = auto()
    """A number of which all in a portion may be added up."""
    SHARE = auto()
    """A number by which an amount is multiplied."""
    MAYBE = auto()
    """A number that may be absent."""
    TRUTH = auto()


class Maybe(NamedTuple):
    """A column of numbers that may be absent; an absent number is 0."""

    values: Array
    there: Array

    def same(self, other: Maybe) -> Array:
        """True for each row in which both columns have the same number, or both have none."""
        found: Array = (self.there == other.there) & (self.values == other.values)
        return found


class Fields(NamedTuple):
    """The columns that are read of a table, and the name of a row in a fault.

    The columns that are not named here are only checked to be of their declared types.
    """

    table: Table
    columns: dict[str, Kind | Codes]
    row: Callable[[Row], str]

    def query(self, connection: Connection) -> Select[Any]:
        """Selects the columns, and last whether all others have their declared types."""
        c = self.table.c
        others = [column for column in c if column.name not in self.columns]
        return select(*(c[name] for name in self.columns), typed(connection, others))

    def stored(self, row: Row) -> str:
        """The name of a row by its primary key, for a row that cannot be read."""
        values = zip(self.columns, row, strict=False)
        keys = [str(value) for name, value in values if name in self.table.primary_key.columns]
        return "/".join([self.table.name, *keys])


_STORED: dict[type, str] = {str: "text", int: "integer", bool: "integer", bytes: "blob"}


def typed(connection: Connection, columns: Sequence[Column[Any]]) -> ColumnElement[bool]:
    """A condition: all these columns have their declared types."""
    if backend_of(connection).checks_types:
        return true()
    return and_(true(), *map(_typed, columns))


def _typed(column: Column[Any]) -> ColumnElement[bool]:
    """A condition for SQLite, which stores values of any type: the value has the column's type."""
    fits = func.typeof(column) == _STORED[column.type.python_type]
    return or_(fits, column.is_(None)) if column.nullable else fits


class Columns(dict[str, Any]):
    """The columns of some rows by their names: sequences for texts and bytes, arrays for other
    types.

    If rows came in groups, each group's names are kept once, and `sizes` has the number of rows of
    each group.
    """

    count = 0
    rows: Sequence[Row] = ()
    sizes: Sequence[int] | None = None

    def spread(self, found: Array) -> Array:
        """For each row, the value that was found for the names of its group."""
        return found if self.sizes is None else np.repeat(found, self.sizes)


class Unreadable(NamedTuple):
    """A row with a value of another type, or with an unknown name."""

    row: Row
    found: Found


class _NotReadable(Exception):
    """A column has a value of another type than declared, or an unknown name."""


def read(fields: Fields, rows: Sequence[Row]) -> tuple[Columns, list[Unreadable]]:
    """The readable rows as columns, and the unreadable rows."""
    try:
        return _columns(fields, rows), []
    except _NotReadable:
        wrong = [it for it in map(_one(fields), rows) if it is not None]
        bad = {id(it.row) for it in wrong}
        return _columns(fields, [row for row in rows if id(row) not in bad]), wrong


def _columns(fields: Fields, rows: Sequence[Row]) -> Columns:
    count = len(fields.columns)
    values: list[tuple[Any, ...]] = list(zip(*rows, strict=True)) or [()] * (count + 1)
    found = Columns()
    found.count, found.rows = len(rows), rows
    for (name, kind), column in zip(fields.columns.items(), values, strict=False):
        found[name] = _read(kind, column)
    if not all(values[count]):
        raise _NotReadable
    return found


def _one(fields: Fields) -> Callable[[Row], Unreadable | None]:
    """A function that returns the fault of an unreadable row, or None."""

    def look(row: Row) -> Unreadable | None:
        stored = Found("UNREADABLE", fields.stored(row), "has a value of another type")
        if not row[-1]:
            return Unreadable(row, stored)
        for kind, value in zip(fields.columns.values(), row, strict=False):
            try:
                _read(kind, (value,))
            except _NotReadable:
                known = isinstance(kind, Kind) or not isinstance(value, str)
                named = Found("UNREADABLE", fields.row(row), "an unknown name")
                return Unreadable(row, stored if known else named)
        return None

    return look


def _read(kind: Kind | Codes, column: tuple[Any, ...]) -> Any:
    try:
        match kind:
            case Kind.TEXT:
                "".join(column)  # the fastest look at every type
                return column
            case Kind.BYTES:
                b"".join(column)
                return column
            case Kind.NUMBER:
                return _numbers(column, LARGEST)
            case Kind.AMOUNT:
                return _numbers(column, LARGEST // max(1, len(column)))
            case Kind.SHARE:
                return _numbers(column, LARGEST_SHARE)
            case Kind.MAYBE:
                return _maybe(column)
            case Kind.TRUTH:
                # SQLite gives truth values as numbers.
                if not set(map(type, column)) <= {int, bool}:
                    raise _NotReadable
                return np.array(column, dtype=bool)
        return np.array(list(map(kind.get, column)), dtype=np.int64)
    except (TypeError, ValueError) as error:
        raise _NotReadable from error


def _numbers(column: Sequence[Any], largest: int) -> Array:
    """An array of 64-bit numbers, or of Python's integers if sums might not fit."""
    if not column:
        return np.zeros(0, dtype=np.int64)
    found = np.array(column)
    if found.dtype != np.int64:
        raise _NotReadable
    if found.max() > largest or found.min() < -largest:
        return found.astype(object)
    return found


def _maybe(column: tuple[Any, ...]) -> Maybe:
    absent = column.count(None)
    if absent == 0:
        return Maybe(_numbers(column, LARGEST), np.ones(len(column), dtype=bool))
    if absent == len(column):
        return Maybe(np.zeros(absent, dtype=np.int64), np.zeros(absent, dtype=bool))
    there = np.array([value is not None for value in column], dtype=bool)
    return Maybe(_numbers([0 if value is None else value for value in column], LARGEST), there)


def add_up(index: Array, values: Array, size: int) -> Array:
    """The sum of the values for each index, without loss."""
    found = np.zeros(size, dtype=values.dtype)
    np.add.at(found, index, values)
    return found


def last_of(index: Array, size: int) -> Array:
    """The last place of each index; -1 if it does not occur."""
    found = np.full(size, -1, dtype=np.int64)
    np.maximum.at(found, index, np.arange(len(index)))
    return found


# -- streams ------------------------------------------------------------------------------------


class Text(NamedTuple):
    """A query as plain text, with its columns. Nothing converts a value on its way."""

    sql: str
    columns: tuple[Any, ...]


def text_of(connection: Connection, query: Text | Select[Any]) -> Text:
    """The text of a query for this kind of database."""
    if isinstance(query, Text):
        return query
    words = {"literal_binds": True}
    sql = str(query.compile(dialect=connection.dialect, compile_kwargs=words))
    return Text(sql, tuple(query.selected_columns))


def kept(
    build: Callable[Concatenate[Connection, P], Select[Any]],
) -> Callable[Concatenate[Connection, P], Text]:
    """A function that takes the arguments of `build` and returns the text of the query that `build`
    makes.

    Each text is made once for each kind of database: making it takes longer than reading a small
    book.
    """
    texts: dict[tuple[object, ...], Text] = {}

    @wraps(build)
    def text(connection: Connection, /, *arguments: P.args, **named: P.kwargs) -> Text:
        key = (connection.dialect.name, arguments, *sorted(named.items()))
        found = texts.get(key)
        if found is None:
            found = text_of(connection, build(connection, *arguments, **named))
            if len(texts) >= KEPT_TEXTS:
                texts.clear()
            texts[key] = found
        return found

    return text


class Cursor:
    """The rows of a query as the driver returns them, without SQLAlchemy's own rows."""

    def __init__(self, connection: Connection, name: str, query: Text | Select[Any]) -> None:
        self._driver: Any = connection.dialect.loaded_dbapi
        self._name = name.rstrip("_0123456789")
        text = text_of(connection, query)
        with self._refusing():
            self._cursor: Any = backend_of(connection).named_cursor(connection, name)
            self._cursor.execute(text.sql)

    def fetch(self, count: int) -> list[Row]:
        """The next rows, at most `count`; raises StorageFailed if the database refuses."""
        with self._refusing():
            found: list[Row] = self._cursor.fetchmany(count) if count else []
        return found

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Raises StorageFailed for an error of the driver, and Found for a text that is none."""
        try:
            yield
        except self._driver.Error as error:
            # SQLite stores any bytes as a text. Its driver's error would quote the row.
            if "decode to UTF-8" in str(error):
                raise Found("UNREADABLE", self._name, "a text is not UTF-8") from None
            raise StorageFailed("the database refused the read") from telling(error)

    def close(self) -> None:
        """Closes the result."""
        with suppress(self._driver.Error):
            self._cursor.close()


class Stream:
    """Rows in the order of their first column, which is the person, a block at a time."""

    def __init__(self, connection: Connection, fields: Fields, text: Text) -> None:
        self.fields = fields
        self.rows: list[Row] = []
        self.ended = False
        self.nobodys: Found | None = None
        """A row of no person, which comes after all others."""
        self._block = BLOCK_VALUES // len(text.columns)
        self._cursor = Cursor(connection, f"{fields.table.name}_{id(self)}", text)
        self.close = self._cursor.close

    def fill(self) -> None:
        """Fetches until there is a block of rows, or no row is left."""
        if not self.ended and len(self.rows) < self._block:
            self.more()

    def whole_before(self) -> str | None:
        """The person before whom the rows are complete and enough; None means all people."""
        user_id: str | None = None if self.ended else self.rows[-1][0]
        return user_id

    def more(self) -> None:
        """Fetches a further block."""
        fresh = self._cursor.fetch(self._block)
        self.ended = len(fresh) < self._block
        if fresh and not (isinstance(fresh[0][0], str) and isinstance(fresh[-1][0], str)):
            fresh = self._before_others(fresh)
        self.rows += fresh

    def _before_others(self, fresh: list[Row]) -> list[Row]:
        """The rows before the first row without a person; SQLite sorts such rows last."""
        end = next(place for place, row in enumerate(fresh) if not isinstance(row[0], str))
        self.ended = True
        self.nobodys = Found(
            "UNREADABLE", self.fields.stored(fresh[end]), "has a value of another type"
        )
        if not end:
            raise self.nobodys
        return fresh[:end]

    def before(self, user_id: str | None) -> list[Row]:
        """Takes the rows of the people before `user_id`; None takes all."""
        end = len(self.rows)
        if user_id is not None:
            end = bisect_left(self.rows, user_id, key=_user_of)
        taken = self.rows[:end]
        del self.rows[:end]
        return taken


def portions(streams: Sequence[Stream]) -> Iterator[tuple[str | None, list[list[Row]]]]:
    """The rows of all streams, some people at a time; no person is in two portions.

    A portion comes with a user id, and has the people before that id. The last one comes with None.
    """
    while True:
        for stream in streams:
            stream.fill()
        heads = [stream.rows[0][0] for stream in streams if stream.rows]
        if not heads:
            for stream in streams:
                if stream.nobodys is not None:
                    raise stream.nobodys
            return
        ends = [(stream.whole_before(), stream) for stream in streams]
        until = min((user_id for user_id, _ in ends if user_id is not None), default=None)
        if until is not None and until == min(heads):
            # A whole block is one person's, and more may follow.
            for user_id, stream in ends:
                if user_id == until:
                    stream.more()
            continue
        yield until, [stream.before(until) for stream in streams]


class Counts(Stream):
    """The number of rows of each line in a large table. These numbers bound a portion."""

    def __init__(self, connection: Connection, fields: Fields, text: Text) -> None:
        super().__init__(connection, fields, text)
        self._most = BLOCK_VALUES // 16

    def whole_before(self) -> str | None:
        """The person at which the rows are enough, or before which all counts are complete."""
        rows = 0
        for user_id, _, count, *_ in self.rows:
            rows += count
            if rows > self._most and user_id != self.rows[0][0]:
                return str(user_id)
        return super().whole_before()


def rows_of(connection: Connection, query: Text | Select[Any]) -> Iterator[Row]:
    """The rows of a query of a small table; each value has its declared type."""
    text = text_of(connection, query)
    columns = [column for column in text.columns if isinstance(column, Column)]
    types = [_types(column) for column in columns]
    for row in _driver_rows(connection, text):
        if not all(map(isinstance, row, types)):
            keys = [str(value) for value, at in zip(row, columns, strict=True) if at.primary_key]
            raise Found(
                "UNREADABLE",
                "/".join([columns[0].table.name, *keys]),
                "has a value of another type",
            )
        yield row


def _driver_rows(connection: Connection, text: Text) -> Iterator[Row]:
    """The rows of a query, a block at a time."""
    cursor = Cursor(connection, f"rows_{next(_numbers_of_cursors)}", text)
    # A caller that stops at a fault leaves rows unread. Their cursor must end before another call
    # uses the session.
    connection.get_execution_options()["results"].callback(cursor.close)
    block = BLOCK_VALUES // len(text.columns)
    while found := cursor.fetch(block):
        yield from found
        if len(found) < block:
            break
    cursor.close()


def first_of(connection: Connection, text: Text) -> Row | None:
    """The first row of a query that selects at most one row, or None. The server opens no
    cursor. Raises StorageFailed if the database refuses."""
    driver: Any = connection.dialect.loaded_dbapi
    try:
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute(text.sql, ())
            row: Row | None = cursor.fetchone()
    except driver.Error as error:
        raise StorageFailed("the database refused the read") from telling(error)
    return row


def _types(column: Column[Any]) -> tuple[type, ...]:
    python_type = column.type.python_type
    return (python_type, type(None)) if column.nullable else (python_type,)
