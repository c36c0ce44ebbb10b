"""A real server within the random model, which calls it through a socket.

The server decides in which order the calls arrive and how they are divided into batches. So its
writer is watched: the model compares each batch, in the order in which it was applied, with the
reference.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from service.app import App
from service.clock import SandboxClock
from service.config import MOST_MINOR, Limits, SecondPersonLimits
from service.domain.access import PLATFORM, new_key, possible_scopes
from service.domain.errors import FreeholdError, InvalidInput
from service.engine import operations as c
from service.engine.calls import Answer, Encode, Payloads, Work
from service.engine.engine import Engine, Result
from service.engine.records.administration import NewKey
from service.ids import Ids
from service.parts import Parts
from service.storage import admin
from service.storage.store import SqlStore
from tests.engine.chance import OPERATORS, Call
from tests.engine.wire_requests import BESIDE, request_of
from tests.fakes import START_US, FakeScorer
from tests.rpc.support import OPERATOR_RPCS, PLATFORM_RPCS, RPCS, SHARED_RPCS

Done = TypeVar("Done")
LIMIT_S = 600.0
"""The longest wait for anything: a busy machine breaks no rule."""
ATTEMPTS = 3
_NO_BOUNDS = SecondPersonLimits(**dict.fromkeys(SecondPersonLimits.__slots__, MOST_MINOR))
"""The model's persons move any amount alone."""
LIMITS = Limits(max_attempts=ATTEMPTS, second_person=_NO_BOUNDS)
BATCHED: dict[type[Any], str] = {c.Authorize: "BatchAuthorize", c.Settle: "BatchSettle"}
"""The commands that one message may have many of."""


class WireFault(AssertionError):
    """The wire changed a call or its answer."""


@dataclass(slots=True)
class Applied:
    """A batch that the server's writer has applied: its calls, its answers with their bytes by
    place, and its results."""

    calls: list[Call]
    answers: dict[int, tuple[Answer, bytes]]
    results: list[Result]


class Outcome(NamedTuple):
    """The client's side of a call: the bytes of its answer, or the code and the reason of its
    refusal."""

    answer: bytes = b""
    code: str = ""
    reason: str = ""

    def tells(self, result: Result, plain: Callable[[bytes], bytes]) -> bool:
        """True if it is what the writer decided; `plain` gives bytes the client's form."""
        if isinstance(result, FreeholdError):
            return bool(self.code) and self.reason == result.reason
        return not self.code and self.answer == plain(result)


def require_another(calls: Sequence[Call], call: Call) -> None:
    """Raises WireFault unless another call came at the same time under the same id."""
    if [it[1:3] for it in calls].count(call[1:3]) < 2:
        raise WireFault(f"{call} was told of another call under its id, and there is none")


def may_send(call: Call) -> bool:
    """True if the call's caller has the scope of its method."""
    method, _ = request_of(call.request_id, call.command)
    others = OPERATOR_RPCS if call.caller == PLATFORM else PLATFORM_RPCS
    return method in SHARED_RPCS or method not in others


class Delivered(NamedTuple):
    """The batches in which calls were applied, and the outcomes of calls that did not reach the
    writer."""

    applied: list[Applied]
    beside: list[tuple[Call, Outcome]]


