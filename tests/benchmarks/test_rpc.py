"""The rpc benchmark's messages, sums and refusals."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    ReverseAuthorizationRequest,
    ReverseAuthorizationResponse,
    SettleAuthorizationRequest,
    SettleAuthorizationResponse,
)

from benchmarks import (
    certificate,
    echo,
    harness,
    load,
    prepared,
    processes,
    rpc,
    rpc_figures,
    scrape,
)
from benchmarks.__main__ import main
from benchmarks.harness import BenchmarkError, Quartiles
from models import dataset
from tests.models.small_tables import A, B, spec_of

_ROOT = Path(__file__).resolve().parents[2]
_JOB = load.Job(
    port=1, server_pid=1, key="k", product_id="bike", in_flight=4, warm_up=2,
    users=tuple(f"u{n}" for n in range(40)), seed=7,
)  # fmt: skip

_REPORT = load.Report(
    acknowledged=10, errors=0, first_errors=[], calls_per_s=1000.0, latency_ms_p50=1.0,
    latency_ms_p99=2.0, latency_ms_max=3.0, wall_s=1.0, load_cpu_share=0.5, server_cpu_share=0.9,
    other_cpu_share=0.0, server_cpu_us=200.0, states={"ACTIVE": 10}, moved=10, request_bytes=90.0,
    response_bytes=250.0, sample="",
)  # fmt: skip

_STOPPED = {"batches": 5, "commands": 20, "batch_mean": 4.0, "batch_histogram": {"4": 5}}


def _table(path: Path, states: list[str]) -> Path:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE authorizations (state TEXT)")
    connection.executemany("INSERT INTO authorizations VALUES (?)", [(s,) for s in states])
    connection.commit()
    connection.close()
    return path


def test_every_message_is_distinct() -> None:
    """Each call has a valid version 4 request id, and its own person and item."""
    sent = [AuthorizeRequest.FromString(m) for m in load.messages(_JOB)]
    assert len({m.request_id for m in sent}) == len(sent)
    assert all(m.request_id[14] == "4" and len(m.request_id) == 36 for m in sent)
    assert tuple(m.user_id for m in sent) == _JOB.users
    assert len({m.asset_id for m in sent}) == len(sent)
    assert {m.start for m in sent} == {AuthorizeRequest.START_IMMEDIATE}


def test_messages_follow_from_the_seed() -> None:
    """The same seed gives both servers the same bytes; the seed of another round gives different
    bytes."""
    assert load.messages(_JOB) == load.messages(replace(_JOB, port=2, in_flight=9))
    assert not set(load.messages(_JOB)) & set(load.messages(replace(_JOB, seed=8)))


def test_every_settlement_is_distinct_and_known_to_earlier_builds() -> None:
    """Each settlement bills the usage of its own rental under its own request id, in fields that
    the first builds had; the same seed gives the same bytes."""
    names = [f"users/u{n}/authorizations/{n:020d}" for n in range(40)]
    made = load.settlements(_JOB, names)
    sent = [SettleAuthorizationRequest.FromString(m) for m in made]
    assert [m.name for m in sent] == names
    assert len({m.request_id for m in sent}) == len(sent)
    assert {tuple(f.name for f, _ in m.ListFields()) for m in sent} == {
        ("request_id", "name", "usage")
    }
    assert made == load.settlements(replace(_JOB, port=2), names)
    assert not set(made) & set(load.settlements(replace(_JOB, seed=8), names))
    authorized = {AuthorizeRequest.FromString(m).request_id for m in load.messages(_JOB)}
    assert not authorized & {m.request_id for m in sent}


def test_every_reversal_is_distinct_and_known_to_earlier_builds() -> None:
    """Each reversal releases its own rental under its own request id, in fields that the first
    builds had."""
    names = [f"users/u{n}/authorizations/{n:020d}" for n in range(40)]
    sent = [ReverseAuthorizationRequest.FromString(m) for m in load.reversals(_JOB, names)]
    assert [m.name for m in sent] == names
    assert {tuple(f.name for f, _ in m.ListFields()) for m in sent} == {("request_id", "name")}
    used = {SettleAuthorizationRequest.FromString(m).request_id
            for m in load.settlements(_JOB, names)}  # fmt: skip
    assert len({m.request_id for m in sent} - used) == 40


def test_people_are_distinct_and_real() -> None:
    """Each person has a real row's values without the missing ones; repeated rows get new ids."""
    data = dataset.Dataset(
        spec=spec_of([A, B]), ids=("a", "b", "c"), row=np.arange(1, 4),
        raw=np.array([[1.0, 10.0], [2.0, math.nan], [3.0, 30.0]]),
        label=np.zeros(3, dtype=np.int8), sha256="",
    )  # fmt: skip
    real = {"a": {"x": 1.0, "y": 10.0}, "b": {"x": 2.0}, "c": {"x": 3.0, "y": 30.0}}
    found = list(prepared.people(data, ("x", "y"), 7, seed=1))
    ids = [person.user_id for person in found]
    assert sorted(ids[:3]) == ["a", "b", "c"]
    assert ids[3:6] == [f"{one}~1" for one in ids[:3]]
    assert ids[6] == f"{ids[0]}~2"
    for person in found:
        assert dict(person.features) == real[person.user_id[0]]
        assert person.scoring_consent


