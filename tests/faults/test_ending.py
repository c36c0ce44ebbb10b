"""SIGTERM ends a server in bounded time, whatever hangs; a second signal ends it at once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from freehold.v1.collection_service_pb2 import GetOperatorBalanceRequest
from freehold.v1.credit_service_pb2 import PutUsersRequest, User
from freehold.v1.sandbox_service_pb2 import AdvanceClockRequest

from tests.faults.support import Server, people, prepare, server
from tests.postgres import Cluster
from tests.rpc.support import Caller, Refused

MODULE = "tests.faults.short_end"
AS_OF_S = 1_704_067_200
WAIT_S = 90.0
# A time that no test waits for, and the end of the server in less.
LONG_S, SOON_S = 600.0, 60.0
ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "


class Waiting:
    """A call in a thread, whose answer does not come."""

    def __init__(self, address: str, key: str, name: str, request: object) -> None:
        self._caller = Caller(address, key)
        self._thread = threading.Thread(target=self._send, args=(name, request), daemon=True)
        self._thread.start()

    def _send(self, name: str, request: object) -> None:
        with suppress(Refused, ValueError):
            self._caller.send(name, request, timeout=LONG_S)  # type: ignore[arg-type]

    def close(self) -> None:
        """Gives the call up."""
        self._caller.close()
        self._thread.join(WAIT_S)


@contextmanager
def short(
    url: str, model: Path, *options: str, drain_s: float, closing_s: float, hangs: str = ""
) -> Iterator[Server]:
    """A server with these times for its end."""
    times = {
        "FREEHOLD_LIMITS_DRAIN_S": str(drain_s),
        "FREEHOLD_LIMITS_CLOSING_S": str(closing_s),
        "HANGS": hangs,
    }
    with server(url, model, "127.0.0.1:0", *options, module=MODULE, **times) as running:
        running.wait_for("serving")
        yield running


def address_of(running: Server) -> str:
    """The address that a server listens on."""
    return str(running.wait_for("serving")["address"])


def cpu_s(process: int) -> float:
    """The CPU time of a process so far."""
    parts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, parts[11:13])) / os.sysconf("SC_CLK_TCK")


def long_read(running: Server, file: Path, key: str, stack: ExitStack) -> None:
    """Makes the server read without end: its operators' balances become an endless view."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("ALTER TABLE operator_payables RENAME TO payables_before")
        connection.execute(
            "CREATE VIEW operator_payables AS "
            f"{ENDLESS} SELECT 'city' AS operator_id, 'CNY' AS currency, n AS amount_minor FROM c"
        )
    request = GetOperatorBalanceRequest(operator_id="city")
    before_s = cpu_s(running.process.pid)
    stack.callback(Waiting(address_of(running), key, "GetOperatorBalance", request).close)
    # Nothing else makes an idle server work for a second.
    end = time.monotonic() + WAIT_S
    while cpu_s(running.process.pid) < before_s + 1:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_a7_a_long_read_is_interrupted(tmp_path: Path, model: Path, stack: ExitStack) -> None:
    """A7: a server whose reader is in a statement without end interrupts it after SIGTERM, and ends
    with exit code 0."""
    file = tmp_path / "freehold.db"
    _, key = prepare(f"sqlite:///{file}")
    with short(f"sqlite:///{file}", model, drain_s=0.5, closing_s=20) as running:
        long_read(running, file, key, stack)
        assert running.terminate() == 0
    assert running.events()[-1] == "stopped"


def test_a7_a_second_signal_ends_at_once(tmp_path: Path, model: Path, stack: ExitStack) -> None:
    """A7: while a server waits for a call, a second signal ends it at once. The exit code is 128
    and the signal's number, the log names the signal, and answers that were sent are kept."""
    file = tmp_path / "freehold.db"
    _, key = prepare(f"sqlite:///{file}")
    with short(f"sqlite:///{file}", model, drain_s=LONG_S, closing_s=LONG_S) as running:
        user = User(user_id="ann", features=people(model, 1)[0], scoring_consent=True)
        user.as_of.FromSeconds(AS_OF_S)
        with closing(Caller(address_of(running), key)) as platform:
            platform.send("PutUsers", PutUsersRequest(request_id="p", users=[user]))
        long_read(running, file, key, stack)
        running.process.send_signal(signal.SIGTERM)
        running.wait_for("stopping")
        running.process.send_signal(signal.SIGINT)
        assert running.finish() == 128 + signal.SIGINT
    last = json.loads(running.log.splitlines()[-1])
    assert (last["event"], last["signal"]) == ("ended_by_signal", "SIGINT")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT user_id FROM users").fetchall() == [("ann",)]


