"""Tests of granted complaints: each gives back captures of the purpose that it is about."""

from __future__ import annotations

import pytest

from service.books.verify import verify_books
from service.domain import complaints
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization
from service.domain.captures import Purpose
from service.domain.cases import CLOCK_US, CaseKind, Outcome
from service.domain.errors import InvalidInput
from service.engine import operations as c
from service.engine.tables import CAPTURES
from service.rpc.stored import read_payload
from service.storage.store import SqlStore
from tests.books import row_by_row
from tests.engine import acts
from tests.engine.acts import HOUR_US, MINUTE_US, capture, found, settle_usage
from tests.engine.calls import authorize, refused, rental, settle, stored
from tests.engine.test_transitions_damage import damage
from tests.fakes import START_US, Desk
from tests.operations.test_cases import (
    complain,
    open_cases,
    over,
    resolve,
    told,
    verified,
)
from tests.rows import read

FEE, DAMAGE = Purpose.FEE, Purpose.DAMAGE


def both(desk: Desk, *, fee_first: bool) -> Authorization:
    """A settled rental of 2 hours: a fee of 600 and a damage of 5,000, in this order."""
    it = rental(desk, authorize("ann", "power-bank"))
    desk.clock.advance(START_US + 2 * HOUR_US)
    if fee_first:
        rental(desk, c.Settle(*acts.name(it), None, False))
        return rental(desk, capture(it, 5_000, DAMAGE, final=True))
    rental(desk, capture(it, 5_000, DAMAGE))
    return rental(desk, settle_usage(it))


def conceded(desk: Desk, it: Authorization) -> dict[str, int]:
    """The amounts given back of the captures for each purpose."""
    given: dict[str, int] = {}
    with desk.store.begin() as transaction:
        rows = read(transaction, CAPTURES, [acts.name(it)], ("user_id", "authorization_id"))
    for row in rows.values():
        given[row.purpose] = given.get(row.purpose, 0) + row.conceded_minor
    return given


@pytest.mark.parametrize("fee_first", [False, True])
@pytest.mark.parametrize(
    "kind", [CaseKind.WRONG_FEE, CaseKind.RETURN_BLOCKED, CaseKind.ITEM_AT_FAULT]
)
def test_r18_a_complaint_about_the_fee_gives_back_the_fee(
    desk: Desk, kind: CaseKind, fee_first: bool
) -> None:
    """R18: the fee is 600 and the damage 5,000. A granted complaint about the fee gives back the
    fee of 600. If the item is then found to have been docked at 4 minutes, nothing more is given
    back, and 5,000 stay due."""
    it = both(desk, fee_first=fee_first)
    case = told(desk, complain(it, 600, kind))
    assert told(desk, resolve(case, Outcome.FOR_USER)).granted_minor == 600
    assert conceded(desk, it) == {FEE: 600, DAMAGE: 0}
    desk.do(found(it, START_US + 4 * MINUTE_US))
    assert conceded(desk, it) == {FEE: 600, DAMAGE: 0}
    assert stored(desk, it).due_minor == 5_000
    verified(desk)


@pytest.mark.parametrize("fee_first", [False, True])
def test_r18_a_complaint_about_damage_gives_back_the_damage(desk: Desk, fee_first: bool) -> None:
    """R18: the damage is 5,000 and the fee 600. A granted complaint of 500 about the damage gives
    back 500 of the damage. If the fee is later found to be 0, its 600 are given back too, in all
    1,100."""
    it = both(desk, fee_first=fee_first)
    case = told(desk, complain(it, 500, CaseKind.DAMAGE_NOT_MINE))
    assert told(desk, resolve(case, Outcome.FOR_USER)).granted_minor == 500
    assert conceded(desk, it) == {FEE: 0, DAMAGE: 500}
    desk.do(found(it, START_US + 4 * MINUTE_US))
    assert conceded(desk, it) == {FEE: 600, DAMAGE: 500}
    assert (stored(desk, it).conceded_minor, stored(desk, it).due_minor) == (1_100, 4_500)
    verified(desk)


