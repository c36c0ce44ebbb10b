"""The server process: conditions under which it refuses to start, and its log."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from freehold.client import Client
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    ConfirmAuthorizationRequest,
    SettleAuthorizationRequest,
)
from freehold.v1.credit_service_pb2 import PutUsersRequest, User

from tests.faults.support import (
    command,
    environment,
    one_line,
    people,
    prepare,
    run,
    server,
)

AS_OF_S = 1_704_067_200


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a database that the command has migrated."""
    file = tmp_path_factory.mktemp("migrated") / "freehold.db"
    assert run("migrate", "--database", f"sqlite:///{file}").returncode == 0
    return file


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(migrated, tmp_path / 'freehold.db')}"


def refused(*arguments: str) -> str:
    """The output of a server that must not start."""
    done = run("serve", *arguments)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_second_server_on_the_same_port_is_refused(
    database: str, tmp_path: Path, model: Path
) -> None:
    """A second server on one port exits with an error that has the address; the first server
    continues."""
    other = f"sqlite:///{shutil.copy(tmp_path / 'freehold.db', tmp_path / 'other.db')}"
    with server(database, model, "127.0.0.1:0") as first:
        address = first.wait_for("serving")["address"]
        said = refused("--listen", address, "--database", other, "--model", str(model)).splitlines()
        assert said[-1].startswith("Error: ")
        assert address in said[-1]
        assert first.process.poll() is None
        assert first.terminate() == 0


def test_a_second_server_on_the_same_file_is_refused(tmp_path: Path, model: Path) -> None:
    """A second server on one SQLite file, by any path, exits with one line that names the file. The
    first server and other commands continue. A killed server keeps no lock."""
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    url = f"sqlite:///{folder / 'freehold.db'}"
    operator_key, platform_key = prepare(url)
    words = ("--listen", "127.0.0.1:0", "--model", str(model), "--database")
    with server(url, model, "127.0.0.1:0") as first:
        address = str(first.wait_for("serving")["address"])
        for path in (folder / "freehold.db", tmp_path / "link" / "freehold.db"):
            done = run("serve", *words, f"sqlite:///{path}")
            assert done.returncode == 1
            assert one_line(done.stderr).startswith(f"Error: {path} is served by another process")
        for beside in (
            ("verify",),
            ("backup", "--to", str(tmp_path / "copy")),
            ("operator", "create", "other", "--name", "Other"),
        ):
            done = run(*beside, "--database", url)
            assert done.returncode == 0, done.stderr
        assert run("revoke-key", "--database", url, stdin=f"{operator_key}\n").returncode == 0
        with Client(address, platform_key, plaintext=True) as platform:
            user = User(user_id="ann", features=people(model, 1)[0], scoring_consent=True)
            user.as_of.seconds = AS_OF_S
            platform.put_users(PutUsersRequest(request_id="p", users=[user]))
        assert first.process.poll() is None
        first.kill()
    with server(url, model, "127.0.0.1:0") as next_one:
        next_one.wait_for("serving")
        assert next_one.terminate() == 0


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has batch jobs")
def test_a_servers_threads_do_not_interrupt_each_other(database: str, model: Path) -> None:
    """For Linux, the threads of the loop, the writer and gRPC are batch jobs."""
    _, platform_key = prepare(database)
    with server(database, model, "127.0.0.1:0") as serving:
        address = str(serving.wait_for("serving")["address"])
        with Client(address, platform_key, plaintext=True) as platform:
            user = User(user_id="ann", features=people(model, 1)[0], scoring_consent=True)
            user.as_of.seconds = AS_OF_S
            platform.put_users(PutUsersRequest(request_id="p", users=[user]))
        process = serving.process.pid
        threads = [int(task.name) for task in Path(f"/proc/{process}/task").iterdir()]
        batch = {it for it in threads if os.sched_getscheduler(it) == os.SCHED_BATCH}
        assert serving.terminate() == 0
    # The threads of the numeric libraries started before, and are not used here.
    assert process in batch
    assert len(batch) > 3


