"""The bins in which a model's people are counted, and its reference: the people of its training.

A column's ordinary values lie in up to ten bins of equal mass, or, if they have no order, in one
bin for each kept level. Missing values, each special value, rare or unseen levels, values beyond
the trained ones, and values without a score have bins of their own. The score's bins hold scores
out of fold, because a model's scores of its own rows are too good.

Manifests of earlier builds have `reference` histograms of the columns, and none of the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import derivations, domain, encoding
from models.domain import Domain
from models.reference import equal_mass
from models.samples import State
from models.spec import HouseRules
from models.spec_columns import Feature

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Standings = NDArray[np.int8]

SCORE = "score"
OTHERS = ("missing", "rare or unseen", "extrapolated", "cannot be scored")
_MISSING, _RARE, _EXTRAPOLATED, _REFUSED = range(4)


@dataclass(frozen=True, slots=True)
class Column:
    """The bins of a column, and the reference's people in each of them.

    `edges` (ascending) cut the ordinary values into len(edges) + 1 bins, each open below and closed
    above; or else each of the `levels` (ascending) is a bin. Behind the ordinary bins come those of
    `OTHERS`, and then one for each `special` value. `counts` is in this order.
    """

    name: str
    edges: tuple[float, ...]
    levels: tuple[float, ...] | None
    special: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def ordinary(self) -> int:
        """The number of ordinary bins."""
        return len(self.edges) + 1 if self.levels is None else len(self.levels)

    @property
    def size(self) -> int:
        """The number of all bins."""
        return self.ordinary + len(OTHERS) + len(self.special)

    @property
    def rare(self) -> int:
        """The place of the bin of rare or unseen levels."""
        return self.ordinary + _RARE

    @property
    def unscorable(self) -> int:
        """The place of the bin of values without a score."""
        return self.ordinary + _REFUSED

    def places(self, values: Floats, standing: Standings, *, is_code: bool = False) -> Places:
        """The bin of each of (n,) values that stand so; `is_code` is for levels and texts."""
        first = self.ordinary
        if self.levels is None:
            found: Places = np.searchsorted(np.array(self.edges), values, side="left")
        else:
            kept = np.array(self.levels)
            found = np.searchsorted(kept, values, side="left")
            near = (
                kept[np.minimum(found, max(first - 1, 0))]
                if first
                else np.full_like(values, np.nan)
            )
            found = np.where(near == values, found, first + _RARE)
        refused = standing == domain.REFUSED
        if self.levels is None:
            found[standing == domain.EXTRAPOLATED] = first + _EXTRAPOLATED
            found[refused] = first + (_RARE if is_code else _REFUSED)
        for place, value in enumerate(self.special):
            found[values == value] = first + len(OTHERS) + place
        found[np.isnan(values)] = first + _MISSING
        return found

    def count(self, places: Places) -> NDArray[np.int64]:
        """The values in each bin."""
        return np.bincount(places, minlength=self.size).astype(np.int64)


def of_training(
    state: State, rows: NDArray[np.intp], seen: Domain, score: Floats
) -> dict[str, Any]:
    """The reference in a manifest: training rows, and their scores out of fold (NaN without)."""
    raw, inputs = state.raw[rows], state.spec.inputs
    found = []
    nobody = np.zeros(raw.shape, dtype=np.bool_)
    for name, values, standing, feature in _watched(inputs, seen, raw, nobody):
        column = _bins(name, values[standing == domain.AS_IS], feature, state.spec.house)
        places = column.places(values, standing, is_code=_is_code(feature))
        found.append(_to_json(_counted(column, places)))
    edges = equal_mass(score[~np.isnan(score)])
    column = Column(SCORE, edges, None, (), ())
    return {
        "score": _to_json(_counted(column, score_places(column, score))),
        "columns": found,
    }


def score_places(column: Column, score: Floats) -> Places:
    """The bin of each score; NaN cannot be scored."""
    places = column.places(score, np.zeros(score.shape, dtype=np.int8))
    places[np.isnan(score)] = column.unscorable
    return places


class Columns:
    """The reference of a model, to place other people by.

    `score` is None in a model of an earlier build. `features` are the raw columns by name.
    """

    def __init__(
        self, document: Mapping[str, Any], inputs: Sequence[Feature], seen: Domain
    ) -> None:
        """From a manifest's document; raises KeyError or ValueError for anything else."""
        self._inputs, self._seen = tuple(inputs), seen
        kept = document.get("monitoring")
        self.score: Column | None = None
        if kept is None:
            all_ = {c["name"]: _of_earlier_build(c) for c in document["reference"]}
        else:
            self.score = _from_json(kept["score"])
            all_ = {c["name"]: _from_json(c) for c in kept["columns"]}
        dates = {j for span in seen.spans for j in span.of}
        names = [f.name for j, f in enumerate(self._inputs) if j not in dates]
        names += [span.derivation.name for span in seen.spans]
        self.columns = tuple(all_[name] for name in names if name in all_)
        self.features = {f.name: f for f in self._inputs}

    def places(self, raw: Floats, unsent: NDArray[np.bool_]) -> list[Places]:
        """The bins of (n, k_raw) values for each of the columns; `unsent` values cannot be
        scored, whatever stands in their place."""
        wanted = {column.name: column for column in self.columns}
        found = []
        for name, values, standing, feature in _watched(self._inputs, self._seen, raw, unsent):
            if (column := wanted.get(name)) is None:
                continue
            places = column.places(values, standing, is_code=_is_code(feature))
            places[standing == _UNSENT] = column.unscorable
            found.append(places)
        return found


