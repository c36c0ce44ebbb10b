"""The served scorer: from raw rows to margins and scores, always equal to the last bit."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models import explain, features, manifest, scorecard, tables
from models.calibrate import sigmoid_one
from models.domain import Admitted, Domain, Refusal
from models.errors import IncompatibleError, ModelDirectoryError, TamperedError
from models.manifest import Manifest
from models.scratch import Memory

Floats = NDArray[np.float64]

# Stable code of rows that are not features at all; `models.domain` has the others.
MALFORMED_FEATURES = "MALFORMED_FEATURES"


class Scored(NamedTuple):
    """A person's score. `pd` is for information; decisions use `score`.

    `extrapolated` names the raw columns that count as their nearest trained value.
    """

    margin: float
    pd: float
    score: int
    band: str
    extrapolated: tuple[str, ...] = ()


class Unscorable(NamedTuple):
    """The reason why a row has no score: a stable code, and the column if there is one."""

    reason: str
    feature: str = ""


class _Tables(NamedTuple):
    """The fast way to margins and reasons; one index serves both."""

    patterns: tables.Patterns
    margins: tables.Margins
    explainer: explain.Explainer


class ModelScorer:
    """A verified model, ready to score. For one caller at a time."""

    model_id: str
    scale_version: str
    outcome: str
    raw_names: tuple[str, ...]
    absent_names: frozenset[str]
    """The raw columns that count as missing when they were not sent."""
    levels: Mapping[str, Mapping[str, float]]
    """The number of each known text of the raw columns that are texts, and NaN for texts that stand
    for a missing value."""
    reasons_from: str
    """`tables`, `treeshap`, or `nothing`: no column of the model has a reason group."""
    warnings: tuple[str, ...]
    """Warnings for the operator of the model, a sentence each."""
    manifest: Manifest
    domain: Domain
    """Admits the rows that the model can score."""

    def __init__(self, verified: Manifest) -> None:
        """Build from a manifest that `models.manifest.read` has verified; prefer `load`."""
        self.manifest = verified
        self.model_id = verified.model_id
        self.scale_version = verified.scale_version
        self.outcome = verified.outcome
        self.raw_names = verified.raw_names
        self._scale = verified.scale
        self._platt = verified.platt
        self._bands = [scorecard.band(s) for s in range(scorecard.LOWEST, scorecard.HIGHEST + 1)]
        self.absent_names = frozenset(f.name for f in verified.raw if f.absent == "missing")
        self.levels = {
            f.name: dict.fromkeys(f.notation.missing, math.nan)
            | {text: float(number) for number, text in enumerate(f.levels)}
            for f in verified.raw
            if f.type == "text"
        }
        self._row_bytes = 8 * len(verified.raw)
        self._preparation = verified.preparation()
        try:
            self._booster = lightgbm.Booster(model_str=verified.model_text)
        except lightgbm.basic.LightGBMError as error:
            raise ModelDirectoryError(f"model.txt: LightGBM cannot read it ({error})") from error
        if self._booster.feature_name() != list(verified.text_names):
            raise IncompatibleError("model.txt: its features differ from the manifest's")
        trees = tables.parse(verified.model_text)
        groups = [d.reason_group for d in verified.derived]
        # LightGBM itself computes trees that are too deep for tables.
        self._tables = _tables_of(trees, groups) if tables.hold(trees) else None
        self._tree_shap = explain.TreeShap(self._booster, groups)
        self._deep_reasons = self._tree_shap.reasons
        self.reasons_from = reasons_from(trees, groups)
        self.warnings = _warnings(self.reasons_from, verified)
        self._check_golden_rows()
        self.domain = Domain(
            verified.raw,
            verified.trained,
            self._preparation,
            tables.blind_columns(trees),
        )

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        expected_id: str | None = None,
        derivations: Collection[str] | None = None,
    ) -> ModelScorer:
        """Read, verify and prove a model directory. `derivations` are the hashes of the modules
        that may be imported besides Freehold's own; None for a caller who trusts the model.

        Every hash is verified before LightGBM parses anything or the derive function is imported;
        then the feature list; then the golden rows, exactly. Raises ModelDirectoryError or one of
        its kinds, or DeriveError.
        """
        verified = manifest.read(Path(directory), expected_id=expected_id)
        if derivations is not None:
            derive = verified.document["derive"]
            features.require_allowed(derive["function"], derive["sha256"], derivations)
        return cls(verified)

    def bound_reasons(self, budget_s: float) -> None:
        """From now on, reasons without tables take at most about this many seconds for each call.

        Reasons not found in that time are `REASONS_PENDING`; see `models.explain`.
        """
        if self.reasons_from == "treeshap":
            self._deep_reasons = explain.PatientReasons(self._tree_shap, budget_s).reasons

    def score(self, rows: Sequence[bytes]) -> list[Scored | Unscorable]:
        """Score rows of len(raw_names) little-endian float64 each, in the order given.

        A row that cannot be scored does not affect the others, and a row's result never depends on
        the other rows.
        """
        admitted = self._admit(rows)
        scored = self._scored(self._margins(admitted.derived))
        return [row for row, _ in _in_place(admitted, [(row, ()) for row in scored], len(rows))]

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> list[tuple[Scored | Unscorable, tuple[str, ...]]]:
        """Scores as from `score`, with up to four reason groups that lower them most.

        The worst group comes first. Reasons are exact SHAP contributions to the margin, summed by
        the spec's reason groups; only groups that lower the score are named, and only for scores
        below `below`.
        """
        admitted = self._admit(rows)
        derived = admitted.derived
        explained: list[tuple[Scored, tuple[str, ...]]] = []
        for start in range(0, derived.shape[0], tables.BLOCK):
            explained += self._explained(derived[start : start + tables.BLOCK], below)
        return _in_place(admitted, explained, len(rows))

    def scored(self, margin: float, extrapolated: tuple[str, ...]) -> Scored:
        """The score of a margin that this model gave; raises ValueError for no finite number."""
        if not math.isfinite(margin):
            raise ValueError("a margin must be a finite number")
        score = self._scale.score(margin)
        pd = sigmoid_one(self._platt.a * margin + self._platt.b)
        return Scored(margin, pd, score, self._bands[score - scorecard.LOWEST], extrapolated)

    def _explained(self, derived: Floats, below: int) -> list[tuple[Scored, tuple[str, ...]]]:
        """Scores and reasons of one block of rows."""
        if self._tables is None:
            scored = self._scored(self._oracle(derived))
        else:
            index = self._tables.patterns.index(derived)
            scored = self._scored(self._tables.margins.margin(index)[: derived.shape[0]])
        low = [i for i, row in enumerate(scored) if row.score < below]
        if not low or self.reasons_from == "nothing":
            return [(row, ()) for row in scored]
        if self._tables is None:
            found = self._deep_reasons(derived[low])
        else:
            found = self._tables.explainer.reasons(index.take(low, axis=1))
        reasons = dict(zip(low, found, strict=True))
        return [(row, reasons.get(i, ())) for i, row in enumerate(scored)]

    def _scored(self, margins: Floats) -> list[Scored]:
        return [self.scored(margin, ()) for margin in margins.tolist()]

    def _margins(self, derived: Floats) -> Floats:
        if self._tables is None:
            return self._oracle(derived)
        return tables.margins(self._tables.patterns, self._tables.margins, derived)

    def _oracle(self, derived: Floats) -> Floats:
        return np.asarray(
            self._booster.predict(derived, raw_score=True, num_threads=1), dtype=np.float64
        )

    def _admit(self, rows: Sequence[bytes]) -> Admitted:
        """The derived rows that have a score, and the results of the other rows by their
        positions."""
        malformed = [i for i, row in enumerate(rows) if len(row) != self._row_bytes]
        if malformed:
            # Infinite values are refused in every column.
            stand_in = np.full(len(self.raw_names), np.inf).tobytes()
            rows = [row if len(row) == self._row_bytes else stand_in for row in rows]
        raw = np.frombuffer(b"".join(rows), dtype="<f8").reshape(len(rows), len(self.raw_names))
        admitted = self.domain.admit(raw)
        admitted.refused.update(dict.fromkeys(malformed, Refusal(MALFORMED_FEATURES, "")))
        return admitted

    def _check_golden_rows(self) -> None:
        """Checks that both computations of the margin, by the tables and by LightGBM, give the
        expected bits."""
        golden = self.manifest.golden
        if not golden:
            raise ModelDirectoryError("manifest.json: has no golden rows")
        if any(len(g.raw) != len(self.raw_names) for g in golden):
            raise ModelDirectoryError("manifest.json: a golden row has the wrong length")
        raw = np.array([g.raw for g in golden], dtype=np.float64)
        derived = self._preparation.checked(raw)
        promised = np.array([g.margin for g in golden]).tobytes()
        if self._oracle(derived).tobytes() != promised:
            raise TamperedError(
                "golden rows: the margins computed here differ from the stored ones"
            )
        together = self._margins(derived)
        alone = np.concatenate([self._margins(row) for row in np.split(derived, len(golden))])
        if together.tobytes() != promised or alone.tobytes() != promised:
            raise TamperedError(
                "golden rows: the margins of the tables differ from the stored ones"
            )
        for g in golden:
            if self._scale.score(g.margin) != g.score:
                raise TamperedError(
                    "golden rows: the scores of the scale differ from the stored ones"
                )


def reasons_from(trees: list[tables.Tree], column_groups: Sequence[str | None]) -> str:
    """The source of a model's reasons: `tables`, `treeshap`, or `nothing` without a group."""
    if all(group is None for group in column_groups):
        return "nothing"
    return "tables" if tables.hold(trees) else "treeshap"


