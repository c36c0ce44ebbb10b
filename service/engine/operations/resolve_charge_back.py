"""ResolveChargeBack: the arbiter decides who bears the charged-back amount."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.correcting import Remark
from service.engine.operation import Operation, of_correction
from service.engine.posting import corrected
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class ResolveChargeBack(AuthorizationCommand):
    """Decide on the whole charged-back amount."""

    user_won: bool
    goodwill: bool
    reason: str = ""


def decide(work: Work, it: ResolveChargeBack, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return corrected(
        work,
        it,
        rows,
        context,
        Remark(it.reason),
        lambda held, captures: collection.resolve_charge_back(
            held,
            user_won=it.user_won,
            goodwill=it.goodwill,
            now_us=context.now_us,
            captures=captures,
        ),
    )


RESOLVE_CHARGE_BACK = Operation(ResolveChargeBack, of_correction, decide)
