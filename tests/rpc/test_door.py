"""The door: what a call gets before its message is read, and how fast a key's calls may come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import grpc
import pytest
from freehold.v1 import authorization_service_pb2 as pb

from service.config import KeyLimits, Limits, SecondPersonLimits
from service.domain.access import Principal, Scope, hash_key
from service.domain.errors import Exhausted
from service.engine.hold_back import HoldBackLimits
from service.engine.pool import Pool, PoolLimits
from service.engine.rates import RateLimits
from service.engine.records.administration import Asked
from service.rpc.keys import HEADER, PREFIX, KeyRing
from service.rpc.message_bounds import InHand
from service.rpc.pipeline import Call, Method, Pipeline
from service.rpc.second_person import SecondPerson
from service.rpc.transport import Metadata
from tests.fakes import START_US, serving
from tests.rpc.support import TIMEOUT_S, Desks, Refused, desks, outcome, until

GET = "/freehold.v1.AuthorizationService/GetAuthorization"
NO_DELAY = HoldBackLimits(refusals_a_second=1_000_000)


@contextmanager
def half_open(
    address: str, count: int, metadata: Sequence[tuple[str, str]] = ()
) -> Iterator[list[grpc.Future]]:
    """Calls whose headers were sent and whose messages do not come."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(TIMEOUT_S)
        yield from ()

    with grpc.insecure_channel(address) as channel:
        start = channel.stream_unary(GET)
        calls = [start.future(nothing(), metadata=metadata) for _ in range(count)]
        try:
            yield calls
        finally:
            over.set()
            for call in calls:
                call.cancel()


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return ((HEADER, f"{PREFIX}{key}"),)


def answered(desk: Desks) -> None:
    """Both operators and the platform get answers."""
    for caller in (desk.operator, desk.other):
        for _ in range(10):
            caller.page()


def codes(calls: Sequence[grpc.Future]) -> set[grpc.StatusCode]:
    return {call.code() for call in calls if call.done()}


@pytest.mark.parametrize("key", ["", "fh_invented"])
def test_calls_without_a_good_key_are_refused_before_their_message(
    tmp_path: Path, key: str
) -> None:
    """A call without a key or with an unknown one is refused without waiting for its message, so
    any number of such calls leaves all places to good callers."""
    limits = Limits(max_calls=64, keys=KeyLimits(refusals=NO_DELAY))
    metadata = bearer(key) if key else ()
    with (
        serving(tmp_path, limits=limits) as served,
        desks(served) as desk,
        half_open(served.address, 300, metadata) as calls,
    ):
        until(lambda: all(call.done() for call in calls), "all are refused")
        assert grpc.StatusCode.UNAUTHENTICATED in codes(calls)
        answered(desk)


def test_waiting_strangers_leave_the_places_of_known_keys(tmp_path: Path) -> None:
    """Calls with unknown keys that wait for their refusal take at most `max_strangers` places; a
    key that was good before is answered meanwhile, also after it must be looked up again."""
    slow = HoldBackLimits(refusals_a_second=0, delay_s=60.0, max_held=1024)
    limits = Limits(max_calls=256, max_strangers=16, keys=KeyLimits(known_s=0.0, refusals=slow))
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:
        answered(desk)
        with half_open(served.address, 200, bearer("fh_invented")) as calls:
            refused = grpc.StatusCode.RESOURCE_EXHAUSTED
            until(lambda: sum(it.done() for it in calls) == 200 - 16, "the rest is refused")
            assert codes(calls) == {refused}
            answered(desk)


def test_a_callers_missing_messages_must_come_in_time(tmp_path: Path) -> None:
    """If the messages of many calls of one caller do not come, further messages of this caller must
    come within `body_s`; other callers do not notice."""
    limits = Limits(max_unread=8, body_s=0.2, keys=KeyLimits(known_s=60))
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:
        answered(desk)
        with half_open(served.address, 40, bearer(served.operator_key)) as calls:
            until(lambda: sum(it.done() for it in calls) == 40 - 8, "the rest is refused")
            assert codes(calls) == {grpc.StatusCode.INVALID_ARGUMENT}
            answered(desk)


def test_a_key_has_a_rate_limit(tmp_path: Path) -> None:
    """A key whose calls come too fast is refused with RATE_LIMITED and the delay after which a call
    passes; other keys have budgets of their own."""
    limits = Limits(rates=RateLimits(units_a_second=4, burst_s=1, read=1, list=4))
    with serving(tmp_path, limits=limits) as served, desks(served) as desk:
        desk.operator.page()
        refusal = outcome(desk.operator.page)
        assert isinstance(refusal, Refused)
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "RATE_LIMITED",
        )
        assert refusal.retry_s is not None
        assert 0 < refusal.retry_s <= 1
        desk.other.page()
        threading.Event().wait(refusal.retry_s)
        desk.operator.page()


# -- the same limits on a transport of the test's own --------------------------------------------


class Ended(Exception):
    """The call was refused."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class Wire:
    """A call without gRPC: its metadata, and a message that may never come."""

    def __init__(self, key: str, body: bytes | None = b"", left_s: float | None = None) -> None:
        self._metadata = bearer(key)
        self._body = body
        self._left_s = left_s
        self.read_begun = False

    def invocation_metadata(self) -> Metadata:
        """The key."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """The time that the test gave."""
        return self._left_s

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """No certificate."""
        return {}

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Nothing looks at it here."""

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        """Raises Ended."""
        raise Ended(code, details)

    async def read(self) -> object:
        """The message, or no end."""
        self.read_begun = True
        if self._body is None:
            await asyncio.sleep(TIMEOUT_S)
        return self._body