def test_missing_rows_fail_the_benchmark(tmp_path: Path) -> None:
    """Fewer rows in the database than calls answered with OK is a failure; more is not."""
    rows = prepared.count_rows(_table(tmp_path / "a.db", ["ACTIVE"] * 8 + ["DECLINED"]))
    assert rows == {"ACTIVE": 8, "DECLINED": 1}
    rpc_figures.check_rows(rows, 9, load.AUTHORIZE)
    rpc_figures.check_rows(rows, 8, load.AUTHORIZE)
    with pytest.raises(BenchmarkError, match=r"10 calls .* only 9 authorizations"):
        rpc_figures.check_rows(rows, 10, load.AUTHORIZE)


def test_rentals_that_were_not_settled_fail_the_benchmark(tmp_path: Path) -> None:
    """For Settle only settled rows count; rows that were only authorized do not."""
    rows = prepared.count_rows(_table(tmp_path / "a.db", ["SETTLED"] * 5 + ["ACTIVE"] * 4))
    rpc_figures.check_rows(rows, 5, load.SETTLE)
    with pytest.raises(BenchmarkError, match=r"6 calls .* only 5 settled authorizations"):
        rpc_figures.check_rows(rows, 6, load.SETTLE)
    with pytest.raises(BenchmarkError, match=r"1 calls .* only 0 reversed authorizations"):
        rpc_figures.check_rows(rows, 1, load.REVERSE)


def test_answers_without_money_fail_the_benchmark() -> None:
    """If most calls moved no money, the figure would be one of declines, so the run fails."""
    rpc_figures.check_moved(50, 100)
    with pytest.raises(BenchmarkError, match="49 of 100"):
        rpc_figures.check_moved(49, 100)


def test_a_level_sums_up_its_rounds() -> None:
    """A level is the median of its rounds' ratios, with the sum of its answers."""
    echoes = [replace(_REPORT, calls_per_s=c) for c in (1000.0, 2000.0, 1000.0)]
    authorizes = [
        replace(_REPORT, calls_per_s=c, latency_ms_p99=6.0, server_cpu_us=400.0)
        for c in (600.0, 1000.0, 700.0)
    ]
    level = rpc_figures.level_of(64, echoes, authorizes, [_STOPPED], {"ACTIVE": 30})
    assert (level.ratio.median, level.ratio.min, level.ratio.max) == (0.6, 0.5, 0.7)
    assert level.p99_ratio.median == 3.0
    assert level.cpu_ratio.median == 0.5
    assert level.batch_mean == 4.0
    assert level.batches == {"4": 5}
    assert level.acknowledged == 30
    assert level.moved == 30


