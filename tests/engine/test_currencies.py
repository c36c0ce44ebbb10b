"""Several currencies: limits that follow the score in each, and one total exposure."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, State
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine import operations as c
from service.storage import schema as t
from service.storage.compatibility import EXPOSURE_BUILD
from tests.engine.calls import authorize, pay, refused, rental, reverse, settle
from tests.engine.currencies import (
    EUR,
    EURO_RATE,
    SCOOTER_MINOR,
    STEPS,
    change_limits,
    limit_in,
    line_in,
    offer_euros,
)
from tests.fakes import Desk

WORTH_MINOR = 31_400
"""A scooter's deposit in fen."""


def bike(desk: Desk, user_id: str = "ann") -> Authorization:
    """An order of a bike, whose deposit is 199 yuan."""
    return rental(desk, authorize(user_id))


def scooter(desk: Desk, user_id: str = "ann") -> Authorization:
    """An order of a scooter, whose deposit is 40 euros."""
    return rental(desk, authorize(user_id, "scooter"))


def more(it: Authorization, amount_minor: int) -> c.Increment:
    """An increment in euros."""
    return c.Increment(it.user_id, it.authorization_id, Money(EUR, amount_minor))


@pytest.fixture
def two(desk: Desk) -> Desk:
    """Each currency is by itself."""
    offer_euros(desk)
    return desk


@pytest.fixture
def total(desk: Desk) -> Desk:
    """The exposures of a person together are bounded by the limit in yuan."""
    offer_euros(desk, {EUR: EURO_RATE})
    return desk


# -- limits in each currency -----------------------------------------------------------------------


def test_the_first_rental_in_a_currency_opens_a_line_with_the_limit_of_the_score(two: Desk) -> None:
    """A person has no line in a currency before the first rental in it, and then has the limit that
    the score of the stored features gives in it."""
    assert limit_in(two, EUR) is None
    it = scooter(two)
    assert (it.offer, it.held_credit_minor, it.currency) == (Offer.ZERO, SCOOTER_MINOR, EUR)
    assert limit_in(two, EUR) == 6_000
    assert limit_in(two, "CNY") == 50_000
    low = scooter(two, "ben")
    assert (low.state, limit_in(two, EUR, "ben")) == (State.OFFERED, 2_000)


def test_a_person_without_a_score_has_no_limit_in_a_further_currency(two: Desk) -> None:
    """An unknown person's line in a currency has the limit 0, and so has a person's without
    consent."""
    two.put_user("eva", 700, consent=False)
    for user_id in ("eva", "stranger"):
        assert scooter(two, user_id).credit_minor == 0
        assert limit_in(two, EUR, user_id) == 0


def test_new_features_bring_the_limits_in_all_currencies(two: Desk) -> None:
    """PutUsers sets the limit of each line that the person has; a cut waits for the holds."""
    scooter(two)
    two.put_user("ann", 550)
    line = line_in(two, EUR)
    assert line is not None
    assert (line.limit_minor, line.cut_pending_minor) == (SCOOTER_MINOR, 2_000)
    assert limit_in(two, "CNY") == 10_000
    two.put_user("ann", 700)
    assert (limit_in(two, EUR), limit_in(two, "CNY")) == (6_000, 50_000)


def test_a_line_of_an_earlier_build_gets_its_limit_with_the_next_features(two: Desk) -> None:
    """A line in a further currency that has the limit 0, as earlier builds opened it, has the limit
    of the score after the next PutUsers."""
    steps = {**STEPS, EUR: ((500, 0),)}
    change_limits(two, steps=steps)
    scooter(two)
    assert limit_in(two, EUR) == 0
    change_limits(two)
    two.put_user("ann", 700)
    assert limit_in(two, EUR) == 6_000


def test_a_fixed_limit_stays_in_its_currency(two: Desk) -> None:
    """A limit fixed by hand in one currency stays until the score decides again in it."""
    two.do(c.SetLimit("ann", Money(EUR, 5_000)), caller=PLATFORM)
    two.put_user("ann", 700)
    assert (limit_in(two, EUR), limit_in(two, "CNY")) == (5_000, 50_000)
    two.do(c.SetLimit("ann", None, EUR), caller=PLATFORM)
    two.put_user("ann", 700)
    assert limit_in(two, EUR) == 6_000


