"""The verification benchmark measures this build and the builds before it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import environment
from benchmarks.verify import _VERIFY

EARLIER = {
    "rpc/stored.py": "read_answer = None\n",
    "storage/database.py": (
        "class Engine:\n"
        "    connect = close = lambda self: self\n"
        "def open_database(url):\n"
        "    return Engine()\n"
    ),
    "storage/verify.py": (
        "from types import SimpleNamespace\n"
        "def verify_books(engine, read_answer):\n"
        "    return SimpleNamespace(fault=None, authorizations=7, entries=9)\n"
    ),
}
"""A checkout from before the verifier had its own package, with the parts that the benchmark
uses."""


def test_a_build_with_the_verifier_in_its_storage_is_measured(tmp_path: Path) -> None:
    """A checkout without `service/books` is verified by the verifier in its storage package."""
    for name, text in EARLIER.items():
        path = tmp_path / "service" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in (path.parent, tmp_path / "service"):
            (folder / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", _VERIFY, "sqlite:///nothing.db"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["rentals"], found["entries"]) == (7, 9)
