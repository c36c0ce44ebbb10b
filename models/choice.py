"""Chooses a recipe for a fit by a validation inside the fit's own rows.

The candidates are compared by log-loss after calibration, because a decision needs a true PD and
not only an order. A simpler recipe is taken where it is as good within one standard error, and the
simplest where none ranks people. On large tables all candidates are tried on a part of the rows,
and only the better ones on more. On uncertain ones the validation is repeated on other folds, for
as long as other folds may still turn the choice and the plan has repeats.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import calibrate, evaluate, learners, recipes
from models.dataset import Indices
from models.errors import DatasetError, TrainingError
from models.learners import Judge
from models.samples import State, domain_of, sample_of
from models.spec_model import Recipe

Floats = NDArray[np.float64]

# The simpler recipe may lose this share of the log-loss and this much AUC, and no more. On a small
# table the best recipe is the best by chance more often, so there the simpler one may lose more.
MOST_LOSS, MOST_AUC = 0.005, 0.005
MOST_LOSS_LARGE, MOST_AUC_LARGE = 0.002, 0.002
LARGE_TABLE = 20_000
"""The rows from which a table is large."""
SMALL_TABLE = 2_000
"""Up to so many rows one validation is mostly chance: it is repeated on other folds. The limits
above are smaller than chance there, so only the standard error counts."""
FEW_CASES = 500
"""With fewer rows of the rarer class, a table of any length is as uncertain as a small one."""
FIRST_REPEATS = 3
"""The repeats of an uncertain table's validation in which every candidate is tried."""
SURE = 2.0
"""Further repeats are of the candidates that can be taken, or be the best, if each of their mean
losses is off by so many standard errors of the repeats."""
NEAR = 0.5
"""On such a table trees are as good as larger ones within so many standard errors of the rows. The
recipe with the least loss is often the least by chance, and larger trees then lose more."""
RANKS = 2.5
"""The standard errors above 0.5 that the highest AUC of the candidates has at least, if one of them
ranks people at all. The highest of five is so high by chance in three choices of a hundred."""

# After the first round on a part of the rows: the best so many stay.
_STAY = 2
_INNER_SEED = 90_210
# The parts into which rows are cut to take some of them: a fold is one byte.
_MOST_PARTS = 120


class Plan(NamedTuple):
    """The plan that the time allows: the candidates, the ascending rows of each round, and how
    often the last round's validation may be done.

    `repeats` is None in the plan of an earlier build, which repeats by the rows of each fit.
    """

    candidates: tuple[Recipe, ...]
    rounds: tuple[int, ...]
    repeats: int | None = 1


class Chosen(NamedTuple):
    """The recipe with its number of trees, and the figures of all candidates.

    `platt` calibrates its margins by the validation inside the rows; None where there was none, or
    where it ranked nothing. One fold's trees may be far surer of themselves than another fold's
    scorecard, and only calibrated margins compare.
    """

    recipe: Recipe
    candidates: list[dict[str, Any]]
    platt: calibrate.Platt | None = None


class Tried(NamedTuple):
    """A candidate's loss of each validated row, by the row's weight, its AUC on them, and its
    rounds.

    The loss is the mean of all repeats: a row that is validated once more is no further evidence.
    `shared` is what the folds' training rows have in common: the number of fits in a repeat, times
    the rows that each judged, by those that it learned from. `repeats` (r,) are the mean losses of
    each repeat.
    """

    recipe: Recipe
    losses: Floats
    auc: float
    rounds: int
    platt: calibrate.Platt | None = None
    shared: float = 0.0
    repeats: Floats = np.empty(0)

    @property
    def loss(self) -> float:
        """The mean loss."""
        return float(self.losses.mean())


