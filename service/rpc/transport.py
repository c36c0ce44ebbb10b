"""The port of a transport: what the pipeline needs of one call, whichever wire brought it.

`server.py` is the driver for grpc.aio. Another transport needs a driver of its own, and gets every
limit of the pipeline: keys, sizes, rates, turns, deadlines and the end of the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, Protocol

from grpc import StatusCode

Metadata = Sequence[tuple[str, str | bytes]]


class Exchange(Protocol):
    """One call: its metadata, the time left, and the two ways to end it besides an answer."""

    def invocation_metadata(self) -> Metadata | None:
        """The caller's metadata; None if there is none."""

    def time_remaining(self) -> float | None:
        """The seconds until the caller's deadline; None if it has none."""

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """The proofs of the connection: `x509_pem_cert` is the client's certificate in PEM, if the
        transport has verified one."""

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Sends this metadata after the answer."""

    async def abort(
        self, code: StatusCode, details: str = ..., trailing_metadata: Metadata = ...
    ) -> NoReturn:
        """Ends the call with a status, and raises an exception that the driver understands."""


class Unread(Exchange, Protocol):
    """A call whose message was not read yet: its headers are here, its body may never come."""

    async def read(self) -> object:
        """The message's bytes; any other object if the call ended without a message."""
