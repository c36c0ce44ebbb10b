"""Distributes the tables over the nodes of a Citus cluster by user id.

Citus supports a unique key only if it contains the distribution column. All keys do, except the
outbox's, which is widened.

Only the schema is ready. Citus does not support SELECT ... FOR UPDATE over several shards, nor one
whose keys come from a join instead of an equality (its issue 4647). Before a server can run on it,
a batch must use one statement for each person.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, text

from service.domain.errors import FreeholdError
from service.storage.database import backend_of, take_time, writing

# All rows of one person are on one node, by `user_id`.
BY_USER = (
    "users",
    "feature_snapshots",
    "lines",
    "entries",
    "authorizations",
    "decisions",
    "captures",
    "corrections",
    "debts",
    "late_pickups",
    "cases",
    "case_evidence",
    "attestations",
    "charge_backs",
    "authorization_details",
    "lapses",
    "consents",
    "verdicts",
    "unposted_dockings",
    "later_decisions",
    "refused_increments",
    "quotas",
    "quota_uses",
    "passes",
    "transfers",
    "sealed_heads",
    "outbox",
)
# The named exceptions: rows that must be unique for a caller or an operator.
BY_CALLER = {
    "requests": "caller",
    "payments": "caller",
    "suspense": "caller",
    "open_items": "operator_id",
    "operator_payables": "operator_id",
    "budget_accounts": "operator_id",
    "budget_leases": "operator_id",
}
# Tables that are read by all and rarely written: a copy on every node.
EVERYWHERE = (
    "compatibility",
    "operators",
    "api_keys",
    "persons",
    "audit_heads",
    "audit",
    "proposals",
    "policies",
    "products",
    "limit_steps",
    "exposure_rates",
    "terms_changes",
    "terms_documents",
    "compiled_products",
    "feature_schemas",
    "models",
    "seals",
    "rail_accounts",
    "aliases",
    "breakers",
    "listings",
    "listing_kinds",
)
# Numbers of a sequence stay unique without a key of their own.
WIDENED = {"outbox": ("user_id", "sequence")}


# Citus calls every trigger unsafe that it cannot analyse. Our triggers refuse changes of
# append-only rows, and read only the row itself. They are allowed for this session and all later
# ones.
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
    """The database cannot be sharded, because it is not PostgreSQL or has no Citus."""

    def __init__(self, why: str) -> None:
        super().__init__("SHARDING_UNAVAILABLE", why)


def statements(table: str) -> list[str]:
    """The statements that distribute one table. Raises KeyError for a table that is in none of the
    groups."""
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
    """Distributes all tables that are not distributed yet, in one transaction. Returns the names of
    these tables.

    The database must be migrated, and may have rows. Raises ShardingUnavailable.
    """
    if backend_of(engine).is_file:
        raise ShardingUnavailable("sharding needs PostgreSQL with Citus")
    with writing(engine) as connection:
        # Moving rows to their nodes may take longer than a call's timeout.
        take_time(connection)
        available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'citus'"
        if not connection.scalar(text(available)):
            raise ShardingUnavailable("Citus is not installed on this PostgreSQL server")
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS citus"))
        return distribute(connection)


def distribute(connection: Connection) -> list[str]:
    """Distributes all tables that are not distributed yet over a cluster with Citus."""
    known = connection.scalars(text("SELECT logicalrelid::regclass::text FROM pg_dist_partition"))
    spread = set(known)
    left = [name for name in (*EVERYWHERE, *BY_USER, *BY_CALLER) if name not in spread]
    for statement in TRIGGERS:
        connection.execute(text(statement))
    for name in left:
        for statement in statements(name):
            connection.execute(text(statement))
    return left
