"""Messages of charge-backs and of money in suspense."""

from __future__ import annotations

from freehold.v1 import charge_back_pb2 as pb
from freehold.v1.types_pb2 import Money

from service.domain.access import PLATFORM
from service.domain.charge_backs import CaseState, ChargeBack
from service.domain.suspense import Direction, SuspenseItem
from service.rpc.convert import timestamp

STATES = {it: getattr(pb, f"CHARGE_BACK_STATE_{it}") for it in CaseState}
DIRECTIONS = {it: getattr(pb, f"SUSPENSE_DIRECTION_{it}") for it in Direction}
DIRECTION_OF = {number: it for it, number in DIRECTIONS.items()}


def charge_back_message(it: ChargeBack) -> pb.ChargeBack:
    """A charge-back as callers see it."""
    return pb.ChargeBack(
        case_id=it.case_id,
        authorization=f"users/{it.user_id}/authorizations/{it.authorization_id}",
        payment=it.payment,
        amount=_money(it.currency, it.amount_minor),
        suspense=_money(it.currency, it.suspense_minor),
        state=STATES[it.state],
        open=_money(it.currency, it.open_minor),
        overturned=_money(it.currency, it.overturned_minor),
        lost=_money(it.currency, it.kept_minor),
        gone_out=_money(it.currency, it.gone_out_minor),
        create_time=timestamp(it.record_us),
        decide_time=timestamp(it.decide_us),
        reopened=it.reopened,
    )


def item_message(it: SuspenseItem) -> pb.SuspenseItem:
    """An item in suspense as callers see it."""
    return pb.SuspenseItem(
        payment_reference=it.payment_reference,
        direction=DIRECTIONS[it.direction],
        amount=_money(it.currency, it.amount_minor),
        open=_money(it.currency, it.open_minor),
        returned=_money(it.currency, it.returned_minor),
        authorization=_name(it.user_id, it.authorization_id),
        proposed=_money(it.currency, it.proposed_minor) if it.proposed_by else None,
        proposed_authorization=_name(it.proposed_user_id, it.proposed_authorization_id),
        create_time=timestamp(it.record_us),
        owner="" if it.caller == PLATFORM else f"operators/{it.caller}",
    )


def _money(currency: str, amount_minor: int) -> Money:
    return Money(currency_code=currency, amount_minor=amount_minor)


def _name(user_id: str, authorization_id: str) -> str:
    return f"users/{user_id}/authorizations/{authorization_id}" if authorization_id else ""
