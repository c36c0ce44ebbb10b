"""Aliases, verified a second time: one person after the other, by plain SQL."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, text

from service.books.faults import Found

TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("user_id", "survivor", "reason", "proposed_by", "approved_by"), (str,)),
    **dict.fromkeys(("propose_us", "version"), (int,)),
    "approve_us": (int, type(None)),
    "digest": (bytes, memoryview),
}
COVERED = ("reason", "proposed_by", "propose_us", "approved_by", "approve_us", "version")
"""The columns that the digest covers, in order."""
PEOPLE = text(
    "SELECT user_id FROM aliases WHERE approve_us IS NOT NULL"
    " UNION SELECT survivor FROM aliases WHERE approve_us IS NOT NULL"
    " UNION SELECT user_id FROM users WHERE alias_of <> ''"
)
NAMED = text("SELECT alias_of FROM users WHERE user_id = :user_id")
SURVIVORS = text(
    "SELECT survivor FROM aliases WHERE approve_us IS NOT NULL"
    " AND (user_id = :user_id OR survivor = :user_id)"
)
LINES = (
    "SELECT user_id, currency FROM lines WHERE limit_minor <> cut_pending_minor AND user_id IN"
    " (SELECT user_id FROM aliases WHERE approve_us IS NOT NULL) ORDER BY user_id, currency"
)


def verify(connection: Connection) -> None:
    """Raises Found at the first wrong alias, wrong name of a survivor, or line that is not cut."""
    for row in _all(connection, "SELECT * FROM aliases ORDER BY user_id"):
        if not all(isinstance(row[name], kinds) for name, kinds in TYPES.items()):
            raise Found("UNREADABLE", f"aliases/{row['user_id']}", "a value of another type")
        covered = "\n".join(str(row[name]) for name in COVERED)
        if sha256(covered.encode()).digest() != bytes(row["digest"]):
            raise Found("ALIAS", f"aliases/{row['user_id']}", "changed since it was written")
    for user_id in sorted(connection.scalars(PEOPLE)):
        named = set(connection.scalars(NAMED, {"user_id": user_id})) - {""}
        if named != set(connection.scalars(SURVIVORS, {"user_id": user_id})):
            raise Found("ALIAS", f"users/{user_id}", "no alias tells whom it names")
    for row in _all(connection, LINES):
        name = f"lines/{row['user_id']}/{row['currency']}"
        raise Found("ALIAS", name, "a merged person's line is not cut to 0")


def _all(connection: Connection, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(query)).mappings()]
