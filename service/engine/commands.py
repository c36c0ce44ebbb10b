"""What can be asked of the engine: one frozen command a call, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from service.domain.authorization import Authorization, Start
from service.domain.credit import LimitBasis
from service.domain.errors import Violation
from service.domain.ledger import Line, Standing
from service.domain.money import Money
from service.domain.policy import Offer
from service.domain.tariff import Fee
from service.engine.records import SealRecord, TransferRecord, TransferState


class Item(NamedTuple):
    """One thing that somebody wants; `asset_id` empty: not known yet."""

    product_id: str
    asset_id: str


class Authorize(NamedTuple):
    """Score, decide, hold.

    Several items are one group: all are held or none. `pickup_window_us` and `rental_period_us`
    None: the policy's limit. `parent_id` is the authorization id that a damage charge cites, or
    empty; `amount` is what such a charge asks for, None: the product's deposit.
    """

    user_id: str
    items: tuple[Item, ...]
    start: Start
    accept_offers: tuple[Offer, ...]
    pickup_window_us: int | None = None
    rental_period_us: int | None = None
    parent_id: str = ""
    amount: Money | None = None
    grouped: bool = False
    """Whether the answer is a group, however many items it has."""


@dataclass(frozen=True, slots=True)
class Following:
    """What follows on an authorization; refused unless it has the expected version, if any."""

    user_id: str
    authorization_id: str
    expected_version: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Confirm(Following):
    """The cash part of an offer was paid; of a group's offer, all cash parts together."""

    payment_reference: str
    paid: Money


@dataclass(frozen=True, slots=True)
class ResolveReview(Following):
    """A person's verdict; on a member of a group it is the verdict on all."""

    approve: bool


@dataclass(frozen=True, slots=True)
class StartRental(Following):
    """The item was picked up."""

    asset_id: str


@dataclass(frozen=True, slots=True)
class Increment(Following):
    """Hold more, decided anew; `paid` None: no cash was paid for it."""

    amount: Money
    payment_reference: str = ""
    paid: Money | None = None


@dataclass(frozen=True, slots=True)
class Decrease(Following):
    """Hold less."""

    amount: Money


@dataclass(frozen=True, slots=True)
class Extend(Following):
    """Move the due time."""

    by_us: int


@dataclass(frozen=True, slots=True)
class Settle(Following):
    """Capture an amount, or, with None, the fee for the usage until `occurred_us`.

    `final` closes. `occurred_us` None: now.
    """

    amount: Money | None
    final: bool
    occurred_us: int | None = None


@dataclass(frozen=True, slots=True)
class Reverse(Following):
    """Give everything back."""


@dataclass(frozen=True, slots=True)
class ReverseByOrigin:
    """Undo an Authorize by its request id, whether it has arrived or not."""

    user_id: str
    authorize_request_id: str
    expected_version: int | None


@dataclass(frozen=True, slots=True)
class ClaimReturn(Following):
    """The person says that the item is back."""


@dataclass(frozen=True, slots=True)
class ContestReturn(Following):
    """The operator says that it is not; `evidence` is its reference to why."""

    evidence: str


@dataclass(frozen=True, slots=True)
class ReportLost(Following):
    """The operator gives an overdue item up."""


@dataclass(frozen=True, slots=True)
class ReportFound(Following):
    """A missing item was docked; `occurred_us` None: now."""

    occurred_us: int | None = None


@dataclass(frozen=True, slots=True)
class RecordPayment(Following):
    """A payment for what was captured on credit."""

    payment_reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class RecordPaidElsewhere(Following):
    """The person paid the operator."""

    payment_reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class LowerCharge(Following):
    """The operator charges less, before it is paid."""

    amount: Money


@dataclass(frozen=True, slots=True)
class RefundCharge(Following):
    """The operator gives back, after it was paid."""

    amount: Money


@dataclass(frozen=True, slots=True)
class PayOutRefund(Following):
    """Pay out what is owed to the person, through the payment rail."""

    amount: Money


