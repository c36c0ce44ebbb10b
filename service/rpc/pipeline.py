"""The pipeline of every call: key, scope, size, deadline, rate, input rules, handler, status.

It stands above the port of a transport (`transport.py`), so its limits hold on every transport.
Methods take and return bytes. So this module itself refuses a message that cannot be parsed, with
INVALID_ARGUMENT, and sends a stored answer unchanged.

A transport asks `admits` when it has a call's headers. If the key was valid before, the transport
reads the message and calls `answer`. Otherwise it calls `receive`, which reads no message before
the key is found, and waits only a short time for it. So calls without a good key cost little
memory, and they cannot use up the places of good callers.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, NoReturn, Protocol, TypeVar

import structlog
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from service.config import Limits
from service.domain.access import Principal, Scope
from service.domain.errors import (
    UNKNOWN,
    ActRefused,
    DeadlineTooNear,
    Exhausted,
    FreeholdError,
    InternalFault,
    InvalidInput,
    InvariantBroken,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Violation,
)
from service.engine.calls import Work
from service.engine.hold_back import HoldBack
from service.engine.ports import OutcomeUnknown, StorageFailed
from service.engine.rates import Rates, Weight, retry_ms
from service.engine.records.requests import Replayed
from service.rpc.call_counts import CallCounts
from service.rpc.call_log import CallLog
from service.rpc.first_messages import FirstMessages, GivenUp, Late
from service.rpc.keys import KeyRing, shows_certificate
from service.rpc.message_bounds import Arriving, InHand, too_many_calls
from service.rpc.status import DETAILS_KEY, code_of, details_of, text_of
from service.rpc.transport import Exchange, Metadata, Unread
from service.rpc.validation import MALFORMED_MESSAGE
from service.rpc.validation import parse as parse

M = TypeVar("M", bound=Message)

REPLAYED_KEY = "freehold-replayed"
"""The trailing metadata of a replayed answer: the RFC 3339 time of the first answer."""

log = structlog.get_logger("freehold.rpc")


@dataclass(slots=True)
class Call(Generic[M]):
    """One call: the message, its bytes, the caller, the deadline and the metadata."""

    message: M
    body: bytes
    principal: Principal
    deadline: float | None
    metadata: Metadata = ()


def as_it_is(_call: Call[Any], refusal: InvalidInput) -> InvalidInput:
    """The refusal of a method whose fields have the engine's names."""
    return refusal


Told = Callable[[bytes | Exception], None]
"""A function that receives an answer or a refusal; called once, on the event loop's thread."""


class Running(Protocol):
    """A call under way that has no coroutine."""

    def cancel(self) -> None:
        """Forgets the caller; nothing is told any more."""


class Places(NamedTuple):
    """The number of a message's items that may go on, the refusal of the others, and the places
    that were taken besides the message's own."""

    granted: int
    refusal: Exhausted | None
    more: int


@dataclass(frozen=True, slots=True)
class Method(Generic[M]):
    """A method of a service: its request, the scope that it needs, and its handler."""

    name: str
    kind: type[M]
    scope: Scope
    handle: Callable[[Call[M]], Awaitable[bytes]]
    max_bytes: int
    weight: Weight = Weight.READ
    first_answer: Callable[[Call[M]], Awaitable[bytes | None]] | None = None
    """A function that returns the stored answer of a retry; called if the input is refused."""
    work: Callable[[Call[M]], Work] | None = None
    """A function that makes the command of a mutation, for transports that need no coroutine;
    `handle` sends the same one."""
    named: Callable[[Call[M], InvalidInput], InvalidInput] = as_it_is
    """A function that gives a refusal of the engine the paths of this request."""
    batch: Callable[[Call[M], Told], Running] | None = None
    """A function that begins the items of a batch, for the same transports."""


Done = Callable[[str, str, str | None, Message | None, float], None]
"""A function that receives an ended call's code, the reason of its refusal, its caller, its message
and the instant of its start."""


Admission = Callable[[Principal, int, float | None], float | None]
"""A function of the caller, the size of the message in bytes and the seconds left; its result is
the deadline, an instant of `time.monotonic`."""


class SecondPerson(Protocol):
    """Decides which calls of persons need the approval of a second person."""

    def needed(self, name: str, message: Any) -> bool:
        """Whether a person needs an approval for a call of a method."""
        ...

    async def require(self, name: str, call: Call[Any]) -> None:
        """Uses the call's approval; raises ActRefused without one."""
        ...


