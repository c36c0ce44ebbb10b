"""Finds PostgreSQL's tools of the server's version.

Dumps by newer tools do not fit the server: pg_dump 17 writes settings that PostgreSQL 15 does not
know, and pg_restore 15 does not read dumps of pg_dump 17. Older tools refuse a newer server. So
only the tools of the server's own major version are used.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from service.storage.proof import BackupRefused

VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
# The places of the packages of Debian, Red Hat and Homebrew, with several versions side by side.
PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)
ANSWER_S = 10.0
MOST_NAMED = 4


class Tools(NamedTuple):
    """The programs of one folder."""

    pg_dump: str
    pg_restore: str


def tools_for(server_version: int, folder: Path | None) -> Tools:
    """The tools of a server's major version; `server_version` is libpq's number (150018).

    With `folder` (`--postgres-bin`), only that folder is searched; otherwise PATH, the folder named
    by pg_config, and the places of packages. Raises BackupRefused.
    """
    major = server_version // 10_000
    found: list[str] = []
    for place in _folders() if folder is None else [folder]:
        dump, restore = (shutil.which(name, path=str(place)) for name in Tools._fields)
        if dump is None or restore is None:
            continue
        version, its_major = _version(dump)
        if its_major == major and _version(restore)[1] == major:
            return Tools(dump, restore)
        found.append(f"{version} in {place}")
    what = f"pg_dump and pg_restore {major} are needed, as the server is"
    what = f"{what} {major}.{server_version % 10_000}"
    more = "; …" if len(found) > MOST_NAMED else ""
    where = "none in PATH" if folder is None else f"none in {folder}"
    seen = f"found {', '.join(found[:MOST_NAMED])}{more}" if found else where
    raise BackupRefused("TOOL_MISSING", f"{what}: {seen}: give --postgres-bin FOLDER")


def _folders() -> Iterator[Path]:
    """Folders that may contain the tools, each once; the user's own first."""
    seen: set[str] = set()
    for place in (*_in_path(), *_told(), *_packaged()):
        real = os.path.realpath(place)
        if real not in seen and place.is_dir():
            seen.add(real)
            yield place


def _in_path() -> list[Path]:
    words = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [Path(word) for word in words if word]


def _told() -> list[Path]:
    """The folder named by pg_config, if it is installed."""
    said = _said("pg_config", "--bindir")
    return [Path(said)] if said else []


def _packaged() -> list[Path]:
    root = Path("/")
    return [it for place in PLACES for it in sorted(root.glob(place[1:]), reverse=True)]


def _version(tool: str) -> tuple[str, int]:
    """A tool's version and its major part; ("unknown", 0) if it prints none."""
    told = VERSION.search(_said(tool, "--version"))
    return (told[1], int(told[2])) if told else ("unknown", 0)


def _said(*words: str) -> str:
    """The output of a program; empty if it does not run."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_S,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