def test_a7_a_writer_that_waits_for_a_lock_is_left(tmp_path: Path, model: Path) -> None:
    """A7: a server whose writer waits for another process's lock ends in time. The exit code is 1,
    and the log names the part that did not end."""
    file = tmp_path / "freehold.db"
    _, key = prepare(f"sqlite:///{file}")
    user = User(user_id="ann", features=people(model, 1)[0], scoring_consent=True)
    user.as_of.FromSeconds(AS_OF_S)
    with (
        short(f"sqlite:///{file}", model, drain_s=0.5, closing_s=0.5) as running,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        request = PutUsersRequest(request_id="p", users=[user])
        with closing(Waiting(address_of(running), key, "PutUsers", request)):
            running.read_until("begins")
            running.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert running.finish() == 1
            assert time.monotonic() < began + SOON_S
    last = json.loads(running.log.splitlines()[-1])
    assert (last["event"], last["parts"]) == ("not_ended_in_time", ["writer"])


@pytest.mark.parametrize("hangs", ["waits", "blocks"])
def test_a7_a_rail_that_hangs_is_left(tmp_path: Path, model: Path, hangs: str) -> None:
    """A7: a server whose rail does not return ends in time, even if the rail stops the event loop
    with everything on it. The exit code is 1."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    _, key = prepare(url)
    options = ("--sandbox", "2024-01-01T00:10:00Z", "--simulated-rail")
    with short(url, model, *options, drain_s=0.5, closing_s=0.5, hangs=hangs) as running:
        request = AdvanceClockRequest()
        request.now.FromSeconds(AS_OF_S + 3_600)
        with closing(Waiting(address_of(running), key, "AdvanceClock", request)):
            running.read_until("hanging")
            running.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert running.finish() == 1
            assert time.monotonic() < began + SOON_S
    assert '"not_ended_in_time"' in running.log


def test_a_late_search_for_damage_is_waited_for(tmp_path: Path, model: Path) -> None:
    """A server whose search for damage ends a second after SIGTERM waits for it within the time of
    the calls, and ends with exit code 0."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    prepare(url)
    with short(url, model, drain_s=SOON_S, closing_s=0.5, hangs="searches") as running:
        assert running.terminate() == 0
    assert running.events()[-1] == "stopped"


def test_a7_a_wait_for_postgresql_is_cancelled(
    cluster: Cluster, model: Path, stack: ExitStack
) -> None:
    """A7: a server whose writer waits for a row's lock in PostgreSQL, and whose reader is in a long
    statement, cancels both after SIGTERM and ends with exit code 0."""
    name = cluster.empty()
    url, dsn = cluster.url(name), cluster.dsn(name)
    _, key = prepare(url)
    user = User(user_id="ann", features=people(model, 1)[0], scoring_consent=True)
    user.as_of.FromSeconds(AS_OF_S)
    with short(url, model, drain_s=0.5, closing_s=20) as running, psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        with psycopg.connect(dsn) as view:
            view.execute("ALTER TABLE operator_payables RENAME TO payables_before")
            view.execute(
                "CREATE VIEW operator_payables AS SELECT 'city' AS operator_id, 'CNY' AS currency,"
                " count(*) AS amount_minor FROM pg_sleep(600)"
            )
        requests = {
            "PutUsers": PutUsersRequest(request_id="p", users=[user]),
            "GetOperatorBalance": GetOperatorBalanceRequest(operator_id="city"),
        }
        for method, request in requests.items():
            stack.callback(Waiting(address_of(running), key, method, request).close)
        busy = (
            "SELECT count(DISTINCT wait_event) FROM pg_stat_activity WHERE state = 'active'"
            " AND application_name = 'freehold' AND wait_event IN ('PgSleep', 'relation')"
        )
        # Within a transaction, PostgreSQL would always show the first state.
        looking = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        end = time.monotonic() + WAIT_S
        while looking.execute(busy).fetchone() != (2,):
            assert time.monotonic() < end
            time.sleep(0.05)
        running.process.send_signal(signal.SIGTERM)
        assert running.finish() == 0
        other.rollback()
    assert running.events()[-1] == "stopped"
