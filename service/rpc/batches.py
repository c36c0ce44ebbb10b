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
from google.protobuf.wrappers_pb2 import BytesValue

from service.config import Limits
from service.domain.access import PLATFORM
from service.domain.errors import Exhausted, FreeholdError, InvalidInput
from service.engine.calls import Work
from service.engine.engine import Result
from service.engine.group_commit import Committer
from service.engine.rates import Weight
from service.engine.records.requests import Replayed
from service.rpc.mutations import Mutation, renamed, works_of
from service.rpc.pipeline import Call, Method, Pipeline, too_large
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
        self._committer = committer
        self._retries = retries
        self._pipeline = pipeline
        self._limits = limits

    def methods(self, batches: Sequence[Batch]) -> list[Method[Any]]:
        """The methods of a table."""
        most = self._limits.max_bulk_message_bytes
        return [
            Method(
                it.name,
                it.request,
                it.mutation.scope,
                partial(self._answer, it.mutation),
                most,
                Weight.BATCH,
            )
            for it in batches
        ]

    async def _answer(self, mutation: Mutation, call: Call[Any]) -> bytes:
        began_s = time.perf_counter()
        items, principal = call.message.items, call.principal
        done = self._pipeline.done(mutation.name)
        try:
            with self._pipeline.places(principal, len(items), Weight.WRITE) as (granted, beyond):
                calls = self._calls(call, items[:granted])
                results = await self._results(mutation, calls)
                if beyond is not None:
                    results += [beyond] * (len(items) - granted)
                    if not granted:
                        await self._pipeline.hold_back()
        except asyncio.CancelledError:
            for item in items:
                done("CANCELLED", "", principal.operator_id, item, began_s)
            raise
        for item, result in zip(items, results, strict=True):
            code, reason = "OK", ""
            if isinstance(result, FreeholdError):
                code, reason = code_of(result).name, result.reason
            done(code, reason, principal.operator_id, item, began_s)
        return _response(results, self._limits.max_bulk_message_bytes)

    def _calls(self, whole: Call[Any], items: Sequence[Message]) -> list[Call[Any]]:
        """Each item as a call. Its deadline is a little earlier than that of the message, so that
        the outcomes arrive in time if the last items are too late."""
        deadline = whole.deadline
        if deadline is not None:
            deadline -= self._limits.min_time_left_s
        return [
            Call(it, it.SerializeToString(), whole.principal, deadline, whole.metadata)
            for it in items
        ]

    async def _results(self, mutation: Mutation, calls: Sequence[Call[Any]]) -> list[Result]:
        """The answer or the refusal of each call, in order."""
        work_of, refusal_of = works_of(mutation), self._pipeline.refusal_of
        results: list[Any] = [None] * len(calls)
        works, places, wrong = [], [], []
        for place, call in enumerate(calls):
            try:
                works.append(self._work(mutation, work_of, call))
                places.append(place)
            except InvalidInput as error:
                results[place] = error
                wrong.append(place)
            except Exception as error:
                results[place] = refusal_of(mutation.name, call.message, error)
        submitted = self._committer.submit_all(works)
        if wrong:
            await self._answer_again(mutation.name, calls, wrong, results)
        for place, result in zip(places, await submitted, strict=True):
            if isinstance(result, FreeholdError):
                message = calls[place].message
                refusal = refusal_of(mutation.name, message, result)
                if isinstance(refusal, InvalidInput):
                    refusal = renamed(refusal, mutation.paths(message))
                results[place] = refusal
            else:
                results[place] = result
        return results

    def _work(
        self, mutation: Mutation, work_of: Callable[[Call[Any]], Work], call: Call[Any]
    ) -> Work:
        """An item's work; raises InvalidInput."""
        most = self._limits.max_message_bytes
        if len(call.body) > most:
            raise too_large(len(call.body), most)
        check(call.message)
        try:
            return work_of(call)
        except InvalidInput as error:
            raise renamed(error, mutation.paths(call.message)) from error

    async def _answer_again(
        self, method: str, calls: Sequence[Call[Any]], wrong: Sequence[int], results: list[Any]
    ) -> None:
        """Puts stored answers in place of refusals for the input: earlier rules accepted them."""
        caller = calls[0].principal.operator_id or PLATFORM
        ids = [calls[place].message.request_id for place in wrong]
        try:
            found = await self._retries.records(calls[0], caller, ids)
        except Exception as error:
            for place in wrong:
                results[place] = self._pipeline.refusal_of(method, calls[place].message, error)
            return
        for place, request_id in zip(wrong, ids, strict=True):
            try:
                first = answer_of(found.get(request_id), method, calls[place])
            except FreeholdError as refusal:
                results[place] = refusal
            else:
                results[place] = results[place] if first is None else first


def _response(results: Sequence[Result], most_bytes: int) -> bytes:
    """The bytes of the answer: an outcome for each result, as far as there is room for answers."""
    # The refusals that may stand in place of answers need room too.
    outcomes, left = [], most_bytes - len(results) * _NO_ROOM_BYTES
    for result in results:
        outcome = _outcome(result)
        placed = _field(1, outcome)
        if len(placed) > left:
            placed = _field(1, _outcome(_no_room()))
        else:
            left -= len(placed)
        outcomes.append(placed)
    return b"".join(outcomes)


def _outcome(result: Result) -> bytes:
    """The bytes of one outcome, whose fields have the same numbers in every batch."""
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
    first = BytesValue(value=content).SerializeToString()
    return first if number == 1 else bytes((first[0] + 8 * (number - 1),)) + first[1:]


def _no_room() -> Exhausted:
    text = "the item may be done, but its answer has no place in the message: send it again"
    return Exhausted("ANSWER_TOO_LARGE", text, 1)


_NO_ROOM_BYTES = len(_field(1, _outcome(_no_room())))
