"""Accounts for money that went twice, that matches nothing, or that is owed without a hold.

Columns get the value 0, with which every row satisfies the new CHECKs. A server of the build before
that is running goes on; it makes no entry on the new accounts, but could not read one, so it cannot
start any more.

Revision: 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.storage.migrations.checks import add_check, change_check, drop_check, widen_check

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BEFORE = (
    *("allowance", "available", "cash", "credit_loss", "deposit", "drawn", "fee_income"),
    *("goodwill", "held", "limit_control", "operator_payable", "receivable"),
    *("receivable_charged_back", "receivable_disputed", "recovery", "refund_payable"),
)
ADDED = ("operator_deferred", "overpaid", "receivable_unheld", "suspense")
COLUMNS = {
    "authorizations": ("overpaid_minor", "overpaid_written_off_minor"),
    "lines": ("overpaid_minor", "unheld_minor"),
}
PLACES = (
    "paid_out_minor + held_cash_minor + refund_payable_minor"
    " + captured_minor - captured_credit_minor + paid_minor + recovered_minor - refunded_minor"
)


def _among(column: str, accounts: tuple[str, ...]) -> str:
    return " OR ".join(f"{column} = '{account}'" for account in sorted(accounts))


def upgrade() -> None:
    for table, names in COLUMNS.items():
        for name in names:
            column = sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
            op.add_column(table, column)
        for name in names:
            add_check(table, f"ck_{table}_{name}_not_negative", f"{name} >= 0")
    change_check(
        "authorizations",
        "ck_authorizations_money_has_its_place",
        f"received_minor + elsewhere_minor = {PLACES}",
        "received_minor + elsewhere_minor + overpaid_minor + overpaid_written_off_minor"
        f" = {PLACES}",
    )
    add_check(
        "authorizations",
        "ck_authorizations_overpaid_is_set_off",
        "overpaid_minor = 0 OR refund_payable_minor = 0",
    )
    drop_check(
        "authorizations",
        "ck_authorizations_charged_back_not_paid_out",
        "charged_back_minor <= received_minor - paid_out_minor"
        " OR charged_back_minor <= held_cash_minor + refund_payable_minor",
    )
    for side in ("credit", "debit"):
        widen_check(
            "entries",
            f"ck_entries_{side}_known",
            _among(side, BEFORE),
            _among(side, (*BEFORE, *ADDED)),
        )
    op.execute("INSERT INTO compatibility (oldest_build) VALUES (10)")
