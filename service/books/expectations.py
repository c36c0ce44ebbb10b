"""The verifier's expectations: the rules of the books, stated a second time.

`domain/` makes the entries of each step. This file states the same rules independently: the
postings that each transition may have, the effect of each posting on an authorization, and the
meaning of each event. So an error in either place shows as a difference. Nothing here reads a
database.
"""

from __future__ import annotations

from typing import Final

from service.domain.attestations import AttestationKind
from service.domain.authorization import CAPTURABLE, Custody, State
from service.domain.dunning import Rung
from service.domain.ledger import Account
from service.domain.transitions import Transition as T
from service.engine.records.payments import PaymentKind
from service.engine.records.transfers import TransferState

# -- the effect of each posting on an authorization -----------------------------------------------

AMOUNTS: Final = (
    "held_credit_minor",
    "held_cash_minor",
    "captured_minor",
    "captured_credit_minor",
    "conceded_minor",
    "fee_minor",
    "due_minor",
    "paid_minor",
    "lowered_minor",
    "disputed_minor",
    "charged_back_minor",
    "refunded_minor",
    "refund_payable_minor",
    "provisioned_minor",
    "written_off_minor",
    "recovered_minor",
    "forgiven_minor",
    "received_minor",
    "elsewhere_minor",
    "paid_out_minor",
    "overpaid_minor",
    "overpaid_written_off_minor",
    "unheld_minor",
    "unheld_dropped_minor",
)
"""The amounts of an authorization that follow from its entries alone."""

FLOWS: Final = (
    *("deposits", "payments", "elsewhere", "charge_backs", "paid_out", "failed_payouts"),
    "carried_over",
)
"""Money that came from and went to the outside, or came from a reservation; recorded payments,
transfers and late pick-ups must agree."""
GRANTED: Final = "granted_credit_minor"
"""The credit that was held for an authorization, without what a lower hold gave back."""
CARRIED: Final = ("refund_payable_minor", "received_minor")
"""The amounts of a reservation that a late pick-up lowers by the deposit that it takes over; the
entry is that of the new rental."""

PLACES: Final = {name: place for place, name in enumerate((*AMOUNTS, *FLOWS, GRANTED))}

Pair = tuple[Account, Account]
Effect = tuple[tuple[int, int], ...]
Effects = dict[Pair, Effect]

A = Account


def _moves(**amounts: int) -> Effect:
    """The amounts that a posting raises (1) or lowers (-1)."""
    return tuple((PLACES[name], sign) for name, sign in amounts.items())


def _concedes(against: Account, **amounts: int) -> Effects:
    """The operator gives an amount up, and gets the commission on it back."""
    return {
        (A.OPERATOR_PAYABLE, against): _moves(conceded_minor=1, **amounts),
        (A.FEE_INCOME, against): _moves(conceded_minor=1, fee_minor=-1, **amounts),
    }


