"""Checks the payloads of events: each has its operator, and the newest one fits the stored row.

All of `TOLD` is compared for an authorization's newest event, and the receipt for the event that
has one. The payloads of other events are not read. Events of earlier builds have no operator and no
payload.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, and_, case, func, literal, literal_column, or_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books import receipts
from service.books.columns import Cursor, kept
from service.domain.policy import Reason
from service.domain.verification import BookFault, Told
from service.storage import schema as t
from service.storage.schema.columns import NoBytes

TOGETHER = 1_000
"""The number of events fetched together."""

TOLD = (
    *("name", "version", "state", "held_credit", "held_cash", "captured", "due"),
    *("refund_payable", "uncollected", "unheld_disputed", "unheld_until_us", "product_id"),
    *("asset_id", "custody", "offer", "reasons", "band", "deposit", "decision_id", "model_id"),
    *("policy_revision", "lost_us", "claim_until_us", "sold_us", "request_id", "group", "parent"),
    "order_fee",
    # The last one, because events of earlier builds do not tell it.
    "product_revision",
)
_PRICED = tuple(
    t.products.c[name]
    for name in (
        *("currency", "cancellation_fee_minor", "tariff", "start_fee_minor", "free_minutes"),
        *("interval_minutes", "interval_price_minor", "day_cap_minor", "buy_out_minor"),
    )
)
"""The columns that make a price."""
ReadPayload = Callable[[bytes], Told]
"""A function that reads the payload of an event; raises ValueError if it is no authorization."""
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


def wrong_payload(
    connection: Connection, people: People, read_payload: ReadPayload | None
) -> BookFault | None:
    """The first event with a wrong payload or operator, or None.

    Without `read_payload`, payloads are not read, and only their presence is checked.
    """
    first: tuple[int, BookFault] | None = None
    text = _query(connection, people, newest=read_payload is not None)
    with closing(Cursor(connection, "payloads", text)) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for sequence, wrong, newest, payload, *stored in rows:
                if not wrong and read_payload is not None:
                    wrong = _differing(connection, read_payload, payload, stored, newest=newest)
                if wrong and (first is None or sequence < first[0]):
                    first = sequence, BookFault("PAYLOAD", f"outbox/{sequence}", wrong)
    return None if first is None else first[1]


@kept
def _query(_connection: Connection, people: People, *, newest: bool) -> Select[Any]:
    """Selects events with a wrong operator, and events that have an operator or a payload but not
    both.

    With `newest`, also selects two payloads of each authorization, with the stored values: the
    newest payload, and the payload with the receipt.
    """
    o, a = t.outbox.c, t.authorizations.c
    own = and_(a.user_id == o.user_id, a.authorization_id == o.authorization_id)
    named, filled = o.operator_id != "", o.payload != NoBytes()
    wrong = case(
        (
            and_(named, o.operator_id != func.coalesce(a.operator_id, "")),
            literal("has another operator than the authorization"),
        ),
        (and_(named, ~filled), literal("has an operator but no payload")),
        (and_(~named, filled), literal("has a payload but no operator")),
        else_=literal(""),
    )
    owed = a.paid_minor + a.lowered_minor + a.disputed_minor + a.written_off_minor
    named_by = literal("users/") + a.user_id + literal("/authorizations/")
    of_pass = literal("users/") + a.user_id + literal("/passes/")
    stored = (
        named_by + a.authorization_id,
        *(a.version, a.state, a.held_credit_minor, a.held_cash_minor, a.captured_minor),
        a.captured_credit_minor - owed,
        a.refund_payable_minor,
        a.uncollected_minor,
        a.unheld_disputed_minor,
        func.coalesce(a.unheld_until_us, literal_column("0")),
        *(a.product_id, a.asset_id, a.custody, func.coalesce(a.offer, ""), a.reasons, a.band),
        *(a.cash_minor, a.decision_id, a.model_id, a.policy_revision),
        *(
            func.coalesce(it, literal_column("0"))
            for it in (a.lost_us, a.claim_until_us, a.sold_us)
        ),
        *(a.request_id, a.group_id),
        case(
            (a.parent_id == "", ""),
            (a.reasons == Reason.PASS_BOUGHT, of_pass + a.parent_id),
            else_=named_by + a.parent_id,
        ),
        func.coalesce(a.order_fee_minor, literal_column("-1")),
        a.product_revision,
    )
    read, is_newest = wrong != "", o.authorization_version == a.version
    if newest:
        read = or_(read, and_(filled, or_(is_newest, receipts.bills())))
    rows = t.outbox.outerjoin(t.authorizations, own).outerjoin(t.products, receipts.terms())
    return (
        select(o.sequence, wrong, is_newest, o.payload, *stored, *_PRICED, *receipts.COLUMNS)
        .select_from(rows)
        .where(read, *people(o.user_id))
    )


def _differing(
    connection: Connection,
    read_payload: ReadPayload,
    payload: bytes,
    stored: Sequence[object],
    *,
    newest: bool,
) -> str:
    """The first value of `TOLD` or of the receipt that differs between payload and rows; empty if
    none does."""
    try:
        told = read_payload(payload)
    except ValueError as error:
        return f"the payload cannot be read: {error}"
    compared = len(TOLD) if told.product_revision else len(TOLD) - 1
    if newest and told[:compared] != tuple(stored[:compared]):
        for name, said, is_stored in zip(TOLD, told, stored, strict=False):
            if said != is_stored:
                return f"{name}: the payload has {said}, stored {is_stored}"
    rest = len(TOLD) + len(_PRICED)
    priced = tuple(stored[len(TOLD) : rest])
    # The terms of an authorization may be missing, and then it tells no hash.
    if told.price_hash and (expected := _price_hash(*priced)) != told.price_hash:
        return f"price_hash: the payload has {told.price_hash}, by the terms {expected}"
    place = "" if not told.price_hash or priced[2] is None else _place(str(priced[2]))
    if told.price_place != place:
        return f"price_place: the payload has {told.price_place!r}, by the terms {place!r}"
    return receipts.wrong_receipt(connection, told.receipt, stored[rest:])


@lru_cache(maxsize=4096)
def _place(tariff: str) -> str:
    """The place in a tariff of arithmetic 2; empty for the ordinary prices."""
    try:
        return str(json.loads(tariff).get("place", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""


@lru_cache(maxsize=4096)
def _price_hash(currency: str, cancellation_minor: int, tariff: str | None, *plain: int) -> str:
    """The hash of a price, as the contract explains it."""
    values = [currency, *(map(str, plain) if tariff is None else [tariff])]
    values += [str(cancellation_minor)] if cancellation_minor else []
    return hashlib.sha256("\n".join(values).encode()).hexdigest()
