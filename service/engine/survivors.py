"""New rentals of merged people, which are asked for by their survivors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.engine.calls import Work
from service.engine.operations.authorize import Authorize


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
