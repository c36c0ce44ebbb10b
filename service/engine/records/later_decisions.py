"""Decisions of steps that are not the authorization's own: those of increments."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.transitions import Transition
from service.engine.records.captures import digest_of


class LaterDecisionRecord(NamedTuple):
    """The decision of a step, with the number of the step's first entry in its line.

    `authorization_version` is the version of the authorization after the step; `transition` is the
    step's name. `event_us` is the instant of the event. `record_us` is the instant at which the
    step was decided and written. Both are in microseconds since the epoch, UTC. `digest` covers the
    row, except the person.
    """

    user_id: str
    authorization_id: str
    authorization_version: int
    decision_id: str
    currency: str
    transaction_sequence: int
    transition: Transition
    event_us: int
    record_us: int
    digest: bytes

    @property
    def expected_digest(self) -> bytes:
        """The digest of the other columns."""
        return digest_of(*self[1:-1])
