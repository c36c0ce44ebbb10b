"""Verdicts on reviews: one row for each authorization whose review a person decided."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.reviews import ReviewReason, Verdict
from service.domain.transitions import Transition
from service.engine.records.captures import digest_of


class VerdictRecord(NamedTuple):
    """The verdict on one review.

    `authorization_version` is the version of the authorization after the step; `transition` is the
    step's name. `reason_text` is the employee's own words. `decided_by` is the hand that decided: a
    person of the platform, or the key of a program. `event_us` and `record_us` are the instant of
    the step, in microseconds since the epoch, UTC. `digest` covers the row, except the user.
    """

    user_id: str
    authorization_id: str
    authorization_version: int
    operator_id: str
    verdict: Verdict
    reason: ReviewReason
    reason_text: str
    decided_by: str
    transition: Transition
    event_us: int
    record_us: int
    digest: bytes

    @property
    def expected_digest(self) -> bytes:
        """The digest of the other columns."""
        return digest_of(*self[1:-1])
