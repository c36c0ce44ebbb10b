"""Payments that somebody reported."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class PaymentKind(StrEnum):
    """Which way a recorded payment went."""

    DEPOSIT = "DEPOSIT"
    PAYMENT = "PAYMENT"
    ELSEWHERE = "ELSEWHERE"
    CHARGE_BACK = "CHARGE_BACK"
    OPERATOR_PAYOUT = "OPERATOR_PAYOUT"
    OPERATOR_PAYMENT = "OPERATOR_PAYMENT"


class PaymentRecord(NamedTuple):
    """A payment as it was reported; a reference is recorded once a caller.

    What an operator was paid, or paid, has no authorization, and the operator's account as user.
    """

    caller: str
    payment_reference: str
    kind: PaymentKind
    user_id: str
    authorization_id: str
    amount_minor: int
    currency: str
    record_us: int
