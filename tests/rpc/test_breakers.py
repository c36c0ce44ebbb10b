"""AdmissionService: budgets and breakers over gRPC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from freehold.v1 import admission_service_pb2 as pb
from freehold.v1.terms_service_pb2 import TERMS_KIND_POLICY, TERMS_KIND_PRODUCT
from freehold.v1.types_pb2 import OFFER_FULL

from service.config import Limits
from service.domain.access import possible_scopes
from service.domain.breakers import OpenedBreaker
from service.storage.breakers import BreakerStore
from tests.fakes import OPERATOR, serving
from tests.rpc import ready
from tests.rpc.support import RPCS, Caller, Desks, add_person, desks, until
from tests.rpc.test_terms import caller_of

PRODUCT, POLICY = TERMS_KIND_PRODUCT, TERMS_KIND_POLICY


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desks]:
    """A server that looks for new terms and for losses every 50 ms, and its callers."""
    limits = Limits(catalog_interval_s=0.05, breakers_interval_s=0.05)
    with serving(tmp_path, limits=limits) as served, desks(served) as made:
        yield made


@pytest.fixture
def owner(desk: Desks) -> Iterator[Caller]:
    """A program of the operator with all scopes."""
    caller = caller_of(desk, possible_scopes(OPERATOR))
    yield caller
    caller.close()


def careful_bikes(desk: Desks, owner: Caller) -> None:
    """Puts the operator's bikes under a policy of its own, with a breaker and a budget."""
    (bike,) = owner.call("ListTerms", kind=PRODUCT, name="bike").terms
    policy = {
        **{"name": "careful", "zero_from_score": 550, "reduced_from_score": 480},
        "reduced_credit_share_bp": 5_000,
        "breaker": [{"currency": "CNY", "days": 30, "most_minor": 0}],
        "budget": [{"currency": "CNY", "most_minor": 1_000_000, "slice_minor": 400_000}],
    }
    product = {**json.loads(bike.document), "policy": "careful"}
    for kind, document in ((POLICY, policy), (PRODUCT, product)):
        owner.call("ApplyTerms", kind=kind, document=json.dumps(document), activate=True)

    def counts() -> bool:
        it = desk.operator.authorize(desk.platform.person(), "bike")
        desk.operator.reverse(it.name)
        return bool(it.product_revision == 2)

    until(counts, "the policy counts")


def is_stopped(desk: Desks) -> bool:
    """True if a new rental of a bike needs the whole deposit because of a breaker."""
    it = desk.operator.authorize(desk.platform.person(), "bike")
    stopped = list(it.reasons)[:1] == ["BREAKER_OPEN"]
    assert (it.offer == OFFER_FULL) == stopped
    desk.operator.reverse(it.name)
    return stopped


def open_breakers(by: Caller, **parts: Any) -> list[pb.Breaker]:
    """The open breakers that a caller sees."""
    return list(by.call("ListBreakers", open_only=True, **parts).breakers)


def test_losses_stop_new_rentals_until_somebody_closes_the_breaker(
    desk: Desks, owner: Caller
) -> None:
    """An item that is lost and not paid opens the breaker of the operator's policy; every server
    follows. The operator sees the losses, closes the breaker with a reason, and people rent without
    a deposit again. Another operator sees nothing of it."""
    careful_bikes(desk, owner)
    it = ready.missing(desk)
    until(lambda: is_stopped(desk), "the breaker stops new rentals")
    (opened,) = open_breakers(owner)
    assert (opened.number, opened.operator_id, opened.policy_id) == (1, OPERATOR, "city/careful")
    assert (opened.loss_minor, opened.rentals) == (it.due.amount_minor, 1)
    assert (opened.most_minor, opened.window_days, opened.least_rentals) == (0, 30, 1)
    assert open_breakers(desk.platform, operator_id=OPERATOR) == [opened]
    assert open_breakers(desk.other) == []
    for caller, parts in ((desk.other, {"operator_id": OPERATOR}), (desk.other, {})):
        with pytest.raises(Exception, match=r"NOT_FOUND|PERMISSION_DENIED"):
            caller.call("ResetBreaker", number=1, reason="mine", **parts)
    closed = owner.call("ResetBreaker", request_id="once", number=1, reason="looked").breaker
    assert (closed.close_reason, closed.HasField("close_time")) == ("looked", True)
    assert closed.closed_by.startswith(f"{OPERATOR}/keys/")
    again = owner.call("ResetBreaker", request_id="once", number=1, reason="looked").breaker
    assert again == closed
    until(lambda: not is_stopped(desk), "the closed breaker stops nothing")
    with pytest.raises(Exception, match="was closed before"):
        owner.call("ResetBreaker", number=1, reason="again")
    assert open_breakers(owner) == []
    assert list(owner.call("ListBreakers").breakers) == [closed]
    assert not desk.platform.verify().HasField("fault")


