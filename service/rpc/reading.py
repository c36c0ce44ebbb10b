"""AuthorizationService: one authorization, and pages of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol

from freehold.v1 import authorization_service_pb2 as pb

from service.domain.access import Scope
from service.domain.authorization import Authorization, State
from service.domain.errors import InvariantBroken, NotFound
from service.engine.ports import Page, Place
from service.rpc import convert
from service.rpc.pages import filtered_place_of, filtered_token_of, size_of
from service.rpc.pipeline import Call, Method


class AuthorizationReader(Protocol):
    """Reads authorizations outside any write transaction."""

    def authorization(self, user_id: str, authorization_id: str) -> Authorization | None:
        """One authorization as it stands."""
        ...


class AuthorizationList(Protocol):
    """Reads pages of authorizations."""

    def authorizations(
        self, operator_id: str, *, after: Place, size: int, user_id: str, state: State | None
    ) -> Page[Authorization]:
        """A page of an operator's authorizations, of one person or in one state if asked."""
        ...


class AuthorizationReads:
    """What operators read of their own authorizations."""

    def __init__(
        self, reader: AuthorizationReader, lists: AuthorizationList, readers: Executor
    ) -> None:
        self._reader = reader
        self._lists = lists
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
        filters = [message.user_id, message.state]
        page = await self._read(
            partial(
                self._lists.authorizations,
                _operator(call),
                after=filtered_place_of(message.page_token, filters),
                size=size_of(message.page_size),
                user_id=message.user_id,
                state=convert.STATE_OF.get(message.state),
            )
        )
        response = pb.ListAuthorizationsResponse()
        for found in page.rows:
            convert.write_authorization(found, response.authorizations.add())
        response.next_page_token = filtered_token_of(page.last, filters)
        return response.SerializeToString()

    async def _read(self, read: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)


def _operator(call: Call[Any]) -> str:
    operator_id = call.principal.operator_id
    if operator_id is None:
        raise InvariantBroken("an operator's call without an operator")
    return operator_id
