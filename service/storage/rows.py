"""Rows to the engine's records and back; tuples in the order of the table's columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from service.domain.authorization import Authorization, Custody, Start, State
from service.domain.ledger import Account, Book, Entry, Line
from service.domain.policy import Offer
from service.engine.records import Decision

Values = tuple[Any, ...]

_STATES = {str(state): state for state in State}
_CUSTODIES = {str(custody): custody for custody in Custody}
_STARTS = {str(start): start for start in Start}
_OFFERS: dict[str | None, Offer | None] = {None: None, **{str(offer): offer for offer in Offer}}


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
        line.deposit_minor,
        line.refund_payable_minor,
        line.version,
    )


def entry_values(entry: Entry) -> Values:
    """A row of `entries`."""
    return (
        *entry[:6],
        str(entry.book),
        str(entry.debit),
        str(entry.credit),
        *entry[9:],
    )


def entry_of(row: Row[Any]) -> Entry:
    """The entry of a row of `entries`."""
    values: list[Any] = list(row)
    values[6] = Book(values[6])
    values[7] = Account(values[7])
    values[8] = Account(values[8])
    return Entry(*values)


def authorization_values(it: Authorization) -> Values:
    """A row of `authorizations`."""
    return (
        *it[:7],
        str(it.state),
        str(it.custody),
        str(it.start),
        None if it.offer is None else str(it.offer),
        ",".join(it.reasons),
        *it[12:],
    )


def authorization_changes(it: Authorization) -> Values:
    """What may change of an authorization, in the order of the table."""
    return (
        it.asset_id,
        str(it.state),
        str(it.custody),
        it.expire_us,
        it.start_us,
        it.close_us,
        *it[24:],
    )


def authorization_of(row: Row[Any]) -> Authorization:
    """The authorization of a row of `authorizations`."""
    values: list[Any] = list(row)
    values[7] = _STATES[values[7]]
    values[8] = _CUSTODIES[values[8]]
    values[9] = _STARTS[values[9]]
    values[10] = _OFFERS[values[10]]
    values[11] = tuple(values[11].split(",")) if values[11] else ()
    return Authorization(*values)


def decision_values(decision: Decision) -> Values:
    """A row of `decisions`."""
    return (
        *decision[:10],
        None if decision.unscorable_reason is None else str(decision.unscorable_reason),
        *decision[11:20],
        None if decision.offer is None else str(decision.offer),
        ",".join(decision.reasons),
        decision.build,
    )
