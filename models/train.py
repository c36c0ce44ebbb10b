"""From a spec to a model directory: fit, calibrate, judge, write.

The fits, for the shipped spec 36 boosted models and 30 logistic regressions:

- the served model, without the hold-out, and five models inside its training rows whose
  out-of-fold margins fit its Platt calibrator;
- for each seed one model for each fold on all rows, for the figures of the model, and on the same
  folds the binned logistic regression for comparison.
"""

from __future__ import annotations

import hashlib
import platform
import time
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from models import (
    calibrate,
    checking,
    coverage,
    dataset,
    features,
    fits,
    golden,
    manifest,
    metrics,
    parallel,
    reference,
    scorecard,
    spec,
    tables,
)
from models.errors import SpecError
from models.scorer import reasons_from

Floats = NDArray[np.float64]


def train(spec_path: Path, out: Path, *, progress: bool = True, jobs: int = 2) -> dict[str, Any]:
    """Train the model of `spec_path`, write the directory `out`, return its metrics.

    The same spec, data, derive function and library versions give the same model id for any
    `jobs` (worker processes, 1 thread each). Raises ModelError; an interrupt leaves no process.
    """
    started = time.perf_counter()
    data = checking.ready(spec.load(Path(spec_path)), Path(out))
    the_spec = data.spec
    for index, feature in enumerate(the_spec.features):
        if feature.role == "input" and feature.type == "text":
            raise SpecError(f"feature[{index}].type", "a model cannot use a text yet")
    derive_sha256 = features.source_sha256(the_spec.derive_function)
    state = fits.state_of(data)
    sample = fits.sample_of(state, state.training)
    columns = coverage.by_column(state, sample)
    warnings = list(data.warnings)
    warnings += coverage.require(columns, state.holdout.shape[0], the_spec.house)
    results = _run(state, jobs, progress)
    holdout_margin, model_text = results[fits.Task("served", 0, 0)]

    inner = fits.inner_folds(state)
    margin = np.empty(state.training.shape[0])
    for k in range(the_spec.validation.folds):
        margin[inner == k] = results[fits.Task("inner", 0, k)].margin
    scored = ~np.isnan(margin)
    platt = calibrate.fit(margin[scored], data.label[state.training][scored])
    scale = scorecard.scale(platt)

    better_blank = coverage.better_blank(state, sample, model_text, scale)
    warnings += _warnings(the_spec, model_text, better_blank)
    figures = metrics.collect(state, data, results, platt, scale, holdout_margin)
    figures["coverage"] = {"columns": columns, "better_blank": better_blank}
    figures["warnings"] = warnings
    used, label = sample.rows, data.label[sample.rows]
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    document = {
        "schema": manifest.SCHEMA,
        "created_at": created_at,
        "model_sha256": hashlib.sha256(model_text.encode("utf-8")).hexdigest(),
        "metrics_sha256": manifest.metrics_sha256(figures),
        "spec_sha256": the_spec.sha256,
        "data_sha256": data.sha256,
        "derive": {"function": the_spec.derive_function, "sha256": derive_sha256},
        "raw": [
            manifest.raw_column(f, t) for f, t in zip(the_spec.inputs, sample.trained, strict=True)
        ],
        "derived": [manifest.derived_column(d) for d in the_spec.derived],
        "monotone_in": "derived columns, each by itself; not in the raw columns",
        "label": {
            "column": the_spec.label.column,
            "outcome": the_spec.label.outcome,
            "horizon": the_spec.label.horizon,
            "population": the_spec.label.population,
            "base_rate": float(label.mean()),
            "rows": int(used.shape[0]),
            "bad": int(label.sum()),
        },
        "platt": {"a": platt.a.hex(), "b": platt.b.hex()},
        "scale": {"version": scorecard.VERSION, "a": scale.a.hex(), "b": scale.b.hex()},
        "training_ids": _training_ids(the_spec, data, used),
        "folds": _fold_hashes(state, inner),
        "reference": [
            reference.histogram(f, data.raw[used, j]) for j, f in enumerate(the_spec.inputs)
        ],
        "golden": golden.rows(model_text, state, sample, scale),
        "reasons": {
            "from": reasons_from(tables.parse(model_text), _groups(the_spec)),
            "columns_without_group": _without_group(the_spec),
        },
        "parameters": fits.parameters(the_spec, used.shape[0]),
        "trees": the_spec.recipe.trees,
        "seeds": {
            "headline": list(the_spec.validation.seeds),
            "extra": list(the_spec.validation.extra_seeds),
            "model": the_spec.recipe.seed,
        },
        "versions": {
            "python": platform.python_version(),
            "lightgbm": version("lightgbm"),
            "numpy": version("numpy"),
            "scikit-learn": version("scikit-learn"),
            "scipy": version("scipy"),
        },
    }
    figures["created_at"] = created_at
    figures["seconds"] = round(time.perf_counter() - started, 1)
    written = manifest.write(Path(out), document, model_text, figures)
    return {"model_id": written, **figures}


