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
from typing import Any

from sqlalchemy import Engine, func, insert, select

from service.domain.access import PLATFORM, hash_key, key_id_of
from service.domain.errors import FreeholdError, InvalidInput
from service.engine.records.administration import Asked, By, NewKey
from service.storage import schema as t
from service.storage.administration import Administration, administer, require_text
from service.storage.adoption import ADOPTED, Adoption
from service.storage.database import writing
from service.storage.keys import create_key
from service.storage.keys import revoke_key as end

NEW_DATABASE = "default terms of a new database"
NEW_OPERATOR = "default terms of a new operator"
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


def install_defaults(engine: Engine, now_us: int = 0) -> None:
    """Writes the default limits and policies into a database that has none.

    The platform's terms that have no documents get them, those of earlier builds too.
    """
    defaults = _defaults()
    with writing(engine) as connection:
        if connection.scalar(select(func.count()).select_from(t.limit_steps)) == 0:
            connection.execute(insert(t.limit_steps), defaults["limit"])
        if connection.scalar(select(func.count()).select_from(t.policies)) == 0:
            policies = [_policy_row(policy) for policy in defaults["policy"]]
            connection.execute(insert(t.policies), policies)
        Adoption(connection, PLATFORM, now_us, ADOPTED, NEW_DATABASE).run()


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
        "most_increments": policy["most_increments"],
    }


ADMIN = "freehold admin"
"""The caller of shell commands in request records; no operator's id has a space."""


def by_shell(method: str, body: Sequence[object], request_id: str, user: str = "") -> Asked:
    """The request of a command; `user` is the user of the shell."""
    content = json.dumps(body).encode()
    by = By(None, user or "unknown")

    def differs(first: bytes) -> str | None:
        return None if first == content else "body"

    return Asked(by, ADMIN, request_id, method, content, differs, _key_of)


def _key_of(answer: bytes) -> str:
    """The id of the key whose hash is the answer that a command stored."""
    return key_id_of(answer.decode())


def create_operator(
    engine: Engine,
    operator_id: str,
    name: str,
    fee_bp: int,
    now_us: int,
    *,
    request_id: str = "",
    user: str = "",
) -> None:
    """Registers an operator with the default products.

    Raises InvalidInput for a malformed id or name, OperatorExists, and RequestIdReused.
    """
    row = {"operator_id": operator_id, "name": name, "fee_bp": fee_bp, "create_us": now_us}
    products = [
        {**product, "operator_id": operator_id, "revision": 1, "policy_revision": 1}
        for product in _defaults()["product"]
    ]
    asked = by_shell("create_operator", [operator_id, name, fee_bp], request_id, user)

    def act(desk: Administration) -> bytes:
        # A retry is answered first: today's input rules are only for new requests.
        if not OPERATOR_ID.fullmatch(operator_id) or operator_id == PLATFORM:
            text = "must match [a-z0-9][a-z0-9-]{0,62}"
            raise InvalidInput.of("operator_id", "operator_id.form", text)
        require_text("name", name, shortest=1)
        known = t.operators.c.operator_id
        if desk.connection.scalar(select(known).where(known == operator_id)) is not None:
            raise OperatorExists(operator_id)
        desk.connection.execute(insert(t.operators), row)
        desk.connection.execute(insert(t.products), products)
        for owner in (PLATFORM, operator_id):
            by = asked.by.text
            Adoption(desk.connection, owner, now_us, by, NEW_OPERATOR).run()
        desk.note("operator.created", f"operators/{operator_id}", name=name, fee_bp=fee_bp)
        return b""

    administer(engine, asked, PLATFORM, now_us, act)


def add_key(
    engine: Engine,
    key: str,
    operator_id: str | None,
    now_us: int,
    *,
    request_id: str = "",
    user: str = "",
    wanted: NewKey | None = None,
    said: Sequence[object] = (),
) -> None:
    """Stores the hash of a key of an operator, or of the platform (`operator_id` None).

    `wanted` has its person, label, scopes and expiry, and `said` what the command said of them.
    With a known request id, the key replaces the key of the first try. Raises as
    `keys.create_key`.
    """
    asked = by_shell("create_key", [operator_id, *said], request_id, user)
    it = wanted or NewKey(operator_id)
    create_key(engine, asked, it, key, now_us, lambda _made, _key: hash_key(key).encode())


def revoke_key(
    engine: Engine, key: str, now_us: int, *, request_id: str = "", user: str = ""
) -> None:
    """Ends a key by its text. Raises NotFound for an unknown or ended key, and RequestIdReused."""
    asked = by_shell("revoke_key", [hash_key(key)], request_id, user)
    end(engine, asked, key_id_of(hash_key(key)), now_us, lambda _: b"")
