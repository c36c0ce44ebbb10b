"""Reads the facts that the rules of a batch's policies need; only if policies in use have any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.domain.authorization import Authorization, State
from service.domain.rules import Rules
from service.engine.budgets import Budgets
from service.engine.calls import Work
from service.engine.context import Context
from service.engine.counts import Counts, bearers_of
from service.engine.listings import Asked, read_listings
from service.engine.operations import Authorize
from service.engine.ports import Transaction
from service.engine.rows import Keys, Rows, Wish
from service.engine.tables import AUTHORIZATIONS, DETAILS

_UNDECIDED = (State.OFFERED, State.REVIEW)


def read_admission(
    batch: Sequence[Work], rows: Rows, keys: Keys, transaction: Transaction, context: Context
) -> None:
    """Reads all that the rules of a batch need; nothing if there are no rules.

    The lines, and all other rows of the batch, are read and locked by now.
    """
    if context.counts:
        read_counts(batch, rows, keys, transaction, context)
    if context.catalog.listed:
        read_listed(batch, rows, keys, transaction, context)
    if context.budgets:
        read_budgets(batch, rows, transaction, context)


def read_budgets(
    batch: Iterable[Work], rows: Rows, transaction: Transaction, context: Context
) -> None:
    """Reads the budgets of all authorizations that the batch may make or change."""
    products, revisions = context.catalog.products, context.catalog.revisions
    wanted = [
        (work.caller, product)
        for work in batch
        if isinstance(it := work.command, Authorize)
        for item in it.items
        if (product := products.get((work.caller, item.product_id))) is not None
    ]
    wanted += [
        (it.operator_id, product)
        for it in rows[AUTHORIZATIONS].values()
        if (product := revisions.get((it.operator_id, it.product_id, it.product_revision)))
        is not None
    ]
    rows.budgets = Budgets(context)
    rows.budgets.read(wanted, rows, transaction)


def read_listed(
    batch: Iterable[Work], rows: Rows, keys: Keys, transaction: Transaction, context: Context
) -> None:
    """Reads the listings that may count for the orders of a batch, and for offers and reviews that
    it may grant."""
    asked = [
        Asked(work.caller, it.user_id, it.order)
        for work in batch
        if isinstance(it := work.command, Authorize) and not it.parent_id
    ]
    if rows.counts is not None:
        # Only rules that count rentals count again at the grant.
        details = rows[DETAILS]
        asked += [
            Asked(it.operator_id, it.user_id, details.get((it.user_id, it.authorization_id)))
            for it in _waiting(rows, keys)
        ]
    read_listings(rows, asked, keys.merging, context.catalog.listed, transaction)


def _waiting(rows: Rows, keys: Keys) -> list[Authorization]:
    """The offers and reviews that the batch may grant."""
    return [
        it
        for it in rows[AUTHORIZATIONS].values()
        if it.state in _UNDECIDED and it.user_id in keys.users and not it.parent_id
    ]


def read_counts(
    batch: Iterable[Work], rows: Rows, keys: Keys, transaction: Transaction, context: Context
) -> None:
    """Reads the facts for the orders of a batch, and for offers and reviews that it may grant.

    The lines, and all other rows of the batch, are read and locked by now.
    """
    counts = rows.counts = Counts(keys.merging)
    orders = [
        (work.caller, work.command)
        for work in batch
        if isinstance(work.command, Authorize) and not work.command.parent_id
    ]
    products = context.catalog.products
    for operator_id, order in orders:
        for item in order.items:
            product = products.get((operator_id, item.product_id))
            if product is None or (wanted := product.policy.rules) is None:
                continue
            counts.want(wanted, operator_id, order.user_id, order.order, rows)
            if wanted.signal:
                named = bearers_of(order.user_id, order.order)
                counts.traces.want(wanted.signal, operator_id, named)
    if counts.traces.bearers:
        for operator_id, order in orders:
            counts.traces.want_person(operator_id, bearers_of(order.user_id, order.order))
    waiting = _waiting(rows, keys)
    if waiting:
        names = {(it.user_id, it.authorization_id) for it in waiting}
        unread = names - rows[DETAILS].keys()
        transaction.read(rows, [Wish(DETAILS, DETAILS.key, unread)])
        for it in waiting:
            told = rows[DETAILS].get((it.user_id, it.authorization_id))
            named, rules = bearers_of(it.user_id, told), _rules_of(it, context)
            if rules is not None:
                counts.want(rules, it.operator_id, it.user_id, told, rows)
            counts.traces.want_person(it.operator_id, named)
        # An offer counts for every bearer that any of them wants.
        for it in waiting:
            counts.add(it, rows[DETAILS].get((it.user_id, it.authorization_id)))
    for name in keys.raised:
        row = rows[AUTHORIZATIONS].get(name)
        rules = None if row is None else _rules_of(row, context)
        if row is not None and rules is not None:
            counts.want_past(rules, row.operator_id, row.user_id, rows)
    counts.read(rows, transaction, context)


def _rules_of(it: Authorization, context: Context) -> Rules | None:
    """The rules under which an authorization was asked for."""
    product = context.catalog.revisions.get((it.operator_id, it.product_id, it.product_revision))
    return None if product is None else product.policy.rules
