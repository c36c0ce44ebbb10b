"""Breakers: the losses of each, and opening, closing and reading them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    case,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import text as sql_text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from service.domain.access import PLATFORM
from service.domain.authorization import Custody
from service.domain.breakers import (
    BY_RULE,
    BreakerKey,
    Losses,
    OpenedBreaker,
    Watched,
    closes,
    opens,
    since_of,
)
from service.domain.errors import ActRefused, NotFound
from service.domain.ledger import Account
from service.domain.transitions import Transition
from service.engine.ports import StorageFailed
from service.engine.records.administration import Asked
from service.engine.tables import BREAKERS
from service.storage import schema as t
from service.storage.administration import Administration, administer, require_text
from service.storage.database import reading, telling, writing
from service.storage.known_operators import require_operator
from service.storage.schema.authorizations import LOSING
from service.storage.schema.record_tables import CONVERTERS

Encode = Callable[[OpenedBreaker], bytes]
UNNUMBERED = 0
"""The number of a breaker that is not stored yet."""


def open_breakers(connection: Connection) -> dict[BreakerKey, int]:
    """The numbers of all open breakers."""
    b = t.breakers.c
    query = select(b.operator_id, b.policy_id, b.currency, b.number).where(b.close_us.is_(None))
    return {BreakerKey(*key): number for *key, number in connection.execute(query)}


class BreakerStore:
    """The breakers of one database; thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def look(self, watched: Iterable[Watched], now_us: int) -> list[OpenedBreaker]:
        """Adds the losses up, opens and closes breakers, and returns those that this call changed.

        If another server is first, its row counts. Raises StorageFailed.
        """
        changed = []
        with reading(self._engine) as connection:
            for it in watched:
                found = judged(connection, it, now_us)
                if found is not None:
                    changed.append(found)
        return [done for it in changed if (done := self.written(it)) is not None]

    def written(self, it: OpenedBreaker) -> OpenedBreaker | None:
        """The opened or closed breaker as stored; None if another server was first."""
        b = t.breakers.c
        try:
            with writing(self._engine) as connection:
                if it.close_us is None:
                    newest = select(func.max(b.number)).where(b.operator_id == it.operator_id)
                    opened = it._replace(number=1 + int(connection.scalar(newest) or 0))
                    connection.execute(insert(t.breakers), _values(opened))
                    return opened
                mine = (b.operator_id == it.operator_id, b.number == it.number)
                closed = {"close_us": it.close_us, "closed_by": it.closed_by}
                still = update(t.breakers).where(*mine, b.close_us.is_(None)).values(closed)
                return it if connection.execute(still).rowcount else None
        except IntegrityError:
            return None
        except SQLAlchemyError as error:
            raise StorageFailed("the database refused the breaker") from telling(error)


def judged(connection: Connection, it: Watched, now_us: int) -> OpenedBreaker | None:
    """The breaker as it must be written; None if it stays as it is."""
    history = _history(connection, it.key)
    since_us = since_of(it.breaker, history, now_us)
    losses = losses_of(connection, it.key, since_us, now_us)
    last = history[0] if history else None
    if last is not None and last.close_us is None:
        if not closes(it.breaker, losses):
            return None
        return last._replace(close_us=max(now_us, last.open_us), closed_by=BY_RULE)
    # Another server may have closed it by a clock that is ahead.
    early = last is not None and now_us < (last.close_us or 0)
    if early or not opens(it.breaker, losses):
        return None
    breaker = it.breaker
    return OpenedBreaker(
        it.key.operator_id,
        UNNUMBERED,
        it.key.policy_id,
        it.key.currency,
        it.revision,
        breaker.window_us,
        breaker.most_minor,
        breaker.least_rentals,
        *losses,
        since_us,
        now_us,
    )


def losses_of(connection: Connection, key: BreakerKey, since_us: int, until_us: int) -> Losses:
    """The losses after `since_us`, until `until_us`, of an operator's rentals under a policy."""
    loss_minor = _loss_of_rental(since_us, until_us)
    a, p = t.authorizations.c, t.products.c
    of_product = and_(
        p.operator_id == a.operator_id,
        p.product_id == a.product_id,
        p.revision == a.product_revision,
    )
    each = (
        select(loss_minor.label("loss_minor"))
        .select_from(t.authorizations.join(t.products, of_product))
        .where(
            a.operator_id == key.operator_id,
            a.currency == key.currency,
            p.policy_id == key.policy_id,
            # The rentals that may have a loss have an index of their own.
            sql_text(f"({LOSING})"),
        )
        .subquery()
    )
    query = select(func.coalesce(func.sum(each.c.loss_minor), 0), func.count()).where(
        each.c.loss_minor > 0
    )
    minor, rentals = connection.execute(query).one()
    return Losses(int(minor), int(rentals))


