"""Bounds of HTTP/2 connections, for a transport that has none of its own.

The transport in Rust reads every message to its end, however long it is and whoever sends it. So
the public port belongs to this module: it passes the frames of each connection on to the transport,
counts what they bring, and resets a stream that brings too much. A stream is named by its id; its
headers are not read here.

A message begins with five bytes: whether it is compressed, and its size. So one that is too long is
refused before its body comes.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from service.config import Limits
from service.rpc.message_bounds import longest_bytes

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">IBI")
"""Length and kind, flags, stream."""
HEAD_BYTES = 9
_head_at = HEAD.unpack_from
PREFIX_BYTES = 5
DATA, HEADERS, RESET, PING, GOAWAY, WINDOW, CONTINUATION = 0x0, 0x1, 0x3, 0x6, 0x7, 0x8, 0x9
BLOCKS = (HEADERS, CONTINUATION)
"""The frames that are parts of a block of headers."""
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
NO_ERROR, FRAME_SIZE_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 0x0, 0x6, 0x7, 0xB
MOST_FRAME_BYTES = 16_384
"""The longest frame that HTTP/2 allows without a setting that this server does not send."""
MOST_HEADER_BYTES = 65_536
"""The longest block of headers; the transport refuses more than 16 KiB of metadata in any case."""
MOST_RESETS = 16
"""The most streams that the transport is told at once to forget."""
MOST_UNTOLD = 65_536
"""The refused streams of one connection of which the transport is still to be told."""
MOST_DROPPED = 4_096
"""The streams of one connection that were reset and whose sender has not stopped."""
EXPANSION = 1_032
"""The most bytes that deflate makes of one."""
PING_STRIKES = 2
STREAM_BITS = 0x7FFFFFFF
"""The bits of a frame's stream; receivers ignore the one above them."""


def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    """The bytes of a frame."""
    return HEAD.pack(len(content) << 8 | kind, flags, stream) + content


def reset(stream: int, code: int) -> bytes:
    """A frame that ends a stream."""
    return frame(RESET, 0, stream, struct.pack(">I", code))


