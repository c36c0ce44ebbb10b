"""Reference histograms: the distribution of each raw feature over the rows that a model learned.

Special and missing values have their own bins, because a jump there is a change of meaning, not of
size. `models.monitored` has the bins of all training rows, by which drift is measured; these
histograms stay, so that a model of an earlier build is made again with its own id.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.spec_columns import Feature

Floats = NDArray[np.float64]

BINS = 10


def histogram(feature: Feature, values: Floats) -> dict[str, Any]:
    """Counts of (n,) training values, ready for JSON.

    `edges` (ascending, as hexadecimal floats) cut the ordinary values into len(edges) + 1 bins,
    each open below and closed above; `counts` are theirs. `special` maps a value's text to its
    count, `missing` counts NaN.
    """
    missing = np.isnan(values)
    special = np.isin(values, feature.special)
    ordinary = values[~missing & ~special]
    edges = np.array(equal_mass(ordinary))
    bins = np.searchsorted(edges, ordinary, side="left")
    return {
        "name": feature.name,
        "n": int(values.shape[0]),
        "edges": [float(e).hex() for e in edges],
        "counts": np.bincount(bins, minlength=edges.shape[0] + 1).tolist(),
        "special": {repr(v): int((values == v).sum()) for v in feature.special},
        "missing": int(missing.sum()),
    }


def equal_mass(values: Floats) -> tuple[float, ...]:
    """The edges between ten bins of equal mass, ascending; bins with the same end are merged."""
    if not values.shape[0]:
        return ()
    inner = np.linspace(0.0, 1.0, BINS + 1)[1:-1]
    return tuple(np.unique(np.quantile(values, inner, method="inverted_cdf")).tolist())
