"""The count of SQLite's memory."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

PROGRAM = """
import service.cli
import ctypes
import sqlite3

connection = sqlite3.connect(":memory:")
connection.execute("CREATE TABLE t (a)")
print(ctypes.CDLL(__import__("_sqlite3").__file__).sqlite3_memory_used())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there the count is switched off")
def test_sqlite_does_not_count_its_memory() -> None:
    """The command's process switches SQLite's count of its memory off, which costs a lock for each
    allocation: every figure of it is 0."""
    driver = find_spec("_sqlite3")
    if driver is None or not driver.has_location:
        pytest.skip("the interpreter has SQLite built in")
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(told.stdout) == 0
