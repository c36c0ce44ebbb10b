"""PauseRental: the meter of a rental stands."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import acts, pauses
from service.domain.attestations import AttestationKind, Cause, Source
from service.engine.attesting import Word, attest, meter
from service.engine.calls import Attestation, AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.occurrence import occurred_us
from service.engine.operation import OfAuthorization, Operation, of_authorization
from service.engine.posting import apply, opened, product_of
from service.engine.rows import Keys, Rows


@dataclass(frozen=True, slots=True)
class PauseRental(AuthorizationCommand):
    """Stop the meter from `occurred_us` on; None means now.

    `evidence` is the operator's reference to its evidence.
    """

    cause: Cause
    source: Source
    evidence: str
    occurred_us: int | None = None


def wanted(caller: str, it: OfAuthorization, keys: Keys) -> None:
    """Needs the authorization and all its attestations."""
    of_authorization(caller, it, keys)
    keys.attested.add((it.user_id, it.authorization_id))


def decide(work: Work, it: PauseRental, rows: Rows, context: Context) -> Decided:
    """Stops the meter; the answer says when it runs on by itself."""
    current, line, draft = opened(work.caller, it, rows, context)
    acts.require(current, pauses.PAUSE)
    product = product_of(current, context)
    from_us = occurred_us(
        work.caller,
        pauses.PAUSE,
        it.occurred_us,
        current,
        product.policy,
        draft,
        context.now_us,
        lowers=True,
    )
    step, paused = pauses.pause(current, product, meter(current, rows), from_us, context.now_us)
    result = apply(draft, step, line, rows, context)
    row = attest(
        draft,
        step,
        rows,
        AttestationKind.PAUSE,
        Word(it.cause, it.source, it.evidence),
        context.now_us,
        until_us=paused.until_us,
    )
    return Decided(draft, Attestation(result, row), result.user_id, result.authorization_id)


PAUSE_RENTAL = Operation(PauseRental, wanted, decide)
