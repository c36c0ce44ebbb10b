"""The bill of a settlement: lines with a description or an item, which add up to the amount."""

from __future__ import annotations

from freehold.v1 import authorization_service_pb2 as pb

from service.domain.errors import InvalidInput, Violation
from service.rpc import convert

MOST_BILL_BYTES = 65_536
"""The most bytes of all descriptions of a bill, as the contract says."""


def check_line_items(message: pb.SettleAuthorizationRequest) -> None:
    """Raises InvalidInput unless the lines of the bill have words and add up to the amount."""
    if message.WhichOneof("charge") != "amount":
        raise InvalidInput.of(
            "line_items", "line_items.with_amount", "are allowed only with amount"
        )
    size = sum([len(item.description.encode()) for item in message.line_items])
    if size > MOST_BILL_BYTES:
        raise InvalidInput.of(
            "line_items",
            "line_items.max_bytes",
            f"must have at most {MOST_BILL_BYTES} bytes of descriptions together, but have {size}",
        )
    bare = [
        Violation(
            f"line_items[{place}].description",
            "line_items.description.required",
            "is required for a line without an item",
        )
        for place, item in enumerate(message.line_items)
        if not item.description and not item.item
    ]
    if bare:
        raise InvalidInput(bare)
    whole = convert.money(message.amount)
    sum_minor = 0
    for place, item in enumerate(message.line_items):
        path = f"line_items[{place}].amount.currency_code"
        sum_minor += convert.money(item.amount).require(whole.currency, path)
    if sum_minor != whole.amount_minor:
        raise InvalidInput.of(
            "line_items",
            "line_items.sum",
            f"must add up to amount ({whole.amount_minor}), but add up to {sum_minor}",
        )
