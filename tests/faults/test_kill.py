"""The server killed and stopped under load: every acknowledged call is stored, once.

The load, the kills and the checker are those of `python -m benchmarks crash`, on a small scale;
`tests/benchmarks/test_crash.py` shows that they find a build which answers too early.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.crash import Plan, jobs, run, shortcomings
from benchmarks.crash_check import Checker
from benchmarks.crash_crowd import Crowd
from benchmarks.crash_sites import POSTGRESQL, SERVER, PostgresSite, Site, SqliteSite
from benchmarks.postgres import Cluster
from benchmarks.prepared import serve_url
from benchmarks.processes import free_port

# With this seed PostgreSQL is killed too.
PLAN = Plan(rounds=3, acknowledged=150, clients=2, seed=2)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory, model: Path) -> SqliteSite:
    return SqliteSite(tmp_path_factory.mktemp("sqlite"), model, PLAN.people, PLAN.seed)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[PostgresSite]:
    with Cluster(safe=True) as cluster:
        work = tmp_path_factory.mktemp("postgres")
        yield PostgresSite(cluster, work, model, PLAN.people, PLAN.seed)


@pytest.mark.parametrize(
    ("kind", "victims"), [("sqlite", {SERVER}), ("postgres", {SERVER, POSTGRESQL})]
)
def test_kill_under_load_loses_and_doubles_nothing(
    kind: str, victims: set[str], request: pytest.FixtureRequest, tmp_path: Path, model: Path
) -> None:
    """After the server or PostgreSQL is killed during the load, every acknowledged call is stored.

    Each is stored once, with the answered bytes, and the books verify after every kill.
    """
    site: Site = request.getfixturevalue(kind)
    outcome = run(PLAN, site, model, tmp_path, lambda _: None)
    assert shortcomings(outcome) == []
    assert outcome.kills.keys() == victims
    assert outcome.rounds == outcome.kills_in_flight == PLAN.rounds
    assert outcome.findings.checks == PLAN.rounds + 1
    assert outcome.findings.acknowledged.keys() == {
        "Authorize",
        "ConfirmAuthorization",
        "SettleAuthorization",
        "ReverseAuthorization",
        "RecordPayment",
    }


def test_a_stop_answers_accepted_calls(tmp_path: Path, model: Path, sqlite: SqliteSite) -> None:
    """SIGTERM drains: every committed call is answered, and the process logs its stop in the last
    line and exits with 0."""
    url, port = sqlite.fresh(tmp_path), free_port()
    with Crowd(jobs(PLAN, sqlite, port), tmp_path) as crowd:
        checker = Checker(crowd.fresh(tmp_path))
        with serve_url(url, model, tmp_path / "server.log", port=port) as server:
            crowd.run(16)
            crowd.wait_told(200, 60.0)
        crowd.halt()
    assert server.stopped["commands"] >= 200
    unanswered = checker.check(url, settled=False)
    assert unanswered > 0
    assert checker.findings.unknown_committed == 0
    assert checker.findings.faults == []
