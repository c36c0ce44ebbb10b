"""Authorizations as GetAuthorization answers them: without their receipts."""

from __future__ import annotations

from freehold.v1.authorization_pb2 import Authorization


def without_receipt(it: Authorization) -> Authorization:
    """A copy without the receipt and without the other rows of the step. Only one event and the
    answer of its call have these parts."""
    copy = Authorization()
    copy.CopyFrom(it)
    for name in ("receipt", "lapse", "case", "moved_no_money", "step_decision_id", "reviewed"):
        copy.ClearField(name)
    return copy
