"""Reads the captures, corrections and damage charges that a batch compares."""

from __future__ import annotations

from service.domain.authorization import Start
from service.engine.ports import Transaction
from service.engine.rows import Keys, Rows, Wish
from service.engine.tables import AUTHORIZATIONS, CAPTURES, CORRECTIONS

_BY_AUTHORIZATION, _BY_PARENT = ("user_id", "authorization_id"), ("user_id", "parent_id")


def read_damage(rows: Rows, keys: Keys, transaction: Transaction) -> None:
    """Reads the damage charges of rentals, and the rentals of damage charges that are raised."""
    parents = {
        (it.user_id, it.parent_id)
        for key in keys.raised
        if (it := rows[AUTHORIZATIONS].get(key)) is not None and it.parent_id
    }
    # The fee above the hold of a late pick-up is a debt, which may be lowered with the rental.
    late = {
        key
        for key, it in rows[AUTHORIZATIONS].items()
        if it.start is Start.LATE_PICKUP and it.close_us is not None
    }
    damaged = keys.damaged | parents | late
    keys.captured |= damaged
    wishes = [
        Wish(AUTHORIZATIONS, AUTHORIZATIONS.key, parents - keys.authorizations),
        Wish(AUTHORIZATIONS, _BY_PARENT, damaged),
    ]
    transaction.read(rows, wishes)


def read_charges(rows: Rows, keys: Keys, transaction: Transaction) -> None:
    """Reads the captures and corrections of authorizations."""
    wishes = [
        Wish(CAPTURES, _BY_AUTHORIZATION, keys.captured),
        Wish(CORRECTIONS, _BY_AUTHORIZATION, keys.corrected),
    ]
    transaction.read(rows, wishes)
