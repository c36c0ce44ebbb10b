"""Every dependency is pinned with the hashes of its files, and nothing else is installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "service" / "deploy"
LOCKS = {
    ROOT / "requirements.txt": DEPLOY / "requirements.lock",
    ROOT / "requirements-train.txt": DEPLOY / "requirements-train.lock",
    ROOT / "requirements-dev.txt": DEPLOY / "requirements-dev.lock",
    DEPLOY / "tools.txt": DEPLOY / "tools.lock",
}
PIN = re.compile(r"([\w.-]+)==([\w.]+)(?: ; ([^\\]+?))?(?: \\)?")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def normal(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    """The versions in a file of requirements or in a lock, by name."""
    lines = [it for it in path.read_text().splitlines() if re.match(r"\w", it)]
    found = [PIN.fullmatch(it) for it in lines]
    assert all(found), path
    return {normal(it[1]): it[2] for it in found if it is not None}


@pytest.mark.parametrize("path", LOCKS, ids=lambda it: it.name)
def test_a_lock_has_every_pin_with_hashes(path: Path) -> None:
    """A lock has every version of its file of requirements, each with at least one hash, and no
    address: `make lock` was run after the last change of a pin."""
    lock = LOCKS[path]
    missing = dict(pins(path).items() - pins(lock).items())
    assert missing == {}, "run make lock"
    entries = re.split(r"(?m)^(?=\w)", lock.read_text())[1:]
    for entry in entries:
        _, *hashes = entry.rstrip("\n").split("\n")
        assert hashes, entry
        assert all(HASH.fullmatch(it) for it in hashes), entry
    assert "://" not in lock.read_text()


def test_locks_agree() -> None:
    """A package has the same version for serving, for training and for the tests."""
    found: dict[str, set[str]] = {}
    for lock in list(LOCKS.values())[:3]:
        for name, version in pins(lock).items():
            found.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in found.items() if len(versions) > 1} == {}


def test_serving_installs_nothing_of_the_training() -> None:
    """The image has LightGBM, but no library that only trainings and their reports need."""
    serving, training = (pins(it) for it in list(LOCKS.values())[:2])
    assert "lightgbm" in serving
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    # LightGBM itself needs SciPy.
    wanted = {normal(re.split("[<>=]", it)[0]) for it in extra["train"]} - {"scipy"}
    assert wanted <= training.keys()
    assert not wanted & serving.keys()


def test_a_lock_has_files_for_several_platforms() -> None:
    """A package that is compiled has more hashes than one machine needs."""
    text = LOCKS[ROOT / "requirements.txt"].read_text()
    (entry,) = re.findall(r"(?m)^grpcio==.*\n(?:    .*\n)+", text)
    assert entry.count("--hash") > 10


def test_only_locks_are_installed() -> None:
    """The Makefile, the CI and the container file install requirements only with their hashes."""
    for path in (ROOT / "Makefile", ROOT / ".ci" / "run", DEPLOY / "Containerfile"):
        text = re.sub(r"\\\n\s*", "", path.read_text())
        for line in text.splitlines():
            if "--requirement" in line:
                assert "--require-hashes" in line, line
                assert "requirements.txt" not in line
            elif re.search(r"pip (install|.*\) install)|\$\(PIP\)", line) and ":=" not in line:
                assert "--no-deps" in line, line
