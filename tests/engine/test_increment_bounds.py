"""Increments are bounded: the whole hold by the product, the tries on one authorization by the
policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.errors import FreeholdError, IllegalState
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine import operations as c
from service.storage import schema as t
from tests.engine import acts
from tests.engine.acts import increment
from tests.engine.calls import authorize, confirm, counts, reason, refused, rental, settle
from tests.engine.test_damage_bound import damage
from tests.fakes import Desk

MOST = 25_000
TRIES = 3


@pytest.fixture(autouse=True)
def bounded(desk: Desk) -> None:
    """Bikes hold at most 250.00 with all increments, and have three tries."""
    acts.change_terms(desk, t.products, "bike", most_hold_minor=MOST)
    acts.change_terms(desk, t.policies, "bike", most_increments=TRIES)


def require_limit(error: FreeholdError, what: str, left_minor: int, most_minor: int = MOST) -> None:
    """Requires a refusal that names the bound and its rest, and nothing else."""
    assert isinstance(error, IllegalState)
    assert error.reason == "INCREMENT_LIMIT"
    advice = f"increment it by at most {left_minor}" if left_minor else "it cannot be incremented"
    assert error.message == f"a {what} holds at most {most_minor} with all increments: {advice}"
    assert error.metadata == {
        "state": "ACTIVE",
        "most_hold_minor": str(most_minor),
        "left_minor": str(left_minor),
    }


def require_used(error: FreeholdError) -> None:
    """Requires a refusal that tells only that all tries are used."""
    assert isinstance(error, IllegalState)
    assert error.reason == "INCREMENT_TRIES_USED"
    assert error.metadata == {"state": "ACTIVE", "most_increments": str(TRIES)}
    assert error.message == (
        "IncrementAuthorization is decided at most 3 times for one authorization, and all tries"
        " are used"
    )


# -- the bound of the whole hold ------------------------------------------------------------------


def test_a_rental_holds_at_most_the_products_bound(desk: Desk) -> None:
    """All increments of a rental together are within the product's bound, to the cent. A refusal
    names the bound and what is left, writes nothing, and uses no try."""
    it = rental(desk, authorize())
    it = rental(desk, increment(it, 5_000))
    before = counts(desk)
    for amount_minor in (101, 50_000):
        require_limit(refused(desk, increment(it, amount_minor)), "rental", 100)
    assert counts(desk) == before
    it = rental(desk, increment(it, 100))
    require_limit(refused(desk, increment(it, 1)), "rental", 0)
    assert it.held_minor == MOST


def test_a_paid_deposit_counts_as_the_credit_does(desk: Desk) -> None:
    """The paid part of the hold counts too, and a refused payment says how its money is
    recorded."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    it = rental(desk, increment(it, 5_000, 2_500))
    error = refused(desk, increment(it, 200, 200, "more-2"))
    assert error.reason == "INCREMENT_LIMIT"
    assert "RecordUnmatched" in error.message
    assert it.held_minor == it.credit_minor + it.cash_minor == 24_900


def test_a_capture_makes_no_room(desk: Desk) -> None:
    """An amount that was captured counts as held: captures and increments in turn do not take more
    than the bound."""
    it = rental(desk, authorize())
    it = rental(desk, increment(it, 5_100))
    it = rental(desk, settle(it, 20_000, final=False))
    require_limit(refused(desk, increment(it, 1)), "rental", 0)
    assert rental(desk, settle(it, 5_000)).captured_minor == MOST


def test_a_decrease_makes_room(desk: Desk) -> None:
    """An amount that was released can be held again."""
    it = rental(desk, authorize())
    it = rental(desk, increment(it, 5_100))
    it = rental(desk, acts.decrease(it, 600))
    require_limit(refused(desk, increment(it, 601)), "rental", 600)
    assert rental(desk, increment(it, 600)).held_minor == MOST


