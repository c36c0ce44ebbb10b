"""Reads an authorization with all rows that belong to it, and its settlement."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, select

from service.domain.attestations import meter_of, told_before
from service.domain.authorization import Authorization, Start
from service.domain.meter import Meter
from service.domain.policy import Reason
from service.domain.receipt import has_receipt
from service.domain.segment_tariff import PassGift
from service.domain.transitions import Transition
from service.engine.reads import Docked, Told
from service.engine.tables import (
    ATTESTATIONS,
    AUTHORIZATIONS,
    CAPTURES,
    CHARGE_BACKS,
    CONSENTS,
    CORRECTIONS,
    DETAILS,
)
from service.storage import schema as t
from service.storage.schema.record_tables import CONVERTERS
from service.storage.tariffs import TARIFF_COLUMNS, tariff_in_row


def told(connection: Connection, user_id: str, authorization_id: str) -> Told | None:
    """One authorization with all rows that belong to it, or None."""

    def of(table: Table) -> Select[Any]:
        c = table.c
        same = (c.user_id == user_id, c.authorization_id == authorization_id)
        return select(*t.recorded(table)).where(*same)

    row = connection.execute(of(t.authorizations)).first()
    if row is None:
        return None
    it = CONVERTERS[AUTHORIZATIONS].record(row)
    captures, corrections = [], []
    if it.captures:
        query = of(t.captures).order_by(t.captures.c.number)
        captures = list(map(CONVERTERS[CAPTURES].record, connection.execute(query)))
    if it.corrections:
        query = of(t.corrections).order_by(t.corrections.c.number)
        corrections = list(map(CONVERTERS[CORRECTIONS].record, connection.execute(query)))
    attestations = []
    if it.start_us is not None:
        query = of(t.attestations).order_by(t.attestations.c.number)
        attestations = list(map(CONVERTERS[ATTESTATIONS].record, connection.execute(query)))
    found = map(CONVERTERS[CHARGE_BACKS].record, connection.execute(of(t.charge_backs)))
    # A charge has few, and no index has them in the order of time.
    charge_backs = sorted(found, key=attrgetter("record_us", "case_id"))
    reservation = _reservation(connection, it)
    details = connection.execute(of(t.authorization_details)).first()
    known = None if details is None else CONVERTERS[DETAILS].record(details)
    consents = []
    if it.parent_id or it.other_captured_minor:
        query = of(t.consents).order_by(t.consents.c.authorization_version)
        consents = list(map(CONVERTERS[CONSENTS].record, connection.execute(query)))
    return Told(it, captures, corrections, reservation, attestations, charge_backs, known, consents)


def _reservation(connection: Connection, it: Authorization) -> str:
    """The resource name of the reservation that a late pick-up cites; empty for other rentals."""
    if it.start is not Start.LATE_PICKUP:
        return ""
    c = t.late_pickups.c
    same = (c.user_id == it.user_id, c.started_id == it.authorization_id)
    cited = connection.scalar(select(c.authorization_id).where(*same))
    return f"users/{it.user_id}/authorizations/{cited}"


def docked(connection: Connection, told: Told) -> Docked | None:
    """The step that settled a rental, or None.

    A step of an earlier build that moved no money is not found.
    """
    it, p = told.authorization, t.products.c
    if it.parent_id:
        return None
    step = _docking(connection, it)
    if step is None:
        return None
    key = (it.operator_id, it.product_id, it.product_revision)
    o = t.policies.c
    policy = (o.policy_id == p.policy_id, o.revision == p.policy_revision)
    terms = (
        select(o.free_cancellation_us, p.cancellation_fee_minor, *TARIFF_COLUMNS)
        .select_from(t.products.outerjoin(t.policies, and_(*policy)))
        .where(p.operator_id == key[0], p.product_id == key[1], p.revision == key[2])
    )
    row = connection.execute(terms).one()
    words = [(row.authorization_version, row.attested) for row in told.attestations]
    meter = meter_of(told_before(words))
    meter = _with_uses(connection, it, meter)
    debt_minor = _fee_above_hold_minor(connection, it)
    transition = Transition(step[0])
    tariff, free_us = tariff_in_row(row), row.free_cancellation_us
    values = (transition, step[1], meter, debt_minor, free_us, row.cancellation_fee_minor)
    return Docked(told, tariff, *values)


def _with_uses(connection: Connection, it: Authorization, meter: Meter) -> Meter:
    """The meter with the minutes of quotas and of a pass that a rental used, and with the share
    that a pass took off its fee."""
    u, p = t.quota_uses.c, t.passes.c
    of_use = and_(p.user_id == u.user_id, p.operator_id == u.operator_id, p.pass_id == u.name)
    uses = (
        select(u.per, u.minutes, p.size)
        .select_from(t.quota_uses.outerjoin(t.passes, of_use))
        .where(u.user_id == it.user_id, u.authorization_id == it.authorization_id)
    )
    for per, minutes, size in connection.execute(uses):
        meter = meter._replace(quota_minutes=meter.quota_minutes + minutes, quota_fixed=True)
        if per == PassGift.PERCENT:
            meter = meter._replace(pass_percent=size)
        elif per in _GIFTS:
            meter = meter._replace(pass_minutes=minutes)
    return meter


_GIFTS = frozenset(map(str, PassGift))


def _docking(connection: Connection, it: Authorization) -> tuple[str, int] | None:
    """The transition and the instant of the step that billed a rental or a reservation.

    They are read from the step's entries, or from its row if it has no entries.
    """
    e, u = t.entries.c, t.unposted_dockings.c
    own = (e.user_id == it.user_id, e.currency == it.currency)
    settling = sorted(one for one in Transition if has_receipt(it, one))
    posted = select(e.transition, e.event_us).where(
        *own, e.authorization_id == it.authorization_id, e.transition.in_(settling)
    )
    unposted = select(u.transition, u.event_us).where(
        u.user_id == it.user_id, u.authorization_id == it.authorization_id
    )
    for steps in (posted, unposted):
        found = connection.execute(steps.limit(1)).first()
        if found is not None:
            transition, event_us = found
            return transition, event_us
    return None


def _fee_above_hold_minor(connection: Connection, it: Authorization) -> int:
    """The part of a late pick-up's fee that became a debt. A debt that an operator booked has
    evidence, and this one has none."""
    if it.start is not Start.LATE_PICKUP:
        return 0
    d = t.debts.c
    booked = select(d.amount_minor).where(
        *(d.user_id == it.user_id, d.parent_id == it.authorization_id),
        *(d.business_reference == str(Reason.FEE_ABOVE_HOLD), d.evidence == ""),
    )
    return int(connection.scalar(booked) or 0)
