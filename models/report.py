"""The metrics of a training run, printed for a risk officer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models import fairness_gate

Metrics = Mapping[str, Any]


def print_metrics(metrics: Metrics, console: Console | None = None) -> None:
    """Print the result of `models.train.train`, or the content of `metrics.json`, as tables."""
    console = console or Console()
    for warning in metrics.get("warnings", ()):
        console.print(f"Warning: {warning}.", style="yellow", markup=False)
    console.print(_headline(metrics))
    console.print(_bands(metrics))
    for table in _fairness(metrics):
        console.print(table)
    # Models of earlier builds have none.
    if (gate := metrics["fairness"].get("gate")) is not None:
        unjudged = fairness_gate.unjudged(metrics["fairness"]["all_rows"]["attributes"])
        verdict = f"not judged: {unjudged}" if unjudged else gate["verdict"]
        console.print(f"Fairness, out of fold on all rows: {verdict}.")
    # Models of earlier builds have none.
    if "coverage" in metrics and (unscorable := _coverage(metrics)).row_count:
        console.print(unscorable)
    if "verdict" in metrics:
        console.print(metrics["verdict"]["sentence"], style="bold", markup=False)
    if found := gain(metrics):
        console.print(found, markup=False)
    if "instability" in metrics:
        console.print(instability(metrics["instability"]))
    console.print(
        f"Outcome: {metrics['outcome']} ({metrics['horizon']}; {metrics['population']}). "
        f"{metrics['bad']:,} bad of {metrics['rows']:,}. The score ranks; unless the outcome is "
        "rental_loss it prices nothing."
    )
    console.print(f"Monotone in: {metrics['monotone_in']}.")
    if "model_id" in metrics:
        console.print(f"Model {metrics['model_id']}", soft_wrap=True)
    console.print(f"{metrics['seconds']} s")


def gain(metrics: Metrics) -> str:
    """The sentence about the gain over the scorecard; empty where every fold chose that one."""
    # Models of earlier builds have no choice.
    if {*metrics.get("choice", {}).get("chosen_in_folds", ())} == {"scorecard"}:
        return ""
    found = metrics["gain"]
    low, high = found["interval"]
    return (
        f"Gain over the scorecard: {found['auc_mean']:+z.4f} AUC [{low:+z.4f}, {high:+z.4f}] "
        f"({found['method']}, {found['folds']} folds)."
    )


def instability(figures: Metrics) -> str:
    """The sentence about the people whose treatment depends on the seed."""
    if figures["skipped"] is not None:
        return f"Instability: not measured, because {figures['skipped']}."
    return (
        f"Instability: {_percent(figures['share'])} of {figures['n']:,} hold-out people change "
        f"their band in at least one of {figures['refits']} refits with other "
        f"seeds{_further(figures)}."
    )


def _further(figures: Metrics) -> str:
    """The shares of people with another offer or first reason; figures of earlier builds have
    none."""
    if "any" not in figures:
        return ""
    text = f"; {_percent(figures['offer']['share'])} change their offer"
    reason = figures["first_reason"]
    if reason["share"] is None:
        return text
    return (
        f"{text}, and of {reason['n']:,} people whose reasons were computed "
        f"{_percent(reason['share'])} change their first reason. One of the three changes for "
        f"{_percent(figures['any']['share'])} of these"
    )


def _headline(metrics: Metrics) -> Table:
    table = Table(title="How well it ranks, and whether its probabilities are true")
    table.add_column("")
    columns = [(f"CV, seeds {_seeds(metrics['model'])}", "model")]
    columns += [
        (f"CV, seeds {_seeds(metrics[key])}", key) for key in metrics if key.startswith("model_s")
    ]
    # Models of earlier builds have one rival, under another name.
    rivals = (("scorecard", "scorecard"), ("plain LightGBM", "plain"), ("logistic", "baseline"))
    columns += [(title, key) for title, key in rivals if key in metrics]
    for title, _ in columns:
        table.add_column(title, justify="right")
    holdout = metrics["holdout"]
    table.add_column(f"served, hold-out (n {holdout['n']:,})", justify="right")
    area = holdout["auc"]
    served = {
        "auc": f"{area['value']:.4f} [{area['interval'][0]:.4f}, {area['interval'][1]:.4f}]",
        "ks": f"{holdout['ks']:.4f}",
        "brier": f"{holdout['brier']:.5f}",
    }
    for name, title, digits in (
        ("auc", "AUC", 4), ("ks", "KS", 4), ("brier", "Brier", 5)
    ):  # fmt: skip
        cells = [
            f"{metrics[key][name]['mean']:.{digits}f} ± {metrics[key][name]['sd']:.{digits}f}"
            for _, key in columns
        ]
        table.add_row(title, *cells, served[name])
    for name, title, digits in (
        ("ece", "ECE, worst seed", 4),
        ("ece_noise_floor", "ECE of a perfect model", 4),
        ("ece_noise_95", "95 in 100 perfect models are below", 4),
        ("calibration_slope", "calibration slope (ideal 1)", 3),
        ("calibration_intercept", "calibration intercept (ideal 0)", 3),
        ("calibration_in_the_large", "calibration in the large (ideal 0)", 3),
    ):
        cells = [_figure(metrics[key].get(name), digits) for _, key in columns]
        table.add_row(title, *cells, _figure(holdout.get(name), digits))
    table.caption = "± is the standard deviation over folds; brackets are 95 % intervals."
    return table


def _bands(metrics: Metrics) -> Table:
    table = Table(title="Score bands on the hold-out")
    for title in ("Band", "From", "People", "Share", "Bad rate", "95 % interval"):
        table.add_column(title, justify="left" if title == "Band" else "right")
    for row in metrics["score_bands"]:
        table.add_row(
            row["band"],
            str(row["from_score"]),
            f"{row['n']:,}",
            _percent(row["share"]),
            _percent(row["bad_rate"]),
            _interval(row["interval"]),
        )
    return table


def _fairness(metrics: Metrics) -> list[Table]:
    fairness = metrics["fairness"]
    small = fairness["small_group"]
    tables = []
    for attribute in fairness["attributes"]:
        table = Table(
            title=f"{attribute['attribute']} (not trained on): approved from "
            f"{fairness['approved_from_score']}, hold-out",
            caption=f"Ratio and gap to {attribute['compared_with']}. "
            f"* fewer than {small} people: no conclusion.",
        )
        for title in ("Group", "People", "Approved", "Ratio", "Good payers approved", "Gap"):
            table.add_column(title, justify="left" if title == "Group" else "right")
        for group in attribute["groups"]:
            approval, good = group["approval"], group["approval_of_good"]
            table.add_row(
                group["group"] + ("*" if group["small"] else ""),
                f"{group['n']:,}",
                f"{_percent(approval['value'])} {_interval(approval['interval'])}",
                with_interval(group["ratio"]),
                f"{_percent(good['value'])} {_interval(good['interval'])}",
                with_interval(group["gap_of_good"]),
            )
        tables.append(table)
    return tables


def _coverage(metrics: Metrics) -> Table:
    """Columns with refused or marked hold-out rows, or whose blank may be scored."""
    holdout = metrics["holdout"]
    unscorable = holdout["unscorable"]
    better = {row["column"]: row for row in metrics["coverage"]["better_blank"]}
    table = Table(
        title=f"Hold-out rows that cannot be scored: {unscorable:,} of "
        f"{holdout['n'] + unscorable:,}",
        caption="Extrapolated rows are scored as the nearest trained value. Columns without such "
        "rows are left out.",
    )
    for title in ("Column", "Value missing", "Unlike training", "Extrapolated", "Better blank"):
        table.add_column(title, justify="left" if title == "Column" else "right")
    for row in metrics["coverage"]["columns"]:
        counts = [row["missing"], row["outside"], row["extrapolated"]]
        share = better.get(row["column"])
        if any(counts) or share:
            blank = "may not be" if share is None else _percent(share["share"])
            table.add_row(escape(row["column"]), *(f"{n:,}" for n in counts), blank)
    return table


def _seeds(figures: Metrics) -> str:
    return ", ".join(str(s) for s in figures["seeds"])


def _figure(value: Any, digits: int) -> str:
    if isinstance(value, dict):
        value = value["worst"]
    return "n/a" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100.0 * value:.1f} %"


def _interval(bounds: list[float]) -> str:
    return f"[{100.0 * bounds[0]:.0f}, {100.0 * bounds[1]:.0f}]"


def with_interval(figure: Metrics | None) -> str:
    if figure is None:
        return "n/a"
    low, high = figure["interval"]
    return f"{figure['value']:z.2f} [{low:z.2f}, {high:z.2f}]"
