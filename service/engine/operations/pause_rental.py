"""PauseRental: the meter of a rental stands."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import late_pauses, pauses
from service.domain.attestations import AttestationKind, Cause, Source
from service.domain.authorization import Authorization, State
from service.domain.cases import CaseKind, Outcome
from service.domain.late_pauses import Bill
from service.domain.transitions import Transition
from service.engine.attesting import Word, attest, meter
from service.engine.calls import Attestation, AuthorizationCommand, Work
from service.engine.cases import cases_of
from service.engine.context import Context, Decided
from service.engine.correcting import captures_of, last_fee_us
from service.engine.occurrence import occurred_us
from service.engine.operation import OfAuthorization, Operation
from service.engine.operations import report_found
from service.engine.posting import apply, opened, product_of
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import CORRECTIONS, UNPOSTED

_DOCKED = (Transition.FOUND, Transition.RETURN_PRESUMED)
"""Corrections by an earlier docking, whose instant is the end of the usage."""


@dataclass(frozen=True, slots=True)
class PauseRental(AuthorizationCommand):
    """Stop the meter from `occurred_us` until `resumed_us`; None means from now, and until a resume
    or the policy's bound.

    After the settlement the end must be told. `evidence` is the operator's reference to its
    evidence.
    """

    cause: Cause
    source: Source
    evidence: str
    occurred_us: int | None = None
    resumed_us: int | None = None


def wanted(caller: str, it: OfAuthorization, keys: Keys) -> None:
    """Needs the rental with its settlement, captures, corrections, attestations and cases."""
    report_found.wanted(caller, it, keys)
    name = (it.user_id, it.authorization_id)
    keys.corrected.add(name)
    keys.unposted.add(name)
    keys.cased.add(name)


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
    running = meter(current, rows)
    late = current.state is State.SETTLED
    if late and resumed_us is not None:
        bill = _bill(current, rows, draft)
        step, paused = late_pauses.pause(
            current, product, running, from_us, resumed_us, now_us, bill
        )
    else:
        step, paused = pauses.pause(current, product, running, from_us, now_us, resumed_us)
    result = apply(draft, step, line, rows, context)
    word, until_us = Word(it.cause, it.source, it.evidence), paused.until_us
    row = attest(draft, step, rows, AttestationKind.PAUSE, word, now_us, until_us=until_us)
    if resumed_us is not None and (late or resumed_us < until_us):
        resumed = step._replace(event_us=min(resumed_us, until_us))
        word = Word(evidence=it.evidence)
        attest(draft, resumed, rows, AttestationKind.RESUME, word, now_us)
    return Decided(draft, Attestation(result, row), result.user_id, result.authorization_id)


def _bill(it: Authorization, rows: Rows, draft: Draft) -> Bill:
    """The charge for the usage, which ended at the settlement, or earlier as was told since.

    A settlement that posted nothing has a row. Any other one has the last capture.
    """
    name = (it.user_id, it.authorization_id)
    settled_us = last_fee_us(it, rows, draft)
    unposted = [row.event_us for row in rows[UNPOSTED].values() if row[:2] == name]
    ends = unposted or [(it.close_us or 0) if settled_us is None else settled_us]
    ends += [
        row.event_us
        for row in rows[CORRECTIONS].values()
        if row[:2] == name and row.transition in _DOCKED
    ]
    ends += [
        case.occurred_us
        for case in cases_of(it, rows, draft)
        if case.kind is CaseKind.LATE_CLAIM
        and case.outcome is Outcome.FOR_USER
        and case.occurred_us is not None
    ]
    return Bill(min(ends), captures_of(it, rows, draft))


PAUSE_RENTAL = Operation(PauseRental, wanted, decide)
