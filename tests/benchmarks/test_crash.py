"""The faults that the crash benchmark finds, and the runs that it does not accept as a proof."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import crash
from benchmarks.__main__ import main
from benchmarks.crash_check import Checker, Findings
from benchmarks.crash_crowd import Crowd
from benchmarks.crash_history import Line, Reader, Recorder
from benchmarks.crash_sites import SqliteSite
from benchmarks.harness import BenchmarkError
from benchmarks.postgres import children
from benchmarks.prepared import serve_url
from benchmarks.processes import free_port

PLAN = crash.Plan(rounds=3, acknowledged=150, clients=2, seed=2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, model: Path) -> SqliteSite:
    return SqliteSite(tmp_path_factory.mktemp("site"), model, PLAN.people, PLAN.seed)


@dataclass(frozen=True)
class Left:
    """A database after some load, with every call answered, and its clients' logs."""

    database: Path
    histories: list[Path]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, model: Path, site: SqliteSite) -> Left:
    folder = tmp_path_factory.mktemp("original")
    url, port = site.fresh(folder), free_port()
    with Crowd(crash.jobs(PLAN, site, port), folder) as crowd:
        histories = crowd.fresh(folder)
        with serve_url(url, model, folder / "server.log", port=port):
            crowd.run(16)
            crowd.wait_told(300, 60.0)
            crowd.settle()
    return Left(folder / "freehold.db", histories)


@pytest.fixture
def left(original: Left, tmp_path: Path) -> Left:
    """A copy for a test to change."""
    return Left(
        Path(shutil.copy(original.database, tmp_path)),
        [Path(shutil.copy(path, tmp_path)) for path in original.histories],
    )


def check(left: Left) -> Findings:
    checker = Checker(left.histories)
    checker.check(f"sqlite:///{left.database}", settled=True)
    return checker.findings


