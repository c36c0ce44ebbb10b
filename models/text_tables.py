"""A data file as columns of text, block by block, with the numbers of its rows.

A CSV file and a Parquet file read alike. Only a block is text at any time, so that a large file
takes little more memory than its numbers.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PanicException, PolarsError

from models import csv_records, file_bytes
from models.csv_records import Records
from models.errors import DatasetError
from models.spec_data import SPACES, Data

Indices = NDArray[np.int64]

BLOCK_ROWS = 65_536
_BLOCKS, _BLOCK_CELLS = 16, 250_000
_SPACE = b"\x1f"
# Faults of single rows are listed up to this number.
_LISTED = 3


class Block(NamedTuple):
    """Rows of the file: their numbers, from 1, and their cells as trimmed text.

    A frame's columns are named by their positions in the file, from 0.
    """

    row: Indices
    cells: pl.DataFrame


class TextTable(Protocol):
    """A file's columns. A column without a name, or with a blank one, is called `column_N`.

    `unreadable` has the types of columns that are no numbers, texts or dates, by their positions.
    """

    names: tuple[str, ...]
    sha256: str
    rows: int
    unreadable: Mapping[int, str]

    def blocks(self, positions: Sequence[int], step: int = BLOCK_ROWS) -> Iterator[Block]:
        """The columns at these positions, all rows in order, `step` rows of the file at a time."""

    def close(self) -> None:
        """Let go of the file's content."""


