"""AuthorizationService: one authorization, and pages of them."""

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
from service.rpc import convert
from service.rpc.pipeline import Call, Method

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


class AuthorizationReads:
    """What operators read of their own authorizations."""

    def __init__(self, reader: AuthorizationReader, readers: Executor) -> None:
        self._reader = reader
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The methods with their scope."""
        scope = Scope.AUTHORIZATIONS_READ
        return [
            Method("GetAuthorization", pb.GetAuthorizationRequest, scope, self.get, max_bytes),
            Method("ListAuthorizations", pb.ListAuthorizationsRequest, scope, self.list, max_bytes),
        ]

    async def get(self, call: Call[pb.GetAuthorizationRequest]) -> bytes:
        """One authorization."""
        key = convert.split_name(call.message.name)
        found = await self._read(partial(self._reader.authorization, *key))
        if found is None or found.operator_id != call.principal.operator_id:
            raise NotFound("authorization", key[1])
        response = pb.GetAuthorizationResponse()
        convert.write_authorization(found, response.authorization)
        return response.SerializeToString()

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

    async def _read(self, read: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)


def _operator(call: Call[Any]) -> str:
    operator_id = call.principal.operator_id
    if operator_id is None:
        raise InvariantBroken("an operator's call without an operator")
    return operator_id


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
