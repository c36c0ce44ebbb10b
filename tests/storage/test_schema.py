"""The schema: the tables that migrations make, and the database's own invariants."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    Table,
    inspect,
    text,
)
from sqlalchemy.exc import IntegrityError

from service.domain.access import PLATFORM
from service.domain.credit import SCORE_NOT_KEPT, LimitBasis
from service.engine.profile import read_profile
from service.engine.reads import START
from service.storage import admin
from service.storage import schema as t
from service.storage.database import open_database, writing
from service.storage.migrate import MIGRATIONS, is_current, migrate
from service.storage.store import SqlStore
from tests.conftest import KINDS, Databases, databases_of
from tests.fakes import Desk, lists_of

TABLES = t.metadata.sorted_tables


@pytest.fixture(scope="module", params=KINDS)
def databases(request: pytest.FixtureRequest) -> Databases:
    """Fresh databases for all tests of this file."""
    return databases_of(request)


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[Engine]:
    """A migrated database in which no test leaves rows."""
    url = databases.new()
    engine = open_database(url)
    yield engine
    engine.dispose()
    databases.drop(url)


@pytest.fixture
def empty(databases: Databases) -> Iterator[Engine]:
    """A database without tables."""
    url = databases.empty()
    engine = open_database(url, create=True)
    yield engine
    engine.dispose()
    databases.drop(url)


# -- migrations ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Can't validate argument 'dialect_options'")
def test_migrations_make_the_tables(database: Engine) -> None:
    """A migrated database has exactly the tables, columns and indexes that the code declares."""
    with database.connect() as connection:
        name = connection.dialect.name

        def there(item: Any, *_: object) -> bool:
            """Whether this kind of database has an index."""
            return bool(getattr(item, "info", {}).get("only", name) == name)

        opts = {"compare_type": True, "include_object": there}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, t.metadata) == []


# The database's own description of a table's columns and indexes.
SAID = {
    "sqlite": (
        'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(:name)',
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :name",
    ),
    "postgresql": (
        """SELECT column_name, data_type, character_maximum_length, collation_name, is_nullable,
        column_default FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = :name""",
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :name",
    ),
}


def said(engine: Engine, name: str) -> set[tuple[Any, ...]]:
    """A table's columns with their types and collations, and its indexes with their texts."""
    with engine.connect() as connection:
        return {
            tuple(row)
            for query in SAID[engine.dialect.name]
            for row in connection.execute(text(query), {"name": name})
        }


def test_migrations_make_the_constraints(database: Engine, empty: Engine) -> None:
    """Columns, checks, keys and indexes of the migrated tables equal the declared ones, by name and
    text."""
    t.metadata.create_all(empty)
    ours, theirs = inspect(database), inspect(empty)
    for name in (table.name for table in TABLES):
        for read in ("get_check_constraints", "get_unique_constraints", "get_foreign_keys"):
            assert _found(getattr(ours, read)(name)) == _found(getattr(theirs, read)(name))
        assert said(database, name) == said(empty, name)
        assert ours.get_pk_constraint(name) == theirs.get_pk_constraint(name)


def _found(constraints: list[Any]) -> list[Any]:
    """Constraints in order, without PostgreSQL's mark of a CHECK that no old row was read for."""
    return sorted(
        (
            {name: it for name, it in each.items() if it != {"not_valid": True}}
            for each in constraints
        ),
        key=str,
    )


def test_migrating_twice_changes_nothing(database: Engine) -> None:
    """Migrating a current database changes nothing."""
    assert is_current(database)
    migrate(database)
    assert is_current(database)


def test_an_empty_database_is_not_current(empty: Engine) -> None:
    """A database without migrations counts as behind."""
    assert not is_current(empty)
    migrate(empty)
    assert is_current(empty)


OLD_TRANSFER = """INSERT INTO transfers (user_id, transfer_id, authorization_id, kind, amount_minor,
    currency, state, detail, request_us, change_us)
    VALUES ('ann', '{}', 'a', 'DEBIT', 800, 'CNY', 'FAILED', 'no funds', 1, 2)"""


