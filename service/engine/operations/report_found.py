"""ReportFound: an item was docked, perhaps earlier than it was charged for."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import settlement
from service.engine.attesting import meter
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.correcting import Remark, captures_of
from service.engine.occurrence import occurred_us
from service.engine.operation import OfAuthorization, Operation, of_correction
from service.engine.posting import finish_correction, opened, product_of
from service.engine.rows import Keys, Rows


@dataclass(frozen=True, slots=True)
class ReportFound(AuthorizationCommand):
    """Report an item as docked at `occurred_us`; None means now, for a missing or sold item.

    `evidence` is the operator's reference to its evidence, if any.
    """

    occurred_us: int | None = None
    evidence: str = ""
    reason: str = ""


def wanted(caller: str, it: OfAuthorization, keys: Keys) -> None:
    """Needs the authorization, its captures and all its attestations."""
    of_correction(caller, it, keys)
    keys.attested.add((it.user_id, it.authorization_id))


def decide(work: Work, it: ReportFound, rows: Rows, context: Context) -> Decided:
    """Marks the item as docked, and gives back the excess over the fee until the docking."""
    current, line, draft = opened(work.caller, it, rows, context)
    settlement.require_found(current, dated=it.occurred_us is not None)
    product = product_of(current, context)
    docked_us = occurred_us(
        work.caller,
        settlement.REPORT_FOUND,
        it.occurred_us,
        current,
        product.policy,
        draft,
        context.now_us,
        lowers=True,
    )
    captures = captures_of(current, rows, draft)
    step = settlement.find(current, product, docked_us, captures, meter(current, rows, draft))
    return finish_correction(draft, step, line, rows, context, Remark(it.reason))


REPORT_FOUND = Operation(ReportFound, wanted, decide)
