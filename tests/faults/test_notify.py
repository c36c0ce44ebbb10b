"""The service manager is told when the server is ready, alive and stopping."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.support import run, server

WAIT_S = 90.0


@contextmanager
def manager(name: str) -> Iterator[socket.socket]:
    """A service manager's socket under a name; a leading @ means outside the file system."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        listening.settimeout(WAIT_S)
        yield listening


@pytest.mark.parametrize("abstract", [True, False])
def test_a_service_manager_follows_the_server(tmp_path: Path, model: Path, abstract: bool) -> None:
    """With systemd's variables in the environment, the server sends READY=1 once it serves,
    WATCHDOG=1 again and again, and STOPPING=1 after SIGTERM."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    assert run("migrate", "--database", url).returncode == 0
    name = f"@freehold-{uuid.uuid4().hex}" if abstract else str(tmp_path / "notify")
    variables = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}
    with (
        manager(name) as listening,
        server(url, model, "127.0.0.1:0", **variables) as running,
    ):
        heard = [listening.recv(100) for _ in range(4)]
        running.wait_for("serving")
        assert sorted(heard) == [b"READY=1", *[b"WATCHDOG=1"] * 3]
        assert running.terminate() == 0
        listening.settimeout(1)
        while (said := listening.recv(100)) == b"WATCHDOG=1":
            pass
        assert said == b"STOPPING=1"


def test_a_missing_service_manager_is_no_fault(tmp_path: Path, model: Path) -> None:
    """A server whose manager went away serves and stops as usual."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    assert run("migrate", "--database", url).returncode == 0
    variables = {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000000"}
    with server(url, model, "127.0.0.1:0", **variables) as running:
        running.wait_for("serving")
        assert running.terminate() == 0
