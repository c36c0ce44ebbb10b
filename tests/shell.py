"""Programs, each in its own process, which is forked with all imports done.

An interpreter that starts and imports SQLAlchemy, gRPC and LightGBM takes up to a second of CPU.
The few tests that are about this start run `python -m service.cli` themselves.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import current_process, forkserver, get_context, reduction
from pathlib import Path
from runpy import run_module
from types import TracebackType
from typing import IO, Any, Self

import pytest

from models import parallel
from service.cli import main

TIMEOUT_S = 120.0
END_S = 10.0
POLL_S = 0.001
STREAMS = (
    ("stdin", os.O_RDONLY),
    ("stdout", os.O_WRONLY | os.O_CREAT),
    ("stderr", os.O_WRONLY | os.O_CREAT),
)

# Importing these starts no thread and opens no connection.
PRELOADED = [
    "alembic.command",
    "benchmarks.crash_client",
    "benchmarks.load",
    "lightgbm",
    "models.fits",
    "models.scorer",
    "psycopg",
    "pytest",
    "service.serving",
    "service.books.processes",
    "service.rpc.health_client",
    "service.rpc.server",
    "service.rpc.stored",
    "service.storage.backup",
    "service.storage.shard",
    "service.previewing",
    "service.verifying",
    "tests.shell",
    "uvloop",
    # The last one: it keeps all that the others have imported from the collector.
    "tests.frozen",
]

FORKS = get_context("forkserver")
"""Starts processes by forking one that has imported all of the above."""
FORKS.set_forkserver_preload(PRELOADED)


def freehold(
    *words: str, stdin: str | bytes = "", environment: Mapping[str, str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, as `python -m service.cli` would in this environment.

    Raises TimeoutExpired after two minutes.
    """
    with tempfile.TemporaryDirectory(prefix="freehold-shell-") as name:
        folder = Path(name)
        given = stdin.encode() if isinstance(stdin, str) else stdin
        (folder / "stdin").write_bytes(given)
        process = FORKS.Process(target=_run, args=(words, dict(environment), folder, cwd))
        process.start()
        process.join(TIMEOUT_S)
        if process.exitcode is None:
            process.kill()
            process.join(END_S)
            raise subprocess.TimeoutExpired(["freehold", *words], TIMEOUT_S)
        code = process.exitcode
        process.close()
        stdout, stderr = ((folder / it).read_text("utf-8") for it in ("stdout", "stderr"))
    return subprocess.CompletedProcess(["freehold", *words], code, stdout, stderr)


class Forked:
    """A process as `subprocess.Popen` starts it, of `python -m MODULE WORDS`; forked instead.

    It takes the arguments that this project's tests pass to Popen, and treats them as Popen does.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        start_new_session: bool = False,
    ) -> None:
        if words[:2] != [sys.executable, "-m"]:
            raise ValueError(f"no module of this Python's: {words}")
        with ExitStack() as ends:
            to_child = _Ends(ends, stdin, writes=True)
            out, error = (_Ends(ends, it, writes=False) for it in (stdout, stderr))
            files = tuple(map(_File, (to_child.given, out.given, error.given)))
            self.stdin, self.stdout, self.stderr = to_child.kept, out.kept, error.kept
            self.args = words
            # A child inherits the cores of the thread that starts it, which forks do not know.
            cores = os.sched_getaffinity(0)
            own = dict(os.environ if env is None else env)
            self._process = FORKS.Process(
                target=_become,
                args=(words[2:], own, cwd or Path.cwd(), files, cores, start_new_session),
                daemon=True,
            )
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        self.sentinel: int = self._process.sentinel
        """The handle by which `multiprocessing.connection.wait` waits for its end."""
        if start_new_session:
            with suppress(ProcessLookupError):
                while os.getpgid(self.pid) != self.pid:
                    time.sleep(POLL_S)

    @property
    def returncode(self) -> int | None:
        """The exit code, once it has ended; that of a signal is negative."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end; raises TimeoutExpired."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it has not ended."""
        if self._process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, given: bytes = b"") -> tuple[bytes, bytes]:
        """Writes to its input, closes that, and reads both outputs to their ends."""
        read: list[list[bytes]] = [[b""], [b""]]
        files = [(self.stdout, read[0]), (self.stderr, read[1])]
        readers = [
            threading.Thread(target=lambda file=file, to=to: to.append(file.read()))
            for file, to in files
            if file is not None
        ]
        for reader in readers:
            reader.start()
        if self.stdin is not None:
            with suppress(BrokenPipeError):
                self.stdin.write(given)
                self.stdin.close()
        for reader in readers:
            reader.join()
        self.wait()
        return read[0][-1], read[1][-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                with suppress(BrokenPipeError):
                    file.close()
        self.wait()


class _Ends:
    """Both ends of one stream of a child: the number that it is given, and what is kept here."""

    def __init__(self, ends: ExitStack, how: int | IO[Any] | None, *, writes: bool) -> None:
        self.kept: Any = None
        match how:
            case subprocess.PIPE:
                reads_from, writes_to = os.pipe()
                given, kept = (reads_from, writes_to) if writes else (writes_to, reads_from)
                self.kept = os.fdopen(kept, "wb" if writes else "rb")
                ends.callback(os.close, given)
                self.given = given
            case subprocess.DEVNULL | None:
                self.given = os.open(os.devnull, os.O_RDWR)
                ends.callback(os.close, self.given)
            case int():
                self.given = how
            case _:
                self.given = how.fileno()


class _File:
    """An open file on its way to a forked process, where it becomes a number of its own."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self._number),)


def _received(sent: Any) -> int:
    number: int = sent.detach()
    return number


def _become(
    words: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    files: tuple[int, ...],
    cores: set[int],
    start_new_session: bool,
) -> None:
    """The forked process: its own streams and environment, then the module."""
    if start_new_session:
        os.setsid()
    os.sched_setaffinity(0, cores)
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        if file > 2:
            os.close(file)
    # A daemon of multiprocessing, as which it ends with the tests, may have no children.
    current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    module, *arguments = words
    _run_as(
        lambda: run_module(module, run_name="__main__", alter_sys=True), arguments, environment, cwd
    )


@contextmanager
def forked_workers() -> Iterator[None]:
    """Lets the workers of a training be forked, by the process that forks programs.

    It has used neither LightGBM nor OpenMP, which would not survive that.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "CONTEXT", FORKS)
        yield


def begin() -> None:
    """Waits until the process that forks has imported everything."""
    first = FORKS.Process(target=_nothing)
    first.start()
    first.join()
    first.close()


def _nothing() -> None:
    """The first forked process."""


def stop() -> None:
    """Ends the process that forks, and waits for it, so that a run's CPU time counts it."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def _run(words: tuple[str, ...], environment: Mapping[str, str], folder: Path, cwd: Path) -> None:
    """The forked process: its own streams and environment, then the command."""
    for number, (name, flags) in enumerate(STREAMS):
        opened = os.open(folder / name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    _run_as(main, words, environment, cwd)


def _run_as(
    program: Callable[[], object],
    words: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
) -> None:
    """Runs a program as a process that was started anew would, and ends the process."""
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["freehold", *words]
    code: str | int | None = 0
    try:
        program()
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        # A process that multiprocessing forked leaves this out, and with it the end of the log.
        atexit._run_exitfuncs()
    sys.exit(code)
