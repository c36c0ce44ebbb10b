"""ResolveCase: the operator grants a complaint, or the platform decides a case."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import cases, complaints
from service.domain.access import PLATFORM
from service.domain.authorization import Authorization, Step
from service.domain.captures import Capture
from service.domain.cases import Case, CaseKind, Outcome, Side
from service.domain.errors import IllegalState, InvalidInput
from service.domain.meter import Meter
from service.domain.money import Money
from service.domain.product import Product
from service.domain.transitions import Transition
from service.engine.attesting import meter as meter_of
from service.engine.calls import AuthorizationCommand, CaseTold, Work
from service.engine.cases import add_evidence, case_of, put_case, require_whole
from service.engine.context import Context, Decided
from service.engine.correcting import Remark, captures_of
from service.engine.operation import Operation
from service.engine.operations.add_evidence import of_case
from service.engine.posting import apply, opened, positive_minor, product_of
from service.engine.rows import Draft, Rows


@dataclass(frozen=True, slots=True)
class ResolveCase(AuthorizationCommand):
    """Decide a case.

    `amount` is given back if the user is right in part. `reason` is kept as evidence, and with the
    correction.
    """

    case_id: str
    outcome: Outcome
    amount: Money | None = None
    reason: str = ""


def decide(work: Work, it: ResolveCase, rows: Rows, context: Context) -> Decided:
    """Decides the case and posts its outcome, all in one step."""
    names, now_us = (it.user_id, it.authorization_id, it.case_id), context.now_us
    draft = Draft(list)
    case = case_of(work.caller, *names, rows, draft)
    if case.kind in cases.PLATFORM_ONLY:
        return _handle(work, it, case, draft, now_us)
    current, line, draft = opened(work.caller, it, rows, context)
    case = case_of(work.caller, *names, rows, draft)
    cases.require_open(case, now_us)
    _require_decision(work.caller, it, case)
    if work.caller != PLATFORM and it.outcome is Outcome.IN_PART:
        require_whole(current, case, rows, draft)
    captures = captures_of(current, rows, draft)
    amount_minor = _part_minor(it, case, current, captures)
    product, decided = product_of(current, context), Transition.CASE_DECIDED
    running = meter_of(current, rows, draft)
    step = decision(current, product, case, amount_minor, decided, now_us, captures, running)
    if it.reason:
        side = Side.PLATFORM if work.caller == PLATFORM else Side.OPERATOR
        case = add_evidence(draft, case, side, it.reason, "", now_us)
    result = apply(draft, step, line, rows, context, Remark(it.reason))
    case = cases.closed(
        case,
        it.outcome,
        now_us,
        granted_minor=sum(part.amount_minor for part in step.parts),
        closed_by=work.caller,
        close_version=result.version,
    )
    put_case(draft, case)
    return Decided(draft, CaseTold(case), result.user_id, result.authorization_id)


def decision(
    current: Authorization,
    product: Product,
    case: Case,
    amount_minor: int | None,
    transition: Transition,
    event_us: int,
    captures: list[Capture],
    meter: Meter,
) -> Step:
    """The step that gives back an amount; None means everything that the case asks for."""
    if amount_minor is None and case.kind is CaseKind.LATE_CLAIM:
        docked_us = event_us if case.occurred_us is None else case.occurred_us
        return complaints.grant_return(
            current, product, docked_us, transition, event_us, captures, meter
        )
    if amount_minor is None and case.occurred_us is not None:
        return complaints.stop_fee(
            current, product, case.occurred_us, transition, event_us, captures, meter
        )
    purpose = complaints.purpose_of(current, case.kind)
    if amount_minor is None:
        amount_minor = _most_minor(case, current, captures)
    return complaints.grant(current, amount_minor, transition, event_us, captures, purpose)


def _most_minor(case: Case, current: Authorization, captures: list[Capture]) -> int:
    """The amount that the case asks for, as far as it can still be given back."""
    purpose = complaints.purpose_of(current, case.kind)
    most_minor = complaints.grantable_minor(current, captures, purpose)
    return min(case.asked_minor or most_minor, most_minor)


def _handle(work: Work, it: ResolveCase, case: Case, draft: Draft, now_us: int) -> Decided:
    """Closes a question of the platform."""
    cases.require_open(case, now_us)
    if it.outcome is not Outcome.HANDLED or it.amount is not None:
        raise InvalidInput.of(
            "outcome", "outcome.handled", "must be HANDLED, without an amount, for this kind"
        )
    if it.reason:
        case = add_evidence(draft, case, Side.PLATFORM, it.reason, "", now_us)
    case = cases.closed(case, it.outcome, now_us, closed_by=work.caller)
    put_case(draft, case)
    return Decided(draft, CaseTold(case), it.user_id, "")


def _require_decision(caller: str, it: ResolveCase, case: Case) -> None:
    """Raises IllegalState or InvalidInput unless this caller may decide the case in this way."""
    if case.kind not in cases.CLOCKED:
        calls = {CaseKind.CLAIM: "ContestReturn or SettleAuthorization"}
        raise IllegalState(
            "CASE_HAS_ITS_OWN_CALL",
            f"decide this case with {calls.get(case.kind, 'ResolveDispute')}",
            str(case.state),
        )
    if it.outcome is Outcome.HANDLED:
        raise InvalidInput.of(
            "outcome", "outcome.of_a_person", "must not be HANDLED for a case of a user"
        )
    if (it.outcome is Outcome.IN_PART) != (it.amount is not None):
        raise InvalidInput.of(
            "amount",
            "amount.in_part",
            "is required for the outcome IN_PART, and not allowed for other outcomes",
        )
    if caller != PLATFORM and it.outcome is Outcome.FOR_OPERATOR:
        raise IllegalState(
            "NO_DECISION_IN_ONES_OWN_CASE",
            "only the platform decides a case for the operator: an operator grants it, wholly or"
            " in part, or adds evidence",
            str(case.state),
        )


def _part_minor(
    it: ResolveCase, case: Case, current: Authorization, captures: list[Capture]
) -> int | None:
    """The amount to give back; None for the whole amount asked for. Raises InvalidInput."""
    if it.outcome is Outcome.FOR_OPERATOR:
        return 0
    if it.amount is None:
        return None
    amount_minor = positive_minor(it.amount, current)
    most_minor = _most_minor(case, current, captures)
    if amount_minor > most_minor:
        raise InvalidInput.of(
            "amount.amount_minor",
            "amount.range",
            f"must be at most {most_minor}, the part of the case's amount that was not given back",
        )
    return amount_minor


RESOLVE_CASE = Operation(ResolveCase, of_case, decide)
