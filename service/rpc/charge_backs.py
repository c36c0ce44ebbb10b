"""The calls on charge-backs and on money in suspense: their messages, and their lists."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from freehold.v1 import collection_service_pb2 as calls
from google.protobuf.message import Message

from service.domain.access import Scope
from service.domain.errors import InvalidInput, InvariantBroken, malformed_token
from service.engine.calls import Answer, ChargedBack, Matched, Payloads
from service.engine.operations import MatchSuspense, RecordUnmatched
from service.engine.rates import Weight
from service.engine.readers import Readers
from service.engine.reads import ChargeBackReader
from service.rpc import answers, convert
from service.rpc.charge_back_messages import DIRECTION_OF, charge_back_message, item_message
from service.rpc.mutations import Mutation
from service.rpc.pages import size_of
from service.rpc.pipeline import Call, Method


def write_charged_back(
    response: type[calls.RecordChargeBackResponse], answer: Answer, payloads: Payloads
) -> bytes:
    """Encodes an authorization, and the row of the charge-back."""
    if not isinstance(answer, ChargedBack):
        raise InvariantBroken("the answer is not of the method's type")
    rest = response(charge_back=charge_back_message(answer.charge_back))
    return answers.write_beside(answer.authorization, rest, payloads)


def _write_item(
    response: type[calls.RecordUnmatchedResponse], answer: Answer, _payloads: Payloads
) -> bytes:
    """Encodes an item in suspense."""
    if not isinstance(answer, Matched):
        raise InvariantBroken("the answer is not of the method's type")
    return response(item=item_message(answer.item)).SerializeToString()


def write_matched(response: type[Any], answer: Answer, payloads: Payloads) -> bytes:
    """Encodes an item in suspense and, if it was matched, its authorization."""
    if not isinstance(answer, Matched):
        raise InvariantBroken("the answer is not of the method's type")
    rest: Message = response(item=item_message(answer.item))
    if answer.authorization is None:
        return rest.SerializeToString()
    return answers.write_beside(answer.authorization, rest, payloads)


def _unmatched(call: Call[calls.RecordUnmatchedRequest]) -> RecordUnmatched:
    message = call.message
    return RecordUnmatched(
        DIRECTION_OF[message.direction],
        convert.money(message.amount),
        message.payment_reference,
        message.rail_account,
    )


def _match(call: Call[calls.MatchSuspenseRequest]) -> MatchSuspense:
    """The command. It names the caller's hand, because two persons must match."""
    message = call.message
    named = convert.split_name(message.name) if message.name else ("", "")
    return MatchSuspense(
        message.payment_reference,
        convert.money(message.amount),
        call.principal.hand,
        *named,
        message.payment,
        message.owner.removeprefix("operators/"),
    )


MUTATIONS = (
    Mutation(
        calls.RecordUnmatchedRequest,
        calls.RecordUnmatchedResponse,
        Scope.DISPUTES_WRITE,
        _unmatched,
        _write_item,
    ),
    Mutation(
        calls.MatchSuspenseRequest,
        calls.MatchSuspenseResponse,
        Scope.DISPUTES_WRITE,
        _match,
        write_matched,
    ),
)
"""The calls that change money in suspense."""


class ChargeBackReads:
    """Lists of charge-backs and of money in suspense."""

    def __init__(self, reader: ChargeBackReader, readers: Readers) -> None:
        self._reader = reader
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The methods with their scopes, which the payment rail's keys have too."""
        scope = Scope.TRANSFERS_READ
        return [
            Method(
                "ListChargeBacks",
                calls.ListChargeBacksRequest,
                scope,
                self._cases,
                max_bytes,
                Weight.LIST,
            ),
            Method(
                "ListSuspense",
                calls.ListSuspenseRequest,
                scope,
                self._items,
                max_bytes,
                Weight.LIST,
            ),
        ]

    async def _cases(self, call: Call[calls.ListChargeBacksRequest]) -> bytes:
        message = call.message
        filters = (message.user_id, message.open_only)
        read = partial(
            self._reader.charge_backs,
            message.user_id,
            open_only=message.open_only,
            after=_after(message.page_token, filters, 3),
            size=size_of(message.page_size),
        )
        found, last = await self._readers.run(call, read)
        return calls.ListChargeBacksResponse(
            charge_backs=map(charge_back_message, found), next_page_token=_token(last, filters)
        ).SerializeToString()

    async def _items(self, call: Call[calls.ListSuspenseRequest]) -> bytes:
        message = call.message
        filters = (message.matched_too,)
        read = partial(
            self._reader.suspense,
            matched_too=message.matched_too,
            after=_after(message.page_token, filters, 2),
            size=size_of(message.page_size),
        )
        found, last = await self._readers.run(call, read)
        return calls.ListSuspenseResponse(
            items=map(item_message, found), next_page_token=_token(last, filters)
        ).SerializeToString()


def _token(last: tuple[str, ...] | None, filters: Sequence[object]) -> str:
    """The token of the page after a key, valid only with the same filters."""
    if last is None:
        return ""
    return base64.urlsafe_b64encode(json.dumps([last, *filters]).encode()).decode()


def _after(token: str, filters: Sequence[object], parts: int) -> tuple[str, ...]:
    """The key in a token of `_token`; raises InvalidInput for any other token."""
    if not token:
        return ()
    try:
        key, *rest = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, TypeError, RecursionError) as error:
        raise malformed_token() from error
    whole = isinstance(key, list) and len(key) == parts
    if not whole or not all(isinstance(part, str) and "\0" not in part for part in key):
        raise malformed_token()
    if rest != list(filters):
        raise InvalidInput.of(
            "page_token", "page_token.query", "must come from a query with the same filters"
        )
    return tuple(key)
