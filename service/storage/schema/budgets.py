"""Budgets of exposure: the account of each, and the leases of servers."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKeyConstraint

from service.engine.tables import BUDGET_ACCOUNTS, BUDGET_LEASES
from service.storage.schema.columns import CURRENCY
from service.storage.schema.record_tables import of_records

budget_accounts = of_records(
    BUDGET_ACCOUNTS,
    CheckConstraint("most_minor >= 0", "most_minor_not_negative"),
    # The sum of all grants is within the budget, so the sum of all holds is.
    CheckConstraint("granted_minor <= most_minor", "within_budget"),
    CheckConstraint("version > 0", "version_positive"),
    ForeignKeyConstraint(["operator_id"], ["operators.operator_id"]),
    currency=CURRENCY,
)

budget_leases = of_records(
    BUDGET_LEASES,
    CheckConstraint("net_minor <= granted_minor", "within_grant"),
    CheckConstraint("granted_minor - net_minor <= reserve_minor", "reserve_bounded"),
    CheckConstraint("version > 0", "version_positive"),
    ForeignKeyConstraint(
        ["operator_id", "policy_id", "currency", "period"],
        [
            "budget_accounts.operator_id",
            "budget_accounts.policy_id",
            "budget_accounts.currency",
            "budget_accounts.period",
        ],
    ),
    currency=CURRENCY,
)
