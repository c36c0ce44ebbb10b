"""PauseRental: the meter of a rental stands."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from service.domain import complaints, late_pauses, pauses
from service.domain.attestations import AttestationKind, Cause, Source
from service.domain.authorization import Authorization, Custody, State
from service.domain.cases import CaseKind, Outcome
from service.domain.late_pauses import Bill
from service.domain.settlement import DOCKINGS
from service.domain.transitions import Transition
from service.engine.attesting import Word, attest, meter
from service.engine.calls import Attestation, AuthorizationCommand, Work
from service.engine.cases import cases_of
from service.engine.context import Context, Decided
from service.engine.correcting import Remark, captures_of
from service.engine.occurrence import occurred_us
from service.engine.operation import Operation
from service.engine.operations import resume_rental
from service.engine.posting import apply, opened, product_of
from service.engine.rows import Docking, Draft, Keys, Rows
from service.engine.tables import CORRECTIONS, OUTBOX

_DOCKED = (Transition.FOUND, Transition.RETURN_PRESUMED)
"""Corrections because the item was docked earlier. Their instant is the end of the usage."""
_ENDING = complaints.STOPPING | {CaseKind.LATE_CLAIM}
"""Cases that have a time. If such a case is granted, the usage ends at that time."""


@dataclass(frozen=True, slots=True)
class PauseRental(AuthorizationCommand):
    """Stop the meter from `occurred_us` until `resumed_us`.

    Without `occurred_us` the pause begins now. Without `resumed_us` it lasts until a resume or the
    policy's bound; after the settlement `resumed_us` is required. `evidence` is the operator's
    reference to its evidence.
    """

    cause: Cause
    source: Source
    evidence: str
    occurred_us: int | None = None
    resumed_us: int | None = None


def wanted(caller: str, it: PauseRental, keys: Keys) -> None:
    """Needs the authorization and all its attestations, and the bill of a settled rental.

    After the settlement a pause without its end is refused, so it needs no bill.
    """
    resume_rental.wanted(caller, it, keys)
    if it.resumed_us is not None:
        keys.billed.add((it.user_id, it.authorization_id))


def decide(work: Work, it: PauseRental, rows: Rows, context: Context) -> Decided:
    """Stops the meter; the answer says when it runs on by itself.

    After the settlement the difference in the fee is given back.
    """
    current, line, draft = opened(work.caller, it, rows, context)
    late_pauses.require_pausable(current, ended=it.resumed_us is not None)
    product, now_us = product_of(current, context), context.now_us

    def instant(asked_us: int | None) -> int:
        told = (work.caller, pauses.PAUSE, asked_us, current, product.policy, draft, now_us)
        return occurred_us(*told, lowers=True)

    from_us = instant(it.occurred_us)
    resumed_us = None if it.resumed_us is None else instant(it.resumed_us)
    running = meter(current, rows, draft)
    late = current.state is State.SETTLED
    if late and resumed_us is not None:
        bill = _bill(current, rows, draft)
        step, paused = late_pauses.pause(
            current, product, running, from_us, resumed_us, now_us, bill
        )
    else:
        step, paused = pauses.pause(current, product, running, from_us, now_us, resumed_us)
    result = apply(draft, step, line, rows, context, Remark(it.cause))
    word, until_us = Word(it.cause, it.source, it.evidence), paused.until_us
    row = attest(draft, step, rows, AttestationKind.PAUSE, word, now_us, until_us=until_us)
    if resumed_us is not None and (late or resumed_us < until_us):
        resumed = step._replace(event_us=min(resumed_us, until_us))
        word = Word(evidence=it.evidence)
        attest(draft, resumed, rows, AttestationKind.RESUME, word, now_us)
    return Decided(draft, Attestation(result, row), result.user_id, result.authorization_id)


def _bill(it: Authorization, rows: Rows, draft: Draft) -> Bill:
    """The charge for the usage. The usage ended at the settlement, or at an earlier time that was
    told later.

    A loss ends no usage. A lost item has a fee only if its return was told, or if a complaint was
    granted.
    """
    docking, name = _docking(it, rows, draft), (it.user_id, it.authorization_id)
    ends = [
        row.event_us
        for row in chain(rows[CORRECTIONS].values(), draft.get(CORRECTIONS, ()))
        if row[:2] == name and row.transition in _DOCKED
    ]
    ends += [
        case.occurred_us
        for case in cases_of(it, rows, draft)
        if case.kind in _ENDING
        and case.outcome is Outcome.FOR_USER
        and case.occurred_us is not None
    ]
    lost = docking.transition is Transition.LOST
    # A lost item is back, and no correction says since when, because nothing was given back. Its
    # usage then counts until the loss.
    if not lost or (not ends and it.custody is Custody.IN_STATION):
        ends.append(docking.event_us)
    return Bill(min(ends, default=None), captures_of(it, rows, draft))


def _docking(it: Authorization, rows: Rows, draft: Draft) -> Docking:
    """The step that settled a rental, perhaps in this batch.

    An earlier build did not record the instant of a settlement that moved no money. It counts as
    the instant of the call.
    """
    name = (it.user_id, it.authorization_id)
    for event in chain(draft.get(OUTBOX, ()), rows.added[OUTBOX]):
        same = (event.user_id, event.authorization_id) == name
        if same and event.transition in DOCKINGS:
            return Docking(event.transition, event.event_us)
    return rows.dockings.get(name) or Docking(Transition.SETTLED, it.close_us or 0)


PAUSE_RENTAL = Operation(PauseRental, wanted, decide)