def test_a_limit_fixed_in_one_currency_bounds_the_others(two: Desk) -> None:
    """While a person's limit is fixed in one currency, no score opens or raises a limit in another,
    and a lower score lowers it."""
    two.do(c.SetLimit("ann", Money("CNY", 0)), caller=PLATFORM)
    assert scooter(two).credit_minor == 0
    two.put_user("ann", 700)
    assert limit_in(two, EUR) == 0
    two.put_user("eva", 700)
    rental(two, reverse(scooter(two, "eva")))
    two.do(c.SetLimit("eva", Money("CNY", 90_000)), caller=PLATFORM)
    two.put_user("eva", 550)
    assert limit_in(two, EUR, "eva") == 2_000
    two.put_user("eva", 700)
    assert limit_in(two, EUR, "eva") == 2_000


def test_the_currency_of_a_limit_is_named_once(two: Desk) -> None:
    """A call that names an amount and a currency beside it is refused, and so is a currency without
    limits."""
    for command, rule in (
        (c.SetLimit("ann", Money(EUR, 1), EUR), "currency_code.with_limit"),
        (c.SetLimit("ann", None, "USD"), "currency.unknown"),
    ):
        error = refused(two, command, caller=PLATFORM)
        assert isinstance(error, InvalidInput)
        assert [it.rule for it in error.violations] == [rule]


# -- the total exposure ----------------------------------------------------------------------------


def test_without_rates_each_currency_is_by_itself(two: Desk) -> None:
    """Without rates a person uses each line to its own limit."""
    assert scooter(two).offer is Offer.ZERO
    assert bike(two).offer is Offer.ZERO


def test_a_hold_in_one_currency_leaves_less_in_the_other(total: Desk) -> None:
    """40.00 euros are worth 314.00 yuan, and leave 186.00 of 500.00: too little for a bike on
    credit. After the scooter is back, they are free again."""
    it = scooter(total)
    refused_bike = bike(total)
    assert (refused_bike.state, refused_bike.reasons[0]) == (State.OFFERED, "LINE_EXHAUSTED")
    rental(total, reverse(refused_bike))
    rental(total, settle(it, 0, currency=EUR))
    assert bike(total).offer is Offer.ZERO


def test_orders_of_two_currencies_in_one_batch_see_each_other(total: Desk) -> None:
    """Of two orders in one batch that only together exceed the total, the first is granted."""
    for first, second in (
        (("ann", "scooter"), ("ann", "bike")),
        (("dan", "bike"), ("dan", "scooter")),
    ):
        total.put_user(first[0], 700)
        works = [total.work(authorize(*it)) for it in (first, second)]
        total.apply(*works)
        offers = [total.answers[it.request_id].offer for it in works]  # type: ignore[union-attr]
        assert offers[0] is Offer.ZERO
        assert offers[1] is not Offer.ZERO


def test_a_charge_on_credit_counts_until_it_is_paid(total: Desk) -> None:
    """An amount captured on credit stays part of the total until the person has paid it."""
    charged = rental(total, settle(scooter(total), 4_000, currency=EUR))
    assert bike(total).offer is not Offer.ZERO
    rental(total, pay(charged, 4_000, currency=EUR))
    assert bike(total).offer is Offer.ZERO


def test_an_increment_needs_room_in_the_total(total: Desk) -> None:
    """An increment takes credit only within the total, and the hold stays as it was."""
    it = scooter(total)
    total.do(c.SetLimit("ann", Money("CNY", WORTH_MINOR + 784)), caller=PLATFORM)
    assert refused(total, more(it, 100)).reason == "LINE_EXHAUSTED"
    assert rental(total, more(it, 99)).held_credit_minor == 4_099


