"""The memory of a process and all its children, sampled while they run. Only Linux tells it.

Counted are the pages that a process wrote, which are its own, and the files in memory that the
processes share, once each. Pages of files on the disk, such as those of libraries, are not: the
system takes them back when it needs them. What a process had after its imports is taken off.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

EVERY_S = 0.2
_ANONYMOUS = re.compile(r"^Pss_Anon:\s+(\d+) kB", re.MULTILINE)
# The system's blocks of a file.
_BLOCK = 512


class Sample(NamedTuple):
    """The bytes that each process had of its own, and the bytes of the files that they shared."""

    own: dict[int, int]
    shared: int

    def used(self, imported: Mapping[int, int]) -> int:
        """All bytes beyond those that the processes had after their imports."""
        own = sum(max(0, size - imported.get(pid, 0)) for pid, size in self.own.items())
        return own + self.shared


class Done(NamedTuple):
    """A process that has ended: its exit code, its output, and the samples of its memory."""

    returncode: int
    stdout: str
    stderr: str
    samples: list[Sample]

    def peak(self, imported: Mapping[int, int]) -> tuple[int, int]:
        """The most bytes beyond the imports, and all bytes at that time."""
        top = max(self.samples, key=lambda it: it.used(imported), default=Sample({}, 0))
        return top.used(imported), top.used({})


def own_bytes(pid: int | str = "self") -> int:
    """The bytes of a process that no file has; 0 for one that has ended."""
    try:
        found = _ANONYMOUS.search(Path(f"/proc/{pid}/smaps_rollup").read_text("ascii"))
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def run(command: Sequence[str], folder: Path) -> Done:
    """Run a command to its end, and sample its memory; its output goes through `folder`."""
    paths = [folder / name for name in ("stdout", "stderr")]
    samples = []
    with paths[0].open("wb") as out, paths[1].open("wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        try:
            while process.poll() is None:
                samples.append(_sample(process.pid))
                time.sleep(EVERY_S)
        finally:
            process.kill()
            process.wait()
    stdout, stderr = (path.read_text("utf-8", "replace") for path in paths)
    return Done(process.returncode, stdout, stderr, samples)


def _sample(pid: int) -> Sample:
    processes = _tree(pid)
    files: dict[int, int] = {}
    for each in processes:
        files |= _files_in_memory(each)
    return Sample({each: own_bytes(each) for each in processes}, sum(files.values()))


def _tree(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text("ascii")
            for child in children.split():
                found += _tree(int(child))
    except OSError:
        pass
    return found


def _files_in_memory(pid: int) -> dict[int, int]:
    """The bytes of each file in memory that a process has opened, by the file's number."""
    found = {}
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            if os.readlink(path).startswith("/memfd:"):
                status = os.stat(path)
                found[status.st_ino] = status.st_blocks * _BLOCK
    except OSError:
        pass
    return found
