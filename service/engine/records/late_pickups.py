"""Late pick-ups, each with the reservation that it cites."""

from __future__ import annotations

from typing import NamedTuple


class LatePickupRecord(NamedTuple):
    """A late pick-up: an expired reservation has at most one.

    `authorization_id` is the reservation, `started_id` the rental that began at `start_us`.
    `deposit_minor` is the deposit that the rental took over from the reservation, in minor units.
    Times are microseconds since the epoch, UTC.
    """

    user_id: str
    authorization_id: str
    started_id: str
    start_us: int
    deposit_minor: int
    record_us: int
