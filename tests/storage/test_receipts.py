"""Receipts in stored events: each changed value of one is found, at its event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from freehold.v1.authorization_pb2 import Authorization
from freehold.v1.authorization_service_pb2 import (
    GetReceiptResponse,
    SettleAuthorizationResponse,
)
from freehold.v1.receipt_pb2 import Receipt
from sqlalchemy import select

from service.books.verify import verify_books
from service.domain.access import PLATFORM
from service.domain.details import UNKNOWN_PRICE
from service.domain.receipt import ReceiptItem
from service.domain.receipt_texts import text_of
from service.domain.segment_tariff import Cap, HourPrice, Segment
from service.domain.tariff_document import tariff_columns
from service.engine.calls import Settled
from service.rpc.answers import _fee, write_receipt
from service.rpc.receipts import read_receipt
from service.rpc.stored import read_payload
from service.storage import schema as t
from tests.domain.segment_tariffs import BEIJING
from tests.engine import acts
from tests.engine.calls import authorize, pay, rental, settle
from tests.fakes import Desk, new_database
from tests.storage.book import at, attack, verified

Change = Callable[[Receipt], Any]


def longer_units(it: Receipt) -> None:
    """Changes the length of a unit in the words alone."""
    line = it.lines[1]
    words = text_of(ReceiptItem.INTERVALS, line.quantity, 20)
    line.text_zh, line.text_en = words


CHANGES: dict[str, Change] = {
    "start": lambda it: setattr(it.start_time, "seconds", it.start_time.seconds - 60),
    "end": lambda it: setattr(it.end_time, "seconds", it.end_time.seconds + 60),
    "minutes": lambda it: setattr(it, "minutes", it.minutes + 1),
    "free minutes": lambda it: setattr(it, "free_minutes", 9),
    "no line": lambda it: it.ClearField("lines"),
    "kind of a line": lambda it: setattr(it.lines[0], "item", Receipt.Line.ITEM_SURCHARGE),
    "unknown kind": lambda it: setattr(it.lines[0], "item", Receipt.Line.ITEM_UNSPECIFIED),
    "number of units": lambda it: setattr(it.lines[0], "quantity", 7),
    "price of a unit": lambda it: setattr(it.lines[0].unit, "amount_minor", 7),
    "amount of a line": lambda it: setattr(it.lines[0].amount, "amount_minor", 7),
    "Chinese words": lambda it: setattr(it.lines[0], "text_zh", "免费"),
    "English words": lambda it: setattr(it.lines[0], "text_en", "Free"),
    "length of a unit": longer_units,
    "total": lambda it: setattr(it.total, "amount_minor", 7),
    "other charges": lambda it: setattr(it.other, "amount_minor", 7),
    "released": lambda it: setattr(it.released, "amount_minor", 7),
    "owed back": lambda it: setattr(it.owed_back, "amount_minor", 7),
    "uncollected": lambda it: setattr(it.uncollected, "amount_minor", 7),
    "debt": lambda it: setattr(it.debt, "amount_minor", 7),
    "currency": lambda it: setattr(it.total, "currency_code", "EUR"),
    "currency of a line": lambda it: setattr(it.lines[0].unit, "currency_code", "EUR"),
}


def settled_and_paid(desk: Desk) -> None:
    """A rental that was settled by usage and then paid. Its receipt is therefore not in the newest
    event."""
    desk.put_user("ann", 700)
    it = rental(desk, authorize())
    desk.clock.advance(desk.clock.now_us() + acts.HOUR_US)
    it = rental(desk, settle(it, 500))
    rental(desk, pay(it, 500, reference="paid"), caller=PLATFORM)


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with that rental."""
    file = tmp_path_factory.mktemp("receipts") / "book.db"
    new_database(f"sqlite:///{file}").close()
    with at(file) as desk:
        settled_and_paid(desk)
    return file


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_r19_a_changed_receipt_is_found(paid: Path, what: str) -> None:
    """R19: `verify` finds each changed value of a receipt, also after later events."""
    of_docking = "FROM outbox WHERE transition='authorization.settled'"
    with attack(paid) as connection:
        ((sequence, payload),) = connection.execute(
            f"SELECT sequence, payload {of_docking}"
        ).fetchall()
        it = Authorization.FromString(payload)
        CHANGES[what](it.receipt)
        change = "UPDATE outbox SET payload=? WHERE sequence=?"
        connection.execute(change, (it.SerializeToString(), sequence))
    try:
        fault = verified(paid).fault
    finally:
        with attack(paid) as connection:
            connection.execute(change, (payload, sequence))
    assert fault is not None
    assert (fault.rule, fault.row) == ("PAYLOAD", f"outbox/{sequence}")
    assert verified(paid).fault is None


