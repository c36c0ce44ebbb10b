"""The memory that the benchmark of trainings reports."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

CODE = "from benchmarks.training_run import peak_bytes; print(peak_bytes())"


def test_the_peak_is_that_of_the_training_alone() -> None:
    """The memory of the process that starts a training is no part of the training's."""
    large = np.ones(100_000_000)
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert 0 < int(done.stdout) < large.nbytes / 2
