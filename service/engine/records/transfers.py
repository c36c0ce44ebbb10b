"""Transfers, which the payment rail does, and how far they have come."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from service.domain.authorization import TransferKind


class TransferState(StrEnum):
    """How far a transfer has come."""

    REQUESTED = "REQUESTED"
    SENT = "SENT"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    RETURNED = "RETURNED"
    """Paid out, and come back since."""
    CANCELLED = "CANCELLED"
    """Never handed to the rail, because less was due by then."""


ENDED = frozenset(TransferState) - {TransferState.REQUESTED, TransferState.SENT}
"""No other word on the transfer counts after these, but those of `LATER_WORDS`."""


LATER_WORDS: Mapping[tuple[TransferKind, TransferState], TransferState] = {
    (TransferKind.DEBIT, TransferState.FAILED): TransferState.SUCCEEDED,
    # A database that was restored does not know of what it had handed in.
    (TransferKind.DEBIT, TransferState.CANCELLED): TransferState.SUCCEEDED,
    (TransferKind.PAYOUT, TransferState.SUCCEEDED): TransferState.RETURNED,
}
"""What counts of a transfer although it had ended: the money has moved."""


class TransferRecord(NamedTuple):
    """What the payment rail is to do: a debit of a person, or a payout to one.

    The id names it towards the rail, which must do it at most once however often it is asked.
    `earlier_state`, with its detail and its instant, is the word that a late success took the place
    of; None when there is none.
    """

    user_id: str
    transfer_id: str
    authorization_id: str
    kind: TransferKind
    amount_minor: int
    currency: str
    state: TransferState
    detail: str
    request_us: int
    change_us: int
    earlier_state: TransferState | None = None
    earlier_detail: str | None = None
    earlier_us: int | None = None


def transfer_reference(transfer_id: str) -> str:
    """The reference of the payment that a debit came to; no client's reference has a slash."""
    return f"transfers/{transfer_id}"
