"""Lists, page by page: each row comes exactly once, even if it was committed late.

Rows are in the order of their arrival. They are not in the order of their ids, because an id begins
with the time of the server that made it, and clocks differ. A page with a next page ends at the
horizon at the latest. So no row can later appear before the end of the page. The last page has all
visible rows.

An index gives the rows of a list in its order. A second filter is checked row by row, for at most
`page_window` rows: then the page ends there, with fewer rows than asked for, perhaps none. So no
page reads more, whatever its filters are. Only the rows of one person or of one order are sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    Column,
    Engine,
    FromClause,
    Table,
    TextClause,
    and_,
    exists,
    literal,
    select,
    text,
    tuple_,
)
from sqlalchemy.sql.elements import ColumnElement

from service.domain.authorization import Authorization, State
from service.domain.cases import PLATFORM_ONLY, Case
from service.domain.errors import Unavailable, malformed_token
from service.domain.lapses import Lapse
from service.engine.reads import CaseFilter, Page, Place
from service.engine.records.details import DetailsRecord
from service.engine.records.transfers import TransferRecord, TransferState
from service.engine.tables import CASES, DETAILS
from service.storage import rows
from service.storage import schema as t
from service.storage.database import backend_of, reading
from service.storage.horizon import Horizon
from service.storage.schema.columns import ARRIVAL
from service.storage.schema.record_tables import CONVERTERS

Record = TypeVar("Record")
Condition = ColumnElement[bool]


class Way(NamedTuple):
    """The way to a list's rows.

    An index of `window` finds the rows with the conditions `found`, in this order if they may be
    many. They include the operator: a page may end at a row of the window, and its token names that
    row. The conditions `checked` are checked row by row. `selecting` are conditions that all rows
    fulfil, and that name a partial index.
    """

    source: FromClause
    window: FromClause
    found: Sequence[Condition]
    checked: Sequence[Condition]
    order: Sequence[ColumnElement[Any]]
    selecting: Sequence[TextClause] = ()


class Lists:
    """Reads pages outside any write transaction, on SQLite or PostgreSQL; thread-safe."""

    def __init__(
        self, engine: Engine, horizon: Horizon, *, wait_s: float, retry_ms: int, window: int
    ) -> None:
        """A page waits at most `wait_s` seconds for transactions that may add a row to it.

        If that is too short, the caller is told to retry after `retry_ms` milliseconds. A page
        checks its filters in at most `window` rows.
        """
        self._engine = engine
        self._horizon = horizon
        self._wait_s = wait_s
        self._retry_ms = retry_ms
        self._window = window
        self._numbered = backend_of(engine).numbers_rows

    def transfers(
        self, user_id: str, *, after: Place, size: int, state: TransferState | None
    ) -> Page[TransferRecord]:
        """A page of a person's transfers, or of all transfers if `user_id` is empty."""
        c = t.transfers.c
        identifier = c.transfer_id
        if user_id:
            checked = [] if state is None else [_checked(c.state) == str(state)]
            order = self._sorted(t.transfers, identifier)
            way = Way(t.transfers, t.transfers, [c.user_id == user_id], checked, order)
        else:
            found = [] if state is None else [c.state == str(state)]
            order = self._arrivals(t.transfers, identifier)
            selecting = [] if state is None else [text("transfer_id > ''")]
            way = Way(t.transfers, t.transfers, found, [], order, selecting)
        return self._page(way, t.transfers, identifier, rows.transfer_of, after, size)

    def authorizations(
        self,
        operator_id: str,
        *,
        after: Place,
        size: int,
        user_id: str,
        state: State | None,
        order_reference: str = "",
        lapse: Lapse | None = None,
    ) -> Page[Authorization]:
        """A page of an operator's authorizations; the arguments that are not empty filter it."""
        a, d, p = t.authorizations.c, t.authorization_details.c, t.lapses.c
        own = _checked(a.operator_id) == operator_id
        of_state = [] if state is None else [_checked(a.state) == str(state)]
        of_order: list[Condition] = []
        of_lapse: list[Condition] = []
        if order_reference:
            of_order = [d.operator_id == operator_id, d.order_reference == order_reference]
        if lapse is not None:
            of_lapse = [p.operator_id == operator_id, p.lapse == str(lapse)]
        table, identifier = t.authorizations, a.authorization_id
        if user_id:
            checked = list(of_state)
            if of_order:
                checked.append(exists().where(_of(d), *of_order))
            if of_lapse:
                checked.append(exists().where(_of(p), *of_lapse))
            order = self._sorted(table, identifier)
            way = Way(table, table, [a.user_id == user_id, own], checked, order)
        elif of_order:
            checked = [own, *of_state]
            if of_lapse:
                checked.append(exists().where(_of(p), *of_lapse))
            source = t.authorization_details.join(table, _of(d))
            order = self._sorted(table, d.authorization_id)
            way = Way(source, source, of_order, checked, order, [text("order_reference <> ''")])
        elif of_lapse:
            # In the order of the ids: lapses have no order of arrival, and a row may lapse long
            # after it was listed.
            source = t.lapses.join(table, _of(p))
            checked = [own, *of_state, _first_of_its_kind()]
            way = Way(source, t.lapses, of_lapse, checked, (p.authorization_id,))
        else:
            found = [a.operator_id == operator_id]
            if state is not None:
                found.append(a.state == str(state))
            way = Way(table, table, found, [], self._arrivals(table, identifier))
        after = self._numbered_place(table, identifier, operator_id, after)
        return self._page(way, table, identifier, rows.authorization_of, after, size)

    def details(self, listed: Sequence[Authorization]) -> dict[str, DetailsRecord]:
        """The details of the orders of a page, by the authorizations' names."""
        if not listed:
            return {}
        d = t.authorization_details.c
        keys = [(it.user_id, it.authorization_id) for it in listed]
        query = select(*t.recorded(t.authorization_details)).where(
            tuple_(d.user_id, d.authorization_id).in_(keys)
        )
        record = CONVERTERS[DETAILS].record
        found: list[DetailsRecord] = [record(row) for row in self._read(query)]
        return {f"users/{it.user_id}/authorizations/{it.authorization_id}": it for it in found}

    def reviews(self, *, after: Place, size: int) -> Page[Authorization]:
        """A page of all authorizations in REVIEW."""
        table, identifier = t.authorizations, t.authorizations.c.authorization_id
        # Reviews have an index of their own, in this order.
        order = self._arrivals(table, identifier)
        way = Way(table, table, [], [], order, [text("state = 'REVIEW'")])
        return self._page(way, table, identifier, rows.authorization_of, after, size)

    def cases(self, filters: CaseFilter, *, after: Place, size: int) -> Page[Case]:
        """A page of an operator's cases, or of all if the operator is empty."""
        c = t.cases.c
        state, identifier = str(filters.state), c.case_id
        checked: list[Condition] = []
        if filters.operator_id:
            checked += (c.kind != str(kind) for kind in sorted(PLATFORM_ONLY))
        if filters.kind is not None:
            checked.append(c.kind == str(filters.kind))
        if filters.waits_for is not None:
            checked.append(c.waits_for == str(filters.waits_for))
        if filters.due_before_us:
            checked.append(c.due_us + 0 <= filters.due_before_us)
        if filters.user_id:
            found = [c.user_id == filters.user_id]
            checked.append(_checked(c.state) == state)
            if filters.operator_id:
                found.append(_checked(c.operator_id) == filters.operator_id)
            order = self._sorted(t.cases, identifier)
        else:
            found = [c.state == state]
            if filters.operator_id:
                found.append(c.operator_id == filters.operator_id)
            order = self._arrivals(t.cases, identifier)
        way = Way(t.cases, t.cases, found, checked, order)
        after = self._numbered_place(t.cases, identifier, filters.operator_id, after)
        return self._page(way, t.cases, identifier, CONVERTERS[CASES].record, after, size)

    def _arrivals(self, table: Table, identifier: Column[Any]) -> Sequence[ColumnElement[Any]]:
        """The order of arrival, in which an index has the rows."""
        # On SQLite every arrival is 0, and no index contains arrivals.
        return (table.c[ARRIVAL], identifier) if self._numbered else (identifier,)

    def _sorted(self, table: Table, identifier: Column[Any]) -> Sequence[ColumnElement[Any]]:
        """The order of arrival for a few rows, which are sorted.

        PostgreSQL must not find them in the index of all arrivals, which may have a million others
        before them.
        """
        return (table.c[ARRIVAL] + 0, identifier) if self._numbered else (identifier,)

    def _numbered_place(
        self, table: Table, identifier: Column[Any], operator_id: str, after: Place
    ) -> Place:
        """The place of a row that a token names, with the row's number.

        Raises InvalidInput if there is no such row of the operator; empty means the platform.
        """
        if not after.user_id:
            return after
        c = table.c
        named = [c.user_id == after.user_id, identifier == after.id]
        if operator_id:
            named.append(c.operator_id == operator_id)
        number = c[ARRIVAL] if self._numbered else literal(0)
        found = self._read(select(number).where(*named))
        if not found:
            raise malformed_token()
        return after._replace(arrival=found[0][0])

    def _page(
        self,
        way: Way,
        table: Table,
        identifier: Column[Any],
        made: Callable[[Any], Record],
        after: Place,
        size: int,
    ) -> Page[Record]:
        """At most `size` rows of a table after a place.

        Raises Unavailable if a transaction that may add a row to the page does not end in time, and
        StorageFailed.
        """
        reached = self._horizon.reached.rows
        found, edge = self._rows(way, table, after, size)
        last = _last(found, edge, size, table, identifier)
        if last is not None and last.arrival > reached:
            if not self._horizon.reach(last.arrival, self._wait_s):
                raise Unavailable(
                    "LIST_INCOMPLETE",
                    "a transaction that may add rows to this page has not ended; retry",
                    self._retry_ms,
                )
            # Rows that arrived meanwhile precede this row, so the page still ends here or earlier.
            found, edge = self._rows(way, table, after, size)
            last = _last(found, edge, size, table, identifier)
        return Page([made(row) for row in found[:size]], last)

    def _rows(
        self, way: Way, table: Table, after: Place, size: int
    ) -> tuple[Sequence[Any], Place | None]:
        """One row more than a page has, if there are so many in the window; and the window's last
        place, if more rows follow it."""
        order, numbered = _together(way.order), len(way.order) > 1
        # SQLite begins the search at the first condition on the last column of an index.
        found: list[Any] = [
            *way.found,
            order > (_together(after[:2]) if numbered else after.id),
            *way.selecting,
        ]
        edge = None
        with reading(self._engine) as connection:
            if way.checked:
                # The last column of each order is the id.
                user_id = way.order[-1].table.c.user_id
                window = select(user_id, *way.order).select_from(way.window).where(*found)
                window = window.order_by(*way.order).offset(self._window - 1).limit(1)
                row = connection.execute(window).first()
                if row is not None:
                    edge = Place(row[1] if numbered else 0, row[-1], row[0])
                    found.append(order <= (_together(edge[:2]) if numbered else edge.id))
            query = select(table).select_from(way.source).where(*found, *way.checked)
            query = query.order_by(*way.order).limit(size + 1)
            return connection.execute(query).all(), edge

    def _read(self, query: Any) -> list[Any]:
        with reading(self._engine) as connection:
            return list(connection.execute(query).all())


