from __future__ import annotations

import contextlib
import io
import json
import operator
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from models import errors, parallel, report, train
from models.errors import ModelError, SpecError, TrainingError


def test_metrics_have_every_figure(small_directory: Path) -> None:
    """The metrics have the figures of the model, the baseline, the gain, and the served model."""
    metrics = json.loads((small_directory / "metrics.json").read_text())
    for key in ("model", "model_seeds_3_3"):
        for name in ("auc", "brier", "ks"):
            assert set(metrics[key][name]) == {"mean", "sd", "by_fold"}
        assert metrics[key]["ece"]["worst"] == max(metrics[key]["ece"]["by_seed"])
        assert metrics[key]["ece_noise_floor"] > 0
        assert "worst" in metrics[key]["calibration_slope"]
        assert "worst" in metrics[key]["calibration_intercept"]
    assert "Nadeau-Bengio" in metrics["gain"]["method"]
    low, high = metrics["gain"]["interval"]
    assert low < metrics["gain"]["auc_mean"] < high
    scored = metrics["holdout"]["auc"]["n"]
    assert scored + metrics["holdout"]["unscorable"] == 500
    assert sum(b["n"] for b in metrics["score_bands"]) == scored > 480
    assert [a["attribute"] for a in metrics["fairness"]["attributes"]] == [
        "SEX", "EDUCATION", "MARRIAGE", "AGE",
    ]  # fmt: skip
    assert metrics["fairness"]["gate"]["verdict"] in ("blocked", "two signatures", "fine")
    instability = metrics["instability"]
    assert (instability["refits"], instability["n"], instability["skipped"]) == (5, scored, None)
    assert max(instability["by_refit"]) <= instability["share"] <= sum(instability["by_refit"])
    assert 0.0 < instability["share"] < 0.9
    assert (instability["offer"]["n"], instability["first_reason"]["n"]) == (scored, scored)
    assert instability["any"]["share"] >= instability["first_reason"]["share"] > 0.0
    assert metrics["seconds"] > 0


def test_report_prints_every_table(small_directory: Path) -> None:
    """The printed report has the headline, the bands, the fairness tables and the warning."""
    metrics = json.loads((small_directory / "metrics.json").read_text())
    console = Console(file=io.StringIO(), width=160)
    report.print_metrics(metrics, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for expected in (
        "AUC",
        "Brier",
        "ECE, worst seed",
        "Bad rate",
        "AGE",
        "prices nothing",
        "5 refits",
    ):
        assert expected in text


def test_a_wrong_spec_writes_nothing(tmp_path: Path) -> None:
    """Training on an invalid spec raises an error and leaves no directory."""
    (tmp_path / "spec.toml").write_text("[data]\n")
    with pytest.raises(SpecError):
        train.train(tmp_path / "spec.toml", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_workers_return_results_under_their_index() -> None:
    """Each result comes with its task's index, also with more tasks than workers."""
    assert sorted(parallel.run(os.path.join, "a", ["b", "c", "d"], jobs=2)) == [
        (0, "a/b"), (1, "a/c"), (2, "a/d"),
    ]  # fmt: skip
    assert list(parallel.run(os.path.join, "a", [], jobs=2)) == []


def test_a_workers_exception_is_raised_here() -> None:
    """An error in a worker reaches the caller unchanged."""
    with pytest.raises(ZeroDivisionError):
        list(parallel.run(divmod, 1, [1, 0], jobs=1))


def test_a_dead_worker_is_an_error_not_a_hang() -> None:
    """A worker that is killed ends the training with a TrainingError."""
    with pytest.raises(TrainingError, match="died"):
        list(parallel.run(operator.call, os._exit, [3], jobs=1))


# A busy machine starts and ends processes slowly; the training itself takes far longer than this.
_PATIENCE_S = 180
_TRAINS = (
    "import sys; from pathlib import Path; from models.train import train;"
    "train(Path(sys.argv[1]), Path(sys.argv[2]), progress=False, jobs=2)"
)
# Only the workers of a training, whose fits take a second.
_SLEEPS = (
    "import operator, time; from models import parallel;"
    "list(parallel.run(operator.call, time.sleep, [1.0] * 1000, jobs=2))"
)


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_leaves_no_process(
    small_spec_path: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    """An interrupted training leaves no worker and no model. If it is killed, its workers end after
    their fits."""
    longer = tmp_path / "longer.toml"
    longer.write_text(small_spec_path.read_text().replace("trees = 30", "trees = 9000"))
    shutil.copy(small_spec_path.with_name("small.csv"), tmp_path)
    code = _TRAINS if sent == signal.SIGINT else _SLEEPS
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(longer), str(tmp_path / "out")],
        cwd=Path(train.__file__).parents[1],
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while len(_children(parent.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        workers = _children(parent.pid)
        assert len(workers) >= 2
        parent.send_signal(sent)
        parent.wait(timeout=_PATIENCE_S)
        deadline = time.monotonic() + _PATIENCE_S
        while any(_alive(p) for p in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [p for p in workers if _alive(p)] == []
        assert not (tmp_path / "out").exists()
    finally:
        parent.kill()
        parent.wait()


def test_all_errors_are_model_errors() -> None:
    """Every error that the package raises on purpose is a ModelError."""
    raised = [e for e in vars(errors).values() if isinstance(e, type)]
    assert all(issubclass(e, ModelError) for e in raised)
