"""Transfers by the payment rail, and their states."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from service.domain.authorization import TransferKind


class TransferState(StrEnum):
    """The state of a transfer."""

    REQUESTED = "REQUESTED"
    SENT = "SENT"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    RETURNED = "RETURNED"
    """Paid out, and returned since."""
    CANCELLED = "CANCELLED"
    """Not handed to the rail: less was due or owed by then, or the deposit was needed again."""


ENDED = frozenset(TransferState) - {TransferState.REQUESTED, TransferState.SENT}
"""The final states: no later report of the rail counts, except those in `LATER_WORDS`."""


LATER_WORDS: Mapping[tuple[TransferKind, TransferState], TransferState] = {
    (TransferKind.DEBIT, TransferState.FAILED): TransferState.SUCCEEDED,
    # A restored database may not know that it had handed a transfer in.
    (TransferKind.DEBIT, TransferState.CANCELLED): TransferState.SUCCEEDED,
    (TransferKind.PAYOUT, TransferState.FAILED): TransferState.SUCCEEDED,
    (TransferKind.PAYOUT, TransferState.CANCELLED): TransferState.SUCCEEDED,
    (TransferKind.PAYOUT, TransferState.SUCCEEDED): TransferState.RETURNED,
}
"""Reports that count after a final state, because the money has moved."""


class TransferRecord(NamedTuple):
    """A transfer by the payment rail: a debit of a person, or a payout to one.

    The rail must execute a transfer at most once, however often the transfer with this id is handed
    in. `earlier_state`, with its detail and its instant, is the state before a late success; None
    if there was no late success.
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
    """The reference of a debit's payment; no client's reference contains a slash."""
    return f"transfers/{transfer_id}"