def bring(engine: Engine, move: Callable[[Config, str], None], revision: str) -> None:
    """Moves a database to a revision."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        move(config, revision)


def test_earlier_transfers_keep_their_results(empty: Engine) -> None:
    """A transfer from before the column of earlier results has no earlier result, and an older
    server goes on writing beside this build."""
    bring(empty, command.upgrade, "0002")
    with writing(empty) as connection:
        connection.execute(text(OLD_TRANSFER.format("before")))
    migrate(empty)
    with writing(empty) as connection:
        connection.execute(text(OLD_TRANSFER.format("beside")))
    store = SqlStore(empty)
    found = lists_of(store).transfers("ann", after=START, size=9, state=None).rows
    assert [(it.transfer_id, it.detail, it.earlier_state) for it in found] == [
        ("before", "no funds", None),
        ("beside", "no funds", None),
    ]
    store.close()


OLD_USER = "INSERT INTO users VALUES ('{}', TRUE, 1, 1780272000000000, 1)"
OLD_LINE = """INSERT INTO lines (user_id, currency, limit_minor, available_minor, held_minor,
    drawn_minor, cut_pending_minor, receivable_minor, disputed_minor, charged_back_minor,
    deposit_minor, refund_payable_minor, standing, limit_fixed, ledger_us, subject_key, subject,
    head, version) SELECT '{}', currency, limit_minor, available_minor, held_minor,
    drawn_minor, cut_pending_minor, receivable_minor, disputed_minor, charged_back_minor,
    deposit_minor, refund_payable_minor, standing, {}, ledger_us, subject_key, subject,
    head, version FROM lines WHERE user_id = 'model'"""
OLD_PUT = "UPDATE users SET feature_version = feature_version + 1 WHERE user_id = '{}'"
OLD_LIMIT = """UPDATE lines SET limit_minor = 7, available_minor = 7, limit_fixed = FALSE
    WHERE user_id = '{}'"""


def test_d9_an_earlier_builds_scores_are_not_kept(empty: Engine) -> None:
    """D9: a person registered by an earlier build has the reason SCORE_NOT_KEPT and no score, until
    newer features arrive. This holds for people registered before the migration, and by an old
    server after it. A limit that the earlier build fixed has no score as its basis."""
    bring(empty, command.upgrade, "0005")
    with writing(empty) as connection:
        for name in ("before", "fixed"):
            connection.execute(text(OLD_USER.format(name)))
    migrate(empty)
    admin.install_defaults(empty)
    desk = Desk(SqlStore(empty))
    for name in ("model", "beside", "by hand"):
        desk.put_user(name, 700)
    with writing(empty) as connection:
        connection.execute(text(OLD_LINE.format("before", "FALSE")))
        connection.execute(text(OLD_LINE.format("fixed", "TRUE")))
        connection.execute(text(OLD_PUT.format("beside")))
        connection.execute(text(OLD_LIMIT.format("by hand")))
    for name, basis in (
        ("before", LimitBasis.NOT_KEPT),
        ("beside", LimitBasis.NOT_KEPT),
        ("fixed", LimitBasis.NO_SCORE),
    ):
        it = read_profile(desk.store, name, "CNY")
        assert (it.score, it.band, it.model_id, it.scale_version) == (None, "", "", ""), name
        assert (it.unscorable_reason, it.limit_basis) == (SCORE_NOT_KEPT, basis), name
    it = read_profile(desk.store, "by hand", "CNY")
    assert (it.score, it.limit_basis) == (700, LimitBasis.NO_SCORE)
    for name in ("before", "beside", "by hand"):
        desk.put_user(name, 700)
        it = read_profile(desk.store, name, "CNY")
        assert (it.score, it.limit_basis) == (700, LimitBasis.SCORE), name
    desk.store.close()


# -- rows that the database refuses ----------------------------------------------------------

VALID: dict[str, dict[str, Any]] = {
    "operators": {"fee_bp": 300},
    "policies": {"zero_from_score": 600, "reduced_from_score": 500, "reduced_credit_share_bp": 1},
    "products": {"interval_minutes": 1},
    "exposure_rates": {"total_currency": "y", "worth_minor": 1, "of_minor": 1},
    "lines": {
        "limit_minor": 10, "available_minor": 5, "held_minor": 3, "drawn_minor": 2,
        "receivable_minor": 1, "disputed_minor": 1, "standing": "NORMAL",
    },
    "entries": {
        "sequence": 5, "transaction_sequence": 5, "book": "line", "debit": "held",
        "credit": "available", "amount_minor": 1, "link_format": 2,
    },
    "authorizations": {
        "state": "ACTIVE", "custody": "OUT", "start": "IMMEDIATE", "offer": "REDUCED",
        "credit_minor": 10, "cash_minor": 10, "held_credit_minor": 5, "held_cash_minor": 4,
        "captured_minor": 11, "captured_credit_minor": 5, "conceded_minor": 1, "fee_minor": 1,
        "paid_minor": 2, "lowered_minor": 1, "disputed_minor": 1, "charged_back_minor": 1,
        "refunded_minor": 1, "provisioned_minor": 1, "written_off_minor": 1,
        "recovered_minor": 1, "version": 1,
    },
    "payments": {"amount_minor": 1, "kind": "PAYMENT"},
    "debts": {"amount_minor": 1},
    "aliases": {"survivor": "y", "approved_by": "", "version": 1},
    "rail_accounts": {"caller": "city", "name": "till", "owner": "city", "account": "till"},
    "cases": {
        "kind": "CLAIM", "state": "OPEN", "opened_by": "USER", "waits_for": "OPERATOR",
        "closed_by": "", "version": 1,
    },
    "case_evidence": {"number": 1, "side": "USER"},
    "attestations": {"number": 1, "kind": "RESUME", "cause": None, "source": None,
                     "amount_minor": 0, "pending_minor": 0},
    "charge_backs": {
        "amount_minor": 7, "suspense_minor": 1, "open_minor": 2, "overturned_minor": 4,
        "gone_out_minor": 6,
    },
    "suspense": {
        "amount_minor": 9, "open_minor": 5, "returned_minor": 4, "direction": "IN",
        "proposed_by": "", "proposed_user_id": "", "proposed_authorization_id": "",
    },
    "authorization_details": {"authorization_version": 1},
    "lapses": {"lapse": "SOLD"},
    "consents": {"authorization_version": 1},
    "verdicts": {
        "authorization_version": 2, "verdict": "DECLINED", "reason": "FRAUD", "decided_by": "bob",
    },
    "unposted_dockings": {"authorization_version": 1, "transition": "authorization.settled"},
    "later_decisions": {"authorization_version": 2, "transaction_sequence": 1},
    "refused_increments": {"number": 1},
    "quotas": {"per": "DAY", "most_minutes": 30, "used_minutes": 30, "changes": 1},
    "quota_uses": {
        "per": "WEEK", "minutes": 1, "authorization_version": 2, "returned_version": 2,
    },
    "passes": {
        "gives": "PERCENT", "size": 20, "price_minor": 990, "from_us": 1, "until_us": 2, "uses": 0,
        "changes": 1, "refund_us": None, "refund_request_id": "",
    },
    "open_items": {"kind": "RENTED"},
    "users": {"feature_version": 2, "score_version": 2, "score": 700, "unscorable_reason": ""},
    "transfers": {"amount_minor": 1, "kind": "DEBIT", "state": "REQUESTED"},
    "captures": {"number": 1, "purpose": "FEE", "amount_minor": 3, "conceded_minor": 1},
    "corrections": {"number": 1, "amount_minor": 1},
}  # fmt: skip


APPROVED = {"approved_by": "y", "approve_us": 1}
VALID |= {
    "budget_accounts": {"version": 1, "currency": "CNY"},
    "budget_leases": {"version": 1, "currency": "CNY"},
    "breakers": {
        "number": 1, "currency": "CNY", "window_us": 2, "most_minor": 0, "least_rentals": 1,
        "loss_minor": 1, "rentals": 1, "since_us": 1, "open_us": 2, "closed_by": "",
    },
    "listings": {"number": 1, "effect": "DENY", "kind": "USER", "rules": "", "ended_by": ""},
    "audit": {"number": 1, "by_user": "", "approved_by": ""},
    "proposals": {"expire_us": 2, "approved_by": ""},
    "terms_documents": {
        "kind": "tariff", "owner": PLATFORM, "revision": 1, "state": "DRAFT",
    },
    "compiled_products": {
        "product_revision": 1, "tariff_owner": PLATFORM, "tariff_revision": 1,
        "policy_owner": PLATFORM, "policy_revision": 1,
        "product_kind": "product", "tariff_kind": "tariff", "policy_kind": "policy",
    },
}  # fmt: skip
VALIDATED = {"validate_us": 1, "validated_by": "x", "validate_reason": "x"}
ACTIVATED = {"activate_us": 1, "activated_by": "x", "activate_reason": "x"}
RETIRED = {"retire_us": 1, "retired_by": "x", "retire_reason": "x"}


def row_of(table: Table, **changes: Any) -> dict[str, Any]:
    """A valid row of the table, with changes."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.nullable:
            row[column.name] = None
        elif isinstance(column.type, Boolean):
            row[column.name] = False
        elif isinstance(column.type, Integer):
            row[column.name] = 0
        else:
            row[column.name] = b"x" if isinstance(column.type, LargeBinary) else "x"
    row |= VALID.get(table.name, {}) | changes
    if table.name == "authorizations" and "received_minor" not in changes:
        row["received_minor"] = _placed({name: value or 0 for name, value in row.items()})
    return row


