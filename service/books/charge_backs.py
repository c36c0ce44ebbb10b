"""Checks charge-backs and items in suspense against the payments that were recorded with them.

The entries of a person are compared with the payments (`money.py`), so the rows need only be
compared with the payments. Both tables are small, and are read as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select

from service.books import expectations as e
from service.books.columns import kept, rows_of
from service.books.faults import Found
from service.domain import charge_backs, suspense
from service.domain.cases import CaseKind, CaseState
from service.domain.charge_backs import ChargeBack
from service.domain.suspense import Direction, SuspenseItem
from service.engine.records.payments import PaymentKind, PaymentRecord
from service.storage import rows
from service.storage import schema as t

Key = tuple[str, str]
Payments = Mapping[Key, PaymentRecord]

_KINDS = (PaymentKind.CASE, *e.RAILS_OWN.values())
_FIRST, _BEYOND = suspense.match_reference(0, "")[:9], "suspense0"
"""The references of matches are between these two texts."""
_UNMATCHED = {
    Direction.IN: PaymentKind.UNMATCHED_IN,
    Direction.OUT: PaymentKind.UNMATCHED_OUT,
}
_BACK = {Direction.IN: PaymentKind.RETURNED, Direction.OUT: PaymentKind.REGAINED}
_MATCHED = {
    Direction.IN: {PaymentKind.PAYMENT, PaymentKind.DEPOSIT},
    Direction.OUT: {PaymentKind.CASE},
}


def check(connection: Connection) -> None:
    """Raises Found at the first row that differs from the payments, or from its authorization."""
    payments = {
        (it.caller, it.payment_reference): it
        for it in map(rows.payment_of, rows_of(connection, _payments(connection)))
    }
    items = {
        (it.caller, it.payment_reference): it
        for it in map(_item_of, rows_of(connection, _ordered(connection, t.suspense)))
    }
    cases = {
        (it.caller, it.case_id): it
        for it in map(_case_of, rows_of(connection, _ordered(connection, t.charge_backs)))
    }
    for case in cases.values():
        _check_case(case, payments, items)
    _check_open(connection, list(cases.values()))
    matches: dict[Key, dict[int, PaymentRecord]] = defaultdict(dict)
    for key, payment in payments.items():
        if key[1].startswith(_FIRST):
            _, number, reference = key[1].split("/", 2)
            matches[key[0], reference][int(number)] = payment
    for item in items.values():
        _check_item(item, payments, cases, matches)
    _check_proposals(connection)
    for key, payment in payments.items():
        row = f"payments/{payment.caller}/{payment.payment_reference}"
        if payment.kind is PaymentKind.CASE and key not in cases:
            raise Found("CHARGE_BACK", row, "the charge-back is missing")
        if payment.kind in _UNMATCHED.values() and key not in items:
            raise Found("SUSPENSE", row, "the item in suspense is missing")
    for key, found in matches.items():
        if key not in items:
            payment = min(found.values())
            row = f"payments/{payment.caller}/{payment.payment_reference}"
            raise Found("SUSPENSE", row, "the item in suspense is missing")
    _check_questions(connection, items)


@kept
def _payments(_connection: Connection) -> Select[Any]:
    p = t.payments.c
    matched = and_(p.payment_reference >= _FIRST, p.payment_reference < _BEYOND)
    return (
        select(t.payments)
        .where(or_(matched, *(p.kind == str(kind) for kind in _KINDS)))
        .order_by(p.caller, p.payment_reference)
    )


@kept
def _ordered(_connection: Connection, table: Any) -> Select[Any]:
    return select(table).order_by(*table.primary_key)


def _case_of(row: Sequence[Any]) -> ChargeBack:
    return ChargeBack(*row)


def _item_of(row: Sequence[Any]) -> SuspenseItem:
    it = SuspenseItem(*row)
    try:
        return it._replace(direction=Direction(it.direction))
    except ValueError as error:
        raise Found("SUSPENSE", _item_row(it), "its direction is neither IN nor OUT") from error


def _case_row(it: ChargeBack) -> str:
    return f"charge_backs/{it.user_id}/{it.authorization_id}/{it.case_id}"


def _item_row(it: SuspenseItem) -> str:
    return f"suspense/{it.caller}/{it.payment_reference}"


def _check_case(it: ChargeBack, payments: Payments, items: Mapping[Key, SuspenseItem]) -> None:
    """A charge-back has its payment, and its item if a part of it is in suspense."""
    row, key = _case_row(it), (it.caller, it.case_id)
    if charge_backs.digest_of(it) != it.digest:
        raise Found("CHARGE_BACK", row, "changed since it was written")
    payment = payments.get(key)
    told = (PaymentKind.CASE, it.user_id, it.authorization_id, it.amount_minor, it.currency)
    if payment is None or (*payment[2:7], payment.record_us) != (*told, it.record_us):
        raise Found("CHARGE_BACK", row, "no payment records this")
    item = items.get(key)
    booked = (it.user_id, it.authorization_id, Direction.OUT, it.suspense_minor)
    if (item is not None or it.suspense_minor) and (item is None or item[2:6] != booked):
        raise Found("CHARGE_BACK", row, "its item in suspense does not match it")


def _check_open(connection: Connection, cases: Sequence[ChargeBack]) -> None:
    """The open charge-backs of an authorization are at most what is charged back there."""
    stored = {row[:2]: row[3] for row in rows_of(connection, _charged_back(connection))}
    open_minor: dict[Key, int] = defaultdict(int)
    for it in cases:
        open_minor[it[:2]] += it.open_minor
        if it[:2] not in stored:
            raise Found("CHARGE_BACK", _case_row(it), "the authorization is missing")
        if open_minor[it[:2]] > stored[it[:2]]:
            raise Found("CHARGE_BACK", _case_row(it), "more is open than is charged back")


@kept
def _charged_back(_connection: Connection) -> Select[Any]:
    """Selects the names of charge-backs, each with the amount charged back of its authorization."""
    a, b = t.authorizations.c, t.charge_backs.c
    named = and_(a.user_id == b.user_id, a.authorization_id == b.authorization_id)
    return (
        select(b.user_id, b.authorization_id, b.case_id, a.charged_back_minor)
        .select_from(t.charge_backs.join(t.authorizations, named))
        .order_by(*t.charge_backs.primary_key)
    )


def _check_proposals(connection: Connection) -> None:
    """A match is proposed to an authorization that is there."""
    for caller, reference in rows_of(connection, _proposed_to_nobody(connection)):
        row = f"suspense/{caller}/{reference}"
        raise Found("SUSPENSE", row, "the proposed authorization is missing")


@kept
def _proposed_to_nobody(_connection: Connection) -> Select[Any]:
    """Selects the items with a proposed authorization that is not there."""
    a, s = t.authorizations.c, t.suspense.c
    named = and_(a.user_id == s.proposed_user_id, a.authorization_id == s.proposed_authorization_id)
    return (
        select(*t.suspense.primary_key)
        .select_from(t.suspense.outerjoin(t.authorizations, named))
        .where(s.proposed_by != "", a.user_id.is_(None))
        .order_by(*t.suspense.primary_key)
    )


def _check_questions(connection: Connection, items: Mapping[Key, SuspenseItem]) -> None:
    """Checks that each question to the platform is about an existing item, and stays open while a
    part of the item is open.

    Each item tells whether it has a case, so the removal of a case is noticed.

    Items of earlier builds have no case, and the platform may close a case without a match.
    """
    known = {f"payments/{caller}/{reference}": it for (caller, reference), it in items.items()}
    found = set()
    for *name, reference, asked_minor, state in rows_of(connection, _questions(connection)):
        found.add(tuple(name))
        row, item = "/".join(("cases", *name)), known.get(reference)
        if item is None or item.amount_minor != asked_minor:
            raise Found("CASE", row, "no item in suspense has the money in question")
        if state == CaseState.OPEN and not item.open_minor:
            raise Found("CASE", row, "asks about money that is already matched")
    for item in items.values():
        if item.has_case and item.case_key not in found:
            row = "/".join(("cases", *item.case_key))
            raise Found("CASE", row, f"{_item_row(item)} names it, but it is missing")


@kept
def _questions(_connection: Connection) -> Select[Any]:
    """Selects the questions to the platform about unmatched money."""
    c = t.cases.c
    return (
        select(c.user_id, c.authorization_id, c.case_id, c.reference, c.asked_minor, c.state)
        .where(c.kind == str(CaseKind.UNMATCHED_MONEY))
        .order_by(*t.cases.primary_key)
    )


def _check_item(
    it: SuspenseItem,
    payments: Payments,
    cases: Mapping[Key, ChargeBack],
    matches: Mapping[Key, Mapping[int, PaymentRecord]],
) -> None:
    """Checks that an item has its payment or its charge-back, and a payment for each of its
    matches."""
    row, key = _item_row(it), (it.caller, it.payment_reference)
    if not it.has_case and suspense.digest_of(it) != it.digest:
        raise Found("SUSPENSE", row, "changed since it was written")
    payment, case = payments.get(key), cases.get(key)
    told = (_UNMATCHED[it.direction], it.user_id, "", it.amount_minor, it.currency, it.record_us)
    own = payment is not None and payment[2:] == told and not it.authorization_id
    if not own and (case is None or case.suspense_minor != it.amount_minor):
        raise Found("SUSPENSE", row, "no payment records this")
    found = matches.get(key, {})
    if sorted(found) != list(range(1, it.matches + 1)):
        raise Found("SUSPENSE", row, f"{len(found)} matches are recorded, not {it.matches}")
    back, others = _BACK[it.direction], _MATCHED[it.direction]
    if not {one.kind for one in found.values()} <= {back, *others}:
        raise Found("SUSPENSE", row, "a match is of a kind that the item cannot have")
    back_minor = sum(one.amount_minor for one in found.values() if one.kind is back)
    matched_minor = sum(one.amount_minor for one in found.values()) - back_minor
    left_minor = it.amount_minor - it.returned_minor - it.open_minor
    if (back_minor, matched_minor) != (it.returned_minor, left_minor):
        raise Found("SUSPENSE", row, "the matches do not add up to what left suspense")
