"""Allowed states and versions of each call, and calls with nothing to act on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization

from tests.operations.every import ON_AUTHORIZATION
from tests.rpc import ready
from tests.rpc.examples import named, passing
from tests.rpc.support import (
    BIKE_MINOR,
    FOLLOWING,
    RPCS,
    Desks,
    Refused,
    advance,
    violated,
    yuan,
)

S = Authorization
ALLOWED: dict[str, set[str]] = {
    **{method: {str(it) for it in call.states} for method, call in ON_AUTHORIZATION.items()},
    # These rentals have no cash part, so only an offer can be confirmed.
    "ConfirmAuthorization": {"OFFERED"},
    # It names a rental, and changes another authorization.
    "BookDebt": {"SETTLED", "REVERSED"},
    "OpenComplaint": {"SETTLED", "DECLINED", "REVERSED", "EXPIRED"},
    # After the settlement it opens a case.
    "ClaimReturn": {"ACTIVE", "OVERDUE", "SETTLED"},
}
"""The states in which a rental without a cash part accepts a call."""


def test_the_table_has_every_call() -> None:
    """The table of allowed states has every call that changes an authorization."""
    assert set(ALLOWED) == set(FOLLOWING)
    assert set(ready.IN_STATE) == set(S.State.values()) - {S.STATE_UNSPECIFIED}


def _mean_no_other(method: str, request: Any) -> None:
    """Removes the field that gives a call another meaning: a charge-back that is not there, the
    time of a late pick-up, or the end of a late pause."""
    if method == "ResolveChargeBack":
        request.ClearField("case_id")
    if method == "StartRental":
        request.ClearField("occurred_at")
    if method == "PauseRental":
        request.ClearField("resumed_at")


@pytest.mark.parametrize("state", sorted(ready.IN_STATE), ids=Authorization.State.Name)
def test_a_forbidden_call_reports_the_state(desk: Desks, state: Authorization.State) -> None:
    """A call that the state does not allow is FAILED_PRECONDITION with the current state."""
    rental = ready.IN_STATE[state](desk)
    assert rental.state == state
    told = Authorization.State.Name(state)[len("STATE_") :]
    for method in (it for it in FOLLOWING if told not in ALLOWED[it]):
        request = named(method, rental.name)
        request.request_id = desk.operator.fresh()
        if "payment_reference" in request.DESCRIPTOR.fields_by_name:
            request.payment_reference = desk.operator.fresh("pay")
        _mean_no_other(method, request)
        refusal = desk.caller_for(method).refused(method, request)
        assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION, method
        assert refusal.reason == "ILLEGAL_TRANSITION"
        assert refusal.info.metadata["state"] == told
    assert desk.operator.get(rental.name) == rental


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("RecordPayment", "NOTHING_DUE"),
        ("ResolveDispute", "NOTHING_DISPUTED"),
        ("ResolveChargeBack", "NOTHING_CHARGED_BACK"),
        ("ProposeWriteOff", "NOTHING_DUE"),
        ("ApproveWriteOff", "NOT_PROPOSED"),
        ("ReportFound", "NOT_MISSING"),
    ],
)
def test_nothing_to_act_on_reports_the_state(desk: Desks, method: str, reason: str) -> None:
    """A call with nothing to act on is FAILED_PRECONDITION with its reason and the state."""
    rental = ready.settled(desk, 0)
    request = named(method, rental.name)
    request.request_id = desk.operator.fresh()
    if method == "ReportFound":
        request.ClearField("occurred_at")
    _mean_no_other(method, request)
    refusal = desk.caller_for(method).refused(method, request)
    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.reason == reason
    assert refusal.info.metadata["state"] == "SETTLED"
    assert desk.operator.get(rental.name) == rental


@pytest.mark.parametrize(
    ("method", "behind", "too_much_minor"),
    [
        ("DecreaseAuthorization", ready.active, BIKE_MINOR + 1),
        ("SettleAuthorization", ready.active, BIKE_MINOR + 1),
        ("LowerCharge", ready.settled, 1_001),
        ("RecordPaidElsewhere", ready.settled, 1_001),
        ("OpenDispute", ready.settled, 1_001),
        ("SetProvision", ready.settled, 1_001),
        ("RefundCharge", ready.paid, 1_001),
        ("RecordChargeBack", ready.paid, 1_001),
        ("PayOutRefund", ready.paid, 1),
    ],
)
def test_an_amount_above_the_maximum_is_named(
    desk: Desks, method: str, behind: Callable[[Desks], Authorization], too_much_minor: int
) -> None:
    """An amount above the call's maximum is refused at its field, and is not stored."""
    rental, caller = behind(desk), desk.caller_for(method)
    request: Any = RPCS[method].request(request_id=caller.fresh(), amount=yuan(too_much_minor))
    request.name = rental.name
    if "payment_reference" in request.DESCRIPTOR.fields_by_name:
        request.payment_reference = caller.fresh("pay")
    assert violated(caller, method, request) == {"amount.amount_minor"}
    assert desk.operator.get(rental.name) == rental
    if method != "PayOutRefund":
        request.amount.amount_minor -= 1
        caller.send(method, request)


