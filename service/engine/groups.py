"""Groups: authorizations that were requested together and are decided together."""

from __future__ import annotations

from service.domain.authorization import Authorization, State
from service.domain.ledger import Line
from service.engine.context import Context
from service.engine.posting import brought_up, is_free
from service.engine.rows import Draft, Rows


def members_in(
    current: Authorization, state: State, line: Line, draft: Draft, rows: Rows, context: Context
) -> list[Authorization]:
    """The members of the authorization's group that are in this state now."""
    members = [current]
    if current.group_id:
        members = [
            current
            if it.authorization_id == current.authorization_id
            else brought_up(it, line, draft, rows, context)
            for it in rows.group(current.user_id, current.group_id)
        ]
    return [it for it in members if it.state is state]


def all_free(members: list[Authorization], rows: Rows) -> bool:
    # A damage charge may name an item that another person has rented since.
    return all(it.parent_id or is_free(rows, it.operator_id, it.asset_id) for it in members)
