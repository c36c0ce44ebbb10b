"""AdmissionService: listings of users, devices and payment accounts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from freehold.v1 import admission_service_pb2 as pb
from google.protobuf.message import Message

from service.domain.access import PLATFORM, Principal, Scope
from service.domain.errors import InvalidInput
from service.domain.listings import Listing, ListingEffect, ListingKind
from service.engine.pool import Pool
from service.engine.rates import Weight
from service.rpc.convert import optional_us, timestamp
from service.rpc.owners import owner_of
from service.rpc.pages import size_of
from service.rpc.pipeline import Call, Method
from service.rpc.second_person import asked_of

SERVICE = "freehold.v1.AdmissionService"
ANSWERS: dict[str, type[Message]] = {
    "AddListings": pb.AddListingsResponse,
    "EndListings": pb.EndListingsResponse,
}
"""Methods whose answers are stored."""
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

Done = TypeVar("Done")
Row = tuple[str, type[Message], Scope, Callable[[Any], Awaitable[bytes]]]
"""A method's name, request, scope and handler."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The listings of the storage: what changes returns the answer's bytes, and a list returns
    rows."""

    add: Callable[..., bytes]
    end: Callable[..., bytes]
    read: Callable[..., list[Listing]]


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
        lists: Row = ("ListListings", pb.ListListingsRequest, read, self._list)
        return [
            *(Method(*it, max_bytes, Weight.BULK) for it in writes),
            Method(*lists, max_bytes, Weight.LIST),
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


def _actor(name: str, by: Principal) -> str:
    own = by.operator_id is None or not name or name.startswith(f"{by.operator_id}/")
    return name if own else PLATFORM
