"""From raw columns to the columns of a model, as one fit's training rows decide it.

A number is a column of its own; where it has a special value, that column has no value, and a 0/1
column says which special value it was. A code or a text becomes one 0/1 column for each level, or,
with many levels, one column of places in the order of their bad rates. Rare levels count as one.
Trees may get two more columns of a category, the places of its levels by bad rate and by value: so
one split parts many levels, where 0/1 columns need one for each.
Nothing here looks at rows outside the fit: levels that were ordered by other people's labels would
make a validation too good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import derivations, features
from models.derivations import Derivation
from models.errors import DeriveError
from models.spec import HouseRules, Spec
from models.spec_columns import Derived, Feature

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_INDICATORS = 8
"""A feature with more levels than this is one ordered column."""
PRIOR_ROWS = 20.0
"""The mean bad rate counts as this many rows of each level, so few rows cannot lead the order."""
RARE, OTHER_SPECIAL = "RARE", "OTHER_SPECIAL"
BY_RATE, BY_VALUE = "BY_RATE", "BY_VALUE"


class Step(NamedTuple):
    """One column that is fitted from one raw column.

    `operation` is

    - `special`: the value; NaN for each of the `values`, which mean something else than an amount,
    - `indicator`: 1 for each of the `values`, else 0,
    - `rare`: 1 for a value that is not one of the `values`, else 0, and 0 for a missing one,
    - `order`: the place of each of the `values` in `places`, and `rest` for others.
    """

    name: str
    operation: str
    of: str
    values: tuple[float, ...]
    places: tuple[float, ...]
    rest: float
    monotone: int
    reason_group: str | None


class Span(NamedTuple):
    """A derivation that counts months, with bounds, and the raw positions of its two dates."""

    derivation: Derivation
    of: tuple[int, int]


class Levels(NamedTuple):
    """The levels of a code or a text in a fit: the kept ones, ascending, and the rows of others."""

    kept: tuple[float, ...]
    rare_rows: int


def levels(values: Floats, rules: HouseRules) -> Levels:
    """The levels of (n,) training values of a code or a text; NaN is no level."""
    found, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    enough = counts >= max(rules.level_rows, rules.level_share * values.shape[0])
    return Levels(tuple(found[enough].tolist()), int(counts[~enough].sum()))


def is_category(feature: Feature) -> bool:
    """Whether the values of a feature have no order. A code with a declared direction has one."""
    return feature.type in ("code", "text") and not feature.monotone


def special_values(feature: Feature) -> tuple[float, ...]:
    """The values of an ordered feature that are no amounts."""
    return () if is_category(feature) else feature.special


class Preparation:
    """Computes the columns of a model from raw rows; the same bits for a row alone as in a batch.

    columns   the model's columns, in order
    document  the fitted part in JSON, or None for a derive function of a module
    rest      for each column, the place of the rare levels, if the column has them
    spans     the columns of months whose bounds are known, each with its dates' raw positions
    """

    columns: tuple[Derived, ...]
    document: dict[str, Any] | None
    rest: tuple[float | None, ...]
    spans: tuple[Span, ...]

    def __init__(
        self,
        columns: Sequence[Derived],
        derive: features.Derive,
        document: dict[str, Any] | None = None,
        special: Sequence[tuple[int, float]] = (),
        rest: Sequence[float | None] = (),
        spans: Sequence[Span] = (),
        reads: Bools | None = None,
    ) -> None:
        """`special` are the positions and values of raw columns that count as unknown amounts.
        `reads` (k_raw, k) are the raw columns that each column is computed from; None for all."""
        # Most columns have one raw column behind them; of these one look-up finds all.
        self._reads = None if reads is None else reads.argmax(axis=0)
        self._several: list[tuple[int, NDArray[np.intp]]] = []
        if reads is not None:
            many = np.flatnonzero(reads.sum(axis=0) != 1).tolist()
            self._several = [(j, np.flatnonzero(reads[:, j])) for j in many]
        self.columns = tuple(columns)
        self.document = document
        self.rest = tuple(rest) or (None,) * len(self.columns)
        self.spans = tuple(spans)
        self._derive = derive
        self._special_columns = np.array([j for j, _ in special], dtype=np.intp)
        self._special = np.array([v for _, v in special])

    def __call__(self, raw: Floats) -> Floats:
        """(n, k_raw) float64 to (n, len(columns)) float64."""
        return self._derive(raw)

    def checked(self, raw: Floats) -> Floats:
        """The same, after a check of what a module's function returned. Raises DeriveError."""
        return features.apply(self._derive, raw, len(self.columns))

    def undefined(self, raw: Floats, derived: Floats) -> Bools:
        """(n, k): the columns without a value although every raw value behind them is known, such
        as a ratio to 0."""
        nan, unknown = np.isnan(derived), self.unknown(raw)
        if self._reads is None:
            return nan & ~unknown.any(axis=1, keepdims=True)
        behind: Bools = unknown.take(self._reads, axis=1)
        for j, of in self._several:
            behind[:, j] = unknown[:, of].any(axis=1)
        without: Bools = nan & ~behind
        return without

    def unknown(self, raw: Floats) -> Bools:
        """(n, k_raw): the values that are missing, or special and thus no amounts."""
        unknown: Bools = np.isnan(raw)
        if self._special.shape[0]:
            rows, places = np.nonzero(raw.take(self._special_columns, axis=1) == self._special)
            unknown[rows, self._special_columns[places]] = True
        return unknown


