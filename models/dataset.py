"""Reads the data that a spec describes, and splits them the same way every time."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import lzma
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import DatasetError
from models.spec import Feature, Spec

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Indices = NDArray[np.int64]

# A person's cell is a number, or the text for "no value".
_BLANK = frozenset(("", "NA", "NaN", "nan", "null"))


@dataclass(frozen=True)
class Dataset:
    """The content of a spec's file, row by row in the file's order.

    ids        n strings, unique
    raw        (n, k) float64, the input features in `Spec.raw_names` order
    label      (n,) int8, 1 = bad
    protected  name -> (n,) float64, for measuring fairness only
    time       n strings, or None where the spec has no [time]
    dropped    rows whose label is neither good nor bad
    sha256     of the uncompressed file
    """

    ids: tuple[str, ...]
    raw: Floats
    label: Labels
    protected: dict[str, Floats]
    time: tuple[str, ...] | None
    dropped: int
    sha256: str


def load(spec: Spec) -> Dataset:
    """Read the spec's file completely. Raises DatasetError with the row and the column."""
    content = _content(spec)
    digest = hashlib.sha256(content).hexdigest()
    if spec.data.sha256 is not None and digest != spec.data.sha256:
        raise DatasetError(
            f"{spec.data.path.name}: sha256 is {digest}, the spec expects {spec.data.sha256}"
        )
    names, rows = _rows(spec, content)
    position = {name: j for j, name in enumerate(names)}
    rows, label, dropped = _labelled(spec, rows, position[spec.label.column])
    ids = tuple(row[position[spec.id_column]] for row in rows)
    _check_ids(ids)
    columns = {
        f.name: _column(f, rows, position[f.name]) for f in spec.features if f.role != "excluded"
    }
    time = None
    if spec.time is not None:
        time = tuple(row[position[spec.time.column]] for row in rows)
    return Dataset(
        ids=ids,
        raw=np.ascontiguousarray(np.column_stack([columns[n] for n in spec.raw_names])),
        label=label,
        protected={f.name: columns[f.name] for f in spec.protected},
        time=time,
        dropped=dropped,
        sha256=digest,
    )


