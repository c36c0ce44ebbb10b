"""One call on its way through the engine, and what it may be answered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from service.domain.authorization import Authorization
from service.domain.credit import LimitBasis
from service.domain.ledger import Line
from service.domain.tariff import Fee
from service.engine.records.transfers import TransferRecord


@dataclass(frozen=True, slots=True)
class AuthorizationCommand:
    """A command on an existing authorization; refused unless that has the expected version, if
    any."""

    user_id: str
    authorization_id: str
    expected_version: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Group:
    """Authorizations that were granted together, in the order of the items."""

    authorizations: tuple[Authorization, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """An authorization after a capture, with the arithmetic of a fee for usage."""

    authorization: Authorization
    fee: Fee | None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Nothing was there to reverse; a late Authorize will be declined."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A user's line, the score of the features on record, and what the limit rests on.

    `score` None: there is none, for `unscorable_reason`.
    """

    line: Line
    score: int | None
    band: str
    unscorable_reason: str
    feature_version: int
    as_of_us: int | None
    model_id: str
    scale_version: str
    unscorable_feature: str
    extrapolated: tuple[str, ...]
    limit_basis: LimitBasis


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment between Freehold and an operator; `payable_minor` is owed now, may be negative."""

    operator_id: str
    currency: str
    paid_minor: int
    payable_minor: int


@dataclass(frozen=True, slots=True)
class Folded:
    """A portion of an operator's balance was added up; whether there may be more to add."""

    more: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The request was kept; there is nothing to say of it."""


Answer = (
    Authorization
    | Group
    | Settled
    | Tombstone
    | Profile
    | Line
    | TransferRecord
    | Paid
    | Folded
    | Acknowledged
)
BytesOf = Callable[[Authorization], bytes]
"""The bytes of an authorization of an answer, which its event shares with it."""
Encode = Callable[[Answer, BytesOf], bytes]
"""Makes the bytes of an answer."""


def without_bytes(_answer: Answer, _bytes_of: BytesOf) -> bytes:
    """No bytes: the answer to what nobody is told of."""
    return b""


@dataclass(slots=True)
class Work:
    """One call on its way through the engine.

    `caller` is the operator's id or `PLATFORM`. `command` is one of those in `operations`. `body`
    is what the client sent, `encode` makes the answer's bytes, which are kept and given again to a
    retry; `differing_field` names the field in which another body differs, None if they mean the
    same.
    """

    caller: str
    request_id: str
    method: str
    body: bytes
    command: Any
    encode: Encode
    differing_field: Callable[[bytes], str | None]
    deadline: float | None = None
    """When the caller stops waiting, on the clock of `time.monotonic`; None: never."""


def own_work(command: Any, encode: Encode = without_bytes) -> Work:
    """A command of Freehold's own: nobody's call, and without a request record."""
    return Work(
        caller="",
        request_id="",
        method=type(command).__name__,
        body=b"",
        command=command,
        encode=encode,
        differing_field=lambda _first: None,
    )
