"""What is set up from the shell: operators, their products, keys."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from service.domain.access import (
    OPERATOR_SCOPES,
    PLATFORM_SCOPES,
    Principal,
    Scope,
    hash_key,
    key_id_of,
)
from service.domain.errors import FreeholdError, InvalidInput, NotFound
from service.engine.records import PLATFORM
from service.storage import tables as t
from service.storage.database import reading, writing

OPERATOR_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


class OperatorExists(FreeholdError):
    """An operator with this id is there already."""

    def __init__(self, operator_id: str) -> None:
        super().__init__(
            "OPERATOR_EXISTS", f"operator {operator_id} exists", {"operator": operator_id}
        )


def _defaults() -> dict[str, Any]:
    text = resources.files("service").joinpath("data/defaults.toml").read_text("utf-8")
    return tomllib.loads(text)


def install_defaults(engine: Engine) -> None:
    """Writes the default limits and policies into a database that has none."""
    defaults = _defaults()
    with writing(engine) as connection:
        if connection.scalar(select(func.count()).select_from(t.limit_steps)) == 0:
            connection.execute(insert(t.limit_steps), defaults["limit"])
        if connection.scalar(select(func.count()).select_from(t.policies)) == 0:
            policies = [_policy_row(policy) for policy in defaults["policy"]]
            connection.execute(insert(t.policies), policies)


def _policy_row(policy: dict[str, Any]) -> dict[str, Any]:
    return {
        "policy_id": policy["policy_id"],
        "revision": 1,
        "zero_from_score": policy["zero_from_score"],
        "reduced_from_score": policy["reduced_from_score"],
        "reduced_credit_share_bp": policy["reduced_credit_share_bp"],
        "offer_window_us": policy["offer_window_minutes"] * MINUTE_US,
        "pickup_window_us": policy["pickup_window_minutes"] * MINUTE_US,
        "max_feature_age_us": policy["max_feature_age_days"] * DAY_US,
        "review_window_us": policy["review_window_hours"] * HOUR_US,
        "rental_period_us": policy["rental_period_hours"] * HOUR_US,
        "claim_window_us": policy["claim_window_hours"] * HOUR_US,
        "missing_window_us": policy["missing_window_days"] * DAY_US,
    }


def create_operator(engine: Engine, operator_id: str, name: str, fee_bp: int, now_us: int) -> None:
    """Registers an operator with the default products.

    Raises InvalidInput for an id that is not lower-case letters, digits and hyphens (at most
    63), and OperatorExists.
    """
    if not OPERATOR_ID.fullmatch(operator_id) or operator_id == PLATFORM:
        raise InvalidInput.of("operator_id", "operator_id.form", "a-z, 0-9 and -, at most 63")
    row = {"operator_id": operator_id, "name": name, "fee_bp": fee_bp, "create_us": now_us}
    products = [
        {**product, "operator_id": operator_id, "revision": 1, "policy_revision": 1}
        for product in _defaults()["product"]
    ]
    with writing(engine) as connection:
        if _operator_exists(connection, operator_id):
            raise OperatorExists(operator_id)
        connection.execute(insert(t.operators), row)
        connection.execute(insert(t.products), products)


def _operator_exists(connection: Connection, operator_id: str) -> bool:
    query = select(t.operators.c.operator_id).where(t.operators.c.operator_id == operator_id)
    return connection.scalar(query) is not None


def add_key(engine: Engine, key: str, operator_id: str | None, now_us: int) -> None:
    """Keeps the hash of a key of an operator, or of the platform (None).

    Raises NotFound when there is no such operator.
    """
    scopes = PLATFORM_SCOPES if operator_id is None else OPERATOR_SCOPES
    row = {
        "key_hash": hash_key(key),
        "operator_id": operator_id,
        "scopes": " ".join(sorted(scopes)),
        "create_us": now_us,
        "revoke_us": None,
    }
    with writing(engine) as connection:
        if operator_id is not None and not _operator_exists(connection, operator_id):
            raise NotFound("operator", operator_id)
        connection.execute(insert(t.api_keys), row)


def revoke_key(engine: Engine, key: str, now_us: int) -> None:
    """Ends a key; raises NotFound for one that is not known or has ended already."""
    statement = (
        update(t.api_keys)
        .where(t.api_keys.c.key_hash == hash_key(key), t.api_keys.c.revoke_us.is_(None))
        .values(revoke_us=now_us)
    )
    with writing(engine) as connection:
        if connection.execute(statement).rowcount != 1:
            raise NotFound("key", "")


def find_principal(engine: Engine, key_hash: str) -> Principal | None:
    """Who a key belongs to; None when it is unknown or revoked."""
    query = select(t.api_keys.c.operator_id, t.api_keys.c.scopes).where(
        t.api_keys.c.key_hash == key_hash, t.api_keys.c.revoke_us.is_(None)
    )
    with reading(engine) as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    scopes = frozenset(Scope(scope) for scope in row.scopes.split())
    return Principal(row.operator_id, scopes, key_id_of(key_hash))
