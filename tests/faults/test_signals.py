"""A test run that ignores signals gives the same results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Both tests send SIGINT or SIGTERM to their own process, and wait for its end.
SENDING = "tests/demo/test_server.py::test_interrupted"


def test_signal_tests_pass_where_the_run_ignores_signals() -> None:
    """Tests that stop a process by a signal also pass in a run that ignores signals, as a shell
    starts it in the background (`nohup make test &`)."""
    done = subprocess.run(
        ["sh", "-c", "trap '' INT TERM HUP; exec \"$@\"", "sh",
         sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", SENDING],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
