"""Records a process's changes of the files in one folder, as strace shows them.

A change of a file that the events below cannot express is refused, so a new way of writing in the
database is an error, never an impossible state.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import BenchmarkError
from benchmarks.processes import environment

# The index of the log, which is shared memory: the first process to open the database rebuilds it.
REBUILT_SUFFIX = "-shm"

_STDOUT = 1
_LIMIT_S = 300.0
# strace ends by its child's signal; a shell in between turns it into an exit code.
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
_LONGEST_WRITE = 1 << 20
# With a question mark: not every processor's Linux has the call.
_CALLS = (
    "open", "openat", "openat2", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2",
    "truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync", "syncfs", "msync",
    "sync_file_range", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat",
    "symlink", "symlinkat", "mmap", "copy_file_range", "sendfile", "splice", "io_uring_enter",
)  # fmt: skip
_WITH_PATHS = frozenset({
    "open", "openat", "openat2", "creat", "truncate", "unlink", "unlinkat", "rename", "renameat",
    "renameat2", "link", "linkat", "symlink", "symlinkat",
})  # fmt: skip
_SYNCS = frozenset({"fsync", "fdatasync"})
# They guarantee nothing after a power cut: the model counts nothing as durable for them.
_NO_PROMISE = frozenset({"sync", "syncfs", "msync", "sync_file_range"})

_LINE = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+)(?: .*|<.*)?")
_ENDED = re.compile(r"(?:\d+ +)?(?:\+\+\+|---) .*")
_DESCRIPTOR = re.compile(r"(-?\d+|AT_FDCWD)<([^>]*)>(\(deleted\))?")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


class StraceMissing(BenchmarkError):
    """strace is not installed or may not trace, so the benchmark has no result."""


class TraceError(BenchmarkError):
    """The trace has a call for which the model of the disk has no event."""


@dataclass(frozen=True, slots=True)
class Create:
    """A name was created with an empty file."""

    name: str


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes were written at an offset of the file that has the name now."""

    name: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """The file that now has this name got this length, in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """The file that now has this name was synced: fsync or fdatasync returned 0."""

    name: str


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """An fsync or fdatasync of the folder returned 0."""


@dataclass(frozen=True, slots=True)
class Unlink:
    """The name was deleted."""

    name: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The write of a line to stdout began."""

    line: bytes


Event = Create | Write | Truncate | Sync | SyncFolder | Unlink | Acknowledge


class _Call(NamedTuple):
    """One successful system call: its arguments as text, and its result."""

    name: str
    arguments: str
    returned: int


