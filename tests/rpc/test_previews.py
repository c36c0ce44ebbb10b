"""PreviewTerms over gRPC: figures, bounds, and what an operator may not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from freehold.v1.terms_preview_pb2 import (
    PREVIEW_ANSWER_REDUCED,
    PREVIEW_ANSWER_UNCERTAIN,
    PREVIEW_ANSWER_ZERO,
)
from freehold.v1.terms_service_pb2 import (
    TERMS_KIND_LIMITS,
    TERMS_KIND_POLICY,
    TERMS_KIND_TARIFF,
)

from service.domain.access import PLATFORM
from service.domain.documents import DocumentKind
from service.ids import RandomIds
from service.storage.admin import by_shell
from service.storage.terms_acts import Order, apply_terms
from tests.fakes import OPERATOR, START_US, serving
from tests.preview.test_bills import HALF_HOURS
from tests.rpc.support import Desks, Refused, advance, desks

DAY_S = 86_400
POLICY = {
    "name": "bike",
    "zero_from_score": 500,
    "reduced_from_score": 450,
    "reduced_credit_share_bp": 5_000,
}


def policy(**values: Any) -> dict[str, Any]:
    """The parts of a request for a policy."""
    return {"kind": TERMS_KIND_POLICY, "document": json.dumps({**POLICY, **values})}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desks]:
    """A server whose ids begin with the time."""
    with serving(tmp_path, ids=RandomIds()) as served, desks(served) as callers:
        yield callers


@pytest.fixture
def busy(desk: Desks) -> Desks:
    """A server on which 20 people with score 550 asked for a bike, and each was offered it for a
    part of the deposit."""
    for _ in range(20):
        desk.operator.call("Authorize", user_id=desk.platform.person(550), product_id="bike")
    advance(desk, DAY_S)
    return desk


def answers(found: Any) -> dict[tuple[int, int], int]:
    """The decisions by their answers before and after."""
    return {(it.before, it.after): it.decisions for it in found.whole.answers}


def test_a_draft_is_previewed_over_the_wire(busy: Desks) -> None:
    """The platform sees that 20 people would need no deposit; the operator knows only that a part
    of it was covered. Both get the money, the reasons and the picture."""
    reduced, zero, unsure = PREVIEW_ANSWER_REDUCED, PREVIEW_ANSWER_ZERO, PREVIEW_ANSWER_UNCERTAIN
    found = busy.platform.call("PreviewTerms", operator_id=OPERATOR, **policy(), picture_width=420)
    assert answers(found) == {(reduced, zero): 20}
    assert (found.operator_id, found.name, found.whole.decisions) == (OPERATOR, "bike", 20)
    assert (found.whole.changed.least, found.whole.changed.most) == (20, 20)
    (cash,) = found.whole.cash_asked
    assert (cash.currency_code, cash.before_minor, cash.after_minor.most) == ("CNY", 199_000, 0)
    assert found.picture.startswith("<svg ")
    own = busy.operator.call("PreviewTerms", **policy())
    assert answers(own) == {(reduced, unsure): 20}
    assert own.picture == ""
    assert own.until_time.seconds % DAY_S == 0


def test_an_operator_needs_enough_people(desk: Desks) -> None:
    """With decisions on one person an operator's preview is refused; the platform's is not."""
    desk.operator.call("Authorize", user_id=desk.platform.person(550), product_id="bike")
    advance(desk, DAY_S)
    with pytest.raises(Refused) as refusal:
        desk.operator.call("PreviewTerms", **policy())
    assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
    found = desk.platform.call("PreviewTerms", operator_id=OPERATOR, **policy())
    assert found.whole.decisions == 1


def test_a_tariff_is_previewed_over_the_wire(busy: Desks) -> None:
    """A tariff's preview has its name, and no fees while nothing is settled."""
    document = json.dumps(HALF_HOURS)
    found = busy.operator.call(
        "PreviewTerms", kind=TERMS_KIND_TARIFF, document=document, product_ids=["bike"], days=7
    )
    assert (found.name, list(found.whole.fees)) == ("half-hours", [])
    assert (found.until_time.seconds - found.from_time.seconds) == 7 * DAY_S


def test_a_preview_tells_the_faults_of_its_draft(busy: Desks) -> None:
    """A tariff that breaks the rules of a place is previewed, and the answer names each of them."""
    bounds = {"name": OPERATOR, "jurisdictions": ["CN-BJ"]}
    order = Order(DocumentKind.BOUNDS, PLATFORM, bounds, "", activate=True)
    asked = by_shell("apply_terms", [], "", "tester")
    apply_terms(busy.served.store.engine, asked, order, START_US, lambda _: b"")
    busy.operator.call("ListTerms")
    tariff = {"kind": TERMS_KIND_TARIFF, "document": json.dumps(HALF_HOURS)}
    found = busy.operator.call("PreviewTerms", **tariff, product_ids=["bike", "power-bank"])
    assert {it.rule for it in found.faults} >= {"CN-BJ.UNIT_AT_MOST_15_MINUTES"}
    assert all(it.path and it.description for it in found.faults)
    assert not busy.operator.call("PreviewTerms", **tariff, product_ids=["bike"]).faults


@pytest.mark.parametrize(
    "parts",
    [
        {"operator_id": "nowhere", **policy()},
        {**policy(zero_from_score="high")},
        {"kind": TERMS_KIND_POLICY, "document": "[]"},
        {"kind": TERMS_KIND_LIMITS, "document": "{}"},
        {**policy(), "days": 93},
        {**policy(), "product_ids": ["boat"]},
    ],
)
def test_a_wrong_question_is_refused(desk: Desks, parts: dict[str, Any]) -> None:
    """Another operator, a wrong document, a kind without a preview, too many days and an unknown
    product are refused."""
    with pytest.raises(Refused) as refusal:
        desk.operator.call("PreviewTerms", **parts)
    assert refusal.value.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


def test_the_platform_names_the_operator(desk: Desks) -> None:
    """A preview is of one operator's rentals, which the platform must name."""
    with pytest.raises(Refused) as refusal:
        desk.platform.call("PreviewTerms", **policy())
    assert refusal.value.code is grpc.StatusCode.INVALID_ARGUMENT