def _placed(row: dict[str, Any]) -> int:
    """The amounts that must follow an authorization's received money."""
    more = ("paid_out", "held_cash", "refund_payable", "captured", "paid", "recovered")
    less = ("elsewhere", "captured_credit", "refunded", "overpaid", "overpaid_written_off")
    return int(sum(row[f"{it}_minor"] for it in more) - sum(row[f"{it}_minor"] for it in less))


def refusal(connection: Connection, table: Table, **changes: Any) -> str:
    """The database's answer to a row."""
    with pytest.raises(IntegrityError) as refused:
        connection.execute(table.insert(), row_of(table, **changes))
    return str(refused.value.orig)


def with_parents(connection: Connection, table: Table) -> None:
    """Adds the rows that a row of `row_of` refers to."""
    _add_parents(connection, table, row_of(table))


def _add_parents(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    for key in table.foreign_key_constraints:
        named = {it.column.name: row[it.parent.name] for it in key.elements}
        if None in named.values():
            continue
        parent = key.referred_table
        if parent is t.terms_documents:
            named["operator_id"] = None if named["owner"] == PLATFORM else named["owner"]
        found = row_of(parent, **named)
        _add_parents(connection, parent, found)
        same = [column == found[column.name] for column in parent.primary_key]
        if connection.execute(parent.select().where(*same)).first() is None:
            connection.execute(parent.insert(), found)


NEGATIVE = {
    "policies": ["offer_window_us", "pickup_window_us", "max_feature_age_us", "review_window_us",
                 "rental_period_us", "claim_window_us", "missing_window_us",
                 "report_window_us", "overdue_window_us", "refund_after_us", "debt_window_us",
                 "pause_limit_us", "most_pauses", "free_cancellation_us",
                 "longest_reservation_us", "longest_rental_us", "most_increments"],
    "operators": ["debt_limit_minor"],
    "products": ["deposit_minor", "replacement_minor", "start_fee_minor", "free_minutes",
                 "interval_price_minor", "day_cap_minor", "buy_out_minor",
                 "cancellation_fee_minor", "damage_without_consent_minor", "retire_us"],
    "limit_steps": ["limit_minor"],
    "authorizations": ["credit_minor", "cash_minor", "held_credit_minor", "held_cash_minor",
                       "captured_minor", "captured_credit_minor", "conceded_minor", "fee_minor",
                       "paid_minor", "lowered_minor", "disputed_minor", "charged_back_minor",
                       "refunded_minor", "refund_payable_minor", "recovered_minor",
                       "debiting_minor", "forgiven_minor", "received_minor",
                       "elsewhere_minor", "paid_out_minor", "write_off_minor",
                       "overpaid_minor", "overpaid_written_off_minor",
                       "unheld_minor", "unheld_dropped_minor", "unheld_disputed_minor",
                       "paused_us"],
    "captures": ["conceded_minor", "disputed_minor"],
    "late_pickups": ["deposit_minor"],
    "corrections": ["capture", "conceded_minor"],
    "cases": ["asked_minor", "open_version", "evidence"],
    "charge_backs": ["suspense_minor", "open_minor", "overturned_minor", "owed_minor",
                     "held_minor", "conceded_minor", "goodwill_minor", "recovered_minor",
                     "overpaid_minor", "found_minor", "gone_out_minor", "reopened"],
    "suspense": ["open_minor", "returned_minor", "matches", "proposed_minor"],
    "lines": ["cut_pending_minor", "charged_back_minor", "deposit_minor", "refund_payable_minor",
              "version", "overpaid_minor", "unheld_minor"],
}  # fmt: skip
CLOSED = {"held_credit_minor": 0, "held_cash_minor": 0}
UNCHARGED = dict.fromkeys(
    ("captured_minor", "captured_credit_minor", "conceded_minor", "fee_minor", "paid_minor",
     "lowered_minor", "disputed_minor", "charged_back_minor", "refunded_minor",
     "provisioned_minor", "written_off_minor", "recovered_minor"), 0
)  # fmt: skip
NOTHING = {**CLOSED, **UNCHARGED}
DEBT = {
    "state": "SETTLED", "custody": "IN_STATION", "parent_id": "x", "unheld_until_us": 1,
    "unheld_minor": 7, "captured_minor": 2, "captured_credit_minor": 2, "paid_minor": 2,
    "unheld_dropped_minor": 3, "unheld_disputed_minor": 2,
}  # fmt: skip
"""A debt without a hold, of which nothing is due."""
CLOSED_CASE: dict[str, Any] = {"state": "CLOSED", "outcome": "FOR_USER", "close_us": 1}
PAUSED = {"kind": "PAUSE", "cause": "OTHER", "source": "USER", "until_us": 9}
WAIVED = {"kind": "WAIVER", "cause": "OTHER", "source": "USER", "amount_minor": 7}
BROKEN: list[tuple[str, str, dict[str, Any]]] = [
    *(
        (table, f"{column}_not_negative", {column: -1})
        for table, columns in NEGATIVE.items()
        for column in columns
    ),
    ("lines", "limit_minor_not_negative", {"limit_minor": -1, "available_minor": -6}),
    ("lines", "available_minor_not_negative", {"available_minor": -1, "held_minor": 9}),
    ("lines", "held_minor_not_negative", {"held_minor": -1, "available_minor": 9}),
    ("lines", "drawn_minor_not_negative", {"drawn_minor": -1, "available_minor": 8}),
    ("lines", "receivable_minor_not_negative", {"receivable_minor": -1, "disputed_minor": 3}),
    ("lines", "disputed_minor_not_negative", {"disputed_minor": -1, "receivable_minor": 3}),
    ("lines", "drawn_is_receivable", {"receivable_minor": 2}),
    ("lines", "drawn_is_receivable", {"disputed_minor": 0}),
    ("lines", "standing_known", {"standing": "FORGOTTEN"}),
    ("lines", "limit_is_the_sum", {"limit_minor": 11}),
    ("lines", "limit_is_the_sum", {"limit_minor": 9}),
    ("operators", "fee_is_a_share", {"fee_bp": 10_001}),
    ("operators", "fee_is_a_share", {"fee_bp": -1}),
    ("policies", "cut_offs_in_order", {"reduced_from_score": 601}),
    ("policies", "credit_share_is_a_share", {"reduced_credit_share_bp": 10_001}),
    ("exposure_rates", "rate_of_another", {"total_currency": "x"}),
    ("exposure_rates", "rate_positive", {"worth_minor": 0}),
    ("exposure_rates", "rate_positive", {"of_minor": 0}),
    ("products", "interval_positive", {"interval_minutes": 0}),
    ("products", "most_hold_above_deposit", {"deposit_minor": 2, "most_hold_minor": 1}),
    ("products", "line_items_are_a_list", {"line_items": "USAGE"}),
    ("products", "line_items_are_a_list", {"line_items": "[]"}),
    ("products", "tariff_of_arithmetic_2", {"tariff": "{}"}),
    (
        "products",
        "stations_are_a_list",
        {"stations": "dock-1", "tariff": "{}", "interval_minutes": 2**31 - 1},
    ),
    ("products", "place_of_arithmetic_2", {"stations": '["dock-1"]'}),
    ("products", "places_before_the_row", {"places": 1}),
    ("payments", "amount_positive", {"amount_minor": 0}),
    ("captures", "number_positive", {"number": 0}),
    ("captures", "given_up_within_captured", {"disputed_minor": 3}),
    ("captures", "purpose_known", {"purpose": "GIFT"}),
    ("corrections", "number_positive", {"number": 0}),
    ("corrections", "amount_positive", {"amount_minor": 0}),
    ("captures", "amount_positive", {"amount_minor": 0, "conceded_minor": 0}),
    ("debts", "amount_positive", {"amount_minor": 0}),
    ("rail_accounts", "others_use_the_platforms", {"owner": "harbour"}),
    ("rail_accounts", "others_use_the_platforms", {"account": "bank"}),
    (
        "rail_accounts",
        "others_use_the_platforms",
        {"caller": "platform", "owner": "platform", "account": "bank"},
    ),
    ("aliases", "of_somebody_else", {"survivor": "x"}),
    ("aliases", "approval_is_whole", {"approved_by": "k"}),
    ("aliases", "approval_is_whole", {"approve_us": 1, "approved_by": ""}),
    ("aliases", "two_people_merge", {"approve_us": 1, "approved_by": "x"}),
    ("aliases", "version_positive", {"version": 0}),
    ("rail_accounts", "a_default_is_shared", {"name": "default", "account": "default"}),
    ("case_evidence", "number_positive", {"number": 0}),
    ("case_evidence", "side_known", {"side": "BANK"}),
    ("cases", "kind_known", {"kind": "WHIM"}),
    ("cases", "state_known", {"state": "ASLEEP"}),
    ("cases", "opened_by_known", {"opened_by": "BANK"}),
    ("cases", "waits_for_known", {"waits_for": "BANK"}),
    ("cases", "version_positive", {"version": 0}),
    ("cases", "outcome_known", {**CLOSED_CASE, "outcome": "DRAW"}),
    ("cases", "granted_minor_not_negative", {**CLOSED_CASE, "granted_minor": -1}),
    ("cases", "close_version_not_negative", {**CLOSED_CASE, "close_version": -1}),
    *(
        ("cases", "outcome_at_the_end", wrong)
        for wrong in (
            {"outcome": "FOR_USER"},
            {"close_us": 1},
            {"close_version": 1},
            {"granted_minor": 1},
            {"closed_by": "city"},
            {**CLOSED_CASE, "outcome": None},
            {**CLOSED_CASE, "close_us": None},
        )
    ),
    ("attestations", "number_positive", {"number": 0}),
    ("attestations", "pending_minor_not_negative", {"pending_minor": -1}),
    ("attestations", "kind_known", {"kind": "x"}),
    ("attestations", "cause_known", {**PAUSED, "cause": "x"}),
    ("attestations", "source_known", {**PAUSED, "source": "x"}),
    ("attestations", "pause_has_an_end", {**PAUSED, "until_us": None}),
    ("attestations", "pause_has_an_end", {"until_us": 1}),
    ("attestations", "waiver_has_an_amount", {"amount_minor": 1}),
    ("attestations", "waiver_has_an_amount", {**WAIVED, "amount_minor": 0, "pending_minor": 0}),
    ("attestations", "pending_within_waived", {**WAIVED, "pending_minor": 8}),
    *(
        ("attestations", "cause_and_source_of_its_kind", {**told, **wrong})
        for told, wrong in (
            (PAUSED, {"cause": None}),
            (PAUSED, {"source": None}),
            (WAIVED, {"cause": None}),
            (WAIVED, {"source": None}),
            ({}, {"cause": "OTHER"}),
            ({}, {"source": "USER"}),
            ({"kind": "BY_POST"}, {"cause": "OTHER"}),
        )
    ),
    (
        "charge_backs",
        "amount_positive",
        {
            **dict.fromkeys(("amount_minor", "suspense_minor", "open_minor"), 0),
            **dict.fromkeys(("overturned_minor", "gone_out_minor"), 0),
        },
    ),
    ("charge_backs", "amount_has_its_place", {"open_minor": 3}),
    ("charge_backs", "gone_out_within_charged", {"gone_out_minor": 7}),
    ("suspense", "amount_positive", {"amount_minor": 0, "open_minor": 0, "returned_minor": 0}),
    ("suspense", "open_within_amount", {"open_minor": 6}),
    (
        "suspense",
        "proposed_within_open",
        {
            **dict.fromkeys(("proposed_by", "proposed_user_id"), "x"),
            **{"proposed_authorization_id": "x", "proposed_minor": 6},
        },
    ),
    ("suspense", "proposal_is_whole", {"proposed_by": "x"}),
    ("suspense", "proposal_is_whole", {"proposed_minor": 1}),
    ("suspense", "direction_known", {"direction": "UP"}),
    ("authorization_details", "version_positive", {"authorization_version": 0}),
    ("lapses", "lapse_known", {"lapse": "ASLEEP"}),
    ("consents", "version_positive", {"authorization_version": 0}),
    ("consents", "reference_given", {"user_consent_reference": ""}),
    ("verdicts", "after_the_first_step", {"authorization_version": 1}),
    ("verdicts", "verdict_known", {"verdict": "PERHAPS"}),
    ("verdicts", "reason_known", {"reason": "MOOD"}),
    ("verdicts", "text_has_a_reason", {"reason": "NOT_GIVEN", "reason_text": "x"}),
    ("verdicts", "other_reason_told", {"reason": "OTHER", "reason_text": ""}),
    ("verdicts", "decided_by_somebody", {"decided_by": ""}),
    ("later_decisions", "after_the_first_step", {"authorization_version": 1}),
    ("later_decisions", "sequence_positive", {"transaction_sequence": 0}),
    ("refused_increments", "number_positive", {"number": 0}),
    ("quotas", "used_within", {"used_minutes": 31}),
    ("quotas", "used_within", {"used_minutes": -1}),
    ("quotas", "per_known", {"per": "YEAR"}),
    ("quotas", "changes_positive", {"changes": 0}),
    ("quota_uses", "minutes_positive", {"minutes": 0}),
    ("quota_uses", "per_known", {"per": "YEAR"}),
    ("passes", "gives_known", {"gives": "RIDES"}),
    ("passes", "size_positive", {"size": 0}),
    ("passes", "price_positive", {"price_minor": 0}),
    ("passes", "ends_later", {"until_us": 1}),
    ("passes", "uses_not_negative", {"uses": -1}),
    ("passes", "only_unused_refunded", {"refund_us": 2, "refund_request_id": "a", "uses": 1}),
    ("passes", "refund_is_whole", {"refund_us": 2}),
    ("passes", "changes_positive", {"changes": 0}),
    ("quota_uses", "version_positive", {"authorization_version": 0, "returned_version": 0}),
    ("quota_uses", "returned_later", {"returned_version": 1}),
    ("unposted_dockings", "version_positive", {"authorization_version": 0}),
    ("unposted_dockings", "transition_docks", {"transition": "authorization.captured"}),
    *(
        ("authorizations", "debt_within_booked", {**NOTHING, **DEBT, **wrong})
        for wrong in (
            {"unheld_minor": 0},
            {"unheld_minor": 6},
            {"unheld_until_us": None},
            {"state": "REVERSED", **UNCHARGED},
            {"parent_id": ""},
            {"captured_minor": 3, "captured_credit_minor": 3},
        )
    ),
    ("users", "score_limit_minor_not_negative", {"score_limit_minor": -1}),
    ("users", "score_of_known_features", {"score_version": 3}),
    ("users", "score_of_known_features", {"score_version": -1}),
    ("users", "score_or_reason", {"score": None}),
    ("users", "score_or_reason", {"score": None, "score_model_id": "", "unscorable_reason": ""}),
    ("users", "score_or_reason", {"score_model_id": ""}),
    ("users", "score_or_reason", {"unscorable_reason": "NO_CONSENT"}),
    ("feature_snapshots", "margin_of_a_model", {"model_id": ""}),
    (
        "feature_snapshots",
        "reasons_of_a_margin",
        {"model_id": "", "margin": "", "reasons": "", "extrapolated": ""},
    ),
    (
        "feature_snapshots",
        "reasons_of_a_margin",
        {"model_id": "", "margin": "", "reasons": None, "extrapolated": "x"},
    ),
    ("payments", "kind_known", {"kind": "GIFT"}),
    ("open_items", "kind_known", {"kind": "LENT"}),
    ("transfers", "amount_positive", {"amount_minor": 0}),
    ("transfers", "kind_known", {"kind": "LOAN"}),
    ("transfers", "state_known", {"state": "FLYING"}),
    ("transfers", "only_payouts_return", {"state": "RETURNED"}),
    *(
        (
            "transfers",
            "only_a_success_is_late",
            {"state": state, "earlier_state": "FAILED", "earlier_detail": "", "earlier_us": 1},
        )
        for state in ("REQUESTED", "SENT", "FAILED", "CANCELLED")
    ),
    *(
        ("transfers", "earlier_word_is_whole", {"state": "SUCCEEDED", **word})
        for word in (
            {"earlier_state": "FAILED", "earlier_detail": ""},
            {"earlier_state": "FAILED", "earlier_us": 1},
            {"earlier_detail": "no funds"},
            {"earlier_us": 1},
        )
    ),
    ("entries", "amount_positive", {"amount_minor": 0}),
    ("entries", "two_accounts", {"credit": "held"}),
    ("entries", "sequence_after_transaction", {"transaction_sequence": 6}),
    ("entries", "debit_after_not_negative", {"debit_after_minor": -1}),
    ("entries", "credit_after_not_negative", {"credit_after_minor": -1}),
    ("entries", "book_known", {"book": "cook"}),
    ("entries", "debit_known", {"debit": "pocket"}),
    ("entries", "credit_known", {"credit": "pocket"}),
    ("authorizations", "credit_within_authorized", {"held_credit_minor": 6}),
    ("authorizations", "credit_within_authorized", {"captured_credit_minor": 6}),
    ("authorizations", "cash_within_authorized", {"held_cash_minor": 5}),
    ("authorizations", "cash_within_authorized", {"captured_minor": 12}),
    *(
        ("authorizations", "due_not_negative", {column: 3, "provisioned_minor": 3})
        for column in ("paid_minor", "lowered_minor", "disputed_minor", "written_off_minor")
    ),
    ("authorizations", "refunded_within_paid", {"refunded_minor": 10}),
    ("authorizations", "money_has_its_place", {"received_minor": 11}),
    ("authorizations", "money_has_its_place", {"received_minor": 13}),
    ("authorizations", "elsewhere_within_paid", {"elsewhere_minor": 3}),
    (
        "authorizations",
        "charged_back_within_received",
        {"charged_back_minor": 3, "refunded_minor": 9, "elsewhere_minor": 2},
    ),
    (
        "authorizations",
        "overpaid_is_set_off",
        {"overpaid_minor": 1, "refund_payable_minor": 1},
    ),
    ("authorizations", "fee_within_kept", {"fee_minor": 11}),
    ("authorizations", "fee_within_kept", {"conceded_minor": 11}),
    ("authorizations", "order_fee_minor_not_negative", {"order_fee_minor": -1}),
    ("authorizations", "fee_within_order", {"order_fee_minor": 1}),
    ("authorizations", "recovered_within_written_off", {"recovered_minor": 2}),
    ("authorizations", "recovered_within_written_off", {"forgiven_minor": 1}),
    ("authorizations", "provisioned_before_written_off", {"provisioned_minor": 0}),
    *(
        ("authorizations", "only_rentals_charge", {"state": state, **CLOSED})
        for state in ("DECLINED", "REVERSED", "EXPIRED", "OFFERED", "AUTHORIZED", "REVIEW")
    ),
    *(
        ("authorizations", "only_open_states_hold", {"state": state, **UNCHARGED})
        for state in ("SETTLED", "DECLINED", "REVERSED", "EXPIRED", "OFFERED", "REVIEW")
    ),
    *(
        ("authorizations", "custody_keeps_the_hold", {"state": state, "expire_us": 1, **NOTHING})
        for state in ("ACTIVE", "OVERDUE", "RETURN_CLAIMED", "SETTLED", "REVERSED", "EXPIRED")
    ),
    ("authorizations", "state_known", {"state": "LOST", **NOTHING}),
    ("authorizations", "custody_known", {"custody": "SEA"}),
    ("authorizations", "start_known", {"start": "LATER"}),
    ("authorizations", "offer_known", {"offer": "HALF"}),
    ("api_keys", "expires_after_create", {"expire_us": 0}),
    ("api_keys", "units_not_negative", {"units_a_second": -1}),
    ("persons", "name_given", {"name": ""}),
    ("persons", "leaves_after_create", {"leave_us": -1, "left_by": "y"}),
    ("persons", "left_whole", {"leave_us": 1}),
    ("audit_heads", "number_not_negative", {"number": -1}),
    ("audit", "number_positive", {"number": 0}),
    ("audit", "one_acts", {"by_user": "y"}),
    ("audit", "approved_by_another", {"approved_by": "x", "proposal": 1}),
    ("audit", "approval_whole", {"proposal": 1}),
    ("budget_accounts", "most_minor_not_negative", {"most_minor": -1, "granted_minor": -1}),
    ("budget_accounts", "within_budget", {"granted_minor": 1}),
    ("budget_accounts", "version_positive", {"version": 0}),
    ("budget_leases", "within_grant", {"net_minor": 1}),
    ("budget_leases", "reserve_bounded", {"granted_minor": 1}),
    ("budget_leases", "version_positive", {"version": 0}),
    ("breakers", "number_positive", {"number": 0}),
    ("breakers", "window_positive", {"window_us": 0, "since_us": 2}),
    ("breakers", "beyond_the_bound", {"loss_minor": 0}),
    ("breakers", "beyond_the_bound", {"most_minor": -1}),
    ("breakers", "enough_rentals", {"least_rentals": 2}),
    ("breakers", "enough_rentals", {"least_rentals": 0}),
    ("breakers", "within_the_window", {"since_us": -1}),
    ("breakers", "within_the_window", {"since_us": 3}),
    ("breakers", "closed_after_opened", {"close_us": 1, "closed_by": "x"}),
    ("breakers", "closed_by_somebody", {"close_us": 2}),
    ("breakers", "closed_by_somebody", {"closed_by": "x"}),
    ("listings", "number_positive", {"number": 0}),
    ("listings", "effect_known", {"effect": "x"}),
    ("listings", "kind_known", {"kind": "x"}),
    ("listings", "allow_names_rules", {"effect": "ALLOW"}),
    ("listings", "subject_given", {"subject": ""}),
    ("listings", "everybody_ends", {"kind": "EVERYBODY", "subject": ""}),
    ("listings", "expires_after_create", {"expire_us": 0}),
    ("listings", "ends_after_create", {"end_us": -1, "ended_by": "x"}),
    ("listings", "end_whole", {"end_us": 1}),
    ("proposals", "proposer_given", {"proposed_by": "", **APPROVED}),
    ("proposals", "approver_is_another", {**APPROVED, "approved_by": "x"}),
    ("proposals", "expires_after_create", {"expire_us": 0}),
    ("proposals", "approval_whole", {"approved_by": "y"}),
    ("proposals", "approved_in_time", {**APPROVED, "approve_us": 2}),
    ("proposals", "used_in_time", {"use_us": 1}),
    ("proposals", "withdrawn_unused", {"withdraw_us": 2}),
    ("terms_documents", "kind_known", {"kind": "zone"}),
    ("terms_documents", "revision_positive", {"revision": 0}),
    ("terms_documents", "owner_is_the_operator", {"owner": "city"}),
    ("terms_documents", "product_of_an_operator", {"kind": "product"}),
    (
        "terms_documents",
        "bounds_of_the_platform",
        {"kind": "limits", "owner": "x", "operator_id": "x"},
    ),
    ("terms_documents", "validate_whole", {"state": "VALIDATED", "validate_us": 1}),
    ("terms_documents", "validate_whole", {"validated_by": "x"}),
    ("terms_documents", "validate_whole", {"validate_reason": "x"}),
    ("terms_documents", "activate_whole", {"activated_by": "x"}),
    ("terms_documents", "retire_whole", {"retired_by": "x"}),
    (
        "terms_documents",
        "steps_in_order",
        {"state": "VALIDATED", **VALIDATED, "validate_us": -1},
    ),
    (
        "terms_documents",
        "steps_in_order",
        {"state": "ACTIVE", **VALIDATED, **ACTIVATED, "activate_us": 0},
    ),
    ("terms_documents", "steps_in_order", {"state": "RETIRED", **RETIRED, "retire_us": -1}),
    *(
        ("terms_documents", "state_fits_steps", {"state": state, **steps})
        for state, steps in (
            ("OVER", {}),
            ("DRAFT", VALIDATED),
            ("VALIDATED", {}),
            ("VALIDATED", {**VALIDATED, **ACTIVATED}),
            ("ACTIVE", VALIDATED),
            ("ACTIVE", {**VALIDATED, **ACTIVATED, **RETIRED}),
            ("RETIRED", {**VALIDATED, **ACTIVATED}),
            ("RETIRED", {**ACTIVATED, **RETIRED}),
        )
    ),
    *(
        ("compiled_products", f"{kind}_kind_fixed", {f"{kind}_kind": "x"})
        for kind in ("product", "tariff", "policy")
    ),
    ("models", "retires_after_register", {"register_us": 2, "retire_us": 1, "retired_by": "x"}),
    ("models", "retired_whole", {"retire_us": 1}),
    ("compiled_products", "tariff_in_reach", {"tariff_owner": "y"}),
    ("compiled_products", "policy_in_reach", {"policy_owner": "y"}),
]


@pytest.mark.parametrize(
    ("name", "rule", "changes"), BROKEN, ids=[f"{case[0]}-{case[1]}" for case in BROKEN]
)
def test_a_broken_rule_is_refused(
    database: Engine, name: str, rule: str, changes: dict[str, Any]
) -> None:
    """The database accepts a valid row, and refuses one that violates a rule by the rule's name."""
    table = t.metadata.tables[name]
    with writing(database) as connection:
        with_parents(connection, table)
        connection.execute(table.insert(), row_of(table))
        connection.rollback()
    with database.connect() as connection:
        named = set(re.findall(rf"ck_{name}_(\w+)", refusal(connection, table, **changes)))
    if rule.endswith("_not_negative"):
        # Another rule may find the same negative amount first.
        assert named
    else:
        assert named == {rule}


def test_every_rule_of_the_tables_has_its_test() -> None:
    """Every declared CHECK is violated by a row of the list above."""
    declared = {
        (table.name, str(check.name).removeprefix(f"ck_{table.name}_"))
        for table in TABLES
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }
    assert declared == {(name, rule) for name, rule, _ in BROKEN}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("products", {"operator_id": "nobody"}),
        ("products", {"policy_id": "nothing"}),
        ("products", {"policy_revision": 2}),
        ("compiled_products", {"revision": 2}),
        ("compiled_products", {"product_revision": 2}),
        ("compiled_products", {"tariff_revision": 2}),
        ("compiled_products", {"policy_name": "y"}),
        ("terms_documents", {"owner": "y", "operator_id": "y"}),
        ("api_keys", {"operator_id": "nobody"}),
    ],
)
def test_a8_terms_refer_to_existing_rows(
    database: Engine, name: str, changes: dict[str, Any]
) -> None:
    """A8: a product of a missing operator or policy is refused, and so is a key of a missing
    operator. A row to which other rows refer cannot be deleted."""
    table = t.metadata.tables[name]
    with database.connect() as connection:
        with_parents(connection, table)
        assert re.search("(?i)foreign key", refusal(connection, table, **changes))
    for referred in ("operators", "policies"):
        with database.connect() as connection, pytest.raises(IntegrityError, match=r"(?i)foreign"):
            connection.execute(t.metadata.tables[referred].delete())


