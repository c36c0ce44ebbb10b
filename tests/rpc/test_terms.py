"""TermsService: documents of terms over gRPC."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from freehold.v1 import terms_service_pb2 as pb

from service.domain.access import Scope, new_key, possible_scopes, scopes_of
from service.engine.records.administration import NewKey
from service.storage import admin
from tests.fakes import OPERATOR, START_US
from tests.rpc.support import RPCS, Caller, Desks
from tests.storage.administered import DAY_TARIFF

TARIFF = pb.TERMS_KIND_TARIFF


def caller_of(
    desk: Desks,
    scopes: frozenset[Scope],
    person_id: str = "",
    owner: str | None = OPERATOR,
) -> Caller:
    """A caller of an operator, or of the platform (None), with these scopes."""
    key = new_key()
    wanted = NewKey(owner, person_id, scopes=frozenset(map(str, scopes)))
    admin.add_key(desk.served.store.engine, key, owner, START_US, wanted=wanted)
    return Caller(desk.served.address, key)


def tariff(caller: Caller, **changes: Any) -> str:
    """The document of a new tariff."""
    return json.dumps({**DAY_TARIFF, "name": caller.fresh("t"), **changes})


def test_an_operator_applies_and_activates_its_own_terms(desk: Desks) -> None:
    """An operator applies a draft, activates it, reads it and compares it; a retry with the JSON
    written another way gets the same answer."""
    caller = caller_of(desk, possible_scopes(OPERATOR))
    text = tariff(caller)
    request = pb.ApplyTermsRequest(request_id=caller.fresh(), kind=TARIFF, document=text)
    first = caller.send("ApplyTerms", request)
    request.document = json.dumps(json.loads(text), indent=2)
    assert caller.send("ApplyTerms", request) == first
    made = pb.ApplyTermsResponse.FromString(first).result
    assert made.outcome == pb.TERMS_OUTCOME_VALIDATED
    named = {"kind": TARIFF, "name": made.terms.name}
    active = caller.call("ActivateTerms", **named, revision=1, reason="now").result
    assert active.terms.state == pb.TERMS_STATE_ACTIVE
    assert active.terms.activation.by.startswith(f"{OPERATOR}/keys/")
    assert caller.call("GetTerms", **named).terms == active.terms
    changed = json.dumps({**json.loads(text), "day_cap_minor": 7})
    (found,) = caller.call("DiffTerms", **named, document=changed).differences
    assert (found.path, found.before, found.after) == ("day_cap_minor", "3000", "7")
    names, token = [], ""
    while True:
        page = caller.call("ListTerms", kind=TARIFF, page_size=1, page_token=token)
        names += [it.name for it in page.terms]
        token = page.next_page_token
        if not token:
            break
    assert made.terms.name in names
    assert sorted(names) == names
    caller.close()


def test_terms_need_scopes_that_are_said(desk: Desks) -> None:
    """A usual key reads terms and changes none; a key without terms.activate keeps drafts only."""
    usual = caller_of(desk, scopes_of(OPERATOR))
    usual.call("ListTerms")
    request = {"kind": TARIFF, "document": tariff(usual)}
    refused = usual.refused("ApplyTerms", _request(usual, **request))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    drafts = caller_of(desk, scopes_of(OPERATOR) | {Scope.TERMS_WRITE})
    drafts.call("ApplyTerms", **request)
    refused = drafts.refused("ApplyTerms", _request(drafts, **request, activate=True))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    usual.close()
    drafts.close()


def _request(caller: Caller, **parts: Any) -> Any:
    return RPCS["ApplyTerms"].request(request_id=caller.fresh(), **parts)


@pytest.mark.parametrize(
    ("parts", "reason", "fields"),
    [
        ({"document": "{"}, "INVALID_INPUT", {"document"}),
        ({"document": "[]"}, "INVALID_INPUT", {"document"}),
        ({"document": '{"a": 1, "a": 2}'}, "INVALID_INPUT", {"document"}),
        ({"document": '{"a": "\\ud83d"}'}, "INVALID_INPUT", {"document"}),
        ({"document": "{}", "beyond_bounds": True}, "INVALID_INPUT", {"beyond_bounds"}),
        ({"kind": pb.TERMS_KIND_LIMITS, "document": "{}"}, "INVALID_INPUT", {"kind"}),
        (
            {"document": '{"arithmetic": 1, "name": "x", "buy_out": 1}'},
            "TERMS_WRONG",
            {
                *("document.currency", "document.start_fee_minor", "document.free_minutes"),
                *("document.interval_minutes", "document.interval_price_minor"),
                *("document.day_cap_minor", "document.buy_out_minor", "document.buy_out"),
            },
        ),
    ],
)
def test_a_wrong_document_is_refused_with_its_faults(
    desk: Desks, parts: dict[str, Any], reason: str, fields: set[str]
) -> None:
    """A document that is no JSON object, or makes no sense, is INVALID_ARGUMENT with all faults."""
    caller = caller_of(desk, possible_scopes(OPERATOR))
    refused = caller.refused("ApplyTerms", _request(caller, **{"kind": TARIFF, **parts}))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.reason, refused.fields) == (reason, fields)
    caller.close()


def test_the_platform_acts_on_an_operators_terms(desk: Desks) -> None:
    """The platform applies terms of an operator, who is not told which person of the platform did;
    another operator's terms are not found."""
    text = tariff(desk.admin)
    made = desk.admin.call("ApplyTerms", operator_id=OPERATOR, kind=TARIFF, document=text).result
    assert made.terms.draft.by.startswith("platform/persons/root/")
    caller = caller_of(desk, possible_scopes(OPERATOR))
    seen = caller.call("GetTerms", kind=TARIFF, name=made.terms.name).terms
    assert (seen.digest, seen.draft.by) == (made.terms.digest, "")
    foreign = RPCS["GetTerms"].request(operator_id="harbour", kind=TARIFF, name="bike")
    assert caller.refused("GetTerms", foreign).reason == "OPERATOR_NOT_FOUND"
    caller.close()
