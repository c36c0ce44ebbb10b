"""Reads budgets of exposure, each with what is used and left now."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Engine, select

from service.domain.budgets import BudgetKey, BudgetNow, Lease, budget_now, budgets_in, period_of
from service.engine.catalog import TermsNames
from service.engine.tables import BUDGET_ACCOUNTS, BUDGET_LEASES
from service.storage import schema as t
from service.storage.database import reading
from service.storage.known_operators import require_operator
from service.storage.schema.record_tables import CONVERTERS
from service.storage.terms import read_part


def list_budgets(
    engine: Engine, operator_id: str, now_us: int, *, own_only: bool = False
) -> list[BudgetNow]:
    """The budgets of the policies under which an operator rents out, by policy, currency and span.

    With `own_only` only those of the operator's own policies. Raises NotFound for an unknown
    operator.
    """
    p, account_of = t.products.c, CONVERTERS[BUDGET_ACCOUNTS].record
    lease_of = CONVERTERS[BUDGET_LEASES].record
    with reading(engine) as connection:
        require_operator(connection, operator_id)
        named = select(p.product_id).distinct().where(p.operator_id == operator_id)
        products = frozenset((operator_id, it) for it in connection.scalars(named))
        _, terms = read_part(connection, TermsNames(products=products))
        accounts, leases = t.budget_accounts, t.budget_leases
        mine = select(accounts).where(accounts.c.operator_id == operator_id)
        known = {it.key: it for it in map(account_of, connection.execute(mine))}
        leased = defaultdict[BudgetKey, list[Lease]](list)
        for lease in map(
            lease_of,
            connection.execute(select(leases).where(leases.c.operator_id == operator_id)),
        ):
            leased[BudgetKey(*lease[:4])].append(lease)
    found = []
    for (policy_id, currency, _), it in sorted(
        budgets_in(terms.revisions.values(), terms.products.values()).items()
    ):
        if own_only and not policy_id.startswith(f"{operator_id}/"):
            continue
        key = BudgetKey(operator_id, policy_id, currency, period_of(it.budget, now_us))
        found.append(budget_now(key, it.budget, known.get(key), leased[key]))
    return found
