"""Storage that goes away under a real server: the answers, and the reported health."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import grpc
import pytest
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from freehold.v1.credit_service_pb2 import GetCreditProfileRequest, PutUsersRequest, User
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.books.verify import verify_books
from service.storage.database import open_database
from tests.faults.support import Server, people, prepare, server
from tests.postgres import Cluster
from tests.rpc.support import Caller, Refused

WAIT_S = 90.0
MOST_RENTALS = 1_000
AS_OF_S = 1_704_067_200
SANDBOX = ("--sandbox", "2024-01-01T00:10:00Z")
SERVICES = ("", "freehold.v1.AuthorizationService", "freehold.v1.LedgerService")
REASONS = {"STORAGE_UNAVAILABLE", "OUTCOME_UNKNOWN"}
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Shop:
    """A server with callers who rent, and their answers."""

    def __init__(self, running: Server, keys: tuple[str, str], stack: ExitStack) -> None:
        self.running = running
        self.address = str(running.wait_for("serving")["address"])
        self.operator, self.platform = (Caller(self.address, key) for key in keys)
        self._channel = grpc.insecure_channel(self.address)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        for end in (self.operator, self.platform, self._channel):
            stack.callback(end.close)
        self.told: set[str] = set()
        self._number = 0

    def register(self, model: Path) -> None:
        """Eight people who may rent."""
        users = [
            User(user_id=f"u-{number}", scoring_consent=True, features=features)
            for number, features in enumerate(people(model, 8))
        ]
        for user in users:
            user.as_of.FromSeconds(AS_OF_S)
        self.platform.send("PutUsers", PutUsersRequest(request_id="people", users=users))

    def rent(self) -> bool:
        """Whether a new Authorize was answered; fails unless a refusal can be retried."""
        self._number += 1
        request_id = f"r-{self._number}"
        request = AuthorizeRequest(
            request_id=request_id, user_id=f"u-{self._number % 8}", product_id="umbrella"
        )
        return self._sent(lambda: self.operator.send("Authorize", request), request_id)

    def read(self) -> bool:
        """Whether a read was answered."""
        request = GetCreditProfileRequest(user_id="u-1")
        return self._sent(lambda: self.platform.send("GetCreditProfile", request))

    def _sent(self, call: Callable[[], object], request_id: str = "") -> bool:
        try:
            call()
        except Refused as error:
            self._refused(error)
            return False
        if request_id:
            self.told.add(request_id)
        return True

    def _refused(self, error: Refused) -> None:
        assert error.code is grpc.StatusCode.UNAVAILABLE, error
        assert error.reason in REASONS

    def health(self) -> set[int]:
        """The health of the server and of its services."""
        requests = [health_pb2.HealthCheckRequest(service=name) for name in SERVICES]
        return {self._health.Check(request, timeout=WAIT_S).status for request in requests}

    def until_health(self, wanted: int) -> None:
        """Waits until all of them report this health."""
        end = time.monotonic() + WAIT_S
        while self.health() != {wanted}:
            assert time.monotonic() < end, self.running.log[-2_000:]
            self.running.drain()
            time.sleep(0.02)

    def refuse_everything(self) -> None:
        """Requires that no call is answered and health is NOT_SERVING."""
        for _ in range(20):
            assert not self.rent()
            assert not self.read()
            self.running.drain()
        self.until_health(NOT_SERVING)

    def rent_until_refused(self) -> Callable[[], None]:
        """Rents in a thread until the first refusal; returns a function that waits for it."""
        raised: list[BaseException] = []

        def go_on() -> None:
            try:
                while self.rent():
                    pass
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=go_on, name="renting")
        thread.start()

        def wait() -> None:
            end = time.monotonic() + WAIT_S
            while thread.is_alive():
                assert time.monotonic() < end, self.running.log[-2_000:]
                self.running.drain()
                thread.join(0.02)
            assert raised == []

        return wait


@contextmanager
def a_shop(url: str, model: Path, *, keys: tuple[str, str] | None = None) -> Iterator[Shop]:
    """A server on a database; the database is prepared first unless its keys are given."""
    used = keys or prepare(url)
    with ExitStack() as stack:
        running = stack.enter_context(server(url, model, "127.0.0.1:0", *SANDBOX))
        shop = Shop(running, used, stack)
        if keys is None:
            shop.register(model)
        yield shop


def stored(file: Path) -> set[str]:
    """The request ids that a database keeps."""
    with closing(sqlite3.connect(f"file:{file}?mode=rw", uri=True)) as connection:
        return {row[0] for row in connection.execute("SELECT request_id FROM requests")}


def verified(url: str) -> bool:
    engine = open_database(url)
    try:
        return verify_books(engine).fault is None
    finally:
        engine.dispose()


# -- A9: the database's files ----------------------------------------------------------------------


def remove(file: Path, beside: Path) -> None:
    file.unlink()


def move(file: Path, beside: Path) -> None:
    file.rename(beside)


def replace(file: Path, beside: Path) -> None:
    os.replace(shutil.copy(beside, file.with_name("copy")), file)


def write_over(file: Path, beside: Path) -> None:
    file.write_bytes(beside.read_bytes())


def remove_log(file: Path, beside: Path) -> None:
    Path(f"{file}-wal").unlink()


def remove_memory(file: Path, beside: Path) -> None:
    Path(f"{file}-shm").unlink()


@pytest.mark.parametrize(
    "attack",
    [remove, move, replace, write_over, remove_log, remove_memory],
    ids=lambda it: it.__name__,
)
def test_a9_a_removed_database_is_not_answered_from(
    attack: Callable[[Path, Path], None], tmp_path: Path, model: Path
) -> None:
    """A9: once the file, its log or its shared memory is removed, moved, replaced or overwritten
    under a working server, every call is UNAVAILABLE, health is NOT_SERVING, and no file is
    made."""
    folder = tmp_path / "data"
    folder.mkdir()
    file, beside = folder / "freehold.db", tmp_path / "beside.db"
    with a_shop(f"sqlite:///{file}", model) as shop:
        # An older state of the same database, as a backup has it.
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(beside)) as copy:
            source.backup(copy)
        # The log has been copied since: only then the older file lacks something.
        for _ in range(MOST_RENTALS):
            assert shop.rent()
            if file.stat().st_size > beside.stat().st_size:
                break
        assert file.stat().st_size > beside.stat().st_size
        assert shop.health() == {SERVING}
        wait = shop.rent_until_refused()
        time.sleep(0.1)
        attack(file, beside)
        left = {path.name for path in folder.iterdir()}
        wait()
        shop.refuse_everything()
        assert {path.name for path in folder.iterdir()} == left
        assert shop.running.wait_for("storage is away")["level"] == "error"
        if attack is move:
            beside.rename(file)
            assert shop.told <= stored(file)
        assert shop.running.terminate() == 0


@pytest.mark.parametrize("attack", [remove, remove_log, remove_memory], ids=lambda it: it.__name__)
def test_a9_a_removed_database_is_noticed_without_a_call(
    attack: Callable[[Path, Path], None], tmp_path: Path, model: Path
) -> None:
    """A9, A21: without any call, health reports that the file, its log or its memory is gone."""
    file = tmp_path / "freehold.db"
    with a_shop(f"sqlite:///{file}", model) as shop:
        attack(file, file)
        shop.until_health(NOT_SERVING)
        assert shop.running.terminate() == 0


def test_a9_a_removed_log_is_written_into_the_database_at_the_stop(
    tmp_path: Path, model: Path
) -> None:
    """A9: every call answered before the log was removed is in the database after SIGTERM."""
    file = tmp_path / "freehold.db"
    with a_shop(f"sqlite:///{file}", model) as shop:
        wait = shop.rent_until_refused()
        time.sleep(0.3)
        Path(f"{file}-wal").unlink()
        wait()
        assert shop.running.terminate() == 0
    assert len(shop.told) > 5
    assert shop.told <= stored(file)
    assert verified(f"sqlite:///{file}")


def test_a9_a_database_that_comes_back_is_served_again(tmp_path: Path, model: Path) -> None:
    """A9: after a file is moved away and back, the server serves it again without a restart, with
    every answered call. That holds even if the server's symbolic link has changed."""
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    file, away = folder / "freehold.db", tmp_path / "away.db"
    with a_shop(f"sqlite:///{tmp_path / 'link' / 'freehold.db'}", model) as shop:
        for round_ in range(2):
            assert shop.rent()
            file.rename(away)
            if round_:
                shop.refuse_everything()
            else:
                # Now the same without any call.
                shop.until_health(NOT_SERVING)
            away.rename(file)
            shop.until_health(SERVING)
            assert shop.rent()
            assert shop.read()
        (tmp_path / "link").unlink()
        assert shop.rent()
        shop.running.wait_for("storage is back")
        assert shop.running.terminate() == 0
    assert shop.told <= stored(file)
    assert verified(f"sqlite:///{file}")