_UNSENT = 3


def _watched(
    inputs: Sequence[Feature], seen: Domain, raw: Floats, unsent: NDArray[np.bool_]
) -> list[tuple[str, Floats, Standings, Feature | None]]:
    """Each column that is watched, with its values and how they stand.

    A date that goes on with time is not; the months between it and another one are.
    """
    dates = {j for span in seen.spans for j in span.of}
    standing = seen.standing(raw)
    standing[unsent] = _UNSENT
    found: list[tuple[str, Floats, Standings, Feature | None]] = [
        (feature.name, raw[:, j], standing[:, j], feature)
        for j, feature in enumerate(inputs)
        if j not in dates
    ]
    for span in seen.spans:
        columns = [raw[:, j] for j in span.of]
        months = derivations.compute(span.derivation, columns)
        stands = np.where(
            derivations.beyond(span.derivation, columns), domain.EXTRAPOLATED, domain.AS_IS
        ).astype(np.int8)
        stands[np.isinf(months)] = domain.REFUSED
        stands[unsent[:, list(span.of)].any(axis=1)] = _UNSENT
        found.append((span.derivation.name, months, stands, None))
    return found


def _bins(name: str, values: Floats, feature: Feature | None, rules: HouseRules) -> Column:
    """The bins that training values decide."""
    if feature is not None and encoding.is_category(feature):
        return Column(name, (), encoding.levels(values, rules).kept, (), ())
    special = () if feature is None else feature.special
    ordinary = values[~np.isnan(values) & ~np.isin(values, special)]
    return Column(name, equal_mass(ordinary), None, special, ())


def _counted(column: Column, places: Places) -> Column:
    return replace(column, counts=tuple(column.count(places).tolist()))


def _is_code(feature: Feature | None) -> bool:
    return feature is not None and feature.type in ("code", "text")


def _to_json(column: Column) -> dict[str, Any]:
    cut = {"edges": [v.hex() for v in column.edges]}
    if column.levels is not None:
        cut = {"levels": [v.hex() for v in column.levels]}
    return {
        "name": column.name,
        **cut,
        "special": [v.hex() for v in column.special],
        "counts": list(column.counts),
    }


def _from_json(document: Mapping[str, Any]) -> Column:
    levels = document.get("levels")
    column = Column(
        name=document["name"],
        edges=tuple(map(float.fromhex, document.get("edges", ()))),
        levels=None if levels is None else tuple(map(float.fromhex, levels)),
        special=tuple(map(float.fromhex, document["special"])),
        counts=tuple(document["counts"]),
    )
    if len(column.counts) != column.size:
        raise ValueError(f"{column.name}: {len(column.counts)} counts for {column.size} bins")
    return column


def _of_earlier_build(histogram: Mapping[str, Any]) -> Column:
    """The bins of an earlier build's histogram of the rows that its model learned from."""
    special = histogram["special"]
    others = [0] * len(OTHERS)
    others[_MISSING] = histogram["missing"]
    return Column(
        name=histogram["name"],
        edges=tuple(map(float.fromhex, histogram["edges"])),
        levels=None,
        special=tuple(map(float, special)),
        counts=(*histogram["counts"], *others, *special.values()),
    )