def test_a_file_that_cannot_be_locked_is_not_served(tmp_path: Path, model: Path) -> None:
    """When the lock on the file cannot be checked, no server starts."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    assert run("migrate", "--database", url).returncode == 0
    (tmp_path / "freehold.db-server").mkdir()
    said = refused("--listen", "127.0.0.1:0", "--database", url, "--model", str(model))
    assert "cannot be locked" in one_line(said)


def test_a_database_without_schema_is_refused(tmp_path: Path, model: Path) -> None:
    """A database without migrations is refused with one line that has the remedy."""
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    said = refused("--listen", "127.0.0.1:0", "--database", url, "--model", str(model))
    assert "migrate" in one_line(said)


def test_an_unknown_kind_of_database_is_refused(model: Path) -> None:
    """A database URL of another kind, or text that is not a URL, is refused without a traceback."""
    for url in ("mysql://localhost/freehold", "not a url"):
        said = refused("--listen", "127.0.0.1:0", "--database", url, "--model", str(model))
        assert "Error: " in said.splitlines()[-1]


def test_a_missing_model_is_refused(database: str, tmp_path: Path) -> None:
    """A missing model folder is refused without a traceback."""
    said = refused(
        "--listen", "127.0.0.1:0", "--database", database, "--model", str(tmp_path / "none")
    )
    assert "--model" in said.splitlines()[-1]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("model.txt", flip),
        ("model.txt", cut),
        ("model.txt", Path.unlink),
        ("manifest.json", flip),
        ("manifest.json", cut),
    ],
)
def test_a_tampered_model_is_refused(
    database: str, model: Path, tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    """A model folder with one changed, truncated or missing file is refused with one line."""
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    damage(copy / file)
    said = refused("--listen", "127.0.0.1:0", "--database", database, "--model", str(copy))
    assert one_line(said).startswith("Error: ")


def test_the_log_is_json_without_names(tmp_path: Path, model: Path) -> None:
    """Every log line is a JSON object with time and level, and contains no person and no key."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    keys = prepare(url)
    person = "person-11010519491231002X"
    with server(url, model, "127.0.0.1:0") as running:
        address = running.wait_for("serving")["address"]
        user = User(user_id=person, features=people(model, 1)[0], scoring_consent=True)
        user.as_of.seconds = AS_OF_S
        request = AuthorizeRequest(request_id="a", user_id=person, product_id="umbrella")
        operator_key, platform_key = keys
        with Client(address, platform_key, plaintext=True) as platform:
            platform.put_users(PutUsersRequest(request_id="p", users=[user]))
        with Client(address, operator_key, plaintext=True) as operator:
            operator.authorize(request)
        assert running.terminate() == 0
        lines = running.lines()
    # A thread looks for damage at the start; the stop may come first.
    lines = [line for line in lines if not line["event"].startswith("database_checked")]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("serving", "info"),
        ("unsealed", "warning"),
        ("stopping", "info"),
        ("stopped", "info"),
    ]
    assert [lines[-1][name] for name in ("conflicts", "read_again", "split")] == [0, 0, 0]
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert running.log.endswith("\n")
    assert not [secret for secret in (person, *keys) if secret in running.log]


def last_event(folder: Path, days: float) -> None:
    """A database whose last event is this many days old; negative: ahead of the machine's clock."""
    record_us = int((time.time() - days * 86_400) * 1_000_000)
    with sqlite3.connect(folder / "freehold.db") as connection:
        connection.execute(
            "INSERT INTO outbox (transition, user_id, authorization_id, authorization_version,"
            " event_us, record_us) VALUES ('x', 'x', '', 0, 0, ?)",
            (record_us,),
        )
    connection.close()


def test_a4_a_clock_far_ahead_of_the_database_stops_the_start(
    database: str, tmp_path: Path, model: Path
) -> None:
    """A4: a server whose clock is ten years ahead of the newest event exits with 1 and one line
    that says what to do, at every start: no item can be sold by that clock."""
    last_event(tmp_path, 3_650)
    for _ in range(2):
        done = run(
            "serve", "--listen", "127.0.0.1:0", "--database", database, "--model", str(model)
        )
        assert done.returncode == 1
        (line,) = [it for it in done.stderr.splitlines() if not it.startswith("{")]
        assert line.startswith(
            "Error: the machine's clock is 3,650.0 days ahead of the newest event"
        )
        assert "correct the clock" in line
        assert "--trust-clock" in line
        assert '"serving"' not in done.stderr


