"""Settlements that posted nothing: no entry records them, so they have rows of their own."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.transitions import Transition
from service.engine.records.captures import digest_of


class UnpostedRecord(NamedTuple):
    """A step that docked the item of a rental and moved no money.

    `authorization_version` is the version of the authorization after the step; `transition` is the
    step's name. `event_us` is the instant of the event. `record_us` is the instant at which the row
    was written. Both are in microseconds since the epoch, UTC. `digest` covers the row, except the
    person.
    """

    user_id: str
    authorization_id: str
    authorization_version: int
    transition: Transition
    event_us: int
    record_us: int
    digest: bytes

    @property
    def expected_digest(self) -> bytes:
        """The digest of the other columns."""
        return digest_of(*self[1:-1])
