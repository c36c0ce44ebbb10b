"""Sharding: each table's place, the statements for Citus, and the refusals without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, PrimaryKeyConstraint, Table, UniqueConstraint, text

from service.cli import cli
from service.storage import schema as t
from service.storage import shard as s
from service.storage.database import open_database, writing
from tests.conftest import Databases
from tests.postgres import Cluster

TABLES = t.metadata.sorted_tables
SPREAD = {**dict.fromkeys(s.BY_USER, "user_id"), **s.BY_CALLER}

# The parts of Citus that the statements use; it refuses a key without the column, and triggers.
STAND_IN = """
CREATE TABLE pg_dist_partition (logicalrelid regclass PRIMARY KEY, by text, beside text);
CREATE FUNCTION create_reference_table(name regclass) RETURNS void LANGUAGE sql AS $$
    INSERT INTO pg_dist_partition VALUES (name, NULL, NULL)
$$;
CREATE FUNCTION create_distributed_table(
    name regclass, by text, how text DEFAULT 'hash', colocate_with text DEFAULT 'default'
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attname = by
        WHERE indrelid = name AND indisunique AND NOT attnum = ANY (indkey::int2[])
    ) THEN
        RAISE EXCEPTION 'cannot create constraint on "%"', name;
    END IF;
    IF current_setting('citus.enable_unsafe_triggers', true) IS DISTINCT FROM 'on'
        AND EXISTS (SELECT FROM pg_trigger WHERE tgrelid = name)
    THEN
        RAISE EXCEPTION 'cannot distribute relation "%" because it has triggers', name;
    END IF;
    INSERT INTO pg_dist_partition VALUES (name, by, colocate_with);
END $$;
"""


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Engine]:
    """A migrated database on PostgreSQL."""
    name = cluster.fresh()
    engine = open_database(cluster.url(name))
    yield engine
    engine.dispose()
    cluster.drop(name)


def test_every_table_is_in_one_group() -> None:
    """Every table is distributed by person, distributed by caller, or copied everywhere."""
    groups = [*s.BY_USER, *s.BY_CALLER, *s.EVERYWHERE]
    assert sorted(groups) == sorted(table.name for table in TABLES)


def test_tables_with_people_are_distributed_by_person() -> None:
    """Every table with a person column is distributed by person, except the named ones."""
    persons = {table.name for table in TABLES if "user_id" in table.columns}
    assert persons - set(s.BY_USER) == {
        *("requests", "payments", "open_items", "suspense", "aliases"),
    }
    assert {name for name in s.BY_USER if "user_id" not in t.metadata.tables[name].columns} == set()


def unique_keys(table: Table) -> list[set[str]]:
    """The columns of every unique key of a table."""
    keys = [
        {column.name for column in constraint.columns}
        for constraint in table.constraints
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint)
    ]
    return keys + [{c.name for c in index.columns} for index in table.indexes if index.unique]


@pytest.mark.parametrize("name", SPREAD)
def test_every_unique_key_has_the_distribution_column(name: str) -> None:
    """Every unique key of a table contains its distribution column, as Citus demands; the outbox's
    does once it is widened."""
    table = t.metadata.tables[name]
    keys = [set(s.WIDENED[name])] if name in s.WIDENED else unique_keys(table)
    assert keys
    assert all(SPREAD[name] in key for key in keys)


def test_a_widened_key_contains_the_old_one() -> None:
    """A widened key contains the columns that were unique before, which come from a sequence."""
    for name, columns in s.WIDENED.items():
        (key,) = unique_keys(t.metadata.tables[name])
        assert key < set(columns)
        assert key == {"sequence"}


def test_the_statements_for_citus() -> None:
    """People's tables are colocated, callers' tables are colocated, and the catalog is copied
    everywhere."""
    assert s.statements("users") == [
        "SELECT create_distributed_table('users', 'user_id', colocate_with => 'none')"
    ]
    assert s.statements("lines") == [
        "SELECT create_distributed_table('lines', 'user_id', colocate_with => 'users')"
    ]
    assert s.statements("requests") == [
        "SELECT create_distributed_table('requests', 'caller', colocate_with => 'none')"
    ]
    assert s.statements("open_items") == [
        "SELECT create_distributed_table('open_items', 'operator_id', colocate_with => 'requests')"
    ]
    assert s.statements("outbox")[0] == (
        "ALTER TABLE outbox DROP CONSTRAINT pk_outbox, "
        "ADD CONSTRAINT pk_outbox PRIMARY KEY (user_id, sequence)"
    )
    assert s.statements("products") == ["SELECT create_reference_table('products')"]
    with pytest.raises(KeyError):
        s.statements("alembic_version")


def test_each_table_is_distributed_once(database: Engine) -> None:
    """PostgreSQL accepts the statements and every table's keys; a second run finds nothing to
    do."""
    with writing(database) as connection:
        connection.execute(text(STAND_IN))
    with writing(database) as connection:
        assert sorted(s.distribute(connection)) == sorted(table.name for table in TABLES)
    with writing(database) as connection:
        assert s.distribute(connection) == []
        rows = connection.execute(text("SELECT logicalrelid::text, by FROM pg_dist_partition"))
        spread = {row[0]: row[1] for row in rows}
        setting = "SELECT setconfig FROM pg_db_role_setting"
        assert "citus.enable_unsafe_triggers=on" in str(connection.execute(text(setting)).all())
    assert {name: by for name, by in spread.items() if by is not None} == SPREAD


def test_sharding_without_citus_is_refused(databases: Databases) -> None:
    """Without Citus, and always on SQLite, sharding is refused by name and changes nothing."""
    engine = open_database(url := databases.new())
    with pytest.raises(s.ShardingUnavailable) as refused:
        s.shard(engine)
    assert refused.value.reason == "SHARDING_UNAVAILABLE"
    assert "Citus" in refused.value.message
    engine.dispose()
    databases.drop(url)


def test_the_shell_explains_the_refusal(url: str) -> None:
    """`freehold migrate --shard` migrates the schema and explains why it cannot distribute it."""
    done = CliRunner().invoke(cli, ["migrate", "--shard", "--database", url])
    assert isinstance(done.exception, s.ShardingUnavailable)
    assert "database is up to date" not in done.output