def choose(state: State, rows: Indices, plan: Plan) -> Chosen:
    """The recipe for a fit on these rows of the table."""
    if len(plan.candidates) == 1 and not plan.candidates[0].patience:
        return Chosen(plan.candidates[0], [])
    left = list(plan.candidates)
    # In the order of the candidates, whichever of them leave early.
    figures: dict[str, dict[str, Any]] = {candidate.name: {} for candidate in left}
    tried: list[Tried] = []
    part = rows
    for number, most in enumerate(plan.rounds):
        part = _part(state, rows, _share(rows.shape[0], most, earlier=plan.repeats is None))
        last = number + 1 == len(plan.rounds)
        tried, others = _try(state, part, left, _repeats(plan, part.shape[0]) if last else 1)
        for each in (*others, *tried):
            figures[each.recipe.name] = {
                "recipe": each.recipe.name,
                "rows": int(part.shape[0]),
                "log_loss": each.loss,
                "auc": each.auc,
                "trees": each.rounds,
            }
        if not last:
            best = sorted(tried, key=lambda t: t.loss)[:_STAY]
            left = [c for c in left if any(c.name == b.recipe.name for b in best)]
    taken = simplest(tried, state.label.shape[0], cases_of(state, state.everyone))
    if taken.recipe.kind == "scorecard":
        return Chosen(taken.recipe, list(figures.values()), taken.platt)
    # More rows carry more trees.
    more = min(2.0, (rows.shape[0] / part.shape[0]) ** 0.3) if taken.recipe.patience else 1.0
    trees = min(taken.recipe.trees, round(taken.rounds * more))
    return Chosen(recipes.fixed(taken.recipe, trees), list(figures.values()), taken.platt)


def cases_of(state: State, rows: Indices) -> int:
    """How many of these rows are in the rarer class."""
    bad = int(state.label[rows].sum())
    return min(bad, int(rows.shape[0]) - bad)


def _repeats(plan: Plan, rows: int) -> int:
    """How often the validation of a fit on so many rows may be done."""
    if plan.repeats is not None:
        return plan.repeats
    return FIRST_REPEATS if rows <= SMALL_TABLE else 1


class _Share(NamedTuple):
    """So many of these equal parts."""

    taken: int
    parts: int


