"""Captures, and corrections of them: one row for each."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import NamedTuple

from service.domain.captures import Capture, Purpose
from service.domain.transitions import Transition


class CaptureRecord(NamedTuple):
    """One capture of an authorization; `number` counts from 1 within it.

    `authorization_version` is the version of the authorization after the capture. `event_us` is the
    time of the event, `record_us` of the call; both are microseconds since the epoch, UTC. `digest`
    covers all of the row that never changes, except the person. Only `conceded_minor`, the amount
    that the operator gave up, and `disputed_minor` change.
    """

    user_id: str
    authorization_id: str
    number: int
    purpose: Purpose
    amount_minor: int
    business_reference: str
    authorization_version: int
    event_us: int
    record_us: int
    digest: bytes
    conceded_minor: int = 0
    disputed_minor: int = 0

    @property
    def capture(self) -> Capture:
        """The capture, as the rules of the domain know it."""
        return Capture(
            self.number, self.purpose, self.amount_minor, self.conceded_minor, self.disputed_minor
        )


class CorrectionRecord(NamedTuple):
    """One part of a correction; `number` counts from 1 within the authorization.

    A correction of several captures has one row for each capture, all with the same
    `authorization_version`. `capture` is the number of the capture. It is 0 if the amount was
    captured without a row, or if the correction concerns no capture. `conceded_minor` and
    `disputed_minor` are the changes of the capture. The business reference is on the first row of a
    correction.
    """

    user_id: str
    authorization_id: str
    number: int
    transition: Transition
    capture: int
    amount_minor: int
    conceded_minor: int
    disputed_minor: int
    business_reference: str
    reason: str
    authorization_version: int
    event_us: int
    record_us: int
    digest: bytes


def digest_of(*values: object) -> bytes:
    """The digest over all columns that never change, in their order, without the person's id.

    An erased person gets another id, so the id is not covered.
    """
    # A template takes half the time of joining the texts of the values.
    return sha256((_template(len(values)) % values).encode()).digest()


@cache
def _template(number: int) -> str:
    return "\n".join(["%s"] * number)
