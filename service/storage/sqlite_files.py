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

A file that is removed, renamed or written over stays open: SQLite goes on in it, answers that all
is well, and whatever it commits ends with the process. So every transaction looks whether the paths
still lead to what is open (`OpenFiles`): before its commit and after it, and one that only reads
before it begins as well.

A third file beside them, `FILE-server`, is locked by the one server that there may be. It is empty
and stays; whether a server is there is told by the lock alone, which the kernel takes away with the
process, however that ends.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple
from urllib.parse import quote

from service.domain.errors import FreeholdError
from service.engine.ports import OutcomeUnknown, StorageFailed

OWN_FILES = Path("/proc/self/fd")
LOG_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
SALTS = slice(16, 24)
SALTS_OF_FRAME = slice(8, 16)
PAGE_BYTES = 4_096
# https://sqlite.org/walformat.html: the salts of the log; how far it was copied, and was to be.
INDEX_BYTES, INDEX_SALTS = 136, slice(32, 40)
INDEX_COPIED, INDEX_TO_COPY = slice(96, 100), slice(128, 132)


class NotAlone(FreeholdError):
    """Another server process has this file, or that cannot be told."""


class FileGone(StorageFailed):
    """The path of a database does not lead to the file that is open; nothing was written."""


class FileGoneSince(OutcomeUnknown):
    """A commit succeeded in a file that its path did not lead to a moment later."""


def address(path: str | Path, options: str) -> str:
    """A file for `sqlite3.connect(…, uri=True)`; with `mode=rw` none is created."""
    return f"file:{quote(os.path.abspath(path))}?{options}"


class OpenFiles:
    """The files of one database as the connections of this process have them open.

    The path is given once and for all, free of symbolic links. The database's file is bound with
    the first connection, for good: another one at its path is never taken for it, and when it comes
    back (`mv` there and back) all goes on. The log and the shared memory are bound for as long as a
    connection is open; nobody may replace them meanwhile. Without its log a database loses what was
    not copied into it yet; without the shared memory two processes write over each other's log.

    A file may also be written over in its place (`cp OTHER FILE`). While the log is in use only
    checkpoints write into the database's file, and they are noted in the shared memory. Where the
    file's time or size has changed, no checkpoint was noted and the first page is another one, a
    stranger has written it. (A `touch` changes no page.)

    Between a look and what follows it the file may go all the same. So there is a look after each
    commit as well, before anybody is told of it, and that is the thorough one (`check_all`): a look
    at a path costs as much as everything else here. Once a look has failed, all are thorough.
    Any thread may look; `opening`, `opened` and `closed` are called one at a time.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: _Identity | None = None
        self._beside: tuple[_Identity | None, ...] = ()
        self._written: _Written | None = None
        self._failed = False

    def opening(self) -> _Identity | None:
        """Before a connection is opened: the file at the path, None if there is none.

        Raises FileGone when it is not the one that is open.
        """
        if self._file is not None:
            self.check_all()
        return _identity(self._path)

    def opened(self, before: _Identity | None) -> None:
        """After a connection was opened on a file that was `before` at the path.

        Raises FileGone when another one is there now.
        """
        now = _identity(self._path)
        if now is None or before not in (now, None):
            raise FileGone(f"{self._path} was replaced while it was opened")
        self._file = self._file or now
        if not self._beside:
            self._beside = self._look_beside()
            self._written = self._look_inside()
        self.check_all()

    def closed(self) -> None:
        """After the last connection was closed: the log and the shared memory may go as well."""
        self._beside, self._written = (), None

    def check(self) -> None:
        """Raises FileGone when the path does not lead to the open file, or a stranger wrote there.

        Where the log or the shared memory is gone, `check_all` says so first.
        """
        if self._failed:
            self.check_all()
        else:
            self._look()

    def check_all(self) -> None:
        """Raises FileGone for the log and the shared memory as well."""
        self._failed = True
        self._look()
        if self._beside and self._beside != self._look_beside():
            text = f"{self._path}-wal or {self._path}-shm was removed or replaced: put it back"
            raise FileGone(
                f"{text}, or stop the server, which writes what it has into the database"
            )
        self._failed = False

    def commit(self, session: sqlite3.Connection) -> None:
        """Commits a transaction of a connection to these files.

        Raises FileGone when nothing was committed, FileGoneSince when something was, into a file
        that the path did not lead to a moment later.
        """
        self.check()
        session.execute("COMMIT")
        try:
            self.check_all()
        except FileGone as error:
            raise FileGoneSince(f"committed, and then: {error}") from error

    def _look(self) -> None:
        found = at_path(self._path)
        if found is None:
            self._failed = True
            raise FileGone(f"{self._path} is not there any more: put it back")
        if self._file != found.identity:
            self._failed = True
            raise FileGone(f"{self._path} is another file than the open one: put that back")
        written = self._written
        if written is None:
            return
        # A log gets its salts with its first commit.
        if found.stamp != written.stamp or not any(written.salts):
            self._look_closer(written)

    def _look_closer(self, before: _Written) -> None:
        now = self._look_inside()
        if now is None:
            return
        noted = now.salts != before.salts or now.copied != before.copied or before.copying
        if now.first_page != before.first_page and not noted:
            self._failed = True
            raise FileGone(f"{self._path} was written over by another program: restore a backup")
        self._written = now

    def _look_beside(self) -> tuple[_Identity | None, ...]:
        return _identity(f"{self._path}-wal"), _identity(f"{self._path}-shm")

    def _look_inside(self) -> _Written | None:
        """What was written into the database's file; None where that cannot be told."""
        if not OWN_FILES.is_dir():
            return None
        file, index = _own(self._path), _own(f"{self._path}-shm")
        if file is None or index is None:
            return None
        try:
            stat = os.fstat(file)
            noted_before = os.pread(index, INDEX_BYTES, 0)
            first_page = os.pread(file, PAGE_BYTES, 0)
            # A checkpoint is noted before it writes: a page that it wrote comes with its note.
            noted = os.pread(index, INDEX_BYTES, 0)
            # Whoever had them open may have closed them meanwhile.
            for descriptor, known in ((file, self._file), (index, self._beside[1])):
                found = os.fstat(descriptor)
                if (found.st_dev, found.st_ino) != known:
                    return None
        except OSError:
            return None
        copied, to_copy = noted[INDEX_COPIED], noted[INDEX_TO_COPY]
        return _Written(
            stamp=(stat.st_mtime_ns, stat.st_size),
            salts=noted[INDEX_SALTS],
            copied=copied + to_copy,
            copying=copied != to_copy or noted != noted_before,
            first_page=first_page,
        )