def test_builds_are_compared_within_a_round() -> None:
    """In each round, this build's time and CPU of a call are divided by the other build's."""
    echoes = [replace(_REPORT, calls_per_s=c) for c in (2000.0, 4000.0, 1000.0)]
    here = [
        replace(_REPORT, calls_per_s=c, server_cpu_us=u)
        for c, u in ((500.0, 330.0), (1000.0, 150.0), (250.0, 600.0))
    ]
    beside = [
        replace(_REPORT, calls_per_s=c, server_cpu_us=u)
        for c, u in ((550.0, 300.0), (900.0, 100.0), (300.0, 500.0))
    ]
    found = rpc_figures.beside_of("abc", echoes, here, beside, [_STOPPED])
    assert found.revision == "abc"
    assert found.time_ratio == Quartiles(1.1, 0.9, 1.2, 0.9, 1.2)
    assert found.cpu_ratio == Quartiles(1.2, 1.1, 1.5, 1.1, 1.5)
    assert (found.ratio.median, found.ratio.min, found.ratio.max) == (0.275, 0.225, 0.3)
    assert found.freehold.calls_per_s.median == 550.0
    assert found.batch_mean == 4.0


@pytest.mark.parametrize("text", ["", "8,", "0", "8,8", "eight"])
def test_invalid_levels_are_refused(text: str) -> None:
    """The numbers of calls in flight must be distinct positive integers; otherwise the command
    reports an error."""
    result = CliRunner().invoke(main, ["rpc", "--in-flight", text])
    assert result.exit_code == 2
    assert "8,64,128" in result.output


def test_a_failed_benchmark_exits_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark with untrustworthy figures prints why, writes no file and exits with 1."""

    def fails(*_: object) -> None:
        raise BenchmarkError("only 9 rows")

    monkeypatch.setattr(rpc, "_measure", fails)
    out = tmp_path / "rpc.json"
    result = CliRunner().invoke(main, ["rpc", "--folder", str(tmp_path), "--json", str(out)])
    assert result.exit_code == 1
    assert "only 9 rows" in result.output
    assert not out.exists()


def test_json_and_table_carry_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON has the headline, its level and all levels; the table has them in words."""
    levels = [
        rpc_figures.level_of(
            n, [_REPORT], [replace(_REPORT, calls_per_s=c)], [_STOPPED], {"ACTIVE": 10}
        )
        for n, c in ((8, 400.0), (64, 620.0))
    ]
    monkeypatch.setattr(rpc, "_measure", lambda *_: levels)
    out = tmp_path / "rpc.json"
    result = CliRunner().invoke(main, ["rpc", "--folder", str(tmp_path), "--json", str(out)])
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert content["name"] == "rpc"
    assert content["ratio"] == 0.62
    assert content["method"] == "Authorize"
    assert content["ratio_in_flight"] == 64
    assert content["p99_ratio"] == 1.0
    told = [asdict(level) for level in levels]
    optional = {"beside", "tls", "ruled", "echoes"}
    assert content["levels"] == [{k: v for k, v in it.items() if k not in optional} for it in told]
    assert {"rounds", "seed", "machine", "commit"} <= content.keys()
    assert "0.62" in result.output
    assert "mean batch" in result.output
    assert "beside" not in result.output


def test_a_folder_without_the_code_is_refused(tmp_path: Path) -> None:
    """A folder without the code is refused, because Python would silently use this build's
    instead."""
    result = CliRunner().invoke(main, ["rpc", "--beside", str(tmp_path)])
    assert result.exit_code == 2
    assert "not a checkout" in result.output


