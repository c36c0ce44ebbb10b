"""The benchmarks' counting, comparing and writing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import harness


def test_percentile_is_nearest_rank() -> None:
    """A percentile is a measured value: the smallest with that share at or below it."""
    values = [float(n) for n in range(1, 101)]
    assert harness.percentile(values, 0.50) == 50.0
    assert harness.percentile(values, 0.99) == 99.0
    assert harness.percentile(values, 0.07) == 7.0
    assert harness.percentile(values, 1.0) == 100.0
    assert harness.percentile([3.0], 0.01) == 3.0


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.01)])
def test_percentile_of_nothing_is_refused(values: list[float], share: float) -> None:
    """A percentile of no values, or outside 0 to 1, is an error."""
    with pytest.raises(ValueError, match="percentile"):
        harness.percentile(values, share)


def test_spread_is_median_and_range() -> None:
    """A figure over rounds is its median with the lowest and the highest round."""
    assert harness.spread([3.0, 1.0, 2.0]) == harness.Spread(2.0, 1.0, 3.0)
    assert harness.spread([1.0, 2.0]) == harness.Spread(1.5, 1.0, 2.0)


def test_quartiles_are_measured_values() -> None:
    """A figure over many rounds also has the ends of its middle half, which are measured values."""
    values = [float(n) for n in range(8, 0, -1)]
    assert harness.quartiles(values) == harness.Quartiles(4.5, 1.0, 8.0, 2.0, 6.0)
    assert harness.quartiles([3.0]) == harness.Quartiles(3.0, 3.0, 3.0, 3.0, 3.0)


def test_ratio_is_taken_within_a_round() -> None:
    """A ratio compares the two sides of one round; rounds without a partner are refused."""
    assert harness.ratios([1.0, 6.0], [2.0, 3.0]) == [0.5, 2.0]
    with pytest.raises(ValueError, match="shorter"):
        harness.ratios([1.0, 2.0], [1.0])


def test_sides_alternate() -> None:
    """Each round runs every side once, and the first side changes from round to round."""
    assert list(harness.in_turn(("a", "b"), 3)) == [
        (0, ("a", "b")),
        (1, ("b", "a")),
        (2, ("a", "b")),
    ]


def test_machine_names_the_conditions_of_figures(tmp_path: Path) -> None:
    """The machine's description has processor, memory, kernel, disk, versions and contention."""
    machine = harness.machine(tmp_path)
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["memory_bytes"] > 0
    assert machine["kernel"]
    assert machine["file_system"]
    assert machine["python"]
    assert machine["libraries"]["grpcio"]
    assert set(machine["load_average"]) == {"1_min", "5_min", "15_min"}


def test_a_checkout_is_named_by_its_commit(tmp_path: Path) -> None:
    """A checkout's revision is its commit, and the revision of a folder without one is the folder's
    name.

    A folder inside a repository is not named by that repository's commit.
    """
    outer = tmp_path / "outer"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    assert harness.revision(outer) == "outer"
    for words in (
        ("init", "--quiet"),
        ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "-mx"),
    ):
        subprocess.run(["git", *words], cwd=outer, check=True)
    commit = harness.commit(outer)
    assert commit["dirty"] is False
    assert harness.revision(outer) == commit["hash"]
    assert harness.revision(inner) == "inner"
    (inner / "file").touch()
    assert harness.revision(outer) == f"{commit['hash']} with changes"


def test_document_is_complete(tmp_path: Path) -> None:
    """Every benchmark's JSON has name, ratio, rounds, seed, time, machine, commit and figures."""
    content = harness.document(
        name="rpc", ratio=0.5, rounds=5, seed=1,
        machine=harness.machine(tmp_path), commit=harness.commit(), figures={"p99_ratio": 2.0},
    )  # fmt: skip
    path = tmp_path / "deep" / "result.json"
    harness.write_json(path, content)
    read = json.loads(path.read_text())
    assert read == content
    shared = {"name", "ratio", "rounds", "seed", "time", "machine", "commit"}
    assert set(read) == shared | {"p99_ratio"}
    assert set(read["commit"]) == {"hash", "dirty"}
    assert list(path.parent.iterdir()) == [path]


def test_figures_cannot_replace_shared_fields() -> None:
    """A benchmark whose figure would overwrite a shared field is refused."""
    with pytest.raises(ValueError, match="ratio"):
        harness.document(
            name="x", ratio=1.0, rounds=1, seed=1, machine={}, commit={}, figures={"ratio": 2.0}
        )


def test_nan_is_not_written(tmp_path: Path) -> None:
    """NaN is refused before the file is touched."""
    path = tmp_path / "result.json"
    with pytest.raises(ValueError, match="JSON"):
        harness.write_json(path, {"ratio": float("nan")})
    assert not path.exists()
