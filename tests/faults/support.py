"""The real server as a process, a small real model, and clients that retry."""

from __future__ import annotations

import json
import lzma
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import models
from models import reading, spec, train
from tests.once import once
from tests.shell import Forked, forked_workers, freehold

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = Path(models.__file__).parent / "data" / "taiwan.toml"
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 90.0


def small_model(base: Path) -> Path:
    """The directory of a small model, which all processes of a test run share.

    `base` is the temporary folder of this process.
    """
    return once(base, "small", _train_small) / "model"


def _train_small(folder: Path) -> None:
    """Trains the shipped spec on 1,500 people, with few trees: `small.toml` and `model`."""
    with lzma.open(SHIPPED.with_name("taiwan_credit_default.csv.xz"), "rt") as source:
        lines = [next(source) for _ in range(1501)]
    (folder / "small.csv").write_text("".join(lines), encoding="utf-8")
    text = SHIPPED.read_text(encoding="utf-8")
    for pattern, new in (
        (r"(?m)^sha256.*$", ""),
        (r"taiwan_credit_default\.csv\.xz", "small.csv"),
        (r'compression = "xz"', 'compression = "none"'),
        (r"(?m)^seeds = \[[^]]*\]", "seeds = [0]"),
        (r"(?m)^extra_seeds = \[[^]]*\]", "extra_seeds = [3]"),
        (r"(?m)^folds = \d+", "folds = 3"),
        (r"(?m)^trees = \d+", "trees = 30"),
        (r"(?m)^min_child_samples = \d+", "min_child_samples = 20"),
    ):
        text, count = re.subn(pattern, new, text)
        assert count == 1, pattern
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    with forked_workers():
        train.train(path, folder / "model", progress=False, jobs=2)


@cache
def _people(folder: Path) -> list[dict[str, float]]:
    small = spec.load(folder.parent / "small.toml")
    names = small.raw_names
    return [
        {name: float(number) for name, number in zip(names, row, strict=True) if number == number}
        for row in reading.load(small).raw
    ]


def people(folder: Path, count: int) -> list[dict[str, float]]:
    """Raw features of real people of the small data set, by name."""
    return [dict(it) for it in _people(folder)[:count]]


def environment(*, training: bool = False, build: Path = ROOT) -> dict[str, str]:
    """The environment of a child: only the server's needs, and the path of its code.

    Without `training` the child runs as if the `train` extra were not installed, and starts sooner.
    `build` is the folder of the code.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    paths = [build, build / "proto"]
    if not training:
        paths.insert(0, ROOT / "tests" / "without_training")
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, paths))}


def command(*arguments: str, module: str = "service.cli") -> list[str]:
    """The command line of a shell command."""
    return [sys.executable, "-m", module, *arguments]


def run(*arguments: str, stdin: str = "", build: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a command of the shell, of this build or another one, to its end."""
    if build != ROOT:
        return subprocess.run(
            command(*arguments), input=stdin, capture_output=True, text=True, check=False,
            env=environment(build=build), cwd=build, timeout=START_TIMEOUT_S,
        )  # fmt: skip
    return freehold(*arguments, stdin=stdin, environment=environment(), cwd=ROOT)


class Server:
    """One server process; its log is read line by line."""

    def __init__(
        self,
        database: str,
        model: Path,
        listen: str,
        *options: str,
        module: str = "service.cli",
        build: Path | str = ROOT,
        **variables: str,
    ) -> None:
        """`module` runs in place of the command, with further environment variables."""
        words = command("serve", "--listen", listen, "--database", database, module=module)
        self.log, build = "", Path(build)
        # Only this build's code is there to be forked.
        start: Any = Forked if build == ROOT else subprocess.Popen
        self.process = start(
            [*words, "--model", str(model), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**environment(build=build), **variables},
            cwd=build,
        )

    def _read(self, seconds: float) -> bool:
        """Reads the log's output within this time; False at its end."""
        assert self.process.stderr is not None
        ready, _, _ = select.select([self.process.stderr], [], [], seconds)
        if not ready:
            return True
        portion = os.read(self.process.stderr.fileno(), 65_536)
        self.log += portion.decode()
        return bool(portion)

    def drain(self) -> None:
        """Reads the log's output so far, because a server with a full log pipe may have to wait."""
        assert self.process.stderr is not None
        while select.select([self.process.stderr], [], [], 0)[0] and self._read(0):
            pass

    def wait_for(self, event: str) -> dict[str, Any]:
        """The first log line with this event; fails when the process ends before it."""
        end = time.monotonic() + START_TIMEOUT_S
        open_ = True
        while time.monotonic() < end:
            for line in self.log.split("\n")[:-1]:
                found = json.loads(line) if line.startswith("{") else {}
                if found.get("event") == event:
                    return dict(found)
            assert open_, f"the server ended without {event!r}:\n{self.log[-3000:]}"
            open_ = self._read(0.5)
        raise AssertionError(f"no {event!r} in time:\n{self.log[-3000:]}")

    def read_until(self, text: str) -> None:
        """Reads the log's output until this text; fails when the process ends before it."""
        end = time.monotonic() + START_TIMEOUT_S
        while text not in self.log:
            assert time.monotonic() < end, f"no {text!r} in time:\n{self.log[-3000:]}"
            assert self._read(0.5), f"the server ended without {text!r}:\n{self.log[-3000:]}"

    def lines(self) -> list[dict[str, Any]]:
        """Whole lines of the log; each must be a JSON object."""
        found = []
        for line in self.log.split("\n")[:-1]:
            try:
                parsed = json.loads(line)
            except ValueError:
                parsed = None
            assert isinstance(parsed, dict), f"a line of the log is no JSON object:\n{self.log}"
            found.append(parsed)
        return found

    def events(self) -> list[str]:
        """The events of the log in order, without other output between them."""
        lines = self.log.split("\n")[:-1]
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]

    def kill(self) -> None:
        """SIGKILL, and the process is gone."""
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)

    def terminate(self) -> int:
        """SIGTERM; the exit code, with the whole log read."""
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self) -> int:
        """Reads the log to its end and returns the exit code."""
        end = time.monotonic() + STOP_TIMEOUT_S
        while self._read(0.5):
            assert time.monotonic() < end, "the server did not stop"
        code: int = self.process.wait(STOP_TIMEOUT_S)
        return code

    def close(self) -> None:
        """Ends the process in any state."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)
        if self.process.stderr is not None:
            self.process.stderr.close()


@contextmanager
def server(
    database: str,
    model: Path,
    listen: str,
    *options: str,
    module: str = "service.cli",
    build: Path | str = ROOT,
    **variables: str,
) -> Iterator[Server]:
    """A server process, of this build or another one, that does not outlive the block."""
    started = Server(database, model, listen, *options, module=module, build=build, **variables)
    try:
        yield started
    finally:
        started.close()


def prepare(database: str, operator_id: str = "city", build: Path = ROOT) -> tuple[str, str]:
    """A migrated database with an operator; its key and the platform's."""
    assert run("migrate", "--database", database, build=build).returncode == 0
    keys = []
    for words in (
        ["operator", "create", operator_id, "--name", "City"],
        ["platform", "create-key"],
    ):
        done = run(*words, "--database", database, "--json", build=build)
        assert done.returncode == 0, done.stderr
        keys.append(json.loads(done.stdout)["api_key"])
    return keys[0], keys[1]


def one_line(text: str) -> str:
    """The only line of a message for people; fails on a traceback."""
    lines: Sequence[str] = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]
