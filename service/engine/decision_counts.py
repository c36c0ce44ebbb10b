"""Counts decisions on Authorize, once for each committed batch."""

from __future__ import annotations

from collections import Counter

from service.domain.policy import Offer
from service.engine.rows import Rows
from service.engine.tables import AUTHORIZATIONS, DECISIONS


class DecisionCounts(Counter[tuple[Offer | None, str]]):
    """The decisions since the start, by offer (None: declined) and band (empty: not scored)."""

    def add(self, rows: Rows) -> None:
        """Counts the decisions of a committed batch."""
        decisions = rows.added.get(DECISIONS)
        if not decisions:
            return
        # Decisions on increments are of authorizations that have a decision already.
        ids = {it.decision_id for it in decisions}
        for it in rows.changed[AUTHORIZATIONS].values():
            if it is not None and it.decision_id in ids:
                self[it.offer, it.band] += 1
