"""``python -m benchmarks tables``: the default recipe beside its rivals, on untuned tables.

Each raw table is drafted and read as a company would (`freehold spec init`). For each fold of the
spec's first seed the whole default runs on the rows outside the fold: the choice of a recipe by
validation inside these rows, and the fit. On the same folds stand the scorecard, and LightGBM as it
comes: 100 rounds of 31 leaves on the raw values, with native categories. A row that the default
cannot score is left out of all three.

On a table the default holds if it loses at most 0.005 AUC to each rival on average (0.002 from
20,000 rows) and at most 0.5 % of the log-loss, both calibrated alike, and if the interval of the
difference (Nadeau-Bengio corrected t, 95 %) is not wholly below 0.

`--specs FOLDER` takes real tables in place of the made-up ones: each `*.toml` there is a spec that
`freehold spec init` drafted, without a recipe.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import lightgbm
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks import raw_tables
from benchmarks.harness import commit, document, machine, write_json
from benchmarks.options import json_option
from models import budget, checking, choice, drafting, fits, metrics, recipes, spec
from models.dataset import Dataset
from models.fits import Task, Work
from models.samples import State, sample_of, state_of

Floats = NDArray[np.float64]

LARGE_ROWS = choice.LARGE_TABLE
MOST_AUC, MOST_AUC_LARGE, MOST_LOSS = 0.005, 0.002, 0.005
RIVALS = ("scorecard", "plain")


class Table(NamedTuple):
    """A table that is ready for its fits."""

    name: str
    data: Dataset


@click.command()
@click.option("--seed", default=1, show_default=True, help="Seed of the made-up tables.")
@click.option("--only", multiple=True, help="Name of a made-up table; several are possible.")
@click.option("--rows", type=click.IntRange(300), help="Rows of each made-up table.")
@click.option(
    "--specs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of specs of real tables, in place of the made-up ones.",
)
@click.option(
    "--budget-s",
    default=float(budget.USUAL_S),
    show_default=True,
    help="Processor time that each training is planned for.",
)
@json_option()
def tables(
    seed: int,
    only: tuple[str, ...],
    rows: int | None,
    specs: Path | None,
    budget_s: float,
    json_file: Path | None,
) -> None:
    """Compare the default recipe with a scorecard and plain LightGBM on many tables."""
    kinds = [k for k in raw_tables.SERIES if not only or k.name in only]
    if rows is not None:
        kinds = [k._replace(rows=rows) for k in kinds]
    found = []
    with tempfile.TemporaryDirectory() as name, threadpool_limits(limits=1):
        folder = Path(name)
        here, head = machine(folder), commit()
        for table in _made(kinds, seed, folder) if specs is None else _given(specs, folder):
            found.append(compare(table, budget_s))
            click.echo(_line(found[-1]))
        if json_file is not None:
            facts = document(
                name="tables",
                ratio=None,
                rounds=len(found),
                seed=seed,
                machine=here,
                commit=head,
                figures={
                    "budget_s": budget_s,
                    "holds": all(it["holds"] for it in found),
                    "tables": found,
                },
            )
            write_json(json_file, facts)
    if not all(it["holds"] for it in found):
        raise click.ClickException("the default does not hold on every table")


def _made(kinds: Sequence[raw_tables.Kind], seed: int, folder: Path) -> Iterator[Table]:
    for kind in kinds:
        path, spec_path = folder / f"{kind.name}.csv", folder / f"{kind.name}.toml"
        raw_tables.write(kind, seed, path)
        drafted = drafting.draft(path, spec_path, raw_tables.QUESTION, raw_tables.TODAY)
        spec_path.write_text(drafted.text, encoding="utf-8")
        yield Table(kind.name, checking.ready(spec.load(spec_path), folder / "none"))


def _given(specs: Path, folder: Path) -> Iterator[Table]:
    for path in sorted(specs.glob("*.toml")):
        the_spec = spec.load(path)
        # A recipe of the spec would not be the default.
        without = replace(the_spec, recipe=None)
        yield Table(path.stem, checking.ready(without, folder / "none"))


def compare(table: Table, budget_s: float) -> dict[str, Any]:
    """The figures of one table, and whether the default holds on it."""
    started = time.process_time()
    state = state_of(table.data)
    folds, seeds = state.spec.validation.folds, state.spec.validation.seeds[:1]
    rows = state.label.shape[0]
    columns = len(sample_of(state, state.training, 1, orders=True).preparation.columns)
    course = budget.course(
        state.training.shape[0],
        choice.cases_of(state, state.training),
        columns,
        folds,
        seeds,
        budget_s,
    )
    work = Work(state, course.plan)
    results: metrics.Results = {}
    for k in range(folds):
        default = fits.work(work, Task("fold", seeds[0], k))
        card = fits.work(work, Task("scorecard", seeds[0], k))
        trained, tested = fits.split(state, Task("fold", seeds[0], k))
        native = np.where(np.isnan(default.margin), np.nan, native_margins(state, trained, tested))
        both = np.where(np.isnan(default.margin), np.nan, card.margin)
        results[Task("fold", seeds[0], k)] = default
        results[Task("scorecard", seeds[0], k)] = card._replace(margin=both)
        results[Task("plain", seeds[0], k)] = card._replace(margin=native, recipe=recipes.PLAIN)
    figures = metrics.validation(state, table.data, results, seeds)
    chosen = [results[Task("fold", seeds[0], k)].recipe.name for k in range(folds)]
    return {
        "table": table.name,
        "rows": rows,
        "columns": len(state.spec.inputs),
        "bad_rate": float(state.label.mean()),
        "chosen": chosen,
        "auc": figures["model"]["auc"]["mean"],
        "log_loss": figures["model"]["log_loss"]["mean"],
        **_judged(figures, rows),
        "cpu_s": round(time.process_time() - started, 1),
    }


def native_margins(state: State, trained: NDArray[np.int64], tested: NDArray[np.int64]) -> Floats:
    """Margins of LightGBM as it comes, on the raw columns, with native categories."""
    categories = [j for j, f in enumerate(state.spec.inputs) if f.type in ("code", "text")]
    raw = state.raw.copy()
    # LightGBM takes a negative number as a missing category; codes begin at 0.
    for j in categories:
        raw[:, j] -= np.nanmin(raw[:, j])
    data = lightgbm.Dataset(
        raw[trained],
        label=state.label[trained],
        weight=state.weight_of(trained),
        categorical_feature=categories,
    )
    parameters = {
        "objective": "binary", "num_leaves": 31, "seed": 0, "deterministic": True,
        "force_row_wise": True, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    booster = lightgbm.train(parameters, data, 100)
    return np.asarray(booster.predict(raw[tested], raw_score=True, num_threads=1))


def _judged(figures: dict[str, Any], rows: int) -> dict[str, Any]:
    most = MOST_AUC_LARGE if rows >= LARGE_ROWS else MOST_AUC
    found: dict[str, Any] = {}
    holds = True
    for rival in RIVALS:
        gain = figures["gain" if rival == "scorecard" else f"gain_over_{rival}"]
        loss = figures["model"]["log_loss"]["mean"] / figures[rival]["log_loss"]["mean"] - 1.0
        found[f"over_{rival}"] = {
            "auc": gain["auc_mean"], "interval": gain["interval"], "log_loss_share": loss
        }  # fmt: skip
        holds = holds and gain["auc_mean"] >= -most and gain["interval"][1] >= 0.0
        holds = holds and loss <= MOST_LOSS
    return {**found, "holds": holds}


def _line(it: dict[str, Any]) -> str:
    over = ", ".join(
        f"{it[f'over_{rival}']['auc']:+.4f} AUC and "
        f"{100.0 * it[f'over_{rival}']['log_loss_share']:+.2f} % log-loss to {rival}"
        for rival in RIVALS
    )
    chosen = ", ".join(f"{name} {it['chosen'].count(name)}" for name in sorted({*it["chosen"]}))
    return (
        f"{it['table']}: {it['rows']:,} rows, {100 * it['bad_rate']:.0f} % bad, AUC "
        f"{it['auc']:.4f}; {over}; {chosen}; {'holds' if it['holds'] else 'DOES NOT HOLD'} "
        f"({it['cpu_s']:.0f} s)"
    )
