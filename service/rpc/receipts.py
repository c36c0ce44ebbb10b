"""Encodes receipts. Many bills are the same, so each different bill is encoded once and then
copied."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from freehold.v1 import authorization_pb2 as pb
from freehold.v1 import receipt_pb2
from freehold.v1 import types_pb2 as types
from google.protobuf.wrappers_pb2 import BytesValue

from service.domain.receipt import Lines, Receipt, ReceiptItem, ReceiptLine
from service.domain.receipt_texts import text_of

ITEMS = {it: getattr(receipt_pb2.Receipt.Line, f"ITEM_{it}") for it in ReceiptItem}
_ITEM_OF = {number: item for item, number in ITEMS.items()}


def encode_receipt(it: Receipt, currency: str) -> bytes:
    """A receipt as the bytes of the field `receipt` of an authorization.

    The parts are in the order of the field numbers.
    """
    parts = (_time("start_time", it.start_us), _time("end_time", it.end_us), _minutes(it.minutes))
    receipt = b"".join((*parts, _bill(currency, *it[2:])))
    return _head(len(receipt)) + receipt


def read_receipt(it: pb.Authorization) -> Receipt:
    """The receipt of an authorization; raises ValueError if this server would write another one.

    The length of the tariff's intervals is read from the words, or 0 if no line has it.
    """
    told, lines, interval_minutes = it.receipt, list[ReceiptLine](), 0
    for line in told.lines:
        item = _item(line.item)
        if item is ReceiptItem.INTERVALS:
            interval_minutes = _length(line.text_en)
        unit, amount = line.unit.amount_minor, line.amount.amount_minor
        if not _TIMES.fullmatch(line.times):
            raise ValueError(f"a receipt has a line with the unknown times {line.times!r}")
        if bool(line.place) is not (item is ReceiptItem.PLACE):
            raise ValueError(
                f"a receipt has a line of the kind {item} with the place {line.place!r}"
            )
        where = line.minutes, line.from_minute, line.times, line.place
        lines.append(ReceiptLine(item, line.quantity, unit, amount, *where))
    receipt = Receipt(
        told.start_time.ToMicroseconds(),
        told.end_time.ToMicroseconds(),
        told.free_minutes,
        interval_minutes,
        tuple(lines),
        *[getattr(told, name).amount_minor for name in _AMOUNTS],
    )
    same = pb.Authorization(receipt=told).SerializeToString()
    if encode_receipt(receipt, it.held.currency_code) != same:
        raise ValueError("the words, minutes or currencies of a receipt do not fit its numbers")
    return receipt


_DAY = "(MON|TUE|WED|THU|FRI|SAT|SUN)"
_TIMES = re.compile(f"(({_DAY}(,{_DAY})* )?[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9])?")


def _length(words: str) -> int:
    found = re.search(r" of ([1-9][0-9]{0,8}) minute", words)
    return int(found[1]) if found else 0


def _item(number: int) -> ReceiptItem:
    found = _ITEM_OF.get(number)
    if found is None:
        raise ValueError(f"a receipt has a line of the unknown kind {number}")
    return found


@cache
def _head(length: int) -> bytes:
    """The bytes before a receipt of this length in an authorization."""
    return _KEY + BytesValue(value=bytes(length)).SerializeToString()[1:-length]


_KEY = pb.Authorization(receipt=receipt_pb2.Receipt()).SerializeToString()[:-1]
"""The number and the type of the field `receipt`."""
_AMOUNTS = ("total", "other", "released", "owed_back", "uncollected", "debt")


# The times of a batch's receipts are mostly the same.
@lru_cache(maxsize=64)
def _time(field: str, instant_us: int) -> bytes:
    """A receipt with one of its times alone."""
    receipt = receipt_pb2.Receipt()
    message = getattr(receipt, field)
    message.seconds, micros = divmod(instant_us, 1_000_000)
    message.nanos = micros * 1000
    return receipt.SerializeToString()


@lru_cache(maxsize=4096)
def _minutes(minutes: int) -> bytes:
    return receipt_pb2.Receipt(minutes=minutes).SerializeToString()


@lru_cache(maxsize=4096)
def _bill(
    currency: str, free_minutes: int, interval_minutes: int, lines: Lines, *amounts_minor: int
) -> bytes:
    """A receipt without its times: the total, and those of `_AMOUNTS` that are not 0."""
    receipt = receipt_pb2.Receipt(free_minutes=free_minutes)
    for line in lines:
        minutes = line.minutes or interval_minutes
        where = minutes, line.from_minute, line.times, line.place
        text = text_of(line.item, line.quantity, *where)
        receipt.lines.add(
            item=ITEMS[ReceiptItem(line.item)],
            quantity=line.quantity,
            unit=signed(currency, line.unit_minor),
            amount=signed(currency, line.amount_minor),
            text_zh=text.zh,
            text_en=text.en,
            minutes=line.minutes,
            from_minute=line.from_minute,
            times=line.times,
            place=line.place,
        )
    for name, amount_minor in zip(_AMOUNTS, amounts_minor, strict=True):
        if amount_minor or name == "total":
            amount = getattr(receipt, name)
            amount.currency_code, amount.amount_minor = currency, amount_minor
    return receipt.SerializeToString()


def signed(currency: str, amount_minor: int) -> types.SignedMoney:
    """An amount that may be negative."""
    return types.SignedMoney(currency_code=currency, amount_minor=amount_minor)
