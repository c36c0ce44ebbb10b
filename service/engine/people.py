"""Shared parts of the operations on users: keys, limits and events."""

from __future__ import annotations

from typing import Any

from service.domain.access import PLATFORM
from service.domain.credit import limit_for
from service.domain.ledger import Line, post, set_limit
from service.domain.transitions import Transition
from service.engine.aliases import running_off_minor
from service.engine.catalog import Catalog
from service.engine.context import Assessment, Context
from service.engine.records.events import Event
from service.engine.rows import Draft, Keys, Rows
from service.engine.tables import ENTRIES, LINES, OUTBOX


def of_user(_caller: str, it: Any, keys: Keys) -> None:
    """Adds the keys of the user, of the person's aliases and survivor, and of all their lines."""
    keys.users.add(it.user_id)
    keys.registered.add(it.user_id)
    keys.named.add(it.user_id)


def limit_by_score(line: Line, score: int | None, rows: Rows, terms: Catalog) -> int | None:
    """The limit, in minor units, that a score gives a person's line; None if the limit stays.

    It stays if somebody fixed it, or if the terms have no limits in the line's currency. While the
    limit in another currency is fixed, no score raises this one: a person whom somebody bounded, or
    whose debt was written off, gets no credit in a further currency.
    """
    steps = terms.limit_steps.get(line.currency)
    if line.limit_fixed or steps is None:
        return None
    limit_minor = limit_for(score, steps)
    if any(it.limit_fixed for it in rows.lines_of(line.user_id) if it.currency != line.currency):
        limit_minor = min(limit_minor, line.limit_minor - line.cut_pending_minor)
    return max(0, limit_minor - running_off_minor(line.user_id, line.currency, rows))


def open_line(
    draft: Draft, line: Line, assessed: Assessment | None, rows: Rows, context: Context
) -> None:
    """Adds a person's new line, with the limit that the person's score gives in its currency.

    It is the score of the stored features, as PutUser has it, whatever their age.
    """
    draft[LINES] = [line]
    scored = None if assessed is None else assessed.scored
    score = None if scored is None else scored.score
    limit_minor = limit_by_score(line, score, rows, context.catalog)
    if limit_minor:
        bring_limit(draft, line, limit_minor, context)


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