def of_function(function: str | None, columns: Sequence[Derived]) -> Preparation:
    """The preparation by a module's derive function, or by none: columns as they are."""
    return Preparation(columns, features.resolve(function))


def fit(
    the_spec: Spec,
    column: Callable[[int], Floats],
    label: NDArray[np.int8],
    *,
    orders: bool = False,
) -> Preparation:
    """The preparation that n training rows with (n,) labels decide; `column` gives the (n,) values
    of the j-th raw column. With `orders`, a category of three levels or more has columns of places
    too."""
    if the_spec.derive_function is not None:
        return of_function(the_spec.derive_function, the_spec.derived)
    steps: list[Step] = []
    used = {name for derivation in the_spec.derivations for name in derivation.of}
    for j, feature in enumerate(the_spec.inputs):
        if is_category(feature):
            steps += _category(feature, column(j), label, the_spec.house, orders)
        elif feature.type != "date" or feature.name not in used:
            steps += _ordered(feature, partial(column, j), the_spec.house)
        else:
            # Time goes on: a date is compared with another one, not learned.
            continue
    position = {name: j for j, name in enumerate(the_spec.raw_names)}
    # Each date goes on, and what the training knows of two of them are the months between.
    declared = [
        derivations.bounded(d, [column(position[name]) for name in d.of])
        if d.operation == "months_between"
        else d
        for d in the_spec.derivations
    ]
    return _prepared(the_spec.raw_names, steps, declared)


def from_json(document: Mapping[str, Any], raw_names: Sequence[str]) -> Preparation:
    """A manifest's preparation; raises KeyError, TypeError, ValueError or DeriveError for anything
    else."""
    steps = [
        Step(
            name=s["name"],
            operation=s["operation"],
            of=s["of"],
            values=tuple(float.fromhex(v) for v in s["values"]),
            places=tuple(float.fromhex(v) for v in s["places"]),
            rest=float.fromhex(s["rest"]),
            monotone=s["monotone"],
            reason_group=s["reason_group"],
        )
        for s in document["fitted"]
    ]
    declared = [derivations.from_json(d) for d in document["declared"]]
    return _prepared(raw_names, steps, declared)


