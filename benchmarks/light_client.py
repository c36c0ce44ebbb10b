"""A gRPC client that costs little CPU, so that one core can offer more calls than a server takes.

A gRPC library in Python costs as much CPU per call as the server. This client writes the HTTP/2
frames of a unary call from bytes that are made once, and reads only the status of an answer. It
asks the server for headers without a table, so each block of headers is read by itself.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from h2.errors import ErrorCodes
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

from benchmarks.attacks.frames import source
from benchmarks.harness import BenchmarkError

Answered = Callable[[int, str], None]
"""A function that receives a call's number and the gRPC status code of its answer, as text.

A call that the server reset, or whose connection ended, has the status RESET or CLOSED.
"""

RESET, CLOSED = "reset", "closed"

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_TABLE_SIZE, _INITIAL_WINDOW = 0x1, 0x4
_HEAD_BYTES = 9
_FIRST_WINDOW = 65_535
_OUR_WINDOW = 1 << 20
_STATUS = b"grpc-status"
_OPEN_LIMIT_S = 10.0


def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    """The bytes of an HTTP/2 frame."""
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def status_of(block: bytes) -> str:
    """The gRPC status code in a block of headers that uses no table; "" if it has none."""
    at = block.find(_STATUS)
    if at >= 0:
        at += len(_STATUS)
        size = block[at]
        if size < 0x80:  # else the value is in the Huffman code
            return block[at + 1 : at + 1 + size].decode()
    for name, value in Decoder().decode(block, raw=True):
        if name == _STATUS:
            return value.decode()
    return ""


class Calls:
    """The headers of the calls of one method, by the time that they have, in milliseconds."""

    def __init__(self, path: str, key: str = "") -> None:
        self._path = path
        self._key = key
        self._blocks: dict[int, bytes] = {}

    def block(self, left_ms: int) -> bytes:
        """The encoded headers of a call with this deadline."""
        block = self._blocks.get(left_ms)
        if block is None:
            headers = [
                (":method", "POST"), (":scheme", "http"), (":authority", "127.0.0.1"),
                (":path", self._path), ("content-type", "application/grpc"), ("te", "trailers"),
                ("grpc-timeout", f"{left_ms}m"),
            ]  # fmt: skip
            if self._key:
                headers.append(("authorization", f"Bearer {self._key}"))
            never = [NeverIndexedHeaderTuple(name, value) for name, value in headers]
            block = self._blocks[left_ms] = Encoder().encode(never, huffman=False)
        return block


class LightConnection(asyncio.Protocol):
    """One plaintext HTTP/2 connection; belongs to the event loop that opened it."""

    def __init__(self, answered: Answered) -> None:
        self._answered = answered
        self._open: dict[int, int] = {}
        self._left = b""
        self._next = 1
        self._window = _FIRST_WINDOW
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._taken = 0
        self._settled = asyncio.Event()
        self.closed = False

    @classmethod
    async def connect(cls, port: int, answered: Answered, number: int = 0) -> LightConnection:
        """A connection to 127.0.0.1 on which the server's settings have come.

        `number` decides its source address.
        """
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(
            lambda: cls(answered), "127.0.0.1", port, local_addr=(source(number), 0)
        )
        await asyncio.wait_for(made._settled.wait(), _OPEN_LIMIT_S)
        return made

    @property
    def open(self) -> int:
        """The calls without an answer."""
        return len(self._open)

    def call(self, number: int, block: bytes, message: bytes) -> int:
        """Begin a call; return its stream. `answered` gets the number with the answer."""
        stream, self._next = self._next, self._next + 2
        self._open[stream] = number
        if self.closed:
            self._answer(stream, CLOSED)
            return stream
        body = struct.pack(">BI", 0, len(message)) + message
        head = frame(_HEADERS, _END_HEADERS, stream, block)
        if self._waiting or len(body) > self._window:
            self._transport.write(head)
            self._waiting.append((stream, body))
        else:
            self._window -= len(body)
            self._transport.write(head + frame(_DATA, _END_STREAM, stream, body))
        return stream

    def cancel(self, stream: int) -> bool:
        """End a call that has no answer; return whether it had none."""
        if self._open.pop(stream, None) is None:
            return False
        if not self.closed:
            code = struct.pack(">I", ErrorCodes.CANCEL)
            self._transport.write(frame(_RESET, 0, stream, code))
        return True

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface: no table of headers, and a large window for answers."""
        self._transport = cast(asyncio.Transport, transport)
        settings = struct.pack(">HIHI", _TABLE_SIZE, 0, _INITIAL_WINDOW, _OUR_WINDOW)
        more = struct.pack(">I", _OUR_WINDOW)
        begin = _PREFACE + frame(_SETTINGS, 0, 0, settings) + frame(_WINDOW, 0, 0, more)
        self._transport.write(begin)

    def connection_lost(self, exc: Exception | None) -> None:
        """Every open call has failed."""
        self.closed = True
        for stream in list(self._open):
            self._answer(stream, CLOSED)

    def data_received(self, data: bytes) -> None:
        """Read all complete frames."""
        content = self._left + data if self._left else data
        at, size = 0, len(content)
        while size - at >= _HEAD_BYTES:
            end = at + _HEAD_BYTES + int.from_bytes(content[at : at + 3], "big")
            if end > size:
                break
            stream = int.from_bytes(content[at + 5 : at + 9], "big")
            self._frame(content[at + 3], content[at + 4], stream, content, at + _HEAD_BYTES, end)
            at = end
        self._left = content[at:]

    def _frame(
        self, kind: int, flags: int, stream: int, content: bytes, begin: int, end: int
    ) -> None:
        if kind == _DATA:
            self._taken += end - begin
            if self._taken > _OUR_WINDOW // 2:
                self._transport.write(frame(_WINDOW, 0, 0, struct.pack(">I", self._taken)))
                self._taken = 0
        elif kind == _HEADERS:
            if not flags & _END_HEADERS:
                raise BenchmarkError("the server sent headers of more than one frame")
            if flags & _END_STREAM:
                self._answer(stream, status_of(content[begin:end]))
        elif kind == _RESET:
            self._answer(stream, RESET)
        elif kind == _WINDOW and stream == 0:
            self._window += int.from_bytes(content[begin:end], "big")
            self._send_waiting()
        elif kind == _SETTINGS and not flags & _ACK:
            self._transport.write(frame(_SETTINGS, _ACK, 0, b""))
            self._settled.set()
        elif kind == _PING and not flags & _ACK:
            self._transport.write(frame(_PING, _ACK, 0, content[begin:end]))
        elif kind == _GOAWAY:
            self.closed = True

    def _send_waiting(self) -> None:
        waiting = self._waiting
        while waiting and len(waiting[0][1]) <= self._window:
            stream, body = waiting.popleft()
            if stream in self._open:
                self._window -= len(body)
                self._transport.write(frame(_DATA, _END_STREAM, stream, body))

    def _answer(self, stream: int, status: str) -> None:
        number = self._open.pop(stream, None)
        if number is not None:
            self._answered(number, status)


async def connect_all(port: int, count: int, answered: Answered) -> Sequence[LightConnection]:
    """This many connections to 127.0.0.1."""
    return [await LightConnection.connect(port, answered, number) for number in range(count)]
