"""The oldest build that may run on the schema, raised by the first use of something new."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select

from service.storage import schema as t


def require_build(connection: Connection, build: int) -> None:
    """Shuts out builds before this number, from the end of the transaction on."""
    oldest = connection.scalar(select(func.max(t.compatibility.c.oldest_build)))
    if oldest is None or oldest < build:
        connection.execute(insert(t.compatibility).values(oldest_build=build))
