"""Events of the outbox."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.transitions import Transition


class Event(NamedTuple):
    """Something that happened, for the outbox; written in the same transaction."""

    transition: Transition
    user_id: str
    authorization_id: str
    authorization_version: int
    event_us: int
    record_us: int
