"""The rows of a table as numbers, split the same way every time. `models.reading` reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.errors import DatasetError
from models.spec import Spec
from models.spec_columns import Feature

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Indices = NDArray[np.int64]

UNSEEN = -1.0
"""The number of a text that is not among its column's levels."""


@dataclass(frozen=True)
class Dataset:
    """The kept rows of a spec's file, in the file's order.

    spec       the spec of the columns in use: inputs without two different values are left out
    ids        n different texts: those of the id's column, or the numbers of the rows
    row        (n,) int64, the numbers of the rows in the file, from 1
    raw        (n, k) float64, the input features in `spec.raw_names` order; NaN without a value.
               It lies in memory column after column, for a fit asks for its columns one by one
    levels     name of a text column -> its texts, in the order of their numbers in `raw`
    label      (n,) int8, 1 = bad
    protected  name -> (n,) float64, for measuring fairness only
    time       (n,) int64 seconds since 1970, or None where the spec has no [time]
    group      (n,) int64 number of each row's group, or None
    weight     (n,) float64 above 0, or None
    excluded   reasons of rows that were left out with their counts, in the order of the exclusions
    warnings   faults that do not stop the training, a sentence each
    sha256     of the uncompressed file

    A number is its value, a date its days since 1970, a code its integer, and a text its place
    among the levels.
    """

    spec: Spec
    ids: tuple[str, ...]
    row: Indices
    raw: Floats
    label: Labels
    sha256: str
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protected: Mapping[str, Floats] = field(default_factory=dict)
    time: Indices | None = None
    group: Indices | None = None
    weight: Floats | None = None
    excluded: tuple[tuple[str, int], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def dropped(self) -> int:
        """The number of rows that were left out."""
        return sum(count for _, count in self.excluded)


def stratified_folds(
    label: Labels, folds: int, seed: int, group: Indices | None = None
) -> NDArray[np.int8]:
    """Fold number of each row, (n,) int8 from 0 to folds - 1.

    Bad and good rows are shuffled separately and dealt in turn; the good rows continue where the
    bad rows stopped. So folds differ by at most one row in size, and by at most one row in each
    class. Rows of one group stay together: the groups are shuffled, sorted by their bad and then by
    all their rows, and dealt there and back. This code is not taken from a library, so a new
    version of a library cannot change the hold-out.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    if group is not None:
        return _grouped_folds(label, folds, generator, group)
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


def _grouped_folds(
    label: Labels, folds: int, generator: np.random.Generator, group: Indices
) -> NDArray[np.int8]:
    _, number, rows = np.unique(group, return_inverse=True, return_counts=True)
    count = rows.shape[0]
    bad = np.bincount(number, weights=label == 1, minlength=count)
    keys: NDArray[np.uint64] = np.asarray(generator.bit_generator.random_raw(count))
    order = np.lexsort(np.stack((keys.astype(np.float64), -rows, -bad)))
    turn, place = np.divmod(np.arange(count), folds)
    of_group = np.empty(count, dtype=np.int8)
    # There and back, or the first fold would get the largest group of each turn.
    of_group[order] = np.where(turn % 2 == 0, place, folds - 1 - place)
    return of_group[number]


def holdout_indices(data: Dataset) -> Indices:
    """Rows, ascending, that the served model never sees.

    The rows from [time].oot_from on when the spec has a time column, else fold 0 of the first seed.
    Of a group with such a row, the earlier rows are in neither part: see `training_indices`.
    """
    spec = data.spec
    if spec.time is not None and data.time is not None:
        return np.flatnonzero(data.time >= spec.time.oot_from)
    validation = spec.validation
    fold = stratified_folds(data.label, validation.folds, validation.seeds[0], data.group)
    return np.flatnonzero(fold == 0)


def training_indices(data: Dataset, holdout: Indices) -> Indices:
    """Rows, ascending, that the served model learns from: all others, except earlier rows of a
    group that is in the hold-out."""
    training: NDArray[np.bool_] = np.ones(data.label.shape[0], dtype=np.bool_)
    training[holdout] = False
    if data.group is not None:
        training &= ~np.isin(data.group, data.group[holdout])
    return np.flatnonzero(training)


def groups(
    feature: Feature, values: Floats, levels: tuple[str, ...]
) -> tuple[Indices, tuple[str, ...]]:
    """The number of each row's group by a protected column, -1 for none, and the groups' names.

    `values` are (n,) of the column. Without declared groups, a number has none, and each text is a
    group of its own.
    """
    if feature.type == "text":
        lists = feature.group_values or tuple((level,) for level in levels)
        names = feature.group_names or levels
        place = {text: g for g, texts in enumerate(lists) for text in texts}
        of_level = np.array([place.get(level, -1) for level in levels] + [-1], dtype=np.int64)
        # A missing value is not a number; the last entry stands for it.
        index = np.where(np.isnan(values), len(levels), values).astype(np.int64)
        return of_level[index], names
    if not feature.groups:
        return np.full(values.shape[0], -1, dtype=np.int64), ()
    code = np.searchsorted(np.array(feature.groups), values, side="right")
    return np.where(np.isnan(values), -1, code), feature.group_names


def id_hash(salt: str, row_id: str) -> str:
    """Hexadecimal sha256 of an id with its salt; the salt has a fixed length, so no separator."""
    return hashlib.sha256((salt + row_id).encode("utf-8")).hexdigest()
