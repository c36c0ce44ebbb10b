"""The message of a random call, as a client would send it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from freehold.v1 import collection_service_pb2 as collection
from freehold.v1.credit_service_pb2 import ResolveReviewRequest
from google.protobuf.message import Message

from service.domain.access import PLATFORM
from service.domain.cases import Side
from service.domain.details import Order
from service.domain.money import Money
from service.domain.reviews import ReviewReason
from service.engine import operations as c
from service.rpc import convert
from service.rpc.case_service import KINDS, NOBODY, OUTCOMES, SIDES
from service.rpc.charge_back_messages import DIRECTIONS
from service.rpc.credit_service import REASONS
from tests.engine.chance import OPERATORS, USERS, Call
from tests.rpc.support import RPCS

BESIDE = (c.PutUser, c.OpenBulk, c.ReportTransfer, c.Wake, c.DecideCase)
"""Commands without a message of their own: the first two are parts of PutUsers, a report is signed
and has no request id, and the others are the server's own."""
_RENAMED: dict[type[Any], str] = {
    c.Confirm: "ConfirmAuthorization", c.Increment: "IncrementAuthorization",
    c.Decrease: "DecreaseAuthorization", c.Extend: "ExtendRental",
    c.Settle: "SettleAuthorization", c.Reverse: "ReverseAuthorization",
    c.ReverseByOrigin: "ReverseAuthorization", c.SetLimit: "SetCreditLimit",
}  # fmt: skip
_START = {start: number for number, start in convert.START_OF.items()}
_HANDOVER = {it: number for number, it in convert.HANDOVER_OF.items()}


def expressed(call: Call) -> Call:
    """The call without what its message cannot say; it comes from a caller."""
    command = call.command
    if not call.caller and not isinstance(command, BESIDE):
        call = call._replace(caller=OPERATORS[0])
    match command:
        case c.Authorize(grouped=True):
            command = command._replace(user_consent_reference="", parent_id="", amount=None)
        case c.ReverseByOrigin(user_id=""):
            command = replace(command, user_id=USERS[0])
        case c.ResolveDispute(goodwill=True) | c.ResolveChargeBack(goodwill=True):
            command = replace(command, user_won=True)
        case c.AddEvidence(side=side) if side is not Side.USER:
            own = Side.PLATFORM if call.caller == PLATFORM else Side.OPERATOR
            command = replace(command, side=own)
    return call._replace(command=command)


def request_of(request_id: str, command: Any) -> tuple[str, Any]:
    """The method of a command that is not in `BESIDE`, and its message."""
    method = _RENAMED.get(type(command), type(command).__name__)
    if isinstance(command, c.Authorize) and command.grouped:
        method = "AuthorizeGroup"
    message: Any = RPCS[method].request(request_id=request_id)
    if isinstance(command, c.Authorize):
        _authorize(message, command)
    elif isinstance(command, c.ReverseByOrigin):
        message.origin.user_id = command.user_id
        message.origin.authorize_request_id = command.authorize_request_id
        _fill(message, command, ("user_id", "authorize_request_id"))
    else:
        _fill(message, command, _name(message, command))
    return method, message


def _name(message: Any, command: Any) -> tuple[str, ...]:
    """Writes the name that the command is about; returns the fields that it holds."""
    if isinstance(command, c.RefundPass):
        message.name = f"users/{command.user_id}/passes/{command.pass_id}"
        return "user_id", "pass_id"
    if not hasattr(command, "authorization_id"):
        return ()
    user_id, authorization_id = command.user_id, command.authorization_id
    name = f"users/{user_id}/authorizations/{authorization_id}"
    held = ("user_id", "authorization_id")
    if isinstance(command, c.AddEvidence | c.ResolveCase):
        about = f"users/{user_id or NOBODY}/authorizations/{authorization_id or NOBODY}"
        message.name = f"{about}/cases/{command.case_id}"
        return (*held, "case_id")
    if isinstance(command, c.RecordPayment):
        message.authorization = name
    elif authorization_id:
        message.name = name
    return held


def _fill(message: Any, command: Any, done: tuple[str, ...]) -> None:
    """Writes the other fields of a command."""
    for field in fields(command):
        value = getattr(command, field.name)
        if field.name not in done and value is not None:
            _WRITERS.get(field.name, _plain(field.name))(message, value)
    if isinstance(command, c.Settle):
        _bill(message, command)
    if isinstance(command, c.ResolveDispute | c.ResolveChargeBack):
        outcome = "USER_WON" if command.user_won else "USER_LOST"
        if command.goodwill:
            outcome = "GOODWILL"
        message.outcome = getattr(collection, f"DISPUTE_OUTCOME_{outcome}")


