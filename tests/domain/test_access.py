"""Keys and scopes."""

from __future__ import annotations

import pytest

from service.domain.access import (
    KEY_PREFIX,
    OPERATOR_SCOPES,
    PLATFORM_SCOPES,
    SHARED_SCOPES,
    KeyScopes,
    Scope,
    hash_key,
    key_id_of,
    new_key,
    read_scopes,
    scopes_of,
    write_scopes,
)

RELEASED = {
    "authorizations.read", "authorizations.write", "returns.claim", "users.write", "profiles.read",
    "limits.write", "standings.write", "reviews.read", "reviews.write", "payments.write",
    "disputes.write", "write_offs.write", "payouts.read", "payouts.write", "transfers.read",
    "transfers.report", "books.read", "books.verify", "sandbox.clock", "cases.read", "cases.write",
    "proposals.write", "keys.admin", "quotes.read", "listings.read", "listings.write",
    "terms.read", "terms.write", "terms.activate",
}  # fmt: skip
"""Every scope that a released build knew, removed ones too: names are only ever added here."""
REMOVED: set[str] = set()
"""The scopes among them that were removed."""


def test_the_name_of_a_removed_scope_is_never_used_again() -> None:
    """The scopes of this build are all scopes that were ever released, without the removed
    scopes."""
    assert set(Scope) == RELEASED - REMOVED


@pytest.mark.parametrize("operator_id", ["city", None])
def test_a_new_key_has_every_scope_of_its_owner(operator_id: str | None) -> None:
    """A new key has exactly the scopes that were written; no scope is ignored or withheld."""
    scopes = read_scopes(write_scopes(scopes_of(operator_id)), operator_id)
    assert scopes == KeyScopes(scopes_of(operator_id), frozenset(), frozenset())


def test_a_removed_scope_is_ignored() -> None:
    """A key with a removed scope keeps its other scopes and reports the removed one as ignored."""
    scopes = read_scopes("authorizations.read bikes.fly authorizations.write", "city")
    assert scopes.granted == {Scope.AUTHORIZATIONS_READ, Scope.AUTHORIZATIONS_WRITE}
    assert scopes.ignored == {"bikes.fly"}
    assert scopes.withheld == SHARED_SCOPES | {Scope.QUOTES_READ}


def test_an_added_scope_is_withheld_from_old_keys() -> None:
    """A scope that was added after a key was made is withheld from the key."""
    before = scopes_of(None) - {Scope.SANDBOX_CLOCK}
    scopes = read_scopes(write_scopes(before), None)
    assert scopes == KeyScopes(before, frozenset(), frozenset({Scope.SANDBOX_CLOCK}))


def test_operators_and_the_platform_share_scopes() -> None:
    """Operators read and write authorizations and ask for quotes; both claim returns for a user,
    take part in cases, propose acts, keep listings and read their terms; and everything else is the
    platform's alone. Nobody manages keys or changes terms unless that is said."""
    shared = {*(Scope.RETURNS_CLAIM, Scope.CASES_READ, Scope.CASES_WRITE), Scope.PROPOSALS_WRITE}
    shared |= {Scope.LISTINGS_READ, Scope.LISTINGS_WRITE, Scope.TERMS_READ}
    explicit = {Scope.KEYS_ADMIN, Scope.TERMS_WRITE, Scope.TERMS_ACTIVATE}
    own = {Scope.AUTHORIZATIONS_READ, Scope.AUTHORIZATIONS_WRITE, Scope.QUOTES_READ}
    assert own | shared == OPERATOR_SCOPES
    assert frozenset(Scope) - own - explicit == PLATFORM_SCOPES


def test_keys_are_random() -> None:
    """Each key is new and recognisable, and holds at least 192 random bits."""
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith(KEY_PREFIX) and len(key) >= 3 + 192 // 6 for key in keys)


def test_a_key_is_stored_as_its_hash() -> None:
    """A key is stored as the hexadecimal SHA-256 of its text."""
    assert hash_key("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_key_has_a_name() -> None:
    """A key's name is the first sixteen digits of its hash; two keys have two names."""
    names = {key_id_of(hash_key(new_key())) for _ in range(100)}
    assert len(names) == 100
    assert key_id_of(hash_key("abc")) == "ba7816bf8f01cfea"
