"""A SQLite database has one server: locks that the kernel releases when the process ends.

The first lock is on the database's own file, so it holds by every path: another name, a symbolic or
a hard link. SQLite itself locks bytes of this file by POSIX locks. A process loses all its POSIX
locks on a file when it closes any descriptor of the file. Therefore our lock belongs to an open
file description (an OFD lock, which only Linux has), is far beyond the bytes that SQLite locks, and
its descriptor is never closed.

The second lock is on `FILE-server`. Earlier builds know only this one, and so do systems without
OFD locks. The file is empty and is never removed.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from struct import Struct

from service.domain.errors import FreeholdError

LOCKED_BYTE = 1 << 62
"""The place of the lock in the database's file; SQLite's own are at 1 GiB."""
_RANGE = Struct("hhqqi")
"""C's `struct flock`: kind, where the start is counted from, start, length, and no process."""
TAKEN = (errno.EAGAIN, errno.EACCES)


class NotAlone(FreeholdError):
    """Another server process has the file, or the lock cannot be taken."""


@contextmanager
def only_server(file: str) -> Iterator[None]:
    """Keeps other servers away from a database until the block ends.

    Only servers take these locks: verification, backup and key commands run beside a server. Raises
    NotAlone.
    """
    real = os.path.realpath(file)
    with ExitStack() as held:
        for path, lock in ((real, _own_file), (f"{real}-server", _file_beside)):
            try:
                held.enter_context(lock(path))
            except OSError as error:
                if error.errno in TAKEN:
                    text = f"{file} is served by another process: a SQLite file has one server"
                    raise NotAlone("SERVED_ALREADY", text) from error
                text = f"{path} cannot be locked: {error.strerror}"
                raise NotAlone("NOT_LOCKED", text) from error
        yield


@contextmanager
def _own_file(path: str) -> Iterator[None]:
    """Locks a byte of the database's file; raises OSError."""
    if not hasattr(fcntl, "F_OFD_SETLK"):
        yield
        return
    # Child processes do not inherit the descriptor: they would keep the lock after us.
    descriptor = os.open(path, os.O_RDWR)
    _set(descriptor, fcntl.F_WRLCK)
    try:
        yield
    finally:
        # The descriptor stays open: see above.
        _set(descriptor, fcntl.F_UNLCK)


def _set(descriptor: int, kind: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _RANGE.pack(kind, os.SEEK_SET, LOCKED_BYTE, 1, 0))


@contextmanager
def _file_beside(path: str) -> Iterator[None]:
    """Locks the file `FILE-server`; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
