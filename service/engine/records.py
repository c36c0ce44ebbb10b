"""What the engine reads and writes beside lines, entries and authorizations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from service.domain.catalog import Operator, Product
from service.domain.credit import LimitStep

PLATFORM = "platform"
"""The caller of record for the platform's keys; no operator may have this id."""


class RequestRecord(NamedTuple):
    """The first outcome of a request id: what was asked, byte for byte, and what was answered.

    A record whose method is `TOMBSTONE` stands for an Authorize that was reversed before it
    arrived.
    """

    caller: str
    request_id: str
    method: str
    body: bytes
    answer: bytes
    user_id: str
    authorization_id: str
    record_us: int


TOMBSTONE = "tombstone"
AUTHORIZE = "Authorize"
"""The method whose request ids a reversal may name."""


class UserRecord(NamedTuple):
    """A person; `feature_version` 0 means no features yet."""

    user_id: str
    scoring_consent: bool
    feature_version: int
    create_us: int


class FeatureSnapshot(NamedTuple):
    """A person's raw features, immutable: little-endian float64 in the order of the schema."""

    user_id: str
    version: int
    schema_id: str
    raw: bytes
    as_of_us: int
    record_us: int


class UserFeatures(NamedTuple):
    """A person with the latest features, if any."""

    user: UserRecord
    snapshot: FeatureSnapshot | None


class Decision(NamedTuple):
    """All that a decision rested on, enough to take it again.

    `margin_hex` is the model's raw margin as a hexadecimal float64, empty when nobody was
    scored. Amounts are minor units, times microseconds since the epoch, UTC.
    """

    decision_id: str
    user_id: str
    operator_id: str
    request_id: str
    decide_us: int
    model_id: str
    scale_version: str
    feature_version: int
    margin_hex: str
    score: int | None
    unscorable_reason: str | None
    scoring_consent: bool
    product_id: str
    product_revision: int
    policy_id: str
    policy_revision: int
    line_limit_minor: int
    line_held_minor: int
    line_drawn_minor: int
    line_version: int
    offer: str | None
    reasons: tuple[str, ...]
    build: str


class OpenItem(NamedTuple):
    """An item that is in an open rental of its operator."""

    operator_id: str
    asset_id: str
    user_id: str
    authorization_id: str


class PaymentRecord(NamedTuple):
    """A payment as its rail reported it; a reference is recorded once a caller."""

    caller: str
    payment_reference: str
    user_id: str
    authorization_id: str
    amount_minor: int
    currency: str
    record_us: int


class Event(NamedTuple):
    """Something that happened, for the outbox; written in the same transaction."""

    event: str
    user_id: str
    authorization_id: str
    authorization_version: int
    event_us: int
    record_us: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """What operators rent out and which limits apply; changes only by configuration."""

    operators: dict[str, Operator]
    products: dict[tuple[str, str], Product]
    limit_steps: dict[str, tuple[LimitStep, ...]]


class Scored(Protocol):
    """A person's score: `margin` is the model's raw output, `pd` the calibrated probability."""

    @property
    def margin(self) -> float: ...
    @property
    def pd(self) -> float: ...
    @property
    def score(self) -> int: ...
    @property
    def band(self) -> str: ...


class BookFault(NamedTuple):
    """Something wrong in the books: the rule, the row where it was seen, what was found."""

    rule: str
    row: str
    detail: str


class Verification(NamedTuple):
    """What a verification looked at, and the first fault it found, if any."""

    lines: int
    entries: int
    authorizations: int
    fault: BookFault | None
