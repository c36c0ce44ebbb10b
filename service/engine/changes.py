"""What a batch will write: the rows it read, overlaid with what its commands decided."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.domain.authorization import Authorization
from service.domain.ledger import Entry, Line
from service.engine.records import (
    Decision,
    Event,
    FeatureSnapshot,
    OpenItem,
    PaymentRecord,
    RequestRecord,
    UserRecord,
)


@dataclass(slots=True)
class Draft:
    """What one command decided; merged into the batch only when all of it succeeded."""

    line: Line | None = None
    authorizations: list[Authorization] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    decision: Decision | None = None
    user: UserRecord | None = None
    snapshot: FeatureSnapshot | None = None
    claim: OpenItem | None = None
    unclaim: tuple[str, str] | None = None
    payment: PaymentRecord | None = None
    tombstone: RequestRecord | None = None


@dataclass(slots=True)
class Changes:
    """Rows as read (`base_*`) and as they will be; keys as in `engine.ports.Transaction`.

    Within a batch later commands see what earlier ones decided. A row that was read and
    changed is written with the version that was read as a condition.
    """

    base_users: dict[str, UserRecord] = field(default_factory=dict)
    base_lines: dict[tuple[str, str], Line] = field(default_factory=dict)
    base_authorizations: dict[tuple[str, str], Authorization] = field(default_factory=dict)
    base_items: dict[tuple[str, str], OpenItem] = field(default_factory=dict)
    base_requests: dict[tuple[str, str], RequestRecord] = field(default_factory=dict)
    base_payments: dict[tuple[str, str], PaymentRecord] = field(default_factory=dict)

    users: dict[str, UserRecord] = field(default_factory=dict)
    lines: dict[tuple[str, str], Line] = field(default_factory=dict)
    authorizations: dict[tuple[str, str], Authorization] = field(default_factory=dict)
    items: dict[tuple[str, str], OpenItem | None] = field(default_factory=dict)
    requests: dict[tuple[str, str], RequestRecord] = field(default_factory=dict)
    payments: dict[tuple[str, str], PaymentRecord] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    snapshots: list[FeatureSnapshot] = field(default_factory=list)

    def user(self, user_id: str) -> UserRecord | None:
        """The person as of now in this batch."""
        return self.users.get(user_id) or self.base_users.get(user_id)

    def line(self, user_id: str, currency: str) -> Line | None:
        """The line as of now in this batch; copy it before posting to it."""
        key = (user_id, currency)
        return self.lines.get(key) or self.base_lines.get(key)

    def authorization(self, user_id: str, authorization_id: str) -> Authorization | None:
        """The authorization as of now in this batch."""
        key = (user_id, authorization_id)
        return self.authorizations.get(key) or self.base_authorizations.get(key)

    def request(self, caller: str, request_id: str) -> RequestRecord | None:
        """The record of a request id as of now in this batch."""
        key = (caller, request_id)
        return self.requests.get(key) or self.base_requests.get(key)

    def payment(self, caller: str, reference: str) -> PaymentRecord | None:
        """The payment with this reference as of now in this batch."""
        key = (caller, reference)
        return self.payments.get(key) or self.base_payments.get(key)

    def item(self, operator_id: str, asset_id: str) -> OpenItem | None:
        """The open rental of an item as of now in this batch."""
        key = (operator_id, asset_id)
        return self.items[key] if key in self.items else self.base_items.get(key)

    def merge(self, draft: Draft) -> None:
        """Takes over what a command decided."""
        if draft.line is not None:
            self.lines[draft.line.user_id, draft.line.currency] = draft.line
        for authorization in draft.authorizations:
            key = (authorization.user_id, authorization.authorization_id)
            self.authorizations[key] = authorization
        self.entries += draft.entries
        self.events += draft.events
        if draft.decision is not None:
            self.decisions.append(draft.decision)
        if draft.user is not None:
            self.users[draft.user.user_id] = draft.user
        if draft.snapshot is not None:
            self.snapshots.append(draft.snapshot)
        if draft.unclaim is not None:
            self.items[draft.unclaim] = None
        if draft.claim is not None:
            self.items[draft.claim.operator_id, draft.claim.asset_id] = draft.claim
        if draft.payment is not None:
            self.payments[draft.payment.caller, draft.payment.payment_reference] = draft.payment
        if draft.tombstone is not None:
            self.requests[draft.tombstone.caller, draft.tombstone.request_id] = draft.tombstone
