"""Lapsed holds that stand in the way of a command: they take its line or its item.

A hold may have lapsed, or a rental be over by now, and not been swept yet. Before such an answer
stands, the engine ends what has lapsed of these people and decides again.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from service.domain import timers
from service.domain.authorization import HOLDING
from service.domain.errors import FreeholdError
from service.domain.policy import Reason
from service.domain.transitions import Transition
from service.engine.changes import Changes
from service.engine.commands import (
    Authorize,
    Confirm,
    Following,
    Increment,
    ResolveReview,
    StartRental,
    Work,
)
from service.engine.context import Context, Decided
from service.engine.ports import AuthorizationKey, Conflict, ReadAgain, Transaction, UserKey

ASKING = frozenset({Authorize, Confirm, Increment, ResolveReview, StartRental})
"""The commands that ask for a line or an item."""
_EXHAUSTED, _IN_USE = Reason.LINE_EXHAUSTED, Reason.ASSET_IN_USE
_NOBODY: frozenset[AuthorizationKey] = frozenset()
_OF_THE_PERSON = frozenset({_EXHAUSTED, "PARENT_OPEN"})


class LapsedHolds:
    """The lapsed holds of everybody whom a batch concerns, in one transaction.

    They are read together, when the first of them may be in the way, so that a batch costs the
    same few statements however many of its callers are blocked.
    """

    def __init__(
        self,
        transaction: Transaction,
        locked: Iterable[UserKey],
        changes: Changes,
        context: Context,
    ) -> None:
        """`locked`: the people whose lines the transaction has locked."""
        self._transaction = transaction
        self._locked = frozenset(locked)
        self._changes = changes
        self._context = context
        self._read = False
        self._out_of_reach: frozenset[AuthorizationKey] = frozenset()

    def in_the_way(
        self, work: Work, outcome: Decided | FreeholdError
    ) -> AbstractSet[AuthorizationKey]:
        """The lapsed holds for which a command did not get what it asked for.

        Without the authorization that the command names: the command compares its version with
        the one that the caller could read, and then does what time has done.

        Raises ReadAgain when one of them belongs to a person whose line is not locked: that line
        must be locked in its turn. Raises Conflict as `Transaction.authorizations` may.
        """
        if isinstance(outcome, Decided):
            draft = outcome.draft
            if not (draft.decisions or draft.authorizations)[-1].reasons:
                return _NOBODY
        people = _people_in_the_way(work, outcome, self._changes)
        if not people:
            return _NOBODY
        if not self._read:
            self._read_all()
            self._read = True
        if any(user_id in people for user_id, _ in self._out_of_reach):
            raise ReadAgain(self._out_of_reach)
        changes, now_us = self._changes, self._context.now_us
        known = (*changes.base_authorizations, *changes.authorizations)
        lapsed = {
            key
            for key in known
            # What this batch has changed counts as it is by now, not as it was read.
            if key[0] in people
            and (it := changes.authorization(*key)) is not None
            and it.state in HOLDING
            and timers.is_due(it, now_us)
        }
        if isinstance(work.command, Following):
            lapsed.discard((work.command.user_id, work.command.authorization_id))
        return lapsed

    def _read_all(self) -> None:
        """Reads the lapsed holds of the batch's people; notes those of others who have an item
        that the batch is about."""
        transaction, changes = self._transaction, self._changes
        others = {it.user_id for it in changes.base_items.values()}
        found = transaction.lapsed(self._locked | others, self._context.now_us)
        self._out_of_reach = frozenset(key for key in found if key[0] not in self._locked)
        unread = {
            key for key in found if key[0] in self._locked
        } - changes.base_authorizations.keys()
        if not unread:
            return
        holds = transaction.authorizations(unread)
        if any((it.user_id, it.currency) not in changes.base_lines for it in holds.values()):
            # Somebody's first line, which nobody could lock before it was there.
            raise Conflict("a line was opened after the lines were read")
        terms = self._context.catalog.revisions
        if any(
            (it.operator_id, it.product_id, it.product_revision) not in terms
            for it in holds.values()
        ):
            # The engine looks for new terms before it decides, and not in between.
            raise ReadAgain(self._out_of_reach | unread)
        changes.base_authorizations.update(holds)
        items = {(it.operator_id, it.asset_id) for it in holds.values() if it.asset_id}
        if unread_items := items - changes.base_items.keys():
            changes.base_items.update(transaction.open_items(unread_items))


def _people_in_the_way(work: Work, outcome: Decided | FreeholdError, changes: Changes) -> set[str]:
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
    if not reasons:
        return "", []
    if isinstance(command, ResolveReview):
        # A review's first reason is that it is one, unless it came to nothing or to a stricter
        # offer now.
        return reasons[0], [(it.operator_id, it.asset_id) for it in asked]
    if draft.events[-1].transition is not Transition.DECLINED:
        return "", []
    return reasons[0], [(it.operator_id, it.asset_id) for it in asked]
