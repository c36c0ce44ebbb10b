"""Keys and scopes."""

from __future__ import annotations

from service.domain.access import (
    KEY_PREFIX,
    OPERATOR_SCOPES,
    PLATFORM_SCOPES,
    Scope,
    hash_key,
    new_key,
)


def test_operators_and_the_platform_share_no_scope() -> None:
    """Operators read and write authorizations; everything else is the platform's alone."""
    assert frozenset({Scope.AUTHORIZATIONS_READ, Scope.AUTHORIZATIONS_WRITE}) == OPERATOR_SCOPES
    assert frozenset(Scope) - OPERATOR_SCOPES == PLATFORM_SCOPES


def test_keys_are_chance() -> None:
    """Every key is new, can be recognised, and holds at least 192 bits of chance."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith(KEY_PREFIX) and len(key) >= 3 + 192 // 6 for key in keys)


def test_a_key_is_kept_as_its_hash() -> None:
    """The form in which a key is kept is the hexadecimal SHA-256 of its text."""
    assert hash_key("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
