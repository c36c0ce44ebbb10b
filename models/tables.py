"""Shallow trees as tables: all comparisons of all trees at once, then one look-up for each tree.

A tree of depth 3 has at most seven comparisons; their outcomes, as seven bits, index a row of 128
entries computed when the model is loaded. The entries are the tree's leaf values here, and its
exact SHAP values in `models.explain`. LightGBM adds the trees in their order, and so does this
module: the margins equal LightGBM's to the last bit, at less cost.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import IncompatibleError
from models.scratch import Memory

Floats = NDArray[np.float64]
Bits = NDArray[np.uint8]

NODES = 7
PATTERNS = 2**NODES
BLOCK = 64
"""Rows to look up at once: more would not fit the processor's cache."""
# Batches are padded to a multiple of this: so there are few widths to prepare.
_STEP = 4
# Patterns of so many trees are one word.
_TREES_TOGETHER = 8
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


def padded(trees: list[Tree]) -> list[Tree]:
    """The trees, and empty ones up to a multiple of 8; all indices and tables are of these. An
    empty tree adds 0."""
    empty = Tree((), (), (), (), (), (), (0.0,), (1,), ())
    return [*trees, *[empty] * (-len(trees) % _TREES_TOGETHER)]


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
    that every step works on contiguous runs for the whole batch. For one caller at a time.
    """

    def __init__(self, trees: list[Tree], memory: Memory) -> None:
        trees = padded(trees)
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
        self._trees = len(trees)
        self._widths: dict[int, _Width] = {}
        self._large, self._small = memory.large, memory.small
        self._alone = _Alone.of(trees)

    def index(self, x: Floats) -> NDArray[np.intp]:
        """(n, k) derived values to (trees, n or a few more) indices into a flattened table; columns
        beyond n are padding. The index stays until the next call.

        Bit i of a pattern is set where comparison i goes right: the value exceeds the threshold,
        or is NaN and was sent right.
        """
        rows = x.shape[0]
        if rows == 1 and self._alone is not None:
            return self._alone.index(x[0])
        width = -(-rows // _STEP) * _STEP
        if width not in self._widths:
            self._widths[width] = _Width.of(self._threshold, self._trees, width)
        threshold, start, places, low = self._widths[width]
        if width > rows:
            x = np.concatenate((x, np.zeros((width - rows, x.shape[1]))))
        asked = self._large.array(np.float64, threshold.shape)
        right = self._small.array(np.bool_, threshold.shape)
        x.T.take(self._feature, 0, asked, "clip")
        left = self._left
        # NaN is neither above nor at most any value.
        np.greater(asked[:left], threshold[:left], out=right[:left])
        np.less_equal(asked[left:], threshold[left:], out=right[left:])
        np.logical_not(right[left:], out=right[left:])
        bits = self._large.array(np.uint8, (*self._slots.shape, width))
        right.view(np.uint8).take(self._slots, 0, bits, "clip")
        np.multiply(bits, self._bit, out=bits)
        patterns = self._small.array(np.uint8, start.shape)
        np.add.reduce(bits, axis=0, dtype=np.uint8, out=patterns)
        np.bitwise_or(patterns, start, out=patterns)
        low[:] = patterns
        return places


class _Width(NamedTuple):
    """Arrays for batches of one width: the thresholds, the lowest byte of the place where each tree
    starts, the index and its lowest bytes.

    All are repeated to the width: an operation on equal shapes takes one pass, but a broadcast
    takes one pass for each row.
    """

    threshold: Floats
    start: Bits
    places: NDArray[np.intp]
    low: Bits

    @classmethod
    def of(cls, threshold: Floats, trees: int, width: int) -> _Width:
        start = np.repeat(np.arange(trees, dtype=np.intp)[:, None] * PATTERNS, width, axis=1)
        low = start.view(np.uint8)[:, :: start.itemsize]
        return cls(np.repeat(threshold[:, None], width, axis=1), low.copy(), start, low)


class _Alone:
    """The index of a row alone: one search for all columns, then one table row for each.

    The table has a row for each interval between a column's thresholds, and one for NaN: the bits
    that the column's comparisons set in all trees. The rows of the columns have no bit in common.
    All steps work in arrays that are prepared once, because each of them takes less time than an
    array to make.
    """

    def __init__(self, columns: Sequence[int], searched: NDArray[np.complex128], bits: Bits):
        """`searched` has the thresholds of the columns, each with the place of its column as the
        real part; numpy orders complex numbers by that part first, and all with a NaN behind the
        others. `bits` are (intervals, trees) table rows, with the lowest byte of the place where
        each tree's patterns start."""
        trees = bits.shape[1]
        self._columns = np.array(columns, dtype=np.intp)
        self._search = searched.searchsorted
        self._key = np.arange(len(columns)).astype(np.complex128)
        self._value = self._key.imag
        table = bits.view(np.uint64)
        self._take = table.take
        self._rows = np.empty((len(columns), table.shape[1]), dtype=np.uint64)
        self._halves = _halves(self._rows)
        self._patterns = self._rows[0].view(np.uint8)
        index = np.arange(trees, dtype=np.intp) * PATTERNS
        self._low_bytes = index.view(np.uint8)[:: index.itemsize]
        self._index: NDArray[np.intp] = index[:, None]

    @classmethod
    def of(cls, trees: list[Tree]) -> _Alone | None:
        """The table of these trees; None if it would be too large, or has another byte order."""
        asked: dict[int, dict[float, list[tuple[int, int, bool]]]] = {}
        for t, tree in enumerate(trees):
            for node, (nan_right, feature, threshold) in enumerate(_questions(tree)):
                slot = (t, 1 << node, nan_right)
                asked.setdefault(feature, {}).setdefault(threshold, []).append(slot)
        columns = sorted(asked)
        # A value is searched for behind the mark of its column, so the first row is of none.
        rows = 1 + sum(len(asked[column]) + 2 for column in columns)
        if rows == 1 or rows * len(trees) > _MOST_BYTES or sys.byteorder != "little":
            return None
        bits = np.zeros((rows, len(trees)), dtype=np.uint8)
        bits[:, 1::2] = PATTERNS
        searched, row, last = [], 0, rows - len(columns)
        for place, column in enumerate(columns):
            searched.append(complex(place - 0.5, 0.0))
            row += 1
            for threshold, slots in sorted(asked[column].items()):
                bits[row + 1] = bits[row]
                for t, bit, nan_right in slots:
                    bits[row + 1, t] |= bit
                    bits[last + place, t] |= bit * nan_right
                searched.append(complex(place, threshold))
                row += 1
        searched += [complex(place - 0.5, math.nan) for place in range(len(columns))]
        return cls(columns, np.array(searched), bits)

    def index(self, x: Floats) -> NDArray[np.intp]:
        """(k,) values to their (trees, 1) index, which stays until the next call."""
        # Arguments by their places, and a function by a local name, take a tenth less time.
        bitwise_or = np.bitwise_or
        x.take(self._columns, None, self._value, "clip")
        self._take(self._search(self._key), 0, self._rows, "clip")
        for low, high in self._halves:
            bitwise_or(low, high, low)
        self._low_bytes[:] = self._patterns
        return self._index


