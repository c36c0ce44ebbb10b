"""Servers in their own processes, each pinned to one core."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from benchmarks.harness import BenchmarkError

# A start takes a few seconds of CPU time, which are minutes on a machine with much other work.
START_LIMIT_S = 300.0
_STOP_LIMIT_S = 30.0
_ROOT = Path(__file__).resolve().parent.parent
_CPU_CLOCK = 2  # Linux's clock of a process: the CPU time of its threads
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# How a process of this checkout is started.
start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen


def two_cores() -> tuple[int, int]:
    """(core for the server, core for the load); the same core twice on a machine with one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[min(1, len(cores) - 1)]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(checkout: Path = _ROOT) -> dict[str, str]:
    """This process's environment, with the repository importable from a plain checkout."""
    paths = [str(checkout), str(checkout / "proto"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def spawn(
    arguments: Sequence[str], *, core: int | None, checkout: Path = _ROOT, **pipes: Any
) -> subprocess.Popen[bytes]:
    """Start ``python -m ARGUMENTS`` of a checkout, pinned to `core` from its first instruction.

    With arguments that begin with an option of Python's, such as ``-c``, there is no ``-m``. A
    child inherits the affinity of the thread that starts it, so the thread is pinned for a moment;
    pinning the child later would miss the threads that it had started by then.
    """
    before = os.sched_getaffinity(0)
    try:
        if core is not None:
            os.sched_setaffinity(0, {core})
        module = () if arguments[0].startswith("-") else ("-m",)
        begin = start if module and checkout == _ROOT else subprocess.Popen
        return begin(
            [sys.executable, *module, *arguments], env=environment(checkout), cwd=checkout, **pipes
        )
    finally:
        os.sched_setaffinity(0, before)


def command(*arguments: str) -> str:
    """Run ``python -m ARGUMENTS`` to its end and return its stdout; raises BenchmarkError."""
    with spawn(
        arguments, core=None, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        out, error = child.communicate()
    if child.returncode != 0:
        raise BenchmarkError(
            f"python -m {' '.join(arguments[:3])} failed:\n{error.decode(errors='replace')}"
        )
    return out.decode()


def cpu_seconds(pid: int) -> float:
    """CPU seconds, user and system, of all threads of a process so far."""
    # /proc counts in ticks of 10 ms, which is too coarse for a round of 1,000 calls. The clock's id
    # is the result of clock_getcpuclockid(3) for a process id.
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def busy_seconds() -> float:
    """CPU seconds of all cores together since boot, for all processes."""
    with Path("/proc/stat").open(encoding="utf-8") as lines:
        user, nice, system, _idle, _iowait, irq, softirq, steal = (
            int(field) for field in lines.readline().split()[1:9]
        )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S


class End(NamedTuple):
    """The end of a process after SIGTERM.

    took_s      seconds from SIGTERM to the end
    limit_s     seconds that it had
    exit_code   its exit code; None if it did not end in time, and was killed
    """

    took_s: float
    limit_s: float
    exit_code: int | None

    @property
    def fault(self) -> str:
        """The difference from an end as it should be; empty if there is none."""
        if self.exit_code is None:
            return f"SIGTERM did not end the server within {self.limit_s:g} s"
        return f"the server ended with exit code {self.exit_code}" if self.exit_code else ""


class Server:
    """One server process; a context manager. Its JSON log lines go to a file.

    The process is up when it has logged ``"event": "serving"``. `launch` and `wait_serving` replace
    the context for callers with other work meanwhile, and `stop` or `kill` end the process; it can
    be launched again.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        core: int | None,
        port: int,
        log: Path,
        checkout: Path = _ROOT,
    ) -> None:
        self.port = port
        self._arguments = arguments
        self._checkout = checkout
        self._core = core
        self._log = log
        self._stopped: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.launch()
        self.wait_serving()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.stop()
        else:
            self._end()

    def launch(self) -> None:
        """Start the process; it is not up yet."""
        with self._log.open("wb") as sink:
            self._child = spawn(
                self._arguments, core=self._core, checkout=self._checkout,
                stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
            )  # fmt: skip

    def wait_serving(self) -> None:
        """Wait until the launched process is up; raises BenchmarkError if that fails."""
        deadline = time.monotonic() + START_LIMIT_S
        while self._event("serving") is None:
            code = self._child.poll()
            if code is not None:
                raise BenchmarkError(f"the server ended with exit code {code}:\n{self.tail}")
            if time.monotonic() > deadline:
                self._end()
                raise BenchmarkError(
                    f"the server did not serve within {START_LIMIT_S:g} s (does other work load the"
                    f" machine?):\n{self.tail}"
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, and wait for the end; raises BenchmarkError unless it exited with 0."""
        end = self._end()
        self._stopped = self._event("stopped") or {}
        if end.fault:
            raise BenchmarkError(f"{end.fault}:\n{self.tail}")

    def stop_within(self, limit_s: float) -> End:
        """SIGTERM, and wait for the end; kill the process after `limit_s` seconds."""
        return self._end(limit_s)

    def kill(self) -> bool:
        """SIGKILL, and wait for the end; return whether it was still running."""
        running = self._child.poll() is None
        self._child.kill()
        self._child.wait()
        return running

    @property
    def pid(self) -> int:
        """Process id, once entered."""
        return self._child.pid

    @property
    def stopped(self) -> dict[str, Any]:
        """The fields of the ``"event": "stopped"`` line, once the process has ended; else {}."""
        return self._stopped

    def _end(self, limit_s: float = _STOP_LIMIT_S) -> End:
        began = time.monotonic()
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        code: int | None = None
        try:
            code = self._child.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        return End(time.monotonic() - began, limit_s, code)

    def _event(self, name: str) -> dict[str, Any] | None:
        found = None
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            if name not in line:
                continue
            try:
                content = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(content, dict) and content.get("event") == name:
                found = content
        return found

    @property
    def tail(self) -> str:
        """The last lines of the log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-20:])
