"""BookDebt: damage is booked as a debt without a hold."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import debts
from service.domain.errors import BusinessReferenceReused, NotFound
from service.domain.money import Money
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.correcting import require_new_reference
from service.engine.damage import require_damage
from service.engine.operation import Operation, of_correction
from service.engine.posting import finish, opened, positive_minor, product_of
from service.engine.records.debts import DebtRecord
from service.engine.rows import Keys, Rows
from service.engine.tables import DEBTS


@dataclass(frozen=True, slots=True)
class BookDebt(AuthorizationCommand):
    """Book damage to the item of a closed rental as a debt of the person, without a hold.

    The command names the rental, and its answer is the debt. `evidence` and
    `user_consent_reference` are references of the operator; the latter may be empty.
    """

    amount: Money
    business_reference: str
    evidence: str
    user_consent_reference: str = ""


def wanted(caller: str, it: BookDebt, keys: Keys) -> None:
    """Needs the rental, and all that was charged for damage to it."""
    name = (it.user_id, it.authorization_id)
    of_correction(caller, it, keys)
    keys.damaged.add(name)
    keys.debts.add(name)


def decide(work: Work, it: BookDebt, rows: Rows, context: Context) -> Decided:
    """Books the debt, even if the person is suspended or the line is full. Each business reference
    counts once."""
    parent, line, draft = opened(work.caller, it, rows, context)
    if work.caller != parent.operator_id:
        # The debt is the operator's own request, also if the platform sends it.
        raise NotFound("authorization", it.authorization_id)
    debts.require_out(parent)
    earlier = rows.debts_of(it.user_id, it.authorization_id)
    if it.business_reference in earlier:
        booked = earlier[it.business_reference]
        first = f"users/{booked.user_id}/authorizations/{booked.authorization_id}"
        raise BusinessReferenceReused(it.business_reference, "debt", first)
    require_new_reference(it.business_reference, parent, rows, draft)
    amount_minor = positive_minor(it.amount, parent)
    require_damage(
        it.user_id,
        it.authorization_id,
        amount_minor,
        rows,
        context,
        consented=bool(it.user_consent_reference),
    )
    step = debts.book(
        parent,
        product_of(parent, context),
        context.ids.new(context.now_us),
        work.request_id,
        amount_minor,
        context.now_us,
    )
    draft[DEBTS].append(
        DebtRecord(
            it.user_id,
            it.authorization_id,
            it.business_reference,
            step.authorization.authorization_id,
            parent.operator_id,
            amount_minor,
            parent.currency,
            it.evidence,
            it.user_consent_reference,
            context.now_us,
        )
    )
    return finish(draft, step, line, rows, context)


BOOK_DEBT = Operation(BookDebt, wanted, decide)
