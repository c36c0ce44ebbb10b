"""Everything about a spec and its file that can be known before the first fit."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models import cells, dataset, encoding, features, reading
from models.dataset import Dataset, Floats, Labels
from models.errors import DatasetError, DeriveError, SpecError
from models.reading import Findings
from models.spec import HouseRules, Spec, load
from models.spec_columns import Feature

Folds = NDArray[np.int8]

WIRE_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
"""The names of features that a call can carry."""
MOST_FEATURES = 256
"""The number of texts, and of other features, of one person in a call."""

# From this AUC on, a column alone is suspected to be known only after the outcome.
SUSPECT_AUC = 0.95
# From this share of rows on, repeated ones are warned of.
_REPEATED_SHARE, _HASHED = 0.01, 65_536
# A column whose values are this few for its rows may tell the label value by value.
_ROWS_PER_VALUE = 20
# Categories are ranked by the rates of other folds; of so many.
_FOLDS = 5


def ready(spec: Spec, out: Path | None) -> Dataset:
    """Read the spec's file for a training into the folder `out`.

    Raises DatasetError with all that is wrong, a line each.
    """
    findings = Findings()
    data = check(spec, out, findings)
    findings.require()
    return replace(data, warnings=tuple(findings.warnings))


def check(spec: Spec, out: Path | None, findings: Findings) -> Dataset:
    """Read the spec's file, and add all that is wrong to `findings`.

    Raises DatasetError only where there is no table to read.
    """
    findings.errors += _names(spec)
    findings.errors += _derive(spec)
    if out is not None:
        findings.errors += _folder(out)
    data = reading.read(spec, findings)
    if findings.errors:
        # What follows counts rows and compares columns, which wrong cells would distort.
        return data
    findings.errors += _classes(data)
    findings.errors += _references(data)
    findings.warnings += _unjudged(data)
    findings.warnings += _split_centuries(data)
    findings.warnings += _repeated(data)
    _single_columns(data, findings)
    if out is not None:
        findings.errors += _other_model(out, data)
    return data


def _names(spec: Spec) -> list[str]:
    errors = [
        f"feature {name!r}: a call cannot carry this name; write name = {_safe(name, j)!r} and "
        f"column = {column!r}"
        for j, (name, column) in enumerate(((f.name, f.column) for f in spec.inputs), start=1)
        if not WIRE_NAME.fullmatch(name)
    ]
    errors += [
        f"derivation {d.name!r}: an answer cannot carry this name; write {_safe(d.name, j)!r}"
        for j, d in enumerate(spec.derivations, start=1)
        if not WIRE_NAME.fullmatch(d.name)
    ]
    texts = sum(f.type == "text" for f in spec.inputs)
    for count, kind in ((texts, "texts"), (len(spec.inputs) - texts, "numbers and dates")):
        if count > MOST_FEATURES:
            errors.append(
                f"feature: {count} input columns are {kind}, but a call carries at most "
                f"{MOST_FEATURES} of a person; exclude some"
            )
    return errors


def _safe(name: str, index: int) -> str:
    return safe_name(name) or f"column_{index}"


def safe_name(name: str) -> str:
    """The name with spaces in the places that a call cannot carry, cut to its length; "" if nothing
    is left."""
    return re.sub(r"\s*[\x00-\x1f\x7f]+\s*", " ", name).strip()[:60]


def _derive(spec: Spec) -> list[str]:
    try:
        features.source_sha256(spec.derive_function)
        features.resolve(spec.derive_function)
    except DeriveError as error:
        return [f"derive.function: {error}"]
    return []


def _folder(out: Path) -> list[str]:
    """A folder that cannot be made or written."""
    there = out
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        return [f"{out}: cannot be written, because {there} is not a folder"]
    if not os.access(there, os.W_OK | os.X_OK):
        return [f"{out}: cannot be written (permission denied)"]
    return []


def _other_model(out: Path, data: Dataset) -> list[str]:
    """A folder with the model of another spec or of other data."""
    path = out / "manifest.json"
    if not path.exists():
        return []
    refusal = [f"{out}: holds another model, which training never replaces; name another folder"]
    try:
        document = json.loads(path.read_bytes())
        same = (document["spec_sha256"], document["data_sha256"]) == (
            data.spec.sha256, data.sha256,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return refusal
    return [] if same else refusal


def _references(data: Dataset) -> list[str]:
    """Groups that protected columns are to be compared with, and that the table does not have."""
    errors = []
    for feature, names in _protected_groups(data):
        if feature.reference_group is not None and feature.reference_group not in names:
            errors.append(
                f"{feature.name}: reference_group: no group is named {feature.reference_group!r}; "
                f"the groups are {', '.join(names) or 'not declared'}"
            )
    return errors


def _repeated(data: Dataset) -> list[str]:
    """Rows that repeat another row, where that cannot be chance: they share a value that hardly
    any other row has, in a column with a value of its own in most rows. Many people may have equal
    rows of common values, such as accounts that nobody uses. A [group] may keep them together."""
    rows = data.label.shape[0]
    if data.group is not None:
        return []
    own = [j for j in range(data.raw.shape[1]) if 2 * np.unique(data.raw[:, j]).size > rows]
    if not own:
        return []
    # A copy of the whole table would take its memory once more.
    hashes = np.concatenate([
        pl.from_numpy(data.raw[at : at + _HASHED])
        .with_columns(label=data.label[at : at + _HASHED])
        .hash_rows()
        .to_numpy()
        for at in range(0, rows, _HASHED)
    ])  # fmt: skip
    _, place, times = np.unique(hashes, return_index=True, return_counts=True)
    place, times = place[times > 1], times[times > 1]
    copied = np.zeros(place.shape, dtype=bool)
    for j in own:
        values, having = np.unique(data.raw[:, j], return_counts=True)
        copied |= having[np.searchsorted(values, data.raw[place, j])] <= 2 * times
    count = int((times[copied] - 1).sum())
    if count < _REPEATED_SHARE * rows:
        return []
    row = int(data.row[place[copied].min()])
    said = (
        f"{count} rows repeat another row in every input and in the label; the first is row {row}. "
        "In two folds they make the figures too good: take them out, or name the person in [group]"
    )
    return [said]


def _split_centuries(data: Dataset) -> Iterator[str]:
    """Columns of dates with years of two digits that lie at both ends of their hundred years, with
    none in the middle."""
    spec = data.spec
    dated = [(f, data.raw[:, j]) for j, f in enumerate(spec.inputs) if f.type == "date"]
    dated += [(f, data.protected[f.name]) for f in spec.protected if f.type == "date"]
    found = [
        (f.name, values[~np.isnan(values)], f.notation.last_year)
        for f, values in dated
        if "%y" in f.format
    ]
    if spec.time is not None and data.time is not None and "%y" in spec.time.format:
        days = data.time.astype(np.float64) // cells.DAY
        found.append(("time", days, spec.data.notation.last_year))
    for name, days, last_year in found:
        years = np.unique(days.astype("datetime64[D]").astype("datetime64[Y]").astype(int)) + 1970
        if years.shape[0] < 2:
            continue
        gaps = np.diff(years)
        widest = int(np.argmax(gaps))
        if gaps[widest] > years[0] + 100 - years[-1]:
            yield (
                f"{name}: years of two digits are read as {last_year - 99} to {last_year}, so its "
                f"dates go to {years[-1]}, with none from {years[widest] + 1} to "
                f"{years[widest + 1] - 1}; if none is after {years[widest]}, write last_year = "
                f"{years[widest]}"
            )


def _protected_groups(data: Dataset) -> Iterator[tuple[Feature, tuple[str, ...]]]:
    """Each protected column with the names of its groups."""
    for feature in data.spec.protected:
        levels = data.levels.get(feature.name, ())
        yield feature, dataset.groups(feature, data.protected[feature.name], levels)[1]


def _unjudged(data: Dataset) -> list[str]:
    """Protected columns by which nobody is compared."""
    return [
        f"{feature.name}: is protected but has no groups, so fairness by it is not judged; write "
        "groups and group_names"
        for feature, names in _protected_groups(data)
        if not names
    ]


def _classes(data: Dataset) -> list[str]:
    """Classes that are too small for the hold-out, the folds or the folds of the calibration."""
    spec, errors = data.spec, []
    folds, fewest = spec.validation.folds, spec.house.fewest_of_class
    for value, name in ((1, "bad"), (0, "good")):
        count = int((data.label == value).sum())
        if count < folds * fewest:
            errors.append(
                f"label.{name}: {count} rows are {name}; {folds} folds need at least "
                f"{folds * fewest}; bring more rows, or write fewer validation.folds"
            )
    if errors:
        return errors
    holdout = dataset.holdout_indices(data)
    training = dataset.training_indices(data, holdout)
    if not holdout.shape[0] or not training.shape[0]:
        return ["time.oot_from: needs rows before it and rows after it"]
    for value, name in ((1, "bad"), (0, "good")):
        held, rest = (int((data.label[rows] == value).sum()) for rows in (holdout, training))
        if held < fewest:
            errors.append(
                f"label.{name}: {held} of the {holdout.shape[0]} hold-out rows are {name}; at "
                f"least {fewest} are needed; choose an earlier time.oot_from, or fewer "
                "validation.folds"
            )
        if rest < folds * fewest:
            errors.append(
                f"label.{name}: {rest} of the {training.shape[0]} training rows are {name}; "
                f"{folds} folds need at least {folds * fewest}; choose a later time.oot_from, or "
                "fewer validation.folds"
            )
    return errors or _groups(data, training)


def _groups(data: Dataset, training: dataset.Indices) -> list[str]:
    """Folds that large groups leave without rows of one class."""
    if data.group is None:
        return []
    spec = data.spec
    folds, fewest = spec.validation.folds, spec.house.fewest_of_class
    seed = spec.validation.seeds[0]
    for label, group in (
        (data.label, data.group),
        (data.label[training], data.group[training]),
    ):
        fold = dataset.stratified_folds(label, folds, seed, group)
        for value, name in ((1, "bad"), (0, "good")):
            fewest_here = int(np.bincount(fold[label == value], minlength=folds).min())
            if fewest_here < fewest:
                said = f"a fold has {fewest_here} {name} rows; at least {fewest} are needed"
                return [f"group: the groups are so large that {said}; write fewer validation.folds"]
    return []


class Alone(NamedTuple):
    """A column that stands alone: its AUC, 0.5 or more in the better direction, and whether it
    tells bad from good without a fault."""

    auc: float
    tells: bool


class Parting(NamedTuple):
    """How categories are ranked: the (n,) fold of each row, and the rules of the spec."""

    fold: Folds
    rules: HouseRules


def alone(values: Floats, label: Labels, parting: Parting | None = None) -> Alone:
    """The power of (n,) values of one column; a missing value is a value of its own.

    The values of a category have no order. With a `parting` they are ranked by the bad rates in the
    other folds, rare ones together as in a training: with its own row's label, a column of many
    rare values would seem to know the outcome.
    """
    _, number = np.unique(values, return_inverse=True, equal_nan=True)
    rows = np.bincount(number)
    bad = np.bincount(number, weights=label == 1)
    good = rows - bad
    if not bad.sum() or not good.sum():
        return Alone(0.5, False)
    if parting is None:
        auc = _wins(bad, good) / float(bad.sum() * good.sum())
        auc = max(auc, 1.0 - auc)
    else:
        auc = _auc_of_folds(number, label, parting, ~np.isnan(values))
    pure = not np.any((bad > 0) & (good > 0))
    few = rows.shape[0] <= max(2, label.shape[0] // _ROWS_PER_VALUE)
    return Alone(auc, pure and (few or auc == 1.0))


def _wins(bad: NDArray[Any], good: NDArray[Any]) -> float:
    """The pairs of a bad and a good row whose bad one is in a later place, equal ones as half; from
    the bad and the good rows of each place."""
    below = np.cumsum(good) - good
    return float((bad * (below + good / 2)).sum())


def _auc_of_folds(
    number: dataset.Indices, label: Labels, parting: Parting, present: NDArray[np.bool_]
) -> float:
    """The AUC within the folds of the bad rates in all others, by the (n,) number of each row's
    value; 0.5 where the rates order nothing or the wrong way round."""
    fold, rules = parting
    values = int(number.max()) + 1
    bad_row = label == 1
    missing = np.zeros(values, dtype=bool)
    missing[number[~present]] = True
    every_row, every_bad = np.bincount(number), np.bincount(number, weights=bad_row)
    wins, pairs = 0.0, 0.0
    for each in range(int(fold.max()) + 1):
        here = fold == each
        bad = np.bincount(number[here & bad_row], minlength=values).astype(np.float64)
        good = np.bincount(number[here & ~bad_row], minlength=values).astype(np.float64)
        known = every_row - bad - good
        rest = known.sum()
        if not rest:
            continue
        rare = ~missing & (known < max(rules.level_rows, rules.level_share * rest))
        known_bad = every_bad - bad
        known_bad[rare], known[rare] = known_bad[rare].sum(), known[rare].sum()
        mean = (every_bad.sum() - bad.sum()) / rest
        rate = (known_bad + encoding.PRIOR_ROWS * mean) / (known + encoding.PRIOR_ROWS)
        _, place = np.unique(rate, return_inverse=True)
        wins += _wins(np.bincount(place, weights=bad), np.bincount(place, weights=good))
        pairs += float(bad.sum() * good.sum())
    return max(wins / pairs, 0.5) if pairs else 0.5


def each_alone(data: Dataset) -> dict[str, Alone]:
    """The power of each input by itself."""
    parting = Parting(_folds(data), data.spec.house)
    return {
        feature.name: alone(
            data.raw[:, j], data.label, parting if feature.type in ("text", "code") else None
        )
        for j, feature in enumerate(data.spec.inputs)
    }


def _folds(data: Dataset) -> Folds:
    """The folds to rank categories by; the rows of a group are in one."""
    rows = np.bincount(data.label, minlength=2)
    if data.group is None and rows.min() < _FOLDS:
        return np.zeros(data.label.shape, dtype=np.int8)
    return dataset.stratified_folds(data.label, _FOLDS, 0, data.group)


def _single_columns(data: Dataset, findings: Findings) -> None:
    for name, found in each_alone(data).items():
        if found.tells:
            findings.errors.append(
                f"{name}: alone tells bad from good without a fault (AUC 1.0), so it is the label "
                'in other words or was written after the outcome; give it role = "excluded"'
            )
        elif found.auc >= SUSPECT_AUC:
            findings.warnings.append(
                f"{name}: alone has an AUC of {found.auc:.3f}; make sure that it was known at the "
                "time of the decision"
            )


def report(path: Path, out: Path | None) -> Findings:
    """All that is wrong with the spec at `path` and with its file; no error is raised."""
    findings = Findings()
    try:
        with features.beside(path):
            check(load(path), out, findings)
    except SpecError as error:
        findings.errors += str(error).split("\n")
    except DatasetError as error:
        findings.errors += [e for e in str(error).split("\n") if e not in findings.errors]
    return findings
