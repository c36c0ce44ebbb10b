"""Lists, page by page: each row comes exactly once, even if it was committed late.

Rows are in the order of their arrival. They are not in the order of their ids, because an id begins
with the time of the server that made it, and clocks differ. A page with a next page ends at the
horizon at the latest. So no row can later appear before the end of the page. The last page has all
visible rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, Engine, Select, Table, select, text, tuple_

from service.domain.authorization import Authorization, State
from service.domain.cases import PLATFORM_ONLY, Case
from service.domain.errors import Unavailable
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


class Lists:
    """Reads pages outside any write transaction, on SQLite or PostgreSQL; thread-safe."""

    def __init__(self, engine: Engine, horizon: Horizon, *, wait_s: float, retry_ms: int) -> None:
        """A page waits at most `wait_s` seconds for transactions that may add a row to it.

        If that is too short, the caller is told to retry after `retry_ms` milliseconds.
        """
        self._engine = engine
        self._horizon = horizon
        self._wait_s = wait_s
        self._retry_ms = retry_ms

    def transfers(
        self, user_id: str, *, after: Place, size: int, state: TransferState | None
    ) -> Page[TransferRecord]:
        """A page of a person's transfers, or of all transfers if `user_id` is empty."""
        c = t.transfers.c
        query = select(t.transfers)
        if user_id:
            query = query.where(c.user_id == user_id)
        if state is not None:
            query = query.where(
                c.state == str(state), text("transfer_id > ''")
            )  # selects the index
        return self._page(t.transfers, c.transfer_id, query, rows.transfer_of, after, size)

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
        c = t.authorizations.c
        query = select(t.authorizations).where(c.operator_id == operator_id)
        if user_id:
            query = query.where(c.user_id == user_id)
        if state is not None:
            query = query.where(c.state == str(state))
        if order_reference:
            query = query.where(
                tuple_(c.user_id, c.authorization_id).in_(_ordered(operator_id, order_reference))
            )
        if lapse is not None:
            p = t.lapses.c
            ended = select(p.user_id, p.authorization_id).where(
                p.operator_id == operator_id, p.lapse == str(lapse)
            )
            query = query.where(tuple_(c.user_id, c.authorization_id).in_(ended))
        return self._page(
            t.authorizations, c.authorization_id, query, rows.authorization_of, after, size
        )

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
        # Reviews have an index of their own, in this order.
        query = select(t.authorizations).where(text("state = 'REVIEW'"))
        return self._page(
            t.authorizations,
            t.authorizations.c.authorization_id,
            query,
            rows.authorization_of,
            after,
            size,
        )

    def cases(self, filters: CaseFilter, *, after: Place, size: int) -> Page[Case]:
        """A page of an operator's cases, or of all if the operator is empty."""
        c = t.cases.c
        query = select(*t.recorded(t.cases), c.arrival).where(c.state == str(filters.state))
        if filters.operator_id:
            hidden = (c.kind != str(kind) for kind in sorted(PLATFORM_ONLY))
            query = query.where(c.operator_id == filters.operator_id, *hidden)
        if filters.kind is not None:
            query = query.where(c.kind == str(filters.kind))
        if filters.waits_for is not None:
            query = query.where(c.waits_for == str(filters.waits_for))
        if filters.due_before_us:
            query = query.where(c.due_us <= filters.due_before_us)
        if filters.user_id:
            query = query.where(c.user_id == filters.user_id)
        return self._page(t.cases, c.case_id, query, CONVERTERS[CASES].record, after, size)

    def _page(
        self,
        table: Table,
        identifier: Column[Any],
        query: Select[Any],
        made: Callable[[Any], Record],
        after: Place,
        size: int,
    ) -> Page[Record]:
        """At most `size` rows after a place.

        Raises Unavailable if a transaction that may add a row to the page does not end in time, and
        StorageFailed.
        """
        numbered = backend_of(self._engine).numbers_rows
        arrival = table.c[ARRIVAL]
        if numbered:
            order: tuple[Column[Any], ...] = (arrival, identifier)
            query = query.where(tuple_(*order) > tuple_(after.arrival, after.id))
        else:
            # Every arrival is 0, and no index contains arrivals.
            order = (identifier,)
            query = query.where(identifier > after.id)
        query = query.order_by(*order).limit(size + 1)
        reached = self._horizon.reached.rows
        found = self._read(query)
        if len(found) > size and (until := found[size - 1]._mapping[arrival]) > reached:
            if not self._horizon.reach(until, self._wait_s):
                raise Unavailable(
                    "LIST_INCOMPLETE",
                    "a transaction that may add rows to this page has not ended; retry",
                    self._retry_ms,
                )
            # Rows that arrived meanwhile precede this row, so the page still ends here or earlier.
            found = self._read(query)
        last = None
        if len(found) > size:
            row = found[size - 1]._mapping
            last = Place(row[arrival], row[identifier])
        return Page([made(row) for row in found[:size]], last)

    def _read(self, query: Select[Any]) -> list[Any]:
        with reading(self._engine) as connection:
            return list(connection.execute(query).all())


def _ordered(operator_id: str, order_reference: str) -> Select[Any]:
    """Selects the names of an order's authorizations, by the index of orders."""
    d = t.authorization_details.c
    return select(d.user_id, d.authorization_id).where(
        d.operator_id == operator_id,
        d.order_reference == order_reference,
        text("order_reference <> ''"),
    )
