"""Batches over the wire: each item has the outcome of its single call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeOutcome,
    AuthorizeRequest,
    BatchAuthorizeRequest,
    BatchAuthorizeResponse,
    BatchSettleRequest,
    BatchSettleResponse,
    SettleAuthorizationRequest,
    SettleOutcome,
)
from google.protobuf.wrappers_pb2 import BytesValue
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from service.config import Limits
from service.domain.errors import InvalidInput
from service.engine import first_answers
from service.engine.group_commit import CommitLimits
from service.engine.rates import RateLimits
from service.rpc import batches
from tests.rpc.support import (
    BATCHED,
    RPCS,
    START_S,
    Caller,
    Desks,
    GatedScorer,
    desks,
    serving_parts,
    until,
    yuan,
)
from tests.rpc.test_bad_input import bad_values, leaves_of

Outcome = AuthorizeOutcome | SettleOutcome


def order(caller: Caller, user_id: str, **parts: Any) -> AuthorizeRequest:
    """A request for a bike."""
    named = {"request_id": caller.fresh("item"), "user_id": user_id, "product_id": "bike"} | parts
    return AuthorizeRequest(**named)


def authorized(caller: Caller, *items: AuthorizeRequest, **options: Any) -> list[AuthorizeOutcome]:
    """The outcomes of a BatchAuthorize."""
    answer = caller.send("BatchAuthorize", BatchAuthorizeRequest(items=items), **options)
    return list(BatchAuthorizeResponse.FromString(answer).outcomes)


def settled(caller: Caller, *items: SettleAuthorizationRequest) -> list[SettleOutcome]:
    """The outcomes of a BatchSettle."""
    answer = caller.send("BatchSettle", BatchSettleRequest(items=items))
    return list(BatchSettleResponse.FromString(answer).outcomes)


def told(it: Outcome) -> tuple[str, str]:
    """The code and the reason of an item; OK has no reason."""
    if it.WhichOneof("result") == "response":
        return "OK", ""
    status = Status.FromString(it.error.SerializeToString())
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, bool(status.message)) == ("freehold", True)
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return code.name, info.reason


def test_each_item_has_its_answer_in_order(desk: Desks) -> None:
    """The outcomes of a batch are in the order of its items, each with the answer that the single
    call gives again."""
    people = [desk.platform.person() for _ in range(3)]
    items = [order(desk.operator, it) for it in people]
    outcomes = authorized(desk.operator, *items)
    for item, one in zip(items, outcomes, strict=True):
        assert one.response.authorization.request_id == item.request_id
        assert one.response.authorization.state == Authorization.STATE_ACTIVE
        assert not one.HasField("first_answer_time")
        assert desk.operator.send("Authorize", item) == one.response.SerializeToString()
    bills = [
        SettleAuthorizationRequest(
            request_id=desk.operator.fresh(), name=it.response.authorization.name, amount=yuan(300)
        )
        for it in reversed(outcomes)
    ]
    for bill, done in zip(bills, settled(desk.operator, *bills), strict=True):
        assert done.response.authorization.name == bill.name
        assert done.response.authorization.state == Authorization.STATE_SETTLED
        again = desk.operator.send("SettleAuthorization", bill)
        assert again == done.response.SerializeToString()


def test_no_item_fails_another(desk: Desks) -> None:
    """Items that are wrong, unknown or refused have their own status with the details of the
    single call, and the other items are done."""
    user_id, caller = desk.platform.person(), desk.operator
    wrong = [
        order(caller, ""),
        order(caller, user_id, product_id="no-such-product"),
        order(caller, user_id, asset_id="?"),
        order(caller, "nobody-known", parent="users/x/authorizations/" + "0" * 20),
        order(caller, user_id, request_id=""),
    ]
    right = [order(caller, user_id, product_id="umbrella") for _ in range(2)]
    outcomes = authorized(caller, right[0], *wrong, right[1])
    assert [told(outcomes[0]), told(outcomes[-1])] == [("OK", "")] * 2
    for item, one in zip(wrong, outcomes[1:-1], strict=True):
        refusal = caller.refused("Authorize", item)
        status = Status.FromString(one.error.SerializeToString())
        assert status == refusal.status
        assert told(one) == (refusal.code.name, refusal.reason)


def test_violations_have_the_paths_of_the_item(desk: Desks) -> None:
    """A violation of an item of BatchSettle has the path that the single call names."""
    name = desk.operator.authorize(desk.platform.person()).name
    item = SettleAuthorizationRequest(request_id=desk.operator.fresh(), name=name)
    item.usage.end_time.seconds, item.occurred_at.seconds = START_S, START_S + 1
    (one,) = settled(desk.operator, item)
    refusal = desk.operator.refused("SettleAuthorization", item)
    assert refusal.fields == {"usage.end_time"}
    assert Status.FromString(one.error.SerializeToString()) == refusal.status


def test_items_of_one_person_are_done_in_order(desk: Desks) -> None:
    """Of many items that use up one person's line, the first ones are held and the others are
    not."""
    user_id, caller = desk.platform.person(), desk.operator
    outcomes = authorized(caller, *[order(caller, user_id) for _ in range(100)])
    states = [it.response.authorization.state for it in outcomes]
    held = states.count(Authorization.STATE_ACTIVE)
    assert 0 < held < 100
    assert set(states[:held]) == {Authorization.STATE_ACTIVE}
    times = [it.response.authorization.create_time.ToNanoseconds() for it in outcomes]
    assert times == sorted(times)


def test_the_same_request_id_twice_is_two_calls(desk: Desks) -> None:
    """The same item twice has the same answer twice, the second one with the time of the first;
    another request under that id is refused with ALREADY_EXISTS."""
    user_id, caller = desk.platform.person(), desk.operator
    item = order(caller, user_id)
    other = order(caller, user_id, request_id=item.request_id, product_id="umbrella")
    first, again, reused = authorized(caller, item, item, other)
    assert first.response == again.response
    assert not first.HasField("first_answer_time")
    assert again.first_answer_time == first.response.authorization.create_time
    assert told(reused) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    # A wrong request is compared with the stored one too.
    wrong = SettleAuthorizationRequest(request_id=item.request_id)
    assert told(settled(caller, wrong)[0]) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    (later,) = authorized(caller, item)
    assert later.response == first.response
    assert later.HasField("first_answer_time")


def test_a_retry_in_a_batch_gets_its_answer_under_stricter_rules(
    desk: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item that was answered gets its stored answer even if the present rules refuse it; a new
    item beside it is refused."""
    caller = desk.operator
    old, new = (order(caller, desk.platform.person()) for _ in range(2))
    (first,) = authorized(caller, old)

    def refuse(_message: object) -> None:
        raise InvalidInput.of("user_id", "user_id.tightened", "is not allowed any more")

    monkeypatch.setattr(batches, "check", refuse)
    again, refused = authorized(caller, old, new)
    assert again.response == first.response
    assert again.HasField("first_answer_time")
    assert told(refused) == ("INVALID_ARGUMENT", "INVALID_INPUT")


