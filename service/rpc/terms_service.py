"""TermsService: the documents of products, tariffs, policies, limits and bounds."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from freehold.v1 import terms_service_pb2 as pb
from google.protobuf.message import Message

from service.domain.access import PLATFORM, Principal, Scope
from service.domain.document_fields import TERMS_WRONG
from service.domain.documents import Difference, DocumentKind, Table, table_of_json
from service.domain.errors import InvalidInput, PermissionDenied, Violation
from service.engine.pool import Pool
from service.engine.rates import Weight
from service.engine.records.documents import DocumentName, TermsDocument
from service.rpc.convert import timestamp
from service.rpc.owners import owner_of
from service.rpc.pages import size_of
from service.rpc.pipeline import Call, Method
from service.rpc.second_person import asked_of

SERVICE = "freehold.v1.TermsService"
GUARDED_TERMS = frozenset({"ApplyTerms", "ActivateTerms", "RetireTerms"})
"""Methods of this service that may need a second person."""
MOST_PRODUCTS = 100
"""The most new product revisions that an answer names."""
MOST_OUTSIDE = 100
"""The most broken bounds of terms in force that an answer names."""

Done = TypeVar("Done")
Row = tuple[str, type[Message], Scope, Callable[[Any], Awaitable[bytes]]]
"""A method's name, request, scope and handler."""
KINDS = {pb.TermsKind.Value(f"TERMS_KIND_{it.name}"): it for it in DocumentKind}


@dataclass(frozen=True, slots=True)
class TermsActs:
    """The terms of the storage: what changes returns the answer's bytes."""

    apply: Callable[..., bytes]
    check: Callable[..., Any]
    validate: Callable[..., bytes]
    activate: Callable[..., bytes]
    retire: Callable[..., bytes]
    page: Callable[..., list[TermsDocument]]
    get: Callable[..., TermsDocument]
    diff: Callable[..., tuple[Difference, ...]]
    order: Callable[..., Any]


class TermsDocuments:
    """The calls of TermsService. They run one at a time, in the pool of administrative acts."""

    def __init__(self, acts: TermsActs, pool: Pool, now_us: Callable[[], int]) -> None:
        self._acts = acts
        self._pool = pool
        self._now_us = now_us

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The service's methods with their scopes."""
        read, write, activate = Scope.TERMS_READ, Scope.TERMS_WRITE, Scope.TERMS_ACTIVATE
        rows: list[Row] = [
            ("ApplyTerms", pb.ApplyTermsRequest, write, self._apply),
            ("ValidateTerms", pb.ValidateTermsRequest, write, self._validate),
            ("ActivateTerms", pb.ActivateTermsRequest, activate, self._activate),
            ("RetireTerms", pb.RetireTermsRequest, activate, self._retire),
        ]
        return [
            *(Method(*it, max_bytes, Weight.WRITE) for it in rows),
            Method("ListTerms", pb.ListTermsRequest, read, self._list, max_bytes, Weight.LIST),
            Method("GetTerms", pb.GetTermsRequest, read, self._get, max_bytes),
            Method("DiffTerms", pb.DiffTermsRequest, read, self._diff, max_bytes),
        ]

    async def _apply(self, call: Call[pb.ApplyTermsRequest]) -> bytes:
        message, by = call.message, call.principal
        if message.activate and Scope.TERMS_ACTIVATE not in by.scopes:
            raise PermissionDenied(Scope.TERMS_ACTIVATE)
        order = self._acts.order(
            *(KINDS[message.kind], owner_of(by, message.operator_id)),
            *(table_of_json(message.document), message.reason, message.activate),
            _beyond(message, by),
        )
        asked, now_us = asked_of(call, "ApplyTerms"), self._now_us()
        if message.validate_only:
            checked = await self._do(self._acts.check, asked, order, now_us)
            answer = pb.ApplyTermsResponse(result=_result(checked, by))
            return answer.SerializeToString()
        encode = _encode_with(pb.ApplyTermsResponse, by)
        return await self._do(self._acts.apply, asked, order, now_us, encode)

    async def _validate(self, call: Call[pb.ValidateTermsRequest]) -> bytes:
        encode = _encode_with(pb.ValidateTermsResponse, call.principal)
        asked, name = asked_of(call, "ValidateTerms"), _name(call)
        reason = call.message.reason
        return await self._do(self._acts.validate, asked, name, reason, self._now_us(), encode)

    async def _activate(self, call: Call[pb.ActivateTermsRequest]) -> bytes:
        message = call.message
        encode = _encode_with(pb.ActivateTermsResponse, call.principal)
        asked, name, now_us = asked_of(call, "ActivateTerms"), _name(call), self._now_us()
        beyond = _beyond(message, call.principal)
        return await self._do(
            self._acts.activate, asked, name, message.reason, now_us, encode, beyond
        )

    async def _retire(self, call: Call[pb.RetireTermsRequest]) -> bytes:
        encode = _encode_with(pb.RetireTermsResponse, call.principal)
        asked, name = asked_of(call, "RetireTerms"), _name(call)
        reason = call.message.reason
        return await self._do(self._acts.retire, asked, name, reason, self._now_us(), encode)

    async def _list(self, call: Call[pb.ListTermsRequest]) -> bytes:
        message, size = call.message, size_of(call.message.page_size)
        owner = owner_of(call.principal, message.operator_id)
        kind = str(KINDS[message.kind]) if message.kind else ""
        found = await self._do(
            *(self._acts.page, owner, kind, message.name, _place(message.page_token)),
            *(size, self._now_us(), message.retired),
        )
        last = found[-1] if len(found) == size else None
        token = "" if last is None else _token([last.kind, last.name, last.revision])
        terms = [terms_of(it, call.principal) for it in found]
        return pb.ListTermsResponse(terms=terms, next_page_token=token).SerializeToString()

    async def _get(self, call: Call[pb.GetTermsRequest]) -> bytes:
        found = await self._do(self._acts.get, _name(call), self._now_us())
        answer = pb.GetTermsResponse(terms=terms_of(found, call.principal))
        return answer.SerializeToString()

    async def _diff(self, call: Call[pb.DiffTermsRequest]) -> bytes:
        message = call.message
        owner = owner_of(call.principal, message.operator_id)
        before = DocumentName(KINDS[message.kind], owner, message.name, message.from_revision)
        other: Table | int = message.to_revision
        if message.document:
            if message.to_revision:
                text = "stands beside to_revision: send one of the two"
                raise InvalidInput.of("document", "document.or_revision", text)
            other = table_of_json(message.document)
        found = await self._do(self._acts.diff, before, other, self._now_us())
        return pb.DiffTermsResponse(differences=map(_difference, found)).SerializeToString()

    async def _do(self, act: Callable[..., Done], *arguments: Any) -> Done:
        try:
            return await self._pool.run(act, *arguments)
        except InvalidInput as error:
            if error.reason != TERMS_WRONG:
                raise
            raise InvalidInput(
                [it._replace(field=f"document.{it.field}") for it in error.violations], TERMS_WRONG
            ) from error


