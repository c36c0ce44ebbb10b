"""AdminService: keys, persons, approvals, and the record of acts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from freehold.v1 import admin_service_pb2 as pb
from google.protobuf import json_format
from google.protobuf.message import Message

from service.config import AdministrationLimits
from service.domain.access import PLATFORM, Principal, Scope, new_key
from service.domain.errors import InvalidInput, PermissionDenied
from service.engine.pool import Pool
from service.engine.rates import Weight
from service.engine.records.administration import (
    AuditEvent,
    KeyChange,
    KeyInfo,
    NewKey,
    Person,
    Proposal,
)
from service.rpc.admission_service import GUARDED_RESETS
from service.rpc.convert import instant_us, optional_us, timestamp
from service.rpc.owners import owner_of
from service.rpc.pages import size_of
from service.rpc.pipeline import Call, Method
from service.rpc.second_person import GUARDED, asked_of, canonical
from service.rpc.terms_service import GUARDED_TERMS
from service.rpc.validation import parse

SERVICE = "freehold.v1.AdminService"
APPROVER_SCOPES = {"ApplyTerms": Scope.TERMS_ACTIVATE}
"""Scopes of the approver that are not those of the approved method."""
POWER = frozenset({"CreateKey", "UpdateKey", "RollKey", "BindKey", "UnbindKey", "AddPerson"})
"""Methods of this service that may need a second person."""
SECOND_US = 1_000_000

Done = TypeVar("Done")
Row = tuple[str, type[Message], Scope, Callable[[Any], Awaitable[bytes]]]
"""A method's name, request, scope and handler."""


@dataclass(frozen=True, slots=True)
class Acts:
    """The administration of the storage: what changes returns the answer's bytes, and lists return
    rows."""

    create_key: Callable[..., bytes]
    update_key: Callable[..., bytes]
    roll_key: Callable[..., bytes]
    revoke_key: Callable[..., bytes]
    bind_key: Callable[..., bytes]
    unbind_key: Callable[..., bytes]
    list_keys: Callable[..., list[KeyInfo]]
    add_person: Callable[..., bytes]
    remove_person: Callable[..., bytes]
    list_persons: Callable[..., list[Person]]
    propose: Callable[..., bytes]
    approve_act: Callable[..., bytes]
    withdraw_act: Callable[..., bytes]
    list_proposals: Callable[..., list[Proposal]]
    list_audit: Callable[..., list[AuditEvent]]


