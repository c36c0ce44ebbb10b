"""Calls about a person, or between Freehold and an operator."""

from __future__ import annotations

from typing import Any

from freehold.v1 import credit_service_pb2 as credit

from tests.fakes import OPERATOR
from tests.operations.call import REPORTED, Call
from tests.rpc import ready
from tests.rpc.support import Desks, user_with, yuan

BETWEEN = frozenset({"operator_id", "payment_reference", "amount"})


def _puts_one(desk: Desks, request: Any) -> None:
    request.users.append(user_with(desk.platform.fresh("person"), 600))


def _limits(desk: Desks, request: Any) -> None:
    request.user_id = desk.platform.person()
    request.limit.CopyFrom(yuan(40_000))


def _suspends(desk: Desks, request: Any) -> None:
    request.user_id = desk.platform.person()
    request.standing = credit.STANDING_SUSPENDED


def _proposes(desk: Desks, request: Any) -> None:
    request.user_id, request.survivor = desk.platform.person(), desk.platform.person()
    request.reason = "the same id card"


def _approves(desk: Desks, request: Any) -> None:
    """Approves what another key of the platform has proposed."""
    request.user_id, request.survivor = desk.platform.person(), desk.platform.person()
    people = {"user_id": request.user_id, "survivor": request.survivor}
    desk.colleague.call("ProposeMerge", **people, reason="the same id card")


def _is_owed(desk: Desks, request: Any) -> None:
    ready.settled(desk)
    request.operator_id = OPERATOR


CALLS = (
    Call(
        method="PutUsers",
        scope="users.write",
        required=frozenset({"users"}),
        parts=({"users": [user_with("somebody", 600)]},),
        fill=_puts_one,
        unraced="has a command for each person, which locks the line as `suspension` does",
    ),
    Call(
        method="SetCreditLimit",
        scope="limits.write",
        required=frozenset({"user_id"}),
        parts=(
            {"user_id": "somebody", "limit": yuan(100)},
            {"user_id": "somebody", "currency_code": "CNY"},
        ),
        fill=_limits,
        unraced="locks the line as `suspension` does",
    ),
    Call(
        method="SetStanding",
        scope="standings.write",
        required=frozenset({"user_id", "standing"}),
        parts=({"user_id": "somebody", "standing": credit.STANDING_WATCHED},),
        fill=_suspends,
        race="suspension",
    ),
    Call(
        method="ProposeMerge",
        scope="limits.write",
        required=frozenset({"user_id", "survivor", "reason"}),
        parts=({"user_id": "somebody", "survivor": "other", "reason": "the same id card"},),
        fill=_proposes,
        unraced="locks both lines as `suspension` does, and changes neither",
    ),
    Call(
        method="ApproveMerge",
        scope="limits.write",
        required=frozenset({"user_id", "survivor"}),
        parts=({"user_id": "somebody", "survivor": "other"},),
        fill=_approves,
        unraced="locks both lines as `suspension` does",
    ),
    Call(
        method="PayOutOperator",
        scope="payouts.write",
        required=BETWEEN,
        parts=({"operator_id": "city", **REPORTED},),
        fill=_is_owed,
        race="payout",
    ),
    Call(
        method="RecordOperatorPayment",
        scope="payouts.write",
        required=BETWEEN,
        parts=({"operator_id": "city", **REPORTED},),
        fill=_is_owed,
        unraced="its balance is taken as that of the race `payout` is",
    ),
)
