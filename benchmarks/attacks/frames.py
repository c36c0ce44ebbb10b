"""A client that speaks HTTP/2 frame by frame, and leaves calls unfinished on purpose."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from contextlib import suppress
from typing import Self, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

_OPEN_LIMIT_S = 10.0
_READ_BYTES = 65_536


def message(size: int, sent: int) -> bytes:
    """The first `sent` bytes of a gRPC message whose prefix promises `size` bytes."""
    return struct.pack(">BI", 0, size) + bytes(sent)


def source(number: int) -> str:
    """The loopback address from which the connection of this number comes.

    A proxy bounds the connections and the calls of one address. So 16 addresses have the first 64
    connections, and each further one has 16 connections.
    """
    host = number % 16 if number < 64 else number // 16
    return f"127.0.{1 + host // 200}.{1 + host % 200}"


class FrameConnection:
    """One plaintext HTTP/2 connection; belongs to the event loop that opened it.

    answers      answered calls by gRPC status code, in the order of their numbers
    resets       calls that the server reset, by HTTP/2 error code
    open         calls without an answer
    sent_bytes   bytes of unfinished messages that the server let in
    goodbye      True once the server sent GOAWAY, or closed the connection
    """

    def __init__(self, port: int, number: int | None = None) -> None:
        """`number` decides its source address; None means 127.0.0.1."""
        self._port = port
        self._source = None if number is None else (source(number), 0)
        self._wire = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._moved = asyncio.Event()
        self._settled = asyncio.Event()
        self.answers: Counter[str] = Counter()
        self.resets: Counter[str] = Counter()
        self.open: set[int] = set()
        self.sent_bytes = 0
        self.goodbye = False

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=self._source
        )
        self._wire.initiate_connection()
        self._flush()
        self._reading = asyncio.create_task(self._read())
        await asyncio.wait_for(self._settled.wait(), _OPEN_LIMIT_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    @property
    def room(self) -> int:
        """The calls that the server lets this connection open now."""
        if self.goodbye:
            return 0
        return int(self._wire.remote_settings.max_concurrent_streams) - len(self.open)

    def stop_reading(self) -> None:
        """Read nothing from now on; the server's answers wait in its buffers."""
        self._reading.cancel()
        cast(asyncio.Transport, self._writer.transport).pause_reading()

    def begin(self, path: str, *, key: str = "") -> int:
        """Send the headers of a call and leave the stream open; return the stream's id."""
        stream: int = self._wire.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", f"127.0.0.1:{self._port}"),
            (":path", path),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        if key:
            headers.append(("authorization", f"Bearer {key}"))
        self._wire.send_headers(stream, headers)
        self.open.add(stream)
        self._flush()
        return stream

    async def send(self, stream: int, body: bytes, *, end: bool = False) -> None:
        """Send bytes as far as the server's windows let them in; return early if it answers."""
        left = memoryview(body)
        while left and stream in self.open and not self.goodbye:
            self._moved.clear()
            window = self._wire.local_flow_control_window(stream)
            size = min(window, self._wire.max_outbound_frame_size, len(left))
            if size <= 0:
                await self._moved.wait()
                continue
            self._wire.send_data(stream, bytes(left[:size]))
            self.sent_bytes += size
            left = left[size:]
            self._flush()
            try:
                await self._writer.drain()
            except OSError:  # the server has ended the connection
                return
        if end and stream in self.open:
            self._wire.end_stream(stream)
            self._flush()

    def _flush(self) -> None:
        data = self._wire.data_to_send()
        if data and not self._writer.is_closing():
            self._writer.write(data)

    async def _read(self) -> None:
        with suppress(OSError, ProtocolError):
            while data := await self._reader.read(_READ_BYTES):
                for event in self._wire.receive_data(data):
                    self._notice(event)
                self._settled.set()
                self._flush()
                self._moved.set()
        self.goodbye = True
        self._moved.set()

    def _notice(self, event: Event) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                for name, value in event.headers or ():
                    if str(name) == "grpc-status":
                        self.answers[str(value)] += 1
            case StreamReset():
                # A server that answers before the body has come ends the stream without an error.
                if event.error_code != ErrorCodes.NO_ERROR and event.stream_id in self.open:
                    self.resets[_name(event.error_code)] += 1
                self.open.discard(event.stream_id or 0)
            case StreamEnded():
                self.open.discard(event.stream_id or 0)
            case ConnectionTerminated():
                self.goodbye = True
            case WindowUpdated():
                pass


def _name(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else str(code)
