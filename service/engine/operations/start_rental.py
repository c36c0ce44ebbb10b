"""StartRental: the item is picked up."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import acts, hold
from service.domain.details import ItemPlace
from service.domain.errors import IllegalState
from service.domain.late_pickups import has_ended
from service.domain.ledger import Standing
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.details import add_place
from service.engine.late_pickups import case_of_late_pickup, late_pickup
from service.engine.occurrence import occurred_us
from service.engine.operation import Asks, Operation, Pair, of_authorization
from service.engine.posting import claim, finish, opened, product_of, require_free
from service.engine.rows import Keys, Rows
from service.engine.tables import AUTHORIZATIONS


@dataclass(frozen=True, slots=True)
class StartRental(AuthorizationCommand):
    """Start the rental of an item picked up at `occurred_us`; None means now.

    `asset_id` names the item if it was not known.
    """

    asset_id: str
    occurred_us: int | None = None
    place: ItemPlace | None = None


def items_of(caller: str, it: StartRental) -> list[Pair]:
    """The item, if the command names it."""
    return [(caller, it.asset_id)] if it.asset_id else []


def wanted(caller: str, it: StartRental, keys: Keys) -> None:
    """Needs the authorization and the item; a late pick-up also the rental that has the item."""
    of_authorization(caller, it, keys)
    keys.items.update(items_of(caller, it))
    if it.occurred_us is not None:
        keys.late.add((it.user_id, it.authorization_id, it.asset_id))
    if it.place is not None:
        keys.detailed.add((it.user_id, it.authorization_id))


def decide(work: Work, it: StartRental, rows: Rows, context: Context) -> Decided:
    """Starts the rental; refused if the item is in use or the user is suspended.

    A pick-up in the past has already happened, so even a suspended user has the item. If the
    reservation has ended since the pick-up, a new rental begins that cites it.
    """
    current, line, draft = opened(work.caller, it, rows, context)
    if it.occurred_us is not None and has_ended(current):
        late = late_pickup(work, (it.asset_id, it.occurred_us), current, line, draft, rows, context)
        if late is not None:
            _add_place(late, it, rows, context)
            return late
    acts.require(current, hold.START)
    product = product_of(current, context)
    start_us = occurred_us(
        work.caller,
        hold.START,
        it.occurred_us,
        current,
        product.policy,
        draft,
        context.now_us,
    )
    if line.standing is Standing.SUSPENDED and start_us >= context.now_us:
        raise IllegalState("USER_SUSPENDED", "the user is suspended", current.state)
    step = hold.start_rental(current, product, it.asset_id, start_us, context.now_us)
    if step.authorization.asset_id != current.asset_id:
        require_free(rows, work.caller, it.asset_id)
        claim(draft, step.authorization)
    started = finish(draft, step, line, rows, context)
    _add_place(started, it, rows, context)
    return started


def _add_place(started: Decided, it: StartRental, rows: Rows, context: Context) -> None:
    """Adds the place of the hand-over to the rental that began with this call."""
    begun = [
        each
        for each in started.draft.get(AUTHORIZATIONS, ())
        if each.authorization_id == started.authorization_id
    ]
    if it.place is not None and begun:
        add_place(started.draft, rows, begun[-1], context, start=it.place)


START_RENTAL = Operation(
    StartRental, wanted, decide, asks=Asks(items_of), leaves=case_of_late_pickup
)
