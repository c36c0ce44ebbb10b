"""Who may do what: scopes of API keys, and the keys themselves."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum

KEY_BYTES = 24
KEY_PREFIX = "fh_"
KEY_ID_LENGTH = 16


class Scope(StrEnum):
    """What a key may be used for."""

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