class Pipeline:
    """Gives methods their limits, whichever transport brings the calls."""

    def __init__(
        self,
        keys: KeyRing,
        second: SecondPerson,
        limits: Limits,
        notice_overload: Callable[[], None] = lambda: None,
    ) -> None:
        """`notice_overload` is called when a caller has too many calls in progress."""
        self.calls = CallCounts()
        self._notice_overload = notice_overload
        self._call_log = CallLog(limits.calls_logged_a_second)
        self.keys = keys
        self._second = second
        self._limits = limits
        self._rates = Rates(limits.rates)
        self._hold_back = HoldBack(limits.refusals)
        self.in_hand = InHand(limits)
        self._strangers = 0
        """The calls whose key is not known to be good, and which are not refused yet."""
        self._arriving = Arriving(limits)
        self._messages = FirstMessages(limits)
        self.closing = False

    @property
    def under_way(self) -> int:
        """The number of calls in progress whose caller is known."""
        return self.in_hand.calls

    def close(self) -> None:
        """Refuses every new call as UNAVAILABLE from now on, and every call whose message is
        awaited."""
        self.closing = True
        self._messages.close()

    async def idle(self, within_s: float, look_s: float) -> None:
        """Waits until no accepted call is under way, for at most `within_s`; looks every
        `look_s`."""
        end_s = time.monotonic() + within_s
        while self.under_way and time.monotonic() < end_s:
            await asyncio.sleep(look_s)

    def admits(self, metadata: Metadata) -> bool:
        """True if the transport may read the call's message; then it must call `answer` with it, in
        the same task. Otherwise it must call `receive`.
        """
        familiar = self.keys.familiar(metadata)
        if familiar is None:
            return False
        return self._arriving.admit(familiar.operator_id)

    def places(self, principal: Principal, items: int, weight: Weight) -> Places:
        """Takes the places of a message's items; `in_hand` must get `more` of them back.

        Each item takes its units and a place, as a call does. The message's own place is that of
        the first item.
        """
        granted, wait_s = self._paid(principal, items, weight)
        refusal = _rate_limited(wait_s) if wait_s else None
        caller = principal.operator_id
        more = self.in_hand.take_more(caller, max(0, granted - 1))
        if more < granted - 1:
            self._notice_overload()
            granted, refusal = more + 1, too_many_calls()
        return Places(granted, refusal, more)

    def _paid(self, principal: Principal, calls: int, weight: Weight) -> tuple[int, float]:
        """Takes the units of as many of these calls as the key's budget has; returns their number,
        and the seconds until the next one could go on."""
        limits, own = self._limits.rates, principal.units_a_second
        if own is not None or limits.units_a_second > 0:
            units, now_s = limits.units(weight), time.monotonic()
            for paid in range(calls):
                wait_s = self._rates.wait_s(principal.key_id, units, now_s, own)
                if wait_s:
                    return paid, wait_s
        return calls, 0.0

    async def hold_back(self) -> None:
        """Delays one of many refusals for a moment."""
        await self._hold_back.wait()

    def done(self, method: str) -> Done:
        """A function that counts and logs an ended call of the method."""
        calls, counts, call_log = self.calls, self.calls.of(method), self._call_log

        def done(
            code: str, reason: str, caller: str | None, message: Message | None, began_s: float
        ) -> None:
            took_s = time.perf_counter() - began_s
            counts.add(code, took_s)
            if reason:
                calls.refusals[reason] += 1
            if call_log.wanted:
                call_log.add(method, code, reason, caller, _id_of(message), took_s)

        return done

    def admission(self, method: Method[Any]) -> Admission:
        """The checks of a call of the method that need neither its message nor a wait: scope, size,
        deadline, rate, and a place in hand, which the call must give back.

        They raise the refusal; an Exhausted should be held back for a moment.
        """
        limits, rates, in_hand = self._limits, self._rates, self.in_hand
        units, usual = limits.rates.units(method.weight), limits.rates.units_a_second > 0

        def admit(principal: Principal, size: int, left_s: float | None) -> float | None:
            if method.scope not in principal.scopes:
                raise PermissionDenied(method.scope)
            if size > method.max_bytes:
                raise too_large(size, method.max_bytes)
            if left_s is not None and left_s < limits.min_time_left_s:
                raise DeadlineTooNear
            now_s = time.monotonic()
            own = principal.units_a_second
            if own is not None or usual:
                wait_s = rates.wait_s(principal.key_id, units, now_s, own)
                if wait_s:
                    raise _rate_limited(wait_s)
            try:
                in_hand.take(principal.operator_id, size)
            except Exhausted:
                self._notice_overload()
                raise
            return None if left_s is None else now_s + left_s

        return admit

    def answer(self, method: Method[Any]) -> Callable[[bytes, Exchange], Awaitable[bytes]]:
        """The method as a function of a message and its call. It returns the answer, or refuses
        the call."""
        keys, second = self.keys, self._second
        came, in_hand = self._arriving.came, self.in_hand
        admit, done = self.admission(method), self.done(method.name)

        async def call(body: bytes, exchange: Exchange) -> bytes:
            began_s = time.perf_counter()
            caller: str | None = ""
            message = None
            try:
                came()
                if self.closing:
                    raise shutting_down()
                metadata = exchange.invocation_metadata() or ()
                principal = keys.known(metadata)
                if principal is None:
                    principal = await keys.principal(metadata)
                caller = principal.operator_id
                if principal.certificates:
                    await self._require_certificate(principal, exchange)
                try:
                    deadline = admit(principal, len(body), exchange.time_remaining())
                except Exhausted:
                    await self.hold_back()
                    raise
                try:
                    message = parse(method.kind, body)
                    sent = Call(message, body, principal, deadline, metadata)
                    if principal.person_id and second.needed(method.name, message):
                        await second.require(method.name, sent)
                    answer = await method.handle(sent)
                except (InvalidInput, ActRefused) as error:
                    first = await first_answer(method, body, principal, error)
                    if first is None:
                        raise
                    answer = first
                finally:
                    in_hand.give_back(caller, len(body))
                if isinstance(answer, Replayed):
                    answer = _told(answer, exchange)
                done("OK", "", caller, message, began_s)
                return answer
            except asyncio.CancelledError:
                done("CANCELLED", "", caller, message, began_s)
                raise
            except Exception as error:
                refusal = self.refusal_of(method.name, message, error)
            done(code_of(refusal).name, refusal.reason, caller, message, began_s)
            return await refuse(exchange, refusal)

        return call

    def receive(self, method: Method[Any]) -> Callable[[Unread], Awaitable[bytes]]:
        """The method as a function of a call that was not admitted and whose message is unread."""
        answer, done = self.answer(method), self.done(method.name)

        async def call(exchange: Unread) -> bytes:
            began_s = time.perf_counter()
            try:
                if self.closing:
                    raise shutting_down()
                metadata = exchange.invocation_metadata() or ()
                principal = self.keys.familiar(metadata)
                if principal is not None and principal.certificates:
                    # The old result may have certificates of an earlier binding.
                    principal = self.keys.known(metadata)
                if principal is None:
                    principal = await self._introduced(metadata)
                if principal.certificates:
                    # Before the message is read, because it would take one of the owner's places.
                    await self._require_certificate(principal, exchange)
                body = await self._body(exchange, principal.operator_id)
            except asyncio.CancelledError:
                done("CANCELLED", "", "", None, began_s)
                raise
            except Exception as error:
                refusal = self.refusal_of(method.name, None, error)
            else:
                return await answer(body, exchange)
            done(code_of(refusal).name, refusal.reason, "", None, began_s)
            return await refuse(exchange, refusal)

        return call

    def refusal_of(self, method: str, message: Message | None, error: Exception) -> FreeholdError:
        """The error that the caller is told; a fault is counted and logged."""
        if isinstance(error, StorageFailed):
            self._fault(method, message, error)
            return Unavailable("STORAGE_UNAVAILABLE", "the database is unavailable; retry")
        if isinstance(error, OutcomeUnknown):
            self._fault(method, message, error)
            return Unavailable("OUTCOME_UNKNOWN", UNKNOWN)
        if isinstance(error, FreeholdError) and not isinstance(error, InvariantBroken):
            return error
        return self._fault(method, message, error)

    def _fault(self, method: str, message: Message | None, error: Exception) -> InternalFault:
        self.calls.faults += 1
        fault_id = secrets.token_hex(8)
        with suppress(Exception):  # a log that cannot be written must not stop the calls
            log.error(
                "fault",
                fault_id=fault_id,
                method=method,
                request_id=_id_of(message),
                exc_info=error,
            )
        return InternalFault(fault_id)

    async def _introduced(self, metadata: Metadata) -> Principal:
        """The caller behind a key that is not known; raises as `KeyRing.principal`, and Exhausted
        if too many such calls wait."""
        if self._strangers >= self._limits.max_strangers:
            raise Exhausted(
                "TOO_MANY_UNKNOWN_KEYS", "too many calls with keys that are not known yet", 1_000
            )
        self._strangers += 1
        try:
            return await self.keys.principal(metadata)
        finally:
            self._strangers -= 1

    async def _require_certificate(self, principal: Principal, exchange: Exchange) -> None:
        """Raises Unauthenticated unless the connection proved one of the key's certificates."""
        if not shows_certificate(principal, exchange):
            await self._hold_back.wait()
            raise Unauthenticated(
                "CERTIFICATE_REQUIRED",
                "the key is bound to a client certificate: connect by TLS with that certificate",
            )

    async def _body(self, exchange: Unread, caller: str | None) -> bytes:
        """The call's message; raises InvalidInput if it does not come, or not in time."""
        try:
            self.in_hand.take(caller, 0)
        except Exhausted:
            await self._hold_back.wait()
            raise
        try:
            return await self._messages.receive(exchange.read(), caller)
        except Late as error:
            if self.closing:
                raise shutting_down() from error
            if isinstance(error, GivenUp):
                text = "too many messages are arriving, and this one did not come with its call"
                raise Exhausted("TOO_MANY_BYTES", text, 100) from error
            raise InvalidInput.of(
                "message",
                "message.in_time",
                f"must come within {self._limits.body_s} s after the call's headers",
            ) from error
        finally:
            self.in_hand.give_back(caller, 0)


