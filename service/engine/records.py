"""What the engine reads and writes beside lines, entries and authorizations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from service.domain.authorization import TransferKind
from service.domain.errors import RequestIdReused
from service.domain.transitions import Transition


def transfer_reference(transfer_id: str) -> str:
    """The reference of the payment that a debit came to; no client's reference has a slash."""
    return f"transfers/{transfer_id}"


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

    def answer_again(
        self, method: str, body: bytes, differing_field: Callable[[bytes], str | None]
    ) -> bytes:
        """The answer, for the same request sent again.

        `differing_field` names the field in which the request differs from the first body; None if
        they mean the same. Raises RequestIdReused for another request, naming what differs.
        """
        if self.method != method:
            raise RequestIdReused("method")
        if self.body != body:
            field = differing_field(self.body)
            if field is not None:
                raise RequestIdReused(field)
        return self.answer


TOMBSTONE = "tombstone"
AUTHORIZE = "Authorize"
AUTHORIZE_GROUP = "AuthorizeGroup"
REVERSIBLE_METHODS = frozenset({AUTHORIZE, AUTHORIZE_GROUP, TOMBSTONE})
"""The methods whose request ids a reversal may name."""


class KeptScore(NamedTuple):
    """What the model said of a person's features when they were recorded.

    `feature_version` is the version of those features; 0 before the first. `score` None: there is
    none, for `unscorable_reason` and, if one is at fault, for `unscorable_feature`. `extrapolated`
    as in `Decision`. `limit_minor` is the limit that followed, in minor units; None if the limit
    rests on no score.
    """

    feature_version: int
    score: int | None
    band: str
    model_id: str
    scale_version: str
    unscorable_reason: str
    unscorable_feature: str
    extrapolated: tuple[str, ...]
    limit_minor: int | None


UNSCORED = KeptScore(0, None, "", "", "", "", "", (), 0)
"""The kept score of a person without features, whose limit is 0."""


class UserRecord(NamedTuple):
    """A person; `feature_version` 0 means no features yet, `as_of_us` when the latest were true.

    From `score_version` on the fields are those of `KeptScore`. They are of an older version where
    a server of an earlier build took newer features.
    """

    user_id: str
    scoring_consent: bool
    feature_version: int
    as_of_us: int
    create_us: int
    score_version: int = 0
    score: int | None = None
    score_band: str = ""
    score_model_id: str = ""
    score_scale_version: str = ""
    unscorable_reason: str = ""
    unscorable_feature: str = ""
    extrapolated: tuple[str, ...] = ()
    score_limit_minor: int | None = 0

    @property
    def kept(self) -> KeptScore:
        """The score that was kept, and the limit that followed from it."""
        return KeptScore(*self[5:])


class FeatureSnapshot(NamedTuple):
    """A person's raw features, immutable: little-endian float64 in the order of the schema."""

    user_id: str
    version: int
    schema_id: str
    raw: bytes
    as_of_us: int
    record_us: int


class UserFeatures(NamedTuple):
    """A person's latest features, as in `FeatureSnapshot`; without any, version 0 and None."""

    user_id: str
    scoring_consent: bool
    version: int
    schema_id: str | None
    raw: bytes | None
    as_of_us: int | None


class Decision(NamedTuple):
    """All that a decision rested on, enough to take it again.

    `margin` is the model's raw margin as a hexadecimal float64, empty when nobody was
    scored. `unscorable_feature` is the feature for which nobody was, empty for other reasons;
    `extrapolated` are the features scored as the nearest value that the model was trained on.
    Amounts are minor units, times microseconds since the epoch, UTC.
    """

    decision_id: str
    user_id: str
    operator_id: str
    request_id: str
    decide_us: int
    model_id: str
    scale_version: str
    feature_version: int
    margin: str
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
    unscorable_feature: str
    extrapolated: tuple[str, ...]


class OpenItem(NamedTuple):
    """An item that is in an open rental of its operator."""

    operator_id: str
    asset_id: str
    user_id: str
    authorization_id: str


class PaymentKind(StrEnum):
    """Which way a recorded payment went."""

    DEPOSIT = "DEPOSIT"
    PAYMENT = "PAYMENT"
    ELSEWHERE = "ELSEWHERE"
    CHARGE_BACK = "CHARGE_BACK"
    OPERATOR_PAYOUT = "OPERATOR_PAYOUT"
    OPERATOR_PAYMENT = "OPERATOR_PAYMENT"


class PaymentRecord(NamedTuple):
    """A payment as it was reported; a reference is recorded once a caller.

    What an operator was paid, or paid, has no authorization, and the operator's account as user.
    """

    caller: str
    payment_reference: str
    kind: PaymentKind
    user_id: str
    authorization_id: str
    amount_minor: int
    currency: str
    record_us: int


class TransferState(StrEnum):
    """How far a transfer has come."""

    REQUESTED = "REQUESTED"
    SENT = "SENT"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    RETURNED = "RETURNED"
    """Paid out, and come back since."""
    CANCELLED = "CANCELLED"
    """Never handed to the rail, because less was due by then."""


ENDED = frozenset(TransferState) - {TransferState.REQUESTED, TransferState.SENT}
"""No other word on the transfer counts after these, but those of `LATER_WORDS`."""

LATER_WORDS: Mapping[tuple[TransferKind, TransferState], TransferState] = {
    (TransferKind.DEBIT, TransferState.FAILED): TransferState.SUCCEEDED,
    # A database that was restored does not know of what it had handed in.
    (TransferKind.DEBIT, TransferState.CANCELLED): TransferState.SUCCEEDED,
    (TransferKind.PAYOUT, TransferState.SUCCEEDED): TransferState.RETURNED,
}
"""What counts of a transfer although it had ended: the money has moved."""


class TransferRecord(NamedTuple):
    """What the payment rail is to do: a debit of a person, or a payout to one.

    The id names it towards the rail, which must do it at most once however often it is asked.
    `earlier_state`, with its detail and its instant, is the word that a late success took the place
    of; None when there is none.
    """

    user_id: str
    transfer_id: str
    authorization_id: str
    kind: TransferKind
    amount_minor: int
    currency: str
    state: TransferState
    detail: str
    request_us: int
    change_us: int
    earlier_state: TransferState | None = None
    earlier_detail: str | None = None
    earlier_us: int | None = None


class SealedHead(NamedTuple):
    """The head of a line's chain as it stood at a version, under a seal."""

    user_id: str
    currency: str
    version: int
    head: bytes


class SealRecord(NamedTuple):
    """A signature over the heads of lines that changed; seals are chained as entries are.

    `digest` covers the number, the seal before it, the time and the heads in their order; the
    outbox up to `outbox_sequence` has been looked at.
    """

    number: int
    previous: bytes
    digest: bytes
    signature: bytes
    key_id: str
    seal_us: int
    outbox_sequence: int
    heads: tuple[SealedHead, ...]


class Event(NamedTuple):
    """Something that happened, for the outbox; written in the same transaction."""

    transition: Transition
    user_id: str
    authorization_id: str
    authorization_version: int
    event_us: int
    record_us: int
