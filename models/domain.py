"""The rows that a fitted model can score: rows with values, codes and blanks like those of its
training.

A row outside this domain is refused with a stable code and the column's name, or, if only slightly
outside, scored as the nearest trained value and marked. Every fold of a validation has the domain
of its own fit, so a model's figures are about the rows that it scores.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import derivations, encoding
from models.dataset import UNSEEN
from models.encoding import Preparation
from models.errors import DatasetError
from models.spec import HouseRules
from models.spec_columns import Feature

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Bools = NDArray[np.bool_]

# Stable codes of rows that cannot be scored.
MISSING_FEATURE = "MISSING_FEATURE"
FEATURE_OUT_OF_RANGE = "FEATURE_OUT_OF_RANGE"
UNSEEN_CODE = "UNSEEN_CODE"
UNSEEN_CATEGORY = "UNSEEN_CATEGORY"

AS_IS, EXTRAPOLATED, REFUSED = 0, 1, 2
"""A value is scored as it is, as the nearest trained value, or not at all."""

_LARGEST = sys.float_info.max
_PORTION = 8_192
MOST_GAPS = 256
"""The widest code whose unseen values are listed; of wider ones the seen values are listed."""


@dataclass(frozen=True)
class Trained:
    """One raw column in the training rows of a fit.

    `low` and `high` bound its values; a number's special values are not bounded. They are infinite
    if they are unknown, as in models of manifest schema 1 that have a derive function. `seen` are
    the values of a code or a text, or a number's special values, ascending; None when they are
    unknown. `missing` counts the rows without a value, and `missing_bad` the bad rows among them.
    `nullable` says whether there are enough such rows to score a row without the value. `rest` says
    whether there are enough rows of rare texts to score an unseen text like them.
    """

    low: float
    high: float
    seen: tuple[float, ...] | None
    missing: int
    missing_bad: int | None
    nullable: bool
    rest: bool = False


class Learned(NamedTuple):
    """The training rows that the fit can use, as a mask, and its columns."""

    kept: Bools
    trained: tuple[Trained, ...]


class Refusal(NamedTuple):
    """The reason why a row cannot be scored: a stable code and the column."""

    code: str
    column: str


class Admitted(NamedTuple):
    """Rows that can be scored, and the reasons why the other rows cannot, by their positions in the
    input.

    `derived` is (m, k_derived) float64 of the m admitted rows, in order; `refused` has an entry for
    each refused row, `extrapolated` for each row with columns scored as the nearest trained value.
    """

    derived: Floats
    refused: dict[int, Refusal]
    extrapolated: dict[int, tuple[str, ...]]


def learn(
    features: Sequence[Feature],
    column: Callable[[int], Floats],
    label: Labels,
    rules: HouseRules,
    leaf: int,
    *,
    special_is_amount: bool = False,
) -> Learned:
    """The columns of n training rows, and the rows that the fit uses.

    `column` gives the (n,) values of the j-th feature, and `label` are (n,).
    A fit cannot learn from a blank, or a special value, that too few training rows have. Rows with
    such a value are left out of the training, and are refused later. `leaf` is the fit's smallest
    leaf. With `special_is_amount`, a module's function reads special values as they are. Raises
    DatasetError for a column without any value, and when no good or no bad row is left.
    """
    # A row for each column of the table.
    shape = len(features), label.shape[0]
    missing: Bools = np.empty(shape, dtype=np.bool_)
    special: Bools = np.zeros(shape, dtype=np.bool_)
    for j, feature in enumerate(features):
        values = column(j)
        missing[j] = np.isnan(values)
        if not special_is_amount and (codes := encoding.special_values(feature)):
            special[j] = np.isin(values, codes)
    nullable: Bools = np.array([f.missing == "nan" for f in features])
    for j, feature in enumerate(features):
        if missing[j].all():
            raise DatasetError(f"{feature.name}: no training row has a value; leave the column out")
    usable: Bools = np.ones(len(features), dtype=np.bool_)
    bad = label == 1
    while True:
        out = missing[~nullable].any(axis=0) | special[~usable].any(axis=0)
        kept: Bools = np.asarray(~out)
        lacking, lacking_bad = _counts(missing, kept), _counts(missing, kept & bad)
        enough: Bools = np.asarray(
            (lacking >= max(rules.missing_rows, leaf))
            & (lacking_bad >= rules.missing_bad)
            & (lacking - lacking_bad >= rules.missing_good)
        )
        # A special value has no amount, so it shares the direction of the blanks.
        count = _counts(special, kept)
        enough_special = (count == 0) | (count + lacking * nullable >= rules.missing_rows)
        if not (nullable & ~enough).any() and not (usable & ~enough_special).any():
            break
        # Rows that go take their other columns' blanks with them: count again.
        nullable &= enough
        usable &= enough_special
    everyone = np.ones(label.shape[0], dtype=np.bool_)
    lacking, lacking_bad = _counts(missing, everyone), _counts(missing, bad)
    if np.unique(label[kept]).shape[0] < 2:
        rare = [f"{f.name} ({n})" for f, n, has in zip(features, lacking, nullable,
                strict=True) if n and not has]  # fmt: skip
        raise DatasetError(
            f"without the training rows that lack a value of {', '.join(rare)}, no good or no bad "
            "row is left; leave the column out, or fill its values"
        )
    whole = bool(kept.all())
    trained = tuple(
        _trained(
            feature,
            column(j) if whole else column(j)[kept],
            rules,
            missing=int(lacking[j]),
            missing_bad=int(lacking_bad[j]),
            nullable=bool(nullable[j]),
        )
        for j, feature in enumerate(features)
    )
    return Learned(kept, trained)


def _counts(marks: Bools, among: Bools) -> NDArray[np.int64]:
    """(k,) the marks of (k, n) among these (n,)."""
    return np.array([np.count_nonzero(row & among) for row in marks], dtype=np.int64)


def _trained(
    feature: Feature,
    values: Floats,
    rules: HouseRules,
    *,
    missing: int,
    missing_bad: int,
    nullable: bool,
) -> Trained:
    rest = feature.type == "text" and encoding.levels(values, rules).rare_rows >= rules.level_rows
    values = values[~np.isnan(values)]
    is_code = feature.type in ("code", "text")
    seen = np.unique(values if is_code else values[np.isin(values, feature.special)])
    if not is_code:
        values = values[~np.isin(values, feature.special)]
    # Without a value, no number lies between the bounds.
    low, high = (values.min(), values.max()) if values.shape[0] else (np.inf, -np.inf)
    return Trained(
        float(low), float(high), tuple(seen.tolist()), missing, missing_bad, nullable, rest
    )


def to_json(trained: Trained) -> dict[str, Any]:
    """A column's `trained` in the manifest; floats as hexadecimal text."""
    return {
        "low": trained.low.hex(),
        "high": trained.high.hex(),
        "seen": None if trained.seen is None else [v.hex() for v in trained.seen],
        "missing": trained.missing,
        "missing_bad": trained.missing_bad,
        "nullable": trained.nullable,
        "rest": trained.rest,
    }


