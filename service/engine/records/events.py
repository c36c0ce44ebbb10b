"""Events of the outbox."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.transitions import Transition


class Event(NamedTuple):
    """An event of the outbox, written in the same transaction as its change.

    `payload` is the authorization after the step, encoded as callers see it. Payload and operator
    are empty for events of people, and in rows of earlier builds.
    """

    transition: Transition
    user_id: str
    authorization_id: str
    authorization_version: int
    event_us: int
    record_us: int
    operator_id: str = ""
    payload: bytes = b""
