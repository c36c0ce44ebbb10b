"""The recipes that a training compares, the simplest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from models.spec_columns import Derived
from models.spec_model import PINNED, Recipe

SCORECARD = Recipe("scorecard", "scorecard", 0, 0.0, 1, 2, 20, 1.0, 1.0, 0.0, 255)
SHALLOW = Recipe("shallow", "trees", 1_000, 0.05, 3, 8, 100, 0.8, 0.3, 10.0, 255, 80)
MEDIUM = Recipe("medium", "trees", 800, 0.04, 5, 16, 50, 0.8, 0.4, 5.0, 255, 80)
# LightGBM as it comes, 100 rounds of 31 leaves.
PLAIN = Recipe("plain", "trees", 100, 0.1, -1, 31, 20, 1.0, 1.0, 0.0, 255)
# Each tree sees all columns: only so it finds what two of them do together.
DEEP = Recipe("deep", "trees", 1_000, 0.05, -1, 31, 20, 0.8, 1.0, 1.0, 255, 100)

LADDER = (SCORECARD, SHALLOW, MEDIUM, PLAIN, DEEP)

FEWEST_COLUMNS = 8
"""The columns that each tree of a recipe sees at least, if there are so many."""

LEAVES_IN_ROWS = 20
"""A leaf has at most one in this many of the rows."""


def orders(recipe: Recipe) -> bool:
    """Whether the fit has a category's levels as places too, beside a 0/1 column for each. A
    scorecard needs none, and a pinned recipe has the columns that it was pinned with."""
    return recipe.kind == "trees" and recipe.name != PINNED


def leaf(recipe: Recipe, rows: int) -> int:
    """The smallest leaf of a recipe in a fit of this many rows."""
    return max(1, min(recipe.min_child_samples, rows // LEAVES_IN_ROWS))


def parameters(
    recipe: Recipe, columns: tuple[Derived, ...], seed: int, rows: int
) -> dict[str, Any]:
    """LightGBM's parameters for a recipe on this many training rows: one thread, and the same trees
    every time."""
    return {
        "objective": "binary",
        "learning_rate": recipe.learning_rate,
        "max_depth": recipe.depth,
        "num_leaves": recipe.leaves,
        "min_data_in_leaf": leaf(recipe, rows),
        "bagging_fraction": recipe.subsample,
        "bagging_freq": 1 if recipe.subsample < 1.0 else 0,
        "feature_fraction": _share_of_columns(recipe, len(columns)),
        "lambda_l2": recipe.lambda_l2,
        "max_bin": recipe.max_bin,
        # All rows: in a sample LightGBM may not see that a column has missing values.
        "bin_construct_sample_cnt": rows,
        "monotone_constraints": [c.monotone for c in columns],
        "monotone_constraints_method": "basic",
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }


def _share_of_columns(recipe: Recipe, columns: int) -> float:
    """The share of the columns that each tree sees; enough of them to find what two do together."""
    if recipe.name == PINNED:
        return recipe.colsample
    return max(recipe.colsample, min(1.0, FEWEST_COLUMNS / columns))


def fixed(recipe: Recipe, trees: int) -> Recipe:
    """A recipe with the number of rounds that a validation chose."""
    return replace(recipe, trees=max(1, trees), patience=0)


def leaf_of(candidates: Sequence[Recipe], rows: int) -> int:
    """The largest of the candidates' smallest leaves: what each of them can learn from."""
    return max(leaf(c, rows) for c in candidates)
