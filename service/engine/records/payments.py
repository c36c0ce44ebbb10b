"""Reported payments."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class PaymentKind(StrEnum):
    """The kind of a recorded payment."""

    DEPOSIT = "DEPOSIT"
    PAYMENT = "PAYMENT"
    ELSEWHERE = "ELSEWHERE"
    CHARGE_BACK = "CHARGE_BACK"
    OPERATOR_PAYOUT = "OPERATOR_PAYOUT"
    OPERATOR_PAYMENT = "OPERATOR_PAYMENT"
    CASE = "CASE"
    """A charge-back with a row of its own; earlier builds wrote CHARGE_BACK, without a row."""
    UNMATCHED_IN = "UNMATCHED_IN"
    UNMATCHED_OUT = "UNMATCHED_OUT"
    RETURNED = "RETURNED"
    """Money in suspense that came in went back."""
    REGAINED = "REGAINED"
    """Money in suspense that went out came back."""


class PaymentRecord(NamedTuple):
    """A reported payment; a caller can use a reference only once.

    Payments to and from operators have no authorization, and the operator's account as their user.
    So do payments that match nothing, with the rail's account.
    """

    caller: str
    payment_reference: str
    kind: PaymentKind
    user_id: str
    authorization_id: str
    amount_minor: int
    currency: str
    record_us: int
