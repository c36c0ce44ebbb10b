"""The log of calls, and the faults in the log."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from freehold.v1.authorization_service_pb2 import AuthorizeRequest

from service.alarms import log_fault
from service.config import LIMITS
from service.rpc import call_log, pipeline
from service.rpc.call_log import CallLog
from service.storage.transaction import SqlTransaction
from tests.fakes import serving
from tests.rpc.support import desks

Line = dict[str, Any]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """The lines that calls and their faults write."""
    found: list[Line] = []

    def keep(_logger: object, level: str, event: MutableMapping[str, Any]) -> str:
        found.append({**event, "level": level})
        raise structlog.DropEvent

    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[keep])
    monkeypatch.setattr(call_log, "log", logger)
    monkeypatch.setattr(pipeline, "log", logger)
    monkeypatch.setattr("service.alarms.log", logger)
    return found


def calls(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["event"] == "call"]


def rental(user_id: str, request_id: str) -> AuthorizeRequest:
    return AuthorizeRequest(request_id=request_id, user_id=user_id, product_id="bike")


def test_each_call_has_a_line(tmp_path: Path, lines: list[Line]) -> None:
    """Each call has one line with its method, code, reason, caller, request id and milliseconds;
    the line names no person."""
    limits = replace(LIMITS, calls_logged_a_second=1_000)
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:
        user_id = desk.platform.person()
        lines.clear()
        desk.operator.send("Authorize", rental(user_id, "order-1"))
        desk.operator.refused("Authorize", rental("", "order-2"))
        desk.operator.refused("PutUsers", b"")
        desk.operator.refused("Authorize", rental(user_id, "order-3"), metadata=[])
    told = [
        (it["method"], it["code"], it["reason"], it["caller"], it["request_id"])
        for it in calls(lines)
    ]
    assert told == [
        ("Authorize", "OK", "", "city", "order-1"),
        ("Authorize", "INVALID_ARGUMENT", "INVALID_INPUT", "city", ""),
        ("PutUsers", "PERMISSION_DENIED", "SCOPE_MISSING", "city", ""),
        ("Authorize", "UNAUTHENTICATED", "KEY_MISSING", "", ""),
    ]
    assert all(it["ms"] > 0 and it["level"] == "info" for it in calls(lines))
    assert user_id not in str(lines)


def test_calls_are_not_logged_by_default(tmp_path: Path, lines: list[Line]) -> None:
    """Without a limit for it, no call is logged."""
    with serving(tmp_path) as served, desks(served) as desk:
        desk.operator.authorize(desk.platform.person())
    assert calls(lines) == []


def test_a_flood_of_calls_has_few_lines(lines: list[Line]) -> None:
    """At most so many calls are logged in a second; the next line counts those left out."""
    now_s = 100.0
    log = CallLog(2, lambda: now_s)
    for number in range(7):
        log.add("Authorize", "OK", "", None, f"r-{number}", 0.001)
    assert [it["request_id"] for it in lines] == ["r-0", "r-1"]
    now_s = 101.0
    log.add("Authorize", "OK", "", None, "r-7", 0.0123456)
    assert (lines[2]["left_out"], lines[2]["caller"], lines[2]["ms"]) == (5, "platform", 12.346)
    log.add("Authorize", "OK", "", None, "r-8", 0.001)
    assert lines[3]["left_out"] == 0


def test_a_fault_names_its_call(tmp_path: Path, lines: list[Line]) -> None:
    """A fault's line has the method and the request id of the call that met it, in the writer and
    outside it."""

    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    with serving(tmp_path) as served, desks(served) as desk:
        user_id = desk.platform.person()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SqlTransaction, "write", fail)
            desk.operator.refused("Authorize", rental(user_id, "order-1"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(served.store), "person", fail)
            desk.platform.refused("GetCreditProfile", b"\n\x01u")
    faults = [it for it in lines if it["event"] == "fault"]
    assert [(it["method"], it["request_id"]) for it in faults] == [
        ("Authorize", "order-1"),
        ("GetCreditProfile", ""),
    ]
    assert all(len(it["fault_id"]) == 16 for it in faults)


def test_a_fault_without_a_call(lines: list[Line]) -> None:
    """A fault outside any call has neither a method nor a request id."""
    log_fault("f-1", RuntimeError("a defect"))
    assert "method" not in lines[0]
    assert lines[0]["fault_id"] == "f-1"