def require_strace() -> str:
    """The path of a strace that can trace here; raises StraceMissing with the reason."""
    found = shutil.which("strace")
    if found is None:
        raise StraceMissing("the power-cut benchmark needs strace, and it is not installed")
    tried = subprocess.run(
        [found, "-f", "-qq", "-e", "trace=?open", "-o", os.devnull, sys.executable, "-c", ""],
        capture_output=True, text=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip
    if tried.returncode != 0:
        reason = (tried.stderr.strip().splitlines() or ["no reason given"])[0]
        raise StraceMissing(f"the power-cut benchmark needs strace, and it may not trace: {reason}")
    return found


def record(arguments: Sequence[str], folder: Path, trace: Path) -> list[Event]:
    """Run ``python -m ARGUMENTS`` under strace; return its events in `folder`, in order.

    The files of `folder` before the run are its starting point. The trace goes to the file `trace`,
    which must be elsewhere. Raises StraceMissing, TraceError, or BenchmarkError when the process
    fails.
    """
    strace = require_strace()
    folder = folder.resolve()
    before = {path.name for path in folder.iterdir()}
    options = ["-f", "-qq", "-y", "-xx", "-s", str(_LONGEST_WRITE), "-o", str(trace)]
    calls = "trace=" + ",".join(f"?{name}" for name in _CALLS)
    done = subprocess.run(
        [strace, *options, "-e", calls, "-e", "signal=none", sys.executable, "-m", *arguments],
        env=environment(), cwd=Path(__file__).resolve().parent.parent,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchmarkError(f"the load failed:\n{done.stderr.decode(errors='replace')}")
    with trace.open(encoding="ascii") as lines:
        events = list(parse(lines, folder, before))
    heard = b"".join(event.line for event in events if isinstance(event, Acknowledge))
    if heard != done.stdout:
        raise TraceError("the acknowledgements in the trace differ from those on stdout")
    return events


def kill_at(arguments: Sequence[str], call: str, number: int) -> bytes:
    """Run ``python -m ARGUMENTS`` with SIGKILL as it enters its `number`-th `call`, from 1.

    Returns its output on stdout until then. Raises StraceMissing, or BenchmarkError when it ended
    alive.
    """
    strace = require_strace()
    options = ["-f", "-qq", "-o", os.devnull, "-e", f"trace={call}"]
    done = subprocess.run(
        [strace, *options, "-e", f"inject={call}:signal=SIGKILL:when={number}",
         sys.executable, "-m", *arguments],
        env=environment(), cwd=Path(__file__).resolve().parent.parent,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode not in _KILLED:
        raise BenchmarkError(
            f"no death at {call} {number}: exit code {done.returncode}\n"
            f"{done.stderr.decode(errors='replace')[-2_000:]}"
        )
    return done.stdout


def parse(lines: Iterable[str], folder: Path, present: Iterable[str]) -> Iterator[Event]:
    """The events of a trace that concern the files in `folder`, and stdout.

    `folder` is absolute; `present` are the names in it at the start. Raises TraceError.
    """
    names = {name for name in present if not name.endswith(REBUILT_SUFFIX)}
    for line in lines:
        call = _call(line.rstrip("\n"))
        if call is not None:
            yield from _events(call, folder, names)


def _call(line: str) -> _Call | None:
    """The call of a line; None if the call failed, or if the line has no call."""
    if "<unfinished ...>" in line or " resumed>" in line:
        # With two threads at once, the order of the lines is not the order in which calls returned.
        raise TraceError(f"calls of two threads overlap: {line[:80]}")
    found = _LINE.fullmatch(line)
    if found is None:
        if _ENDED.fullmatch(line):
            return None
        raise TraceError(f"not a line of strace: {line[:80]} ... {line[-40:]}")
    name, arguments, returned = found.groups()
    # A failed call changed nothing, and a failed sync guarantees nothing.
    return None if returned.startswith("-") else _Call(name, arguments, int(returned, 0))


def _events(call: _Call, folder: Path, names: set[str]) -> Iterator[Event]:
    if call.name in _NO_PROMISE:
        return
    if call.name in _WITH_PATHS:
        for path in _paths(call):
            yield from _named(call, path, folder, names)
        return
    descriptor = _DESCRIPTOR.match(call.arguments)
    if descriptor is None:
        if call.name == "mmap":
            yield from _mapped(call, folder)
            return
        raise TraceError(f"{call.name} without a descriptor: {call.arguments[:80]}")
    number, path = descriptor[1], _decoded(descriptor[2])
    if call.name == "write" and number == str(_STDOUT):
        line = _data(call)
        if len(line) != call.returned:
            raise TraceError("an acknowledgement left in pieces")
        yield Acknowledge(line)
    elif call.name in _SYNCS and path == str(folder):
        yield SyncFolder()
    else:
        name = _inside(path, folder)
        if name is not None:
            if name not in names or descriptor[3]:
                raise TraceError(f"{call.name} on {name}, which is not there")
            yield _changed(call, name)


def _changed(call: _Call, name: str) -> Event:
    match call.name:
        case "pwrite64":
            offset = int(call.arguments.rpartition(",")[2])
            return Write(name, offset, _data(call)[: call.returned])
        case "ftruncate":
            return Truncate(name, int(call.arguments.rpartition(",")[2]))
        case "fsync" | "fdatasync":
            return Sync(name)
    raise TraceError(f"no event says what {call.name} did to {name}")


def _named(call: _Call, path: str, folder: Path, names: set[str]) -> Iterator[Event]:
    """The events of a call that names its file by a path."""
    name = _inside(path, folder)
    if name is None:
        return
    if call.name in ("unlink", "unlinkat"):
        names.discard(name)
        yield Unlink(name)
        return
    if call.name not in ("open", "openat"):
        raise TraceError(f"no event says what {call.name} did to {name}")
    if name not in names:
        names.add(name)
        yield Create(name)
    if "O_TRUNC" in call.arguments:
        yield Truncate(name, 0)


def _mapped(call: _Call, folder: Path) -> Iterator[Event]:
    """Refuses a mapping through which a file of the folder could be changed."""
    if "PROT_WRITE" in call.arguments and "MAP_SHARED" in call.arguments:
        for descriptor in _DESCRIPTOR.finditer(call.arguments):
            name = _inside(_decoded(descriptor[2]), folder)
            if name is not None:
                raise TraceError(f"{name} is written through memory, which no trace shows")
    yield from ()


def _inside(path: str, folder: Path) -> str | None:
    """The path below `folder`; None for files elsewhere, and for the file that is always
    rebuilt."""
    start = f"{folder}{os.sep}"
    inside = path.startswith(start) and not path.endswith(REBUILT_SUFFIX)
    return path.removeprefix(start) if inside else None


def _paths(call: _Call) -> Iterator[str]:
    """Every path among the arguments, absolute."""
    descriptor = _DESCRIPTOR.match(call.arguments)
    base = "" if descriptor is None else _decoded(descriptor[2])
    for found in _TEXT.finditer(call.arguments):
        path = os.path.join(base, _decoded(found[1]))
        if not os.path.isabs(path):
            raise TraceError(f"{call.name} of a relative path without its folder: {path}")
        yield os.path.normpath(path)


def _data(call: _Call) -> bytes:
    found = _TEXT.search(call.arguments)
    if found is None or found[2]:
        raise TraceError(f"the data of a {call.name} is not in the trace as a whole")
    return bytes.fromhex(found[1].replace("\\x", ""))


def _decoded(text: str) -> str:
    """Text of the trace, which has every byte of a path in hexadecimal."""
    if not text.startswith("\\x"):
        return text
    return os.fsdecode(bytes.fromhex(text.replace("\\x", "")))
