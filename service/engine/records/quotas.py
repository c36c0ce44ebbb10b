"""Quotas of free minutes: the state of each, and its use by each rental."""

from __future__ import annotations

from typing import NamedTuple


class QuotaRecord(NamedTuple):
    """The minutes of a quota that a person used in a period; `per` is DAY or WEEK.

    `most_minutes` is the largest quota among the tariffs of the rentals that used it. `changes`
    counts the changes of the row.
    """

    user_id: str
    operator_id: str
    name: str
    per: str
    period_us: int
    most_minutes: int
    used_minutes: int
    changes: int

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """The person, the operator, and the quota with its period."""
        return self[:5]


class QuotaUseRecord(NamedTuple):
    """The minutes of a quota that a rental used.

    `authorization_version` is that of the step that settled the rental. `returned_version` is that
    of the step after which the minutes were free again; 0 means that they are used.
    """

    user_id: str
    authorization_id: str
    name: str
    per: str
    operator_id: str
    period_us: int
    minutes: int
    authorization_version: int
    returned_version: int
