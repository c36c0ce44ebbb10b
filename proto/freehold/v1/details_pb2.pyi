from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Label(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ItemPlace(_message.Message):
    __slots__ = ("station", "condition")
    STATION_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    station: str
    condition: str
    def __init__(self, station: _Optional[str] = ..., condition: _Optional[str] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("order_reference", "labels", "place", "device_hash", "payment_account_hash", "rail_account", "time_zone")
    ORDER_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_HASH_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ACCOUNT_HASH_FIELD_NUMBER: _ClassVar[int]
    RAIL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    order_reference: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    place: ItemPlace
    device_hash: str
    payment_account_hash: str
    rail_account: str
    time_zone: str
    def __init__(self, order_reference: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., place: _Optional[_Union[ItemPlace, _Mapping]] = ..., device_hash: _Optional[str] = ..., payment_account_hash: _Optional[str] = ..., rail_account: _Optional[str] = ..., time_zone: _Optional[str] = ...) -> None: ...

class Details(_message.Message):
    __slots__ = ("order", "price_hash", "start", "end")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    PRICE_HASH_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    order: Order
    price_hash: str
    start: ItemPlace
    end: ItemPlace
    def __init__(self, order: _Optional[_Union[Order, _Mapping]] = ..., price_hash: _Optional[str] = ..., start: _Optional[_Union[ItemPlace, _Mapping]] = ..., end: _Optional[_Union[ItemPlace, _Mapping]] = ...) -> None: ...