def goaway(last: int, code: int) -> bytes:
    """A frame that ends a connection; streams above `last` were not seen, and may be sent again."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code))


class Stream:
    """A call under way: its bytes, and whether its request has come to its end."""

    __slots__ = ("bytes", "factor", "finished", "link", "number", "prefix", "since_s")

    def __init__(self, link: Link, number: int, since_s: float) -> None:
        self.link, self.number, self.since_s = link, number, since_s
        self.bytes = 0
        """The bytes that have come of it, or the most that they can become."""
        self.factor = 1
        """The most bytes that the transport makes of one of them."""
        self.prefix = b""
        self.finished = False


class Occupancy:
    """The streams of all connections together, and the memory that they take."""

    def __init__(self, limits: Limits, steady_s: Callable[[], float]) -> None:
        self.limits = limits
        self.steady_s = steady_s
        self.longest = longest_bytes(limits)
        self.links: set[Link] = set()
        self.streams = 0
        self.bytes = 0
        self.unfinished: dict[Stream, None] = {}
        """The streams that wait for their client since `since_s`, the longest first: for the rest
        of the request, or for room for the answer."""

    def settle(self) -> None:
        """Resets streams until the rest is within the bounds.

        Of the memory, the stream with the most unfinished bytes of the connection with the most
        bytes goes; of the places, the stream that waits for its client the longest, if it is late.
        A message that is alone stays.
        """
        limits = self.limits
        while self.bytes > limits.max_in_hand_bytes and self.streams > 1:
            fullest = max(self.links, key=lambda it: it.bytes)
            largest = max(fullest.streams.values(), key=lambda it: (not it.finished, it.bytes))
            # What has come to its end may be carried out: UNAVAILABLE says that nobody knows.
            code = REFUSED_STREAM if largest.finished else ENHANCE_YOUR_CALM
            fullest.refuse(largest.number, code)
        while self.streams > limits.max_calls:
            oldest = next(iter(self.unfinished), None)
            if oldest is None or self.steady_s() - oldest.since_s < limits.late_s:
                return
            oldest.link.refuse(oldest.number, REFUSED_STREAM)

    @property
    def full(self) -> bool:
        """True if there is no place for one more stream."""
        return self.streams > self.limits.max_calls


class Way(NamedTuple):
    """The effects of a link: it gives bytes to the client or to the transport, or ends both; and it
    has a function called a moment later."""

    to_client: Callable[[bytes], None]
    to_server: Callable[[bytes], None]
    end: Callable[[], None]
    later: Callable[[Callable[[], None]], None]


class Link:
    """The frames of one connection, in both directions. It passes on only whole frames and whole
    blocks of headers, so a frame of its own may come between any two writes."""

    def __init__(self, occupancy: Occupancy, way: Way) -> None:
        self._all = occupancy
        self._way = way
        self.streams: dict[int, Stream] = {}
        self.bytes = 0
        self.began_s = self.idle_since_s = occupancy.steady_s()
        self.greeted = False
        """True once the client has spoken HTTP/2."""
        self._ended = False
        self._last = 0
        self._dropped: set[int] = set()
        """The streams that were reset, and of which more may come from the client."""
        self._silent: dict[int, None] = {}
        """The same of the transport; the oldest are forgotten."""
        self._from_client = self._from_server = b""
        self._counted = 0
        """The bytes of `_from_client` whose frames are counted; its block of headers is not whole.
        """
        self._block: tuple[int, int] | None = None
        """The stream and the flags of that block."""
        self._resets: deque[bytes] = deque()
        """Frames for the transport, which ends a connection with more than 20 resets of streams
        that it has not begun."""
        self._ping_s, self._strikes = -1e9, 0
        occupancy.links.add(self)

    def leave(self) -> None:
        """Forgets the connection, which has ended."""
        self._ended = True
        self._all.links.discard(self)
        for number in list(self.streams):
            self._release(number)

    def sent(self, data: bytes) -> None:
        """Takes bytes of the client."""
        if self._ended:
            return
        data, at, safe = self._from_client + data, self._counted, 0
        if not self.greeted:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                self._way.end()
                return
            if len(data) < len(PREFACE):
                self._from_client = data
                return
            self.greeted = True
            at = safe = len(PREFACE)
        start, size, dropped = 0, len(data), 0
        last, pieces, opened = size - HEAD_BYTES, list[bytes](), list[int]()
        while at <= last:
            word, flags, number = _head_at(data, at)
            length, kind = word >> 8, word & 0xFF
            number &= STREAM_BITS
            end = at + HEAD_BYTES + length
            if length > MOST_FRAME_BYTES:
                self._say_goodbye(FRAME_SIZE_ERROR)
                return
            if end > size:
                break
            headers = kind in BLOCKS
            if headers:
                if self._opened(kind, number, flags):
                    opened.append(number)
            elif kind == DATA:
                if number in self._dropped:
                    pieces.append(data[start:at])
                    start, dropped = end, dropped + length
                    if flags & END_STREAM:
                        self._dropped.discard(number)
                elif (stream := self.streams.get(number)) is not None:
                    body = data[at + HEAD_BYTES : min(end, at + HEAD_BYTES + 1 + PREFIX_BYTES)]
                    if self._grew(stream, flags, body, length):
                        # The frame itself does not pass: the transport would unpack it.
                        self._way.to_server(b"".join(pieces) + data[start:at])
                        self.refuse(number, ENHANCE_YOUR_CALM)
                        pieces, start, dropped = [], end, dropped + length
            elif kind == RESET:
                self._dropped.discard(number)
                self._release(number)
            elif kind == PING and not flags & ACK and self._pinged():
                self._say_goodbye(ENHANCE_YOUR_CALM)
                return
            at = end
            if flags & END_HEADERS or not headers:
                safe = end
        rest = max(safe, start)
        self._from_client, self._counted = data[rest:], at - rest
        if len(self._from_client) > MOST_HEADER_BYTES:
            self._say_goodbye(ENHANCE_YOUR_CALM)
            return
        pieces.append(data[start:safe])
        self._way.to_server(b"".join(pieces))
        if dropped:
            # The transport does not see these bytes, so it does not make room for new ones.
            self._way.to_client(frame(WINDOW, 0, 0, struct.pack(">I", dropped)))
        self._all.settle()
        while opened and self._all.full:
            self.refuse(opened.pop(), REFUSED_STREAM)

    def answered(self, data: bytes) -> None:
        """Takes bytes of the transport."""
        if self._ended:
            return
        data, at, silent, speaks = self._from_server + data, 0, self._silent, False
        start, safe, size, dropped = 0, 0, len(data), 0
        last, pieces = size - HEAD_BYTES, list[bytes]()
        while at <= last:
            word, flags, number = _head_at(data, at)
            kind, end = word & 0xFF, at + HEAD_BYTES + (word >> 8)
            if end > size:
                break
            speaks = speaks or kind <= HEADERS  # or DATA
            if number in silent:
                # The client was told the stream's end. Headers change the state of their encoding.
                if kind not in BLOCKS:
                    pieces.append(data[start:at])
                    start, dropped = end, dropped + (word >> 8 if kind == DATA else 0)
            elif kind == RESET or (kind <= HEADERS and flags & END_STREAM):
                self._release(number)
            elif kind == HEADERS:
                self._answering(number)
            at = end
            if flags & END_HEADERS or kind not in BLOCKS:
                safe = end
        if speaks:
            self._strikes = 0
        self._from_server = data[max(safe, start) :]
        pieces.append(data[start:safe])
        self._way.to_client(b"".join(pieces))
        if dropped:
            self._way.to_server(frame(WINDOW, 0, 0, struct.pack(">I", dropped)))

    def refuse(self, number: int, code: int) -> None:
        """Ends a stream on both sides; what still comes of it is dropped."""
        stream = self.streams.get(number)
        if stream is None:
            return
        self._release(number)
        if not stream.finished:
            self._dropped.add(number)
        self._silent[number] = None
        if len(self._silent) > MOST_DROPPED:
            del self._silent[next(iter(self._silent))]
        ending = reset(number, code)
        self._way.to_client(ending)
        self._resets.append(ending)
        if len(self._resets) == 1:
            self._way.later(self._reset_some)
        if len(self._dropped) > MOST_DROPPED or len(self._resets) > MOST_UNTOLD:
            self._say_goodbye(ENHANCE_YOUR_CALM)

    def _reset_some(self) -> None:
        """Tells the transport of refused streams, of few at a time."""
        if self._ended:
            return
        some = min(len(self._resets), MOST_RESETS)
        self._way.to_server(b"".join([self._resets.popleft() for _ in range(some)]))
        if self._resets:
            self._way.later(self._reset_some)

    def go(self) -> None:
        """Ends the connection between two calls."""
        self._say_goodbye(NO_ERROR)

    def _say_goodbye(self, code: int) -> None:
        self._way.to_client(goaway(self._last, code))
        self._way.end()

    def _opened(self, kind: int, number: int, flags: int) -> bool:
        """Counts a stream, or the end of its request, by a frame of headers; True if the stream is
        a new one. A block of several frames counts at its end."""
        if kind == CONTINUATION:
            if self._block is None or number != self._block[0] or not flags & END_HEADERS:
                return False
            flags, self._block = self._block[1], None
        elif not flags & END_HEADERS:
            self._block = number, flags
            return False
        stream = self.streams.get(number)
        if stream is not None:
            if flags & END_STREAM:
                self._finish(stream)
            return False
        if number <= self._last:  # the transport takes no stream twice
            if flags & END_STREAM:
                self._dropped.discard(number)
            return False
        occupancy = self._all
        stream = self.streams[number] = Stream(self, number, occupancy.steady_s())
        self._last = number
        occupancy.streams += 1
        if flags & END_STREAM:
            stream.finished = True
        else:
            occupancy.unfinished[stream] = None
        return True

    def _answering(self, number: int) -> None:
        """Counts a stream whose answer has begun as waiting for its client."""
        stream, occupancy = self.streams.get(number), self._all
        if stream is not None and stream not in occupancy.unfinished:
            stream.since_s = occupancy.steady_s()
            occupancy.unfinished[stream] = None

    def _grew(self, stream: Stream, flags: int, body: bytes, length: int) -> bool:
        """Counts a part of a message, of which `body` is the beginning; True if it is too long, or
        if it is compressed and has no room."""
        too_long = False
        if len(stream.prefix) < PREFIX_BYTES:
            if flags & PADDED and body:
                body = body[1 : max(1, length - body[0])]
            stream.prefix += body[: PREFIX_BYTES - len(stream.prefix)]
            if stream.prefix[:1] > b"\0":
                stream.factor = EXPANSION
            if len(stream.prefix) == PREFIX_BYTES:
                too_long = int.from_bytes(stream.prefix[1:]) * stream.factor > self._all.longest
        length *= stream.factor
        stream.bytes += length
        self.bytes += length
        self._all.bytes += length
        if flags & END_STREAM:
            self._finish(stream)
        occupancy = self._all
        if stream.factor > 1 and occupancy.streams > 1:
            too_long = too_long or occupancy.bytes > occupancy.limits.max_in_hand_bytes
        # The frames may have padding.
        return too_long or stream.bytes > self._all.longest + MOST_FRAME_BYTES

    def _finish(self, stream: Stream) -> None:
        stream.finished = True
        self._all.unfinished.pop(stream, None)

    def _release(self, number: int) -> None:
        stream = self.streams.pop(number, None)
        if stream is None:
            return
        occupancy = self._all
        occupancy.streams -= 1
        occupancy.bytes -= stream.bytes
        occupancy.unfinished.pop(stream, None)
        self.bytes -= stream.bytes
        if not self.streams:
            self.idle_since_s = occupancy.steady_s()

    def _pinged(self) -> bool:
        """True if the client pings too often while nothing is sent to it."""
        now_s, before_s = self._all.steady_s(), self._ping_s
        self._ping_s = now_s
        if now_s - before_s < self._all.limits.min_ping_interval_s:
            self._strikes += 1
        return self._strikes > PING_STRIKES