@dataclass(frozen=True, slots=True)
class OpenDispute(Following):
    """The person disputes what is due."""

    amount: Money


@dataclass(frozen=True, slots=True)
class ResolveDispute(Following):
    """The arbiter decides on all that is disputed."""

    user_won: bool
    goodwill: bool


@dataclass(frozen=True, slots=True)
class RecordChargeBack(Following):
    """The person's bank took a payment back."""

    payment_reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class ResolveChargeBack(Following):
    """It is decided on all that is charged back."""

    user_won: bool
    goodwill: bool


@dataclass(frozen=True, slots=True)
class SetProvision(Following):
    """Set aside so much for the loss."""

    amount: Money


@dataclass(frozen=True, slots=True)
class ProposeWriteOff(Following):
    """One person gives up collecting; `by` names the key that was used."""

    by: str


@dataclass(frozen=True, slots=True)
class ApproveWriteOff(Following):
    """A second person agrees."""

    by: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Do what time has brought for one authorization; not a call, and without a request record."""

    user_id: str
    authorization_id: str


@dataclass(frozen=True, slots=True)
class ReportTransfer:
    """What the payment rail says of a transfer; the same said again changes nothing.

    SENT is said by Freehold itself, before it hands the transfer in; a debit of more than is due by
    then is cancelled instead.
    """

    user_id: str
    transfer_id: str
    state: TransferState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PutUser:
    """Register a person or give newer features.

    `raw` are the values that were sent, as in `FeatureSnapshot`, NaN for one that the person does
    not have; `names` are theirs, None for all of the served model's in its order. `violations`:
    what is wrong with the input, for which it is refused unless it is a retry of what was accepted
    when other features were known.
    """

    user_id: str
    raw: bytes
    as_of_us: int
    scoring_consent: bool
    violations: tuple[Violation, ...] = ()
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SetLimit:
    """Set a person's limit by hand; None: leave it to the score again."""

    user_id: str
    limit: Money | None


@dataclass(frozen=True, slots=True)
class SetStanding:
    """Suspend a person, watch one, or neither; in every currency."""

    user_id: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class PayOutOperator:
    """What an operator is owed was paid to it."""

    operator_id: str
    amount: Money
    payment_reference: str


@dataclass(frozen=True, slots=True)
class FoldPayable:
    """Adds up a portion of the rows in which an operator's balance stands; not a call."""

    operator_id: str
    currency: str


@dataclass(frozen=True, slots=True)
class RecordOperatorPayment:
    """An operator paid what it owed."""

    operator_id: str
    amount: Money
    payment_reference: str


@dataclass(frozen=True, slots=True)
class OpenBulk:
    """Records the request id of a bulk call, whose people are then put one by one; `violations`
    are those of all of them, as in `PutUser`."""

    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordSeal:
    """Keeps a seal over the heads of lines; not a call."""

    seal: SealRecord


PersonCommand = PutUser | SetLimit | SetStanding
Command = (
    Authorize
    | Following
    | ReverseByOrigin
    | Wake
    | ReportTransfer
    | PersonCommand
    | PayOutOperator
    | FoldPayable
    | RecordOperatorPayment
    | OpenBulk
    | RecordSeal
)


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
    """A person's line, the score of the features on record, and what the limit rests on.

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
    """An operator was paid, or paid; what it is owed now, in minor units, may be negative."""

    operator_id: str
    currency: str
    paid_minor: int
    payable_minor: int


@dataclass(frozen=True, slots=True)
class Folded:
    """A portion of an operator's balance was added up; whether there may be more to add."""

    more: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """Nothing but the request was recorded."""


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
    | Recorded
)


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


def own_work(command: Command, encode: Callable[[Answer], bytes] = lambda _: b"") -> Work:
    """What Freehold asks of itself: nobody's call, and without a request record."""
    return Work(
        caller="",
        request_id="",
        method=type(command).__name__,
        body=b"",
        command=command,
        encode=encode,
        differing_field=lambda _first: None,
    )
