"""AdmissionService: listings of users, devices and payment accounts; budgets and breakers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from freehold.v1 import admission_service_pb2 as pb
from google.protobuf.message import Message

from service.domain.access import PLATFORM, Principal, Scope
from service.domain.breakers import BY_RULE, OpenedBreaker
from service.domain.budgets import BudgetNow
from service.domain.errors import InvalidInput
from service.domain.listings import Listing, ListingEffect, ListingKind
from service.domain.rules import Span
from service.domain.tariff import DAY_US
from service.engine.pool import Pool
from service.engine.rates import Weight
from service.rpc.convert import optional_us, timestamp
from service.rpc.owners import owner_of
from service.rpc.pages import size_of
from service.rpc.pipeline import Call, Method
from service.rpc.second_person import asked_of

SERVICE = "freehold.v1.AdmissionService"
GUARDED_RESETS = frozenset({"ResetBreaker"})
"""Methods of this service that need a second person."""
EFFECTS = {
    pb.LISTING_EFFECT_DENY: ListingEffect.DENY,
    pb.LISTING_EFFECT_ALLOW: ListingEffect.ALLOW,
}
KINDS = {
    pb.LISTING_KIND_USER: ListingKind.USER,
    pb.LISTING_KIND_DEVICE: ListingKind.DEVICE,
    pb.LISTING_KIND_PAYMENT_ACCOUNT: ListingKind.PAYMENT_ACCOUNT,
    pb.LISTING_KIND_EVERYBODY: ListingKind.EVERYBODY,
}
_EFFECT_OF = {kept: told for told, kept in EFFECTS.items()}
_KIND_OF = {kept: told for told, kept in KINDS.items()}
_SPAN_OF = {Span.OPEN: pb.BUDGET_SPAN_OPEN, Span.DAY: pb.BUDGET_SPAN_DAY}

Done = TypeVar("Done")
Row = tuple[str, type[Message], Scope, Callable[[Any], Awaitable[bytes]]]
"""A method's name, request, scope and handler."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Listings, budgets and breakers of the storage: a change returns the answer's bytes, and a
    list returns rows."""

    add: Callable[..., bytes]
    end: Callable[..., bytes]
    read: Callable[..., list[Listing]]
    budgets: Callable[..., list[BudgetNow]]
    breakers: Callable[..., list[OpenedBreaker]]
    reset: Callable[..., bytes]


class Admission:
    """The calls of AdmissionService. They run one at a time, in the pool of administrative acts."""

    def __init__(self, desk: Desk, pool: Pool, now_us: Callable[[], int]) -> None:
        """`now_us` is the time by which listings are made and expire."""
        self._desk = desk
        self._pool = pool
        self._now_us = now_us

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The service's methods with their scopes."""
        write, read = Scope.LISTINGS_WRITE, Scope.LISTINGS_READ
        writes: list[Row] = [
            ("AddListings", pb.AddListingsRequest, write, self._add),
            ("EndListings", pb.EndListingsRequest, write, self._end),
        ]
        lists: list[Row] = [
            ("ListListings", pb.ListListingsRequest, read, self._list),
            ("ListBudgets", pb.ListBudgetsRequest, Scope.TERMS_READ, self._budgets),
            ("ListBreakers", pb.ListBreakersRequest, Scope.TERMS_READ, self._breakers),
        ]
        # To close a breaker lets people rent without a deposit, as a laxer policy does.
        reset: Row = ("ResetBreaker", pb.ResetBreakerRequest, Scope.TERMS_ACTIVATE, self._reset)
        return [
            *(Method(*it, max_bytes, Weight.BULK) for it in writes),
            *(Method(*it, max_bytes, Weight.LIST) for it in lists),
            Method(*reset, max_bytes, Weight.WRITE),
        ]

    async def _add(self, call: Call[pb.AddListingsRequest]) -> bytes:
        message = call.message
        owner = owner_of(call.principal, message.operator_id)
        wanted = _wanted(message)
        encode = _encoder(pb.AddListingsResponse, call.principal)
        asked, now_us = asked_of(call, "AddListings"), self._now_us()
        return await self._pool.run(
            self._desk.add, asked, owner, wanted, message.reason, now_us, encode
        )

    async def _end(self, call: Call[pb.EndListingsRequest]) -> bytes:
        message = call.message
        owner = owner_of(call.principal, message.operator_id)
        encode = _encoder(pb.EndListingsResponse, call.principal)
        asked, now_us = asked_of(call, "EndListings"), self._now_us()
        return await self._pool.run(
            self._desk.end, asked, owner, list(message.numbers), message.reason, now_us, encode
        )

    async def _list(self, call: Call[pb.ListListingsRequest]) -> bytes:
        message, size = call.message, size_of(call.message.page_size)
        owner = owner_of(call.principal, message.operator_id)
        kind = KINDS.get(message.kind)
        if message.subject and kind is None:
            text = "must be given, because the request names a subject"
            raise InvalidInput.of("kind", "kind.of_subject", text)
        active_us = self._now_us() if message.active_only else None
        found = await self._pool.run(
            *(self._desk.read, owner, kind, message.subject, active_us),
            *(int(message.page_token or 0), size),
        )
        token = str(found[-1].number) if len(found) == size else ""
        listings = [_told(it, call.principal) for it in found]
        answer = pb.ListListingsResponse(listings=listings, next_page_token=token)
        return answer.SerializeToString()

    async def _budgets(self, call: Call[pb.ListBudgetsRequest]) -> bytes:
        message, size = call.message, size_of(call.message.page_size)
        owner = _operator_of(call.principal, message.operator_id)
        own_only = call.principal.operator_id is not None
        read = partial(self._desk.budgets, owner, self._now_us(), own_only=own_only)
        found, first = await self._pool.run(read), int(message.page_token or 0)
        page = found[first : first + size]
        token = str(first + size) if first + size < len(found) else ""
        budgets = [_budget(it) for it in page]
        return pb.ListBudgetsResponse(budgets=budgets, next_page_token=token).SerializeToString()

    async def _breakers(self, call: Call[pb.ListBreakersRequest]) -> bytes:
        message, size = call.message, size_of(call.message.page_size)
        owner, after = _operator_of(call.principal, message.operator_id), message.page_token
        more = {"open_only": message.open_only, "after": int(after or 0), "size": size}
        found = await self._pool.run(partial(self._desk.breakers, owner, **more))
        token = str(found[-1].number) if len(found) == size else ""
        breakers = [_breaker(it, call.principal) for it in found]
        return pb.ListBreakersResponse(breakers=breakers, next_page_token=token).SerializeToString()

    async def _reset(self, call: Call[pb.ResetBreakerRequest]) -> bytes:
        message = call.message
        owner = _operator_of(call.principal, message.operator_id)

        def encode(it: OpenedBreaker) -> bytes:
            answer = pb.ResetBreakerResponse(breaker=_breaker(it, call.principal))
            return answer.SerializeToString()

        asked, now_us = asked_of(call, "ResetBreaker"), self._now_us()
        return await self._pool.run(
            self._desk.reset, asked, owner, message.number, message.reason, now_us, encode
        )


