"""The two books: lines with their entries, and operators' balances."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Table

from service.domain.ledger import Account, Book, Standing
from service.engine.tables import ENTRIES, LINES
from service.storage.schema.columns import (
    WHOLE,
    among,
    key_column,
    metadata,
    not_negative,
    number_column,
    string,
)
from service.storage.schema.record_tables import of_records

lines = of_records(
    LINES,
    *not_negative("limit_minor", "available_minor", "held_minor", "drawn_minor"),
    *not_negative("cut_pending_minor", "receivable_minor", "disputed_minor"),
    *not_negative("charged_back_minor", "deposit_minor", "refund_payable_minor", "version"),
    *not_negative("overpaid_minor", "unheld_minor"),
    CheckConstraint("limit_minor = available_minor + held_minor + drawn_minor", "limit_is_the_sum"),
    CheckConstraint("drawn_minor = receivable_minor + disputed_minor", "drawn_is_receivable"),
    CheckConstraint(among("standing", Standing), "standing_known"),
    added={"overpaid_minor": "0", "unheld_minor": "0"},
    currency=string(3),
)

entries = of_records(
    ENTRIES,
    CheckConstraint("amount_minor > 0", "amount_positive"),
    CheckConstraint("debit <> credit", "two_accounts"),
    CheckConstraint("sequence >= transaction_sequence", "sequence_after_transaction"),
    CheckConstraint("debit_after_minor >= 0", "debit_after_not_negative"),
    CheckConstraint("credit_after_minor >= 0", "credit_after_not_negative"),
    CheckConstraint(among("book", Book), "book_known"),
    CheckConstraint(among("debit", Account), "debit_known"),
    CheckConstraint(among("credit", Account), "credit_known"),
    key=["user_id", "currency", "sequence"],
    # Builds without this column wrote links of format 1, see `hash_chain.py`.
    added={"link_format": "1"},
    currency=string(3),
    link_format=WHOLE,
)

# An operator's balance is the sum of the changes by each batch, so that calls do not share a row.
# The payables worker merges the rows.
operator_payables = Table(
    "operator_payables",
    metadata,
    key_column("operator_id"),
    Column("currency", string(3), primary_key=True),
    key_column("batch_id"),
    # may be negative
    number_column("amount_minor"),
)
