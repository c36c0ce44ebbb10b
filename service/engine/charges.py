"""Reads the captures, corrections, damage charges and charge-backs that a batch compares."""

from __future__ import annotations

from service.domain.access import PLATFORM
from service.domain.authorization import Start
from service.engine.ports import Transaction
from service.engine.records.transfers import transfer_reference
from service.engine.rows import Keys, Rows, Wish
from service.engine.tables import (
    AUTHORIZATIONS,
    CAPTURES,
    CASES,
    CHARGE_BACKS,
    CORRECTIONS,
    DETAILS,
    LATE_PICKUPS,
    PAYMENTS,
    SUSPENSE,
    Pair,
)
from service.engine.timed import read_timed

_BY_AUTHORIZATION, _BY_PARENT = ("user_id", "authorization_id"), ("user_id", "parent_id")
_BY_GROUP = ("user_id", "group_id")


def read_damage(rows: Rows, keys: Keys, transaction: Transaction) -> None:
    """Reads the damage charges of rentals, and the rentals of damage charges that are raised."""
    parents = {
        (it.user_id, it.parent_id)
        for key in keys.raised
        if (it := rows[AUTHORIZATIONS].get(key)) is not None and it.parent_id
    }
    # The fee above the hold of a late pick-up is a debt, which may be lowered with the rental.
    late = {
        key
        for key, it in rows[AUTHORIZATIONS].items()
        if it.start is Start.LATE_PICKUP and it.close_us is not None
    }
    damaged = keys.damaged | parents | late
    keys.captured |= damaged
    wishes = [
        Wish(AUTHORIZATIONS, AUTHORIZATIONS.key, parents - keys.authorizations),
        Wish(AUTHORIZATIONS, _BY_PARENT, damaged),
    ]
    transaction.read(rows, wishes)


def read_charges(rows: Rows, keys: Keys, transaction: Transaction) -> None:
    """Reads the captures, corrections, charge-backs and details of authorizations."""
    if keys.billed:
        _read_bills(rows, keys, transaction)
    # Any step may give up an amount that is charged back, or that a charge-back took before, also
    # one that time has caused.
    given = {key for key, it in rows[AUTHORIZATIONS].items() if it.conceded_minor}
    keys.corrected |= given
    people = {it.user_id for it in rows[AUTHORIZATIONS].values() if it.charged_back_minor}
    people |= {user_id for user_id, _ in given}
    if people or keys.charge_backs or keys.suspense:
        _read_charge_backs(rows, keys, people, transaction)
    wishes = [
        Wish(CAPTURES, _BY_AUTHORIZATION, keys.captured),
        Wish(CORRECTIONS, _BY_AUTHORIZATION, keys.corrected),
        Wish(DETAILS, DETAILS.key, keys.detailed),
    ]
    transaction.read(rows, wishes)


def _read_bills(rows: Rows, keys: Keys, transaction: Transaction) -> None:
    """Reads the steps that settled these rentals, and asks for the other rows of their bills.

    Captures and cases are read for open rentals too: an earlier call of the batch may settle the
    rental, or its item may count as lost by now.
    """
    keys.captured |= keys.billed
    keys.cased |= keys.billed
    settled = {
        key
        for key in keys.billed
        if (it := rows[AUTHORIZATIONS].get(key)) is not None and it.close_us is not None
    }
    if settled:
        keys.corrected |= settled
        rows.dockings = transaction.dockings(settled)


def _read_charge_backs(rows: Rows, keys: Keys, people: set[str], transaction: Transaction) -> None:
    """Reads charge-backs, the payments that they name, and the items in suspense."""
    payments = _payments_of(rows, keys.taken_back)
    wishes = [
        Wish(CHARGE_BACKS, ("user_id",), people | keys.charge_backs),
        Wish(SUSPENSE, SUSPENSE.key, keys.suspense),
        Wish(PAYMENTS, PAYMENTS.key, payments),
    ]
    transaction.read(rows, wishes)
    items = [item for key in keys.suspense if (item := rows[SUSPENSE].get(key)) is not None]
    transaction.read(rows, [Wish(CASES, CASES.key, {item.case_key for item in items})])
    # The bank takes money back once more; other cases may have taken the payment since.
    again = {
        (*key[:2], case.payment)
        for key in keys.reopened
        if (case := rows[CHARGE_BACKS].get(key)) is not None and case.payment
    }
    transaction.read(rows, [Wish(PAYMENTS, PAYMENTS.key, _payments_of(rows, again) - payments)])
    others = _charged_back_by_name(rows, keys.taken_back | again)
    unread = others - rows.read[AUTHORIZATIONS].keys()
    _read_others(rows, Wish(AUTHORIZATIONS, AUTHORIZATIONS.key, unread), transaction)
    if keys.carried:
        _read_carried(rows, keys.carried | others, transaction)


def _payments_of(rows: Rows, taken_back: set[tuple[str, str, str]]) -> set[Pair]:
    """The keys of payments, by authorizations that were read, each with a reference."""
    found: set[Pair] = set()
    for user_id, authorization_id, reference in taken_back:
        it = rows[AUTHORIZATIONS].get((user_id, authorization_id))
        if it is not None:
            found |= payments_named(it.operator_id, reference)
    return found


def _charged_back_by_name(rows: Rows, taken_back: set[tuple[str, str, str]]) -> set[Pair]:
    """The authorizations with a charge-back of a payment reference that the batch names.

    Another payment may have the same reference; only the authorization tells them apart.
    """
    named = {(user_id, reference) for user_id, _, reference in taken_back}
    every = rows[CHARGE_BACKS].values() if named else ()
    return {row[:2] for row in every if (row.user_id, row.payment) in named}


def _read_carried(rows: Rows, carried: set[Pair], transaction: Transaction) -> None:
    """Reads late pick-ups by either authorization, and their reservations with their groups.

    A deposit that a rental took over was recorded for the reservation, or for its group.
    """
    wishes = [
        Wish(LATE_PICKUPS, LATE_PICKUPS.key, carried),
        Wish(LATE_PICKUPS, ("user_id", "started_id"), carried),
    ]
    transaction.read(rows, wishes)
    cited = {(it.user_id, it.authorization_id) for it in rows[LATE_PICKUPS].values()}
    unread = cited - rows.read[AUTHORIZATIONS].keys()
    _read_others(rows, Wish(AUTHORIZATIONS, AUTHORIZATIONS.key, unread), transaction)
    found = [it for key in cited if (it := rows[AUTHORIZATIONS].get(key)) is not None]
    groups = {(it.user_id, it.group_id) for it in found if it.group_id}
    _read_others(rows, Wish(AUTHORIZATIONS, _BY_GROUP, groups), transaction)


def _read_others(rows: Rows, wish: Wish, transaction: Transaction) -> None:
    """Reads authorizations that no call of the batch names, with what time may do to them."""
    before = set(rows.read[AUTHORIZATIONS])
    transaction.read(rows, [wish])
    found = rows.read[AUTHORIZATIONS]
    read_timed(rows, [it for key, it in found.items() if key not in before], transaction)


def payments_named(operator_id: str, reference: str) -> set[tuple[str, str]]:
    """The keys of the payments that a bank may mean by a reference.

    The rail knows a debit by the id of its transfer.
    """
    references = (reference, transfer_reference(reference))
    return {(caller, it) for caller in (operator_id, PLATFORM) for it in references}
