"""The databases on which attacks are played: people only, with rentals, and with many rows."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import BenchmarkError
from benchmarks.load import Job, generate
from benchmarks.prepared import PRODUCT, Prepared, checkpoint, copy, fill, serve
from benchmarks.processes import command, two_cores

PEOPLE, RENTALS, ROWS = "people", "rentals", "rows"
CROWD = "crowd"
_IN_FLIGHT = 64
# An id has 26 characters of the ids' alphabet; these are later than those of real rentals.
_FILL = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :rows)
INSERT INTO authorizations ({columns})
SELECT {values} FROM number, (SELECT * FROM authorizations
  WHERE held_credit_minor + held_cash_minor + captured_minor + received_minor = 0 LIMIT 1)
"""


@dataclass(frozen=True)
class Ground:
    """A prepared server's database, and the keys of everybody in it.

    good          the good caller's prepared server; its `users` are unused people
    crowd_key     API key of the attacking operator
    platform_key  API key of the platform
    crowd         people for the attacker
    """

    good: Prepared
    crowd_key: str
    platform_key: str
    crowd: tuple[str, ...]


def people(work: Path, model: Path, count: int, seed: int) -> Ground:
    """A database with people only; a third of them is the attacker's."""
    database = work / f"{PEOPLE}.db"
    url = f"sqlite:///{database}"
    filled = fill(url, model, work / "prepare.log", count, seed)
    made = json.loads(
        command(
            "service.cli", "operator", "create", CROWD, "--name", CROWD, "--fee-bps", "300",
            "--database", url, "--json",
        )
    )  # fmt: skip
    third = count // 3
    prepared = Prepared(checkpoint(database), model, filled.operator_key, filled.users[: 2 * third])
    return Ground(prepared, made["api_key"], filled.platform_key, filled.users[2 * third :])


def with_rentals(ground: Ground, work: Path, count: int) -> Path:
    """A copy of the database in which the attacker's people have asked for this many rentals."""
    database = copy(ground.good, work / f"{RENTALS}.db")
    users = (ground.crowd * (count // len(ground.crowd) + 1))[:count]
    server_core, load_core = two_cores()
    with serve(database, ground.good, work / "rentals.log", server_core) as server:
        job = Job(
            port=server.port, server_pid=server.pid, key=ground.crowd_key, product_id=PRODUCT,
            in_flight=_IN_FLIGHT, warm_up=1, users=users, seed=3,
        )  # fmt: skip
        report = generate(job, core=load_core)
    if report.errors:
        raise BenchmarkError(f"rentals could not be made: {'; '.join(report.first_errors)}")
    return checkpoint(database)


def with_rows(rentals: Path, work: Path, count: int) -> Path:
    """A copy of the database with this many more rows of declined authorizations, made by SQL."""
    database = work / f"{ROWS}.db"
    database.write_bytes(rentals.read_bytes())
    changed = {
        "authorization_id": "'ZZ' || printf('%024d', n)",
        "request_id": "'row-' || n",
        "state": "'DECLINED'",
        "wake_us": "NULL",
        "expire_us": "NULL",
        "asset_id": "''",
        "group_id": "''",
    }
    with closing(sqlite3.connect(database)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(authorizations)")]
        values = [changed.get(name, name) for name in columns]
        statement = _FILL.format(columns=", ".join(columns), values=", ".join(values))
        connection.execute(statement, {"rows": count})
        made = connection.total_changes
        connection.execute("ANALYZE")
        connection.commit()
    if made != count:
        raise BenchmarkError(f"only {made} of {count} rows could be made")
    return checkpoint(database)
