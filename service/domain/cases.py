"""Cases: open questions between a person, an operator and the platform, each with a clock.

A claimed return, a dispute and a complaint are cases, and so is money that matches nothing. A case
has two sides, which add evidence. It ends with an outcome, which posts itself in the same step.

A claim and a dispute keep their own calls and states: the steps of the authorization open and close
their cases. A complaint, and a return that is claimed after the settlement, have a clock of their
own. If the operator does not answer within 48 hours, the case is decided for the person. If the
operator gives evidence, the arbiter decides within another 48 hours, or the case is decided for the
person.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from service.domain.authorization import Authorization, State
from service.domain.dunning import HOUR_US
from service.domain.errors import IllegalState
from service.domain.transitions import Transition

CLOCK_US = 48 * HOUR_US
"""The time in which the operator answers a complaint, and then the arbiter, in microseconds."""
MOST_OF_A_KIND = 2
"""The number of complaints of a kind, and of late claims, about one authorization.

The first may end with a part that the operator grants. The second one ends all questions of the
kind: the operator grants all of it, or the platform or time decides."""


class CaseKind(StrEnum):
    """The question of a case."""

    CLAIM = "CLAIM"
    """The person says that the item of an open rental was returned."""
    LATE_CLAIM = "LATE_CLAIM"
    """The person says that the item of a settled rental was returned earlier."""
    DISPUTE = "DISPUTE"
    """The person disputes an amount that is due."""
    # complaints
    RETURN_BLOCKED = "RETURN_BLOCKED"
    ITEM_AT_FAULT = "ITEM_AT_FAULT"
    WRONG_FEE = "WRONG_FEE"
    NOT_MINE = "NOT_MINE"
    DAMAGE_NOT_MINE = "DAMAGE_NOT_MINE"
    OTHER = "OTHER"
    # questions of the platform
    UNMATCHED_MONEY = "UNMATCHED_MONEY"
    """Money moved, and nothing that is known explains it."""
    SECOND_REFERENCE = "SECOND_REFERENCE"
    """A payment reference was used a second time."""
    LATE_PICKUP = "LATE_PICKUP"
    """An item was picked up in time, told late, and is in another rental by now."""


COMPLAINTS = frozenset(
    {
        *(CaseKind.RETURN_BLOCKED, CaseKind.ITEM_AT_FAULT, CaseKind.WRONG_FEE),
        *(CaseKind.NOT_MINE, CaseKind.DAMAGE_NOT_MINE, CaseKind.OTHER),
    }
)
CLOCKED = COMPLAINTS | {CaseKind.LATE_CLAIM}
"""Kinds with a clock of their own, whose end decides them for the person."""
PLATFORM_ONLY = frozenset(
    {CaseKind.UNMATCHED_MONEY, CaseKind.SECOND_REFERENCE, CaseKind.LATE_PICKUP}
)
"""Kinds that no operator sees: it would learn of another's rentals."""


class Side(StrEnum):
    """A party of a case."""

    USER = "USER"
    OPERATOR = "OPERATOR"
    PLATFORM = "PLATFORM"


class CaseState(StrEnum):
    """Whether a case waits for somebody."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Outcome(StrEnum):
    """The end of a case."""

    FOR_USER = "FOR_USER"
    IN_PART = "IN_PART"
    FOR_OPERATOR = "FOR_OPERATOR"
    HANDLED = "HANDLED"
    """A question of the platform was answered, elsewhere if money had to move."""


class Case(NamedTuple):
    """One case as stored.

    In questions of the platform, `user_id`, `operator_id`, `authorization_id` and `currency` are
    empty where nobody is known.

    `asked_minor` is the amount in question. 0 means the whole amount that the operator kept, or no
    amount. `reference` is that of the payment, or the opener's own. `occurred_us` is the time of
    return in a late claim.

    `waits_for` is the side that must answer by `due_us`; if `due_us` is None, there is no limit.
    `granted_minor` was given back. `closed_by` is the caller that decided the case; empty if time
    did, or a step of the authorization. `open_version` and `close_version` are the versions of the
    authorization whose steps opened and closed the case; 0 if none did. `evidence` counts the rows
    of evidence, and `version` the changes. `digest` covers all other columns, except the person.
    Amounts are minor units, times microseconds since the epoch, UTC.
    """

    user_id: str
    authorization_id: str
    case_id: str
    kind: CaseKind
    operator_id: str
    currency: str
    asked_minor: int
    reference: str
    opened_by: Side
    open_us: int
    open_version: int
    occurred_us: int | None
    state: CaseState
    waits_for: Side
    due_us: int | None
    outcome: Outcome | None = None
    granted_minor: int = 0
    closed_by: str = ""
    close_us: int | None = None
    close_version: int = 0
    evidence: int = 0
    version: int = 1
    digest: bytes = b""

    @property
    def name(self) -> str:
        """The resource name; a person or an authorization that is not known is `*`."""
        of = f"users/{self.user_id or '*'}/authorizations/{self.authorization_id or '*'}"
        return f"{of}/cases/{self.case_id}"

    @property
    def is_open(self) -> bool:
        """Whether the case waits for somebody."""
        return self.state is CaseState.OPEN


class WaitingCase(NamedTuple):
    """A case whose time is over; sorted by the instants."""

    due_us: int
    user_id: str
    authorization_id: str
    case_id: str


class Evidence(NamedTuple):
    """Evidence of one side; `number` counts from 1 within the case.

    `text` is the evidence in words, and `reference` is the side's own reference to it; either may
    be empty. `digest` covers all other columns, except the person.
    """

    user_id: str
    authorization_id: str
    case_id: str
    number: int
    side: Side
    text: str
    reference: str
    record_us: int
    digest: bytes = b""


def digest_of(row: Case | Evidence) -> bytes:
    """The digest over a row without the person's id, because an erased person gets another id."""
    return sha256("\n".join(map(str, row[1:-1])).encode()).digest()


