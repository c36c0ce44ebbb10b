"""Cases of money in suspense: the platform finds out whose money it is, until the whole amount is
matched.

A case's id follows from its item. So the match that ends the question finds the case by its key,
and the verifier finds a case that was removed.
"""

from __future__ import annotations

from service.domain import cases
from service.domain.access import PLATFORM
from service.domain.cases import CaseKind, Outcome, Side
from service.domain.suspense import SuspenseItem
from service.engine.cases import put_case
from service.engine.rows import Draft, Rows
from service.engine.tables import CASES, SUSPENSE


def ask_about(draft: Draft, item: SuspenseItem) -> None:
    """Adds a new item to the draft, with the case that asks what it is.

    No case asks about an item that is matched already.
    """
    draft[SUSPENSE].append(item.sealed(asked=item.open_minor > 0))
    if not item.open_minor:
        return
    user_id, authorization_id, case_id = item.case_key
    of_platform = item.caller == PLATFORM
    case = cases.open_case(
        case_id,
        CaseKind.UNMATCHED_MONEY,
        item.record_us,
        opened_by=Side.PLATFORM if of_platform else Side.OPERATOR,
        waits_for=Side.PLATFORM,
        user_id=user_id,
        operator_id="" if of_platform else item.caller,
        authorization_id=authorization_id,
        currency=item.currency,
        asked_minor=item.amount_minor,
        reference=f"payments/{item.caller}/{item.payment_reference}",
    )
    put_case(draft, case)


def end(draft: Draft, item: SuspenseItem, caller: str, rows: Rows, now_us: int) -> None:
    """Closes the case of an item once the whole item is matched.

    An item of an earlier build has no case, and the platform may have closed a case by itself.
    """
    case = None if item.open_minor else rows[CASES].get(item.case_key)
    if case is not None and case.is_open:
        put_case(draft, cases.closed(case, Outcome.HANDLED, now_us, closed_by=caller))