def _share(rows: int, most: int, *, earlier: bool = False) -> _Share:
    """The largest share of so many rows that has at most these; one part where none has. An
    `earlier` build took one part, which was half of a table with one row more than these."""
    if rows <= most:
        return _Share(1, 1)
    if earlier:
        return _Share(1, min(-(-rows // most), _MOST_PARTS))
    shares = [_Share(parts * most // rows, parts) for parts in range(1, _MOST_PARTS + 1)]
    best = max(shares, key=lambda share: share.taken / share.parts)
    return best if best.taken else shares[-1]._replace(taken=1)


def _part(state: State, rows: Indices, share: _Share) -> Indices:
    """This share of the rows, each class and whole groups in theirs."""
    if share.taken == share.parts:
        return rows
    fold = state.folds_of(rows, share.parts, _INNER_SEED + 1)
    part: Indices = rows[fold < share.taken]
    return part


class _Run(NamedTuple):
    """A candidate's fit in one fold, with the columns and the places of the rows that judge it."""

    learned: learners.Learned
    x: Floats
    places: Indices


def _try(
    state: State, rows: Indices, candidates: Sequence[Recipe], repeats: int
) -> tuple[list[Tried], list[Tried]]:
    """Validates the candidates inside these rows, all on the same folds; those that may be taken,
    and the others, which were left out before the last repeat."""
    leaf = recipes.leaf_of(candidates, rows.shape[0])
    runs: dict[str, list[list[_Run]]] = {c.name: [] for c in candidates}
    size = state.label.shape[0], cases_of(state, state.everyone)
    left, done = list(candidates), 0
    others: list[Tried] = []
    while True:
        until = min(done + FIRST_REPEATS, repeats)
        for number in range(done, until):
            for name, found in _runs(state, rows, left, leaf, number).items():
                runs[name].append(found)
        tried = [_tried(state, rows, c, runs[c.name]) for c in left]
        done = until
        going = set() if done == repeats else undecided(tried, *size)
        if not going:
            return tried, others
        others += [t for t in tried if t.recipe.name not in going]
        left = [c for c in left if c.name in going]
        # The fits of the others are no longer needed, and take memory.
        runs = {c.name: runs[c.name] for c in left}


def _tried(state: State, rows: Indices, candidate: Recipe, runs: Sequence[Sequence[_Run]]) -> Tried:
    """The figures of a candidate by its fits in each repeat."""
    parts, used = folds(rows.shape[0])
    curves = [it.learned.curve for repeat in runs for it in repeat]
    rounds = _best_round(candidate, curves)
    losses = np.full((len(runs), rows.shape[0]), math.nan)
    areas, judged = [], []
    for number, repeat in enumerate(runs):
        margin = np.full(rows.shape[0], math.nan)
        for it in repeat:
            margin[it.places] = learners.margin_of(it.learned.booster, it.x, rounds or -1)
        scored = ~np.isnan(margin)
        label, weight = state.label[rows[scored]], state.weight_of(rows[scored])
        losses[number, scored] = calibrate.losses(margin[scored], label, weight)
        areas.append(evaluate.auc(label, margin[scored], weight))
        judged.append((margin[scored], rows[scored]))
    area, platt = float(np.mean(areas)), _calibrator(state, judged)
    seen = ~np.isnan(losses).all(axis=0)
    mean, each = np.nanmean(losses[:, seen], axis=0), np.nanmean(losses, axis=1)
    return Tried(candidate, mean, area, rounds, platt, used / (parts - 1), each)


def _calibrator(state: State, judged: Sequence[tuple[Floats, Indices]]) -> calibrate.Platt | None:
    """The calibration of these margins of rows; None for margins that rank nothing."""
    margin, rows = (np.concatenate(parts) for parts in zip(*judged, strict=True))
    with contextlib.suppress(TrainingError):
        return calibrate.fit(margin, state.label[rows], state.weight_of(rows))
    return None


def _runs(
    state: State, rows: Indices, candidates: Sequence[Recipe], leaf: int, number: int
) -> dict[str, list[_Run]]:
    """Each candidate's fits in the folds of one repeat; `leaf` is the largest of their smallest."""
    count, used = folds(rows.shape[0])
    fold = state.folds_of(rows, count, _INNER_SEED + 1_000 * number)
    runs: dict[str, list[_Run]] = {c.name: [] for c in candidates}
    for k in range(used):
        judged = np.flatnonzero(fold == k)
        for orders in sorted({recipes.orders(c) for c in candidates}):
            sample = sample_of(state, rows[fold != k], leaf, orders=orders)
            admitted = domain_of(state, sample).admit(state.raw[rows[judged]])
            kept = np.delete(judged, sorted(admitted.refused))
            seen = rows[kept]
            judge = Judge(admitted.derived, state.label[seen], state.weight_of(seen))
            for candidate in candidates:
                if recipes.orders(candidate) == orders:
                    learned = learners.fit(state, sample, candidate, judge)
                    runs[candidate.name].append(_Run(learned, judge.x, kept))
    return runs


class Folds(NamedTuple):
    """The folds of an inner validation, and how many of them are used."""

    parts: int
    used: int


def folds(rows: int) -> Folds:
    """The inner validation of a fit on so many rows."""
    if rows <= 4_000:
        return Folds(5, 5)
    return Folds(3, 3) if rows <= 30_000 else Folds(4, 1)


def _best_round(candidate: Recipe, curves: Sequence[Floats | None]) -> int:
    """The number of trees with the least mean loss over the folds that watched it, or all trees if
    none did; 0 for a scorecard."""
    if candidate.kind == "scorecard":
        return 0
    known = [curve for curve in curves if curve is not None]
    if not known:
        return candidate.trees
    shortest = min(curve.shape[0] for curve in known)
    mean = np.mean([curve[:shortest] for curve in known], axis=0)
    return int(np.argmin(mean)) + 1


def simplest(tried: Sequence[Tried], rows: int, cases: int) -> Tried:
    """The simplest candidate that is as good as the best one, within one standard error of the
    log-loss and the limits of this module for a table of this many rows; and the simplest of all
    where none ranks people. On a small table, or one with few `cases` of the rarer class, it is the
    scorecard within one standard error that also counts what the folds' fits have in common, or
    trees within `NEAR` errors of the rows.

    The candidates come the simplest first.
    """
    if not _rank(tried, rows, cases):
        return tried[0]
    best = min(tried, key=lambda t: t.loss)
    highest = max(t.auc for t in tried)
    most_auc = MOST_AUC_LARGE if rows >= LARGE_TABLE else MOST_AUC
    for each in tried:
        worse = float((each.losses - best.losses).mean())
        if worse <= _allowed(each, best, rows, cases) and (
            uncertain(rows, cases) or highest - each.auc <= most_auc
        ):
            return each
    return best


def undecided(tried: Sequence[Tried], rows: int, cases: int) -> set[str]:
    """The names of the candidates that further repeats are needed of, as other folds may turn the
    choice between them; none where they hardly can. All have the same repeats, two or more.

    The candidates come the simplest first.
    """
    if not _rank(tried, rows, cases):
        return set()
    best, taken = min(tried, key=lambda t: t.loss), simplest(tried, rows, cases)
    going, sure = {best.recipe.name, taken.recipe.name}, True
    simpler = True
    for each in tried:
        worse = each.repeats - best.repeats
        chance = SURE * float(worse.std(ddof=1)) / math.sqrt(worse.shape[0])
        allowed = _allowed(each, best, rows, cases) if simpler else 0.0
        if each is taken:
            simpler = False
            sure = sure and (each is best or float(worse.mean()) + chance <= allowed)
        elif each is not best and float(worse.mean()) - chance <= allowed:
            going.add(each.recipe.name)
            sure = False
    return set() if sure else going


def uncertain(rows: int, cases: int) -> bool:
    """Whether a table of so many rows, and `cases` of the rarer class, leaves much to chance."""
    return rows <= SMALL_TABLE or cases < FEW_CASES


def _allowed(each: Tried, best: Tried, rows: int, cases: int) -> float:
    """The most by which a candidate's mean loss may be above the least."""
    worse = each.losses - best.losses
    error = float(worse.std()) / math.sqrt(worse.shape[0])
    if not uncertain(rows, cases):
        return min(error, (MOST_LOSS_LARGE if rows >= LARGE_TABLE else MOST_LOSS) * best.loss)
    # Folds share training rows, as in `evaluate.paired_gain`: another table of the same people
    # differs by more than its rows do.
    card = each.recipe.kind == "scorecard"
    return error * (math.sqrt(1.0 + each.shared) if card else NEAR)


def _rank(tried: Sequence[Tried], rows: int, cases: int) -> bool:
    """Whether one of the candidates ranks people at all."""
    count = min(tried, key=lambda t: t.loss).losses.shape[0]
    return max(t.auc for t in tried) >= 0.5 + RANKS * _chance(count, cases / rows)


def _chance(rows: int, share: float) -> float:
    """The standard error of the AUC of margins that know nothing about so many rows, of which this
    share is in the rarer class (Mann and Whitney)."""
    few = share * rows
    return math.sqrt((rows + 1) / (12.0 * few * (rows - few)))


def can_choose(state: State, rows: Indices) -> None:
    """Raises DatasetError where a class has too few rows for an inner validation."""
    bad = int(state.label[rows].sum())
    count = folds(rows.shape[0]).parts
    for value, name in ((bad, "bad"), (rows.shape[0] - bad, "good")):
        if value < 2 * count:
            raise DatasetError(
                f"{value} {name} training rows are too few to choose a recipe: give more rows, or "
                "pin a recipe in the spec's [model] table"
            )
