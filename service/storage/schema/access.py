"""The builds that may run, and the request ids."""

from __future__ import annotations

from service.engine.tables import COMPATIBILITY, REQUESTS
from service.storage.schema.record_tables import of_records

# Builds from the largest number here on may run on this schema, see `migrate.py`.
compatibility = of_records(COMPATIBILITY)

requests = of_records(REQUESTS)
