"""SQLite's files on disk: the database and its log (the WAL) beside it.

After a failed sync the kernel treats the unwritten pages as written, and shows them to all readers.
SQLite does not handle three consequences:

- The next process that opens the database takes a complete transaction at the end of the log for
  committed. An answer replayed from this transaction would not survive a power cut.
- On ext4 the next sync of the same blocks succeeds, but newly allocated blocks stay unwritten. A
  repeated transaction or checkpoint would not survive a power cut.
- An automatic checkpoint hides its errors, and the log is overwritten all the same.

Therefore the first connection of a process syncs the files and drops the kernel's cache of them. So
does each connection after an error. Checkpoints are made here, so that their errors are seen.

A file that is removed, renamed or overwritten stays open. SQLite continues to write into it without
an error, and these commits are lost when the process ends. Therefore every transaction checks that
the paths still lead to the open files (`OpenFiles`): before and after its commit. A read-only
transaction also checks before it begins.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IRWXG, S_IRWXO
from struct import Struct
from typing import Any, NamedTuple
from urllib.parse import quote

from service.engine.ports import OutcomeUnknown, StorageFailed

BESIDE = ("-wal", "-shm", "-journal", "-server")
OWN_FILES = Path("/proc/self/fd")
LOG_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
SALTS = slice(16, 24)
SALTS_OF_FRAME = slice(8, 16)
PAGE_BYTES = 4_096
# https://sqlite.org/fileformat.html: a counter of the changes of the first page, which never falls.
CHANGES = slice(24, 28)
# https://sqlite.org/walformat.html: the log's salts; the pages copied, and the pages to copy.
INDEX_BYTES, INDEX_SALTS = 136, slice(32, 40)
INDEX_COPIED, INDEX_TO_COPY = slice(96, 100), slice(128, 132)


class FileGone(StorageFailed):
    """The path of a database does not lead to the open file; nothing was written."""


class FileGoneSince(OutcomeUnknown):
    """A commit succeeded, but a moment later the path did not lead to its file."""


def address(path: str | Path, options: str) -> str:
    """The address of a file for `sqlite3.connect(…, uri=True)`; with `mode=rw` none is created."""
    return f"file:{quote(os.path.abspath(path))}?{options}"


class OpenFiles:
    """The files of one database, as this process has them open.

    The path is fixed, without symbolic links. The first connection binds the database's file for
    good. Another file at the same path is never accepted. When the file comes back (`mv` there and
    back), work continues. The log and the shared memory are bound while a connection is open; they
    must not be replaced meanwhile. Without its log, a database loses the transactions that were not
    yet copied from the log into the file. Without the shared memory two processes overwrite each
    other's log.

    A file may also be overwritten in its place (`cp OTHER FILE`). While the log is in use, only
    checkpoints write into the database's file, and the shared memory records them. Another program
    has written the file if three things are true: its time or size changed, no checkpoint was
    recorded, and the first page differs. (A `touch` changes no page.) If the first page is older
    than before, another program wrote it even beside a checkpoint.

    The file may still go away between a check and the next step. Each commit is therefore followed
    by a thorough check (`check_all`) before it is answered. Other checks are cheaper, because
    checking a path costs as much as everything else. After a failed check, all checks are thorough.
    Any thread may check; `opening`, `opened` and `closed` are called one at a time.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: _Identity | None = None
        self._beside: tuple[_Identity | None, ...] = ()
        self._written: _Written | None = None
        self._failed = False
        self._restarts = False
        """Whether the log starts anew at one of the next commits."""

    def opening(self) -> _Identity | None:
        """Call it before opening a connection; returns the file at the path, or None.

        Raises FileGone if it is not the open file.
        """
        if self._file is not None:
            self.check_all()
        return _identity(self._path)

    def opened(self, before: _Identity | None) -> None:
        """Call it after opening a connection; `before` is the result of `opening`.

        Raises FileGone if another file is at the path now.
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
        """Call it after closing the last connection; the log and the shared memory may go now."""
        self._beside, self._written = (), None

    def check(self) -> None:
        """Raises FileGone if the path does not lead to the open file, or another program wrote it.

        After a failed check it checks the log and the shared memory as well, as `check_all`.
        """
        if self._failed:
            self.check_all()
        else:
            self._look()

    def check_all(self) -> None:
        """Raises FileGone as `check`, and for the log and the shared memory."""
        self._failed = True
        self._look()
        if self._beside and self._beside != self._look_beside():
            text = f"{self._path}-wal or {self._path}-shm was removed or replaced: put it back"
            raise FileGone(
                f"{text}, or stop the server: it then writes its changes into the database"
            )
        self._failed = False

    def copied(self) -> None:
        """Call it after copying the log into the file; raises FileGone as `check`.

        The log then starts anew, which is noted once it does: otherwise it would excuse a later
        change of the file.
        """
        self._look()
        self._restarts = True

    def commit(self, session: sqlite3.Connection) -> None:
        """Commits a transaction of a connection to these files.

        Raises FileGone if nothing was committed. Raises FileGoneSince if the commit succeeded, but
        the path did not lead to its file a moment later.
        """
        self.check()
        session.execute("COMMIT")
        try:
            self.check_all()
        except FileGone as error:
            raise FileGoneSince(f"the commit succeeded, but afterwards: {error}") from error

    def _look(self) -> None:
        found = at_path(self._path)
        if found is None:
            self._failed = True
            raise FileGone(f"{self._path} is not there any more: put it back")
        if self._file != found.identity:
            self._failed = True
            raise FileGone(f"{self._path} was replaced by another file: put the first file back")
        written = self._written
        if written is None:
            return
        # The first commit gives a log its salts.
        if found.stamp != written.stamp or self._restarts or not any(written.salts):
            self._look_closer(written)

    def _look_closer(self, before: _Written) -> None:
        now = self._look_inside()
        if now is None:
            return
        restarted = now.salts != before.salts
        noted = restarted or now.copied != before.copied or before.copying
        if now.first_page != before.first_page and (not noted or now.changes < before.changes):
            self._failed = True
            raise FileGone(f"{self._path} was written over by another program: restore a backup")
        self._written = now
        if restarted:
            self._restarts = False

    def _look_beside(self) -> tuple[_Identity | None, ...]:
        return _identity(f"{self._path}-wal"), _identity(f"{self._path}-shm")

    def _look_inside(self) -> _Written | None:
        """The state of the database's file on disk; None if it cannot be read."""
        if not OWN_FILES.is_dir():
            return None
        file, index = _own(self._path), _own(f"{self._path}-shm")
        if file is None or index is None:
            return None
        try:
            stat = os.fstat(file)
            noted_before = os.pread(index, INDEX_BYTES, 0)
            first_page = os.pread(file, PAGE_BYTES, 0)
            # A checkpoint is recorded before it writes, so a page that it wrote has its record.
            noted = os.pread(index, INDEX_BYTES, 0)
            # Another thread may have closed the files meanwhile.
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
"""The device and the inode of a file."""


