"""Calls that compete: real threads behind a barrier, real sockets, exactly one outcome."""

from __future__ import annotations

from collections import Counter
from functools import partial

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    ReverseAuthorizationRequest,
)
from freehold.v1.types_pb2 import OFFER_ZERO

from tests.rpc import ready
from tests.rpc.support import Caller, Desks, Refused, together, yuan

A = Authorization
ROUNDS = 10


def stored(desk: Desks, user_id: str) -> list[Authorization]:
    """All of a person's authorizations with the operator."""
    return list(desk.operator.page(user_id=user_id, page_size=1000).authorizations)


def test_one_request_id_from_fifty_clients(desk: Desks) -> None:
    """Fifty clients with one request id cause one effect and all get the same bytes."""
    callers = [Caller(desk.served.address, desk.served.operator_key) for _ in range(50)]
    try:
        for _ in range(3):
            user_id = desk.platform.person()
            request = AuthorizeRequest(
                request_id=desk.operator.fresh(), user_id=user_id, product_id="bike"
            )
            answers = together([partial(it.send, "Authorize", request) for it in callers])
            assert len(set(answers)) == 1
            (only,) = stored(desk, user_id)
            answer = answers[0]
            assert isinstance(answer, bytes)
            assert AuthorizeResponse.FromString(answer).authorization == only
            assert desk.platform.profile(user_id).held.amount_minor == 19_900
    finally:
        for caller in callers:
            caller.close()
    assert desk.platform.verify().verified


def test_one_request_id_for_two_bodies(desk: Desks) -> None:
    """Of two bodies under one request id one is taken, and the other told which field differs."""
    for _ in range(ROUNDS):
        request_id, user_id = desk.operator.fresh(), desk.platform.person(700)
        results = together(
            [
                partial(desk.operator.authorize, user_id, product, request_id=request_id)
                for product in ("bike", "umbrella") * 4
            ]
        )
        won = [it for it in results if isinstance(it, A)]
        lost = [it for it in results if isinstance(it, Refused)]
        assert len(won) == len(lost) == 4
        assert len({it.name for it in won}) == 1
        assert {it.info.metadata["field"] for it in lost} == {"product_id"}
        assert stored(desk, user_id) == [won[0]]


