"""Who may do what: scopes of API keys, and the keys themselves."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum

KEY_BYTES = 24
KEY_PREFIX = "fh_"


class Scope(StrEnum):
    """What a key may be used for."""

    AUTHORIZATIONS_READ = "authorizations.read"
    AUTHORIZATIONS_WRITE = "authorizations.write"
    USERS_WRITE = "users.write"
    PROFILES_READ = "profiles.read"
    PAYMENTS_WRITE = "payments.write"
    BOOKS_VERIFY = "books.verify"
    SANDBOX_CLOCK = "sandbox.clock"


OPERATOR_SCOPES = frozenset({Scope.AUTHORIZATIONS_READ, Scope.AUTHORIZATIONS_WRITE})
PLATFORM_SCOPES = frozenset(Scope) - OPERATOR_SCOPES


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: an operator, or the platform (`operator_id` None)."""

    operator_id: str | None
    scopes: frozenset[Scope]


def new_key() -> str:
    """A fresh key with 192 bits of chance; shown once and kept only as its hash."""
    return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)


def hash_key(key: str) -> str:
    """The form in which a key is kept. It has too much chance in it to need a salt."""
    return hashlib.sha256(key.encode()).hexdigest()
