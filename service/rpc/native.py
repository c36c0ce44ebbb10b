"""A transport in Rust, `pygrpc-native`: it brings calls in batches, and lends its port to the
grpc.aio server for everything else.

Its front has no bounds, so `bounded_port.py` has the port, and passes on what is within the limits.
A thread receives what the front has read, and hands it to the event loop in one call. Mutations are
begun there (`direct.py`); the writer's thread answers them. The front passes every other method on
to grpc.aio. Front and grpc.aio listen on socket files in a folder of their own.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from grpc import StatusCode
from pygrpc_native import EVENT_CANCEL, NativeGrpcFront

from service.config import Limits
from service.domain.errors import Exhausted
from service.engine.group_commit import Committer
from service.rpc.bounded_port import BoundedPort
from service.rpc.direct import Direct, DirectCall
from service.rpc.pipeline import Method, Pipeline, trailers_of
from service.rpc.server import CannotListen, GrpcServer, bound
from service.rpc.status import code_of, text_of
from service.rpc.transport import Metadata
from service.rpc.unix_socket import UNIX

MOST_IDLE_S = 86_400.0
MOST_EVENTS = 256
"""The most calls and cancellations that are handed over at once."""

Event = tuple[int, int, int, bytes | None, bytes | str | None, Any]
"""The kind, the call's number, the method's number, the message, the client, and the details:
metadata, peer and seconds left. A cancellation has only a kind and a call's number."""


Calls = dict[int, "DirectCall | asyncio.Task[None]"]
"""The calls under way by their numbers."""


MOST_PATH_BYTES = 103
"""The longest path of a socket file on every system."""


class Refused(Exception):
    """The call was ended with a status."""


class _Reply:
    """The way back to the caller of one call."""

    __slots__ = ("_call_id", "_calls", "_front")

    def __init__(self, front: NativeGrpcFront, call_id: int, calls: Calls) -> None:
        self._front, self._call_id, self._calls = front, call_id, calls

    def ended(self) -> None:
        self._calls.pop(self._call_id, None)

    def answer(self, body: bytes, trailing: Metadata = ()) -> None:
        self._front.respond(self._call_id, body, None, list(trailing) if trailing else None)

    def refuse(self, code: StatusCode, text: str, trailing: Metadata) -> None:
        self._front.fail(self._call_id, code.value[0], text, list(trailing))


