"""New rentals of merged people, which are asked for by their survivors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from service.engine.calls import Work
from service.engine.context import Context
from service.engine.operations.authorize import Authorize
from service.engine.operations.confirm import Confirm
from service.engine.operations.increment import Increment
from service.engine.operations.match_suspense import MatchSuspense
from service.engine.operations.resolve_review import ResolveReview

_NOBODY: frozenset[str] = frozenset()
_GRANTING = (Confirm, Increment, MatchSuspense, ResolveReview)
"""Commands that may grant what was asked for before, or more of it."""


def read_whole(batch: Sequence[Work], users: Set[str], context: Context) -> Set[str]:
    """The people of a batch with whom the people merged into them count as one person.

    `users` are all people of the batch. For a total exposure all of them are asked about. For rules
    that count rentals it is those who are known to survive, and those of whom earlier
    offers may be granted or raised: their rows are not read before.
    """
    if context.catalog.total is not None:
        return users
    if not context.counts:
        return _NOBODY
    granted = {it.command.user_id for it in batch if isinstance(it.command, _GRANTING)}
    return granted | context.assessed.surviving


def to_survivors(batch: Sequence[Work], survivors: Mapping[str, str]) -> Sequence[Work]:
    """The batch, in which survivors ask for the new rentals of merged people.

    A damage charge stays with the person of its rental. A call that is in one batch with the merge
    itself stays with the merged person, whose line gives no more credit.
    """
    moved = []
    for work in batch:
        asked = work.command
        if isinstance(asked, Authorize) and asked.user_id in survivors and not asked.parent_id:
            asked = asked._replace(user_id=survivors[asked.user_id])
        moved.append(replace(work, command=asked))
    return moved
