"""38: all charges for damage to one rental together stay within its deposit."""

from __future__ import annotations

import pytest

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Start, State
from service.domain.captures import Purpose
from service.domain.errors import FreeholdError, InvalidInput
from service.domain.ledger import Standing
from service.domain.money import Money
from service.engine.operations import Authorize, BookDebt, Item, SetStanding
from service.storage import schema as t
from tests.engine import acts
from tests.engine.acts import DAY_US, HOUR_US
from tests.engine.calls import CNY, authorize, refused, rental, reverse, settle, stored
from tests.fakes import START_US, Desk

DAMAGE, PENALTY = Purpose.DAMAGE, Purpose.PENALTY
DEPOSIT = 9_900
"""The deposit of a power bank."""


def damage(
    parent: Authorization, amount_minor: int | None, product_id: str = "power-bank"
) -> Authorize:
    """A damage charge on a power bank."""
    amount = None if amount_minor is None else Money(CNY, amount_minor)
    return Authorize(
        parent.user_id,
        (Item(product_id, ""),),
        Start.IMMEDIATE,
        (),
        parent_id=parent.authorization_id,
        amount=amount,
    )


@pytest.fixture
def out(desk: Desk) -> Authorization:
    """A power bank that is out, of a person whose line is large."""
    desk.put_user("ann", 700)
    return rental(desk, authorize("ann", "power-bank"))


def rule_of(error: FreeholdError) -> str:
    """The rule of an error with one violation."""
    assert isinstance(error, InvalidInput)
    (violation,) = error.violations
    return violation.rule


def require_left(desk: Desk, parent: Authorization, left_minor: int) -> Authorization:
    """Requires that exactly this amount is left for damage; returns a charge for all of it."""
    error = refused(desk, damage(parent, left_minor + 1))
    assert rule_of(error) == "amount.exceeds_damage"
    assert isinstance(error, InvalidInput)
    assert f"at most {left_minor}" in error.violations[0].description
    return rental(desk, damage(parent, left_minor))


def test_38_damage_in_the_rental_is_bounded(desk: Desk, out: Authorization) -> None:
    """38: captures for damage in one rental are together at most its deposit, even if more is held.
    A penalty does not count toward this bound, and an amount that was given up may be captured
    again."""
    it = rental(desk, acts.increment(out, 5_000))
    it = rental(desk, acts.capture(it, 6_000, DAMAGE))
    it = rental(desk, acts.capture(it, 1_000, PENALTY))
    assert rule_of(refused(desk, acts.capture(it, 3_901, DAMAGE))) == "amount.exceeds_damage"
    it = rental(desk, acts.capture(it, 3_900, DAMAGE))
    assert rule_of(refused(desk, acts.capture(it, 1, DAMAGE))) == "amount.exceeds_damage"
    it = rental(desk, acts.lower(it, 500, 1))
    it = rental(desk, acts.capture(it, 500, DAMAGE))
    assert it.other_captured_minor == 11_400


def test_38_later_charges_count_what_the_rental_has(desk: Desk, out: Authorization) -> None:
    """38: a later damage charge is at most the rest of the deposit, after captures for damage in
    the rental and after other damage charges."""
    it = rental(desk, acts.capture(out, 2_000, DAMAGE))
    parent = rental(desk, settle(it, 600))
    first = rental(desk, damage(parent, 3_000))
    second = require_left(desk, parent, 4_900)
    # What a closed charge did not capture is free again.
    rental(desk, settle(first, 1_000))
    rental(desk, reverse(second))
    third = require_left(desk, parent, 6_900)
    # And so is what was given back.
    rental(desk, settle(third, 6_900))
    rental(desk, acts.lower(third, 900))
    require_left(desk, parent, 900)


def test_38_a_charge_without_an_amount_asks_for_the_deposit(desk: Desk, out: Authorization) -> None:
    """38: a damage charge without an amount asks for the whole deposit, and is refused if a part of
    it is used."""
    parent = rental(desk, settle(out, 600))
    it = rental(desk, damage(parent, 100))
    assert rule_of(refused(desk, damage(parent, None))) == "amount.exceeds_damage"
    rental(desk, reverse(it))
    assert rental(desk, damage(parent, None)).held_minor == DEPOSIT


def test_38_a_damage_charge_is_raised_within_the_bound(desk: Desk, out: Authorization) -> None:
    """38: an increment of a damage charge counts like another damage charge."""
    parent = rental(desk, settle(rental(desk, acts.capture(out, 4_000, DAMAGE)), 0))
    it = rental(desk, damage(parent, 3_000))
    assert rule_of(refused(desk, acts.increment(it, 2_901))) == "amount.exceeds_damage"
    it = rental(desk, acts.increment(it, 2_900))
    assert it.held_minor == 5_900
    assert rule_of(refused(desk, damage(parent, 1))) == "amount.exceeds_damage"


