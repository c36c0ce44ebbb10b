"""The public port of a transport without bounds: connections, their idle times, and their frames.

Each connection is passed on to the transport's socket file through a `Link`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import cast

from service.config import Limits
from service.rpc.frame_bounds import Link, Occupancy, Way
from service.rpc.unix_socket import UNIX

LOOKS = 4
"""The looks at all connections in the shortest of their times."""
BACKLOG = 1024
RESET_PAUSE_S = 0.005
"""The time in which the transport begins the streams that it was given."""
EVERYWHERE = ("0.0.0.0", "::", "")
"""The hosts that mean all addresses of the machine, of both families, as in gRPC."""


class _Side(asyncio.Protocol):
    """One of the two sockets of a connection; a slow reader of one slows the other down."""

    transport: asyncio.Transport | None = None
    other: _Side
    early = b""
    """The bytes to send before the socket is there; uvloop gives a few in spite of a pause."""
    holds = 0
    """The reasons for which the socket is not read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.early)
        self.early = b""
        if self.holds:
            self.transport.pause_reading()

    def hold(self) -> None:
        """Reads no more until `free` was called as often."""
        self.holds += 1
        if self.holds == 1 and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def free(self) -> None:
        """Takes one `hold` back."""
        self.holds -= 1
        if not self.holds and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self.other.hold()

    def resume_writing(self) -> None:
        self.other.free()

    def write(self, data: bytes) -> None:
        """Sends bytes."""
        if self.transport is None:
            self.early += data
        elif data and not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        """Closes the socket after what was written."""
        if self.transport is not None:
            self.transport.close()


class _Server(_Side):
    """The transport's side."""

    def __init__(self, client: _Client) -> None:
        self.other = self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.link.answered(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._client.close()


def _later(act: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(RESET_PAUSE_S, act)


class _Client(_Side):
    """The client's side, which begins the other one.

    A client that reads nothing is not read either: frames of the link's own would fill the memory.
    """

    def __init__(self, port: BoundedPort) -> None:
        self._port = port
        self.server = _Server(self)
        self.other = self.server
        way = Way(self.write, self.server.write, self.end, _later)
        self.link = Link(port.occupancy, way)
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._port.welcome(self):
            transport.close()
            return
        self.hold()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_unix_connection(lambda: self.server, self._port.behind)
        except OSError:
            self.end()
            return
        if self.transport is None or self.transport.is_closing():
            self.server.close()
        else:
            self.free()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.hold()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.free()

    def data_received(self, data: bytes) -> None:
        self.link.sent(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self.link.leave()
        self._port.clients.discard(self)
        self.server.close()

    def end(self) -> None:
        """Ends the connection on both sides."""
        self.close()
        self.server.close()


class BoundedPort:
    """A listener in front of a transport's socket file; it belongs to one event loop."""

    def __init__(self, limits: Limits, behind: str) -> None:
        """`behind` is the path of the socket file."""
        self.behind = behind
        self._limits = limits
        self.clients: set[_Client] = set()
        loop = asyncio.get_running_loop()
        self.occupancy = Occupancy(limits, loop.time)
        self._server: asyncio.Server | None = None
        self._path: str | None = None
        """The public socket file, if that is the address."""
        self._look: asyncio.TimerHandle | None = None

    async def start(self, address: str) -> int:
        """Listens on an address; returns the port, 1 for a socket file. Raises OSError."""
        loop = asyncio.get_running_loop()
        if address.startswith(UNIX):
            path = self._path = address.removeprefix(UNIX)
            self._server = await loop.create_unix_server(lambda: _Client(self), path)
            port = 1
        else:
            host, _, number = address.rpartition(":")
            make, host = partial(_Client, self), host.strip("[]")
            if host in EVERYWHERE and socket.has_dualstack_ipv6():
                place = "::", int(number)
                both = socket.create_server(place, family=socket.AF_INET6, dualstack_ipv6=True)
                self._server = await loop.create_server(make, sock=both, backlog=BACKLOG)
            else:
                self._server = await loop.create_server(make, host, int(number), backlog=BACKLOG)
            port = self._server.sockets[0].getsockname()[1]
        self._look_again()
        return port

    def welcome(self, client: _Client) -> bool:
        """Takes a connection; False if there are too many."""
        if len(self.clients) >= self._limits.max_connections:
            return False
        self.clients.add(client)
        return True

    def _look_again(self) -> None:
        """Ends connections that have no call for too long, or that never spoke HTTP/2."""
        limits, loop = self._limits, asyncio.get_running_loop()
        now_s = loop.time()
        for client in list(self.clients):
            link = client.link
            if not link.greeted:
                if now_s - link.began_s > limits.handshake_s:
                    client.end()
            elif not link.streams and now_s - link.idle_since_s > limits.idle_s:
                link.go()
        self._look = loop.call_later(
            min(limits.handshake_s, limits.idle_s) / LOOKS, self._look_again
        )

    def stop_listening(self) -> None:
        """Refuses new connections from now on."""
        if self._server is not None:
            self._server.close()
            if self._path is not None:
                with suppress(OSError):  # it was removed already
                    os.unlink(self._path)
            self._server = None

    def close(self) -> None:
        """Ends all connections, after what was written."""
        self.stop_listening()
        if self._look is not None:
            self._look.cancel()
        for client in list(self.clients):
            client.end()
