"""Reads what the steps of authorizations need that time alone causes."""

from __future__ import annotations

from collections.abc import Iterable

from service.domain.authorization import Authorization
from service.engine.attesting import metered, read_attestations
from service.engine.cases import with_open_case
from service.engine.ports import Transaction
from service.engine.rows import Rows, Wish
from service.engine.tables import CASES, OPEN_ITEMS

_BY_AUTHORIZATION = ("user_id", "authorization_id")


def read_timed(rows: Rows, found: Iterable[Authorization], transaction: Transaction) -> None:
    """Reads the open cases, the attestations and the items of authorizations that a batch has just
    read.

    Although no call names them, one that needs their line ends them if their time is over.
    """
    them = list(found)
    transaction.read(rows, [Wish(CASES, _BY_AUTHORIZATION, with_open_case(them))])
    read_attestations(rows, metered(them), transaction)
    # An earlier call of the batch may have changed an item that was read before.
    items = {(it.operator_id, it.asset_id) for it in them if it.asset_id} - rows.sought_items
    rows.sought_items |= items
    transaction.read(rows, [Wish(OPEN_ITEMS, OPEN_ITEMS.key, items)])
