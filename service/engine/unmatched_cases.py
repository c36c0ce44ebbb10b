"""Cases of money in suspense: the platform asks what it was, until all of it is matched.

A case's id follows from its item. So the match that ends the question finds the case by its key.
"""

from __future__ import annotations

from base64 import b32hexencode
from hashlib import sha256

from service.domain import cases
from service.domain.access import PLATFORM
from service.domain.cases import CaseKind, Outcome, Side
from service.domain.suspense import RAIL_ACCOUNT, SuspenseItem
from service.engine.cases import put_case
from service.engine.rows import Draft, Rows
from service.engine.tables import CASES


def case_key(item: SuspenseItem) -> tuple[str, str, str]:
    """The key of an item's case: person and authorization, empty if nobody is known, and id."""
    digest = sha256(f"{item.caller}\n{item.payment_reference}".encode()).digest()
    case_id = b32hexencode(digest).decode().lower()[:20]
    user_id = "" if item.user_id == RAIL_ACCOUNT else item.user_id
    return user_id, item.authorization_id, case_id


def ask_about(draft: Draft, item: SuspenseItem) -> None:
    """Adds the case of a new item to the draft."""
    user_id, authorization_id, case_id = case_key(item)
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
    """Closes the case of an item of which nothing is open any more.

    An item of an earlier build has no case, and the platform may have closed a case by itself.
    """
    case = None if item.open_minor else rows[CASES].get(case_key(item))
    if case is not None and case.is_open:
        put_case(draft, cases.closed(case, Outcome.HANDLED, now_us, closed_by=caller))
