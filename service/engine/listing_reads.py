"""The listings that a batch reads."""

from __future__ import annotations

from collections.abc import Sequence

from service.engine.calls import Work
from service.engine.catalog import Catalog
from service.engine.listings import Asked, read_listings
from service.engine.operations.authorize import Authorize
from service.engine.ports import Transaction
from service.engine.rows import Rows


def read_listed(
    rows: Rows, batch: Sequence[Work], catalog: Catalog, transaction: Transaction
) -> None:
    """Reads the listings that may count for the rentals that a batch asks for."""
    asked = [
        Asked(work.caller, work.command)
        for work in batch
        if isinstance(work.command, Authorize) and not work.command.parent_id
    ]
    read_listings(rows, asked, catalog.listed, transaction)
