"""Terms: operators, policies, products and limits, and the log of their changes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    String,
    Table,
    Text,
)

from service.storage.schema.columns import (
    SERIAL,
    key_column,
    metadata,
    not_negative,
    number_column,
    string,
    text_column,
)

operators = Table(
    "operators",
    metadata,
    key_column("operator_id"),
    text_column("name"),
    Column("fee_bp", Integer, nullable=False),
    number_column("create_us"),
    # What it may owe in each currency before it gets no new authorizations; NULL: no bound.
    Column("debt_limit_minor", BigInteger, server_default="100000"),
    *not_negative("debt_limit_minor"),
    CheckConstraint("fee_bp BETWEEN 0 AND 10000", "fee_is_a_share"),
)

policies = Table(
    "policies",
    metadata,
    key_column("policy_id"),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("zero_from_score", Integer, nullable=False),
    Column("reduced_from_score", Integer, nullable=False),
    Column("reduced_credit_share_bp", Integer, nullable=False),
    number_column("offer_window_us"),
    number_column("pickup_window_us"),
    number_column("max_feature_age_us"),
    number_column("review_window_us"),
    number_column("rental_period_us"),
    number_column("claim_window_us"),
    number_column("missing_window_us"),
    # Added by a migration; a server of the build before writes neither.
    Column("report_window_us", BigInteger, nullable=False, server_default="7776000000000"),
    Column("overdue_window_us", BigInteger, nullable=False, server_default="7200000000"),
    # 24 hours; NULL: refunds wait for PayOutRefund.
    Column("refund_after_us", BigInteger, server_default="86400000000"),
    Column("debt_window_us", BigInteger, nullable=False, server_default="7776000000000"),
    Column("pause_limit_us", BigInteger, nullable=False, server_default="86400000000"),
    Column("most_pauses", Integer, nullable=False, server_default="10"),
    # NULL: no rule and no bound, as before the migration that added them.
    Column("free_cancellation_us", BigInteger),
    Column("longest_reservation_us", BigInteger),
    Column("longest_rental_us", BigInteger),
    Column("most_increments", Integer),
    # Canonical JSON of the rules of admission (`domain/rules_document.py`); NULL: none.
    Column("rules", Text),
    CheckConstraint("zero_from_score >= reduced_from_score", "cut_offs_in_order"),
    CheckConstraint("reduced_credit_share_bp BETWEEN 0 AND 10000", "credit_share_is_a_share"),
    *not_negative("offer_window_us", "pickup_window_us", "max_feature_age_us"),
    *not_negative("review_window_us", "rental_period_us", "claim_window_us", "missing_window_us"),
    *not_negative("report_window_us", "overdue_window_us"),
    *not_negative("refund_after_us", "debt_window_us"),
    *not_negative("pause_limit_us", "most_pauses"),
    *not_negative("free_cancellation_us", "longest_reservation_us", "longest_rental_us"),
    *not_negative("most_increments"),
)

products = Table(
    "products",
    metadata,
    key_column("operator_id"),
    key_column("product_id"),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    text_column("category"),
    Column("currency", String(3), nullable=False),
    number_column("deposit_minor"),
    number_column("replacement_minor"),
    text_column("policy_id"),
    Column("policy_revision", Integer, nullable=False),
    number_column("start_fee_minor"),
    Column("free_minutes", Integer, nullable=False),
    Column("interval_minutes", Integer, nullable=False),
    number_column("interval_price_minor"),
    number_column("day_cap_minor"),
    number_column("buy_out_minor"),
    Column("cancellation_fee_minor", BigInteger, nullable=False, server_default="0"),
    # NULL: no damage needs the user's consent.
    Column("damage_without_consent_minor", BigInteger),
    # NULL: increments have no bound, as before the migration that added it.
    Column("most_hold_minor", BigInteger),
    # The revision ends the product: since then it is not rented out. NULL: it is.
    Column("retire_us", BigInteger),
    # A JSON array of names, without spaces. NULL: lines of a bill may have any name.
    Column("line_items", string(4000)),
    # Canonical JSON of a tariff of arithmetic 2 (`domain/tariff_document.py`); NULL: arithmetic 1.
    Column("tariff", Text),
    # The row has the prices of a place: a JSON array of its stations, without spaces. The tariff
    # names the place. Such rows come directly before the row of all other stations, which counts
    # them in `places`. NULL: the row is that of all other stations.
    Column("stations", Text),
    Column("places", Integer, nullable=False, server_default="0"),
    *not_negative("deposit_minor", "replacement_minor", "start_fee_minor", "free_minutes"),
    *not_negative("interval_price_minor", "day_cap_minor", "buy_out_minor"),
    *not_negative("cancellation_fee_minor", "damage_without_consent_minor", "retire_us"),
    CheckConstraint("most_hold_minor >= deposit_minor", "most_hold_above_deposit"),
    CheckConstraint("interval_minutes > 0", "interval_positive"),
    CheckConstraint("line_items LIKE '[\"%\"]'", "line_items_are_a_list"),
    CheckConstraint("tariff IS NULL OR interval_minutes = 2147483647", "tariff_of_arithmetic_2"),
    CheckConstraint("stations LIKE '[\"%\"]'", "stations_are_a_list"),
    CheckConstraint("stations IS NULL OR tariff IS NOT NULL", "place_of_arithmetic_2"),
    CheckConstraint(
        "places = 0 OR (places > 0 AND places < revision AND stations IS NULL"
        " AND tariff IS NOT NULL AND retire_us IS NULL)",
        "places_before_the_row",
    ),
    ForeignKeyConstraint(["operator_id"], ["operators.operator_id"]),
    ForeignKeyConstraint(
        ["policy_id", "policy_revision"], ["policies.policy_id", "policies.revision"]
    ),
)

limit_steps = Table(
    "limit_steps",
    metadata,
    Column("currency", string(3), primary_key=True),
    Column("from_score", Integer, primary_key=True, autoincrement=False),
    number_column("limit_minor"),
    *not_negative("limit_minor"),
)

# The rates of the total exposure over a person's lines: `of_minor` minor units of the currency are
# worth `worth_minor` of the total's. Without a row, each line is by itself.
exposure_rates = Table(
    "exposure_rates",
    metadata,
    Column("currency", string(3), primary_key=True),
    Column("total_currency", String(3), nullable=False),
    number_column("worth_minor"),
    number_column("of_minor"),
    CheckConstraint("currency <> total_currency", "rate_of_another"),
    CheckConstraint("worth_minor > 0 AND of_minor > 0", "rate_positive"),
)

# The changes of terms, written by triggers, so that servers learn of every change. Changes are
# numbered in the order of their commits, because each change waits for the one before it to end.
terms_changes = Table(
    "terms_changes",
    metadata,
    Column("change", SERIAL, primary_key=True, autoincrement=True),
    # The changed table; on PostgreSQL also "all".
    text_column("kind"),
    # The key of the changed row: an operator id, a policy id or a currency, and a product id or a
    # policy's revision.
    text_column("name"),
    text_column("part"),
)
