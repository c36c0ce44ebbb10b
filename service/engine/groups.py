"""Groups: authorizations that were requested together and are decided together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.domain.authorization import Authorization, State
from service.domain.errors import FreeholdError, InvariantBroken
from service.domain.ledger import Line
from service.domain.policy import Reason
from service.domain.product import Product
from service.engine.context import Context
from service.engine.posting import brought_up, product_of, taken_as
from service.engine.rows import Draft, Rows


@contextmanager
def about(authorization: str) -> Iterator[None]:
    """Adds an authorization's resource name to a refusal.

    The caller named another member of the group, or only the request id of the whole group.
    """
    try:
        yield
    except FreeholdError as refusal:
        if not isinstance(refusal, InvariantBroken):
            refusal.about(authorization)
        raise


def members_of(
    current: Authorization, line: Line, draft: Draft, rows: Rows, context: Context
) -> list[Authorization]:
    """All members of the authorization's group after their due timers, in the order of their ids.

    A refusal because of another member names that member.
    """
    if not current.group_id:
        return [current]
    members = []
    for it in rows.group(current.user_id, current.group_id):
        if it.authorization_id == current.authorization_id:
            members.append(current)
            continue
        with about(it.name):
            members.append(brought_up(it, line, draft, rows, context))
    return members


def members_in(
    current: Authorization, state: State, line: Line, draft: Draft, rows: Rows, context: Context
) -> list[Authorization]:
    """The members of the authorization's group that are in this state now."""
    members = members_of(current, line, draft, rows, context)
    return [it for it in members if it.state is state]


def product_of_member(member: Authorization, context: Context) -> Product:
    """The member's product, as `product_of`; a refusal because of its terms names the member."""
    with about(member.name):
        return product_of(member, context)


def taken_among(members: list[Authorization], rows: Rows) -> Reason | None:
    """The reason why the first taken item is not free; None if all items are free."""
    # A damage charge may name an item that another person has rented since.
    reasons = (taken_as(rows, it.operator_id, it.asset_id) for it in members if not it.parent_id)
    return next((reason for reason in reasons if reason is not None), None)
