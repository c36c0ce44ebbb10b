"""Cases of payment references that were used twice: the platform finds out what happened.

The refusal of a second use posts nothing, but leaves a case. Perhaps two operators reported one
payment, or a payment was recorded for the wrong rental, or a debit was also recorded by hand.
"""

from __future__ import annotations

from typing import Any

from service.domain import cases
from service.domain.access import PLATFORM
from service.domain.cases import Case, CaseKind, Side
from service.domain.errors import FreeholdError, NotFound, PaymentReferenceUsed
from service.engine.calls import Work
from service.engine.cases import add_evidence
from service.engine.context import Context
from service.engine.references import first_use_name, reference_of
from service.engine.rows import Draft, Rows
from service.engine.tables import CASES

UNKNOWN_ACCOUNT = "RAIL_ACCOUNT_NOT_FOUND"


def case_of_second_use(
    work: Work, it: Any, refusal: FreeholdError, rows: Rows, context: Context
) -> Draft:
    """The case that the refusal of a payment opens; an empty draft if the payment was no second
    use.

    A caller may be refused because of an unknown account, although its reference was used in that
    account before; this counts too. While a case of the same reference and rental is open, a
    further try opens no other case.
    """
    draft = Draft(list)
    unknown = isinstance(refusal, NotFound) and refusal.reason == UNKNOWN_ACCOUNT
    if not unknown and not isinstance(refusal, PaymentReferenceUsed):
        return draft
    first = first_use_name(reference_of(work.caller, it), rows)
    if not first:
        return draft
    # A payment between Freehold and an operator has no rental.
    user_id, authorization_id = getattr(it, "user_id", ""), getattr(it, "authorization_id", "")
    amount = it.paid if hasattr(it, "paid") else it.amount
    case = cases.open_case(
        context.ids.new(context.now_us),
        CaseKind.SECOND_REFERENCE,
        context.now_us,
        opened_by=Side.PLATFORM if work.caller == PLATFORM else Side.OPERATOR,
        waits_for=Side.PLATFORM,
        user_id=user_id,
        operator_id=getattr(it, "operator_id", "") if work.caller == PLATFORM else work.caller,
        authorization_id=authorization_id,
        currency=amount.currency,
        asked_minor=amount.amount_minor,
        reference=first,
    )
    if not any(_same(known, case) for known in rows[CASES].values()):
        add_evidence(draft, case, case.opened_by, work.method, work.request_id, context.now_us)
    return draft


def _same(known: Case, case: Case) -> bool:
    about = (known.user_id, known.authorization_id, known.kind, known.reference)
    same = about == (case.user_id, case.authorization_id, case.kind, case.reference)
    return same and known.is_open
