"""Charge-backs and suspense, as the operations of a batch read and write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.domain import charge_backs
from service.domain.authorization import Authorization, Start
from service.domain.captures import Capture, Purpose
from service.domain.charge_backs import ChargeBack
from service.domain.errors import (
    BusinessReferenceReused,
    IllegalState,
    NotFound,
    PaymentReferenceUsed,
)
from service.domain.suspense import Direction, SuspenseItem
from service.domain.transitions import Transition
from service.engine.charges import payments_named
from service.engine.correcting import captures_of
from service.engine.records.late_pickups import LatePickupRecord
from service.engine.records.payments import PaymentKind, PaymentRecord
from service.engine.rows import Draft, Rows
from service.engine.tables import (
    AUTHORIZATIONS,
    CHARGE_BACKS,
    CORRECTIONS,
    LATE_PICKUPS,
    PAYMENTS,
)
from service.engine.unmatched_cases import ask_about

_BY_RAIL = (PaymentKind.PAYMENT, PaymentKind.DEPOSIT)
GIVING_BACK = frozenset(
    {
        *(Transition.FOUND, Transition.RETURN_PRESUMED, Transition.FEE_WAIVED),
        *(Transition.CASE_DECIDED, Transition.CASE_DECIDED_BY_TIME, Transition.PAUSED),
        *(Transition.DEPOSIT_CARRIED_OVER, Transition.PASS_REFUNDED),
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


def add_given_up(draft: Draft, it: Authorization, rows: Rows, regain_minor: int) -> None:
    """Changes the lost charge-backs after the fee was fixed anew; see `charge_backs.given_up`."""
    if not it.conceded_minor:
        return
    cases = [one for one in cases_of(it, rows, draft) if one.conceded_minor]
    if cases:
        purposes = {one.number: one.purpose for one in captures_of(it, rows, draft)}
        others = [_of_others_minor(it, one, purposes, rows) for one in cases]
        changes = charge_backs.given_up(cases, others, regain_minor)
        if changes:
            draft[CHARGE_BACKS] += changes


def _of_others_minor(
    it: Authorization, case: ChargeBack, purposes: Mapping[int, Purpose], rows: Rows
) -> int:
    """The amount that a case took of captures for anything but the fee."""
    return sum(
        [
            minor
            for number, minor in conceded_by(it, case, rows)
            if purposes.get(number, Purpose.FEE) is not Purpose.FEE
        ]
    )


def payments_taken_back(it: Authorization, reference: str, rows: Rows) -> list[PaymentRecord]:
    """The payments of an authorization that a bank may mean by a reference; empty if the reference
    is unknown.

    Usually there is one. Two payments have the same reference if they came into two rail accounts.
    """
    found = [rows[PAYMENTS].get(key) for key in sorted(payments_named(it.operator_id, reference))]
    return [row for row in found if row is not None and _concerns(row, it, rows)]


def _concerns(payment: PaymentRecord, it: Authorization, rows: Rows) -> bool:
    """Whether the bank may take a payment back from an authorization.

    A deposit of a group is recorded at one of its authorizations, and counts for all of them. A
    deposit that a late pick-up took over was recorded for its reservation.
    """
    if payment.user_id != it.user_id or payment.kind not in _BY_RAIL:
        return False
    if _is_for(payment, it, rows):
        return True
    taken_over = _taken_over_by(it, rows)
    reservation = None if taken_over is None else rows[AUTHORIZATIONS].get(taken_over[:2])
    return reservation is not None and _is_for(payment, reservation, rows)


def _is_for(payment: PaymentRecord, it: Authorization, rows: Rows) -> bool:
    """Whether a payment was recorded for an authorization, or is a deposit of its group."""
    if payment.authorization_id == it.authorization_id:
        return True
    other = rows[AUTHORIZATIONS].get((payment.user_id, payment.authorization_id))
    together = other is not None and bool(it.group_id) and other.group_id == it.group_id
    return together and payment.kind is PaymentKind.DEPOSIT


def _taken_over_by(it: Authorization, rows: Rows) -> LatePickupRecord | None:
    """The late pick-up by which an authorization took a deposit over, if it did."""
    if it.start is not Start.LATE_PICKUP:
        return None
    for row in rows[LATE_PICKUPS].values():
        if (row.user_id, row.started_id) == (it.user_id, it.authorization_id):
            return row if row.deposit_minor else None
    return None


def require_here(
    it: Authorization,
    payments: Sequence[PaymentRecord],
    named: str,
    amount_minor: int,
    rows: Rows,
) -> None:
    """Raises IllegalState for money of a reservation that its late pick-up has taken over.

    The error names the rental at which the bank's case is recorded. A payment that is named and
    unknown is in suspense, wherever it is recorded.
    """
    late = rows[LATE_PICKUPS].get((it.user_id, it.authorization_id))
    if late is None or (named and not payments) or amount_minor <= it.chargeable_back_minor:
        return
    if _left_of_deposit(late, rows) <= 0:
        return
    refusal = IllegalState(
        "DEPOSIT_TAKEN_OVER",
        f"the late pick-up took over {late.deposit_minor} of the money paid for this reservation:"
        f" record at most {it.chargeable_back_minor} here, and the rest for the rental that began"
        " with the late pick-up",
        it.state,
    )
    refusal.about(f"users/{late.user_id}/authorizations/{late.started_id}")
    raise refusal


def _left_of_deposit(late: LatePickupRecord, rows: Rows) -> int:
    """The part of the deposit taken over that no charge-back of the rental has taken."""
    name = (late.user_id, late.started_id)
    taken = [row for row in rows[CHARGE_BACKS].values() if row[:2] == name]
    return late.deposit_minor - sum([row.charged_minor - row.overturned_minor for row in taken])


def left_of(it: Authorization, payments: Sequence[PaymentRecord], named: str, rows: Rows) -> int:
    """The amount of the payments that no charge-back has taken, at most that of one payment.

    The amount is in minor units. A charge-back counts if it took back one of these payments. A
    charge-back of another payment with the same reference, for example another operator's payment,
    does not count. If the payment was for the reservation of a late pick-up, only the deposit that
    the late pick-up took over counts.
    """
    amounts = [payment.amount_minor for payment in payments]
    if not amounts:
        return 0
    taken_minor = sum(
        [
            row.charged_minor - row.overturned_minor
            for row in rows[CHARGE_BACKS].values()
            if row.payment == named and _took_one(row, payments, rows)
        ]
    )
    left_minor = min(max(amounts), sum(amounts) - taken_minor)
    late = _taken_over_by(it, rows)
    if late is not None and not any(_is_for(payment, it, rows) for payment in payments):
        left_minor = min(left_minor, _left_of_deposit(late, rows))
    return max(0, left_minor)


def _took_one(row: ChargeBack, payments: Iterable[PaymentRecord], rows: Rows) -> bool:
    """Whether a charge-back took back one of the payments."""
    it = rows[AUTHORIZATIONS].get(row[:2])
    return it is not None and any(_concerns(payment, it, rows) for payment in payments)


def left_of_case(it: Authorization, case: ChargeBack, rows: Rows) -> int | None:
    """The amount of a case's payment that no charge-back has taken; None if the case has no
    payment."""
    payments = payments_taken_back(it, case.payment, rows) if case.payment else []
    return left_of(it, payments, case.payment, rows) if payments else None


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
    """Adds an item in suspense to the draft, with a case in which the platform identifies the
    money."""
    item = SuspenseItem(
        caller=caller,
        payment_reference=reference,
        direction=direction,
        open_minor=values["amount_minor"],
        **values,
    )
    ask_about(draft, item)


def case_named(case_id: str, cases: Iterable[ChargeBack]) -> ChargeBack:
    """The charge-back of an authorization with this id; raises NotFound."""
    for one in cases:
        if one.case_id == case_id:
            return one
    raise NotFound("charge_back", case_id)


def conceded_by(
    it: Authorization, case: ChargeBack, rows: Rows, captures: Iterable[Capture] = ()
) -> list[tuple[int, int]]:
    """The captures that the last decision on a case conceded, each with the conceded amount.

    Those of `captures` that are for the fee come last: if a part of the fee was given up since, it
    is the fee that gets less back.
    """
    others = {one.number for one in captures if one.purpose is not Purpose.FEE}
    found = [
        (row.capture, row.conceded_minor)
        for row in rows[CORRECTIONS].values()
        if row[:2] == (it.user_id, it.authorization_id)
        and row.authorization_version == case.decide_version
        and row.transition is Transition.CHARGE_BACK_WON
        and row.conceded_minor
    ]
    return sorted(found, key=lambda one: one[0] not in others)
