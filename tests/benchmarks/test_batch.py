"""The batch benchmark measures whole calls, and counts their rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, BatchAuthorizeRequest

from benchmarks import batch, echo, load, prepared
from benchmarks.__main__ import main


def test_a_message_has_the_requests_of_single_calls() -> None:
    """A batch has the bytes of the single requests as its items, in order; the last batch has the
    rest."""
    job = load.Job(
        port=1, server_pid=1, key="k", product_id="bike", in_flight=4, warm_up=2,
        users=tuple(f"u{n}" for n in range(10)), seed=7,
    )  # fmt: skip
    requests = load.messages(job)
    assert list(load.batches(job, load.AUTHORIZE, requests)) == requests
    made = load.batches(replace(job, items=4), load.AUTHORIZE, requests)
    found = [BatchAuthorizeRequest.FromString(it) for it in made]
    assert [len(it.items) for it in found] == [4, 4, 2]
    items = [item for it in found for item in it.items]
    assert items == [AuthorizeRequest.FromString(it) for it in requests]


def test_both_batches_are_measured_beside_the_echo(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every item of both batches is answered and counted, and the headline is the lower ratio."""
    out, once_in = tmp_path / "batch.json", tmp_path / "once"
    once_in.mkdir()
    once = prepared.prepare(once_in, model, 120, 1)
    answer = tmp_path / "answer.bin"
    answer.write_bytes(echo.canned_answer().SerializeToString())
    monkeypatch.setattr(batch, "prepare", lambda *_: once)
    monkeypatch.setattr(batch, "probe", lambda *_: answer)
    result = CliRunner().invoke(
        main,
        [
            "batch", "--model", str(model), "--folder", str(tmp_path), "--json", str(out),
            "--items", "16", "--rounds", "1", "--calls", "100", "--warm-up", "20",
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert [it["method"] for it in found["batches"]] == ["Authorize", "Settle"]
    ratios = [it["ratio"]["median"] for it in found["batches"]]
    assert found["ratio"] == min(ratios) > 0
    speed = found["batches"][0]["freehold"]["calls_per_s"]["median"]
    assert ratios[0] == pytest.approx(speed / found["echo"]["calls_per_s"]["median"])
