"""Checks quotas of free minutes against their uses, and the uses against rentals and tariffs.

The minutes of a use are compared with the receipt, whose fee is computed with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, select
from sqlalchemy.sql.elements import ColumnElement

from service.books.columns import Cursor, kept, typed
from service.books.receipts import docks, terms
from service.domain.errors import InvalidInput
from service.domain.segment_tariff import Quota, QuotaPeriod
from service.domain.tariff import AnyTariff
from service.domain.time_zones import time_zone
from service.domain.verification import BookFault
from service.engine.records.quotas import QuotaUseRecord
from service.storage import schema as t
from service.storage.tariffs import TARIFF_COLUMNS, tariff_in_row

TOGETHER = 1_000
"""The number of rows fetched together."""
RULE = "QUOTAS"
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


class _Rental(NamedTuple):
    """The stored values of a rental that used minutes; None for a missing one."""

    operator_id: str | None
    start_us: int | None
    version: int
    captured_minor: int
    conceded_minor: int
    docking_version: int | None
    start_fee_minor: int | None
    free_minutes: int
    interval_minutes: int
    interval_price_minor: int
    day_cap_minor: int
    buy_out_minor: int
    tariff: str | None


class _Expected(NamedTuple):
    """The values of a quota by its uses."""

    most_minutes: int = 0
    used_minutes: int = 0
    changes: int = 0


def wrong_quota(connection: Connection, people: People) -> BookFault | None:
    """The fault of the first wrong use, or of the first quota that does not fit its uses; None if
    there is none."""
    expected: dict[tuple[Any, ...], _Expected] = {}
    with closing(Cursor(connection, "quota_uses", _uses(connection, people))) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, *row in rows:
                use = QuotaUseRecord(*row[: len(QuotaUseRecord._fields)])
                name = "/".join(("quota_uses", *map(str, use[:4])))
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                rental = _Rental(*row[len(QuotaUseRecord._fields) :])
                quota = _quota(use, rental)
                detail = _wrong_use(use, rental, quota)
                if detail or quota is None:
                    return BookFault(RULE, name, detail)
                key = (use.user_id, use.operator_id, use.name, use.per, use.period_us)
                expected[key] = _added(expected.get(key, _Expected()), use, quota)
    with closing(Cursor(connection, "quotas", _quotas(connection, people))) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, *row in rows:
                name = "/".join(("quotas", *map(str, row[:5])))
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                by_uses = expected.pop(tuple(row[:5]), _Expected())
                if tuple(row[5:]) != by_uses:
                    detail = f"has {tuple(row[5:])}, by its uses {tuple(by_uses)}"
                    return BookFault(RULE, name, detail)
    for key, by_uses in sorted(expected.items()):
        if by_uses.changes:
            return BookFault(RULE, "/".join(("quotas", *map(str, key))), "is missing")
    return None


def _added(before: _Expected, use: QuotaUseRecord, quota: Quota) -> _Expected:
    """A quota with one more use. Minutes that were free again at once did not change it."""
    if use.returned_version == use.authorization_version:
        return before
    used = 0 if use.returned_version else use.minutes
    return _Expected(
        max(before.most_minutes, quota.minutes),
        before.used_minutes + used,
        before.changes + 1 + bool(use.returned_version),
    )


def _quota(use: QuotaUseRecord, rental: _Rental) -> Quota | None:
    """The quota of a use in the tariff of its rental."""
    if rental.start_fee_minor is None:
        return None
    try:
        tariff: AnyTariff = tariff_in_row(rental)
    except InvalidInput:
        return None
    if not _began(use, rental, tariff):
        return None
    found = [it for it in tariff.quotas if (it.name, str(it.per)) == (use.name, use.per)]
    return found[0] if found else None


def _began(use: QuotaUseRecord, rental: _Rental, tariff: AnyTariff) -> bool:
    """Whether the rental began in the period of the use."""
    if rental.start_us is None or not tariff.quotas:
        return False
    zone = getattr(tariff, "time_zone", "")
    start, first, before = (
        (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at_us))
        .astimezone(time_zone(zone))
        .date()
        for at_us in (rental.start_us, use.period_us, use.period_us - 1)
    )
    if use.per == QuotaPeriod.WEEK:
        start -= timedelta(days=start.weekday())
    return first == start and before < first


def _wrong_use(use: QuotaUseRecord, rental: _Rental, quota: Quota | None) -> str:
    """The fault of a use, or an empty text."""
    if rental.operator_id is None:
        return "the authorization is missing"
    if rental.operator_id != use.operator_id:
        return f"is of {use.operator_id}, the authorization of {rental.operator_id}"
    if quota is None:
        return "the tariff has no such quota at the start of the rental"
    if use.minutes > quota.minutes:
        return f"{use.minutes} minutes of {quota.minutes}"
    if rental.docking_version != use.authorization_version:
        return f"version {use.authorization_version} did not settle the rental"
    if use.returned_version > rental.version:
        return f"was free again by version {use.returned_version}, which is yet to come"
    nothing_left = 0 < rental.captured_minor <= rental.conceded_minor
    if nothing_left and not use.returned_version:
        return "is not free again, although nothing of the charge is left"
    return ""


@kept
def _uses(connection: Connection, people: People) -> Select[Any]:
    """Selects the uses: whether each can be read, the use, its rental and the terms."""
    u, a, o = t.quota_uses.c, t.authorizations.c, t.outbox.c
    own = and_(a.user_id == u.user_id, a.authorization_id == u.authorization_id)
    step = and_(
        o.user_id == u.user_id,
        o.authorization_id == u.authorization_id,
        o.authorization_version == u.authorization_version,
        docks(),
    )
    rows = t.quota_uses.outerjoin(t.authorizations, own).outerjoin(t.products, terms())
    rental: Sequence[ColumnElement[Any]] = (
        *(a.operator_id, a.start_us, a.version, a.captured_minor, a.conceded_minor),
        o.authorization_version.label("docking_version"),
        *TARIFF_COLUMNS,
    )
    return (
        select(typed(connection, list(u)), *t.recorded(t.quota_uses), *rental)
        .select_from(rows.outerjoin(t.outbox, step))
        .where(*people(u.user_id))
        .order_by(u.user_id, u.authorization_id, u.name, u.per)
    )


@kept
def _quotas(connection: Connection, people: People) -> Select[Any]:
    """Selects the quotas, each with whether it can be read."""
    q = t.quotas.c
    return (
        select(typed(connection, list(q)), *t.recorded(t.quotas))
        .where(*people(q.user_id))
        .order_by(q.user_id, q.operator_id, q.name, q.per, q.period_us)
    )
