"""RecordUnmatched: money at the payment rail matches nothing."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.access import PLATFORM
from service.domain.errors import InvalidInput
from service.domain.ledger import Posting, post
from service.domain.money import Money
from service.domain.suspense import RAIL_ACCOUNT, Direction, booked
from service.domain.transitions import Transition
from service.engine.calls import Matched, Work
from service.engine.charge_backs import add_item
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.people import announce_of
from service.engine.posting import line_for
from service.engine.records.payments import PaymentKind, PaymentRecord
from service.engine.references import of_reference, require_new_payment
from service.engine.rows import Draft, Keys, Rows
from service.engine.second_uses import case_of_second_use
from service.engine.tables import ENTRIES, LINES, PAYMENTS, SUSPENSE


@dataclass(frozen=True, slots=True)
class RecordUnmatched:
    """Record money that came in or went out for no known authorization."""

    direction: Direction
    amount: Money
    payment_reference: str
    rail_account: str = ""


def wanted(caller: str, it: RecordUnmatched, keys: Keys) -> None:
    """Needs the rail's own line, and the payment."""
    keys.users.add(RAIL_ACCOUNT)
    of_reference(caller, it, keys)


def decide(work: Work, it: RecordUnmatched, rows: Rows, context: Context) -> Decided:
    """Books the money in suspense, and records the payment reference."""
    amount_minor, currency = it.amount.amount_minor, it.amount.currency
    counted = require_new_payment(work.caller, it, currency, rows, context)
    if currency not in context.catalog.limit_steps:
        raise InvalidInput.of(
            "amount.currency_code", "currency.unknown", f"currency {currency} is not configured"
        )
    if amount_minor == 0:
        raise InvalidInput.of("amount.amount_minor", "amount.positive", "must be more than zero")
    came_in = it.direction is Direction.IN
    draft = Draft(list)
    post_for_rail(
        draft,
        *counted,
        PaymentKind.UNMATCHED_IN if came_in else PaymentKind.UNMATCHED_OUT,
        Transition.SUSPENSE_CAME_IN if came_in else Transition.SUSPENSE_TAKEN_BACK,
        booked(it.direction, amount_minor),
        currency,
        rows,
        context,
    )
    add_item(
        draft,
        *counted,
        it.direction,
        user_id=RAIL_ACCOUNT,
        authorization_id="",
        amount_minor=amount_minor,
        currency=currency,
        record_us=context.now_us,
    )
    return Decided(draft, Matched(draft[SUSPENSE][-1]), RAIL_ACCOUNT, "")


def post_for_rail(
    draft: Draft,
    caller: str,
    reference: str,
    kind: PaymentKind,
    transition: Transition,
    posting: Posting,
    currency: str,
    rows: Rows,
    context: Context,
) -> None:
    """Adds a posting on the rail's own line to the draft, with its payment and its event."""
    line, _ = line_for(RAIL_ACCOUNT, currency, rows, context)
    draft[ENTRIES] += post(
        line,
        (posting,),
        transition,
        operator_id=PLATFORM,
        authorization_id="",
        event_us=context.now_us,
        now_us=context.now_us,
    )
    draft[LINES] = [line]
    draft[PAYMENTS].append(
        PaymentRecord(
            caller,
            reference,
            kind,
            RAIL_ACCOUNT,
            "",
            posting.amount_minor,
            currency,
            context.now_us,
        )
    )
    announce_of(draft, transition, RAIL_ACCOUNT, context)


RECORD_UNMATCHED = Operation(RecordUnmatched, wanted, decide, leaves=case_of_second_use)
