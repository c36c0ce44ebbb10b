"""The price of a reservation over gRPC: quotes, bills and receipts."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import insert, select

from service.domain.segment_tariff import Reservation
from service.domain.tariff_document import tariff_columns
from service.storage import schema as t
from service.storage.database import writing
from tests.domain.segment_tariffs import COMPANY
from tests.rpc.support import Desks, Refused, advance, yuan

KEPT = "kept"
TARIFF = COMPANY._replace(reservation=Reservation(5, 1, 20, 300))
"""0.20 for each started minute of a reservation after 5 free ones."""


@pytest.fixture
def kept(desk: Desks) -> Desks:
    """A product whose reservations have a price."""
    p = t.products.c
    with writing(desk.served.store.engine) as connection:
        if connection.execute(select(p.revision).where(p.product_id == KEPT)).first() is None:
            bikes = select(t.products).where(p.operator_id == "city", p.product_id == "bike")
            bike = connection.execute(bikes).mappings().fetchmany(1)[0]
            row = {**bike, "product_id": KEPT, **tariff_columns(TARIFF)}
            connection.execute(insert(t.products), row)
    return desk


def test_a_reservation_is_quoted_as_it_is_billed(kept: Desks) -> None:
    """QuoteFee has the price of a reservation since `reserve_time`, or since the hold of an
    authorization, and the settlement has the same bill, in both languages."""
    start, reserved = Timestamp(), Timestamp()
    it = kept.operator.authorize(kept.platform.person(), KEPT, start="START_ON_PICKUP")
    reserved.FromMicroseconds(kept.served.clock.now_us())
    advance(kept, 10 * 60)
    start.FromMicroseconds(kept.served.clock.now_us())
    times = {"start_time": start, "end_time": start}
    early = kept.operator.call("QuoteFee", product_id=KEPT, reserve_time=reserved, **times)
    own = kept.operator.call("QuoteFee", name=it.name)
    assert early.bill == own.bill
    assert early.bill.total == yuan(100)
    assert early.bill.lines[0].text_zh.startswith("预约 5 个计费单位")
    kept.operator.call("StartRental", name=it.name, request_id=kept.operator.fresh())
    settled = kept.operator.call("SettleAuthorization", name=it.name, usage={})
    assert settled.authorization.receipt.lines == early.bill.lines
    assert settled.fee.total == yuan(100)


def test_an_authorization_has_its_own_beginning(kept: Desks) -> None:
    """QuoteFee refuses `reserve_time` for an authorization, and a time after the start."""
    it = kept.operator.authorize(kept.platform.person(), KEPT, start="START_ON_PICKUP")
    instant = Timestamp()
    instant.FromMicroseconds(kept.served.clock.now_us() + 1)
    for subject in ({"name": it.name}, {"product_id": KEPT}):
        with pytest.raises(Refused) as caught:
            kept.operator.call("QuoteFee", reserve_time=instant, **subject)
        assert caught.value.fields == {"reserve_time"}


def test_a_cancelled_reservation_has_a_receipt(kept: Desks) -> None:
    """A user who cancels after 7 minutes pays for 2; the answer has the receipt, and GetReceipt
    makes it again."""
    it = kept.operator.authorize(kept.platform.person(), KEPT, start="START_ON_PICKUP")
    advance(kept, 7 * 60)
    done = kept.operator.call("ReverseAuthorization", name=it.name, user_cancels=True)
    assert done.authorization.captured == yuan(40)
    again = kept.operator.call("GetReceipt", name=it.name).receipt
    (line,) = again.lines
    assert (line.text_en, line.quantity) == (
        "Reservation, 2 units of 1 minute, from minute 5 on", 2,
    )  # fmt: skip
    assert (again.total, again.minutes) == (yuan(40), 7)
