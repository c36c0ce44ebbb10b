"""SQLite's two files as the kernel and the disk have them: the database and its log beside it.

When a sync fails, the kernel takes what it could not write for written from then on, and shows it
to all who read. Three things follow that SQLite does not see to:

- whoever opens the database next takes a whole transaction at the end of the log for committed,
  and an answer replayed from it would not survive a power cut;
- on ext4 the next sync of the same place succeeds, but newly allocated blocks stay unwritten, so
  that neither a transaction nor a checkpoint done again survives one;
- an automatic checkpoint hides its errors, and the log is written over all the same.

So what is not written yet is synced and the kernel's memory of the files dropped, by whoever comes
first and after each error; and checkpoints are made here, where their errors are seen.

A third file beside them, `FILE-server`, is locked by the one server that there may be. It is empty
and stays; whether a server is there is told by the lock alone, which the kernel takes away with the
process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from service.domain.errors import FreeholdError

OWN_FILES = Path("/proc/self/fd")
LOG_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
SALTS = slice(16, 24)
SALTS_OF_FRAME = slice(8, 16)


class NotAlone(FreeholdError):
    """Another server process has this file, or that cannot be told."""


@contextmanager
def only_server(file: str) -> Iterator[None]:
    """Keeps every other server away from a database until the block is left.

    Only servers ask: whoever verifies, backs up or adds keys works beside one. Two paths to one
    file by symbolic links are one. Raises NotAlone.
    """
    path = f"{os.path.realpath(file)}-server"
    with ExitStack() as held:
        try:
            # Processes that we start do not inherit it: they would hold the lock after us.
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = f"{file} is served by another process: a SQLite file has one server"
            raise NotAlone("SERVED_ALREADY", text) from error
        except OSError as error:
            raise NotAlone("NOT_LOCKED", f"{path} cannot be locked: {error.strerror}") from error
        yield


def read_from_disk(file: str) -> None:
    """Makes the database and its log be read as the disk has them.

    Only Linux is asked for it. Raises sqlite3.OperationalError when what is not written yet cannot
    be; what the kernel remembers is dropped all the same.
    """
    if not OWN_FILES.is_dir():
        return
    failed: OSError | None = None
    for path in (f"{file}-wal", file):
        with _opened(path) as descriptor:
            if descriptor is None:
                continue
            try:
                os.fsync(descriptor)
            except OSError as error:
                failed = error
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    if failed is not None:
        raise sqlite3.OperationalError("what the disk does not have cannot be synced") from failed


@contextmanager
def _opened(path: str) -> Iterator[int | None]:
    """A descriptor of a file; None when it is not there.

    SQLite's own if this process has one: closing another would let go of every lock that the
    process holds on the file.
    """
    try:
        wanted = os.stat(path)
    except OSError:
        yield None
        return
    for name in os.listdir(OWN_FILES):
        with suppress(OSError):
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                yield int(name)
                return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def has_log(file: str) -> bool:
    """Whether somebody has the database open, or left it without closing it."""
    with suppress(OSError):
        return os.stat(f"{file}-wal").st_size > 0
    return False


def log_pages(file: str) -> int:
    """Pages in the log since it was last written from its beginning; 0 if that cannot be told.

    What is left there of a transaction that was given up may be counted as well.
    """
    try:
        with open(f"{file}-wal", "rb", buffering=0) as log:
            return _frames(log.fileno())
    except OSError:
        return 0


def _frames(descriptor: int) -> int:
    header = os.pread(descriptor, LOG_HEADER_BYTES, 0)
    if len(header) < LOG_HEADER_BYTES:
        return 0
    frame_bytes = FRAME_HEADER_BYTES + int.from_bytes(header[8:12], "big")
    low, high = 0, (os.fstat(descriptor).st_size - LOG_HEADER_BYTES) // frame_bytes
    while low < high:
        middle = (low + high) // 2
        frame = os.pread(descriptor, FRAME_HEADER_BYTES, LOG_HEADER_BYTES + middle * frame_bytes)
        if frame[SALTS_OF_FRAME] == header[SALTS]:
            low = middle + 1
        else:
            high = middle
    return low
