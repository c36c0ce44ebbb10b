"""The README tells the truth."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from models.scorer import ModelScorer
from service.clock import SystemClock
from tests.fakes import serving
from tests.faults.support import train_small

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_transcript_is_what_the_program_prints(tmp_path: Path) -> None:
    """The README's program, run against a real server, prints the README's transcript."""
    model = ModelScorer.load(train_small(tmp_path))
    with serving(tmp_path, scorer=model, clock=SystemClock()) as served:
        done = subprocess.run(
            [sys.executable, "-c", _block("python")],
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}",
                "FREEHOLD_ADDRESS": served.address,
                "OPERATOR_KEY": served.operator_key,
                "PLATFORM_KEY": served.platform_key,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stderr == ""
    assert done.stdout == _block("text")


def test_every_folder_of_the_map_is_there() -> None:
    """Every folder that the README's map names exists, and none of the project's is missing."""
    named = set(re.findall(r"^\| `([a-z/]+)/` \|", README, re.MULTILINE))
    assert all((ROOT / name).is_dir() for name in named)
    rooms = {
        f"service/{path.name}"
        for path in (ROOT / "service").iterdir()
        if path.is_dir() and not path.name.startswith("_")
    }
    assert rooms <= named


def test_nothing_is_left_to_be_filled_in() -> None:
    """The README has no placeholders."""
    assert re.findall(r"@[A-Z]+@", README) == []
