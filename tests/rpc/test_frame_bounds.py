"""The bounds of HTTP/2 connections in front of the native transport, frame by frame."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import Limits
from service.rpc.frame_bounds import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    EXPANSION,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEAD_BYTES,
    HEADERS,
    MOST_DROPPED,
    MOST_FRAME_BYTES,
    MOST_RESETS,
    MOST_UNTOLD,
    NO_ERROR,
    PADDED,
    PING,
    PREFACE,
    REFUSED_STREAM,
    RESET,
    WINDOW,
    Link,
    Occupancy,
    Way,
    frame,
    reset,
)
from service.rpc.message_bounds import longest_bytes

LIMITS = Limits(max_bulk_message_bytes=1024, max_message_bytes=1024)
LONGEST = longest_bytes(LIMITS)
SETTINGS = 0x4


class Clock:
    """A steady clock that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class End:
    """A connection whose sockets are lists of bytes."""

    def __init__(self, occupancy: Occupancy) -> None:
        self.to_client = b""
        self.to_server = b""
        self.ended = False
        self.later: list[Callable[[], None]] | None = None
        """The act that waits for a moment; None if the moment is over at once."""
        self.link = Link(occupancy, Way(self._client, self._server, self._end, self._soon))

    def _client(self, data: bytes) -> None:
        self.to_client += data

    def _server(self, data: bytes) -> None:
        self.to_server += data

    def _end(self) -> None:
        self.ended = True

    def _soon(self, act: Callable[[], None]) -> None:
        if self.later is None:
            act()
        else:
            self.later.append(act)

    def greet(self) -> End:
        """Sends the preface of HTTP/2."""
        self.link.sent(PREFACE)
        self.to_server = b""
        return self


