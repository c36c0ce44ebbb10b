"""Calls inside the engine, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from service.domain.authorization import Authorization
from service.domain.cases import Case
from service.domain.charge_backs import ChargeBack
from service.domain.credit import LimitBasis
from service.domain.details import Price
from service.domain.ledger import Line
from service.domain.receipt import Receipt
from service.domain.suspense import SuspenseItem
from service.domain.tariff import Fee
from service.engine.records.aliases import AliasRecord
from service.engine.records.attestations import AttestationRecord
from service.engine.records.captures import CaptureRecord, CorrectionRecord
from service.engine.records.consents import ConsentRecord
from service.engine.records.details import DetailsRecord
from service.engine.records.lapses import LapseRecord
from service.engine.records.later_decisions import LaterDecisionRecord
from service.engine.records.passes import PassRecord
from service.engine.records.transfers import TransferRecord
from service.engine.records.unposted import UnpostedRecord
from service.engine.records.verdicts import VerdictRecord


@dataclass(frozen=True, slots=True)
class AuthorizationCommand:
    """A command on an existing authorization.

    The command is refused if the authorization's version is not `expected_version`; None accepts
    any version.
    """

    user_id: str
    authorization_id: str
    expected_version: int | None = field(default=None, kw_only=True)

    @property
    def name(self) -> str:
        """The resource name of the authorization."""
        return f"users/{self.user_id}/authorizations/{self.authorization_id}"


@dataclass(frozen=True, slots=True)
class Group:
    """Authorizations granted together, in the order of the items."""

    authorizations: tuple[Authorization, ...]


class CutTime(NamedTuple):
    """A requested time above a product's limit: the request's field, and the time granted."""

    field: str
    product_id: str
    granted_us: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The answer to a request of which some times were cut to the policy's limits."""

    answer: Authorization | Group
    times: tuple[CutTime, ...]


@dataclass(frozen=True, slots=True)
class Priced:
    """The answer to an order, with the hash of the price in force."""

    answer: Answer
    price_hash: str


@dataclass(frozen=True, slots=True)
class Settled:
    """An authorization after a settlement.

    `fee` is the fee of the usage with its lines, `capture` the row of the capture, and `handover`
    the row of a return without a dock; each may be None. `debt` is the resource name of the debt
    for the fee above the hold, or empty.
    """

    authorization: Authorization
    fee: Fee | None
    capture: CaptureRecord | None = None
    debt: str = ""
    handover: AttestationRecord | None = None


@dataclass(frozen=True, slots=True)
class Attestation:
    """An authorization after an attestation, and its row."""

    authorization: Authorization
    row: AttestationRecord


@dataclass(frozen=True, slots=True)
class LateStart:
    """The rental of a late pick-up, and the resource name of the reservation that it cites."""

    authorization: Authorization
    reservation: str


@dataclass(frozen=True, slots=True)
class Corrected:
    """An authorization after a correction, and the correction's rows."""

    authorization: Authorization
    corrections: tuple[CorrectionRecord, ...]


@dataclass(frozen=True, slots=True)
class CaseTold:
    """A case after a call on it."""

    case: Case


@dataclass(frozen=True, slots=True)
class PassTold:
    """A pass after a call on it, and the debt of its price if the call booked or changed it."""

    held: PassRecord
    authorization: Authorization | None = None


@dataclass(frozen=True, slots=True)
class ChargedBack:
    """An authorization after a charge-back, and the row of the bank's case."""

    authorization: Authorization
    charge_back: ChargeBack


@dataclass(frozen=True, slots=True)
class Matched:
    """An item in suspense after a call, and the authorization to which it was matched, if any."""

    item: SuspenseItem
    authorization: Authorization | None = None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The Authorize to reverse has not arrived; it will be declined if it arrives late."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A user's line, the score of the stored features, and the basis of the limit.

    If `score` is None, `unscorable_reason` gives the reason.
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
    ignored: tuple[str, ...] = ()
    """The names of the features that PutUser did not keep."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment between Freehold and an operator; `payable_minor` is the balance after it."""

    operator_id: str
    currency: str
    paid_minor: int
    payable_minor: int


@dataclass(frozen=True, slots=True)
class Folded:
    """A portion of an operator's balance was merged; `more` says whether more rows may wait."""

    more: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Only the request was recorded."""


Answer = (
    Authorization
    | Group
    | Cut
    | Priced
    | Settled
    | LateStart
    | Corrected
    | CaseTold
    | AliasRecord
    | Attestation
    | PassTold
    | ChargedBack
    | Matched
    | Tombstone
    | Profile
    | Line
    | TransferRecord
    | Paid
    | Folded
    | Acknowledged
)


class Payloads:
    """A command's encoded authorizations, which its events and its answer share."""

    __slots__ = ("_encode", "_told")

    def __init__(
        self, encode: Callable[[Authorization], bytes], told: Mapping[tuple[str, int], bytes]
    ) -> None:
        """`told` has the bytes of the command's events, by id and version of the authorization;
        `encode` makes the bytes of an authorization without an event."""
        self._encode = encode
        self._told = told

    def of(self, it: Authorization) -> bytes:
        """The bytes of an authorization, those of its event if there is one."""
        return self._told.get((it.authorization_id, it.version)) or self._encode(it)


Encode = Callable[[Answer, Payloads], bytes]
"""A function that encodes an answer."""


class EncodeAuthorization(Protocol):
    """Makes the bytes of an authorization as callers see it, with its receipt, if any.

    The last argument is the price under the authorization's terms.
    """

    def __call__(self, it: Authorization, receipt: Receipt | None, price: Price, /) -> bytes: ...


Beside = (
    DetailsRecord
    | LapseRecord
    | Case
    | UnpostedRecord
    | LaterDecisionRecord
    | ConsentRecord
    | VerdictRecord
)
"""A row that a step writes beside its authorization, and of which its event tells."""
EncodeBeside = Callable[[Beside], bytes]
"""A function that makes the bytes by which an event tells of such a row."""


def without_bytes(_answer: Answer, _payloads: Payloads) -> bytes:
    """The empty answer of a command without a caller."""
    return b""


@dataclass(slots=True)
class Work:
    """One call inside the engine.

    `caller` is the operator's id or `PLATFORM`. `command` is of a type in `operations`. `body` is
    the request as the client sent it. `encode` makes the bytes of the answer; they are stored, and
    a retry gets the same bytes. `differing_field` names the field in which another body differs;
    its result is None if both bodies mean the same.
    """

    caller: str
    request_id: str
    method: str
    body: bytes
    command: Any
    encode: Encode
    differing_field: Callable[[bytes], str | None]
    deadline: float | None = None
    """The caller's deadline, on the clock of `time.monotonic`; None means no deadline."""


def own_work(command: Any, encode: Encode = without_bytes) -> Work:
    """The work of a command by Freehold itself, without a caller's request record."""
    return Work(
        caller="",
        request_id="",
        method=type(command).__name__,
        body=b"",
        command=command,
        encode=encode,
        differing_field=lambda _first: None,
    )
