"""The schema: what migrations make, and the invariants that the database itself keeps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    Table,
    create_engine,
    inspect,
)
from sqlalchemy.exc import IntegrityError

from service.storage import tables as t
from service.storage.database import open_database, writing
from service.storage.migrate import is_current, migrate

TABLES = t.metadata.sorted_tables


@pytest.fixture
def database(file: Path) -> Iterator[Engine]:
    """A migrated database."""
    engine = open_database(f"sqlite:///{file}")
    yield engine
    engine.dispose()


# -- migrations ------------------------------------------------------------------------------


def test_migrations_make_the_tables(database: Engine) -> None:
    """A migrated database has exactly the tables, columns and indexes that the code declares."""
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, t.metadata) == []


def indexes(engine: Engine, name: str) -> set[tuple[str, str]]:
    """Names and texts of a table's indexes."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ?"
    with engine.connect() as connection:
        return {(row[0], str(row[1])) for row in connection.exec_driver_sql(query, (name,))}


@pytest.mark.parametrize("name", [table.name for table in TABLES])
def test_migrations_make_the_constraints(database: Engine, name: str) -> None:
    """Checks, keys and indexes of a migrated table are those of the declared one, by name and
    text."""
    declared = create_engine("sqlite://")
    t.metadata.create_all(declared)
    ours, theirs = inspect(database), inspect(declared)
    for read in ("get_check_constraints", "get_unique_constraints"):
        made = sorted(getattr(ours, read)(name), key=str)
        assert made == sorted(getattr(theirs, read)(name), key=str)
    assert indexes(database, name) == indexes(declared, name)
    assert ours.get_pk_constraint(name) == theirs.get_pk_constraint(name)
    declared.dispose()


def test_migrating_twice_changes_nothing(database: Engine) -> None:
    """Migrating a current database leaves it as it is."""
    assert is_current(database)
    migrate(database)
    assert is_current(database)


def test_an_empty_database_is_not_current(tmp_path: Path) -> None:
    """A database without migrations is seen to be behind."""
    engine = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    assert not is_current(engine)
    migrate(engine)
    assert is_current(engine)
    engine.dispose()


# -- rows that the database refuses ----------------------------------------------------------

VALID: dict[str, dict[str, Any]] = {
    "operators": {"fee_bp": 300},
    "policies": {"zero_from_score": 600, "reduced_from_score": 500, "reduced_credit_share_bp": 1},
    "products": {"interval_minutes": 1},
    "lines": {"limit_minor": 10, "available_minor": 5, "held_minor": 3, "drawn_minor": 2},
    "entries": {
        "sequence": 5, "transaction_sequence": 5, "book": "line", "debit": "held",
        "credit": "available", "amount_minor": 1,
    },
    "authorizations": {
        "state": "ACTIVE", "custody": "OUT", "start": "IMMEDIATE", "offer": "REDUCED",
        "credit_minor": 10, "cash_minor": 10, "held_credit_minor": 5, "held_cash_minor": 4,
        "captured_minor": 11, "captured_credit_minor": 5, "fee_minor": 1, "paid_minor": 5,
        "version": 1,
    },
    "payments": {"amount_minor": 1},
}  # fmt: skip


def row_of(table: Table, **changes: Any) -> dict[str, Any]:
    """A row that the table takes, with changes."""
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
    return row | VALID.get(table.name, {}) | changes


def refusal(connection: Connection, table: Table, **changes: Any) -> str:
    """What the database says to a row."""
    with pytest.raises(IntegrityError) as refused:
        connection.execute(table.insert(), row_of(table, **changes))
    return str(refused.value.orig)


