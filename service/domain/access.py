"""API keys and their scopes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

PLATFORM = "platform"
"""The caller of the platform's keys in request records; no operator may have this id."""

KEY_BYTES = 24
KEY_PREFIX = "fh_"
KEY_ID_LENGTH = 16


class Scope(StrEnum):
    """One permission of a key.

    Never reuse the name of a removed scope: old keys would be granted the new one.
    """

    AUTHORIZATIONS_READ = "authorizations.read"
    AUTHORIZATIONS_WRITE = "authorizations.write"
    QUOTES_READ = "quotes.read"
    RETURNS_CLAIM = "returns.claim"
    USERS_WRITE = "users.write"
    PROFILES_READ = "profiles.read"
    LIMITS_WRITE = "limits.write"
    STANDINGS_WRITE = "standings.write"
    REVIEWS_READ = "reviews.read"
    REVIEWS_WRITE = "reviews.write"
    PAYMENTS_WRITE = "payments.write"
    DISPUTES_WRITE = "disputes.write"
    WRITE_OFFS_WRITE = "write_offs.write"
    PAYOUTS_READ = "payouts.read"
    PAYOUTS_WRITE = "payouts.write"
    TRANSFERS_READ = "transfers.read"
    TRANSFERS_REPORT = "transfers.report"
    BOOKS_READ = "books.read"
    BOOKS_VERIFY = "books.verify"
    SANDBOX_CLOCK = "sandbox.clock"
    CASES_READ = "cases.read"
    CASES_WRITE = "cases.write"
    PROPOSALS_WRITE = "proposals.write"
    LISTINGS_READ = "listings.read"
    LISTINGS_WRITE = "listings.write"
    KEYS_ADMIN = "keys.admin"
    TERMS_READ = "terms.read"
    TERMS_WRITE = "terms.write"
    TERMS_ACTIVATE = "terms.activate"


SHARED_SCOPES = frozenset(
    {
        *(Scope.RETURNS_CLAIM, Scope.CASES_READ, Scope.CASES_WRITE, Scope.PROPOSALS_WRITE),
        *(Scope.LISTINGS_READ, Scope.LISTINGS_WRITE, Scope.TERMS_READ),
    }
)
"""Scopes of operators and of the platform: a user may report a return, or complain, in either's
app, each has terms, and acts that two persons do, and each lists whom it refuses."""
EXPLICIT_SCOPES = frozenset({Scope.KEYS_ADMIN, Scope.TERMS_WRITE, Scope.TERMS_ACTIVATE})
"""Scopes of operators and of the platform that a new key has only if its maker names them."""
OPERATOR_SCOPES = SHARED_SCOPES | {
    *(Scope.AUTHORIZATIONS_READ, Scope.AUTHORIZATIONS_WRITE, Scope.QUOTES_READ),
}
PLATFORM_SCOPES = frozenset(Scope) - (OPERATOR_SCOPES - SHARED_SCOPES) - EXPLICIT_SCOPES


class KeyScopes(NamedTuple):
    """The scopes stored with a key, compared with the scopes of this build."""

    granted: frozenset[Scope]
    """Stored scopes that this build knows: the key may use them."""
    ignored: frozenset[str]
    """Stored scopes that this build does not know: removed since, or added by a later build."""
    withheld: frozenset[Scope]
    """Usual scopes of a new key of the same owner that this key does not have."""


def scopes_of(operator_id: str | None) -> frozenset[Scope]:
    """The usual scopes of a new key: an operator's, or the platform's (`operator_id` None)."""
    return PLATFORM_SCOPES if operator_id is None else OPERATOR_SCOPES


def possible_scopes(operator_id: str | None) -> frozenset[Scope]:
    """All scopes that a key of this owner may have."""
    return scopes_of(operator_id) | EXPLICIT_SCOPES


def write_scopes(scopes: Iterable[Scope]) -> str:
    """The stored form of scopes: sorted names, separated by spaces."""
    return " ".join(sorted(scopes))


def read_scopes(kept: str, operator_id: str | None) -> KeyScopes:
    """The scopes of a stored key of an operator, or of the platform (`operator_id` None).

    Unknown scopes are ignored, so a key outlives the removal of a scope. A key does not get scopes
    that were added after it was made: its maker did not ask for them.
    """
    names = frozenset(kept.split())
    granted = frozenset(scope for scope in Scope if scope in names)
    return KeyScopes(granted, names - granted, scopes_of(operator_id) - granted)


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: an operator or the platform (`operator_id` None), and the key used.

    `person_id` is empty for the key of a program. The key ends at `expire_us`, microseconds since
    the epoch; None means that it does not end by itself.
    """

    operator_id: str | None
    scopes: frozenset[Scope]
    key_id: str
    person_id: str = ""
    expire_us: int | None = None
    certificates: frozenset[str] = frozenset()
    """Fingerprints of client certificates. If there are any, the connection must show one."""
    units_a_second: int | None = None
    """The rate of the key: 0 is no limit, and None the server's rate."""

    @property
    def owner(self) -> str:
        """The operator's id, or "platform"."""
        return self.operator_id or PLATFORM

    @property
    def hand(self) -> str:
        """The name under which one hand acts where two are needed: of the person, under any key,
        or of the key of a program."""
        return f"persons/{self.person_id}" if self.person_id else self.key_id


def new_key() -> str:
    """A new random key of 192 bits; it is shown once, and only its hash is stored."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


def hash_key(key: str) -> str:
    """The stored form of a key. Its 192 random bits need no salt."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_id_of(key_hash: str) -> str:
    """The public id of a key. Records name the key by it; it gives no access."""
    return key_hash[:KEY_ID_LENGTH]
