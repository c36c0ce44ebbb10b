"""A8: one row of the terms is wrong. Every other row counts as before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, insert, inspect, text, update

from service.domain.access import hash_key
from service.domain.rules import Counted, Of, Outcome, Rules, Velocity
from service.domain.rules_document import json_of_rules
from service.engine.catalog import Catalog, TermsKind
from service.storage import schema as t
from service.storage.admin import _defaults, _policy_row
from service.storage.database import open_database, writing
from service.storage.migrate import _config, is_current, migrate
from service.storage.store import SqlStore
from tests.conftest import Databases
from tests.fakes import OPERATOR, OTHER_OPERATOR, START_US
from tests.terms import BAD_POLICY, copied_product, plant, rows, spoiled_bikes

BIKE = (OPERATOR, "bike")


def without(catalog: Catalog, *keys: tuple[object, ...]) -> dict[tuple[str, str, int], object]:
    """The revisions of a catalog except some."""
    return {key: it for key, it in catalog.revisions.items() if key not in keys}


def test_a8_a_wrong_product_affects_no_other(store: SqlStore) -> None:
    """A8: a product with any wrong value in its row is a fault with its name. All other products
    are read as before, and so is this product once its row is right."""
    sound = store.catalog()
    assert (sound.refused, sound.faults) == (frozenset(), ())
    before = rows(store.engine, "products")
    for statement in spoiled_bikes(store.engine):
        before_it = store.catalog().change
        plant(store.engine, statement)
        assert store.changed_terms(before_it) is not None, statement
        read = store.catalog()
        (fault,) = read.faults
        assert (fault.kind, fault.key[:2]) == (TermsKind.PRODUCT, BIKE), statement
        assert fault.why
        assert read.refused == {BIKE}
        assert BIKE not in read.products
        assert read.revisions == without(sound, (*BIKE, 1))
        assert (read.operators, read.limit_steps) == (sound.operators, sound.limit_steps)
        bikes = [row for row in before if row[:2] == BIKE]
        plant(
            store.engine, "DELETE FROM products WHERE operator_id = 'city' AND product_id = 'bike'"
        )
        with writing(store.engine) as connection:
            marks = ", ".join(
                ["?" if store.engine.dialect.name == "sqlite" else "%s"] * len(bikes[0])
            )
            connection.exec_driver_sql(f"INSERT INTO products VALUES ({marks})", bikes)
        assert store.catalog() == sound


def test_a8_an_older_revision_stays_good(store: SqlStore) -> None:
    """A8: a wrong latest revision is refused, and no earlier revision replaces it, but rentals
    under earlier revisions continue. A wrong earlier revision does not affect the latest."""
    copied = copied_product("operator_id = 'city' AND product_id = 'bike'", revision=2)
    plant(store.engine, copied, f"{BAD_POLICY} AND product_id = 'bike' AND revision = 2")
    read = store.catalog()
    assert read.refused == {BIKE}
    assert BIKE not in read.products
    assert (*BIKE, 1) in read.revisions
    plant(
        store.engine,
        "UPDATE products SET policy_id = CASE revision WHEN 1 THEN 'nothing' ELSE 'bike' END"
        " WHERE operator_id = 'city' AND product_id = 'bike'",
    )
    read = store.catalog()
    assert (read.refused, read.products[BIKE].revision) == (frozenset(), 2)
    assert [fault.key for fault in read.faults] == [(*BIKE, 1)]


def test_a8_a_wrong_policy_affects_its_products(store: SqlStore) -> None:
    """A8: a wrong policy is a fault, and so is every product under it; products under other
    policies are read."""
    plant(store.engine, "UPDATE policies SET claim_window_us = 9000000000000000000"
          " WHERE policy_id = 'bike'")  # fmt: skip
    read = store.catalog()
    assert {(fault.kind, *fault.key) for fault in read.faults} == {
        (TermsKind.POLICY, "bike", 1),
        (TermsKind.PRODUCT, OPERATOR, "bike", 1),
        (TermsKind.PRODUCT, OTHER_OPERATOR, "bike", 1),
    }
    assert read.refused == {BIKE, (OTHER_OPERATOR, "bike")}
    assert (OPERATOR, "umbrella") in read.products


def test_a8_a_missing_operator(store: SqlStore) -> None:
    """A8: a missing operator that has products is a fault."""
    plant(store.engine, "DELETE FROM operators WHERE operator_id = 'city'")
    read = store.catalog()
    assert [(fault.kind, fault.key) for fault in read.faults] == [(TermsKind.OPERATOR, (OPERATOR,))]
    assert set(read.operators) == {OTHER_OPERATOR}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE limit_steps SET limit_minor = 9000000000000000000 WHERE from_score = 650",
    ],
)
def test_a8_wrong_limits(store: SqlStore, change: str) -> None:
    """A8: with one wrong limit, a currency has no limits; other currencies' limits are read."""
    plant(store.engine, "INSERT INTO limit_steps VALUES ('EUR', 500, 1)", change)
    read = store.catalog()
    (fault,) = read.faults
    assert (fault.kind, fault.key) == (TermsKind.LIMITS, ("CNY",))
    assert "from_score 6" in fault.why
    assert set(read.limit_steps) == {"EUR"}