@pytest.mark.parametrize("told", [PAUSED, WAIVED, {"kind": "RESUME"}, {"kind": "BY_HAND"}])
def test_a_whole_attestation(database: Engine, told: dict[str, Any]) -> None:
    """An attestation is allowed with all that its kind needs, and nothing else."""
    table = t.attestations
    with database.connect() as connection:
        connection.execute(table.insert(), row_of(table, **told))


def test_a_debt_within_its_booking(database: Engine) -> None:
    """A debt is allowed as a settled charge whose parts are within the amount booked."""
    table = t.authorizations
    with database.connect() as connection:
        connection.execute(table.insert(), row_of(table, **{**NOTHING, **DEBT}))


def test_r18_one_open_case_of_a_kind(database: Engine) -> None:
    """R18: an authorization has at most one open case of each kind. Closed cases and questions of
    the platform are not limited."""
    table = t.cases
    with database.connect() as connection:
        connection.execute(table.insert(), row_of(table))
        connection.execute(table.insert(), row_of(table, case_id="y", **CLOSED_CASE))
        connection.execute(table.insert(), row_of(table, case_id="z", kind="DISPUTE"))
        for case_id in "pq":
            row = row_of(table, case_id=case_id, kind="SECOND_REFERENCE")
            connection.execute(table.insert(), row)
        said = refusal(connection, table, case_id="w")
    assert re.search("UNIQUE constraint failed|duplicate key", said)


