"""For a test, a forked program behaves like a program that was started anew."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.forked_program import ForkedProgram
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


def test_a_shells_program_is_its_forked_command(tmp_path: Path) -> None:
    """A program that a shell starts has the words, the folder, the environment, the streams and the
    exit code of its forked command."""
    program = tmp_path / "freehold"
    (tmp_path / "freehold.toml").write_text("listen = 5\n")
    with ForkedProgram(program):
        words = [str(program), "config", "check"]
        own = {**os.environ, "FREEHOLD_CONFIG": "freehold.toml"}
        done = subprocess.run(words, cwd=tmp_path, env=own, capture_output=True, text=True)
        helped = subprocess.run([str(program), "--help"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "freehold.toml" in done.stderr
    assert "listen" in done.stderr
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith("Usage: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_forked_command(tmp_path: Path, number: signal.Signals) -> None:
    """A signal to a program that a shell started ends its forked command, and the program as the
    command ended."""
    program = tmp_path / "freehold"
    with ForkedProgram(program), socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        waiting = subprocess.Popen([str(program), "health", address, "--wait", "60"])
        connected, _ = silent.accept()
        with connected:
            waiting.send_signal(number)
            assert waiting.wait(60) != 0
            assert connected.recv(65_536) is not None
            while connected.recv(65_536):
                pass
