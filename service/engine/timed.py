"""Reads what the steps of authorizations need that time alone causes."""

from __future__ import annotations

from collections.abc import Iterable

from service.domain.authorization import Authorization, Custody
from service.engine.attesting import metered, read_attestations
from service.engine.cases import with_open_case
from service.engine.ports import Transaction
from service.engine.rows import Rows, Wish
from service.engine.tables import CAPTURES, CASES, OPEN_ITEMS, Pair

_BY_AUTHORIZATION = ("user_id", "authorization_id")
_LOST = frozenset({Custody.MISSING, Custody.UNKNOWN})


def giving_back(found: Iterable[Authorization]) -> set[Pair]:
    """The authorizations from whose captures money is given back when time is over, be it time
    that also ends the rental within the batch."""
    return {
        (it.user_id, it.authorization_id)
        for it in found
        if it.captures and (it.close_us is None or it.custody in _LOST)
    }


def read_timed(rows: Rows, found: Iterable[Authorization], transaction: Transaction) -> None:
    """Reads the open cases, the attestations, the captures and the items of authorizations that a
    batch has just read.

    Although no call names them, one that needs their line ends them if their time is over.
    """
    them = list(found)
    wishes = [
        Wish(CASES, _BY_AUTHORIZATION, with_open_case(them)),
        Wish(CAPTURES, _BY_AUTHORIZATION, giving_back(them)),
    ]
    transaction.read(rows, wishes)
    read_attestations(rows, metered(them), transaction)
    # An earlier call of the batch may have changed an item that was read before.
    items = {(it.operator_id, it.asset_id) for it in them if it.asset_id} - rows.sought_items
    rows.sought_items |= items
    transaction.read(rows, [Wish(OPEN_ITEMS, OPEN_ITEMS.key, items)])