@pytest.mark.parametrize("count", [0, 257])
def test_a_batch_has_1_to_256_items(desk: Desks, count: int) -> None:
    """A batch without items, or with more than 256, is refused as a whole."""
    items = [order(desk.operator, "somebody")] * count
    refusal = desk.operator.refused("BatchAuthorize", BatchAuthorizeRequest(items=items))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.fields == {"items"}


def test_a_batch_may_have_256_items(desk: Desks) -> None:
    """A batch of 256 items has 256 outcomes."""
    items = [order(desk.operator, "") for _ in range(256)]
    assert [told(it) for it in authorized(desk.operator, *items)] == [
        ("INVALID_ARGUMENT", "INVALID_INPUT")
    ] * 256


def test_a_large_item_is_refused_alone(desk: Desks) -> None:
    """An item of more than 128 KiB is refused with MESSAGE_TOO_LARGE, and the others are done."""
    user_id, caller = desk.platform.person(), desk.operator
    large = order(caller, user_id)
    unknown = BytesValue(value=bytes(128 * 1024)).SerializeToString()
    large.MergeFromString(b"\xfa\x3f" + unknown[1:])  # as the field 1023
    first, second = authorized(caller, large, order(caller, user_id))
    assert told(first) == ("INVALID_ARGUMENT", "MESSAGE_TOO_LARGE")
    assert told(second) == ("OK", "")


@contextmanager
def bounded(folder: Path, limits: Limits) -> Iterator[tuple[Desks, GatedScorer]]:
    """A server with these limits, and its scorer."""
    scorer = GatedScorer()
    with serving_parts(folder, scorer=scorer, limits=limits) as served, desks(served) as desk:
        yield desk, scorer


