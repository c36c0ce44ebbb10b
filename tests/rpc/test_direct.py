"""Mutations that need no coroutine each: which calls may go this way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from freehold.v1 import authorization_service_pb2 as pb
from grpc import StatusCode

from service.config import KeyLimits, Limits, SecondPersonLimits
from service.domain.access import Principal, Scope, hash_key
from service.engine.calls import Work
from service.engine.engine import Result
from service.engine.group_commit import CommitLimits, Committer
from service.engine.pool import Pool, PoolLimits
from service.engine.records.administration import Asked
from service.engine.records.requests import Replayed
from service.rpc.direct import Direct, DirectCall
from service.rpc.keys import KeyRing
from service.rpc.pipeline import Call, Method, Pipeline
from service.rpc.second_person import SecondPerson
from service.rpc.transport import Metadata
from tests.fakes import START_US
from tests.rpc.support import TIMEOUT_S
from tests.rpc.test_door import bearer

KEYS = {
    "good": Principal("city", frozenset(Scope), "key-1"),
    "bound": Principal("city", frozenset(Scope), "key-2", certificates=frozenset({"ab"})),
    "person": Principal("city", frozenset(Scope), "key-3", person_id="ada"),
    "reader": Principal("city", frozenset(), "key-4"),
}


class Reply:
    """A caller who keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.over = asyncio.Event()

    def answer(self, body: bytes, trailing: Metadata = ()) -> None:
        """An answer."""
        self.told.append((body, [name for name, _ in trailing]))

    def refuse(self, code: StatusCode, _text: str, _trailing: Metadata) -> None:
        """A refusal."""
        self.told.append(code)

    def ended(self) -> None:
        """The end."""
        self.over.set()


def _nobody(_asked: Asked, _now_us: int) -> None:
    raise AssertionError("no call here needs an approval")


def _work(call: Call[Any]) -> Work:
    return Work("city", call.message.page_token, "Put", call.body, None, repr, lambda _: None)  # type: ignore[arg-type]


async def _handle(_call: Call[Any]) -> bytes:
    raise AssertionError("these calls go another way")


def results(works: list[Work]) -> list[Result]:
    """A fresh answer, or a stored one for the id `again`."""
    return [
        Replayed.of(b"first", START_US) if it.request_id == "again" else b"answer" for it in works
    ]


class Entrance:
    """A pipeline and a committer with one mutation."""

    def __init__(self, **limits: Any) -> None:
        self.pool = Pool("lookups", PoolLimits())
        found = {hash_key(key): it for key, it in KEYS.items()}
        self.keys = KeyRing(
            found.get, familiar=self.pool, strangers=self.pool, limits=KeyLimits(known_s=60),
            now_us=lambda: START_US,
        )  # fmt: skip
        second = SecondPerson(_nobody, self.pool, lambda: START_US, SecondPersonLimits())
        self.pipeline = Pipeline(self.keys, second, Limits(**limits))
        self.committer = Committer(results, CommitLimits())  # type: ignore[arg-type]
        self.committer.start()
        self.direct = Direct(self.pipeline, self.committer)
        scope = Scope.AUTHORIZATIONS_WRITE
        method = Method("Put", pb.ListAuthorizationsRequest, scope, _handle, 64, work=_work)
        self.desk = self.direct.desk(method)

    async def begin(
        self, key: str, body: bytes = b"", left_s: float | None = None
    ) -> tuple[DirectCall | None, Reply]:
        """A call with a key that was looked up before."""
        if key in KEYS and self.keys.known(bearer(key)) is None:
            await self.keys.principal(bearer(key))
        reply = Reply()
        return self.direct.begin(self.desk, reply, body, bearer(key), left_s), reply

    async def close(self) -> None:
        """Ends the committer."""
        await self.committer.close()
        self.pool.shutdown()