def from_json(column: Mapping[str, Any]) -> Trained:
    """The reverse of `to_json`; raises KeyError, TypeError or ValueError for anything else."""
    seen = column["seen"]
    return Trained(
        low=float.fromhex(column["low"]),
        high=float.fromhex(column["high"]),
        seen=None if seen is None else tuple(float.fromhex(v) for v in seen),
        missing=column["missing"],
        missing_bad=column["missing_bad"],
        nullable=column["nullable"],
        rest=column.get("rest", False),
    )


class _Bounds(NamedTuple):
    """A column's bounds: values between `low` and `high` count as they are; values beyond, from
    `reach_low` to `reach_high`, count as the nearer bound."""

    reach_low: float
    low: float
    high: float
    reach_high: float


class Domain:
    """Admits rows for one fitted model."""

    def __init__(
        self,
        features: Sequence[Feature],
        trained: Sequence[Trained],
        preparation: Preparation,
        blind: frozenset[int],
    ) -> None:
        """`blind` are the derived columns that the model reads without a direction for missing
        values."""
        self._names = [f.name for f in features]
        self._preparation = preparation
        self._derived_names = tuple(c.name for c in preparation.columns)
        self._spans = preparation.spans
        dates = {j for span in self._spans for j in span.of}
        self._bounds = [_bounds(f, t) for f, t in zip(features, trained, strict=True)]
        self._ends = [(b.low, b.high) for b in self._bounds]
        for j in dates:
            # Time goes on: such a date is as old as the other one makes it.
            self._bounds[j] = _declared(features[j])
        # Finite bounds everywhere: a comparison with them refuses infinities, and NaN too.
        self._low = np.array([b.low for b in self._bounds])
        self._high = np.array([b.high for b in self._bounds])
        self._features = tuple(features)
        self._fraction_allowed = np.array([f.type == "number" for f in features])
        self._seen = [None if t.seen is None else frozenset(t.seen) for t in trained]
        gaps = [_gaps(f, t) for f, t in zip(features, trained, strict=True)]
        # Values between the bounds that cannot be scored: one comparison for all of them.
        pairs = [(j, value) for j, values in enumerate(gaps) for value in values or ()]
        self._barred_columns = np.array([j for j, _ in pairs], dtype=np.intp)
        self._barred = np.array([value for _, value in pairs])
        # A code whose values are so far apart that listing the seen ones is shorter.
        self._sparse = [
            (j, np.array(t.seen))
            for j, t in enumerate(trained)
            if gaps[j] is None and t.seen is not None
        ]
        self.nullable: Bools = np.array([t.nullable for t in trained])
        self._any_nullable = bool(self.nullable.any())
        self._blind = np.isin(np.arange(len(self._derived_names)), sorted(blind))

    def ends(self, j: int) -> tuple[float, float]:
        """The smallest and the largest value of raw column j that are scored as they are; of a date
        that only counts with another one, those of the training."""
        return self._ends[j]

    def admit(self, raw: Floats) -> Admitted:
        """Derived columns of those rows of (n, k_raw) float64 that can be scored."""
        inside = self._inside(raw)
        refused: dict[int, Refusal] = {}
        extrapolated: dict[int, tuple[str, ...]] = {}
        if not inside.all():
            raw = self._sift(raw, inside, refused, extrapolated)
        derived = self._preparation(raw)
        if self._spans:
            self._mark(raw, refused, extrapolated)
        if not np.isfinite(derived).all():
            derived = self._defined(raw, derived, refused)
        if extrapolated and refused:
            extrapolated = {i: names for i, names in extrapolated.items() if i not in refused}
        return Admitted(derived, refused, extrapolated)

    @property
    def spans(self) -> tuple[encoding.Span, ...]:
        """The columns of months, whose dates count only with one another."""
        return self._spans

    def standing(self, raw: Floats) -> NDArray[np.int8]:
        """(n, k_raw): `AS_IS`, `EXTRAPOLATED` or `REFUSED`, for each value by itself."""
        found = np.full(raw.shape, AS_IS, dtype=np.int8)
        # A portion at a time: the comparisons take more memory than their result.
        for start in range(0, raw.shape[0], _PORTION):
            rows, columns = np.nonzero(~self._inside(raw[start : start + _PORTION]))
            for i, j in zip((rows + start).tolist(), columns.tolist(), strict=True):
                value = float(raw[i, j])
                if self._refusal(j, value) is not None:
                    found[i, j] = REFUSED
                elif value not in (self._seen[j] or ()):
                    found[i, j] = EXTRAPOLATED
        return found

    def faults(self, raw: Floats) -> list[tuple[int, str, str]]:
        """Every value of (n, k_raw) float64 that cannot be scored: row, code and column."""
        rows, columns = np.nonzero(~self._inside(raw))
        cells = zip(rows.tolist(), columns.tolist(), strict=True)
        return [
            (i, code, self._names[j])
            for i, j in cells
            if (code := self._refusal(j, float(raw[i, j]))) is not None
        ]

    def _inside(self, raw: Floats) -> Bools:
        """The values that are scored as they are, apart from special values outside the bounds."""
        inside = (raw >= self._low) & (raw <= self._high)
        inside &= (raw == np.floor(raw)) | self._fraction_allowed
        if self._barred.shape[0]:
            barred = raw.take(self._barred_columns, axis=1) == self._barred
            if barred.any():
                rows, places = np.nonzero(barred)
                inside[rows, self._barred_columns[places]] = False
        for j, seen in self._sparse:
            inside[:, j] &= np.isin(raw[:, j], seen)
        if self._any_nullable:
            inside |= np.isnan(raw) & self.nullable
        return inside

    def _sift(
        self,
        raw: Floats,
        inside: Bools,
        refused: dict[int, Refusal],
        extrapolated: dict[int, tuple[str, ...]],
    ) -> Floats:
        """The rows whose every value can be scored, with the values used for the score."""
        raw = raw.copy()
        rows, columns = np.nonzero(~inside)
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
            value, name = float(raw[i, j]), self._names[j]
            code = self._refusal(j, value)
            if code is not None:
                first = refused.get(i)
                # A missing value is named before a wrong one.
                if first is None or (code == MISSING_FEATURE and first.code != code):
                    refused[i] = Refusal(code, name)
            elif value not in (self._seen[j] or ()):
                raw[i, j] = min(max(value, self._bounds[j].low), self._bounds[j].high)
                extrapolated[i] = (*extrapolated.get(i, ()), name)
        return np.delete(raw, sorted(refused), axis=0) if refused else raw

    def _mark(
        self, raw: Floats, refused: dict[int, Refusal], extrapolated: dict[int, tuple[str, ...]]
    ) -> None:
        """Marks the rows with months that the training does not know."""
        places = _places(raw.shape[0], refused)
        for derivation, of in self._spans:
            beyond = derivations.beyond(derivation, [raw[:, j] for j in of])
            for row in np.flatnonzero(beyond).tolist():
                i = places[row]
                extrapolated[i] = (*extrapolated.get(i, ()), derivation.name)

    def _refusal(self, j: int, value: float) -> str | None:
        """The reason why a value outside the bounds of column j cannot be scored; None if it
        can."""
        if value != value:
            return MISSING_FEATURE
        feature, seen, bounds = self._features[j], self._seen[j], self._bounds[j]
        if seen is not None and value in seen:
            return None
        if feature.type != "number" and value != np.floor(value):
            return FEATURE_OUT_OF_RANGE
        if feature.type == "text" and UNSEEN <= value < len(feature.levels):
            return UNSEEN_CATEGORY
        if seen is not None and (feature.type == "code" or value in feature.special):
            declared = feature.minimum <= value <= feature.maximum and abs(value) <= _LARGEST
            return UNSEEN_CODE if declared else FEATURE_OUT_OF_RANGE
        return None if bounds.reach_low <= value <= bounds.reach_high else FEATURE_OUT_OF_RANGE

    def _defined(self, raw: Floats, derived: Floats, refused: dict[int, Refusal]) -> Floats:
        """The rows with all derived columns, or without only those values that the model may lack.

        LightGBM reads a NaN in a column without trained NaN as 0, as if the person had answered 0.
        """
        missing = self._preparation.unknown(raw)
        unknown: Bools = np.logical_and(np.isnan(derived), self._blind)
        undefined = np.isinf(derived) | self._preparation.undefined(raw, derived)
        wrong = (unknown | undefined).any(axis=1)
        places = _places(raw.shape[0], refused)
        for row in np.flatnonzero(wrong).tolist():
            if undefined[row].any():
                name = self._derived_names[int(np.argmax(undefined[row]))]
                refused[places[row]] = Refusal(FEATURE_OUT_OF_RANGE, name)
                continue
            name = self._derived_names[int(np.argmax(unknown[row]))]
            lacking = [self._names[j] for j in np.flatnonzero(missing[row]).tolist()]
            # Behind a derive function, the model's column has a name that no client sends.
            refused[places[row]] = Refusal(MISSING_FEATURE, name if name in lacking else lacking[0])
        defined: Floats = derived[~wrong]
        return defined


