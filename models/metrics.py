"""The content of `metrics.json`: figures of the model, and of the served model.

No calibrator sees the labels on which it is judged: the calibrator of fold k is fitted on the
out-of-fold margins of the other folds of the same seed. A row that a fit cannot score has no margin
(NaN). Such a row is counted, but is not in the figures of its fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from models import (
    bootstrap,
    calibrate,
    curves,
    dataset,
    drift,
    evaluate,
    fairness_gate,
    fits,
    recipes,
    scorecard,
    spec,
    spec_card,
)
from models.samples import State

_N = TypeVar("_N", np.float64, np.int64)
Floats = NDArray[np.float64]
Results = dict[fits.Task, fits.Outcome]

APPROVAL_SCORE = 600
# Smaller groups are shown without a conclusion.
SMALL_GROUP = 200


def _declared(state: State) -> dict[str, Any]:
    """The owner's declarations: the card, and that the outcomes are simulated, where they are."""
    card, simulated = state.spec.card, state.spec.label.simulated
    return {
        **({} if card is None else {"card": spec_card.to_json(card)}),
        **({"simulated": True} if simulated else {}),
    }


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
        **_declared(state),
        "dropped": data.dropped,
        "excluded": [{"reason": reason, "rows": count} for reason, count in data.excluded],
        "grouped": state.group is not None,
        "weighted": state.weight is not None,
        "monotone_in": "derived columns, each by itself; not in the raw columns",
        "folds": {
            "count": rules.folds,
            # Only with [time]: without it these are all rows, and a further figure changes the id.
            **({"rows": int(state.validated.shape[0])} if state.spec.time else {}),
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
            if state.group is not None or state.weight is not None:
                mean = metrics[name + suffix]["auc_mean"]
                metrics[name + suffix] |= _drawn_gain(state, results, rival.name, each[0], mean)
    return metrics


def served(
    state: State,
    data: dataset.Dataset,
    results: Results,
    platt: calibrate.Platt,
    scale: scorecard.Scale,
    kind: str,
    validated_auc: float,
) -> dict[str, Any]:
    """The figures of the served model on the hold-out, with its calibration and scale.

    `kind` is the kind of the fits that validate it, and `validated_auc` the AUC that they promise.
    """
    margin = results[fits.SERVED].margin
    scored = ~np.isnan(margin)
    score = scores(scale, margin)
    rows = state.holdout[scored]
    group = None if state.group is None else state.group[rows]
    all_rows = _fairness_all_rows(state, data, results, kind)
    holdout = _holdout(state, rows, margin[scored], platt)
    low, high = holdout["auc"]["interval"]
    return {
        "drift": drift.find(
            drift.Rows(
                state.label[rows], platt.log_odds(margin[scored]), group, state.weight_of(rows)
            ),
            # The calibration leaves the order of people as it is.
            evaluate.Estimate(holdout["auc"]["value"], low, high, rows.shape[0]),
            validated_auc,
        ),
        "holdout": {
            "what": "out of time" if state.spec.time else "fold 0 of the first seed",
            **holdout,
            "unscorable": int((~scored).sum()),
            "curve": curves.rising(
                state.label[rows], margin[scored], score[scored], state.weight_of(rows)
            ),
        },
        "score_bands": _bands(state, rows, score[scored]),
        "fairness": {
            "approved_from_score": APPROVAL_SCORE,
            "small_group": SMALL_GROUP,
            "gate": fairness_gate.judge(all_rows["attributes"]),
            **_fairness(state, data, state.holdout, score),
            "all_rows": all_rows,
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
    by_seed: dict[str, list[Any]] = {
        "ece": [], "noise": [], "noise_95": [], "slope": [],
        "intercept": [], "large": [],
    }  # fmt: skip
    for seed in seeds:
        fold = state.folds(seed)
        margin = _out_of_fold(state, results, kind, seed)
        scored = ~np.isnan(margin)
        unscorable.append(int((~scored & (fold >= 0)).sum()))
        label, fold, margin = state.label[scored], fold[scored], margin[scored]
        weight = state.weight_of(np.flatnonzero(scored))
        log_odds = np.empty(label.shape[0])
        for k in range(count):
            others = fold != k
            platt = calibrate.fit_or_flat(margin[others], label[others], _at(weight, others))
            log_odds[fold == k] = platt.log_odds(margin[fold == k])
        pd = calibrate.sigmoid(log_odds)
        for k in range(count):
            here, share = fold == k, _at(weight, fold == k)
            by_fold["auc"].append(evaluate.auc(label[here], margin[here], share))
            by_fold["brier"].append(evaluate.brier(label[here], pd[here], share))
            by_fold["log_loss"].append(evaluate.log_loss(label[here], log_odds[here], share))
            by_fold["ks"].append(evaluate.ks(label[here], margin[here], share))
        by_seed["ece"].append(evaluate.ece(label, pd, weight))
        noise, noise_95 = evaluate.ece_noise(pd, weight)
        by_seed["noise"].append(noise)
        by_seed["noise_95"].append(noise_95)
        slope, intercept = evaluate.calibration_line(label, log_odds, weight)
        by_seed["slope"].append(slope)
        by_seed["intercept"].append(intercept)
        by_seed["large"].append(evaluate.calibration_in_the_large(label, log_odds, weight))
    return {
        "seeds": list(seeds),
        "unscorable": {"by_seed": unscorable},
        **{name: _spread(values) for name, values in by_fold.items()},
        "ece": {"worst": max(by_seed["ece"]), "by_seed": by_seed["ece"]},
        "ece_noise_floor": float(np.mean(by_seed["noise"])),
        "ece_noise_95": float(np.mean(by_seed["noise_95"])),
        "calibration_slope": _worst(by_seed["slope"], 1.0),
        "calibration_intercept": _worst(by_seed["intercept"], 0.0),
        "calibration_in_the_large": _worst(by_seed["large"], 0.0),
    }  # fmt: skip


def _at(values: NDArray[_N] | None, rows: NDArray[np.bool_]) -> NDArray[_N] | None:
    return None if values is None else values[rows]


def _gain(model: dict[str, Any], baseline: dict[str, Any], folds: int) -> dict[str, Any]:
    pairs = zip(model["auc"]["by_fold"], baseline["auc"]["by_fold"], strict=True)
    gain = evaluate.paired_gain([m - b for m, b in pairs], 1.0 / (folds - 1))
    return {
        "auc_mean": gain.value,
        "interval": [gain.low, gain.high],
        "folds": gain.n,
        "method": "paired by fold, Nadeau-Bengio corrected t, 95 %",
    }


def _drawn_gain(
    state: State, results: Results, rival: str, seed: int, mean: float
) -> dict[str, Any]:
    """The gain's interval by samples of groups on the folds of one seed, about the mean of all
    seeds."""
    margins = [_out_of_fold(state, results, kind, seed) for kind in ("fold", rival)]
    fold = state.folds(seed)
    scored: NDArray[np.bool_] = np.asarray(~np.isnan(margins).any(axis=0))
    rows = np.flatnonzero(scored)
    groups = bootstrap.Groups(rows.shape[0], _at(state.group, scored), _at(state.weight, scored))
    parts = [np.flatnonzero(fold[scored] == k) for k in range(state.spec.validation.folds)]
    label = state.label[scored]
    areas = [
        [evaluate.WeightedAuc(label[part], margin[scored][part]) for margin in margins]
        for part in parts
    ]

    def gain(weight: Floats) -> float:
        return float(
            np.mean([one.of(weight[p]) - two.of(weight[p])
                     for p, (one, two) in zip(parts, areas, strict=True)])
        )  # fmt: skip

    low, high = groups.interval(gain)
    shift = mean - gain(groups.weight)
    return {"interval": [low + shift, high + shift], "method": bootstrap.METHOD}


def _holdout(
    state: State, rows: dataset.Indices, margin: Floats, platt: calibrate.Platt
) -> dict[str, Any]:
    label, weight = state.label[rows], state.weight_of(rows)
    log_odds = platt.log_odds(margin)
    pd = calibrate.sigmoid(log_odds)
    area, method = evaluate.auc_delong(label, margin), "DeLong"
    groups = _groups_of(state, rows)
    noise, noise_95 = evaluate.ece_noise(pd, weight)
    if groups is not None:
        areas = evaluate.WeightedAuc(label, margin)
        area = evaluate.Estimate(areas.of(groups.weight), *groups.interval(areas.of), area.n)
        method = bootstrap.METHOD
    slope, intercept = evaluate.calibration_line(label, log_odds, weight)
    return {
        "n": area.n,
        "bad": int(label.sum()),
        "auc": {
            "value": area.value, "n": area.n, "interval": [area.low, area.high], "method": method
        },
        "brier": evaluate.brier(label, pd, weight),
        "ks": evaluate.ks(label, margin, weight),
        "ece": evaluate.ece(label, pd, weight),
        "ece_noise_floor": noise,
        "ece_noise_95": noise_95,
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "calibration_in_the_large": evaluate.calibration_in_the_large(label, log_odds, weight),
        "reliability": curves.reliability(label, pd, weight, groups),
    }  # fmt: skip


def _groups_of(state: State, rows: dataset.Indices) -> bootstrap.Groups | None:
    """The groups of these rows, where intervals need them: with groups, or with weights."""
    if state.group is None and state.weight is None:
        return None
    group = None if state.group is None else state.group[rows]
    return bootstrap.Groups(rows.shape[0], group, state.weight_of(rows))


def band_numbers(score: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each score's band in `scorecard.BANDS`."""
    lowest = np.array([low for _, low in scorecard.BANDS])
    # Bands descend; a score below all is in the last one.
    below: NDArray[np.int64] = (score[..., np.newaxis] < lowest).sum(axis=-1)
    place: NDArray[np.int64] = np.minimum(below, lowest.shape[0] - 1)
    return place


def _bands(state: State, at: dataset.Indices, score: NDArray[np.int64]) -> list[dict[str, Any]]:
    label, groups = state.label[at], _groups_of(state, at)
    band = band_numbers(score)
    rows = []
    for number, (name, lowest) in enumerate(scorecard.BANDS):
        here = band == number
        n, share = int(here.sum()), float(here.mean())
        rate = evaluate.wilson(int(label[here].sum()), n)
        if groups is not None:
            share = groups.rate(here, np.ones_like(here)).value
            rate = groups.rate(here & (label == 1), here)
        rows.append(
            {
                "band": name,
                "from_score": lowest,
                "n": n,
                "share": share,
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
    approved, good = score >= APPROVAL_SCORE, data.label[rows] == 0
    drawn = _groups_of(state, rows)
    attributes = []
    for feature in state.spec.protected:
        values, levels = data.protected[feature.name][rows], data.levels.get(feature.name, ())
        code, names = dataset.groups(feature, values, levels)
        if not names:
            continue
        of_group = [_Approvals(name, approved, good, code == g) for g, name in enumerate(names)]
        compared = _compared(of_group, feature.reference_group, drawn)
        attributes.append({"attribute": feature.name, **compared})
    everyone = np.ones_like(approved)
    return {
        "n": int(rows.shape[0]),
        "approval": _rate(_Approvals("", approved, good, everyone).all_rows(), drawn),
        "attributes": attributes,
    }


def _fairness_all_rows(
    state: State, data: dataset.Dataset, results: Results, kind: str
) -> dict[str, Any]:
    """The fairness figures on every row of the folds, by the cross-validation models of the first
    seed that are of the served one's kind.

    These are five times as many rows as in the hold-out, so the intervals are narrower. But the
    models are not the served model.
    """
    label, validation = state.label, state.spec.validation
    seed = validation.seeds[0]
    fold = state.folds(seed)
    margin = _out_of_fold(state, results, kind, seed)
    score, scored = np.zeros(label.shape[0], dtype=np.int64), ~np.isnan(margin)
    for k in range(validation.folds):
        here, others = fold == k, (fold != k) & scored
        scale = scorecard.scale(
            calibrate.fit_or_flat(margin[others], label[others], _at(state.weight, others))
        )
        score[here] = scores(scale, margin[here])
    rows = state.validated
    return {"seed": seed, **_fairness(state, data, rows, score[rows])}


def _out_of_fold(state: State, results: Results, kind: str, seed: int) -> Floats:
    """The margin of every row by the seed's model that did not see the row; NaN if the model cannot
    score it, or if no fold has it. Where every fold chose the scorecard, the model is the rival."""
    count = state.spec.validation.folds
    fold = state.folds(seed)
    chosen = {results[fits.Task(kind, seed, k)].recipe for k in range(count)}
    if kind == "fold" and chosen == {recipes.SCORECARD}:
        # The same fits. A chosen recipe's margins are calibrated inside its rows, to compare with
        # those of other recipes; here that would only add the error of this calibration.
        kind = recipes.SCORECARD.name
    margin = np.full(state.label.shape[0], np.nan)
    for k in range(count):
        margin[fold == k] = results[fits.Task(kind, seed, k)].margin
    return margin


def scores(scale: scorecard.Scale, margin: Floats) -> NDArray[np.int64]:
    """The scores of margins. A row without a margin gets 0, which is never approved."""
    value = np.clip(scale.a * margin + scale.b, scorecard.LOWEST, scorecard.HIGHEST)
    return np.where(np.isnan(margin), 0.0, np.rint(value)).astype(np.int64)


class _Share(NamedTuple):
    """The rows that count for a rate, and those among them that it is about."""

    hits: NDArray[np.bool_]
    among: NDArray[np.bool_]


class _Approvals(NamedTuple):
    """Approvals of the rows of one protected group."""

    name: str
    approved: NDArray[np.bool_]
    good: NDArray[np.bool_]
    here: NDArray[np.bool_]

    def all_rows(self) -> _Share:
        return _Share(self.approved & self.here, self.here)

    def good_rows(self) -> _Share:
        return _Share(self.approved & self.here & self.good, self.here & self.good)


def _compared(
    groups: list[_Approvals], wanted: str | None, drawn: bootstrap.Groups | None
) -> dict[str, Any]:
    """Each group, compared with the wanted group, or with the largest one."""
    sizes = [int(group.here.sum()) for group in groups]
    largest = groups[int(np.argmax(sizes))]
    reference = next((group for group in groups if group.name == wanted), largest)
    found = []
    for group, n in zip(groups, sizes, strict=True):
        found.append(
            {
                "group": group.name,
                "n": n,
                "small": n < SMALL_GROUP,
                "approval": _rate(group.all_rows(), drawn),
                "ratio": _interval(_ratio(group.all_rows(), reference.all_rows(), drawn)),
                "approval_of_good": _rate(group.good_rows(), drawn),
                "gap_of_good": _interval(_gap(reference.good_rows(), group.good_rows(), drawn)),
            }
        )
    return {"compared_with": reference.name, "groups": found}


def _rate_of(share: _Share, drawn: bootstrap.Groups | None) -> evaluate.Estimate:
    if drawn is not None:
        return drawn.rate(*share)
    return evaluate.wilson(int(share.hits.sum()), int(share.among.sum()))


def _ratio(
    share: _Share, other: _Share, drawn: bootstrap.Groups | None
) -> evaluate.Estimate | None:
    if drawn is not None:
        return drawn.compared(*share, *other, np.divide)
    counts = [int(each.sum()) for each in (*share, *other)]
    return evaluate.rate_ratio(*counts)


def _gap(share: _Share, other: _Share, drawn: bootstrap.Groups | None) -> evaluate.Estimate | None:
    if drawn is not None:
        return drawn.compared(*share, *other, np.subtract)
    counts = [int(each.sum()) for each in (*share, *other)]
    return evaluate.rate_difference(*counts)


def _interval(found: evaluate.Estimate | None) -> dict[str, Any] | None:
    return None if found is None else {"value": found.value, "interval": [found.low, found.high]}


def _rate(share: _Share, drawn: bootstrap.Groups | None) -> dict[str, Any]:
    rate = _rate_of(share, drawn)
    return {"value": rate.value if rate.n else None, "n": rate.n, "interval": [rate.low, rate.high]}


def _spread(values: list[float]) -> dict[str, Any]:
    return {
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)),
        "by_fold": values,
    }


def _worst(values: Sequence[float | None], ideal: float) -> dict[str, Any]:
    """The mean and the worst of the known values; None without any."""
    known = [v for v in values if v is not None]
    return {
        "mean": float(np.mean(known)) if known else None,
        "worst": max(known, key=lambda v: abs(v - ideal), default=None),
        "by_seed": values,
    }