def stratified_folds(label: Labels, folds: int, seed: int) -> NDArray[np.int8]:
    """Fold number of each row, (n,) int8 from 0 to folds - 1.

    Bad and good rows are shuffled separately and dealt in turn; the good rows continue where the
    bad rows stopped. So folds differ by at most one row in size, and by at most one row in each
    class. This code is not taken from a library, so a new version of a library cannot change the
    hold-out.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    fold = np.empty(label.shape[0], dtype=np.int8)
    dealt = 0
    for value in (1, 0):
        members = np.flatnonzero(label == value)
        if members.shape[0] < folds:
            raise DatasetError(
                f"label {value} has {members.shape[0]} rows, too few for {folds} folds"
            )
        # Sorting keys drawn in file order needs only the generator's raw stream, which NumPy keeps
        # stable across versions; Generator.shuffle is not promised to stay the same.
        keys = generator.bit_generator.random_raw(members.shape[0])
        members = members[np.argsort(keys, kind="stable")]
        fold[members] = (dealt + np.arange(members.shape[0])) % folds
        dealt += members.shape[0]
    return fold


def holdout_indices(dataset: Dataset, spec: Spec) -> Indices:
    """Rows, ascending, that the served model never sees.

    The rows from [time].oot_from on when the spec has a time column, else fold 0 of the first seed.
    """
    if spec.time is not None and dataset.time is not None:
        late = np.array([t >= spec.time.oot_from for t in dataset.time])
        if not 0 < int(late.sum()) < late.shape[0]:
            raise DatasetError("time.oot_from needs rows before it and rows after it")
        return np.flatnonzero(late)
    fold = stratified_folds(dataset.label, spec.validation.folds, spec.validation.seeds[0])
    return np.flatnonzero(fold == 0)


def id_hash(salt: str, row_id: str) -> str:
    """Hexadecimal sha256 of an id with its salt; the salt has a fixed length, so no separator."""
    return hashlib.sha256((salt + row_id).encode("utf-8")).hexdigest()


def id_hashes(salt: str, ids: Iterable[str]) -> list[str]:
    """The `id_hash` of each id, sorted, so that their order does not reveal the order of the
    file."""
    return sorted(id_hash(salt, i) for i in ids)


def _content(spec: Spec) -> bytes:
    path = spec.data.path
    try:
        stored = path.read_bytes()
        if spec.data.compression == "xz":
            return lzma.decompress(stored)
        if spec.data.compression == "gz":
            return gzip.decompress(stored)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    return stored


def _rows(spec: Spec, content: bytes) -> tuple[list[str], list[list[str]]]:
    """Column names and rows of text; the spec must have every column."""
    try:
        text = content.decode(spec.data.encoding)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=spec.data.delimiter))
    except (UnicodeDecodeError, LookupError, csv.Error) as error:
        raise DatasetError(f"{spec.data.path.name}: {error}") from error
    names = list(spec.data.columns)
    if spec.data.header:
        header = rows.pop(0) if rows else []
        if names and header != names:
            raise DatasetError(f"{spec.data.path.name}: the header differs from data.columns")
        names = header
    if len(set(names)) != len(names):
        raise DatasetError(f"{spec.data.path.name}: a column name appears twice")
    wanted = [spec.id_column, spec.label.column, *(f.name for f in spec.features)]
    if spec.time is not None:
        wanted.append(spec.time.column)
    absent = sorted(set(wanted) - set(names))
    if absent:
        raise DatasetError(f"{spec.data.path.name}: has no column {', '.join(absent)}")
    unknown = sorted(set(names) - set(wanted))
    if unknown:
        raise DatasetError(
            f"{spec.data.path.name}: column {', '.join(unknown)} is not in the spec; "
            'give it role = "excluded" if the model shall not see it'
        )
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise DatasetError(f"row {number}: has {len(row)} cells, not {len(names)}")
    if not rows:
        raise DatasetError(f"{spec.data.path.name}: has no rows")
    return names, rows


def _labelled(spec: Spec, rows: list[list[str]], j: int) -> tuple[list[list[str]], Labels, int]:
    meaning = dict.fromkeys(spec.label.bad, 1) | dict.fromkeys(spec.label.good, 0)
    kept = [row for row in rows if row[j] in meaning]
    label = np.array([meaning[row[j]] for row in kept], dtype=np.int8)
    for value, name in ((1, "bad"), (0, "good")):
        if not (label == value).any():
            raise DatasetError(f"label.{name}: no row has any of these values")
    return kept, label, len(rows) - len(kept)


def _check_ids(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for number, row_id in enumerate(ids, start=1):
        if not row_id or row_id in seen:
            raise DatasetError(f"labelled row {number}: id {row_id!r} is empty or repeated")
        seen.add(row_id)


def _column(feature: Feature, rows: list[list[str]], j: int) -> Floats:
    name = feature.name
    try:
        values = np.array([float(row[j]) for row in rows], dtype=np.float64)
    except ValueError:
        values = _column_with_blanks(name, rows, j)
    missing = np.isnan(values)
    if feature.role == "input":
        if feature.missing == "reject" and missing.any():
            raise DatasetError(f"{name}: row {int(np.argmax(missing)) + 1} has no value")
        if feature.missing == "nan" and not missing.any():
            # LightGBM treats NaN as 0 when training had none, so the model could not keep the
            # promise.
            raise DatasetError(f'{name}: missing = "nan" is allowed but no row lacks a value')
        out = ~missing & ((values < feature.minimum) | (values > feature.maximum))
        out |= np.isinf(values)
        if out.any():
            raise DatasetError(f"{name}: row {int(np.argmax(out)) + 1} is outside min..max")
    if feature.type in ("integer", "code"):
        broken = ~missing & (values != np.floor(values))
        if broken.any():
            raise DatasetError(f"{name}: row {int(np.argmax(broken)) + 1} is not an integer")
    return values


def _column_with_blanks(name: str, rows: list[list[str]], j: int) -> Floats:
    values = np.empty(len(rows), dtype=np.float64)
    for i, row in enumerate(rows):
        try:
            values[i] = np.nan if row[j] in _BLANK else float(row[j])
        except ValueError as error:
            raise DatasetError(f"{name}: row {i + 1} is not a number: {row[j]!r}") from error
    return values
