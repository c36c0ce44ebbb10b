"""OpenDispute: the user disputes a part of the due amount."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import collection
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.correcting import Remark
from service.engine.operation import Operation, of_correction
from service.engine.posting import corrected, minor_of
from service.engine.rows import Rows


@dataclass(frozen=True, slots=True)
class OpenDispute(AuthorizationCommand):
    """Dispute a part of the due amount.

    `capture` is the number of the disputed capture; None means the newest with enough left.
    """

    amount: Money
    capture: int | None = None
    reason: str = ""


def decide(work: Work, it: OpenDispute, rows: Rows, context: Context) -> Decided:
    """Applies the rule and posts its step."""
    return corrected(
        work,
        it,
        rows,
        context,
        Remark(it.reason),
        lambda held, captures: collection.open_dispute(
            held, minor_of(it.amount, held), context.now_us, captures, it.capture
        ),
    )


OPEN_DISPUTE = Operation(OpenDispute, of_correction, decide)
