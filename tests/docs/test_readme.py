"""The README's blocks run as pasted, and its map is complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.forked_program import ForkedProgram

ROOT = Path(__file__).resolve().parents[2]
PYTHON_PATH = (ROOT / "tests" / "without_training", ROOT, ROOT / "proto")
README = (ROOT / "README.md").read_text(encoding="utf-8")


BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
"""Language and text of every code block."""
PASTED = [index for index, (_, text) in enumerate(BLOCKS) if text.startswith("(\n")]
QUICKSTART, TERMS = PASTED
OWN_TERMS = BLOCKS[TERMS][1], BLOCKS[TERMS + 1][1]
"""The block of own terms, and its transcript."""


def quickstart() -> str:
    """The README's quickstart, as it is pasted."""
    language, text = BLOCKS[QUICKSTART]
    assert language == "sh"
    return str(text)


def transcript() -> str:
    """The output in the README's block after the quickstart."""
    language, text = BLOCKS[QUICKSTART + 1]
    assert language == "text"
    return str(text)


@pytest.fixture
def checkout(tmp_path: Path, model: Path) -> Path:
    """A folder with everything that the quickstart uses of this folder after `make demo`."""
    folder = tmp_path / "checkout"
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f"PATH={programs}:$PATH\n")
    for name, words in (("python", ""), ("freehold", " -m service.cli")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
        program.chmod(0o755)
    (folder / ".freehold" / "demo").mkdir(parents=True)
    (folder / ".freehold" / "demo" / "model").symlink_to(model)
    return folder


@pytest.fixture
def forked(checkout: Path) -> Iterator[Path]:
    """The same folder; each `freehold` there is forked. In sh the quickstart runs without this."""
    with ForkedProgram(checkout / ".venv" / "bin" / "freehold"):
        yield checkout


def paste(shell: str, text: str, folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """A shell's output for a text that is pasted into it, in a folder."""
    return subprocess.run(
        [shell],
        input=text,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH)),
            "PYTHONDONTWRITEBYTECODE": "1",
            **given,
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def changed() -> str:
    """The changes that git finds in this checkout; empty without git."""
    words = ["git", "-C", str(ROOT), "status", "--porcelain"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def at_work(folder: Path) -> list[str]:
    """The processes that work in a folder, on Linux."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.joinpath("cwd").readlink() == folder:
                found.append(process.name)
    return found


@pytest.mark.parametrize(
    ("shell", "times", "programs"), [("sh", 1, "checkout"), ("bash", 2, "forked")]
)
def test_the_quickstart_may_be_pasted_twice(
    shell: str, times: int, programs: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The README's quickstart is pasted once, and in bash a second time. Each time it prints the
    README's transcript. It leaves no file, no process, and no change in the checkout."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    folder: Path = request.getfixturevalue(programs)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before, files = changed(), sorted(folder.rglob("*"))
    block = quickstart()
    again = f'{block}echo "left: $FREEHOLD_DATABASE$OPERATOR_KEY"\n' * times
    done = paste(shell, again, folder, TMPDIR=str(temporary))
    assert done.stderr == ""
    assert done.stdout == f"{transcript()}left: \n" * times
    assert done.returncode == 0
    assert list(temporary.iterdir()) == []
    assert sorted(folder.rglob("*")) == files
    assert at_work(folder) == []
    assert changed() == before


def test_a_failing_quickstart_gives_the_reason(forked: Path, tmp_path: Path) -> None:
    """If the server does not start, the quickstart ends with the server's output, and leaves no
    file and no process."""
    (forked / ".freehold" / "demo" / "model").unlink()
    block = quickstart()
    done = paste("sh", block.replace("--wait 60", "--wait 15"), forked, TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert "does not serve: UNAVAILABLE" in done.stderr
    assert ".freehold/demo/model" in done.stdout
    assert [it for it in tmp_path.iterdir() if it != forked] == []
    assert at_work(forked) == []


def test_own_terms_may_be_pasted(forked: Path, tmp_path: Path) -> None:
    """The README's block of own terms prints its transcript: a tariff is refused under CN-BJ by
    three rules, and two companies rent out under their own terms. It leaves no file and no
    process."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before, files = changed(), sorted(forked.rglob("*"))
    done = paste("sh", OWN_TERMS[0], forked, TMPDIR=str(temporary))
    assert done.stderr == ""
    assert done.stdout == OWN_TERMS[1]
    assert done.returncode == 0
    assert list(temporary.iterdir()) == []
    assert sorted(forked.rglob("*")) == files
    assert at_work(forked) == []
    assert changed() == before


def test_every_folder_of_the_map_is_there() -> None:
    """Every folder in the README's map exists, and none of the project's is missing."""
    named = set(re.findall(r"^\| `([a-z/]+)/` \|", README, re.MULTILINE))
    assert all((ROOT / name).is_dir() for name in named)
    rooms = {
        f"service/{path.name}"
        for path in (ROOT / "service").iterdir()
        if path.is_dir() and not path.name.startswith("_")
    }
    assert rooms <= named


def test_the_readme_has_no_placeholders() -> None:
    """The README has no placeholders."""
    assert re.findall(r"@[A-Z]+@", README) == []