_CUT: Effects = {(A.LIMIT_CONTROL, A.AVAILABLE): ()}
# The line's postings when a receivable is lowered.
_REPAID: Effects = {(A.AVAILABLE, A.DRAWN): (), **_CUT}
_OWED: Effects = {
    (A.CASH, A.REFUND_PAYABLE): _moves(refund_payable_minor=1, received_minor=1, deposits=1)
}
_HELD: Effects = {
    (A.HELD, A.AVAILABLE): _moves(held_credit_minor=1, granted_credit_minor=1),
    (A.CASH, A.DEPOSIT): _moves(held_cash_minor=1, received_minor=1, deposits=1),
    **_OWED,
}
_RELEASED: Effects = {
    (A.AVAILABLE, A.HELD): _moves(held_credit_minor=-1),
    (A.DEPOSIT, A.REFUND_PAYABLE): _moves(held_cash_minor=-1, refund_payable_minor=1),
    **_CUT,
}
_CAPTURED: Effects = {
    (A.DEPOSIT, A.OPERATOR_PAYABLE): _moves(held_cash_minor=-1, captured_minor=1),
    (A.DEPOSIT, A.FEE_INCOME): _moves(held_cash_minor=-1, captured_minor=1, fee_minor=1),
    (A.DRAWN, A.HELD): _moves(held_credit_minor=-1, captured_credit_minor=1),
    (A.RECEIVABLE, A.OPERATOR_PAYABLE): _moves(captured_minor=1, due_minor=1),
    (A.RECEIVABLE, A.FEE_INCOME): _moves(captured_minor=1, fee_minor=1, due_minor=1),
}
_LOWERED: Effects = {**_concedes(A.RECEIVABLE, lowered_minor=1, due_minor=-1), **_REPAID}
_REFUNDED: Effects = _concedes(A.REFUND_PAYABLE, refunded_minor=1, refund_payable_minor=1)
_PAID_OUT: Effects = {
    (A.REFUND_PAYABLE, A.CASH): _moves(refund_payable_minor=-1, paid_out_minor=1, paid_out=1)
}
_OWED_AGAIN: Effects = {
    (A.CASH, A.REFUND_PAYABLE): _moves(refund_payable_minor=1, paid_out_minor=-1, failed_payouts=1)
}
SET_OFF: Final[Effects] = {
    (A.REFUND_PAYABLE, A.OVERPAID): _moves(refund_payable_minor=-1, overpaid_minor=-1),
    (A.REFUND_PAYABLE, A.RECOVERY): _moves(refund_payable_minor=-1, overpaid_written_off_minor=-1),
}
"""An amount owed back is set off at once against an overpaid one, also after its write-off."""
# A paid part of a debt without a hold becomes a capture.
_EARNED: Effects = {
    (A.OPERATOR_DEFERRED, A.OPERATOR_PAYABLE): _moves(captured_minor=1, captured_credit_minor=1),
    (A.OPERATOR_DEFERRED, A.FEE_INCOME): _moves(
        captured_minor=1, captured_credit_minor=1, fee_minor=1
    ),
}
# A payment whose money was in suspense before.
_MATCHED: Effects = {
    (A.SUSPENSE, A.RECEIVABLE): _moves(paid_minor=1, due_minor=-1, received_minor=1, payments=1),
    (A.SUSPENSE, A.RECOVERY): _moves(recovered_minor=1, received_minor=1, payments=1),
    (A.SUSPENSE, A.OVERPAID): _moves(overpaid_minor=-1, received_minor=1, payments=1),
    (A.SUSPENSE, A.REFUND_PAYABLE): _moves(refund_payable_minor=1, received_minor=1, payments=1),
    (A.SUSPENSE, A.RECEIVABLE_UNHELD): _moves(paid_minor=1, received_minor=1, payments=1),
}
# A deposit whose money was in suspense before.
_OWED_MATCH: Effects = {
    (A.SUSPENSE, A.REFUND_PAYABLE): _moves(refund_payable_minor=1, received_minor=1, deposits=1)
}
_HELD_MATCH: Effects = {
    (A.SUSPENSE, A.DEPOSIT): _moves(held_cash_minor=1, received_minor=1, deposits=1),
    **_OWED_MATCH,
}
_DROPPED: Effects = {(A.OPERATOR_DEFERRED, A.RECEIVABLE_UNHELD): _moves(unheld_dropped_minor=1)}
# A bank keeps money that it took back: it counts as never received.
_TAKEN = {"charged_back_minor": -1, "received_minor": -1}
# A decision for the person is undone.
_REGAINED = {"charged_back_minor": 1, "received_minor": 1}
_GIVEN_BACK: Effects = {
    **_LOWERED,
    **_concedes(A.RECEIVABLE_DISPUTED, lowered_minor=1, disputed_minor=-1),
    **_concedes(A.RECOVERY, forgiven_minor=1),
    **_concedes(A.RECEIVABLE_CHARGED_BACK, refunded_minor=1, **_TAKEN),
    **_REFUNDED,
    **_concedes(A.GOODWILL),
}