def test_38_a_charge_that_lapsed_counts_no_more(desk: Desk, out: Authorization) -> None:
    """38: after its time has ended, a damage charge no longer counts toward the bound, even before
    its end is posted."""
    parent = rental(desk, settle(out, 600))
    it = rental(desk, damage(parent, DEPOSIT))
    rental(desk, acts.capture(it, 4_000))
    assert it.expire_us is not None
    desk.clock.advance(it.expire_us - 1)
    assert rule_of(refused(desk, damage(parent, 1))) == "amount.exceeds_damage"
    desk.clock.advance(it.expire_us)
    require_left(desk, parent, DEPOSIT - 4_000)
    assert stored(desk, it).state is State.ACTIVE


def test_38_two_charges_in_one_batch(desk: Desk, out: Authorization) -> None:
    """38: of two damage charges in one batch the second sees the first."""
    parent = rental(desk, settle(out, 600))
    works = [desk.work(damage(parent, 5_000)) for _ in range(2)]
    first, second = desk.apply(*works)
    assert isinstance(first, bytes)
    assert isinstance(second, InvalidInput)
    assert rule_of(second) == "amount.exceeds_damage"


def test_38_a_charge_is_for_the_product_of_the_rental(desk: Desk, out: Authorization) -> None:
    """38: a damage charge names the product of its rental."""
    parent = rental(desk, settle(out, 600))
    for product_id in ("bike", "umbrella"):
        error = refused(desk, damage(parent, 100, product_id))
        assert rule_of(error) == "product_id.parent"


def test_38_a_damage_charge_captures_damage(desk: Desk, out: Authorization) -> None:
    """38: a capture of a damage charge is for damage, unless the caller says that it is a penalty.
    It is never for the fee."""
    it = rental(desk, damage(rental(desk, settle(out, 600)), 1_000))
    assert rule_of(refused(desk, acts.capture(it, 10, Purpose.FEE))) == "purpose.damage_charge"
    it = rental(desk, acts.capture(it, 100))
    it = rental(desk, acts.capture(it, 200, PENALTY))
    assert (it.captured_minor, it.other_captured_minor) == (300, 300)


def test_38_each_rental_has_its_own_bound(desk: Desk, out: Authorization) -> None:
    """38: the charges of one rental take nothing of another's bound."""
    parent = rental(desk, settle(rental(desk, acts.capture(out, DEPOSIT, DAMAGE)), 0))
    desk.clock.advance(START_US + DAY_US + HOUR_US)
    assert rule_of(refused(desk, damage(parent, 1))) == "amount.exceeds_damage"
    other = rental(desk, settle(rental(desk, authorize("ann", "power-bank")), 600))
    assert rental(desk, damage(other, DEPOSIT)).held_minor == DEPOSIT


# -- the number of charges -------------------------------------------------------------------------


def test_38_charges_for_damage_do_not_search_the_line(desk: Desk) -> None:
    """Charges for damage to one rental are decided at most as often as the policy allows tries,
    granted, declined and reversed ones together. The next one is refused before the line is looked
    at, and a debt is booked all the same."""
    acts.change_terms(desk, t.policies, "small-item", most_increments=3)
    desk.put_user("ann", 700)
    parent = settle_now(desk, rental(desk, authorize("ann", "power-bank")))
    for amount_minor in (100, 200):
        charge = rental(desk, damage(parent, amount_minor))
        desk.do(reverse(charge))
    desk.do(SetStanding("ann", Standing.SUSPENDED), caller=PLATFORM)
    declined = desk.do(damage(parent, 300))
    assert isinstance(declined, Authorization)
    assert declined.state is State.DECLINED
    error = refused(desk, damage(parent, 400))
    assert error.reason == "DAMAGE_TRIES_USED"
    assert error.metadata == {"state": "SETTLED", "most_increments": "3"}
    booked = desk.do(BookDebt(*acts.name(parent), acts.money(500), "dent", "photo-1"))
    assert isinstance(booked, Authorization)
    assert booked.unheld_minor == 500


def test_38_debts_are_no_tries(desk: Desk) -> None:
    """A debt without a hold was not decided on the line, so it does not count as a try."""
    acts.change_terms(desk, t.policies, "small-item", most_increments=1)
    desk.put_user("ann", 700)
    parent = settle_now(desk, rental(desk, authorize("ann", "power-bank")))
    desk.do(BookDebt(*acts.name(parent), acts.money(500), "dent", "photo-1"))
    assert rental(desk, damage(parent, 300)).state is State.ACTIVE
    assert refused(desk, damage(parent, 300)).reason == "DAMAGE_TRIES_USED"


def settle_now(desk: Desk, it: Authorization) -> Authorization:
    """The rental, settled for nothing."""
    desk.do(settle(it, 0))
    return stored(desk, it)