def _operator_of(by: Principal, operator_id: str) -> str:
    """The operator that a request names; raises InvalidInput if the platform names none."""
    owner = owner_of(by, operator_id)
    if owner == PLATFORM:
        text = "must name the operator: budgets and breakers are each operator's"
        raise InvalidInput.of("operator_id", "operator_id.needed", text)
    return owner


def _wanted(message: pb.AddListingsRequest) -> list[Listing]:
    effect, rules = EFFECTS[message.effect], tuple(sorted(message.rules))
    policy_id, expire_us = message.policy_id, optional_us(message, "expire_time")
    return [
        Listing("", 0, effect, KINDS[it.kind], it.subject, rules, policy_id, "", 0, "", expire_us)
        for it in message.subjects
    ]


def _encoder(response: Callable[..., Any], by: Principal) -> Callable[[Sequence[Listing]], bytes]:
    def encode(listings: Sequence[Listing]) -> bytes:
        answer: bytes = response(listings=[_told(it, by) for it in listings]).SerializeToString()
        return answer

    return encode


def _told(it: Listing, by: Principal) -> pb.Listing:
    """A listing as the caller may see it: an operator does not learn who acted for the platform."""
    return pb.Listing(
        number=it.number,
        operator_id="" if it.owner == PLATFORM else it.owner,
        effect=_EFFECT_OF[it.effect],
        kind=_KIND_OF[it.kind],
        subject=it.subject,
        rules=it.rules,
        policy_id=it.policy_id,
        reason=it.reason,
        create_time=timestamp(it.create_us),
        created_by=_actor(it.created_by, by),
        expire_time=timestamp(it.expire_us),
        end_time=timestamp(it.end_us),
        ended_by=_actor(it.ended_by, by),
        end_reason=it.end_reason,
    )


def _budget(it: BudgetNow) -> pb.Budget:
    return pb.Budget(
        policy_id=it.policy_id,
        currency=it.currency,
        span=_SPAN_OF[it.span],
        most_minor=it.most_minor,
        used_minor=it.used_minor,
        leased_minor=it.leased_minor,
        left_minor=it.left_minor,
        next_slice_minor=it.next_slice_minor,
    )


def _breaker(it: OpenedBreaker, by: Principal) -> pb.Breaker:
    """A breaker as the caller may see it: an operator does not learn who acted for the platform."""
    return pb.Breaker(
        number=it.number,
        operator_id=it.operator_id,
        policy_id=it.policy_id,
        currency=it.currency,
        policy_revision=it.policy_revision,
        window_days=it.window_us // DAY_US,
        most_minor=it.most_minor,
        least_rentals=it.least_rentals,
        loss_minor=it.loss_minor,
        rentals=it.rentals,
        since_time=timestamp(it.since_us),
        open_time=timestamp(it.open_us),
        close_time=timestamp(it.close_us),
        closed_by=it.closed_by if it.closed_by == BY_RULE else _actor(it.closed_by, by),
        close_reason=it.close_reason,
    )


def _actor(name: str, by: Principal) -> str:
    own = by.operator_id is None or not name or name.startswith(f"{by.operator_id}/")
    return name if own else PLATFORM
