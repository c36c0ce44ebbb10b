"""Set-up from the shell: operators, their products, and keys.

Each of these commands takes a request id, so it can be retried after an unknown outcome, like a
call. The same id and content take effect once; the same id with other content is refused. A key is
shown once and not stored, so a retry cannot show it again: the retry's key replaces the key of the
first try.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from service.domain.access import (
    PLATFORM,
    KeyScopes,
    Principal,
    hash_key,
    key_id_of,
    read_scopes,
    scopes_of,
    write_scopes,
)
from service.domain.errors import FreeholdError, InvalidInput, NotFound, RequestIdReused
from service.engine.records.requests import RequestRecord
from service.storage import schema as t
from service.storage.database import reading, writing

OPERATOR_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


class OperatorExists(FreeholdError):
    """An operator with this id exists already."""

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
        "report_window_us": policy["report_window_days"] * DAY_US,
        "overdue_window_us": policy["overdue_window_hours"] * HOUR_US,
        "refund_after_us": policy["refund_after_hours"] * HOUR_US,
        "debt_window_us": policy["debt_window_days"] * DAY_US,
        "pause_limit_us": policy["pause_limit_hours"] * HOUR_US,
        "most_pauses": policy["most_pauses"],
    }


ADMIN = "freehold admin"
"""The caller of shell commands in request records; no operator's id has a space."""


def _first_outcome(
    connection: Connection, request_id: str, method: str, body: Sequence[object]
) -> str | None:
    """The stored answer of the request id, or None for a new id. Raises RequestIdReused."""
    r = t.requests.c
    query = select(r.method, r.body, r.answer).where(r.caller == ADMIN, r.request_id == request_id)
    found = connection.execute(query).first() if request_id else None
    if found is None:
        return None
    if found.method != method:
        raise RequestIdReused("method")
    if found.body != json.dumps(body).encode():
        raise RequestIdReused("body")
    return str(found.answer.decode())


def _record(
    connection: Connection,
    request_id: str,
    method: str,
    body: Sequence[object],
    answer: str,
    now_us: int,
) -> None:
    if not request_id:
        return
    r = t.requests.c
    connection.execute(delete(t.requests).where(r.caller == ADMIN, r.request_id == request_id))
    row = RequestRecord(
        ADMIN, request_id, method, json.dumps(body).encode(), answer.encode(), "", "", now_us
    )
    connection.execute(insert(t.requests), row._asdict())


def create_operator(
    engine: Engine, operator_id: str, name: str, fee_bp: int, now_us: int, *, request_id: str = ""
) -> None:
    """Registers an operator with the default products.

    Raises InvalidInput for a malformed id, OperatorExists, and RequestIdReused.
    """
    row = {"operator_id": operator_id, "name": name, "fee_bp": fee_bp, "create_us": now_us}
    products = [
        {**product, "operator_id": operator_id, "revision": 1, "policy_revision": 1}
        for product in _defaults()["product"]
    ]
    body = [operator_id, name, fee_bp]
    with writing(engine) as connection:
        # A retry is answered first: today's input rules are only for new requests.
        if _first_outcome(connection, request_id, "create_operator", body) is not None:
            return
        if not OPERATOR_ID.fullmatch(operator_id) or operator_id == PLATFORM:
            text = "must match [a-z0-9][a-z0-9-]{0,62}"
            raise InvalidInput.of("operator_id", "operator_id.form", text)
        if _operator_exists(connection, operator_id):
            raise OperatorExists(operator_id)
        connection.execute(insert(t.operators), row)
        connection.execute(insert(t.products), products)
        _record(connection, request_id, "create_operator", body, "", now_us)


def _operator_exists(connection: Connection, operator_id: str) -> bool:
    query = select(t.operators.c.operator_id).where(t.operators.c.operator_id == operator_id)
    return connection.scalar(query) is not None


def add_key(
    engine: Engine, key: str, operator_id: str | None, now_us: int, *, request_id: str = ""
) -> None:
    """Stores the hash of a key of an operator, or of the platform (`operator_id` None).

    With a known request id, the key replaces the key of the first try. Raises NotFound if there is
    no such operator, and RequestIdReused.
    """
    row = {
        "key_hash": hash_key(key),
        "operator_id": operator_id,
        "scopes": write_scopes(scopes_of(operator_id)),
        "create_us": now_us,
        "revoke_us": None,
    }
    with writing(engine) as connection:
        if operator_id is not None and not _operator_exists(connection, operator_id):
            raise NotFound("operator", operator_id)
        before = _first_outcome(connection, request_id, "create_key", [operator_id])
        if before is not None:
            replaced = t.api_keys.c.key_hash == before, t.api_keys.c.revoke_us.is_(None)
            connection.execute(update(t.api_keys).where(*replaced).values(revoke_us=now_us))
        connection.execute(insert(t.api_keys), row)
        _record(connection, request_id, "create_key", [operator_id], hash_key(key), now_us)


def revoke_key(engine: Engine, key: str, now_us: int, *, request_id: str = "") -> None:
    """Revokes a key. Raises NotFound for an unknown or revoked key, and RequestIdReused."""
    statement = (
        update(t.api_keys)
        .where(t.api_keys.c.key_hash == hash_key(key), t.api_keys.c.revoke_us.is_(None))
        .values(revoke_us=now_us)
    )
    with writing(engine) as connection:
        body = [hash_key(key)]
        if _first_outcome(connection, request_id, "revoke_key", body) is not None:
            return
        if connection.execute(statement).rowcount != 1:
            raise NotFound("key", "")
        _record(connection, request_id, "revoke_key", body, "", now_us)


def find_principal(engine: Engine, key_hash: str) -> Principal | None:
    """The owner of a key and its scopes; None if the key is unknown or revoked."""
    k = t.api_keys.c
    query = select(k.operator_id, k.scopes, k.certificates).where(
        k.key_hash == key_hash, k.revoke_us.is_(None)
    )
    with reading(engine) as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    scopes = read_scopes(row.scopes, row.operator_id).granted
    certificates = frozenset(row.certificates.split())
    return Principal(row.operator_id, scopes, key_id_of(key_hash), certificates)


class KeyInfo(NamedTuple):
    """A key without its secret: its id, its owner (None for the platform), its scopes, its times,
    and the fingerprints of the certificates to which it is bound.

    The times of making and revoking are microseconds since the epoch.
    """

    key_id: str
    operator_id: str | None
    scopes: KeyScopes
    create_us: int
    revoke_us: int | None
    certificates: frozenset[str] = frozenset()


def list_keys(engine: Engine) -> list[KeyInfo]:
    """All keys: the platform's first, then by operator, each the oldest first."""
    with reading(engine) as connection:
        found = connection.execute(select(t.api_keys)).all()
    keys = [
        KeyInfo(
            key_id_of(row.key_hash),
            row.operator_id,
            read_scopes(row.scopes, row.operator_id),
            row.create_us,
            row.revoke_us,
            frozenset(row.certificates.split()),
        )
        for row in found
    ]
    return sorted(keys, key=lambda it: (it.operator_id or "", it.create_us, it.key_id))