def test_a_call_refused_for_its_state_is_not_stored(desk: Desks) -> None:
    """A call refused for its state may be sent again with the same id once the state allows it."""
    rental = ready.authorized(desk)
    request_id = desk.operator.fresh()
    with pytest.raises(Refused, match="FAILED_PRECONDITION"):
        desk.operator.settle(rental.name, 100, request_id=request_id)
    desk.operator.start(rental.name)
    settled = desk.operator.settle(rental.name, 100, request_id=request_id)
    assert settled.state == S.STATE_SETTLED


def test_a_reverse_after_a_capture_is_refused(desk: Desks) -> None:
    """After a capture a reversal is FAILED_PRECONDITION, and a final settlement of 0 closes."""
    rental = ready.active(desk)
    desk.operator.settle(rental.name, 100, final=False)
    with pytest.raises(Refused) as refusal:
        desk.operator.reverse(rental.name)
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.info.metadata["state"] == "ACTIVE"
    assert desk.operator.settle(rental.name, 0).state == S.STATE_SETTLED


def test_nothing_is_due_before_a_capture(desk: Desks) -> None:
    """A payment for an authorization without a capture on credit is FAILED_PRECONDITION."""
    rental = ready.active(desk)
    with pytest.raises(Refused) as refusal:
        desk.platform.pay(rental.name, 100)
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.reason == "NOTHING_DUE"
    assert refusal.value.info.metadata["state"] == "ACTIVE"


@pytest.mark.parametrize("method", FOLLOWING)
def test_a_stale_version_is_aborted(desk: Desks, method: str) -> None:
    """An expected version that is not the present one is ABORTED with both versions."""
    request, caller = passing(desk, method), desk.caller_for(method)
    name = request.authorization if method == "RecordPayment" else request.name
    advance(desk, 0)  # the timers have run, so they make no further version
    before = desk.operator.get(name)
    request.expected_version = 70
    refusal = caller.refused(method, request)
    assert refusal.code is grpc.StatusCode.ABORTED
    assert refusal.reason == "VERSION_MISMATCH"
    assert refusal.info.metadata == {"expected_version": "70", "version": str(before.version)}
    assert desk.operator.get(name) == before
    # The refusal was not stored: the same id passes with the right version.
    request.expected_version = before.version
    caller.send(method, request)
    # A debt is an authorization of its own; the rental that it cites stays as it is.
    steps = 0 if method == "BookDebt" else 1
    assert desk.operator.get(name).version == before.version + steps


def test_an_item_in_use_is_refused_until_its_rental_closes(desk: Desks) -> None:
    """An item in an open rental is FAILED_PRECONDITION until that rental closes. Under the refused
    request id it stays so; another id is decided anew."""
    asset_id = desk.operator.fresh("asset")
    rental = desk.operator.authorize(desk.platform.person(), "umbrella", asset_id=asset_id)
    request_id, user_id = desk.operator.fresh(), desk.platform.person()
    with pytest.raises(Refused) as refusal:
        desk.operator.authorize(user_id, "umbrella", asset_id=asset_id, request_id=request_id)
    assert refusal.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.value.reason == "ASSET_IN_USE"
    assert desk.other.authorize(user_id, "umbrella", asset_id=asset_id).state == S.STATE_ACTIVE
    desk.operator.settle(rental.name, 0)
    with pytest.raises(Refused, match="another open rental"):
        desk.operator.authorize(user_id, "umbrella", asset_id=asset_id, request_id=request_id)
    second = desk.operator.authorize(user_id, "umbrella", asset_id=asset_id)
    assert second.state == S.STATE_ACTIVE


def test_a_payment_is_recorded_once(desk: Desks) -> None:
    """A payment reference repeated under another request id is ALREADY_EXISTS."""
    rental = ready.active(desk)
    desk.operator.settle(rental.name, 1000)
    reference = desk.platform.fresh("pay")
    desk.platform.pay(rental.name, 100, reference=reference)
    with pytest.raises(Refused) as refusal:
        desk.platform.pay(rental.name, 100, reference=reference)
    assert refusal.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert refusal.value.reason == "PAYMENT_REFERENCE_USED"
    assert desk.operator.get(rental.name).due == yuan(900)
