"""The owner of what a request is about: an operator, or the platform."""

from __future__ import annotations

from service.domain.access import Principal
from service.domain.errors import NotFound


def owner_of(by: Principal, operator_id: str) -> str:
    """The owner that a request names; raises NotFound for an operator that is not the caller."""
    if by.operator_id is not None and operator_id not in ("", by.operator_id):
        raise NotFound("operator", operator_id)
    return operator_id or by.owner