class _Exchange:
    """A call for the pipeline, whose message has come."""

    def __init__(
        self, reply: _Reply, body: bytes, metadata: Metadata, left_s: float | None
    ) -> None:
        self._reply, self._body, self._metadata = reply, body, metadata
        self._deadline = None if left_s is None else time.monotonic() + left_s
        self.trailing: Metadata = ()

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else self._deadline - time.monotonic()

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return {}

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        self.trailing = trailing_metadata

    async def abort(
        self, code: StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        self._reply.refuse(code, details, trailing_metadata)
        raise Refused

    async def read(self) -> object:
        return self._body


def _folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for socket files that other users cannot enter. Raises CannotListen."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="freehold-")
    except OSError as error:
        why = error.strerror or str(error)
    else:
        if len(os.fsencode(folder.name)) + len("/front.sock") <= MOST_PATH_BYTES:
            return folder
        folder.cleanup()
        why = f"{folder.name} is too long for a socket file's path"
    raise CannotListen(
        f"the native transport has no folder for its socket files: {why}; set TMPDIR to another one"
    )


class NativeServer:
    """The front with Freehold's mutations, and the grpc.aio server behind it."""

    def __init__(
        self,
        pipeline: Pipeline,
        services: Mapping[str, list[Method[Any]]],
        limits: Limits,
        committer: Committer,
        fail: Callable[[str, BaseException], None],
    ) -> None:
        """`fail` is called with the part's name if no call can follow."""
        # The front brings all callers' calls on one connection, which must not end.
        shared = replace(limits, max_concurrent_streams=limits.max_calls, idle_s=MOST_IDLE_S)
        self._behind = GrpcServer(pipeline, services, shared, committer.gate)
        self._limits = limits
        self._gate = committer.gate
        committer.overlapping = True
        self._pipeline = pipeline
        self._fail = fail
        self._direct = Direct(pipeline, committer)
        found = [
            (f"/{service}/{it.name}", it)
            for service, methods in services.items()
            for it in methods
            if it.work is not None or it.batch is not None
        ]
        self._paths = [path for path, _ in found]
        self._desks = [self._direct.desk(it) for _, it in found]
        self._receives = [pipeline.receive(it) for _, it in found]
        self._calls: Calls = {}
        self._unread: deque[tuple[Event, float]] = deque()
        """The calls that came while the gate was closed, and the instants at which they came."""
        self._reading: asyncio.Task[None] | None = None
        full = Exhausted("QUEUE_FULL", "too many calls are waiting", retry_after_ms=100)
        self._full = code_of(full).value[0], text_of(full), list(trailers_of(full))
        self._folder = _folder()
        self._front: NativeGrpcFront | None = None
        self._port: BoundedPort | None = None
        self._thread: threading.Thread | None = None

    async def start(self, address: str, credentials: object = None) -> int:
        """Binds and serves, in plaintext; returns the port. Raises CannotListen."""
        if credentials is not None:
            raise ValueError("the native transport has no TLS")
        folder, limits = Path(self._folder.name), self._limits
        await self._behind.start(f"{UNIX}{folder / 'grpc.sock'}")
        front = self._front = NativeGrpcFront(
            f"{UNIX}{folder / 'front.sock'}",
            [(path, False) for path in self._paths],
            call_details=True,
            keepalive_time_ms=int(limits.keepalive_s * 1000),
            keepalive_timeout_ms=int(limits.keepalive_timeout_s * 1000),
            max_concurrent_streams=limits.max_concurrent_streams,
        )
        front.set_fallback(str(folder / "grpc.sock"))
        front.start()
        self._port = BoundedPort(limits, str(folder / "front.sock"))
        try:
            port = await bound(address, partial(self._port.start, address))
        except CannotListen:
            await self.stop(0.0, 0.0)
            raise
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._receive, args=(front, loop), name="receiver", daemon=True
        )
        self._thread.start()
        return port

    def set_serving(self, serving: bool) -> None:
        """Sets the answer to health checks of all services; no effect after `stop`."""
        self._behind.set_serving(serving)

    async def stop(self, grace_s: float, notice_s: float) -> None:
        """As `GrpcServer.stop`."""
        await self._behind.stop(grace_s, notice_s)
        if self._front is not None:
            self._front.close()
        if self._port is not None:
            # The front's last frames come by the loop.
            await asyncio.sleep(self._limits.last_answers_s)
            self._port.close()
        for call in list(self._calls.values()):
            call.cancel()
        self._folder.cleanup()

    # -- calls -----------------------------------------------------------------------------------

    def _receive(self, front: NativeGrpcFront, loop: asyncio.AbstractEventLoop) -> None:
        """Hands over what comes until the front is closed; runs in a thread of its own."""
        with suppress(RuntimeError):  # the loop was closed
            try:
                while (events := front.recv_batch_details(MOST_EVENTS)) is not None:
                    loop.call_soon_threadsafe(self._take, front, events, time.monotonic())
            except Exception as error:
                loop.call_soon_threadsafe(self._fail, "receiver", error)

    def _take(self, front: NativeGrpcFront, events: list[Event], came_s: float) -> None:
        """Begins calls that came at an instant of `time.monotonic`."""
        if self._gate.closed or self._unread:
            self._keep(front, events, came_s)
            return
        for event in events:
            self._try(front, event, came_s)

    def _keep(self, front: NativeGrpcFront, events: list[Event], came_s: float) -> None:
        """Keeps calls until the gate opens, and refuses what is too much."""
        most = self._limits.max_pending * 3 // 2
        for event in events:
            if event[0] != EVENT_CANCEL and len(self._unread) >= most:
                front.fail(event[1], *self._full)
            else:
                self._unread.append((event, came_s))
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read_later(front))

    async def _read_later(self, front: NativeGrpcFront) -> None:
        while self._unread:
            await self._gate.wait()
            self._try(front, *self._unread.popleft())
        self._reading = None

    def _try(self, front: NativeGrpcFront, event: Event, came_s: float) -> None:
        """Begins a call; one that meets a defect is refused, and harms no other."""
        try:
            self._begin(front, event, came_s)
        except Exception as error:
            refusal = self._pipeline.refusal_of("", None, error)
            trailers = list(trailers_of(refusal))
            front.fail(event[1], code_of(refusal).value[0], text_of(refusal), trailers)

    def _begin(self, front: NativeGrpcFront, event: Event, came_s: float) -> None:
        kind, call_id, method_id, body, _, details = event
        if kind == EVENT_CANCEL:
            gone = self._calls.pop(call_id, None)
            if gone is not None:
                gone.cancel()
            return
        assert body is not None  # noqa: S101 - a call has a message
        metadata, _, left_s = details
        if left_s is not None:
            left_s -= time.monotonic() - came_s
        reply = _Reply(front, call_id, self._calls)
        begun = self._direct.begin(self._desks[method_id], reply, body, metadata, left_s)
        if begun is not None:
            if not begun.over:
                self._calls[call_id] = begun
            return
        exchange = _Exchange(reply, body, metadata, left_s)
        task = asyncio.get_running_loop().create_task(self._answer(method_id, reply, exchange))
        self._calls[call_id] = task
        task.add_done_callback(lambda _: reply.ended())

    async def _answer(self, method_id: int, reply: _Reply, exchange: _Exchange) -> None:
        with suppress(Refused):
            answer = await self._receives[method_id](exchange)
            reply.answer(answer, exchange.trailing)
