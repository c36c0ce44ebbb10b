"""The rows of a spec: the file, the label, the dates, and the rows outside the study."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

from models import spec_columns
from models.spec_columns import ISO, NOTATION_KEYS, Notation
from models.toml_table import TomlTable

FORMATS = ("csv", "parquet")
COMPRESSIONS = ("none", "xz", "gz")
OTHERS = ("refuse", "exclude")
SPACES = "spaces"
"""The delimiter of files whose cells are apart by one or more spaces or tabs."""

DATA_KEYS = (
    "path", "format", "compression", "delimiter", "quote", "encoding", "header", "skip_lines",
    "skip_last_lines", "comment", "columns", "other_columns", "sha256", *NOTATION_KEYS,
)  # fmt: skip
LABEL_KEYS = (
    "column", "bad", "good", "ignore", "horizon", "outcome", "population", "simulated",
)  # fmt: skip
TIME_KEYS = ("column", "format", "oot_from")
COLUMN_KEYS = ("column",)
EXCLUDE_KEYS = (
    "reason", "column", "values", "other_than", "below", "above", "before", "after", "format",
    "missing",
)  # fmt: skip
_CONDITIONS = ("values", "other_than", "below", "above", "before", "after", "missing")


@dataclass(frozen=True)
class Data:
    """The place and format of the data file; `sha256` is of the uncompressed bytes.

    `skip_lines` lines stand before the header, or before the first row, and `skip_last_lines` lines
    that are not blank after the last row. Lines that begin with `comment` count as blank, unless it
    is "". `columns` names the columns of a file without a header, and must equal a header that is
    there. `others` says whether columns that the spec does not name are refused or not read.
    `notation` is that of every column that declares no other.
    """

    path: Path
    format: str
    compression: str
    delimiter: str
    quote: str
    encoding: str
    header: bool
    skip_lines: int
    skip_last_lines: int
    comment: str
    columns: tuple[str, ...]
    others: str
    sha256: str | None
    notation: Notation


@dataclass(frozen=True)
class Label:
    """The values of the label's column that are bad and good, and the meaning of the outcome.

    Rows with a value in `ignore` are left out. `simulated` outcomes are those of no real people.
    """

    column: str | int
    bad: tuple[str, ...]
    good: tuple[str, ...]
    horizon: str
    outcome: str
    population: str
    ignore: tuple[str, ...] = ()
    simulated: bool = False


@dataclass(frozen=True)
class Time:
    """Rows at or after `oot_from` (seconds since 1970) are the hold-out."""

    column: str | int
    oot_from: int
    format: str = ISO


@dataclass(frozen=True)
class Exclusion:
    """Rows outside the study, and the reason.

    Exactly one condition on one column: the text is one of `values`, or is none of `other_than`;
    the number is below `below` or above `above`; the date is before `before` or after `after`
    (seconds since 1970, written in `format`); or there is no value.
    """

    reason: str
    column: str | int
    values: tuple[str, ...] = ()
    other_than: tuple[str, ...] = ()
    below: float | None = None
    above: float | None = None
    before: int | None = None
    after: int | None = None
    format: str = ISO
    missing: bool = False


def data(top: TomlTable, folder: Path) -> Data:
    """The [data] table; the path is relative to the spec's folder."""
    table = TomlTable("data", top.get("data", ...), DATA_KEYS, top.faults)
    sha256 = table.optional_text("sha256")
    if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        table.fault("sha256", "must be 64 lower-case hexadecimal digits")
    path = table.text("path")
    if "\0" in path:
        table.fault("path", "has a character that no path can have")
    delimiter = table.text("delimiter", ",")
    if delimiter != SPACES and (
        len(delimiter) != 1 or not delimiter.isascii() or delimiter in "\r\n\0"
    ):
        table.fault("delimiter", f'must be one ASCII character, or "{SPACES}" for runs of spaces')
    quote = table.get("quote", '"')
    if not isinstance(quote, str) or len(quote) > 1 or not quote.isascii() or quote in {*"\r\n"}:
        table.fault("quote", 'must be one ASCII character, or "" for none')
        quote = '"'
    if quote and quote == delimiter:
        table.fault("quote", "must differ from the delimiter")
    lower = path.lower()
    compression = "gz" if lower.endswith(".gz") else "xz" if lower.endswith(".xz") else "none"
    return Data(
        path=folder / path if "\0" not in path else folder,
        format=table.choice("format", FORMATS, "parquet" if ".parquet" in lower else "csv"),
        compression=table.choice("compression", COMPRESSIONS, compression),
        delimiter=delimiter,
        quote=quote,
        encoding=table.text("encoding", "utf-8"),
        header=table.flag("header", True),
        skip_lines=table.integer("skip_lines", 0, 1000, 0),
        skip_last_lines=table.integer("skip_last_lines", 0, 1000, 0),
        comment=_comment(table),
        columns=tuple(table.list_of("columns", str, [])),
        others=table.choice("other_columns", OTHERS, "refuse"),
        sha256=sha256,
        notation=spec_columns.notation(table, Notation()),
    )


