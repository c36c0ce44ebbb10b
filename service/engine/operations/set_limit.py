"""SetLimit: fix a user's limit, or let the score decide again."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import InvalidInput, NotFound
from service.domain.money import Money
from service.domain.transitions import Transition
from service.engine.aliases import running_off_minor, survivor_of
from service.engine.calls import Work
from service.engine.context import Context, Decided
from service.engine.operation import Operation
from service.engine.people import announce_of, bring_limit, of_user
from service.engine.posting import line_for
from service.engine.rows import Draft, Rows
from service.engine.tables import LINES, USERS


@dataclass(frozen=True, slots=True)
class SetLimit:
    """Fix a person's limit; None lets the score decide again."""

    user_id: str
    limit: Money | None


def decide(work: Work, it: SetLimit, rows: Rows, context: Context) -> Decided:
    """Fixes the limit; without an amount, the next features set it from the score.

    Until then the limit has no score as its basis.
    """
    user_id = survivor_of(it.user_id, rows)
    user = rows[USERS].get(user_id)
    if user is None and not rows.lines_of(user_id):
        raise NotFound("user", it.user_id)
    currency = it.limit.currency if it.limit is not None else context.currency
    if currency not in context.catalog.limit_steps:
        raise InvalidInput.of(
            "limit.currency_code", "currency.unknown", f"currency {currency} is not configured"
        )
    line, _ = line_for(user_id, currency, rows, context)
    by_hand = line.limit_fixed or it.limit is not None
    line.limit_fixed = it.limit is not None
    draft = Draft(list)
    draft[LINES].append(line)
    if user is not None and by_hand and currency == context.currency:
        draft[USERS].append(user._replace(score_limit_minor=None))
    if it.limit is not None:
        used_minor = running_off_minor(user_id, currency, rows)
        bring_limit(draft, line, max(0, it.limit.amount_minor - used_minor), context)
    announce_of(draft, Transition.LIMIT_SET, user_id, context)
    return Decided(draft, line, user_id, "")


SET_LIMIT = Operation(SetLimit, of_user, decide)
