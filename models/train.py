"""From a spec to a model directory: validate, choose, fit, calibrate, judge, write.

- For each seed and fold, the whole procedure runs on the rows outside the fold: the choice of a
  recipe by a validation inside these rows, and the fit. So the figures are those of the procedure,
  not of a recipe that has seen the fold. Beside it stand the scorecard and a plain LightGBM.
- The verdict on these figures says which kind of model is served. It is fitted without the
  hold-out.
- Fits of its recipe inside its training rows give out-of-fold margins for its Platt calibrator.
- Fits of its recipe with other seeds show how many people's bands depend on the seed alone.

A recipe that the spec pins is not chosen, and its figures are called pinned, not nested.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models import (
    budget,
    calibrate,
    checking,
    coverage,
    development,
    drift,
    fairness_gate,
    features,
    fits,
    freed,
    golden,
    importance,
    instability,
    manifest,
    metrics,
    monitored,
    page,
    parallel,
    planned,
    recipes,
    reference,
    scorecard,
    spec,
    spec_card,
    spec_monitoring,
    tables,
    verdict,
)
from models.budget import Course
from models.choice import Plan
from models.development import Development
from models.errors import ModelDirectoryError, TamperedError
from models.fits import Outcome, Task, Work
from models.samples import Sample, State, domain_of, sample_of, state_of
from models.scorer import reasons_from
from models.spec_columns import Derived
from models.verdict import Verdict

Floats = NDArray[np.float64]


# Figures that a refusal names.
_NAMED = 5
_SIMULATED = "the outcomes are simulated, so only a sandbox may serve the model"


class _Served(NamedTuple):
    """The model that is served: its fit, the rows that it learned from, and its calibration.

    `out_of_fold` has a margin of each training row by a fit that did not see it, NaN without one.
    """

    outcome: Outcome
    sample: Sample
    verdict: Verdict
    platt: calibrate.Platt
    scale: scorecard.Scale
    out_of_fold: Floats


def train(
    spec_path: Path,
    out: Path,
    *,
    progress: bool = True,
    jobs: int | None = None,
    budget_s: float = budget.USUAL_S,
) -> dict[str, Any]:
    """Train the model of `spec_path`, write the directory `out`, return its metrics.

    The same spec, data, derive function, budget and library versions give the same model id for any
    `jobs` (worker processes, 1 thread each; by default `parallel.usual_jobs`). `out` may not have
    another model; where that is known only after the fits, the model goes to a folder beside it,
    which the error names. Raises ModelError; an interrupt leaves no process.
    """
    with features.beside(Path(spec_path)):
        development_sample = _read(Path(spec_path), Path(out))
        made = _made(development_sample, progress, jobs, budget_s)
    made_id = manifest.model_id(made.document)
    # What made the figures is freed before the sample is written, and that before the charts are
    # drawn: each takes memory of its own.
    freed.give_back()

    def beside(folder: Path) -> None:
        development.write(development_sample, folder)
        freed.give_back()
        (folder / page.NAME).write_text(page.of(made.figures, made_id), encoding="utf-8")

    folder, other = Path(out), manifest.occupant(Path(out), made_id)
    if other:
        # The check before the fits knows only the spec and the data: another build makes another
        # model of them. The hours of its training must not be lost.
        folder = folder.resolve()
        folder = folder.with_name(f"{folder.name}-{made_id[:12]}")
    manifest.write(folder, made.document, made.text, made.figures, beside)
    if other:
        raise ModelDirectoryError(
            f"{out}: holds another model, {other}, which is never replaced; the new model is in "
            f"{folder}"
        )
    return {"model_id": made_id, **made.figures}


def train_version(
    spec_path: Path,
    versions: Path,
    *,
    progress: bool = True,
    jobs: int | None = None,
    budget_s: float = budget.USUAL_S,
) -> tuple[Path, dict[str, Any]]:
    """Train a model into the folder of its id below `versions`; the folder, and its metrics.

    The folder appears only once the model is whole. A model that is there already stays as it is.
    Raises ModelError.
    """
    with manifest.workshop(Path(versions)) as partial:
        metrics_ = train(spec_path, partial, progress=progress, jobs=jobs, budget_s=budget_s)
        return manifest.publish(partial, Path(versions) / metrics_["model_id"]), metrics_


def rebuild(directory: Path, *, progress: bool = True, jobs: int | None = None) -> str:
    """Make the model of a directory again from the sample that it keeps; its id.

    Raises TamperedError when another model comes out, or ModelError when none can.
    """
    kept = manifest.read(directory)
    development_sample = parallel.shared(development.read(directory))
    development.require(development_sample, kept.document)
    figures = manifest.figures(directory)
    made = _made(development_sample, progress, jobs, kept.document["budget_s"], figures)
    if "monitoring" not in kept.document:
        # Earlier builds kept no people to measure drift by.
        del made.document["monitoring"]
    if kept.document["schema"] < made.document["schema"] == manifest.TOKENS_SCHEMA:
        manifest.without_tokens(made.document, kept.document["schema"])
    found = manifest.model_id(made.document)
    if found != kept.model_id:
        raise TamperedError(_said(directory, kept, made, found))
    return found


def _said(directory: Path, kept: manifest.Manifest, made: _Made, found: str) -> str:
    """The sentence about a model whose sample gives another id."""
    parts = manifest.differing(kept.document, made.document, ("created_at", "model_id"))
    if parts != ["metrics_sha256"]:
        return (
            f"the sample of model {kept.model_id} gives model {found}; these parts differ: "
            f"{', '.join(parts)}; a model that another build made, only that build makes again"
        )
    figures = manifest.differing(manifest.figures(directory), made.figures)
    more = f" and {len(figures) - _NAMED} more" if len(figures) > _NAMED else ""
    return (
        f"the sample of model {kept.model_id} gives this model, to the bit, with other figures: "
        f"{', '.join(figures[:_NAMED])}{more}; another build made it, and only that build gives "
        "its figures, and so its id, again"
    )


def _read(spec_path: Path, out: Path) -> Development:
    """The sample of a spec, in memory once for this process and its workers."""
    return parallel.shared(development.of(checking.ready(spec.load(spec_path), out)))


class _Made(NamedTuple):
    """A model before it is written."""

    document: dict[str, Any]
    text: str
    figures: dict[str, Any]


def _made(
    sample_: Development,
    progress: bool,
    jobs: int | None,
    budget_s: float,
    kept: Mapping[str, Any] | None = None,
) -> _Made:
    """The model of a sample; by the plan in the figures that are `kept` of it, if there are any."""
    # One thread, as in the fits: sums then have one order on any machine, and threads that wait for
    # one another cost more than they gain.
    with threadpool_limits(limits=1):
        return _judged(sample_, progress, jobs, budget_s, kept)


def _judged(
    sample_: Development,
    progress: bool,
    jobs: int | None,
    budget_s: float,
    kept: Mapping[str, Any] | None,
) -> _Made:
    started = time.perf_counter()
    data = sample_.data
    state = state_of(data)
    the_spec = state.spec
    derive_sha256 = features.source_sha256(the_spec.derive_function)
    course = planned.course(state, budget_s, kept)
    leaf = recipes.leaf_of(course.plan.candidates, state.training.shape[0])
    columns = coverage.by_column(state, sample_of(state, state.training, leaf))
    warnings = list(data.warnings)
    warnings += coverage.require(columns, state.holdout.shape[0], the_spec.house)

    with _Runner(state, course, jobs, progress) as runner:
        results = runner.run(course.plan, runner.validation)
        figures = metrics.validation(state, data, results, course.seeds)
        chosen = [results[Task("fold", s, k)].recipe.name for s, k in runner.folds]
        ruling = verdict.judge(figures, the_spec.recipe, chosen, the_spec.validation.folds)
        candidates = tuple(c for c in course.plan.candidates if c.kind == ruling.kind)
        results |= runner.run(course.plan._replace(candidates=candidates), [fits.SERVED])
        outcome = results[fits.SERVED]
        again = instability.tasks(outcome.recipe, course.refits)
        runner.skip(course.refits - len(again))
        results |= runner.run(Plan((outcome.recipe,), ()), [*fits.calibration(the_spec), *again])
    served = _calibrated(state, results, ruling)

    better_blank = coverage.better_blank(state, served.sample, outcome.text, served.scale)
    warnings += _warnings(served, the_spec, better_blank)
    by, kind = ("scorecard", "scorecard") if ruling.kind == "scorecard" else ("model", "fold")
    promised = figures[by]
    figures |= metrics.served(
        state, data, results, served.platt, served.scale, kind, promised["auc"]["mean"]
    )
    prepared = served.sample.preparation.columns
    figures["instability"] = instability.find(state, results, served.scale, again, prepared)
    apart = "the rows out of time" if the_spec.time else "the hold-out"
    # First of all: the figures may be of no real people, the model may rank nothing, and the
    # validation may not hold today.
    first = [_SIMULATED] if the_spec.label.simulated else []
    first += verdict.doubt(promised, the_spec.validation.folds)
    first += drift.warning(figures["drift"], apart)
    warnings = first + fairness_gate.warning(figures["fairness"]["gate"]) + warnings
    figures["importance"] = importance.of(outcome.explained, prepared)
    figures["columns"] = {
        "raw": len(the_spec.inputs), "derived": len(prepared)
    }  # fmt: skip
    figures["verdict"] = {"kind": ruling.kind, "sentence": ruling.sentence}
    figures["choice"] = planned.figures(course, outcome, chosen, state.training.shape[0])
    figures["coverage"] = {"columns": columns, "better_blank": better_blank}
    figures["warnings"] = warnings
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    document = {
        "schema": manifest.schema_of(
            served.sample.preparation, the_spec.inputs, simulated=the_spec.label.simulated
        ),
        "created_at": created_at,
        "metrics_sha256": manifest.metrics_sha256(figures),
        "spec_sha256": the_spec.sha256,
        "data_sha256": data.sha256,
        "sample_sha256": development.content_sha256(sample_),
        "derive": {"function": the_spec.derive_function, "sha256": derive_sha256},
        **_described(state, sample_, served),
        "budget_s": budget_s,
        "seeds": {
            "headline": list(course.seeds),
            "extra": figures["folds"]["extra_seeds"],
            "model": the_spec.seed,
        },
        "versions": {
            "python": platform.python_version(),
            "lightgbm": version("lightgbm"),
            "numpy": version("numpy"),
            "scipy": version("scipy"),
        },
    }
    figures["created_at"] = created_at
    figures["seconds"] = round(time.perf_counter() - started, 1)
    return _Made(document, outcome.text, figures)


class _Runner:
    """Runs the fits of a training in worker processes, under one progress bar."""

    def __init__(self, state: State, course: Course, jobs: int | None, progress: bool) -> None:
        the_spec = state.spec
        seeds = course.seeds
        if the_spec.recipe is not None:
            seeds = (*seeds, *the_spec.validation.extra_seeds)
        self.validation = fits.validation(the_spec, seeds)
        self.folds = [(t.seed, t.fold) for t in self.validation if t.kind == "fold"]
        self._state, self._jobs = state, jobs
        self._total = len(self.validation) + 1 + len(fits.calibration(the_spec)) + course.refits
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True), disable=not progress,
        )  # fmt: skip
        self._line = self._bar.add_task("Fitting", total=self._total)

    def __enter__(self) -> _Runner:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def skip(self, fits_: int) -> None:
        """So many planned fits are not needed."""
        self._total -= fits_
        self._bar.update(self._line, total=self._total)

    def run(self, plan: Plan, tasks: Sequence[Task]) -> metrics.Results:
        """The outcomes of tasks under a plan."""
        results: metrics.Results = {}
        it = Work(self._state, plan)
        # This process then waits for long, beside workers that need memory.
        freed.give_back()
        with closing(parallel.run(fits.work, it, tasks, self._jobs)) as arriving:
            for index, result in arriving:
                results[tasks[index]] = result
                self._bar.advance(self._line)
        return results


def _calibrated(state: State, results: metrics.Results, ruling: Verdict) -> _Served:
    """The served model with the calibrator that the out-of-fold margins of its recipe give."""
    outcome, training = results[fits.SERVED], state.training
    inner = fits.inner_folds(state)
    margin = np.empty(training.shape[0])
    for k in range(state.spec.validation.folds):
        margin[inner == k] = results[Task("inner", 0, k)].margin
    scored = ~np.isnan(margin)
    platt = calibrate.fit(
        margin[scored], state.label[training][scored], state.weight_of(training[scored])
    )
    recipe = outcome.recipe
    sample = sample_of(
        state, training, recipes.leaf(recipe, training.shape[0]), orders=recipes.orders(recipe)
    )
    return _Served(outcome, sample, ruling, platt, scorecard.scale(platt), margin)


def _described(state: State, sample_: Development, served: _Served) -> dict[str, Any]:
    """The parts of the manifest that follow from the served model."""
    data = sample_.data
    the_spec, outcome = state.spec, served.outcome
    used, columns = served.sample.rows, served.sample.preparation.columns
    label, weight = data.label[used], state.weight_of(used)
    return {
        "model_sha256": hashlib.sha256(outcome.text.encode("utf-8")).hexdigest(),
        "kind": outcome.recipe.kind,
        "raw": [
            manifest.raw_column(f, t)
            for f, t in zip(the_spec.inputs, served.sample.trained, strict=True)
        ],
        "derived": [manifest.derived_column(d) for d in columns],
        "preparation": served.sample.preparation.document,
        "monotone_in": "derived columns, each by itself; not in the raw columns",
        "label": {
            "column": the_spec.label.column,
            "outcome": the_spec.label.outcome,
            "horizon": the_spec.label.horizon,
            "population": the_spec.label.population,
            "base_rate": float(np.average(label, weights=weight)),
            "rows": int(used.shape[0]),
            "bad": int(label.sum()),
            **({"simulated": True} if the_spec.label.simulated else {}),
        },
        **({} if the_spec.card is None else {"card": spec_card.to_json(the_spec.card)}),
        "platt": {"a": served.platt.a.hex(), "b": served.platt.b.hex()},
        "scale": {
            "version": scorecard.VERSION, "a": served.scale.a.hex(), "b": served.scale.b.hex()
        },
        "training_ids": {
            "salt": sample_.salt,
            "what": "sha256 of salt + id, UTF-8, sorted",
            # Sorted, so that their order does not reveal the order of the file.
            "sha256": sorted(development.written(sample_.hashes[used])),
        },
        "folds": _fold_hashes(state),
        "reference": [
            reference.histogram(f, data.raw[used, j]) for j, f in enumerate(the_spec.inputs)
        ],
        "monitoring": _monitoring(state, served),
        "golden": golden.rows(outcome.text, state, served.sample, served.scale),
        "reasons": {
            "from": reasons_from(tables.parse(outcome.text), [c.reason_group for c in columns]),
            "columns_without_group": _without_group(columns),
        },
        "recipe": {**asdict(outcome.recipe), "penalty": outcome.penalty},
        "parameters": {}
        if outcome.recipe.kind == "scorecard"
        else recipes.parameters(outcome.recipe, columns, the_spec.seed, used.shape[0]),
    }  # fmt: skip


def _monitoring(state: State, served: _Served) -> dict[str, Any]:
    """The thresholds of drift, and the people that later ones are compared with."""
    margin = served.out_of_fold
    score = np.where(np.isnan(margin), np.nan, metrics.scores(served.scale, margin))
    seen = domain_of(state, served.sample)
    return {
        "rules": spec_monitoring.to_json(state.spec.monitoring),
        **monitored.of_training(state, state.training, seen, score),
    }


def _without_group(columns: Sequence[Derived]) -> list[str]:
    return [d.name for d in columns if d.reason_group is None]


def _warnings(
    served: _Served, the_spec: spec.Spec, better_blank: list[dict[str, Any]]
) -> list[str]:
    """Warnings about columns that can never be a reason, and about blanks that raise the score."""
    warnings = []
    columns = served.sample.preparation.columns
    unnamed = _without_group(columns)
    if unnamed:
        warnings.append(
            f"{len(unnamed)} of {len(columns)} derived columns have no reason_group and "
            f"are never given as a reason: {', '.join(unnamed[:5])}"
        )
    groups = [c.reason_group for c in columns]
    if reasons_from(tables.parse(served.outcome.text), groups) == "treeshap":
        warnings.append(
            f"a tree has more than {tables.NODES} splits: scores and reasons come from LightGBM, "
            "not from tables, and take longer"
        )
    recipe, rows = served.outcome.recipe, served.sample.rows.shape[0]
    if recipe.kind == "trees" and recipes.leaf(recipe, rows) < recipe.min_child_samples:
        warnings.append(
            f"the smallest leaf has {recipes.leaf(recipe, rows)} rows and not "
            f"{recipe.min_child_samples}: a leaf may be one in {recipes.LEAVES_IN_ROWS} of the rows"
        )
    warnings += [
        f"{row['column']}: {100 * row['share']:.1f} % of {row['n']} hold-out people would score "
        "better by leaving the value out; have two people approve this, or do not allow the blank"
        for row in better_blank
        if row["share"] > the_spec.house.most_better_blank
    ]
    return warnings


def _fold_hashes(state: State) -> dict[str, Any]:
    """For each seed, the sha256 of the fold numbers, with one byte for each row in the file's
    order."""
    validation = state.spec.validation
    inner = fits.inner_folds(state)
    digests = {
        str(seed): hashlib.sha256(state.folds(seed).tobytes()).hexdigest()
        for seed in (*validation.seeds, *validation.extra_seeds)
    }
    return {
        "count": validation.folds,
        "sha256_by_seed": digests,
        "sha256_calibration": hashlib.sha256(inner.tobytes()).hexdigest(),
    }