def change(left: Left, *statements: str) -> None:
    """Changes the database by SQL, without its checks and triggers."""
    with closing(sqlite3.connect(left.database)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0
        connection.commit()


def test_an_unchanged_database_has_no_fault(left: Left) -> None:
    """A database that was not changed has no fault."""
    findings = check(left)
    assert findings.right
    assert findings.acknowledged.total() >= 250
    assert findings.unknown == 0


SETTLED = "(SELECT min(request_id) FROM requests WHERE method = 'SettleAuthorization')"
REVERSED = "(SELECT min(request_id) FROM requests WHERE method = 'ReverseAuthorization')"
PAID = "(SELECT min(payment_reference) FROM payments)"


@pytest.mark.parametrize(
    ("statement", "lost", "doubled", "said"),
    [
        (f"DELETE FROM requests WHERE request_id = {SETTLED}", True, True, "has no record"),
        (f"UPDATE requests SET answer = x'0a00' WHERE request_id = {SETTLED}",
         False, False, "another answer than was told"),
        (f"UPDATE requests SET body = x'' WHERE request_id = {SETTLED}",
         False, False, "another call than was sent"),
        (f"UPDATE requests SET request_id = 'nobodys' WHERE request_id = {SETTLED}",
         True, False, "nobody sent it"),
        (f"UPDATE requests SET caller = '-', request_id = {SETTLED} WHERE request_id = {REVERSED}",
         True, True, "two request records"),
        ("DELETE FROM authorizations", True, False, "its authorization is not there"),
        ("UPDATE authorizations SET version = version + 1", False, True, "changed"),
        ("UPDATE authorizations SET version = version - 1 WHERE version > 1",
         True, False, "did not change"),
        ("UPDATE authorizations SET captured_minor = captured_minor + 1",
         False, False, "asked for"),
        ("UPDATE authorizations SET product_id = 'boat'", False, False, "does not stand as"),
        (f"DELETE FROM payments WHERE payment_reference = {PAID}",
         True, False, "its payment is not there"),
        (f"UPDATE payments SET payment_reference = 'again' WHERE payment_reference = {PAID}",
         True, True, "paid more than once"),
        ("DELETE FROM entries WHERE sequence = 2", False, False, "books"),
        ("UPDATE lines SET available_minor = available_minor + 1", False, False, "books"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_found(
    left: Left, statement: str, lost: bool, doubled: bool, said: str
) -> None:
    """A row that is gone, changed or doubled is found and counted as that."""
    change(left, statement)
    findings = check(left)
    assert not findings.right
    assert (bool(findings.lost), bool(findings.doubled)) == (lost, doubled), findings.faults
    assert [sentence for sentence in findings.faults if said in sentence]


def test_two_answers_to_one_call_are_a_double(left: Left) -> None:
    """A call with two different answers counts as doubled."""
    lines = list(Reader(left.histories[0]).new_lines())
    told = next(line for line in lines if line.kind == "told")
    recorder = Recorder(left.histories[0])
    recorder.write(told._replace(content=b"\x0a\x00"))
    recorder.close()
    assert check(left).doubled == {told.request_id}


def test_unknown_calls_that_had_committed_are_counted(left: Left) -> None:
    """A call without an answer that is stored before any retry counts as committed, and must
    stay."""
    kept = [list(Reader(path).new_lines()) for path in left.histories]
    unknown = next(line for line in kept[0] if line.kind == "told")
    left.histories[0].unlink()
    recorder = Recorder(left.histories[0])
    for line in kept[0]:
        if line.request_id != unknown.request_id or line.kind != "told":
            recorder.write(line)
    recorder.write(Line("unknown", unknown.request_id, why="UNAVAILABLE"))
    recorder.flush()
    checker, url = Checker(left.histories), f"sqlite:///{left.database}"
    assert checker.check(url, settled=False) == 1
    assert checker.findings.right
    assert (checker.findings.unknown, checker.findings.unknown_committed) == (1, 1)
    recorder.write(unknown)
    recorder.close()
    assert checker.check(url, settled=True) == 0
    assert checker.findings.right
    assert checker.findings.unknown_committed == 1
    change(left, f"DELETE FROM requests WHERE request_id = '{unknown.request_id}'")
    checker.check(url, settled=True)
    assert unknown.request_id in checker.findings.lost


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("UNAVAILABLE STORAGE_UNAVAILABLE", "and it is recorded"),
        ("INTERNAL INTERNAL", "was refused"),
    ],
)
def test_an_untrue_refusal_is_found(left: Left, why: str, said: str) -> None:
    """A stored call that its client saw refused, or reported as unwritten, is a fault."""
    lines = list(Reader(left.histories[0]).new_lines())
    last = next(line for line in reversed(lines) if line.kind == "told")
    left.histories[0].unlink()
    recorder = Recorder(left.histories[0])
    for line in lines:
        if line.request_id != last.request_id or line.kind != "told":
            recorder.write(line)
    kind = "refused" if why.startswith("INTERNAL") else "unknown"
    recorder.write(Line(kind, last.request_id, why=why))  # type: ignore[arg-type]
    recorder.close()
    checker = Checker(left.histories)
    checker.check(f"sqlite:///{left.database}", settled=False)
    assert [sentence for sentence in checker.findings.faults if said in sentence]


def test_a_build_that_answers_before_it_commits_fails(
    tmp_path: Path, model: Path, site: SqliteSite
) -> None:
    """The same run on a server that commits 20 ms after its answers finds lost calls."""
    plan = crash.Plan(rounds=3, acknowledged=150, clients=2, seed=2, defect="answer-before-commit")
    outcome = crash.run(plan, site, model, tmp_path, lambda _: None)
    assert outcome.rounds == 3
    assert outcome.findings.lost
    assert "acknowledged calls are lost" in crash.shortcomings(outcome)[0]


def outcome(
    *, lost: int = 0, doubled: int = 0, faults: int = 0, acknowledged: int = 1000,
    committed: int = 5, rounds: int = 100, in_flight: int = 100,
) -> crash.Outcome:  # fmt: skip
    findings = Findings(
        lost={f"l{n}" for n in range(lost)},
        doubled={f"d{n}" for n in range(doubled)},
        faults=["a fault"] * faults,
        acknowledged=Counter({"Authorize": acknowledged}),
        unknown=100,
        unknown_committed=committed,
        checks=rounds,
    )
    return crash.Outcome(
        findings, Counter({"server": rounds}), in_flight, [20.0] * rounds, [1.5] * rounds, 7, 90.0
    )


def test_a_proving_run_has_no_shortcomings() -> None:
    """A run passes if no call is lost, doubled or faulty, if calls were in flight at its kills, and
    if some calls with an unknown outcome were committed."""
    assert crash.shortcomings(outcome()) == []
    # All of a few kills may miss the moment between commit and answer.
    assert crash.shortcomings(outcome(committed=0, rounds=5)) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (outcome(lost=2), "2 acknowledged calls are lost"),
        (outcome(doubled=1), "1 calls are doubled"),
        (outcome(faults=1), "a fault"),
        (outcome(acknowledged=0), "nothing was acknowledged"),
        (outcome(in_flight=0), "no kill came with calls in flight"),
        (outcome(committed=0), "idle moments"),
    ],
)
def test_shortcomings_are_reported(
    found: crash.Outcome, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every shortcoming of a run is printed, the figures are written, and the exit code is 1."""
    described = {"version": "SQLite 3", "file_system": "ext4"}
    monkeypatch.setattr(crash, "_measure", lambda *_: (found, described))
    out = tmp_path / "crash.json"
    result = CliRunner().invoke(main, ["crash", "--folder", str(tmp_path), "--json", str(out)])
    assert result.exit_code == 1, result.output
    assert said in result.output
    assert json.loads(out.read_text())["lost"] == len(found.findings.lost)
    assert list(tmp_path.glob("crash-*")), "what a failed run leaves is kept"


def test_json_and_table_carry_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON has the seven figures of the claim, and the table has them in words."""
    described = {"version": "SQLite 3", "file_system": "ext4"}
    monkeypatch.setattr(crash, "_measure", lambda *_: (outcome(), described))
    out = tmp_path / "crash.json"
    result = CliRunner().invoke(main, ["crash", "--folder", str(tmp_path), "--json", str(out)])
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    wanted = {
        "name": "crash", "ratio": 1.0, "rounds": 100, "lost": 0, "doubled": 0,
        "acknowledged": 1000, "unknown": 100, "unknown_committed": 5, "kills_in_flight": 100,
        "kills": {"server": 100}, "books_verified": 100, "faults": [], "defect": None,
    }  # fmt: skip
    assert {name: content[name] for name in wanted} == wanted
    assert "0 lost, 0 doubled" in " ".join(result.output.split())
    assert not list(tmp_path.glob("crash-*"))


def test_an_interrupted_run_ends_its_processes(
    tmp_path: Path, model: Path, site: SqliteSite
) -> None:
    """When the run fails in the middle, none of its servers and clients is left."""

    def fails(_: crash.Outcome) -> None:
        raise BenchmarkError("enough")

    before = children(os.getpid())
    with pytest.raises(BenchmarkError, match="enough"):
        crash.run(PLAN, site, model, tmp_path, fails)
    assert children(os.getpid()) == before