def _warnings(source: str, verified: Manifest) -> tuple[str, ...]:
    warnings = []
    if source == "treeshap":
        warnings.append(
            f"a tree has more than {tables.NODES} splits: LightGBM computes the reasons, and "
            f"reasons that take too long are {explain.REASONS_PENDING}"
        )
    unnamed = [d.name for d in verified.derived if d.reason_group is None]
    if unnamed:
        warnings.append(
            f"{len(unnamed)} of {len(verified.derived)} columns have no reason_group and are never "
            f"given as a reason: {', '.join(unnamed[:5])}"
        )
    unbounded = [
        f.name
        for f, t in zip(verified.raw, verified.trained, strict=True)
        if math.isinf(t.low) and math.isinf(t.high) and math.isinf(f.maximum - f.minimum)
    ]
    if unbounded:
        warnings.append(
            "the model has no bounds from its training, so any value of "
            f"{', '.join(unbounded[:5])} is scored: train it again"
        )
    return tuple(warnings)


def _tables_of(trees: list[tables.Tree], column_groups: Sequence[str | None]) -> _Tables:
    memory = Memory()
    patterns, margins = tables.Patterns(trees, memory), tables.Margins(trees, memory)
    return _Tables(patterns, margins, explain.Explainer(trees, column_groups, memory))


_Row = tuple[Scored, tuple[str, ...]]


def _in_place(
    admitted: Admitted, scored: list[_Row], rows: int
) -> list[tuple[Scored | Unscorable, tuple[str, ...]]]:
    """Scores and refusals of all rows, in the order given."""
    refused, extrapolated = admitted.refused, admitted.extrapolated
    if not refused and not extrapolated:
        return list(scored)
    following = iter(scored)
    placed: list[tuple[Scored | Unscorable, tuple[str, ...]]] = []
    for i in range(rows):
        if i in refused:
            placed.append((Unscorable(*refused[i]), ()))
            continue
        row, why = next(following)
        if i in extrapolated:
            row = row._replace(extrapolated=extrapolated[i])
        placed.append((row, why))
    return placed
