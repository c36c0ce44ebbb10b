"""Names of everything that can happen, as they stand in entries and events."""

from __future__ import annotations

from enum import StrEnum


class Transition(StrEnum):
    """What happened; the names are stable."""

    # people and lines
    FEATURES_RECORDED = "user.features_recorded"
    LIMIT_SET = "line.limit_set"
    STANDING_SET = "line.standing_set"
    # the life of an authorization
    OFFERED = "authorization.offered"
    REVIEW = "authorization.review"
    DECLINED = "authorization.declined"
    AUTHORIZED = "authorization.authorized"
    ACTIVE = "authorization.active"
    STARTED = "authorization.started"
    PAYMENT_OWED_BACK = "authorization.payment_owed_back"
    INCREMENTED = "authorization.incremented"
    DECREASED = "authorization.decreased"
    EXTENDED = "authorization.extended"
    OVERDUE = "authorization.overdue"
    RETURN_CLAIMED = "authorization.return_claimed"
    RETURN_CONTESTED = "authorization.return_contested"
    CAPTURED = "authorization.captured"
    SETTLED = "authorization.settled"
    CLAIM_ACCEPTED = "authorization.claim_accepted"
    LOST = "authorization.lost"
    FOUND = "authorization.found"
    SOLD = "authorization.sold"
    REVERSED = "authorization.reversed"
    EXPIRED = "authorization.expired"
    # what was captured on credit, and what is owed back
    PAYMENT_RECORDED = "collection.payment_recorded"
    PAID_ELSEWHERE = "collection.paid_elsewhere"
    LOWERED = "collection.lowered"
    REFUNDED = "collection.refunded"
    PAID_OUT = "collection.paid_out"
    PAYOUT_FAILED = "collection.payout_failed"
    DISPUTE_OPENED = "collection.dispute_opened"
    DISPUTE_LOST = "collection.dispute_lost"
    DISPUTE_WON = "collection.dispute_won"
    CHARGED_BACK = "collection.charged_back"
    CHARGE_BACK_OVERTURNED = "collection.charge_back_overturned"
    CHARGE_BACK_WON = "collection.charge_back_won"
    PROVISIONED = "collection.provisioned"
    WRITE_OFF_PROPOSED = "collection.write_off_proposed"
    WRITTEN_OFF = "collection.written_off"
    DEBIT_REQUESTED = "collection.debit_requested"
    DEBIT_AWAITED = "collection.debit_awaited"
    DEBIT_CANCELLED = "collection.debit_cancelled"
    DEBIT_FAILED = "collection.debit_failed"
    REMINDED = "collection.reminded"
    DUE_1_DAY = "collection.due_1_day"
    DUE_31_DAYS = "collection.due_31_days"
    DUE_61_DAYS = "collection.due_61_days"
    DUE_91_DAYS = "collection.due_91_days"
    # between Freehold and operators
    OPERATOR_PAID = "operator.paid_out"
