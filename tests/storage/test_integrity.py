"""The check of a database itself: pages, indexes, triggers, keys and CHECKs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from service.books.verify import verify_books
from service.storage.database import backend_of, open_database, writing
from service.storage.integrity import check_integrity
from service.storage.migrate import migrate
from service.storage.proof import verify_database
from service.storage.schema.triggers import TRIGGERS
from tests.conftest import Databases
from tests.engine import acts
from tests.engine.calls import authorize, rental, settle
from tests.postgres import Cluster
from tests.storage.book import at, real_answers, tamper


@pytest.fixture
def database(databases: Databases) -> Iterator[Engine]:
    """A migrated database."""
    url = databases.empty() if databases.kind == "postgresql" else databases.new()
    engine = open_database(url)
    if databases.kind == "postgresql":
        migrate(engine)
    yield engine
    engine.dispose()
    databases.drop(url)


def test_the_triggers_of_the_migrations_are_declared(database: Engine) -> None:
    """`service/storage/schema/triggers.py` has a digest of every trigger that the migrations
    make."""
    with database.connect() as connection:
        found = backend_of(connection).described(connection)
    made = {
        name.removeprefix("trigger "): digest
        for name, digest in found.items()
        if name.startswith("trigger ")
    }
    lines = "\n".join(f'        "{name}": "{digest}",' for name, digest in sorted(made.items()))
    kind = database.dialect.name
    assert TRIGGERS[kind] == made, f"TRIGGERS[{kind!r}] in schema/triggers.py must be:\n{lines}"


def test_a_migrated_database_is_whole(database: Engine) -> None:
    """The check of a fresh database finds no fault."""
    assert check_integrity(database).fault is None


CHANGES = {
    "a dropped trigger": {
        "sqlite": "DROP TRIGGER entries_no_update",
        "postgresql": "DROP TRIGGER entries_append_only ON entries",
    },
    "a trigger that is off": {
        "postgresql": "ALTER TABLE entries DISABLE TRIGGER entries_append_only",
    },
    "a trigger that does nothing": {
        "sqlite": "DROP TRIGGER seals_no_delete; CREATE TRIGGER seals_no_delete BEFORE DELETE ON"
        " seals BEGIN SELECT 1; END",
        "postgresql": "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NEW; END $$",
    },
    "a trigger of somebody": {
        "sqlite": "CREATE TRIGGER mine AFTER INSERT ON payments BEGIN SELECT 1; END",
        "postgresql": "CREATE TRIGGER mine AFTER INSERT ON payments"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    },
    "a dropped index": {
        "sqlite": "DROP INDEX ix_authorizations_wake_us",
        "postgresql": "DROP INDEX ix_authorizations_wake_us",
    },
    "an index of fewer rows": {
        "sqlite": "DROP INDEX ix_cases_state; CREATE INDEX ix_cases_state ON cases"
        " (state, case_id) WHERE state = 'OPEN'",
        "postgresql": "DROP INDEX ix_cases_state; CREATE INDEX ix_cases_state ON cases"
        " (state, case_id) WHERE state = 'OPEN'",
    },
    "an index that is not unique": {
        "sqlite": "DROP INDEX ix_late_pickups_started_id; CREATE INDEX ix_late_pickups_started_id"
        " ON late_pickups (user_id, started_id)",
        "postgresql": "DROP INDEX ix_late_pickups_started_id; CREATE INDEX"
        " ix_late_pickups_started_id ON late_pickups (user_id, started_id)",
    },
    "a dropped CHECK": {
        "sqlite": "PRAGMA writable_schema=ON; UPDATE sqlite_master SET"
        " sql = replace(sql, 'amount_minor > 0', 'amount_minor > -9') WHERE name = 'payments'",
        "postgresql": "ALTER TABLE payments DROP CONSTRAINT ck_payments_amount_positive",
    },
    "a dropped key": {
        "sqlite": "PRAGMA writable_schema=ON; UPDATE sqlite_master SET"
        " sql = replace(sql, 'KEY (caller, request_id)', 'KEY (caller, request_id, method)')"
        " WHERE name = 'requests'",
        "postgresql": "ALTER TABLE requests DROP CONSTRAINT pk_requests",
    },
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_changed_schema_is_found(database: Engine, change: str) -> None:
    """A trigger, index, key or CHECK that is missing or differs from the migrations' is named."""
    script = CHANGES[change].get(database.dialect.name)
    if script is None:
        pytest.skip("SQLite has no such state")
    with closing(database.raw_connection()) as session:
        driver = session.driver_connection
        assert driver is not None
        if database.dialect.name == "sqlite":
            driver.executescript(script)
        else:
            driver.execute(script)
        driver.commit()
    database.dispose()
    fault = check_integrity(database).fault
    assert fault is not None
    assert fault.rule in ("SCHEMA", "DAMAGED")


def test_the_books_fault_comes_before_the_schemas(file: Path) -> None:
    """If a trigger is missing and a row is wrong, the row is named."""
    with at(file) as desk:
        desk.put_user("ann", 700)
        rental(desk, settle(rental(desk, authorize()), 500))
    real_answers(file)
    engine = open_database(f"sqlite:///{file}")
    assert verify_database(engine).fault is None
    tamper(file, "UPDATE entries SET amount_minor = amount_minor + 1 WHERE sequence = 1")
    fault = verify_database(engine).fault
    engine.dispose()
    assert fault is not None
    assert fault.rule == "BALANCE_AFTER"


@pytest.mark.parametrize("extension", [True, False])
def test_an_index_without_a_row_is_found_on_postgresql(cluster: Cluster, extension: bool) -> None:
    """An index that misses a row is found, with amcheck and without it."""
    name = cluster.fresh()
    engine = open_database(cluster.url(name))
    try:
        with writing(engine) as connection:
            if extension:
                connection.execute(text("CREATE EXTENSION amcheck"))
            ready = (
                "UPDATE pg_index SET indisready = {} WHERE indexrelid = 'pk_operators'::regclass"
            )
            connection.execute(text(ready.format("false")))
        with writing(engine) as connection:
            connection.execute(
                text("INSERT INTO operators (operator_id, name, fee_bp, create_us)"
                     " VALUES ('unseen', 'Unseen', 0, 0)")
            )  # fmt: skip
        with writing(engine) as connection:
            connection.execute(text(ready.format("true")))
        found = check_integrity(engine)
    finally:
        engine.dispose()
        cluster.drop(name)
    assert found.fault is not None
    assert (found.fault.rule, found.fault.row) == ("DAMAGED", "index pk_operators")
    assert any("amcheck" in note for note in found.notes) is not extension


def test_a_request_id_has_one_authorization(file: Path) -> None:
    """Two authorizations of one request id are a fault, although the id's call was kept. The
    authorizations of a group share one id."""
    with at(file) as desk:
        desk.put_user("ann", 700)
        for _ in range(2):
            rental(desk, settle(rental(desk, authorize()), 500))
        acts.members(desk, acts.group("ann", ("bike", "x-1"), ("power-bank", "x-2")))
    ordered = "FROM authorizations WHERE group_id = '' ORDER BY authorization_id LIMIT 1"
    first, second = f"SELECT request_id {ordered}", f"SELECT decision_id {ordered} OFFSET 1"
    engine = open_database(f"sqlite:///{file}")
    assert verify_books(engine).fault is None
    change = f"UPDATE {{}} SET request_id = ({first}) WHERE decision_id = ({second})"
    tamper(file, change.format("decisions"), change.format("authorizations"))
    fault = verify_books(engine).fault
    engine.dispose()
    assert fault is not None
    assert fault.rule == "REQUEST_TWICE"
