"""Authorizations as GetAuthorization answers them: without their receipts."""

from __future__ import annotations

from freehold.v1.authorization_pb2 import Authorization


def without_receipt(it: Authorization) -> Authorization:
    """A copy without the receipt, which only one event and the answer of its call have."""
    copy = Authorization()
    copy.CopyFrom(it)
    copy.ClearField("receipt")
    return copy
