"""Overload, short deadlines, a stopping server, a defect: the caller's answers."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from freehold.v1 import authorization_pb2 as pb
from freehold.v1.authorization_service_pb2 import AuthorizeRequest, AuthorizeResponse
from freehold.v1.credit_service_pb2 import PutUsersRequest
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_ZERO
from sqlalchemy import update

from service.config import Limits
from service.engine.group_commit import CommitLimits
from service.engine.reads import START, Told
from service.storage.database import writing
from service.storage.schema import feature_snapshots
from service.storage.store import SqlStore
from service.storage.transaction import SqlTransaction
from tests.fakes import FakeScored, FakeScorer, FakeUnscorable, lists_of, serving
from tests.rpc.examples import example
from tests.rpc.support import (
    RPCS,
    TIMEOUT_S,
    Caller,
    Desks,
    GatedScorer,
    Refused,
    desks,
    outcome,
    serving_parts,
    until,
    user_with,
)

SECRET = "postgresql://freehold:hunter2@db/freehold: person 11010519491231002X"
TELLTALES = ("hunter2", "postgresql", "11010519491231002X", "Traceback", "SELECT", "RuntimeError")


class Background:
    """Calls that wait for their answers in their own threads."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self.results: list[bytes | Refused] = []

    def start(self, call: Callable[[], bytes]) -> None:
        """Starts one call."""

        def run() -> None:
            try:
                self.results.append(call())
            except Refused as error:
                self.results.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)

    def join(self) -> list[bytes | Refused]:
        """All answers."""
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        assert len(self.results) == len(self._threads)
        return self.results


@contextmanager
def closed(scorer: GatedScorer) -> Iterator[Background]:
    """A gate that is closed within the block and opened after it, also on an error."""
    background = Background()
    scorer.entered.clear()
    scorer.gate.clear()
    try:
        yield background
    finally:
        scorer.gate.set()
        background.join()


def rental(caller: Caller, user_id: str) -> AuthorizeRequest:
    return AuthorizeRequest(request_id=caller.fresh(), user_id=user_id, product_id="umbrella")


# -- the queue -----------------------------------------------------------------------------


def test_a_full_queue_gives_a_delay(tmp_path: Path) -> None:
    """With a full queue a call is RESOURCE_EXHAUSTED with RetryInfo, and is not stored."""
    scorer = GatedScorer()
    limits = Limits(commit=CommitLimits(max_queue=2, max_batch=1))
    with (
        serving_parts(tmp_path, scorer=scorer, limits=limits) as served,
        desks(served) as desk,
    ):
        people = [desk.platform.person() for _ in range(4)]
        requests = [rental(desk.operator, user_id) for user_id in people]
        with closed(scorer) as waiting:
            waiting.start(partial(desk.operator.send, "Authorize", requests[0]))
            assert scorer.entered.wait(TIMEOUT_S)
            for request in requests[1:3]:
                waiting.start(partial(desk.operator.send, "Authorize", request))
            until(lambda: served.app.committer.waiting == 2, "the queue is full")
            refusal = desk.operator.refused("Authorize", requests[3])
            assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refusal.reason == "QUEUE_FULL"
            assert refusal.retry_s is not None
            assert 0 < refusal.retry_s < 60
            # Reads do not use the queue.
            assert not desk.operator.page().authorizations
        assert all(isinstance(it, bytes) for it in waiting.results)
        desk.operator.send("Authorize", requests[3])
        assert len(desk.operator.page().authorizations) == 4


# -- time ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hurried(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    """A server that leaves no call enough time."""
    limits = Limits(min_time_left_s=2 * TIMEOUT_S)
    folder = tmp_path_factory.mktemp("hurried")
    with serving(folder, limits=limits) as served, desks(served) as callers:
        yield callers


@pytest.mark.parametrize("method", sorted(RPCS))
def test_a_short_deadline_is_refused_before_the_write(hurried: Desks, method: str) -> None:
    """With too little time left, every call is DEADLINE_EXCEEDED."""
    refusal = hurried.caller_for(method).refused(method, example(method), timeout=TIMEOUT_S)
    assert refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert refusal.reason == "DEADLINE_TOO_NEAR"


def test_a_call_refused_for_its_deadline_writes_nothing(tmp_path: Path) -> None:
    """A call that was refused for its deadline wrote nothing, and a retry with its id is the first
    call."""
    limits = Limits(min_time_left_s=TIMEOUT_S)
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:
        patient = 4 * TIMEOUT_S
        user = user_with("slow", 620)
        body = PutUsersRequest(request_id="put", users=[user])
        desk.platform.send("PutUsers", body, timeout=patient)
        request = rental(desk.operator, "slow")
        refusal = desk.operator.refused("Authorize", request, timeout=TIMEOUT_S / 2)
        assert refusal.reason == "DEADLINE_TOO_NEAR"
        page = lists_of(served.store).authorizations(
            "city", after=START, size=9, user_id="", state=None
        )
        assert page.rows == []
        answer = desk.operator.send("Authorize", request, timeout=patient)
        assert AuthorizeResponse.FromString(answer).authorization.version == 1