_OWN_EFFECTS: Final[dict[T, Effects]] = {
    T.LIMIT_SET: {(A.AVAILABLE, A.LIMIT_CONTROL): (), **_CUT},
    T.OPERATOR_PAID: {(A.OPERATOR_PAYABLE, A.CASH): ()},
    T.OPERATOR_PAID_BACK: {(A.CASH, A.OPERATOR_PAYABLE): ()},
    T.AUTHORIZED: _HELD | _HELD_MATCH,
    T.ACTIVE: _HELD | _HELD_MATCH,
    T.INCREMENTED: _HELD,
    T.DECLINED: _OWED | _OWED_MATCH,
    T.PAYMENT_OWED_BACK: _OWED | _OWED_MATCH,
    T.DECREASED: {
        **_RELEASED,
        (A.AVAILABLE, A.HELD): _moves(held_credit_minor=-1, granted_credit_minor=-1),
    },
    T.REVERSED: _RELEASED,
    # The time of a reservation may have a price.
    T.EXPIRED: _CAPTURED | _RELEASED,
    T.ASSET_TAKEN: _RELEASED,
    T.LATE_PICKED_UP: {
        (A.HELD, A.AVAILABLE): _moves(held_credit_minor=1, granted_credit_minor=1),
        (A.REFUND_PAYABLE, A.DEPOSIT): _moves(held_cash_minor=1, received_minor=1, carried_over=1),
    },
    T.DEPOSIT_CARRIED_OVER: _GIVEN_BACK,
    T.CAPTURED: _CAPTURED,
    T.SETTLED: _CAPTURED | _RELEASED,
    T.HANDED_OVER: _CAPTURED | _RELEASED,
    T.CANCELLED: _CAPTURED | _RELEASED,
    T.CLAIM_ACCEPTED: _CAPTURED | _RELEASED,
    T.LOST: _CAPTURED | _RELEASED,
    T.FOUND: _GIVEN_BACK | _DROPPED,
    T.RETURN_PRESUMED: _GIVEN_BACK | _DROPPED,
    T.FEE_WAIVED: _GIVEN_BACK,
    # A pause that is told after the settlement.
    T.PAUSED: _GIVEN_BACK | _DROPPED,
    T.PAYMENT_RECORDED: {
        (A.CASH, A.RECEIVABLE): _moves(paid_minor=1, due_minor=-1, received_minor=1, payments=1),
        (A.CASH, A.RECOVERY): _moves(recovered_minor=1, received_minor=1, payments=1),
        (A.CASH, A.OVERPAID): _moves(overpaid_minor=-1, received_minor=1, payments=1),
        (A.CASH, A.REFUND_PAYABLE): _moves(refund_payable_minor=1, received_minor=1, payments=1),
        (A.CASH, A.RECEIVABLE_UNHELD): _moves(paid_minor=1, received_minor=1, payments=1),
        **_MATCHED,
        **_EARNED,
        **_REPAID,
    },
    T.PAID_ELSEWHERE: {
        (A.OPERATOR_PAYABLE, A.RECEIVABLE): _moves(
            paid_minor=1, due_minor=-1, elsewhere_minor=1, elsewhere=1
        ),
        (A.OPERATOR_PAYABLE, A.RECEIVABLE_UNHELD): _moves(
            paid_minor=1, elsewhere_minor=1, elsewhere=1
        ),
        (A.OPERATOR_PAYABLE, A.RECOVERY): _moves(recovered_minor=1, elsewhere_minor=1, elsewhere=1),
        (A.OPERATOR_PAYABLE, A.REFUND_PAYABLE): _moves(
            refund_payable_minor=1, elsewhere_minor=1, elsewhere=1
        ),
        **_EARNED,
        **_REPAID,
    },
    T.LOWERED: _LOWERED | _DROPPED,
    T.REFUNDED: _REFUNDED,
    T.PAID_OUT: _PAID_OUT,
    T.PAID_OUT_BY_TIME: _PAID_OUT,
    T.PAYOUT_FAILED: _OWED_AGAIN,
    T.PAYOUT_RETURNED: _OWED_AGAIN,
    T.PAYOUT_CANCELLED: _OWED_AGAIN,
    T.PAYOUT_SUCCEEDED_LATE: {
        (A.REFUND_PAYABLE, A.CASH): _moves(refund_payable_minor=-1, paid_out_minor=1, paid_out=1),
        (A.OVERPAID, A.CASH): _moves(overpaid_minor=1, paid_out_minor=1, paid_out=1),
    },
    T.DISPUTE_OPENED: {
        (A.RECEIVABLE_DISPUTED, A.RECEIVABLE): _moves(disputed_minor=1, due_minor=-1)
    },
    T.DISPUTE_LOST: {(A.RECEIVABLE, A.RECEIVABLE_DISPUTED): _moves(disputed_minor=-1, due_minor=1)},
    T.DISPUTE_WON: {
        **_concedes(A.RECEIVABLE_DISPUTED, lowered_minor=1, disputed_minor=-1),
        (A.GOODWILL, A.RECEIVABLE_DISPUTED): _moves(lowered_minor=1, disputed_minor=-1),
        **_DROPPED,
        **_REPAID,
    },
    T.CHARGED_BACK: {
        (A.RECEIVABLE_CHARGED_BACK, A.CASH): _moves(charged_back_minor=1, charge_backs=1),
        (A.SUSPENSE, A.CASH): _moves(charge_backs=1),
        (A.RECEIVABLE_CHARGED_BACK, A.SUSPENSE): _moves(charged_back_minor=1, charge_backs=1),
    },
    T.CHARGE_BACK_OVERTURNED: {(A.CASH, A.RECEIVABLE_CHARGED_BACK): _moves(charged_back_minor=-1)},
    T.CHARGE_BACK_WON: {
        (A.REFUND_PAYABLE, A.RECEIVABLE_CHARGED_BACK): _moves(refund_payable_minor=-1, **_TAKEN),
        (A.DEPOSIT, A.RECEIVABLE_CHARGED_BACK): _moves(held_cash_minor=-1, **_TAKEN),
        **_concedes(A.RECEIVABLE_CHARGED_BACK, refunded_minor=1, **_TAKEN),
        (A.GOODWILL, A.RECEIVABLE_CHARGED_BACK): _moves(refunded_minor=1, **_TAKEN),
        (A.RECOVERY, A.RECEIVABLE_CHARGED_BACK): _moves(recovered_minor=-1, **_TAKEN),
        (A.OVERPAID, A.RECEIVABLE_CHARGED_BACK): _moves(overpaid_minor=1, **_TAKEN),
    },
    T.PROVISIONED: {
        (A.CREDIT_LOSS, A.ALLOWANCE): _moves(provisioned_minor=1),
        (A.ALLOWANCE, A.CREDIT_LOSS): _moves(provisioned_minor=-1),
    },
    T.WRITTEN_OFF: {
        (A.CREDIT_LOSS, A.ALLOWANCE): _moves(provisioned_minor=1),
        (A.ALLOWANCE, A.RECEIVABLE): _moves(written_off_minor=1, due_minor=-1),
        (A.LIMIT_CONTROL, A.DRAWN): (),
    },
    T.OVERPAID_WRITTEN_OFF: {
        (A.CREDIT_LOSS, A.ALLOWANCE): (),
        (A.ALLOWANCE, A.OVERPAID): _moves(overpaid_minor=-1, overpaid_written_off_minor=1),
    },
    T.CHARGE_FORGIVEN: {
        (A.GOODWILL, A.RECEIVABLE): _moves(lowered_minor=1, due_minor=-1),
        **_REPAID,
    },
    T.SET_OFF: {
        (A.REFUND_PAYABLE, A.RECEIVABLE): _moves(
            refund_payable_minor=-1, paid_minor=1, due_minor=-1
        ),
        (A.REFUND_PAYABLE, A.RECEIVABLE_UNHELD): _moves(refund_payable_minor=-1, paid_minor=1),
        **_EARNED,
        **_REPAID,
        **SET_OFF,
    },
    T.CHARGE_BACK_REOPENED: {
        (A.RECEIVABLE_CHARGED_BACK, A.CASH): _moves(charged_back_minor=1),
        (A.RECEIVABLE_CHARGED_BACK, A.OPERATOR_PAYABLE): _moves(
            conceded_minor=-1, refunded_minor=-1, **_REGAINED
        ),
        (A.RECEIVABLE_CHARGED_BACK, A.FEE_INCOME): _moves(
            conceded_minor=-1, fee_minor=1, refunded_minor=-1, **_REGAINED
        ),
        (A.RECEIVABLE_CHARGED_BACK, A.GOODWILL): _moves(refunded_minor=-1, **_REGAINED),
        (A.RECEIVABLE_CHARGED_BACK, A.RECOVERY): _moves(recovered_minor=1, **_REGAINED),
        (A.RECEIVABLE_CHARGED_BACK, A.DEPOSIT): _moves(held_cash_minor=1, **_REGAINED),
        (A.RECEIVABLE_CHARGED_BACK, A.OVERPAID): _moves(overpaid_minor=-1, **_REGAINED),
        (A.RECEIVABLE_CHARGED_BACK, A.CREDIT_LOSS): _moves(
            overpaid_written_off_minor=-1, **_REGAINED
        ),
        (A.RECEIVABLE_CHARGED_BACK, A.REFUND_PAYABLE): _moves(refund_payable_minor=1, **_REGAINED),
    },
    T.SUSPENSE_CAME_IN: {(A.CASH, A.SUSPENSE): ()},
    T.SUSPENSE_TAKEN_BACK: {(A.SUSPENSE, A.CASH): ()},
    T.SUSPENSE_RETURNED: {(A.SUSPENSE, A.CASH): ()},
    T.SUSPENSE_REGAINED: {(A.CASH, A.SUSPENSE): ()},
    T.DEBT_BOOKED: {(A.RECEIVABLE_UNHELD, A.OPERATOR_DEFERRED): _moves(unheld_minor=1)},
    T.DEBT_DROPPED: _DROPPED,
    T.PASS_REFUNDED: _GIVEN_BACK | _DROPPED,
    T.CASE_DECIDED: {**_GIVEN_BACK, **_DROPPED},
    T.CASE_DECIDED_BY_TIME: {**_GIVEN_BACK, **_DROPPED},
}
"""The postings that each transition may have, apart from a set-off."""


