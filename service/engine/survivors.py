"""New rentals of merged people, which are asked for by their survivors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.engine.calls import Work
from service.engine.operations.authorize import Authorize


def to_survivors(batch: Sequence[Work], survivors: Mapping[str, str]) -> Sequence[Work]:
    """The batch, in which new rentals of merged people are asked for by their survivors.

    A damage charge stays with the person of its rental. A call that meets the merge itself is still
    asked for by the merged person, whose line gives nothing any more.
    """
    moved = []
    for work in batch:
        asked = work.command
        if isinstance(asked, Authorize) and asked.user_id in survivors and not asked.parent_id:
            asked = asked._replace(user_id=survivors[asked.user_id])
        moved.append(replace(work, command=asked))
    return moved
