"""Disks that fill up, fail, lose writes or become read-only under the server, and death during a
write.

The kernel's faults: ENOSPC is a full tmpfs, EFBIG a limit on the size of a file, EPERM an immutable
file. strace injects EIO in place of a system call's result, as the kernel returns it when a disk
fails. `FREEHOLD_FAULT_POINTS` is the number of places at which a fault is tried.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest
import structlog
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from google.protobuf.message import Message

from service.books.verify import verify_books
from service.config import LIMITS, Limits
from service.ids import RandomIds
from service.storage import sqlite
from service.storage.database import open_database
from service.storage.migrate import is_current
from service.storage.store import SqlStore
from tests.engine.calls import authorize
from tests.fakes import OPERATOR, Desk, Served, new_database, serving
from tests.faults.disk_child import BLOCK_BYTES, change_schema, checkpointing, command_of
from tests.rpc.support import Desks, Refused, desks

POINTS = int(os.environ.get("FREEHOLD_FAULT_POINTS", "12"))
SEED = 20_260_701
REASONS = {"STORAGE_UNAVAILABLE", "OUTCOME_UNKNOWN"}
ROUNDS = 8
WAIT_S = 60.0
ROOT = Path(__file__).resolve().parents[2]
PYTHON_PATH = (ROOT, ROOT / "proto")
MEBIBYTE = 1 << 20
# linux/loop.h
LOOP_SET_STATUS, LOOP_GET_STATUS, LOOP_STATUS_BYTES, LOOP_LIMIT = 0x4C04, 0x4C05, 232, slice(32, 40)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keeps the server's log of the faults out of the output."""
    with structlog.testing.capture_logs():
        yield


def stored_answers(file: Path) -> dict[str, bytes]:
    """The stored answer of each of an operator's requests; fails when an id is stored twice."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT request_id, answer FROM requests WHERE caller = ?", (OPERATOR,)
        ).fetchall()
    assert len(dict(rows)) == len(rows)
    return dict(rows)


class Story:
    """Calls to one server, one after the other, and their answers."""

    def __init__(self, callers: Desks, file: Path) -> None:
        self._callers = callers
        self._file = file
        self._sent: dict[str, tuple[str, Message]] = {}
        self._told: dict[str, bytes] = {}
        self._unknown: set[str] = set()
        self._checked: set[str] = set()
        self.refusals: list[str] = []

    def call(self, name: str, request: Message) -> bytes | None:
        """The answer; None for a refusal. A refusal must be UNAVAILABLE, with a reason to retry."""
        request_id: str = request.request_id  # type: ignore[attr-defined]
        self._sent[request_id] = (name, request)
        try:
            answer = self._callers.caller_for(name).send(name, request)
        except Refused as error:
            self._refused(request_id, error)
            return None
        assert self._told.setdefault(request_id, answer) == answer
        return answer

    def _refused(self, request_id: str, error: Refused) -> None:
        assert error.code is grpc.StatusCode.UNAVAILABLE, error
        assert error.reason in REASONS
        assert error.retry_s is not None
        self.refusals.append(error.reason)
        if error.reason == "OUTCOME_UNKNOWN":
            self._unknown.add(request_id)

    def authorize(self, user_id: str) -> bytes | None:
        """A fresh Authorize."""
        request_id = self._callers.operator.fresh("story")
        return self.call(
            "Authorize",
            AuthorizeRequest(request_id=request_id, user_id=user_id, product_id="umbrella"),
        )

    @property
    def open_calls(self) -> list[str]:
        """Calls without an answer so far."""
        return [request_id for request_id in self._sent if request_id not in self._told]

    def retry(self) -> None:
        """Repeats the calls without an answer."""
        for request_id in self.open_calls:
            self.call(*self._sent[request_id])

    def check(self) -> None:
        """Checks the state after the fault: every answered call is stored once, a call that was
        refused as unwritten is not stored, and retries of all calls get their answers.

        The server must recover without help.
        """
        stored = stored_answers(self._file)
        assert self._told.items() <= stored.items()
        assert not [it for it in self.open_calls if it in stored and it not in self._unknown]
        # A few connections of the pool may date from the time of the fault.
        for _ in range(ROUNDS):
            self.retry()
        assert not self.open_calls
        for request_id in self._sent.keys() - self._checked:
            self.call(*self._sent[request_id])
        self._checked = set(self._sent)
        stored = stored_answers(self._file)
        assert {key: stored[key] for key in self._sent} == self._told
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT count(*) FROM authorizations").fetchone()
            names = connection.execute(
                "SELECT count(*) FROM requests WHERE method = 'Authorize'"
            ).fetchone()
        assert rows == names
        books = self._callers.platform.verify()
        assert books.verified, books


@contextmanager
def a_story(folder: Path, limits: Limits = LIMITS) -> Iterator[tuple[Story, Desks, Served]]:
    """A server on a file in a folder, and its callers."""
    with serving(folder, limits=limits) as served, desks(served) as callers:
        yield Story(callers, folder / "freehold.db"), callers, served


# -- a full disk, a full file, a read-only file -----------------------------------------------


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of this many bytes."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "freehold-test", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"only root may mount a small disk: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        # Detached lazily, so that files left open by a failed test do not hold it.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Writes a file until the disk is full."""
    with ballast.open("wb", buffering=0) as file:
        for portion in (MEBIBYTE, 4_096, 1):
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                file.writelines(itertools.repeat(b"x" * portion))


