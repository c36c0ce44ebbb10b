"""The bound on all charges for damage to one rental, by the rows of a batch."""

from __future__ import annotations

from service.domain import damage
from service.domain.errors import InvariantBroken
from service.engine.context import Context
from service.engine.correcting import captures_of
from service.engine.posting import product_of
from service.engine.rows import Rows
from service.engine.tables import AUTHORIZATIONS


def require_damage(
    user_id: str,
    parent_id: str,
    amount_minor: int,
    rows: Rows,
    context: Context,
    *,
    consented: bool,
) -> None:
    """Raises InvalidInput if a damage charge asks for more than the rest of the rental's deposit.

    Raises ConsentRequired if the charge needs the user's consent and has none.
    """
    parent = rows[AUTHORIZATIONS].get((user_id, parent_id))
    if parent is None:
        raise InvariantBroken("the rental of a damage charge is missing")
    damage.require_within(
        amount_minor,
        product_of(parent, context),
        captures_of(parent, rows),
        rows.damage_charges(user_id, parent_id),
        context.now_us,
        consented=consented,
    )