class _Written(NamedTuple):
    """The state of a database's file on disk.

    stamp       the time of the last write, in nanoseconds, and the size in bytes
    salts       the log's salts, which change each time the log starts anew
    copied      the number of the log's pages copied, and the number to copy
    copying     whether a checkpoint was running, was interrupted, or may have run meanwhile
    first_page  the content of the first page
    """

    stamp: tuple[int, int]
    salts: bytes
    copied: bytes
    copying: bool
    first_page: bytes

    @property
    def changes(self) -> bytes:
        """The counter of the first page's changes, most significant byte first."""
        return self.first_page[CHANGES]


class Found(NamedTuple):
    """A file: device and inode, time of the last write (nanoseconds), and size in bytes."""

    identity: _Identity
    stamp: tuple[int, int]


def _statx() -> Any:
    """The C library's statx, called while holding the interpreter's lock; None except on Linux.

    `os.stat` releases the lock. With other threads waiting, that switches threads several times for
    each commit.
    """
    if sys.platform != "linux":
        return None
    return getattr(ctypes.PyDLL(None), "statx", None)


_STATX = _statx()
# From linux/stat.h: the arguments, and the fields' offsets, which are the same on all processors:
# inode at 32, size at 40, time of the last write at 112, device at 136.
_AT_FDCWD, _BASIC_STATS = -100, 0x7FF
_Fields = ctypes.c_char * 256
_FIELDS = Struct("=32xQQ64xqI12xII")


def at_path(path: str) -> Found | None:
    """The file at a path; None if it cannot be read."""
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


def make_private(path: str | Path) -> None:
    """Makes a new empty file that only its owner can use, whatever the umask; raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def open_to_others(path: str) -> list[str]:
    """The database and the files beside it that other users of the machine may read or write."""
    files = [f"{path}{suffix}" for suffix in ("", *BESIDE)]
    return [it for it in files if os.path.exists(it) and os.stat(it).st_mode & (S_IRWXG | S_IRWXO)]


def read_from_disk(file: str) -> None:
    """Makes later reads of the database and its log come from the disk.

    It works only on Linux. Raises sqlite3.OperationalError if unwritten data cannot be synced; the
    kernel's cache is dropped all the same.
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
        raise sqlite3.OperationalError("unwritten data cannot be synced to the disk") from failed


@contextmanager
def _opened(path: str) -> Iterator[int | None]:
    """A descriptor of a file, or None if the file does not exist.

    If this process has a descriptor of SQLite, that one is used: closing another descriptor would
    release every lock of the process on the file.
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
    """This process's open descriptor of a file, or None."""
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
    """True if a process has the database open, or left it without closing it."""
    with suppress(OSError):
        return os.stat(f"{file}-wal").st_size > 0
    return False


def log_pages(file: str) -> int:
    """The number of pages in the log since its last restart; 0 if the log cannot be read.

    Pages of a transaction that was rolled back may be counted as well.
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