def _with_set_off(effects: Effects) -> Effects:
    may_owe = any(debit is A.OVERPAID or credit is A.REFUND_PAYABLE for debit, credit in effects)
    return {**effects, **SET_OFF} if may_owe else effects


EFFECTS: Final = {transition: _with_set_off(it) for transition, it in _OWN_EFFECTS.items()}
"""The postings that each transition may have; a transition not listed here has none."""

OPERATORS_OWN: Final = {
    T.OPERATOR_PAID: PaymentKind.OPERATOR_PAYOUT,
    T.OPERATOR_PAID_BACK: PaymentKind.OPERATOR_PAYMENT,
}
"""Transitions on an operator's own line, each with its kind of payment."""
RAILS_OWN: Final = {
    T.SUSPENSE_CAME_IN: PaymentKind.UNMATCHED_IN,
    T.SUSPENSE_TAKEN_BACK: PaymentKind.UNMATCHED_OUT,
    T.SUSPENSE_RETURNED: PaymentKind.RETURNED,
    T.SUSPENSE_REGAINED: PaymentKind.REGAINED,
}
"""Transitions on the rail's own line, each with its kind of payment."""


CAPTURING: Final = frozenset(
    {T.CAPTURED, T.SETTLED, T.HANDED_OVER, T.CLAIM_ACCEPTED, T.LOST, T.CANCELLED, T.EXPIRED}
)
"""The transitions that capture; each capture has a row, unless an earlier build wrote it."""

