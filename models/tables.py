"""Shallow trees as tables: all comparisons of all trees at once, then one look-up for each tree.

A tree of depth 3 has at most seven comparisons; their outcomes, as seven bits, index a row of 128
entries computed when the model is loaded. The entries are the tree's leaf values here, and its
exact SHAP values in `models.explain`. LightGBM adds the trees in their order, and so does this
module: the margins equal LightGBM's to the last bit, at less cost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import IncompatibleError

Floats = NDArray[np.float64]

NODES = 7
PATTERNS = 2**NODES
# Batches are padded to a multiple of this: so there are few widths to prepare.
_STEP = 4
# A row alone has a table of its own, unless the model needs a larger one.
_MOST_BYTES = 4_000_000

# LightGBM's decision_type of a split: bit 0 is "categorical", bit 1 "missing values go left", bits
# 2 and 3 are the kind of missing value.
_CATEGORICAL, _MISSING_LEFT, _KIND = 1, 2, 12
_KIND_NONE, _KIND_NAN = 0, 8
# LightGBM's kZeroThreshold, 1e-35 as a 32-bit float: it reads values from -ZERO to ZERO as 0, and
# splits only at -ZERO and ZERO, never between.
ZERO = float.fromhex("0x1.a95a5cp-117")


@dataclass(frozen=True)
class Tree:
    """One tree of a model's text. A child below 0 is leaf number -child - 1.

    `nan_right` says for each split whether NaN goes right. `knows_nan` says whether this direction
    was fitted: without missing values in training, LightGBM takes NaN for 0.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    nan_right: tuple[bool, ...]
    knows_nan: tuple[bool, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    leaf_value: tuple[float, ...]
    leaf_count: tuple[int, ...]
    node_count: tuple[int, ...]


def parse(model_text: str) -> list[Tree]:
    """The trees of a LightGBM model's text. Raises IncompatibleError for kinds that no model here
    has: categorical splits, zero as a missing value, linear leaves."""
    trees = []
    for section in model_text.partition("end of trees")[0].split("\nTree=")[1:]:
        keys = dict(line.split("=", 1) for line in section.splitlines() if "=" in line)
        trees.append(_tree(keys))
    if not trees:
        raise IncompatibleError("the model's text has no trees")
    return trees


def column_bounds(model_text: str) -> list[tuple[float, float]]:
    """Smallest and largest value of each column in training, from the model's text.

    Infinite for a column that did not vary. Raises IncompatibleError for a text without them.
    """
    found = re.search("^feature_infos=(.*)$", model_text, re.MULTILINE)
    if found is None:
        raise IncompatibleError("the model's text does not have the bounds of its columns")
    bounds = []
    for info in found[1].split():
        low, colon, high = info.strip("[]").partition(":")
        bounds.append((float(low), float(high)) if colon else (-math.inf, math.inf))
    return bounds


def hold(trees: list[Tree]) -> bool:
    """Whether the trees fit into tables: none has more than seven splits."""
    return all(len(tree.feature) <= NODES for tree in trees)


def blind_columns(trees: list[Tree]) -> frozenset[int]:
    """The columns that some split reads without a fitted direction for NaN."""
    return frozenset(
        feature
        for tree in trees
        for feature, knows in zip(tree.feature, tree.knows_nan, strict=True)
        if not knows
    )


class Patterns:
    """All comparisons of a model: from derived columns to an index into a (trees, 128) table.

    Many trees make the same comparison; each is computed once. A row of data is a column here, so
    that every step works on contiguous runs for the whole batch.
    """

    def __init__(self, trees: list[Tree]) -> None:
        # Comparisons that send NaN right come after the others: each part is one comparison.
        questions = sorted({q for tree in trees for q in _questions(tree)})
        position = {question: i for i, question in enumerate(questions)}
        self._left = sum(not nan_right for nan_right, _, _ in questions)
        # The unused slots of trees with few splits hold any comparison: both results lead to the
        # same leaf.
        slots = np.zeros((NODES, len(trees)), dtype=np.intp)
        for t, tree in enumerate(trees):
            for node, question in enumerate(_questions(tree)):
                slots[node, t] = position[question]
        self._slots = slots
        self._feature = np.array([f for _, f, _ in questions] or [0], dtype=np.intp)
        self._threshold = np.array([v for _, _, v in questions] or [np.inf])
        self._bit = (1 << np.arange(NODES, dtype=np.uint8))[:, None, None]
        self._start = np.arange(len(trees), dtype=np.intp) * PATTERNS
        self._repeated: dict[int, tuple[Floats, NDArray[np.intp]]] = {}
        self._alone = _Alone.of(trees)

    def index(self, x: Floats) -> NDArray[np.intp]:
        """(n, k) derived values to (trees, n or a few more) indices into a flattened table; columns
        beyond n are padding.

        Bit i of a pattern is set where comparison i goes right: the value exceeds the threshold,
        or is NaN and was sent right.
        """
        rows = x.shape[0]
        if rows == 1 and self._alone is not None:
            patterns = self._alone.patterns(x[0])
            if patterns is not None:
                alone: NDArray[np.intp] = (patterns + self._start)[:, None]
                return alone
        width = -(-rows // _STEP) * _STEP
        if width not in self._repeated:
            self._repeated[width] = (_repeat(self._threshold, width), _repeat(self._start, width))
        threshold, start = self._repeated[width]
        if width > rows:
            x = np.concatenate((x, np.zeros((width - rows, x.shape[1]))))
        asked = x.T.take(self._feature, axis=0, mode="clip")
        right = np.empty(asked.shape, dtype=np.bool_)
        left = self._left
        # NaN is neither above nor at most any value.
        np.greater(asked[:left], threshold[:left], out=right[:left])
        np.less_equal(asked[left:], threshold[left:], out=right[left:])
        np.logical_not(right[left:], out=right[left:])
        bits = right.view(np.uint8).take(self._slots, axis=0, mode="clip")
        bits *= self._bit
        index: NDArray[np.intp] = np.add.reduce(bits, axis=0, dtype=np.uint8) + start
        return index


class _Alone:
    """The patterns of a row alone: one search for all columns, then one table row for each.

    The table has a row for each interval between a column's thresholds: the bits that the column's
    comparisons set in all trees. The rows of the columns have no bit in common.
    """

    def __init__(
        self,
        columns: Sequence[int],
        searched: NDArray[np.complex128],
        bits: NDArray[np.uint8],
        trees: int,
    ) -> None:
        """`searched` has the thresholds of the columns, each with the place of its column as the
        real part; numpy orders complex numbers by that part first, and NaN behind all."""
        self._columns = np.array(columns, dtype=np.intp)
        self._search = searched.searchsorted
        self._trees = trees
        # Eight trees at a time.
        self._take = bits.view(np.uint64).take
        self._key = np.arange(len(columns)).astype(np.complex128)
        self._value = self._key.imag

    @classmethod
    def of(cls, trees: list[Tree]) -> _Alone | None:
        """The table of these trees; None if it would be too large."""
        asked: dict[int, dict[float, list[tuple[int, int]]]] = {}
        for t, tree in enumerate(trees):
            for node, (_, feature, threshold) in enumerate(_questions(tree)):
                asked.setdefault(feature, {}).setdefault(threshold, []).append((t, node))
        columns = sorted(asked)
        width = -(-len(trees) // 8) * 8
        # A value is searched for behind the mark of its column, so the first row is of none.
        rows = 1 + sum(len(asked[column]) + 1 for column in columns)
        if rows == 1 or rows * width > _MOST_BYTES:
            return None
        bits, searched, row = np.zeros((rows, width), dtype=np.uint8), [], 0
        for place, column in enumerate(columns):
            searched.append(complex(place - 0.5, 0.0))
            row += 1
            for threshold, slots in sorted(asked[column].items()):
                bits[row + 1] = bits[row]
                for t, node in slots:
                    bits[row + 1, t] |= 1 << node
                searched.append(complex(place, threshold))
                row += 1
        # A NaN is found behind this last mark, where the table has no row.
        searched.append(complex(len(columns) - 0.5, 0.0))
        return cls(columns, np.array(searched), bits, len(trees))

    def patterns(self, x: Floats) -> NDArray[np.uint8] | None:
        """(k,) values to (trees,) patterns; None if a value is missing."""
        x.take(self._columns, out=self._value, mode="clip")
        try:
            words = np.bitwise_or.reduce(self._take(self._search(self._key), axis=0), axis=0)
        except IndexError:
            return None
        patterns: NDArray[np.uint8] = words.view(np.uint8)[: self._trees]
        return patterns


class Margins:
    """Raw margins of (n, k) derived values, equal to LightGBM's to the last bit."""

    def __init__(self, trees: list[Tree]) -> None:
        self._values = np.concatenate([_leaf_values(tree) for tree in trees])

    def margin(self, index: NDArray[np.intp]) -> Floats:
        """Margins of the columns of `Patterns.index`."""
        return sum_trees(self._values.take(index, mode="clip"))


def sum_trees(values: Floats) -> Floats:
    """(trees, m) to (m,): sums in the order of the trees, as LightGBM adds.

    For m above 1 einsum adds tree after tree, three times as fast as a running sum; the tests and
    each model's golden rows verify that. A single column it would add in pairs.
    """
    if values.shape[1] == 1:
        return np.add.accumulate(values.ravel())[-1:]
    total: Floats = np.einsum("ij->j", values)
    return total


def leaves_reached(tree: Tree) -> list[int]:
    """Leaf number for each of the 128 patterns."""
    reached = []
    for pattern in range(PATTERNS):
        node = 0 if tree.feature else -1
        while node >= 0:
            node = tree.right[node] if pattern >> node & 1 else tree.left[node]
        reached.append(-node - 1)
    return reached


def _leaf_values(tree: Tree) -> Floats:
    return np.array(tree.leaf_value)[leaves_reached(tree)]


def _questions(tree: Tree) -> Iterator[tuple[bool, int, float]]:
    return zip(tree.nan_right, tree.feature, tree.threshold, strict=True)


def _repeat(column: NDArray[Any], width: int) -> NDArray[Any]:
    """Repeats values to one shape: an operation on equal shapes takes one pass, but a broadcast
    takes one pass for each row."""
    return np.repeat(column[:, None], width, axis=1)


def _tree(keys: dict[str, str]) -> Tree:
    try:
        if int(keys["num_cat"]) or int(keys.get("is_linear", "0")):
            raise IncompatibleError("a tree has categorical splits or linear leaves")
        if int(keys["num_leaves"]) == 1:
            value = float(keys["leaf_value"])
            return Tree((), (), (), (), (), (), (value,), (1,), ())
        kinds = _integers(keys["decision_type"])
        if any(k & _CATEGORICAL or k & _KIND not in (_KIND_NONE, _KIND_NAN) for k in kinds):
            raise IncompatibleError(
                "a tree has categorical splits, or treats zero as a missing value"
            )
        threshold = tuple(_threshold(float(v)) for v in keys["threshold"].split())
        return Tree(
            feature=_integers(keys["split_feature"]),
            threshold=threshold,
            nan_right=tuple(
                not k & _MISSING_LEFT if k & _KIND else t < 0.0
                for k, t in zip(kinds, threshold, strict=True)
            ),
            knows_nan=tuple(k & _KIND == _KIND_NAN for k in kinds),
            left=_integers(keys["left_child"]),
            right=_integers(keys["right_child"]),
            leaf_value=tuple(float(v) for v in keys["leaf_value"].split()),
            leaf_count=_integers(keys["leaf_count"]),
            node_count=_integers(keys["internal_count"]),
        )
    except (KeyError, ValueError) as error:
        raise IncompatibleError(f"a tree in the model's text cannot be read ({error})") from error


def _threshold(value: float) -> float:
    """The effective threshold: LightGBM takes a value this close to 0 for 0, and 0 is not above
    it."""
    return math.nextafter(value, -math.inf) if value == -ZERO else value


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(v) for v in text.split())
