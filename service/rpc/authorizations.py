"""AuthorizationService: convert, call, convert."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol

from freehold.v1 import authorization_service_pb2 as pb

from service.domain.access import Scope
from service.domain.authorization import Authorization, State
from service.domain.errors import InvalidInput, InvariantBroken, NotFound
from service.engine.commands import (
    Answer,
    Authorize,
    Command,
    Confirm,
    Item,
    Reverse,
    ReverseByOrigin,
    Settle,
    StartRental,
)
from service.engine.committer import Committer
from service.engine.records import AUTHORIZE
from service.rpc import convert
from service.rpc.pipeline import Call, Method
from service.rpc.work import work_for

SERVICE = "freehold.v1.AuthorizationService"
DEFAULT_PAGE = 50
AUTHORIZATION_ID = re.compile(r"[0-9a-v]{20}")


class AuthorizationReader(Protocol):
    """Reads authorizations outside any write transaction."""

    def authorization(self, user_id: str, authorization_id: str) -> Authorization | None:
        """One authorization as it stands."""
        ...

    def list_authorizations(
        self, operator_id: str, *, after: str, limit: int, user_id: str, state: State | None
    ) -> Sequence[Authorization]:
        """An operator's authorizations after an id, in the order of their ids."""
        ...


class AuthorizationServicer:
    """The calls of rental operators."""

    def __init__(
        self, committer: Committer, reader: AuthorizationReader, readers: Executor
    ) -> None:
        self._committer = committer
        self._reader = reader
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The service's methods with their scopes."""
        read, write = Scope.AUTHORIZATIONS_READ, Scope.AUTHORIZATIONS_WRITE
        return [
            Method(AUTHORIZE, pb.AuthorizeRequest, write, self.authorize, max_bytes),
            Method(
                "ConfirmAuthorization",
                pb.ConfirmAuthorizationRequest,
                write,
                self.confirm,
                max_bytes,
            ),
            Method("StartRental", pb.StartRentalRequest, write, self.start_rental, max_bytes),
            Method("GetAuthorization", pb.GetAuthorizationRequest, read, self.get, max_bytes),
            Method("ListAuthorizations", pb.ListAuthorizationsRequest, read, self.list, max_bytes),
            Method(
                "SettleAuthorization", pb.SettleAuthorizationRequest, write, self.settle, max_bytes
            ),
            Method(
                "ReverseAuthorization",
                pb.ReverseAuthorizationRequest,
                write,
                self.reverse,
                max_bytes,
            ),
        ]

    async def authorize(self, call: Call[pb.AuthorizeRequest]) -> bytes:
        """Score, decide, hold."""
        message = call.message
        window = message.pickup_window if message.HasField("pickup_window") else None
        command = Authorize(
            user_id=message.user_id,
            items=(Item(message.product_id, message.asset_id),),
            start=convert.START_OF[message.start],
            accept_offers=tuple([convert.OFFER_OF[it] for it in message.accept_offers]),
            pickup_window_us=(
                None if window is None else convert.instant_us(window, "pickup_window")
            ),
        )
        return await self._submit(call, AUTHORIZE, command, convert.encode_authorize)

    async def confirm(self, call: Call[pb.ConfirmAuthorizationRequest]) -> bytes:
        """Hold both parts of an offer."""
        message = call.message
        command = Confirm(
            *convert.split_name(message.name),
            payment_reference=message.payment_reference,
            paid=convert.money(message.paid),
            expected_version=_expected(message),
        )
        return await self._submit(call, "ConfirmAuthorization", command, convert.encode_confirm)

    async def start_rental(self, call: Call[pb.StartRentalRequest]) -> bytes:
        """The item was picked up."""
        message = call.message
        command = StartRental(
            *convert.split_name(message.name),
            asset_id=message.asset_id,
            expected_version=_expected(message),
        )
        return await self._submit(call, "StartRental", command, convert.encode_start)

    async def settle(self, call: Call[pb.SettleAuthorizationRequest]) -> bytes:
        """Capture an amount."""
        message = call.message
        command = Settle(
            *convert.split_name(message.name),
            amount=convert.money(message.amount),
            final=message.final if message.HasField("final") else True,
            expected_version=_expected(message),
        )
        return await self._submit(call, "SettleAuthorization", command, convert.encode_settle)

    async def reverse(self, call: Call[pb.ReverseAuthorizationRequest]) -> bytes:
        """Give everything back."""
        message = call.message
        command: Reverse | ReverseByOrigin
        if message.WhichOneof("target") == "name":
            command = Reverse(
                *convert.split_name(message.name), expected_version=_expected(message)
            )
        else:
            if message.origin.authorize_request_id == message.request_id:
                raise InvalidInput.of(
                    "origin.authorize_request_id", "request_id.differs", "needs an id of its own"
                )
            command = ReverseByOrigin(
                message.origin.user_id,
                message.origin.authorize_request_id,
                expected_version=_expected(message),
            )
        return await self._submit(call, "ReverseAuthorization", command, convert.encode_reverse)

    async def get(self, call: Call[pb.GetAuthorizationRequest]) -> bytes:
        """One authorization."""
        key = convert.split_name(call.message.name)
        found = await self._read(partial(self._reader.authorization, *key))
        if found is None or found.operator_id != call.principal.operator_id:
            raise NotFound("authorization", key[1])
        return convert.encode_get(found)

    async def list(self, call: Call[pb.ListAuthorizationsRequest]) -> bytes:
        """A page of authorizations."""
        message = call.message
        size = message.page_size or DEFAULT_PAGE
        filters = [message.user_id, message.state]
        after = _read_token(message.page_token, filters)
        page = await self._read(
            partial(
                self._reader.list_authorizations,
                _operator(call),
                after=after,
                limit=size + 1,
                user_id=message.user_id,
                state=convert.STATE_OF.get(message.state),
            )
        )
        response = pb.ListAuthorizationsResponse()
        for found in page[:size]:
            convert.write_authorization(found, response.authorizations.add())
        if len(page) > size:
            response.next_page_token = _token(page[size - 1].authorization_id, filters)
        return response.SerializeToString()

    async def _submit(
        self, call: Call[Any], method: str, command: Command, encode: Callable[[Answer], bytes]
    ) -> bytes:
        work = work_for(call, method, _operator(call), command, encode)
        return await self._committer.submit(work)

    async def _read(self, read: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)


def _operator(call: Call[Any]) -> str:
    operator_id = call.principal.operator_id
    if operator_id is None:
        raise InvariantBroken("an operator's call without an operator")
    return operator_id


def _expected(message: Any) -> int | None:
    return message.expected_version if message.HasField("expected_version") else None


def _token(after: str, filters: Sequence[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps([after, *filters]).encode()).decode()


def _read_token(token: str, filters: Sequence[object]) -> str:
    """The id after which the page begins; raises InvalidInput for another query's token."""
    if not token:
        return ""
    try:
        after, *rest = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, TypeError, RecursionError) as error:
        raise InvalidInput.of("page_token", "page_token.form", "is not a page token") from error
    if not isinstance(after, str) or not AUTHORIZATION_ID.fullmatch(after):
        raise InvalidInput.of("page_token", "page_token.form", "is not a page token")
    if rest != list(filters):
        raise InvalidInput.of("page_token", "page_token.query", "belongs to another query")
    return after
