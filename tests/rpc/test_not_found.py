"""Objects of other callers, and objects that do not exist."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeGroupRequest,
    AuthorizeRequest,
    ReverseAuthorizationRequest,
)
from freehold.v1.collection_service_pb2 import (
    GetOperatorBalanceRequest,
    PayOutOperatorRequest,
    RecordOperatorPaymentRequest,
)
from freehold.v1.credit_service_pb2 import (
    STANDING_SUSPENDED,
    GetCreditProfileRequest,
    SetCreditLimitRequest,
    SetStandingRequest,
)
from google.protobuf.message import Message

from tests.rpc import ready
from tests.rpc.examples import behind, example, named
from tests.rpc.receipts import without_receipt
from tests.rpc.support import (
    FOLLOWING,
    NOWHERE,
    OPERATORS_FOLLOWING,
    PLATFORM_RPCS,
    SHARED_RPCS,
    Caller,
    Desks,
    Refused,
    yuan,
)


def check_unknown(
    caller: Caller, method: str, mine: Authorization, request_of: Callable[[str], Message]
) -> None:
    """Requires NOT_FOUND, byte for byte the same as for an authorization that never existed."""
    user_id, id_of_mine = mine.name.split("/")[1::2]
    refusals = []
    for name in (mine.name, f"users/{user_id}/authorizations/{'v' * 20}"):
        refusal = caller.refused(method, request_of(name))
        assert refusal.code is grpc.StatusCode.NOT_FOUND
        assert refusal.reason == "AUTHORIZATION_NOT_FOUND"
        refusals.append((refusal.message, refusal.raw))
    (message, raw), (other_message, other_raw) = refusals
    assert message == other_message
    assert raw is not None
    assert raw.replace(id_of_mine.encode(), b"v" * 20) == other_raw


@pytest.mark.parametrize("method", ["GetAuthorization", *OPERATORS_FOLLOWING])
def test_another_operators_authorization_does_not_exist(desk: Desks, method: str) -> None:
    """Another operator's authorization is NOT_FOUND, byte for byte the same as one that never
    existed."""
    mine = behind(desk, method)
    check_unknown(desk.other, method, mine, lambda name: named(method, name))
    assert desk.operator.get(mine.name) == without_receipt(mine)


def test_another_operators_rental_cannot_be_cited(desk: Desks) -> None:
    """A damage charge that cites another operator's rental is NOT_FOUND, as for a rental that never
    existed."""
    mine = ready.settled(desk)

    def citing(name: str) -> Message:
        user_id = name.split("/")[1]
        return AuthorizeRequest(request_id="cite", user_id=user_id, product_id="bike", parent=name)

    check_unknown(desk.other, "Authorize", mine, citing)


def test_another_operators_request_id_is_not_found(desk: Desks) -> None:
    """A reversal by another operator's request id is answered as for an unused id."""
    user_id = desk.platform.person()
    mine = desk.operator.authorize(user_id, "umbrella", request_id=desk.operator.fresh("mine"))
    answers = []
    for origin_id in (mine.request_id, desk.other.fresh("never")):
        origin = ReverseAuthorizationRequest.Origin(user_id=user_id, authorize_request_id=origin_id)
        request = ReverseAuthorizationRequest(request_id=desk.other.fresh(), origin=origin)
        answers.append(desk.other.send("ReverseAuthorization", request))
    assert answers[0] == answers[1]
    assert desk.operator.get(mine.name).state == Authorization.STATE_ACTIVE


def test_another_operators_rentals_are_not_listed(desk: Desks) -> None:
    """A list has only the caller's own authorizations, also when it is restricted to a person."""
    user_id = desk.platform.person(700)
    desk.operator.authorize(user_id, "umbrella")
    assert len(desk.operator.page(user_id=user_id).authorizations) == 1
    assert desk.other.page(user_id=user_id) == type(desk.other.page())()


@pytest.mark.parametrize(
    ("caller", "method", "request_message", "reason"),
    [
        (
            "operator",
            "Authorize",
            AuthorizeRequest(request_id="no-1", user_id="u", product_id="boat"),
            "PRODUCT_NOT_FOUND",
        ),
        ("operator", "GetAuthorization", example("GetAuthorization"), "AUTHORIZATION_NOT_FOUND"),
        (
            "platform",
            "GetCreditProfile",
            GetCreditProfileRequest(user_id="never-seen"),
            "USER_NOT_FOUND",
        ),
        *[
            ("platform", method, example(method), "AUTHORIZATION_NOT_FOUND")
            for method in FOLLOWING
            if method in PLATFORM_RPCS or method in SHARED_RPCS
        ],
        (
            "platform",
            "SetCreditLimit",
            SetCreditLimitRequest(request_id="no-4", user_id="never-seen"),
            "USER_NOT_FOUND",
        ),
        (
            "platform",
            "SetStanding",
            SetStandingRequest(
                request_id="no-5", user_id="never-seen", standing=STANDING_SUSPENDED
            ),
            "USER_NOT_FOUND",
        ),
        (
            "platform",
            "PayOutOperator",
            PayOutOperatorRequest(
                request_id="no-2", operator_id="nobody", payment_reference="no", amount=yuan(1)
            ),
            "OPERATOR_NOT_FOUND",
        ),
        (
            "platform",
            "RecordOperatorPayment",
            RecordOperatorPaymentRequest(
                request_id="no-6", operator_id="nobody", payment_reference="no-6", amount=yuan(1)
            ),
            "OPERATOR_NOT_FOUND",
        ),
        (
            "platform",
            "GetOperatorBalance",
            GetOperatorBalanceRequest(operator_id="nobody"),
            "OPERATOR_NOT_FOUND",
        ),
        (
            "operator",
            "AuthorizeGroup",
            AuthorizeGroupRequest(request_id="no-3", user_id="u", items=[{"product_id": "boat"}]),
            "PRODUCT_NOT_FOUND",
        ),
    ],
)
def test_missing_objects_are_not_found(
    desk: Desks, caller: str, method: str, request_message: Message, reason: str
) -> None:
    """A missing product, person or authorization is NOT_FOUND with its kind."""
    who: Caller = getattr(desk, caller)
    refusal = who.refused(method, request_message)
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert refusal.reason == reason


def test_an_authorization_under_another_person_is_not_found(desk: Desks) -> None:
    """An authorization named under another person is not found."""
    name = desk.operator.authorize(desk.platform.person(), "umbrella").name
    moved = f"users/{desk.platform.person()}/authorizations/{name.rpartition('/')[2]}"
    with pytest.raises(Refused, match="NOT_FOUND"):
        desk.operator.get(moved)
    assert moved != NOWHERE
