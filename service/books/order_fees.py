"""Fees of orders: the rules of `domain/order_fees.py`, stated a second time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, and_, exists, or_, select

from service.books.columns import Columns
from service.books.faults import Array
from service.books.portion import CUSTODIES, STATES
from service.domain.authorization import Custody, Start, State
from service.domain.transitions import Transition
from service.storage import schema as t


def wrong_order_fees(it: Columns, charge: Array) -> Iterator[tuple[str, Array]]:
    """The rules of the amounts of an order's fee, each with the rows that break it; `charge` says
    which rows are damage charges."""
    fee = it["order_fee_minor"]
    kept = it["captured_minor"] - it["other_captured_minor"] - it["conceded_minor"]
    # The price of an item that is not back is no fee.
    away = it["custody"] != CUSTODIES[Custody.IN_STATION]
    lost = away & (it["state"] == STATES[State.SETTLED])
    yield "only rentals have a fee of the order", fee.there & charge
    yield "an order's fee is not negative", fee.values < 0
    yield "no more is kept than the order's fee", fee.there & ~lost & (kept > fee.values)


def held_otherwise() -> Select[Any]:
    """Selects the rentals that were asked to hold another amount than deposit and known fee.

    A decrease holds less, and so does a deposit of which a bank took a part back for good. A late
    pick-up holds what its reservation left.
    """
    a, p, o = t.authorizations.c, t.products.c, t.outbox.c
    of_terms = and_(
        p.operator_id == a.operator_id,
        p.product_id == a.product_id,
        p.revision == a.product_revision,
    )
    lessened = exists().where(
        o.user_id == a.user_id,
        o.authorization_id == a.authorization_id,
        o.transition.in_((Transition.DECREASED, Transition.CHARGE_BACK_WON)),
    )
    held, asked = a.credit_minor + a.cash_minor, p.deposit_minor + a.order_fee_minor
    return (
        select(*t.authorizations.primary_key)
        .select_from(t.authorizations.join(t.products, of_terms))
        .where(
            a.order_fee_minor > 0,
            a.offer.is_not(None),
            a.start != Start.LATE_PICKUP,
            or_(held > asked, and_(held < asked, ~lessened)),
        )
    )
