"""The builds that may run on the database."""

from __future__ import annotations

from typing import NamedTuple


class CompatibilityRecord(NamedTuple):
    """A build before which none may start any more; the newest row counts."""

    oldest_build: int
