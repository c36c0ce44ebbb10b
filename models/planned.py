"""The course of a training, and what its figures say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models import budget, choice
from models.budget import Course
from models.fits import Outcome
from models.samples import State, sample_of


def course(state: State, budget_s: float, kept: Mapping[str, Any] | None) -> Course:
    """The course for the budget, or the one in the figures that are `kept` of a model.

    Raises DatasetError where a class has too few rows for a choice, ModelDirectoryError where this
    build does not have a recipe of the figures.
    """
    the_spec, rows = state.spec, state.training
    if kept is not None:
        return budget.kept(kept, the_spec.recipe, rows.shape[0])
    validation = the_spec.validation
    sample = sample_of(state, rows, 1, orders=the_spec.recipe is None)
    count, columns = rows.shape[0], len(sample.preparation.columns)
    if the_spec.recipe is not None:
        return budget.pinned(the_spec.recipe, count, columns, validation.folds, validation.seeds)
    choice.can_choose(state, rows)
    cases = choice.cases_of(state, rows)
    return budget.course(count, cases, columns, validation.folds, validation.seeds, budget_s)


def figures(course: Course, outcome: Outcome, chosen: Sequence[str], rows: int) -> dict[str, Any]:
    """The recipes that were compared, how often the folds chose each, and the served one's figures;
    it was fitted on so many rows."""
    nested = len(course.plan.candidates) > 1
    return {
        "nested": nested,
        "candidates": [c.name for c in course.plan.candidates],
        "rows": sorted({min(most, rows) for most in course.plan.rounds}),
        "chosen_in_folds": {name: list(chosen).count(name) for name in sorted({*chosen})},
        "served": outcome.recipe.name,
        "served_trees": outcome.recipe.trees,
        "served_candidates": outcome.candidates,
        "planned_seconds": round(course.seconds, 1),
        # The plan of an earlier build has no number of them.
        **({"repeats": course.plan.repeats} if nested and course.plan.repeats is not None else {}),
    }
