"""Known fees of orders, as they were when the orders were decided."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import BigInteger, case, cast, exists, func, select
from sqlalchemy.sql.elements import ColumnElement

from service.domain.ledger import Account
from service.domain.product import Product
from service.domain.transitions import Transition
from service.preview.history import OrderedProduct
from service.storage import schema as t


def first_fee() -> ColumnElement[Any]:
    """The known fee of an authorization's order in minor units, before increments raised it; zero
    for one that is not known, or paid elsewhere."""
    a, e, later = t.authorizations.c, t.entries.c, t.later_decisions.c
    decided_again = exists().where(
        later.user_id == a.user_id, later.authorization_id == a.authorization_id
    )
    raised = (
        select(cast(func.sum(e.amount_minor), BigInteger))
        .where(
            *(e.user_id == a.user_id, e.currency == a.currency),
            *(e.authorization_id == a.authorization_id, e.transition == Transition.INCREMENTED),
            e.credit.in_([str(Account.AVAILABLE), str(Account.DEPOSIT)]),
        )
        .correlate(t.authorizations)
        .scalar_subquery()
    )
    known = func.coalesce(a.order_fee_minor, 0)
    return case(((known > 0) & decided_again, known - func.coalesce(raised, 0)), else_=known)


def ordered(product: Product | None, fee_minor: int) -> Product | None:
    """The product of orders with a known fee, or without one."""
    if product is None or not fee_minor:
        return product
    values = {it.name: getattr(product, it.name) for it in fields(product)}
    return OrderedProduct(**values, order_fee_minor=fee_minor)