def until_refused(story: Story, person: str, most: int = 2_000) -> None:
    """Calls until one is refused; the log has some room at first."""
    for _ in range(most):
        if story.authorize(person) is None:
            return
    raise AssertionError("nothing was refused")


def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """On a full disk (ENOSPC) calls are UNAVAILABLE, nothing is half written, and free space ends
    the fault.

    Reads are answered meanwhile, and no restart is needed.
    """
    with small_disk(tmp_path / "disk", 4 * MEBIBYTE) as disk, a_story(disk) as parts:
        story, callers, _ = parts
        person = callers.platform.person(720.0)
        assert story.authorize(person) is not None
        for number in range(3):
            fill(disk / "ballast")
            until_refused(story, person)
            for _ in range(3):
                assert story.authorize(person) is None
            assert callers.platform.profile(person).limit.amount_minor > 0
            assert callers.operator.page(page_size=5).authorizations
            (disk / "ballast").unlink()
            story.check()
            assert len(story.refusals) >= 4 * (number + 1)
    assert not (tmp_path / "disk" / "freehold.db").exists()


def test_a_file_that_may_not_grow_refuses_and_recovers(tmp_path: Path) -> None:
    """When a commit fails with EFBIG, calls are UNAVAILABLE, nothing is half written, and free
    space ends the fault."""
    with a_story(tmp_path) as (story, callers, _), ExitStack() as stack:
        person = callers.platform.person(720.0)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
        for extra in (100, 5_000, 40_000):
            log = (tmp_path / "freehold.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (log + extra, hard))
            until_refused(story, person)
            assert story.authorize(person) is None
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            story.check()


def test_a_full_database_refuses_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a statement fails with SQLITE_FULL, calls get STORAGE_UNAVAILABLE, nothing is written,
    and free space ends the fault."""
    with a_story(tmp_path) as (story, callers, _):
        person = callers.platform.person(720.0)
        pages = [1 << 30]

        begin = sqlite.SqliteSession.begin

        def limited(session: sqlite.SqliteSession) -> Any:
            session.driver.execute(f"PRAGMA max_page_count = {pages[0]}")
            return begin(session)

        monkeypatch.setattr(sqlite.SqliteSession, "begin", limited)
        for _ in range(2):
            pages[0] = 1  # SQLite uses it as the present number of pages
            until_refused(story, person)
            pages[0] = 1 << 30
            story.check()
        assert set(story.refusals) == {"STORAGE_UNAVAILABLE"}


def test_a_read_only_database_refuses_and_recovers() -> None:
    """While the file cannot be written, calls are UNAVAILABLE and nothing is half written. Calls
    work again when the file can be written again."""
    with ExitStack() as stack:
        # In memory an immutable file that is open can still be written.
        folder = Path(stack.enter_context(TemporaryDirectory(dir="/var/tmp")))
        story, callers, _ = stack.enter_context(a_story(folder))
        person = callers.platform.person(720.0)
        assert story.authorize(person) is not None
        # The shared memory stays writable: without it the kernel ends a process with SIGBUS.
        files = [str(folder / "freehold.db"), str(folder / "freehold.db-wal")]
        words = ["chattr", "+i", *files]
        if shutil.which("chattr") is None or subprocess.run(words, check=False).returncode:
            pytest.skip("only root may make a file immutable, and not on every file system")
        with ExitStack() as immutable:
            immutable.callback(subprocess.run, ["chattr", "-i", *files], check=True)
            for _ in range(3):
                assert story.authorize(person) is None
            assert callers.platform.profile(person).limit.amount_minor > 0
        story.check()


# -- system calls that fail -------------------------------------------------------------------


def database_files(file: Path) -> list[str]:
    """strace's arguments for a database's files only."""
    words = []
    for suffix in ("", "-wal", "-shm"):
        words += ["-P", f"{file}{suffix}"]
    return words


def need_strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    return found


@contextmanager
def failing(file: Path, fault: str, log: Path) -> Iterator[None]:
    """This process's system calls on a database fail as specified until the block ends."""
    words = [need_strace(), "-f", "-p", str(os.getpid()), "-o", str(log), *database_files(file)]
    process = subprocess.Popen(
        [*words, "-e", f"trace={fault.partition(':')[0]}", "-e", f"inject={fault}"],
        stderr=subprocess.PIPE,
        text=True,
    )
    if process.stderr is None:
        raise AssertionError("strace has no standard error")
    try:
        said = process.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"strace may not attach: {said.strip()}")
        yield
    finally:
        process.terminate()
        process.wait(WAIT_S)
        process.stderr.close()


