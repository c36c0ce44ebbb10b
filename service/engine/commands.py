"""What can be asked of the engine: one frozen command a call, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.domain.authorization import Authorization, Start
from service.domain.ledger import Line
from service.domain.money import Money
from service.domain.policy import Offer


@dataclass(frozen=True, slots=True)
class Authorize:
    """Score, decide, hold. `pickup_window_us` None: the policy's limit."""

    user_id: str
    product_id: str
    asset_id: str
    start: Start
    accept_offers: tuple[Offer, ...]
    pickup_window_us: int | None


@dataclass(frozen=True, slots=True)
class Confirm:
    """The cash part of an offer was paid."""

    user_id: str
    authorization_id: str
    payment_reference: str
    paid: Money
    expected_version: int | None


@dataclass(frozen=True, slots=True)
class StartRental:
    """The item was picked up."""

    user_id: str
    authorization_id: str
    asset_id: str
    expected_version: int | None


@dataclass(frozen=True, slots=True)
class Settle:
    """Capture an amount; `final` closes."""

    user_id: str
    authorization_id: str
    amount: Money
    final: bool
    expected_version: int | None


@dataclass(frozen=True, slots=True)
class Reverse:
    """Give everything back."""

    user_id: str
    authorization_id: str
    expected_version: int | None


@dataclass(frozen=True, slots=True)
class ReverseByOrigin:
    """Undo an Authorize by its request id, whether it has arrived or not."""

    user_id: str
    authorize_request_id: str
    expected_version: int | None


@dataclass(frozen=True, slots=True)
class PutUser:
    """Register a person or give newer features; `raw` as in `FeatureSnapshot`."""

    user_id: str
    raw: bytes
    as_of_us: int
    scoring_consent: bool


@dataclass(frozen=True, slots=True)
class OpenBulk:
    """Records the request id of a bulk call, whose people are then put one by one."""


@dataclass(frozen=True, slots=True)
class RecordPayment:
    """A payment for what was captured on credit."""

    user_id: str
    authorization_id: str
    payment_reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Expire:
    """End one authorization if it has lapsed; not a call, and without a request record."""

    user_id: str
    authorization_id: str


AuthorizationCommand = Confirm | StartRental | Settle | Reverse | RecordPayment
Command = Authorize | AuthorizationCommand | ReverseByOrigin | OpenBulk | PutUser | Expire


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Nothing was there to reverse; a late Authorize will be declined."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A person's line with the score it rests on; score None: cannot be scored."""

    line: Line
    score: int | None
    band: str
    unscorable_reason: str
    feature_version: int
    as_of_us: int | None
    model_id: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """Nothing but the request was recorded."""


Answer = Authorization | Tombstone | Profile | Recorded


@dataclass(slots=True)
class Work:
    """One call on its way through the engine.

    `caller` is the operator's id or `PLATFORM`. `body` is what the client sent, `encode` makes
    the answer's bytes, which are kept and given again to a retry; `differing_field` names the
    field in which another body differs, None if they mean the same.
    """

    caller: str
    request_id: str
    method: str
    body: bytes
    command: Command
    encode: Callable[[Answer], bytes]
    differing_field: Callable[[bytes], str | None]
    deadline: float | None = None
    """When the caller stops waiting, on the clock of `time.monotonic`; None: never."""