def codes(outcomes: list[AuthorizeOutcome]) -> list[str]:
    """The reason of each item's refusal; OK for an answer."""
    return [reason or code for code, reason in map(told, outcomes)]


def test_each_item_takes_the_units_of_a_call(tmp_path: Path) -> None:
    """With units for ten calls, a batch of 12 has ten answers; the other items are refused with
    RATE_LIMITED and the time of a retry, and a single call too."""
    limits = Limits(rates=RateLimits(units_a_second=0.01, burst_s=2_000))
    with bounded(tmp_path, limits) as (desk, _):
        items = [order(desk.operator, "somebody") for _ in range(12)]
        outcomes = authorized(desk.operator, *items)
        assert codes(outcomes) == ["OK"] * 10 + ["RATE_LIMITED"] * 2
        retry = RetryInfo()
        assert outcomes[-1].error.details[-1].Unpack(retry)
        assert retry.retry_delay.seconds > 100
        assert desk.operator.refused("Authorize", items[0]).reason == "RATE_LIMITED"
        assert codes(authorized(desk.operator, *items[:3])) == ["RATE_LIMITED"] * 3


def test_each_item_takes_the_place_of_a_call(tmp_path: Path) -> None:
    """An operator with six places gets six of eight items answered; the places are free again
    afterwards."""
    with bounded(tmp_path, Limits(max_calls_a_caller=6)) as (desk, _):
        for _ in range(2):
            items = [order(desk.operator, "somebody") for _ in range(8)]
            assert codes(authorized(desk.operator, *items)) == ["OK"] * 6 + ["TOO_MANY_CALLS"] * 2


def test_each_item_waits_for_its_own_turn(tmp_path: Path) -> None:
    """While the writer is busy, the items of a batch fill the operator's queue like single calls,
    and another operator's call comes before most of them."""
    commit = CommitLimits(max_queue_a_caller=8, max_batch=4, max_share=2)
    with bounded(tmp_path, Limits(commit=commit)) as (desk, scorer), ThreadPoolExecutor(3) as pool:
        people = [desk.platform.person() for _ in range(3)]
        scorer.gate.clear()
        scorer.entered.clear()
        first = pool.submit(desk.operator.authorize, people[0])
        until(scorer.entered.is_set, "the writer is busy")
        items = [order(desk.operator, people[1], product_id="umbrella") for _ in range(10)]
        batch = pool.submit(authorized, desk.operator, *items)
        committer = desk.served.app.committer
        until(lambda: committer.waiting == 8, "the operator's queue is full")
        single = pool.submit(desk.other.authorize, people[2])
        until(lambda: committer.waiting == 9, "another operator waits")
        scorer.gate.set()
        outcomes = batch.result()
        assert codes(outcomes) == ["OK"] * 8 + ["QUEUE_FULL"] * 2
        first.result()
        last = outcomes[7].response.authorization.decision_id
        assert single.result().decision_id < last


