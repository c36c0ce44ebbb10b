"""AuthorizationService: the hold, from the offer to the settlement; with the reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.v1 import authorization_service_pb2 as pb

from service.domain.access import Scope
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.engine.operations import (
    Authorize,
    Confirm,
    Decrease,
    Extend,
    Increment,
    Item,
    Reverse,
    ReverseByOrigin,
    Settle,
    StartRental,
)
from service.rpc import answers, convert
from service.rpc.mutations import Mutation, about, amount, payment_reference
from service.rpc.pipeline import Call

SERVICE = "freehold.v1.AuthorizationService"


def _authorize(call: Call[pb.AuthorizeRequest]) -> Authorize:
    message = call.message
    has, instant_us = message.HasField, convert.instant_us
    # By their places, which costs half as much as by their names.
    return Authorize(
        message.user_id,
        (Item(message.product_id, message.asset_id),),
        convert.START_OF[message.start],
        tuple([convert.OFFER_OF[it] for it in message.accept_offers]),
        instant_us(message.pickup_window, "pickup_window") if has("pickup_window") else None,
        instant_us(message.rental_period, "rental_period") if has("rental_period") else None,
        _parent_id(message) if message.parent else "",
        convert.money(message.amount) if has("amount") else None,
    )


def _parent_id(message: pb.AuthorizeRequest) -> str:
    user_id, authorization_id = convert.split_name(message.parent)
    if user_id != message.user_id:
        raise InvalidInput.of("parent", "parent.user", "must be a rental of the same user")
    return authorization_id


def _authorize_group(call: Call[pb.AuthorizeGroupRequest]) -> Authorize:
    message = call.message
    return Authorize(
        user_id=message.user_id,
        items=tuple([Item(it.product_id, it.asset_id) for it in message.items]),
        start=convert.START_OF[message.start],
        accept_offers=tuple([convert.OFFER_OF[it] for it in message.accept_offers]),
        pickup_window_us=convert.optional_us(message, "pickup_window"),
        rental_period_us=convert.optional_us(message, "rental_period"),
        grouped=True,
    )


def _paid(call: Call[Any]) -> Money:
    return convert.money(call.message.paid)


def _paid_if_any(call: Call[pb.IncrementAuthorizationRequest]) -> Money | None:
    """The payment for an increment; it comes whole or not at all."""
    message = call.message
    paid = message.HasField("paid")
    if paid and not message.payment_reference:
        raise InvalidInput.of(
            "payment_reference", "payment_reference.with_paid", "is needed with paid"
        )
    if message.payment_reference and not paid:
        raise InvalidInput.of("paid", "paid.with_payment_reference", "is needed with its reference")
    return convert.money(message.paid) if paid else None


def _settle(call: Call[pb.SettleAuthorizationRequest]) -> Settle:
    message = call.message
    amount = None
    if message.WhichOneof("charge") == "amount":
        amount = convert.money(message.amount)
    if message.line_items:
        _check_line_items(message)
    user_id, authorization_id = convert.split_name(message.name)
    return Settle(
        user_id,
        authorization_id,
        amount=amount,
        final=message.final if message.HasField("final") else True,
        occurred_us=_occurred_us(message),
        expected_version=convert.expected_version(message),
    )


def _check_line_items(message: pb.SettleAuthorizationRequest) -> None:
    if message.WhichOneof("charge") != "amount":
        raise InvalidInput.of("line_items", "line_items.with_amount", "belong to an amount")
    whole = convert.money(message.amount)
    sum_minor = 0
    for place, item in enumerate(message.line_items):
        path = f"line_items[{place}].amount.currency_code"
        sum_minor += convert.money(item.amount).require(whole.currency, path)
    if sum_minor != whole.amount_minor:
        raise InvalidInput.of(
            "line_items", "line_items.sum", f"add up to {sum_minor}, not {whole.amount_minor}"
        )


def _occurred_us(message: pb.SettleAuthorizationRequest) -> int | None:
    """When the usage ended, or else when it occurred; None: now."""
    occurred_us = convert.optional_us(message, "occurred_at")
    if not message.usage.HasField("end_time"):
        return occurred_us
    end_us = convert.instant_us(message.usage.end_time, "usage.end_time")
    if occurred_us not in (None, end_us):
        raise InvalidInput.of(
            "usage.end_time", "usage.end_time.differs", "differs from occurred_at"
        )
    return end_us


def _paths_of_settle(message: pb.SettleAuthorizationRequest) -> Mapping[str, str]:
    return {"occurred_at": "usage.end_time"} if message.usage.HasField("end_time") else {}


def _reverse(call: Call[pb.ReverseAuthorizationRequest]) -> Reverse | ReverseByOrigin:
    message = call.message
    expected_version = convert.expected_version(message)
    if message.WhichOneof("target") == "name":
        return Reverse(*convert.split_name(message.name), expected_version=expected_version)
    if message.origin.authorize_request_id == message.request_id:
        raise InvalidInput.of(
            "origin.authorize_request_id", "request_id.differs", "needs an id of its own"
        )
    return ReverseByOrigin(
        message.origin.user_id,
        message.origin.authorize_request_id,
        expected_version=expected_version,
    )


WRITE = Scope.AUTHORIZATIONS_WRITE
MUTATIONS = (
    Mutation(pb.AuthorizeRequest, pb.AuthorizeResponse, WRITE, _authorize),
    Mutation(
        pb.AuthorizeGroupRequest,
        pb.AuthorizeGroupResponse,
        WRITE,
        _authorize_group,
        answers.write_group,
    ),
    Mutation(
        pb.ConfirmAuthorizationRequest,
        pb.ConfirmAuthorizationResponse,
        WRITE,
        about(Confirm, payment_reference=payment_reference, paid=_paid),
    ),
    Mutation(
        pb.StartRentalRequest,
        pb.StartRentalResponse,
        WRITE,
        about(StartRental, asset_id=lambda call: call.message.asset_id),
    ),
    Mutation(
        pb.IncrementAuthorizationRequest,
        pb.IncrementAuthorizationResponse,
        WRITE,
        about(Increment, amount=amount, payment_reference=payment_reference, paid=_paid_if_any),
    ),
    Mutation(
        pb.DecreaseAuthorizationRequest,
        pb.DecreaseAuthorizationResponse,
        WRITE,
        about(Decrease, amount=amount),
    ),
    Mutation(
        pb.ExtendRentalRequest,
        pb.ExtendRentalResponse,
        WRITE,
        about(Extend, by_us=lambda call: convert.instant_us(call.message.duration, "duration")),
    ),
    Mutation(
        pb.SettleAuthorizationRequest,
        pb.SettleAuthorizationResponse,
        WRITE,
        _settle,
        answers.write_settled,
        _paths_of_settle,
    ),
    Mutation(
        pb.ReverseAuthorizationRequest,
        pb.ReverseAuthorizationResponse,
        WRITE,
        _reverse,
        answers.write_reversed,
    ),
)
"""What is decided and held, and how it ends."""
