"""Authorizations, their decisions, and the items in open rentals."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String, Text

from service.domain.authorization import CHARGED, HOLDING, LAPSING, Custody, Start, State
from service.domain.policy import Offer
from service.engine.records.authorizations import ItemKind
from service.engine.tables import AUTHORIZATIONS, DECISIONS, OPEN_ITEMS
from service.storage.schema.columns import (
    ARRIVAL,
    CURRENCY,
    WHOLE,
    among,
    arrival_column,
    not_negative,
    numbered_index,
    partial_index,
    unnumbered_index,
)
from service.storage.schema.record_tables import of_records

LOSING = (
    "custody = 'MISSING' OR custody = 'SOLD' OR written_off_minor > 0 OR unheld_dropped_minor > 0"
)
"""The condition of the rentals that may have a loss."""

authorizations = of_records(
    AUTHORIZATIONS,
    *not_negative("credit_minor", "cash_minor", "held_credit_minor", "held_cash_minor"),
    *not_negative("captured_minor", "captured_credit_minor", "fee_minor", "paid_minor"),
    *not_negative("conceded_minor", "lowered_minor", "disputed_minor", "charged_back_minor"),
    *not_negative("refunded_minor", "refund_payable_minor", "recovered_minor", "debiting_minor"),
    *not_negative("write_off_minor"),
    *not_negative("forgiven_minor", "received_minor", "elsewhere_minor", "paid_out_minor"),
    *not_negative("overpaid_minor", "overpaid_written_off_minor"),
    *not_negative("unheld_minor", "unheld_dropped_minor", "unheld_disputed_minor"),
    *not_negative("paused_us", "order_fee_minor"),
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
    # Money that came in is held, owed back, kept or paid out; more was paid out if it went twice.
    CheckConstraint(
        "received_minor + elsewhere_minor + overpaid_minor + overpaid_written_off_minor"
        " = paid_out_minor + held_cash_minor + refund_payable_minor"
        " + captured_minor - captured_credit_minor + paid_minor + recovered_minor - refunded_minor",
        "money_has_its_place",
    ),
    CheckConstraint("elsewhere_minor <= paid_minor", "elsewhere_within_paid"),
    CheckConstraint("charged_back_minor <= received_minor", "charged_back_within_received"),
    CheckConstraint("overpaid_minor = 0 OR refund_payable_minor = 0", "overpaid_is_set_off"),
    # A debt without a hold is a closed charge; paid, dropped and disputed are parts of it.
    CheckConstraint(
        "(unheld_minor = 0 AND unheld_dropped_minor + unheld_disputed_minor = 0"
        " AND unheld_until_us IS NULL)"
        " OR (unheld_until_us IS NOT NULL AND state = 'SETTLED' AND parent_id <> ''"
        " AND captured_credit_minor = paid_minor"
        " AND paid_minor + unheld_dropped_minor + unheld_disputed_minor <= unheld_minor)",
        "debt_within_booked",
    ),
    CheckConstraint("fee_minor <= captured_minor - conceded_minor", "fee_within_kept"),
    # The price of an item that is not back is no fee.
    CheckConstraint(
        "order_fee_minor IS NULL"
        " OR captured_minor - other_captured_minor - conceded_minor <= order_fee_minor"
        " OR (state = 'SETTLED' AND custody <> 'IN_STATION')",
        "fee_within_order",
    ),
    CheckConstraint(
        "recovered_minor + forgiven_minor <= written_off_minor", "recovered_within_written_off"
    ),
    CheckConstraint("written_off_minor <= provisioned_minor", "provisioned_before_written_off"),
    CheckConstraint(
        f"held_credit_minor + held_cash_minor = 0 OR {among('state', HOLDING)}",
        "only_open_states_hold",
    ),
    CheckConstraint(f"captured_minor = 0 OR {among('state', CHARGED)}", "only_rentals_charge"),
    # A damage charge is ACTIVE without an item, so it may lapse.
    CheckConstraint(
        f"expire_us IS NULL OR {among('state', LAPSING)}"
        " OR (parent_id <> '' AND custody = 'IN_STATION')",
        "custody_keeps_the_hold",
    ),
    CheckConstraint(among("state", State), "state_known"),
    CheckConstraint(among("custody", Custody), "custody_known"),
    CheckConstraint(among("start", Start), "start_known"),
    CheckConstraint(f"offer IS NULL OR {among('offer', Offer)}", "offer_known"),
    unnumbered_index("ix_authorizations_operator_id", "operator_id", "authorization_id"),
    unnumbered_index("ix_authorizations_state", "operator_id", "state", "authorization_id"),
    numbered_index("ix_authorizations_arrival", "operator_id", ARRIVAL, "authorization_id"),
    numbered_index(
        "ix_authorizations_state_arrival", *("operator_id", "state", ARRIVAL, "authorization_id")
    ),
    partial_index("ix_authorizations_open", among("state", HOLDING), "user_id", "authorization_id"),
    partial_index("ix_authorizations_wake_us", "wake_us IS NOT NULL", "wake_us"),
    partial_index("ix_authorizations_losing", LOSING, "operator_id", "authorization_id"),
    partial_index("ix_authorizations_review", "state = 'REVIEW'", "authorization_id"),
    numbered_index(
        "ix_authorizations_review_arrival",
        *(ARRIVAL, "authorization_id"),
        condition="state = 'REVIEW'",
    ),
    partial_index("ix_authorizations_group_id", "group_id <> ''", "user_id", "group_id"),
    derived=["wake_us"],
    last=[arrival_column()],
    added={
        **{"overpaid_minor": "0", "overpaid_written_off_minor": "0"},
        **{"captures": "0", "other_captured_minor": "0"},
        **{"corrections": "0", "uncollected_minor": "0", "refund_tries": "0"},
        **{"unheld_minor": "0", "unheld_dropped_minor": "0", "unheld_disputed_minor": "0"},
        **{"paused_us": "0"},
    },
    captures=WHOLE,
    corrections=WHOLE,
    currency=CURRENCY,
    product_revision=WHOLE,
    accept_offers=String(32),
    band=String(1),
    policy_revision=WHOLE,
    fee_bp=WHOLE,
    offer=String(16),
    reasons=String(512),
    rung=WHOLE,
    refund_tries=WHOLE,
)

decisions = of_records(
    DECISIONS,
    # The id leads, not the person: ids grow with time, so new rows are next to each other.
    key=["decision_id", "user_id"],
    added={"unscorable_feature": "", "extrapolated": ""},
    margin=String(32),
    score=WHOLE,
    unscorable_reason=String(64),
    product_revision=WHOLE,
    policy_revision=WHOLE,
    offer=String(16),
    reasons=String(512),
    # Text without a bound: a spec's names may be long, and many may be extrapolated at once.
    unscorable_feature=Text(),
    extrapolated=Text(),
    read_values=Text(),
)

open_items = of_records(
    OPEN_ITEMS,
    CheckConstraint(among("kind", ItemKind), "kind_known"),
    added={"kind": ItemKind.RENTED},
)