CORRECTING: Final[dict[T, tuple[tuple[bool, int], ...]]] = {
    T.LOWERED: ((True, 0),),
    T.REFUNDED: ((True, 0),),
    # Open and disputed parts of a capture are given back together.
    T.FOUND: ((True, 0), (True, -1)),
    T.RETURN_PRESUMED: ((True, 0), (True, -1)),
    # A late pick-up bills the time that its reservation had billed.
    T.DEPOSIT_CARRIED_OVER: ((True, 0), (True, -1)),
    T.PAUSED: ((True, 0), (True, -1)),
    T.PASS_REFUNDED: ((True, 0), (True, -1)),
    T.CASE_DECIDED: ((True, 0), (True, -1)),
    T.CASE_DECIDED_BY_TIME: ((True, 0), (True, -1)),
    # A part that was not captured yet is waived without a capture.
    T.FEE_WAIVED: ((True, 0), (True, -1), (False, 0)),
    T.CHARGE_FORGIVEN: ((False, 0),),
    T.DISPUTE_OPENED: ((False, 1),),
    T.DISPUTE_LOST: ((False, -1),),
    T.DISPUTE_WON: ((True, -1), (False, -1)),
    T.CHARGE_BACK_OVERTURNED: ((False, 0),),
    T.CHARGE_BACK_WON: ((True, 0), (False, 0)),
    # What the operator had given up is given back to it.
    T.CHARGE_BACK_REOPENED: ((True, 0), (False, 0)),
}
"""The transitions that correct a charge: whether the operator gives the amount up, and the sign of
the change of what is disputed."""
CORRECTING_DEBTS: Final = frozenset(
    {
        *(T.LOWERED, T.DISPUTE_OPENED, T.DISPUTE_LOST, T.DISPUTE_WON),
        *(T.CASE_DECIDED, T.CASE_DECIDED_BY_TIME),
        *(T.FOUND, T.RETURN_PRESUMED, T.PAUSED, T.PASS_REFUNDED),
    }
)
"""The transitions that correct a debt without a hold: it has no captures, and nothing is given up
of an amount that was not paid."""


