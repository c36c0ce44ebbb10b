"""The builds that may run on the database."""

from __future__ import annotations

from typing import NamedTuple

ORDER_FEES_BUILD = 42
"""The first build that knows fees of orders: an earlier one would charge the tariff's fee, and its
conditions do not read them."""


class CompatibilityRecord(NamedTuple):
    """A build before which none may start any more; the newest row counts."""

    oldest_build: int
