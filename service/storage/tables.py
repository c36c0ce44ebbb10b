"""The tables, with the invariants that the database itself keeps.

`user_id` leads the primary key of every table that a command touches, so that the schema can
be sharded by user. Named exceptions, in tables of their own: `requests` (operator, request
id), `open_items` (operator, asset) and `payments` (payer of record, reference). Amounts are
minor units; columns ending in `_us` are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from service.domain.authorization import (
    CHARGED,
    HOLDING,
    LAPSING,
    Custody,
    Start,
    State,
    TransferKind,
)
from service.domain.ledger import Account, Book, Standing
from service.domain.policy import Offer
from service.engine.records import PaymentKind, TransferState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

# SQLite numbers rows by itself only for a column of exactly this type.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def _string(length: int) -> String:
    # By bytes, as SQLite sorts and as Python does; PostgreSQL's default follows a language.
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _key(name: str) -> Column[str]:
    return Column(name, _string(200), primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, _string(200), nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _instant(name: str) -> Column[int | None]:
    return Column(name, BigInteger, nullable=True)


def _partial_index(name: str, condition: str, *columns: str) -> Index:
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


def _among(column: str, values: Iterable[StrEnum]) -> str:
    # Such a list grows by a migration that widens the CHECK (`migrations/checks.py`).
    # A chain of OR: SQLite builds a temporary index for IN (...) anew with every row that it
    # checks, which cost 4.5 us a column and row, against 0.1 us for the chain.
    return " OR ".join(f"{column} = '{value}'" for value in sorted(values))


def _not_negative(*columns: str) -> list[CheckConstraint]:
    return [CheckConstraint(f"{column} >= 0", f"{column}_not_negative") for column in columns]


# The builds that may run on this schema: from the largest number here on, see `migrate.py`.
compatibility = Table(
    "compatibility",
    metadata,
    Column("oldest_build", BigInteger, primary_key=True, autoincrement=False),
)

operators = Table(
    "operators",
    metadata,
    _key("operator_id"),
    _text("name"),
    Column("fee_bp", Integer, nullable=False),
    _number("create_us"),
    CheckConstraint("fee_bp BETWEEN 0 AND 10000", "fee_is_a_share"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    # NULL: a key of the platform itself
    Column("operator_id", String(128), ForeignKey("operators.operator_id"), nullable=True),
    Column("scopes", String(1024), nullable=False),
    _number("create_us"),
    Column("revoke_us", BigInteger, nullable=True),
)

policies = Table(
    "policies",
    metadata,
    _key("policy_id"),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("zero_from_score", Integer, nullable=False),
    Column("reduced_from_score", Integer, nullable=False),
    Column("reduced_credit_share_bp", Integer, nullable=False),
    _number("offer_window_us"),
    _number("pickup_window_us"),
    _number("max_feature_age_us"),
    _number("review_window_us"),
    _number("rental_period_us"),
    _number("claim_window_us"),
    _number("missing_window_us"),
    CheckConstraint("zero_from_score >= reduced_from_score", "cut_offs_in_order"),
    CheckConstraint("reduced_credit_share_bp BETWEEN 0 AND 10000", "credit_share_is_a_share"),
    *_not_negative("offer_window_us", "pickup_window_us", "max_feature_age_us"),
    *_not_negative("review_window_us", "rental_period_us", "claim_window_us", "missing_window_us"),
)

products = Table(
    "products",
    metadata,
    _key("operator_id"),
    _key("product_id"),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    _text("category"),
    Column("currency", String(3), nullable=False),
    _number("deposit_minor"),
    _number("replacement_minor"),
    _text("policy_id"),
    Column("policy_revision", Integer, nullable=False),
    _number("start_fee_minor"),
    Column("free_minutes", Integer, nullable=False),
    Column("interval_minutes", Integer, nullable=False),
    _number("interval_price_minor"),
    _number("day_cap_minor"),
    _number("buy_out_minor"),
    *_not_negative("deposit_minor", "replacement_minor", "start_fee_minor", "free_minutes"),
    *_not_negative("interval_price_minor", "day_cap_minor", "buy_out_minor"),
    CheckConstraint("interval_minutes > 0", "interval_positive"),
    ForeignKeyConstraint(["operator_id"], ["operators.operator_id"]),
    ForeignKeyConstraint(
        ["policy_id", "policy_revision"], ["policies.policy_id", "policies.revision"]
    ),
)

limit_steps = Table(
    "limit_steps",
    metadata,
    Column("currency", _string(3), primary_key=True),
    Column("from_score", Integer, primary_key=True, autoincrement=False),
    _number("limit_minor"),
    *_not_negative("limit_minor"),
)

users = Table(
    "users",
    metadata,
    _key("user_id"),
    Column("scoring_consent", Boolean, nullable=False),
    # 0: no features yet
    _number("feature_version"),
    # when the latest features were true
    _number("as_of_us"),
    _number("create_us"),
)

feature_snapshots = Table(
    "feature_snapshots",
    metadata,
    _key("user_id"),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    # names the order of the values, see feature_schemas
    Column("schema_id", String(64), nullable=False),
    # little-endian float64
    Column("raw", LargeBinary, nullable=False),
    _number("as_of_us"),
    _number("record_us"),
)

feature_schemas = Table(
    "feature_schemas",
    metadata,
    Column("schema_id", String(64), primary_key=True),
    # JSON list of the names, in order
    Column("names", String, nullable=False),
)

lines = Table(
    "lines",
    metadata,
    _key("user_id"),
    Column("currency", _string(3), primary_key=True),
    _number("limit_minor"),
    _number("available_minor"),
    _number("held_minor"),
    _number("drawn_minor"),
    _number("cut_pending_minor"),
    _number("receivable_minor"),
    _number("disputed_minor"),
    _number("charged_back_minor"),
    _number("deposit_minor"),
    _number("refund_payable_minor"),
    _text("standing"),
    # set by hand, so that no score changes it
    Column("limit_fixed", Boolean, nullable=False),
    # of the last entry
    _number("ledger_us"),
    # the key is deleted when the person is erased; the subject stays
    _bytes("subject_key"),
    _bytes("subject"),
    _bytes("head"),
    _number("version"),
    *_not_negative("limit_minor", "available_minor", "held_minor", "drawn_minor"),
    *_not_negative("cut_pending_minor", "receivable_minor", "disputed_minor"),
    *_not_negative("charged_back_minor", "deposit_minor", "refund_payable_minor", "version"),
    CheckConstraint("limit_minor = available_minor + held_minor + drawn_minor", "limit_is_the_sum"),
    CheckConstraint("drawn_minor = receivable_minor + disputed_minor", "drawn_is_receivable"),
    CheckConstraint(_among("standing", Standing), "standing_known"),
)

entries = Table(
    "entries",
    metadata,
    _key("user_id"),
    Column("currency", _string(3), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    _number("transaction_sequence"),
    _text("operator_id"),
    _text("authorization_id"),
    _text("transition"),
    _text("book"),
    _text("debit"),
    _text("credit"),
    _number("amount_minor"),
    Column("debit_after_minor", BigInteger, nullable=True),
    Column("credit_after_minor", BigInteger, nullable=True),
    _number("event_us"),
    _number("ledger_us"),
    _bytes("link"),
    # how the link was made, see `chain.py`; entries of builds that did not say so are of format 1
    Column("link_format", Integer, nullable=False, server_default=text("1")),
    CheckConstraint("amount_minor > 0", "amount_positive"),
    CheckConstraint("debit <> credit", "two_accounts"),
    CheckConstraint("sequence >= transaction_sequence", "sequence_after_transaction"),
    CheckConstraint("debit_after_minor >= 0", "debit_after_not_negative"),
    CheckConstraint("credit_after_minor >= 0", "credit_after_not_negative"),
    CheckConstraint(_among("book", Book), "book_known"),
    CheckConstraint(_among("debit", Account), "debit_known"),
    CheckConstraint(_among("credit", Account), "credit_known"),
)

# What operators are owed, as the sum of what each batch changed: no row that all calls share. The
# folder adds them up.
operator_payables = Table(
    "operator_payables",
    metadata,
    _key("operator_id"),
    Column("currency", _string(3), primary_key=True),
    _key("batch_id"),
    # may be negative
    _number("amount_minor"),
)

authorizations = Table(
    "authorizations",
    metadata,
    _key("user_id"),
    _key("authorization_id"),
    _text("operator_id"),
    _text("request_id"),
    _text("product_id"),
    Column("product_revision", Integer, nullable=False),
    _text("parent_id"),
    _text("group_id"),
    Column("currency", String(3), nullable=False),
    _text("start"),
    # in the caller's order, with commas; empty: every offer
    Column("accept_offers", String(32), nullable=False),
    Column("band", String(1), nullable=False),
    _text("decision_id"),
    _text("model_id"),
    Column("policy_revision", Integer, nullable=False),
    Column("fee_bp", Integer, nullable=False),
    _number("create_us"),
    _number("pickup_window_us"),
    _number("rental_period_us"),
    _text("asset_id"),
    Column("offer", String(16), nullable=True),
    _text("state"),
    _text("custody"),
    Column("reasons", String(512), nullable=False),
    _number("credit_minor"),
    _number("cash_minor"),
    _instant("expire_us"),
    _instant("start_us"),
    _instant("due_us"),
    _instant("lost_us"),
    _instant("claim_us"),
    _instant("claim_until_us"),
    _instant("close_us"),
    _instant("sold_us"),
    _number("held_credit_minor"),
    _number("held_cash_minor"),
    _number("captured_minor"),
    _number("captured_credit_minor"),
    _number("conceded_minor"),
    _number("fee_minor"),
    _number("paid_minor"),
    _number("lowered_minor"),
    _number("disputed_minor"),
    _number("charged_back_minor"),
    _number("refunded_minor"),
    _number("refund_payable_minor"),
    _number("provisioned_minor"),
    _number("written_off_minor"),
    _number("recovered_minor"),
    _number("forgiven_minor"),
    _number("received_minor"),
    _number("elsewhere_minor"),
    _number("paid_out_minor"),
    # asked of the payment rail, and not answered
    _number("debiting_minor"),
    _text("write_off_by"),
    _number("write_off_minor"),
    Column("rung", Integer, nullable=False),
    _number("version"),
    # follows from the others; here so that it can be searched for
    _instant("wake_us"),
    *_not_negative("credit_minor", "cash_minor", "held_credit_minor", "held_cash_minor"),
    *_not_negative("captured_minor", "captured_credit_minor", "fee_minor", "paid_minor"),
    *_not_negative("conceded_minor", "lowered_minor", "disputed_minor", "charged_back_minor"),
    *_not_negative("refunded_minor", "refund_payable_minor", "recovered_minor", "debiting_minor"),
    *_not_negative("write_off_minor"),
    *_not_negative("forgiven_minor", "received_minor", "elsewhere_minor", "paid_out_minor"),
    CheckConstraint(
        "captured_credit_minor + held_credit_minor <= credit_minor", "credit_within_authorized"
    ),
    CheckConstraint(
        "captured_minor - captured_credit_minor + held_cash_minor <= cash_minor",
        "cash_within_authorized",
    ),
    CheckConstraint(
        "paid_minor + lowered_minor + disputed_minor + written_off_minor <= captured_credit_minor",
        "due_not_negative",
    ),
    CheckConstraint(
        "refunded_minor <= captured_minor - captured_credit_minor + paid_minor + recovered_minor",
        "refunded_within_paid",
    ),
    # What came in is held, owed back, kept or gone out.
    CheckConstraint(
        "received_minor + elsewhere_minor = paid_out_minor + held_cash_minor + refund_payable_minor"
        " + captured_minor - captured_credit_minor + paid_minor + recovered_minor - refunded_minor",
        "money_has_its_place",
    ),
    CheckConstraint("elsewhere_minor <= paid_minor", "elsewhere_within_paid"),
    CheckConstraint("charged_back_minor <= received_minor", "charged_back_within_received"),
    CheckConstraint(
        "charged_back_minor <= received_minor - paid_out_minor"
        " OR charged_back_minor <= held_cash_minor + refund_payable_minor",
        "charged_back_not_paid_out",
    ),
    CheckConstraint("fee_minor <= captured_minor - conceded_minor", "fee_within_kept"),
    CheckConstraint(
        "recovered_minor + forgiven_minor <= written_off_minor", "recovered_within_written_off"
    ),
    CheckConstraint("written_off_minor <= provisioned_minor", "provisioned_before_written_off"),
    CheckConstraint(
        f"held_credit_minor + held_cash_minor = 0 OR {_among('state', HOLDING)}",
        "only_open_states_hold",
    ),
    CheckConstraint(f"captured_minor = 0 OR {_among('state', CHARGED)}", "only_rentals_charge"),
    # A damage charge is ACTIVE with nothing out, so that it may lapse.
    CheckConstraint(
        f"expire_us IS NULL OR {_among('state', LAPSING)}"
        " OR (parent_id <> '' AND custody = 'IN_STATION')",
        "custody_keeps_the_hold",
    ),
    CheckConstraint(_among("state", State), "state_known"),
    CheckConstraint(_among("custody", Custody), "custody_known"),
    CheckConstraint(_among("start", Start), "start_known"),
    CheckConstraint(f"offer IS NULL OR {_among('offer', Offer)}", "offer_known"),
    Index("ix_authorizations_operator_id", "operator_id", "authorization_id"),
    _partial_index("ix_authorizations_wake_us", "wake_us IS NOT NULL", "wake_us"),
    _partial_index("ix_authorizations_review", "state = 'REVIEW'", "authorization_id"),
    _partial_index("ix_authorizations_group_id", "group_id <> ''", "user_id", "group_id"),
)

decisions = Table(
    "decisions",
    metadata,
    # The id leads, not the person: it grows with time, so that new rows stand side by side.
    _key("decision_id"),
    _key("user_id"),
    _text("operator_id"),
    # the request record with this id keeps the bytes that were asked
    _text("request_id"),
    _number("decide_us"),
    _text("model_id"),
    _text("scale_version"),
    _number("feature_version"),
    # hexadecimal float64; empty when nobody was scored
    Column("margin", String(32), nullable=False),
    Column("score", Integer, nullable=True),
    Column("unscorable_reason", String(64), nullable=True),
    Column("scoring_consent", Boolean, nullable=False),
    _text("product_id"),
    Column("product_revision", Integer, nullable=False),
    _text("policy_id"),
    Column("policy_revision", Integer, nullable=False),
    Column("line_limit_minor", BigInteger, nullable=False),
    Column("line_held_minor", BigInteger, nullable=False),
    Column("line_drawn_minor", BigInteger, nullable=False),
    Column("line_version", BigInteger, nullable=False),
    Column("offer", String(16), nullable=True),
    Column("reasons", String(512), nullable=False),
    _text("build"),
    # a spec may name its columns at any length, and many may be extrapolated at once
    Column("unscorable_feature", Text, nullable=False, server_default=""),
    Column("extrapolated", Text, nullable=False, server_default=""),
)

requests = Table(
    "requests",
    metadata,
    _key("caller"),
    _key("request_id"),
    _text("method"),
    Column("body", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    _text("user_id"),
    _text("authorization_id"),
    _number("record_us"),
)

open_items = Table(
    "open_items",
    metadata,
    _key("operator_id"),
    _key("asset_id"),
    _text("user_id"),
    _text("authorization_id"),
)

payments = Table(
    "payments",
    metadata,
    _key("caller"),
    _key("payment_reference"),
    _text("kind"),
    _text("user_id"),
    _text("authorization_id"),
    _number("amount_minor"),
    Column("currency", String(3), nullable=False),
    _number("record_us"),
    CheckConstraint("amount_minor > 0", "amount_positive"),
    CheckConstraint(_among("kind", PaymentKind), "kind_known"),
)

# What the payment rail is to do.
transfers = Table(
    "transfers",
    metadata,
    _key("user_id"),
    _key("transfer_id"),
    _text("authorization_id"),
    _text("kind"),
    _number("amount_minor"),
    Column("currency", String(3), nullable=False),
    _text("state"),
    Column("detail", String(512), nullable=False),
    _number("request_us"),
    _number("change_us"),
    # the word that a late success took the place of, with its detail and its instant
    Column("earlier_state", _string(200), nullable=True),
    Column("earlier_detail", String(512), nullable=True),
    _instant("earlier_us"),
    CheckConstraint("amount_minor > 0", "amount_positive"),
    CheckConstraint(_among("kind", TransferKind), "kind_known"),
    CheckConstraint(_among("state", TransferState), "state_known"),
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
    # Of all, and partial so that only lists use it: SQLite would look there for those that are not
    # ended, and sort them.
    _partial_index("ix_transfers_state", "transfer_id > ''", "state", "transfer_id"),
    _partial_index(
        "ix_transfers_change_us",
        "state = 'REQUESTED' OR state = 'SENT'",
        *("change_us", "user_id", "transfer_id"),
    ),
)

outbox = Table(
    "outbox",
    metadata,
    Column("sequence", SERIAL, primary_key=True, autoincrement=True),
    _text("transition"),
    _text("user_id"),
    _text("authorization_id"),
    _number("authorization_version"),
    _number("event_us"),
    _number("record_us"),
)

# Signatures over the heads of lines; the key that signs is not in the database.
seals = Table(
    "seals",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _bytes("previous"),
    _bytes("digest"),
    _bytes("signature"),
    _text("key_id"),
    _number("seal_us"),
    _number("outbox_sequence"),
)

sealed_heads = Table(
    "sealed_heads",
    metadata,
    _key("user_id"),
    Column("currency", _string(3), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _number("version"),
    _bytes("head"),
    Index("ix_sealed_heads_number", "number"),
)