ATTESTING: Final = {
    AttestationKind.PAUSE: T.PAUSED,
    AttestationKind.RESUME: T.RESUMED,
    AttestationKind.WAIVER: T.FEE_WAIVED,
    AttestationKind.BY_POST: T.HANDED_OVER,
    AttestationKind.BY_HAND: T.HANDED_OVER,
}
"""The transition of each kind of attestation; each of these events has its row."""


CONSENTED: Final = frozenset(
    {
        *((it, True) for it in (T.OFFERED, T.REVIEW, T.DECLINED, T.ACTIVE, T.INCREMENTED)),
        *((it, False) for it in (T.CAPTURED, T.SETTLED, T.HANDED_OVER)),
    }
)
"""The transitions that charge for damage anew, and to which the user may consent; true for those of
a damage charge, false for those of the rental itself."""


# -- states, custody and events ------------------------------------------------------------------

CUSTODIES: Final = {
    State.ACTIVE: {Custody.OUT},
    State.OVERDUE: {Custody.OUT},
    State.RETURN_CLAIMED: {Custody.UNKNOWN},
    State.SETTLED: {Custody.IN_STATION, Custody.UNKNOWN, Custody.MISSING, Custody.SOLD},
}
STARTED: Final = CAPTURABLE | {State.SETTLED}

