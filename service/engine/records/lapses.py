"""Lapses: one row for each step by which time alone ended or decided something."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.lapses import Lapse
from service.domain.transitions import Transition
from service.engine.records.captures import digest_of


class LapseRecord(NamedTuple):
    """One end or decision that happened by time alone.

    `authorization_version` is the version of the authorization after the step; `transition` is the
    step's name. `event_us` is the instant at which the step was due. `record_us` is the instant at
    which it was written. Both are in microseconds since the epoch, UTC. `digest` covers the row,
    except the person.
    """

    user_id: str
    authorization_id: str
    authorization_version: int
    lapse: Lapse
    operator_id: str
    transition: Transition
    event_us: int
    record_us: int
    digest: bytes

    @property
    def expected_digest(self) -> bytes:
        """The digest of the other columns."""
        return digest_of(*self[1:-1])
