"""CaseService: complaints, evidence and decisions, and reads of all cases."""

from __future__ import annotations

from functools import partial
from typing import Any

from freehold.v1 import case_service_pb2 as pb
from freehold.v1 import types_pb2 as types

from service.domain.access import PLATFORM, Scope
from service.domain.cases import Case, CaseKind, CaseState, Evidence, Outcome, Side
from service.domain.errors import InvalidInput, InvariantBroken, NotFound
from service.domain.money import Money
from service.engine.calls import Answer, CaseTold, Payloads
from service.engine.cases import may_see
from service.engine.operations import AddEvidence, OpenComplaint, ResolveCase
from service.engine.rates import Weight
from service.engine.readers import Readers
from service.engine.reads import CaseFilter, CaseReader, ListReader
from service.rpc import convert
from service.rpc.mutations import Mutation, about, evidence, occurred_us, reason
from service.rpc.pages import filtered_place_of, filtered_token_of, size_of
from service.rpc.pipeline import Call, Method

SERVICE = "freehold.v1.CaseService"
KINDS = {it: getattr(pb, f"CASE_KIND_{it}") for it in CaseKind}
KIND_OF = {number: it for it, number in KINDS.items()}
SIDES = {it: getattr(pb, f"CASE_SIDE_{it}") for it in Side}
SIDE_OF = {number: it for it, number in SIDES.items()}
OUTCOMES = {it: getattr(pb, f"CASE_OUTCOME_{it}") for it in Outcome}
OUTCOME_OF = {number: it for it, number in OUTCOMES.items()}
STATES = {it: getattr(pb.Case, f"STATE_{it}") for it in CaseState}
STATE_OF = {number: it for it, number in STATES.items()}
NOBODY = "*"
"""A part of a case's name that is not known."""


def case_message(it: Case) -> pb.Case:
    """The message of a case."""
    message = pb.Case(
        name=it.name,
        kind=KINDS[it.kind],
        state=STATES[it.state],
        operator_id=it.operator_id,
        reference=it.reference,
        opened_by=SIDES[it.opened_by],
        create_time=convert.timestamp(it.open_us),
        occur_time=convert.timestamp(it.occurred_us),
        closed_by=it.closed_by,
        close_time=convert.timestamp(it.close_us),
        evidence_count=it.evidence,
    )
    if it.authorization_id:
        message.authorization = it.name.rpartition("/cases/")[0]
    if it.asked_minor:
        message.asked.CopyFrom(_money(it, it.asked_minor))
    if it.granted_minor:
        message.granted.CopyFrom(_money(it, it.granted_minor))
    if it.outcome is not None:
        message.outcome = OUTCOMES[it.outcome]
    if it.is_open:
        message.waits_for = SIDES[it.waits_for]
        if it.due_us is not None:
            convert.write_time(message.due_time, it.due_us)
    return message


def evidence_message(it: Evidence) -> pb.CaseEvidence:
    """The message of a row of evidence."""
    return pb.CaseEvidence(
        number=it.number,
        side=SIDES[it.side],
        text=it.text,
        reference=it.reference,
        create_time=convert.timestamp(it.record_us),
    )


def _money(it: Case, amount_minor: int) -> types.Money:
    return types.Money(currency_code=it.currency, amount_minor=amount_minor)


def _write(response: Any, answer: Answer, _payloads: Payloads) -> bytes:
    """Encodes a case after a call on it."""
    if not isinstance(answer, CaseTold):
        raise InvariantBroken("the answer is not of the method's type")
    encoded: bytes = response(case=case_message(answer.case)).SerializeToString()
    return encoded


def split_case(name: str) -> tuple[str, str, str]:
    """The user id, the authorization id and the case id of a resource name.

    The user id and the authorization id are empty if the name marks them as unknown.
    """
    _, user_id, _, authorization_id, _, case_id = name.split("/")
    if authorization_id == NOBODY and user_id == NOBODY:
        return "", "", case_id
    return user_id, "" if authorization_id == NOBODY else authorization_id, case_id