class Administration:
    """The calls of AdminService. They run one at a time, in a pool of their own."""

    def __init__(
        self, acts: Acts, pool: Pool, now_us: Callable[[], int], limits: AdministrationLimits
    ) -> None:
        """`now_us` is the time by which keys and proposals expire."""
        self._acts = acts
        self._pool = pool
        self._now_us = now_us
        self._retry_us = int(limits.key_retry_s * SECOND_US)
        self._overlap_us = int(limits.overlap_s * SECOND_US)
        self._life_us = int(limits.proposal_s * SECOND_US)
        self._methods: dict[str, Method[Any]] = {}

    def know(self, services: Mapping[str, list[Method[Any]]]) -> None:
        """Takes the methods of all services, which may be proposed."""
        every = {it.name: it for methods in services.values() for it in methods}
        self._methods = {
            name: every[name]
            for name in (GUARDED | POWER | GUARDED_TERMS | GUARDED_RESETS) & every.keys()
        }

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The service's methods with their scopes."""
        admin, propose = Scope.KEYS_ADMIN, Scope.PROPOSALS_WRITE
        writes: list[Row] = [
            ("CreateKey", pb.CreateKeyRequest, admin, self._create_key),
            ("UpdateKey", pb.UpdateKeyRequest, admin, self._update_key),
            ("RollKey", pb.RollKeyRequest, admin, self._roll_key),
            ("RevokeKey", pb.RevokeKeyRequest, admin, self._revoke_key),
            ("BindKey", pb.BindKeyRequest, admin, self._bind_key),
            ("UnbindKey", pb.UnbindKeyRequest, admin, self._unbind_key),
            ("AddPerson", pb.AddPersonRequest, admin, self._add_person),
            ("RemovePerson", pb.RemovePersonRequest, admin, self._remove_person),
            ("ProposeAct", pb.ProposeActRequest, propose, self._propose),
            ("ApproveAct", pb.ApproveActRequest, propose, self._approve),
            ("WithdrawAct", pb.WithdrawActRequest, propose, self._withdraw),
        ]
        lists: list[Row] = [
            ("ListKeys", pb.ListKeysRequest, admin, self._list_keys),
            ("ListPersons", pb.ListPersonsRequest, admin, self._list_persons),
            ("ListAuditEvents", pb.ListAuditEventsRequest, admin, self._audit),
            ("ListProposals", pb.ListProposalsRequest, propose, self._proposals),
        ]
        return [
            *(Method(*it, max_bytes, Weight.WRITE) for it in writes),
            *(Method(*it, max_bytes, Weight.LIST) for it in lists),
        ]

    # -- keys --------------------------------------------------------------------------------------

    async def _create_key(self, call: Call[pb.CreateKeyRequest]) -> bytes:
        message = call.message
        owner = owner_of(call.principal, message.operator_id)
        wanted = NewKey(
            None if owner == PLATFORM else owner,
            message.person_id,
            message.label,
            frozenset(message.scopes),
            optional_us(message, "expire_time"),
        )

        def encode(it: KeyInfo, text: str) -> bytes:
            return pb.CreateKeyResponse(key=_key(it), api_key=text).SerializeToString()

        def first_key(answer: bytes) -> str:
            return pb.CreateKeyResponse.FromString(answer).key.key_id

        asked = asked_of(call, "CreateKey", first_key=first_key)
        return await self._do(
            self._acts.create_key, asked, wanted, new_key(), self._now_us(), encode, self._retry_us
        )

    async def _list_keys(self, call: Call[pb.ListKeysRequest]) -> bytes:
        message, size = call.message, size_of(call.message.page_size)
        owner = owner_of(call.principal, message.operator_id)
        found = await self._do(self._acts.list_keys, owner, message.page_token, size)
        token = found[-1].key_id if len(found) == size else ""
        keys = [_key(it) for it in found]
        return pb.ListKeysResponse(keys=keys, next_page_token=token).SerializeToString()

    async def _update_key(self, call: Call[pb.UpdateKeyRequest]) -> bytes:
        message = call.message
        change = KeyChange(
            message.label if message.HasField("label") else None,
            optional_us(message, "expire_time"),
            message.units_a_second if message.HasField("units_a_second") else None,
            message.usual_rate,
        )
        asked = asked_of(call, "UpdateKey")

        def encode(it: KeyInfo) -> bytes:
            return pb.UpdateKeyResponse(key=_key(it)).SerializeToString()

        key_id, now_us = message.key_id, self._now_us()
        return await self._do(self._acts.update_key, asked, key_id, change, now_us, encode)

    async def _roll_key(self, call: Call[pb.RollKeyRequest]) -> bytes:
        message = call.message
        overlap_us = self._overlap_us
        if message.HasField("overlap"):
            overlap_us = instant_us(message.overlap, "overlap")

        def encode(it: KeyInfo, text: str, old: KeyInfo) -> bytes:
            answer = pb.RollKeyResponse(key=_key(it), api_key=text, replaced=_key(old))
            return answer.SerializeToString()

        def first_key(answer: bytes) -> str:
            return pb.RollKeyResponse.FromString(answer).key.key_id

        asked, now_us = asked_of(call, "RollKey", first_key=first_key), self._now_us()
        return await self._do(
            *(self._acts.roll_key, asked, message.key_id, overlap_us, new_key(), now_us, encode),
            self._retry_us,
        )

    async def _revoke_key(self, call: Call[pb.RevokeKeyRequest]) -> bytes:
        def encode(it: KeyInfo) -> bytes:
            return pb.RevokeKeyResponse(key=_key(it)).SerializeToString()

        asked, key_id = asked_of(call, "RevokeKey"), call.message.key_id
        return await self._do(self._acts.revoke_key, asked, key_id, self._now_us(), encode)

    async def _bind_key(self, call: Call[pb.BindKeyRequest]) -> bytes:
        return await self._binding("BindKey", call, self._acts.bind_key, pb.BindKeyResponse)

    async def _unbind_key(self, call: Call[pb.UnbindKeyRequest]) -> bytes:
        return await self._binding("UnbindKey", call, self._acts.unbind_key, pb.UnbindKeyResponse)

    async def _binding(
        self, name: str, call: Call[Any], act: Callable[..., bytes], response: Callable[..., Any]
    ) -> bytes:
        def encode(it: KeyInfo) -> bytes:
            answer: bytes = response(key=_key(it)).SerializeToString()
            return answer

        message, asked = call.message, asked_of(call, name)
        key_id, fingerprint = message.key_id, message.fingerprint
        return await self._do(act, asked, key_id, fingerprint, self._now_us(), encode)

    # -- persons and acts --------------------------------------------------------------------------

    async def _add_person(self, call: Call[pb.AddPersonRequest]) -> bytes:
        message = call.message
        owner = owner_of(call.principal, message.operator_id)

        def encode(it: Person) -> bytes:
            return pb.AddPersonResponse(person=_person(it)).SerializeToString()

        asked, now_us = asked_of(call, "AddPerson"), self._now_us()
        return await self._do(
            self._acts.add_person,
            asked,
            owner,
            message.person_id,
            message.display_name,
            now_us,
            encode,
        )

    async def _list_persons(self, call: Call[pb.ListPersonsRequest]) -> bytes:
        message, size = call.message, size_of(call.message.page_size)
        owner = owner_of(call.principal, message.operator_id)
        found = await self._do(self._acts.list_persons, owner, message.page_token, size)
        token = found[-1].person_id if len(found) == size else ""
        persons = [_person(it) for it in found]
        return pb.ListPersonsResponse(persons=persons, next_page_token=token).SerializeToString()

    async def _remove_person(self, call: Call[pb.RemovePersonRequest]) -> bytes:
        message = call.message
        owner = owner_of(call.principal, message.operator_id)

        def encode(it: Person, key_ids: list[str]) -> bytes:
            answer = pb.RemovePersonResponse(person=_person(it), key_ids=key_ids)
            return answer.SerializeToString()

        asked, now_us = asked_of(call, "RemovePerson"), self._now_us()
        return await self._do(
            self._acts.remove_person, asked, owner, message.person_id, now_us, encode
        )

    async def _audit(self, call: Call[pb.ListAuditEventsRequest]) -> bytes:
        message, size = call.message, size_of(call.message.page_size)
        owner = owner_of(call.principal, message.operator_id)
        since_us, after = optional_us(message, "since") or 0, int(message.page_token or 0)
        found = await self._do(self._acts.list_audit, owner, since_us, after, size)
        token = str(found[-1].number) if len(found) == size else ""
        events = [_event(it, call.principal) for it in found]
        return pb.ListAuditEventsResponse(events=events, next_page_token=token).SerializeToString()

    # -- approvals ---------------------------------------------------------------------------------

    async def _propose(self, call: Call[pb.ProposeActRequest]) -> bytes:
        message = call.message
        method = self._methods.get(message.method)
        if method is None:
            text = f"must be one of {', '.join(sorted(self._methods))}"
            raise InvalidInput.of("method", "method.proposable", text)
        _require_scope(call.principal, method)
        request = canonical(parse(method.kind, message.request))

        asked, now_us = asked_of(call, "ProposeAct"), self._now_us()
        return await self._do(
            *(self._acts.propose, asked, message.method, request, message.reason, now_us),
            *(self._encode_with(pb.ProposeActResponse), self._life_us),
        )

    async def _approve(self, call: Call[pb.ApproveActRequest]) -> bytes:
        asked, number = asked_of(call, "ApproveAct"), call.message.proposal

        def scope_of(name: str) -> Scope | None:
            method = self._methods.get(name)
            return APPROVER_SCOPES.get(name, None if method is None else method.scope)

        encode, now_us = self._encode_with(pb.ApproveActResponse), self._now_us()
        return await self._do(self._acts.approve_act, asked, number, scope_of, now_us, encode)

    async def _withdraw(self, call: Call[pb.WithdrawActRequest]) -> bytes:
        asked, number = asked_of(call, "WithdrawAct"), call.message.proposal
        encode, now_us = self._encode_with(pb.WithdrawActResponse), self._now_us()
        return await self._do(self._acts.withdraw_act, asked, number, now_us, encode)

    async def _proposals(self, call: Call[pb.ListProposalsRequest]) -> bytes:
        message, size = call.message, size_of(call.message.page_size)
        waiting_at_us = self._now_us() if message.waiting_only else None
        after, owner = int(message.page_token or 0), call.principal.owner
        found = await self._do(self._acts.list_proposals, owner, waiting_at_us, after, size)
        token = str(found[-1].number) if len(found) == size else ""
        proposals = [self._proposal(it) for it in found]
        answer = pb.ListProposalsResponse(proposals=proposals, next_page_token=token)
        return answer.SerializeToString()

    def _encode_with(self, response: Callable[..., Any]) -> Callable[[Proposal], bytes]:
        def encode(it: Proposal) -> bytes:
            answer: bytes = response(proposal=self._proposal(it)).SerializeToString()
            return answer

        return encode

    def _proposal(self, it: Proposal) -> pb.Proposal:
        method = self._methods.get(it.method)
        text = ""
        if method is not None:
            message = method.kind.FromString(it.request)
            text = json_format.MessageToJson(message, indent=None, preserving_proto_field_name=True)
        return pb.Proposal(
            number=it.number,
            method=it.method,
            request_json=text,
            proposed_by=it.proposed_by,
            reason=it.reason,
            create_time=timestamp(it.create_us),
            expire_time=timestamp(it.expire_us),
            approved_by=it.approved_by,
            approve_time=timestamp(it.approve_us),
            use_time=timestamp(it.use_us),
            withdraw_time=timestamp(it.withdraw_us),
        )

    async def _do(self, act: Callable[..., Done], *arguments: Any) -> Done:
        return await self._pool.run(act, *arguments)


