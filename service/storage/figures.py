"""Sums over the whole database for those who watch it, read outside any write transaction."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, case, func, select, text

from service.engine.figures import AGES, OLDEST, Due, Exposure, Figures, OpenTransfers, Unsealed
from service.storage import schema as t
from service.storage.cases import cases_over
from service.storage.database import reading
from service.storage.findings import high_findings


def figures(engine: Engine, now_us: int, sealed_sequence: int) -> Figures:
    """The figures at an instant; events after the number `sealed_sequence` may lack a seal.

    This reads every line, one short row for each person, and the authorizations of the people who
    owe something. Raises StorageFailed.
    """
    with reading(engine) as connection:
        a = t.authorizations.c
        waking = select(func.min(a.wake_us)).where(a.wake_us.is_not(None), a.wake_us <= now_us)
        over = cases_over(connection, now_us, 1, None)
        return Figures(
            exposures=_exposures(connection),
            dues=_dues(connection, now_us),
            transfers=_transfers(connection),
            timer_us=connection.scalar(waking),
            case_us=over[0].due_us if over else None,
            unsealed=_unsealed(connection, sealed_sequence),
            high_findings=tuple(
                (model_id, len(numbers)) for model_id, numbers in high_findings(connection).items()
            ),
        )


def _exposures(connection: Connection) -> tuple[Exposure, ...]:
    line = t.lines.c
    sums = [
        func.sum(it)
        for it in (
            line.limit_minor,
            line.held_minor,
            line.drawn_minor,
            line.receivable_minor,
            line.disputed_minor,
        )
    ]
    query = select(line.currency, *sums).group_by(line.currency).order_by(line.currency)
    return tuple(
        Exposure(currency, *(int(it) for it in found))
        for currency, *found in connection.execute(query)
    )


def _dues(connection: Connection, now_us: int) -> tuple[Due, ...]:
    line, a = t.lines.c, t.authorizations.c
    held_minor = (
        a.captured_credit_minor
        - a.paid_minor
        - a.lowered_minor
        - a.disputed_minor
        - a.written_off_minor
    )
    unheld_minor = (
        a.unheld_minor - a.captured_credit_minor - a.unheld_dropped_minor - a.unheld_disputed_minor
    )
    due_minor = held_minor + case((a.unheld_minor > 0, unheld_minor), else_=0)
    since_us = func.coalesce(a.close_us, a.create_us)
    ages = [(since_us > now_us - longest_us, name) for name, longest_us in AGES.items()]
    # PostgreSQL does not see that an expression with parameters is the same in two places.
    each = (
        select(a.currency, case(*ages, else_=OLDEST).label("age"), due_minor.label("due_minor"))
        .select_from(
            t.lines.join(
                t.authorizations, (a.user_id == line.user_id) & (a.currency == line.currency)
            )
        )
        .where((line.receivable_minor > 0) | (line.unheld_minor > 0), due_minor > 0)
        .subquery()
    )
    key = (each.c.currency, each.c.age)
    query = select(*key, func.count(), func.sum(each.c.due_minor)).group_by(*key).order_by(*key)
    return tuple(
        Due(currency, name, int(count), int(due))
        for currency, name, count, due in connection.execute(query)
    )


def _transfers(connection: Connection) -> tuple[OpenTransfers, ...]:
    c = t.transfers.c
    # Transfers that have not ended have an index of their own.
    query = (
        select(c.state, func.count(), func.min(c.change_us))
        .where(text("(state = 'REQUESTED' OR state = 'SENT')"))
        .group_by(c.state)
        .order_by(c.state)
    )
    return tuple(
        OpenTransfers(state, int(count), int(oldest_us))
        for state, count, oldest_us in connection.execute(query)
    )


def _unsealed(connection: Connection, sealed_sequence: int) -> Unsealed:
    o, s = t.outbox.c, t.seals.c
    last = connection.execute(
        select(s.seal_us, s.outbox_sequence).order_by(s.number.desc()).limit(1)
    ).first()
    seal_us = None
    if last is not None:
        seal_us, sealed_sequence = int(last[0]), max(sealed_sequence, int(last[1]))
    first = (
        select(o.sequence, o.record_us)
        .where(o.sequence > sealed_sequence)
        .order_by(o.sequence)
        .limit(1)
    )
    newest = select(o.sequence).order_by(o.sequence.desc()).limit(1)
    found = connection.execute(first).first()
    last_sequence = int(connection.scalar(newest) or 0)
    return Unsealed(
        seal_us=seal_us,
        events=max(0, last_sequence - sealed_sequence),
        since_us=None if found is None else int(found[1]),
    )