FAULTS = (
    "fdatasync:error=EIO",
    "pwrite64:error=EIO",
    "pwrite64:error=ENOSPC",
    "pwrite64:error=EROFS",
    "fdatasync:error=ENOSPC",
    "pread64:error=EIO",
)


def fault_points(count: int) -> list[tuple[str, int, bool]]:
    """One fault after the other: the system call, the error, the call's number, and whether the
    fault lasts."""
    chance = random.Random(SEED)
    points = []
    for number in range(count):
        fault = FAULTS[number % len(FAULTS)]
        most = {"fdatasync": 6, "pwrite64": 60, "pread64": 8}[fault.partition(":")[0]]
        points.append((fault, chance.randrange(1, most), chance.random() < 0.4))
    return points


def test_a_failing_disk_never_gets_an_ok_without_a_row(
    tmp_path: Path,
) -> None:
    """When any write, sync or read of the database fails, an OK has its row and an error has none.

    Errors are UNAVAILABLE, and the server recovers by itself with the disk.
    """
    hit = 0
    # With a short log, checkpoints fail too.
    with a_story(tmp_path, checkpointing(40)) as (story, callers, _):
        file = tmp_path / "freehold.db"
        for number, (fault, place, stays) in enumerate(fault_points(POINTS)):
            person = callers.platform.person(720.0)
            log = tmp_path / f"{number}.strace"
            with failing(file, f"{fault}:when={place}{'+' if stays else ''}", log):
                for _ in range(8):
                    story.authorize(person)
                    story.retry()
            hit += "(INJECTED)" in log.read_text("utf-8")
            story.check()
    assert hit > POINTS // 2
    assert set(story.refusals) == REASONS


# -- a failed sync and its lost pages -----------------------------------------------------------

CHILD = "import sys; from tests.faults.disk_child import act; act(*sys.argv[1:])"
MIGRATION = "import sys; from tests.faults.disk_child import change_schema as c; c(sys.argv[2])"


@contextmanager
def child(what: str, file: Path, *words: str, code: str = CHILD) -> Iterator[subprocess.Popen[str]]:
    """A child at work, alone or under another program; ended with the block."""
    process = subprocess.Popen(
        [*words, sys.executable, "-c", code, what, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH))},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str]) -> list[str]:
    """Lets a child try once; returns the words that it prints."""
    assert process.stdin is not None
    process.stdin.write("try\n")
    process.stdin.flush()
    return heard(process)


