"""The share of the hold-out that the served model can score, and the effect of a blank there."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np

from models import learners, scorecard
from models.domain import MISSING_FEATURE, Admitted
from models.errors import TrainingError
from models.samples import Sample, State, domain_of
from models.spec import HouseRules


def by_column(state: State, sample: Sample) -> list[dict[str, Any]]:
    """For each raw column, and each computed one that refuses a row, the hold-out rows that are
    refused or marked as extrapolated because of this column.

    These rows are known before any fit. `missing` are rows with a blank that the fit cannot score,
    `outside` are rows with a value outside the domain. A row may count for several columns. Raises
    TrainingError when fewer than two good, or two bad, hold-out rows can be scored.
    """
    seen, raw = domain_of(state, sample), state.raw[state.holdout]
    found = {
        feature.name: _column(feature.name, trained.missing, trained.nullable)
        for feature, trained in zip(state.spec.inputs, sample.trained, strict=True)
    }
    for span in sample.preparation.spans:
        found[span.derivation.name] = _column(span.derivation.name, 0, True)
    faults = seen.faults(raw)
    for _, code, column in faults:
        found[column]["missing" if code == MISSING_FEATURE else "outside"] += 1
    admitted = seen.admit(raw)
    faulty = {row for row, _, _ in faults}
    for row, refusal in admitted.refused.items():
        if row not in faulty:
            # A column that is computed from others has no value, such as a ratio to 0.
            computed = found.setdefault(refusal.column, _column(refusal.column, 0, False))
            computed["missing" if refusal.code == MISSING_FEATURE else "outside"] += 1
    for columns in admitted.extrapolated.values():
        for column in columns:
            found[column]["extrapolated"] += 1
    _require_both(state, admitted, found)
    return list(found.values())


def _column(name: str, missing: int, nullable: bool) -> dict[str, Any]:
    return {
        "column": name,
        "trained_missing": missing,
        "may_be_missing": nullable,
        "missing": 0,
        "outside": 0,
        "extrapolated": 0,
    }


def _require_both(state: State, admitted: Admitted, found: dict[str, dict[str, Any]]) -> None:
    """Raises TrainingError unless good and bad hold-out rows can be scored, two of each: an
    interval of the AUC needs them."""
    label = state.label[state.holdout]
    label = np.delete(label, sorted(admitted.refused))
    for value, name in ((1, "bad"), (0, "good")):
        count = int((label == value).sum())
        if count < 2:
            worst = max(found.values(), key=lambda row: int(row["missing"]) + int(row["outside"]))
            raise TrainingError(
                f"{count or 'no'} {name} row of the {state.holdout.shape[0]} hold-out rows can be "
                f"scored: {worst['missing']} rows lack a value of {worst['column']}, and "
                f"{worst['outside']} have one outside the trained values; "
                "choose another hold-out, or leave the column out"
            )


def require(columns: list[dict[str, Any]], rows: int, rules: HouseRules) -> list[str]:
    """Warnings about columns whose values cause the refusal of too many hold-out rows.

    Raises TrainingError when more values are outside the domain than the rules allow.
    """
    warnings = []
    for row in columns:
        outside, missing = row["outside"] / rows, row["missing"] / rows
        if outside > rules.most_refused:
            raise TrainingError(
                f"{row['column']}: {row['outside']} of {rows} hold-out rows have values "
                "outside the trained values, or none that can be computed, and cannot be scored; "
                "declare min and max, merge rare codes, change the derivation, or choose another "
                "hold-out"
            )
        if outside + missing > rules.warn_refused:
            warnings.append(
                f"{row['column']}: of {rows} hold-out rows, {row['missing']} lack a value and "
                f"{row['outside']} have one outside the trained values; they cannot be scored"
            )
        if row["trained_missing"] and not row["may_be_missing"]:
            warnings.append(
                f"{row['column']}: {row['trained_missing']} training rows lack a value, too few "
                "to learn from; rows without it are left out and cannot be scored"
            )
    return warnings


def better_blank(
    state: State, sample: Sample, model_text: str, scale: scorecard.Scale
) -> list[dict[str, Any]]:
    """For each column that may be missing: the share of hold-out people with a value who would get
    a better score without the value."""
    booster = lightgbm.Booster(model_str=model_text)
    seen = domain_of(state, sample, booster)
    shares: list[dict[str, Any]] = []
    if not seen.nullable.any():
        return shares
    raw = state.raw[state.holdout]
    margins = learners.margins(booster, seen, raw)
    for j in np.flatnonzero(seen.nullable).tolist():
        present = ~np.isnan(raw[:, j])
        without, before = raw[present], margins[present]
        without[:, j] = np.nan
        after = learners.margins(booster, seen, without)
        both = ~np.isnan(before) & ~np.isnan(after)
        pairs = zip(before[both].tolist(), after[both].tolist(), strict=True)
        n, rises = int(both.sum()), sum(scale.score(m) < scale.score(blank) for m, blank in pairs)
        name = state.spec.inputs[j].name
        shares.append({"column": name, "n": n, "rises": rises, "share": rises / n if n else 0.0})
    return shares
