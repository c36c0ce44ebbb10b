"""Checks that the record of administrative acts has every act."""

from __future__ import annotations

from sqlalchemy import Connection, Select, func, select

from service.books.columns import kept, rows_of
from service.books.faults import Found
from service.storage import schema as t


def check_acts(connection: Connection) -> None:
    """Raises Found unless each owner's acts are numbered from 1 to the newest, without a gap."""
    newest: dict[str, int] = dict(rows_of(connection, _heads(connection)))
    for owner, count, first, last in rows_of(connection, _acts(connection)):
        head = newest.pop(owner, 0)
        if (count, first, last) != (head, 1, head):
            text = f"{count} acts from {first} to {last}, of {head} that were recorded"
            raise Found("AUDIT", f"audit/{owner}", text)
    for owner, head in newest.items():
        if head:
            raise Found("AUDIT", f"audit/{owner}", f"no act, of {head} that were recorded")


@kept
def _heads(_connection: Connection) -> Select[tuple[str, int]]:
    h = t.audit_heads.c
    return select(h.owner, h.number).order_by(h.owner)


@kept
def _acts(_connection: Connection) -> Select[tuple[str, int, int, int]]:
    a = t.audit.c
    count, first, last = func.count(), func.min(a.number), func.max(a.number)
    return select(a.owner, count, first, last).group_by(a.owner).order_by(a.owner)