def test_states_that_may_hold(database: Engine) -> None:
    """A hold is allowed in AUTHORIZED with an end, and in ACTIVE, OVERDUE and RETURN_CLAIMED."""
    table = t.authorizations
    with database.connect() as connection:
        for state in ("AUTHORIZED", "ACTIVE", "OVERDUE", "RETURN_CLAIMED"):
            end = 1 if state == "AUTHORIZED" else None
            row = row_of(table, authorization_id=state, state=state, expire_us=end, **UNCHARGED)
            connection.execute(table.insert(), row)


@pytest.mark.parametrize("name", [table.name for table in TABLES])
def test_a_key_is_unique(database: Engine, name: str) -> None:
    """A second row with the same key is refused: one request id for a caller, one open rental for
    an item, one record for a payment reference."""
    table = t.metadata.tables[name]
    with database.connect() as connection:
        with_parents(connection, table)
        connection.execute(table.insert(), row_of(table))
        assert re.search("UNIQUE constraint failed|duplicate key", refusal(connection, table))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("requests", {"caller", "request_id"}),
        ("open_items", {"operator_id", "asset_id"}),
        ("payments", {"caller", "payment_reference"}),
        ("debts", {"user_id", "parent_id", "business_reference"}),
        ("late_pickups", {"user_id", "authorization_id"}),
        ("rail_accounts", {"caller", "name"}),
        ("persons", {"owner", "person_id"}),
        ("listings", {"owner", "number"}),
        ("breakers", {"operator_id", "number"}),
        ("budget_accounts", {"operator_id", "policy_id", "currency", "period"}),
        ("budget_leases", {"operator_id", "policy_id", "currency", "period", "server_id"}),
        ("listing_kinds", {"owner", "kind"}),
        ("audit", {"owner", "number"}),
        ("proposals", {"owner", "number"}),
        ("terms_documents", {"kind", "owner", "name", "revision"}),
        ("compiled_products", {"operator_id", "product_id", "revision"}),
        ("cases", {"user_id", "authorization_id", "case_id"}),
        ("case_evidence", {"user_id", "authorization_id", "case_id", "number"}),
        ("attestations", {"user_id", "authorization_id", "number"}),
        ("charge_backs", {"user_id", "authorization_id", "case_id"}),
        ("suspense", {"caller", "payment_reference"}),
        ("authorization_details", {"user_id", "authorization_id"}),
        ("lapses", {"user_id", "authorization_id", "authorization_version"}),
        ("consents", {"user_id", "authorization_id", "authorization_version"}),
        ("verdicts", {"user_id", "authorization_id"}),
        ("unposted_dockings", {"user_id", "authorization_id", "authorization_version"}),
        ("later_decisions", {"user_id", "authorization_id", "authorization_version"}),
        ("refused_increments", {"user_id", "authorization_id", "number"}),
        ("quotas", {"user_id", "operator_id", "name", "per", "period_us"}),
        ("quota_uses", {"user_id", "authorization_id", "name", "per"}),
        ("passes", {"user_id", "operator_id", "pass_id"}),
        ("lines", {"user_id", "currency"}),
        ("models", {"model_id"}),
        ("entries", {"user_id", "currency", "sequence"}),
        ("authorizations", {"user_id", "authorization_id"}),
        ("users", {"user_id"}),
        ("feature_snapshots", {"user_id", "version"}),
    ],
)
def test_the_keys_of_rows(name: str, key: set[str]) -> None:
    """The primary keys are those that the rules of single use need."""
    assert {column.name for column in t.metadata.tables[name].primary_key} == key


@pytest.mark.parametrize("name", [table.name for table in TABLES])
def test_mandatory_values(database: Engine, name: str) -> None:
    """A row without a mandatory value is refused."""
    table = t.metadata.tables[name]
    given = ("sequence", "change")  # numbered by the database
    mandatory = [it.name for it in table.columns if not it.nullable and it.name not in given]
    assert mandatory
    for column in mandatory:
        with database.connect() as connection:
            refused = refusal(connection, table, **{column: None})
        assert re.search("NOT NULL constraint failed|null value in column", refused), column


def test_the_checks_apply_to_other_programs(file: Path) -> None:
    """A program that writes to the file directly meets the same rules."""
    with sqlite3.connect(file) as connection, pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        connection.execute("INSERT INTO limit_steps VALUES ('CNY', 1, -1)")
    connection.close()
