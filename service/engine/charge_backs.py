"""Charge-backs and suspense, as the operations of a batch read and write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from service.domain import charge_backs
from service.domain.authorization import Authorization
from service.domain.charge_backs import ChargeBack
from service.domain.errors import (
    BusinessReferenceReused,
    NotFound,
    PaymentReferenceUsed,
)
from service.domain.suspense import Direction, SuspenseItem
from service.domain.transitions import Transition
from service.engine.charges import payments_named
from service.engine.records.payments import PaymentKind, PaymentRecord
from service.engine.rows import Draft, Rows
from service.engine.tables import AUTHORIZATIONS, CHARGE_BACKS, CORRECTIONS, PAYMENTS, SUSPENSE

_BY_RAIL = (PaymentKind.PAYMENT, PaymentKind.DEPOSIT)
GIVING_BACK = frozenset(
    {
        *(Transition.FOUND, Transition.RETURN_PRESUMED, Transition.FEE_WAIVED),
        *(Transition.CASE_DECIDED, Transition.CASE_DECIDED_BY_TIME),
    }
)
"""The transitions by which an operator gives up an amount that may be charged back."""


def cases_of(it: Authorization, rows: Rows, draft: Draft | None = None) -> list[ChargeBack]:
    """The charge-backs of an authorization, a draft's included, the oldest first."""
    name = (it.user_id, it.authorization_id)
    found = {row.case_id: row for row in rows[CHARGE_BACKS].values() if row[:2] == name}
    written = draft.get(CHARGE_BACKS, ()) if draft is not None else ()
    found.update({row.case_id: row for row in written if row[:2] == name})
    return sorted(found.values(), key=lambda row: (row.record_us, row.case_id))


def add_found(draft: Draft, it: Authorization, rows: Rows) -> None:
    """Changes the charge-backs of which the operator has just given up a part."""
    changes = charge_backs.found(it, cases_of(it, rows, draft))
    if changes:
        draft[CHARGE_BACKS] += changes


def payment_taken_back(it: Authorization, reference: str, rows: Rows) -> PaymentRecord | None:
    """The payment of an authorization that a bank means; None if it is unknown.

    A deposit of a group is recorded at one of its authorizations, and counts for all of them.
    """
    for key in sorted(payments_named(it.operator_id, reference)):
        row = rows[PAYMENTS].get(key)
        if row is None or row.user_id != it.user_id or row.kind not in _BY_RAIL:
            continue
        other = rows[AUTHORIZATIONS].get((row.user_id, row.authorization_id))
        together = other is not None and bool(it.group_id) and other.group_id == it.group_id
        own = row.authorization_id == it.authorization_id
        if own or (together and row.kind is PaymentKind.DEPOSIT):
            return row
    return None


def left_of(it: Authorization, payment: PaymentRecord | None, named: str, rows: Rows) -> int:
    """The amount of a payment that no charge-back has taken, in minor units."""
    if payment is None:
        return 0
    taken_minor = sum(
        [
            row.charged_minor - row.overturned_minor
            for row in rows[CHARGE_BACKS].values()
            if row.user_id == it.user_id and row.payment == named
        ]
    )
    return max(0, payment.amount_minor - taken_minor)


def require_new_case(it: Authorization, case_id: str, rows: Rows) -> None:
    """Raises BusinessReferenceReused if the bank's case is one of this authorization."""
    if rows[CHARGE_BACKS].get((it.user_id, it.authorization_id, case_id)) is not None:
        raise BusinessReferenceReused(case_id, "charge_back", case_id)


def require_new_row(it: Authorization, case_id: str, rail_account: str, rows: Rows) -> None:
    """Raises PaymentReferenceUsed if another account's case of this authorization has the id."""
    if rows[CHARGE_BACKS].get((it.user_id, it.authorization_id, case_id)) is not None:
        raise PaymentReferenceUsed(case_id, rail_account)


def add_item(
    draft: Draft, caller: str, reference: str, direction: Direction, **values: Any
) -> None:
    """Adds an item in suspense to the draft."""
    item = SuspenseItem(
        caller=caller,
        payment_reference=reference,
        direction=direction,
        open_minor=values["amount_minor"],
        **values,
    )
    draft[SUSPENSE].append(item.sealed())


def case_named(case_id: str, cases: Iterable[ChargeBack]) -> ChargeBack:
    """The charge-back of an authorization with this id; raises NotFound."""
    for one in cases:
        if one.case_id == case_id:
            return one
    raise NotFound("charge_back", case_id)


def conceded_by(it: Authorization, case: ChargeBack, rows: Rows) -> list[tuple[int, int]]:
    """The captures that the last decision on a case conceded, each with that amount."""
    return [
        (row.capture, row.conceded_minor)
        for row in rows[CORRECTIONS].values()
        if row[:2] == (it.user_id, it.authorization_id)
        and row.authorization_version == case.decide_version
        and row.transition is Transition.CHARGE_BACK_WON
        and row.conceded_minor
    ]
