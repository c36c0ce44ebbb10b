"""The spec's tables of the model: the recipe that is pinned, and declared derivations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.derivations import OPERATIONS, Derivation
from models.toml_table import TomlTable

KINDS = ("trees", "scorecard")

MODEL_KEYS = (
    "kind", "trees", "learning_rate", "depth", "leaves", "min_child_samples", "subsample",
    "colsample", "lambda_l2", "max_bin", "seed",
)  # fmt: skip
DERIVATION_KEYS = (
    "name", "operation", "of", "low", "high", "values", "monotone", "reason_group",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How a model is fitted; a scorecard uses none of the numbers.

    `trees` is the most rounds where early stopping chooses them, else their number; `patience` is
    the number of rounds without gain that stop a fit, 0 for none.
    """

    name: str
    kind: str
    trees: int
    learning_rate: float
    depth: int
    leaves: int
    min_child_samples: int
    subsample: float
    colsample: float
    lambda_l2: float
    max_bin: int
    patience: int = 0


PINNED = "pinned"


def seed(table: TomlTable) -> int:
    """The seed of the [model] table."""
    return table.integer("seed", 0, 2**31 - 1, 0)


def pinned(table: TomlTable) -> Recipe | None:
    """The recipe of the [model] table; None where no key but the seed is given, so that the
    training chooses one."""
    if not set(table.value) - {"seed"}:
        return None
    depth = table.integer("depth", 1, 12, 3)
    return Recipe(
        name=PINNED,
        kind=table.choice("kind", KINDS, "trees"),
        trees=table.integer("trees", 1, 10_000, 700),
        learning_rate=table.number("learning_rate", 1e-4, 1.0, 0.04),
        depth=depth,
        leaves=table.integer("leaves", 2, 4096, 2**depth),
        min_child_samples=table.integer("min_child_samples", 1, 1_000_000, 100),
        subsample=table.number("subsample", 0.05, 1.0, 0.8),
        colsample=table.number("colsample", 0.01, 1.0, 0.5),
        lambda_l2=table.number("lambda_l2", 0.0, 1e6, 10.0),
        max_bin=table.integer("max_bin", 2, 65_535, 255),
    )


def derivations(
    tables: Sequence[TomlTable], types: dict[str, str], reason_groups: Sequence[str | None]
) -> tuple[Derivation, ...]:
    """The [[derivation]] tables; `types` has the type of each input feature by its name."""
    known = dict(types)
    found = []
    for table, reason_group in zip(tables, reason_groups, strict=True):
        derivation = _derivation(table, known, reason_group)
        found.append(derivation)
        known[derivation.name] = "number"
    return tuple(found)


def _derivation(table: TomlTable, known: dict[str, str], reason_group: str | None) -> Derivation:
    name = table.text("name")
    if name in known:
        table.fault("name", f"{name!r} is a column already")
    operation = table.choice("operation", tuple(OPERATIONS))
    of = tuple(table.list_of("of", str))
    fewest, most = OPERATIONS[operation]
    if not fewest <= len(of) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
        table.fault("of", f"must name {wanted} columns for {operation}")
    for column in of:
        if column not in known:
            table.fault("of", f"{column!r} is no input column and no derivation before this one")
        elif not _can_use(operation, known[column]):
            table.fault("of", f"{column!r} is a {known[column]}, which {operation} cannot use")
    low = table.number("low", -math.inf, math.inf, -math.inf)
    high = table.number("high", -math.inf, math.inf, math.inf)
    if low > high:
        table.fault("high", "must not be below low")
    values = table.numbers("values")
    if (operation == "level") != bool(values):
        table.fault("values", "are the codes of a level, and of nothing else")
    if operation not in ("clip", "indicator") and (low > -math.inf or high < math.inf):
        table.fault("low", f"is not for {operation}")
    return Derivation(
        name, operation, of, low, high, values, table.integer("monotone", -1, 1, 0), reason_group
    )


def _can_use(operation: str, kind: str) -> bool:
    """Whether an operation has a meaning for a type; texts have no order, and their numbers no
    meaning."""
    only = {"code": ("level",), "date": ("months_between",), "text": ()}
    return operation in only.get(kind, OPERATIONS.keys() - {"level", "months_between"})
