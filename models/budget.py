"""Fits a training into the time that its user gives it.

The plan follows from the size of the table and the budget by a formula, never from a clock: the
same spec, data and budget give the same model on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from models import recipes
from models.choice import FIRST_REPEATS, SMALL_TABLE, Plan, folds, uncertain
from models.errors import ModelDirectoryError
from models.spec_model import Recipe

USUAL_S = 1_200
"""The usual budget: 20 minutes of one processor."""

# Measured on one core of a server of 2024: seconds of one processor.
_PER_CELL_LEVEL = 2.2e-9
_PER_LEAF_BIN = 1.0e-8
_PER_SCORECARD_CELL = 4.0e-7
_BINS = 100
# Rounds that early stopping leaves on average, as a share of the most: fewer rows carry fewer.
_STOPS_AT, _STOPS_AT_ROWS = 0.6, 10_000
# The candidates that further repeats are of, on average at most.
_STILL_OPEN = 2
# A choice on fewer rows than this is worth little.
_SMALLEST_PART = 5_000
_FIRST_PART, _SECOND_PART = 20_000, 100_000


MOST_REPEATS = 9
"""The most repeats of the validation that chooses on an uncertain table."""
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
    rows: int, cases: int, columns: int, fold_count: int, seeds: tuple[int, ...], budget_s: float
) -> Course:
    """The largest plan within the budget for so many training rows, `cases` of them in the rarer
    class; the smallest one where none is.

    First the choice is repeated less often, then the refits are left out, then fewer seeds are
    used, then fewer rows for the choice, then fewer candidates.
    """
    repeats = _options(rows, cases)
    options = [(recipes.LADDER, _SECOND_PART, len(seeds), most) for most in repeats] + [
        (candidates, limit, count, repeats[-1])
        for candidates in (recipes.LADDER, recipes.LADDER[:4], recipes.LADDER[:2])
        for limit in (_SECOND_PART, _FIRST_PART, _SMALLEST_PART)
        for count in range(len(seeds), 0, -1)
    ]
    for candidates, limit, count, most in options:
        plan = Plan(candidates, _rounds(rows, limit), most)
        seconds = _seconds(plan, rows, columns, fold_count, count)
        again = REFITS * _longest(plan, rows, columns)
        # More repeats than the fewest leave time for the refits.
        if seconds + (again if most > repeats[-1] else 0.0) <= budget_s:
            break
    if seconds + again <= budget_s:
        return Course(plan, seeds[:count], seconds + again, REFITS)
    return Course(plan, seeds[:count], seconds, 0)


def _options(rows: int, cases: int) -> tuple[int, ...]:
    """How often a choice may be repeated, the most often first."""
    if not uncertain(rows, cases):
        return (1,)
    more = tuple(range(MOST_REPEATS, FIRST_REPEATS - 1, -FIRST_REPEATS))
    return more if rows <= SMALL_TABLE else (*more, 1)


def kept(figures: Mapping[str, Any], recipe: Recipe | None, rows: int) -> Course:
    """The course by which a model of so many training rows was made, from its figures: a build that
    plans otherwise still makes the model again. `recipe` is the one that its spec pins, if any.

    Raises ModelDirectoryError where this build does not have a recipe that was a candidate.
    """
    made, seeds = figures["choice"], tuple(figures["folds"]["seeds"])
    known = {each.name: each for each in (recipes.LADDER if recipe is None else (recipe,))}
    if unknown := sorted({*made["candidates"]} - {*known}):
        raise ModelDirectoryError(
            "the model was chosen among recipes that this build does not have: "
            f"{', '.join(unknown)}; make it again with the build that made it"
        )
    # A round that had all rows had no limit: a fold may have one row more.
    rounds = tuple(_SECOND_PART if most == rows else most for most in made["rows"])
    candidates = tuple(known[name] for name in made["candidates"])
    plan = Plan(candidates, rounds, made.get("repeats"))
    refits = figures.get("instability", {}).get("refits", 0)
    return Course(plan, seeds, made["planned_seconds"], refits)


def pinned(
    recipe: Recipe, rows: int, columns: int, fold_count: int, seeds: tuple[int, ...]
) -> Course:
    """The course of a pinned recipe: nothing is chosen."""
    plan = Plan((recipe,), ())
    seconds = _seconds(plan, rows, columns, fold_count, len(seeds))
    return Course(plan, seeds, seconds + REFITS * _longest(plan, rows, columns), REFITS)


def _rounds(rows: int, limit: int) -> tuple[int, ...]:
    """The most rows of each round of a choice. A fold may have more rows than these, so `rows` is
    no limit itself."""
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
    for number, most in enumerate(plan.rounds):
        part = min(rows, most)
        count, used = folds(part)
        share = part * (count - 1) // count
        each_repeat = [_fit(c, share, columns, c.trees) for c in left]
        repeats = (plan.repeats or 1) if number + 1 == len(plan.rounds) else 1
        choosing += min(repeats, FIRST_REPEATS) * used * sum(each_repeat)
        # Two candidates are left for most of the further repeats.
        more = max(repeats - FIRST_REPEATS, 0)
        choosing += more * used * sum(sorted(each_repeat)[-_STILL_OPEN:])
        left = left[-2:]
    rivals = _fit(recipes.SCORECARD, rows, columns, 0) + _fit(recipes.PLAIN, rows, columns, 100)
    validation = seeds * fold_count * (choosing + each + rivals)
    return validation + choosing + each * (1 + fold_count)


def _fit(recipe: Recipe, rows: int, columns: int, trees: int) -> float:
    if recipe.kind == "scorecard":
        return rows * columns * _PER_SCORECARD_CELL
    levels = 1 + max(1, recipe.leaves - 1).bit_length()
    stops_at = _STOPS_AT * min(1.0, rows / _STOPS_AT_ROWS) ** 0.3
    rounds = trees * (stops_at if recipe.patience else 1.0)
    cells = rows * columns * recipe.colsample * recipe.subsample * levels * _PER_CELL_LEVEL
    return rounds * (cells + recipe.leaves * columns * _BINS * _PER_LEAF_BIN)
