"""Who may do what: scopes of API keys, and the keys themselves."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

PLATFORM = "platform"
"""The caller of record for the platform's keys; no operator may have this id."""

KEY_BYTES = 24
KEY_PREFIX = "fh_"
KEY_ID_LENGTH = 16


class Scope(StrEnum):
    """What a key may be used for.

    The name of a scope that was removed is never given to another: old keys would have it.
    """

    AUTHORIZATIONS_READ = "authorizations.read"
    AUTHORIZATIONS_WRITE = "authorizations.write"
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


SHARED_SCOPES = frozenset({Scope.RETURNS_CLAIM})
"""What operators and the platform may both do: a user says in either's app that an item is back."""
OPERATOR_SCOPES = SHARED_SCOPES | {Scope.AUTHORIZATIONS_READ, Scope.AUTHORIZATIONS_WRITE}
PLATFORM_SCOPES = frozenset(Scope) - (OPERATOR_SCOPES - SHARED_SCOPES)


class KeyScopes(NamedTuple):
    """The scopes of a key as it was made, beside those that there are today."""

    granted: frozenset[Scope]
    """What the key may be used for."""
    ignored: frozenset[str]
    """Scopes that were removed since, or that only a later build knows."""
    withheld: frozenset[Scope]
    """Scopes that a new key of the same owner has, and this one does not."""


def scopes_of(operator_id: str | None) -> frozenset[Scope]:
    """What a new key may be used for: an operator's, or the platform's (None)."""
    return PLATFORM_SCOPES if operator_id is None else OPERATOR_SCOPES


def write_scopes(scopes: Iterable[Scope]) -> str:
    """Scopes as they are kept with a key."""
    return " ".join(sorted(scopes))


def read_scopes(kept: str, operator_id: str | None) -> KeyScopes:
    """The scopes that are kept with a key of an operator, or of the platform (None).

    A scope that nobody knows is ignored, so that a key outlives the removal of one. A scope that
    was added later is not granted: whoever made the key did not mean it.
    """
    names = frozenset(kept.split())
    granted = frozenset(scope for scope in Scope if scope in names)
    return KeyScopes(granted, names - granted, scopes_of(operator_id) - granted)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: an operator, or the platform (`operator_id` None); with which key."""

    operator_id: str | None
    scopes: frozenset[Scope]
    key_id: str


def new_key() -> str:
    """A fresh key with 192 bits of chance; shown once and kept only as its hash."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


def hash_key(key: str) -> str:
    """The form in which a key is kept. It has too much chance in it to need a salt."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_id_of(key_hash: str) -> str:
    """The name of a key, by which records tell who acted; it opens nothing."""
    return key_hash[:KEY_ID_LENGTH]
