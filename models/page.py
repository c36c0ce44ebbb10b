"""`report.html` in a model's folder: what a risk officer reads before anybody serves the model.

The page follows from `metrics.json` and the model's id alone: the same figures give the same bytes.
It loads nothing from elsewhere and runs no script. It is no part of the model, so a folder without
it, or with another one, is as good.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from models import charts, fairness_gate, html, report

NAME = "report.html"

Metrics = Mapping[str, Any]

_MOST_COLUMNS = 25


def of(metrics: Metrics, model_id: str) -> str:
    """The page for the content of `metrics.json`."""
    with charts.without_checks():
        return _page(metrics, model_id)


def _page(metrics: Metrics, model_id: str) -> str:
    sections = (
        _warnings(metrics),
        _verdict(metrics),
        _rows(metrics),
        _roc(metrics),
        _ks(metrics),
        _calibration(metrics),
        _gains(metrics),
        _bands(metrics),
        _importance(metrics),
        _fairness(metrics),
        _card(metrics),
    )
    head = (
        f"<p>Horizon: {escape(metrics['horizon'])}. Population: {escape(metrics['population'])}. "
        f"Trained at {escape(metrics['created_at'])}.</p>\n"
        f'<p class="id">Model {escape(model_id)}</p>\n'
    )
    return html.page(f"Model report: {metrics['outcome']}", head, sections)


def _holdout(metrics: Metrics) -> str:
    """The people of the hold-out, for the line below each title."""
    found = metrics["holdout"]
    kind = (
        "out of time"
        if found["what"] == "out of time"
        else "not out of time: drawn from the same period as the training"
    )
    return f"Hold-out ({kind}): n = {found['n']:,}, {found['bad']:,} of them bad."


def _warnings(metrics: Metrics) -> str:
    found = metrics["warnings"]
    about = f"n = {metrics['rows']:,} rows of the study. {_holdout(metrics)}"
    if not found:
        return html.section("warnings", "Warnings", about, "<p>None.</p>\n")
    items = "".join(f'<p class="warning">{html.prose(text)}.</p>\n' for text in found)
    return html.section("warnings", "Warnings", about, items)


def _verdict(metrics: Metrics) -> str:
    folds = metrics["folds"]
    seeds = ", ".join(str(seed) for seed in folds["seeds"])
    about = (
        f"Cross-validated, not out of time: n = {folds.get('rows', metrics['rows']):,} rows in "
        f"{folds['count']} folds, seeds {seeds}. {_holdout(metrics)}"
    )
    columns = [
        ("Model, folds", metrics["model"]),
        ("Scorecard, folds", metrics["scorecard"]),
        ("Plain LightGBM, folds", metrics["plain"]),
    ]
    served = metrics["holdout"]
    area = served["auc"]
    rows = [
        ["AUC", *(_mean(figures, "auc") for _, figures in columns),
         f"{area['value']:.4f} [{area['interval'][0]:.4f}, {area['interval'][1]:.4f}]"],
        ["KS", *(_mean(figures, "ks") for _, figures in columns), f"{served['ks']:.4f}"],
        ["Brier", *(_mean(figures, "brier") for _, figures in columns), f"{served['brier']:.4f}"],
        ["ECE, worst seed", *(f"{figures['ece']['worst']:.4f}" for _, figures in columns),
         f"{served['ece']:.4f}"],
    ]  # fmt: skip
    return html.section(
        "verdict",
        "Verdict",
        about,
        f'<p class="verdict">{escape(metrics["verdict"]["sentence"])}</p>\n',
        _choice(metrics["choice"]),
        f"<p>{escape(gained)}</p>\n" if (gained := report.gain(metrics)) else "",
        "<p>After ± stands the standard deviation over folds. Brackets are 95 % intervals.</p>\n",
        html.table(["", *(title for title, _ in columns), "Served, hold-out"], rows),
        f"<p>{escape(report.instability(metrics['instability']))}</p>\n",
        "<p>The score ranks people. Unless the outcome is rental_loss, it prices nothing.</p>\n",
    )


def _choice(choice: Metrics) -> str:
    """The recipe that is served, and those that the folds chose; nothing for a pinned one."""
    if not choice["nested"]:
        return ""
    served = choice["served"]
    if choice["served_trees"]:
        served += f" with {choice['served_trees']:,} trees"
    folds = sorted(choice["chosen_in_folds"].items(), key=lambda it: (-it[1], it[0]))
    chosen = ", ".join(f"{name} {count}" for name, count in folds)
    return f"<p>Served: {escape(served)}. Chosen in folds: {escape(chosen)}.</p>\n"


def _mean(figures: Metrics, name: str) -> str:
    return f"{figures[name]['mean']:.4f} ± {figures[name]['sd']:.4f}"


def _rows(metrics: Metrics) -> str:
    total = metrics["rows"] + metrics["dropped"]
    left, steps = total, [("rows of the file", total, total)]
    for exclusion in metrics["excluded"]:
        left -= exclusion["rows"]
        steps.append((f"less: {exclusion['reason']}", exclusion["rows"], left))
    rows = [[name, f"{count:,}", f"{rest:,}"] for name, count, rest in steps]
    bad = metrics["bad"]
    return html.section(
        "rows",
        "Rows that were left out",
        f"The whole file: n = {total:,}.",
        html.table(["Step", "Rows", "Left"], rows, [rest / total for _, _, rest in steps]),
        f"<p>{metrics['rows']:,} rows are in the study; {bad:,} of them are bad "
        f"({_percent(bad / metrics['rows'])}).</p>\n",
    )


def _roc(metrics: Metrics) -> str:
    found = metrics["holdout"]
    area = found["auc"]
    low, high = area["interval"]
    caption = (
        f"AUC {area['value']:.4f} [{low:.4f}, {high:.4f}] (95 %, {area['method']}). "
        "The grey line is chance."
    )
    return html.section(
        "roc", "ROC", _holdout(metrics), html.figure(charts.roc(found["curve"]), caption)
    )


def _ks(metrics: Metrics) -> str:
    found = metrics["holdout"]
    at = charts.widest_gap(found["curve"])
    caption = (
        f"KS {found['ks']:.4f}, at score {at['score']}: up to there lie {_percent(at['bad'])} of "
        f"the bad people (red) and {_percent(at['good'])} of the good people (green)."
    )
    return html.section(
        "ks", "KS", _holdout(metrics), html.figure(charts.ks(found["curve"]), caption)
    )


def _calibration(metrics: Metrics) -> str:
    found = metrics["holdout"]
    bins = found["reliability"]
    caption = (
        f"ECE {found['ece']:.4f}. Of a perfect model it would be {found['ece_noise_floor']:.4f} on "
        f"average, and below {found['ece_noise_95']:.4f} in 95 of 100 samples of this size. On "
        "the grey line PD and bad rate agree."
    )
    rows = [
        [str(i), f"{b['n']:,}", _percent(b["pd"]), _percent(b["bad_rate"]), _interval(b)]
        for i, b in enumerate(bins, start=1)
    ]
    drift = metrics["drift"]
    return html.section(
        "calibration",
        "Calibration",
        _holdout(metrics),
        html.pair(
            html.figure(charts.calibration(bins), caption),
            html.table(["Bin, by PD", "People", "Mean PD", "Bad rate", "95 % interval"], rows),
        ),
        f"<p>Test against the validation (n = {drift['n']:,}): {escape(drift['light'])}; "
        f"{escape(drift['verdict'])}.</p>\n",
    )


def _gains(metrics: Metrics) -> str:
    curve = metrics["holdout"]["curve"]
    rows = []
    for share in (0.05, 0.1, 0.2, 0.3, 0.5):
        # The first point that has this share of people.
        at = next(p for p in curve if p["people"] >= share - 1e-12)
        lift = f"{at['bad'] / at['people']:.2f}"
        rows.append([_percent(at["people"]), _percent(at["bad"]), lift, str(at["score"])])
    return html.section(
        "gains",
        "Gains",
        _holdout(metrics),
        html.pair(
            html.figure(
                charts.gains(curve),
                "So many of all bad people are among the riskiest people. The grey line is chance.",
            ),
            html.table(["Riskiest people", "Share of all bad people", "Lift", "Score up to"], rows),
        ),
    )


def _bands(metrics: Metrics) -> str:
    bands = metrics["score_bands"]
    rows = [
        [b["band"], str(b["from_score"]), f"{b['n']:,}", _percent(b["share"]),
         _percent(b["bad_rate"]), _interval(b)]
        for b in bands
    ]  # fmt: skip
    titles = ["Band", "From score", "People", "Share", "Bad rate", "95 % interval"]
    return html.section(
        "bands",
        "Score bands",
        _holdout(metrics),
        html.table(titles, rows, [b["share"] for b in bands]),
    )


def _importance(metrics: Metrics) -> str:
    found = metrics["importance"]
    columns = found["columns"]
    shown = columns[:_MOST_COLUMNS]
    apart = "out of time" if metrics["holdout"]["what"] == "out of time" else "not out of time"
    about = (
        f"Hold-out ({apart}): n = {found['n']:,} of its people, spread evenly. Mean absolute "
        "TreeSHAP value in log-odds: how far the column moves a person's risk. Reasons come from "
        "the same values."
    )
    largest = columns[0]["mean_shap"] if columns else 1.0
    rows = [[c["column"], f"{c['mean_shap']:.3f}", c["reason_group"] or "none"] for c in shown]
    parts = [
        html.table(
            ["Column of the model", "Log-odds", "Reason"],
            rows,
            [c["mean_shap"] / largest for c in shown],
        )
    ]
    if len(columns) > len(shown):
        rest = len(columns) - len(shown)
        parts.append(f"<p>{rest:,} more columns count less; metrics.json has them.</p>\n")
    return html.section("importance", "Importance of columns", about, *parts)


_GATE = {
    fairness_gate.BLOCKED: "Blocked: a group is approved far too seldom. Do not serve this model.",
    fairness_gate.TWO_SIGNATURES: "Two signatures: have two people approve this difference.",
    fairness_gate.FINE: "Fine: no group is approved too seldom.",
}


def _fairness(metrics: Metrics) -> str:
    fairness = metrics["fairness"]
    gate, whole = fairness["gate"], fairness["all_rows"]
    about = (
        f"Gate: every row of the folds by the model that has not seen it, seed {whole['seed']}, "
        f"not out of time: n = {whole['n']:,}. Approved from score "
        f"{fairness['approved_from_score']}. Each group is compared with the one that the spec "
        f"names, or the largest. Groups under {fairness['small_group']} (*) are not judged. Beside "
        f"it: {_holdout(metrics)}"
    )
    unjudged = fairness_gate.unjudged(whole["attributes"])
    if not whole["attributes"]:
        return html.section("fairness", "Fairness", about, f"<p>Not judged: {unjudged}.</p>\n")
    mark = ' class="blocked"' if gate["verdict"] != fairness_gate.FINE else ""
    verdict_of = {(g["attribute"], g["group"]): g["verdict"] for g in gate["groups"]}
    verdict = f"Not judged: {unjudged}." if unjudged else _GATE[gate["verdict"]]
    parts = [f"<p{mark}>{escape(verdict)}</p>\n"]
    for title, figures, verdicts in (
        ("all rows, out of fold", whole, verdict_of),
        (_apart(metrics), fairness, None),
    ):
        for attribute in figures["attributes"]:
            parts.append(_attribute(attribute, title, verdicts))
    return html.section("fairness", "Fairness", about, *parts)


_CARD = (
    ("intended_uses", "Intended uses"),
    ("forbidden_uses", "Forbidden uses"),
    ("limitations", "Limitations"),
    ("review_triggers", "Reviewed after"),
)


def _card(metrics: Metrics) -> str:
    title, about = "Owner and uses", "As the spec's [card] declares them."
    card = metrics.get("card")
    if card is None:
        text = "<p>Not declared: the spec has no [card].</p>\n"
        return html.section("card", title, about, text)
    parts = [f"<p>Owner: {escape(card['owner'])}. Tier: {escape(card['tier'])}.</p>\n"]
    for name, heading in _CARD:
        if card[name]:
            items = "".join(f"<li>{escape(text)}</li>" for text in card[name])
            parts.append(f"<h3>{heading}</h3>\n<ul>{items}</ul>\n")
    return html.section("card", title, about, *parts)


def _apart(metrics: Metrics) -> str:
    late = metrics["holdout"]["what"] == "out of time"
    return "hold-out, out of time" if late else "hold-out, not out of time"


def _attribute(
    attribute: Metrics, title: str, verdicts: Mapping[tuple[str, str], str] | None
) -> str:
    """The table of one protected attribute; with `verdicts` it has the gate's column."""
    titles = ["Group", "People", "Approved", "Ratio", "Good payers approved", "Gap"]
    rows = []
    for group in attribute["groups"]:
        approval, good = group["approval"], group["approval_of_good"]
        row = [
            group["group"] + ("*" if group["small"] else ""),
            f"{group['n']:,}",
            f"{_percent(approval['value'])} {_interval(approval)}",
            report.with_interval(group["ratio"]),
            f"{_percent(good['value'])} {_interval(good)}",
            report.with_interval(group["gap_of_good"]),
        ]
        if verdicts is not None:
            usual = "not judged" if group["small"] else fairness_gate.FINE
            # Beside the name: a telephone shows the first columns.
            row.insert(1, verdicts.get((attribute["attribute"], group["group"]), usual))
        rows.append(row)
    n = sum(group["n"] for group in attribute["groups"])
    name, largest = escape(attribute["attribute"]), escape(attribute["compared_with"])
    return f"<h3>{name}: {escape(title)}, n = {n:,}; compared with {largest}</h3>\n" + html.table(
        titles if verdicts is None else [titles[0], "Gate", *titles[1:]], rows
    )


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100.0 * value:.1f} %"


def _interval(figures: Metrics) -> str:
    low, high = figures["interval"]
    return f"[{100.0 * low:.1f}, {100.0 * high:.1f}]"
