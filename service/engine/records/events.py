"""Events of the outbox."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.transitions import Transition


class Event(NamedTuple):
    """Something that happened, for the outbox; written in the same transaction.

    `payload` is the authorization as it stood after the step, encoded as callers see it. It and
    the operator are empty where something happened to a person, and in rows of earlier builds.
    """

    transition: Transition
    user_id: str
    authorization_id: str
    authorization_version: int
    event_us: int
    record_us: int
    operator_id: str = ""
    payload: bytes = b""
