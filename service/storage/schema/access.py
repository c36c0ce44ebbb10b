"""The builds that may run, the API keys, and the request ids."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table

from service.engine.tables import REQUESTS
from service.storage.schema.columns import metadata, number_column
from service.storage.schema.record_tables import of_records

# Builds from the largest number here on may run on this schema, see `migrate.py`.
compatibility = Table(
    "compatibility",
    metadata,
    Column("oldest_build", BigInteger, primary_key=True, autoincrement=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    # NULL for a key of the platform
    Column("operator_id", String(128), ForeignKey("operators.operator_id"), nullable=True),
    Column("scopes", String(1024), nullable=False),
    number_column("create_us"),
    Column("revoke_us", BigInteger, nullable=True),
    # Fingerprints of client certificates; empty for a key that works on every connection
    Column("certificates", String(1024), nullable=False, server_default=""),
)

requests = of_records(REQUESTS)
