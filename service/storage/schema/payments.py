"""Reported payments, rail accounts, booked debts, and transfers by the payment rail."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, String

from service.domain.authorization import TransferKind
from service.engine.records.payments import PaymentKind
from service.engine.records.transfers import TransferState
from service.engine.tables import DEBTS, PAYMENTS, RAIL_ACCOUNTS, TRANSFERS
from service.storage.schema.columns import (
    ARRIVAL,
    CURRENCY,
    among,
    arrival_column,
    numbered_index,
    partial_index,
)
from service.storage.schema.record_tables import of_records

payments = of_records(
    PAYMENTS,
    CheckConstraint("amount_minor > 0", "amount_positive"),
    CheckConstraint(among("kind", PaymentKind), "kind_known"),
    currency=CURRENCY,
)

# Where payments arrive. A row of `payments` has the account's owner as its `caller`.
rail_accounts = of_records(
    RAIL_ACCOUNTS,
    CheckConstraint(
        "(owner = caller AND account = name) OR (owner = 'platform' AND caller <> 'platform')",
        "others_use_the_platforms",
    ),
    CheckConstraint("owner <> caller OR name <> 'default'", "a_default_is_shared"),
    Index("ix_rail_accounts_account", "owner", "account"),
    currency=CURRENCY,
)

debts = of_records(
    DEBTS,
    CheckConstraint("amount_minor > 0", "amount_positive"),
    currency=CURRENCY,
)

# Transfers by the payment rail.
transfers = of_records(
    TRANSFERS,
    CheckConstraint("amount_minor > 0", "amount_positive"),
    CheckConstraint(among("kind", TransferKind), "kind_known"),
    CheckConstraint(among("state", TransferState), "state_known"),
    CheckConstraint(
        "earlier_state IS NULL OR state = 'SUCCEEDED' OR state = 'RETURNED'",
        "only_a_success_is_late",
    ),
    CheckConstraint(
        "(earlier_state IS NULL) = (earlier_us IS NULL)"
        " AND (earlier_state IS NULL) = (earlier_detail IS NULL)",
        "earlier_word_is_whole",
    ),
    CheckConstraint("state <> 'RETURNED' OR kind = 'PAYOUT'", "only_payouts_return"),
    Index("ix_transfers_transfer_id", "transfer_id"),
    # It covers all rows, and is partial so that only lists use it: otherwise SQLite would use it
    # for transfers that have not ended, and sort them.
    partial_index("ix_transfers_state", "transfer_id > ''", "state", "transfer_id"),
    numbered_index("ix_transfers_arrival", ARRIVAL, "transfer_id"),
    numbered_index("ix_transfers_state_arrival", "state", ARRIVAL, "transfer_id"),
    partial_index(
        "ix_transfers_change_us",
        "state = 'REQUESTED' OR state = 'SENT'",
        *("change_us", "user_id", "transfer_id"),
    ),
    currency=CURRENCY,
    last=[arrival_column()],
    detail=String(512),
    earlier_detail=String(512),
)
