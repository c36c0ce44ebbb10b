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
    """Fix a person's limit; None lets the score decide again.

    `currency` names the line that follows the score again; empty means the platform's currency.
    """

    user_id: str
    limit: Money | None
    currency: str = ""


def decide(work: Work, it: SetLimit, rows: Rows, context: Context) -> Decided:
    """Fixes the limit; without an amount, the next features set it from the score.

    Until then the limit has no score as its basis.
    """
    user_id = survivor_of(it.user_id, rows)
    user = rows[USERS].get(user_id)
    if user is None and not rows.lines_of(user_id):
        raise NotFound("user", it.user_id)
    currency = _currency_of(it, context)
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


def _currency_of(it: SetLimit, context: Context) -> str:
    """The currency of the line. Raises InvalidInput for an unknown one, or for two."""
    if it.limit is not None and it.currency:
        text = "must be absent, because the limit names its currency"
        raise InvalidInput.of("currency_code", "currency_code.with_limit", text)
    field = "currency_code" if it.limit is None else "limit.currency_code"
    currency = it.currency or context.currency if it.limit is None else it.limit.currency
    if currency not in context.catalog.limit_steps:
        text = f"currency {currency} is not configured"
        raise InvalidInput.of(field, "currency.unknown", text)
    return currency


SET_LIMIT = Operation(SetLimit, of_user, decide)
