"""The table of details of orders."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String, Text

from service.engine.tables import DETAILS
from service.storage.schema.columns import partial_index
from service.storage.schema.record_tables import of_records

authorization_details = of_records(
    DETAILS,
    CheckConstraint("authorization_version > 0", "version_positive"),
    partial_index(
        "ix_authorization_details_order",
        "order_reference <> ''",
        *("operator_id", "order_reference", "authorization_id"),
    ),
    partial_index(
        "ix_authorization_details_device",
        "device_hash <> ''",
        *("device_hash", "authorization_id"),
    ),
    partial_index(
        "ix_authorization_details_account",
        "payment_account_hash <> ''",
        *("payment_account_hash", "authorization_id"),
    ),
    labels=Text(),
    price_hash=String(64),
)