def _amount(call: Call[Any]) -> Money | None:
    return convert.money(call.message.amount) if call.message.HasField("amount") else None


def _add_evidence(call: Call[pb.AddEvidenceRequest]) -> AddEvidence:
    message, side = call.message, SIDE_OF[call.message.side]
    own = Side.PLATFORM if call.principal.operator_id is None else Side.OPERATOR
    if side not in (Side.USER, own):
        raise InvalidInput.of("side", "side.own", f"must be USER or {own}, the caller's own side")
    if not message.text and not message.evidence:
        raise InvalidInput.of("text", "text.or_evidence", "text or evidence is required")
    user_id, authorization_id, case_id = split_case(message.name)
    return AddEvidence(user_id, authorization_id, case_id, side, message.text, message.evidence)


def _resolve(call: Call[pb.ResolveCaseRequest]) -> ResolveCase:
    user_id, authorization_id, case_id = split_case(call.message.name)
    outcome = OUTCOME_OF[call.message.outcome]
    return ResolveCase(user_id, authorization_id, case_id, outcome, _amount(call), reason(call))


MUTATIONS = (
    Mutation(
        pb.OpenComplaintRequest,
        pb.OpenComplaintResponse,
        Scope.CASES_WRITE,
        about(
            OpenComplaint,
            complaint=lambda call: KIND_OF[call.message.complaint],
            amount=_amount,
            text=lambda call: call.message.text,
            reference=evidence,
            occurred_us=occurred_us,
        ),
        _write,
    ),
    Mutation(
        pb.AddEvidenceRequest, pb.AddEvidenceResponse, Scope.CASES_WRITE, _add_evidence, _write
    ),
    Mutation(pb.ResolveCaseRequest, pb.ResolveCaseResponse, Scope.CASES_WRITE, _resolve, _write),
)


class CaseReads:
    """The reading methods of CaseService."""

    def __init__(self, reader: CaseReader, lists: ListReader, readers: Readers) -> None:
        """`readers` runs the reads."""
        self._reader = reader
        self._lists = lists
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The reading methods with their scopes."""
        return [
            Method("GetCase", pb.GetCaseRequest, Scope.CASES_READ, self.get, max_bytes),
            Method(
                "ListCases",
                pb.ListCasesRequest,
                Scope.CASES_READ,
                self.list,
                max_bytes,
                Weight.LIST,
            ),
        ]

    async def get(self, call: Call[pb.GetCaseRequest]) -> bytes:
        """Answers GetCase."""
        key = split_case(call.message.name)
        found = await self._readers.run(call, partial(self._reader.case, *key))
        if found is None or not may_see(call.principal.operator_id or PLATFORM, found.case):
            raise NotFound("case", key[2])
        return pb.GetCaseResponse(
            case=case_message(found.case),
            evidence=[evidence_message(it) for it in found.evidence],
        ).SerializeToString()

    async def list(self, call: Call[pb.ListCasesRequest]) -> bytes:
        """Answers ListCases."""
        message = call.message
        due_before_us = convert.optional_us(message, "due_before") or 0
        chosen = [message.state, message.kind, message.waits_for, message.user_id, due_before_us]
        filters = CaseFilter(
            operator_id=call.principal.operator_id or "",
            state=STATE_OF.get(message.state, CaseState.OPEN),
            kind=KIND_OF.get(message.kind),
            waits_for=SIDE_OF.get(message.waits_for),
            due_before_us=due_before_us,
            user_id=message.user_id,
        )
        page = await self._readers.run(
            call,
            partial(
                self._lists.cases,
                filters,
                after=filtered_place_of(message.page_token, chosen),
                size=size_of(message.page_size),
            ),
        )
        return pb.ListCasesResponse(
            cases=[case_message(it) for it in page.rows],
            next_page_token=filtered_token_of(page.last, chosen),
        ).SerializeToString()
