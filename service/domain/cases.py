"""Cases: open questions between a person, an operator and the platform, each with a clock.

A claimed return, a dispute and a complaint are cases, and so is money that matches nothing. A case
has two sides, which add evidence. It ends with an outcome, which posts itself in the same step. If
nobody answers until `due_us`, a case of a person is decided for the person.

A claim and a dispute keep their own calls and states: the steps of the authorization open and close
their cases.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from service.domain.dunning import HOUR_US

CLOCK_US = 48 * HOUR_US
"""The time in which a side answers a complaint."""


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
DECIDED_BY_SILENCE = COMPLAINTS | {CaseKind.LATE_CLAIM}
"""Kinds whose own clock decides them for the person."""
STEPS_DECIDE = frozenset({CaseKind.CLAIM, CaseKind.DISPUTE})
"""Kinds that the steps of the authorization close, with the calls and clocks of their own."""
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

    `user_id`, `operator_id`, `authorization_id` and `currency` are empty where nobody is known.
    `asked_minor` is the amount in question; 0 means all that the operator kept, or no amount.
    `reference` is that of the payment, or the opener's own. `occurred_us` is the time that a late
    claim tells. `authorization_version` is that of the step which opened the case, and
    `close_version` of the step which closed it; 0 if no step did.

    `waits_for` is the side that is to answer until `due_us`; None has no limit. `closed_by` is the
    operator, or the platform; empty if time decided. `granted_minor` was given back. `evidence`
    counts the rows of evidence, and `version` the changes. `digest` covers all other columns,
    except the person. Amounts are minor units, times microseconds since the epoch, UTC.
    """

    user_id: str
    case_id: str
    kind: CaseKind
    operator_id: str
    authorization_id: str
    currency: str
    asked_minor: int
    reference: str
    opened_by: Side
    open_us: int
    occurred_us: int | None
    authorization_version: int
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
        """The resource name; a case of nobody has the person `-`."""
        return f"users/{self.user_id or '-'}/cases/{self.case_id}"


class Evidence(NamedTuple):
    """Evidence of one side; `number` counts from 1 within the case.

    `text` says it, and `reference` names it elsewhere; one of the two may be empty. `digest` covers
    all other columns, except the person.
    """

    user_id: str
    case_id: str
    number: int
    side: Side
    text: str
    reference: str
    record_us: int
    digest: bytes = b""


def digest_of(row: Case | Evidence) -> bytes:
    """The digest over a row without the person, who gets another id when erased."""
    return sha256("\n".join(map(str, row[1:-1])).encode()).digest()


def sealed(case: Case) -> Case:
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
    authorization_version: int = 0,
    currency: str = "",
    asked_minor: int = 0,
    reference: str = "",
    occurred_us: int | None = None,
) -> Case:
    """A new case, without evidence yet; see `Case` for the parts."""
    return sealed(
        Case(
            user_id,
            case_id,
            kind,
            operator_id,
            authorization_id,
            currency,
            asked_minor,
            reference,
            opened_by,
            now_us,
            occurred_us,
            authorization_version,
            CaseState.OPEN,
            waits_for,
            due_us,
        )
    )


def with_evidence(
    case: Case, side: Side, text: str, reference: str, now_us: int
) -> tuple[Case, Evidence]:
    """The case with one more row of evidence, and the row."""
    number = case.evidence + 1
    row = Evidence(case.user_id, case.case_id, number, side, text, reference, now_us)
    return sealed(case._replace(evidence=number)), row._replace(digest=digest_of(row))


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
    return sealed(
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
