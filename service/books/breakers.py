"""Checks breakers: their bounds are those of the policies, their losses are in the books, and the
record of acts has each person who closed one.

Payments and returns lower a loss later, so the books tell the most that the losses can have been.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, or_, select

from service.books.columns import kept, rows_of
from service.books.faults import SENSELESS, Found
from service.domain.breakers import BY_RULE, OpenedBreaker
from service.domain.ledger import Account
from service.domain.tariff import DAY_US
from service.domain.transitions import Transition
from service.engine.records.administration import AuditEvent
from service.storage import schema as t

Key = tuple[str, str, str]
"""An operator, a policy and a currency."""
DEBITS = {
    Transition.WRITTEN_OFF: Account.ALLOWANCE,
    Transition.DEBT_DROPPED: Account.OPERATOR_DEFERRED,
}
"""The debited account of each step that gives an amount up."""


class _Loss(NamedTuple):
    """An amount that may have been lost at an instant; `whole` is True for an item's charge."""

    event_us: int
    rental: tuple[str, str]
    amount_minor: int
    whole: bool


def check_breakers(connection: Connection) -> None:
    """Raises Found unless each breaker opened by its policy's bounds and by losses in the books."""
    opened = [OpenedBreaker(*row) for row in rows_of(connection, _breakers(connection))]
    if not opened:
        return
    losses: defaultdict[Key, list[_Loss]] = defaultdict(list)
    for query, whole in ((_lost, True), (_given_up, False)):
        for *key, event_us, user_id, authorization_id, minor in rows_of(
            connection, query(connection)
        ):
            loss = _Loss(event_us, (user_id, authorization_id), minor, whole)
            losses[key[0], key[1], key[2]].append(loss)
    rules = {row[:2]: row[2] for row in rows_of(connection, _rules(connection))}
    before: dict[Key, OpenedBreaker] = {}
    closed: dict[Key, int] = {}
    numbers: dict[str, int] = {}
    for it in opened:
        expected = numbers.get(it.operator_id, 0) + 1
        if it.number != expected:
            raise _wrong(it, f"the opening {expected} is missing")
        numbers[it.operator_id] = it.number
        _check_bounds(it, rules.get((it.policy_id, it.policy_revision)))
        earlier = before.get(it.key)
        if earlier is not None and (earlier.close_us is None or it.open_us < earlier.close_us):
            raise _wrong(it, "it opened while it was open")
        if it.since_us != max(it.open_us - it.window_us, closed.get(it.key, 0)):
            raise _wrong(it, "since_us is neither the window's begin nor the last closing")
        _check_losses(it, losses[it.key])
        before[it.key] = it
        if it.close_us is not None and it.closed_by != BY_RULE:
            closed[it.key] = it.close_us


def _check_bounds(it: OpenedBreaker, rules: str | None) -> None:
    try:
        stored: list[dict[str, Any]] = [] if rules is None else json.loads(rules).get("breaker", [])
        bounds = [
            (row["days"] * DAY_US, row["most_minor"], row.get("least_rentals", 1))
            for row in stored
            if row["currency"] == it.currency
        ]
    except SENSELESS:
        raise _wrong(it, "the rules of its policy make no sense") from None
    if not bounds:
        raise _wrong(it, "its revision of the policy has no such breaker")
    expected = bounds[0]
    if (it.window_us, it.most_minor, it.least_rentals) != expected:
        raise _wrong(it, "its bounds are not those of the policy")


def _check_losses(it: OpenedBreaker, losses: Iterable[_Loss]) -> None:
    counted = [loss for loss in losses if it.since_us < loss.event_us <= it.open_us]
    charges = {loss.rental: loss.amount_minor for loss in counted if loss.whole}
    others_minor = sum(loss.amount_minor for loss in counted if not loss.whole)
    most_minor = sum(charges.values()) + others_minor
    rentals = len({loss.rental for loss in counted})
    if it.loss_minor > most_minor or it.rentals > rentals:
        text = f"the books have at most {most_minor} of losses, of {rentals} rentals"
        raise _wrong(it, text)


class ToldBreakers:
    """The breakers that people closed, as the acts tell. The acts are added in their order."""

    def __init__(self) -> None:
        self._closed: dict[tuple[str, str], tuple[AuditEvent, str]] = {}

    def fits(self, it: AuditEvent, number: str, reason: str) -> bool:
        """Adds an act; returns False if the breaker was closed before."""
        known = (it.owner, number) in self._closed
        self._closed[it.owner, number] = it, reason
        return not known

    def compare(self, rows: Iterable[dict[str, Any]]) -> None:
        """Compares the rows. Raises Found."""
        for row in rows:
            name = f"breakers/{row['operator_id']}/{row['number']}"
            act = self._closed.pop((row["operator_id"], str(row["number"])), None)
            told = row["close_us"], row["closed_by"], row["close_reason"]
            if act is None:
                if row["close_us"] is not None and told[1:] != (BY_RULE, ""):
                    raise Found("AUDIT", name, "no act closed the breaker")
                if row["close_us"] is None and told[1:] != ("", ""):
                    raise Found("AUDIT", name, "an open breaker names who closed it")
                continue
            it, reason = act
            if told != (max(it.record_us, row["open_us"]), it.by_text, reason):
                raise Found("AUDIT", name, "its closing differs from the record of acts")
        for owner, number in self._closed:
            name = f"breakers/{owner}/{number}"
            raise Found("AUDIT", name, "an act names the row, and it is gone")


def _wrong(it: OpenedBreaker, detail: str) -> Found:
    return Found("BREAKER", f"breakers/{it.operator_id}/{it.number}", detail)


@kept
def _breakers(_connection: Connection) -> Select[Any]:
    b = t.breakers.c
    return select(t.breakers).order_by(b.operator_id, b.number)


@kept
def _rules(_connection: Connection) -> Select[Any]:
    p = t.policies.c
    return select(p.policy_id, p.revision, p.rules).where(p.rules.is_not(None))


@kept
def _lost(_connection: Connection) -> Select[Any]:
    """Selects the rentals whose item counted as lost, each with its charge on credit."""
    o, a = t.outbox.c, t.authorizations.c
    own = and_(a.user_id == o.user_id, a.authorization_id == o.authorization_id)
    query = _of_policy(o.event_us, a.captured_credit_minor)
    return query.join(t.outbox, own).where(o.transition == Transition.LOST)


@kept
def _given_up(_connection: Connection) -> Select[Any]:
    """Selects the amounts that were written off, and the debts that were dropped."""
    e, a = t.entries.c, t.authorizations.c
    own = and_(
        a.user_id == e.user_id,
        a.currency == e.currency,
        a.authorization_id == e.authorization_id,
    )
    kinds = [and_(e.transition == step, e.debit == debit) for step, debit in DEBITS.items()]
    return _of_policy(e.event_us, e.amount_minor).join(t.entries, own).where(or_(*kinds))


def _of_policy(event_us: Any, amount_minor: Any) -> Select[Any]:
    """Selects amounts of rentals under the policies that breakers name."""
    a, p = t.authorizations.c, t.products.c
    of_product = and_(
        p.operator_id == a.operator_id,
        p.product_id == a.product_id,
        p.revision == a.product_revision,
    )
    return (
        select(
            *(a.operator_id, p.policy_id, a.currency),
            *(event_us, a.user_id, a.authorization_id, amount_minor),
        )
        .select_from(t.authorizations.join(t.products, of_product))
        .where(p.policy_id.in_(select(t.breakers.c.policy_id)))
    )
