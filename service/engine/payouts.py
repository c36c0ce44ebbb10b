"""Payouts that were not handed to the payment rail yet: they may be cancelled."""

from __future__ import annotations

from collections.abc import Callable

from service.domain import collection
from service.domain.authorization import Authorization, TransferKind
from service.domain.ledger import Line
from service.engine.context import Context
from service.engine.posting import apply
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.rows import Draft, Rows
from service.engine.tables import TRANSFERS


def waiting(
    kind: TransferKind, current: Authorization, draft: Draft, rows: Rows
) -> list[TransferRecord]:
    """The authorization's transfers that were not handed to the rail yet, the newest first.

    A timer may have requested one only now, before the command.
    """
    known = rows.transfers_of(current.user_id, current.authorization_id)
    name = (current.user_id, current.authorization_id)
    made = [it for it in draft.get(TRANSFERS, ()) if (it.user_id, it.authorization_id) == name]
    known.update({it.transfer_id: it for it in made})
    found = [it for it in known.values() if it.kind is kind and it.state is TransferState.REQUESTED]
    return sorted(found, key=lambda it: it.transfer_id, reverse=True)


def cancel_payouts(
    current: Authorization,
    enough: Callable[[Authorization], bool],
    line: Line,
    draft: Draft,
    rows: Rows,
    context: Context,
) -> Authorization:
    """Cancels payouts that were not handed in, the newest first, until `enough` is owed back.

    The authorization's transfers must have been read.
    """
    for payout in waiting(TransferKind.PAYOUT, current, draft, rows):
        if enough(current):
            break
        step = collection.payout_cancelled(current, payout.amount_minor, context.now_us)
        current = apply(draft, step, line, rows, context)
        cancelled = payout._replace(state=TransferState.CANCELLED, change_us=context.now_us)
        draft[TRANSFERS].append(cancelled)
    return current
