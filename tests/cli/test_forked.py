"""For a test, a forked program behaves like a program that was started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.shell import PRELOADED, Forked

WORDS = [sys.executable, "-m", "json.tool"]
"""A program that reads its input to the end, and answers with 1 what is no JSON."""


def forked(cwd: Path) -> Forked:
    pipe = subprocess.PIPE
    return Forked(WORDS, env=dict(os.environ), cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe)


def test_all_that_forked_programs_import_is_there() -> None:
    """Each module that is imported before a fork exists. A missing module would be ignored, and
    every program would import it again."""
    assert [name for name in PRELOADED if find_spec(name) is None] == []


def test_a_forked_program_has_streams_and_an_exit_code(tmp_path: Path) -> None:
    """A forked program reads its own input, writes its own outputs, and ends with its own code."""
    with forked(tmp_path) as right:
        assert right.communicate(b"[1]") == (b"[\n    1\n]\n", b"")
    assert right.returncode == 0
    with forked(tmp_path) as wrong:
        out, error = wrong.communicate(b"[")
    assert (out, wrong.returncode) == (b"", 1)
    assert b"Expecting value" in error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_forked_program_is_ended_by_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """A forked program runs until a signal ends it, and its code names the signal."""
    with forked(tmp_path) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.05)
        assert waiting.poll() is None
        waiting.send_signal(number)
    assert waiting.returncode == -number


def test_a_forked_program_stays_on_its_starters_cores(tmp_path: Path) -> None:
    """A forked program runs on the cores of the thread that starts it, as any child does."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        pinned = forked(tmp_path)
    finally:
        os.sched_setaffinity(0, before)
    with pinned, forked(tmp_path) as free:
        free.communicate(b"[]")
        assert os.sched_getaffinity(pinned.pid) == {min(before)}
        pinned.communicate(b"[]")