def _last(
    found: Sequence[Any], edge: Place | None, size: int, table: Table, identifier: Column[Any]
) -> Place | None:
    """The place where a page ends if others follow it."""
    if len(found) <= size:
        return edge
    row = found[size - 1]._mapping
    return Place(row[table.c[ARRIVAL]], row[identifier], row[table.c.user_id])


def _together(values: Sequence[Any]) -> ColumnElement[Any]:
    """Several values that are compared as one; a single column is compared by itself."""
    return values[0] if len(values) == 1 else tuple_(*values)


def _checked(column: Column[str]) -> ColumnElement[str]:
    """A column as the databases use no index for it."""
    return column.concat("")


def _of(columns: Any) -> Condition:
    """The condition that a row belongs to the authorization."""
    a = t.authorizations.c
    same: Condition = and_(
        a.user_id == columns.user_id, a.authorization_id == columns.authorization_id
    )
    return same


def _first_of_its_kind() -> Condition:
    """The condition that a lapse is the authorization's first one of this kind."""
    p, earlier = t.lapses.c, t.lapses.alias("earlier")
    q = earlier.c
    return ~exists().where(
        q.user_id == p.user_id,
        q.authorization_id == p.authorization_id,
        q.authorization_version < p.authorization_version,
        q.lapse == p.lapse,
    )