def test_a9_harmless_changes_stop_no_server(tmp_path: Path, model: Path) -> None:
    """A9: a new file time, a reader and a writer beside the server, and another program's
    checkpoint do not stop the server."""
    file = tmp_path / "freehold.db"
    with a_shop(f"sqlite:///{file}", model) as shop:
        for _ in range(3):
            assert shop.rent()
            os.utime(file)
            assert shop.rent()
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("UPDATE operators SET name = name")
                busy, _, copied = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                assert (busy, copied > 0) == (0, True)
            for _ in range(5):
                assert shop.rent()
                assert shop.read()
        assert shop.health() == {SERVING}
        assert shop.running.terminate() == 0
        assert "storage is away" not in shop.running.events()


# -- A21: health -----------------------------------------------------------------------------------


@pytest.fixture
def own() -> Iterator[Cluster]:
    """A PostgreSQL that this test may stop."""
    with Cluster(safe=True) as started:
        yield started


def test_a21_health_follows_postgresql(own: Cluster, model: Path) -> None:
    """A21: when PostgreSQL stops, health becomes NOT_SERVING on both servers, one of them
    without calls; when it is back, both are SERVING again, with or without calls."""
    url = own.url(own.empty())
    keys = prepare(url)
    with a_shop(url, model, keys=keys) as busy, a_shop(url, model, keys=keys) as idle:
        busy.register(model)
        assert busy.rent()
        assert idle.health() == busy.health() == {SERVING}
        for _ in range(2):
            own.stop()
            assert not busy.rent()
            busy.until_health(NOT_SERVING)
            idle.until_health(NOT_SERVING)
            own.start()
            for shop in (idle, busy):
                shop.until_health(SERVING)
                assert shop.rent()
        for shop in (busy, idle):
            assert shop.running.terminate() == 0
    assert verified(url)


def test_a21_health_follows_a_disk(tmp_path: Path, model: Path) -> None:
    """A21: a SQLite file that can be read but not written is NOT_SERVING while that lasts, and
    SERVING once it can be written again, without a call."""
    file = tmp_path / "freehold.db"
    with a_shop(f"sqlite:///{file}", model) as shop, ExitStack() as stack:
        assert shop.rent()
        writer = stack.enter_context(closing(sqlite3.connect(file, isolation_level=None)))
        # A writer that does not end: other writers wait for 5 s and are refused, reads go on.
        writer.execute("BEGIN IMMEDIATE")
        assert not shop.rent()
        shop.until_health(NOT_SERVING)
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            assert shop.health() == {NOT_SERVING}
            assert shop.read()
        writer.execute("ROLLBACK")
        shop.until_health(SERVING)
        assert shop.rent()
        assert shop.running.terminate() == 0
