"""Who stands in the way of a command: the line is exhausted, an item in use, a rental not over.

A hold may have lapsed, or a rental be over by now, and not been swept yet. Before such an answer
stands, the engine ends what has lapsed of these people and decides again.
"""

from __future__ import annotations

from service.domain.errors import FreeholdError
from service.domain.policy import Reason
from service.domain.transitions import Transition
from service.engine.changes import Changes
from service.engine.commands import Authorize, Confirm, Increment, ResolveReview, StartRental, Work
from service.engine.context import Decided

ASKING = frozenset({Authorize, Confirm, Increment, ResolveReview, StartRental})
"""The commands that ask for a line or an item."""
_EXHAUSTED, _IN_USE = Reason.LINE_EXHAUSTED, Reason.ASSET_IN_USE
_OF_THE_PERSON = frozenset({_EXHAUSTED, "PARENT_OPEN"})


def people_in_the_way(work: Work, outcome: Decided | FreeholdError, changes: Changes) -> set[str]:
    """The people whose holds take the line or the items for want of which a command was refused,
    declined or given a stricter offer, or whose rental is not over that is charged for damage;
    nobody for any other outcome."""
    command = work.command
    reason, items = _shortage(command, outcome)
    if isinstance(command, Authorize):
        items = [(work.caller, it.asset_id) for it in command.items]
    elif isinstance(command, StartRental):
        items = [(work.caller, command.asset_id)]
    elif not isinstance(command, Confirm | Increment | ResolveReview):
        return set()
    if reason in _OF_THE_PERSON:
        return {command.user_id}
    if reason != _IN_USE:
        return set()
    rentals = [changes.item(*item) for item in items]
    return {it.user_id for it in rentals if it is not None}


def _shortage(
    command: object, outcome: Decided | FreeholdError
) -> tuple[str, list[tuple[str, str]]]:
    """What was wanting, and the items of those that were declined for it."""
    if isinstance(outcome, FreeholdError):
        # The refusal of an increment that needs more cash says why the line does not do.
        exhausted = _EXHAUSTED in outcome.metadata.get("reasons", "").split(",")
        return (_EXHAUSTED if exhausted else outcome.reason), []
    draft = outcome.draft
    if draft.decisions:
        # A milder offer than the one that is made may be within reach.
        return (_EXHAUSTED if _EXHAUSTED in draft.decisions[-1].reasons else ""), []
    asked = draft.authorizations
    reasons = asked[-1].reasons
    if isinstance(command, ResolveReview):
        # A review's first reason is that it is one, unless it came to nothing or to a stricter
        # offer now.
        return reasons[0], [(it.operator_id, it.asset_id) for it in asked]
    if not reasons or draft.events[-1].transition is not Transition.DECLINED:
        return "", []
    return reasons[0], [(it.operator_id, it.asset_id) for it in asked]
