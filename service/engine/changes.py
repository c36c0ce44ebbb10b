"""What a batch will write: the rows it read, overlaid with what its commands decided."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.domain.authorization import Authorization
from service.domain.ledger import Account, Entry, Line
from service.engine.records import (
    ClockGap,
    Decision,
    Event,
    FeatureSnapshot,
    OpenItem,
    PaymentRecord,
    RequestRecord,
    SealRecord,
    TakenPayable,
    TransferRecord,
    UserRecord,
)

LineKey = tuple[str, str]

_PAYABLE = Account.OPERATOR_PAYABLE


@dataclass(slots=True)
class Draft:
    """What one command decided; merged into the batch only when all of it succeeded."""

    lines: list[Line] = field(default_factory=list)
    authorizations: list[Authorization] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    transfers: list[TransferRecord] = field(default_factory=list)
    claims: list[OpenItem] = field(default_factory=list)
    unclaims: list[tuple[str, str]] = field(default_factory=list)
    user: UserRecord | None = None
    snapshot: FeatureSnapshot | None = None
    payment: PaymentRecord | None = None
    tombstone: RequestRecord | None = None
    seal: SealRecord | None = None
    clock_gap: ClockGap | None = None


@dataclass(slots=True)
class Changes:
    """Rows as read (`base_*`) and as they will be; keys as in `engine.ports.Transaction`.

    Within a batch later commands see what earlier ones decided. A row that was read and
    changed is written with the version that was read as a condition.
    """

    base_users: dict[str, UserRecord] = field(default_factory=dict)
    base_lines: dict[LineKey, Line] = field(default_factory=dict)
    base_authorizations: dict[tuple[str, str], Authorization] = field(default_factory=dict)
    base_items: dict[tuple[str, str], OpenItem] = field(default_factory=dict)
    base_requests: dict[tuple[str, str], RequestRecord] = field(default_factory=dict)
    base_payments: dict[tuple[str, str], PaymentRecord] = field(default_factory=dict)
    base_transfers: dict[tuple[str, str], TransferRecord] = field(default_factory=dict)
    base_payable: dict[tuple[str, str], TakenPayable] = field(default_factory=dict)
    base_payable_left: dict[tuple[str, str], int] = field(default_factory=dict)
    base_seal_number: int = 0

    users: dict[str, UserRecord] = field(default_factory=dict)
    lines: dict[LineKey, Line] = field(default_factory=dict)
    authorizations: dict[tuple[str, str], Authorization] = field(default_factory=dict)
    items: dict[tuple[str, str], OpenItem | None] = field(default_factory=dict)
    requests: dict[tuple[str, str], RequestRecord] = field(default_factory=dict)
    payments: dict[tuple[str, str], PaymentRecord] = field(default_factory=dict)
    transfers: dict[tuple[str, str], TransferRecord] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    snapshots: list[FeatureSnapshot] = field(default_factory=list)
    seals: list[SealRecord] = field(default_factory=list)
    clock_gaps: list[ClockGap] = field(default_factory=list)
    """Not written: for whoever counts them, once the batch is committed."""
    batch_id: str = ""

    def user(self, user_id: str) -> UserRecord | None:
        """The person as of now in this batch."""
        return self.users.get(user_id) or self.base_users.get(user_id)

    def line(self, user_id: str, currency: str) -> Line | None:
        """The line as of now in this batch; copy it before posting to it."""
        key = (user_id, currency)
        return self.lines.get(key) or self.base_lines.get(key)

    def lines_of(self, user_id: str) -> list[Line]:
        """Every line of a person as of now in this batch."""
        keys = {key for key in (*self.base_lines, *self.lines) if key[0] == user_id}
        return [line for key in sorted(keys) if (line := self.line(*key)) is not None]

    def group(self, user_id: str, group_id: str) -> list[Authorization]:
        """The authorizations of a group as of now in this batch, in the order of their ids."""
        keys = {
            key
            for rows in (self.base_authorizations, self.authorizations)
            for key, it in rows.items()
            if key[0] == user_id and it.group_id == group_id
        }
        return [it for key in sorted(keys) if (it := self.authorization(*key)) is not None]

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

    def transfer(self, user_id: str, transfer_id: str) -> TransferRecord | None:
        """A transfer as of now in this batch."""
        key = (user_id, transfer_id)
        return self.transfers.get(key) or self.base_transfers.get(key)

    def transfers_of(self, user_id: str, authorization_id: str) -> dict[str, TransferRecord]:
        """The transfers of an authorization that were read or made, as of now in this batch, by
        their ids."""
        name = (user_id, authorization_id)
        known = {**self.base_transfers, **self.transfers}
        return {
            it.transfer_id: it for it in known.values() if (it.user_id, it.authorization_id) == name
        }

    def payable_minor(self, operator_id: str, currency: str) -> int:
        """What an operator is owed as of now in this batch; read only where it pays or is paid."""
        key = (operator_id, currency)
        taken_minor = self.base_payable[key].amount_minor + self.base_payable_left[key]
        return taken_minor + self.payable_changes().get(key, 0)

    def payable_changes(self) -> dict[tuple[str, str], int]:
        """How much more each operator is owed after this batch, by operator and currency."""
        changes: dict[tuple[str, str], int] = {}
        for entry in self.entries:
            amount_minor = 0
            if entry.credit is _PAYABLE:
                amount_minor = entry.amount_minor
            elif entry.debit is _PAYABLE:
                amount_minor = -entry.amount_minor
            if amount_minor:
                key = (entry.operator_id, entry.currency)
                changes[key] = changes.get(key, 0) + amount_minor
        return changes

    def last_seal_number(self) -> int:
        """The number of the last seal as of now in this batch; read only for the next."""
        return self.seals[-1].number if self.seals else self.base_seal_number

    def item(self, operator_id: str, asset_id: str) -> OpenItem | None:
        """The open rental of an item as of now in this batch."""
        key = (operator_id, asset_id)
        return self.items[key] if key in self.items else self.base_items.get(key)

    def merge(self, draft: Draft) -> None:
        """Takes over what a command decided."""
        for line in draft.lines:
            self.lines[line.user_id, line.currency] = line
        for authorization in draft.authorizations:
            key = (authorization.user_id, authorization.authorization_id)
            self.authorizations[key] = authorization
        self.entries += draft.entries
        self.events += draft.events
        self.decisions += draft.decisions
        for transfer in draft.transfers:
            self.transfers[transfer.user_id, transfer.transfer_id] = transfer
        if draft.user is not None:
            self.users[draft.user.user_id] = draft.user
        if draft.snapshot is not None:
            self.snapshots.append(draft.snapshot)
        for item in draft.unclaims:
            self.items[item] = None
        for claim in draft.claims:
            self.items[claim.operator_id, claim.asset_id] = claim
        if draft.payment is not None:
            self.payments[draft.payment.caller, draft.payment.payment_reference] = draft.payment
        if draft.tombstone is not None:
            self.requests[draft.tombstone.caller, draft.tombstone.request_id] = draft.tombstone
        if draft.seal is not None:
            self.seals.append(draft.seal)
        if draft.clock_gap is not None:
            self.clock_gaps.append(draft.clock_gap)
