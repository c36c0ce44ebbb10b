"""Debts without a hold, as the operator booked them."""

from __future__ import annotations

from typing import NamedTuple


class DebtRecord(NamedTuple):
    """A booked debt: each business reference of a rental is booked once.

    `parent_id` is the rental that the debt cites, `authorization_id` the debt itself. `evidence` is
    the operator's reference to its evidence. `user_consent_reference` refers to the user's consent;
    it is empty without a consent. Amounts are minor units, times microseconds since the epoch, UTC.
    """

    user_id: str
    parent_id: str
    business_reference: str
    authorization_id: str
    operator_id: str
    amount_minor: int
    currency: str
    evidence: str
    user_consent_reference: str
    record_us: int
