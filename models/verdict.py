"""The verdict of a validation: which kind of model to serve, in a sentence with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from models import evaluate
from models.spec_model import PINNED, Recipe

# Trees that gain less than this in AUC and in log-loss (a share) do not pay for what they cost a
# reader.
LEAST_AUC, LEAST_LOSS = 0.002, 0.0025
MOST_LOSS = 0.005


class Verdict(NamedTuple):
    """`kind` is `trees` or `scorecard`; `sentence` says so with its interval."""

    kind: str
    sentence: str


def judge(
    metrics: Mapping[str, Any], pinned: Recipe | None, chosen: Sequence[str], folds: int
) -> Verdict:
    """The verdict on figures with `gain` (over the scorecard, on the same folds), `model` and
    `scorecard`; `chosen` are the recipes that the folds chose, `folds` for each seed. It says so
    where the folds do not show that the model ranks people at all."""
    ruling = _ruled(metrics, pinned, chosen)
    doubts = doubt(metrics["scorecard" if ruling.kind == "scorecard" else "model"], folds)
    return ruling._replace(sentence=" But ".join((ruling.sentence, *(f"{d}." for d in doubts))))


def _ruled(metrics: Mapping[str, Any], pinned: Recipe | None, chosen: Sequence[str]) -> Verdict:
    gain = metrics["gain"]
    value, (low, high) = gain["auc_mean"], gain["interval"]
    loss = metrics["model"]["log_loss"]["mean"] / metrics["scorecard"]["log_loss"]["mean"] - 1.0
    figures = (
        f"{value:+z.4f} AUC (95 % interval {low:+z.4f} to {high:+z.4f}) and "
        f"{100.0 * loss:+z.1f} % log-loss on {gain['folds']} folds"
    )
    better = loss <= MOST_LOSS and (low > 0.0 or value >= LEAST_AUC or loss <= -LEAST_LOSS)
    sure = "" if low > 0.0 else "; chance alone may explain the difference in AUC"
    if pinned is not None:
        advice = "the trees are worth it" if better else "the scorecard is as good"
        if pinned.kind == "scorecard":
            return Verdict("scorecard", f"The scorecard is {PINNED}, not nested.")
        return Verdict(
            "trees",
            f"The recipe is {PINNED}, not nested; {advice}: against the scorecard it has "
            f"{figures}{sure}.",
        )
    if all(name == "scorecard" for name in chosen):
        return Verdict(
            "scorecard", "Use the scorecard: every fold chose it over the trees by validation."
        )
    trees = sum(name != "scorecard" for name in chosen)
    # The figures are of the whole procedure, which took the scorecard in some folds.
    who = "the trees have"
    if trees < len(chosen):
        who = f"the recipe that each fold chose, trees in {trees} of {len(chosen)}, has"
    if better:
        return Verdict("trees", f"Use the trees: against the scorecard {who} {figures}{sure}.")
    return Verdict("scorecard", f"Use the scorecard: it is as good; against it {who} {figures}.")


def doubt(figures: Mapping[str, Any], folds: int) -> list[str]:
    """A warning where the folds do not show that a model ranks people at all; `figures` are those
    of one kind of fit over folds, `folds` of them for each seed."""
    above = [area - 0.5 for area in figures["auc"]["by_fold"]]
    found = evaluate.paired_gain(above, 1.0 / (folds - 1))
    if found.low > 0.0:
        return []
    low, high = 0.5 + found.low, 0.5 + found.high
    return [
        (
            f"out of fold the AUC is {0.5 + found.value:.3f} (95 % interval {low:.3f} to "
            f"{high:.3f}): chance alone may explain it, so the model may rank nothing"
        )
    ]
