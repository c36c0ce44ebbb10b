"""Breaks one guard at a time and names the test that notices.

    python -m tests.mutants.run [--only NAME ...] [--jobs N] [--json FILE]

A mutant is a small change of one file (`mutants.toml`). The runner copies the project into a
temporary folder, applies the change, runs the mutant's tests until one fails, and prints the name
of this test. A mutant that survives, or a test that fails without any mutant, ends with exit code
1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import harness

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("benchmarks", "models", "proto", "service", "tests", "pyproject.toml", "README.md")
TIMEOUT_S = 900
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


class MutantError(Exception):
    """A mutant that cannot be applied, or tests that cannot be run."""


@dataclass(frozen=True)
class Mutant:
    """One broken guard: what it breaks, the change, and the tests that must notice."""

    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> None:
        """Changes the file below `root`; raises MutantError unless `old` stands there once."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        found = text.count(self.old)
        if found != 1:
            raise MutantError(f"{self.name}: its text stands {found} times in {self.file}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """A mutant's result; `killed_by` is the first test that failed, empty if none did."""

    name: str
    breaks: str
    killed_by: str
    seconds: float


def load() -> list[Mutant]:
    """The mutants of `mutants.toml`, in its order."""
    text = Path(__file__).with_name("mutants.toml").read_text(encoding="utf-8")
    return [
        Mutant(**{**row, "tests": tuple(row["tests"])}) for row in tomllib.loads(text)["mutant"]
    ]


def run_tests(root: Path, tests: tuple[str, ...]) -> str:
    """Runs tests until the first fails; returns its name, or an empty string when all pass."""
    # Bytecode of the original tree must not be used for the changed one.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), str(root / "proto")])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
            cwd=root, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"(no end within {TIMEOUT_S} s)"
    if done.returncode == 0:
        return ""
    failed = _FAILED.search(done.stdout)
    if failed is None:
        raise MutantError(f"the tests could not be run:\n{done.stdout[-2_000:]}{done.stderr}")
    return failed[1]


def try_out(mutant: Mutant) -> Outcome:
    """Runs the mutant's tests on a copy of the project that has it."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        root = Path(folder)
        # Servers that tests run under another user must be able to enter it.
        root.chmod(0o755)
        copy_project(root)
        mutant.apply(root)
        killed_by = run_tests(root, mutant.tests)
    return Outcome(mutant.name, mutant.breaks, killed_by, round(time.monotonic() - start, 1))


def copy_project(target: Path) -> None:
    """Copies what the tests need, without their output."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            shutil.copy(source, target / name)


def chosen(names: list[str]) -> list[Mutant]:
    """The mutants with these names, in the list's order; all without names.

    Raises MutantError for a name that no mutant has.
    """
    mutants = load()
    unknown = sorted(set(names) - {it.name for it in mutants})
    if unknown:
        raise MutantError(f"mutants.toml has no mutant {', '.join(unknown)}")
    return [it for it in mutants if not names or it.name in names]


def main() -> None:
    """Tries every mutant and says which test killed it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", nargs="+", action="extend", default=[], metavar="NAME",
        help="names of mutants; all without it",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time, 1 by default")
    parser.add_argument("--json", type=Path, help="file for the outcomes")
    arguments = parser.parse_args()
    try:
        mutants = chosen(arguments.only)
    except MutantError as error:
        parser.error(str(error))
    machine, commit = harness.machine(ROOT), harness.commit()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = []
        for outcome in pool.map(try_out, mutants):
            outcomes.append(outcome)
            print(f"{outcome.name}: {outcome.killed_by or 'SURVIVED'} ({outcome.seconds} s)")
            sys.stdout.flush()
    tests = tuple(dict.fromkeys(test for it in mutants for test in it.tests))
    without = run_tests(ROOT, tests) if mutants else ""
    if without:
        print(f"without any mutant this fails already: {without}")
    killed = sum(bool(outcome.killed_by) for outcome in outcomes)
    print(f"{killed} of {len(outcomes)} mutants killed")
    if arguments.json is not None:
        figures: dict[str, Any] = {
            "mutants": len(outcomes),
            "killed": killed,
            "fails_without": without,
            "outcomes": [asdict(outcome) for outcome in outcomes],
        }
        content = {"name": "mutants", "machine": machine, "commit": commit, **figures}
        harness.write_json(arguments.json, json.loads(json.dumps(content)))
    sys.exit(0 if killed == len(outcomes) and not without else 1)


if __name__ == "__main__":
    main()
