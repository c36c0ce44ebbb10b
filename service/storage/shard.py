"""Spreads the tables over the nodes of a Citus cluster: people by their id, the rest beside them.

Citus keeps a unique key only where it contains the column that a table is spread by. So it is
with every key here but the outbox's, which is widened.

Only the schema is ready. Citus takes no SELECT ... FOR UPDATE over several shards, and none whose
keys come from a join instead of an equality (its issue 4647), so the statements of a batch have to
become one a person before a server can run on it.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, text

from service.domain.errors import FreeholdError
from service.storage.database import take_time, writing

# Everything about one person stands on one node, by `user_id`.
BY_USER = (
    "users",
    "feature_snapshots",
    "lines",
    "entries",
    "authorizations",
    "decisions",
    "transfers",
    "sealed_heads",
    "outbox",
)
# The named exceptions: what must be unique for a caller or an operator, whoever the person is.
BY_CALLER = {
    "requests": "caller",
    "payments": "caller",
    "open_items": "operator_id",
    "operator_payables": "operator_id",
}
# What everybody reads and hardly anybody writes: on every node.
EVERYWHERE = (
    "compatibility",
    "operators",
    "api_keys",
    "policies",
    "products",
    "limit_steps",
    "terms_changes",
    "feature_schemas",
    "seals",
)
# Numbers from one sequence stay unique without a key of their own.
WIDENED = {"outbox": ("user_id", "sequence")}


# Citus calls every trigger unsafe that it cannot see through. Ours refuse changes of what is only
# ever added, and look at nothing but the row. Now, and for every session from here on.
TRIGGERS = (
    "SET LOCAL citus.enable_unsafe_triggers = on",
    """DO $$
    BEGIN
        EXECUTE format(
            'ALTER DATABASE %I SET citus.enable_unsafe_triggers = on', current_database()
        );
    END $$""",
)


class ShardingUnavailable(FreeholdError):
    """The database cannot be sharded: it is no PostgreSQL, or has no Citus."""

    def __init__(self, why: str) -> None:
        super().__init__("SHARDING_UNAVAILABLE", why)


def statements(table: str) -> list[str]:
    """What spreads one table; KeyError for a table that is in no group."""
    if table in EVERYWHERE:
        return [f"SELECT create_reference_table('{table}')"]
    widen = []
    if table in WIDENED:
        key = f"pk_{table} PRIMARY KEY ({', '.join(WIDENED[table])})"
        widen = [f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}, ADD CONSTRAINT {key}"]
    column = "user_id" if table in BY_USER else BY_CALLER[table]
    group = tuple(BY_USER if table in BY_USER else BY_CALLER)
    beside = "none" if table == group[0] else group[0]
    return [
        *widen,
        f"SELECT create_distributed_table('{table}', '{column}', colocate_with => '{beside}')",
    ]


def shard(engine: Engine) -> list[str]:
    """Spreads every table that is not spread yet, in one transaction; returns their names.

    For a migrated database, rows included. Raises ShardingUnavailable.
    """
    if engine.dialect.name != "postgresql":
        raise ShardingUnavailable("sharding needs PostgreSQL with Citus")
    with writing(engine) as connection:
        # Rows move to their nodes, which may take longer than any call may.
        take_time(connection)
        available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'citus'"
        if not connection.scalar(text(available)):
            raise ShardingUnavailable("Citus is not installed on this PostgreSQL server")
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS citus"))
        return distribute(connection)


def distribute(connection: Connection) -> list[str]:
    """Spreads every table that is not spread yet over a cluster that has Citus."""
    known = connection.scalars(text("SELECT logicalrelid::regclass::text FROM pg_dist_partition"))
    spread = set(known)
    left = [name for name in (*EVERYWHERE, *BY_USER, *BY_CALLER) if name not in spread]
    for statement in TRIGGERS:
        connection.execute(text(statement))
    for name in left:
        for statement in statements(name):
            connection.execute(text(statement))
    return left
