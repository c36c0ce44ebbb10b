"""GrantPass: the operator gives a person a pass that it sold elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.transitions import Transition
from service.engine import pass_sales
from service.engine.calls import PassTold, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.people import announce_of
from service.engine.rows import Rows
from service.engine.tables import PASSES


@dataclass(frozen=True, slots=True)
class GrantPass:
    """Give a person a pass of a product's tariff.

    `name` is that of the pass in the tariff. It begins at `from_us`, in microseconds since the
    epoch; None means now. `reference` is the operator's own, such as an order number, and may be
    empty.
    """

    user_id: str
    product_id: str
    name: str
    from_us: int | None = None
    reference: str = ""


def decide(work: Work, it: GrantPass, rows: Rows, context: Context) -> Decided:
    """Adds the pass. It may begin up to 31 days before now: that lowers only the fees of rentals
    that are not settled yet."""
    from_us = context.now_us if it.from_us is None else it.from_us
    held, _, _, draft = pass_sales.begin(work, it, from_us, rows, context)
    draft[PASSES].append(held)
    announce_of(draft, Transition.PASS_GRANTED, held.user_id, context)
    return Decided(draft, PassTold(held), held.user_id, "")


GRANT_PASS = Operation(GrantPass, pass_sales.wanted, decide, scored=True)
