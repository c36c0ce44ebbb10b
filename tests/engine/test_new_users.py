"""Stricter terms for new people, cut-offs by category, and ladders of deposits."""

from __future__ import annotations

import pytest

from service.domain.authorization import Authorization, Start, State
from service.domain.policy import Offer, Reason
from service.domain.rules import CutOff, NewUser, Outcome, Over, Rules, Rung
from service.domain.rules_document import json_of_rules
from service.domain.tariff import DAY_US
from service.engine.operations import Authorize
from service.storage import schema as t
from tests.engine import acts
from tests.engine.calls import authorize, confirm, rental, reverse, settle
from tests.engine.test_velocity import move, read_values
from tests.fakes import OTHER_OPERATOR, START_US, Desk


def under(desk: Desk, rules: Rules) -> None:
    """Puts the policy of bikes under rules."""
    acts.change_terms(desk, t.policies, "bike", rules=json_of_rules(rules))


def rented(desk: Desk, command: Authorize, caller: str) -> None:
    """One settled rental."""
    it = rental(desk, command, caller=caller)
    rental(desk, settle(it, 0), caller=caller)


@pytest.mark.parametrize("over", list(Over))
def test_a_person_is_new_until_enough_rentals_are_settled(desk: Desk, over: Over) -> None:
    """A person with one settled rental is new where two are needed; the next one is not. Rentals
    of another operator count only for a rule over all operators."""
    rule = NewUser(until_settled=2, mildest_offer=Outcome.FULL, then=Outcome.FULL, over=over)
    under(desk, Rules(new_user=rule))
    desk.put_user("ann", 700)
    rented(desk, authorize("ann", "umbrella"), OTHER_OPERATOR)
    rented(desk, authorize("ann", "umbrella"), "city")
    found = rental(desk, authorize())
    if over is Over.OPERATOR:
        assert (found.offer, found.reasons) == (Offer.FULL, (Reason.NEW_USER,))
        assert read_values(desk, found) == {"user.settled": 1}
        rented(desk, authorize("ann", "umbrella"), "city")
        found = rental(desk, authorize())
    else:
        assert read_values(desk, found) == {"user.settled.all_operators": 2}
    assert (found.offer, found.reasons) == (Offer.ZERO, ())


def test_a_person_is_new_for_some_days(desk: Desk) -> None:
    """A person is new until exactly 10 days after the first rental was asked for."""
    rule = NewUser(until_us=10 * DAY_US, mildest_offer=Outcome.REDUCED)
    under(desk, Rules(new_user=rule))
    desk.put_user("ann", 700)
    first = rental(desk, authorize())
    assert (first.offer, first.cash_minor) == (Offer.REDUCED, 9_950)
    assert first.reasons == (Reason.NEW_USER,)
    rented(desk, authorize("ann", "umbrella"), "city")
    move(desk, START_US + 10 * DAY_US - 1)
    assert rental(desk, authorize()).offer is Offer.REDUCED
    move(desk, START_US + 10 * DAY_US)
    assert rental(desk, authorize()).offer is Offer.ZERO


def test_an_ended_reservation_makes_nobody_older(desk: Desk) -> None:
    """A reservation that lapsed counts as no first rental, whether a timer has ended it or not; nor
    does one that an earlier call of the batch reverses."""
    rule = NewUser(until_us=DAY_US, mildest_offer=Outcome.REDUCED)
    desk.put_user("ann", 700)
    reserved = rental(desk, authorize()._replace(start=Start.ON_PICKUP))
    assert reserved.state is State.AUTHORIZED
    under(desk, Rules(new_user=rule))
    assert reserved.expire_us is not None
    move(desk, max(reserved.expire_us, START_US + DAY_US))
    assert rental(desk, authorize()).offer is Offer.REDUCED
    other = rental(desk, authorize("ann", "umbrella"))
    move(desk, desk.clock.now_us() + DAY_US)
    ask = desk.work(authorize(), request_id="ask")
    desk.apply(desk.work(reverse(other)), ask)
    told = desk.answers["ask"]
    assert isinstance(told, Authorization)
    assert told.offer is Offer.REDUCED


def test_of_a_new_persons_deposit_only_a_part_is_waived(desk: Desk) -> None:
    """A new person with a score for no deposit gets at most 50.00 of it on credit; an increment
    cannot raise that."""
    under(desk, Rules(new_user=NewUser(until_settled=1, most_waived_minor=5_000)))
    desk.put_user("ann", 700)
    it = rental(desk, authorize())
    assert (it.offer, it.credit_minor, it.cash_minor) == (Offer.REDUCED, 5_000, 14_900)
    assert it.reasons == (Reason.NEW_USER,)
    held = rental(desk, confirm(it))
    with pytest.raises(Exception, match="a cash deposit of 1000 is required"):
        desk.do(acts.increment(held, 1_000))


def test_a_new_person_has_few_open_rentals(desk: Desk) -> None:
    """A new person is declined a second open rental where one is allowed."""
    under(desk, Rules(new_user=NewUser(until_settled=3, most_open=1)))
    desk.put_user("ann", 700)
    assert rental(desk, authorize()).state is State.ACTIVE
    second = rental(desk, authorize())
    assert (second.state, second.reasons) == (State.DECLINED, (Reason.NEW_USER_OPEN,))


def test_a_category_has_its_own_cut_offs(desk: Desk) -> None:
    """The cut-offs of the product's category count in place of the policy's, with their own
    share."""
    rules = Rules(cut_off=(CutOff("BIKE", 680, 660, 2_500), CutOff("UMBRELLA", 0, 0)))
    under(desk, rules)
    for user_id, score in (("dan", 680), ("eve", 679), ("fay", 659)):
        desk.put_user(user_id, score)
    offers = [rental(desk, authorize(user_id)) for user_id in ("dan", "eve", "fay")]
    assert [it.offer for it in offers] == [Offer.ZERO, Offer.REDUCED, Offer.FULL]
    assert offers[1].credit_minor == 4_975
    assert [it.reasons[:1] for it in offers] == [
        (),
        (Reason.SCORE_BELOW_ZERO_DEPOSIT,),
        (Reason.SCORE_BELOW_REDUCED_DEPOSIT,),
    ]


def test_a_ladder_has_several_shares(desk: Desk) -> None:
    """Each step of a ladder holds its own share on credit; if the line is too small, the next step
    that fits is offered."""
    under(desk, Rules(ladder=(Rung(690, 10_000), Rung(600, 7_500), Rung(500, 2_500))))
    expected = {
        690: (Offer.ZERO, 19_900),
        689: (Offer.REDUCED, 14_925),
        500: (Offer.REDUCED, 4_975),
    }
    for score, (offer, credit_minor) in expected.items():
        desk.put_user(f"p{score}", score)
        it = rental(desk, authorize(f"p{score}"))
        assert (it.offer, it.credit_minor) == (offer, credit_minor)
    # A score of 600 has a limit of 300.00: after a bike for 149.25 only the lowest step fits.
    desk.put_user("gil", 600)
    rental(desk, confirm(rental(desk, authorize("gil"))))
    rental(desk, authorize("gil", "umbrella"))
    last = rental(desk, authorize("gil"))
    assert (last.credit_minor, last.cash_minor) == (4_975, 14_925)
    assert last.reasons[0] == Reason.LINE_EXHAUSTED
