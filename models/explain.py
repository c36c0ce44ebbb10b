"""Reasons for a score: exact SHAP values, summed by reason group and looked up in tables.

A leaf's contribution to a column's SHAP value depends only on which columns of its path point to
the leaf. In a tree of at most seven comparisons this follows from the seven bits that
`models.tables` computes anyway. So a tree's values for all 128 patterns are computed once and
summed by reason group. A row then costs one look-up for each tree.

The values are those of path-dependent TreeSHAP (Lundberg et al., "From local explanations to
global understanding with explainable AI for trees", 2020), written out per leaf: with d columns
on the path, column f gets the leaf's value times, S running over the sets of the other columns,

    (p_f - w_f) * sum over S of |S|! (d - |S| - 1)! / d! * (product of p in S) * (of w outside S)

where p is 1 if the row satisfies all of the column's comparisons on the path, else 0, and w is
the share of training rows that do.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from itertools import combinations
from math import factorial
from queue import SimpleQueue
from typing import NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models.scratch import Memory
from models.tables import NODES, PATTERNS, Tree, padded

Floats = NDArray[np.float64]

MOST_REASONS = 4
LEAST_SHARE = 0.05
"""A group is a reason from this share of all that groups add to the margin."""
REASONS_PENDING = "REASONS_PENDING"
"""Stands for reasons that were not found in time."""
MOST_KEPT = 65_536
"""Rows whose reasons are kept, about 300 bytes each."""
MOST_WAITING = 4_096
"""Rows that wait to be explained; the next call asks again for any beyond this number."""

# A node of a tree, and whether the path goes right there.
_Step = tuple[int, bool]

# (7, 128): whether a pattern goes right at a node, 1 or 0.
_GOES_RIGHT = np.arange(PATTERNS) >> np.arange(NODES)[:, None] & 1

# numpy copies runs of 32 bytes faster than shorter and longer ones.
_GROUPS_TOGETHER = 4
# So many sums, each of every eighth tree, are fewer and longer additions for numpy.
_SUMS = 8


class _Part(NamedTuple):
    """Four reason groups. `table` has their contributions, a row for each pattern of each tree;
    `trees` are those that are looked up, None for all."""

    trees: NDArray[np.intp] | None
    table: Floats
    memory: Memory

    def sums(self, index: NDArray[np.intp]) -> Floats:
        """(trees, n) of `Patterns.index` to (8, n, 4): eight sums for each row and group."""
        rows = index.shape[1]
        if self.trees is not None:
            chosen = self.memory.small.array(np.intp, (self.trees.shape[0], rows))
            index = index.take(self.trees, 0, chosen, "clip")
        trees = index.shape[0]
        values = self.memory.large.array(np.float64, (trees, rows, _GROUPS_TOGETHER))
        self.table.take(index, 0, values, "clip")
        together = values.reshape(trees // _SUMS, _SUMS * rows * _GROUPS_TOGETHER)
        sums: Floats = np.add.reduce(together, 0)
        return sums.reshape(_SUMS, rows, _GROUPS_TOGETHER)


class Explainer:
    """Contributions of reason groups to the margins of rows of derived values. For one caller at a
    time."""

    groups: tuple[str, ...]

    def __init__(
        self, trees: list[Tree], column_groups: Sequence[str | None], memory: Memory
    ) -> None:
        """`column_groups` has the reason group of each derived column, None for no group."""
        trees = padded(trees)
        self.groups = tuple(sorted({g for g in column_groups if g is not None}))
        position = {name: j for j, name in enumerate(self.groups)}
        column = [None if g is None else position[g] for g in column_groups]
        width = max(1, -(-len(self.groups) // _GROUPS_TOGETHER)) * _GROUPS_TOGETHER
        table = _table(trees, column, width)
        used = np.logical_or.reduce(table.reshape(len(trees), PATTERNS, width) != 0.0, axis=1)
        # The rarest groups stand together, because few trees are looked up for them.
        order = np.argsort(-used.sum(axis=0), kind="stable")
        self._places = np.argsort(order)[: len(self.groups)]
        self._parts = []
        for groups in order.reshape(-1, _GROUPS_TOGETHER):
            using = used[:, groups].any(axis=1)
            count = -(-int(using.sum()) // _SUMS) * _SUMS
            # Some trees that add nothing fill the count up.
            some = np.sort(np.argsort(~using, kind="stable")[:count])
            chosen = None if count == len(trees) else some
            self._parts.append(_Part(chosen, np.ascontiguousarray(table[:, groups]), memory))

    def contributions(self, index: NDArray[np.intp]) -> Floats:
        """(trees, n) of `Patterns.index` to (n, groups) log-odds added; positive is worse."""
        # The order of the trees in each sum does not depend on the number of rows.
        sums = [part.sums(index) for part in self._parts]
        total: Floats = np.add.reduce(np.concatenate(sums, axis=2), axis=0)
        return total.take(self._places, axis=1)

    def reasons(self, index: NDArray[np.intp]) -> list[tuple[str, ...]]:
        """For each column of `index` the groups that worsen the margin, as `ranked` has them."""
        return ranked(self.contributions(index), self.groups)


class TreeShap:
    """The same contributions from LightGBM's own TreeSHAP, for trees too deep for tables.

    Exact too, but a person may take milliseconds.
    """

    groups: tuple[str, ...]

    def __init__(self, booster: lightgbm.Booster, column_groups: Sequence[str | None]) -> None:
        """`column_groups` has the reason group of each derived column, None for no group."""
        self._booster = booster
        self.groups = tuple(sorted({g for g in column_groups if g is not None}))
        self._columns = [
            [j for j, group in enumerate(column_groups) if group == name] for name in self.groups
        ]

    def contributions(self, derived: Floats) -> Floats:
        """(n, k) derived values to (n, groups) log-odds added; positive is worse."""
        by_column = self._booster.predict(derived, pred_contrib=True, num_threads=1)
        # The last column is the mean of all.
        by_column = np.asarray(by_column, dtype=np.float64)
        total = np.zeros((derived.shape[0], len(self.groups)))
        for place, columns in enumerate(self._columns):
            # One after the other, because a product of matrices adds in an order that depends on
            # their shape.
            for j in columns:
                total[:, place] += by_column[:, j]
        return total

    def reasons(self, derived: Floats) -> list[tuple[str, ...]]:
        """For each row of `derived` the groups that worsen the margin, as `ranked` has them."""
        return ranked(self.contributions(derived), self.groups)


class PatientReasons:
    """Reasons by TreeSHAP within a time limit for each call; the rest is found afterwards.

    Each row is first looked up among the rows explained before. The other rows are explained one by
    one until the time has passed. The rest gets `REASONS_PENDING` and is explained in a separate
    thread, so the same features have their reasons at the next call.
    """

    def __init__(self, tree_shap: TreeShap, budget_s: float) -> None:
        """`budget_s` limits a call, except for its last row; the first row is always explained."""
        self._tree_shap = tree_shap
        self._budget_s = budget_s
        self._found: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()
        self._lock = threading.Lock()
        self._left: SimpleQueue[bytes] = SimpleQueue()
        self._waiting: set[bytes] = set()
        threading.Thread(target=self._explain_left, name="reasons", daemon=True).start()

    def reasons(self, derived: Floats) -> list[tuple[str, ...]]:
        """Reasons of each row of `derived`, or `REASONS_PENDING`."""
        end_s = time.perf_counter() + self._budget_s
        explained, answers = False, []
        for row in derived:
            key = row.tobytes()
            found = self._known(key)
            if found is None and (not explained or time.perf_counter() < end_s):
                found, explained = self._explain(key), True
            if found is None:
                self._leave(key)
            answers.append((REASONS_PENDING,) if found is None else found)
        return answers

    def _known(self, key: bytes) -> tuple[str, ...] | None:
        with self._lock:
            found = self._found.get(key)
            if found is not None:
                self._found.move_to_end(key)
            return found

    def _explain(self, key: bytes) -> tuple[str, ...]:
        (found,) = self._tree_shap.reasons(np.frombuffer(key)[None, :])
        with self._lock:
            self._waiting.discard(key)
            self._found[key] = found
            if len(self._found) > MOST_KEPT:
                self._found.popitem(last=False)
        return found

    def _leave(self, key: bytes) -> None:
        with self._lock:
            if key in self._waiting or len(self._waiting) >= MOST_WAITING:
                return
            self._waiting.add(key)
        self._left.put(key)

    def _explain_left(self) -> None:
        while True:
            key = self._left.get()
            if self._known(key) is None:
                self._explain(key)


def ranked(contributions: Floats, groups: Sequence[str]) -> list[tuple[str, ...]]:
    """For each row of (n, groups), the names of up to four positive groups, the largest first: the
    first one always, the others with 5 % of the sum of all positive ones."""
    found = []
    # Negated, so that equal contributions rank by name.
    for row in (-contributions).tolist():
        order = sorted(zip(row, groups, strict=True))
        least = LEAST_SHARE * sum([value for value, _ in order if value < 0.0])
        found.append(
            tuple(
                name
                for place, (value, name) in enumerate(order[:MOST_REASONS])
                if value < 0.0 and (not place or value <= least)
            )
        )
    return found


def _table(trees: list[Tree], column_group: Sequence[int | None], width: int) -> Floats:
    """(trees * 128, width): the contribution of each pattern of each tree to each reason group."""
    table = np.zeros((len(trees), PATTERNS, width))
    # Leaves with the same number of columns on their paths are computed together.
    alike: dict[int, list[tuple[int, int, dict[int, list[_Step]]]]] = {}
    for t, tree in enumerate(trees):
        for leaf, path in _paths(tree):
            steps: dict[int, list[_Step]] = {}
            for step in path:
                steps.setdefault(tree.feature[step[0]], []).append(step)
            alike.setdefault(len(steps), []).append((t, leaf, steps))
    for leaves in alike.values():
        share = np.array([[_share(trees[t], s) for s in steps.values()] for t, _, steps in leaves])
        shap = _leaf_shap(share)
        for values, (t, leaf, steps) in zip(shap, leaves, strict=True):
            # The path's columns that point to the leaf, as a number from 0 to 2^d - 1.
            met = np.zeros(PATTERNS, dtype=np.intp)
            for i, taken in enumerate(steps.values()):
                met |= _satisfied(taken) << i
            spread = values[met] * trees[t].leaf_value[leaf]
            for i, feature in enumerate(steps):
                if (group := column_group[feature]) is not None:
                    table[t, :, group] += spread[:, i]
    return table.reshape(len(trees) * PATTERNS, width)


def _leaf_shap(share: Floats) -> Floats:
    """Converts (leaves, d) shares of rows that satisfy each column to (leaves, 2^d, d) SHAP values.

    The leaves have the value 1. Entry r is for rows that satisfy column i if bit i of r is set.
    """
    leaves, d = share.shape
    bit = (np.arange(2**d)[:, None] >> np.arange(d) & 1).astype(np.float64)
    values = np.zeros((leaves, 2**d, d))
    for i in range(d):
        others = [j for j in range(d) if j != i]
        for size in range(d):
            weight = factorial(size) * factorial(d - size - 1) / factorial(d)
            for chosen in combinations(others, size):
                product = np.full((leaves, 2**d), weight)
                for j in others:
                    product *= bit[:, j] if j in chosen else share[:, j, None]
                values[:, :, i] += product
        values[:, :, i] *= bit[:, i] - share[:, i, None]
    return values


def _paths(tree: Tree) -> list[tuple[int, list[_Step]]]:
    """Each leaf with the (node, goes right) steps from the root to it."""
    found: list[tuple[int, list[_Step]]] = []
    open_: list[tuple[int, list[_Step]]] = [(0, [])] if tree.feature else []
    while open_:
        node, path = open_.pop()
        for right, child in ((False, tree.left[node]), (True, tree.right[node])):
            way = [*path, (node, right)]
            if child < 0:
                found.append((-child - 1, way))
            else:
                open_.append((child, way))
    return found


def _share(tree: Tree, steps: list[_Step]) -> float:
    """Product of the shares of training rows that took these steps at their nodes."""
    product = 1.0
    for node, right in steps:
        child = tree.right[node] if right else tree.left[node]
        count = tree.leaf_count[-child - 1] if child < 0 else tree.node_count[child]
        product *= count / tree.node_count[node]
    return product


def _satisfied(steps: list[_Step]) -> NDArray[np.intp]:
    """(128,) 1 where a pattern takes all of these steps, else 0."""
    met = np.ones(PATTERNS, dtype=np.intp)
    for node, right in steps:
        met &= _GOES_RIGHT[node] if right else 1 - _GOES_RIGHT[node]
    return met
