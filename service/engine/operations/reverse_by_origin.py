"""ReverseByOrigin: reverse an Authorize by its request id, even before it arrives."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import authorization as life
from service.domain import hold
from service.domain.errors import NotFound
from service.engine.aliases import survivor_of
from service.engine.calls import Tombstone, Work
from service.engine.context import Context, Decided
from service.engine.groups import about, members_of
from service.engine.operation import Operation
from service.engine.operations.reverse import Reverse
from service.engine.posting import apply, opened
from service.engine.records.refusals import REFUSED
from service.engine.records.requests import REVERSIBLE_METHODS, TOMBSTONE, RequestRecord
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import REQUESTS


@dataclass(frozen=True, slots=True)
class ReverseByOrigin:
    """Reverse the Authorize with this request id, even before it arrives."""

    user_id: str
    authorize_request_id: str
    expected_version: int | None


def wanted(caller: str, it: ReverseByOrigin, keys: Keys) -> None:
    """Needs the request record of the Authorize, and its authorizations."""
    origin = (caller, it.authorize_request_id)
    keys.users.add(it.user_id)
    keys.named.add(it.user_id)
    keys.requests.add(origin)
    keys.origins.append(origin)
    keys.reversing.add(it.user_id)


def decide(work: Work, it: ReverseByOrigin, rows: Rows, context: Context) -> Decided:
    """Reverses an Authorize by its request id. If the Authorize has not arrived, a tombstone
    refuses it later.

    A group is reversed as a whole or not at all. Members that ended without a charge do not change.
    A refusal names the authorization that cannot be reversed, because the caller did not name it.
    """
    origin = rows[REQUESTS].get((work.caller, it.authorize_request_id))
    if origin is None:
        draft = Draft(list)
        draft[REQUESTS].append(
            RequestRecord(
                work.caller,
                it.authorize_request_id,
                TOMBSTONE,
                b"",
                b"",
                it.user_id,
                "",
                context.now_us,
            )
        )
        return Decided(draft, Tombstone(), it.user_id, "")
    method = origin.method.removesuffix(REFUSED)
    user_id = survivor_of(it.user_id, rows)
    if origin.user_id not in (it.user_id, user_id) or method not in REVERSIBLE_METHODS:
        raise NotFound("authorization", it.authorize_request_id)
    if origin.method == TOMBSTONE or origin.method != method:
        # There is nothing to reverse, and nothing will be held under this request id.
        return Decided(Draft(list), Tombstone(), it.user_id, "")
    named = Reverse(origin.user_id, origin.authorization_id, expected_version=it.expected_version)
    with about(named.name):
        current, line, draft = opened(work.caller, named, rows, context)
    members = members_of(current, line, draft, rows, context)
    result = current
    for member in [member for member in members if member.state not in life.UNCHARGED] or [current]:
        with about(member.name):
            step = hold.reverse(member, context.now_us)
        after = apply(draft, step, line, rows, context)
        result = after if member is current else result
    return Decided(draft, result, result.user_id, result.authorization_id)


REVERSE_BY_ORIGIN = Operation(ReverseByOrigin, wanted, decide)