@pytest.mark.parametrize("method", load.METHODS)
def test_two_builds_are_measured_in_turn(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Each build's server answers every call on its own database, and the rows of each database are
    counted. With --metrics this one is scraped meanwhile. For Settle and Reverse only the rows that
    they ended count, and no Authorize is measured. Here both builds are this one, which prepares
    once for both.
    """
    out, once_in = tmp_path / "rpc.json", tmp_path / "once"
    once_in.mkdir()
    once = prepared.prepare(once_in, model, 120, 1)
    assert len(once.users) == 120
    answer = tmp_path / "answer.bin"
    answer.write_bytes(echo.canned_answer().SerializeToString())  # a settlement's begins alike
    monkeypatch.setattr(rpc, "prepare", lambda *_: once)
    monkeypatch.setattr(rpc, "prepare_beside", lambda at, *_: replace(once, checkout=at))
    monkeypatch.setattr(rpc, "probe", lambda *_: answer)
    scrapers: list[scrape.Scraper] = []

    def scraper(port: int) -> scrape.Scraper:
        scrapers.append(scrape.Scraper(port))
        return scrapers[-1]

    monkeypatch.setattr(rpc, "Scraper", scraper)
    result = CliRunner().invoke(
        main,
        [
            "rpc", "--method", method, "--beside", str(_ROOT), "--model", str(model),
            "--folder", str(tmp_path), "--json", str(out), "--in-flight", "8", "--rounds", "1",
            "--calls", "100", "--warm-up", "20", "--metrics",
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(scrapers) == 1
    assert scrapers[0].scrapes > 0
    (level,) = json.loads(out.read_text())["levels"]
    here, beside = level["freehold"], level["beside"]["freehold"]
    assert sum(level["rows"].values()) == 120
    if method == load.AUTHORIZE:
        assert level["acknowledged"] == 120
    else:
        end = rpc_figures.ENDS[method]
        assert level["acknowledged"] == level["rows"][end] == level["moved"]
        assert "ACTIVE" not in level["rows"]
    assert beside["request_bytes"] == here["request_bytes"]
    assert level["beside"]["revision"] == harness.revision(_ROOT)
    assert level["beside"]["time_ratio"]["median"] == pytest.approx(
        beside["calls_per_s"]["median"] / here["calls_per_s"]["median"]
    )
    assert 1 <= level["beside"]["batch_mean"] <= 8
    assert "time/call, here / beside" in result.output
    assert level["beside"]["revision"][:12] in result.output


def test_tls_is_compared_within_a_round() -> None:
    """In each round, the time and CPU of a call by TLS are divided by those of plaintext, for
    Freehold and for the echo."""

    def reports(*rounds: tuple[float, float]) -> list[load.Report]:
        return [replace(_REPORT, calls_per_s=calls, server_cpu_us=cpu) for calls, cpu in rounds]

    plain, tls = reports((500.0, 200.0), (400.0, 250.0)), reports((400.0, 220.0), (320.0, 300.0))
    echo_by_tls = reports((500.0, 300.0), (500.0, 300.0))
    found = rpc_figures.tls_of([_REPORT] * 2, plain, echo_by_tls, tls, [_STOPPED])
    assert (found.time_ratio.min, found.time_ratio.max) == (1.25, 1.25)
    assert (found.cpu_ratio.min, found.cpu_ratio.max) == (1.1, 1.2)
    assert (found.cpu_us.min, found.cpu_us.max) == (20.0, 50.0)
    assert found.echo_time_ratio.median == 2.0
    assert found.echo_cpu_ratio.median == 1.5
    assert found.freehold.calls_per_s.median == 360.0
    assert found.batch_mean == 4.0


def test_tls_is_measured_in_turn_with_plaintext(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --tls a server by TLS and an echo by TLS answer the same messages, each server on its
    own database, and the table names the price."""
    out, once_in, jobs = tmp_path / "rpc.json", tmp_path / "once", list[load.Job]()
    once_in.mkdir()
    once = prepared.prepare(once_in, model, 120, 1)
    answer = tmp_path / "answer.bin"
    answer.write_bytes(echo.canned_answer().SerializeToString())

    def generate(job: load.Job, *, core: int) -> load.Report:
        jobs.append(job)
        return load.generate(job, core=core)

    monkeypatch.setattr(rpc, "prepare", lambda *_: once)
    monkeypatch.setattr(rpc, "probe", lambda *_: answer)
    monkeypatch.setattr(rpc, "generate", generate)
    result = CliRunner().invoke(
        main,
        [
            "rpc", "--tls", "--model", str(model), "--folder", str(tmp_path), "--json", str(out),
            "--in-flight", "8", "--rounds", "1", "--calls", "100", "--warm-up", "20",
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (level,) = json.loads(out.read_text())["levels"]
    assert [job.trusted is not None for job in jobs].count(True) == 2
    assert len({job.port for job in jobs}) == len(jobs) == 4
    here, tls = level["freehold"], level["tls"]["freehold"]
    assert tls["request_bytes"] == here["request_bytes"]
    assert level["tls"]["cpu_ratio"]["median"] == pytest.approx(
        tls["server_cpu_us"]["median"] / here["server_cpu_us"]["median"]
    )
    assert "CPU/call, TLS / plaintext" in result.output


def test_rules_are_measured_in_turn_with_none(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --rules a second server answers the same messages under a policy with such rules, and
    the table names the price. All of its decisions have read the rentals of their people."""
    out, once_in = tmp_path / "rpc.json", tmp_path / "once"
    once_in.mkdir()
    once = prepared.prepare(once_in, model, 120, 1)
    answer = tmp_path / "answer.bin"
    answer.write_bytes(echo.canned_answer().SerializeToString())
    read: dict[str, int] = {}

    def count_rows(database: Path) -> dict[str, int]:
        with closing(sqlite3.connect(database)) as connection:
            values = "SELECT count(read_values) FROM decisions"
            read[database.stem] = connection.execute(values).fetchone()[0]
        return prepared.count_rows(database)

    monkeypatch.setattr(rpc, "prepare", lambda *_: once)
    monkeypatch.setattr(rpc, "probe", lambda *_: answer)
    monkeypatch.setattr(rpc, "count_rows", count_rows)
    result = CliRunner().invoke(
        main,
        [
            "rpc", "--rules", "velocity", "--model", str(model), "--folder", str(tmp_path),
            "--json", str(out), "--in-flight", "8", "--rounds", "1", "--calls", "100",
            "--warm-up", "20",
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (level,) = json.loads(out.read_text())["levels"]
    here, ruled = level["freehold"], level["ruled"]["freehold"]
    assert read == {"here": 0, "ruled": 120}
    assert level["ruled"]["rules"] == "velocity"
    assert level["ruled"]["cpu_ratio"]["median"] == pytest.approx(
        ruled["server_cpu_us"]["median"] / here["server_cpu_us"]["median"]
    )
    assert "CPU/call, velocity / no rules" in result.output


def test_a_server_by_tls_answers_no_plaintext(tmp_path: Path) -> None:
    """The servers of --tls answer no plaintext call, so TLS is what is measured."""
    used, port = certificate.self_signed(tmp_path), processes.free_port()
    with processes.Server(
        ["benchmarks.echo", "--listen", f"127.0.0.1:{port}", *used.options],
        core=None, port=port, log=tmp_path / "echo.log",
    ) as server:  # fmt: skip
        job = replace(_JOB, port=port, server_pid=server.pid)
        core = processes.two_cores()[1]
        with pytest.raises(BenchmarkError, match="no call was answered"):
            load.generate(job, core=core)
        report = load.generate(replace(job, trusted=str(used.certificate)), core=core)
    assert (report.acknowledged, report.errors) == (40, 0)


def test_a_server_without_metrics_is_told() -> None:
    """A run whose server could not be scraped fails."""
    with (
        pytest.raises(BenchmarkError, match="could not be scraped"),
        scrape.Scraper(processes.free_port()),
    ):
        pass


def test_the_other_build_runs_its_own_code(tmp_path: Path) -> None:
    """The code in the other build's folder prepares its database and starts its server."""
    for package, module in (("benchmarks", "prepared.py"), ("service", "cli.py")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / module).write_text("raise SystemExit('words of its own')")
    with pytest.raises(BenchmarkError, match=r"(?s)could not prepare.*words of its own"):
        prepared.prepare_beside(tmp_path, tmp_path / "first", tmp_path / "model", 2, 1)
    (tmp_path / "benchmarks" / "prepared.py").write_text(
        "from types import SimpleNamespace\n"
        "def prepare(work, model, people, seed):\n"
        "    return SimpleNamespace(database=work / 'its.db', key='its', users=('u',) * people)\n"
    )
    work, model = tmp_path / "second", tmp_path / "model"
    made = prepared.prepare_beside(tmp_path, work, model, 2, 1)
    assert made == prepared.Prepared(work / "its.db", model, "its", ("u", "u"), tmp_path)
    with (
        pytest.raises(BenchmarkError, match="words of its own"),
        prepared.serve(made.database, made, tmp_path / "log", None),
    ):
        pass


def test_doubtful_conditions_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator without free CPU, and a machine busy with other work, are reported as such."""
    echo_report = replace(_REPORT, load_cpu_share=0.99)
    busy = replace(_REPORT, other_cpu_share=0.8)
    level = rpc_figures.level_of(64, [echo_report], [busy], [_STOPPED], {"ACTIVE": 10})
    monkeypatch.setattr(rpc, "_measure", lambda *_: [level])
    result = CliRunner().invoke(main, ["rpc", "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "generator's own core was full" in result.output
    assert "took 80% of a core" in result.output


def test_the_canned_answer_has_the_fields_of_a_hold() -> None:
    """The echo's answer is an ACTIVE authorization with a hold and all its amounts."""
    answer = echo.canned_answer().authorization
    assert answer.state == Authorization.STATE_ACTIVE
    assert answer.held == answer.held_credit
    assert answer.HasField("refund_payable")
    assert len(answer.SerializeToString()) > 200


def test_generator_and_echo_work_together(tmp_path: Path) -> None:
    """From its own pinned process the generator gets the recorded answer to every call."""
    recorded = AuthorizeResponse()
    recorded.authorization.state = Authorization.STATE_ACTIVE
    recorded.authorization.held_credit.amount_minor = 19_900
    answer = tmp_path / "answer.bin"
    answer.write_bytes(recorded.SerializeToString())
    server_core, load_core = processes.two_cores()
    port = processes.free_port()
    with processes.Server(
        ["benchmarks.echo", "--listen", f"127.0.0.1:{port}", "--answer", str(answer)],
        core=server_core, port=port, log=tmp_path / "echo.log",
    ) as server:  # fmt: skip
        job = replace(_JOB, port=port, server_pid=server.pid)
        report = load.generate(job, core=load_core)
    assert server.stopped == {"event": "stopped"}
    assert (report.acknowledged, report.errors, report.moved) == (40, 0, 40)
    assert report.states == {"ACTIVE": 40}
    assert bytes.fromhex(report.sample) == answer.read_bytes()
    assert report.response_bytes == len(answer.read_bytes())
    assert report.request_bytes == sum(map(len, load.messages(job))) / 40
    assert 0 < report.latency_ms_p50 <= report.latency_ms_p99 <= report.latency_ms_max
    assert report.calls_per_s > 0


@pytest.mark.parametrize(
    ("method", "response", "state"),
    [
        (load.SETTLE, SettleAuthorizationResponse, Authorization.STATE_SETTLED),
        (load.REVERSE, ReverseAuthorizationResponse, Authorization.STATE_REVERSED),
    ],
)
def test_the_echo_answers_each_method_with_its_own(
    tmp_path: Path, method: str, response: Any, state: Authorization.State
) -> None:
    """The generator authorizes first, and counts the recorded answer to each settlement, or to each
    reversal."""
    recorded = response(authorization=echo.canned_answer().authorization)
    recorded.authorization.state = state
    recorded.authorization.captured.amount_minor = 250 if method == load.SETTLE else 0
    recorded.authorization.held_credit.amount_minor = 0
    answer = tmp_path / "answer.bin"
    answer.write_bytes(recorded.SerializeToString())
    port = processes.free_port()
    with processes.Server(
        ["benchmarks.echo", "--listen", f"127.0.0.1:{port}", "--method", method,
         "--answer", str(answer)],
        core=None, port=port, log=tmp_path / "echo.log",
    ) as server:  # fmt: skip
        job = replace(_JOB, port=port, server_pid=server.pid, method=method)
        report = load.generate(job, core=processes.two_cores()[1])
    assert (report.acknowledged, report.errors, report.moved) == (40, 0, 40)
    assert report.states == {rpc_figures.ENDS[method]: 40}
    assert bytes.fromhex(report.sample) == answer.read_bytes()


def test_a_server_that_does_not_start_is_reported(tmp_path: Path) -> None:
    """A server that ends before it serves fails the benchmark with the end of its log."""
    with (
        pytest.raises(BenchmarkError, match="--listen"),
        processes.Server(["benchmarks.echo"], core=None, port=1, log=tmp_path / "log"),
    ):
        pass
