"""LightGBM's data set of a table that never lies in memory as a whole.

LightGBM copies a table that it gets as one array, to find the bins: both take more than twice the
memory of what it keeps, a byte for each value. Here every column goes to its bins without the
zeros, which LightGBM does not look at either, and then the rows follow some at a time. The bins,
and so the trees, are the same to the bit.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import lightgbm
import numpy as np
from lightgbm.basic import ZERO_THRESHOLD
from numpy.typing import NDArray

from models import freed, parallel

Floats = NDArray[np.float64]
Places = NDArray[np.int32]


def sparse(kind: type[np.generic], shape: tuple[int, int]) -> NDArray[Any]:
    """An array of which the operating system has only what is written of it.

    numpy asks for pages of some megabytes, and so has all of each row after its first value.
    """
    block = mmap.mmap(-1, max(1, shape[0] * shape[1]) * np.dtype(kind).itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        # A kernel without such pages does not know the advice.
        with contextlib.suppress(OSError):
            block.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(block, dtype=kind, count=shape[0] * shape[1]).reshape(shape)


class Portions(lightgbm.Dataset):
    """Rows of derived columns, computed twice: for the bins, and for the rows."""

    def __init__(
        self,
        portions: Callable[[], Iterable[Floats]],
        shape: tuple[int, int],
        label: NDArray[np.int8],
        weight: Floats | None,
        names: Sequence[str],
    ) -> None:
        """Each call of `portions` gives the (m, k) portions of the (n, k) rows of this shape."""
        super().__init__(None, label=label, weight=weight, feature_name=list(names))
        self._portions = portions
        self._shape = shape
        self._binned = False

    def get_params(self) -> dict[str, Any]:
        """Before the bins are found, all parameters: some that a fit alone seems to need decide
        which columns have bins."""
        return super().get_params() if self._binned else dict(self.params or {})

    def construct(self) -> Portions:
        """The bins, then the rows."""
        if self._handle is not None:
            return self
        rows, _ = self._shape
        with parallel.turn():
            freed.give_back(rows)
            self._init_from_sample(*self._columns(), rows, rows)
            # LightGBM leaves its pointers to these columns in a cycle, which would keep them until
            # the collector came by.
            gc.collect(1)
            freed.give_back(rows)
        self._binned = True
        for part in self._portions():
            self._push_rows(part)
        self.set_label(self.label)
        if self.weight is not None:
            self.set_weight(self.weight)
        self.set_feature_name(self.feature_name)
        return self

    def _columns(self) -> tuple[list[Floats], list[Places]]:
        """Each column's values other than zero, and their rows."""
        rows, width = self._shape
        values, places = sparse(np.float64, (width, rows)), sparse(np.int32, (width, rows))
        all_rows = np.arange(rows, dtype=np.int32)
        ends, start = [0] * width, 0
        for part in self._portions():
            after = start + part.shape[0]
            for j, column in enumerate(np.ascontiguousarray(part.T)):
                # Not so NaN, which is neither above nor at most any value.
                kept = np.flatnonzero(~(np.abs(column) <= ZERO_THRESHOLD))
                before, end = ends[j], ends[j] + kept.shape[0]
                values[j, before:end] = column[kept]
                if end < after:
                    # Columns without zeros share the numbers of all rows.
                    if before == start:
                        places[j, :before] = all_rows[:before]
                    places[j, before:end] = kept + start
                ends[j] = end
            start = after
        return (
            [column[:end] for column, end in zip(values, ends, strict=True)],
            [
                all_rows if end == rows else column[:end]
                for column, end in zip(places, ends, strict=True)
            ],
        )
