"""Checks budgets: the leases and the folded holds tell what is held, and what was granted."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from service.books.columns import kept, rows_of
from service.books.faults import SENSELESS, Found
from service.domain.rules import Span
from service.storage import schema as t

Key = tuple[str, str, str]
"""An operator, a policy and a currency."""


def check_budgets(connection: Connection) -> None:
    """Raises Found unless each budget's holds are those of the authorizations, and its grants are
    those of its leases."""
    held: Counter[Key] = Counter()
    for operator_id, policy_id, rules, currency, minor in rows_of(connection, _held(connection)):
        if _counts_open(policy_id, rules, currency):
            held[operator_id, policy_id, currency] += minor
    told: Counter[Key] = Counter()
    granted: Counter[tuple[str, ...]] = Counter()
    for row in rows_of(connection, _leases(connection)):
        *key, _server, granted_minor, net_minor = row
        granted[tuple(key)] += granted_minor
        if not key[3]:
            told[key[0], key[1], key[2]] += net_minor
    for row in rows_of(connection, _accounts(connection)):
        *key, granted_minor, folded_minor = row
        name = "/".join(("budget_accounts", *filter(None, key)))
        if granted_minor != folded_minor + granted[tuple(key)]:
            raise Found("BUDGET", name, "granted_minor is not the sum of the grants")
        if not key[3]:
            told[key[0], key[1], key[2]] += folded_minor
    for of in sorted(held.keys() | told.keys()):
        if held[of] != told[of]:
            name = "/".join(("budget_accounts", *of))
            raise Found("BUDGET", name, f"{told[of]} is told, and {held[of]} is held")


def _counts_open(policy_id: str, rules: str, currency: str) -> bool:
    try:
        budgets: list[dict[str, Any]] = json.loads(rules).get("budget", [])
        return any(
            it["currency"] == currency and it.get("span", Span.OPEN) == Span.OPEN for it in budgets
        )
    except SENSELESS:
        raise Found("BUDGET", f"policies/{policy_id}", "its rules make no sense") from None


@kept
def _held(_connection: Connection) -> Select[tuple[str, str, str, str, int]]:
    a, p, policies = t.authorizations.c, t.products.c, t.policies.c
    of_product = and_(
        p.operator_id == a.operator_id,
        p.product_id == a.product_id,
        p.revision == a.product_revision,
    )
    of_policy = and_(policies.policy_id == p.policy_id, policies.revision == p.policy_revision)
    key = (a.operator_id, p.policy_id, policies.rules, a.currency)
    return (
        select(*key, func.sum(a.held_credit_minor))
        .select_from(t.authorizations.join(t.products, of_product).join(t.policies, of_policy))
        .where(a.held_credit_minor > 0, policies.rules.is_not(None))
        .group_by(*key)
        .order_by(*key)
    )


@kept
def _leases(_connection: Connection) -> Select[Any]:
    it = t.budget_leases.c
    key = (it.operator_id, it.policy_id, it.currency, it.period, it.server_id)
    return select(*key, it.granted_minor, it.net_minor).order_by(*key)


@kept
def _accounts(_connection: Connection) -> Select[Any]:
    it = t.budget_accounts.c
    key = (it.operator_id, it.policy_id, it.currency, it.period)
    return select(*key, it.granted_minor, it.folded_minor).order_by(*key)
