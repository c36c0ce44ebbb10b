"""Passes of people, as operators granted and sold them."""

from __future__ import annotations

from typing import NamedTuple

from service.domain.segment_tariff import PassGift


class PassRecord(NamedTuple):
    """A pass of a person for the rentals of a product.

    `name` is that of the pass in the tariff of the product's revision; the gift, the price and the
    time zone are those of that tariff. `authorization_id` is the debt of a pass that the person
    bought, and empty for one that the operator sold elsewhere. `reference` is the operator's own,
    and `request_id` names its call, as `refund_request_id` does that of the refund. `uses` is the
    number of rentals that use the pass. `changes` counts the changes of the row. Amounts are minor
    units, times microseconds since the epoch, UTC.
    """

    user_id: str
    operator_id: str
    pass_id: str
    product_id: str
    product_revision: int
    name: str
    gives: PassGift
    size: int
    time_zone: str
    price_minor: int
    currency: str
    from_us: int
    until_us: int
    authorization_id: str
    reference: str
    request_id: str
    record_us: int
    refund_us: int | None
    refund_request_id: str
    uses: int
    changes: int

    @property
    def key(self) -> tuple[str, str, str]:
        """The person, the operator, and the pass."""
        return self[:3]
