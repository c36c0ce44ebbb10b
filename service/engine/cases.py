"""The rows of cases and of their evidence, as a batch reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from service.domain import cases
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Custody, Step
from service.domain.cases import Case, CaseKind, Side
from service.domain.errors import IllegalState, NotFound
from service.engine.ports import Transaction
from service.engine.rows import Draft, Keys, Rows, Wish
from service.engine.tables import CASES, EVIDENCE

_BY_AUTHORIZATION = ("user_id", "authorization_id")
_UNKNOWN = Custody.UNKNOWN


def with_open_case(found: Iterable[Authorization]) -> set[tuple[str, str]]:
    """The authorizations of which a return is claimed or an amount is disputed."""
    return {
        (it.user_id, it.authorization_id)
        for it in found
        if it.custody is _UNKNOWN or it.disputed_minor or it.unheld_disputed_minor
    }


def read_cases(rows: Rows, keys: Keys, transaction: Transaction) -> None:
    """Reads the cases of authorizations, and questions of the platform."""
    wishes = [
        Wish(CASES, _BY_AUTHORIZATION, keys.cased),
        Wish(CASES, CASES.key, keys.questions),
    ]
    transaction.read(rows, wishes)


def cases_of(it: Authorization, rows: Rows, draft: Draft) -> list[Case]:
    """The cases of an authorization, a draft's included; they must have been read."""
    name = (it.user_id, it.authorization_id)
    # Rows of the draft come later: they replace those that were read.
    every = chain(rows[CASES].values(), draft.get(CASES, ()))
    return list({row.case_id: row for row in every if row[:2] == name}.values())


def require_new_case(it: Authorization, kind: CaseKind, rows: Rows, draft: Draft) -> None:
    """Raises IllegalState if the authorization has an open case of the kind.

    If the platform decided a complaint, it cannot be opened again. Any other complaint can be
    opened again once.
    """
    of_kind = [case for case in cases_of(it, rows, draft) if case.kind is kind]
    for case in of_kind:
        if case.is_open:
            raise IllegalState(
                "CASE_OPEN",
                f"the case {case.name} of the same kind is open: add evidence to it",
                it.state,
            )
        if case.closed_by == PLATFORM and kind in cases.CLOCKED:
            raise IllegalState(
                "CASE_DECIDED",
                f"the platform decided the case {case.name} of the same kind",
                it.state,
            )
    if kind in cases.CLOCKED and len(of_kind) >= cases.MOST_OF_A_KIND:
        raise IllegalState(
            "CASE_DECIDED",
            f"{len(of_kind)} cases of the same kind were decided; the last is {of_kind[-1].name}",
            it.state,
        )


def require_whole(it: Authorization, case: Case, rows: Rows, draft: Draft) -> None:
    """Raises IllegalState for a second case: an operator may grant it only as a whole."""
    others = [one for one in cases_of(it, rows, draft) if one.kind is case.kind]
    if len(others) >= cases.MOST_OF_A_KIND:
        raise IllegalState(
            "CASE_IS_THE_SECOND",
            "this is the second complaint of its kind: grant the whole amount, or add evidence and"
            " let the platform decide",
            str(case.state),
        )


def case_of(
    caller: str, user_id: str, authorization_id: str, case_id: str, rows: Rows, draft: Draft
) -> Case:
    """The case of these ids, as in the draft or as read.

    Raises NotFound if it does not exist, or if the caller may not know of it.
    """
    key = (user_id, authorization_id, case_id)
    written = [it for it in draft.get(CASES, ()) if it[:3] == key]
    case = written[-1] if written else rows[CASES].get(key)
    if case is None or not may_see(caller, case):
        raise NotFound("case", case_id)
    return case


def may_see(caller: str, case: Case) -> bool:
    """Whether a caller may know of a case: the platform of all, an operator of its own."""
    own = caller == case.operator_id and case.kind not in cases.PLATFORM_ONLY
    return own or caller in (PLATFORM, "")


def add_evidence(
    draft: Draft, case: Case, side: Side, text: str, reference: str, now_us: int
) -> Case:
    """Adds a row of evidence to the draft, with the case, and returns the case.

    A new case is added to the draft together with its first evidence.
    """
    told, row = cases.with_evidence(case, side, text, reference, now_us)
    draft[EVIDENCE].append(row)
    put_case(draft, told)
    return told


def put_case(draft: Draft, case: Case) -> None:
    """Adds the present form of a case to the draft, in place of an earlier one."""
    draft[CASES] = [*(it for it in draft[CASES] if it[:3] != case[:3]), case]


def follow(draft: Draft, step: Step, rows: Rows, now_us: int) -> None:
    """Closes the open claim and the open dispute of an authorization that its step has ended."""
    it = step.authorization
    for case in cases_of(it, rows, draft):
        outcome = cases.outcome_of(case, it, step.transition) if case.is_open else None
        if outcome is not None:
            won = outcome is cases.Outcome.FOR_USER
            closed = cases.closed(
                case,
                outcome,
                now_us,
                granted_minor=case.asked_minor if won else 0,
                close_version=it.version,
            )
            put_case(draft, closed)