def _places(admitted: int, refused: Mapping[int, Refusal]) -> list[int]:
    """The place of each admitted row among all rows."""
    return [i for i in range(admitted + len(refused)) if i not in refused]


def _gaps(feature: Feature, trained: Trained) -> list[float] | None:
    """The values between a column's bounds that no training row had and that do not count as their
    neighbours. For a code these are all other codes; for a number they are its special values. None
    means too many."""
    if trained.seen is None or trained.rest:
        return []
    if feature.type not in ("code", "text"):
        return sorted({*feature.special} - {*trained.seen})
    if not trained.seen or trained.high - trained.low >= MOST_GAPS:
        return None
    between = range(int(trained.low), int(trained.high) + 1)
    return sorted({*map(float, between)} - {*trained.seen})


def _bounds(feature: Feature, trained: Trained) -> _Bounds:
    """The declared bounds, if there are any. Otherwise the trained bounds, widened by one range on
    each side, but never below 0 if no training row was below 0."""
    if feature.type == "text":
        low, high = trained.low, trained.high
        if trained.rest:
            low, high = UNSEEN, float(len(feature.levels) - 1)
        return _Bounds(low, low, high, high)
    if feature.type == "code":
        low, high = max(feature.minimum, trained.low), min(feature.maximum, trained.high)
        return _finite(low, low, high, high)
    reach_low, low, high, reach_high = _declared(feature)
    beneath, above = derivations.reach(trained.low, trained.high)
    if np.isinf(feature.minimum):
        low, reach_low = trained.low, beneath
    if np.isinf(feature.maximum):
        high, reach_high = trained.high, above
    return _finite(reach_low, low, high, reach_high)


def _declared(feature: Feature) -> _Bounds:
    """The bounds of the spec alone."""
    low, high = feature.minimum, feature.maximum
    return _finite(low, low, high, high)


def _finite(*bounds: float) -> _Bounds:
    return _Bounds(*(min(max(v, -_LARGEST), _LARGEST) for v in bounds))
