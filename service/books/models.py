"""Compares the models whose features are kept with the record of acts.

A server registers the model that it serves without an act, so such a row is compared only with its
retirement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from service.books.faults import Found
from service.engine.records.administration import AuditEvent
from service.storage.findings import CLOSED, OPENED, SEVERITIES
from service.storage.models import ACCEPTED, REGISTERED, SERVER

Values = dict[str, Any]


class ToldModels:
    """The models as the acts describe them. The acts are added in their order."""

    def __init__(self) -> None:
        self._told: dict[str, Values] = {}
        self._accepted: set[tuple[str, str]] = set()
        self._findings = defaultdict[str, list[str]](list)
        """The authors of the findings on each model, in their order; empty for a closed one."""

    def fits(self, it: AuditEvent, model_id: str, details: Mapping[str, Any]) -> bool:
        """Adds an act; false if it does not fit the acts before."""
        if it.act in (OPENED, CLOSED):
            return self._fits_finding(it, model_id, details)
        if it.act == ACCEPTED:
            # No row follows from it. One person accepts a model once.
            person = model_id, it.by_text
            first = person not in self._accepted
            self._accepted.add(person)
            return first
        known = self._told.get(model_id)
        retired = known is not None and known["retire_us"] is not None
        if it.act == REGISTERED:
            if known is None:
                by_person = {"register_us": it.record_us, "registered_by": it.by_text}
                self._told[model_id] = {**details, **by_person, **_SERVED}
                return True
            self._told[model_id] = known | _SERVED
            return retired
        ended = {"retire_us": it.record_us, "retired_by": it.by_text, **details}
        self._told[model_id] = (known or {}) | ended
        return not retired

    def _fits_finding(self, it: AuditEvent, model_id: str, details: Mapping[str, Any]) -> bool:
        """Findings on a model are numbered from 1; another person closes each once."""
        opened, number = self._findings[model_id], details["finding"]
        if it.act == OPENED:
            opened.append(it.by_text)
            return number == len(opened) and details["severity"] in SEVERITIES
        known = 1 <= number <= len(opened) and opened[number - 1] not in ("", it.by_text)
        if known:
            opened[number - 1] = ""
        return known

    def compare(self, rows: Iterable[Values]) -> None:
        """Compares the rows. Raises Found."""
        told = dict(self._told)
        for row in rows:
            name = f"models/{row['model_id']}"
            expected = told.pop(row["model_id"], None)
            if expected is None and row["registered_by"] != SERVER:
                raise Found("AUDIT", name, "no act made the row")
            expected = _SERVED if expected is None else expected
            if expected["retire_us"] is not None:
                late = max(expected["retire_us"], row["register_us"])
                expected = {**expected, "retire_us": late}
            for column, value in expected.items():
                if row[column] != value:
                    raise Found("AUDIT", name, f"{column} differs from the record of acts")
        for model_id in told:
            raise Found("AUDIT", f"models/{model_id}", "an act names the row, and it is gone")


_SERVED: Values = {"retire_us": None, "retired_by": None, "reason": ""}