def test_a_call_that_expires_in_the_queue_is_not_written(tmp_path: Path) -> None:
    """When the deadline passes in the queue, nothing is written, and a retry is a first call."""
    scorer, short_s = GatedScorer(), 0.5
    with serving_parts(tmp_path, scorer=scorer) as served, desks(served) as desk:
        request = rental(desk.operator, desk.platform.person())
        batches = served.app.committer.statistics.batches
        with closed(scorer):
            refusal = desk.operator.refused("Authorize", request, timeout=short_s)
            assert refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED
            if scorer.entered.wait(1):
                # The server's deadline is an instant not later than this one.
                end = time.monotonic() + short_s
                until(lambda: time.monotonic() > end, "the deadline")
        if scorer.entered.is_set():
            until(lambda: served.app.committer.statistics.batches > batches, "the batch ended")
        assert not desk.operator.page().authorizations
        first = desk.operator.send("Authorize", request)
        assert AuthorizeResponse.FromString(first).authorization.state == (
            pb.Authorization.STATE_ACTIVE
        )
        assert desk.operator.send("Authorize", request) == first


def test_a_caller_that_hangs_up_gets_the_answer_later(tmp_path: Path) -> None:
    """A call that is cancelled during its decision is decided once; a retry gets that answer."""
    scorer = GatedScorer()
    with serving_parts(tmp_path, scorer=scorer) as served, desks(served) as desk:
        request = rental(desk.operator, desk.platform.person())
        with closed(scorer), served.channel() as channel:
            call = channel.unary_unary(RPCS["Authorize"].path).future(
                request.SerializeToString(), timeout=TIMEOUT_S, metadata=desk.operator.metadata
            )
            assert scorer.entered.wait(TIMEOUT_S)
            call.cancel()
        until(lambda: len(desk.operator.page().authorizations) == 1, "decided")
        (stored,) = desk.operator.page().authorizations
        answer = AuthorizeResponse.FromString(desk.operator.send("Authorize", request))
        assert answer.authorization == stored
        assert len(desk.operator.page().authorizations) == 1


# -- stopping ------------------------------------------------------------------------------


def test_calls_during_the_shutdown_are_unavailable(tmp_path: Path) -> None:
    """Once the writer is closed every call that changes something is UNAVAILABLE."""
    with serving(tmp_path) as served, desks(served) as desk:
        user_id = desk.platform.person()
        name = desk.operator.authorize(user_id, "umbrella").name
        asyncio.run_coroutine_threadsafe(served.app.committer.close(), served.loop).result(
            TIMEOUT_S
        )
        with pytest.raises(Refused) as refusal:
            desk.operator.settle(name, 0)
        assert refusal.value.code is grpc.StatusCode.UNAVAILABLE
        assert refusal.value.reason == "SHUTTING_DOWN"
        assert refusal.value.retry_s is not None
        assert desk.operator.get(name).state == pb.Authorization.STATE_ACTIVE


def test_calls_under_way_are_answered_at_a_stop(tmp_path: Path) -> None:
    """A stop answers the calls under way, queued ones too, and accepts no new ones."""
    scorer, limits = GatedScorer(), Limits(commit=CommitLimits(max_batch=1))
    with (
        serving_parts(tmp_path, scorer=scorer, limits=limits) as served,
        desks(served) as desk,
    ):
        people = [desk.platform.person() for _ in range(5)]
        with closed(scorer) as waiting:
            for user_id in people:
                request = rental(desk.operator, user_id)
                waiting.start(partial(desk.operator.send, "Authorize", request))
            assert scorer.entered.wait(TIMEOUT_S)
            until(lambda: served.app.committer.waiting == 4, "the others wait in the queue")
            stopping = asyncio.run_coroutine_threadsafe(served.app.stop(), served.loop)

            def refused() -> bool:
                result = outcome(desk.platform.verify)
                return isinstance(result, Refused) and result.code is grpc.StatusCode.UNAVAILABLE

            until(refused, "new calls are refused")
            assert not stopping.done()
        stopping.result(TIMEOUT_S)
        states = {
            AuthorizeResponse.FromString(it).authorization.state
            for it in waiting.results
            if isinstance(it, bytes)
        }
        assert len([it for it in waiting.results if isinstance(it, bytes)]) == 5
        assert states == {pb.Authorization.STATE_ACTIVE}


# -- a defect ------------------------------------------------------------------------------


class BrokenScorer(FakeScorer):
    """Fails on request, with a text that callers must not see."""

    def __init__(self) -> None:
        self.broken = False

    def _one(self, value: float) -> FakeScored | FakeUnscorable:
        if self.broken:
            raise RuntimeError(SECRET)
        return super()._one(value)


class BrokenStore(SqlStore):
    """Fails on request, in writes and reads."""

    broken = False

    @contextmanager
    def begin(self) -> Iterator[SqlTransaction]:
        """A transaction, or a failure."""
        if self.broken:
            raise RuntimeError(SECRET)
        with super().begin() as transaction:
            yield transaction

    def told(self, user_id: str, authorization_id: str) -> Told | None:
        """A read, or a failure."""
        if self.broken:
            raise RuntimeError(SECRET)
        return super().told(user_id, authorization_id)


