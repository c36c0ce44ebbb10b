"""The whole demo on a small scale, with a real server process and a quickly trained model."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from service.demo import run as demo
from service.demo import server
from service.demo.run import Options
from tests.demo.test_server import left_behind
from tests.shell import Forked, freehold

WITHOUT_TRAINING = str(Path(__file__).parents[1] / "without_training")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([WITHOUT_TRAINING, *(path for path in sys.path if path)]),
}


@pytest.fixture(scope="module")
def trained(model: Path) -> tuple[Path, Path]:
    """The spec and the folder of the small model."""
    return model.with_name("small.toml"), model


def command(trained: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    spec, model = trained
    return [
        *(sys.executable, "-m", "service.demo", "--out", str(out)),
        *("--spec", str(spec), "--model", str(model)),
        *more,
    ]


def small_day(trained: tuple[Path, Path], out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(trained, out, "--rentals", "100", "--people", "60", "--seed", "3"),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def small_day_with_forks(
    trained: tuple[Path, Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same day in this process; its server and commands are forked with all imports done."""
    spec, model = trained
    environment = {**os.environ, **ENVIRONMENT}

    def run(words: Sequence[str]) -> str:
        done = freehold(*words, environment=environment, cwd=Path.cwd())
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(words: list[str], *, start_new_session: bool, **streams: Any) -> Forked:
        assert start_new_session
        return Forked(words, env=environment, cwd=Path.cwd(), **streams)

    monkeypatch.setattr(server, "_run", run)
    monkeypatch.setattr(subprocess, "Popen", start)
    options = Options(out, seed=3, rentals=100, people=60, model=model, spec=spec)
    demo.run(options, Console(file=io.StringIO()))


def test_small_day(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small day ends with verified books, a report, and no process left; the same seed gives
    exactly the same day."""
    one, two = tmp_path / "one", tmp_path / "two"
    done = small_day(trained, one)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(one / "report.json") in done.stdout.split()[-8:]
    small_day_with_forks(trained, two, monkeypatch)
    reports = []
    for out in (one, two):
        report = json.loads((out / "report.json").read_text())
        assert (report["people"], report["authorizations"], report["seed"]) == (60, 100, 3)
        assert report["books_verified"] is True
        assert report["books"]["authorizations"] == 100
        assert sum(report["by_end_state"].values()) == 100
        assert report["by_end_state"]["STILL_OPEN"] == 0
        assert sum(report["by_decision"].values()) == 100
        assert report["batch_mean"] >= 1
        assert left_behind(str(out)) == []
        reports.append(report)
    for key in ("by_category_and_offer", "by_end_state", "waived_minor", "economics", "cutoffs"):
        assert reports[0][key] == reports[1][key]


def test_interrupted_in_the_middle(trained: tuple[Path, Path], tmp_path: Path) -> None:
    """Ctrl-C in the middle of the day stops the server and leaves no process."""
    out = tmp_path / "demo"
    process = subprocess.Popen(
        command(trained, out),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        log = out / "server.log"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if log.exists() and '"serving"' in log.read_text():
                break
            time.sleep(0.05)
        time.sleep(0.5)
        assert len(left_behind(str(out))) == 2, "demo and server"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Interrupted; nothing is left running." in said
    assert left_behind(str(out)) == []
    assert '"stopped"' in log.read_text()


def test_people_from_the_training_are_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    """The demo refuses people from the model's training data."""
    spec, model = trained
    other = tmp_path / "other.toml"
    shutil.copy(spec.with_name("small.csv"), tmp_path)
    text = "\n".join(
        "seeds = [7]" if line.split("=")[0].strip() == "seeds" else line
        for line in spec.read_text().splitlines()
    )
    other.write_text(text)
    done = subprocess.run(
        command((other, model), tmp_path / "demo", "--rentals", "10"),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "used to train this model" in done.stderr
    assert not (tmp_path / "demo" / "freehold.db").exists()
