"""The columns of operators' reports: attestations, and late pick-ups."""

from __future__ import annotations

from service.books.codes import (
    AMOUNT,
    BYTES,
    MAYBE,
    NUMBER,
    TEXT,
    among,
    codes_of,
    named,
    or_absent,
)
from service.books.columns import Fields
from service.domain.attestations import AttestationKind, Cause, Source
from service.storage import schema as t

LATE_PICKUPS = Fields(
    t.late_pickups,
    {**among("user_id", "authorization_id", "started_id", kind=TEXT), "deposit_minor": AMOUNT},
    named("late_pickups/{}/{}", 0, 1),
)
ATTESTATIONS = Fields(
    t.attestations,
    {
        **among("user_id", "authorization_id", kind=TEXT),
        "number": NUMBER,
        "kind": codes_of(AttestationKind),
        "cause": or_absent(codes_of(Cause)),
        "source": or_absent(codes_of(Source)),
        "evidence": TEXT,
        "until_us": MAYBE,
        **among("amount_minor", "pending_minor", kind=AMOUNT),
        **among("authorization_version", "event_us", "record_us", kind=NUMBER),
        "digest": BYTES,
    },
    named("attestations/{}/{}/{}", 0, 1, 2),
)
