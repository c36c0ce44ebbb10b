"""Rows to the engine's records and back; tuples in the order of the table's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.domain.authorization import Authorization, Custody, Start, State, TransferKind
from service.domain.chain import LINK_FORMATS
from service.domain.ledger import Account, Book, Entry, Line, Standing
from service.domain.policy import Offer
from service.domain.transitions import Transition
from service.engine.records import (
    Decision,
    Event,
    PaymentKind,
    PaymentRecord,
    TransferRecord,
    TransferState,
)

Values = tuple[Any, ...]

_STATES = {str(state): state for state in State}
_CUSTODIES = {str(custody): custody for custody in Custody}
_STANDINGS = {str(standing): standing for standing in Standing}
_STARTS = {str(start): start for start in Start}
_OFFERS = {str(offer): offer for offer in Offer}


def line_values(line: Line) -> Values:
    """A row of `lines`."""
    return (
        line.user_id,
        line.currency,
        line.limit_minor,
        line.available_minor,
        line.held_minor,
        line.drawn_minor,
        line.cut_pending_minor,
        line.receivable_minor,
        line.disputed_minor,
        line.charged_back_minor,
        line.deposit_minor,
        line.refund_payable_minor,
        str(line.standing),
        line.limit_fixed,
        line.ledger_us,
        line.subject_key,
        line.subject,
        line.head,
        line.version,
    )


def line_changes(line: Line) -> Values:
    """What may change of a line, in the order of the table."""
    values = line_values(line)
    return (*values[2:15], *values[17:])


def line_of(row: Sequence[Any]) -> Line:
    """The line of a row of `lines`."""
    values: list[Any] = list(row)
    values[12] = _STANDINGS[values[12]]
    values[13] = bool(values[13])
    return Line(*values)


def entry_values(entry: Entry) -> Values:
    """A row of `entries`."""
    return (
        *entry[:6],
        str(entry.transition),
        str(entry.book),
        str(entry.debit),
        str(entry.credit),
        *entry[10:],
    )


_LINK_FORMAT = Entry._fields.index("link_format")


def entry_of(row: Sequence[Any]) -> Entry:
    """The entry of a row of `entries`; raises ValueError for a name or a format nobody knows."""
    values: list[Any] = list(row)
    values[6] = Transition(values[6])
    values[7] = Book(values[7])
    values[8] = Account(values[8])
    values[9] = Account(values[9])
    if values[_LINK_FORMAT] not in LINK_FORMATS:
        raise ValueError(f"a link of format {values[_LINK_FORMAT]}, which this build does not know")
    return Entry(*values)


# Where the columns of `authorizations` stand that are enumerations or lists.
_START, _ACCEPTED, _OFFER, _STATE, _CUSTODY, _REASONS = (
    Authorization._fields.index(name)
    for name in ("start", "accept_offers", "offer", "state", "custody", "reasons")
)
_CHANGING = Authorization._fields.index("asset_id")


def authorization_values(it: Authorization) -> Values:
    """A row of `authorizations`."""
    values: list[Any] = [*it]
    values[_START] = str(it.start)
    values[_ACCEPTED] = ",".join(it.accept_offers)
    values[_STATE] = str(it.state)
    values[_CUSTODY] = str(it.custody)
    values[_REASONS] = ",".join(it.reasons)
    if it.offer is not None:
        values[_OFFER] = str(it.offer)
    values.append(it.wake_us)
    return tuple(values)


def authorization_changes(it: Authorization) -> Values:
    """What may change of an authorization, in the order of the table."""
    return authorization_values(it)[_CHANGING:]


def authorization_of(row: Sequence[Any]) -> Authorization:
    """The authorization of a row of `authorizations`."""
    values: list[Any] = list(row[: len(Authorization._fields)])
    values[_START] = _STARTS[values[_START]]
    accepted = values[_ACCEPTED]
    values[_ACCEPTED] = tuple([_OFFERS[it] for it in accepted.split(",")]) if accepted else ()
    offer = values[_OFFER]
    values[_OFFER] = None if offer is None else _OFFERS[offer]
    values[_STATE] = _STATES[values[_STATE]]
    values[_CUSTODY] = _CUSTODIES[values[_CUSTODY]]
    reasons = values[_REASONS]
    values[_REASONS] = tuple(reasons.split(",")) if reasons else ()
    return Authorization(*values)


def payment_values(payment: PaymentRecord) -> Values:
    """A row of `payments`."""
    return (*payment[:2], str(payment.kind), *payment[3:])


def payment_of(row: Sequence[Any]) -> PaymentRecord:
    """The payment of a row of `payments`."""
    return PaymentRecord(row[0], row[1], PaymentKind(row[2]), *row[3:])


def transfer_values(transfer: TransferRecord) -> Values:
    """A row of `transfers`."""
    values: list[Any] = [*transfer]
    values[3] = str(transfer.kind)
    values[6] = str(transfer.state)
    if transfer.earlier_state is not None:
        values[10] = str(transfer.earlier_state)
    return tuple(values)


def transfer_changes(transfer: TransferRecord) -> Values:
    """What may change of a transfer, in the order of the table."""
    values = transfer_values(transfer)
    return (*values[6:8], *values[9:])


def transfer_of(row: Sequence[Any]) -> TransferRecord:
    """The transfer of a row of `transfers`."""
    values: list[Any] = list(row)
    values[3] = TransferKind(values[3])
    values[6] = TransferState(values[6])
    values[10] = None if values[10] is None else TransferState(values[10])
    return TransferRecord(*values)


def event_values(event: Event) -> Values:
    """A row of `outbox`, without its sequence."""
    return (str(event.transition), *event[1:])


def decision_values(decision: Decision) -> Values:
    """A row of `decisions`."""
    return (
        *decision[:10],
        None if decision.unscorable_reason is None else str(decision.unscorable_reason),
        *decision[11:20],
        None if decision.offer is None else str(decision.offer),
        ",".join(decision.reasons),
        decision.build,
        decision.unscorable_feature,
        ",".join(decision.extrapolated),
    )