def _ordered(feature: Feature, column: Callable[[], Floats], rules: HouseRules) -> list[Step]:
    """A column of amounts, one of each special value with enough rows, and one of the others."""
    special = tuple(sorted(special_values(feature)))
    steps = [_step(feature, "", "special", special, monotone=feature.monotone)]
    if not special:
        return steps
    values = column()
    counts = {v: int((values == v).sum()) for v in special}
    own = [v for v in special if counts[v] >= rules.special_rows]
    steps += [_step(feature, f"{v:g}", "indicator", (v,)) for v in own]
    others = tuple(v for v in special if 0 < counts[v] < rules.special_rows)
    if others:
        steps.append(_step(feature, OTHER_SPECIAL, "indicator", others))
    return steps


def _category(
    feature: Feature, values: Floats, label: NDArray[np.int8], rules: HouseRules, orders: bool
) -> list[Step]:
    kept, rare_rows = levels(values, rules)
    count = len(kept) + bool(rare_rows)
    by_value = _order(feature, BY_VALUE, kept, range(len(kept) + 1))
    if count > MOST_INDICATORS:
        by_rate = _order(feature, "", kept, places(values, label, kept))
        return [by_rate, by_value] if orders else [by_rate]
    steps = [_step(feature, _text(feature, v), "indicator", (v,)) for v in kept]
    if rare_rows:
        steps.append(_step(feature, RARE, "rare", kept))
    if orders and count > 2:
        steps += [_order(feature, BY_RATE, kept, places(values, label, kept)), by_value]
    return steps


def _text(feature: Feature, value: float) -> str:
    """A level as people write it."""
    return feature.levels[int(value)] if feature.levels else f"{value:g}"


def places(values: Floats, label: NDArray[np.int8], kept: tuple[float, ...]) -> list[int]:
    """The place of each kept level of (n,) values in the order of (bad + 20 p) / (n + 20); the last
    one is that of the rare levels."""
    mean = float(label.mean())
    present = ~np.isnan(values)
    groups = [values == v for v in kept]
    groups.append(present & ~np.isin(values, kept))
    rates = [
        (float(label[g].sum()) + PRIOR_ROWS * mean) / (float(g.sum()) + PRIOR_ROWS) for g in groups
    ]
    order = sorted(range(len(rates)), key=lambda i: (rates[i], i))
    return sorted(range(len(rates)), key=order.__getitem__)


def _order(feature: Feature, part: str, kept: tuple[float, ...], places: Sequence[int]) -> Step:
    """A column of places: one for each kept level, and the last one for all others."""
    *own, rest = map(float, places)
    return _step(feature, part, "order", kept, places=tuple(own), rest=rest)


def _step(
    feature: Feature,
    part: str,
    operation: str,
    values: tuple[float, ...],
    *,
    places: tuple[float, ...] = (),
    rest: float = 0.0,
    monotone: int = 0,
) -> Step:
    """A column of a feature; `part` tells it from the feature's other columns."""
    name = f"{feature.name}={part}" if part else feature.name
    return Step(name, operation, feature.name, values, places, rest, monotone, feature.reason_group)


def _prepared(
    raw_names: Sequence[str], steps: Sequence[Step], declared: Sequence[Derivation]
) -> Preparation:
    position = {name: j for j, name in enumerate(raw_names)}
    for step in steps:
        if step.of not in position:
            raise DeriveError(f"{step.name}: is computed from {step.of!r}, which is no raw column")
    special = [(position[s.of], v) for s in steps if s.operation == "special" for v in s.values]
    return Preparation(
        [
            *(Derived(s.name, s.monotone, s.reason_group) for s in steps),
            *(Derived(d.name, d.monotone, d.reason_group) for d in declared),
        ],
        _Program(position, steps, declared, special),
        {
            "fitted": [
                {
                    **s._asdict(),
                    "values": [v.hex() for v in s.values],
                    "places": [v.hex() for v in s.places],
                    "rest": s.rest.hex(),
                }
                for s in steps
            ],
            "declared": [derivations.to_json(d) for d in declared],
        },
        special,
        [*(s.rest if s.operation == "order" else None for s in steps), *(None for _ in declared)],
        [
            Span(d, (position[d.of[0]], position[d.of[1]]))
            for d in declared
            if d.operation == "months_between" and d.low > -math.inf
        ],
        _reads(position, steps, declared),
    )


