"""The HTTP endpoint that Prometheus scrapes, in a thread of its own.

A library's server would wait for a slow peer without a bound, with one thread for each connection.
Here one thread serves all connections. Each ends after a bounded time, and a connection beyond the
bound ends the oldest one. An answer is made at most once in a while, however often it is asked for.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from service.config import MetricsLimits
from service.engine.engine import FaultLog
from service.rpc.server import CannotListen, why_not

PATH = "/metrics"
_TEXT = "text/plain; charset=utf-8"


class Endpoint:
    """Serves GET and HEAD of `/metrics` by HTTP/1.1; each connection has one request."""

    def __init__(
        self, make: Callable[[], bytes], limits: MetricsLimits, log_fault: FaultLog
    ) -> None:
        """`make` returns the metrics as text; it runs in the endpoint's thread."""
        self._make = make
        self._log_fault = log_fault
        self._limits = limits
        self._made = b""
        self._made_s: float | None = None
        self._serving: dict[asyncio.Task[None], StreamWriter] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="metrics", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self, address: str) -> int:
        """Serves on the address (HOST:PORT), and returns the port. Raises CannotListen."""
        self._thread.start()
        host, _, port = address.rpartition(":")
        starting = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(
                self._accept,
                host.strip("[]"),
                int(port),
                limit=self._limits.max_request_bytes,
            ),
            self._loop,
        )
        try:
            self._server = starting.result()
        except OSError as error:
            self.stop()
            raise CannotListen(why_not(address, "--metrics")) from error
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def stop(self) -> None:
        """Ends the server and its connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        # asyncio would leak a connection that was accepted and not set up when the server closes.
        await asyncio.sleep(0)
        accepting = asyncio.all_tasks() - {asyncio.current_task()} - self._serving.keys()
        await asyncio.gather(*accepting, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        tasks = list(self._serving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if len(self._serving) >= self._limits.max_connections:
            oldest = next(iter(self._serving))
            self._serving.pop(oldest).transport.abort()
            oldest.cancel()
        task = self._loop.create_task(self._serve(reader, writer))
        self._serving[task] = writer
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # A peer that has not read all is not waited for.
        if (writer := self._serving.pop(task, None)) is not None:
            writer.transport.abort()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(TimeoutError, OSError, IncompleteReadError):
            async with asyncio.timeout(self._limits.answer_s):
                try:
                    request = await reader.readuntil(b"\r\n\r\n")
                except LimitOverrunError:
                    request = b""
                writer.write(self._answer(request))
                writer.close()
                await writer.wait_closed()

    def _answer(self, request: bytes) -> bytes:
        """The whole answer to a request, status and headers included."""
        method, _, rest = request.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        target, _, protocol = rest.partition(" ")
        if not protocol.startswith("HTTP/1."):
            return _message(HTTPStatus.BAD_REQUEST)
        if method not in ("GET", "HEAD"):
            return _message(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: GET, HEAD\r\n")
        if target.partition("?")[0] != PATH:
            return _message(HTTPStatus.NOT_FOUND)
        try:
            body = self._fresh()
        except Exception as error:
            self._log_fault(secrets.token_hex(8), error)
            return _message(HTTPStatus.INTERNAL_SERVER_ERROR)
        head = _head(HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, len(body))
        return head if method == "HEAD" else head + body

    def _fresh(self) -> bytes:
        now_s = time.monotonic()
        if self._made_s is None or now_s - self._made_s >= self._limits.fresh_s:
            self._made, self._made_s = self._make(), now_s
        return self._made


def _message(status: HTTPStatus, headers: str = "") -> bytes:
    body = f"{status.value} {status.phrase}: the metrics are at {PATH}\n".encode()
    return _head(status, _TEXT, len(body), headers) + body


def _head(status: HTTPStatus, kind: str, length: int, headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    ).encode()
