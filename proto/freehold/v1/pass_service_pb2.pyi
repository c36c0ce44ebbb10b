import datetime

from buf.validate import validate_pb2 as _validate_pb2
from freehold.v1 import authorization_pb2 as _authorization_pb2
from freehold.v1 import types_pb2 as _types_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pass(_message.Message):
    __slots__ = ("name", "product_id", "product_revision", "pass_name", "gift", "minutes", "percent", "price", "start_time", "end_time", "debt", "reference", "uses", "create_time", "refund_time")
    class Gift(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        GIFT_UNSPECIFIED: _ClassVar[Pass.Gift]
        GIFT_MINUTES_A_RENTAL: _ClassVar[Pass.Gift]
        GIFT_MINUTES_A_DAY: _ClassVar[Pass.Gift]
        GIFT_PERCENT: _ClassVar[Pass.Gift]
    GIFT_UNSPECIFIED: Pass.Gift
    GIFT_MINUTES_A_RENTAL: Pass.Gift
    GIFT_MINUTES_A_DAY: Pass.Gift
    GIFT_PERCENT: Pass.Gift
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_REVISION_FIELD_NUMBER: _ClassVar[int]
    PASS_NAME_FIELD_NUMBER: _ClassVar[int]
    GIFT_FIELD_NUMBER: _ClassVar[int]
    MINUTES_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DEBT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REFUND_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    product_id: str
    product_revision: int
    pass_name: str
    gift: Pass.Gift
    minutes: int
    percent: int
    price: _types_pb2.Money
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    debt: str
    reference: str
    uses: int
    create_time: _timestamp_pb2.Timestamp
    refund_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., product_id: _Optional[str] = ..., product_revision: _Optional[int] = ..., pass_name: _Optional[str] = ..., gift: _Optional[_Union[Pass.Gift, str]] = ..., minutes: _Optional[int] = ..., percent: _Optional[int] = ..., price: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., debt: _Optional[str] = ..., reference: _Optional[str] = ..., uses: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., refund_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GrantPassRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "product_id", "pass_name", "start_time", "reference")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PASS_NAME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    product_id: str
    pass_name: str
    start_time: _timestamp_pb2.Timestamp
    reference: str
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., pass_name: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reference: _Optional[str] = ...) -> None: ...

class GrantPassResponse(_message.Message):
    __slots__ = ("held",)
    HELD_FIELD_NUMBER: _ClassVar[int]
    held: Pass
    def __init__(self, held: _Optional[_Union[Pass, _Mapping]] = ...) -> None: ...

class BuyPassRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "product_id", "pass_name", "start_time", "reference", "price_hash")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PASS_NAME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PRICE_HASH_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    product_id: str
    pass_name: str
    start_time: _timestamp_pb2.Timestamp
    reference: str
    price_hash: str
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., pass_name: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reference: _Optional[str] = ..., price_hash: _Optional[str] = ...) -> None: ...

class BuyPassResponse(_message.Message):
    __slots__ = ("authorization", "held")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    held: Pass
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., held: _Optional[_Union[Pass, _Mapping]] = ...) -> None: ...

class RefundPassRequest(_message.Message):
    __slots__ = ("request_id", "name")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class RefundPassResponse(_message.Message):
    __slots__ = ("authorization", "held")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    held: Pass
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., held: _Optional[_Union[Pass, _Mapping]] = ...) -> None: ...

class ListPassesRequest(_message.Message):
    __slots__ = ("user_id", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPassesResponse(_message.Message):
    __slots__ = ("passes", "next_page_token")
    PASSES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    passes: _containers.RepeatedCompositeFieldContainer[Pass]
    next_page_token: str
    def __init__(self, passes: _Optional[_Iterable[_Union[Pass, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
