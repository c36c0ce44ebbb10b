"""A sum of step functions, each of one column, as the text of a LightGBM model.

So a scorecard is served, explained and proven by the same code as boosted trees: a column's steps
are trees with at most seven splits, all on that column. The counts of a tree are the training rows,
so its SHAP values are the points away from the mean person.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.tables import NODES, ZERO

Floats = NDArray[np.float64]

# LightGBM's decision_type: bit 1 is "missing values go left", 8 is "missing values are NaN".
_NO_MISSING, _MISSING_LEFT, _MISSING_RIGHT = 2, 10, 8
# LightGBM's own threshold of a split between values and missing values.
_ABOVE_ALL = sys.float_info.max


class Steps(NamedTuple):
    """The step function of column `column`.

    `values[i]` is for values up to `thresholds[i]`, the last one for all above; `counts` are the
    training rows of each. `missing` and `missing_count` are those of NaN; None when no training row
    lacked the value.
    """

    column: int
    thresholds: tuple[float, ...]
    values: tuple[float, ...]
    counts: tuple[int, ...]
    missing: float | None
    missing_count: int


class _Split(NamedTuple):
    threshold: float
    kind: int
    left: _Split | _Leaf
    right: _Split | _Leaf
    rows: int


class _Leaf(NamedTuple):
    value: float
    rows: int


def threshold(value: float) -> float:
    """The nearest threshold that LightGBM and our tables read alike: LightGBM takes values this
    close to 0 for 0."""
    return ZERO if -ZERO <= value <= ZERO else value


def text(
    names: Sequence[str],
    steps: Sequence[Steps],
    intercept: float,
    ends_: Sequence[tuple[float, float]],
    rows: int,
) -> str:
    """The model's text for columns of these names and `ends`, which so many training rows have."""
    trees: list[tuple[int, _Split | _Leaf]] = [(0, _Leaf(intercept, rows))]
    for each in steps:
        trees += [(each.column, tree) for tree in _trees(each)]
    written = [_tree(i, column, tree) for i, (column, tree) in enumerate(trees)]
    infos = [f"[{low!r}:{high!r}]" if low < high else "none" for low, high in ends_]
    header = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={len(infos) - 1}",
        "objective=binary sigmoid:1",
        "feature_names=" + " ".join(names),
        "feature_infos=" + " ".join(infos),
        "tree_sizes=" + " ".join(str(len(tree)) for tree in written),
        "",
        "",
    ]
    return "\n".join(header) + "".join(written) + "end of trees\n\nparameters:\nend of parameters\n"


def ends(x: Floats) -> list[tuple[float, float]]:
    """The smallest and the largest value of each of (n, k) columns."""
    return [_ends(values) for values in x.T]


def _ends(values: Floats) -> tuple[float, float]:
    present = values[~np.isnan(values)]
    return (float(present.min()), float(present.max())) if present.shape[0] else (0.0, 0.0)


def _trees(steps: Steps) -> list[_Split | _Leaf]:
    """The step function as trees whose sum it is. The first one has the value of a missing value;
    the others add to the values above their first threshold."""
    found: list[_Split | _Leaf] = []
    lacks = steps.missing is not None
    start, room = 0, NODES - lacks
    base = 0.0
    while start < len(steps.thresholds) or (lacks and start == 0):
        end = min(start + room, len(steps.thresholds))
        counts = [
            sum(steps.counts[: start + 1]),
            *steps.counts[start + 1 : end],
            sum(steps.counts[end:]),
        ]
        if start == end:
            counts = [sum(steps.counts)]
        leaves = [
            _Leaf(value - base, count)
            for value, count in zip(steps.values[start : end + 1], counts, strict=True)
        ]
        kind = _MISSING_LEFT if lacks else _NO_MISSING
        # In the later trees a missing value goes to the left end, which adds nothing.
        if start and lacks:
            leaves[0] = _Leaf(leaves[0].value, leaves[0].rows + steps.missing_count)
        tree = _balanced(steps.thresholds[start:end], leaves, kind)
        if start == 0 and steps.missing is not None:
            blank = _Leaf(steps.missing, steps.missing_count)
            tree = _Split(_ABOVE_ALL, _MISSING_RIGHT, tree, blank, tree.rows + blank.rows)
        found.append(tree)
        base, room = steps.values[end], NODES
        if end == len(steps.thresholds):
            break
        start = end
    return found


def _balanced(thresholds: Sequence[float], leaves: Sequence[_Leaf], kind: int) -> _Split | _Leaf:
    if not thresholds:
        return leaves[0]
    middle = len(thresholds) // 2
    left = _balanced(thresholds[:middle], leaves[: middle + 1], kind)
    right = _balanced(thresholds[middle + 1 :], leaves[middle + 1 :], kind)
    return _Split(thresholds[middle], kind, left, right, left.rows + right.rows)


def _tree(number: int, column: int, root: _Split | _Leaf) -> str:
    """One tree's section of the text, with the blank lines after it."""
    if isinstance(root, _Leaf):
        lines = [
            f"Tree={number}", "num_leaves=1", "num_cat=0", "split_feature=", "split_gain=",
            "threshold=", "decision_type=", "left_child=", "right_child=",
            f"leaf_value={root.value!r}", "leaf_weight=", f"leaf_count={root.rows}",
            "internal_value=", "internal_weight=", "internal_count=", "is_linear=0", "shrinkage=1",
        ]  # fmt: skip
        return "\n".join(lines) + "\n\n\n"
    splits: list[_Split] = []
    leaves: list[_Leaf] = []
    children: list[list[int]] = []
    _number(root, splits, leaves, children)
    means = [_mean(s) for s in splits]
    lines = [
        f"Tree={number}",
        f"num_leaves={len(leaves)}",
        "num_cat=0",
        "split_feature=" + " ".join([str(column)] * len(splits)),
        "split_gain=" + " ".join(["0"] * len(splits)),
        "threshold=" + " ".join(repr(s.threshold) for s in splits),
        "decision_type=" + " ".join(str(s.kind) for s in splits),
        "left_child=" + " ".join(str(c[0]) for c in children),
        "right_child=" + " ".join(str(c[1]) for c in children),
        "leaf_value=" + " ".join(repr(leaf.value) for leaf in leaves),
        "leaf_weight=" + " ".join(str(leaf.rows) for leaf in leaves),
        "leaf_count=" + " ".join(str(leaf.rows) for leaf in leaves),
        "internal_value=" + " ".join(repr(m) for m in means),
        "internal_weight=" + " ".join(str(s.rows) for s in splits),
        "internal_count=" + " ".join(str(s.rows) for s in splits),
        "is_linear=0",
        "shrinkage=1",
    ]
    return "\n".join(lines) + "\n\n\n"


def _number(
    node: _Split, splits: list[_Split], leaves: list[_Leaf], children: list[list[int]]
) -> int:
    """Numbers a node and all below it, as LightGBM does: splits from 0, leaves from -1 down."""
    own = len(splits)
    splits.append(node)
    children.append([0, 0])
    for side, child in enumerate((node.left, node.right)):
        if isinstance(child, _Leaf):
            leaves.append(child)
            children[own][side] = -len(leaves)
        else:
            children[own][side] = _number(child, splits, leaves, children)
    return own


def _mean(node: _Split | _Leaf) -> float:
    """The mean value of the training rows below a node."""
    if isinstance(node, _Leaf):
        return node.value
    if not node.rows:
        return 0.0
    left, right = node.left, node.right
    return (_mean(left) * left.rows + _mean(right) * right.rows) / node.rows
