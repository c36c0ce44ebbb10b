"""The content of `metrics.json`: figures of the model, and of the served model.

No calibrator sees the labels on which it is judged: the calibrator of fold k is fitted on the
out-of-fold margins of the other folds of the same seed. A row that a fit cannot score has no margin
(NaN). Such a row is counted, but is not in the figures of its fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import calibrate, dataset, evaluate, fits, scorecard, spec

Floats = NDArray[np.float64]
Results = dict[fits.Task, fits.Outcome]

APPROVAL_SCORE = 600
# Smaller groups are shown without a conclusion.
SMALL_GROUP = 200


def collect(
    state: fits.State,
    data: dataset.Dataset,
    results: Results,
    platt: calibrate.Platt,
    scale: scorecard.Scale,
    holdout_margin: Floats,
) -> dict[str, Any]:
    """All of `metrics.json` except its times, from the results of every fit.

    `platt` and `scale` are the served model's, `holdout_margin` its margins on the hold-out.
    """
    validation = state.spec.validation
    holdout_label = data.label[state.holdout]
    scored = ~np.isnan(holdout_margin)
    score = _scores(scale, holdout_margin)
    metrics: dict[str, Any] = {
        "outcome": state.spec.label.outcome,
        "horizon": state.spec.label.horizon,
        "population": state.spec.label.population,
        "rows": int(data.label.shape[0]),
        "bad": int(data.label.sum()),
        "dropped": data.dropped,
        "columns": {"raw": len(state.spec.inputs), "derived": len(state.spec.derived)},
        "monotone_in": "derived columns, each by itself; not in the raw columns",
        "folds": {
            "count": validation.folds,
            "seeds": list(validation.seeds),
            "extra_seeds": list(validation.extra_seeds),
        },
    }
    for suffix, seeds in (("", validation.seeds), (_suffix(validation), validation.extra_seeds)):
        if not seeds:
            continue
        metrics["model" + suffix] = _cross_validated(state, results, seeds)
        metrics["baseline" + suffix] = _baseline(state, results, seeds)
        metrics["gain" + suffix] = _gain(
            metrics["model" + suffix], metrics["baseline" + suffix], validation.folds
        )
    metrics["holdout"] = {
        **_holdout(holdout_label[scored], holdout_margin[scored], platt),
        "unscorable": int((~scored).sum()),
    }
    metrics["score_bands"] = _bands(holdout_label[scored], score[scored])
    metrics["fairness"] = {
        "approved_from_score": APPROVAL_SCORE,
        "small_group": SMALL_GROUP,
        "gated": False,
        **_fairness(state, data, state.holdout, score),
        "all_rows": _fairness_all_rows(state, data, results),
    }
    return metrics


def _suffix(validation: spec.Validation) -> str:
    """`_seeds_3_5` for the extra seeds 3, 4, 5."""
    if not validation.extra_seeds:
        return ""
    return f"_seeds_{min(validation.extra_seeds)}_{max(validation.extra_seeds)}"


def _cross_validated(state: fits.State, results: Results, seeds: Sequence[int]) -> dict[str, Any]:
    count, unscorable = state.spec.validation.folds, []
    by_fold: dict[str, list[float]] = {"auc": [], "brier": [], "ks": []}
    by_seed: dict[str, list[float]] = {
        "ece": [], "ece_uncalibrated": [], "noise": [], "slope": [], "intercept": [], "large": []
    }  # fmt: skip
    for seed in seeds:
        fold = state.folds(seed)
        margin = _out_of_fold(state, results, seed)
        scored = ~np.isnan(margin)
        unscorable.append(int((~scored).sum()))
        label, fold, margin = state.label[scored], fold[scored], margin[scored]
        log_odds = np.empty(label.shape[0])
        for k in range(count):
            platt = calibrate.fit(margin[fold != k], label[fold != k])
            log_odds[fold == k] = platt.log_odds(margin[fold == k])
        pd = calibrate.sigmoid(log_odds)
        for k in range(count):
            here = fold == k
            by_fold["auc"].append(evaluate.auc(label[here], margin[here]))
            by_fold["brier"].append(evaluate.brier(label[here], pd[here]))
            by_fold["ks"].append(evaluate.ks(label[here], margin[here]))
        by_seed["ece"].append(evaluate.ece(label, pd))
        by_seed["ece_uncalibrated"].append(evaluate.ece(label, calibrate.sigmoid(margin)))
        by_seed["noise"].append(evaluate.ece_noise_floor(pd))
        slope, intercept = evaluate.calibration_line(label, log_odds)
        by_seed["slope"].append(slope)
        by_seed["intercept"].append(intercept)
        by_seed["large"].append(evaluate.calibration_in_the_large(label, log_odds))
    return {
        "seeds": list(seeds),
        "unscorable": {"by_seed": unscorable},
        **{name: _spread(values) for name, values in by_fold.items()},
        "ece": {"worst": max(by_seed["ece"]), "by_seed": by_seed["ece"]},
        "ece_uncalibrated": {
            "worst": max(by_seed["ece_uncalibrated"]), "by_seed": by_seed["ece_uncalibrated"]
        },
        "ece_noise_floor": float(np.mean(by_seed["noise"])),
        "calibration_slope": _worst(by_seed["slope"], 1.0),
        "calibration_intercept": _worst(by_seed["intercept"], 0.0),
        "calibration_in_the_large": _worst(by_seed["large"], 0.0),
    }  # fmt: skip


def _baseline(state: fits.State, results: Results, seeds: Sequence[int]) -> dict[str, Any]:
    label, count = state.label, state.spec.validation.folds
    by_fold: dict[str, list[float]] = {"auc": [], "brier": [], "ks": []}
    for seed in seeds:
        fold = state.folds(seed)
        for k in range(count):
            # Only rows with a margin: the model may accept fewer blanks than the baseline does.
            scored = ~np.isnan(results[fits.Task("fold", seed, k)].margin)
            pd = results[fits.Task("baseline", seed, k)].margin[scored]
            y = label[fold == k][scored]
            by_fold["auc"].append(evaluate.auc(y, pd))
            by_fold["brier"].append(evaluate.brier(y, pd))
            by_fold["ks"].append(evaluate.ks(y, pd))
    return {
        "what": f"logistic regression on {evaluate.BASELINE_BINS} quantile bins, one-hot, "
        f"C = {evaluate.BASELINE_C}, same columns and folds",
        "seeds": list(seeds),
        **{name: _spread(values) for name, values in by_fold.items()},
    }


def _gain(model: dict[str, Any], baseline: dict[str, Any], folds: int) -> dict[str, Any]:
    pairs = zip(model["auc"]["by_fold"], baseline["auc"]["by_fold"], strict=True)
    gain = evaluate.paired_gain([m - b for m, b in pairs], 1.0 / (folds - 1))
    return {
        "auc_mean": gain.value,
        "interval": [gain.low, gain.high],
        "folds": gain.n,
        "method": "paired by fold, Nadeau-Bengio corrected t, 95 %",
    }


def _holdout(label: dataset.Labels, margin: Floats, platt: calibrate.Platt) -> dict[str, Any]:
    log_odds = platt.log_odds(margin)
    pd = calibrate.sigmoid(log_odds)
    area = evaluate.auc_delong(label, margin)
    slope, intercept = evaluate.calibration_line(label, log_odds)
    return {
        "n": area.n,
        "bad": int(label.sum()),
        "auc": {
            "value": area.value, "n": area.n, "interval": [area.low, area.high], "method": "DeLong"
        },
        "brier": evaluate.brier(label, pd),
        "ks": evaluate.ks(label, margin),
        "ece": evaluate.ece(label, pd),
        "ece_noise_floor": evaluate.ece_noise_floor(pd),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "calibration_in_the_large": evaluate.calibration_in_the_large(label, log_odds),
        "reliability": evaluate.reliability(label, pd),
    }  # fmt: skip


def _bands(label: dataset.Labels, score: NDArray[np.int64]) -> list[dict[str, Any]]:
    bands = np.array([scorecard.band(int(s)) for s in score])
    rows = []
    for name, lowest in scorecard.BANDS:
        here = bands == name
        n, bad = int(here.sum()), int(label[here].sum())
        rate = evaluate.wilson(bad, n)
        rows.append(
            {
                "band": name,
                "from_score": lowest,
                "n": n,
                "share": n / score.shape[0],
                "bad_rate": rate.value if n else None,
                "interval": [rate.low, rate.high],
            }
        )
    return rows


def _fairness(
    state: fits.State,
    data: dataset.Dataset,
    rows: dataset.Indices,
    score: NDArray[np.int64],
) -> dict[str, Any]:
    """Approval by group of each protected column, on `rows` with these scores."""
    approved, label = score >= APPROVAL_SCORE, data.label[rows]
    attributes = []
    for feature in state.spec.protected:
        values, levels = data.protected[feature.name][rows], data.levels.get(feature.name, ())
        code, names = dataset.groups(feature, values, levels)
        if not names:
            continue
        counts = []
        for g, name in enumerate(names):
            here = code == g
            good = here & (label == 0)
            counts.append(
                (name, int(approved[here].sum()), int(here.sum()),
                 int(approved[good].sum()), int(good.sum()))
            )  # fmt: skip
        attributes.append({"attribute": feature.name, **_groups(counts)})
    return {
        "n": int(rows.shape[0]),
        "approval": _rate(int(approved.sum()), approved.shape[0]),
        "attributes": attributes,
    }


def _fairness_all_rows(
    state: fits.State, data: dataset.Dataset, results: Results
) -> dict[str, Any]:
    """The fairness figures on every row, by the cross-validation models of the first seed.

    These are five times as many rows as in the hold-out, so the intervals are narrower. But the
    models are not the served model.
    """
    label, validation = state.label, state.spec.validation
    seed = validation.seeds[0]
    fold = state.folds(seed)
    margin = _out_of_fold(state, results, seed)
    score, scored = np.zeros(label.shape[0], dtype=np.int64), ~np.isnan(margin)
    for k in range(validation.folds):
        here, others = fold == k, (fold != k) & scored
        scale = scorecard.scale(calibrate.fit(margin[others], label[others]))
        score[here] = _scores(scale, margin[here])
    return {"seed": seed, **_fairness(state, data, np.arange(label.shape[0]), score)}


def _out_of_fold(state: fits.State, results: Results, seed: int) -> Floats:
    """The margin of every row by the seed's model that did not see the row; NaN if the model cannot
    score it."""
    fold = state.folds(seed)
    margin = np.empty(state.label.shape[0])
    for k in range(state.spec.validation.folds):
        margin[fold == k] = results[fits.Task("fold", seed, k)].margin
    return margin


def _scores(scale: scorecard.Scale, margin: Floats) -> NDArray[np.int64]:
    """The scores of margins. A row without a margin gets 0, which is never approved."""
    return np.array([0 if m != m else scale.score(m) for m in margin.tolist()], dtype=np.int64)


def _groups(counts: list[tuple[str, int, int, int, int]]) -> dict[str, Any]:
    """Each group, compared with the group that is approved most often among the large enough
    groups."""
    large = [c for c in counts if c[2] >= SMALL_GROUP] or [c for c in counts if c[2] > 0]
    best = max(large, key=lambda c: c[1] / c[2])
    groups = []
    for name, hits, n, good_hits, good_n in counts:
        ratio = evaluate.rate_ratio(hits, n, best[1], best[2])
        gap = evaluate.rate_difference(best[3], best[4], good_hits, good_n)
        groups.append(
            {
                "group": name,
                "n": n,
                "small": n < SMALL_GROUP,
                "approval": _rate(hits, n),
                "ratio": None
                if ratio is None
                else {"value": ratio.value, "interval": [ratio.low, ratio.high]},
                "approval_of_good": _rate(good_hits, good_n),
                "gap_of_good": None
                if gap is None
                else {"value": gap.value, "interval": [gap.low, gap.high]},
            }
        )
    return {"compared_with": best[0], "groups": groups}


def _rate(hits: int, n: int) -> dict[str, Any]:
    rate = evaluate.wilson(hits, n)
    return {"value": rate.value if n else None, "n": n, "interval": [rate.low, rate.high]}


def _spread(values: list[float]) -> dict[str, Any]:
    return {
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)),
        "by_fold": values,
    }


def _worst(values: list[float], ideal: float) -> dict[str, Any]:
    return {
        "mean": float(np.mean(values)),
        "worst": max(values, key=lambda v: abs(v - ideal)),
        "by_seed": values,
    }