def digested(case: Case) -> Case:
    """The case with the digest of its present columns."""
    return case._replace(digest=digest_of(case))


def open_case(
    case_id: str,
    kind: CaseKind,
    now_us: int,
    *,
    opened_by: Side = Side.PLATFORM,
    waits_for: Side = Side.PLATFORM,
    due_us: int | None = None,
    user_id: str = "",
    operator_id: str = "",
    authorization_id: str = "",
    open_version: int = 0,
    currency: str = "",
    asked_minor: int = 0,
    reference: str = "",
    occurred_us: int | None = None,
) -> Case:
    """A new case, without evidence yet; see `Case` for the parts."""
    return digested(
        Case(
            user_id,
            authorization_id,
            case_id,
            kind,
            operator_id,
            currency,
            asked_minor,
            reference,
            opened_by,
            now_us,
            open_version,
            occurred_us,
            CaseState.OPEN,
            waits_for,
            due_us,
        )
    )


def open_about(
    it: Authorization,
    case_id: str,
    kind: CaseKind,
    now_us: int,
    *,
    opened_by: Side = Side.USER,
    waits_for: Side = Side.OPERATOR,
    due_us: int | None = None,
    asked_minor: int = 0,
    reference: str = "",
    occurred_us: int | None = None,
) -> Case:
    """A new case about an authorization, opened by the step that made its present version."""
    return open_case(
        case_id,
        kind,
        now_us,
        opened_by=opened_by,
        waits_for=waits_for,
        due_us=due_us,
        user_id=it.user_id,
        operator_id=it.operator_id,
        authorization_id=it.authorization_id,
        open_version=it.version,
        currency=it.currency,
        asked_minor=asked_minor,
        reference=reference,
        occurred_us=occurred_us,
    )


def with_evidence(
    case: Case, side: Side, text: str, reference: str, now_us: int
) -> tuple[Case, Evidence]:
    """The case with one more row of evidence, and the row.

    Evidence of the operator passes a case with a clock of its own on to the arbiter.
    """
    number = case.evidence + 1
    row = Evidence(*case[:3], number, side, text, reference, now_us)
    told = case._replace(evidence=number, version=case.version + 1)
    if side is Side.OPERATOR and case.kind in CLOCKED and case.waits_for is Side.OPERATOR:
        told = told._replace(waits_for=Side.PLATFORM, due_us=now_us + CLOCK_US)
    return digested(told), row._replace(digest=digest_of(row))


def asking_more(case: Case, asked_minor: int) -> Case:
    """The case about a larger amount."""
    more_minor = case.asked_minor + asked_minor
    return digested(case._replace(asked_minor=more_minor, version=case.version + 1))


def closed(
    case: Case,
    outcome: Outcome,
    now_us: int,
    *,
    granted_minor: int = 0,
    closed_by: str = "",
    close_version: int = 0,
) -> Case:
    """The case after its outcome."""
    return digested(
        case._replace(
            state=CaseState.CLOSED,
            outcome=outcome,
            granted_minor=granted_minor,
            closed_by=closed_by,
            close_us=now_us,
            close_version=close_version,
            version=case.version + 1,
        )
    )


def require_open(case: Case, now_us: int) -> None:
    """Raises IllegalState if the case is closed, or if its own clock has run out."""
    if not case.is_open:
        raise IllegalState("CASE_CLOSED", "the case is closed", str(case.state))
    if case.kind in CLOCKED and case.due_us is not None and case.due_us <= now_us:
        raise IllegalState(
            "CASE_DECIDED_BY_TIME",
            "nobody answered in time, so the case is decided for the user",
            str(case.state),
        )


_AGAINST_THE_PERSON = frozenset({Transition.RETURN_CONTESTED, Transition.DISPUTE_LOST})


def outcome_of(case: Case, it: Authorization, transition: Transition) -> Outcome | None:
    """The outcome that a step of the authorization gives to a claim or a dispute; None if the case
    stays open."""
    match case.kind:
        case CaseKind.CLAIM:
            waits = it.state is State.RETURN_CLAIMED
        case CaseKind.DISPUTE:
            waits = bool(it.disputed_minor or it.unheld_disputed_minor)
        case _:
            return None
    if waits:
        return None
    return Outcome.FOR_OPERATOR if transition in _AGAINST_THE_PERSON else Outcome.FOR_USER