def test_a_person_needs_a_second_one_to_close_a_breaker(desk: Desks, owner: Caller) -> None:
    """The key of a person closes a breaker only with the approval of a second person, who is in the
    record."""
    careful_bikes(desk, owner)
    ready.missing(desk)
    until(lambda: bool(open_breakers(owner)), "the breaker opens")
    people = []
    for person_id in ("carl", "dora"):
        add_person(desk.served.store.engine, person_id, OPERATOR)
        people.append(caller_of(desk, possible_scopes(OPERATOR), person_id))
    carl, dora = people
    request = RPCS["ResetBreaker"].request(request_id=carl.fresh(), number=1, reason="looked")
    assert carl.refused("ResetBreaker", request).reason == "APPROVAL_REQUIRED"
    body = request.SerializeToString()
    proposal = carl.call("ProposeAct", method="ResetBreaker", request=body).proposal.number
    dora.call("ApproveAct", proposal=proposal)
    metadata = (*carl.metadata, ("freehold-approval", str(proposal)))
    carl.send("ResetBreaker", request, metadata=metadata)
    assert open_breakers(owner) == []
    act = owner.call("ListAuditEvents").events[-1]
    assert (act.act, act.approved_by) == ("breaker.reset", "dora")
    for caller in people:
        caller.close()


def test_only_the_platform_closes_breakers_of_its_policies(desk: Desks, owner: Caller) -> None:
    """An operator sees the breaker of a policy of the platform, and does not close it; the platform
    does, and the operator sees `platform` in place of the person. A platform's call names the
    operator."""
    now_us = desk.served.clock.now_us()
    day_us = 86_400_000_000
    it = OpenedBreaker(OPERATOR, 0, "bike", "CNY", 1, day_us, 0, 1, 1, 1, now_us - day_us, now_us)
    assert BreakerStore(desk.served.store.engine).written(it) is not None
    with pytest.raises(Exception, match="is the platform's"):
        owner.call("ResetBreaker", number=1, reason="mine")
    with pytest.raises(Exception, match="operator_id"):
        desk.platform.call("ListBreakers")
    platform = caller_of(desk, possible_scopes(None), owner=None)
    with pytest.raises(Exception, match="NOT_FOUND"):
        platform.call("ResetBreaker", operator_id=OPERATOR, number=2, reason="none")
    platform.call("ResetBreaker", operator_id=OPERATOR, number=1, reason="looked")
    platform.close()
    (closed,) = owner.call("ListBreakers").breakers
    assert (closed.closed_by, closed.close_reason) == ("platform", "looked")


def test_budgets_tell_what_is_used_and_left(desk: Desks, owner: Caller) -> None:
    """An operator sees the budgets of its own policies: the amount on credit now, the part that
    servers have leased, the rest, and the next slice."""
    careful_bikes(desk, owner)
    (before,) = owner.call("ListBudgets").budgets
    assert (before.policy_id, before.currency, before.span) == (
        "city/careful", "CNY", pb.BUDGET_SPAN_OPEN,
    )  # fmt: skip
    assert (before.most_minor, before.used_minor) == (1_000_000, 0)
    assert 0 < before.leased_minor <= 400_000
    assert before.left_minor == 1_000_000 - before.leased_minor
    assert before.next_slice_minor == 200_000
    it = desk.operator.authorize(desk.platform.person(), "bike")

    def used() -> int:
        return int(owner.call("ListBudgets").budgets[0].used_minor)

    assert used() == it.held.amount_minor
    (after,) = owner.call("ListBudgets").budgets
    assert after.used_minor + after.leased_minor + after.left_minor == after.most_minor
    assert after.leased_minor > 0
    assert list(desk.other.call("ListBudgets").budgets) == []
    (seen,) = desk.platform.call("ListBudgets", operator_id=OPERATOR).budgets
    assert seen == after
    with pytest.raises(Exception, match="NOT_FOUND"):
        desk.platform.call("ListBudgets", operator_id="nowhere")
    desk.operator.settle(it.name, 0)
    assert used() == 0
