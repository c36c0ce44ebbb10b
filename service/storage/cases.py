"""Reads cases with their evidence, and the cases whose time is over."""

from __future__ import annotations

from sqlalchemy import Connection, select, text, tuple_

from service.domain.cases import CLOCKED, WaitingCase
from service.engine.reads import CaseWithEvidence
from service.engine.tables import CASES, EVIDENCE
from service.storage import schema as t
from service.storage.schema.cases import WAITS
from service.storage.schema.record_tables import CONVERTERS


def case_with_evidence(
    connection: Connection, key: tuple[str, str, str]
) -> CaseWithEvidence | None:
    """The case with this user id, authorization id and case id, or None."""
    c, e = t.cases.c, t.case_evidence.c
    query = select(*t.recorded(t.cases)).where(
        c.user_id == key[0], c.authorization_id == key[1], c.case_id == key[2]
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    evidence = (
        select(*t.recorded(t.case_evidence))
        .where(e.user_id == key[0], e.authorization_id == key[1], e.case_id == key[2])
        .order_by(e.number)
    )
    rows = map(CONVERTERS[EVIDENCE].record, connection.execute(evidence))
    return CaseWithEvidence(CONVERTERS[CASES].record(row), list(rows))


def cases_over(
    connection: Connection, now_us: int, limit: int, after: WaitingCase | None
) -> list[WaitingCase]:
    """Open cases whose own clock has run out, earliest first."""
    c = t.cases.c
    order = (c.due_us, c.user_id, c.authorization_id, c.case_id)
    query = select(*order).where(
        text(WAITS),  # selects the index
        c.due_us <= now_us,
        c.kind.in_(sorted(CLOCKED)),
    )
    if after is not None:
        query = query.where(tuple_(*order) > tuple_(*after))
    return [WaitingCase(*row) for row in connection.execute(query.order_by(*order).limit(limit))]