@pytest.mark.parametrize(
    ("days", "options", "event"),
    [
        (-1, (), "clock_behind_the_database"),
        (40, ("--trust-clock",), None),
        (20, (), None),
    ],
)
def test_a4_the_log_reports_a_wrong_clock_at_the_start(
    database: str,
    tmp_path: Path,
    model: Path,
    days: int,
    options: tuple[str, ...],
    event: str | None,
) -> None:
    """A4: a server with a clock behind the newest event logs that with the remedy, and serves. A
    clock less than a month ahead is not reported, and neither is any clock with --trust-clock."""
    last_event(tmp_path, days)
    with server(database, model, "127.0.0.1:0", *options) as running:
        running.wait_for("serving")
        assert running.terminate() == 0
        told = [line for line in running.lines() if line["event"].startswith("clock_")]
    assert [(line["event"], line["level"]) for line in told] == (
        [(event, "error")] if event else []
    )
    assert all(round(line["off_s"] / 86_400) == days for line in told)


def test_a_clients_clock_far_ahead_is_reported(tmp_path: Path, model: Path) -> None:
    """Client times ahead of the server are counted in the server's last line; for those more than a
    minute ahead, one line names the operator, the method and the difference, and no person."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    operator_key, platform_key = prepare(url)
    with server(url, model, "127.0.0.1:0") as running:
        address = running.wait_for("serving")["address"]
        user = User(user_id="person-1", features=people(model, 1)[0], scoring_consent=True)
        user.as_of.seconds = AS_OF_S
        with Client(address, platform_key, plaintext=True) as platform:
            platform.put_users(PutUsersRequest(request_id="p", users=[user]))
        with Client(address, operator_key, plaintext=True) as operator:
            asked = AuthorizeRequest(request_id="a", user_id="person-1", product_id="umbrella")
            it = operator.authorize(asked).authorization
            paid = ConfirmAuthorizationRequest(
                request_id="c", name=it.name, payment_reference="d-1", paid=it.deposit_asked
            )
            it = operator.confirm_authorization(paid).authorization
            for number, ahead_s in enumerate((5, 3_600, 7_200)):
                captured = SettleAuthorizationRequest(
                    request_id=f"s-{number}", name=it.name, final=False, amount=it.captured
                )
                captured.occurred_at.FromSeconds(it.start_time.seconds + ahead_s)
                operator.settle_authorization(captured)
        assert running.terminate() == 0
        lines = running.lines()
    (warning,) = [line for line in lines if line["event"] == "clock ahead"]
    assert (warning["level"], warning["operator_id"]) == ("warning", "city")
    assert (warning["method"], warning["seen"]) == ("SettleAuthorization", 1)
    assert 3_500 < warning["ahead_s"] <= 3_601
    last = lines[-1]
    counted = (last["times_ahead"], last["times_far_ahead"], last["times_before_start"])
    assert counted == (3, 2, 0)
    assert "person-1" not in running.log


def test_sigint_drains_too(database: str, model: Path) -> None:
    """SIGINT drains like SIGTERM: exit code 0 and no traceback."""
    import signal

    with server(database, model, "127.0.0.1:0") as running:
        running.wait_for("serving")
        running.process.send_signal(signal.SIGINT)
        assert running.finish() == 0
    assert running.lines()[-1]["event"] == "stopped"


def test_a_sandbox_is_logged(database: str, model: Path) -> None:
    """A server with its own clock logs in its first line that it is a sandbox."""
    with server(database, model, "127.0.0.1:0", "--sandbox", "2026-06-01T00:00:00Z") as running:
        assert running.wait_for("serving")["sandbox"] is True
    done = subprocess.run(
        command("serve", "--database", database, "--model", str(model), "--sandbox", "yesterday"),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "--sandbox" in done.stderr.splitlines()[-1]
    assert not [line for line in done.stderr.splitlines() if line.startswith("{") and json]
