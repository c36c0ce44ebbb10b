"""The table of settlements that posted nothing."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String

from service.domain.settlement import DOCKINGS
from service.engine.tables import UNPOSTED
from service.storage.schema.columns import among
from service.storage.schema.record_tables import of_records

unposted_dockings = of_records(
    UNPOSTED,
    CheckConstraint("authorization_version > 0", "version_positive"),
    CheckConstraint(among("transition", DOCKINGS), "transition_docks"),
    transition=String(64),
)
