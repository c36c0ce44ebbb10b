"""The table of passes."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String

from service.domain.segment_tariff import PassGift
from service.engine.tables import PASSES
from service.storage.schema.columns import among
from service.storage.schema.record_tables import of_records

passes = of_records(
    PASSES,
    CheckConstraint(among("gives", PassGift), "gives_known"),
    CheckConstraint("size > 0", "size_positive"),
    CheckConstraint("price_minor > 0", "price_positive"),
    CheckConstraint("from_us < until_us", "ends_later"),
    CheckConstraint("uses >= 0", "uses_not_negative"),
    CheckConstraint("refund_us IS NULL OR uses = 0", "only_unused_refunded"),
    CheckConstraint("(refund_us IS NULL) = (refund_request_id = '')", "refund_is_whole"),
    CheckConstraint("changes > 0", "changes_positive"),
    gives=String(16),
    currency=String(3),
    time_zone=String(64),
)