@pytest.mark.parametrize("key", ["unknown", "bound", "person"])
def test_calls_that_may_wait_go_the_way_of_all_calls(key: str) -> None:
    """A call whose key is not known, is bound to a certificate or is a person's is not begun here,
    and takes no place."""

    async def main() -> None:
        it = Entrance()
        begun, reply = await it.begin(key)
        assert begun is None
        assert reply.told == []
        assert it.pipeline.under_way == 0
        await it.close()

    asyncio.run(main())


def test_an_answer_is_sent_and_counted_once() -> None:
    """A fresh answer is sent as it is, a stored one with the time of the first; each gives its
    place back."""

    async def main() -> None:
        it = Entrance()
        again = pb.ListAuthorizationsRequest(page_token="again").SerializeToString()
        for body, told in ((b"", (b"answer", [])), (again, (b"first", ["freehold-replayed"]))):
            begun, reply = await it.begin("good", body)
            assert begun is not None
            assert it.pipeline.under_way == 1
            await reply.over.wait()
            assert reply.told == [told]
            assert it.pipeline.under_way == 0
        assert it.pipeline.calls.methods["Put"].codes == {"OK": 2}
        await it.close()

    asyncio.run(main())


def test_refusals_are_those_of_the_pipeline() -> None:
    """Scope, size, deadline, form and the number of calls are checked as on the other way, and a
    refused call keeps no place."""

    async def main() -> None:
        it = Entrance(max_calls_a_caller=1)
        code = StatusCode
        for key, body, left_s, expected in (
            ("reader", b"", None, code.PERMISSION_DENIED),
            ("good", b"x" * 65, None, code.INVALID_ARGUMENT),
            ("good", b"", 0.001, code.DEADLINE_EXCEEDED),
            ("good", b"\xff", None, code.INVALID_ARGUMENT),
        ):
            _, reply = await it.begin(key, body, left_s)
            await reply.over.wait()
            assert reply.told == [expected]
            assert it.pipeline.under_way == 0
        _, first = await it.begin("good")
        _, second = await it.begin("good")
        await second.over.wait()
        assert second.told == [code.RESOURCE_EXHAUSTED]
        await first.over.wait()
        await it.committer.close()
        _, late = await it.begin("good")
        await late.over.wait()
        assert late.told == [code.UNAVAILABLE]
        assert it.pipeline.under_way == 0
        it.pool.shutdown()

    asyncio.run(main())


def test_a_caller_that_leaves_a_refused_call_gives_its_place_back() -> None:
    """A call that waits for its refusal, and is cancelled before the wait begins or meanwhile,
    gives its place back and counts once."""

    async def main() -> None:
        it = Entrance(max_calls_a_caller=1)
        for turns in (0, 1, 2):
            begun, reply = await it.begin("good", b"\xff")
            assert begun is not None
            for _ in range(turns):
                await asyncio.sleep(0)
            begun.cancel()
            await asyncio.wait_for(reply.over.wait(), TIMEOUT_S)
            assert it.pipeline.under_way == 0
        _, first = await it.begin("good")
        begun, second = await it.begin("good")
        assert begun is not None
        begun.cancel()
        await asyncio.wait_for(second.over.wait(), TIMEOUT_S)
        await first.over.wait()
        assert it.pipeline.under_way == 0
        assert it.pipeline.calls.methods["Put"].codes.total() == 5
        await it.close()

    asyncio.run(main())


def test_a_caller_that_leaves_is_counted_once() -> None:
    """A call that is cancelled before its answer counts as cancelled, and gives its place back
    once."""

    async def main() -> None:
        it = Entrance()
        begun, reply = await it.begin("good")
        assert begun is not None
        begun.cancel()
        begun.cancel()
        assert it.pipeline.under_way == 0
        await it.committer.close()
        assert reply.told == [(b"answer", [])]
        assert it.pipeline.calls.methods["Put"].codes == {"CANCELLED": 1}
        assert it.pipeline.under_way == 0
        it.pool.shutdown()

    asyncio.run(main())
