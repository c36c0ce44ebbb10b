"""Keys, the persons behind them, the record of administrative acts, and approvals.

`owner` is an operator's id, or "platform".
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
)

from service.storage.schema.columns import (
    bytes_column,
    instant_column,
    key_column,
    metadata,
    not_negative,
    number_column,
    string,
    text_column,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    # NULL for a key of the platform
    Column("operator_id", String(128), ForeignKey("operators.operator_id"), nullable=True),
    Column("scopes", String(1024), nullable=False),
    number_column("create_us"),
    Column("revoke_us", BigInteger, nullable=True),
    # Fingerprints of client certificates; empty for a key that works on every connection
    Column("certificates", String(1024), nullable=False, server_default=""),
    # NULL for a key of a program
    Column("person_id", String(200), nullable=True),
    Column("label", String(200), nullable=False, server_default=""),
    instant_column("expire_us"),
    instant_column("last_use_us"),
    Column("revoked_by", String(200), nullable=True),
    # NULL: the server's rate; 0: no limit
    Column("units_a_second", Integer, nullable=True),
    CheckConstraint("expire_us > create_us", "expires_after_create"),
    CheckConstraint("units_a_second >= 0", "units_not_negative"),
)

persons = Table(
    "persons",
    metadata,
    key_column("owner"),
    key_column("person_id"),
    text_column("name"),
    number_column("create_us"),
    text_column("created_by"),
    instant_column("leave_us"),
    Column("left_by", String(200), nullable=True),
    CheckConstraint("name <> ''", "name_given"),
    CheckConstraint("leave_us >= create_us", "leaves_after_create"),
    CheckConstraint("(leave_us IS NULL) = (left_by IS NULL)", "left_whole"),
)

# The newest number of each owner's acts. Its row is locked by whoever adds one.
audit_heads = Table(
    "audit_heads", metadata, key_column("owner"), number_column("number"), *not_negative("number")
)

# Triggers refuse to change or remove a row.
audit = Table(
    "audit",
    metadata,
    key_column("owner"),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    number_column("record_us"),
    text_column("act"),
    text_column("subject"),
    Column("details", Text, nullable=False),
    text_column("by_owner"),
    text_column("by_key_id"),
    text_column("by_person_id"),
    text_column("by_user"),
    text_column("request_id"),
    number_column("proposal"),
    text_column("approved_by"),
    CheckConstraint("number > 0", "number_positive"),
    CheckConstraint("(by_key_id = '') <> (by_user = '')", "one_acts"),
    CheckConstraint("approved_by = '' OR approved_by <> by_person_id", "approved_by_another"),
    CheckConstraint("(proposal = 0) = (approved_by = '')", "approval_whole"),
)

# Triggers refuse to change what was proposed.
proposals = Table(
    "proposals",
    metadata,
    key_column("owner"),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    text_column("method"),
    bytes_column("request"),
    text_column("proposed_by"),
    text_column("proposer_key_id"),
    Column("reason", string(500), nullable=False),
    number_column("create_us"),
    number_column("expire_us"),
    text_column("approved_by"),
    text_column("approver_key_id"),
    instant_column("approve_us"),
    instant_column("use_us"),
    instant_column("withdraw_us"),
    CheckConstraint("proposed_by <> ''", "proposer_given"),
    CheckConstraint("approved_by <> proposed_by", "approver_is_another"),
    CheckConstraint("expire_us > create_us", "expires_after_create"),
    CheckConstraint("(approve_us IS NULL) = (approved_by = '')", "approval_whole"),
    CheckConstraint("approve_us >= create_us AND approve_us < expire_us", "approved_in_time"),
    CheckConstraint(
        "use_us IS NULL OR (approve_us IS NOT NULL AND use_us >= approve_us"
        " AND use_us < expire_us)",
        "used_in_time",
    ),
    CheckConstraint(
        "withdraw_us IS NULL OR (use_us IS NULL AND withdraw_us >= create_us"
        " AND withdraw_us < expire_us)",
        "withdrawn_unused",
    ),
)