def test_a8_texts_in_place_of_numbers(file: Path) -> None:
    """A8: SQLite stores a text where a number belongs: such limits, commissions and cut-offs are
    faults."""
    engine = open_database(f"sqlite:///{file}")
    plant(
        engine,
        "UPDATE limit_steps SET limit_minor = 'much' WHERE from_score = 650",
        "UPDATE operators SET fee_bp = 'some' WHERE operator_id = 'city'",
        "UPDATE policies SET zero_from_score = 'good' WHERE policy_id = 'bike'",
        "UPDATE policies SET zero_from_score = 1, reduced_from_score = 2"
        " WHERE policy_id = 'small-item'",
    )
    read = SqlStore(engine).catalog()
    assert {fault.kind for fault in read.faults} == set(TermsKind)
    assert (read.limit_steps, read.products) == ({}, {})
    assert set(read.operators) == {OTHER_OPERATOR}
    engine.dispose()


@pytest.mark.parametrize("bound", ["most_increments", "most_pauses"])
def test_a8_a_bound_of_a_policy_is_a_number(file: Path, bound: str) -> None:
    """A8: a text in place of a policy's bound, or a bound below zero, is a fault of that policy."""
    engine = open_database(f"sqlite:///{file}")
    for value in ("'many'", "-1"):
        plant(engine, f"UPDATE policies SET {bound} = {value} WHERE policy_id = 'bike'")
        read = SqlStore(engine).catalog()
        assert TermsKind.POLICY in {fault.kind for fault in read.faults}
        assert BIKE in read.refused
    engine.dispose()


def test_the_rules_of_a_policy_are_read(store: SqlStore) -> None:
    """The text in the column of the rules gives the policy its rules; NULL gives it none."""
    rules = Rules(velocity=(Velocity(Of.USER, Counted.OPEN, 2, Outcome.DECLINE),))
    change = update(t.policies).where(t.policies.c.policy_id == "bike")
    with writing(store.engine) as connection:
        connection.execute(change.values(rules=json_of_rules(rules)))
    read = store.catalog()
    assert read.products[BIKE].policy.rules == rules
    assert read.products[OPERATOR, "umbrella"].policy.rules is None


@pytest.mark.parametrize(
    "text", ["", "{", '{"velocty":[]}', '{"cut_off":[{"category":"BIKE","zero_from_score":600}]}']
)
def test_a8_rules_that_make_no_sense(store: SqlStore, text: str) -> None:
    """A8: wrong rules are a fault of that policy; other policies are read."""
    change = update(t.policies).where(t.policies.c.policy_id == "bike")
    with writing(store.engine) as connection:
        connection.execute(change.values(rules=text))
    read = store.catalog()
    assert (TermsKind.POLICY, ("bike", 1)) in {(fault.kind, fault.key) for fault in read.faults}
    assert (OPERATOR, "umbrella") in read.products


