"""Batches on the wire: many requests of one method in one message, each with its own outcome.

An item is a call in every respect but its transport. It takes units and a place of its key, its
message is checked by itself, it waits for its turn in the committer's queue, and it is counted and
logged under the name of its method.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from service.config import Limits
from service.domain.access import PLATFORM
from service.domain.errors import Exhausted, FreeholdError, InvalidInput
from service.engine.calls import Work
from service.engine.engine import Result
from service.engine.group_commit import Committer
from service.engine.rates import Weight
from service.engine.records.requests import Replayed
from service.rpc.answers import head
from service.rpc.mutations import Mutation, renamed, works_of
from service.rpc.pipeline import Call, Done, Method, Pipeline, Running, Told, too_large
from service.rpc.retries import Retries, answer_of
from service.rpc.status import code_of, details_of
from service.rpc.validation import check


class Batch(NamedTuple):
    """A method whose message has requests of a mutation as `items`."""

    request: type[Message]
    mutation: Mutation

    @property
    def name(self) -> str:
        """The method's name; its request is named after it."""
        return self.request.DESCRIPTOR.name.removesuffix("Request")


class Batches:
    """Answers batches: sends their items to the committer together."""

    def __init__(
        self, committer: Committer, retries: Retries, pipeline: Pipeline, limits: Limits
    ) -> None:
        self.committer = committer
        self.retries = retries
        self.pipeline = pipeline
        self.limits = limits

    def methods(self, batches: Sequence[Batch]) -> list[Method[Any]]:
        """The methods of a table."""
        return [self._method(it) for it in batches]

    def _method(self, batch: Batch) -> Method[Any]:
        mutation = batch.mutation
        work_of, done = works_of(mutation), self.pipeline.done(mutation.name)

        def begin(call: Call[Any], tell: Told) -> Running:
            items = _Items(self, mutation, done, call, tell)
            items.start(work_of)
            return items

        async def handle(call: Call[Any]) -> bytes:
            told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            running = begin(call, partial(_resolve, told))
            try:
                return await told
            except asyncio.CancelledError:
                running.cancel()
                raise

        most, scope = self.limits.max_bulk_message_bytes, mutation.scope
        return Method(batch.name, batch.request, scope, handle, most, Weight.BATCH, batch=begin)


def _resolve(told: asyncio.Future[bytes], answer: bytes | Exception) -> None:
    if told.done():
        return
    if isinstance(answer, Exception):
        told.set_exception(answer)
    else:
        told.set_result(answer)


