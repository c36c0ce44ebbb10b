"""The server process of the demo, which is always stopped at the end.

It runs in a session of its own, so that Ctrl-C reaches only the demo. The demo then stops the
server properly and reads the last line of its log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

COMMAND = (sys.executable, "-m", "service.cli")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
CLI_TIMEOUT_S = 120.0
_POLL_S = 0.05
_TAIL_LINES = 15


class ServerFailed(Exception):
    """A `freehold` command failed, or the server did not start or stop in time."""


@dataclass(frozen=True)
class Keys:
    """Secrets of the two callers."""

    operator: str
    platform: str


def prepare(database: Path, operator_id: str, name: str, fee_bp: int) -> Keys:
    """Create an empty database with the schema, one operator and one key of the platform."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    url = database_url(database)
    _run(["migrate", "--database", url])
    created = ["operator", "create", operator_id, "--name", name, "--fee-bps", str(fee_bp)]
    operator = _run_json([*created, "--database", url, "--json"])
    platform = _run_json(["platform", "create-key", "--database", url, "--json"])
    return Keys(operator=_key(operator), platform=_key(platform))


def database_url(database: Path) -> str:
    """SQLAlchemy URL of a SQLite file."""
    return f"sqlite:///{database}"


def _key(answer: dict[str, Any]) -> str:
    key = answer.get("api_key")
    if not isinstance(key, str) or not key:
        raise ServerFailed("`create` printed no api_key")
    return key


def _run(arguments: Sequence[str]) -> str:
    """Run one `freehold` command and return its output; raises ServerFailed."""
    words = " ".join(arguments[:2])
    try:
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CLI_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerFailed(f"`{words}` did not end within {CLI_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        raise ServerFailed(f"`{words}` failed:\n{_tail(done.stderr or done.stdout)}")
    return done.stdout


def _run_json(arguments: Sequence[str]) -> dict[str, Any]:
    printed = _run(arguments)
    try:
        answer = json.loads(printed)
    except ValueError as error:
        raise ServerFailed(f"`{' '.join(arguments[:2])}` did not print JSON") from error
    if not isinstance(answer, dict):
        raise ServerFailed(f"`{' '.join(arguments[:2])}` did not print a JSON object")
    return answer


class Server:
    """A running server in sandbox mode; use as a context.

    `start` is the clock's first instant, RFC 3339. `address` is known once entered. `last_words`
    is the log line of the stop, filled in by `stop`, which leaving the context calls.
    """

    def __init__(
        self,
        database: Path,
        model: Path,
        log: Path,
        start: str,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._arguments = [
            *command,
            *("serve", "--listen", "127.0.0.1:0"),
            *("--database", database_url(database)),
            *("--model", str(model)),
            *("--sandbox", start),
        ]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""
        self.last_words: dict[str, Any] = {}

    def __enter__(self) -> Server:
        try:
            # An interrupt before the assignment would leave a process that nobody stops.
            with _interrupts_held_back(), open(self._log, "wb", opener=_private) as log:
                self._process = subprocess.Popen(
                    self._arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise ServerFailed(f"the server cannot be started: {error}") from error
        except BaseException:
            self.stop()
            raise
        try:
            self.address = self._await_event("serving", START_TIMEOUT_S)["address"]
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """SIGTERM, wait for the drain, and SIGKILL if it takes too long; may be called twice."""
        process = self._process
        if process is None:
            return
        try:
            if process.poll() is None:
                process.terminate()
                process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also after a second Ctrl-C during the drain: no process may be left running.
            self._process = None
            if process.poll() is None:
                _kill_session(process)
        self.last_words = self._find_event("stopped") or {}

    def _await_event(self, event: str, timeout_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            line = self._find_event(event)
            if line is not None:
                return line
            if self._process is not None and self._process.poll() is not None:
                raise ServerFailed(
                    f"the server ended with code {self._process.returncode}:\n{self.log_tail()}"
                )
            time.sleep(_POLL_S)
        raise ServerFailed(f"the log has no `{event}` after {timeout_s:.0f} s:\n{self.log_tail()}")

    def _find_event(self, event: str) -> dict[str, Any] | None:
        """The last log line with this event."""
        found = None
        for line in self._read_log().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("event") == event:
                found = entry
        return found

    def _read_log(self) -> str:
        try:
            return self._log.read_text("utf-8", errors="replace")
        except OSError:
            return ""

    def log_tail(self) -> str:
        """The end of the server's log, to be shown with a failure."""
        return _tail(self._read_log())


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handles a signal as Ctrl-C is handled."""
    raise KeyboardInterrupt


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C and SIGTERM take effect at the end of the block; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    before = {
        number: signal.signal(number, lambda received, _: pending.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if pending:
        signal.raise_signal(pending[0])


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kills the server and every process that it started: they all belong to the server's
    session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])