def _groups(the_spec: spec.Spec) -> list[str | None]:
    return [d.reason_group for d in the_spec.derived]


def _without_group(the_spec: spec.Spec) -> list[str]:
    return [d.name for d in the_spec.derived if d.reason_group is None]


def _warnings(
    the_spec: spec.Spec, model_text: str, better_blank: list[dict[str, Any]]
) -> list[str]:
    """Warnings about columns that can never be a reason, and about blanks that raise the score."""
    warnings = []
    unnamed = _without_group(the_spec)
    if unnamed:
        warnings.append(
            f"{len(unnamed)} of {len(the_spec.derived)} derived columns have no reason_group and "
            f"are never given as a reason: {', '.join(unnamed[:5])}"
        )
    if reasons_from(tables.parse(model_text), _groups(the_spec)) == "treeshap":
        warnings.append(
            f"a tree has more than {tables.NODES} splits: scores and reasons come from LightGBM, "
            "not from tables, and take longer"
        )
    warnings += [
        f"{row['column']}: {100 * row['share']:.1f} % of {row['n']} hold-out people would score "
        "better by leaving the value out; have two people approve this, or do not allow the blank"
        for row in better_blank
        if row["share"] > the_spec.house.most_better_blank
    ]
    return warnings


def _run(state: fits.State, jobs: int, progress: bool) -> metrics.Results:
    tasks = fits.tasks(state.spec)
    results: metrics.Results = {}
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, disable=not progress) as bar:
        line = bar.add_task("Fitting", total=len(tasks))
        with closing(parallel.run(fits.work, state, tasks, jobs)) as arriving:
            for index, result in arriving:
                results[tasks[index]] = result
                bar.advance(line)
    return results


def _training_ids(
    the_spec: spec.Spec, data: dataset.Dataset, training: dataset.Indices
) -> dict[str, Any]:
    # The inputs decide the salt, so the model id follows from them too. The salt keeps hashes of
    # two data sets apart; it does not hide an id that can be guessed.
    salt = hashlib.sha256(f"training ids {data.sha256} {the_spec.sha256}".encode()).hexdigest()
    return {
        "salt": salt,
        "what": "sha256 of salt + id, UTF-8, sorted",
        "sha256": dataset.id_hashes(salt, (data.ids[i] for i in training)),
    }


def _fold_hashes(state: fits.State, inner: NDArray[np.int8]) -> dict[str, Any]:
    """For each seed, the sha256 of the fold numbers, with one byte for each row in the file's
    order."""
    validation = state.spec.validation
    digests = {
        str(seed): hashlib.sha256(state.folds(seed).tobytes()).hexdigest()
        for seed in (*validation.seeds, *validation.extra_seeds)
    }
    return {
        "count": validation.folds,
        "sha256_by_seed": digests,
        "sha256_calibration": hashlib.sha256(inner.tobytes()).hexdigest(),
    }
