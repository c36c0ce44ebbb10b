"""Folders that one process of a test run makes for all of them."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def once(base: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of this name, which all processes of a test run share and no test changes.

    The first process that asks fills it by `make`, while the others wait. `base` is the temporary
    folder of this process; pytest-xdist gives each worker its own, side by side.
    """
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=shared))
            # Servers that run under another user must be able to enter it.
            unfinished.chmod(0o755)
            make(unfinished)
            unfinished.rename(folder)
    return folder