def test_r19_receipts_pass_on_both_databases(desk: Desk) -> None:
    """R19: the receipts of settlements, of silence and of losses fit the books on both
    databases."""
    settled_and_paid(desk)
    gone = rental(desk, authorize("ann", asset_id="x-9"))
    rental(desk, acts.lost(acts.woken(desk, gone, desk.clock.now_us() + 25 * acts.HOUR_US)))
    claimed = rental(desk, acts.claim_return(rental(desk, authorize("ann"))))
    acts.woken(desk, claimed, desk.clock.now_us() + 72 * acts.HOUR_US)
    found = verify_books(desk.store.engine, read_payload=read_payload)
    assert (found.fault, found.authorizations) == (None, 3)


def test_a_receipt_of_segments_tells_each_sum(desk: Desk) -> None:
    """The receipt of a tariff with segments names the first use, the units, their hours and the
    caps, in Chinese and English, and its numbers are those of the fee."""
    tariff = BEIJING._replace(
        segments=(Segment(0, None, 15, 100, (HourPrice((1, 7), 20 * 60, 32 * 60, 40),)),),
        caps=(Cap(720, 1_000),),
        time_zone="Asia/Shanghai",
    )
    acts.change_terms(desk, t.products, "bike", **tariff_columns(tariff))
    desk.put_user("ann", 700)
    it = rental(desk, authorize())
    # The rental begins at 8:00 in Shanghai, on a Monday.
    desk.clock.advance(desk.clock.now_us() + 15 * acts.HOUR_US)
    settled = desk.do(acts.settle_usage(it))
    assert isinstance(settled, Settled)
    assert settled.fee is not None
    o = t.outbox.c
    query = select(o.payload).where(o.transition == "authorization.settled")
    with desk.store.engine.connect() as connection:
        receipt = Authorization.FromString(connection.execute(query).scalar_one()).receipt
    assert [(line.text_zh, line.text_en) for line in receipt.lines] == [
        ("首个计费单位（使用满 5 分钟起计费）", "First unit, due from 5 minutes of use on"),
        (
            "47 个完整计费单位（每单位 15 分钟，不足一个单位不计费）",
            "47 complete units of 15 minutes",
        ),
        (
            (
                "12 个完整计费单位（每单位 15 分钟，不足一个单位不计费），"
                "周一、周日 20:00-08:00 时段价"
            ),
            "12 complete units of 15 minutes, at the price of Mon, Sun 20:00-08:00",
        ),
        ("每 12 小时封顶减免", "Reduction to the cap of each 12 hours"),
    ]
    numbers = [
        *((1, 100, 100, 5), (47, 100, 4_700, 15), (12, 40, 480, 15), (1, -3_800, -3_800, 720)),
    ]
    found = [
        (line.quantity, line.unit.amount_minor, line.amount.amount_minor, line.minutes)
        for line in receipt.lines
    ]
    assert found == numbers == [(*line[1:4], line.minutes) for line in settled.fee.lines]
    assert [line.times for line in receipt.lines] == ["", "", "MON,SUN 20:00-08:00", ""]
    assert receipt.total.amount_minor == 1_480
    message = SettleAuthorizationResponse.FromString(_fee(settled.fee, "CNY"))
    assert [(line.minutes, line.times) for line in message.fee.lines] == [
        (line.minutes, line.times) for line in receipt.lines
    ]
    told = desk.store.told("ann", it.authorization_id)
    assert told is not None
    docked = desk.store.docked(told)
    assert docked is not None
    assert GetReceiptResponse.FromString(write_receipt(docked, UNKNOWN_PRICE)).receipt == receipt
    assert verify_books(desk.store.engine, read_payload=read_payload).fault is None


@pytest.mark.parametrize("times", ["XXX 20:00-08:00", "20:00", "MON,,SUN 20:00-08:00"])
def test_a_receipt_with_unknown_times_is_refused(times: str) -> None:
    """A receipt whose line names no days and hours is not read."""
    it = Authorization()
    it.receipt.lines.add(item=Receipt.Line.ITEM_STARTED_UNITS, quantity=1, times=times)
    with pytest.raises(ValueError, match="unknown times"):
        read_receipt(it)


def test_r19_an_event_of_an_earlier_build_has_no_receipt(paid: Path) -> None:
    """R19: an event without a receipt, as earlier builds wrote it, is no fault."""
    with attack(paid) as connection:
        select = "SELECT sequence, payload FROM outbox WHERE transition='authorization.settled'"
        ((sequence, payload),) = connection.execute(select).fetchall()
        it = Authorization.FromString(payload)
        it.ClearField("receipt")
        change = "UPDATE outbox SET payload=? WHERE sequence=?"
        connection.execute(change, (it.SerializeToString(), sequence))
    try:
        assert verified(paid).fault is None
    finally:
        with attack(paid) as connection:
            connection.execute(change, (payload, sequence))
