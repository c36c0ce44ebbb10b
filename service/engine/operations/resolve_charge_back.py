"""ResolveChargeBack: it is decided who bears everything that is charged back."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collecting
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation, of_authorization
from service.engine.posting import one_step
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ResolveChargeBack(AuthorizationCommand):
    """It is decided who bears everything that is charged back."""

    user_won: bool
    goodwill: bool


def decide(work: Work, it: ResolveChargeBack, rows: Rows, context: Context) -> Decided:
    """Takes the step."""
    return one_step(
        work,
        it,
        rows,
        context,
        lambda held: collecting.resolve_charge_back(
            held, user_won=it.user_won, goodwill=it.goodwill, now_us=context.now_us
        ),
    )


RESOLVE_CHARGE_BACK = Operation(ResolveChargeBack, of_authorization, decide)
