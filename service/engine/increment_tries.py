"""Counts the tries of increments, because each answer tells something about the credit line.

Increments and decreases in turn would find the free part of a line by bisection. So the policy
bounds the tries on one authorization. A granted try has the row of its decision, and a refused one
a row of its own, so a restart forgets none. A retry that gets its first answer again is no try.

Two processes never use the same try: the lock and the version of the authorization and its line
guard a granted try, and the key of its row guards a refused one.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from service.domain import increments
from service.domain.authorization import Authorization
from service.domain.errors import FreeholdError
from service.domain.policy import Policy
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context
from service.engine.ports import Transaction
from service.engine.records.refused_increments import RefusedIncrementRecord
from service.engine.rows import Draft, Rows, Wish
from service.engine.tables import LATER_DECISIONS, REFUSED_INCREMENTS, Pair, Table

_BY_AUTHORIZATION = ("user_id", "authorization_id")
_LEFT = "tries_left"


def read_tries(rows: Rows, raised: AbstractSet[Pair], transaction: Transaction) -> None:
    """Reads the earlier tries of the authorizations that a batch increments."""
    tables = (LATER_DECISIONS, REFUSED_INCREMENTS)
    transaction.read(rows, [Wish(table, _BY_AUTHORIZATION, set(raised)) for table in tables])


def require_try(it: Authorization, policy: Policy, rows: Rows) -> None:
    """Raises IllegalState if all tries of the authorization are used."""
    increments.require_try(it, policy, _used((it.user_id, it.authorization_id), rows))


def count_try(refusal: FreeholdError, it: Authorization, policy: Policy, rows: Rows) -> None:
    """Adds the number of tries that are left to a refusal that was decided on the line."""
    if policy.most_increments is not None:
        used = _used((it.user_id, it.authorization_id), rows) + 1
        refusal.metadata[_LEFT] = str(policy.most_increments - used)


def add_refused(
    draft: Draft,
    work: Work,
    it: AuthorizationCommand,
    refusal: FreeholdError,
    rows: Rows,
    context: Context,
) -> None:
    """Adds the row of a refused try; a refusal that was not decided on the line is none."""
    if _LEFT not in refusal.metadata:
        return
    row = RefusedIncrementRecord(
        it.user_id,
        it.authorization_id,
        _count(REFUSED_INCREMENTS, (it.user_id, it.authorization_id), rows) + 1,
        work.caller,
        work.request_id,
        refusal.reason,
        context.now_us,
        b"",
    )
    draft[REFUSED_INCREMENTS].append(row._replace(digest=row.expected_digest))


def _used(key: Pair, rows: Rows) -> int:
    return _count(LATER_DECISIONS, key, rows) + _count(REFUSED_INCREMENTS, key, rows)


def _count(table: Table[tuple[str, str, int], Any], key: Pair, rows: Rows) -> int:
    return sum(row_key[:2] == key for row_key in rows[table])
