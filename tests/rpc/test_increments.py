"""The bounds of increments, as callers see them: an operator does not find a line's free part."""

from __future__ import annotations

from typing import NamedTuple

import grpc
import pytest
from freehold.v1.authorization_pb2 import Authorization
from sqlalchemy import insert, select

from service.storage import schema as t
from service.storage.database import writing
from tests.rpc.support import BIKE_MINOR, Desks, Refused, yuan

LIMIT_MINOR = 30_000
FREE_MINOR = LIMIT_MINOR - BIKE_MINOR
"""The free amount of the line of a person with a score of 620 who rents one bike."""
RANGE_MINOR = 1 << 15
"""The operator guesses from 0 to this amount, and knows that the answer lies between."""
TRIES = 6
"""The tries of the default policy."""
EARLIER = "kayak"


@pytest.fixture
def earlier(desk: Desks) -> Desks:
    """A product like a bike, with the terms of an earlier build: without bounds."""
    with writing(desk.served.store.engine) as connection:
        known = t.products.c.product_id == EARLIER
        if connection.execute(select(t.products).where(known)).first() is None:
            of_bikes = select(t.policies).where(t.policies.c.policy_id == "bike")
            policy = connection.execute(of_bikes).mappings().one()
            bikes = select(t.products).where(
                t.products.c.operator_id == "city", t.products.c.product_id == "bike"
            )
            product = connection.execute(bikes).mappings().one()
            named = {"policy_id": EARLIER}
            connection.execute(insert(t.policies), {**policy, **named, "most_increments": None})
            named["product_id"] = EARLIER
            connection.execute(insert(t.products), {**product, **named, "most_hold_minor": None})
    return desk


class Search(NamedTuple):
    """The result of a bisection: the free amount is at least `low`, and below `high`."""

    low: int
    high: int
    tries: int
    refusals: list[Refused]


def bisect(desk: Desks, it: Authorization) -> Search:
    """Searches for the free amount by increments, and releases what was granted.

    A question for the deposit also tells that the line has the credit part, which is a half.
    """
    low, high, tries = 0, RANGE_MINOR, 0
    refusals: list[Refused] = []
    while high - low > 1:
        tries += 1
        middle = (low + high) // 2
        named = {"name": it.name, "amount": yuan(middle)}
        try:
            desk.operator.call("IncrementAuthorization", **named)
        except Refused as refused:
            refusals.append(refused)
            if refused.reason == "INCREMENT_TRIES_USED":
                break
            fits = {"DEPOSIT_REQUIRED": True, "LINE_EXHAUSTED": False}[refused.reason]
        else:
            desk.operator.call("DecreaseAuthorization", **named)
            fits = True
        low, high = (middle, high) if fits else (low, middle)
    return Search(low, high, tries, refusals)


def require_silent(refusals: list[Refused], free_minor: int) -> None:
    """Requires that no refusal has the free amount, in its text or its metadata."""
    for refused in refusals:
        told = [refused.message, *refused.info.metadata.values()]
        assert not any(str(free_minor) in text for text in told), told


def test_without_a_bound_a_bisection_finds_what_is_free(earlier: Desks) -> None:
    """Under terms of an earlier build, increments and decreases in turn find the free amount to the
    cent, at no cost: this is what the bound of tries is for."""
    it = earlier.operator.authorize(earlier.platform.person(), EARLIER)
    found = bisect(earlier, it)
    assert (found.low, found.tries) == (FREE_MINOR, 15)
    assert earlier.operator.get(it.name).held == yuan(BIKE_MINOR)


def test_a_bisection_learns_one_interval_of_sixty_four(desk: Desks) -> None:
    """With six tries, an operator learns only in which of 64 equal intervals the free amount lies.
    After that every amount gets the same refusal, and no refusal has the free amount in it."""
    it = desk.operator.authorize(desk.platform.person())
    found = bisect(desk, it)
    assert found.low <= FREE_MINOR < found.high
    assert (found.high - found.low, found.tries) == (RANGE_MINOR >> TRIES, TRIES + 1)
    last = found.refusals[-1]
    assert last.code is grpc.StatusCode.FAILED_PRECONDITION
    assert last.info.metadata == {"state": "ACTIVE", "most_increments": str(TRIES)}
    for amount_minor in (1, FREE_MINOR, FREE_MINOR + 1, RANGE_MINOR):
        with pytest.raises(Refused) as caught:
            desk.operator.call("IncrementAuthorization", name=it.name, amount=yuan(amount_minor))
        assert (caught.value.message, caught.value.info) == (last.message, last.info)
    require_silent(found.refusals, FREE_MINOR)
    assert desk.platform.verify().verified


def test_questions_for_the_deposit_do_not_search_longer(desk: Desks) -> None:
    """A person of whom the policy asks a part in cash is searched without any hold: the question
    for the deposit tells that the line has the rest. Each question uses a try as well."""
    it = desk.operator.authorize(desk.platform.person(550.0))
    it = desk.operator.confirm(it.name, it.deposit_asked.amount_minor)
    found = bisect(desk, it)
    free_minor = 20_000 - BIKE_MINOR // 2
    assert found.low <= 2 * free_minor < found.high
    assert (found.high - found.low, found.tries) == (RANGE_MINOR >> TRIES, TRIES + 1)
    decided = [refused for refused in found.refusals if "tries_left" in refused.info.metadata]
    left = [refused.info.metadata["tries_left"] for refused in decided]
    assert left == ["5", "4", "3", "2", "1", "0"]
    require_silent(found.refusals, free_minor)


def test_the_refusal_has_the_amount_left(desk: Desks) -> None:
    """An increment beyond the product's bound is FAILED_PRECONDITION with what is left of the
    bound. An umbrella is not raised to many times its deposit and settled."""
    it = desk.operator.authorize(desk.platform.person(), "umbrella")
    for amount_minor in (44_100, 5_901):
        with pytest.raises(Refused) as caught:
            desk.operator.call("IncrementAuthorization", name=it.name, amount=yuan(amount_minor))
        assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.reason == "INCREMENT_LIMIT"
        assert caught.value.info.metadata == {
            "state": "ACTIVE",
            "most_hold_minor": "11800",
            "left_minor": "5900",
        }
    desk.operator.call("IncrementAuthorization", name=it.name, amount=yuan(5_900))
    settled = desk.operator.settle(it.name, 11_800)
    assert settled.captured == yuan(11_800)
