"""WaiveFee: the operator gives up the fee of a rental, or a part of it."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import late_pickups, waivers
from service.domain.attestations import AttestationKind, Cause, Source
from service.domain.authorization import Authorization, Start
from service.domain.money import Money
from service.engine.attesting import Word, attest, meter
from service.engine.calls import Attestation, AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.correcting import Remark, captures_of
from service.engine.operation import Operation
from service.engine.operations.report_found import wanted
from service.engine.posting import apply, opened, positive_minor, product_of
from service.engine.rows import Draft, Rows
from service.engine.tables import AUTHORIZATIONS


@dataclass(frozen=True, slots=True)
class WaiveFee(AuthorizationCommand):
    """Waive `amount` of the fee; None means the whole fee.

    `evidence` is the operator's reference to its evidence.
    """

    amount: Money | None
    cause: Cause
    source: Source
    evidence: str


def decide(work: Work, it: WaiveFee, rows: Rows, context: Context) -> Decided:
    """Gives the captured part back, and keeps the rest from being captured.

    After a late pick-up the debt for the fee above the hold falls first.
    """
    current, line, draft = opened(work.caller, it, rows, context)
    amount_minor = None if it.amount is None else positive_minor(it.amount, current)
    step, waiver = waivers.waive(
        current,
        product_of(current, context),
        meter(current, rows, draft),
        captures_of(current, rows, draft),
        amount_minor,
        context.now_us,
        _above_hold_minor(current, rows, draft),
    )
    result = apply(draft, step, line, rows, context, Remark(it.cause))
    row = attest(
        draft,
        step,
        rows,
        AttestationKind.WAIVER,
        Word(it.cause, it.source, it.evidence),
        context.now_us,
        amount_minor=waiver.amount_minor,
        pending_minor=waiver.pending_minor,
    )
    return Decided(draft, Attestation(result, row), result.user_id, result.authorization_id)


def _above_hold_minor(it: Authorization, rows: Rows, draft: Draft) -> int:
    """The rest of the debt for a late pick-up's fee above the hold; 0 for other rentals.

    Timers that ran in the same call have booked or lowered it in the draft.
    """
    if it.start is not Start.LATE_PICKUP:
        return 0
    charges = {one.name: one for one in rows.damage_charges(it.user_id, it.authorization_id)}
    charges |= {one.name: one for one in draft[AUTHORIZATIONS]}
    debts = [one for one in charges.values() if one.parent_id == it.authorization_id]
    return sum(map(late_pickups.standing_fee_minor, filter(late_pickups.is_fee, debts)))


WAIVE_FEE = Operation(WaiveFee, wanted, decide)
