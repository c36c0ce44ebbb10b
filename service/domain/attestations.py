"""Attestations: an operator's reports about a rental, with cause, source and evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from service.domain.errors import InvariantBroken
from service.domain.meter import Meter, Pause


class AttestationKind(StrEnum):
    """The reported fact."""

    PAUSE = "PAUSE"
    """The meter stands from the event on, until a RESUME or the attestation's end."""
    RESUME = "RESUME"
    """The meter runs on."""
    WAIVER = "WAIVER"
    """A part of the fee is waived."""
    BY_POST = "BY_POST"
    """The item was returned by post."""
    BY_HAND = "BY_HAND"
    """The item was returned by hand."""


HANDOVERS = frozenset({AttestationKind.BY_POST, AttestationKind.BY_HAND})
"""Returns of an item without a dock."""


class Cause(StrEnum):
    """The cause of a pause or a waiver."""

    CABINET_FULL = "CABINET_FULL"
    SITE_CLOSED = "SITE_CLOSED"
    ITEM_AT_FAULT = "ITEM_AT_FAULT"
    APP_DOWN = "APP_DOWN"
    OTHER = "OTHER"


class Source(StrEnum):
    """The party that asked for a pause or a waiver."""

    OPERATOR = "OPERATOR"
    USER = "USER"
    SUPPORT = "SUPPORT"


class Attested(NamedTuple):
    """The values of an attestation that a fee depends on; amounts are minor units.

    `until_us` is the instant at which a pause ends if nobody resumes it. It is None for the other
    kinds.
    """

    kind: AttestationKind
    event_us: int
    until_us: int | None = None
    amount_minor: int = 0
    pending_minor: int = 0


Versioned = tuple[int, Attested]
"""An attestation with the version of the rental that wrote it."""


def meter_of(attested: Iterable[Versioned]) -> Meter:
    """The meter by all attestations of a rental, in the order of their numbers."""
    pauses: list[Pause] = []
    paused_by = 0
    pending_minor = given_minor = 0
    for version, it in attested:
        if it.kind is AttestationKind.PAUSE and it.until_us is not None:
            pauses.append(Pause(it.event_us, it.until_us))
            paused_by = version
        elif it.kind is AttestationKind.RESUME:
            # The end of a pause that was told together with it may be the beginning of another.
            together = version == paused_by
            place = len(pauses) - 1 if together else resumable(pauses, it.event_us)
            if place is None:
                raise InvariantBroken("an attestation resumes a rental that is not paused")
            pauses[place] = Pause(pauses[place].from_us, it.event_us, resumed=True)
        elif it.kind is AttestationKind.WAIVER:
            pending_minor += it.pending_minor
            given_minor += it.amount_minor - it.pending_minor
    # An earlier pause may be told later.
    pauses.sort(key=attrgetter("from_us"))
    return Meter(tuple(pauses), pending_minor, given_minor)


def told_before(attested: Iterable[Versioned]) -> list[Versioned]:
    """The attestations without the pauses that were told after the settlement.

    Only such a pause has a resume of the same version exactly at its own end.
    """
    every = list(attested)
    resumed = {(version, it.event_us) for version, it in every if it.kind is AttestationKind.RESUME}
    late = {version for version, it in every if (version, it.until_us) in resumed}
    return [(version, it) for version, it in every if version not in late]


def resumable(pauses: Sequence[Pause], at_us: int) -> int | None:
    """The index of the pause that is running at an instant and was not resumed; None if there is
    none."""
    going_on = (it.from_us <= at_us < it.until_us and not it.resumed for it in pauses)
    return next((place for place, there in enumerate(going_on) if there), None)