def test_a_deposit_that_comes_back_is_held_up_to_the_bound(desk: Desk) -> None:
    """A bank took the deposit, and the hold was raised meanwhile. When the bank gives the money
    back, it is held up to the product's bound, and the rest is owed to the user."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    taken = c.RecordChargeBack(*acts.name(it), "case-1", acts.money(9_950), payment="pay-1")
    for command in (taken, decided(it, user_won=True)):
        it = rental(desk, command, caller=PLATFORM)
    assert it.held_minor == 9_950
    it = rental(desk, increment(it, 10_000, 5_000))
    it = rental(desk, decided(it, user_won=False), caller=PLATFORM)
    assert it.held_minor == MOST
    assert (it.held_cash_minor, it.refund_payable_minor) == (10_050, 4_900)
    require_limit(refused(desk, increment(it, 1)), "rental", 0)
    report = verify_books(desk.store.engine)
    assert report.fault is None, report.fault


def decided(it: Authorization, *, user_won: bool) -> c.ResolveChargeBack:
    """The decision of the charge-back."""
    return c.ResolveChargeBack(*acts.name(it), user_won, goodwill=False, case_id="case-1")


def test_a_damage_charge_holds_at_most_the_products_bound(desk: Desk) -> None:
    """A damage charge has the same bound, and its refusal names it."""
    acts.change_terms(desk, t.products, "bike", most_hold_minor=19_900)
    parent = rental(desk, settle(rental(desk, authorize()), 600))
    it = rental(desk, damage(parent, 19_000, "bike"))
    require_limit(refused(desk, increment(it, 901)), "damage charge", 900, 19_900)
    assert rental(desk, increment(it, 900)).held_minor == 19_900


def test_terms_of_an_earlier_build_have_no_bound(desk: Desk) -> None:
    """Without bounds in the terms, increments are as large and as many as the line allows, and
    refused tries are not counted."""
    acts.change_terms(desk, t.products, "bike", most_hold_minor=None)
    acts.change_terms(desk, t.policies, "bike", most_increments=None)
    it = rental(desk, authorize())
    for _ in range(20):
        it = rental(desk, increment(it, 1_505))
    assert it.held_minor == 50_000
    error = refused(desk, increment(it, 1))
    assert (error.reason, error.metadata) == ("LINE_EXHAUSTED", {})
    assert counts(desk)["refused_increments"] == 0


# -- the bound of the tries -----------------------------------------------------------------------


def test_granted_and_refused_tries_count(desk: Desk) -> None:
    """Granted increments and those that the line refuses count together. A refusal says how many
    tries are left. Once all are used, any amount gets the same refusal, whatever the line has."""
    acts.change_terms(desk, t.products, "bike", most_hold_minor=None)
    it = rental(desk, authorize())
    it = rental(desk, increment(it, 100))
    error = refused(desk, increment(it, 30_001))
    assert (error.reason, error.metadata) == ("LINE_EXHAUSTED", {"tries_left": "1"})
    it = rental(desk, increment(it, 100))
    before = counts(desk)
    for amount_minor in (1, 29_900, 29_901, 10**9):
        require_used(refused(desk, increment(it, amount_minor)))
    assert counts(desk) == before


def test_a_question_for_the_deposit_counts(desk: Desk) -> None:
    """DEPOSIT_REQUIRED tells that the line has the credit part, so it counts as a try too."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    left = [refused(desk, increment(it, 100)).metadata["tries_left"] for _ in range(TRIES)]
    assert left == ["2", "1", "0"]
    error = refused(desk, increment(it, 100, 50))
    assert error.reason == "INCREMENT_TRIES_USED"
    assert "RecordUnmatched" in error.message


def test_refusals_before_the_line_count_nothing(desk: Desk) -> None:
    """A call that is refused before it is decided on the line uses no try: for a wrong amount, a
    stale version, a consent without damage, or a payment that was recorded before."""
    it = rental(desk, confirm(rental(desk, authorize("ben"))))
    wrong = [
        increment(it, 0),
        replace(increment(it, 100), expected_version=it.version - 1),
        replace(increment(it, 100), user_consent_reference="form-1"),
        increment(it, 100, 0),
        increment(it, 100, 50, "pay-1"),
        replace(increment(it, 100), amount=Money("EUR", 100)),
    ]
    for command in wrong * 2:
        assert reason(refused(desk, command)) not in ("INCREMENT_TRIES_USED", "DEPOSIT_REQUIRED")
    assert counts(desk)["refused_increments"] == 0
    assert refused(desk, increment(it, 100)).metadata["tries_left"] == "2"


def test_a_retry_is_no_try(desk: Desk) -> None:
    """The same request id gets its first answer again, granted or refused, and uses no try; also
    once all tries are used."""
    acts.change_terms(desk, t.products, "bike", most_hold_minor=None)
    it = rental(desk, authorize())
    first = refused(desk, increment(it, 40_000), request_id="r-1")
    rental(desk, increment(it, 100), request_id="r-2")
    rental(desk, increment(it, 100), request_id="r-3")
    before = counts(desk)
    for _ in range(5):
        again = refused(desk, increment(it, 40_000), request_id="r-1")
        assert (again.reason, again.metadata) == (first.reason, first.metadata)
        assert rental(desk, increment(it, 100), request_id="r-2").version == it.version + 1
    assert counts(desk) == before
    require_used(refused(desk, increment(it, 100), request_id="r-4"))


def test_each_authorization_has_its_own_tries(desk: Desk) -> None:
    """The tries of one rental do not use up those of another rental of the same user, also in one
    batch, nor those of a damage charge to it."""
    it = rental(desk, authorize())
    other = rental(desk, authorize())
    works = [desk.work(increment(one, 1)) for one in (it, other) * TRIES]
    assert {reason(result) for result in desk.apply(*works)} == {""}
    for one in (it, other):
        require_used(refused(desk, increment(one, 1)))
    charge = rental(desk, damage(rental(desk, settle(it, 0)), 100, "bike"))
    for _ in range(TRIES):
        charge = rental(desk, increment(charge, 1))
    require_used(refused(desk, increment(charge, 1)))


def test_calls_of_one_batch_count(desk: Desk) -> None:
    """Tries in one batch count one after another, granted and refused ones."""
    acts.change_terms(desk, t.products, "bike", most_hold_minor=None)
    it = rental(desk, authorize())
    amounts = (40_000, 100, 30_001, 100, 100)
    results = desk.apply(*[desk.work(increment(it, minor)) for minor in amounts])
    assert [reason(result) for result in results] == [
        *("LINE_EXHAUSTED", "", "LINE_EXHAUSTED", "INCREMENT_TRIES_USED", "INCREMENT_TRIES_USED")
    ]


def test_a_policy_may_allow_no_increment(desk: Desk) -> None:
    """A bound of zero tries allows no increment at all."""
    acts.change_terms(desk, t.policies, "bike", most_increments=0)
    it = rental(desk, authorize(accept=(Offer.ZERO,)))
    error = refused(desk, increment(it, 1))
    assert (error.reason, error.metadata["most_increments"]) == ("INCREMENT_TRIES_USED", "0")
