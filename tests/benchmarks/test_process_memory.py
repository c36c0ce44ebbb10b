"""The memory that the benchmark of trainings reports."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import process_memory

MEBIBYTE = 1 << 20
CODE = """
import os, subprocess, sys, time
from benchmarks.process_memory import own_bytes
print(own_bytes())
file = os.memfd_create("shared")
os.write(file, bytes(30 << 20))
worker = "import time; it = bytes(40 << 20); it = bytearray(it); time.sleep(2)"
subprocess.run([sys.executable, "-c", worker], pass_fds=[file])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_is_that_of_all_processes_less_their_imports(tmp_path: Path) -> None:
    """The memory of a command is what it and its children wrote, and what they share once; the
    memory of the process that starts it is no part of it."""
    large = np.ones(50 * MEBIBYTE)
    done = process_memory.run([sys.executable, "-c", CODE], tmp_path)
    assert done.returncode == 0, done.stderr
    after_imports = int(done.stdout)
    pid = next(iter(done.samples[0].own))
    used, peak = done.peak({pid: after_imports})
    # Each megabyte of the worker is there twice while it is copied.
    assert 70 * MEBIBYTE < used < 170 * MEBIBYTE < large.nbytes
    assert used < peak <= used + after_imports


def test_a_process_that_has_ended_has_no_memory(tmp_path: Path) -> None:
    """A process that ends between two samples counts as empty, and its exit code is told."""
    done = process_memory.run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
    assert done.returncode == 3
    assert process_memory.own_bytes(2**22 + 1) == 0