STATES_AFTER: Final[dict[T, frozenset[State]]] = {
    T.OFFERED: frozenset({State.OFFERED}),
    T.REVIEW: frozenset({State.REVIEW}),
    T.DECLINED: frozenset({State.DECLINED}),
    T.AUTHORIZED: frozenset({State.AUTHORIZED}),
    T.ACTIVE: frozenset({State.ACTIVE}),
    T.STARTED: frozenset({State.ACTIVE}),
    T.LATE_PICKED_UP: frozenset({State.ACTIVE}),
    T.EXTENDED: frozenset({State.ACTIVE, State.AUTHORIZED}),
    T.OVERDUE: frozenset({State.OVERDUE}),
    T.RETURN_CLAIMED: frozenset({State.RETURN_CLAIMED}),
    T.RETURN_CONTESTED: frozenset({State.ACTIVE, State.OVERDUE}),
    T.SETTLED: frozenset({State.SETTLED}),
    T.HANDED_OVER: frozenset({State.SETTLED}),
    T.CANCELLED: frozenset({State.SETTLED}),
    # A pause moves the due time of an overdue rental, perhaps beyond the present. If it is told
    # together with its end, it may come after the settlement.
    T.PAUSED: frozenset({State.ACTIVE, State.OVERDUE, State.SETTLED}),
    T.RESUMED: frozenset({State.ACTIVE, State.OVERDUE}),
    T.CLAIM_ACCEPTED: frozenset({State.SETTLED}),
    T.LOST: frozenset({State.SETTLED}),
    T.DEBT_BOOKED: frozenset({State.SETTLED}),
    T.REVERSED: frozenset({State.REVERSED}),
    T.ASSET_TAKEN: frozenset({State.REVERSED}),
    # A reservation whose time has a price is charged. A damage charge of which something was
    # captured lapses as far as it is not.
    T.EXPIRED: frozenset({State.EXPIRED, State.SETTLED}),
}
"""The states after a transition; a transition not listed here keeps the state."""
CLIMBED: Final = {
    T.DEBIT_REQUESTED: Rung.DEBIT,
    T.DEBIT_AWAITED: Rung.DEBIT,
    T.REMINDED: Rung.REMIND,
    T.DUE_1_DAY: Rung.RANGE,
    T.DUE_31_DAYS: Rung.RANGE,
    T.DUE_61_DAYS: Rung.RANGE,
    T.DUE_91_DAYS: Rung.RANGE,
}
NO_CALLS: Final = frozenset(CLIMBED) | {
    *(T.EXPIRED, T.OVERDUE, T.CLAIM_ACCEPTED, T.SOLD, T.DEBIT_FAILED, T.DEBIT_CANCELLED),
    *(T.DEBT_DROPPED, T.CASE_DECIDED_BY_TIME),
    *(T.PAYOUT_FAILED, T.PAYOUT_RETURNED, T.PAYOUT_CANCELLED, T.PAYOUT_SUCCEEDED_LATE),
    *(T.SET_OFF, T.PAID_OUT_BY_TIME),
    *(T.APPEARED, T.RETURN_PRESUMED, T.CHARGE_BACK_REOPENED),
    *(T.ASSET_TAKEN, T.DEPOSIT_CARRIED_OVER),
}
"""Transitions by time, by the rail or by a call on another authorization, and those that precede
another one of the same call; a loss may also be a call."""
ENDS: Final = {
    TransferState.FAILED: T.DEBIT_FAILED,
    TransferState.CANCELLED: T.DEBIT_CANCELLED,
}
"""The transitions by which a debit ends without a payment."""
PAYOUT_ENDS: Final = {
    TransferState.FAILED: T.PAYOUT_FAILED,
    TransferState.CANCELLED: T.PAYOUT_CANCELLED,
    TransferState.RETURNED: T.PAYOUT_RETURNED,
}
"""The transitions by which a payout ends without reaching the person."""
TRANSFERRED: Final = frozenset(
    {T.DEBIT_REQUESTED, T.PAID_OUT, T.PAID_OUT_BY_TIME, *ENDS.values(), *PAYOUT_ENDS.values()}
)
"""The requests and ends of transfers, which are recorded at the same instants."""


# -- money outside --------------------------------------------------------------------------------

PAYOUTS: Final = {
    T.PAID_OUT: "paid_out",
    T.PAID_OUT_BY_TIME: "paid_out",
    T.PAYOUT_FAILED: "failed_payouts",
    T.PAYOUT_RETURNED: "failed_payouts",
    T.PAYOUT_CANCELLED: "failed_payouts",
    T.PAYOUT_SUCCEEDED_LATE: "paid_out",
}
PAYMENTS: Final = {
    PaymentKind.DEPOSIT: "deposits",
    PaymentKind.PAYMENT: "payments",
    PaymentKind.ELSEWHERE: "elsewhere",
    PaymentKind.CHARGE_BACK: "charge_backs",
    PaymentKind.CASE: "charge_backs",
}
