"""Attestations of rentals: one row for each, which never changes."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.attestations import AttestationKind, Attested, Cause, Source


class AttestationRecord(NamedTuple):
    """One attestation of a rental; `number` counts from 1 within it.

    `cause` and `source` are those of a pause or a waiver, and None for the other kinds. `evidence`
    is the operator's reference to its evidence. `until_us` is the end of a pause unless it is
    resumed. `amount_minor` is the waived amount, and `pending_minor` the part of it that is not
    captured later. `authorization_version` is the version of the rental after the attestation.
    `event_us` is the time of the event, `record_us` of the call; all times are microseconds since
    the epoch, UTC. `digest` covers all of the row, except the person.
    """

    user_id: str
    authorization_id: str
    number: int
    kind: AttestationKind
    cause: Cause | None
    source: Source | None
    evidence: str
    until_us: int | None
    amount_minor: int
    pending_minor: int
    authorization_version: int
    event_us: int
    record_us: int
    digest: bytes

    @property
    def attested(self) -> Attested:
        """The values that a fee depends on."""
        return Attested(
            self.kind, self.event_us, self.until_us, self.amount_minor, self.pending_minor
        )