def _token(place: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _place(token: str) -> tuple[str, str, int]:
    """The place after which a page begins: a kind, a name and a revision."""
    if not token:
        return "", "", 0
    try:
        kind, name, revision = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        if isinstance(kind, str) and isinstance(name, str) and type(revision) is int:
            return kind, name, min(revision, 2**31 - 1)
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidInput.of(
        "page_token", "page_token.form", "must be the next_page_token of an answer"
    )


def _beyond(message: Any, by: Principal) -> bool:
    if message.beyond_bounds and by.operator_id is not None:
        text = "only the platform goes beyond its bounds: ask the platform to activate the draft"
        raise InvalidInput.of("beyond_bounds", "beyond_bounds.platform_only", text)
    return bool(message.beyond_bounds)


def _name(call: Call[Any]) -> DocumentName:
    message = call.message
    owner = owner_of(call.principal, message.operator_id)
    return DocumentName(KINDS[message.kind], owner, message.name, message.revision)


def _encode_with(response: Callable[..., Any], by: Principal) -> Callable[[Any], bytes]:
    def encode(applied: Any) -> bytes:
        answer: bytes = response(result=_result(applied, by)).SerializeToString()
        return answer

    return encode


def _result(applied: Any, by: Principal) -> pb.TermsResult:
    products = [pb.ProductRevision(**it._asdict()) for it in applied.products[:MOST_PRODUCTS]]
    return pb.TermsResult(
        terms=terms_of(applied.document, by),
        outcome=f"TERMS_OUTCOME_{applied.outcome}",
        differences=map(_difference, applied.differences),
        faults=map(fault_of, applied.faults),
        products=products,
        product_count=len(applied.products),
        outside=map(fault_of, applied.outside[:MOST_OUTSIDE]),
        outside_count=len(applied.outside),
        unused=map(fault_of, applied.unused),
    )


def _difference(it: Difference) -> pb.TermsDifference:
    return pb.TermsDifference(**it._asdict())


def fault_of(it: Violation) -> pb.TermsFault:
    """A fault of a document as a message."""
    return pb.TermsFault(path=it.field, rule=it.rule, description=it.description)


def terms_of(it: TermsDocument, by: Principal) -> pb.Terms:
    """A revision as the caller may see it: an operator does not learn who acted for the
    platform."""

    def step(us: int | None, actor: str | None, reason: str | None) -> pb.TermsStep | None:
        if us is None or actor is None:
            return None
        seen = by.operator_id is None or actor.startswith(f"{by.operator_id}/")
        return pb.TermsStep(time=timestamp(us), by=actor if seen else "", reason=reason or "")

    return pb.Terms(
        kind=f"TERMS_KIND_{DocumentKind(it.kind).name}",
        operator_id="" if it.owner == PLATFORM else it.owner,
        name=it.name,
        revision=it.revision,
        document=it.document,
        digest=it.digest,
        state=f"TERMS_STATE_{it.state}",
        draft=step(it.create_us, it.created_by, it.create_reason),
        validation=step(it.validate_us, it.validated_by, it.validate_reason),
        activation=step(it.activate_us, it.activated_by, it.activate_reason),
        retirement=step(it.retire_us, it.retired_by, it.retire_reason),
    )
