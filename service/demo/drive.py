"""Carries the plan out over gRPC, tick by tick of the server's simulated clock.

Each tick advances the clock and sends every step that is due, at most `in_flight` at once. Steps of
one person are sent one after the other, in the order of the plan. So the use of a credit line
depends on the plan and not on the network.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TypeVar

from freehold.client import AsyncClient, FreeholdError
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    AuthorizeRequest,
    ConfirmAuthorizationRequest,
    ListAuthorizationsRequest,
    ReverseAuthorizationRequest,
    SettleAuthorizationRequest,
    StartRentalRequest,
)
from freehold.v1.credit_service_pb2 import PutUsersRequest, RecordPaymentRequest, User
from freehold.v1.ledger_service_pb2 import VerifyBooksRequest, VerifyBooksResponse
from freehold.v1.sandbox_service_pb2 import AdvanceClockRequest
from freehold.v1.types_pb2 import Money, Offer
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from service.demo.day import (
    CONFIRM_AFTER_S,
    DAY_S,
    LOST_AFTER_S,
    PICKUP_WINDOW_S,
    WALK_AWAY,
    Fate,
    Rental,
)
from service.demo.population import Population
from service.demo.tariff import CURRENCY, PRODUCTS

IN_FLIGHT = 64
TICK_S = 300
USERS_PER_CALL = 500
PAGE_SIZE = 1000
CALL_TIMEOUT_S = 30.0
LONG_CALL_TIMEOUT_S = 120.0

State = Authorization.State
Answer = TypeVar("Answer")


class Step(Enum):
    """The next call for one rental."""

    UNDO = auto()
    AUTHORIZE = auto()
    CONFIRM = auto()
    START = auto()
    REVERSE = auto()
    SETTLE = auto()
    SETTLE_LOST = auto()
    PAY = auto()


@dataclass(slots=True)
class Record:
    """The operator's record of one rental, made only from the answers; amounts in fen.

    offer              the offer in force when Authorize was answered; None when declined
    held_credit_minor, held_cash_minor  the two parts when the hold was placed
    asked_s, closed_s  simulated seconds from the first midnight
    lost               settled at the hold because the item was not returned
    """

    rental: Rental
    name: str = ""
    state: State = Authorization.STATE_UNSPECIFIED
    offer: Offer | None = None
    reasons: tuple[str, ...] = ()
    held_credit_minor: int = 0
    held_cash_minor: int = 0
    captured_minor: int = 0
    due_minor: int = 0
    asked_s: int = 0
    closed_s: int = 0
    lost: bool = False

    @property
    def request_id(self) -> str:
        """The request id of the Authorize call."""
        return f"a-{self.rental.index:06d}"


@dataclass
class Journal:
    """The driver's record of the day.

    latency_s  seconds of every call of operator and payment rail, by method, as this client saw
               them with up to IN_FLIGHT calls at once
    wall_s     seconds from the first tick to the last
    clock_s    the part of wall_s that moved the server's clock
    """

    records: list[Record]
    latency_s: dict[str, list[float]] = field(default_factory=dict)
    wall_s: float = 0.0
    clock_s: float = 0.0
    ticks: int = 0
    expired: int = 0
    end_s: int = 0

    @property
    def calls(self) -> int:
        """Calls of operator and payment rail, without those that move the clock."""
        return sum(len(values) for values in self.latency_s.values())


async def load_people(
    platform: AsyncClient,
    people: Population,
    as_of: datetime,
    on_done: Callable[[int], None],
) -> list[int]:
    """Register all people; returns scores in the order of `people`, 0 for a person without one."""
    scores: list[int] = []
    instant = Timestamp()
    instant.FromDatetime(as_of)
    for begin in range(0, len(people), USERS_PER_CALL):
        rows = range(begin, min(begin + USERS_PER_CALL, len(people)))
        users = [
            User(
                user_id=people.ids[row],
                features=people.values(row),
                as_of=instant,
                scoring_consent=bool(people.consent[row]),
            )
            for row in rows
        ]
        request = PutUsersRequest(request_id=f"users-{begin:06d}", users=users)
        answer = await platform.put_users(request, timeout_s=LONG_CALL_TIMEOUT_S)
        scores += [profile.score for profile in answer.profiles]
        on_done(len(users))
    return scores


class Driver:
    """One run of the plan against one server, whose clock stands at `epoch`."""

    def __init__(
        self,
        plan: Sequence[Rental],
        people: Population,
        operator: AsyncClient,
        platform: AsyncClient,
        epoch: datetime,
        *,
        tick_s: int = TICK_S,
        in_flight: int = IN_FLIGHT,
        pace: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`pace`, if there is one, is awaited before each step."""
        self._people = people
        self._operator = operator
        self._platform = platform
        self._epoch = epoch
        self._tick_s = tick_s
        self._in_flight = in_flight
        self._pace = pace
        self._due: dict[int, list[tuple[int, Step]]] = {}
        self._ticks: list[int] = []
        self._tick = -1
        self.journal = Journal([Record(rental) for rental in plan])
        self._records = {it.rental.index: it for it in self.journal.records}
        for rental in plan:
            first = Step.UNDO if rental.fate is Fate.UNDO else Step.AUTHORIZE
            self._at(rental.start_s, rental.index, first)

    async def run(self, on_tick: Callable[[int, int], None]) -> Journal:
        """Carry out every step, then let a day pass, so that waiting authorizations can expire.

        `on_tick(simulated seconds, rentals begun)` is called after each tick.
        """
        began = time.perf_counter()
        begun = 0
        while self._ticks:
            self._tick = heapq.heappop(self._ticks)
            steps = self._due.pop(self._tick)
            await self._advance(self._tick * self._tick_s)
            await self._send(steps)
            begun += sum(step is Step.AUTHORIZE for _, step in steps)
            on_tick(self._tick * self._tick_s, begun)
        self.journal.end_s = self._tick * self._tick_s + DAY_S
        await self._advance(self.journal.end_s)
        self.journal.wall_s = time.perf_counter() - began
        return self.journal

    def _at(self, second: int, index: int, step: Step) -> None:
        """Put a step on the first tick at or after `second`, never on the one under way."""
        tick = max(math.ceil(second / self._tick_s), self._tick + 1)
        if tick not in self._due:
            self._due[tick] = []
            heapq.heappush(self._ticks, tick)
        self._due[tick].append((index, step))

    async def _advance(self, second: int) -> None:
        now = Timestamp()
        now.FromDatetime(self._epoch + timedelta(seconds=second))
        began = time.perf_counter()
        answer = await self._platform.advance_clock(
            AdvanceClockRequest(now=now), timeout_s=LONG_CALL_TIMEOUT_S
        )
        self.journal.clock_s += time.perf_counter() - began
        self.journal.ticks += 1
        self.journal.expired += answer.woken

    async def _send(self, steps: list[tuple[int, Step]]) -> None:
        """All steps of a tick: one queue for each person, `in_flight` queues at once."""
        queues: dict[int, list[tuple[int, Step]]] = {}
        for index, step in sorted(steps, key=lambda item: item[0]):
            queues.setdefault(self._records[index].rental.person, []).append((index, step))
        waiting = iter(queues.values())

        async def work() -> None:
            for queue in waiting:
                for index, step in queue:
                    if self._pace is not None:
                        await self._pace()
                    await self._step(self._records[index], step)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._in_flight, len(queues))):
                group.create_task(work())

    async def _step(self, record: Record, step: Step) -> None:
        calls: dict[Step, Callable[[Record], Awaitable[None]]] = {
            Step.UNDO: self._undo,
            Step.AUTHORIZE: self._authorize,
            Step.CONFIRM: self._confirm,
            Step.START: self._start,
            Step.REVERSE: self._reverse,
            Step.SETTLE: self._settle,
            Step.SETTLE_LOST: self._settle_lost,
            Step.PAY: self._pay,
        }
        try:
            await calls[step](record)
        except FreeholdError as error:
            error.add_note(f"rental {record.rental.index}, {step.name}")
            raise

    async def _timed(self, method: str, call: Awaitable[Answer]) -> Answer:
        began = time.perf_counter()
        try:
            return await call
        finally:
            self.journal.latency_s.setdefault(method, []).append(time.perf_counter() - began)

    async def _undo(self, record: Record) -> None:
        """Reverse by the request's id, as after a connection that broke before the answer."""
        request = ReverseAuthorizationRequest(
            request_id=f"u-{record.rental.index:06d}",
            origin=ReverseAuthorizationRequest.Origin(
                user_id=self._people.ids[record.rental.person],
                authorize_request_id=record.request_id,
            ),
        )
        await self._timed(
            "ReverseAuthorization",
            self._operator.reverse_authorization(request, timeout_s=CALL_TIMEOUT_S),
        )
        self._next(record, 0, Step.AUTHORIZE)

    async def _authorize(self, record: Record) -> None:
        rental = record.rental
        request = AuthorizeRequest(
            request_id=record.request_id,
            user_id=self._people.ids[rental.person],
            product_id=PRODUCTS[rental.product].product_id,
        )
        if rental.reserved:
            request.start = AuthorizeRequest.START_ON_PICKUP
            request.pickup_window.CopyFrom(Duration(seconds=PICKUP_WINDOW_S))
        answer = await self._timed(
            "Authorize", self._operator.authorize(request, timeout_s=CALL_TIMEOUT_S)
        )
        told = answer.authorization
        record.name = told.name
        record.reasons = tuple(told.reasons)
        record.asked_s = self._now_s
        self._learn(record, told)
        if told.state != Authorization.STATE_DECLINED:
            record.offer = told.offer
        if told.state == Authorization.STATE_OFFERED:
            record.held_cash_minor = told.deposit_asked.amount_minor
            if rental.patience >= WALK_AWAY[Offer.Name(told.offer).removeprefix("OFFER_")]:
                self._next(record, CONFIRM_AFTER_S, Step.CONFIRM)
        else:
            self._held(record, told)

    async def _confirm(self, record: Record) -> None:
        request = ConfirmAuthorizationRequest(
            request_id=f"c-{record.rental.index:06d}",
            name=record.name,
            payment_reference=f"deposit-{record.rental.index:06d}",
            paid=Money(currency_code=CURRENCY, amount_minor=record.held_cash_minor),
        )
        answer = await self._timed(
            "ConfirmAuthorization",
            self._operator.confirm_authorization(request, timeout_s=CALL_TIMEOUT_S),
        )
        # Declined when the line was used up between offer and payment: the cash is owed back.
        self._learn(record, answer.authorization)
        self._held(record, answer.authorization)

    async def _start(self, record: Record) -> None:
        request = StartRentalRequest(request_id=f"s-{record.rental.index:06d}", name=record.name)
        answer = await self._timed(
            "StartRental", self._operator.start_rental(request, timeout_s=CALL_TIMEOUT_S)
        )
        self._learn(record, answer.authorization)
        self._out(record)

    async def _reverse(self, record: Record) -> None:
        request = ReverseAuthorizationRequest(
            request_id=f"r-{record.rental.index:06d}", name=record.name
        )
        answer = await self._timed(
            "ReverseAuthorization",
            self._operator.reverse_authorization(request, timeout_s=CALL_TIMEOUT_S),
        )
        self._learn(record, answer.authorization)
        record.closed_s = self._now_s

    async def _settle(self, record: Record) -> None:
        product = PRODUCTS[record.rental.product]
        hold = record.held_credit_minor + record.held_cash_minor
        await self._capture(record, product.charge_minor(record.rental.duration_s, hold))
        if record.due_minor and not record.rental.unpaid:
            self._next(record, record.rental.pay_after_s, Step.PAY)

    async def _settle_lost(self, record: Record) -> None:
        record.lost = True
        await self._capture(record, record.held_credit_minor + record.held_cash_minor)
        if record.due_minor and record.rental.lost_paid:
            self._next(record, record.rental.pay_after_s, Step.PAY)

    async def _capture(self, record: Record, amount_minor: int) -> None:
        request = SettleAuthorizationRequest(
            request_id=f"e-{record.rental.index:06d}",
            name=record.name,
            amount=Money(currency_code=CURRENCY, amount_minor=amount_minor),
        )
        answer = await self._timed(
            "SettleAuthorization",
            self._operator.settle_authorization(request, timeout_s=CALL_TIMEOUT_S),
        )
        self._learn(record, answer.authorization)
        record.closed_s = self._now_s

    async def _pay(self, record: Record) -> None:
        request = RecordPaymentRequest(
            request_id=f"p-{record.rental.index:06d}",
            authorization=record.name,
            payment_reference=f"payment-{record.rental.index:06d}",
            amount=Money(currency_code=CURRENCY, amount_minor=record.due_minor),
        )
        answer = await self._timed(
            "RecordPayment", self._platform.record_payment(request, timeout_s=CALL_TIMEOUT_S)
        )
        self._learn(record, answer.authorization)

    @property
    def _now_s(self) -> int:
        return self._tick * self._tick_s

    def _learn(self, record: Record, told: Authorization) -> None:
        record.state = told.state
        record.captured_minor = told.captured.amount_minor
        record.due_minor = told.due.amount_minor

    def _held(self, record: Record, told: Authorization) -> None:
        """Plan the step after the hold was placed; none after a decline."""
        if told.state not in (Authorization.STATE_AUTHORIZED, Authorization.STATE_ACTIVE):
            return
        record.held_credit_minor = told.held_credit.amount_minor
        record.held_cash_minor = told.held_cash.amount_minor
        rental = record.rental
        if rental.fate is Fate.CANCEL:
            self._next(record, rental.cancel_after_s, Step.REVERSE)
        elif told.state == Authorization.STATE_ACTIVE:
            self._out(record)
        elif rental.fate is Fate.RIDE:
            self._next(record, rental.pickup_after_s, Step.START)

    def _out(self, record: Record) -> None:
        if record.rental.lost:
            self._next(record, LOST_AFTER_S, Step.SETTLE_LOST)
        else:
            self._next(record, record.rental.duration_s, Step.SETTLE)

    def _next(self, record: Record, after_s: int, step: Step) -> None:
        self._at(self._now_s + after_s, record.rental.index, step)


