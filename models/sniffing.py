"""Guesses how a data file is written: its packing, encoding, delimiter and header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models import csv_records, encodings, file_bytes, spec_data
from models.errors import DatasetError
from models.spec_data import SPACES, Data
from models.toml_table import TomlTable

_SAMPLE = 1 << 18
_RECORDS = 400
# Records among which the header is sought, and the most lines after the last row.
_HEADERS, _LAST_LINES = 5, 20
_DELIMITERS = (",", ";", "\t", "|", " ")
_COMMENT, _COMMENT_LINE = re.compile(r"\s*%"), re.compile(rb"(?m)^[ \t]*%")
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*%?|[+-]?\.[0-9]+")
# Each line is matched once, so that a file of blank lines takes no longer than its length.
_ARFF = re.compile(rb"(?:[^\S\n]*(?:%[^\n]*)?\n)*+[^\S\n]*@relation\b", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"@attribute\s+(?:(?P<mark>['\"])(?P<quoted>.+?)(?P=mark)|(?P<plain>[^\s{]+))", re.IGNORECASE
)
_BEYOND_ASCII, _CELL_END = re.compile(rb"[\x80-\xff]"), re.compile(rb"[,;|\t\"\r\n]")
_SHOWN = 40
# Texts that are no tables, by their beginnings, and what to do with them.
_OTHERS = (
    (re.compile(rb"\s*\{\s*\"[^\n]*\}[^\S\n]*\n\s*+\{"), "is JSON lines"),
    (re.compile(rb"\s*(?:\{\s*\"|\[\s*[\[{])"), "is JSON"),
    (re.compile(rb"\s*<(?:!doctype\s+html|html|head|body|table|div)\b", re.I), "is an HTML page"),
    (re.compile(rb"\s*<\?xml\b", re.I), "is XML"),
)
_ROW_NAMES = "row names"
_PACKED = {b"\x1f\x8b": "gz", b"\xfd7zX": "xz"}


def data_of(keys: dict[str, Any], folder: Path) -> Data:
    """The parsed [data] table with these keys."""
    return spec_data.data(TomlTable("", {"data": keys}, ("data",)), folder)


class Sniffed(NamedTuple):
    """The keys of a [data] table, and what its reader should look at."""

    keys: dict[str, Any]
    notes: tuple[str, ...] = ()


def sniff(path: Path, label: str | int, folder: Path) -> Sniffed:
    """How the file at `path` is written, which the spec in `folder` describes.

    `label` is a column that the table has. Raises DatasetError for a file that is no table.
    """
    try:
        name = str(path.resolve().relative_to(folder.resolve()))
    except ValueError:
        name = str(path.resolve())
    try:
        with path.open("rb") as file:
            first = file.read(8)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    if first.startswith(b"PAR1"):
        return Sniffed({"path": name, "format": "parquet"})
    keys: dict[str, Any] = {"path": name, "format": "csv"}
    keys["compression"] = next((c for m, c in _PACKED.items() if first.startswith(m)), "none")
    content = file_bytes.read(data_of(keys, folder)).content
    keys["encoding"] = encodings.guess(content, label)
    text = file_bytes.text(data_of(keys, folder), content)
    notes = tuple(filter(None, [_note(keys["encoding"], text)]))
    sample = text[:_SAMPLE]
    sample = sample[: sample.rfind(b"\n") + 1] or sample
    for beginning, said in _OTHERS:
        if beginning.match(text[:_SAMPLE]):
            raise DatasetError(f"{path.name}: {said}: convert it to CSV or Parquet")
    if _ARFF.match(sample):
        return Sniffed(keys | _arff(text, len(sample)), notes)
    keys["delimiter"] = _delimiter(sample, label)
    keys["quote"] = _quote(sample, keys["delimiter"])
    records = _records(sample, keys["delimiter"], keys["quote"])
    if not records:
        raise DatasetError(f"{path.name}: has no rows")
    width = Counter(map(len, records)).most_common(1)[0][0]
    skipped = next((i for i, cells in enumerate(records) if len(cells) >= width), 0)
    if header := _short_header(records, skipped, label):
        keys |= header
    else:
        keys["skip_lines"] = skipped = _header_line(records, skipped, label)
        keys["header"] = _has_header(records[skipped:], label)
    if keys["delimiter"] != SPACES:
        keys["skip_last_lines"] = _last_lines(text, keys["delimiter"], keys["quote"], width)
    return Sniffed(keys, notes)


def _short_header(records: list[list[str]], first: int, label: str | int) -> dict[str, Any]:
    """The keys for a header with one name fewer than the rows have cells; empty for another file.

    R writes the names of the rows into a first column that has no name. Where each row ends with a
    delimiter, the last cells are blank and have no name.
    """
    place = first - 1
    if place < 0 or len(records[place]) != len(records[first]) - 1:
        return {}
    names = [cell.strip() for cell in records[place]]
    below = [cells for cells in records[first:] if len(cells) == len(records[first])]
    if not all(names) or len({*names}) < len(names) or any(map(_NUMBER.fullmatch, names)):
        return {}
    if isinstance(label, str):
        if label not in names or _header_line(records, first, label) != first:
            return {}
    elif _has_header(below, label):
        return {}
    if not any(cells[-1].strip() for cells in below):
        return {"skip_lines": place, "header": True}
    return {"skip_lines": first, "header": False, "columns": [_ROW_NAMES, *names]}


def _header_line(records: list[list[str]], first: int, label: str | int) -> int:
    """The place of the header among the records: that of the first one, or of one of the next few
    where only that has the label."""
    for place in range(first, min(first + _HEADERS, len(records))):
        if label in [cell.strip() for cell in records[place]]:
            return place
    return first


def _last_lines(text: bytes, delimiter: str, quote: str, width: int) -> int:
    """The lines at the end of a file that have fewer cells than its rows, such as notes and totals.

    One with several cells and no end is none of them: the file breaks off there.
    """
    tail = text[-_SAMPLE:]
    if len(tail) < len(text):
        tail = tail[tail.find(b"\n") + 1 :]
    records = csv_records.scan(tail, delimiter, quote)
    if records.open:
        return 0
    found = 0
    start = np.concatenate(([0], records.end[:-1]))
    for place in range(records.end.shape[0] - 1, -1, -1):
        line = tail[start[place] : records.end[place]].strip(b"\r\n")
        cells = int(records.cells[place])
        if not line.replace(delimiter.encode(), b"").strip():
            continue
        if cells >= width:
            return found
        if cells > 1 and not found and not text.endswith(b"\n"):
            return 0
        found += 1
        if found > _LAST_LINES:
            return 0
    return 0


def _arff(text: bytes, length: int) -> dict[str, Any]:
    """The keys for the file format of Weka and KEEL: names and types of the columns, then rows.
    The columns are declared within so many bytes."""
    lines = text[:length].decode("utf-8", "replace").split("\n")
    names = []
    for number, line in enumerate(lines, start=1):
        words = line.strip()
        if found := _ATTRIBUTE.match(words):
            names.append(found["quoted"] or found["plain"])
        elif words.lower() == "@data":
            rows = [row for row in lines[number:] if row.strip() and not _COMMENT.match(row)]
            if rows and all(row.lstrip().startswith("{") for row in rows[:_RECORDS]):
                raise DatasetError(
                    "the file is a sparse ARFF file, whose rows name only the values that are not "
                    "0: convert it to CSV, with a cell for each column"
                )
            quote = "'" if any("'" in row for row in rows) else '"'
            keys = {"delimiter": ",", "quote": quote, "skip_lines": number, "header": False,
                    "columns": names}  # fmt: skip
            data = sum(len(line.encode("utf-8", "replace")) + 1 for line in lines[:number])
            return keys | ({"comment": "%"} if _COMMENT_LINE.search(text, data) else {})
    raise DatasetError("the file begins like one of Weka, but has no line @data")


def _note(encoding: str, text: bytes) -> str | None:
    """A note on an encoding that is a guess, with the first cell that shows it."""
    found = _BEYOND_ASCII.search(text)
    if encoding in ("utf-8", "utf-16") or found is None:
        return None
    at = found.start()
    before, after = _CELL_END.split(text[max(0, at - _SHOWN) : at])[-1], text[at : at + _SHOWN]
    cell = (before + _CELL_END.split(after)[0]).decode("utf-8", "ignore").strip()
    return (
        f"the file does not say its encoding and is read as {encoding}, such as {cell!r}: if that "
        "is wrong, save it as UTF-8 and draft again"
    )


def _delimiter(sample: bytes, label: str | int) -> str:
    """The delimiter that gives most records the same number of cells, and many of them; first of
    all one that makes the label a cell of the first records."""
    best, best_share, best_width, best_named = ",", 0.0, 1, False
    for each in _DELIMITERS:
        records = csv_records.scan(sample, each, '"')
        cells = records.cells[:_RECORDS].tolist()
        width, hits = Counter(cells).most_common(1)[0] if cells else (1, 0)
        share = round(hits / max(len(cells), 1), 1)
        first = sample[: records.end[:_HEADERS].max(initial=0)].decode("utf-8", "ignore")
        named = width > 1 and any(
            label == cell.strip(' "\r') for line in first.split("\n") for cell in line.split(each)
        )
        if width > 1 and (named, share, width) > (best_named, best_share, best_width):
            best, best_share, best_width, best_named = each, share, width, named
    widths = {len(re.split(rb"[ \t]+", line.strip())) for line in sample.splitlines()[:_RECORDS]}
    if best in (" ", "\t", ",") and best_share < 0.9 and len(widths - {1}) == 1:
        return SPACES
    return best


def _quote(sample: bytes, delimiter: str) -> str:
    """The mark around cells: ' where it stands around at least one cell of each line, and no \" is
    there; else \"."""
    if delimiter == SPACES or b'"' in sample:
        return '"'
    mark = re.escape(delimiter.encode())
    quoted = re.findall(rb"(?m)(?:^|(?<=" + mark + rb"))'[^'\n]*'(?=" + mark + rb"|\r?$)", sample)
    return "'" if len(quoted) >= max(2, sample.count(b"\n") - 1) else '"'


def _records(sample: bytes, delimiter: str, quote: str) -> list[list[str]]:
    text = sample.decode("utf-8", "ignore")
    if delimiter == SPACES:
        return [line.split() for line in text.splitlines()[:_RECORDS] if line.strip()]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
    try:
        found = [row for row, _ in zip(rows, range(_RECORDS), strict=False)]
    except csv.Error as error:
        raise DatasetError(f"the file cannot be split into cells ({error})") from error
    return found


def _has_header(records: list[list[str]], label: str | int) -> bool:
    first, rest = [c.strip() for c in records[0]], [r for r in records[1:] if any(r)]
    if isinstance(label, str) and label in first:
        return True
    if any(_NUMBER.fullmatch(cell) for cell in first) or not rest:
        return False
    return all(
        cell not in {row[j].strip() for row in rest if j < len(row)}
        for j, cell in enumerate(first)
        if cell
    )
