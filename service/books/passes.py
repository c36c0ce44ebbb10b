"""Checks passes against the tariffs that sold them, their calls, their debts and their uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, kept, typed
from service.domain.errors import InvalidInput
from service.domain.policy import Reason
from service.domain.segment_tariff import SegmentTariff
from service.domain.tariff_document import tariff_of
from service.domain.time_zones import time_zone, time_zones
from service.domain.verification import BookFault
from service.engine.records.passes import PassRecord
from service.storage import schema as t

TOGETHER = 1_000
"""The number of rows fetched together."""
RULE = "PASSES"
GRANT, BUY, REFUND = "GrantPass", "BuyPass", "RefundPass"
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


class Pass(NamedTuple):
    """The stored values of a pass that its uses are compared with; None for a missing pass."""

    product_id: str
    gives: str
    size: int
    time_zone: str
    from_us: int | None
    until_us: int
    refund_us: int | None


class Uses(NamedTuple):
    """The number of rentals that use a pass, and the changes of the pass by all uses."""

    uses: int = 0
    changes: int = 0


class _Beside(NamedTuple):
    """The stored values beside a pass: the terms that sold it, the calls of the sale and of the
    refund, and the debt; None for missing rows."""

    tariff: str | None
    currency: str | None
    method: str | None
    call_us: int | None
    refund_method: str | None
    refund_call_us: int | None
    unheld_minor: int | None
    debt_currency: str | None
    debt_us: int | None
    debt_request: str | None


def wrong_pass(
    connection: Connection, people: People, used: Mapping[tuple[str, str, str], Uses]
) -> BookFault | None:
    """The fault of the first pass that does not fit its rows, or None."""
    until: dict[tuple[str, str, str], int] = {}
    with closing(Cursor(connection, "passes", _passes(connection, people))) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, *row in rows:
                it = PassRecord(*row[: len(PassRecord._fields)])
                name = f"users/{it.user_id}/passes/{it.pass_id}"
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                beside = _Beside(*row[len(PassRecord._fields) :])
                product = (it.user_id, it.operator_id, it.product_id)
                detail = _wrong(it, beside, used.get(it.key, Uses()))
                if not detail and it.refund_us is None:
                    if it.from_us < until.get(product, it.from_us):
                        detail = "counts at the same time as an earlier one"
                    until[product] = it.until_us
                if detail:
                    return BookFault(RULE, name, detail)
    return None


def _wrong(it: PassRecord, beside: _Beside, used: Uses) -> str:
    """The fault of a pass, or an empty text."""
    if (it.uses, it.changes) != (used.uses, 1 + used.changes + (it.refund_us is not None)):
        return f"has {it.uses} uses and {it.changes} changes, by its uses {tuple(used)}"
    bought = bool(it.authorization_id)
    if (beside.method, beside.call_us) != (BUY if bought else GRANT, it.record_us):
        return "no call made it"
    if it.refund_us is not None and (beside.refund_method, beside.refund_call_us) != (
        REFUND,
        it.refund_us,
    ):
        return "no call refunded it"
    if not _sold(it, beside):
        return "the tariff of its product does not sell it"
    if it.until_us != _until_us(it, beside):
        return f"ends at {it.until_us}, which does not fit its days"
    debt = (it.price_minor, it.currency, it.record_us, it.request_id)
    if bought and debt != beside[-4:]:
        return "the debt of its price is missing, or differs"
    return ""


def _tariff(beside: _Beside) -> SegmentTariff | None:
    try:
        return None if beside.tariff is None else tariff_of(beside.tariff)
    except InvalidInput:
        return None


def _sold(it: PassRecord, beside: _Beside) -> bool:
    """Whether the tariff of the pass's revision sells it so."""
    tariff = _tariff(beside)
    if tariff is None or (it.currency, it.time_zone) != (beside.currency, tariff.time_zone):
        return False
    of_pass = (it.name, it.price_minor, str(it.gives), it.size)
    return any((one.name, one.price_minor, one.gives, one.size) == of_pass for one in tariff.passes)


def _until_us(it: PassRecord, beside: _Beside) -> int | None:
    """The instant of the same time of day after the days of the pass."""
    tariff = _tariff(beside)
    if tariff is None or it.time_zone not in time_zones():
        return None
    (days,) = (one.days for one in tariff.passes if one.name == it.name)
    zone = time_zone(it.time_zone)
    begin = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=it.from_us)
    # Arithmetic on a time of a zone is that of the clock on the wall.
    end = begin.astimezone(zone).replace(fold=0) + timedelta(days=days)
    return (end.astimezone(UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


@kept
def _passes(connection: Connection, people: People) -> Select[Any]:
    """Selects the passes: whether each can be read, the pass, and the rows beside it."""
    p, a, d = t.passes.c, t.authorizations.c, t.products.c
    made, refunded = t.requests.alias("made"), t.requests.alias("refunded")
    m, r = made.c, refunded.c
    terms = and_(
        d.operator_id == p.operator_id,
        d.product_id == p.product_id,
        d.revision == p.product_revision,
    )
    call, refund = (
        and_(c.caller == p.operator_id, c.request_id == name, c.user_id == p.user_id)
        for c, name in ((m, p.request_id), (r, p.refund_request_id))
    )
    debt = and_(
        a.user_id == p.user_id,
        a.authorization_id == p.authorization_id,
        a.operator_id == p.operator_id,
        a.parent_id == p.pass_id,
        a.reasons == str(Reason.PASS_BOUGHT),
    )
    beside = (
        *(d.tariff, d.currency, m.method, m.record_us, r.method, r.record_us),
        *(a.unheld_minor, a.currency, a.create_us, a.request_id),
    )
    rows = t.passes.outerjoin(t.products, terms).outerjoin(made, call)
    rows = rows.outerjoin(refunded, refund).outerjoin(t.authorizations, debt)
    return (
        select(typed(connection, list(p)), *t.recorded(t.passes), *beside)
        .select_from(rows)
        .where(*people(p.user_id))
        .order_by(p.user_id, p.operator_id, p.product_id, p.from_us, p.pass_id)
    )
