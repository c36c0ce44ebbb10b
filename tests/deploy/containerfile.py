"""Reads a container file, and runs its steps in a plain folder in place of an image."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

KNOWN = frozenset({
    "ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "USER", "EXPOSE", "STOPSIGNAL",
    "HEALTHCHECK", "ENTRYPOINT", "CMD",
})  # fmt: skip


class Step(NamedTuple):
    """One instruction: its word, and the rest of its line."""

    word: str
    text: str


def steps(text: str) -> list[Step]:
    """The instructions of a container file, with continued lines joined."""
    lines = [it for it in text.splitlines() if not it.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = [Step(*it.split(None, 1)) for it in joined.splitlines() if it.strip()]
    assert {it.word for it in found} <= KNOWN
    return found


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether a path of the context stays out, by the lines of a .dockerignore file."""
    out = False
    for pattern in patterns:
        wanted, keeps = pattern.lstrip("!"), pattern.startswith("!")
        forms = [wanted, f"{wanted}/*"]
        if wanted.startswith("**/"):
            forms += [wanted[3:], f"{wanted[3:]}/*", f"*/{wanted[3:]}", f"*/{wanted[3:]}/*"]
        if any(fnmatch.fnmatchcase(path, form) for form in forms):
            out = not keeps
    return out


class Image:
    """A folder in which the steps are run; the image's absolute paths lie below it."""

    def __init__(self, root: Path, context: Path, ignore: list[str]) -> None:
        self._root = root
        self._context = context
        self._ignore = ignore
        self._folder = "/"
        self.environment: dict[str, str] = {}
        self.entry: list[str] = []
        self.command: list[str] = []
        self.health: list[str] = []
        self.user = "0"
        self.volumes: list[str] = []
        self.done: list[Step] = []

    def path(self, inside: str) -> Path:
        """The place of a path of the image; relative ones are below the working folder."""
        return self._root / os.path.join(self._folder, inside).lstrip("/")

    def run(self, step: Step) -> None:
        """Runs one step; raises on any failure."""
        match step.word:
            case "WORKDIR":
                self._folder = os.path.join(self._folder, step.text)
                self.path(".").mkdir(parents=True, exist_ok=True)
            case "COPY":
                *sources, target = step.text.split()
                for source in sources:
                    self._copy(source, target)
            case "RUN":
                self._shell(step.text)
            case "ENV":
                pairs = (it.split("=", 1) for it in shlex.split(step.text))
                self.environment.update(dict(pairs))
            case "VOLUME":
                self.volumes.append(step.text)
                assert self.path(step.text).is_dir()
            case "USER":
                self.user = step.text
            case "HEALTHCHECK":
                self.health = json.loads(step.text.partition("CMD")[2])
            case "ENTRYPOINT":
                self.entry = json.loads(step.text)
            case "CMD":
                self.command = json.loads(step.text)
        self.done.append(step)

    def _copy(self, source: str, target: str) -> None:
        place = self.path(target)
        if (self._context / source).is_file():
            assert not ignored(source, self._ignore), source
            place = place / Path(source).name if target.endswith("/") else place
            shutil.copy(self._context / source, place)
            return
        for name in self._files(source):
            to = place / Path(name).relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._context / name, to)

    def _files(self, source: str) -> Iterator[str]:
        """The files of a folder of the context that are not ignored."""
        for path in sorted((self._context / source).rglob("*")):
            name = path.relative_to(self._context).as_posix()
            if path.is_file() and not ignored(name, self._ignore):
                yield name

    def _shell(self, text: str) -> None:
        done = subprocess.run(
            ["sh", "-c", self.mapped(text)],
            cwd=self.path("."),
            env={"PATH": os.environ["PATH"], "HOME": str(self._root), **_pip_variables()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"

    def mapped(self, text: str) -> str:
        """A text with the image's own paths as they are here; programs of the base stay."""
        return re.sub(r"(?<![\w./])/(?=opt/|usr/src/|var/lib/)", f"{self._root}/", text)

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        """The environment of the image's processes."""
        mine = {name: self.mapped(value) for name, value in self.environment.items()}
        mine["PATH"] = ":".join(map(self.mapped, self.environment["PATH"].split(":")))
        return {**mine, **more}


def _pip_variables() -> dict[str, str]:
    """The variables that pip needs here to reach an index."""
    return {name: it for name, it in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
