"""Shared parts of the operations on users: keys, limits and events."""

from __future__ import annotations

from typing import Any

from service.domain.access import PLATFORM
from service.domain.ledger import Line, post, set_limit
from service.domain.transitions import Transition
from service.engine.context import Context
from service.engine.records.events import Event
from service.engine.rows import Draft, Keys
from service.engine.tables import ENTRIES, OUTBOX


def of_user(_caller: str, it: Any, keys: Keys) -> None:
    """Adds the keys of the user, of the person's aliases and survivor, and of all their lines."""
    keys.users.add(it.user_id)
    keys.registered.add(it.user_id)
    keys.named.add(it.user_id)


def bring_limit(draft: Draft, line: Line, limit_minor: int, context: Context) -> None:
    draft[ENTRIES] += post(
        line,
        set_limit(line, limit_minor),
        Transition.LIMIT_SET,
        operator_id=PLATFORM,
        authorization_id="",
        event_us=context.now_us,
        now_us=context.now_us,
    )


def announce_of(draft: Draft, transition: Transition, user_id: str, context: Context) -> None:
    draft[OUTBOX].append(Event(transition, user_id, "", 0, context.now_us, context.now_us))
