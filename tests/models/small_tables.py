"""Small tables as customers bring them, and models of them: trained for real, or fitted in
memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import budget, golden, learners, manifest, recipes, scorecard, spec, tables, train
from models.calibrate import Platt
from models.samples import State, sample_of
from models.scorer import ModelScorer
from tests.shell import forked_workers

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]


class Table(NamedTuple):
    """Rows of `id,a,b,y`: y is 1 for bad, and the risk rises with both columns."""

    a: Floats
    b: Floats
    y: Labels


def table(rows: int = 600, seed: int = 0) -> Table:
    """Rows without blanks; b is 0, 1 or 2."""
    generator = np.random.default_rng(seed)
    a = np.round(generator.normal(size=rows), 2)
    b = generator.integers(0, 3, rows).astype(np.float64)
    risk = 1.0 / (1.0 + np.exp(2.0 - 0.5 * a - 1.2 * b))
    return Table(a, b, (generator.random(rows) < risk).astype(np.int8))


def tree(features: list[dict[str, Any]], *, late: bool = False, **recipe: Any) -> dict[str, Any]:
    """The spec of such a table as the tree of a TOML file; `late` adds a time column."""
    time = {"time": {"column": "t", "oot_from": "2026-02-01"}} if late else {}
    return {
        "data": {"path": "table.csv", "format": "csv"},
        "label": {
            "column": "y", "bad": ["1"], "good": ["0"],
            "horizon": "a month", "outcome": "missed", "population": "made up",
        },
        "id": {"column": "id"},
        "validation": {"folds": 3, "seeds": [0]},
        "model": {"trees": 40, "min_child_samples": 20, **recipe},
        "feature": [{"type": "number", "role": "input", **feature} for feature in features],
        **time,
    }  # fmt: skip


def spec_of(features: list[dict[str, Any]], **recipe: Any) -> spec.Spec:
    """The parsed spec of such a table."""
    return spec.parse(tree(features, **recipe), path=Path("spec.toml"), sha256="")


A = {"name": "a", "reason_group": "A"}
B = {"name": "b", "reason_group": "B"}
NULLABLE_B = {**B, "missing": "nan"}


class Trained(NamedTuple):
    """A model trained from a file, its figures, and the scorer that a server loads."""

    metrics: dict[str, Any]
    scorer: ModelScorer


def trained(
    folder: Path,
    it: Table,
    features: list[dict[str, Any]],
    *,
    late: NDArray[np.bool_] | None = None,
    **recipe: Any,
) -> Trained:
    """Writes the table and its spec, trains, and loads; rows marked `late` are the hold-out."""
    return _train(folder, it, tree(features, late=late is not None, **recipe), late)


def trained_without_recipe(
    folder: Path, it: Table, features: list[dict[str, Any]], budget_s: float
) -> Trained:
    """The same with a spec that leaves the recipe to the training, which has so many seconds."""
    document = tree(features)
    del document["model"]
    return _train(folder, it, document, None, budget_s)


def _train(
    folder: Path,
    it: Table,
    document: dict[str, Any],
    late: NDArray[np.bool_] | None,
    budget_s: float = budget.USUAL_S,
) -> Trained:
    lines = ["id,a,b,y" + ("" if late is None else ",t")]
    for i, (a, b, y) in enumerate(zip(it.a, it.b, it.y, strict=True)):
        cells = [str(i), *("" if np.isnan(v) else str(v) for v in (a, b)), str(y)]
        cells += [] if late is None else ["2026-02-01" if late[i] else "2026-01-31"]
        lines.append(",".join(cells))
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "spec.toml").write_text(toml(document), encoding="utf-8")
    with forked_workers():
        metrics = train.train(
            folder / "spec.toml", folder / "model", progress=False, jobs=1,
            budget_s=budget_s,
        )  # fmt: skip
    return Trained(metrics, ModelScorer.load(folder / "model"))


def fitted(
    raw: Floats, label: Labels, features: list[dict[str, Any]], **recipe: Any
) -> ModelScorer:
    """The scorer of one fit on all rows, without a file: as served, except for the calibration."""
    the_spec = spec_of(features, **recipe)
    assert the_spec.recipe is not None
    rows = np.arange(label.shape[0])
    state = State(raw, label, the_spec, np.empty(0, dtype=np.int64), rows)
    sample = sample_of(state, rows, recipes.leaf(the_spec.recipe, rows.shape[0]))
    text = learners.fit(state, sample, the_spec.recipe).booster.model_to_string()
    platt = Platt(1.0, 0.0)
    scale = scorecard.scale(platt)
    kept = golden.rows(text, state, sample, scale)
    return ModelScorer(
        manifest.Manifest(
            model_id="fitted",
            created_at="",
            outcome="missed",
            horizon="a month",
            population="made up",
            base_rate=float(label.mean()),
            raw=the_spec.inputs,
            trained=sample.trained,
            derived=sample.preparation.columns,
            derive_function=None,
            fitted=sample.preparation,
            kind=the_spec.recipe.kind,
            text_names=learners.names(sample.preparation),
            platt=platt,
            scale=scale,
            scale_version=scorecard.VERSION,
            training_id_salt="",
            training_id_hashes=frozenset(),
            golden=tuple(
                manifest.Golden(
                    tuple(map(float.fromhex, row["raw"])),
                    float.fromhex(row["margin"]),
                    row["score"],
                )
                for row in kept
            ),
            model_text=text,
            document={},
        )
    )


def largest_tree(scorer: ModelScorer) -> int:
    """The number of splits of the model's largest tree."""
    return max(len(each.feature) for each in tables.parse(scorer.manifest.model_text))


def row(*values: float) -> bytes:
    """Raw values as the engine gives them."""
    return np.array(values, dtype="<f8").tobytes()


def toml(document: dict[str, Any]) -> str:
    """Tables, and lists of tables, as the text of a TOML file."""
    lines: list[str] = []
    for name, section in document.items():
        for each in section if isinstance(section, list) else [section]:
            lines.append(f"[[{name}]]" if isinstance(section, list) else f"[{name}]")
            lines += [f"{key} = {_value(value)}" for key, value in each.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