def _halves(rows: NDArray[np.uint64]) -> list[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Pairs of parts of contiguous rows. If each pair is joined into its first part, one after the
    other, the first row has all. For numpy few long parts are cheaper than a reduction."""
    pairs, left = [], rows.shape[0]
    while left > 1:
        half = left // 2
        pairs.append((rows[:half].reshape(-1), rows[left - half : left].reshape(-1)))
        left -= half
    return pairs


class Margins:
    """Raw margins of rows of derived values, equal to LightGBM's to the last bit. For one caller at
    a time."""

    def __init__(self, trees: list[Tree], memory: Memory) -> None:
        self._negated = -np.concatenate([_leaf_values(tree) for tree in padded(trees)])
        self._large = memory.large

    def margin(self, index: NDArray[np.intp]) -> Floats:
        """Margins of the columns of `Patterns.index`."""
        values = self._large.array(np.float64, index.shape)
        # All indices are inside; of numpy's ways with others, "wrap" is the fastest.
        self._negated.take(index, None, values, "wrap")
        return sum_trees(values)


def margins(patterns: Patterns, leaves: Margins, x: Floats) -> Floats:
    """(n,) raw margins of (n, k) derived values, some rows at a time."""
    found = np.empty(x.shape[0])
    for start in range(0, x.shape[0], BLOCK):
        block = x[start : start + BLOCK]
        found[start : start + BLOCK] = leaves.margin(patterns.index(block))[: block.shape[0]]
    return found


def sum_trees(negated: Floats) -> Floats:
    """(trees, m) values with the other sign to (m,): sums in the order of the trees, as LightGBM
    adds.

    For m above 1 einsum adds tree after tree, three times as fast as a running sum; the tests and
    each model's golden rows verify that. A single column it would add in pairs, as numpy's sums do.
    Differences have only one order: 0 - (-a) - (-b) is the sum a + b, to the bit.
    """
    if negated.shape[1] == 1:
        one: Floats = np.subtract.reduce(negated, axis=0, initial=0.0)
        return one
    total: Floats = 0.0 - np.einsum("ij->j", negated)
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
