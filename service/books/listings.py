"""Compares listings with the record of acts, which names the contents of each by a hash."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

from service.books.faults import Found
from service.engine.records.administration import AuditEvent

Values = dict[str, Any]
"""The values of a row, by column."""


class _Added(NamedTuple):
    """An act that added listings: their first and last number, and the hash of their contents."""

    act: AuditEvent
    first: int
    last: int
    reason: str
    digest: str


class _Ended(NamedTuple):
    """The act that ended a listing."""

    act: AuditEvent
    reason: str


class ToldListings:
    """The listings as the acts describe them. The acts of each owner are added in their order."""

    def __init__(self) -> None:
        self._added: dict[str, list[_Added]] = {}
        self._ended: dict[tuple[str, int], _Ended] = {}

    def fits(self, it: AuditEvent, first: str, details: Values) -> bool:
        """Adds an act; returns False if it does not fit the acts before."""
        acts = self._added.setdefault(it.owner, [])
        newest = acts[-1].last if acts else 0
        if it.act == "listings.added":
            if first != str(newest + 1) or details["last"] <= newest:
                return False
            acts.append(
                _Added(it, newest + 1, details["last"], details["reason"], details["digest"])
            )
            return True
        numbers = details["numbers"]
        if not numbers or str(numbers[0]) != first:
            return False
        for number in numbers:
            if not isinstance(number, int) or not 0 < number <= newest:
                return False
            if (it.owner, number) in self._ended:
                return False
            self._ended[it.owner, number] = _Ended(it, details["reason"])
        return True

    def compare(self, rows: Iterable[Values], kinds: Iterable[Values]) -> None:
        """Compares the rows, in the order of owners and numbers. Raises Found."""
        by_owner: dict[str, list[Values]] = {}
        for row in rows:
            by_owner.setdefault(row["owner"], []).append(row)
        for owner in sorted(by_owner.keys() | self._added.keys()):
            self._compare_owner(owner, by_owner.get(owner, []))
        known = {(row["owner"], row["kind"]) for row in kinds}
        for owner, found in by_owner.items():
            for row in found:
                if (owner, row["kind"]) not in known:
                    name = f"listing_kinds/{owner}/{row['kind']}"
                    raise Found("AUDIT", name, "the row is missing, so listings are not followed")
        for owner, kind in sorted(known):
            if kind not in {row["kind"] for row in by_owner.get(owner, [])}:
                raise Found("AUDIT", f"listing_kinds/{owner}/{kind}", "there is no such listing")

    def _compare_owner(self, owner: str, rows: list[Values]) -> None:
        acts = self._added.get(owner, [])
        last = acts[-1].last if acts else 0
        if [row["number"] for row in rows] != list(range(1, last + 1)):
            text = f"{len(rows)} listings, of {last} that were recorded"
            raise Found("AUDIT", f"listings/{owner}", text)
        for it in acts:
            part = rows[it.first - 1 : it.last]
            if _digest(part) != it.digest:
                name = f"listings/{owner}/{it.first}"
                text = f"the listings {it.first} to {it.last} are not those that the act added"
                raise Found("AUDIT", name, text)
            for row in part:
                self._compare_row(row, it)

    def _compare_row(self, row: Values, it: _Added) -> None:
        expected: Values = {
            "reason": it.reason,
            "create_us": it.act.record_us,
            "created_by": it.act.by_text,
            "end_us": None,
            "ended_by": "",
            "end_reason": "",
        }
        ended = self._ended.get((row["owner"], row["number"]))
        if ended is not None:
            expected |= {
                "end_us": max(ended.act.record_us, row["create_us"]),
                "ended_by": ended.act.by_text,
                "end_reason": ended.reason,
            }
        for column, value in expected.items():
            if row[column] != value:
                name = f"listings/{row['owner']}/{row['number']}"
                raise Found("AUDIT", name, f"{column} differs from the record of acts")


def _digest(rows: Iterable[Values]) -> str:
    contents = [
        [
            row["effect"],
            row["kind"],
            row["subject"],
            row["rules"].split(",") if row["rules"] else [],
            row["policy_id"],
            row["expire_us"],
        ]
        for row in rows
    ]
    return sha256(json.dumps(contents).encode()).hexdigest()
