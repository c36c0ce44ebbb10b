"""LedgerService: convert, call, convert."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from freehold.v1 import ledger_service_pb2 as pb

from service.domain.access import Scope
from service.engine.records import Verification
from service.rpc.pipeline import Call, Method

SERVICE = "freehold.v1.LedgerService"


class LedgerServicer:
    """The proof that the books are right."""

    def __init__(self, verify: Callable[[], Verification], readers: Executor) -> None:
        self._verify = verify
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The service's methods with their scopes."""
        return [
            Method("VerifyBooks", pb.VerifyBooksRequest, Scope.BOOKS_VERIFY, self.verify, max_bytes)
        ]

    async def verify(self, _call: Call[pb.VerifyBooksRequest]) -> bytes:
        """Compare every entry with every balance."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._readers, self._verify)
        fault = found.fault
        return pb.VerifyBooksResponse(
            verified=fault is None,
            lines=found.lines,
            entries=found.entries,
            authorizations=found.authorizations,
            fault=None
            if fault is None
            else pb.BookFault(rule=fault.rule, row=fault.row, detail=fault.detail),
        ).SerializeToString()