async def list_all(operator: AsyncClient, on_page: Callable[[int], None]) -> list[Authorization]:
    """Every authorization of the operator, page by page, the oldest first."""
    found: list[Authorization] = []
    token = ""
    while True:
        page = await operator.list_authorizations(
            ListAuthorizationsRequest(page_size=PAGE_SIZE, page_token=token),
            timeout_s=LONG_CALL_TIMEOUT_S,
        )
        found += page.authorizations
        on_page(len(page.authorizations))
        token = page.next_page_token
        if not token:
            return found


async def verify_books(platform: AsyncClient) -> VerifyBooksResponse:
    """Have the server read every entry of both books."""
    return await platform.verify_books(VerifyBooksRequest(), timeout_s=LONG_CALL_TIMEOUT_S)


def discrepancies(records: Iterable[Record], listed: Sequence[Authorization]) -> list[str]:
    """The differences between the server's list and the operator's records, one sentence each.

    An authorization whose last known state was OFFERED or AUTHORIZED must have expired, because a
    day passed without a confirmation or a pick-up.
    """
    found = {authorization.request_id: authorization for authorization in listed}
    wrong = []
    if len(found) != len(listed):
        wrong.append("the list names an authorization twice")
    for record in records:
        listed_one = found.pop(record.request_id, None)
        if listed_one is None:
            wrong.append(f"{record.request_id}: missing from the list")
            continue
        expected = record.state
        if expected in (Authorization.STATE_OFFERED, Authorization.STATE_AUTHORIZED):
            expected = Authorization.STATE_EXPIRED
        told = (expected, record.captured_minor, record.due_minor, 0)
        seen = (
            listed_one.state,
            listed_one.captured.amount_minor,
            listed_one.due.amount_minor,
            listed_one.held.amount_minor,
        )
        if told != seen:
            wrong.append(f"{record.request_id}: the operator was told {told}, the list has {seen}")
    wrong += [
        f"{request_id}: in the list, and the operator never asked for it" for request_id in found
    ]
    return wrong
