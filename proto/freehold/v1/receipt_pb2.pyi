import datetime

from freehold.v1 import types_pb2 as _types_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Receipt(_message.Message):
    __slots__ = ("start_time", "end_time", "minutes", "free_minutes", "lines", "total", "other", "released", "owed_back", "uncollected", "debt")
    class Line(_message.Message):
        __slots__ = ("item", "quantity", "unit", "amount", "text_zh", "text_en", "minutes", "from_minute", "times", "place")
        class Item(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            ITEM_UNSPECIFIED: _ClassVar[Receipt.Line.Item]
            ITEM_FULL_DAYS: _ClassVar[Receipt.Line.Item]
            ITEM_START_FEE: _ClassVar[Receipt.Line.Item]
            ITEM_FREE_MINUTES: _ClassVar[Receipt.Line.Item]
            ITEM_INTERVALS: _ClassVar[Receipt.Line.Item]
            ITEM_DAY_CAP_REDUCTION: _ClassVar[Receipt.Line.Item]
            ITEM_BUY_OUT_REDUCTION: _ClassVar[Receipt.Line.Item]
            ITEM_PAUSED_MINUTES: _ClassVar[Receipt.Line.Item]
            ITEM_WAIVED: _ClassVar[Receipt.Line.Item]
            ITEM_LOST_ITEM: _ClassVar[Receipt.Line.Item]
            ITEM_NOT_COLLECTED: _ClassVar[Receipt.Line.Item]
            ITEM_DISCOUNT: _ClassVar[Receipt.Line.Item]
            ITEM_SURCHARGE: _ClassVar[Receipt.Line.Item]
            ITEM_OWED: _ClassVar[Receipt.Line.Item]
            ITEM_QUOTA_MINUTES: _ClassVar[Receipt.Line.Item]
            ITEM_FIRST_UNIT: _ClassVar[Receipt.Line.Item]
            ITEM_STARTED_UNITS: _ClassVar[Receipt.Line.Item]
            ITEM_COMPLETED_UNITS: _ClassVar[Receipt.Line.Item]
            ITEM_ONE_TIME: _ClassVar[Receipt.Line.Item]
            ITEM_CAP_REDUCTION: _ClassVar[Receipt.Line.Item]
            ITEM_RESERVATION: _ClassVar[Receipt.Line.Item]
            ITEM_RESERVATION_CAP_REDUCTION: _ClassVar[Receipt.Line.Item]
            ITEM_CANCELLATION_FEE: _ClassVar[Receipt.Line.Item]
            ITEM_PLACE: _ClassVar[Receipt.Line.Item]
            ITEM_ORDER_FEE_REDUCTION: _ClassVar[Receipt.Line.Item]
            ITEM_PAID_ELSEWHERE: _ClassVar[Receipt.Line.Item]
            ITEM_PASS_MINUTES: _ClassVar[Receipt.Line.Item]
            ITEM_PASS_DISCOUNT: _ClassVar[Receipt.Line.Item]
        ITEM_UNSPECIFIED: Receipt.Line.Item
        ITEM_FULL_DAYS: Receipt.Line.Item
        ITEM_START_FEE: Receipt.Line.Item
        ITEM_FREE_MINUTES: Receipt.Line.Item
        ITEM_INTERVALS: Receipt.Line.Item
        ITEM_DAY_CAP_REDUCTION: Receipt.Line.Item
        ITEM_BUY_OUT_REDUCTION: Receipt.Line.Item
        ITEM_PAUSED_MINUTES: Receipt.Line.Item
        ITEM_WAIVED: Receipt.Line.Item
        ITEM_LOST_ITEM: Receipt.Line.Item
        ITEM_NOT_COLLECTED: Receipt.Line.Item
        ITEM_DISCOUNT: Receipt.Line.Item
        ITEM_SURCHARGE: Receipt.Line.Item
        ITEM_OWED: Receipt.Line.Item
        ITEM_QUOTA_MINUTES: Receipt.Line.Item
        ITEM_FIRST_UNIT: Receipt.Line.Item
        ITEM_STARTED_UNITS: Receipt.Line.Item
        ITEM_COMPLETED_UNITS: Receipt.Line.Item
        ITEM_ONE_TIME: Receipt.Line.Item
        ITEM_CAP_REDUCTION: Receipt.Line.Item
        ITEM_RESERVATION: Receipt.Line.Item
        ITEM_RESERVATION_CAP_REDUCTION: Receipt.Line.Item
        ITEM_CANCELLATION_FEE: Receipt.Line.Item
        ITEM_PLACE: Receipt.Line.Item
        ITEM_ORDER_FEE_REDUCTION: Receipt.Line.Item
        ITEM_PAID_ELSEWHERE: Receipt.Line.Item
        ITEM_PASS_MINUTES: Receipt.Line.Item
        ITEM_PASS_DISCOUNT: Receipt.Line.Item
        ITEM_FIELD_NUMBER: _ClassVar[int]
        QUANTITY_FIELD_NUMBER: _ClassVar[int]
        UNIT_FIELD_NUMBER: _ClassVar[int]
        AMOUNT_FIELD_NUMBER: _ClassVar[int]
        TEXT_ZH_FIELD_NUMBER: _ClassVar[int]
        TEXT_EN_FIELD_NUMBER: _ClassVar[int]
        MINUTES_FIELD_NUMBER: _ClassVar[int]
        FROM_MINUTE_FIELD_NUMBER: _ClassVar[int]
        TIMES_FIELD_NUMBER: _ClassVar[int]
        PLACE_FIELD_NUMBER: _ClassVar[int]
        item: Receipt.Line.Item
        quantity: int
        unit: _types_pb2.SignedMoney
        amount: _types_pb2.SignedMoney
        text_zh: str
        text_en: str
        minutes: int
        from_minute: int
        times: str
        place: str
        def __init__(self, item: _Optional[_Union[Receipt.Line.Item, str]] = ..., quantity: _Optional[int] = ..., unit: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., amount: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., text_zh: _Optional[str] = ..., text_en: _Optional[str] = ..., minutes: _Optional[int] = ..., from_minute: _Optional[int] = ..., times: _Optional[str] = ..., place: _Optional[str] = ...) -> None: ...
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    MINUTES_FIELD_NUMBER: _ClassVar[int]
    FREE_MINUTES_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    OWED_BACK_FIELD_NUMBER: _ClassVar[int]
    UNCOLLECTED_FIELD_NUMBER: _ClassVar[int]
    DEBT_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    minutes: int
    free_minutes: int
    lines: _containers.RepeatedCompositeFieldContainer[Receipt.Line]
    total: _types_pb2.Money
    other: _types_pb2.Money
    released: _types_pb2.Money
    owed_back: _types_pb2.Money
    uncollected: _types_pb2.Money
    debt: _types_pb2.Money
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., minutes: _Optional[int] = ..., free_minutes: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[Receipt.Line, _Mapping]]] = ..., total: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., other: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., released: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., owed_back: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., uncollected: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., debt: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...
