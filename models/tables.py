"""Shallow trees as tables: all comparisons of all trees at once, then one look-up a tree.

A tree of depth 3 has at most seven comparisons; their outcomes, as seven bits, index a row of
128 entries computed when the model is loaded. The entries are the tree's leaf values here, and
its exact SHAP values in `models.explain`. LightGBM adds the trees up in their order, and so does
this: the margins are equal to its own to the last bit, at less than its cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import IncompatibleError

Floats = NDArray[np.float64]

NODES = 7
PATTERNS = 2**NODES
# The comparisons of a tree fill one byte, so that packing bits needs no padding; the eighth
# compares with infinity and is always false.
_SLOTS = 8

# decision_type of a numerical split where training saw no missing value: bit 0 is "categorical",
# bit 1 the default direction (unused without missing values), bits 2 and 3 the kind of missing.
_PLAIN_SPLITS = (0, 2)


@dataclass(frozen=True)
class Tree:
    """One tree of a model's text. A child below 0 is leaf number -child - 1."""

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    leaf_value: tuple[float, ...]
    leaf_count: tuple[int, ...]
    node_count: tuple[int, ...]


def parse(model_text: str) -> list[Tree]:
    """The trees of a LightGBM model's text. Raises IncompatibleError where tables cannot hold
    them: more than seven splits, categorical splits, missing values, linear leaves.
    """
    trees = []
    for section in model_text.partition("end of trees")[0].split("\nTree=")[1:]:
        keys = dict(line.split("=", 1) for line in section.splitlines() if "=" in line)
        tree = _tree(keys)
        if len(tree.feature) > NODES:
            raise IncompatibleError(f"a tree has {len(tree.feature)} splits, more than {NODES}")
        trees.append(tree)
    if not trees:
        raise IncompatibleError("the model's text has no trees")
    return trees


class Patterns:
    """All comparisons of a model: from derived columns to an index into a (trees, 128) table."""

    def __init__(self, trees: list[Tree]) -> None:
        count = len(trees)
        feature = np.zeros((count, _SLOTS), dtype=np.intp)
        threshold = np.full((count, _SLOTS), np.inf)
        for t, tree in enumerate(trees):
            splits = len(tree.feature)
            feature[t, :splits] = tree.feature
            threshold[t, :splits] = tree.threshold
        self.trees = count
        self._feature = feature.ravel()
        self._threshold = threshold.ravel()
        self._base = np.arange(count, dtype=np.intp) * PATTERNS

    def index(self, x: Floats) -> NDArray[np.intp]:
        """(n, k) derived values without NaN to (n, trees) indices into a flattened table.

        Bit i of a pattern is set where comparison i goes right: the value exceeds the threshold.
        """
        right = x.take(self._feature, axis=1, mode="clip") > self._threshold
        packed = np.packbits(right.reshape(-1), bitorder="little")
        index: NDArray[np.intp] = packed.reshape(x.shape[0], self.trees) + self._base
        return index


class Margins:
    """Raw margins of (n, k) derived values, equal to LightGBM's to the last bit."""

    def __init__(self, trees: list[Tree], patterns: Patterns) -> None:
        self._patterns = patterns
        self._values = np.concatenate([_leaf_values(tree) for tree in trees])

    def margin(self, x: Floats) -> Floats:
        """(n,) margins."""
        leaves = self._values.take(self._patterns.index(x), mode="clip")
        # A running sum adds in the order of the trees, as LightGBM does; a plain sum adds in
        # pairs and gives other bits.
        total: Floats = leaves.cumsum(axis=1)[:, -1]
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


def _tree(keys: dict[str, str]) -> Tree:
    try:
        if int(keys["num_cat"]) or int(keys.get("is_linear", "0")):
            raise IncompatibleError("a tree has categorical splits or linear leaves")
        if int(keys["num_leaves"]) == 1:
            value = float(keys["leaf_value"])
            return Tree((), (), (), (), (value,), (1,), ())
        if any(int(v) not in _PLAIN_SPLITS for v in keys["decision_type"].split()):
            raise IncompatibleError("a tree has splits that treat missing values apart")
        return Tree(
            feature=_integers(keys["split_feature"]),
            threshold=tuple(float(v) for v in keys["threshold"].split()),
            left=_integers(keys["left_child"]),
            right=_integers(keys["right_child"]),
            leaf_value=tuple(float(v) for v in keys["leaf_value"].split()),
            leaf_count=_integers(keys["leaf_count"]),
            node_count=_integers(keys["internal_count"]),
        )
    except (KeyError, ValueError) as error:
        raise IncompatibleError(
            f"a tree of the model's text is not understood ({error})"
        ) from error


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(v) for v in text.split())
