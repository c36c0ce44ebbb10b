"""Consents of users to damage charges: one row for each charge with a reference to its consent."""

from __future__ import annotations

from typing import NamedTuple

from service.engine.records.captures import digest_of


class ConsentRecord(NamedTuple):
    """The user's consent to one charge for damage.

    `authorization_version` is the version of the authorization after the step that charged.
    `user_consent_reference` is the operator's reference to the consent; `record_us` is the time of
    the step, in microseconds since the epoch, UTC. `digest` covers the row, except the person.
    """

    user_id: str
    authorization_id: str
    authorization_version: int
    operator_id: str
    user_consent_reference: str
    record_us: int
    digest: bytes

    @property
    def expected_digest(self) -> bytes:
        """The digest of the other columns."""
        return digest_of(*self[1:-1])