def test_items_that_were_not_begun_in_time_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the deadline passes while the writer is busy, the items that were not begun are
    DEADLINE_EXCEEDED, and nothing of them was done."""
    with bounded(tmp_path, Limits(min_time_left_s=15)) as (desk, scorer):
        user_id, caller = desk.platform.person(), desk.operator
        scorer.gate.clear()
        scorer.entered.clear()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(caller.authorize, user_id)
            until(scorer.entered.is_set, "the writer is busy")
            items = [order(caller, user_id) for _ in range(3)]
            batch = pool.submit(authorized, caller, *items, timeout=30)
            until(lambda: desk.served.app.committer.waiting == 3, "the items wait")
            # The items have 15 of the 30 seconds, and the first call has all of them.
            later = SimpleNamespace(monotonic=lambda: time.monotonic() + 20)
            monkeypatch.setattr(first_answers, "time", later)
            scorer.gate.set()
            assert codes(batch.result()) == ["DEADLINE_TOO_NEAR"] * 3
            first.result()
        assert len(caller.page(user_id=user_id).authorizations) == 1


def test_a_stopping_server_refuses_the_items_it_did_not_begin(tmp_path: Path) -> None:
    """Once the committer is closed, each item is UNAVAILABLE with SHUTTING_DOWN."""
    with bounded(tmp_path, Limits()) as (desk, _):
        desk.served.app.committer._closing = True
        try:
            outcomes = authorized(desk.operator, order(desk.operator, "somebody"))
        finally:
            desk.served.app.committer._closing = False
        assert told(outcomes[0]) == ("UNAVAILABLE", "SHUTTING_DOWN")


def test_answers_without_room_are_got_by_the_same_items_again(tmp_path: Path) -> None:
    """If the answers together are larger than a message may be, the items without room are
    ANSWER_TOO_LARGE, and the same items sent again have their answers."""
    with bounded(tmp_path, Limits(max_bulk_message_bytes=8 * 1024)) as (desk, _):
        caller = desk.operator
        left = [order(caller, "somebody") for _ in range(30)]
        rounds = 0
        while left:
            outcomes = authorized(caller, *left)
            found = codes(outcomes)
            assert found[0] == "OK"
            assert set(found) <= {"OK", "ANSWER_TOO_LARGE"}
            if rounds:
                assert outcomes[0].HasField("first_answer_time")
            left = [it for it, code in zip(left, found, strict=True) if code != "OK"]
            rounds += 1
        assert rounds > 1
        assert len(caller.page(user_id="somebody", page_size=100).authorizations) == 30


def test_a_caller_that_leaves_gives_the_places_of_its_items_back(tmp_path: Path) -> None:
    """A batch that is cancelled while it waits gives the places of its items back at once, and they
    count as cancelled; its items are done, and the same items again have their answers."""
    with bounded(tmp_path, Limits()) as (desk, scorer):
        caller, pipeline = desk.operator, desk.served.app.pipeline
        people = [desk.platform.person() for _ in range(2)]
        items = [order(caller, people[1]) for _ in range(3)]
        scorer.gate.clear()
        scorer.entered.clear()
        with ThreadPoolExecutor(1) as pool, desk.served.channel() as channel:
            busy = pool.submit(caller.authorize, people[0])
            until(scorer.entered.is_set, "the writer is busy")
            body = BatchAuthorizeRequest(items=items).SerializeToString()
            send = channel.unary_unary(RPCS["BatchAuthorize"].path)
            batch = send.future(body, timeout=60, metadata=caller.metadata)
            until(lambda: desk.served.app.committer.waiting == 3, "the items wait")
            assert pipeline.under_way == 4
            batch.cancel()
            until(lambda: pipeline.under_way == 1, "the places are given back")
            scorer.gate.set()
            assert busy.result().name
        assert pipeline.calls.of("Authorize").codes["CANCELLED"] == 3
        outcomes = authorized(caller, *items)
        assert codes(outcomes) == ["OK"] * 3
        assert all(it.HasField("first_answer_time") for it in outcomes)
        assert pipeline.under_way == 0


def test_items_are_counted_as_calls(desk: Desks) -> None:
    """Each item counts as a call of its method, with its own code and reason."""
    calls = desk.served.app.pipeline.calls
    before = calls.of("Authorize").codes.copy(), calls.of("BatchAuthorize").codes.copy()
    wrong, user_id = calls.refusals["INVALID_INPUT"], desk.platform.person()
    authorized(desk.operator, order(desk.operator, user_id), order(desk.operator, ""))
    assert calls.of("Authorize").codes - before[0] == {"OK": 1, "INVALID_ARGUMENT": 1}
    assert calls.of("BatchAuthorize").codes - before[1] == {"OK": 1}
    assert calls.refusals["INVALID_INPUT"] == wrong + 1


@pytest.mark.parametrize("method", BATCHED)
def test_every_bad_field_of_an_item_is_named(desk: Desks, method: str) -> None:
    """A bad value in any field of an item is refused for this item with the status that the single
    call would have, and the right item beside it is not."""
    single = BATCHED[method]
    for leaf in leaves_of(single):
        bad = leaf.request
        for value in bad_values(leaf)[-1:]:
            leaf.put(bad, value)
            batch: Any = RPCS[method].request(items=[bad, leaf.request])
            answer: Any = RPCS[method].response.FromString(desk.operator.send(method, batch))
            refusal = desk.operator.refused(single, bad)
            first, second = answer.outcomes
            assert refusal.fields == {leaf.path}
            assert Status.FromString(first.error.SerializeToString()) == refusal.status
            right = desk.operator.refused(single, leaf.request)
            assert Status.FromString(second.error.SerializeToString()) == right.status
