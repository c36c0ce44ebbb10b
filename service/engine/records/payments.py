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


class PaymentRecord(NamedTuple):
    """A reported payment; a caller can use a reference only once.

    Payments to and from operators have no authorization, and the operator's account as their user.
    """

    caller: str
    payment_reference: str
    kind: PaymentKind
    user_id: str
    authorization_id: str
    amount_minor: int
    currency: str
    record_us: int
