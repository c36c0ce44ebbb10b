"""The walk-through of a whole service runs as pasted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.test_readme import ROOT, at_work, checkout, forked, paste

PAGE = (ROOT / "service" / "cli" / "WALKTHROUGH.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SAFELY = "set -e\ntrap 'kill $server 2>/dev/null || true' EXIT\n"
"""A step that fails ends the shell, and the server with it."""

__all__ = ["checkout", "forked"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the command openssl")
def test_the_walk_through_may_be_pasted(forked: Path, tmp_path: Path) -> None:
    """The blocks of the walk-through, pasted one after another, build a service with TLS, metrics
    and seals, upgrade it and restore it. They leave no file and no process."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = paste("sh", SAFELY + "".join(BLOCKS), forked, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "the settings are right" in said
    assert said.count("SERVING") == 3
    assert said.count("is asked for a deposit of 5900 minor units\npaid: STATE_ACTIVE\n") == 3
    assert 'freehold_calls_total{code="OK",method="Authorize"} 1.0' in said
    assert said.count("books verified") == 4
    assert re.search(r"^[1-9]\d* seals, signatures checked$", said, re.MULTILINE)
    assert "nothing was written; the restore can be done" in said
    assert list(temporary.iterdir()) == []
    assert at_work(temporary) == []
