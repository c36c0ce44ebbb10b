"""Commands of `freehold`, each in its own process, which is forked with all imports done.

An interpreter that starts and imports SQLAlchemy, gRPC and LightGBM takes up to a second of CPU,
which matters in few tests. Those start `python -m service.cli` themselves.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from multiprocessing import forkserver, get_context
from pathlib import Path

from service.cli import main

TIMEOUT_S = 120.0
END_S = 10.0
STREAMS = (
    ("stdin", os.O_RDONLY),
    ("stdout", os.O_WRONLY | os.O_CREAT),
    ("stderr", os.O_WRONLY | os.O_CREAT),
)

_FORKS = get_context("forkserver")
# Importing these starts no thread and opens no connection.
_FORKS.set_forkserver_preload(
    [
        "lightgbm",
        "psycopg",
        "pytest",
        "models.scorer",
        "service.app",
        "service.rpc.health_client",
        "service.rpc.server",
        "service.rpc.stored",
        "service.storage.backup",
        "service.storage.shard",
        "service.storage.verify",
        "tests.shell",
        "uvloop",
    ]
)


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
        process = _FORKS.Process(target=_run, args=(words, dict(environment), folder, cwd))
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


def stop() -> None:
    """Ends the process that forks, and waits for it, so that a run's CPU time counts it."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def _run(words: tuple[str, ...], environment: Mapping[str, str], folder: Path, cwd: Path) -> None:
    """The forked process: its own streams and environment, then the command."""
    for number, (name, flags) in enumerate(STREAMS):
        opened = os.open(folder / name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["freehold", *words]
    code: str | int | None = 0
    try:
        main()
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