_Identity = tuple[int, int]
"""Device and inode."""


class _Written(NamedTuple):
    """What was written into a database's file.

    stamp       when it was written last, in nanoseconds, and its size in bytes
    salts       of the log; others each time it is begun anew
    copied      how many pages of the log were copied by then, and are to be
    copying     whether a checkpoint was under way, was broken off, or may have come meanwhile
    first_page  its content
    """

    stamp: tuple[int, int]
    salts: bytes
    copied: bytes
    copying: bool
    first_page: bytes


class Found(NamedTuple):
    """A file: device and inode; when it was written last (nanoseconds) and its size in bytes."""

    identity: _Identity
    stamp: tuple[int, int]


def _statx() -> Any:
    """The C library's statx, called without giving the interpreter's lock away; None elsewhere.

    `os.stat` gives it away, and with other threads waiting that is a switch of threads, several
    times a commit.
    """
    if sys.platform != "linux":
        return None
    return getattr(ctypes.PyDLL(None), "statx", None)


_STATX = _statx()
# From linux/stat.h: the arguments, and where the fields lie, which is the same on every processor:
# inode at 32, size at 40, time of the last write at 112, device at 136.
_AT_FDCWD, _BASIC_STATS = -100, 0x7FF
_Fields = ctypes.c_char * 256
_FIELDS = Struct("=32xQQ64xqI12xII")


def at_path(path: str) -> Found | None:
    """The file that a path leads to, None if that cannot be told."""
    if _STATX is None:
        try:
            found = os.stat(path)
        except OSError:
            return None
        return Found((found.st_dev, found.st_ino), (found.st_mtime_ns, found.st_size))
    fields = _Fields()
    if _STATX(_AT_FDCWD, os.fsencode(path), 0, _BASIC_STATS, fields) != 0:
        return None
    inode, size, seconds, nanoseconds, major, minor = _FIELDS.unpack_from(fields)
    device = os.makedev(major, minor)
    return Found((device, inode), (seconds * 1_000_000_000 + nanoseconds, size))


def _identity(path: str) -> _Identity | None:
    found = at_path(path)
    return None if found is None else found.identity


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
    own = _own(path)
    if own is not None or not os.path.exists(path):
        yield own
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _own(path: str) -> int | None:
    """A descriptor by which this process has a file open; None if it has none."""
    wanted = _identity(path)
    if wanted is None:
        return None
    for name in os.listdir(OWN_FILES):
        with suppress(OSError):
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == wanted:
                return int(name)
    return None


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