NEGATIVE = {
    "products": ["deposit_minor", "replacement_minor", "start_fee_minor", "free_minutes",
                 "interval_price_minor", "day_cap_minor", "buy_out_minor"],
    "limit_steps": ["limit_minor"],
    "authorizations": ["credit_minor", "cash_minor", "held_credit_minor", "held_cash_minor",
                       "captured_minor", "captured_credit_minor", "fee_minor", "paid_minor",
                       "refund_payable_minor"],
    "lines": ["cut_pending_minor", "receivable_minor", "deposit_minor", "refund_payable_minor",
              "version"],
}  # fmt: skip
CLOSED = {"held_credit_minor": 0, "held_cash_minor": 0}
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
    ("lines", "limit_is_the_sum", {"limit_minor": 11}),
    ("lines", "limit_is_the_sum", {"limit_minor": 9}),
    ("operators", "fee_is_a_share", {"fee_bp": 10_001}),
    ("operators", "fee_is_a_share", {"fee_bp": -1}),
    ("policies", "cut_offs_in_order", {"reduced_from_score": 601}),
    ("policies", "credit_share_is_a_share", {"reduced_credit_share_bp": 10_001}),
    ("products", "interval_positive", {"interval_minutes": 0}),
    ("payments", "amount_positive", {"amount_minor": 0}),
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
    ("authorizations", "paid_within_captured", {"paid_minor": 6}),
    ("authorizations", "fee_within_captured", {"fee_minor": 12}),
    *(
        ("authorizations", "only_open_states_hold", {"state": state})
        for state in ("SETTLED", "DECLINED", "REVERSED", "EXPIRED", "OFFERED", "REVIEW")
    ),
    *(
        ("authorizations", "custody_keeps_the_hold", {"state": state, "expire_us": 1, **CLOSED})
        for state in ("ACTIVE", "OVERDUE", "RETURN_CLAIMED", "SETTLED", "REVERSED", "EXPIRED")
    ),
    ("authorizations", "state_known", {"state": "LOST", **CLOSED}),
    ("authorizations", "custody_known", {"custody": "SEA"}),
    ("authorizations", "start_known", {"start": "LATER"}),
    ("authorizations", "offer_known", {"offer": "HALF"}),
]


@pytest.mark.parametrize(
    ("name", "rule", "changes"), BROKEN, ids=[f"{case[0]}-{case[1]}" for case in BROKEN]
)
def test_a_broken_rule_is_refused(
    database: Engine, name: str, rule: str, changes: dict[str, Any]
) -> None:
    """The database takes a valid row, and refuses one that breaks a rule by the rule's name."""
    table = t.metadata.tables[name]
    with writing(database) as connection:
        connection.execute(table.insert(), row_of(table))
        connection.rollback()
    with database.connect() as connection:
        said = refusal(connection, table, **changes)
    named = {c.removeprefix(f"ck_{name}_") for c in said.split() if c.startswith(f"ck_{name}_")}
    if rule.endswith("_not_negative"):
        # Another rule may see the same negative amount first.
        assert named
    else:
        assert named == {rule}


def test_every_rule_of_the_tables_has_its_test() -> None:
    """No CHECK is declared that the list above does not break."""
    declared = {
        (table.name, str(check.name).removeprefix(f"ck_{table.name}_"))
        for table in TABLES
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }
    assert declared == {(name, rule) for name, rule, _ in BROKEN}


def test_every_state_that_waits_or_is_out_may_hold(database: Engine) -> None:
    """A hold may stand in AUTHORIZED with an end, and in ACTIVE, OVERDUE and RETURN_CLAIMED."""
    table = t.authorizations
    with database.connect() as connection:
        for state in ("AUTHORIZED", "ACTIVE", "OVERDUE", "RETURN_CLAIMED"):
            end = 1 if state == "AUTHORIZED" else None
            row = row_of(table, authorization_id=state, state=state, expire_us=end)
            connection.execute(table.insert(), row)


@pytest.mark.parametrize("name", [table.name for table in TABLES])
def test_a_key_is_taken_once(database: Engine, name: str) -> None:
    """A second row with the same key is refused: one request id a caller, one open rental an item,
    one record a payment reference."""
    table = t.metadata.tables[name]
    with database.connect() as connection:
        connection.execute(table.insert(), row_of(table))
        assert "UNIQUE constraint failed" in refusal(connection, table)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("requests", {"caller", "request_id"}),
        ("open_items", {"operator_id", "asset_id"}),
        ("payments", {"caller", "payment_reference"}),
        ("lines", {"user_id", "currency"}),
        ("entries", {"user_id", "currency", "sequence"}),
        ("authorizations", {"user_id", "authorization_id"}),
        ("users", {"user_id"}),
        ("feature_snapshots", {"user_id", "version"}),
    ],
)
def test_what_identifies_a_row(name: str, key: set[str]) -> None:
    """The keys are what the rules of single use rest on."""
    assert {column.name for column in t.metadata.tables[name].primary_key} == key


MANDATORY = [
    (table.name, column.name)
    for table in TABLES
    for column in table.columns
    if not column.nullable and column.name != "sequence"
]


@pytest.mark.parametrize(("name", "column"), MANDATORY)
def test_nothing_mandatory_is_left_out(database: Engine, name: str, column: str) -> None:
    """A row without a mandatory value is refused."""
    table = t.metadata.tables[name]
    with database.connect() as connection:
        assert "NOT NULL constraint failed" in refusal(connection, table, **{column: None})


def test_the_checks_bite_outside_the_code_too(file: Path) -> None:
    """Whoever writes to the file by hand meets the same rules."""
    with sqlite3.connect(file) as connection, pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        connection.execute("INSERT INTO limit_steps VALUES ('CNY', 1, -1)")
    connection.close()