@pytest.mark.parametrize("fee_first", [False, True])
@pytest.mark.parametrize(
    ("kind", "fee_minor", "damage_minor"),
    [
        (CaseKind.WRONG_FEE, 600, 0),
        (CaseKind.DAMAGE_NOT_MINE, 0, 5_000),
        (CaseKind.NOT_MINE, 600, 5_000),
        (CaseKind.OTHER, 600, 5_000),
    ],
)
def test_r18_silence_gives_back_all_of_the_purpose(
    desk: Desk, kind: CaseKind, fee_minor: int, damage_minor: int, fee_first: bool
) -> None:
    """R18: after 48 hours of silence, a complaint without an amount gives back everything that was
    captured for its purpose: the fee of 600, or the damage of 5,000. A complaint about a rental
    that was not the user's gives back 5,600."""
    it = both(desk, fee_first=fee_first)
    case = told(desk, complain(it, kind=kind))
    case = over(desk, case, desk.clock.now_us() + CLOCK_US)
    assert conceded(desk, it) == {FEE: fee_minor, DAMAGE: damage_minor}
    assert case.granted_minor == fee_minor + damage_minor
    verified(desk)


def test_r18_no_more_than_the_purpose_is_granted(desk: Desk) -> None:
    """R18: a complaint about the fee that asks for 900 gives back the 600 of the fee, and no part
    above it can be granted."""
    it = both(desk, fee_first=True)
    case = told(desk, complain(it, 900))
    assert isinstance(refused(desk, resolve(case, Outcome.IN_PART, 601)), InvalidInput)
    assert told(desk, resolve(case, Outcome.FOR_USER)).granted_minor == 600
    assert conceded(desk, it) == {FEE: 600, DAMAGE: 0}
    verified(desk)


def test_r18_a_complaint_about_the_fee_leaves_disputed_damage_in_dispute(desk: Desk) -> None:
    """R18: if the damage of 5,000 is disputed, a complaint about the fee gives back the due fee of
    600, and the dispute stays open. A complaint about the damage then ends the dispute."""
    it = both(desk, fee_first=True)
    rental(desk, acts.dispute(it, 5_000), caller=PLATFORM)
    case = told(desk, complain(it))
    assert told(desk, resolve(case, Outcome.FOR_USER)).granted_minor == 600
    assert (stored(desk, it).due_minor, stored(desk, it).disputed_minor) == (0, 5_000)
    case = told(desk, complain(it, kind=CaseKind.DAMAGE_NOT_MINE))
    assert told(desk, resolve(case, Outcome.FOR_USER)).granted_minor == 5_000
    assert (stored(desk, it).conceded_minor, stored(desk, it).disputed_minor) == (5_600, 0)
    verified(desk)


def test_r18_a_late_claim_granted_in_part_is_about_the_fee(desk: Desk) -> None:
    """R18: a part of a late claim that is granted comes from the fee, not from the damage."""
    it = both(desk, fee_first=True)
    claimed = c.ClaimReturn(*acts.name(it), START_US + HOUR_US, "dock-7")
    rental(desk, claimed)
    (case,) = open_cases(desk, it)
    assert told(desk, resolve(case, Outcome.IN_PART, 150)).granted_minor == 150
    assert conceded(desk, it) == {FEE: 150, DAMAGE: 0}
    verified(desk)


def test_r18_every_complaint_about_a_damage_charge_is_about_the_damage(desk: Desk) -> None:
    """R18: a complaint of any kind that names a damage charge gives back the whole damage
    charge."""
    it = acts.charged(desk)
    charge = rental(desk, damage(it, 800))
    charge = rental(desk, settle(charge, 800))
    case = told(desk, complain(charge, 300))
    assert told(desk, resolve(case, Outcome.FOR_USER)).granted_minor == 300
    assert conceded(desk, charge) == {DAMAGE: 300}
    verified(desk)


def test_r18_the_books_find_a_complaint_about_the_fee_that_gave_back_damage(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R18: `verify` finds a case about the fee that gave back captures for damage."""
    desk = Desk(store)
    desk.put_users(ann=700)
    monkeypatch.setattr(complaints, "purpose_of", lambda it, kind: None)
    it = both(desk, fee_first=True)
    case = told(desk, complain(it, 600))
    told(desk, resolve(case, Outcome.FOR_USER))
    assert conceded(desk, it) == {FEE: 0, DAMAGE: 600}
    wrong = f"cases/ann/{it.authorization_id}/{case.case_id}"
    by_column = verify_books(store.engine, read_payload=read_payload)
    for fault in (by_column.fault, row_by_row.verify_books(store.engine).fault):
        assert fault is not None
        assert (fault.row, fault.detail) == (wrong, "gives back what was captured for DAMAGE")
