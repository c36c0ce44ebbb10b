"""The passes of people in a batch."""

from __future__ import annotations

from collections.abc import Iterable

from service.domain import passes
from service.domain.authorization import Authorization
from service.domain.time_zones import time_zones
from service.engine.aliases import may_be_whole
from service.engine.ports import Transaction
from service.engine.records.passes import PassRecord
from service.engine.rows import Draft, Keys, Rows, Wish
from service.engine.tables import PASSES, Pair

_BY_SELLER = ("user_id", "operator_id")


def read_passes(rows: Rows, holders: Iterable[Pair], transaction: Transaction) -> None:
    """Reads the passes that people hold of operators; those that were read before stay as they
    are."""
    unread = set(holders) - rows.holders
    rows.holders |= unread
    transaction.read(rows, [Wish(PASSES, _BY_SELLER, unread)])


def read_named_passes(rows: Rows, keys: Keys, transaction: Transaction) -> None:
    """Reads the passes that calls are about, and adds the debts of those to refund to the keys."""
    # A pass is sold to the survivor of a merged person.
    holders = {
        (it, operator)
        for user_id, operator in keys.passes
        for it in may_be_whole(user_id, rows, keys.merging)
    }
    read_passes(rows, holders | {key[:2] for key in keys.refunded}, transaction)
    for key in keys.refunded:
        held = rows[PASSES].get(key)
        if held is not None and held.authorization_id:
            keys.authorizations.add((held.user_id, held.authorization_id))


def pass_of(it: Authorization, rows: Rows) -> PassRecord | None:
    """The pass that counts for a rental, of those that were read; None if there is none."""
    if (it.user_id, it.operator_id) not in rows.holders or it.start_us is None:
        return None
    for held in held_of(rows, it.user_id, it.operator_id):
        if passes.counts_at(held, it.product_id, it.start_us):
            return held
    return None


def is_readable(it: Authorization, rows: Rows) -> bool:
    """False if the pass that counts for a rental has a time zone that does not exist."""
    held = pass_of(it, rows)
    return held is None or held.time_zone in time_zones()


def held_of(rows: Rows, user_id: str, operator_id: str) -> list[PassRecord]:
    """The passes of a person that an operator sold, of those that were read."""
    return [it for it in rows[PASSES].values() if it[:2] == (user_id, operator_id)]


def add_uses(draft: Draft, key: tuple[str, str, str], uses: int, rows: Rows) -> None:
    """Adds uses of a pass to its row in the draft; a negative number takes them off."""
    drafted = [it for it in draft.get(PASSES, ()) if it.key == key]
    row = drafted[0] if drafted else rows[PASSES][key]
    draft[PASSES] = [it for it in draft.get(PASSES, ()) if it.key != key]
    draft[PASSES].append(row._replace(uses=row.uses + uses, changes=row.changes + 1))
