"""ResolveChargeBack: the arbiter decides who bears the charged-back amount."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain import charge_backs, increments, reopening
from service.domain.authorization import Authorization, Step
from service.domain.charge_backs import CaseState, ChargeBack, Decision
from service.domain.errors import IllegalState
from service.engine.calls import AuthorizationCommand, Corrected, Work
from service.engine.charge_backs import case_named, cases_of, conceded_by, left_of_case
from service.engine.context import Context, Decided
from service.engine.correcting import Remark, captures_of
from service.engine.operation import Operation, of_correction
from service.engine.posting import apply, opened, product_of
from service.engine.rows import Keys, Rows
from service.engine.tables import CHARGE_BACKS, CORRECTIONS


@dataclass(frozen=True, slots=True)
class ResolveChargeBack(AuthorizationCommand):
    """Decide the charge-back with this case id; an empty id means all open charge-backs."""

    user_won: bool
    goodwill: bool
    reason: str = ""
    case_id: str = ""


def wanted(caller: str, it: ResolveChargeBack, keys: Keys) -> None:
    """Needs the captures and the charge-backs.

    If a case may be reopened, the corrections of its decision and its payment are needed too.
    """
    of_correction(caller, it, keys)
    keys.charge_backs.add(it.user_id)
    if it.case_id:
        key = (it.user_id, it.authorization_id)
        keys.corrected.add(key)
        keys.carried.add(key)
        keys.together.add(key)
        keys.reopened.add((*key, it.case_id))


def decide(work: Work, it: ResolveChargeBack, rows: Rows, context: Context) -> Decided:
    """Decides the open charge-backs; a case that was decided the other way is reopened first.

    If the money comes back, and the operator gave up a part meanwhile, this part is reopened too.
    It is then owed to the person.
    """
    current, line, draft = opened(work.caller, it, rows, context)
    corrections = len(draft[CORRECTIONS])
    decision = Decision(it.user_won, it.goodwill)
    cases = cases_of(current, rows, draft)
    others_minor = charge_backs.unrowed_minor(current, cases)
    deciding = [one for one in cases if one.open_minor]
    if it.case_id:
        deciding, others_minor = [case_named(it.case_id, cases)], 0
        _require_undecided(deciding[0], decision)

    def take(step: Step, changes: list[ChargeBack]) -> Authorization:
        draft[CHARGE_BACKS] += changes
        return apply(draft, step, line, rows, context, Remark(it.reason))

    for place, case in enumerate(deciding):
        if not case.open_minor or (case.kept_minor and not it.user_won):
            conceded = conceded_by(current, case, rows, captures_of(current, rows, draft))
            left_minor = left_of_case(current, case, rows)
            room_minor = increments.room_minor(current, product_of(current, context))
            step, deciding[place] = reopening.reopen(
                current, case, context.now_us, conceded, left_minor, room_minor
            )
            current = take(step, [deciding[place]])
    captures = captures_of(current, rows, draft)
    current = take(
        *charge_backs.resolve(
            current, decision, context.now_us, deciding, captures, others_minor=others_minor
        )
    )
    answer = Corrected(current, tuple(draft[CORRECTIONS][corrections:]))
    return Decided(draft, answer, current.user_id, current.authorization_id)


def _require_undecided(case: ChargeBack, decision: Decision) -> None:
    """Raises IllegalState unless a case is open, or was decided the other way."""
    same = CaseState.LOST if decision.user_won else CaseState.OVERTURNED
    if case.state in (same, CaseState.UNMATCHED):
        raise IllegalState(
            "CHARGE_BACK_DECIDED",
            f"the charge-back {case.case_id} is {case.state}: this decision changes nothing",
            str(case.state),
        )


RESOLVE_CHARGE_BACK = Operation(ResolveChargeBack, wanted, decide)
