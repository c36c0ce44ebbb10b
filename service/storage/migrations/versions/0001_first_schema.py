"""First schema.

Revision: 0001; the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("operator_id", sa.String(length=128), nullable=True),
        sa.Column("scopes", sa.String(length=1024), nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.Column("revoke_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "authorizations",
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "authorization_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "operator_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "request_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "product_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("product_revision", sa.Integer(), nullable=False),
        sa.Column(
            "parent_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "group_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column(
            "start",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("accept_offers", sa.String(length=32), nullable=False),
        sa.Column("band", sa.String(length=1), nullable=False),
        sa.Column(
            "decision_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "model_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("policy_revision", sa.Integer(), nullable=False),
        sa.Column("fee_bp", sa.Integer(), nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.Column("pickup_window_us", sa.BigInteger(), nullable=False),
        sa.Column("rental_period_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "asset_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("offer", sa.String(length=16), nullable=True),
        sa.Column(
            "state",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "custody",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("reasons", sa.String(length=512), nullable=False),
        sa.Column("credit_minor", sa.BigInteger(), nullable=False),
        sa.Column("cash_minor", sa.BigInteger(), nullable=False),
        sa.Column("expire_us", sa.BigInteger(), nullable=True),
        sa.Column("start_us", sa.BigInteger(), nullable=True),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("lost_us", sa.BigInteger(), nullable=True),
        sa.Column("claim_us", sa.BigInteger(), nullable=True),
        sa.Column("claim_until_us", sa.BigInteger(), nullable=True),
        sa.Column("close_us", sa.BigInteger(), nullable=True),
        sa.Column("sold_us", sa.BigInteger(), nullable=True),
        sa.Column("held_credit_minor", sa.BigInteger(), nullable=False),
        sa.Column("held_cash_minor", sa.BigInteger(), nullable=False),
        sa.Column("captured_minor", sa.BigInteger(), nullable=False),
        sa.Column("captured_credit_minor", sa.BigInteger(), nullable=False),
        sa.Column("conceded_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("lowered_minor", sa.BigInteger(), nullable=False),
        sa.Column("disputed_minor", sa.BigInteger(), nullable=False),
        sa.Column("charged_back_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("refund_payable_minor", sa.BigInteger(), nullable=False),
        sa.Column("provisioned_minor", sa.BigInteger(), nullable=False),
        sa.Column("written_off_minor", sa.BigInteger(), nullable=False),
        sa.Column("recovered_minor", sa.BigInteger(), nullable=False),
        sa.Column("forgiven_minor", sa.BigInteger(), nullable=False),
        sa.Column("received_minor", sa.BigInteger(), nullable=False),
        sa.Column("elsewhere_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_out_minor", sa.BigInteger(), nullable=False),
        sa.Column("debiting_minor", sa.BigInteger(), nullable=False),
        sa.Column(
            "write_off_by",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("write_off_minor", sa.BigInteger(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("wake_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "captured_minor = 0 OR state = 'ACTIVE' OR state = 'OVERDUE' OR state = 'RETURN_CLAIMED' OR state = 'SETTLED'",
            name=op.f("ck_authorizations_only_rentals_charge"),
        ),
        sa.CheckConstraint(
            "custody = 'IN_STATION' OR custody = 'MISSING' OR custody = 'OUT' OR custody = 'SOLD' OR custody = 'UNKNOWN'",
            name=op.f("ck_authorizations_custody_known"),
        ),
        sa.CheckConstraint(
            "expire_us IS NULL OR state = 'AUTHORIZED' OR state = 'OFFERED' OR state = 'REVIEW' OR (parent_id <> '' AND custody = 'IN_STATION')",
            name=op.f("ck_authorizations_custody_keeps_the_hold"),
        ),
        sa.CheckConstraint(
            "held_credit_minor + held_cash_minor = 0 OR state = 'ACTIVE' OR state = 'AUTHORIZED' OR state = 'OVERDUE' OR state = 'RETURN_CLAIMED'",
            name=op.f("ck_authorizations_only_open_states_hold"),
        ),
        sa.CheckConstraint(
            "offer IS NULL OR offer = 'FULL' OR offer = 'REDUCED' OR offer = 'ZERO'",
            name=op.f("ck_authorizations_offer_known"),
        ),
        sa.CheckConstraint(
            "start = 'IMMEDIATE' OR start = 'ON_PICKUP'", name=op.f("ck_authorizations_start_known")
        ),
        sa.CheckConstraint(
            "state = 'ACTIVE' OR state = 'AUTHORIZED' OR state = 'DECLINED' OR state = 'EXPIRED' OR state = 'OFFERED' OR state = 'OVERDUE' OR state = 'RETURN_CLAIMED' OR state = 'REVERSED' OR state = 'REVIEW' OR state = 'SETTLED'",
            name=op.f("ck_authorizations_state_known"),
        ),
        sa.CheckConstraint(
            "captured_credit_minor + held_credit_minor <= credit_minor",
            name=op.f("ck_authorizations_credit_within_authorized"),
        ),
        sa.CheckConstraint(
            "captured_credit_minor >= 0",
            name=op.f("ck_authorizations_captured_credit_minor_not_negative"),
        ),
        sa.CheckConstraint(
            "captured_minor - captured_credit_minor + held_cash_minor <= cash_minor",
            name=op.f("ck_authorizations_cash_within_authorized"),
        ),
        sa.CheckConstraint(
            "captured_minor >= 0", name=op.f("ck_authorizations_captured_minor_not_negative")
        ),
        sa.CheckConstraint(
            "cash_minor >= 0", name=op.f("ck_authorizations_cash_minor_not_negative")
        ),
        sa.CheckConstraint(
            "charged_back_minor <= received_minor - paid_out_minor OR charged_back_minor <= held_cash_minor + refund_payable_minor",
            name=op.f("ck_authorizations_charged_back_not_paid_out"),
        ),
        sa.CheckConstraint(
            "charged_back_minor <= received_minor",
            name=op.f("ck_authorizations_charged_back_within_received"),
        ),
        sa.CheckConstraint(
            "charged_back_minor >= 0",
            name=op.f("ck_authorizations_charged_back_minor_not_negative"),
        ),
        sa.CheckConstraint(
            "conceded_minor >= 0", name=op.f("ck_authorizations_conceded_minor_not_negative")
        ),
        sa.CheckConstraint(
            "credit_minor >= 0", name=op.f("ck_authorizations_credit_minor_not_negative")
        ),
        sa.CheckConstraint(
            "debiting_minor >= 0", name=op.f("ck_authorizations_debiting_minor_not_negative")
        ),
        sa.CheckConstraint(
            "disputed_minor >= 0", name=op.f("ck_authorizations_disputed_minor_not_negative")
        ),
        sa.CheckConstraint(
            "elsewhere_minor <= paid_minor", name=op.f("ck_authorizations_elsewhere_within_paid")
        ),
        sa.CheckConstraint(
            "elsewhere_minor >= 0", name=op.f("ck_authorizations_elsewhere_minor_not_negative")
        ),
        sa.CheckConstraint(
            "fee_minor <= captured_minor - conceded_minor",
            name=op.f("ck_authorizations_fee_within_kept"),
        ),
        sa.CheckConstraint("fee_minor >= 0", name=op.f("ck_authorizations_fee_minor_not_negative")),
        sa.CheckConstraint(
            "forgiven_minor >= 0", name=op.f("ck_authorizations_forgiven_minor_not_negative")
        ),
        sa.CheckConstraint(
            "held_cash_minor >= 0", name=op.f("ck_authorizations_held_cash_minor_not_negative")
        ),
        sa.CheckConstraint(
            "held_credit_minor >= 0", name=op.f("ck_authorizations_held_credit_minor_not_negative")
        ),
        sa.CheckConstraint(
            "lowered_minor >= 0", name=op.f("ck_authorizations_lowered_minor_not_negative")
        ),
        sa.CheckConstraint(
            "paid_minor + lowered_minor + disputed_minor + written_off_minor <= captured_credit_minor",
            name=op.f("ck_authorizations_due_not_negative"),
        ),
        sa.CheckConstraint(
            "paid_minor >= 0", name=op.f("ck_authorizations_paid_minor_not_negative")
        ),
        sa.CheckConstraint(
            "paid_out_minor >= 0", name=op.f("ck_authorizations_paid_out_minor_not_negative")
        ),
        sa.CheckConstraint(
            "received_minor + elsewhere_minor = paid_out_minor + held_cash_minor + refund_payable_minor + captured_minor - captured_credit_minor + paid_minor + recovered_minor - refunded_minor",
            name=op.f("ck_authorizations_money_has_its_place"),
        ),
        sa.CheckConstraint(
            "received_minor >= 0", name=op.f("ck_authorizations_received_minor_not_negative")
        ),
        sa.CheckConstraint(
            "recovered_minor + forgiven_minor <= written_off_minor",
            name=op.f("ck_authorizations_recovered_within_written_off"),
        ),
        sa.CheckConstraint(
            "recovered_minor >= 0", name=op.f("ck_authorizations_recovered_minor_not_negative")
        ),
        sa.CheckConstraint(
            "refund_payable_minor >= 0",
            name=op.f("ck_authorizations_refund_payable_minor_not_negative"),
        ),
        sa.CheckConstraint(
            "refunded_minor <= captured_minor - captured_credit_minor + paid_minor + recovered_minor",
            name=op.f("ck_authorizations_refunded_within_paid"),
        ),
        sa.CheckConstraint(
            "refunded_minor >= 0", name=op.f("ck_authorizations_refunded_minor_not_negative")
        ),
        sa.CheckConstraint(
            "write_off_minor >= 0", name=op.f("ck_authorizations_write_off_minor_not_negative")
        ),
        sa.CheckConstraint(
            "written_off_minor <= provisioned_minor",
            name=op.f("ck_authorizations_provisioned_before_written_off"),
        ),
        sa.PrimaryKeyConstraint("user_id", "authorization_id", name=op.f("pk_authorizations")),
    )
    with op.batch_alter_table("authorizations", schema=None) as batch_op:
        batch_op.create_index(
            "ix_authorizations_group_id",
            ["user_id", "group_id"],
            unique=False,
            sqlite_where=sa.text("group_id <> ''"),
            postgresql_where=sa.text("group_id <> ''"),
        )
        batch_op.create_index(
            "ix_authorizations_operator_id", ["operator_id", "authorization_id"], unique=False
        )
        batch_op.create_index(
            "ix_authorizations_review",
            ["authorization_id"],
            unique=False,
            sqlite_where=sa.text("state = 'REVIEW'"),
            postgresql_where=sa.text("state = 'REVIEW'"),
        )
        batch_op.create_index(
            "ix_authorizations_wake_us",
            ["wake_us"],
            unique=False,
            sqlite_where=sa.text("wake_us IS NOT NULL"),
            postgresql_where=sa.text("wake_us IS NOT NULL"),
        )

    op.create_table(
        "decisions",
        sa.Column(
            "decision_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "operator_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "request_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("decide_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "model_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "scale_version",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("feature_version", sa.BigInteger(), nullable=False),
        sa.Column("margin", sa.String(length=32), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("unscorable_reason", sa.String(length=64), nullable=True),
        sa.Column("scoring_consent", sa.Boolean(), nullable=False),
        sa.Column(
            "product_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("product_revision", sa.Integer(), nullable=False),
        sa.Column(
            "policy_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("policy_revision", sa.Integer(), nullable=False),
        sa.Column("line_limit_minor", sa.BigInteger(), nullable=False),
        sa.Column("line_held_minor", sa.BigInteger(), nullable=False),
        sa.Column("line_drawn_minor", sa.BigInteger(), nullable=False),
        sa.Column("line_version", sa.BigInteger(), nullable=False),
        sa.Column("offer", sa.String(length=16), nullable=True),
        sa.Column("reasons", sa.String(length=512), nullable=False),
        sa.Column(
            "build",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("decision_id", "user_id", name=op.f("pk_decisions")),
    )
    op.create_table(
        "entries",
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "currency",
            sa.String(length=3).with_variant(sa.String(length=3, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("transaction_sequence", sa.BigInteger(), nullable=False),
        sa.Column(
            "operator_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "authorization_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "transition",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "book",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "debit",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "credit",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("debit_after_minor", sa.BigInteger(), nullable=True),
        sa.Column("credit_after_minor", sa.BigInteger(), nullable=True),
        sa.Column("event_us", sa.BigInteger(), nullable=False),
        sa.Column("ledger_us", sa.BigInteger(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("book = 'line' OR book = 'money'", name=op.f("ck_entries_book_known")),
        sa.CheckConstraint(
            "credit = 'allowance' OR credit = 'available' OR credit = 'cash' OR credit = 'credit_loss' OR credit = 'deposit' OR credit = 'drawn' OR credit = 'fee_income' OR credit = 'goodwill' OR credit = 'held' OR credit = 'limit_control' OR credit = 'operator_payable' OR credit = 'receivable' OR credit = 'receivable_charged_back' OR credit = 'receivable_disputed' OR credit = 'recovery' OR credit = 'refund_payable'",
            name=op.f("ck_entries_credit_known"),
        ),
        sa.CheckConstraint(
            "debit = 'allowance' OR debit = 'available' OR debit = 'cash' OR debit = 'credit_loss' OR debit = 'deposit' OR debit = 'drawn' OR debit = 'fee_income' OR debit = 'goodwill' OR debit = 'held' OR debit = 'limit_control' OR debit = 'operator_payable' OR debit = 'receivable' OR debit = 'receivable_charged_back' OR debit = 'receivable_disputed' OR debit = 'recovery' OR debit = 'refund_payable'",
            name=op.f("ck_entries_debit_known"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_entries_amount_positive")),
        sa.CheckConstraint(
            "credit_after_minor >= 0", name=op.f("ck_entries_credit_after_not_negative")
        ),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_entries_two_accounts")),
        sa.CheckConstraint(
            "debit_after_minor >= 0", name=op.f("ck_entries_debit_after_not_negative")
        ),
        sa.CheckConstraint(
            "sequence >= transaction_sequence", name=op.f("ck_entries_sequence_after_transaction")
        ),
        sa.PrimaryKeyConstraint("user_id", "currency", "sequence", name=op.f("pk_entries")),
    )
    op.create_table(
        "feature_schemas",
        sa.Column("schema_id", sa.String(length=64), nullable=False),
        sa.Column("names", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("schema_id", name=op.f("pk_feature_schemas")),
    )
    op.create_table(
        "feature_snapshots",
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("schema_id", sa.String(length=64), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "version", name=op.f("pk_feature_snapshots")),
    )
    op.create_table(
        "limit_steps",
        sa.Column(
            "currency",
            sa.String(length=3).with_variant(sa.String(length=3, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("from_score", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("limit_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "limit_minor >= 0", name=op.f("ck_limit_steps_limit_minor_not_negative")
        ),
        sa.PrimaryKeyConstraint("currency", "from_score", name=op.f("pk_limit_steps")),
    )
    op.create_table(
        "lines",
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "currency",
            sa.String(length=3).with_variant(sa.String(length=3, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("limit_minor", sa.BigInteger(), nullable=False),
        sa.Column("available_minor", sa.BigInteger(), nullable=False),
        sa.Column("held_minor", sa.BigInteger(), nullable=False),
        sa.Column("drawn_minor", sa.BigInteger(), nullable=False),
        sa.Column("cut_pending_minor", sa.BigInteger(), nullable=False),
        sa.Column("receivable_minor", sa.BigInteger(), nullable=False),
        sa.Column("disputed_minor", sa.BigInteger(), nullable=False),
        sa.Column("charged_back_minor", sa.BigInteger(), nullable=False),
        sa.Column("deposit_minor", sa.BigInteger(), nullable=False),
        sa.Column("refund_payable_minor", sa.BigInteger(), nullable=False),
        sa.Column(
            "standing",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("limit_fixed", sa.Boolean(), nullable=False),
        sa.Column("ledger_us", sa.BigInteger(), nullable=False),
        sa.Column("subject_key", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "standing = 'NORMAL' OR standing = 'SUSPENDED' OR standing = 'WATCHED'",
            name=op.f("ck_lines_standing_known"),
        ),
        sa.CheckConstraint(
            "available_minor >= 0", name=op.f("ck_lines_available_minor_not_negative")
        ),
        sa.CheckConstraint(
            "charged_back_minor >= 0", name=op.f("ck_lines_charged_back_minor_not_negative")
        ),
        sa.CheckConstraint(
            "cut_pending_minor >= 0", name=op.f("ck_lines_cut_pending_minor_not_negative")
        ),
        sa.CheckConstraint("deposit_minor >= 0", name=op.f("ck_lines_deposit_minor_not_negative")),
        sa.CheckConstraint(
            "disputed_minor >= 0", name=op.f("ck_lines_disputed_minor_not_negative")
        ),
        sa.CheckConstraint(
            "drawn_minor = receivable_minor + disputed_minor",
            name=op.f("ck_lines_drawn_is_receivable"),
        ),
        sa.CheckConstraint("drawn_minor >= 0", name=op.f("ck_lines_drawn_minor_not_negative")),
        sa.CheckConstraint("held_minor >= 0", name=op.f("ck_lines_held_minor_not_negative")),
        sa.CheckConstraint(
            "limit_minor = available_minor + held_minor + drawn_minor",
            name=op.f("ck_lines_limit_is_the_sum"),
        ),
        sa.CheckConstraint("limit_minor >= 0", name=op.f("ck_lines_limit_minor_not_negative")),
        sa.CheckConstraint(
            "receivable_minor >= 0", name=op.f("ck_lines_receivable_minor_not_negative")
        ),
        sa.CheckConstraint(
            "refund_payable_minor >= 0", name=op.f("ck_lines_refund_payable_minor_not_negative")
        ),
        sa.CheckConstraint("version >= 0", name=op.f("ck_lines_version_not_negative")),
        sa.PrimaryKeyConstraint("user_id", "currency", name=op.f("pk_lines")),
    )
    op.create_table(
        "open_items",
        sa.Column(
            "operator_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "asset_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "authorization_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("operator_id", "asset_id", name=op.f("pk_open_items")),
    )
    op.create_table(
        "operator_payables",
        sa.Column(
            "operator_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "currency",
            sa.String(length=3).with_variant(sa.String(length=3, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "batch_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "operator_id", "currency", "batch_id", name=op.f("pk_operator_payables")
        ),
    )
    op.create_table(
        "operators",
        sa.Column(
            "operator_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "name",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("fee_bp", sa.Integer(), nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("fee_bp BETWEEN 0 AND 10000", name=op.f("ck_operators_fee_is_a_share")),
        sa.PrimaryKeyConstraint("operator_id", name=op.f("pk_operators")),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column(
            "transition",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "authorization_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("authorization_version", sa.BigInteger(), nullable=False),
        sa.Column("event_us", sa.BigInteger(), nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_outbox")),
    )
    op.create_table(
        "payments",
        sa.Column(
            "caller",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "payment_reference",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "kind",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "authorization_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind = 'CHARGE_BACK' OR kind = 'DEPOSIT' OR kind = 'ELSEWHERE' OR kind = 'OPERATOR_PAYMENT' OR kind = 'OPERATOR_PAYOUT' OR kind = 'PAYMENT'",
            name=op.f("ck_payments_kind_known"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_payments_amount_positive")),
        sa.PrimaryKeyConstraint("caller", "payment_reference", name=op.f("pk_payments")),
    )
    op.create_table(
        "policies",
        sa.Column(
            "policy_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("zero_from_score", sa.Integer(), nullable=False),
        sa.Column("reduced_from_score", sa.Integer(), nullable=False),
        sa.Column("reduced_credit_share_bp", sa.Integer(), nullable=False),
        sa.Column("offer_window_us", sa.BigInteger(), nullable=False),
        sa.Column("pickup_window_us", sa.BigInteger(), nullable=False),
        sa.Column("max_feature_age_us", sa.BigInteger(), nullable=False),
        sa.Column("review_window_us", sa.BigInteger(), nullable=False),
        sa.Column("rental_period_us", sa.BigInteger(), nullable=False),
        sa.Column("claim_window_us", sa.BigInteger(), nullable=False),
        sa.Column("missing_window_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "reduced_credit_share_bp BETWEEN 0 AND 10000",
            name=op.f("ck_policies_credit_share_is_a_share"),
        ),
        sa.CheckConstraint(
            "zero_from_score >= reduced_from_score", name=op.f("ck_policies_cut_offs_in_order")
        ),
        sa.PrimaryKeyConstraint("policy_id", "revision", name=op.f("pk_policies")),
    )
    op.create_table(
        "products",
        sa.Column(
            "operator_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "product_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "category",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("deposit_minor", sa.BigInteger(), nullable=False),
        sa.Column("replacement_minor", sa.BigInteger(), nullable=False),
        sa.Column(
            "policy_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("policy_revision", sa.Integer(), nullable=False),
        sa.Column("start_fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("free_minutes", sa.Integer(), nullable=False),
        sa.Column("interval_minutes", sa.Integer(), nullable=False),
        sa.Column("interval_price_minor", sa.BigInteger(), nullable=False),
        sa.Column("day_cap_minor", sa.BigInteger(), nullable=False),
        sa.Column("buy_out_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "buy_out_minor >= 0", name=op.f("ck_products_buy_out_minor_not_negative")
        ),
        sa.CheckConstraint(
            "day_cap_minor >= 0", name=op.f("ck_products_day_cap_minor_not_negative")
        ),
        sa.CheckConstraint(
            "deposit_minor >= 0", name=op.f("ck_products_deposit_minor_not_negative")
        ),
        sa.CheckConstraint("free_minutes >= 0", name=op.f("ck_products_free_minutes_not_negative")),
        sa.CheckConstraint("interval_minutes > 0", name=op.f("ck_products_interval_positive")),
        sa.CheckConstraint(
            "interval_price_minor >= 0", name=op.f("ck_products_interval_price_minor_not_negative")
        ),
        sa.CheckConstraint(
            "replacement_minor >= 0", name=op.f("ck_products_replacement_minor_not_negative")
        ),
        sa.CheckConstraint(
            "start_fee_minor >= 0", name=op.f("ck_products_start_fee_minor_not_negative")
        ),
        sa.PrimaryKeyConstraint("operator_id", "product_id", "revision", name=op.f("pk_products")),
    )
    op.create_table(
        "requests",
        sa.Column(
            "caller",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "request_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "method",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "authorization_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("record_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "request_id", name=op.f("pk_requests")),
    )
    op.create_table(
        "sealed_heads",
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "currency",
            sa.String(length=3).with_variant(sa.String(length=3, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "currency", "number", name=op.f("pk_sealed_heads")),
    )
    with op.batch_alter_table("sealed_heads", schema=None) as batch_op:
        batch_op.create_index("ix_sealed_heads_number", ["number"], unique=False)

    op.create_table(
        "seals",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column(
            "key_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("seal_us", sa.BigInteger(), nullable=False),
        sa.Column("outbox_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_seals")),
    )
    op.create_table(
        "transfers",
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "transfer_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "authorization_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "kind",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column(
            "state",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("detail", sa.String(length=512), nullable=False),
        sa.Column("request_us", sa.BigInteger(), nullable=False),
        sa.Column("change_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind = 'DEBIT' OR kind = 'PAYOUT'", name=op.f("ck_transfers_kind_known")
        ),
        sa.CheckConstraint(
            "state <> 'RETURNED' OR kind = 'PAYOUT'", name=op.f("ck_transfers_only_payouts_return")
        ),
        sa.CheckConstraint(
            "state = 'CANCELLED' OR state = 'FAILED' OR state = 'REQUESTED' OR state = 'RETURNED' OR state = 'SENT' OR state = 'SUCCEEDED'",
            name=op.f("ck_transfers_state_known"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_transfers_amount_positive")),
        sa.PrimaryKeyConstraint("user_id", "transfer_id", name=op.f("pk_transfers")),
    )
    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.create_index(
            "ix_transfers_change_us",
            ["change_us", "user_id", "transfer_id"],
            unique=False,
            sqlite_where=sa.text("state = 'REQUESTED' OR state = 'SENT'"),
            postgresql_where=sa.text("state = 'REQUESTED' OR state = 'SENT'"),
        )
        batch_op.create_index(
            "ix_transfers_state",
            ["state", "transfer_id"],
            unique=False,
            sqlite_where=sa.text("transfer_id > ''"),
            postgresql_where=sa.text("transfer_id > ''"),
        )
        batch_op.create_index("ix_transfers_transfer_id", ["transfer_id"], unique=False)

    op.create_table(
        "users",
        sa.Column(
            "user_id",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("scoring_consent", sa.Boolean(), nullable=False),
        sa.Column("feature_version", sa.BigInteger(), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_users")),
    )


def downgrade() -> None:
    op.drop_table("users")
    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.drop_index("ix_transfers_transfer_id")
        batch_op.drop_index(
            "ix_transfers_state",
            sqlite_where=sa.text("transfer_id > ''"),
            postgresql_where=sa.text("transfer_id > ''"),
        )
        batch_op.drop_index(
            "ix_transfers_change_us",
            sqlite_where=sa.text("state = 'REQUESTED' OR state = 'SENT'"),
            postgresql_where=sa.text("state = 'REQUESTED' OR state = 'SENT'"),
        )

    op.drop_table("transfers")
    op.drop_table("seals")
    with op.batch_alter_table("sealed_heads", schema=None) as batch_op:
        batch_op.drop_index("ix_sealed_heads_number")

    op.drop_table("sealed_heads")
    op.drop_table("requests")
    op.drop_table("products")
    op.drop_table("policies")
    op.drop_table("payments")
    op.drop_table("outbox")
    op.drop_table("operators")
    op.drop_table("operator_payables")
    op.drop_table("open_items")
    op.drop_table("lines")
    op.drop_table("limit_steps")
    op.drop_table("feature_snapshots")
    op.drop_table("feature_schemas")
    op.drop_table("entries")
    op.drop_table("decisions")
    with op.batch_alter_table("authorizations", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_authorizations_wake_us",
            sqlite_where=sa.text("wake_us IS NOT NULL"),
            postgresql_where=sa.text("wake_us IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_authorizations_review",
            sqlite_where=sa.text("state = 'REVIEW'"),
            postgresql_where=sa.text("state = 'REVIEW'"),
        )
        batch_op.drop_index("ix_authorizations_operator_id")
        batch_op.drop_index(
            "ix_authorizations_group_id",
            sqlite_where=sa.text("group_id <> ''"),
            postgresql_where=sa.text("group_id <> ''"),
        )

    op.drop_table("authorizations")
    op.drop_table("api_keys")