@pytest.mark.parametrize("clients", [8, 24])
def test_a_line_is_used_to_the_last_unit_and_never_beyond(desk: Desks, clients: int) -> None:
    """Many clients on one line hold as much as it bears, and the rest are declined."""
    user_id = desk.platform.person(700)  # 500 yuan: eight umbrellas at 59 are 472
    results = together(
        [
            partial(caller.authorize, user_id, "umbrella", accept_offers=[OFFER_ZERO])
            for caller in (desk.operator, desk.other) * (clients // 2)
        ]
    )
    states = Counter(it.state for it in results if isinstance(it, A))
    assert (states[A.STATE_ACTIVE], states[A.STATE_DECLINED]) == (8, clients - 8)
    line = desk.platform.profile(user_id)
    assert (line.held.amount_minor, line.available.amount_minor) == (8 * 5_900, 2_800)
    assert desk.platform.verify().verified


def test_the_last_unit_goes_to_one(desk: Desks) -> None:
    """A line that bears exactly one hold gives it to one of many."""
    for _ in range(ROUNDS):
        user_id = desk.platform.person(600)  # 300 yuan: one bike at 199
        results = together(
            [
                partial(desk.operator.authorize, user_id, "bike", accept_offers=[OFFER_ZERO])
                for _ in range(12)
            ]
        )
        states = Counter(it.state for it in results if isinstance(it, A))
        assert states == {A.STATE_ACTIVE: 1, A.STATE_DECLINED: 11}
        assert desk.platform.profile(user_id).held.amount_minor == 19_900


def test_one_item_for_two_people(desk: Desks) -> None:
    """One item asked for by several people goes to one, and the others hold nothing."""
    for _ in range(ROUNDS):
        people = [desk.platform.person() for _ in range(6)]
        asset_id = desk.operator.fresh("asset")
        results = together(
            [
                partial(desk.operator.authorize, user_id, "umbrella", asset_id=asset_id)
                for user_id in people
            ]
        )
        won = [it for it in results if isinstance(it, A)]
        lost = [it for it in results if isinstance(it, Refused)]
        assert (len(won), len(lost)) == (1, 5)
        assert {it.reason for it in lost} == {"ASSET_IN_USE"}
        held = [desk.platform.profile(user_id).held.amount_minor for user_id in people]
        assert sorted(held) == [0] * 5 + [5_900]


def test_settle_against_reverse(desk: Desks) -> None:
    """Of a settlement and a reversal of one hold exactly one wins; the other learns the state."""
    winners = Counter[str]()
    for round_number in range(2 * ROUNDS):
        user_id = desk.platform.person()
        name = desk.operator.authorize(user_id, "bike").name
        tasks = [
            partial(desk.operator.settle, name, 500),
            partial(desk.operator.reverse, name),
        ]
        results = together(tasks if round_number % 2 else tasks[::-1])
        (won,) = [it for it in results if isinstance(it, A)]
        (lost,) = [it for it in results if isinstance(it, Refused)]
        assert lost.code is grpc.StatusCode.FAILED_PRECONDITION
        state = A.State.Name(won.state)[len("STATE_") :]
        assert lost.info.metadata["state"] == state
        assert state in ("SETTLED", "REVERSED")
        winners[state] += 1
        assert desk.operator.get(name) == won
        line = desk.platform.profile(user_id)
        assert line.held.amount_minor == 0
        assert line.drawn.amount_minor == (500 if state == "SETTLED" else 0)
    assert sum(winners.values()) == 2 * ROUNDS


def test_many_ways_to_close(desk: Desks) -> None:
    """Of many settlements and reversals under ids of their own exactly one closes the hold."""
    for _ in range(ROUNDS):
        name = desk.operator.authorize(desk.platform.person(), "bike").name
        results = together(
            [partial(desk.operator.settle, name, amount) for amount in range(1, 6)]
            + [partial(desk.operator.reverse, name) for _ in range(5)]
        )
        won = [it for it in results if isinstance(it, A)]
        assert len(won) == 1
        assert desk.operator.get(name) == won[0]
        assert won[0].version == 2


def test_captures_add_up(desk: Desks) -> None:
    """Captures that compete add up exactly, and none goes beyond the hold."""
    name = desk.operator.authorize(desk.platform.person(), "bike").name
    results = together([partial(desk.operator.settle, name, 1_990, final=False) for _ in range(14)])
    won = [it for it in results if isinstance(it, A)]
    lost = [it for it in results if isinstance(it, Refused)]
    assert (len(won), len(lost)) == (10, 4)
    assert all(it.fields == {"amount.amount_minor"} for it in lost)
    assert sorted(it.captured.amount_minor for it in won) == [1_990 * n for n in range(1, 11)]
    assert desk.operator.settle(name, 0).captured.amount_minor == 19_900
    assert desk.platform.verify().verified


def test_one_payment_from_two_reports(desk: Desks) -> None:
    """A payment reported twice under different request ids is recorded once."""
    for _ in range(ROUNDS):
        name = desk.operator.authorize(desk.platform.person(), "bike").name
        desk.operator.settle(name, 1_000)
        reference = desk.platform.fresh("pay")
        results = together(
            [partial(desk.platform.pay, name, 600, reference=reference) for _ in range(6)]
        )
        lost = [it for it in results if isinstance(it, Refused)]
        assert {it.reason for it in lost} == {"PAYMENT_REFERENCE_REUSED"}
        assert len(lost) == 5
        assert desk.operator.get(name).due.amount_minor == 400


def test_an_operator_is_not_paid_more_than_it_is_owed(desk: Desks) -> None:
    """Payouts that compete pay no more than what is owed; the others are told how much that is."""
    name = desk.other.authorize(desk.platform.person(), "bike").name
    desk.other.settle(name, 1_000)  # less a fee of 2.5 %
    results = together(
        [
            partial(
                desk.platform.call,
                "PayOutOperator",
                operator_id="harbour",
                amount=yuan(300),
                payment_reference=desk.platform.fresh("payout"),
            )
            for _ in range(8)
        ]
    )
    lost = [it for it in results if isinstance(it, Refused)]
    assert (len(results) - len(lost), {it.reason for it in lost}) == (3, {"PAYABLE_EXCEEDED"})
    (left,) = desk.platform.call("GetOperatorBalance", operator_id="harbour").payables
    assert left.amount_minor == 75
    assert desk.platform.verify().verified


def test_a_refund_is_paid_out_once(desk: Desks) -> None:
    """Of payouts of all that is owed to a user exactly one takes place."""
    name = ready.paid(desk).name
    desk.operator.call("RefundCharge", name=name, amount=yuan(700))
    results = together(
        [partial(desk.platform.call, "PayOutRefund", name=name, amount=yuan(700)) for _ in range(6)]
    )
    lost = [it for it in results if isinstance(it, Refused)]
    assert len(lost) == 5
    assert all(it.fields == {"amount.amount_minor"} for it in lost)
    assert desk.operator.get(name).refund_payable == yuan(0)


def test_a_write_off_takes_place_once(desk: Desks) -> None:
    """Of approvals of one proposal exactly one writes off, and no key agrees with itself."""
    name = ready.settled(desk).name
    desk.colleague.call("ProposeWriteOff", name=name)
    results = together(
        [
            partial(caller.call, "ApproveWriteOff", name=name)
            for caller in (desk.platform, desk.colleague) * 4
        ]
    )
    lost = [it for it in results if isinstance(it, Refused)]
    assert len(lost) == 7
    assert {it.reason for it in lost} <= {"SECOND_PERSON_NEEDED", "NOT_PROPOSED"}
    assert desk.operator.get(name).written_off == yuan(1_000)


def test_an_item_for_a_group_and_for_one(desk: Desks) -> None:
    """An item that groups and single rentals compete for goes to one of them, and a group that
    does not get it gets nothing."""
    for _ in range(ROUNDS):
        people, asset_id = [desk.platform.person() for _ in range(6)], desk.operator.fresh("asset")
        item = {"product_id": "umbrella", "asset_id": asset_id}
        results = together(
            [
                partial(
                    desk.operator.call,
                    "AuthorizeGroup",
                    user_id=user_id,
                    items=[item, {"product_id": "umbrella"}],
                )
                for user_id in people[:3]
            ]
            + [
                partial(desk.operator.call, "Authorize", user_id=user_id, **item)
                for user_id in people[3:]
            ]
        )
        lost = [it for it in results if isinstance(it, Refused)]
        assert (len(lost), {it.reason for it in lost}) == (5, {"ASSET_IN_USE"})
        held = sorted(desk.platform.profile(user_id).held.amount_minor for user_id in people)
        assert held[:5] == [0] * 5
        assert held[5] in (5_900, 11_800)


def test_one_version_is_changed_once(desk: Desks) -> None:
    """Of many calls that expect the same version one is done and the others are ABORTED."""
    name = desk.operator.authorize(desk.platform.person(), "bike").name
    results = together(
        [
            partial(desk.operator.settle, name, 10, final=False, expected_version=1)
            for _ in range(12)
        ]
    )
    lost = [it for it in results if isinstance(it, Refused)]
    assert len(lost) == 11
    assert {it.code for it in lost} == {grpc.StatusCode.ABORTED}
    assert desk.operator.get(name).captured.amount_minor == 10


def test_a_tombstone_against_its_authorize(desk: Desks) -> None:
    """A reversal by origin that races its Authorize leaves nothing held, whoever is first."""
    for _ in range(2 * ROUNDS):
        user_id, request_id = desk.platform.person(), desk.operator.fresh("race")
        origin = ReverseAuthorizationRequest.Origin(
            user_id=user_id, authorize_request_id=request_id
        )
        request = ReverseAuthorizationRequest(request_id=desk.operator.fresh(), origin=origin)
        late = AuthorizeRequest(request_id=request_id, user_id=user_id, product_id="bike")
        results = together(
            [
                partial(desk.operator.send, "ReverseAuthorization", request),
                partial(desk.operator.send, "Authorize", late),
            ]
        )
        assert not [it for it in results if isinstance(it, Refused)]
        (only,) = stored(desk, user_id)
        assert only.state in (A.STATE_REVERSED, A.STATE_DECLINED)
        assert desk.platform.profile(user_id).held.amount_minor == 0
    assert desk.platform.verify().verified
