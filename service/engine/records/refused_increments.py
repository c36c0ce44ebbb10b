"""Refused increments that were decided on the credit line: one row for each try."""

from __future__ import annotations

from typing import NamedTuple

from service.engine.records.captures import digest_of


class RefusedIncrementRecord(NamedTuple):
    """A try of IncrementAuthorization that was refused after a look at the line.

    `number` counts the refused tries of the authorization from 1. `caller` and `request_id` name
    the call, and `reason` is that of the refusal. `record_us` is the instant of the refusal, in
    microseconds since the epoch, UTC. `digest` covers the row, except the person.
    """

    user_id: str
    authorization_id: str
    number: int
    caller: str
    request_id: str
    reason: str
    record_us: int
    digest: bytes

    @property
    def expected_digest(self) -> bytes:
        """The digest of the other columns."""
        return digest_of(*self[1:-1])
