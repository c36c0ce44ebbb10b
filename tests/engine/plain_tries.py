"""The tries of increments told a second time: each decision on the line counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.engine import operations as c
from tests.engine.plain_terms import Refused, Row

if TYPE_CHECKING:
    from tests.engine.plain_books import Key, RentalKey
    from tests.engine.reference import Reference

COUNTED = ("LINE_EXHAUSTED", "DEPOSIT_REQUIRED")
"""Refusals that were decided on the line."""


def require_bounds(it: Row, amount: int) -> None:
    """Refuses an increment above the product's bound."""
    most = it["terms"]["most_hold"]
    if most is not None and it["credit"] + it["cash"] + amount > most:
        raise Refused("INCREMENT_LIMIT")


def require_try(of: Reference, it: Row) -> None:
    """Refuses an increment once all tries are used."""
    most, refused = it["terms"]["tries"], of.refused_increments.get(it["key"], ())
    if most is not None and of.granted_increments.get(it["key"], 0) + len(refused) >= most:
        raise Refused("INCREMENT_TRIES_USED")


def grant(of: Reference, it: Row) -> None:
    """Counts a granted increment."""
    granted = of.granted_increments.get(it["key"], 0) + 1
    of.put(of.granted_increments, it["key"], granted)
    of.change(it, raised=True)


def refuse(of: Reference, call: Key, command: c.Increment, why: str, now_us: int) -> None:
    """Counts a refused increment, if it was decided on the line of a bounded authorization."""
    if why not in COUNTED:
        return
    key = of.names[command.user_id, command.authorization_id]
    if of.rentals[key]["terms"]["tries"] is not None:
        before = of.refused_increments.get(key, ())
        of.refused_increments[key] = (*before, (*call, why, now_us))
        of.rentals[key]["raised"] = True


def require_charge_try(of: Reference, parent: RentalKey, most: int | None, more: int) -> None:
    """Refuses charges for damage to a rental beyond the tries; a debt is no try."""
    debts = {row["key"] for row in of.debts.values()}
    charged = [
        key
        for key, it in of.rentals.items()
        if it["parent_id"] and of.names.get((it["user_id"], it["parent_id"])) == parent
    ]
    if most is not None and len(set(charged) - debts) + more > most:
        raise Refused("DAMAGE_TRIES_USED")
