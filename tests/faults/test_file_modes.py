"""Freehold's files are for their owner alone."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from stat import S_IMODE

from service.storage.sqlite_files import make_private
from tests.faults.support import Server, command, environment, prepare, server


def modes(folder: Path) -> dict[str, int]:
    """The modes of all files in a folder, by name."""
    return {it.name: S_IMODE(it.stat().st_mode) for it in folder.iterdir()}


def warnings(running: Server) -> list[dict[str, object]]:
    """The log's lines about files that are open to others."""
    return [it for it in running.lines() if it["event"] == "open_to_others"]


def freely(*words: str) -> None:
    """Runs a command whose umask leaves new files open to everybody."""
    done = subprocess.run(
        command(*words), umask=0, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a19_files_are_private_whatever_the_umask(tmp_path: Path, model: Path) -> None:
    """A19: a database, the files that SQLite and the server put beside it, its backup, and a
    restored database have mode 0600, whatever the umask. The server then warns of none."""
    url = f"sqlite:///{tmp_path / 'freehold.db'}"
    freely("migrate", "--database", url)
    with server(url, model, "127.0.0.1:0") as running:
        running.wait_for("serving")
        assert set(modes(tmp_path)) == {
            f"freehold.db{it}" for it in ("", "-wal", "-shm", "-server")
        }
        copy = tmp_path / "copy"
        freely("backup", "--database", url, "--to", str(copy), "--quick")
        freely("restore", "--database", f"sqlite:///{tmp_path / 'new.db'}", "--from", str(copy))
        assert {"copy", "copy.sha256", "new.db"} <= set(modes(tmp_path))
        assert set(modes(tmp_path).values()) == {0o600}
        assert running.terminate() == 0
    assert warnings(running) == []


def test_a19_a_private_file_is_usable_by_its_owner(tmp_path: Path) -> None:
    """A19: a umask that takes every right leaves a new file to its owner all the same."""
    before = os.umask(0o777)
    try:
        make_private(tmp_path / "file")
    finally:
        os.umask(before)
    assert modes(tmp_path) == {"file": 0o600}


def test_a19_files_open_to_others_are_reported(tmp_path: Path, model: Path) -> None:
    """A19: a server whose database, log or rail's secret others may read serves, and logs one
    warning with the command that closes them. After that command the next start does not warn."""
    file, secret = tmp_path / "its data.db", tmp_path / "secret"
    secret.write_bytes(os.urandom(32))
    prepare(f"sqlite:///{file}")
    file.chmod(0o640)
    options = ("--rail-secret", str(secret))
    for wrong in (True, False):
        with server(f"sqlite:///{file}", model, "127.0.0.1:0", *options) as running:
            running.wait_for("serving")
            assert running.terminate() == 0
        assert [it["files"] for it in warnings(running)] == [[str(file), str(secret)]] * wrong
        for it in warnings(running):
            assert it["level"] == "warning"
            subprocess.run(shlex.split(str(it["do"])), check=True)
            assert {S_IMODE(path.stat().st_mode) for path in (file, secret)} == {0o600}
