"""Damage found after the return: a new authorization that cites the rental, without an item out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.access import PLATFORM
from service.domain.attestations import AttestationKind
from service.domain.authorization import Authorization, Collection, Custody, Start, State
from service.domain.captures import Purpose
from service.domain.errors import InvalidInput
from service.domain.money import Money
from service.domain.policy import Offer
from service.engine.operations import Authorize, Command, Item, Settle
from service.storage import schema as t
from tests.engine.acts import (
    DAY_US,
    MINUTE_US,
    Books,
    change_terms,
    claim_return,
    extend,
    lost,
    settle_usage,
    states,
    woken,
)
from tests.engine.calls import (
    CNY,
    authorize,
    confirm,
    pick_up,
    refused,
    rental,
    reverse,
    settle,
    stored,
)
from tests.fakes import START_US, Desk


def damage(
    parent: Authorization,
    amount_minor: int | None = None,
    product_id: str = "bike",
    *,
    currency: str = CNY,
    accept: tuple[Offer, ...] = (),
) -> Authorize:
    """A charge for damage found later."""
    return Authorize(
        parent.user_id,
        (Item(product_id, parent.asset_id),),
        Start.IMMEDIATE,
        accept,
        parent_id=parent.authorization_id,
        amount=None if amount_minor is None else Money(currency, amount_minor),
    )


def settled(desk: Desk, user_id: str = "ann", product_id: str = "bike") -> Authorization:
    """A settled rental of a known item."""
    accept = (Offer.ZERO,) if user_id == "ann" else ()
    it = rental(desk, authorize(user_id, product_id, "item-1", accept=accept))
    if it.state is State.OFFERED:
        it = rental(desk, confirm(it, reference="first"))
    return rental(desk, settle(it, 500))


def test_damage_cites_its_parent(desk: Desk) -> None:
    """A late charge needs a new authorization that cites the old one. The old one accepts no more
    captures."""
    parent = settled(desk)
    assert refused(desk, settle(parent, 100)).metadata == {"state": "SETTLED"}
    it = Books(desk).step(
        damage(parent), [("line", "held / available", 19_900)], "authorization.active"
    )
    assert it.parent_id == parent.authorization_id
    assert rental(desk, settle(it, 4_000)).captured_minor == 4_000
    assert stored(desk, parent) == parent


def test_a_damage_charge_has_no_item_out(desk: Desk) -> None:
    """A damage charge is ACTIVE with custody IN_STATION, is never due or lost, and leaves the named
    item to others."""
    parent = settled(desk)
    it = rental(desk, damage(parent))
    assert (it.state, it.custody, it.asset_id) == (State.ACTIVE, Custody.IN_STATION, "item-1")
    assert (it.start_us, it.due_us, it.lost_us) == (None, None, None)
    other = rental(desk, authorize("ann", "bike", "item-1"))
    assert rental(desk, settle(it, 100)).custody is Custody.IN_STATION
    assert refused(desk, authorize("ben", "umbrella", "item-1")).reason == "ASSET_IN_USE"
    # Somebody else has the item now; damage to it may still be charged.
    assert rental(desk, damage(parent, 100)).state is State.ACTIVE
    assert stored(desk, other).state is State.ACTIVE


def test_damage_asks_for_an_amount(desk: Desk) -> None:
    """A damage charge asks for the caller's amount, or else for the deposit."""
    books, parent = Books(desk), settled(desk)
    books.news()
    it = books.step(
        damage(parent, 4_000), [("line", "held / available", 4_000)], "authorization.active"
    )
    assert (it.credit_minor, it.cash_minor, it.offer) == (4_000, 0, Offer.ZERO)


def test_damage_is_decided_like_a_rental(desk: Desk) -> None:
    """Score and policy divide a damage charge into credit and cash, and a payment holds both
    parts."""
    parent = settled(desk, "ben")
    it = rental(desk, damage(parent, 4_001))
    assert (it.state, it.offer) == (State.OFFERED, Offer.REDUCED)
    assert (it.credit_minor, it.cash_minor) == (2_000, 2_001)
    # Somebody else may have the named item.
    rental(desk, authorize("ann", "bike", "item-1"))
    held = Books(desk).step(
        confirm(it),
        [("line", "held / available", 2_000), ("money", "cash / deposit", 2_001)],
        "authorization.active",
    )
    assert (held.custody, held.expire_us) == (Custody.IN_STATION, START_US + DAY_US)


@pytest.mark.parametrize(("amount_minor", "currency"), [(0, CNY), (19_901, CNY), (100, "EUR")])
def test_damage_asks_for_the_deposit_at_most(desk: Desk, amount_minor: int, currency: str) -> None:
    """A damage charge of zero, of more than the deposit, or in another currency is refused."""
    error = refused(desk, damage(settled(desk), amount_minor, currency=currency))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].field.startswith("amount.")


def test_only_damage_names_an_amount(desk: Desk) -> None:
    """A rental asks for its deposit: an amount is allowed only with a parent."""
    error = refused(desk, authorize()._replace(amount=Money(CNY, 100)))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "amount.only_with_parent"


