"""Gives retries their stored answer if the present input rules would refuse the call.

The engine looks up every request id before it decides. This module looks up only calls that are
refused before they reach the engine, so accepted calls take no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from service.engine.readers import Readers
from service.engine.records.requests import TOMBSTONE, RequestRecord
from service.rpc.meaning import differing_field
from service.rpc.pipeline import Call

FindRequests = Callable[[str, Collection[str]], Mapping[str, RequestRecord]]
"""A function that reads a caller's request records by their ids; unknown ids are left out."""


class Retries:
    """Finds stored answers by request id, in a thread pool of its own."""

    def __init__(self, find: FindRequests, readers: Readers) -> None:
        self._find = find
        self._readers = readers

    async def records(
        self, call: Call[Any], caller: str, request_ids: Collection[str]
    ) -> Mapping[str, RequestRecord]:
        """A caller's records by request id; raises StorageFailed."""
        # No request id contains NUL: PostgreSQL cannot store it, and fails on such a query.
        possible = [it for it in request_ids if it and "\0" not in it]
        if not possible:
            return {}
        read = partial(self._find, caller, possible)
        return await self._readers.run(call, read)

    async def first_answer(self, method: str, caller: str, call: Call[Any]) -> bytes | None:
        """The stored answer to the call's request id, or None for a new id.

        Raises RequestIdReused if the id was used with another request.
        """
        request_id = call.message.request_id
        found = await self.records(call, caller, [request_id])
        return answer_of(found.get(request_id), method, call)


def answer_of(record: RequestRecord | None, method: str, call: Call[Any]) -> bytes | None:
    """The answer that a record has for a call, or None. Raises RequestIdReused, and a kept
    refusal."""
    if record is None or record.method == TOMBSTONE:
        return None
    return record.answer_again(method, call.body, partial(differing_field, call.message))
