"""One round of a race: new people, a barrier, and the checks of the outcome.

A scenario (`benchmarks.races_scenarios`) is one plain function of a `Round`, which waits for the
other rounds of its wave (`benchmarks.races_wave`) where it must.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from freehold.client import AsyncClient as Methods
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import AuthorizeRequest
from freehold.v1.credit_service_pb2 import STANDING_NORMAL, Standing, User
from freehold.v1.rail_service_pb2 import Transfer
from freehold.v1.types_pb2 import OFFER_FULL, OFFER_ZERO, Money
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from benchmarks.races_arena import (
    CITY,
    RAIL_SECRET,
    SECOND_US,
    Answer,
    Call,
    ready,
    require_told,
)
from benchmarks.races_rows import Stored, wrong
from benchmarks.races_wave import Wave
from service.engine.records.transfers import TransferState
from service.rails.callbacks import RailReport, sign, write_report

BIKE_MINOR, UMBRELLA_MINOR = 19_900, 5_900
"""The deposits of the default products."""

HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000

ZERO: dict[str, Any] = {"accept_offers": [OFFER_ZERO]}
FULL: dict[str, Any] = {"accept_offers": [OFFER_FULL]}
FAILED = StatusCode.FAILED_PRECONDITION
INVALID = StatusCode.INVALID_ARGUMENT
EXISTS = StatusCode.ALREADY_EXISTS
NOT_FOUND = StatusCode.NOT_FOUND
EXHAUSTED = StatusCode.RESOURCE_EXHAUSTED
ABORTED = StatusCode.ABORTED

_MOST_SENTENCES = 20
_LATER_S, _LATEST_S = 0.000_25, 0.010
_REFUSALS = frozenset({FAILED, INVALID, EXISTS, NOT_FOUND, EXHAUSTED, ABORTED})
"""The refusals of losers; a scenario says which of these it allows."""


@dataclass
class Tally:
    """The results of one scenario's rounds.

    contenders    calls sent at a barrier, without repeats
    outcomes      numbers of rounds by the winning kind of contender
    violations    rounds with a fault, and the first sentences about them
    overlapping   rounds in which the last contender was sent before the first was answered
    overtaken     rounds in which a contender lost to a later one
    sent_again    calls answered UNAVAILABLE, and sent again unchanged
    ahead         losers refused with an end that their server's clock had reached, but which
                  another server, whose clock was behind, prevented
    books         number of verifications of both books
    faults        in the servers' logs: defects, and batches that were given up over contention
    time_late_s   how much later than the others time is sent now, see `Round.time_was`
    """

    rounds: int = 0
    contenders: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: int = 0
    sentences: list[str] = field(default_factory=list)
    overlapping: int = 0
    overtaken: int = 0
    sent_again: int = 0
    ahead: int = 0
    books: int = 0
    faults: int = 0
    time_late_s: float = 0.0
    wall_s: float = 0.0

    def wrong(self, sentences: Collection[str]) -> None:
        """Adds a round, or a verification, with a fault."""
        self.violations += 1
        self.sentences += list(sentences)[: _MOST_SENTENCES - len(self.sentences)]


class Round:
    """One round: its preparation, its calls at the barrier, and its checks."""

    def __init__(self, wave: Wave, tally: Tally, name: str, number: int, place: int) -> None:
        arena = wave.clients.arena
        self.number = number
        self.place = place
        """Its place in its wave, from 0."""
        self.lane = wave.lane_of(place)
        """Its place in its heat, from 0."""
        self.chance = random.Random(f"{name}/{number}")
        self.keys = arena.keys
        self.city = arena.keys.operators[CITY]
        self.platform = arena.keys.platform[0]
        self._wave = wave
        self._clients = wave.clients
        self._tally = tally
        self._name = f"{next(arena.numbers)}.{name}"
        self._ids = 0
        self._turn = 0
        self._users: list[str] = []
        self._answers: list[Answer] = []
        self._sentences: list[str] = []
        self._at_us: int | None = None
        self._checked = False

    # -- parts of a call -------------------------------------------------------------------------

    def id(self, kind: str = "r") -> str:
        """A new id."""
        self._ids += 1
        return f"{kind}-{self._name}-{self.number}-{self._ids}"

    def reference(self) -> str:
        """The id of a payment, whose record is read afterwards."""
        made = self.id("pay")
        self._wave.references.add(made)
        return made

    def asset(self) -> str:
        """The id of an item, whose holder is read afterwards."""
        made = self.id("asset")
        self._wave.assets.add(made)
        return made

    def call(
        self,
        kind: str,
        method: Any,
        *,
        key: str = "",
        request_id: str = "",
        server: int | None = None,
        **fields: Any,
    ) -> Call:
        """A call of a kind of contender; by the operator `city` unless a key is given."""
        request = method.request(request_id=request_id or self.id(), **fields)
        return ready(kind, method, request, key or self.city, server)

    def report(self, kind: str, transfer: Transfer, state: TransferState, now_us: int) -> Call:
        """The payment rail's report on a transfer, signed at an instant; without a request id."""
        _, user_id, _, transfer_id = transfer.name.split("/")
        body = write_report(RailReport(user_id, transfer_id, state, ""))
        signature = sign(body, RAIL_SECRET, now_us // SECOND_US)
        request = Methods.report_transfer.request(body=body, signature=signature)
        return ready(kind, Methods.report_transfer, request, self.platform)

    async def tell(self, call: Call) -> None:
        """Sends a preparing call that was made before; it must not be refused."""
        require_told(await self._clients.ask(call))

    async def do(self, method: Any, *, key: str = "", **fields: Any) -> Any:
        """The answer to a preparing call, which must not be refused."""
        return require_told(await self._clients.ask(self.call("setup", method, key=key, **fields)))

    async def ask(self, method: Any, **fields: Any) -> Any:
        """The answer to a read by the platform."""
        call = ready("read", method, method.request(**fields), self.platform)
        return require_told(await self._clients.ask(call))

    # -- people and rentals ----------------------------------------------------------------------

    async def people(self, count: int) -> list[str]:
        """This many new, creditworthy people."""
        arena = self._clients.arena
        users = [
            User(user_id=self.stranger(), features=arena.features, scoring_consent=True)
            for _ in range(count)
        ]
        for user in users:
            user.as_of.FromMicroseconds(arena.now_us - SECOND_US)
        await self.do(Methods.put_users, key=self.platform, users=users)
        return [user.user_id for user in users]

    async def person(
        self, limit_minor: int | None = None, standing: Standing = STANDING_NORMAL
    ) -> str:
        """One of the new people, by default with the limit that follows from the score."""
        (user_id,) = await self.people(1)
        if limit_minor is not None:
            limit = yuan(limit_minor)
            await self.do(Methods.set_credit_limit, key=self.platform, user_id=user_id, limit=limit)
        if standing != STANDING_NORMAL:
            await self.do(
                Methods.set_standing, key=self.platform, user_id=user_id, standing=standing
            )
        return user_id

    def stranger(self) -> str:
        """The id of a person who is not registered."""
        user_id = self.id("u")
        self._users.append(user_id)
        self._wave.users.add(user_id)
        return user_id

    async def authorize(
        self, user_id: str, product_id: str = "umbrella", **fields: Any
    ) -> Authorization:
        """An authorization for the round."""
        answer = await self.do(Methods.authorize, user_id=user_id, product_id=product_id, **fields)
        made: Authorization = answer.authorization
        return made

    async def reserve(self, user_id: str, window_us: int, **fields: Any) -> Authorization:
        """An umbrella to be picked up within a time."""
        start = AuthorizeRequest.START_ON_PICKUP
        return await self.authorize(user_id, start=start, pickup_window=span(window_us), **fields)

    async def settle(
        self, held: Authorization, amount_minor: int, *, key: str = "", final: bool = True
    ) -> Authorization:
        """The rental after a capture."""
        answer = await self.do(
            Methods.settle_authorization,
            key=key,
            name=held.name,
            amount=yuan(amount_minor),
            final=final,
        )
        made: Authorization = answer.authorization
        return made

    # -- the race --------------------------------------------------------------------------------

    def after_us(self, wait_us: int) -> int:
        """An instant this long after the wave's start, plus a second for each heat before this one.

        Microseconds; so no two heats of a wave are about the same instant.
        """
        return wait_us + (self._wave.heat_of(self.place) + 1) * SECOND_US

    def instant_us(self, wait_us: int) -> int:
        """The instant that is `after_us` after the wave's start."""
        return self._wave.start_us + self.after_us(wait_us)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for all rounds of the wave, then runs the round's heat, one heat after the
        other."""
        number = self._turn
        self._turn += 1
        async with self._wave.turn(self.place, number):
            yield

    async def advance(self, at_us: int) -> None:
        """Moves all clocks to an instant; within a turn."""
        await self._clients.advance(at_us)

    async def race(
        self, calls: Sequence[Call], *, at_us: int | None = None, time: str = "time"
    ) -> list[Answer]:
        """In this round's turn, sends the contending calls together; returns the answers in that
        order.

        With `at_us` time contends too, as the kind `time`; see `Wave.contend`.
        """
        async with self.turn():
            return await self.contend(calls, at_us=at_us, time=time)

    async def contend(
        self, calls: Sequence[Call], *, at_us: int | None = None, time: str = "time"
    ) -> list[Answer]:
        """As `race`, within a turn that has begun."""
        answers = await self._wave.contend(
            self.place, self._turn, calls, at_us=at_us, time=time,
            late_s=self._tally.time_late_s,
        )  # fmt: skip
        self._at_us = at_us
        self._answers += answers
        self._note(answers)
        return answers

    def _note(self, answers: Sequence[Answer]) -> None:
        tally = self._tally
        tally.contenders += len(answers)
        tally.sent_again += sum(answer.tries - 1 for answer in answers)
        sent_s = max(answer.sent_s for answer in answers)
        tally.overlapping += sent_s < min(answer.heard_s for answer in answers)
        for answer in answers:
            # The clock's own call does not contend, so it may not be refused.
            known = answer.refusal is None or (
                answer.call.request_id and answer.refusal.code in _REFUSALS
            )
            self.require(bool(known), f"{answer.kind} met a defect: {answer.refusal}")

    def won(self, answers: Sequence[Answer], winners: Sequence[Answer], *outcomes: str) -> None:
        """Records the winning calls and the round's outcome, by default the winners' kinds."""
        self._tally.outcomes.update(outcomes or [it.kind for it in winners])
        losers = [it for it in answers if it not in winners]
        if winners and losers:
            last_s = max(it.sent_s for it in winners)
            self._tally.overtaken += any(it.sent_s < last_s for it in losers)

    def time_was(self, *, first: bool) -> None:
        """Records whether time won over the calls. If it did, it comes a little later next time.

        A clock moves as soon as its call arrives, while other calls wait for the next batch. If all
        were sent together, time would nearly always win. So the clock's call is sent later, by a
        delay that keeps the race open.
        """
        late_s = self._tally.time_late_s + (_LATER_S if first else -_LATER_S)
        self._tally.time_late_s = min(max(0.0, late_s), _LATEST_S)

    # -- required fields -------------------------------------------------------------------------

    async def stored(self) -> Stored:
        """The wave's rows, once all of it has raced; checks the invariants of this round's rows."""
        stored = await self._wave.stored()
        if not self._checked:
            self._checked = True
            self._sentences += wrong(stored, self._users)
            self._check_records(stored)
        return stored

    def _check_records(self, stored: Stored) -> None:
        told_under = {it.call.request_id: it.told for it in self._answers if it.told is not None}
        for request_id in {it.call.request_id for it in self._answers if it.call.request_id}:
            recorded = stored.requests[request_id]
            answer = told_under.get(request_id)
            self.require(
                recorded == ([] if answer is None else [answer]),
                f"{request_id}: {len(recorded)} records, or other bytes than were told",
            )

    def require(self, holds: bool, what: str) -> bool:
        """Notes a violation unless a condition holds."""
        if not holds:
            self._sentences.append(f"round {self.number}: {what}")
        return holds

    def one(self, found: Sequence[Answer], what: str) -> bool:
        """Requires exactly one winner."""
        return self.require(len(found) == 1, f"{len(found)} instead of one {what}")

    def lost(
        self,
        answers: Sequence[Answer],
        code: StatusCode,
        reason: str = "",
        states: Collection[str] = (),
        **metadata: str,
    ) -> None:
        """Requires these refusals: code, reason, state, and no request record."""
        for answer in answers:
            refusal = answer.refusal
            if refusal is None:
                self.require(False, f"{answer.kind} was not refused")
                continue
            told = {name: refusal.metadata.get(name) for name in metadata}
            self.require(
                refusal.code is code
                and refusal.reason in (reason, reason or refusal.reason)
                and told == metadata,
                f"{answer.kind} was refused with {refusal} {refusal.metadata}",
            )
            state = refusal.metadata.get("state", "")
            if states and state not in states:
                self._outside(answer, state, states)

    def _outside(self, answer: Answer, state: str, states: Collection[str]) -> None:
        """Notes a loser that was refused with a state that the object never had."""
        timely = {"EXPIRED", "OVERDUE", "SETTLED"}
        if self._at_us is not None and len(self._clients.arena.servers) > 1 and state in timely:
            self._tally.ahead += 1
            return
        self.require(False, f"{answer.kind} was told of {state}, it was in {list(states)}")

    def finish(self) -> None:
        """Ends the round: its violations, if any, go to the tally."""
        self._tally.rounds += 1
        if self._sentences:
            self._tally.wrong(self._sentences)


Scenario = Callable[[Round], Awaitable[None]]


# -- short forms ---------------------------------------------------------------------------------


def yuan(amount_minor: int) -> Money:
    """An amount in fen."""
    return Money(currency_code="CNY", amount_minor=amount_minor)


def span(duration_us: int) -> Duration:
    """A Duration of microseconds."""
    made = Duration()
    made.FromMicroseconds(duration_us)
    return made


def of(answers: Sequence[Answer], *kinds: str) -> list[Answer]:
    """The answers of some kinds."""
    return [answer for answer in answers if answer.kind in kinds]


def told(answers: Sequence[Answer]) -> list[Answer]:
    """The answers that are not refusals, without time's."""
    return [it for it in answers if it.told is not None and it.call.request_id]


def refused(answers: Sequence[Answer]) -> list[Answer]:
    """The refusals."""
    return [answer for answer in answers if answer.refusal is not None]


def rental(answer: Answer) -> Authorization:
    """The authorization in an answer."""
    made: Authorization = answer.message.authorization
    return made


def state_of(answer: Answer) -> str:
    """The state in an answer; empty for a refusal."""
    if answer.told is None:
        return ""
    return Authorization.State.Name(rental(answer).state).removeprefix("STATE_")
