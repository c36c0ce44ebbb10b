"""Reads that would take for ever, over the wire: they end, and nobody else waits for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from freehold.v1.authorization_service_pb2 import ListAuthorizationsRequest
from sqlalchemy import text

from service.config import Limits
from service.engine.readers import ReaderLimits
from service.storage.database import reading
from service.storage.lists import Lists
from tests.fakes import serving
from tests.rpc.support import desks, until
from tests.storage.test_read_time import ENDLESS

FLOOD = 12
FLOOD_S = 5.0


@pytest.fixture(autouse=True)
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page of authorizations takes for ever."""

    def read(self: Lists, *_: object, **__: object) -> None:
        with reading(self._engine) as connection:
            connection.execute(text(ENDLESS["sqlite"])).all()

    monkeypatch.setattr(Lists, "authorizations", read)


def test_a_read_over_its_time_says_how_to_ask_for_less(tmp_path: Path) -> None:
    """A read over its time limit is RESOURCE_EXHAUSTED with READ_TOO_LONG, and without RetryInfo,
    so that no client sends it again by itself."""
    limits = Limits(reads=ReaderLimits(longest_s=0.1))
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:
        refusal = desk.operator.refused("ListAuthorizations", ListAuthorizationsRequest())
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.reason == "READ_TOO_LONG"
        assert refusal.retry_s is None
        assert "one more filter" in refusal.message


def test_endless_reads_of_one_operator_do_not_stop_another(tmp_path: Path) -> None:
    """One operator fills all threads with reads that take for ever, and more of them wait. Another
    operator's Get is answered, and at the callers' deadlines the reads end in the database."""
    limits = Limits(reads=ReaderLimits(threads=2, longest_s=3600))
    with (
        serving(tmp_path, limits=limits) as served,
        desks(served) as desk,
        ThreadPoolExecutor(FLOOD) as pool,
    ):
        name = desk.other.authorize(desk.platform.person()).name
        request = ListAuthorizationsRequest()
        flood = [
            pool.submit(desk.operator.refused, "ListAuthorizations", request, timeout=FLOOD_S)
            for _ in range(FLOOD)
        ]
        readers = served.app._readers
        until(lambda: len(readers._running) == 2, "the threads are full")
        until(lambda: len(readers._turns) > 0, "more reads wait")
        assert desk.other.get(name).name == name
        codes = {it.result().code for it in flood}
        assert codes <= {
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        }
        until(lambda: not readers._running, "the reads have ended")
        assert desk.other.get(name).name == name