def block_rows(rows: int, columns: int) -> int:
    """The rows of a block of so many columns of a table: a sixteenth of them, so that their texts
    take little beside the numbers, but enough cells that the block's own cost is small."""
    enough = -(-_BLOCK_CELLS // max(1, columns))
    return min(BLOCK_ROWS, max(enough, -(-rows // _BLOCKS)))


def open_table(data: Data) -> TextTable:
    """Open the spec's file. Raises DatasetError for a file that is no table."""
    if data.format == "parquet":
        return ParquetTable(data)
    return CsvTable(data)


class CsvTable:
    """A CSV file. Blank lines have numbers but are not rows."""

    def __init__(self, data: Data) -> None:
        read = file_bytes.read(data)
        self._name = data.path.name
        self.sha256 = read.sha256
        self._delimiter, self._quote = data.delimiter, data.quote
        content = file_bytes.text(data, read.content)
        if data.comment:
            mark = re.escape(data.comment.encode())
            content = re.sub(rb"(?m)^[ \t]*" + mark + rb"[^\n]*", b"", content)
        if data.delimiter == SPACES:
            self._delimiter = _SPACE.decode()
            content = re.sub(rb"(?m)^[ \t]+|[ \t\r]+$", b"", content)
            content = re.sub(rb"[ \t]+", _SPACE, content)
        self._content = content
        records = csv_records.scan(self._content, self._delimiter, self._quote)
        first = data.skip_lines + (1 if data.header else 0)
        if records.end.shape[0] < first or not records.end.shape[0]:
            raise DatasetError(f"{self._name}: has no rows")
        start = np.concatenate(([0], records.end[:-1]))
        header = self._record(start, records, data.skip_lines) if data.header else []
        if data.header and data.columns and tuple(header) != data.columns:
            raise DatasetError(f"{self._name}: the header differs from data.columns")
        self._start = start[first:]
        self._end = records.end[first:]
        self._cells = records.cells[first:]
        self._full = self._filled()
        if data.skip_last_lines:
            self._full[np.flatnonzero(self._full)[-data.skip_last_lines :]] = False
        if not self._full.any():
            raise DatasetError(f"{self._name}: has no rows")
        self.rows = int(self._full.sum())
        if records.open:
            raise DatasetError(self._never_closed())
        width = int(np.median(self._cells[self._full]))
        while len(header) > width and not header[-1].strip():
            header.pop()
        if not header:
            header = list(data.columns) or [""] * width
            if len(header) != width:
                raise DatasetError(
                    f"{self._name}: rows have {width} cells, but data.columns has {len(header)}"
                )
        self.names = named(header)
        self.unreadable: Mapping[int, str] = {}
        self._check_cells()

    def _record(self, start: Indices, records: Records, index: int) -> list[str]:
        line = self._content[start[index] : records.end[index]].decode("utf-8").strip("\r\n")
        try:
            cells = next(
                csv.reader(
                    io.StringIO(line, newline=""),
                    delimiter=self._delimiter,
                    quotechar=self._quote or None,
                    quoting=csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE,
                ),
                [],
            )
        except csv.Error as error:
            raise DatasetError(f"{self._name}: the header cannot be read ({error})") from error
        return cells

    def _filled(self) -> NDArray[np.bool_]:
        """The records that have more than delimiters and line ends."""
        length = self._end - self._start
        filled: NDArray[np.bool_] = length - self._cells > 2
        for index in np.flatnonzero(~filled).tolist():
            line = self._content[self._start[index] : self._end[index]]
            filled[index] = bool(line.decode("utf-8").replace(self._delimiter, "").strip())
        return filled

    def _never_closed(self) -> str:
        return (
            f"{self._name}: row {self._start.shape[0]} opens a quote ({self._quote}) that is never "
            'closed; if quotes are ordinary text in this file, write quote = ""'
        )

    def _check_cells(self) -> None:
        """Every row has a cell for each column; blank cells beyond them do not count."""
        width = len(self.names)
        wrong = np.flatnonzero(self._full & (self._cells != width))
        beyond = []
        for index in wrong.tolist():
            line = self._content[self._start[index] : self._end[index]].rstrip(b"\r\n")
            more = int(self._cells[index]) - width
            if more < 0 or not line.endswith(self._delimiter.encode() * more):
                beyond.append(index)
                if len(beyond) > _LISTED:
                    break
        if beyond:
            said = "; ".join(
                f"row {i + 1}: has {int(self._cells[i])} cells, not {width}"
                for i in beyond[:_LISTED]
            )
            more_rows = "; and more rows" if len(beyond) > _LISTED else ""
            raise DatasetError(
                f"{self._name}: {said}{more_rows}; check data.delimiter and data.quote, or correct "
                "the file"
            )

    def blocks(self, positions: Sequence[int], step: int = BLOCK_ROWS) -> Iterator[Block]:
        """The columns at these positions, all rows in order, `step` rows of the file at a time."""
        wanted = sorted({*positions})
        for first in range(0, self._start.shape[0], step):
            last = min(first + step, self._start.shape[0])
            piece = self._content[self._start[first] : self._end[last - 1]]
            frame = self._frame(piece, wanted, first, last)
            full = self._full[first:last]
            row = np.flatnonzero(full) + first + 1
            if not full.all():
                frame = frame.filter(pl.Series(full))
            yield Block(row, frame.select(pl.all().str.strip_chars()))

    def close(self) -> None:
        """Let go of the file's content."""
        self._content = b""

    def _frame(self, piece: bytes, wanted: list[int], first: int, last: int) -> pl.DataFrame:
        try:
            frame = pl.read_csv(
                piece,
                has_header=False,
                separator=self._delimiter,
                quote_char=self._quote or None,
                infer_schema=False,
                schema={str(j): pl.String for j in range(len(self.names))},
                columns=wanted,
                empty_string_is_null=False,
                extra_columns="ignore",
                missing_columns="insert",
            )
            fault = "" if frame.height == last - first else f"{frame.height} rows"
        except (PolarsError, PanicException) as error:
            fault = str(error).split("\n")[0]
        if fault:
            raise DatasetError(
                f"{self._name}: rows {first + 1} to {last} cannot be split into cells ({fault}); "
                'if quotes are ordinary text in this file, write quote = ""'
            )
        return frame.fill_null("")


class ParquetTable:
    """A Parquet file. Numbers and dates become text, so that they are read as in a CSV file."""

    def __init__(self, data: Data) -> None:
        read = file_bytes.read(data)
        self._name = data.path.name
        self.sha256 = read.sha256
        self._content = read.content
        try:
            self._schema = pl.read_parquet_schema(io.BytesIO(self._content))
            counted = pl.scan_parquet(io.BytesIO(self._content)).select(pl.len()).collect()
        except (PolarsError, PanicException, ValueError, OSError) as error:
            raise DatasetError(
                f"{self._name}: is not a readable Parquet file ({_line(error)})"
            ) from error
        self.rows = int(counted.item())
        if not self.rows:
            raise DatasetError(f"{self._name}: has no rows")
        self._columns = list(self._schema)
        if data.columns and tuple(self._columns) != data.columns:
            raise DatasetError(f"{self._name}: the header differs from data.columns")
        self.names = named(self._columns)
        self.unreadable: Mapping[int, str] = {
            j: str(kind)
            for j, kind in enumerate(self._schema.values())
            if kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Duration)
        }

    def blocks(self, positions: Sequence[int], step: int = BLOCK_ROWS) -> Iterator[Block]:
        """The columns at these positions, all rows in order, `step` rows of the file at a time."""
        wanted = sorted({*positions})
        chosen = [
            _as_text(self._columns[j], self._schema[self._columns[j]]).alias(str(j)) for j in wanted
        ]
        for j in wanted:
            if kind := self.unreadable.get(j):
                raise DatasetError(
                    f"{self.names[j]}: has type {kind} in {self._name}, which is no number, text "
                    "or date"
                )
        for first in range(0, self.rows, step):
            try:
                scanned = pl.scan_parquet(io.BytesIO(self._content)).slice(first, step)
                frame = scanned.select(chosen).collect()
            except (PolarsError, PanicException) as error:
                raise DatasetError(
                    f"{self._name}: rows from {first + 1} on cannot be read ({_line(error)})"
                ) from error
            row = np.arange(first + 1, first + 1 + frame.height)
            yield Block(row, frame.fill_null("").select(pl.all().str.strip_chars()))

    def close(self) -> None:
        """Let go of the file's content."""
        self._content = b""


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if kind.is_float():
        # 1.0 is written as 1, as in most CSV files, and NaN is no value.
        whole = (column == column.round()) & (column.abs() < 1e15)
        return (
            pl.when(column.is_nan())
            .then(pl.lit(""))
            .when(whole)
            .then(pl.when(whole).then(column).cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(column.cast(pl.String))
        )
    if kind == pl.Date:
        return column.dt.to_string("%Y-%m-%d")
    if isinstance(kind, pl.Datetime):
        return column.dt.replace_time_zone(None).dt.to_string("%Y-%m-%d %H:%M:%S")
    return column.cast(pl.String)


def named(header: Sequence[str]) -> tuple[str, ...]:
    """The columns' names as they stand, trimmed and in one Unicode form; a blank one becomes
    `column_N`."""
    names = [unicodedata.normalize("NFC", name.strip()) for name in header]
    return tuple(name or f"column_{index}" for index, name in enumerate(names, start=1))


def _line(error: BaseException) -> str:
    return str(error).split("\n")[0]
