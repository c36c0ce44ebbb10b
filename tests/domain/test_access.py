"""Keys and scopes."""

from __future__ import annotations

from service.domain.access import (
    KEY_PREFIX,
    OPERATOR_SCOPES,
    PLATFORM_SCOPES,
    Scope,
    hash_key,
    key_id_of,
    new_key,
)


def test_operators_and_the_platform_share_one_scope() -> None:
    """Operators read and write authorizations, both claim returns for a user, and everything
    else is the platform's alone."""
    own = {Scope.AUTHORIZATIONS_READ, Scope.AUTHORIZATIONS_WRITE}
    assert own | {Scope.RETURNS_CLAIM} == OPERATOR_SCOPES
    assert frozenset(Scope) - own == PLATFORM_SCOPES


def test_keys_are_chance() -> None:
    """Every key is new, can be recognised, and holds at least 192 bits of chance."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith(KEY_PREFIX) and len(key) >= 3 + 192 // 6 for key in keys)


def test_a_key_is_kept_as_its_hash() -> None:
    """The form in which a key is kept is the hexadecimal SHA-256 of its text."""
    assert hash_key("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_key_has_a_name() -> None:
    """A key's name is the first sixteen digits of its hash, and another for another key."""
    names = {key_id_of(hash_key(new_key())) for _ in range(100)}
    assert len(names) == 100
    assert key_id_of(hash_key("abc")) == "ba7816bf8f01cfea"
