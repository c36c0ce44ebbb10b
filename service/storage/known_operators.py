"""The check that an operator exists, for calls and commands that name one."""

from __future__ import annotations

from sqlalchemy import Connection, select

from service.domain.access import PLATFORM
from service.domain.errors import NotFound
from service.storage import schema as t


def require_operator(connection: Connection, operator_id: str) -> None:
    """Raises NotFound for an operator that does not exist."""
    known = t.operators.c.operator_id
    if connection.scalar(select(known).where(known == operator_id)) is None:
        raise NotFound("operator", operator_id)


def require_known(connection: Connection, owner: str | None) -> None:
    """Raises NotFound for an owner that is neither the platform nor an operator; None is all."""
    if owner is not None and owner != PLATFORM:
        require_operator(connection, owner)