def test_a_damage_charge_has_no_pick_up(desk: Desk) -> None:
    """A damage charge with start ON_PICKUP is refused."""
    error = refused(desk, damage(settled(desk))._replace(start=Start.ON_PICKUP))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].field == "start"


@pytest.mark.parametrize("command", [claim_return, lost, settle_usage])
def test_commands_not_for_damage(desk: Desk, command: Callable[[Authorization], Command]) -> None:
    """A damage charge cannot be claimed as returned, reported lost, or settled by usage."""
    it = rental(desk, damage(settled(desk)))
    error = refused(desk, command(it))
    assert (error.reason, error.metadata) == ("DAMAGE_CHARGE", {"state": "ACTIVE"})
    assert stored(desk, it) == it


@pytest.mark.parametrize(
    ("amount_minor", "handover"), [(100, AttestationKind.BY_HAND), (None, None)]
)
def test_a_damage_charge_is_refused_as_such_before_its_bill(
    desk: Desk, amount_minor: int | None, handover: AttestationKind | None
) -> None:
    """A settlement of a damage charge by usage or with a handover is refused as such, even if its
    purpose and the names of its lines are wrong too."""
    change_terms(desk, t.products, "bike", line_items='["USAGE"]')
    it = rental(desk, damage(settled(desk)))
    command = Settle(
        it.user_id,
        it.authorization_id,
        None if amount_minor is None else Money(CNY, amount_minor),
        final=True,
        purpose=Purpose.FEE,
        handover=handover,
        line_items=("WINGS_LOST",),
    )
    assert refused(desk, command).reason == "DAMAGE_CHARGE"
    assert stored(desk, it) == it


def test_a_damage_charge_is_extended(desk: Desk) -> None:
    """A damage charge is extended by at most the policy's rental period, and lapses only at its new
    end."""
    it = rental(desk, damage(settled(desk), 4_000))
    longer = Books(desk).step(extend(it, DAY_US), [], "authorization.extended")
    assert (longer.state, longer.expire_us) == (State.ACTIVE, START_US + 2 * DAY_US)
    error = refused(desk, extend(it, DAY_US + 1))
    assert isinstance(error, InvalidInput)
    assert error.violations[0].rule == "duration.range"
    desk.clock.advance(START_US + DAY_US)
    assert rental(desk, settle(longer, 0, final=False)).state is State.ACTIVE
    assert woken(desk, longer, START_US + 2 * DAY_US).state is State.EXPIRED


def test_an_open_damage_charge_expires(desk: Desk) -> None:
    """A damage charge that is neither settled nor reversed expires after the policy's rental
    period."""
    it = rental(desk, damage(settled(desk), 4_000))
    assert it.expire_us == START_US + DAY_US
    after = Books(desk).wake(
        it,
        START_US + DAY_US,
        [("line", "available / held", 4_000)],
        "authorization.expired",
    )
    assert (after.state, after.expire_us, after.wake_us) == (State.EXPIRED, None, None)


def test_damage_captured_in_part_is_settled(desk: Desk) -> None:
    """A damage charge with a partial capture ends SETTLED with that part."""
    it = rental(desk, damage(settled(desk), 4_000)._replace(rental_period_us=MINUTE_US))
    rental(desk, settle(it, 1_000, final=False))
    after = Books(desk).wake(
        it,
        START_US + MINUTE_US,
        [("line", "available / held", 3_000)],
        "authorization.expired",
    )
    assert states(after) == (State.SETTLED, Custody.IN_STATION, Collection.DUE)
    assert (after.captured_minor, after.close_us) == (1_000, START_US + MINUTE_US)


def test_damage_is_reversed(desk: Desk) -> None:
    """A damage charge without a capture can be reversed."""
    it = rental(desk, damage(settled(desk), 4_000))
    after = Books(desk).step(
        reverse(it), [("line", "available / held", 4_000)], "authorization.reversed"
    )
    assert after.state is State.REVERSED


def test_damage_to_a_reversed_rental(desk: Desk) -> None:
    """A reversed rental may be cited if its item had been out. If the item was never out, or for a
    damage charge, it may not be cited."""
    out = rental(desk, reverse(rental(desk, authorize())))
    charge = rental(desk, reverse(rental(desk, damage(out, 100))))
    never = rental(desk, reverse(rental(desk, pick_up())))
    for it in (charge, never):
        error = refused(desk, damage(it, 100))
        assert (error.reason, error.metadata) == ("PARENT_NEVER_OUT", {"state": "REVERSED"})


def test_damage_needs_a_closed_parent(desk: Desk) -> None:
    """A parent must be closed, and of the same person and operator."""
    parent = rental(desk, authorize("ann", "umbrella"))
    error = refused(desk, damage(parent))
    assert (error.reason, error.metadata) == ("PARENT_OPEN", {"state": "ACTIVE"})
    over = rental(desk, settle(parent, 0))
    assert refused(desk, damage(over._replace(user_id="ben"))).reason == "AUTHORIZATION_NOT_FOUND"
    assert refused(desk, damage(over), caller="harbour").reason == "AUTHORIZATION_NOT_FOUND"
    assert refused(desk, damage(over), caller=PLATFORM).reason == "PRODUCT_NOT_FOUND"
