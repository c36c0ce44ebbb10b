"""A client process of the crash benchmark: rents, retries by request id, writes its history.

The coordinator sends JSON lines. The first line on stdin is the Job; then follow orders:

    {"do": "fresh", "history": FILE}  forget everything and write a new history, for a new database;
                                      comes before all others
    {"do": "run", "callers": N}       retry unanswered calls; N callers go on renting
    {"do": "halt"}                    begin no try; obeyed once no try is under way
    {"do": "settle"}                  retry unanswered calls, begin no new ones; obeyed once every
                                      call is answered

The client prints {"obeyed": ORDER, "told": N} when it has followed an order, and meanwhile {"told":
N} a few hundred times a second: the number of answered calls so far, repeats included. "failure" in
it is the newest failure of a try. The client ends when its stdin ends. A caller makes one rental
after the other, and one call after the other: Authorize, Confirm, partial and final Settle,
Reverse, RecordPayment, and sometimes a repeat of a call answered long ago. A call keeps its request
id and its bytes until it is answered.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio
from freehold.client import parse_error
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    ConfirmAuthorizationRequest,
    ConfirmAuthorizationResponse,
    ReverseAuthorizationRequest,
    ReverseAuthorizationResponse,
    SettleAuthorizationRequest,
    SettleAuthorizationResponse,
)
from freehold.v1.credit_service_pb2 import RecordPaymentRequest, RecordPaymentResponse
from freehold.v1.types_pb2 import Money

from benchmarks.crash_history import Line, Recorder

PRODUCTS = ("bike", "umbrella", "power-bank")

_DEADLINE_S = 20.0
_PAUSE_S = 0.05
_REPORT_S = 0.005
_REMEMBERED = 256
_PLATFORM = frozenset({"RecordPayment"})
_ANSWERS: dict[str, Any] = {
    "Authorize": AuthorizeResponse,
    "ConfirmAuthorization": ConfirmAuthorizationResponse,
    "SettleAuthorization": SettleAuthorizationResponse,
    "ReverseAuthorization": ReverseAuthorizationResponse,
    "RecordPayment": RecordPaymentResponse,
}
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)


@dataclass(frozen=True)
class Job:
    """The first message to a client process.

    name          begins every request id, so that no two clients share one
    port          on 127.0.0.1
    operator_key  API key of the operator that rents out PRODUCTS
    platform_key  API key of the platform, for RecordPayment
    users         people that only this client rents for; its callers share them
    callers       the most calls that it ever has under way
    seed          every choice of this client follows from it, but not the order of the answers
    """

    name: str
    port: int
    operator_key: str
    platform_key: str
    users: tuple[str, ...]
    callers: int
    seed: int


class _Sent(NamedTuple):
    request_id: str
    method: str
    body: bytes


class _Refused(Exception):
    """Freehold refused a call finally; the rental ends here."""


class Client:
    """One process's callers and their shared state."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._chance = random.Random(job.seed)
        self._number = 0
        self._told = 0
        self._failure = ""
        self._under_way = 0
        self._unanswered = 0
        self._trying = asyncio.Event()
        self._beginning = [asyncio.Event() for _ in range(job.callers)]
        self._channel: grpc.aio.Channel | None = None
        self._recorder: Recorder | None = None
        self._answered: deque[_Sent] = deque(maxlen=_REMEMBERED)
        self._tasks: list[asyncio.Task[None]] = []

    async def obey(self, orders: asyncio.StreamReader) -> None:
        """Follow the orders until stdin ends."""
        reporting = asyncio.create_task(self._report())
        while text := await orders.readline():
            order = json.loads(text)
            match order["do"]:
                case "fresh":
                    await self._fresh(order["history"])
                case "run":
                    await self._run(order["callers"])
                case "halt":
                    await self._halt()
                case "settle":
                    await self._settle()
            self._say({"obeyed": order["do"]})
        reporting.cancel()
        await self._end_callers()

    async def _fresh(self, history: str) -> None:
        await self._end_callers()
        self._recorder = Recorder(Path(history))
        self._answered.clear()
        self._tasks = [asyncio.create_task(self._caller(n)) for n in range(self._job.callers)]

    async def _run(self, callers: int) -> None:
        await self._connect()
        for number, event in enumerate(self._beginning):
            if number < callers:
                event.set()
        self._trying.set()

    async def _halt(self) -> None:
        self._stand_still()
        while self._under_way:
            await asyncio.sleep(0.001)
            self._raise_what_failed()
        self._flush()

    async def _settle(self) -> None:
        await self._halt()
        await self._connect()
        self._trying.set()
        while self._unanswered:
            await asyncio.sleep(0.001)
            self._raise_what_failed()
        self._stand_still()
        self._flush()

    async def _end_callers(self) -> None:
        self._stand_still()
        ending, self._tasks = self._tasks, []
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._under_way = self._unanswered = 0
        if self._recorder is not None:
            self._recorder.close()
        if self._channel is not None:
            await self._channel.close()

    def _say(self, more: Mapping[str, str]) -> None:
        content = {"told": self._told, "failure": self._failure, **more}
        sys.stdout.write(json.dumps(content) + "\n")
        sys.stdout.flush()

    def _write(self, line: Line) -> None:
        if self._recorder is None:
            raise RuntimeError("no order has named a history")
        self._recorder.write(line)

    def _flush(self) -> None:
        if self._recorder is not None:
            self._recorder.flush()

    def _stand_still(self) -> None:
        self._trying.clear()
        for event in self._beginning:
            event.clear()

    def _raise_what_failed(self) -> None:
        """A caller ends only because of a defect in this program, which is raised here."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _connect(self) -> None:
        """A new channel; an old one would still wait for its backoff."""
        if self._channel is not None:
            await self._channel.close()
        self._channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{self._job.port}", options=_CHANNEL_OPTIONS
        )

    async def _report(self) -> None:
        reported = (-1, "")
        while True:
            if (self._told, self._failure) != reported:
                reported = (self._told, self._failure)
                self._say({})
            self._raise_what_failed()
            await asyncio.sleep(_REPORT_S)

    # -- one caller ------------------------------------------------------------------------

    async def _caller(self, number: int) -> None:
        begin = self._beginning[number]
        while True:
            try:
                if self._answered and self._chance.random() < 0.05:
                    await begin.wait()
                    await self._until_answered(self._chance.choice(self._answered))
                await self._rent(begin, self._chance.choice(self._job.users))
            except _Refused:
                await asyncio.sleep(_PAUSE_S)

    async def _rent(self, begin: asyncio.Event, user_id: str) -> None:
        """One rental, from Authorize to the payment of what is due."""
        chance = self._chance
        rental = await self._call(
            begin,
            "Authorize",
            AuthorizeRequest(
                request_id=self._id(),
                user_id=user_id,
                product_id=chance.choice(PRODUCTS),
                asset_id=self._id(),
            ),
        )
        if rental.state == Authorization.STATE_OFFERED and chance.random() < 0.7:
            rental = await self._call(
                begin,
                "ConfirmAuthorization",
                ConfirmAuthorizationRequest(
                    request_id=self._id(),
                    name=rental.name,
                    payment_reference=self._id(),
                    paid=rental.deposit_asked,
                ),
            )
        if rental.state != Authorization.STATE_ACTIVE:
            return
        if chance.random() < 0.3:
            rental = await self._capture(begin, rental, chance.randrange(1, 900), final=False)
        elif chance.random() < 0.3:
            request = ReverseAuthorizationRequest(request_id=self._id(), name=rental.name)
            await self._call(begin, "ReverseAuthorization", request)
            return
        if chance.random() < 0.05:
            return  # the item is not returned
        rental = await self._capture(begin, rental, chance.randrange(900), final=True)
        if rental.due.amount_minor and chance.random() < 0.9:
            await self._call(
                begin,
                "RecordPayment",
                RecordPaymentRequest(
                    request_id=self._id(),
                    authorization=rental.name,
                    payment_reference=self._id(),
                    amount=rental.due,
                ),
            )

    async def _capture(
        self, begin: asyncio.Event, rental: Authorization, amount_minor: int, *, final: bool
    ) -> Authorization:
        request = SettleAuthorizationRequest(
            request_id=self._id(),
            name=rental.name,
            amount=Money(currency_code=rental.held.currency_code, amount_minor=amount_minor),
            final=final,
        )
        return await self._call(begin, "SettleAuthorization", request)

    async def _call(self, begin: asyncio.Event, method: str, request: Any) -> Authorization:
        """A new call, sent until it is answered; raises _Refused."""
        await begin.wait()
        sent = _Sent(request.request_id, method, request.SerializeToString())
        self._write(Line("sent", sent.request_id, method, sent.body))
        answer = await self._until_answered(sent)
        self._answered.append(sent)
        rental: Authorization = _ANSWERS[method].FromString(answer).authorization
        return rental

    async def _until_answered(self, sent: _Sent) -> bytes:
        self._unanswered += 1
        while True:
            await self._trying.wait()
            self._under_way += 1
            try:
                answer = await self._try(sent)
            except grpc.aio.AioRpcError as error:
                self._write_failure(sent, error)
            else:
                self._write(Line("told", sent.request_id, content=answer))
                self._told += 1
                self._unanswered -= 1
                return answer
            finally:
                self._under_way -= 1
            await asyncio.sleep(_PAUSE_S)

    def _write_failure(self, sent: _Sent, error: grpc.aio.AioRpcError) -> None:
        """Raises _Refused where a retry would be refused again."""
        known = parse_error(error)
        why = self._failure = f"{known.code.name} {known.reason}".rstrip()
        # An error without a reason comes from gRPC: the connection broke.
        if known.reason and known.code not in _PASSING and known.retry_delay_s is None:
            self._write(Line("refused", sent.request_id, why=why))
            self._unanswered -= 1
            raise _Refused
        self._write(Line("unknown", sent.request_id, why=why))

    async def _try(self, sent: _Sent) -> bytes:
        if self._channel is None:
            raise RuntimeError("no order to run has come yet")
        platform = sent.method in _PLATFORM
        service = "CreditService" if platform else "AuthorizationService"
        key = self._job.platform_key if platform else self._job.operator_key
        call = self._channel.unary_unary(f"/freehold.v1.{service}/{sent.method}")
        answer: bytes = await call(
            sent.body, timeout=_DEADLINE_S, metadata=(("authorization", f"Bearer {key}"),)
        )
        return answer

    def _id(self) -> str:
        self._number += 1
        return f"{self._job.name}-{self._number}"


async def _main() -> None:
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    content = json.loads(await orders.readline())
    await Client(Job(**content | {"users": tuple(content["users"])})).obey(orders)


def main() -> None:
    """Read the Job and the orders from stdin, until it ends."""
    # A keyboard interrupt is for the coordinator, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_main())


if __name__ == "__main__":
    main()