def _require_scope(by: Principal, method: Method[Any]) -> None:
    if method.scope not in by.scopes:
        raise PermissionDenied(method.scope)


def _key(it: KeyInfo) -> pb.Key:
    return pb.Key(
        key_id=it.key_id,
        operator_id=it.operator_id or "",
        person_id=it.person_id,
        label=it.label,
        scopes=sorted(it.scopes.granted),
        create_time=timestamp(it.create_us),
        expire_time=timestamp(it.expire_us),
        last_use_time=timestamp(it.last_use_us),
        revoke_time=timestamp(it.revoke_us),
        certificates=sorted(it.certificates),
        units_a_second=it.units_a_second,
    )


def _person(it: Person) -> pb.Person:
    return pb.Person(
        person_id=it.person_id,
        operator_id="" if it.owner == PLATFORM else it.owner,
        display_name=it.name,
        create_time=timestamp(it.create_us),
        leave_time=timestamp(it.leave_us),
    )


def _event(it: AuditEvent, by: Principal) -> pb.AuditEvent:
    """An act as the caller may see it: an operator does not learn who acted for the platform."""
    seen = by.operator_id in (None, it.by_owner)
    return pb.AuditEvent(
        number=it.number,
        time=timestamp(it.record_us),
        act=it.act,
        subject=it.subject,
        details=it.details,
        by=it.by_owner,
        by_key_id=it.by_key_id if seen else "",
        by_person_id=it.by_person_id if seen else "",
        by_shell_user=it.by_user if seen else "",
        request_id=it.request_id if seen else "",
        proposal=it.proposal if seen else 0,
        approved_by=it.approved_by if seen else "",
    )