def heard(process: subprocess.Popen[str]) -> list[str]:
    """The words of the child's next line; none when it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().split()


def prepared(folder: Path) -> Path:
    """A database with one person, who rents one item; closed properly."""
    file = folder / "freehold.db"
    desk = Desk(new_database(f"sqlite:///{file}"), ids=RandomIds())
    desk.put_user("ann", 720)
    desk.do(authorize("ann", "umbrella", "umbrella-0"), request_id="before")
    desk.store.close()
    return file


class BrokenDisk:
    """A disk with its own file system that can break and be repaired; as root.

    While it is broken the device is too short, and the kernel's block layer returns EIO for the
    database's blocks. The kernel forgets unwritten pages when the file system is unmounted, as in a
    power cut, and not before.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        image, self.folder = folder / "image", folder / "disk"
        self.folder.mkdir()
        with image.open("wb") as file:
            file.truncate(64 * MEBIBYTE)
        for tool in ("mkfs.ext4", "losetup", "mount"):
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is not installed")
        words = ("-q", "-b", "4096", "-N", "64", "-O", "^has_journal")
        self._run("mkfs.ext4", *words, str(image))
        self._device = self._run("losetup", "--find", "--show", str(image))
        stack.callback(self._run, "losetup", "--detach", self._device)
        self._in()
        # Detached lazily, so that files left open by a failed test do not hold it.
        stack.callback(self._run, "umount", "--lazy", str(self.folder))
        # The file system's own blocks and this file are in the part that never breaks.
        with (self.folder / "first").open("wb") as file:
            file.write(bytes(2 * MEBIBYTE))
            os.fsync(file.fileno())

    def _run(self, *words: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"only root may make a disk: {done.stderr.strip()}")
        return done.stdout.strip()

    def _in(self) -> None:
        self._run("mount", self._device, str(self.folder))

    def _out(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)

    def _limit(self, size: int) -> None:
        """Limits the device to this many bytes; 0 for all of its image."""
        with open(self._device, "rb") as device:
            status = bytearray(LOOP_STATUS_BYTES)
            fcntl.ioctl(device, LOOP_GET_STATUS, status)
            status[LOOP_LIMIT] = size.to_bytes(8, sys.byteorder)
            fcntl.ioctl(device, LOOP_SET_STATUS, status)

    def break_down(self, *, only_new: bool = False) -> None:
        """From now on the device accepts and returns nothing of the database, or only no new
        blocks."""
        if not only_new:
            self._limit(MEBIBYTE)
            return
        os.sync()
        # In its own process, because closing a file releases all locks on it.
        code = "import sys; from tests.faults.disk_child import last_block; "
        code += "print(max(map(last_block, sys.argv[1:])))"
        files = [str(path) for path in self.folder.glob("freehold.db*")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH))}
        words = [sys.executable, "-c", code, *files]
        found = subprocess.run(words, check=True, capture_output=True, env=environment)
        self._limit((int(found.stdout) + 1) * BLOCK_BYTES)

    def repair(self) -> None:
        """Repairs the device."""
        self._limit(0)

    def power_cut(self) -> None:
        """Keeps only what the device has."""
        self._out()
        self._in()


def check_told(file: Path, told: dict[str, bytes]) -> None:
    """After a power cut: every answered call is stored, and the database is intact."""
    assert told.items() <= stored_answers(file).items()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    engine = open_database(f"sqlite:///{file}")
    assert verify_books(engine).fault is None
    engine.dispose()


@pytest.mark.parametrize("restarted", [False, True])
def test_lost_pages_of_a_failed_sync_are_not_answered_from(tmp_path: Path, restarted: bool) -> None:
    """After a failed sync, an answer still means that the row survives a power cut.

    The kernel forgets pages that it could not sync, shows them to readers until then, and reports
    success at the next sync. Neither this process nor a later one may answer from pages that are
    only in the kernel's memory.
    """
    with ExitStack() as stack:
        disk = BrokenDisk(tmp_path, stack)
        file = prepared(disk.folder)
        with child("again", file) as first:
            assert heard(first) == ["ready"]
            disk.break_down()
            assert ask(first) == ["OUTCOME_UNKNOWN"]
            disk.repair()
            if restarted:
                first.kill()
                with child("again", file) as second:
                    assert heard(second) == ["ready"]
                    told = ask(second)
            else:
                told = ask(first)
        assert told[0] == "told"
        disk.power_cut()
        check_told(file, {told[1]: bytes.fromhex(told[2])})


