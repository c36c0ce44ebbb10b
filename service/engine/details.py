"""Adds the details of an order to the draft."""

from __future__ import annotations

from service.domain.authorization import Authorization
from service.domain.details import NO_ORDER, ItemPlace, Order
from service.engine.beside import tell
from service.engine.context import Context
from service.engine.records.details import DetailsRecord
from service.engine.rows import Draft, Rows
from service.engine.tables import DETAILS


def add_order(
    draft: Draft, it: Authorization, order: Order, price_hash: str, context: Context
) -> None:
    """Adds the details of a new authorization, also to its event."""
    _add(draft, _new(it, order, price_hash, context.now_us), context)


def _new(it: Authorization, order: Order, price_hash: str, now_us: int) -> DetailsRecord:
    return DetailsRecord(
        it.user_id,
        it.authorization_id,
        it.operator_id,
        order.order_reference,
        order.labels,
        order.device_hash,
        order.payment_account_hash,
        order.rail_account,
        order.time_zone,
        price_hash,
        *order.place,
        "",
        "",
        it.version,
        now_us,
        b"",
    )


def _add(draft: Draft, row: DetailsRecord, context: Context) -> None:
    row = row.sealed()
    draft[DETAILS].append(row)
    tell(draft, row, context)


def add_place(
    draft: Draft,
    rows: Rows,
    it: Authorization,
    context: Context,
    *,
    start: ItemPlace | None = None,
    end: ItemPlace | None = None,
) -> None:
    """Adds the place of a hand-over to the details of an authorization, which may have none yet.

    The new place replaces the earlier one; the other parts stay.
    """
    known = rows[DETAILS].get((it.user_id, it.authorization_id))
    if known is None:
        known = _new(it, NO_ORDER, "", context.now_us)
    if start is not None:
        known = known._replace(start_station=start.station, start_condition=start.condition)
    if end is not None:
        known = known._replace(end_station=end.station, end_condition=end.condition)
    told = known._replace(authorization_version=it.version, record_us=context.now_us)
    _add(draft, told, context)