async def first_answer(
    method: Method[Any], body: bytes, principal: Principal, refusal: FreeholdError
) -> bytes | None:
    """The stored answer of a refused call that was accepted before, or None: under earlier input
    rules, or by an approval that is over."""
    if method.first_answer is None or refusal.reason == MALFORMED_MESSAGE:
        return None
    # Parsed again, because a handler may have changed the message.
    message = method.kind.FromString(body)
    return await method.first_answer(Call(message, body, principal, None))


def _told(answer: Replayed, exchange: Exchange) -> bytes:
    """The answer's plain bytes, after the trailing metadata was given the first answer's time."""
    exchange.set_trailing_metadata((since(answer.since_us),))
    # gRPC accepts no subclass of bytes.
    return bytes(answer)


def since(since_us: int) -> tuple[str, str]:
    """The trailing metadata of an answer or a refusal that was first given at this time."""
    first = Timestamp()
    first.FromMicroseconds(since_us)
    return REPLAYED_KEY, first.ToJsonString()


def shutting_down() -> Unavailable:
    return Unavailable("SHUTTING_DOWN", "the server is shutting down")


def _rate_limited(wait_s: float) -> Exhausted:
    return Exhausted("RATE_LIMITED", "the key's calls come too fast", retry_ms(wait_s))


def too_large(size: int, most: int) -> InvalidInput:
    """The refusal of a message of this size in bytes."""
    # It is the request that is wrong: no retry and no other moment would help.
    wrong = Violation(
        "message", "message.max_bytes", f"must have at most {most} bytes, but has {size}"
    )
    return InvalidInput([wrong], reason="MESSAGE_TOO_LARGE")


def _id_of(message: Message | None) -> str:
    """The request id of a call; empty if it has none, or was not read."""
    return str(getattr(message, "request_id", ""))


def trailers_of(error: FreeholdError) -> Metadata:
    """The trailing metadata of a refusal: its details, and the time of a stored one."""
    details = (DETAILS_KEY, details_of(error))
    return (details,) if error.since_us is None else (details, since(error.since_us))


async def refuse(exchange: Exchange, error: FreeholdError) -> NoReturn:
    """Ends the call with the error's code, text and details."""
    await exchange.abort(code_of(error), text_of(error), trailing_metadata=trailers_of(error))
    raise error  # abort does not return; this says so to the reader and the type checker
