"""The input of worker processes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from models import parallel
from models.errors import TrainingError

MEBIBYTE = 1 << 20


class Input(NamedTuple):
    """Arrays of any length, and one that is a part of another."""

    large: NDArray[np.float64]
    labels: NDArray[np.int8]
    none: NDArray[np.int64]
    part: NDArray[np.float64]
    turned: NDArray[np.float64]
    name: str


def _state() -> Input:
    large = np.arange(8 * MEBIBYTE, dtype=np.float64).reshape(-1, 4)
    labels = (np.arange(1_001) % 2).astype(np.int8)
    return Input(large, labels, np.empty(0, np.int64), large[3:, 1], large[:100].T, "it")


def seen(state: Input, _: int) -> tuple[Input, list[bool], int]:
    """Small parts of the arrays as a worker has them, the arrays that it may write to, and the
    mebibytes of its memory that it shares."""
    sums = state._replace(large=state.large.sum(axis=0)[None], part=state.part[:5].copy())
    writable = [each.flags.writeable for each in (state.large, state.labels)]
    lines = Path("/proc/self/status").read_text().splitlines()
    (shared,) = [int(it.split()[1]) // 1024 for it in lines if it.startswith("RssShmem:")] or [0]
    return sums, writable, shared


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_share_the_memory_of_their_input() -> None:
    """Two workers have the arrays of one input, to the bit and read-only, in memory that they
    share."""
    state = _state()
    for _, (it, writable, shared) in parallel.run(seen, state, [0, 1, 2], jobs=2):
        assert np.array_equal(it.large, state.large.sum(axis=0)[None])
        assert np.array_equal(it.labels, state.labels)
        assert it.labels.dtype == np.int8
        assert it.none.shape == (0,)
        assert np.array_equal(it.part, state.part[:5])
        assert np.array_equal(it.turned, state.turned)
        assert it.name == "it"
        assert writable == [False, False]
        assert shared >= state.large.nbytes // MEBIBYTE


def _files_in_memory() -> int:
    """The mebibytes of this process's open files in memory."""
    own, sizes = Path("/proc/self/fd"), {}
    for name in os.listdir(own):
        # The folder itself is listed too, and closed by then.
        with contextlib.suppress(OSError):
            if "memfd" in os.readlink(own / name):
                status = os.stat(own / name)
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values()) // MEBIBYTE


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_process_and_its_workers_share_their_input() -> None:
    """An input that is shared has the same arrays, read-only; the workers of each run map its file,
    beside one with the arrays that it lacks, and the file goes with the arrays."""
    before, state = _files_in_memory(), _state()
    state = state._replace(part=state.part.copy())
    size = state.large.nbytes // MEBIBYTE
    made = parallel.shared(state)
    assert np.array_equal(made.large, state.large)
    assert np.array_equal(made.turned, state.turned)
    assert made.labels.dtype == np.int8
    assert [made.large.flags.writeable, made.labels.flags.writeable] == [False, False]
    whole = _files_in_memory()
    assert size <= whole - before <= 2 * size
    later = made._replace(labels=1 - made.labels)
    for _, (it, _, shared) in parallel.run(seen, later, [0, 1, 2], jobs=2):
        assert _files_in_memory() - whole <= 1
        assert np.array_equal(it.large, state.large.sum(axis=0)[None])
        assert np.array_equal(it.labels, 1 - state.labels)
        assert np.array_equal(it.part, state.part[:5])
        assert shared >= size
    again = parallel.shared(later)
    assert _files_in_memory() - whole <= 1
    del made, later
    assert np.array_equal(again.large, state.large)
    del again, it
    assert _files_in_memory() == before


def test_a_large_input_gets_fewer_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a number of jobs there is a worker for each core; a large input gets as many as take
    256 MiB, and always one."""
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    sizes = [0, MEBIBYTE, 32 * MEBIBYTE, 33 * MEBIBYTE, 64 * MEBIBYTE, 192 * MEBIBYTE]
    assert [parallel.usual_jobs(size) for size in sizes] == [4, 4, 4, 3, 2, 1]
    for most_bytes, workers in ((2**30, 2), (MEBIBYTE, 1)):
        monkeypatch.setattr(parallel, "FITS_BYTES", most_bytes)
        found = [it for _, it in parallel.run(process, _state(), [0, 1], jobs=None)]
        assert len(set(found)) == workers


def test_workers_on_a_large_input_read_their_columns_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers on a large input have turns, of which one is taken at a time; on a small input there
    are as many as the input's memory fits into 64 MiB; a process that is no worker never waits."""
    state = _state()
    for most_bytes, free in ((parallel.TURN_BYTES, [0]), (2**28, [2])):
        monkeypatch.setattr(parallel, "TURN_BYTES", most_bytes)
        assert [it for _, it in parallel.run(turns, state, [0], jobs=1)] == free
    with parallel.turn(), parallel.turn():
        pass


def turns(_: Input, __: int) -> int:
    """The turns that are free while the worker has one."""
    with parallel.turn() as taken:
        assert taken
        return int(parallel._turns.get_value())  # type: ignore[attr-defined]


def process(_: Input, __: int) -> int:
    """The worker's process."""
    return os.getpid()


def test_without_a_file_in_memory_the_input_is_on_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a system without files in memory, the workers' input goes through a file that no folder
    lists."""
    monkeypatch.delattr("os.memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    state = _state()
    ((_, (it, _, _)),) = parallel.run(seen, state, [0], jobs=1)
    assert np.array_equal(it.labels, state.labels)
    assert list(tmp_path.iterdir()) == []


def _unreadable() -> None:
    raise MemoryError("no room for the table")


def never(_state: Unreadable, task: int) -> int:
    """Work that no worker comes to."""
    return task


class Unreadable:
    """An input that no worker can read."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _unreadable, ()


def test_a_worker_that_cannot_read_its_input_says_why() -> None:
    """Workers that cannot read their input end the training with an error that names the cause."""
    with pytest.raises(TrainingError, match=r"read its input \(MemoryError: no room for"):
        list(parallel.run(never, Unreadable(), [0, 1, 2], jobs=2))
