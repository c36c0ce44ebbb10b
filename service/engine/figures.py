"""Figures over the whole database: exposure, what is due, and what waits."""

from __future__ import annotations

from typing import NamedTuple

_DAY_US = 86_400_000_000
AGES = {
    "under_1d": _DAY_US,
    "1d_to_7d": 7 * _DAY_US,
    "7d_to_30d": 30 * _DAY_US,
    "30d_to_90d": 90 * _DAY_US,
}
"""The ages of what is due, youngest first, by the time since the rental closed."""
OLDEST = "older"


class Exposure(NamedTuple):
    """The sums over all lines of a currency, in minor units."""

    currency: str
    limit_minor: int
    held_minor: int
    drawn_minor: int
    receivable_minor: int
    disputed_minor: int


class Due(NamedTuple):
    """The dues of an age in a currency: the number of authorizations, and the minor units."""

    currency: str
    age: str
    authorizations: int
    due_minor: int


class OpenTransfers(NamedTuple):
    """The transfers in a state that waits for the rail; the oldest is in it since `oldest_us`."""

    state: str
    transfers: int
    oldest_us: int


class Unsealed(NamedTuple):
    """The time of the last seal, and the events after it, of which the first is of `since_us`.

    Times are microseconds since the epoch; None if there is no seal, or no such event.
    """

    seal_us: int | None
    events: int
    since_us: int | None


class Figures(NamedTuple):
    """All figures of one instant.

    `timer_us` and `case_us` are the earliest instants that a due timer, or a case whose time is
    over, has waited since; None if none waits. `high_findings` has the number of open findings of
    high severity on each model that has one.
    """

    exposures: tuple[Exposure, ...]
    dues: tuple[Due, ...]
    transfers: tuple[OpenTransfers, ...]
    timer_us: int | None
    case_us: int | None
    unsealed: Unsealed
    high_findings: tuple[tuple[str, int], ...] = ()
