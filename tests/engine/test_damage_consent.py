"""28: damage above a bound of the product's terms needs the user's consent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.authorization import Authorization, State
from service.domain.captures import Purpose
from service.domain.errors import ConsentRequired, FreeholdError
from service.engine.operations import BookDebt
from service.storage import schema as t
from tests.engine import acts
from tests.engine.calls import authorize, refused, rental, reverse, settle, stored
from tests.engine.test_damage_bound import damage, rule_of
from tests.fakes import Desk

DAMAGE = Purpose.DAMAGE
BOUND = 2_000
"""The amount of damage that needs no consent."""


@pytest.fixture
def out(desk: Desk) -> Authorization:
    """A power bank that is out under terms with a bound."""
    acts.change_terms(desk, t.products, "power-bank", damage_without_consent_minor=BOUND)
    return rental(desk, authorize("ann", "power-bank"))


def book(parent: Authorization, amount_minor: int, consent: str = "") -> BookDebt:
    """Books damage as a debt."""
    return BookDebt(*acts.name(parent), acts.money(amount_minor), "dent", "photo-1", consent)


def require_asked(error: FreeholdError, left_minor: int) -> None:
    """Requires a refusal that names the bound without consent, and the field to send."""
    assert isinstance(error, ConsentRequired)
    assert error.reason == "CONSENT_REQUIRED"
    assert error.metadata == {"without_consent_minor": "2000", "left_minor": str(left_minor)}
    assert f"at most {left_minor} more" in error.message
    assert "user_consent_reference" in error.message


def consents(desk: Desk, it: Authorization) -> list[tuple[int, str]]:
    """The stored consents of an authorization: versions and references."""
    told = desk.store.told(it.user_id, it.authorization_id)
    assert told is not None
    assert {row.operator_id for row in told.consents} <= {"city"}
    return [(row.authorization_version, row.user_consent_reference) for row in told.consents]


def test_28_a_capture_for_damage_above_the_bound_needs_consent(
    desk: Desk, out: Authorization
) -> None:
    """28: captures for damage need no consent while all of them together are within the bound. One
    more needs consent, and the reference to it is kept with the version of the capture. A refusal
    is not kept as the answer."""
    it = rental(desk, acts.capture(out, 1_500, DAMAGE))
    require_asked(refused(desk, acts.capture(it, 501, DAMAGE), request_id="again"), 500)
    assert stored(desk, it) == it
    it = rental(desk, acts.capture(it, 500, DAMAGE))
    require_asked(refused(desk, acts.capture(it, 1, DAMAGE)), 0)
    asked = replace(acts.capture(it, 1, DAMAGE), user_consent_reference="form-7")
    it = rental(desk, asked, request_id="again")
    assert consents(desk, it) == [(it.version, "form-7")]
    # Consent is to one charge, not to the next.
    require_asked(refused(desk, acts.capture(it, 1, DAMAGE)), 0)
    it = rental(desk, acts.capture(it, 1_000, Purpose.PENALTY))
    assert rental(desk, settle(it, 600)).state is State.SETTLED


def test_28_a_damage_charge_above_the_bound_needs_consent(desk: Desk, out: Authorization) -> None:
    """28: a damage charge counts with its whole amount, and an increment of a damage charge counts
    like another charge. A debt without a hold counts too."""
    parent = rental(desk, settle(out, 600))
    require_asked(refused(desk, damage(parent, 2_001)), 2_000)
    # Without an amount the deposit is asked for.
    require_asked(refused(desk, damage(parent, None)), 2_000)
    it = rental(desk, damage(parent, 1_200))
    require_asked(refused(desk, acts.increment(it, 801)), 800)
    raised = replace(acts.increment(it, 900), user_consent_reference="call-3")
    it = rental(desk, raised)
    assert consents(desk, it) == [(2, "call-3")]
    require_asked(refused(desk, book(parent, 1)), 0)
    debt = rental(desk, book(parent, 300, "sms-1"))
    assert debt.unheld_minor == 300
    # A debt keeps its reference itself.
    assert consents(desk, debt) == []
    other = rental(desk, damage(parent, 1_000)._replace(user_consent_reference="form-8"))
    assert consents(desk, other) == [(1, "form-8")]
    # No consent of a settlement: it was given to the charge.
    asked = replace(acts.capture(it, 10), user_consent_reference="form-9")
    assert rule_of(refused(desk, asked)) == "user_consent_reference.damage"
    rental(desk, settle(it, 2_100))


def test_28_damage_given_up_needs_no_consent_again(desk: Desk, out: Authorization) -> None:
    """28: an amount that was given up does not count any more. Neither does an amount that a closed
    charge did not capture."""
    it = rental(desk, acts.capture(out, 2_000, DAMAGE))
    it = rental(desk, acts.lower(it, 300, 1))
    require_asked(refused(desk, acts.capture(it, 301, DAMAGE)), 300)
    parent = rental(desk, settle(rental(desk, acts.capture(it, 100, DAMAGE)), 600))
    charge = rental(desk, damage(parent, 200))
    require_asked(refused(desk, damage(parent, 1)), 0)
    rental(desk, reverse(charge))
    rental(desk, damage(parent, 200))


def test_28_consent_does_not_raise_the_deposits_bound(desk: Desk, out: Authorization) -> None:
    """28: with consent damage is still at most the deposit."""
    it = rental(desk, acts.increment(out, 5_000))
    asked = replace(acts.capture(it, 9_901, DAMAGE), user_consent_reference="form-1")
    assert rule_of(refused(desk, asked)) == "amount.exceeds_damage"
    rental(desk, replace(asked, amount=acts.money(9_900)))


def test_28_consent_is_sent_only_with_damage(desk: Desk, out: Authorization) -> None:
    """28: a consent with a fee, a penalty, an increment of a rental or a new rental is refused."""
    for command in (
        acts.capture(out, 10),
        acts.capture(out, 10, Purpose.PENALTY),
        acts.increment(out, 10),
    ):
        error = refused(desk, replace(command, user_consent_reference="form-1"))
        assert rule_of(error) == "user_consent_reference.damage"
    asked = authorize("ann", "power-bank")._replace(user_consent_reference="form-1")
    assert rule_of(refused(desk, asked)) == "user_consent_reference.damage"


def test_28_terms_without_a_bound_ask_for_no_consent(desk: Desk) -> None:
    """28: terms of an earlier build have no bound, so its requests need no consent. A consent that
    is sent all the same is kept."""
    it = rental(desk, authorize("ann", "power-bank"))
    it = rental(desk, acts.capture(it, 9_900, DAMAGE, final=True))
    other = rental(desk, authorize("ann", "power-bank"))
    asked = replace(acts.capture(other, 10, DAMAGE), user_consent_reference="form-1")
    other = rental(desk, asked)
    assert (consents(desk, it), consents(desk, other)) == ([], [(2, "form-1")])


def test_28_a_bound_of_zero_asks_for_every_consent(desk: Desk) -> None:
    """28: a bound of zero lets nothing be charged without consent."""
    acts.change_terms(desk, t.products, "power-bank", damage_without_consent_minor=0)
    it = rental(desk, authorize("ann", "power-bank"))
    error = refused(desk, acts.capture(it, 1, DAMAGE))
    assert error.metadata == {"without_consent_minor": "0", "left_minor": "0"}
    rental(desk, acts.capture(it, 0, DAMAGE))
