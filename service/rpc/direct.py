"""Mutations that need no coroutine, future or callback each: one look at the call, one at its end.

Most mutations come from a program whose key is known, and nothing of them waits but the commit. A
transport hands such a call to `Direct.begin` on the event loop's thread. The call is checked there,
its command goes into the committer's queue, and the writer's thread sends the answer right after
the commit. The checks and refusals are those of the pipeline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from grpc import StatusCode

from service.domain.access import Principal
from service.domain.errors import ActRefused, Exhausted, InvalidInput
from service.engine.engine import Result
from service.engine.group_commit import Committer
from service.engine.records.requests import Replayed
from service.rpc import pipeline
from service.rpc.pipeline import (
    Admission,
    Call,
    Done,
    Method,
    Pipeline,
    Running,
    first_answer,
    since,
    trailers_of,
)
from service.rpc.status import code_of, text_of
from service.rpc.transport import Metadata


class Reply(Protocol):
    """The way back to a caller, who may be gone; `answer` and `refuse` are thread-safe."""

    def answer(self, body: bytes, trailing: Metadata = ()) -> None:
        """Ends the call with an answer."""

    def refuse(self, code: StatusCode, text: str, trailing: Metadata) -> None:
        """Ends the call with a status."""

    def ended(self) -> None:
        """Hears that nothing of the call is under way any more."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A mutation or a batch with its checks, made once."""

    method: Method[Any]
    admit: Admission
    done: Done


class DirectCall:
    """One call under way; it is the committer's ticket."""

    __slots__ = (
        "_began_s", "_body", "_call", "_desk", "_direct", "_in_hand", "_items", "_principal",
        "_reply", "_waiting", "over",
    )  # fmt: skip

    def __init__(
        self, direct: Direct, desk: Desk, reply: Reply, principal: Principal, body: bytes
    ) -> None:
        self._direct, self._desk, self._reply = direct, desk, reply
        self._principal, self._body = principal, body
        self._began_s = time.perf_counter()
        self._call: Call[Any] | None = None
        self._in_hand = False
        """True while the call has its place in hand."""
        self._waiting: asyncio.Task[None] | None = None
        self._items: Running | None = None
        """The items of a batch."""
        self.over = False

    def start(self, committer: Committer, metadata: Metadata, left_s: float | None) -> None:
        """Checks the call, and sends its command to the committer or ends the call."""
        desk, method, principal = self._desk, self._desk.method, self._principal
        try:
            deadline = desk.admit(principal, len(self._body), left_s)
        except Exhausted as error:
            self._wait(self._held_back(error))
            return
        except Exception as error:
            self._refuse(error)
            return
        self._in_hand = True
        try:
            message = pipeline.parse(method.kind, self._body)
            call = self._call = Call(message, self._body, principal, deadline, metadata)
            if method.work is not None:
                committer.send(method.work(call), self)
            elif method.batch is not None:
                self._items = method.batch(call, self._told)
        except Exception as error:
            self._refused(error)

    def answer(self, result: Result) -> None:
        """Sends the answer of a commit, from the writer's thread."""
        if type(result) is bytes:
            self._reply.answer(result)
        elif isinstance(result, Replayed):
            self._reply.answer(bytes(result), (since(result.since_us),))

    def end(self, result: Result) -> None:
        """Counts the call after its answer, or refuses it."""
        if self.over:
            return
        if isinstance(result, bytes):
            self._give_back()
            self._count("OK", "")
        else:
            self._refused(result)

    def _told(self, answer: bytes | Exception) -> None:
        """Sends the answer of a batch."""
        if isinstance(answer, Exception):
            self._refused(answer)
            return
        self._reply.answer(answer)
        self.end(answer)

    def cancel(self) -> None:
        """Forgets the caller, who went away or whose deadline is over; the command goes on."""
        if self.over:
            return
        if self._items is not None:
            self._items.cancel()
        if self._waiting is not None:
            self._waiting.cancel()  # its end ends the call
            return
        self._give_back()
        self._count("CANCELLED", "")

    def _refused(self, error: Exception) -> None:
        """Refuses the call, or looks for its first answer, while it is in hand."""
        if isinstance(error, InvalidInput) and self._call is not None:
            error = self._desk.method.named(self._call, error)
        if isinstance(error, InvalidInput | ActRefused):
            self._wait(self._answered_before(error))
            return
        self._give_back()
        self._refuse(error)

    async def _answered_before(self, error: InvalidInput | ActRefused) -> None:
        try:
            first = await first_answer(self._desk.method, self._body, self._principal, error)
        except Exception as other:
            self._give_back()
            self._refuse(other)
            return
        self._give_back()
        if first is None:
            self._refuse(error)
        else:
            self.answer(first)
            self._count("OK", "")

    async def _held_back(self, error: Exhausted) -> None:
        await self._direct.pipeline.hold_back()
        self._refuse(error)

    def _wait(self, rest: Coroutine[Any, Any, None]) -> None:
        """Lets a task end the call."""
        self._waiting = asyncio.get_running_loop().create_task(rest)
        self._waiting.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step runs no line of its coroutine.
        self._waiting = None
        if task.cancelled():
            self._give_back()
            self._count("CANCELLED", "")

    def _give_back(self) -> None:
        if self._in_hand:
            self._in_hand = False
            self._direct.pipeline.in_hand.give_back(self._principal.operator_id, len(self._body))

    def _refuse(self, error: Exception) -> None:
        message = None if self._call is None else self._call.message
        refusal = self._direct.pipeline.refusal_of(self._desk.method.name, message, error)
        self._count(code_of(refusal).name, refusal.reason)
        self._reply.refuse(code_of(refusal), text_of(refusal), trailers_of(refusal))

    def _count(self, code: str, reason: str) -> None:
        self.over = True
        message = None if self._call is None else self._call.message
        self._reply.ended()
        self._desk.done(code, reason, self._principal.operator_id, message, self._began_s)


class Direct:
    """The entrance of such calls; it belongs to one event loop."""

    def __init__(self, pipeline: Pipeline, committer: Committer) -> None:
        self.pipeline = pipeline
        self._committer = committer

    def desk(self, method: Method[Any]) -> Desk:
        """A mutation or a batch with its checks."""
        return Desk(method, self.pipeline.admission(method), self.pipeline.done(method.name))

    def begin(
        self, desk: Desk, reply: Reply, body: bytes, metadata: Metadata, left_s: float | None
    ) -> DirectCall | None:
        """A call that has begun, and may have ended; None if it must take the way of all calls.

        That is so if something of it may wait: its key is not known, is bound to a certificate, or
        is a person's, who may need an approval.
        """
        principal = self.pipeline.keys.known(metadata)
        if principal is None or principal.certificates or principal.person_id:
            return None
        if self.pipeline.closing:
            return None
        call = DirectCall(self, desk, reply, principal, body)
        call.start(self._committer, metadata, left_s)
        return call