# -- the migration ---------------------------------------------------------------------------


def _install_defaults_of_then(engine: Engine) -> None:
    """Writes the default terms into the columns that the database has."""
    defaults = _defaults()
    with writing(engine) as connection:
        connection.execute(insert(t.limit_steps), defaults["limit"])
        _write_known(connection, "policies", map(_policy_row, defaults["policy"]))


def _add_operator_of_then(engine: Engine) -> None:
    """Adds an operator with its products and a key, and a key of the platform."""
    operator = {"operator_id": OPERATOR, "name": "City", "fee_bp": 300, "create_us": START_US}
    more = {"operator_id": OPERATOR, "revision": 1, "policy_revision": 1}
    with writing(engine) as connection:
        connection.execute(t.operators.insert(), operator)
        _write_known(connection, "products", (it | more for it in _defaults()["product"]))
        for key, owner in (("key", OPERATOR), ("other", None)):
            row = {"operator_id": owner, "scopes": "cases.read", "create_us": START_US}
            connection.execute(t.api_keys.insert(), {"key_hash": hash_key(key), **row})


def _write_known(connection: Connection, table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Writes rows into a table, without the columns that the database does not have."""
    there = {it["name"] for it in inspect(connection).get_columns(table)}
    for row in rows:
        known = {name: value for name, value in row.items() if name in there}
        connection.execute(
            text(
                f"INSERT INTO {table} ({', '.join(known)})"
                f" VALUES ({', '.join(f':{name}' for name in known)})"
            ),
            known,
        )


@pytest.fixture
def before(databases: Databases) -> Iterator[Engine]:
    """A database of the previous build, with an operator and a key."""
    url = databases.empty()
    engine = open_database(url, create=True)
    with writing(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    _install_defaults_of_then(engine)
    _add_operator_of_then(engine)
    yield engine
    engine.dispose()
    databases.drop(url)


def test_a8_migrating_keeps_every_row(before: Engine) -> None:
    """A8: the migration that lets terms refer to existing rows keeps all rows."""
    tables = ("operators", "policies", "products", "api_keys", "limit_steps")
    kept = {table: rows(before, table) for table in tables}
    migrate(before)
    assert is_current(before)
    for table in tables:
        # Later migrations add columns at the end.
        now = [row[: len(was)] for row, was in zip(rows(before, table), kept[table], strict=True)]
        assert now == kept[table]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (BAD_POLICY + " AND product_id = 'bike'", "city bike revision 1 names the policy nothing"),
        ("UPDATE products SET operator_id = 'nobody' WHERE product_id = 'bike'", "nobody bike"),
        ("UPDATE api_keys SET operator_id = 'nobody' WHERE operator_id = 'city'", "nobody"),
        ("UPDATE policies SET claim_window_us = -1 WHERE policy_id = 'bike'", "bike revision 1"),
    ],
)
def test_a8_migrating_names_the_wrong_row(before: Engine, statement: str, said: str) -> None:
    """A8: if the new rules refuse a row, one line names the row and the remedy, and nothing is
    changed. Once the row is right, the migration continues."""
    products = rows(before, "products")
    with writing(before) as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises(Exception, match=said) as refused:
        migrate(before)
    assert "\n" not in str(refused.value)
    assert "nothing was changed" in str(refused.value)
    assert not is_current(before)
    with writing(before) as connection:
        connection.exec_driver_sql("DELETE FROM products")
        connection.exec_driver_sql("DELETE FROM api_keys")
        connection.exec_driver_sql("UPDATE policies SET claim_window_us = 1")
        insertion = ", ".join(["?" if before.dialect.name == "sqlite" else "%s"] * 15)
        connection.exec_driver_sql(f"INSERT INTO products VALUES ({insertion})", products)
    migrate(before)
    assert is_current(before)
