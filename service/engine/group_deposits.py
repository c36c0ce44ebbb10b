"""Charge-backs of a group's deposit: the bank takes one payment back, and each member has a part.

A deposit of a group is one payment, recorded at one of its authorizations. A case of the bank about
it is recorded at one of them too. The part above that member's own money goes through suspense to
the other members, in the same way as by `MatchSuspense`. Each other member gets a charge-back of
its own, and no part of a known payment stays in suspense.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.domain import charge_backs, suspense
from service.domain.authorization import TAKEN, Authorization
from service.domain.ledger import Line
from service.domain.suspense import SuspenseItem
from service.engine.context import Context
from service.engine.posting import apply, brought_up, payment_of
from service.engine.records.payments import PaymentKind, PaymentRecord
from service.engine.rows import Draft, Rows
from service.engine.tables import AUTHORIZATIONS, CHARGE_BACKS, PAYMENTS


def spread(
    it: Authorization,
    item: SuspenseItem,
    payments: Sequence[PaymentRecord],
    named: str,
    left_minor: int,
    line: Line,
    draft: Draft,
    rows: Rows,
    context: Context,
) -> SuspenseItem:
    """Matches an item in suspense to the other members of a group, and returns the changed item.

    `payments` are those that the bank may mean. `left_minor` is their amount that no charge-back
    has taken, in minor units.
    """
    kinds = {one.kind for one in payments}
    if kinds != {PaymentKind.DEPOSIT} or not it.group_id:
        return item
    for other in sorted(_others(it, rows), key=lambda one: one.authorization_id):
        part_minor = min(item.open_minor, left_minor, other.chargeable_back_minor)
        if part_minor <= 0:
            continue
        left_minor -= part_minor
        current = brought_up(other, line, draft, rows, context)
        item = suspense.matched(item, part_minor)
        reference = suspense.match_reference(item.matches, item.payment_reference)
        draft[CHARGE_BACKS].append(
            charge_backs.opened(
                current, item.caller, reference, named, part_minor, 0, context.now_us
            )
        )
        counted = (item.caller, reference)
        draft[PAYMENTS].append(payment_of(counted, PaymentKind.CASE, current, part_minor, context))
        step = charge_backs.charge_back(current, part_minor, context.now_us, part_minor)
        apply(draft, suspense.out_of_suspense(step), line, rows, context)
    return item


def _others(it: Authorization, rows: Rows) -> list[Authorization]:
    """The other members of a group in which money may have come in."""
    return [
        one
        for one in rows[AUTHORIZATIONS].values()
        if (one.user_id, one.group_id) == (it.user_id, it.group_id)
        and one.authorization_id != it.authorization_id
        and one.state in TAKEN
    ]
