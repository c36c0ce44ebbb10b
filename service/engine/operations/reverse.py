"""Reverse: release the whole hold."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import cancellations, hold
from service.domain.authorization import Authorization, Step
from service.engine.attesting import meter
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import OfAuthorization, Operation, of_authorization
from service.engine.posting import one_step, product_of
from service.engine.rows import Draft, Keys, Rows


@dataclass(frozen=True, slots=True)
class Reverse(AuthorizationCommand):
    """Release the whole hold.

    `by_user` says that the user cancels. This may cost the price of the reservation and the
    product's cancellation fee.
    """

    by_user: bool = False


def wanted(caller: str, it: OfAuthorization, keys: Keys) -> None:
    """Needs the authorization; a pick-up of its item may be told in the same batch."""
    of_authorization(caller, it, keys)
    keys.reversing.add(it.user_id)


def decide(work: Work, it: Reverse, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""

    def take(held: Authorization) -> Step:
        if it.by_user:
            waived_minor = meter(held, rows, Draft(list)).pending_minor
            product = product_of(held, context)
            return cancellations.cancel(held, product, context.now_us, waived_minor)
        return hold.reverse(held, context.now_us)

    return one_step(work, it, rows, context, take)


REVERSE = Operation(Reverse, wanted, decide)
