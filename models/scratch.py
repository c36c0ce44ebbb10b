"""Memory of intermediate results, which every call uses again.

An array of some hundred kilobytes that is made anew may come fresh from the system, and then each
of its pages costs a fault: on a virtual machine ten times the time of the computation in it.
Whether it does depends on everything else that the process allocates.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Scratch:
    """One array at a time, of any shape and type, without any content."""

    def __init__(self) -> None:
        self._memory: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        self._arrays: dict[tuple[type, tuple[int, ...]], NDArray[Any]] = {}

    def array(self, kind: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
        """The array of this type and shape. The next array uses the same memory."""
        found = self._arrays.get((kind, shape))
        return self._made(kind, shape) if found is None else found

    def _made(self, kind: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
        size = prod(shape) * np.dtype(kind).itemsize
        if size > self._memory.size:
            self._memory = np.empty(size, dtype=np.uint8)
            # They would keep the smaller memory alive.
            self._arrays.clear()
        made = self._arrays[kind, shape] = self._memory[:size].view(kind).reshape(shape)
        return made


class Memory:
    """The memory of one model's scores and reasons: each step reads one array, and writes the other
    one. For one caller at a time."""

    def __init__(self) -> None:
        self.large = Scratch()
        self.small = Scratch()
