"""The builds that may run, and the request ids."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table

from service.engine.tables import REQUESTS
from service.storage.schema.columns import metadata
from service.storage.schema.record_tables import of_records

# Builds from the largest number here on may run on this schema, see `migrate.py`.
compatibility = Table(
    "compatibility",
    metadata,
    Column("oldest_build", BigInteger, primary_key=True, autoincrement=False),
)

requests = of_records(REQUESTS)