def _comment(table: TomlTable) -> str:
    comment = table.get("comment", "")
    if not isinstance(comment, str) or not comment.isascii() or comment != "".join(comment.split()):
        table.fault("comment", 'must be ASCII characters without a space, or "" for none')
        return ""
    return comment


def label(top: TomlTable) -> Label:
    """The [label] table."""
    table = TomlTable("label", top.get("label", ...), LABEL_KEYS, top.faults)
    bad, good = _texts(table, "bad", ...), _texts(table, "good", ...)
    ignore = _texts(table, "ignore", [])
    for name, values in (("bad", bad), ("good", good)):
        if not values and table.has(name):
            table.fault(name, "must not be empty")
    for name, values, other, earlier in (
        ("good", good, "bad", bad), ("ignore", ignore, "bad", bad), ("ignore", ignore, "good", good)
    ):  # fmt: skip
        both = sorted({*values} & {*earlier})
        if both:
            table.fault(name, f"has the value {both[0]!r}, which is also in label.{other}")
    return Label(
        column=table.column("column"),
        bad=bad,
        good=good,
        horizon=table.text("horizon"),
        outcome=table.text("outcome"),
        population=table.text("population"),
        ignore=ignore,
        simulated=table.flag("simulated", False),
    )


def time(top: TomlTable, last_year: int) -> Time | None:
    """The [time] table, if there is one. Years of two digits are those up to `last_year`."""
    if not top.has("time"):
        return None
    table = TomlTable("time", top.value["time"], TIME_KEYS, top.faults)
    return Time(
        column=table.column("column"),
        oot_from=_instant(table, "oot_from", last_year) or 0,
        format=spec_columns.date_format(table),
    )


def column(top: TomlTable, name: str) -> str | int | None:
    """The column of an optional table such as [id], which has this key alone."""
    if not top.has(name):
        return None
    return TomlTable(name, top.value[name], COLUMN_KEYS, top.faults).column("column")


def exclusions(top: TomlTable, last_year: int) -> tuple[Exclusion, ...]:
    """The [[exclude]] tables. Years of two digits are those up to `last_year`."""
    tables = top.tables("exclude", EXCLUDE_KEYS, required=False)
    return tuple(_exclusion(table, last_year) for table in tables)


def _exclusion(table: TomlTable, last_year: int) -> Exclusion:
    given = [name for name in _CONDITIONS if table.has(name)]
    if len(given) != 1:
        table.fault("column", f"needs exactly one of {', '.join(_CONDITIONS)}")
    if table.has("missing") and table.value["missing"] is not True:
        table.fault("missing", "must be true")
    if table.has("format") and not {"before", "after"} & {*given}:
        table.fault("format", "is allowed only with before or after")
    numbers = {
        name: table.number(name, -1e300, 1e300) for name in ("below", "above") if table.has(name)
    }
    return Exclusion(
        reason=table.text("reason"),
        column=table.column("column"),
        values=_texts(table, "values", []),
        other_than=_texts(table, "other_than", []),
        below=numbers.get("below"),
        above=numbers.get("above"),
        before=_instant(table, "before", last_year) if table.has("before") else None,
        after=_instant(table, "after", last_year) if table.has("after") else None,
        format=spec_columns.date_format(table),
        missing=table.has("missing"),
    )


def _texts(table: TomlTable, name: str, default: object) -> tuple[str, ...]:
    values = [str(v).strip() for v in table.list_of(name, (str, int), default)]
    if len({*values}) != len(values):
        table.fault(name, "has a value twice")
    return tuple(values)


def _instant(table: TomlTable, name: str, last_year: int) -> int | None:
    """A date of the spec in seconds since 1970: a TOML date, ISO text, or text in `format`."""
    value = table.get(name, ...)
    if value is ...:
        return None
    found = _date_of(value, table.value.get("format"), last_year)
    if found is None:
        table.fault(name, "must be a date, as 2026-11-29, or as its column writes it")
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return int(found.timestamp())


def _date_of(value: object, form: object, last_year: int) -> datetime.datetime | None:
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    forms = [form] if isinstance(form, str) and form != ISO else []
    for each in [*forms, "%Y-%m-%d", "%Y-%m", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y"]:
        try:
            found = datetime.datetime.strptime(value.strip(), each)
            if "%y" in each:
                # As `cells.seconds` reads the column; a leap day that the century lacks is no date.
                found = found.replace(year=last_year - (last_year - found.year) % 100)
            return found
        except ValueError:
            continue
    return None