def test_a_damage_charge_needs_room_in_the_total(total: Desk) -> None:
    """A charge for damage is decided within the total too."""
    back = rental(total, settle(scooter(total), 0, currency=EUR))
    total.do(c.SetLimit("ann", Money("CNY", WORTH_MINOR - 1)), caller=PLATFORM)
    item = (c.Item("scooter", ""),)
    charge = c.Authorize(
        "ann", item, authorize().start, (), parent_id=back.authorization_id,
        amount=Money(EUR, SCOOTER_MINOR), user_consent_reference="yes",
    )  # fmt: skip
    assert rental(total, charge).offer is not Offer.ZERO


def test_a_new_rate_ends_no_hold(total: Desk) -> None:
    """If a rate rises while an item is out, its hold stays, and nothing new is held beyond the
    total; settlements go on."""
    it = scooter(total)
    change_limits(total, {EUR: (1_300, 100)})
    assert line_in(total, EUR).held_minor == SCOOTER_MINOR  # type: ignore[union-attr]
    assert refused(total, more(it, 1)).reason == "LINE_EXHAUSTED"
    assert rental(total, authorize("ann", "umbrella")).offer is not Offer.ZERO
    assert rental(total, settle(it, 100, currency=EUR)).captured_minor == 100
    change_limits(total)
    assert bike(total).offer is Offer.ZERO


def test_a_currency_without_a_rate_takes_no_new_holds(total: Desk) -> None:
    """With a total, a currency that has limits and no rate gives no credit."""
    change_limits(total, {"JPY": (5, 1)}, {**STEPS, "JPY": ((500, 9_000),)})
    assert scooter(total).credit_minor == 0
    assert bike(total).offer is Offer.ZERO


def test_an_offer_that_waits_is_measured_again(total: Desk) -> None:
    """An offer in one currency is declined at the payment if another hold has used the total up."""
    total.put_user("eva", 549)
    total.do(c.SetLimit("eva", Money("CNY", 20_000)), caller=PLATFORM)
    total.do(c.SetLimit("eva", Money(EUR, 6_000)), caller=PLATFORM)
    waiting = scooter(total, "eva")
    assert (waiting.state, waiting.credit_minor) == (State.OFFERED, 2_000)
    umbrella = rental(total, authorize("eva", "umbrella"))
    paid = c.Confirm("eva", umbrella.authorization_id, "p-1", Money("CNY", umbrella.cash_minor))
    assert rental(total, paid).state is State.ACTIVE
    total.do(c.SetLimit("eva", Money("CNY", 15_700)), caller=PLATFORM)
    late = c.Confirm("eva", waiting.authorization_id, "p-2", Money(EUR, waiting.cash_minor))
    answer = rental(total, late)
    assert (answer.state, answer.reasons[0]) == (State.DECLINED, "LINE_EXHAUSTED")


def test_lines_of_a_merged_person_count(total: Desk) -> None:
    """After a merge, the euros that the merged person still uses count for the survivor's total,
    also after new features."""
    scooter(total)
    total.put_user("dan", 700)
    total.do(c.ProposeMerge("ann", "dan", "same id card", "key-1"), caller=PLATFORM)
    total.do(c.ApproveMerge("ann", "dan", "key-2"), caller=PLATFORM)
    assert bike(total, "dan").offer is not Offer.ZERO
    total.put_user("dan", 700)
    assert bike(total, "ann").offer is not Offer.ZERO
    assert limit_in(total, "CNY", "dan") == 50_000


def test_rates_shut_out_builds_that_do_not_know_them(desk: Desk) -> None:
    """A document of limits with rates names the first build that knows them; one without does
    not."""
    oldest = select(func.max(t.compatibility.c.oldest_build))
    with desk.store.engine.connect() as connection:
        before = connection.scalar(oldest)
    change_limits(desk)
    with desk.store.engine.connect() as connection:
        assert connection.scalar(oldest) == before
    change_limits(desk, {EUR: EURO_RATE})
    with desk.store.engine.connect() as connection:
        assert connection.scalar(oldest) == EXPOSURE_BUILD
