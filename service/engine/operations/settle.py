"""Settle: capture an amount, or the fee for the usage."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import acts, damage, late_pickups, settlement
from service.domain.attestations import AttestationKind
from service.domain.authorization import Start
from service.domain.captures import Purpose
from service.domain.details import ItemPlace
from service.domain.line_items import require_listed
from service.domain.money import Money
from service.engine.attesting import Word, attest, meter
from service.engine.calls import AuthorizationCommand, Settled, Work
from service.engine.consents import add_consent, no_damage
from service.engine.context import Context, Decided
from service.engine.correcting import captures_of, require_new_reference
from service.engine.details import add_place
from service.engine.occurrence import occurred_us
from service.engine.operation import Operation, of_authorization
from service.engine.posting import apply, minor_of, opened, product_of
from service.engine.rows import Keys, Rows
from service.engine.tables import AUTHORIZATIONS, CAPTURES, DEBTS


@dataclass(frozen=True, slots=True)
class Settle(AuthorizationCommand):
    """Capture `amount`, or, if it is None, the fee of the usage until `occurred_us`.

    `final` closes the authorization. `occurred_us` None means now. `purpose` None means the fee,
    or the damage if it is a damage charge. `handover` says that the item was returned without a
    dock; `evidence` is the operator's reference to its evidence of that. `user_consent_reference`
    refers to the user's consent to a capture for damage, and is empty if there is none.
    `line_items` has the name of each line of the bill for the amount, empty for none.
    """

    amount: Money | None
    final: bool
    occurred_us: int | None = None
    purpose: Purpose | None = None
    business_reference: str = ""
    handover: AttestationKind | None = None
    evidence: str = ""
    place: ItemPlace | None = None
    user_consent_reference: str = ""
    line_items: tuple[str, ...] = ()


def wanted(caller: str, it: Settle, keys: Keys) -> None:
    """Needs the authorization; its captures and corrections only where they are compared."""
    of_authorization(caller, it, keys)
    if it.business_reference or it.purpose is Purpose.DAMAGE:
        keys.captured.add((it.user_id, it.authorization_id))
    if it.business_reference:
        keys.corrected.add((it.user_id, it.authorization_id))
    if it.handover is not None:
        keys.attested.add((it.user_id, it.authorization_id))
    if it.place is not None:
        keys.detailed.add((it.user_id, it.authorization_id))


def decide(work: Work, it: Settle, rows: Rows, context: Context) -> Decided:
    """Captures an amount or the usage fee; the answer has the lines of the fee."""
    current, line, draft = opened(work.caller, it, rows, context)
    settlement.require_capturable(current)
    if it.amount is None or it.handover is not None:
        acts.require_rental(current)
    product = product_of(current, context)
    require_listed(it.line_items, product.line_items)
    event_us = occurred_us(
        work.caller,
        settlement.SETTLE,
        it.occurred_us,
        current,
        product.policy,
        draft,
        context.now_us,
        lowers=True,
    )
    running = meter(current, rows, draft)
    fee = None
    purpose = settlement.purpose_of(current, it.purpose, it.amount is None)
    if it.user_consent_reference and (purpose is not Purpose.DAMAGE or current.parent_id):
        raise no_damage()
    if it.business_reference:
        require_new_reference(it.business_reference, current, rows, draft)
    if it.amount is None:
        fee = settlement.usage_fee(current, product, event_us, running)
        amount_minor = settlement.usage_amount_minor(current, fee.total_minor)
    else:
        amount_minor = minor_of(it.amount, current)
    wanted_minor = fee.total_minor if fee is not None else None
    late = current.start is Start.LATE_PICKUP and purpose is Purpose.FEE and it.final
    if late and fee is None:
        # The part above the hold becomes a debt.
        wanted_minor = current.fee_captured_minor + amount_minor
        times = (context.now_us, event_us)
        amount_minor = late_pickups.split_fee(current, product, amount_minor, *times, running)
    if purpose is Purpose.DAMAGE and not current.parent_id:
        before = captures_of(current, rows, draft)
        damage.require_within(
            amount_minor,
            product,
            before,
            (),
            context.now_us,
            consented=bool(it.user_consent_reference),
        )
    step = settlement.settle(
        current,
        product,
        amount_minor,
        it.final,
        context.now_us,
        event_us,
        purpose=purpose,
        business_reference=it.business_reference,
        wanted_minor=wanted_minor,
        meter=running,
        handed_over=it.handover is not None,
    )
    result = apply(draft, step, line, rows, context)
    if it.user_consent_reference:
        add_consent(draft, result, it.user_consent_reference, context)
    if it.place is not None:
        add_place(draft, rows, result, context, end=it.place)
    capture = draft[CAPTURES][-1] if step.taken is not None else None
    debt = draft[AUTHORIZATIONS][-1].name if draft.get(DEBTS) else ""
    handover = None
    if it.handover is not None:
        word = Word(evidence=it.evidence)
        handover = attest(draft, step, rows, it.handover, word, context.now_us)
    answer = Settled(result, fee, capture, debt, handover)
    return Decided(draft, answer, result.user_id, result.authorization_id)


SETTLE = Operation(Settle, wanted, decide)