def _nobody(_asked: Asked, _now_us: int) -> None:
    raise AssertionError("no call here needs an approval")


class Service:
    """A pipeline with one method that holds its calls until they may go on."""

    def __init__(self, max_bytes: int = 64, **limits: object) -> None:
        self.pool = Pool("lookups", PoolLimits())
        found = {hash_key("good"): Principal("city", frozenset(Scope), "key-1")}
        keys = KeyRing(
            found.get,
            familiar=self.pool,
            strangers=self.pool,
            limits=KeyLimits(),
            now_us=lambda: START_US,
        )
        second = SecondPerson(_nobody, self.pool, lambda: START_US, SecondPersonLimits())
        self.pipeline = Pipeline(keys, second, Limits(refusals=NO_DELAY, **limits))  # type: ignore[arg-type]
        self.go_on = asyncio.Event()
        self.go_on.set()
        method = Method(
            "Get", pb.ListAuthorizationsRequest, Scope.AUTHORIZATIONS_READ, self._get, max_bytes
        )
        self._answer = self.pipeline.answer(method)
        self._receive = self.pipeline.receive(method)

    async def _get(self, call: Call[pb.ListAuthorizationsRequest]) -> bytes:
        await self.go_on.wait()
        return b"answer"

    async def call(self, wire: Wire) -> bytes | grpc.StatusCode:
        """The answer to a call, or the code of its refusal, as any driver has to get it."""
        try:
            if not self.pipeline.admits(wire.invocation_metadata()):
                return await self._receive(wire)
            body = await wire.read()
            assert isinstance(body, bytes)
            return await self._answer(body, wire)
        except Ended as refusal:
            return refusal.code


def test_another_transport_gets_the_same_limits() -> None:
    """Keys, sizes, deadlines, the number of calls under way and the end of the server are checked
    above the transport's port, and no message of an unknown key is read."""
    code = grpc.StatusCode

    async def main() -> None:
        service = Service(max_calls_a_caller=2, body_s=0.05)
        unknown = Wire("invented", None)
        assert await service.call(unknown) is code.UNAUTHENTICATED
        assert not unknown.read_begun
        assert await service.call(Wire("good", None)) is code.INVALID_ARGUMENT
        assert await service.call(Wire("good")) == b"answer"
        assert await service.call(Wire("good", b"x" * 65)) is code.INVALID_ARGUMENT
        assert await service.call(Wire("good", left_s=0.001)) is code.DEADLINE_EXCEEDED
        service.go_on.clear()
        two = [asyncio.create_task(service.call(Wire("good"))) for _ in range(2)]
        await asyncio.sleep(0)
        assert await service.call(Wire("good")) is code.RESOURCE_EXHAUSTED
        service.go_on.set()
        assert await asyncio.gather(*two) == [b"answer"] * 2
        service.pipeline.close()
        assert await service.call(Wire("good")) is code.UNAVAILABLE
        service.pool.shutdown()

    asyncio.run(main())


def test_calls_that_went_away_unread_are_forgotten() -> None:
    """Calls that end before their message comes give their places back."""

    async def main() -> None:
        service = Service(max_unread=3)
        assert await service.call(Wire("good")) == b"answer"
        over = asyncio.Event()

        async def unread() -> bool:
            admitted = service.pipeline.admits(Wire("good").invocation_metadata())
            await over.wait()
            return admitted

        calls = [asyncio.create_task(unread()) for _ in range(4)]
        await asyncio.sleep(0)
        assert not service.pipeline.admits(Wire("good").invocation_metadata())
        over.set()
        assert await asyncio.gather(*calls) == [True, True, True, False]
        assert service.pipeline.admits(Wire("good").invocation_metadata())
        service.pool.shutdown()

    asyncio.run(main())


def test_messages_in_hand_have_a_bound_together() -> None:
    """The messages of all calls in progress have a bound together, and those of one caller a
    smaller one; a message that is alone always passes. A refusal says when to try again."""
    hand = InHand(Limits(max_in_hand_bytes=4096, max_caller_in_hand_bytes=1024))
    for of, size in (("a", 600), ("a", 424), ("b", 3072), ("a", 0)):
        hand.take(of, size)
    for caller, size in (("a", 1), ("b", 1), ("c", 1), (None, 5000)):
        with pytest.raises(Exhausted) as refused:
            hand.take(caller, size)
        assert (refused.value.reason, refused.value.retry_after_ms) == ("TOO_MANY_BYTES", 100)
    hand.give_back("b", 3072)
    hand.take("c", 1025)
    for of, size in (("a", 600), ("a", 424), ("c", 1025), ("a", 0)):
        hand.give_back(of, size)
    hand.take("d", 10_000)
    assert hand.calls == 1


def test_a_call_with_a_large_message_is_refused_while_others_are_in_hand() -> None:
    """A message that would exceed the memory is refused with its reason before it is parsed, and
    passes once the other calls have ended."""

    async def main() -> None:
        service = Service(max_bytes=2048, max_caller_in_hand_bytes=1024)
        large = pb.ListAuthorizationsRequest(page_token="x" * 250).SerializeToString()
        service.go_on.clear()
        four = [asyncio.create_task(service.call(Wire("good", large))) for _ in range(4)]
        while service.pipeline.under_way < 4:
            await asyncio.sleep(0)
        assert await service.call(Wire("good", large)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        service.go_on.set()
        assert await asyncio.gather(*four) == [b"answer"] * 4
        assert await service.call(Wire("good", large)) == b"answer"
        service.pool.shutdown()

    asyncio.run(main())
