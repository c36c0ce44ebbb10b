"""Fits a training into the time that its user gives it.

The plan follows from the size of the table and the budget by a formula, never from a clock: the
same spec, data and budget give the same model on any machine.
"""

from __future__ import annotations

from typing import NamedTuple

from models import recipes
from models.choice import Plan, folds
from models.spec_model import Recipe

USUAL_S = 1_200
"""The usual budget: 20 minutes of one processor."""

# Measured on one core of a server of 2024: seconds of one processor.
_PER_CELL_LEVEL = 2.2e-9
_PER_LEAF_BIN = 1.0e-8
_PER_SCORECARD_CELL = 4.0e-7
_BINS = 100
# Rounds that early stopping leaves on average, as a share of the most.
_STOPS_AT = 0.6
# A choice on fewer rows than this is worth little.
_SMALLEST_PART = 5_000
_FIRST_PART, _SECOND_PART = 20_000, 100_000


REFITS = 5
"""The fits with other seeds that show how stable the served model is."""


class Course(NamedTuple):
    """The plan of each fit's choice, the seeds of the headline, and the refits with other seeds:
    `REFITS`, or 0 where the budget has no time for them."""

    plan: Plan
    seeds: tuple[int, ...]
    seconds: float
    refits: int


def course(
    rows: int, columns: int, fold_count: int, seeds: tuple[int, ...], budget_s: float
) -> Course:
    """The largest plan within the budget; the smallest one where none is.

    First fewer seeds are used, then fewer rows for the choice, then fewer candidates. The refits
    get what is left.
    """
    options = [
        (candidates, limit, count)
        for candidates in (recipes.LADDER, recipes.LADDER[:4], recipes.LADDER[:2])
        for limit in (_SECOND_PART, _FIRST_PART, _SMALLEST_PART)
        for count in range(len(seeds), 0, -1)
    ]
    for candidates, limit, count in options:
        plan = Plan(candidates, _rounds(rows, limit))
        seconds = _seconds(plan, rows, columns, fold_count, count)
        if seconds <= budget_s:
            break
    again = REFITS * _longest(plan, rows, columns)
    if seconds + again <= budget_s:
        return Course(plan, seeds[:count], seconds + again, REFITS)
    return Course(plan, seeds[:count], seconds, 0)


def pinned(
    recipe: Recipe, rows: int, columns: int, fold_count: int, seeds: tuple[int, ...]
) -> Course:
    """The course of a pinned recipe: nothing is chosen."""
    plan = Plan((recipe,), ())
    seconds = _seconds(plan, rows, columns, fold_count, len(seeds))
    return Course(plan, seeds, seconds + REFITS * _longest(plan, rows, columns), REFITS)


def _rounds(rows: int, limit: int) -> tuple[int, ...]:
    """The most rows of each round of a choice. A fold may have more rows than these, so `rows` is
    no limit itself: a table with one row above its limit is cut to half of them."""
    if rows <= 2 * _FIRST_PART:
        return (limit,)
    return tuple(sorted({min(limit, _FIRST_PART), limit}))


def _longest(plan: Plan, rows: int, columns: int) -> float:
    """Seconds of the longest of the candidates' fits on all rows."""
    return max(_fit(c, rows, columns, c.trees) for c in plan.candidates)


def _seconds(plan: Plan, rows: int, columns: int, fold_count: int, seeds: int) -> float:
    """Seconds of one processor for a whole training without refits."""
    each = _longest(plan, rows, columns)
    choosing = 0.0
    left = list(plan.candidates)
    for most in plan.rounds:
        part = min(rows, most)
        count, used, repeats = folds(part)
        share = part * (count - 1) // count
        choosing += repeats * used * sum(_fit(c, share, columns, c.trees) for c in left)
        left = left[-2:]
    rivals = _fit(recipes.SCORECARD, rows, columns, 0) + _fit(recipes.PLAIN, rows, columns, 100)
    validation = seeds * fold_count * (choosing + each + rivals)
    return validation + choosing + each * (1 + fold_count)


def _fit(recipe: Recipe, rows: int, columns: int, trees: int) -> float:
    if recipe.kind == "scorecard":
        return rows * columns * _PER_SCORECARD_CELL
    levels = 1 + max(1, recipe.leaves - 1).bit_length()
    rounds = trees * (_STOPS_AT if recipe.patience else 1.0)
    cells = rows * columns * recipe.colsample * recipe.subsample * levels * _PER_CELL_LEVEL
    return rounds * (cells + recipe.leaves * columns * _BINS * _PER_LEAF_BIN)
