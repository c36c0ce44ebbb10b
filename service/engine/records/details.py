"""Details of the order behind an authorization: one row if the operator gave any."""

from __future__ import annotations

from typing import NamedTuple

from service.engine.records.captures import digest_of


class DetailsRecord(NamedTuple):
    """The details of an authorization; a text that nobody sent is empty.

    `labels` is a JSON object. `authorization_version` is the version of the authorization after the
    last step that sent details; `record_us` is the time of this step, in microseconds since the
    epoch, UTC. `digest` covers the row, except the person.
    """

    user_id: str
    authorization_id: str
    operator_id: str
    order_reference: str
    labels: str
    device_hash: str
    payment_account_hash: str
    rail_account: str
    time_zone: str
    price_hash: str
    start_station: str
    start_condition: str
    end_station: str
    end_condition: str
    authorization_version: int
    record_us: int
    digest: bytes

    @property
    def expected_digest(self) -> bytes:
        """The digest of the other columns."""
        return digest_of(*self[1:-1])

    def sealed(self) -> DetailsRecord:
        """The row with its digest."""
        return self._replace(digest=self.expected_digest)
