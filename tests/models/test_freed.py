"""Memory that fits free goes back to the operating system."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from models import freed, learners
from models.samples import Sample, State
from models.spec_model import Recipe

BLOCKS, BLOCK_BYTES = 2_000, 100_000


def resident_bytes() -> int:
    """The memory of this process that is in use."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (kilobytes,) = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(kilobytes) * 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc only")
def test_freed_memory_goes_back() -> None:
    """Blocks that glibc keeps after they were freed are given back."""
    blocks = [bytes(BLOCK_BYTES) for _ in range(BLOCKS)]
    last = bytes(BLOCK_BYTES)  # it stands behind the others, so that they stay
    del blocks
    before = resident_bytes()
    freed.give_back()
    assert before - resident_bytes() > BLOCKS * BLOCK_BYTES / 2
    assert len(last) == BLOCK_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
@pytest.mark.parametrize(("rows", "given"), [(29_999, 0), (30_000, 1)])
def test_a_fit_of_many_rows_gives_its_memory_back(
    monkeypatch: pytest.MonkeyPatch, rows: int, given: int
) -> None:
    """A fit of 30,000 rows or more gives freed memory back, also if it fails."""
    gave: list[int] = []
    library = SimpleNamespace(malloc_trim=gave.append)
    monkeypatch.setattr("models.freed.ctypes.CDLL", lambda _: library)

    def failing(*_: object) -> None:
        raise ValueError("no fit")

    monkeypatch.setattr(learners, "_fitted", failing)
    sample: Any = SimpleNamespace(rows=np.empty(rows))
    with pytest.raises(ValueError, match="no fit"):
        learners.fit(cast(State, None), cast(Sample, sample), cast(Recipe, None))
    assert len(gave) == given
