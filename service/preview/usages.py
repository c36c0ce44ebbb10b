"""Reads the usages of rentals that happened: from the pick-up to the instant at which the fee
stopped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, case, func, literal, or_, select

from service.domain.attestations import AttestationKind, Attested, Versioned, meter_of, told_before
from service.domain.authorization import Start, State
from service.domain.meter import RUNNING, Meter
from service.domain.passes import Span
from service.domain.quotas import Pool, pool_of_pass
from service.domain.segment_tariff import PassGift
from service.domain.settlement import DOCKINGS
from service.domain.transitions import Transition
from service.engine.catalog import Catalog
from service.ids import first_id
from service.preview.read import Window
from service.preview.read_beside import station
from service.storage import schema as t

_A = t.authorizations.c
LEAD_US = 8 * 86_400_000_000
"""The longest time before a window in which a rental may use minutes of the same period."""
FOUND, LOST = str(Transition.FOUND), str(Transition.LOST)
_ENDS = sorted(str(it) for it in (*DOCKINGS, Transition.FOUND))
_Name = tuple[str, str]


class Usage(NamedTuple):
    """The usage of one rental, in microseconds since the epoch, UTC, and minor units.

    `revision` is the product's revision under which it began. With `lost` the item was not back at
    `end_us` and the price of a lost item was charged; with `reported` the operator said so before
    the fee reached it. `hold_minor` bounds the fee; None means that it does not. `charged_minor`
    was captured for the fee. `meter` has its pauses and waivers. `reserved_us` is the length of its
    reservation, which is known only if the tariff had a price for it. It was settled at `close_us`,
    and nothing of a `given_back` charge is left. One that is not `billed` only uses minutes of
    quotas. `station` is that of the order, or empty; None if a later call may have replaced it.
    `held` is the pool of the pass that counted for it, which goes on under a draft; None if there
    was none. `order_fee_minor` is the fee of the order, or None.
    """

    rental: tuple[str, str]
    product_id: str
    revision: int
    start_us: int
    end_us: int
    close_us: int
    lost: bool
    reported: bool
    hold_minor: int | None
    charged_minor: int
    meter: Meter
    reserved_us: int = 0
    given_back: bool = False
    billed: bool = True
    station: str | None = ""
    held: Pool | None = None
    order_fee_minor: int | None = None


def read_usages(
    connection: Connection,
    window: Window,
    catalog: Catalog,
    products: Collection[str],
    *,
    billed: Collection[str],
    quotas: bool,
) -> Iterator[Usage]:
    """The usages of rentals of these products that were asked for in a window and are settled.

    A rental without a known end or without a sound product revision is left out. `billed` are the
    products with fees; `quotas` says that tariffs have quotas or passes, whose uses reach back
    further.
    """
    from_us = window.from_us
    if quotas:
        window = window._replace(from_us=from_us - LEAD_US)
    uses = _uses(connection, window, products) if quotas else {}
    passes = _passes(connection, window, products) if quotas else {}
    ends = _ends(connection, window, products)
    meters = _meters(connection, window, products)
    d = t.authorization_details.c
    own = and_(d.user_id == _A.user_id, d.authorization_id == _A.authorization_id)
    query = select(
        *(_A.user_id, _A.authorization_id, _A.product_id, _A.product_revision, _A.start_us),
        *(_A.claim_us, _A.lost_us, _A.start, _A.credit_minor + _A.cash_minor),
        *(_A.captured_minor - _A.other_captured_minor, _A.reserve_us, _A.close_us),
        *(_A.create_us, and_(_A.captured_minor > 0, _A.captured_minor <= _A.conceded_minor)),
        *(station(), _A.order_fee_minor),
    )
    query = query.select_from(t.authorizations.outerjoin(t.authorization_details, own))
    query = query.where(_settled(window, products))
    for row in connection.execute(query.order_by(_A.authorization_id)):
        user_id, authorization_id, product_id, revision, start_us, claim_us, *rest = row
        end = ends.get((user_id, authorization_id))
        if end is None or (window.operator_id, product_id, revision) not in catalog.revisions:
            continue
        lost_us, start, hold_minor, charged_minor, reserve_us, *closed = rest
        close_us, create_us, given_back, ordered_at, order_fee_minor = closed
        lost, end_us = end
        # A claimed return, or a granted complaint, stopped the fee earlier.
        if claim_us is not None and claim_us < end_us:
            lost, end_us = False, claim_us
        meter = meters.get((user_id, authorization_id), RUNNING)
        if used := uses.get((user_id, authorization_id)):
            minutes, of_pass, percent = used
            meter = meter._replace(quota_minutes=minutes, quota_fixed=True)
            meter = meter._replace(pass_minutes=of_pass, pass_percent=percent)
        yield Usage(
            (user_id, authorization_id),
            product_id,
            revision,
            start_us,
            max(start_us, end_us),
            close_us,
            lost,
            lost and (lost_us is None or end_us < lost_us),
            None if start == str(Start.LATE_PICKUP) else hold_minor,
            charged_minor,
            meter,
            0 if reserve_us is None else max(0, start_us - reserve_us),
            bool(given_back),
            create_us >= from_us and product_id in billed,
            ordered_at,
            passes.get((user_id, authorization_id)),
            order_fee_minor,
        )


def _settled(window: Window, products: Collection[str]) -> Any:
    return and_(
        _A.operator_id == window.operator_id,
        _A.authorization_id >= first_id(window.from_us),
        _A.create_us >= window.from_us,
        _A.create_us < window.until_us,
        _A.product_id.in_(sorted(products)),
        _A.state == str(State.SETTLED),
        _A.parent_id == "",
        _A.start_us.is_not(None),
    )


def _ends(
    connection: Connection, window: Window, products: Collection[str]
) -> dict[_Name, tuple[bool, int]]:
    """For each rental, whether its item was lost in the end, and the time of the return or the
    loss."""
    e, u = t.entries.c, t.unposted_dockings.c
    # Of each person once: an entry is found by its person, and not by its authorization.
    people = select(_A.user_id).where(_settled(window, products)).distinct()
    posted = select(e.user_id, e.authorization_id, e.sequence, e.transition, e.event_us).where(
        e.user_id.in_(people),
        e.operator_id == window.operator_id,
        e.ledger_us >= window.from_us,
        e.transition.in_(_ENDS),
    )
    own = and_(u.user_id == _A.user_id, u.authorization_id == _A.authorization_id)
    unposted = (
        select(u.user_id, u.authorization_id, literal(0), u.transition, u.event_us)
        .select_from(t.authorizations.join(t.unposted_dockings, own))
        .where(_settled(window, products))
    )
    found: dict[_Name, tuple[bool, int]] = {}
    rows = [*connection.execute(posted), *connection.execute(unposted)]
    for user_id, authorization_id, _, transition, event_us in sorted(rows, key=_in_order):
        found[user_id, authorization_id] = transition == LOST, event_us
    return found


def _uses(
    connection: Connection, window: Window, products: Collection[str]
) -> dict[_Name, tuple[int, int, int]]:
    """The minutes of quotas and a pass that each rental used, those of the pass among them, and the
    percent that the pass took off the fee."""
    u, p = t.quota_uses.c, t.passes.c
    own = and_(u.user_id == _A.user_id, u.authorization_id == _A.authorization_id)
    of_use = and_(p.user_id == u.user_id, p.operator_id == u.operator_id, p.pass_id == u.name)
    of_pass = case((u.per.in_(sorted(map(str, PassGift))), u.minutes), else_=0)
    percent = case((u.per == str(PassGift.PERCENT), p.size), else_=0)
    query = (
        select(
            *(u.user_id, u.authorization_id, func.sum(u.minutes), func.sum(of_pass)),
            func.max(percent),
        )
        .select_from(t.authorizations.join(t.quota_uses, own).outerjoin(t.passes, of_use))
        .where(_settled(window, products))
        .group_by(u.user_id, u.authorization_id)
    )
    return {
        (user_id, name): (int(minutes), int(of_pass), int(percent))
        for user_id, name, minutes, of_pass, percent in connection.execute(query)
    }


def _passes(connection: Connection, window: Window, products: Collection[str]) -> dict[_Name, Pool]:
    """The pools of the passes that counted for rentals when they were settled: a granted pass may
    begin before that, and a used one may be refunded after it."""
    p = t.passes.c
    counts = and_(
        p.user_id == _A.user_id,
        p.operator_id == _A.operator_id,
        p.product_id == _A.product_id,
        p.record_us <= _A.close_us,
        or_(p.refund_us.is_(None), p.refund_us > _A.close_us),
        p.from_us <= _A.start_us,
        p.until_us > _A.start_us,
    )
    gift = (p.pass_id, p.gives, p.size, p.time_zone)
    query = (
        select(_A.user_id, _A.authorization_id, *gift, p.from_us, p.until_us, _A.start_us)
        .select_from(t.authorizations.join(t.passes, counts))
        .where(_settled(window, products))
    )
    found = {}
    for user_id, name, pass_id, gives, size, zone, *times, start_us in connection.execute(query):
        gift_of = (pass_id, PassGift(gives), size, zone)
        found[user_id, name] = pool_of_pass(*gift_of, Span(*times), start_us)
    return found


def _in_order(row: Any) -> tuple[str, bool, int]:
    """A report that the item was found counts more than all other ends, and a later one more."""
    return row[1], row[3] == FOUND, row[2]


def _meters(
    connection: Connection, window: Window, products: Collection[str]
) -> dict[_Name, Meter]:
    """The meters of rentals that have pauses or waivers."""
    a = t.attestations.c
    own = and_(a.user_id == _A.user_id, a.authorization_id == _A.authorization_id)
    query = (
        select(
            *(a.user_id, a.authorization_id, a.authorization_version, a.kind, a.event_us),
            *(a.until_us, a.amount_minor, a.pending_minor),
        )
        .select_from(t.authorizations.join(t.attestations, own))
        .where(_settled(window, products), or_(_A.paused_us > 0, _A.corrections > 0))
        .order_by(a.user_id, a.authorization_id, a.number)
    )
    told: dict[_Name, list[Versioned]] = defaultdict(list)
    for user_id, authorization_id, version, kind, *values in connection.execute(query):
        told[user_id, authorization_id].append((version, Attested(AttestationKind(kind), *values)))
    return {name: meter_of(told_before(them)) for name, them in told.items()}
