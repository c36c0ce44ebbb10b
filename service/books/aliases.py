"""Checks aliases: each alias is unchanged, and agrees with the people and the lines."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, select

from service.books.columns import kept, rows_of
from service.books.faults import Found
from service.engine.records.aliases import AliasRecord
from service.storage import schema as t


def check_aliases(connection: Connection) -> None:
    """Raises Found at the first fault.

    An approved alias and its survivor name the survivor in their rows, and nobody else is named.
    The lines of a merged person are cut to 0.
    """
    rows = [AliasRecord(*row) for row in rows_of(connection, _aliases(connection))]
    expected: dict[str, str] = {}
    for it in rows:
        if it.digest != it.right_digest:
            raise Found("ALIAS", f"aliases/{it.user_id}", "changed since it was written")
        if it.approve_us is not None:
            expected |= {it.user_id: it.survivor, it.survivor: it.survivor}
    found: dict[str, str] = dict(rows_of(connection, _named(connection)))
    for user_id in sorted(expected.keys() | found.keys()):
        if expected.get(user_id) != found.get(user_id):
            names = found.get(user_id, "nobody")
            raise Found("ALIAS", f"users/{user_id}", f"names {names}, but no alias says so")
    lines = connection.exec_driver_sql(_merged_lines(connection).sql)
    for user_id, currency, limit_minor, pending_minor in lines:
        if limit_minor != pending_minor:
            row = f"lines/{user_id}/{currency}"
            raise Found("ALIAS", row, "a merged person's line is not cut to 0")


@kept
def _aliases(_connection: Connection) -> Select[Any]:
    return select(*t.aliases.c).order_by(t.aliases.c.user_id)


@kept
def _named(_connection: Connection) -> Select[Any]:
    """Selects the people whose rows name a survivor, and the survivor."""
    u = t.users.c
    return select(u.user_id, u.alias_of).where(u.alias_of != "").order_by(u.user_id)


@kept
def _merged_lines(_connection: Connection) -> Select[Any]:
    """Selects the lines of merged people: the limit, and what is still to be cut of it."""
    a, c = t.aliases.c, t.lines.c
    return (
        select(c.user_id, c.currency, c.limit_minor, c.cut_pending_minor)
        .join(t.aliases, a.user_id == c.user_id)
        .where(a.approve_us.is_not(None))
        .order_by(c.user_id, c.currency)
    )
