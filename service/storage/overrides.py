"""Reads decisions that a person or a list made otherwise than model and policy, and those on people
whom the model could not score, with what became of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, or_, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from service.domain.access import PLATFORM
from service.domain.authorization import CLOSED, Authorization, Custody, State
from service.domain.listings import Listing, ListingEffect, ListingKind
from service.domain.policy import Reason
from service.engine.records.authorizations import Decision
from service.engine.tables import AUTHORIZATIONS, DECISIONS, LISTINGS
from service.ids import first_id
from service.storage import schema as t
from service.storage.schema.record_tables import CONVERTERS

PORTION = 1_000
"""The decisions that are read at a time."""
_SKIPPED = "skipped."
"""The beginning of the name of a skipped rule among the values of a decision."""
_TOGETHER = 200
_ENDED_VERSION = 2
"""The version of a review that ended without a verdict."""


class Kind(StrEnum):
    """The decider in place of model and policy."""

    APPROVED = "REVIEW_APPROVED"
    DECLINED = "REVIEW_DECLINED"
    WAITS = "REVIEW_WITHOUT_VERDICT"
    DENIED = "LISTING_DENIED"
    SKIPPED = "RULES_SKIPPED"
    UNSCORABLE = "UNSCORABLE"


class Outcome(StrEnum):
    """The outcome of an authorization."""

    OPEN = "OPEN"
    NOT_RENTED = "NOT_RENTED"
    SETTLED = "SETTLED"
    UNPAID = "UNPAID"
    WRITTEN_OFF = "WRITTEN_OFF"
    LOST = "LOST"


class Override(NamedTuple):
    """A decision with its outcome; amounts are in minor units of `currency`.

    `by` and `why` name the person or the list, and its reason in words, as far as they are on
    record: verdicts by a build before migration 0047 come from the platform, without a reason.
    `review_reason` is a verdict's `ReviewReason`, or empty. `score` is None for people who
    were not scored; `unscorable` is the reason, and `column` the feature at fault.
    """

    kind: Kind
    authorization: str
    operator_id: str
    decide_us: int
    score: int | None
    model_id: str
    reasons: tuple[str, ...]
    by: str
    why: str
    review_reason: str
    unscorable: str
    column: str
    outcome: Outcome
    currency: str
    captured_minor: int
    due_minor: int
    written_off_minor: int


def overrides(connection: Connection, since_us: int, until_us: int) -> Iterator[list[Override]]:
    """The overrides decided from `since_us` until before `until_us`, in the order of decisions.

    One decision may be several: of a person without a score whose review was approved, for example.
    The connection reads one state of the database (`reading`).
    """
    a, d = t.authorizations.c, t.decisions.c
    own = and_(a.user_id == d.user_id, a.decision_id == d.decision_id, a.parent_id == "")
    order = d.decision_id, d.user_id, a.authorization_id
    detail = t.authorization_details.c
    told = and_(detail.user_id == a.user_id, detail.authorization_id == a.authorization_id)
    v = t.verdicts.c
    given = and_(v.user_id == a.user_id, v.authorization_id == a.authorization_id)
    query = (
        select(
            *(t.decisions, t.authorizations, detail.device_hash, detail.payment_account_hash),
            *(v.decided_by, v.reason.label("review_reason"), v.reason_text),
        )
        .select_from(
            t.decisions.join(t.authorizations, own)
            .outerjoin(t.authorization_details, told)
            .outerjoin(t.verdicts, given)
        )
        .where(d.decide_us >= since_us, d.decide_us < until_us, _told(d))
        .order_by(*order)
        .limit(PORTION)
    )
    # An id begins with the time at which it was made, or a later one.
    after: ColumnElement[bool] = d.decision_id >= first_id(since_us)
    width = len(t.decisions.columns)
    whole = width + len(t.authorizations.columns)
    while rows := connection.execute(query.where(after)).all():
        decided = [
            _Decided(
                CONVERTERS[DECISIONS].record(row[:width]),
                CONVERTERS[AUTHORIZATIONS].record(row[width:whole]),
                row.device_hash or "",
                row.payment_account_hash or "",
                _Verdict(row.decided_by or "", row.review_reason or "", row.reason_text or ""),
            )
            for row in rows
        ]
        listings = _listings(connection, decided)
        yield [it for one in decided for it in _of(one, listings)]
        last = decided[-1].authorization
        same = d.decision_id == last.decision_id
        after = or_(
            d.decision_id > last.decision_id,
            and_(same, d.user_id > last.user_id),
            and_(same, d.user_id == last.user_id, a.authorization_id > last.authorization_id),
        )


class _Verdict(NamedTuple):
    """The hand that decided a review, its reason and its words; empty if they are not on record."""

    hand: str = ""
    reason: str = ""
    text: str = ""

    @property
    def by(self) -> str:
        """The hand as an actor of the platform."""
        if not self.hand:
            return PLATFORM
        return f"{PLATFORM}/{self.hand if '/' in self.hand else f'keys/{self.hand}'}"


class _Decided(NamedTuple):
    """A decision, its authorization, the hashes of the order's device and payment account, and the
    verdict on its review."""

    decision: Decision
    authorization: Authorization
    device: str
    account: str
    verdict: _Verdict

    @property
    def subjects(self) -> dict[ListingKind, str]:
        """The subjects by which a listing may deny the order."""
        return {
            ListingKind.USER: self.decision.user_id,
            ListingKind.DEVICE: self.device,
            ListingKind.PAYMENT_ACCOUNT: self.account,
        }

    @property
    def skipped(self) -> dict[str, str]:
        """The skipped rules, each with its listing as `OWNER/NUMBER`."""
        if _SKIPPED not in (self.decision.read_values or ""):
            return {}
        values: dict[str, Any] = json.loads(self.decision.read_values or "")
        return {
            name.partition(_SKIPPED)[2]: str(listing)
            for name, listing in values.items()
            if _SKIPPED in name
        }


def _told(d: Any) -> ColumnElement[bool]:
    """The decisions that are overrides, or on people without a score."""
    return or_(
        d.reasons.contains(str(Reason.UNDER_REVIEW)),
        d.reasons.contains(str(Reason.LISTED_DENY)),
        d.read_values.contains(_SKIPPED),
        d.unscorable_reason.is_not(None),
    )


class _Listings(NamedTuple):
    """The listings that some decisions may have followed: by name, and those that deny."""

    named: dict[str, Listing]
    denying: dict[tuple[ListingKind, str], list[Listing]]


def _listings(connection: Connection, decided: Sequence[_Decided]) -> _Listings:
    c, record = t.listings.c, CONVERTERS[LISTINGS].record
    names = {name for one in decided for name in one.skipped.values()}
    pairs = [(owner, int(number)) for owner, _, number in (it.rpartition("/") for it in names)]
    found = [
        record(row)
        for start in range(0, len(pairs), _TOGETHER)
        for row in connection.execute(
            select(t.listings).where(
                tuple_(c.owner, c.number).in_(sorted(pairs)[start : start + _TOGETHER])
            )
        )
    ]
    named = {f"{it.owner}/{it.number}": it for it in found}
    denied = [one for one in decided if Reason.LISTED_DENY in one.decision.reasons]
    owners = {PLATFORM, *(one.decision.operator_id for one in denied)}
    wanted = sorted({text for one in denied for text in one.subjects.values() if text})
    denying: dict[tuple[ListingKind, str], list[Listing]] = defaultdict(list)
    for start in range(0, len(wanted), _TOGETHER):
        query = select(t.listings).where(
            c.owner.in_(sorted(owners)),
            c.kind.in_([str(kind) for kind in ListingKind]),
            c.subject.in_(wanted[start : start + _TOGETHER]),
            c.effect == str(ListingEffect.DENY),
        )
        for it in sorted(map(record, connection.execute(query))):
            denying[it.kind, it.subject].append(it)
    return _Listings(named, denying)


def _of(one: _Decided, listings: _Listings) -> list[Override]:
    """The overrides that a decision is."""
    decision, reasons = one.decision, one.decision.reasons
    found = []
    if Reason.UNDER_REVIEW in reasons:
        kind, verdict = _kind_of_review(one.authorization), one.verdict
        by = "" if kind is Kind.WAITS else verdict.by
        found.append(_row(one, kind, by, verdict.text, verdict.reason))
    if Reason.LISTED_DENY in reasons:
        it = _denying(one, listings)
        by, why = ("", "") if it is None else (_name(it), it.reason)
        found.append(_row(one, Kind.DENIED, by, why))
    if skipped := one.skipped:
        lists = [listings.named.get(name) for name in dict.fromkeys(skipped.values())]
        by = ", ".join(_name(it) for it in lists if it is not None)
        why = "; ".join(it.reason for it in lists if it is not None)
        found.append(_row(one, Kind.SKIPPED, by, f"{', '.join(skipped)}: {why}"))
    if decision.unscorable_reason is not None:
        found.append(_row(one, Kind.UNSCORABLE, "", ""))
    return found


def _name(it: Listing) -> str:
    return f"{it.created_by} by listing {it.owner}/{it.number}"


def _denying(one: _Decided, listings: _Listings) -> Listing | None:
    """The listing that denied an order, if it can be told; the first, as in `listed`."""
    at_us, decision = one.decision.decide_us, one.decision
    for it in sorted(it for key in one.subjects.items() for it in listings.denying.get(key, ())):
        counts = it.create_us <= at_us and (it.end_us is None or at_us < it.end_us)
        counts = counts and (it.expire_us is None or at_us < it.expire_us)
        if (
            counts
            and it.owner in (PLATFORM, decision.operator_id)
            and it.policy_id in ("", decision.policy_id)
        ):
            return it
    return None


def _kind_of_review(it: Authorization) -> Kind:
    """The verdict on a review: its only steps are the verdict, a reversal and its expiry."""
    if it.state is State.DECLINED and Reason.REVIEW_DECLINED in it.reasons:
        return Kind.DECLINED
    ended = it.state in (State.EXPIRED, State.REVERSED) and it.version <= _ENDED_VERSION
    return Kind.WAITS if it.state is State.REVIEW or ended else Kind.APPROVED


def _row(one: _Decided, kind: Kind, by: str, why: str, review_reason: str = "") -> Override:
    decision, it = one.decision, one.authorization
    return Override(
        kind=kind,
        authorization=it.name,
        operator_id=decision.operator_id,
        decide_us=decision.decide_us,
        score=decision.score,
        model_id=decision.model_id,
        reasons=decision.reasons,
        by=by,
        why=why,
        review_reason=review_reason,
        unscorable=decision.unscorable_reason or "",
        column=decision.unscorable_feature,
        outcome=outcome_of(it),
        currency=it.currency,
        captured_minor=it.captured_minor,
        due_minor=it.due_minor,
        written_off_minor=it.written_off_minor - it.recovered_minor,
    )


def outcome_of(it: Authorization) -> Outcome:
    """The outcome of an authorization until now."""
    if it.state not in CLOSED:
        return Outcome.OPEN
    if it.state is not State.SETTLED:
        return Outcome.NOT_RENTED
    if it.custody in (Custody.MISSING, Custody.SOLD):
        return Outcome.LOST
    if it.written_off_minor > it.recovered_minor:
        return Outcome.WRITTEN_OFF
    return Outcome.UNPAID if it.due_minor > 0 else Outcome.SETTLED