def check_fault(refusal: Refused, logged: Sequence[MutableMapping[str, Any]]) -> None:
    """Requires INTERNAL with nothing but an id, and that id in the log."""
    assert refusal.code is grpc.StatusCode.INTERNAL
    fault_id = refusal.info.metadata["fault_id"]
    assert refusal.reason == "INTERNAL"
    assert dict(refusal.info.metadata) == {"fault_id": fault_id}
    assert re.fullmatch(r"[0-9a-f]{16}", fault_id)
    assert refusal.message == f"internal fault {fault_id}"
    assert len(refusal.status.details) == 1
    told = repr(refusal.trailers) + refusal.message
    assert not [word for word in TELLTALES if word in told]
    assert [it for it in logged if it.get("fault_id") == fault_id]


def test_a_defect_in_the_model_is_told_only_in_the_log(tmp_path: Path) -> None:
    """When the model fails, Authorize asks for the full deposit with only the reason
    STAND_IN_DECISION, and PutUsers is UNAVAILABLE with only the reason SCORER_FAILED. Nothing of
    the error goes to callers: the log has it, once for each call, under a fault id. The next calls
    work."""
    scorer = BrokenScorer()
    with (
        structlog.testing.capture_logs() as logged,
        serving_parts(tmp_path, scorer=scorer) as served,
        desks(served) as desk,
    ):

        def faults() -> list[MutableMapping[str, Any]]:
            return [it for it in logged if it["event"] == "fault"]

        user_id = desk.platform.person()
        # A stored score is of another model, so that Authorize asks this one.
        with served.app.parts.store.engine.begin() as connection:
            connection.execute(update(feature_snapshots).values(model_id="earlier"))
        request = rental(desk.operator, user_id)
        scorer.broken = True
        answer = desk.operator.send("Authorize", request)
        assert [str(it["exc_info"]) for it in faults()] == [SECRET]
        made = AuthorizeResponse.FromString(answer).authorization
        assert (made.state, made.offer) == (pb.Authorization.STATE_OFFERED, OFFER_FULL)
        assert list(made.reasons) == ["STAND_IN_DECISION"]
        assert not [word for word in TELLTALES if word.encode() in answer]
        assert not [it for it in faults() if it["fault_id"].encode() in answer]

        body = PutUsersRequest(request_id="put", users=[user_with(user_id, 700)])
        refusal = desk.platform.refused("PutUsers", body)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "SCORER_FAILED")
        assert refusal.retry_s is not None
        assert not refusal.info.metadata
        told = repr(refusal.trailers) + refusal.message
        assert not [word for word in TELLTALES if word in told]
        assert [str(it["exc_info"]) for it in faults()] == [SECRET] * 2
        ids = {it["fault_id"] for it in faults()}
        assert len(ids) == 2
        assert all(re.fullmatch(r"[0-9a-f]{16}", it) for it in ids)

        scorer.broken = False
        assert desk.platform.profile(user_id).score == 620
        desk.platform.send("PutUsers", body)
        assert desk.platform.profile(user_id).score == 700
        assert desk.operator.send("Authorize", request) == answer
        later = desk.operator.send("Authorize", rental(desk.operator, user_id))
        assert AuthorizeResponse.FromString(later).authorization.offer == OFFER_ZERO
        assert desk.platform.verify().verified


def test_a_defect_in_the_store_gives_only_an_id(tmp_path: Path) -> None:
    """When the store fails, writes and reads get INTERNAL with a fault id; the next call works."""
    stores: list[BrokenStore] = []

    def broken(store: SqlStore) -> SqlStore:
        stores.append(BrokenStore(store.engine))
        return stores[0]

    with (
        structlog.testing.capture_logs() as logged,
        serving_parts(tmp_path, store_of=broken) as served,
        desks(served) as desk,
    ):
        request = rental(desk.operator, desk.platform.person())
        name = AuthorizeResponse.FromString(
            desk.operator.send("Authorize", request)
        ).authorization.name
        second = rental(desk.operator, desk.platform.person())
        stores[0].broken = True
        check_fault(desk.operator.refused("Authorize", second), logged)
        with pytest.raises(Refused) as refusal:
            desk.operator.get(name)
        check_fault(refusal.value, logged)
        stores[0].broken = False
        desk.operator.send("Authorize", second)
        assert desk.operator.get(name).state == pb.Authorization.STATE_ACTIVE


def test_a_locked_database_is_unavailable(tmp_path: Path) -> None:
    """While another process locks the database, a write is UNAVAILABLE and can be retried."""
    with serving(tmp_path) as served, desks(served) as desk:
        request = rental(desk.operator, desk.platform.person())
        with writing(served.store.engine):
            refusal = desk.operator.refused("Authorize", request)
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            assert refusal.reason == "STORAGE_UNAVAILABLE"
            assert refusal.retry_s is not None
        assert not desk.operator.page().authorizations
        desk.operator.send("Authorize", request)