def _reads(
    position: Mapping[str, int], steps: Sequence[Step], declared: Sequence[Derivation]
) -> Bools:
    """(k_raw, k): the raw columns that each column is computed from, also through another
    derivation."""
    raw = np.eye(len(position), dtype=np.bool_)
    columns = [raw[position[s.of]] for s in steps]
    known: dict[str, Bools] = {}
    for derivation in declared:
        of = [known[n] if n in known else raw[position[n]] for n in derivation.of]
        known[derivation.name] = np.logical_or.reduce(of)
        columns.append(known[derivation.name])
    return np.stack(columns, axis=1)


class _Program:
    """The steps, sorted by their kind: one operation for all columns of a kind."""

    def __init__(
        self,
        position: Mapping[str, int],
        steps: Sequence[Step],
        declared: Sequence[Derivation],
        special: Sequence[tuple[int, float]],
    ) -> None:
        self._width = len(steps) + len(declared)
        self._special_columns = np.array([j for j, _ in special], dtype=np.intp)
        self._special = np.array([v for _, v in special])
        amounts = [(i, position[s.of]) for i, s in enumerate(steps) if s.operation == "special"]
        self._amounts_to = np.array([i for i, _ in amounts], dtype=np.intp)
        self._amounts_of = np.array([j for _, j in amounts], dtype=np.intp)
        single = [
            (i, position[s.of], s.values[0])
            for i, s in enumerate(steps)
            if s.operation == "indicator" and len(s.values) == 1
        ]
        self._single_to = np.array([i for i, _, _ in single], dtype=np.intp)
        self._single_of = np.array([j for _, j, _ in single], dtype=np.intp)
        self._single = np.array([v for _, _, v in single])
        done = {*self._amounts_to.tolist(), *self._single_to.tolist()}
        self._others = [(i, position[s.of], s) for i, s in enumerate(steps) if i not in done]
        self._position = position
        self._declared = [(len(steps) + i, d) for i, d in enumerate(declared)]

    def __call__(self, raw: Floats) -> Floats:
        # Adding zero copies, and turns -0.0 into 0.0.
        amount = raw + 0.0
        if self._special.shape[0]:
            hit = raw.take(self._special_columns, axis=1) == self._special
            if hit.any():
                rows, places = np.nonzero(hit)
                amount[rows, self._special_columns[places]] = math.nan
        if self._amounts_of.shape[0] == self._width == raw.shape[1]:
            return amount
        out = np.empty((raw.shape[0], self._width))
        out[:, self._amounts_to] = amount.take(self._amounts_of, axis=1)
        if self._single.shape[0]:
            out[:, self._single_to] = raw.take(self._single_of, axis=1) == self._single
        for i, j, step in self._others:
            out[:, i] = _computed(step, raw[:, j])
        known: dict[str, Floats] = {}
        for i, derivation in self._declared:
            of = [
                known[name] if name in known else amount[:, self._position[name]]
                for name in derivation.of
            ]
            known[derivation.name] = out[:, i] = derivations.compute(derivation, of)
        return out


def _computed(step: Step, values: Floats) -> Floats:
    if step.operation == "indicator":
        return np.isin(values, step.values).astype(np.float64)
    if step.operation == "rare":
        return (~np.isnan(values) & ~np.isin(values, step.values)).astype(np.float64)
    if step.operation != "order":
        raise DeriveError(f"{step.name}: the operation {step.operation!r} is unknown")
    if not step.values:
        return np.where(np.isnan(values), math.nan, step.rest)
    known = np.array(step.values)
    at = np.minimum(np.searchsorted(known, values), known.shape[0] - 1)
    place = np.where(known[at] == values, np.array(step.places)[at], step.rest)
    return np.where(np.isnan(values), math.nan, place)
