"""The rows of attestations, as a batch reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

from service.domain.attestations import AttestationKind, Cause, Source, meter_of
from service.domain.authorization import Authorization, Custody, Step
from service.domain.meter import RUNNING, Meter
from service.engine.ports import Transaction
from service.engine.quotas import share_of
from service.engine.records.attestations import AttestationRecord
from service.engine.records.captures import digest_of
from service.engine.rows import Draft, Rows, Wish
from service.engine.tables import ATTESTATIONS, Pair

_BY_AUTHORIZATION = ("user_id", "authorization_id")
_AWAY = (Custody.MISSING, Custody.UNKNOWN)


class Word(NamedTuple):
    """The caller's words of an attestation; a part may be absent."""

    cause: Cause | None = None
    source: Source | None = None
    evidence: str = ""


def metered(found: Iterable[Authorization]) -> set[Pair]:
    """The authorizations whose attestations must be read, because a fee may depend on them.

    A pause leaves `paused_us` on the authorization, and a waiver leaves corrections. After the
    item's return only some commands compute a fee, and these commands add the keys of the
    attestations themselves.
    """
    return {
        (it.user_id, it.authorization_id)
        for it in found
        if (it.paused_us or it.corrections) and (it.close_us is None or it.custody in _AWAY)
    }


def read_attestations(rows: Rows, keys: Iterable[Pair], transaction: Transaction) -> None:
    """Reads all attestations of these authorizations."""
    transaction.read(rows, [Wish(ATTESTATIONS, _BY_AUTHORIZATION, set(keys))])


def _rows_of(it: Authorization, rows: Rows) -> list[AttestationRecord]:
    name = (it.user_id, it.authorization_id)
    found = [row for row in rows[ATTESTATIONS].values() if row[:2] == name]
    return sorted(found, key=attrgetter("number"))


def meter(it: Authorization, rows: Rows, draft: Draft, *, closes: bool = False) -> Meter:
    """The meter of a rental by its attestations, quotas and pass, which must have been read.

    `closes` means that the present step closes it; `draft` has the steps of the same command.
    """
    found = _attested(it, rows)
    if not rows.pools or (it.user_id, it.authorization_id) not in rows.pools:
        return found
    share = share_of(it, rows, draft, closes=closes)
    if share.minutes or share.percent:
        return found._replace(
            quota_minutes=share.minutes,
            quota_fixed=share.fixed,
            pass_minutes=share.pass_minutes,
            pass_percent=share.percent,
        )
    return found


def _attested(it: Authorization, rows: Rows) -> Meter:
    # A pause may have had no length, and then `paused_us` does not tell of it.
    if not rows[ATTESTATIONS]:
        return RUNNING
    found = _rows_of(it, rows)
    told = [(row.authorization_version, row.attested) for row in found]
    return meter_of(told) if told else RUNNING


def attest(
    draft: Draft,
    step: Step,
    rows: Rows,
    kind: AttestationKind,
    word: Word,
    now_us: int,
    *,
    until_us: int | None = None,
    amount_minor: int = 0,
    pending_minor: int = 0,
) -> AttestationRecord:
    """Adds the row of a step's attestation to the draft. The draft must have attestations of this
    rental only, and the stored ones must have been read."""
    it = step.authorization
    values = (
        it.authorization_id,
        len(_rows_of(it, rows)) + 1 + len(draft.get(ATTESTATIONS, ())),
        kind,
        word.cause,
        word.source,
        word.evidence,
        until_us,
        amount_minor,
        pending_minor,
        it.version,
        step.event_us,
        now_us,
    )
    row = AttestationRecord(it.user_id, *values, digest_of(*values))
    draft[ATTESTATIONS].append(row)
    return row
