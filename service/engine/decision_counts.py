"""Counts decisions on Authorize, once for each committed batch."""

from __future__ import annotations

from collections import Counter

from service.domain.policy import Offer, Reason
from service.engine.rows import Rows
from service.engine.tables import AUTHORIZATIONS, DECISIONS

BY_RULES = (Reason.BUDGET_EXHAUSTED, Reason.BREAKER_OPEN, Reason.CONDITION_FAILED)
"""The reasons for which decisions on Authorize and on increments are counted."""


class DecisionCounts(Counter[tuple[Offer | None, str]]):
    """The decisions since the start, by offer (None: declined) and band (empty: not scored)."""

    def __init__(self) -> None:
        super().__init__()
        self.by_rules = dict.fromkeys(BY_RULES, 0)
        """The decisions since the start with such a reason."""

    def add(self, rows: Rows) -> None:
        """Counts the decisions of a committed batch."""
        decisions = rows.added.get(DECISIONS)
        if not decisions:
            return
        for it in decisions:
            for reason in it.reasons:
                if reason in self.by_rules:
                    self.by_rules[reason] += 1
        # Decisions on increments are of authorizations that have a decision already.
        ids = {it.decision_id for it in decisions}
        for row in rows.changed[AUTHORIZATIONS].values():
            if row is not None and row.decision_id in ids:
                self[row.offer, row.band] += 1
