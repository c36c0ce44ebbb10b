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

from models import calibrate, dataset, drift, evaluate, fits, scorecard, spec
from models.samples import State

Floats = NDArray[np.float64]
Results = dict[fits.Task, fits.Outcome]

APPROVAL_SCORE = 600
# Smaller groups are shown without a conclusion.
SMALL_GROUP = 200


def validation(
    state: State, data: dataset.Dataset, results: Results, seeds: tuple[int, ...]
) -> dict[str, Any]:
    """The figures of the model, and of its rivals on the same folds, as far as they follow from the
    fits of the validation. `seeds` are the headline's."""
    rules = state.spec.validation
    metrics: dict[str, Any] = {
        "outcome": state.spec.label.outcome,
        "horizon": state.spec.label.horizon,
        "population": state.spec.label.population,
        "rows": int(data.label.shape[0]),
        "bad": int(data.label.sum()),
        "dropped": data.dropped,
        "monotone_in": "derived columns, each by itself; not in the raw columns",
        "folds": {
            "count": rules.folds,
            "seeds": list(seeds),
            "extra_seeds": list(rules.extra_seeds) if state.spec.recipe else [],
        },
    }
    extra = rules.extra_seeds if state.spec.recipe else ()
    for suffix, each in (("", seeds), (_suffix(rules), extra)):
        if not each:
            continue
        model = metrics["model" + suffix] = _cross_validated(state, results, "fold", each)
        for rival in fits.RIVALS:
            figures = _cross_validated(state, results, rival.name, each)
            metrics[rival.name + suffix] = figures
            name = "gain" if rival.name == "scorecard" else f"gain_over_{rival.name}"
            metrics[name + suffix] = _gain(model, figures, rules.folds)
    return metrics


def served(
    state: State,
    data: dataset.Dataset,
    results: Results,
    platt: calibrate.Platt,
    scale: scorecard.Scale,
    validated_auc: float,
) -> dict[str, Any]:
    """The figures of the served model on the hold-out, with its calibration and scale.

    `validated_auc` is the one that the validation promises.
    """
    holdout_label, margin = data.label[state.holdout], results[fits.SERVED].margin
    scored = ~np.isnan(margin)
    score = _scores(scale, margin)
    group = None if state.group is None else state.group[state.holdout][scored]
    return {
        "drift": drift.find(
            holdout_label[scored], platt.log_odds(margin[scored]), group, validated_auc
        ),
        "holdout": {
            "what": "out of time" if state.spec.time else "fold 0 of the first seed",
            **_holdout(holdout_label[scored], margin[scored], platt),
            "unscorable": int((~scored).sum()),
        },
        "score_bands": _bands(holdout_label[scored], score[scored]),
        "fairness": {
            "approved_from_score": APPROVAL_SCORE,
            "small_group": SMALL_GROUP,
            "gated": False,
            **_fairness(state, data, state.holdout, score),
            "all_rows": _fairness_all_rows(state, data, results),
        },
    }


def _suffix(validation: spec.Validation) -> str:
    """`_seeds_3_5` for the extra seeds 3, 4, 5."""
    if not validation.extra_seeds:
        return ""
    return f"_seeds_{min(validation.extra_seeds)}_{max(validation.extra_seeds)}"


def _cross_validated(
    state: State, results: Results, kind: str, seeds: Sequence[int]
) -> dict[str, Any]:
    """The figures of one kind of fit over all folds of these seeds."""
    count, unscorable = state.spec.validation.folds, []
    by_fold: dict[str, list[float]] = {"auc": [], "brier": [], "log_loss": [], "ks": []}
    by_seed: dict[str, list[float]] = {
        "ece": [], "ece_uncalibrated": [], "noise": [], "slope": [], "intercept": [], "large": []
    }  # fmt: skip
    for seed in seeds:
        fold = state.folds(seed)
        margin = _out_of_fold(state, results, kind, seed)
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
            by_fold["log_loss"].append(evaluate.log_loss(label[here], log_odds[here]))
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
    lowest_of = [lowest for _, lowest in scorecard.BANDS]
    # Bands descend; a score below all is in the last one.
    band = np.minimum(
        np.array([score < lowest for lowest in lowest_of]).sum(axis=0), len(lowest_of) - 1
    )
    rows = []
    for number, (name, lowest) in enumerate(scorecard.BANDS):
        here = band == number
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
    state: State,
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


def _fairness_all_rows(state: State, data: dataset.Dataset, results: Results) -> dict[str, Any]:
    """The fairness figures on every row, by the cross-validation models of the first seed.

    These are five times as many rows as in the hold-out, so the intervals are narrower. But the
    models are not the served model.
    """
    label, validation = state.label, state.spec.validation
    seed = validation.seeds[0]
    fold = state.folds(seed)
    margin = _out_of_fold(state, results, "fold", seed)
    score, scored = np.zeros(label.shape[0], dtype=np.int64), ~np.isnan(margin)
    for k in range(validation.folds):
        here, others = fold == k, (fold != k) & scored
        scale = scorecard.scale(calibrate.fit(margin[others], label[others]))
        score[here] = _scores(scale, margin[here])
    return {"seed": seed, **_fairness(state, data, np.arange(label.shape[0]), score)}


def _out_of_fold(state: State, results: Results, kind: str, seed: int) -> Floats:
    """The margin of every row by the seed's model that did not see the row; NaN if the model cannot
    score it."""
    count = state.spec.validation.folds
    fold = state.folds(seed)
    margin = np.empty(state.label.shape[0])
    for k in range(count):
        margin[fold == k] = results[fits.Task(kind, seed, k)].margin
    return margin


def _scores(scale: scorecard.Scale, margin: Floats) -> NDArray[np.int64]:
    """The scores of margins. A row without a margin gets 0, which is never approved."""
    value = np.clip(scale.a * margin + scale.b, scorecard.LOWEST, scorecard.HIGHEST)
    return np.where(np.isnan(margin), 0.0, np.rint(value)).astype(np.int64)


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
