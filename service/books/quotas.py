"""Checks quotas of free minutes and passes against their uses, and the uses against rentals,
tariffs and passes.

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
from service.books.passes import Pass, Uses, wrong_pass
from service.books.receipts import docks, terms
from service.domain.errors import InvalidInput
from service.domain.segment_tariff import PassGift, QuotaPeriod
from service.domain.tariff import AnyTariff
from service.domain.time_zones import time_zone
from service.domain.verification import BookFault
from service.engine.records.quotas import QuotaUseRecord
from service.storage import schema as t
from service.storage.tariffs import TARIFF_COLUMNS, tariff_in_row

TOGETHER = 1_000
"""The number of rows fetched together."""
RULE = "QUOTAS"
GIFTS = frozenset(map(str, PassGift))
People = Callable[[ColumnElement[str]], list[ColumnElement[bool]]]
"""A function that gives the conditions on a column of user ids."""


class _Rental(NamedTuple):
    """The stored values of a rental that used minutes; None for a missing one."""

    operator_id: str | None
    product_id: str | None
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


class _Most(NamedTuple):
    """The minutes of the quota or the pass that a use draws on, and whether several rentals share
    them."""

    minutes: int
    shared: bool


class _Expected(NamedTuple):
    """The values of a quota by its uses."""

    most_minutes: int = 0
    used_minutes: int = 0
    changes: int = 0


def wrong_quota(connection: Connection, people: People) -> BookFault | None:
    """The fault of the first wrong use, or of the first quota or pass that does not fit its uses;
    None if there is none."""
    expected: dict[tuple[Any, ...], _Expected] = {}
    of_passes: dict[tuple[str, str, str], Uses] = {}
    with closing(Cursor(connection, "quota_uses", _uses(connection, people))) as cursor:
        while rows := cursor.fetch(TOGETHER):
            for readable, *row in rows:
                use = QuotaUseRecord(*row[: len(QuotaUseRecord._fields)])
                name = "/".join(("quota_uses", *map(str, use[:4])))
                if not readable:
                    return BookFault("UNREADABLE", name, "has a value of another type")
                rental = _Rental(*row[len(QuotaUseRecord._fields) : -len(Pass._fields)])
                held = Pass(*row[-len(Pass._fields) :])
                most = _gift(use, rental, held) if use.per in GIFTS else _quota(use, rental)
                detail = _wrong_use(use, rental, most)
                if detail or most is None:
                    return BookFault(RULE, name, detail)
                if use.per in GIFTS:
                    of_pass = (use.user_id, use.operator_id, use.name)
                    of_passes[of_pass] = _used(of_passes.get(of_pass, Uses()), use)
                if most.shared:
                    key = (use.user_id, use.operator_id, use.name, use.per, use.period_us)
                    expected[key] = _added(expected.get(key, _Expected()), use, most)
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
    return wrong_pass(connection, people, of_passes)


def _used(before: Uses, use: QuotaUseRecord) -> Uses:
    """The uses of a pass, with one more. A use that ended at once did not change the pass."""
    if use.returned_version == use.authorization_version:
        return before
    returned = bool(use.returned_version)
    return Uses(before.uses + (not returned), before.changes + 1 + returned)


def _added(before: _Expected, use: QuotaUseRecord, quota: _Most) -> _Expected:
    """A quota with one more use. Minutes that were free again at once did not change it."""
    if use.returned_version == use.authorization_version:
        return before
    used = 0 if use.returned_version else use.minutes
    return _Expected(
        max(before.most_minutes, quota.minutes),
        before.used_minutes + used,
        before.changes + 1 + bool(use.returned_version),
    )


def _quota(use: QuotaUseRecord, rental: _Rental) -> _Most | None:
    """The quota of a use in the tariff of its rental."""
    if rental.start_fee_minor is None:
        return None
    try:
        tariff: AnyTariff = tariff_in_row(rental)
    except InvalidInput:
        return None
    if not tariff.quotas or not _began(use, rental, getattr(tariff, "time_zone", "")):
        return None
    found = [it for it in tariff.quotas if (it.name, str(it.per)) == (use.name, use.per)]
    return _Most(found[0].minutes, shared=True) if found else None


def _gift(use: QuotaUseRecord, rental: _Rental, held: Pass) -> _Most | None:
    """The gift of the pass of a use, if the pass counts for its rental."""
    if held.from_us is None or rental.start_us is None or rental.tariff is None:
        return None
    if (held.gives, held.product_id) != (use.per, rental.product_id):
        return None
    if not held.from_us <= rental.start_us < held.until_us:
        return None
    if held.refund_us is not None and not use.returned_version:
        return None
    by_day = use.per == PassGift.MINUTES_A_DAY
    if not (_began(use, rental, held.time_zone) if by_day else use.period_us == held.from_us):
        return None
    return _Most(0 if use.per == PassGift.PERCENT else held.size, shared=by_day)


def _began(use: QuotaUseRecord, rental: _Rental, zone: str) -> bool:
    """Whether the rental began in the period of the use, in a time zone."""
    if rental.start_us is None:
        return False
    start, first, before = (
        (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at_us))
        .astimezone(time_zone(zone))
        .date()
        for at_us in (rental.start_us, use.period_us, use.period_us - 1)
    )
    if use.per == QuotaPeriod.WEEK:
        start -= timedelta(days=start.weekday())
    return first == start and before < first


def _wrong_use(use: QuotaUseRecord, rental: _Rental, quota: _Most | None) -> str:
    """The fault of a use, or an empty text."""
    if rental.operator_id is None:
        return "the authorization is missing"
    if rental.operator_id != use.operator_id:
        return f"is of {use.operator_id}, the authorization of {rental.operator_id}"
    if quota is None:
        return "neither the tariff nor a pass gives it at the start of the rental"
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
    p = t.passes.c
    held = and_(p.user_id == u.user_id, p.operator_id == u.operator_id, p.pass_id == u.name)
    rows = rows.outerjoin(t.passes, held)
    rental: Sequence[ColumnElement[Any]] = (
        *(a.operator_id, a.product_id, a.start_us, a.version, a.captured_minor, a.conceded_minor),
        o.authorization_version.label("docking_version"),
        *TARIFF_COLUMNS,
        *(p[name] for name in Pass._fields),
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