def test_a_failed_checkpoint_is_repeated(tmp_path: Path) -> None:
    """When the file cannot grow but the log has room, no answer is lost when the log is reused.

    SQLite's own checkpoints hide their failure, and then the log is overwritten.
    """
    told: dict[str, bytes] = {}
    said: list[str] = []
    with ExitStack() as stack:
        disk = BrokenDisk(tmp_path, stack)
        file = prepared(disk.folder)
        with child("many", file) as renting:

            def rent(times: int) -> None:
                for _ in range(times):
                    words = ask(renting)
                    said.append(words[0])
                    if words[0] == "told":
                        told[words[1]] = bytes.fromhex(words[2])

            assert heard(renting) == ["ready"]
            rent(60)
            assert set(said) == {"told"}
            disk.break_down(only_new=True)
            # Blocks that were released may come first.
            while "STORAGE_UNAVAILABLE" not in said and len(said) < 600:
                rent(1)
            assert "STORAGE_UNAVAILABLE" in said
            rent(60)
            disk.repair()
            rent(60)
            assert set(said[-50:]) == {"told"}
        disk.power_cut()
        check_told(file, told)


# -- death in the middle ------------------------------------------------------------------------


WRITES = (
    "pwrite64,fdatasync,fsync,ftruncate,unlink,openat,close,fcntl,pread64,mmap,fstat,newfstatat"
)
DEATHS = max(2, POINTS // 4)


def places(calls: int) -> list[int]:
    """The system calls at which to die, spread evenly; all of them if there are points enough."""
    if calls <= DEATHS:
        return list(range(1, calls + 1))
    chance = random.Random(SEED)
    return sorted(chance.sample(range(1, calls + 1), DEATHS))


def run(what: str, file: Path, log: Path, inject: str, code: str = CHILD) -> list[str]:
    """Runs a child under strace with one try; returns its output before it ended."""
    words = [need_strace(), "-f", "-o", str(log), *database_files(file), "-e", f"trace={WRITES}"]
    if inject:
        words += ["-e", f"inject={WRITES}:{inject}"]
    with child(what, file, *words, code=code) as process:
        said, complaints = process.communicate("try\n", WAIT_S)
    assert process.returncode in (0, -signal.SIGKILL), complaints
    return said.split()


def counted(log: Path) -> int:
    """The number of system calls that strace saw."""
    return sum("(" in line for line in log.read_text("utf-8").splitlines())


@pytest.mark.parametrize("what", ["authorize", "settle"])
def test_death_at_any_system_call_leaves_all_or_nothing(what: str, tmp_path: Path) -> None:
    """The process dies at any system call of one API call. Then this call is stored either
    completely or not at all, and completely if it was answered.

    The same request then gets the one answer, and the books verify.
    """
    (tmp_path / "made").mkdir()
    made = prepared(tmp_path / "made")
    file, log = tmp_path / "freehold.db", tmp_path / "strace"
    shutil.copy(made, file)
    assert run(what, file, log, "")[:2] == ["ready", "told"]
    outcomes = set()
    for place in places(counted(log)):
        for left in tmp_path.glob("freehold.db*"):
            left.unlink()
        shutil.copy(made, file)
        said = run(what, file, log, f"signal=SIGKILL:when={place}")
        engine = open_database(f"sqlite:///{file}")
        desk = Desk(SqlStore(engine), ids=RandomIds())
        assert verify_books(engine).fault is None
        name = f"{what}-0"
        before = stored_answers(file).get(name)
        if "told" in said:
            assert before == bytes.fromhex(said[-1])
        (answer,) = desk.apply(desk.work(command_of(what, desk), request_id=name, body=b""))
        assert answer == (before or answer)
        assert stored_answers(file)[name] == answer
        books = verify_books(engine)
        assert (books.fault, books.authorizations) == (None, 2 if what == "authorize" else 1)
        desk.store.close()
        outcomes.add((before is not None, "told" in said))
    assert (False, True) not in outcomes
    assert len(outcomes) > 1


def test_death_at_any_system_call_of_a_migration(tmp_path: Path) -> None:
    """After death at any system call of migrate, running it again makes the same database."""
    file, log = tmp_path / "freehold.db", tmp_path / "strace"
    run("migrate", file, log, "", MIGRATION)
    calls, whole = counted(log), schema(file)
    for place in places(calls):
        for left in tmp_path.glob("freehold.db*"):
            left.unlink()
        run("migrate", file, log, f"signal=SIGKILL:when={place}", MIGRATION)
        change_schema(str(file))
        assert schema(file) == whole
        engine = open_database(f"sqlite:///{file}")
        assert is_current(engine)
        engine.dispose()


def schema(file: Path) -> list[str]:
    """Schema and rows of a database, as SQL."""
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())