def frames(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The frames in bytes: kind, flags, stream and content."""
    while data:
        size, kind, flags, number = (
            int.from_bytes(data[:3]), data[3], data[4], int.from_bytes(data[5:9]),
        )  # fmt: skip
        yield kind, flags, number, data[HEAD_BYTES : HEAD_BYTES + size]
        data = data[HEAD_BYTES + size :]


def resets(data: bytes) -> list[tuple[int, int]]:
    """The streams that are reset in bytes, with the codes."""
    return [
        (number, int.from_bytes(content))
        for kind, _, number, content in frames(data)
        if kind == RESET
    ]


def begun(number: int, *, end: bool = False) -> bytes:
    """The headers of a call."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), number, b"headers")


def body(number: int, size: int, *, end: bool = True, compressed: bool = False) -> bytes:
    """A message of this size in frames, or the part of it that fits into one frame."""
    content = struct.pack(">BI", compressed, size) + bytes(size)
    return frame(DATA, END_STREAM if end else 0, number, content[:MOST_FRAME_BYTES])


def open_to(**limits: float) -> tuple[Occupancy, Clock]:
    """An occupancy with other limits, and its clock."""
    clock = Clock()
    given: dict[str, object] = {
        "max_bulk_message_bytes": 1024, "max_message_bytes": 1024, "max_in_hand_bytes": 2**20,
    }  # fmt: skip
    return Occupancy(Limits(**given | limits), clock), clock  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.sampled_from([1, 3, 5]), st.integers(0, 900)), max_size=12),
    st.data(),
)
def test_bytes_within_the_bounds_pass_unchanged(
    calls: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Whatever the pieces in which bytes come, the transport and the client get the same bytes if
    no bound is passed, and nothing is counted any more when all calls have been answered."""
    occupancy, _ = open_to()
    end = End(occupancy)
    sent, answers = PREFACE + frame(SETTINGS, 0, 0, b""), frame(SETTINGS, 0, 0, b"")
    for place, (step, size) in enumerate(calls):
        number = 6 * place + step
        block = frame(HEADERS, 0, number, b"first") + frame(CONTINUATION, END_HEADERS, number, b"x")
        sent += block + body(number, size) + frame(WINDOW, 0, 0, bytes(4))
        answers += begun(number) + frame(DATA, 0, number, b"answer") + begun(number, end=True)
    for whole, give in ((sent, end.link.sent), (answers, end.link.answered)):
        left = whole
        while left:
            size = data.draw(st.integers(1, len(left)))
            give(left[:size])
            left = left[size:]
        if give == end.link.sent:
            assert occupancy.streams == len(calls)
    assert (end.to_server, end.to_client) == (sent, answers)
    assert (occupancy.streams, occupancy.bytes, occupancy.unfinished) == (0, 0, {})


@pytest.mark.parametrize(
    ("size", "compressed", "passes"),
    [
        (LONGEST, False, True),
        (LONGEST + 1, False, False),
        (2**32 - 1, False, False),
        (LONGEST // EXPANSION, True, True),
        (LONGEST // EXPANSION + 1, True, False),
    ],
)
def test_a_message_is_refused_by_its_first_five_bytes(
    size: int, compressed: bool, passes: bool
) -> None:
    """A message that says that it is longer than the limit is reset before its body comes; a
    compressed one counts with the most that it can become."""
    occupancy, _ = open_to()
    end = End(occupancy).greet()
    prefix = struct.pack(">BI", compressed, size)
    end.link.sent(begun(1) + frame(DATA, 0, 1, prefix[:2]))
    assert resets(end.to_client) == []
    end.link.sent(frame(DATA, PADDED, 1, b"\x02" + prefix[2:] + b"\0\0"))
    expected = [] if passes else [(1, ENHANCE_YOUR_CALM)]
    assert resets(end.to_client) == resets(end.to_server) == expected
    assert occupancy.streams == passes


def test_padding_is_no_part_of_a_message() -> None:
    """Neither padding nor the bit that receivers ignore hides the first five bytes of a message."""
    prefix = struct.pack(">BI", 0, LONGEST + 1)
    for hidden in (
        frame(DATA, PADDED, 1, b"\x05" + bytes(5)) + frame(DATA, 0, 1, prefix),
        frame(DATA, PADDED, 1, b"\x03" + prefix[:2] + bytes(3)) + frame(DATA, 0, 1, prefix[2:]),
        frame(DATA, PADDED, 1, b"") + frame(DATA, PADDED, 1, b"\xff") + frame(DATA, 0, 1, prefix),
        frame(DATA, 0, 1 << 31 | 1, prefix),
    ):
        occupancy, _ = open_to()
        end = End(occupancy).greet()
        end.link.sent(begun(1) + hidden)
        assert resets(end.to_client) == [(1, ENHANCE_YOUR_CALM)]
        assert occupancy.streams == occupancy.bytes == 0


def test_compressed_messages_take_the_memory_that_they_may_become() -> None:
    """Of all messages together, a compressed one takes the most bytes that it can become; one that
    has no room is not passed on."""
    occupancy, _ = open_to(max_bulk_message_bytes=2**20, max_in_hand_bytes=2**20)
    end = End(occupancy).greet()
    for number in (1, 3, 5):
        end.link.sent(begun(number) + body(number, 400, end=False, compressed=True))
    assert resets(end.to_client) == [(5, ENHANCE_YOUR_CALM)]
    assert occupancy.bytes == 2 * 405 * EXPANSION
    assert [number for kind, _, number, _ in frames(end.to_server) if kind == DATA] == [1, 3]


def test_a_call_that_may_be_carried_out_is_unavailable() -> None:
    """A call whose request has come, and for which there is no memory, ends with UNAVAILABLE: its
    caller asks again with the same request id."""
    occupancy, _ = open_to(max_bulk_message_bytes=2**20, max_in_hand_bytes=10_000)
    end = End(occupancy).greet()
    end.link.sent(begun(1) + body(1, 6_000) + begun(3) + body(3, 5_000))
    assert resets(end.to_client) == [(1, REFUSED_STREAM)]


def test_a_stream_counts_once_and_with_its_whole_headers() -> None:
    """A block of headers that comes in pieces counts at its end, a reset comes after it, and later
    headers of the same stream, or its number with the ignored bit, take no place."""
    occupancy, _ = open_to(max_calls=1)
    end, other = End(occupancy).greet(), End(occupancy).greet()
    end.link.sent(begun(1, end=True))
    head, rest = frame(HEADERS, END_STREAM, 1, b"first"), frame(CONTINUATION, END_HEADERS, 1, b"x")
    for piece in (head, rest[:4], rest[4:-1]):
        other.link.sent(piece)
        assert (other.to_server, other.to_client) == (b"", b"")
    other.link.sent(rest[-1:])
    assert other.to_server == head + rest + reset(1, REFUSED_STREAM)
    assert occupancy.streams == 1
    end.link.answered(begun(1, end=True))
    for again in (begun(1, end=True), begun(1 << 31 | 1, end=True)):
        end.link.sent(again)
        assert occupancy.streams == 0
    end.link.sent(begun(1 << 31 | 3, end=True))
    end.link.answered(begun(3, end=True))
    assert occupancy.streams == 0


def test_empty_frames_of_headers_are_read_once() -> None:
    """The pieces of a block of headers are not read again with each later piece."""
    occupancy, _ = open_to()
    end = End(occupancy).greet()
    end.link.sent(frame(HEADERS, END_STREAM, 1, b"") + 7_000 * frame(CONTINUATION, 0, 1, b""))
    end.link.sent(frame(CONTINUATION, 0, 1, bytes(MOST_FRAME_BYTES))[:HEAD_BYTES])
    began_s = time.process_time()
    for _ in range(2_000):
        end.link.sent(b"\0")
    assert time.process_time() - began_s < 2.0
    assert not end.ended


def test_answers_without_room_leave_their_places() -> None:
    """If all places are taken, a call goes whose client has not made room for its answer in time;
    one whose answer has not begun stays."""
    occupancy, clock = open_to(max_calls=2, late_s=0.25)
    end, other = End(occupancy).greet(), End(occupancy).greet()
    end.link.sent(begun(1, end=True) + begun(3, end=True))
    end.link.answered(begun(3))
    clock.now_s = 0.3
    other.link.sent(begun(1, end=True))
    assert resets(other.to_client) == []
    assert resets(end.to_client) == [(3, REFUSED_STREAM)]
    other.link.sent(begun(3, end=True))
    assert resets(other.to_client) == [(3, REFUSED_STREAM)]


def test_a_message_longer_than_it_says_is_refused() -> None:
    """A message whose frames bring more than the limit is reset, whatever its first bytes say."""
    occupancy, _ = open_to()
    end = End(occupancy).greet()
    end.link.sent(begun(1) + frame(DATA, 0, 1, struct.pack(">BI", 0, 5)))
    end.link.sent(frame(DATA, 0, 1, bytes(MOST_FRAME_BYTES)))
    assert resets(end.to_client) == []
    end.link.sent(frame(DATA, 0, 1, bytes(LONGEST)))
    assert resets(end.to_client) == [(1, ENHANCE_YOUR_CALM)]


def test_what_comes_after_a_reset_is_dropped() -> None:
    """The rest of a reset message does not reach the transport, and the client gets its room back.
    The transport's answer to it does not reach the client, except headers, which change the
    encoding of later ones."""
    occupancy, _ = open_to()
    end = End(occupancy).greet()
    end.link.sent(begun(1) + frame(DATA, 0, 1, struct.pack(">BI", 0, 2**30)))
    end.to_server = end.to_client = b""
    end.link.sent(frame(DATA, 0, 1, bytes(700)) + begun(3, end=True) + frame(DATA, 1, 1, bytes(9)))
    assert end.to_server == begun(3, end=True)
    assert list(frames(end.to_client)) == [(WINDOW, 0, 0, struct.pack(">I", 709))]
    end.to_server = end.to_client = b""
    end.link.answered(begun(1) + frame(DATA, 0, 1, b"late") + begun(3, end=True))
    assert end.to_client == begun(1) + begun(3, end=True)
    assert list(frames(end.to_server)) == [(WINDOW, 0, 0, struct.pack(">I", 4))]
    assert occupancy.streams == 0


def test_all_unfinished_messages_together_have_a_bound() -> None:
    """If messages take more than the memory, the largest unfinished one of the connection with the
    most goes; other connections keep theirs. A message that is alone may take all of it."""
    alone, _ = open_to(max_in_hand_bytes=1024)
    only = End(alone).greet()
    only.link.sent(begun(1) + body(1, 2_000))
    assert resets(only.to_client) == []
    occupancy, _ = open_to(max_bulk_message_bytes=2**20, max_in_hand_bytes=2**20)
    modest, greedy = End(occupancy).greet(), End(occupancy).greet()
    modest.link.sent(begun(1) + body(1, 10_000, end=False))
    for number in range(1, 300, 2):
        greedy.link.sent(begun(number) + body(number, 2**20, end=False))
    assert 2**20 - 2 * MOST_FRAME_BYTES < occupancy.bytes <= 2**20
    assert resets(modest.to_client) == []
    assert len(resets(greedy.to_client)) > 80
    greedy.link.leave()
    assert occupancy.bytes == modest.link.bytes == 10_005


def test_half_open_calls_leave_their_places() -> None:
    """If all places are taken, the oldest call whose request has been late is reset for a new one;
    a new call is refused, and may be sent again, only while no call is late."""
    occupancy, clock = open_to(max_calls=3, late_s=0.25)
    end, other = End(occupancy).greet(), End(occupancy).greet()
    end.link.sent(begun(1) + begun(3) + begun(5, end=True))
    other.link.sent(begun(1, end=True))
    assert resets(other.to_client) == [(1, REFUSED_STREAM)]
    clock.now_s = 0.3
    other.link.sent(begun(3, end=True) + begun(5, end=True))
    assert resets(end.to_client) == [(1, REFUSED_STREAM), (3, REFUSED_STREAM)]
    assert resets(other.to_client) == [(1, REFUSED_STREAM)]
    assert occupancy.streams == 3


def test_a_connection_that_breaks_the_rules_ends() -> None:
    """A connection ends that does not begin with HTTP/2, or sends a frame or a block of headers
    that is too long, or goes on with too many streams that were reset."""
    occupancy, _ = open_to()
    plain = End(occupancy)
    plain.link.sent(b"GET / HTTP/1.1\r\n")
    assert plain.ended
    assert plain.to_server == b""
    long = End(occupancy).greet()
    long.link.sent(struct.pack(">IBI", (MOST_FRAME_BYTES + 1) << 8 | DATA, 0, 1))
    assert long.ended
    assert [it[0] for it in frames(long.to_client)] == [GOAWAY]
    assert long.to_client.endswith(struct.pack(">I", FRAME_SIZE_ERROR))
    endless = End(occupancy).greet()
    endless.link.sent(frame(HEADERS, 0, 1, bytes(MOST_FRAME_BYTES)))
    for _ in range(4):
        endless.link.sent(frame(CONTINUATION, 0, 1, bytes(MOST_FRAME_BYTES)))
    assert endless.ended
    assert endless.to_server == b""
    stubborn = End(occupancy).greet()
    for number in range(1, 2 * MOST_DROPPED, 2):
        stubborn.link.sent(begun(number) + frame(DATA, 0, number, struct.pack(">BI", 0, 2**30)))
    assert not stubborn.ended
    number = 2 * MOST_DROPPED + 1
    stubborn.link.sent(begun(number) + frame(DATA, 0, number, struct.pack(">BI", 0, 2**30)))
    assert stubborn.ended


def test_pings_have_a_bound() -> None:
    """A client that pings more often than allowed while nothing is sent to it loses its connection;
    one that gets answers may ping, and answers to pings are free."""
    occupancy, clock = open_to(min_ping_interval_s=10.0)
    ping = frame(PING, 0, 0, bytes(8))
    end = End(occupancy).greet()
    for _ in range(20):
        end.link.sent(ping + frame(PING, ACK, 0, bytes(8)))
        end.link.answered(begun(1))
        clock.now_s += 0.01
    assert not end.ended
    clock.now_s += 20.0
    end.link.sent(ping * 3)
    assert end.to_client.endswith(begun(1))
    end.link.sent(ping)
    assert end.to_client.endswith(struct.pack(">I", ENHANCE_YOUR_CALM))


def test_a_goodbye_names_the_last_call() -> None:
    """A connection that ends because it is idle tells the client which calls were seen, so that a
    later one can be sent again."""
    occupancy, _ = open_to()
    end = End(occupancy).greet()
    end.link.sent(begun(1, end=True) + begun(7, end=True))
    end.link.answered(begun(1, end=True) + begun(7, end=True))
    end.to_client = b""
    end.link.go()
    assert list(frames(end.to_client)) == [(GOAWAY, 0, 0, struct.pack(">II", 7, NO_ERROR))]
    assert end.ended


def test_a_call_that_its_caller_resets_is_forgotten() -> None:
    """A caller's own reset passes on, and its bytes count no longer."""
    occupancy, _ = open_to()
    end = End(occupancy).greet()
    end.link.sent(begun(1) + body(1, 900, end=False))
    assert (occupancy.streams, occupancy.bytes) == (1, 905)
    end.link.sent(reset(1, 8))
    assert (occupancy.streams, occupancy.bytes) == (0, 0)
    assert resets(end.to_server) == [(1, 8)]


def test_the_transport_is_told_of_few_refused_streams_at_once() -> None:
    """The client hears of each refused stream at once. The transport hears of at most 16 at a time,
    with a pause before each time, and of none after the end of the connection."""
    end = End(Occupancy(Limits(max_calls=1, late_s=60), Clock())).greet()
    end.later = []
    last = 2 * MOST_RESETS + 3
    end.link.sent(b"".join(frame(HEADERS, END_HEADERS, 2 * n + 1, b"") for n in range(last)))
    refused = [reset(2 * n + 1, REFUSED_STREAM) for n in range(1, last)]
    assert end.to_client == b"".join(reversed(refused))
    told = []
    while end.later:
        (act,) = end.later
        end.later.clear()
        end.to_server = b""
        act()
        told.append(end.to_server)
    assert b"".join(told) == b"".join(reversed(refused))
    assert [len(it) // len(refused[0]) for it in told] == [MOST_RESETS, MOST_RESETS, 2]
    end.link.sent(frame(HEADERS, END_HEADERS, 2 * last + 1, b""))
    end.link.leave()
    end.to_server = b""
    end.later[0]()
    assert end.to_server == b""


def test_refused_streams_of_a_connection_have_a_bound() -> None:
    """A connection ends whose streams are refused faster than the transport can be told, even if
    nothing more would come of them."""
    end = End(Occupancy(Limits(max_calls=1, late_s=60), Clock())).greet()
    end.later = []
    end.link.sent(begun(1))
    for first in range(3, 2 * MOST_UNTOLD + 3, 1_024):
        end.link.sent(b"".join(begun(it, end=True) for it in range(first, first + 1_024, 2)))
    assert not end.ended
    end.link.sent(begun(2 * MOST_UNTOLD + 3, end=True))
    assert end.ended
