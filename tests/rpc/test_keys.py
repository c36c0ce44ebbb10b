"""Access: keys, and the scope that each method needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest

from service.domain.access import Scope, hash_key, new_key
from service.storage import admin
from service.storage import schema as t
from service.storage.database import writing
from tests.fakes import START_US
from tests.rpc.examples import example, scope
from tests.rpc.support import (
    EVERY,
    OPERATOR_RPCS,
    PLATFORM_RPCS,
    SHARED_RPCS,
    Caller,
    Desks,
    Refused,
    outcome,
    until,
)

BAD_KEYS = {
    "none": ((), "KEY_MISSING"),
    "empty": ((("authorization", ""),), "KEY_MALFORMED"),
    "basic": ((("authorization", "Basic Y2l0eTpjaXR5"),), "KEY_MALFORMED"),
    "bare": ((("authorization", "fh_0123456789"),), "KEY_MALFORMED"),
    "no key": ((("authorization", "Bearer "),), "KEY_UNKNOWN"),
    "unknown": ((("authorization", "Bearer fh_0123456789"),), "KEY_UNKNOWN"),
    "long": ((("authorization", "Bearer " + "x" * 4000),), "KEY_UNKNOWN"),
    "other header": ((("x-api-key", "fh_0123456789"),), "KEY_MISSING"),
}


@pytest.mark.parametrize("method", EVERY)
def test_without_a_good_key_every_call_is_refused(desk: Desks, method: str) -> None:
    """A missing, malformed or unknown key is UNAUTHENTICATED, for any message."""
    for bad, (metadata, reason) in BAD_KEYS.items():
        for body in (example(method), b"\xff"):
            refusal = desk.operator.refused(method, body, metadata=metadata)
            assert refusal.code is grpc.StatusCode.UNAUTHENTICATED, bad
            assert refusal.reason == reason, bad


def test_a_revoked_key_stops_working(desk: Desks) -> None:
    """A revoked key is UNAUTHENTICATED after at most the time for which keys are cached."""
    key = "fh_to-be-revoked"
    engine = desk.served.store.engine
    admin.add_key(engine, key, "city", START_US)
    caller = Caller(desk.served.address, key)
    try:
        caller.page()
        admin.revoke_key(engine, key, START_US)

        def ended() -> bool:
            result = outcome(caller.page)
            if not isinstance(result, Refused):
                return False
            assert result.code is grpc.StatusCode.UNAUTHENTICATED
            assert result.reason == "KEY_UNKNOWN"
            return True

        until(ended, "the key is refused")
    finally:
        caller.close()


@pytest.fixture(scope="module")
def lacking(desk: Desks) -> Iterator[Callable[[str], Caller]]:
    """Makes callers whose keys have every scope except one."""
    engine, made = desk.served.store.engine, list[Caller]()

    def make(scope: str) -> Caller:
        key = new_key()
        scopes = " ".join(sorted(set(Scope) - {scope}))
        with writing(engine) as connection:
            connection.execute(
                t.api_keys.insert().values(
                    key_hash=hash_key(key), operator_id="city", scopes=scopes, create_us=START_US
                )
            )
        made.append(Caller(desk.served.address, key))
        return made[-1]

    yield make
    for caller in made:
        caller.close()


@pytest.mark.parametrize("method", EVERY)
def test_a_key_is_limited_to_its_scopes(
    desk: Desks, method: str, lacking: Callable[[str], Caller]
) -> None:
    """A key without a method's scope, or of the wrong kind, is denied with the scope's name."""
    needed = scope(method)
    wrong = [lacking(needed)]
    if method not in SHARED_RPCS:
        wrong.append(desk.platform if method in OPERATOR_RPCS else desk.operator)
    for caller in wrong:
        for body in (example(method), b"\xff"):
            refusal = caller.refused(method, body)
            assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
            assert refusal.reason == "SCOPE_MISSING"
            assert refusal.info.metadata["scope"] == needed
            assert needed in refusal.message
    assert set(PLATFORM_RPCS).isdisjoint(OPERATOR_RPCS)