def _bill(message: Any, command: c.Settle) -> None:
    """The usage if no amount is charged, and lines that add up to the amount."""
    if command.amount is None:
        message.usage.SetInParent()
    left = Money("CNY", 0) if command.amount is None else command.amount
    for item in command.line_items:
        line = message.line_items.add(item=item, description="" if item else "更多")
        write_money(line.amount, left)
        left = Money(left.currency, 0)


def _authorize(message: Any, command: c.Authorize) -> None:
    message.user_id = command.user_id
    message.start = _START[command.start]
    message.accept_offers.extend(convert.OFFERS[it] for it in command.accept_offers)
    message.identity_hash = command.identity_hash
    for name in ("pickup_window", "rental_period"):
        window_us = getattr(command, f"{name}_us")
        if window_us is not None:
            _write_duration(getattr(message, name), window_us)
    if command.order is not None:
        _order(message.order, command.order)
    if command.grouped:
        for item in command.items:
            _item(message.items.add(), item)
        return
    (item,) = command.items
    _item(message, item)
    message.user_consent_reference = command.user_consent_reference
    if command.parent_id:
        message.parent = f"users/{command.user_id}/authorizations/{command.parent_id}"
    if command.amount is not None:
        write_money(message.amount, command.amount)


def _item(message: Any, item: c.Item) -> None:
    message.product_id, message.asset_id = item.product_id, item.asset_id
    message.price_hash = item.price_hash
    if item.order_fee is not None:
        write_money(message.order_fee, item.order_fee)


def _order(message: Any, order: Order) -> None:
    message.SetInParent()
    message.order_reference = order.order_reference
    for name, value in json.loads(order.labels or "{}").items():
        message.labels.add(name=name, value=value)
    _write_place(message.place, order.place)
    message.device_hash = order.device_hash
    message.payment_account_hash = order.payment_account_hash
    message.rail_account, message.time_zone = order.rail_account, order.time_zone


def write_money(message: Any, amount: Money) -> None:
    """Writes an amount."""
    message.currency_code, message.amount_minor = amount.currency, amount.amount_minor


def _write_duration(message: Any, us: int) -> None:
    message.seconds, micros = divmod(us, 1_000_000)
    message.nanos = micros * 1_000


def _write_place(message: Any, place: Any) -> None:
    message.SetInParent()
    message.station, message.condition = place.station, place.condition


Write = Callable[[Any, Any], None]


def _plain(name: str) -> Write:
    return lambda message, value: setattr(message, name, value)


def _number(name: str, numbers: Any) -> Write:
    return lambda message, value: setattr(message, name, numbers[value])


def _part(name: str, write: Write) -> Write:
    return lambda message, value: write(getattr(message, name), value)


def _nothing(_message: Message, _value: Any) -> None:
    """Writes nothing: the caller's key or another field tells it."""


def _reason(message: Any, value: str) -> None:
    message.reason = REASONS[value] if isinstance(value, ReviewReason) else value


def _approve(message: Any, value: bool) -> None:
    verdict = "APPROVED" if value else "DECLINED"
    message.verdict = getattr(ResolveReviewRequest, f"VERDICT_{verdict}")


_WRITERS: dict[str, Write] = {
    "amount": _part("amount", write_money),
    "approve": _approve,
    "by": _nothing,
    "by_us": _part("duration", _write_duration),
    "by_user": _plain("user_cancels"),
    "cause": _number("cause", convert.CAUSES),
    "complaint": _number("complaint", KINDS),
    "currency": _plain("currency_code"),
    "direction": _number("direction", DIRECTIONS),
    "from_us": _part("start_time", convert.write_time),
    "goodwill": _nothing,
    "handover": _number("return_kind", _HANDOVER),
    "limit": _part("limit", write_money),
    "line_items": _nothing,
    "name": _plain("pass_name"),
    "occurred_us": _part("occurred_at", convert.write_time),
    "outcome": _number("outcome", OUTCOMES),
    "owner": lambda message, value: setattr(message, "owner", value and f"operators/{value}"),
    "paid": _part("paid", write_money),
    "place": _part("place", _write_place),
    "purpose": _number("purpose", convert.PURPOSES),
    "reference": lambda message, value: setattr(
        message, "reference" if hasattr(message, "reference") else "evidence", value
    ),
    "reason": _reason,
    "resumed_us": _part("resumed_at", convert.write_time),
    "side": _number("side", SIDES),
    "source": _number("source", convert.SOURCES),
    "standing": _number("standing", convert.STANDINGS),
    "text": lambda message, value: setattr(
        message, "reason_text" if hasattr(message, "reason_text") else "text", value
    ),
    "user_won": _nothing,
}
"""The writers of fields by the command's names; other fields have the same name and value."""
