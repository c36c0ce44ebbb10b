"""The served scorer: raw rows in, margins and scores out, equal to the last bit every time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models import explain, features, manifest, scorecard, tables
from models.calibrate import sigmoid_one
from models.errors import IncompatibleError, ModelDirectoryError, TamperedError
from models.manifest import Manifest

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Stable codes of rows that cannot be scored.
MISSING_FEATURE = "MISSING_FEATURE"
FEATURE_OUT_OF_RANGE = "FEATURE_OUT_OF_RANGE"
MALFORMED_FEATURES = "MALFORMED_FEATURES"

# Rows looked up at once: more would leave the processor's cache.
_BLOCK = 64

_LARGEST = sys.float_info.max


class Scored(NamedTuple):
    """A person's score. `pd` is for information; decisions rest on `score`."""

    margin: float
    pd: float
    score: int
    band: str


class Unscorable(NamedTuple):
    """Why a row has no score: one of this module's stable codes."""

    reason: str


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
    manifest: Manifest

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
        self._row_bytes = 8 * len(verified.raw)
        # Finite bounds everywhere: comparing with them refuses infinities, and NaN as well.
        self._low = np.array([max(f.minimum, -_LARGEST) for f in verified.raw])
        self._high = np.array([min(f.maximum, _LARGEST) for f in verified.raw])
        self._fraction_allowed = np.array([f.type == "number" for f in verified.raw])
        self._nan_allowed = np.array([f.missing == "nan" for f in verified.raw])
        self._derive = features.resolve(verified.derive_function)
        try:
            self._booster = lightgbm.Booster(model_str=verified.model_text)
        except lightgbm.basic.LightGBMError as error:
            raise ModelDirectoryError(f"model.txt: LightGBM cannot read it ({error})") from error
        if self._booster.feature_name() != [d.name for d in verified.derived]:
            raise IncompatibleError("model.txt: its features are not the manifest's")
        self._tables: _Tables | None = None
        self._build_tables()
        self._check_golden_rows()

    @classmethod
    def load(cls, directory: Path, *, expected_id: str | None = None) -> ModelScorer:
        """Read, verify and prove a model directory.

        Every hash is verified before LightGBM parses anything or the derive function is
        imported; then the feature list; then the golden rows, bit for bit. Raises
        ModelDirectoryError or one of its kinds, or DeriveError.
        """
        return cls(manifest.read(Path(directory), expected_id=expected_id))

    def score(self, rows: Sequence[bytes]) -> list[Scored | Unscorable]:
        """Score rows of len(raw_names) little-endian float64 each, in the order given.

        A row that cannot be scored does not disturb the others, and no row's bits depend on its
        company.
        """
        derived, refused = self._admit(rows)
        scored = self._scored(self._margins(derived))
        if not refused:
            return list(scored)
        following = iter(scored)
        return [
            Unscorable(refused[i]) if i in refused else next(following) for i in range(len(rows))
        ]

    def score_with_reasons(
        self, rows: Sequence[bytes], below: int
    ) -> list[tuple[Scored | Unscorable, tuple[str, ...]]]:
        """Scores as `score` gives them, with up to four reason groups that lower them most.

        The worst group comes first. Reasons are exact SHAP contributions to the margin, summed
        by the spec's reason groups; only groups that lower the score are named, and only for
        scores less than `below`.
        """
        derived, refused = self._admit(rows)
        explained: list[tuple[Scored, tuple[str, ...]]] = []
        for start in range(0, derived.shape[0], _BLOCK):
            explained += self._explained(derived[start : start + _BLOCK], below)
        if not refused:
            return list(explained)
        following = iter(explained)
        return [
            (Unscorable(refused[i]), ()) if i in refused else next(following)
            for i in range(len(rows))
        ]

    def _explained(self, derived: Floats, below: int) -> list[tuple[Scored, tuple[str, ...]]]:
        """Scores and reasons of one block of rows."""
        if self._tables is None:
            # Deeper trees than the tables hold: a score without reasons beats no answer.
            return [(row, ()) for row in self._scored(self._oracle(derived))]
        index = self._tables.patterns.index(derived)
        scored = self._scored(self._tables.margins.margin(index)[: derived.shape[0]])
        low = [i for i, row in enumerate(scored) if row.score < below]
        if not low:
            return [(row, ()) for row in scored]
        found = self._tables.explainer.reasons(index.take(low, axis=1))
        reasons = dict(zip(low, found, strict=True))
        return [(row, reasons.get(i, ())) for i, row in enumerate(scored)]

    def _scored(self, margins: Floats) -> list[Scored]:
        scale, platt, bands = self._scale, self._platt, self._bands
        scored = []
        for margin in margins.tolist():
            score = scale.score(margin)
            pd = sigmoid_one(platt.a * margin + platt.b)
            scored.append(Scored(margin, pd, score, bands[score - scorecard.LOWEST]))
        return scored

    def _build_tables(self) -> None:
        """The fast ways where the trees fit; where they do not, LightGBM itself gives margins."""
        try:
            trees = tables.parse(self.manifest.model_text)
        except IncompatibleError:
            return
        patterns = tables.Patterns(trees)
        groups = [d.reason_group for d in self.manifest.derived]
        self._tables = _Tables(patterns, tables.Margins(trees), explain.Explainer(trees, groups))

    def _margins(self, derived: Floats) -> Floats:
        if self._tables is None:
            return self._oracle(derived)
        margins = np.empty(derived.shape[0])
        for start in range(0, derived.shape[0], _BLOCK):
            block = derived[start : start + _BLOCK]
            index = self._tables.patterns.index(block)
            margins[start : start + _BLOCK] = self._tables.margins.margin(index)[: block.shape[0]]
        return margins

    def _oracle(self, derived: Floats) -> Floats:
        return np.asarray(
            self._booster.predict(derived, raw_score=True, num_threads=1), dtype=np.float64
        )

    def _admit(self, rows: Sequence[bytes]) -> tuple[Floats, dict[int, str]]:
        """Derived columns (m, k) of rows that have a score; reasons of the others, by position."""
        refused: dict[int, str] = {}
        width = self._row_bytes
        if any(len(row) != width for row in rows):
            refused = {i: MALFORMED_FEATURES for i, row in enumerate(rows) if len(row) != width}
            rows = [row for row in rows if len(row) == width]
        raw = np.frombuffer(b"".join(rows), dtype="<f8").reshape(len(rows), len(self.raw_names))
        inside = (raw >= self._low) & (raw <= self._high)
        inside &= (raw == np.floor(raw)) | self._fraction_allowed
        if not inside.all():
            raw = self._refuse_outside(raw, inside, refused)
        derived = self._derive(raw)
        if not np.isfinite(derived).all():
            derived = self._refuse_undefined(raw, derived, refused)
        return derived, refused

    def _refuse_outside(self, raw: Floats, inside: Bools, refused: dict[int, str]) -> Floats:
        """The rows inside the declared domain; reasons for the others go to `refused`."""
        missing = np.isnan(raw)
        lacking: Bools = np.any(missing & ~self._nan_allowed, axis=1)
        wrong: Bools = np.any(~inside & ~missing, axis=1)
        reasons = [MISSING_FEATURE if value else FEATURE_OUT_OF_RANGE for value in lacking.tolist()]
        refusing = lacking | wrong
        _refuse(refusing, reasons, refused)
        admitted: Floats = raw[~refusing]
        return admitted

    def _refuse_undefined(self, raw: Floats, derived: Floats, refused: dict[int, str]) -> Floats:
        """The rows whose derived columns exist: LightGBM would read a NaN it never met as 0."""
        undefined: Bools = np.any(np.isinf(derived), axis=1)
        undefined |= np.any(np.isnan(derived), axis=1) & ~np.any(np.isnan(raw), axis=1)
        _refuse(undefined, [FEATURE_OUT_OF_RANGE] * undefined.shape[0], refused)
        defined: Floats = derived[~undefined]
        return defined

    def _check_golden_rows(self) -> None:
        """Both ways to the margin, the tables and LightGBM itself, must give the promised bits."""
        golden = self.manifest.golden
        if not golden:
            raise ModelDirectoryError("manifest.json: has no golden rows")
        if any(len(g.raw) != len(self.raw_names) for g in golden):
            raise ModelDirectoryError("manifest.json: a golden row has the wrong length")
        raw = np.array([g.raw for g in golden], dtype=np.float64)
        derived = features.apply(self._derive, raw, len(self.manifest.derived))
        promised = np.array([g.margin for g in golden]).tobytes()
        if self._oracle(derived).tobytes() != promised:
            raise TamperedError("golden rows: this runtime gives other margins")
        together = self._margins(derived)
        alone = np.concatenate([self._margins(row) for row in np.split(derived, len(golden))])
        if together.tobytes() != promised or alone.tobytes() != promised:
            raise TamperedError("golden rows: the tables give other margins")
        for g in golden:
            if self._scale.score(g.margin) != g.score:
                raise TamperedError("golden rows: the scale gives other scores")


def _refuse(flagged: Bools, reasons: list[str], refused: dict[int, str]) -> None:
    """Enter the reasons of flagged rows, which are numbered without those already refused."""
    total = flagged.shape[0] + len(refused)
    positions = [i for i in range(total) if i not in refused]
    for j in np.flatnonzero(flagged).tolist():
        refused[positions[j]] = reasons[j]