def _loss_of_rental(since_us: int, until_us: int) -> ColumnElement[int]:
    """The loss of one rental in the window, in minor units."""
    a = t.authorizations.c
    unrecovered_minor = a.written_off_minor - a.recovered_minor - a.forgiven_minor
    unpaid_minor = (
        a.captured_credit_minor - a.paid_minor - a.lowered_minor - a.recovered_minor
        - a.forgiven_minor
    )  # fmt: skip
    written_minor = _posted(Transition.WRITTEN_OFF, Account.ALLOWANCE, since_us, until_us)
    dropped_minor = _posted(Transition.DEBT_DROPPED, Account.OPERATOR_DEFERRED, since_us, until_us)
    away = (a.custody == Custody.MISSING) | (a.custody == Custody.SOLD)
    lost_now = and_(a.close_us > since_us, a.close_us <= until_us)
    of_others = case((written_minor < unrecovered_minor, written_minor), else_=unrecovered_minor)
    return case((away, case((lost_now, unpaid_minor), else_=0)), else_=of_others) + dropped_minor


def _posted(
    transition: Transition, debit: Account, since_us: int, until_us: int
) -> ColumnElement[int]:
    """The sum of a rental's entries of this kind in the window."""
    a, e = t.authorizations.c, t.entries.c
    query = select(func.coalesce(func.sum(e.amount_minor), 0)).where(
        e.user_id == a.user_id,
        e.currency == a.currency,
        e.authorization_id == a.authorization_id,
        e.transition == transition,
        e.debit == debit,
        e.event_us > since_us,
        e.event_us <= until_us,
    )
    return query.correlate(t.authorizations).scalar_subquery()


def _history(connection: Connection, key: BreakerKey) -> list[OpenedBreaker]:
    """The openings of a breaker, the newest first."""
    b = t.breakers.c
    mine = (
        b.operator_id == key.operator_id,
        b.policy_id == key.policy_id,
        b.currency == key.currency,
    )
    query = select(t.breakers).where(*mine).order_by(b.number.desc())
    return _records(connection, query)


def _records(connection: Connection, query: Select[tuple[object, ...]]) -> list[OpenedBreaker]:
    return list(map(CONVERTERS[BREAKERS].record, connection.execute(query)))


def _values(it: OpenedBreaker) -> dict[str, object]:
    columns = [column.name for column in t.breakers.columns]
    return dict(zip(columns, CONVERTERS[BREAKERS].values(it), strict=True))


def list_breakers(
    engine: Engine,
    operator_id: str,
    *,
    open_only: bool = False,
    after: int = 0,
    size: int | None = None,
) -> list[OpenedBreaker]:
    """An operator's breakers that opened, by their numbers, after a number.

    Raises NotFound for an unknown operator.
    """
    b = t.breakers.c
    query = select(t.breakers).where(b.operator_id == operator_id, b.number > after)
    if open_only:
        query = query.where(b.close_us.is_(None))
    with reading(engine) as connection:
        require_operator(connection, operator_id)
        return _records(connection, query.order_by(b.number).limit(size))


def reset_breaker(
    engine: Engine,
    asked: Asked,
    operator_id: str,
    number: int,
    reason: str,
    now_us: int,
    encode: Encode,
) -> bytes:
    """Closes an operator's breaker; returns the answer. From then on only later losses count.

    A person's key needs a second person, because people then rent without a deposit again. An
    operator closes breakers of its own policies. Raises NotFound, ActRefused, InvalidInput, and
    RequestIdReused.
    """

    def act(desk: Administration) -> bytes:
        require_text("reason", reason, shortest=1)
        b = t.breakers.c
        mine = (b.operator_id == operator_id, b.number == number)
        found = _records(desk.connection, select(t.breakers).where(*mine).with_for_update())
        if not found:
            raise NotFound("breaker", f"{operator_id}/{number}")
        it = found[0]
        by = asked.by.principal
        own = it.policy_id.startswith(f"{operator_id}/")
        if by is not None and by.owner != PLATFORM and not own:
            raise ActRefused(
                "POLICY_OF_PLATFORM",
                f"the policy {it.policy_id} is the platform's, which alone closes its breakers",
            )
        if it.close_us is not None:
            raise ActRefused("BREAKER_CLOSED", f"the breaker {number} was closed before")
        desk.require_second_person_of_persons()
        closed = it._replace(
            close_us=max(now_us, it.open_us), closed_by=asked.by.text, close_reason=reason
        )
        changes = ("close_us", "closed_by", "close_reason")
        values = {name: getattr(closed, name) for name in changes}
        desk.connection.execute(update(t.breakers).where(*mine).values(values))
        desk.note("breaker.reset", f"breakers/{number}", reason=reason)
        return encode(closed)

    return administer(engine, asked, operator_id, now_us, act)
