"""Calls that came before, and that today's rules refuse: they get their first answer again.

The engine looks a request id up before it decides, so that only what is refused on the way to it
has to be looked up here. A call that is accepted costs nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

from service.engine.records.requests import TOMBSTONE, RequestRecord
from service.rpc.pipeline import Call
from service.rpc.validation import differing_field

FindRequests = Callable[[str, Collection[str]], Mapping[str, RequestRecord]]
"""Reads a caller's request records by their ids; an id without a record is left out."""


class Retries:
    """Finds what was answered to request ids, in threads of their own."""

    def __init__(self, find: FindRequests, readers: Executor) -> None:
        self._find = find
        self._readers = readers

    async def records(
        self, caller: str, request_ids: Collection[str]
    ) -> Mapping[str, RequestRecord]:
        """A caller's records by request id; raises StorageFailed."""
        # A text with NUL is no request id: PostgreSQL keeps none, and refuses the question.
        possible = [it for it in request_ids if it and "\0" not in it]
        if not possible:
            return {}
        read = partial(self._find, caller, possible)
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)

    async def first_answer(self, method: str, caller: str, call: Call[Any]) -> bytes | None:
        """The bytes that were answered to the call's request id; None when it is new.

        Raises RequestIdReused when the id came with another request.
        """
        message = call.message
        found = await self.records(caller, [message.request_id])
        record = found.get(message.request_id)
        if record is None or record.method == TOMBSTONE:
            return None
        return record.answer_again(method, call.body, partial(differing_field, message))
