"""Aliases: people who turned out to be another registered person."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple


class AliasRecord(NamedTuple):
    """A person who is merged into another, or is proposed to be.

    New calls for `user_id` go to `survivor` from `approve_us` on; None until a second person has
    approved. `proposed_by` and `approved_by` are ids of keys. `version` counts the changes.
    `digest` covers all other columns except the people, who get other ids when erased. Times are
    microseconds since the epoch, UTC.
    """

    user_id: str
    survivor: str
    reason: str
    proposed_by: str
    propose_us: int
    approved_by: str
    approve_us: int | None
    version: int
    digest: bytes = b""

    def digested(self) -> AliasRecord:
        """The record with the digest of its present columns."""
        return self._replace(digest=self.right_digest)

    @property
    def right_digest(self) -> bytes:
        """The digest that the present columns must have."""
        return sha256("\n".join(map(str, self[2:-1])).encode()).digest()