class _Items:
    """The items of one message under way; they have one ticket at the committer.

    A caller's commands keep their order in the queue, and so do their results.
    """

    __slots__ = (
        "_batches", "_began_s", "_call", "_came", "_done", "_items", "_left", "_mutation", "_over",
        "_places", "_rest", "_results", "_sent", "_tell",
    )  # fmt: skip

    def __init__(
        self, batches: Batches, mutation: Mutation, done: Done, call: Call[Any], tell: Told
    ) -> None:
        self._began_s = time.perf_counter()
        self._batches, self._mutation, self._done = batches, mutation, done
        self._call, self._tell = call, tell
        self._items: list[Message] = list(call.message.items)
        self._results: list[Any] = [None] * len(self._items)
        """The answer or the refusal of each item; None while it is awaited."""
        self._sent: list[int] = []
        """The places of the items at the committer."""
        self._came: list[Result] = []
        """The results of these that have come."""
        self._left = 0
        """The number of parts that are awaited: the results of the committer, and a task."""
        self._rest: asyncio.Task[None] | None = None
        self._over = False

    def start(self, work_of: Callable[[Call[Any]], Work]) -> None:
        """Checks the items, and sends their commands to the committer."""
        batches, caller = self._batches, self._call.principal
        places = batches.pipeline.places(caller, len(self._items), Weight.WRITE)
        self._places = places
        try:
            works, wrong = self._works(work_of)
            sent, refusal = batches.committer.send_all(works, self)
        except BaseException:
            self._close()
            raise
        for place in self._sent[sent:]:
            self._results[place] = refusal
        del self._sent[sent:]
        self._results[places.granted :] = [places.refusal] * (len(self._items) - places.granted)
        if sent:
            self._left += 1
        if wrong or not places.granted:
            self._left += 1
            self._rest = asyncio.get_running_loop().create_task(self._wait(wrong))
        elif not sent:
            self._finish()

    def answer(self, result: Result) -> None:
        """Nothing: all items are answered together."""

    def end(self, result: Result) -> None:
        """Keeps the result of the next item at the committer; the last one completes them."""
        came = self._came
        came.append(result)
        if len(came) < len(self._sent):
            return
        for place, one in zip(self._sent, came, strict=True):
            told = one if isinstance(one, bytes) else self._refusal(place, one)
            self._results[place] = told
        self._part_ended()

    def cancel(self) -> None:
        """Forgets the caller; the commands go on."""
        if self._over:
            return
        if self._rest is not None:
            self._rest.cancel()
        self._close()
        caller = self._caller
        for item in self._items:
            self._done("CANCELLED", "", caller, item, self._began_s)

    @property
    def _caller(self) -> str | None:
        return self._call.principal.operator_id

    def _works(self, work_of: Callable[[Call[Any]], Work]) -> tuple[list[Work], list[int]]:
        """The commands of the items that have places, and the places of wrong ones.

        An item's deadline is a little earlier than that of the message, so that the outcomes arrive
        in time if the last items are too late.
        """
        whole, works, wrong = self._call, [], []
        deadline = whole.deadline
        if deadline is not None:
            deadline -= self._batches.limits.min_time_left_s
        for place, item in enumerate(self._items[: self._places.granted]):
            call = Call(item, item.SerializeToString(), whole.principal, deadline, whole.metadata)
            try:
                works.append(self._work(work_of, call))
                self._sent.append(place)
            except InvalidInput as error:
                self._results[place] = error
                wrong.append(place)
            except Exception as error:
                self._results[place] = self._refusal(place, error)
        return works, wrong

    def _work(self, work_of: Callable[[Call[Any]], Work], call: Call[Any]) -> Work:
        """An item's work; raises InvalidInput."""
        most = self._batches.limits.max_message_bytes
        if len(call.body) > most:
            raise too_large(len(call.body), most)
        check(call.message)
        try:
            return work_of(call)
        except InvalidInput as error:
            raise renamed(error, self._mutation.paths(call.message)) from error

    def _refusal(self, place: int, error: Exception) -> FreeholdError:
        """The error that an item is told, with the paths of its request."""
        message, mutation = self._items[place], self._mutation
        refusal = self._batches.pipeline.refusal_of(mutation.name, message, error)
        if isinstance(refusal, InvalidInput):
            return renamed(refusal, mutation.paths(message))
        return refusal

    async def _wait(self, wrong: Sequence[int]) -> None:
        """Waits for the stored answers of wrong items, and for the delay of refusals."""
        if not self._places.granted:
            await self._batches.pipeline.hold_back()
        try:
            await self._answer_again(wrong)
        except Exception as error:
            for place in wrong:
                self._results[place] = self._refusal(place, error)
        self._part_ended()

    async def _answer_again(self, wrong: Sequence[int]) -> None:
        """Puts stored answers in place of refusals for the input: earlier rules accepted them."""
        name, whole, results = self._mutation.name, self._call, self._results
        items = {place: self._items[place] for place in wrong}
        ids = [item.request_id for item in items.values()]  # type: ignore[attr-defined]
        found = await self._batches.retries.records(whole, self._caller or PLATFORM, ids)
        for (place, item), request_id in zip(items.items(), ids, strict=True):
            call = Call(item, item.SerializeToString(), whole.principal, None)
            try:
                first = answer_of(found.get(request_id), name, call)
            except FreeholdError as refusal:
                results[place] = refusal
            else:
                results[place] = results[place] if first is None else first

    def _part_ended(self) -> None:
        self._left -= 1
        if not self._left and not self._over:
            self._finish()

    def _finish(self) -> None:
        """Counts the items, and answers the message."""
        self._close()
        done, caller, began_s = self._done, self._caller, self._began_s
        for item, result in zip(self._items, self._results, strict=True):
            if isinstance(result, FreeholdError):
                done(code_of(result).name, result.reason, caller, item, began_s)
            else:
                done("OK", "", caller, item, began_s)
        try:
            told: bytes | Exception = _response(
                self._results, self._batches.limits.max_bulk_message_bytes
            )
        except Exception as error:
            told = error
        self._tell(told)

    def _close(self) -> None:
        self._over = True
        self._batches.pipeline.in_hand.give_more_back(self._caller, self._places.more)


def _response(results: Sequence[Result], most_bytes: int) -> bytes:
    """The bytes of the answer: an outcome for each result, as far as there is room for answers."""
    # The refusals that may stand in place of answers need room too.
    outcomes, left = [], most_bytes - len(results) * _NO_ROOM_BYTES
    for result in results:
        placed = _field(1, _outcome(result))
        if len(placed) > left:
            placed = _field(1, _outcome(_no_room()))
        else:
            left -= len(placed)
        outcomes.append(placed)
    return b"".join(outcomes)


def _outcome(result: Result) -> bytes:
    """The bytes of one outcome, whose fields have the same numbers in every batch."""
    if type(result) is bytes:
        return _field(1, result)
    if isinstance(result, FreeholdError):
        since_us, outcome = result.since_us, _field(2, details_of(result))
    else:
        since_us = result.since_us if isinstance(result, Replayed) else None
        outcome = _field(1, bytes(result))
    if since_us is None:
        return outcome
    since = Timestamp()
    since.FromMicroseconds(since_us)
    return outcome + _field(3, since.SerializeToString())


def _field(number: int, content: bytes) -> bytes:
    """A message that is not empty, as a field of another message; the number is below 16."""
    return head(len(content), number) + content


def _no_room() -> Exhausted:
    text = "the item may be done, but its answer has no place in the message: send it again"
    return Exhausted("ANSWER_TOO_LARGE", text, 1)


_NO_ROOM_BYTES = len(_field(1, _outcome(_no_room())))
