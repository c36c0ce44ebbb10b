"""ResumeRental: the meter of a paused rental runs on."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import acts, pauses
from service.domain.attestations import AttestationKind
from service.engine.attesting import Word, attest, meter
from service.engine.calls import Attestation, AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.occurrence import occurred_us
from service.engine.operation import OfAuthorization, Operation, of_authorization
from service.engine.posting import apply, opened, product_of
from service.engine.rows import Keys, Rows


@dataclass(frozen=True, slots=True)
class ResumeRental(AuthorizationCommand):
    """Let the meter run on from `occurred_us`; None means now.

    `evidence` is the operator's reference to its evidence, if any.
    """

    evidence: str = ""
    occurred_us: int | None = None


def wanted(caller: str, it: OfAuthorization, keys: Keys) -> None:
    """Needs the authorization and all its attestations."""
    of_authorization(caller, it, keys)
    keys.attested.add((it.user_id, it.authorization_id))


def decide(work: Work, it: ResumeRental, rows: Rows, context: Context) -> Decided:
    """Ends the pause; the due time and the time of loss move back by the rest of it."""
    current, line, draft = opened(work.caller, it, rows, context)
    acts.require(current, pauses.RESUME)
    product = product_of(current, context)
    at_us = occurred_us(
        work.caller,
        pauses.RESUME,
        it.occurred_us,
        current,
        product.policy,
        draft,
        context.now_us,
    )
    step, _ = pauses.resume(current, product, meter(current, rows, draft), at_us, context.now_us)
    result = apply(draft, step, line, rows, context)
    word = Word(evidence=it.evidence)
    row = attest(draft, step, rows, AttestationKind.RESUME, word, context.now_us)
    return Decided(draft, Attestation(result, row), result.user_id, result.authorization_id)


RESUME_RENTAL = Operation(ResumeRental, wanted, decide)
