"""Lapsed holds in the way of a command: they still take its line or its item.

A hold may have lapsed, and the timers have not ended it yet. If such a hold caused a refusal or a
stricter offer, the engine ends it first and decides again. A missing item can block a command too.
A command that names the item shows that the item has turned up, so the engine first updates the
rental that lost the item.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from service.domain import timers
from service.domain.authorization import HOLDING
from service.domain.errors import FreeholdError
from service.domain.policy import Reason
from service.domain.transitions import Transition
from service.engine.calls import AuthorizationCommand, Work
from service.engine.context import Context, Decided
from service.engine.operation import Asks, Pair
from service.engine.ports import AuthorizationKey, Conflict, ReadAgain, Transaction, UserKey
from service.engine.quotas import read_quotas
from service.engine.records.authorizations import ItemKind
from service.engine.rows import Rows, Wish
from service.engine.tables import AUTHORIZATIONS, DECISIONS, LINES, OPEN_ITEMS, OUTBOX
from service.engine.timed import read_timed

_MISSING = ItemKind.MISSING
_EXHAUSTED, _IN_USE = Reason.LINE_EXHAUSTED, Reason.ASSET_IN_USE
_NOBODY: frozenset[AuthorizationKey] = frozenset()
_OF_THE_PERSON = frozenset({_EXHAUSTED, "PARENT_OPEN"})


@dataclass(slots=True)
class LapsedHolds:
    """The lapsed holds of all people in a batch, within one transaction.

    All of them are read together as soon as one may be in the way. So a batch costs the same few
    statements, however many of its calls are blocked.
    """

    locked: frozenset[UserKey]
    """The users whose lines the transaction has locked."""
    transaction: Transaction
    rows: Rows
    context: Context
    out_of_reach: frozenset[AuthorizationKey] | None = None
    """Lapsed holds of users without a locked line, on the batch's items; None before the read."""

    def in_the_way(
        self, work: Work, asks: Asks, outcome: Decided | FreeholdError
    ) -> AbstractSet[AuthorizationKey]:
        """The lapsed holds, and lost rentals, that kept a command from its line or its items.

        The authorization that the command names is left out: the command first compares its version
        with the stored one, and then runs its timers.

        Raises ReadAgain if one of the holds belongs to a person whose line is not locked: the line
        must be locked first. Raises Conflict as `Transaction.read` may.
        """
        people = _people_in_the_way(work, asks, outcome, self.rows)
        if not people:
            return _NOBODY
        out_of_reach = self._read() if self.out_of_reach is None else self.out_of_reach
        if any(user_id in people for user_id, _ in out_of_reach):
            raise ReadAgain(out_of_reach)
        now_us = self.context.now_us
        lapsed = {
            key
            for key, it in self.rows[AUTHORIZATIONS].items()
            if key[0] in people and it.state in HOLDING and timers.has_lapsed(it, now_us)
        }
        if isinstance(work.command, AuthorizationCommand):
            lapsed.discard((work.command.user_id, work.command.authorization_id))
        return lapsed | {
            (it.user_id, it.authorization_id)
            for key in _items_in_the_way(work, asks, outcome)
            if (it := self.rows[OPEN_ITEMS].get(key)) is not None
            and it.kind is _MISSING
            and (it.user_id, it.authorization_id) in self.rows[AUTHORIZATIONS]
        }

    def _read(self) -> frozenset[AuthorizationKey]:
        """Reads the lapsed holds of the batch's users; returns those that are out of reach."""
        transaction, rows = self.transaction, self.rows
        others = {it.user_id for it in rows.read[OPEN_ITEMS].values()}
        found = transaction.lapsed(self.locked | others, self.context.now_us)
        found += [
            (it.user_id, it.authorization_id)
            for it in rows.read[OPEN_ITEMS].values()
            if it.kind is _MISSING
        ]
        out_of_reach = self.out_of_reach = frozenset(
            key for key in found if key[0] not in self.locked
        )
        unread = {key for key in found if key[0] in self.locked} - rows.read[AUTHORIZATIONS].keys()
        if not unread:
            return out_of_reach
        transaction.read(rows, [Wish(AUTHORIZATIONS, AUTHORIZATIONS.key, unread)])
        holds = [it for key in unread if (it := rows.read[AUTHORIZATIONS].get(key)) is not None]
        read_timed(rows, holds, transaction)
        if any((it.user_id, it.currency) not in rows.read[LINES] for it in holds):
            # It is the first line of a person, and could not be locked before it existed.
            raise Conflict("a line was opened after the lines were read")
        terms = self.context.catalog.revisions
        if any((it.operator_id, it.product_id, it.product_revision) not in terms for it in holds):
            # The engine loads new terms only before it decides.
            raise ReadAgain(out_of_reach | unread)
        if rows.pools is not None:
            read_quotas(rows, self.context.catalog, transaction)
        return out_of_reach


def _people_in_the_way(
    work: Work, asks: Asks, outcome: Decided | FreeholdError, rows: Rows
) -> set[str]:
    """The users whose holds caused this refusal or stricter offer; empty for other outcomes."""
    reason, _ = _shortage(asks, outcome)
    if reason in _OF_THE_PERSON:
        return {work.command.user_id}
    items = _items_in_the_way(work, asks, outcome)
    return {it.user_id for item in items if (it := rows[OPEN_ITEMS].get(item)) is not None}


def _items_in_the_way(work: Work, asks: Asks, outcome: Decided | FreeholdError) -> list[Pair]:
    """The items of a command that was refused because one of them is in use."""
    reason, items = _shortage(asks, outcome)
    return (asks.items(work.caller, work.command) or items) if reason == _IN_USE else []


def _shortage(asks: Asks, outcome: Decided | FreeholdError) -> tuple[str, list[Pair]]:
    """The reason of a refusal or a stricter offer, and the items that were declined for it."""
    if isinstance(outcome, FreeholdError):
        # A refused increment that needs more cash gives its reasons in the metadata.
        exhausted = _EXHAUSTED in outcome.metadata.get("reasons", "").split(",")
        return (_EXHAUSTED if exhausted else outcome.reason), []
    draft = outcome.draft
    if draft.get(DECISIONS):
        # Without the lapsed holds a milder offer may be possible.
        return (_EXHAUSTED if _EXHAUSTED in draft[DECISIONS][-1].reasons else ""), []
    asked = draft[AUTHORIZATIONS]
    reasons = asked[-1].reasons
    # An offer keeps its old reasons; only a decline or a new offer has reasons of today.
    if not reasons or not (asks.offers_anew or draft[OUTBOX][-1].transition is Transition.DECLINED):
        return "", []
    return reasons[0], [(it.operator_id, it.asset_id) for it in asked]
