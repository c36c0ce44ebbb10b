"""Shared by all benchmarks: statistics, alternating rounds, the machine, the JSON document."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

_LIBRARIES = ("grpcio", "protobuf", "protovalidate", "sqlalchemy", "lightgbm", "numpy")
_ROOT = Path(__file__).resolve().parent.parent


class BenchmarkError(Exception):
    """The figures mean nothing: a call failed, or a row is missing."""


@dataclass(frozen=True)
class Spread:
    """A figure over rounds: its median, lowest and highest round, in one unit."""

    median: float
    min: float
    max: float


def spread(values: Sequence[float]) -> Spread:
    """Median, minimum and maximum of one figure over the rounds; at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Quartiles(Spread):
    """A figure over many rounds, with the ends of its middle half."""

    lower: float
    upper: float


def quartiles(values: Sequence[float]) -> Quartiles:
    """The spread of one figure over the rounds with its quartiles; at least one value."""
    whole, ordered = spread(values), sorted(values)
    return Quartiles(
        whole.median, whole.min, whole.max, percentile(ordered, 0.25), percentile(ordered, 0.75)
    )


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Each round's numerator over its denominator, in the order of the rounds."""
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of an ascending sequence, in the sequence's unit.

    `share` is 0 < share <= 1; the result is a measured value, never interpolated.
    """
    if not ordered or not 0.0 < share <= 1.0:
        raise ValueError("a percentile needs values and a share above 0 and at most 1")
    # The product is rounded first, because 0.07 * 100 is a little more than 7 in binary.
    return ordered[math.ceil(round(share * len(ordered), 9)) - 1]


def in_turn(names: Sequence[str], rounds: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(round from 0, names in the order to run them); the order is reversed each time.

    So each side runs second, with warm caches or a busier machine, in every other round.
    """
    for number in range(rounds):
        yield number, tuple(names if number % 2 == 0 else reversed(names))


def machine(folder: Path) -> dict[str, Any]:
    """This machine and its present load; `folder` has the benchmark's files."""
    one, five, fifteen = os.getloadavg()
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": file_system(folder),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "load_average": {"1_min": one, "5_min": five, "15_min": fifteen},
    }


def commit(checkout: Path = _ROOT) -> dict[str, Any]:
    """{"hash": of HEAD, or null outside a repository; "dirty": whether files differ from it}."""
    head = _git(checkout, "rev-parse", "HEAD")
    changes = _git(checkout, "status", "--porcelain")
    return {"hash": head or None, "dirty": None if changes is None else bool(changes)}


def revision(checkout: Path) -> str:
    """A checkout's commit, and whether files differ from it; another folder's name."""
    # A folder without its own repository may lie in another repository, whose commit is not its
    # own.
    head = commit(checkout) if (checkout / ".git").exists() else {"hash": None}
    if head["hash"] is None:
        return checkout.name
    return f"{head['hash']}{' with changes' if head['dirty'] else ''}"


def document(
    *,
    name: str,
    ratio: float | None,
    rounds: int,
    seed: int,
    machine: dict[str, Any],
    commit: dict[str, Any],
    figures: dict[str, Any],
) -> dict[str, Any]:
    """The JSON document of one run; `ratio` is the headline, None for a benchmark without a
    comparison; `figures` are the benchmark's own.

    `machine` and `commit` are the results of these functions before the run.
    """
    head: dict[str, Any] = {
        "name": name,
        "ratio": ratio,
        "rounds": rounds,
        "seed": seed,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "commit": commit,
    }
    shared = sorted(head.keys() & figures.keys())
    if shared:
        raise ValueError(f"figures would overwrite {', '.join(shared)}")
    return head | figures


def conclude(
    json_file: Path | None,
    plan: Any,
    *,
    name: str,
    ratio: float | None,
    machine: dict[str, Any],
    commit: dict[str, Any],
    failed: Sequence[str],
    figures: dict[str, Any],
    each_round: Sequence[Any],
) -> None:
    """Ends a benchmark with bounds: writes its document to the file, if one is given, then raises
    ClickException if some do not hold; `failed` has a sentence for each.

    `plan` is a dataclass with `rounds` and `seed`; each round is a dataclass too.
    """
    told = {"passed": not failed, "failed": failed, **figures, "plan": asdict(plan)}
    content = document(
        name=name, ratio=ratio, rounds=plan.rounds, seed=plan.seed, machine=machine, commit=commit,
        figures={**told, "each_round": [asdict(it) for it in each_round]},
    )  # fmt: skip
    if json_file is not None:
        write_json(json_file, content)
    if failed:
        raise click.ClickException("; ".join(failed))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` completely or not at all; NaN and infinities are refused."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def file_system(folder: Path) -> str:
    """Type of the file system that holds `folder`, such as ext4; "unknown" when it cannot be
    read."""
    wanted = folder.resolve()
    best, kind = -1, "unknown"
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return kind
    for line in lines:
        _, mount, this, *_ = line.split(" ")
        if wanted.is_relative_to(mount) and len(mount) >= best:
            best, kind = len(mount), this
    return kind


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(checkout: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=checkout, capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
