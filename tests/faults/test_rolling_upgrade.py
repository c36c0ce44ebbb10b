"""Servers are upgraded one by one while calls go on."""

from __future__ import annotations

import shutil
from pathlib import Path

from service.storage.database import open_database
from service.storage.migrate import MIGRATIONS, Schema, head_revision, schema_of
from tests.faults.rolling import roll
from tests.faults.support import ROOT
from tests.postgres import Cluster
from tests.storage.next_build import ADDS, WIDENS, migration_of_next_build


def next_build(folder: Path) -> Path:
    """A folder with the next build: this code with one more migration."""
    shutil.copytree(
        ROOT / "service", folder / "service", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("proto", "models", "tests"):
        (folder / name).symlink_to(ROOT / name)
    versions = folder / MIGRATIONS.relative_to(ROOT) / "versions"
    migration_of_next_build(versions, ADDS + WIDENS)
    return folder


def test_servers_are_upgraded_one_by_one_under_load(
    cluster: Cluster, model: Path, tmp_path: Path
) -> None:
    """Two servers of this build work on one PostgreSQL under load. The next build migrates the
    database, and replaces them one after the other. No call is lost: each succeeds, at the latest
    when it is sent again with the same id to the other server. The books verify."""
    name = cluster.empty()
    url = cluster.url(name)
    crowd = roll(url, model, ROOT, next_build(tmp_path / "next"))
    assert crowd.settled > 0
    engine = open_database(url)
    assert schema_of(engine) is Schema.NEWER, head_revision()
    engine.dispose()
    cluster.drop(name)
