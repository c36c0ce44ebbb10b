"""The server process: started, stopped, and never left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.demo.server import Server, ServerFailed, database_url

STAND_IN = """
import json, signal, sys, time
def say(**line): print(json.dumps(line), file=sys.stderr, flush=True)
mode = sys.argv[1]
if mode == "broken":
    print("not json", file=sys.stderr)
    sys.exit(3)
say(event="starting", arguments=sys.argv[2:])
def stop(number, frame):
    if mode == "stubborn":
        return
    say(event="stopped", batches=2, batch_mean=4.5)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
if mode != "silent":
    say(event="serving", address="127.0.0.1:4242")
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "stand_in.py"
    path.write_text(STAND_IN)
    return path


def server(script: Path, mode: str) -> Server:
    folder = script.parent
    return Server(
        folder / "freehold.db",
        folder / "model",
        folder / "server.log",
        "2026-06-01T00:00:00Z",
        command=(sys.executable, str(script), mode),
    )


def left_behind(marker: str) -> list[str]:
    """The command lines of running processes that contain `marker`, except this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if marker in words:
                found.append(words)
    return found


def test_address_and_last_words(script: Path) -> None:
    """The address comes from the server's log, and so do its last lines after SIGTERM."""
    with server(script, "good") as running:
        assert running.address == "127.0.0.1:4242"
        running.stop()
        assert running.last_words["batch_mean"] == 4.5
    assert left_behind(str(script)) == []
    assert database_url(Path("/x/freehold.db")) == "sqlite:////x/freehold.db"


def test_arguments(script: Path) -> None:
    """The server gets the database, the model and the clock's first instant."""
    with server(script, "good"):
        pass
    log = (script.parent / "server.log").read_text()
    for word in ("serve", "--sandbox", "2026-06-01T00:00:00Z", "sqlite:////", "--model"):
        assert word in log


def test_stopped_when_the_body_fails(script: Path) -> None:
    """An error inside the block stops the server too."""
    with pytest.raises(RuntimeError), server(script, "good"):
        raise RuntimeError
    assert left_behind(str(script)) == []


def test_failed_start(script: Path) -> None:
    """A server that ends before it serves is an error with the end of its log."""
    with (
        pytest.raises(ServerFailed, match="ended with code 3:\nnot json"),
        server(script, "broken"),
    ):
        pass


def test_silent_start(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never logs its address is stopped after the time limit."""
    monkeypatch.setattr("service.demo.server.START_TIMEOUT_S", 0.5)
    with pytest.raises(ServerFailed, match="no `serving`"), server(script, "silent"):
        pass
    assert left_behind(str(script)) == []


def test_stubborn_server_is_killed(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ignores SIGTERM is killed after the time limit."""
    monkeypatch.setattr("service.demo.server.STOP_TIMEOUT_S", 0.3)
    with server(script, "stubborn") as running:
        pass
    assert left_behind(str(script)) == []
    assert running.last_words == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(script: Path, number: signal.Signals) -> None:
    """When the demo's process is interrupted, no server is left."""
    program = f"""
import signal, sys, time
from pathlib import Path
from service.demo.server import Server, interrupt
signal.signal(signal.SIGTERM, interrupt)
folder = Path({str(script.parent)!r})
with Server(folder / "db", folder / "model", folder / "server.log", "t",
            command=({sys.executable!r}, {str(script)!r}, "good")):
    print("up", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    with process:
        if process.stdout is None or process.stdout.readline() != b"up\n":
            process.kill()
            pytest.fail("the process did not come up")
        assert left_behind(str(script))
        process.send_signal(number)
        process.wait(10)
    deadline = time.monotonic() + 5
    while left_behind(str(script)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left_behind(str(script)) == []
