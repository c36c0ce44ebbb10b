"""Consents to damage, cancellations by the user, and bounds of extensions, as callers see them."""

from __future__ import annotations

import grpc
import pytest
from freehold.v1.authorization_pb2 import CAPTURE_PURPOSE_DAMAGE, Authorization
from google.protobuf.duration_pb2 import Duration
from sqlalchemy import insert, select

from service.storage import schema as t
from service.storage.database import writing
from tests.rpc.support import Desks, Refused, advance, yuan

A = Authorization
STRICT = "locker"


@pytest.fixture
def strict(desk: Desks) -> Desks:
    """A product with a bound on damage, a fee for cancellations, and bounds of extensions."""
    with writing(desk.served.store.engine) as connection:
        known = t.products.c.product_id == STRICT
        if connection.execute(select(t.products).where(known)).first() is None:
            policy = connection.execute(select(t.policies)).mappings().first()
            product = connection.execute(
                select(t.products).where(t.products.c.operator_id == "city")
            ).mappings()
            rule = {"policy_id": STRICT, "free_cancellation_us": 300_000_000}
            longest = {"longest_reservation_us": 3_600_000_000}
            assert policy is not None
            connection.execute(insert(t.policies), {**policy, **rule, **longest})
            terms = {"cancellation_fee_minor": 200, "damage_without_consent_minor": 1_000}
            named = {"product_id": STRICT, "policy_id": STRICT}
            connection.execute(insert(t.products), {**product.fetchmany(1)[0], **named, **terms})
    return desk


def reserved(desk: Desks) -> A:
    """A reservation of a new person."""
    start = "START_ON_PICKUP"
    return desk.operator.authorize(desk.platform.person(), STRICT, start=start)


def test_28_the_refusal_says_how_much_needs_no_consent(strict: Desks) -> None:
    """28: a capture for damage above the bound is FAILED_PRECONDITION with the amount that is left.
    The same request passes with the consent, and GetAuthorization shows the consent."""
    rental = strict.operator.authorize(strict.platform.person(), STRICT)
    asked = {
        "name": rental.name, "amount": yuan(1_001), "purpose": CAPTURE_PURPOSE_DAMAGE,
        "final": False, "request_id": strict.operator.fresh(),
    }  # fmt: skip
    with pytest.raises(Refused) as caught:
        strict.operator.call("SettleAuthorization", **asked)
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.reason == "CONSENT_REQUIRED"
    left = {"without_consent_minor": "1000", "left_minor": "1000"}
    assert caught.value.info.metadata == left
    assert "user_consent_reference" in caught.value.message
    strict.operator.call("SettleAuthorization", **asked, user_consent_reference="form/7#a")
    told = strict.operator.call("GetAuthorization", name=rental.name)
    (consent,) = told.consents
    assert (consent.version, consent.user_consent_reference) == (2, "form/7#a")
    assert consent.create_time == told.captures[0].create_time


def test_32_a_user_cancels_by_name_only(strict: Desks) -> None:
    """32: a late cancellation answers SETTLED with the fee. It is refused if it names the request
    id of an Authorize. An item that was never out has no receipt."""
    it = reserved(strict)
    advance(strict, 301)
    origin = {"user_id": it.name.split("/")[1], "authorize_request_id": "another"}
    with pytest.raises(Refused) as caught:
        strict.operator.call("ReverseAuthorization", origin=origin, user_cancels=True)
    assert caught.value.fields == {"user_cancels"}
    after = strict.operator.call("ReverseAuthorization", name=it.name, user_cancels=True)
    assert (after.authorization.state, after.authorization.due) == (A.STATE_SETTLED, yuan(200))
    with pytest.raises(Refused) as caught:
        strict.operator.call("GetReceipt", name=it.name)
    assert caught.value.reason == "NO_RECEIPT"
    assert strict.platform.verify().verified


def test_32_the_receipt_of_a_free_rental(strict: Desks) -> None:
    """32: a rental that ends within the free time has a fee of zero, which its receipt explains."""
    rental = strict.operator.authorize(strict.platform.person(), STRICT)
    settled = strict.operator.call("SettleAuthorization", name=rental.name, usage={})
    (line,) = settled.fee.lines
    assert (line.item, line.quantity) == (line.ITEM_FREE_MINUTES, 5)
    assert settled.fee.total == yuan(0)
    assert settled.authorization.receipt.total == yuan(0)


def test_25_the_refusal_has_the_time_left(strict: Desks) -> None:
    """25: an extension beyond the bound is FAILED_PRECONDITION with the seconds that are left."""
    it = reserved(strict)
    half = Duration(seconds=1_800)
    strict.operator.call("ExtendRental", name=it.name, duration=half)
    with pytest.raises(Refused) as caught:
        strict.operator.call("ExtendRental", name=it.name, duration=Duration(seconds=1))
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.reason == "EXTENSION_LIMIT"
    assert caught.value.info.metadata == {
        "state": "AUTHORIZED",
        "longest_seconds": "3600",
        "left_seconds": "0",
    }
