"""A method of the contract, as both clients have it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from google.protobuf.message import Message

if TYPE_CHECKING:
    from freehold.client import AsyncClient, Client

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
# The same two where a protocol only takes the one and only gives the other.
Request_contra = TypeVar("Request_contra", bound=Message, contravariant=True)
Response_co = TypeVar("Response_co", bound=Message, covariant=True)


OnReplay = Callable[[datetime], object]
"""A function that gets the time of the first answer, in UTC, if the answer was given before."""


class Call(Protocol[Request_contra, Response_co]):
    """A blocking call.

    `timeout_s` replaces the client's default deadline. `on_replay` is called before the return if
    the request was answered before. `approval` is the number of the approved proposal of the call.
    """

    def __call__(
        self,
        request: Request_contra,
        *,
        timeout_s: float | None = None,
        on_replay: OnReplay | None = None,
        approval: int | None = None,
    ) -> Response_co: ...


class AsyncCall(Protocol[Request_contra, Response_co]):
    """An awaited call; arguments as for `Call`."""

    def __call__(
        self,
        request: Request_contra,
        *,
        timeout_s: float | None = None,
        on_replay: OnReplay | None = None,
        approval: int | None = None,
    ) -> Awaitable[Response_co]: ...


class Method(Generic[Request, Response]):
    """One method of the contract: a call when read from a client, blocking or awaited."""

    def __init__(self, service: str, request: type[Request], response: type[Response]) -> None:
        # The contract names every request after its method (buf's STANDARD rules).
        name = request.DESCRIPTOR.name.removesuffix("Request")
        self.path = f"/freehold.v1.{service}/{name}"
        self.request = request
        self.response = response
        # A batch has an outcome for each of its items.
        self.batched = "outcomes" in response.DESCRIPTOR.fields_by_name

    @overload
    def __get__(self, client: None, owner: type[Any]) -> Method[Request, Response]: ...
    @overload
    def __get__(self, client: Client, owner: type[Any]) -> Call[Request, Response]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type[Any]) -> AsyncCall[Request, Response]: ...

    def __get__(self, client: Any, owner: type[Any]) -> Any:
        return self if client is None else client._bound(self)