class Wire:
    """A server on a loop of its own, and a connection to it for each key."""

    def __init__(
        self,
        store: SqlStore,
        clock: SandboxClock,
        ids: Ids,
        transport: str,
        log_fault: Callable[[BaseException], None],
    ) -> None:
        """Starts the server; `log_fault` gets the engine's faults."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._thread.start()
        parts = Parts(store, FakeScorer(), clock, ids, LIMITS, transport=transport)
        self._app, port = self._run(self._start(parts))
        committer: Any = self._app.committer
        self.engine: Engine = committer._apply.__self__
        self.engine._log_fault = lambda _id, error, _about=None: log_fault(error)
        committer._apply = self._apply
        self._pending: list[Call] = []
        self._applied: list[Applied] = []
        self._wrong: list[str] = []
        self._keys: dict[tuple[str, str], str] = {}
        # One connection, so that the calls arrive in the order in which they were sent.
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    @staticmethod
    async def _start(parts: Parts) -> tuple[App, int]:
        app = App(parts)
        # The model does their work itself, at known times.
        app.background.workers.clear()
        return app, await app.start("127.0.0.1:0")

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(LIMIT_S)

    def add_keys(self, engine: Any) -> None:
        """Adds a key of each caller's program, and one of each of two persons of the platform."""
        programs = [(owner, "") for owner in (*OPERATORS, PLATFORM)]
        for owner, person in (*programs, (PLATFORM, "eve"), (PLATFORM, "bob")):
            operator_id = None if owner == PLATFORM else owner
            self._keys[owner, person] = key = new_key()
            scopes = frozenset(map(str, possible_scopes(operator_id)))
            wanted = NewKey(operator_id, person, scopes=scopes)
            admin.add_key(engine, key, operator_id, START_US, wanted=wanted)

    def close(self) -> None:
        """Stops the server, which closes its database."""
        self._channel.close()
        self._run(self._app.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    # -- the writer's side -----------------------------------------------------------------------

    def on_writer(self, task: Callable[[], Done]) -> Done:
        """Runs a task on the thread of the server's writer, between two batches."""

        async def run() -> Done:
            done: Done = await self._app.committer.between(task)
            return done

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(LIMIT_S)

    def _apply(self, works: Sequence[Work]) -> list[Result]:
        """Applies a batch as the server does, and notes it."""
        calls = [self._call_of(work) for work in works]
        answers: dict[int, tuple[Answer, bytes]] = {}
        watched = [
            replace(work, encode=partial(_keep, answers, place, work.encode))
            for place, work in enumerate(works)
        ]
        results = self.engine.apply(watched)
        self._applied.append(Applied(calls, answers, results))
        return results

    def _call_of(self, work: Work) -> Call:
        """The call whose command has arrived."""
        for call in self._pending:
            named = (call.caller, call.request_id)
            if named == (work.caller, work.request_id) and call.command == work.command:
                self._pending.remove(call)
                return call
        sent = [it.command for it in self._pending if it.request_id == work.request_id]
        self._wrong.append(f"{work.command} arrived, and not one of {sent}")
        return Call("unknown", work.caller, work.request_id, work.command)

    # -- the client's side -----------------------------------------------------------------------

    def send(self, calls: Sequence[Call], beside: Callable[[Call], Work]) -> Delivered:
        """Sends calls at the same time, and compares the answers with the writer's.

        Commands that no message has go into the server's queue as works, which `beside` makes.
        """
        self._begin_to_watch(calls)
        begun = [self._begin(call, beside) for call in calls]
        return self._compared(calls, [wait() for wait in begun], bytes)

    def send_in_a_message(self, calls: Sequence[Call]) -> Delivered:
        """Sends calls as the items of one message, as `send`."""
        self._begin_to_watch(calls)
        method = BATCHED[type(calls[0].command)]
        message: Any = RPCS[method].request()
        for call in calls:
            single, item = request_of(call.request_id, call.command)
            message.items.add().CopyFrom(item)
        waiting = self._future(method, message, self._keys[calls[0].caller, ""])
        answer: Any = RPCS[method].response.FromString(waiting.result(LIMIT_S))

        def plain(content: bytes) -> bytes:
            again: bytes = RPCS[single].response.FromString(content).SerializeToString()
            return again

        return self._compared(calls, [_item(it) for it in answer.outcomes], plain)

    def _begin_to_watch(self, calls: Sequence[Call]) -> None:
        self._pending, self._applied, self._wrong = list(calls), [], []

    def _compared(
        self, calls: Sequence[Call], outcomes: list[Outcome], plain: Callable[[bytes], bytes]
    ) -> Delivered:
        """Gives each result the outcome of its call; raises WireFault where they differ."""
        if self._wrong or len(outcomes) != len(calls):
            raise WireFault(self._wrong or f"{len(outcomes)} outcomes of {len(calls)} calls")
        left = list(zip(calls, outcomes, strict=True))
        for batch in self._applied:
            for call, result in zip(batch.calls, batch.results, strict=True):
                # Two equal calls, one of them a retry, may have come in either order.
                its = [it for it in left if it[0][1:4] == call[1:4]]
                told = next((it for it in its if it[1].tells(result, plain)), None)
                if told is None and isinstance(result, InvalidInput):
                    # Another call under this id may be stored before a stored answer is looked for.
                    told = next((it for it in its if it[1].reason == "REQUEST_ID_REUSED"), None)
                    require_another(calls, call)
                if told is None:
                    raise WireFault(f"{call}: decided {result!r}, told {[it[1] for it in its]}")
                left.remove(told)
        return Delivered(self._applied, left)

    def _future(self, method: str, message: Any, key: str) -> Any:
        call = self._channel.unary_unary(RPCS[method].path)
        metadata = (("authorization", f"Bearer {key}"),)
        return call.future(message.SerializeToString(), timeout=LIMIT_S, metadata=metadata)

    def _begin(self, call: Call, beside: Callable[[Call], Work]) -> Callable[[], Outcome]:
        """Sends a call; the result waits for its outcome."""
        if isinstance(call.command, BESIDE):
            work = beside(call)

            async def submit() -> bytes:
                answer: bytes = await self._app.committer.submit(work)
                return answer

            own = asyncio.run_coroutine_threadsafe(submit(), self._loop)
            return lambda: _of_work(own)
        method, message = request_of(call.request_id, call.command)
        waiting = self._future(method, message, self._key_of(call))
        return lambda: _of_call(waiting)

    def _key_of(self, call: Call) -> str:
        """The key of the call's caller; a command by a person needs that person's."""
        by = getattr(call.command, "by", "").removeprefix("persons/")
        return self._keys[call.caller, by if call.caller == PLATFORM else ""]


def _keep(
    answers: dict[int, tuple[Answer, bytes]],
    place: int,
    encode: Encode,
    answer: Answer,
    payloads: Payloads,
) -> bytes:
    encoded: bytes = encode(answer, payloads)
    answers[place] = answer, encoded
    return encoded


def _of_work(own: Any) -> Outcome:
    try:
        return Outcome(own.result(LIMIT_S))
    except FreeholdError as refusal:
        return Outcome(b"", "REFUSED", refusal.reason)


def _of_call(waiting: Any) -> Outcome:
    try:
        return Outcome(waiting.result(LIMIT_S))
    except grpc.RpcError as error:
        told: Any = error
        details = dict(told.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        return Outcome(b"", told.code().name, _reason(Status.FromString(details)))


def _item(outcome: Any) -> Outcome:
    """The outcome of an item of a message."""
    if outcome.HasField("error"):
        return Outcome(b"", str(outcome.error.code), _reason(outcome.error))
    return Outcome(outcome.response.SerializeToString())


def _reason(status: Status) -> str:
    for detail in status.details:
        info = ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""
