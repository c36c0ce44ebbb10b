"""Reads the usages of rentals that happened: from the pick-up to the instant at which the fee
stopped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, literal, or_, select

from service.domain.attestations import AttestationKind, Attested, Versioned, meter_of, told_before
from service.domain.authorization import Start, State
from service.domain.meter import RUNNING, Meter
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
    `order_fee_minor` is the fee of the order, or None.
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
    products with fees; `quotas` says that tariffs have quotas, whose uses reach back further.
    """
    from_us = window.from_us
    if quotas:
        window = window._replace(from_us=from_us - LEAD_US)
    minutes = _minutes(connection, window, products) if quotas else {}
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
        used = minutes.get((user_id, authorization_id), 0)
        if used:
            meter = meter._replace(quota_minutes=used, quota_fixed=True)
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


def _minutes(connection: Connection, window: Window, products: Collection[str]) -> dict[_Name, int]:
    """The minutes of quotas that each rental used."""
    u = t.quota_uses.c
    own = and_(u.user_id == _A.user_id, u.authorization_id == _A.authorization_id)
    query = (
        select(u.user_id, u.authorization_id, func.sum(u.minutes))
        .select_from(t.authorizations.join(t.quota_uses, own))
        .where(_settled(window, products))
        .group_by(u.user_id, u.authorization_id)
    )
    return {(user_id, name): int(minutes) for user_id, name, minutes in connection.execute(query)}


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
